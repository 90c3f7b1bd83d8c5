// An If whose condition is known at import: the branch that is taken is inlined and the other one is
// never looked at. Exporters write such nodes to choose by rank, and the branch not taken is then
// often one that fits no shape.
#include "base/text.h"
#include "frontend/onnx/graph_importer.h"
#include "base/quote.h"

namespace planish::frontend::onnx {
namespace {

std::optional<bool> known_bool(const ir::Value& value) {
  if (value.type.dtype != ir::DataType::kBool) return std::nullopt;
  if (value.constant && value.constant->count() == 1) return value.constant->i64(0) != 0;
  if (!value.content || value.content->size() != 1) return std::nullopt;
  const std::optional<int64_t> known = value.content->front().constant();
  return known ? std::optional(*known != 0) : std::nullopt;
}

}  // namespace

const GraphDesc* GraphImporter::known_branch(const NodeDesc& node, const Scope& scope) const {
  if (node.op_type != "If" || !node.domain.empty() || node.inputs.size() != 1) return nullptr;
  const auto condition = scope.names.find(node.inputs[0]);
  if (condition == scope.names.end() || !condition->second.value) return nullptr;
  const std::optional<bool> taken = known_bool(*condition->second.value);
  if (!taken) return nullptr;
  // Both branches as an If needs them, or the ordinary way says what is wrong.
  const GraphDesc* then_branch = nullptr;
  const GraphDesc* else_branch = nullptr;
  for (const AttributeDesc& attribute : node.attributes) {
    if (attribute.name == "then_branch") then_branch = attribute.g.get();
    if (attribute.name == "else_branch") else_branch = attribute.g.get();
  }
  if (!then_branch || !else_branch || node.attributes.size() != 2) return nullptr;
  for (const GraphDesc* branch : {then_branch, else_branch})
    if (!branch->inputs.empty() || branch->outputs.size() != node.outputs.size()) return nullptr;
  return *taken ? then_branch : else_branch;
}

Status GraphImporter::inline_branch(const NodeDesc& node, const GraphDesc& branch, Scope& scope) {
  const auto located = [&](const Status& status) { return status.at(describe(node)); };
  if (body_depth_ >= options_.limits.max_nesting)
    return located(resource_exhausted(cat("graphs are nested deeper than the limit max_nesting (",
                                          options_.limits.max_nesting, ")")));
  Scope inner;
  inner.graph = scope.graph;
  inner.named = scope.named;
  inner.opsets = scope.opsets;
  inner.outer = &scope;
  inner.function_attributes = scope.function_attributes;
  inner.is_inlined = true;
  inner.prefix = cat(scope.prefix, node_name(node), '/');
  if (int64_t(inner.prefix.size()) > options_.limits.max_name_bytes)
    return located(resource_exhausted(cat("names inside nested branches are longer than the limit "
                                          "max_name_bytes (", options_.limits.max_name_bytes, ")")));
  for (const auto* list : {&branch.value_infos, &branch.outputs})
    for (const ValueInfoDesc& info : *list) inner.declared.emplace(info.name, &info.type);
  ++body_depth_;
  Status status = add_initializers(branch, inner);
  for (std::string_view name : free_names_.of(branch))
    if (const auto found = scope.names.find(name); found != scope.names.end())
      inner.names.emplace(name, found->second);
  if (status.ok()) status = import_nodes(branch.nodes, inner);
  --body_depth_;
  PLANISH_RETURN_IF_ERROR(located(status));
  for (size_t i = 0; i < node.outputs.size(); ++i)
    PLANISH_RETURN_IF_ERROR(located(hand_on(node, branch.outputs[i].name, i, inner, scope)));
  return ok_status();
}

}  // namespace planish::frontend::onnx
