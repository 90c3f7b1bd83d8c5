// A TensorFlow node as importers see it: inputs resolved to IR values, attributes converted.
#pragma once
#include <string>
#include <vector>

#include "frontend/tensorflow/wire.h"
#include "opdef/import.h"

namespace planish::frontend::tensorflow {

class TensorflowNodeView final : public opdef::NodeView {
 public:
  TensorflowNodeView(const NodeDesc& node, std::string name, int output_count, int producer)
      : node_(node), name_(std::move(name)), output_count_(output_count), producer_(producer) {}

  std::vector<ir::Value*> inputs;
  ir::Attributes attributes;

  std::string_view op_type() const override { return node_.op; }
  std::string_view domain() const override { return "tensorflow"; }
  int opset() const override { return producer_; }
  std::string name() const override { return name_; }
  int input_count() const override { return int(inputs.size()); }
  ir::Value* input(int i) const override {
    return i >= 0 && i < input_count() ? inputs[size_t(i)] : nullptr;
  }
  int output_count() const override { return output_count_; }
  bool output_used(int i) const override { return i >= 0 && i < output_count_; }
  std::vector<std::string> attr_names() const override {
    std::vector<std::string> names;
    for (const auto& [key, value] : attributes) names.push_back(key);
    return names;
  }
  const ir::Attribute* attr(std::string_view key) const override {
    const auto found = attributes.find(key);
    return found == attributes.end() ? nullptr : &found->second;
  }
  std::vector<ir::Value*> captures(std::string_view) const override { return {}; }

 private:
  const NodeDesc& node_;
  std::string name_;
  int output_count_;
  int producer_;
};

}  // namespace planish::frontend::tensorflow
