#include "opdef/import.h"

#include "base/text.h"
#include "opdef/infer.h"

namespace planish::opdef {
namespace {

template <class T>
Result<T> typed(const NodeView& node, std::string_view key, T fallback, std::string_view expected) {
  const ir::Attribute* attribute = node.attr(key);
  if (!attribute) return fallback;
  if (const T* value = std::get_if<T>(attribute)) return *value;
  return invalid_argument(cat("attribute '", key, "' is of kind ", name_of(kind_of(*attribute)),
                              ", expected ", expected));
}

}  // namespace

Result<int64_t> NodeView::attr_int(std::string_view key, int64_t fallback) const {
  return typed<int64_t>(*this, key, fallback, "int");
}
Result<double> NodeView::attr_float(std::string_view key, double fallback) const {
  return typed<double>(*this, key, fallback, "float");
}
Result<std::string> NodeView::attr_string(std::string_view key, std::string fallback) const {
  return typed<std::string>(*this, key, std::move(fallback), "string");
}
Result<std::vector<int64_t>> NodeView::attr_ints(std::string_view key,
                                                 std::vector<int64_t> fallback) const {
  return typed<std::vector<int64_t>>(*this, key, std::move(fallback), "ints");
}

ImportContext::ImportContext(const OpRegistry& registry, ir::Graph& graph, std::string source,
                             int output_count)
    : registry_(registry),
      graph_(graph),
      source_(std::move(source)),
      outputs_(size_t(output_count)) {}

Result<std::vector<ir::Value*>> ImportContext::add(std::string_view name,
                                                   std::vector<ir::Value*> inputs,
                                                   ir::Attributes attrs, int output_count) {
  const OpDef* op = registry_.find(name);
  PLANISH_CHECK(op, cat("importer adds op '", name, "', which is not registered"));
  fill_defaults(*op, attrs);
  while (!inputs.empty() && !inputs.back()) inputs.pop_back();
  ir::Node* node = graph_.add_node(std::string(name), std::move(inputs), std::move(attrs),
                                   std::vector<TensorType>(size_t(output_count)));
  node->sources = {source_};
  if (Status s = infer_node(registry_, *node); !s.ok()) {
    graph_.erase(node);
    return s;
  }
  return node->outputs;
}

Result<ir::Value*> ImportContext::add1(std::string_view name, std::vector<ir::Value*> inputs,
                                       ir::Attributes attrs) {
  PLANISH_ASSIGN_OR_RETURN(auto outputs, add(name, std::move(inputs), std::move(attrs), 1));
  return outputs[0];
}

ir::Value* ImportContext::constant(Tensor tensor) {
  return graph_.add_constant(cat(source_, "_const"), std::move(tensor));
}
ir::Value* ImportContext::constant_i64(std::vector<int64_t> values) {
  return constant(Tensor::vector_i64(values));
}
ir::Value* ImportContext::scalar(double value, DataType dtype) {
  return constant(Tensor::from_f64(dtype, {}, std::span(&value, 1)));
}

std::optional<std::vector<int64_t>> ImportContext::ints(const ir::Value* value) const {
  if (!value) return std::nullopt;
  if (value->constant) return value->constant->i64_values();
  if (!value->content) return std::nullopt;
  std::vector<int64_t> out;
  for (const Dim& d : *value->content) {
    if (!d.is_constant()) return std::nullopt;
    out.push_back(d.value());
  }
  return out;
}

Status import_one_to_one(const OpDef& op, const NodeView& node, ImportContext& context) {
  ir::Attributes attrs;
  for (const std::string& key : node.attr_names()) {
    const AttrSpec* spec = op.find_attr(key);
    if (!spec)
      return invalid_argument(cat("attribute '", key, "' is not one of ", op.name, "'s"));
    attrs[key] = *node.attr(key);
  }
  std::vector<ir::Value*> inputs;
  for (int i = 0; i < node.input_count(); ++i) inputs.push_back(node.input(i));
  int wanted = 1;
  for (int i = 0; i < node.output_count(); ++i)
    if (node.output_used(i)) wanted = i + 1;
  const bool variadic = !op.outputs.empty() && op.outputs.back().variadic;
  if (wanted > int(op.outputs.size()) && !variadic)
    return invalid_argument(cat("got ", wanted, " outputs, expected at most ", op.outputs.size()));
  PLANISH_ASSIGN_OR_RETURN(auto outputs,
                           context.add(op.name, std::move(inputs), std::move(attrs), wanted));
  for (int i = 0; i < wanted && i < int(context.outputs().size()); ++i)
    context.set_output(i, outputs[size_t(i)]);
  return ok_status();
}

}  // namespace planish::opdef
