// What every test of this folder does: import some bytes, and look at code and message.
#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "frontend/onnx/onnx_import.h"
#include "onnx_writer.h"

namespace planish::tests {

const opdef::OpRegistry& registry();

Result<std::unique_ptr<ir::Graph>> import(const ModelText& model,
                                          const frontend::ImportOptions& options = {});
Result<std::unique_ptr<ir::Graph>> import(std::string_view bytes,
                                          const frontend::ImportOptions& options = {});

// The status has this code, and its message holds every one of the pieces.
void expect_status(const Status& status, Code code, const std::vector<std::string>& pieces);

template <class Bytes>
void expect_refused(const Bytes& bytes, Code code, const std::vector<std::string>& pieces,
                    const frontend::ImportOptions& options = {}) {
  expect_status(import(bytes, options).status(), code, pieces);
}

// x: f32[4] -> Add(x, w) -> y with the given initializer w.
ModelText model_with(const Message& initializer);

// Peak resident memory of this process so far, in bytes.
int64_t peak_memory_bytes();

}  // namespace planish::tests
