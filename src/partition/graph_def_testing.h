// Small GraphDefs for tests, written as protobuf text.
#pragma once
#include <string>
#include <vector>

#include "frontend/tensorflow/graph_importer.h"
#include "frontend/tensorflow/text_format.h"
#include "eval/interpreter.h"
#include "ir/tensor.h"
#include "ops/register_ops.h"

#include <gtest/gtest.h>

namespace planish::partition {

inline const opdef::OpRegistry& test_registry() {
  static const opdef::OpRegistry registry = [] {
    opdef::OpRegistry out;
    ops::register_all_ops(out);
    return out;
  }();
  return registry;
}

// Nodes in the order in which they are added.
class GraphText {
 public:
  // `attrs`: lines as "T: type: DT_FLOAT"; a line becomes attr { key: "T" value { type: DT_FLOAT } }.
  GraphText& node(const std::string& name, const std::string& op,
                  const std::vector<std::string>& inputs = {},
                  const std::vector<std::string>& attrs = {}, const std::string& device = "") {
    std::string text = "node { name: \"" + name + "\" op: \"" + op + "\"";
    for (const std::string& input : inputs) text += " input: \"" + input + "\"";
    if (!device.empty()) text += " device: \"" + device + "\"";
    for (const std::string& attr : attrs) {
      const size_t colon = attr.find(": ");
      text += " attr { key: \"" + attr.substr(0, colon) + "\" value { " + attr.substr(colon + 2) + " } }";
    }
    nodes.push_back(text + " }");
    return *this;
  }
  GraphText& placeholder(const std::string& name, const std::vector<int64_t>& dims) {
    std::string shape = "shape: shape {";
    for (int64_t dim : dims) shape += " dim { size: " + std::to_string(dim) + " }";
    return node(name, "Placeholder", {}, {"dtype: type: DT_FLOAT", shape + " }"});
  }
  // Every element is `value`.
  GraphText& constant(const std::string& name, const std::vector<int64_t>& dims, double value) {
    std::string tensor = "value: tensor { dtype: DT_FLOAT tensor_shape {";
    for (int64_t dim : dims) tensor += " dim { size: " + std::to_string(dim) + " }";
    return node(name, "Const", {},
                {"dtype: type: DT_FLOAT", tensor + " } float_val: " + std::to_string(value) + " }"});
  }
  GraphText& constant_i32(const std::string& name, const std::vector<int>& values, bool is_scalar = false) {
    std::string tensor = "value: tensor { dtype: DT_INT32 tensor_shape {";
    if (!is_scalar) tensor += " dim { size: " + std::to_string(values.size()) + " }";
    tensor += " }";
    for (int value : values) tensor += " int_val: " + std::to_string(value);
    return node(name, "Const", {}, {"dtype: type: DT_INT32", tensor + " }"});
  }
  // An op on floats, with its attribute T.
  GraphText& op(const std::string& name, const std::string& type, const std::vector<std::string>& inputs,
                const std::string& device = "") {
    return node(name, type, inputs, {"T: type: DT_FLOAT"}, device);
  }
  std::string bytes() const {
    std::string text;
    for (const std::string& one : nodes) text += one + "\n";
    text += library + " versions { producer: 1882 }\n";
    auto out = frontend::tensorflow::binary_of_text(text, frontend::tensorflow::TextMessage::kGraphDef, {});
    EXPECT_TRUE(out.ok()) << out.status().message();
    return out.ok() ? *out : "";
  }

  std::vector<std::string> nodes;
  std::string library;
};

// Imports a GraphDef and runs it in the reference interpreter.
inline std::vector<ir::Tensor> run_graph(const std::string& bytes, std::vector<std::string> inputs,
                                         std::vector<std::string> outputs,
                                         const std::vector<ir::Tensor>& values) {
  const auto graph = frontend::tensorflow::read_graph(bytes, {});
  EXPECT_TRUE(graph.ok()) << graph.status().message();
  frontend::TensorflowOptions options;
  options.inputs = std::move(inputs);
  options.outputs = std::move(outputs);
  for (size_t i = 0; i < values.size(); ++i) options.shapes[options.inputs[i]] = values[i].dims();
  frontend::tensorflow::GraphImporter importer(*graph, nullptr, options, test_registry(), nullptr);
  auto imported = importer.import();
  EXPECT_TRUE(imported.ok()) << imported.status().message();
  if (!imported.ok()) return {};
  auto results = eval::interpret(test_registry(), **imported, values);
  EXPECT_TRUE(results.ok()) << results.status().message();
  return results.ok() ? *results : std::vector<ir::Tensor>();
}

}  // namespace planish::partition
