// An ONNX node as importers see it: inputs resolved to IR values, attributes converted.
#pragma once
#include <string>
#include <vector>

#include "frontend/onnx/wire.h"
#include "opdef/import.h"

namespace planish::frontend::onnx {

class OnnxNodeView final : public opdef::NodeView {
 public:
  OnnxNodeView(const NodeDesc& node, std::string name, int opset)
      : node_(node), name_(std::move(name)), opset_(opset) {}

  std::vector<ir::Value*> inputs;
  ir::Attributes attributes;
  std::map<std::string, std::vector<ir::Value*>, std::less<>> captured;  // by graph attribute

  std::string_view op_type() const override { return node_.op_type; }
  std::string_view domain() const override { return node_.domain; }
  int opset() const override { return opset_; }
  std::string name() const override { return name_; }
  int input_count() const override { return int(inputs.size()); }
  ir::Value* input(int i) const override {
    return i >= 0 && i < input_count() ? inputs[size_t(i)] : nullptr;
  }
  int output_count() const override { return int(node_.outputs.size()); }
  bool output_used(int i) const override {
    return i >= 0 && i < output_count() && !node_.outputs[size_t(i)].empty();
  }
  std::vector<std::string> attr_names() const override {
    std::vector<std::string> names;
    for (const auto& [key, value] : attributes) names.push_back(key);
    return names;
  }
  const ir::Attribute* attr(std::string_view key) const override {
    const auto found = attributes.find(key);
    return found == attributes.end() ? nullptr : &found->second;
  }
  std::vector<ir::Value*> captures(std::string_view key) const override {
    const auto found = captured.find(key);
    return found == captured.end() ? std::vector<ir::Value*>() : found->second;
  }

 private:
  const NodeDesc& node_;
  std::string name_;
  int opset_;
};

}  // namespace planish::frontend::onnx
