// Status and Result<T>: how every fallible call of the public API reports.
//
// Nothing in this API throws. A Status says what happened, where (file, node, op, attribute), what
// was got and what was expected. A Result holds a value or a Status.
//
//   auto engine = planish::Engine::load("resnet50.plan");
//   if (!engine.ok()) { std::cerr << engine.status().to_string() << "\n"; return 1; }
//   engine->inputs();
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "planish/config.h"

namespace planish {
PLANISH_API_NAMESPACE {

// Numbers are part of the ABI and of the C API; new codes get new numbers.
enum class Code : int {
  kOk = 0,
  kInvalidArgument = 1,    // the caller's or the model's mistake
  kUnsupported = 2,        // valid, but outside of what Planish can take
  kUnimplemented = 3,      // not done yet
  kNotFound = 4,           // file, name, plugin
  kResourceExhausted = 5,  // memory or a declared limit; the message names it
  kFailedPrecondition = 6, // right call at the wrong time (a context that is already running)
  kDataLoss = 7,           // damaged bytes
  kIncompatible = 8,       // a plan of another version, device or library
  kCancelled = 9,
  kDeadlineExceeded = 10,
  kDeviceError = 11,
  kVerificationFailed = 12,
  kInternal = 13,          // a mistake of ours: please report it
};

// "invalid argument". Static storage.
PLANISH_API const char* code_name(Code code);

// Cheap to copy; immutable; thread-safe.
class [[nodiscard]] PLANISH_API Status {
 public:
  Status() = default;  // ok
  Status(Code code, std::string message);

  bool ok() const { return state_ == nullptr; }
  Code code() const;
  // Without the code's name; empty when ok.
  const std::string& message() const;
  // "invalid argument: model.onnx: node 'conv1' (Conv): ..."; "ok".
  std::string to_string() const;
  // The same status with "where: " in front of its message.
  Status at(const std::string& where) const;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

// Prints the status to stderr and aborts: somebody took the value of a failed Result.
[[noreturn]] PLANISH_API void fail_without_value(const Status& status);

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<1>, std::move(value)) {}         // NOLINT: implicit
  Result(Status status) : state_(std::in_place_index<0>, std::move(status)) {}  // NOLINT: implicit

  bool ok() const { return state_.index() == 1; }
  explicit operator bool() const { return ok(); }
  Status status() const { return ok() ? Status() : std::get<0>(state_); }

  // Precondition: ok(); else the process stops with the status on stderr.
  T& value() & { return require(), std::get<1>(state_); }
  const T& value() const& { return require(), std::get<1>(state_); }
  T&& value() && { return require(), std::get<1>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  void require() const {
    if (!ok()) fail_without_value(std::get<0>(state_));
  }
  std::variant<Status, T> state_;
};

}  // namespace v1
}  // namespace planish
