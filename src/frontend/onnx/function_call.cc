// Model-local functions: a call is replaced by the function's nodes, its inputs bound to the call's
// values, attribute references to the call's attributes or the function's defaults.
#include <algorithm>

#include "base/text.h"
#include "frontend/onnx/graph_importer.h"
#include "base/quote.h"

namespace planish::frontend::onnx {
namespace {

std::string key_of(std::string_view domain, std::string_view name, std::string_view overload) {
  return cat(domain, '\n', name, '\n', overload);  // names hold no control characters
}

}  // namespace

Status GraphImporter::index_functions() {
  for (const FunctionDesc& function : model_.functions) {
    const std::string key = key_of(function.domain, function.name, function.overload);
    if (!functions_.emplace(key, &function).second)
      return invalid_argument(cat("function ", quoted(function.name), " of domain ",
                                  quoted(function.domain), " is defined twice"));
    if (Status s = read_opsets(function.opsets, function_opsets_[&function]); !s.ok())
      return s.at(cat("function ", quoted(function.name)));
  }
  return ok_status();
}

const FunctionDesc* GraphImporter::find_function(const NodeDesc& node) const {
  if (functions_.empty()) return nullptr;
  const auto found = functions_.find(key_of(node.domain, node.op_type, node.overload));
  return found == functions_.end() ? nullptr : found->second;
}

Status GraphImporter::inline_call(const NodeDesc& node, const FunctionDesc& function,
                                  Scope& scope) {
  const auto located = [&](const Status& status) { return status.at(describe(node)); };
  if (std::find(calls_.begin(), calls_.end(), &function) != calls_.end())
    return located(invalid_argument(cat("function ", quoted(function.name), " calls itself")));
  if (int64_t(calls_.size()) >= options_.limits.max_call_depth)
    return located(resource_exhausted(
        cat("function calls are nested deeper than the limit max_call_depth (",
            options_.limits.max_call_depth, ")")));
  if (node.inputs.size() > function.inputs.size() || node.outputs.size() > function.outputs.size())
    return located(invalid_argument(
        cat("the call has ", node.inputs.size(), " inputs and ", node.outputs.size(),
            " outputs, but function ", quoted(function.name), " takes ", function.inputs.size(),
            " and gives ", function.outputs.size())));

  ir::Attributes attributes;
  bool refused = false;
  for (const auto* list : {&node.attributes, &function.attribute_defaults})
    for (const AttributeDesc& attribute : *list) {
      if (attributes.count(attribute.name)) continue;  // the call's own goes before the default
      auto converted = convert_attribute(attribute, node, scope, nullptr);
      if (!converted.ok())
        return located(converted.status().at(cat("attribute ", quoted(attribute.name))));
      if (converted->kind == ConvertedAttribute::Kind::kRefused) refused = true;
      if (converted->kind == ConvertedAttribute::Kind::kValue)
        attributes.emplace(std::string(attribute.name), std::move(converted->value));
    }
  if (refused) return refuse_outputs(node, scope);
  for (std::string_view required : function.attributes) {
    const bool given =
        attributes.count(required) ||
        std::any_of(node.attributes.begin(), node.attributes.end(),
                    [&](const AttributeDesc& a) { return a.name == required; });
    if (!given)
      return located(invalid_argument(cat("function ", quoted(function.name), " needs attribute ",
                                          quoted(required))));
  }

  Scope inner;
  inner.graph = scope.graph;
  inner.named = scope.named;
  inner.opsets = &function_opsets_[&function];
  inner.function_attributes = &attributes;
  inner.is_inlined = true;
  inner.prefix = cat(scope.prefix, node_name(node), '/');
  if (int64_t(inner.prefix.size()) > options_.limits.max_name_bytes)
    return located(resource_exhausted(cat("names inside nested calls are longer than the limit "
                                          "max_name_bytes (", options_.limits.max_name_bytes, ")")));
  for (size_t i = 0; i < function.inputs.size(); ++i) {
    Binding binding{Binding::Kind::kAbsent, nullptr};
    if (i < node.inputs.size() && !node.inputs[i].empty()) {
      const auto found = scope.names.find(node.inputs[i]);
      if (found == scope.names.end())
        return located(invalid_argument(
            cat("input ", i, " reads ", quoted(node.inputs[i]), ", which nothing produces")));
      binding = found->second;
    }
    PLANISH_RETURN_IF_ERROR(located(bind(inner, function.inputs[i], binding, "function input")));
  }
  calls_.push_back(&function);
  const Status status = import_nodes(function.nodes, inner);
  calls_.pop_back();
  PLANISH_RETURN_IF_ERROR(located(status.at(cat("function ", quoted(function.name)))));

  for (size_t i = 0; i < node.outputs.size(); ++i)
    PLANISH_RETURN_IF_ERROR(located(hand_on(node, function.outputs[i], i, inner, scope)));
  return ok_status();
}

// Binds an output of the node to what has that name inside the inlined scope.
Status GraphImporter::hand_on(const NodeDesc& node, std::string_view inner_name, size_t output,
                              Scope& inner, Scope& scope) {
  const std::string_view name = node.outputs[output];
  if (name.empty()) return ok_status();
  const auto found = inner.names.find(inner_name);
  if (found == inner.names.end() || found->second.kind == Binding::Kind::kAbsent)
    return invalid_argument(
        cat("its inner output ", quoted(inner_name), " is produced by nothing"));
  PLANISH_RETURN_IF_ERROR(bind(scope, name, found->second, "output"));
  ir::Value* value = found->second.value;
  if (!value) return ok_status();
  PLANISH_RETURN_IF_ERROR(check_declared(scope, name, *value));
  // The caller's name goes before the inner one, unless the value comes from further out.
  if (value->name == cat(inner.prefix, inner_name)) scope.named->erase(value);
  give_name(scope, value, name);
  return ok_status();
}

}  // namespace planish::frontend::onnx
