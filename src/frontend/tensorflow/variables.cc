#include "frontend/tensorflow/variables.h"

#include "base/quote.h"
#include "base/text.h"
#include "frontend/tensorflow/tensor_proto.h"

namespace planish::frontend::tensorflow {
namespace {

constexpr int kMaxDepth = 8;
constexpr std::string_view kSuffix = "/.ATTRIBUTES/VARIABLE_VALUE";

// Through Identity nodes to the node that makes the value.
Ref origin(const Source& source, Ref ref) {
  for (int steps = 0; steps < 16 && ref.node >= 0; ++steps) {
    const std::string_view op = source.node(ref.node).op;
    if ((op != "Identity" && op != "Cast") || source.inputs(ref.node).empty()) break;
    ref = source.inputs(ref.node)[0];
  }
  return ref;
}

}  // namespace

std::string variable_name(const NodeDesc& node) {
  const AttrDesc* shared = node.attr("shared_name");
  return std::string(shared && !shared->s.empty() ? shared->s : node.name);
}

bool is_variable_op(std::string_view op) {
  return op == "VarHandleOp" || op == "VariableV2" || op == "Variable" || op == "TemporaryVariable";
}

std::optional<std::string> Variables::restored_key(const Source& source, Ref ref) const {
  ref = origin(source, ref);
  if (ref.node < 0 || source.inputs(ref.node).size() < 2) return std::nullopt;
  const std::string_view op = source.node(ref.node).op;
  if (op != "RestoreV2" && op != "Restore" && op != "RestoreSlice") return std::nullopt;
  const Ref names = origin(source, source.inputs(ref.node)[1]);
  if (names.node < 0) return std::nullopt;
  const AttrDesc* value = source.node(names.node).attr("value");
  if (!value || !value->tensor) return std::nullopt;
  const auto texts = to_strings(*value->tensor, limits_);
  if (!texts.ok() || size_t(ref.port) >= texts->size()) return std::nullopt;
  return (*texts)[size_t(ref.port)];
}

void Variables::collect(const Source& graph, const Functions& functions) {
  collect(graph, functions, {}, 0);
}

void Variables::collect(const Source& source, const Functions& functions, const Bound& bound,
                        int depth) {
  const auto variable_of = [&](Ref ref) -> std::string {
    ref = origin(source, ref);
    if (ref.node < 0) {
      const auto found = bound.find(ref.arg);
      return found == bound.end() ? std::string() : found->second;
    }
    const NodeDesc& node = source.node(ref.node);
    return is_variable_op(node.op) ? variable_name(node) : std::string();
  };
  for (size_t i = 0; i < source.nodes().size(); ++i) {
    const NodeDesc& node = source.nodes()[i];
    const std::vector<Ref>& inputs = source.inputs(int(i));
    if ((node.op == "Assign" || node.op == "AssignVariableOp") && inputs.size() >= 2) {
      const std::string variable = variable_of(inputs[0]);
      if (variable.empty()) continue;
      if (const auto key = restored_key(source, inputs[1])) keys_[variable] = *key;
      continue;
    }
    if (depth >= kMaxDepth || (node.op != "StatefulPartitionedCall" && node.op != "PartitionedCall"))
      continue;
    const AttrDesc* called = node.attr("f");
    if (!called || !called->function) continue;
    const auto found = functions.find(called->function->name);
    if (found == functions.end()) continue;
    Bound inner;
    const auto& args = found->second->function()->inputs;
    for (size_t k = 0; k < args.size() && k < inputs.size(); ++k)
      if (std::string name = variable_of(inputs[k]); !name.empty()) inner[args[k].name] = name;
    if (!inner.empty()) collect(*found->second, functions, inner, depth + 1);
  }
}

Result<ir::Tensor> Variables::value(const std::string& variable) const {
  const std::string what = cat("variable ", quoted(variable));
  if (!checkpoint_) return not_found(cat(what, " has no value: there is no checkpoint"));
  if (const auto found = keys_.find(variable); found != keys_.end())
    return checkpoint_->read(found->second);
  for (const std::string& key : {variable, cat(variable, kSuffix)})
    if (checkpoint_->has(key)) return checkpoint_->read(key);
  return not_found(cat(what, " is not in the checkpoint ", checkpoint_->prefix()));
}

}  // namespace planish::frontend::tensorflow
