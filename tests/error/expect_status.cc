#include "expect_status.h"

#include <sys/resource.h>

#include "base/text.h"
#include "ops/register_ops.h"

namespace planish::tests {

const opdef::OpRegistry& registry() {
  static const opdef::OpRegistry* const all = [] {
    auto* made = new opdef::OpRegistry;
    ops::register_all_ops(*made);
    return made;
  }();
  return *all;
}

Result<std::unique_ptr<ir::Graph>> import(std::string_view bytes,
                                          const frontend::ImportOptions& options) {
  frontend::ImportOptions named = options;
  named.name = "bad.onnx";
  return frontend::import_onnx(std::as_bytes(std::span(bytes)), named, registry());
}
Result<std::unique_ptr<ir::Graph>> import(const ModelText& model,
                                          const frontend::ImportOptions& options) {
  return import(model.bytes(), options);
}

void expect_status(const Status& status, Code code, const std::vector<std::string>& pieces) {
  EXPECT_EQ(code_name(status.code()), code_name(code)) << status.to_string();
  for (const std::string& piece : pieces)
    EXPECT_THAT(status.message(), testing::HasSubstr(piece));
  if (!status.ok()) {
    EXPECT_THAT(status.message(), testing::StartsWith("bad.onnx: "));
  }
}

ModelText model_with(const Message& initializer) {
  ModelText model;
  model.graph.inputs = {value("x", kFloat, {4})};
  model.graph.outputs = {value("y", kFloat)};
  model.graph.initializers = {initializer};
  model.graph.nodes = {node("Add", {"x", "w"}, {"y"}, {}, "sum")};
  return model;
}

int64_t peak_memory_bytes() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t(usage.ru_maxrss) * 1024;
}

}  // namespace planish::tests
