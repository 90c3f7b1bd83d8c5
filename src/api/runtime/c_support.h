// Shared by the two halves of the C API: the thread's error text, handles, guarded calls.
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "api/runtime/convert.h"
#include "planish/c/runtime.h"
#include "planish/context.h"
#include "planish/engine.h"
#include "planish/host.h"

struct planish_engine {
  planish::v1::Engine engine;
  // Texts that the C API hands out.
  std::vector<std::vector<std::string>> input_dims, output_dims;
  std::vector<std::pair<std::string, std::string>> metadata;
};

struct planish_cancel {
  planish::v1::CancelToken token;
};

namespace planish::api {

// Keeps the text for planish_error_message() and gives the code.
planish_code fail(const v1::Status& status);
planish_code fail(v1::Code code, std::string message);

// `body` returns a v1::Status; nothing it throws gets out.
template <class F>
planish_code c_call(F&& body) {
  const v1::Status status = guarded([&]() -> v1::Status { return body(); });
  return status.ok() ? PLANISH_OK : fail(status);
}

// True when the caller's struct reaches as far as `field`.
#define PLANISH_C_HAS(options, field) \
  ((options)->struct_size >=          \
   offsetof(std::remove_cvref_t<decltype(*(options))>, field) + sizeof((options)->field))

v1::EngineOptions engine_options(const planish_engine_options* options);
planish_engine* make_handle(v1::Engine engine);
// A malloc'd copy for planish_string_free; null when there is no memory.
char* copy_text(const std::string& text);
v1::Status null_argument(const char* name);

}  // namespace planish::api
