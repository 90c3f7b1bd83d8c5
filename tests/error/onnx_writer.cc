#include "onnx_writer.h"

#include <protozero/pbf_writer.hpp>

namespace planish::tests {
namespace {

protozero::pbf_writer writer(std::string& text) { return protozero::pbf_writer(text); }

Message opset(const std::pair<std::string, int64_t>& entry) {
  return Message().bytes(1, entry.first).integer(2, entry.second);
}

}  // namespace

Message& Message::integer(uint32_t tag, int64_t value) {
  return writer(text_).add_int64(tag, value), *this;
}
Message& Message::bytes(uint32_t tag, std::string_view value) {
  return writer(text_).add_bytes(tag, value.data(), value.size()), *this;
}
Message& Message::fixed32(uint32_t tag, float value) {
  return writer(text_).add_float(tag, value), *this;
}
Message& Message::packed_ints(uint32_t tag, const std::vector<int64_t>& values) {
  return writer(text_).add_packed_int64(tag, values.begin(), values.end()), *this;
}
Message& Message::packed_floats(uint32_t tag, const std::vector<float>& values) {
  return writer(text_).add_packed_float(tag, values.begin(), values.end()), *this;
}
Message& Message::packed_doubles(uint32_t tag, const std::vector<double>& values) {
  return writer(text_).add_packed_double(tag, values.begin(), values.end()), *this;
}

Message tensor_head(std::string_view name, int64_t type, const std::vector<int64_t>& dims) {
  return Message().packed_ints(1, dims).integer(2, type).bytes(8, name);
}
Message floats(std::string_view name, const std::vector<int64_t>& dims,
               const std::vector<float>& values) {
  return tensor_head(name, kFloat, dims).packed_floats(4, values);
}
Message ints(std::string_view name, const std::vector<int64_t>& dims,
             const std::vector<int64_t>& values) {
  return tensor_head(name, kInt64, dims).packed_ints(7, values);
}
Message raw_tensor(std::string_view name, int64_t type, const std::vector<int64_t>& dims,
                   std::string_view raw) {
  return tensor_head(name, type, dims).bytes(9, raw);
}
Message external_tensor(std::string_view name, int64_t type, const std::vector<int64_t>& dims,
                        const std::vector<std::pair<std::string, std::string>>& entries) {
  Message tensor = tensor_head(name, type, dims).integer(14, 1);
  for (const auto& [key, text] : entries)
    tensor.message(13, Message().bytes(1, key).bytes(2, text));
  return tensor;
}

Message attr_int(std::string_view name, int64_t value) {
  return Message().bytes(1, name).integer(3, value).integer(20, 2);
}
Message attr_float(std::string_view name, float value) {
  return Message().bytes(1, name).fixed32(2, value).integer(20, 1);
}
Message attr_string(std::string_view name, std::string_view value) {
  return Message().bytes(1, name).bytes(4, value).integer(20, 3);
}
Message attr_ints(std::string_view name, const std::vector<int64_t>& values) {
  return Message().bytes(1, name).packed_ints(8, values).integer(20, 7);
}
Message attr_floats(std::string_view name, const std::vector<float>& values) {
  return Message().bytes(1, name).packed_floats(7, values).integer(20, 6);
}
Message attr_tensor(std::string_view name, const Message& tensor) {
  return Message().bytes(1, name).message(5, tensor).integer(20, 4);
}
Message attr_graph(std::string_view name, const Message& graph) {
  return Message().bytes(1, name).message(6, graph).integer(20, 5);
}
Message attr_ref(std::string_view name, std::string_view ref, int64_t type) {
  return Message().bytes(1, name).bytes(21, ref).integer(20, type);
}

Message node(std::string_view op, const std::vector<std::string>& inputs,
             const std::vector<std::string>& outputs, const std::vector<Message>& attributes,
             std::string_view name, std::string_view domain) {
  Message message;
  for (const std::string& input : inputs) message.bytes(1, input);
  for (const std::string& output : outputs) message.bytes(2, output);
  if (!name.empty()) message.bytes(3, name);
  message.bytes(4, op);
  for (const Message& attribute : attributes) message.message(5, attribute);
  if (!domain.empty()) message.bytes(7, domain);
  return message;
}

Message value(std::string_view name, int64_t type, const std::vector<DimText>& dims) {
  Message shape;
  for (const DimText& dim : dims) {
    Message one;
    if (!dim.is_param) one.integer(1, dim.value);
    else if (!dim.param.empty()) one.bytes(2, dim.param);
    shape.message(1, one);
  }
  const Message tensor = Message().integer(1, type).message(2, shape);
  return Message().bytes(1, name).message(2, Message().message(1, tensor));
}
Message value(std::string_view name, int64_t type) {
  return Message().bytes(1, name).message(2, Message().message(1, Message().integer(1, type)));
}

Message GraphText::message() const {
  Message graph;
  const auto all = [&](uint32_t tag, const std::vector<Message>& list) {
    for (const Message& item : list) graph.message(tag, item);
  };
  all(1, nodes);
  graph.bytes(2, "g");
  all(5, initializers);
  all(15, sparse);
  all(11, inputs);
  all(12, outputs);
  all(13, infos);
  return graph;
}

Message FunctionText::message() const {
  Message function;
  function.bytes(1, name);
  for (const std::string& input : inputs) function.bytes(4, input);
  for (const std::string& output : outputs) function.bytes(5, output);
  for (const std::string& attribute : attributes) function.bytes(6, attribute);
  for (const Message& n : nodes) function.message(7, n);
  for (const auto& entry : opsets) function.message(9, opset(entry));
  function.bytes(10, domain);
  return function;
}

std::string ModelText::bytes() const {
  Message model;
  model.integer(1, ir_version);
  for (const auto& entry : opsets) model.message(8, opset(entry));
  model.message(7, graph.message());
  for (const FunctionText& function : functions) model.message(25, function.message());
  return model.text();
}

ModelText relu_model() {
  ModelText model;
  model.graph.inputs = {value("x", kFloat, {"N", 4})};
  model.graph.outputs = {value("y", kFloat, {"N", 4})};
  model.graph.nodes = {node("Relu", {"x"}, {"y"}, {}, "act")};
  return model;
}

}  // namespace planish::tests
