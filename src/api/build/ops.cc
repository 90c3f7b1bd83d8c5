// The list of operators, and tensors of test_data_set folders.
#include "api/runtime/convert.h"
#include "api/runtime/registry.h"
#include "base/text.h"
#include "frontend/onnx/onnx_import.h"
#include "planish/network.h"

namespace planish::v1 {
namespace {

std::string_view fusion_name(opdef::FusionKind kind) {
  switch (kind) {
    case opdef::FusionKind::kElementwise: return "elementwise";
    case opdef::FusionKind::kInjective: return "injective";
    case opdef::FusionKind::kReduction: return "reduction";
    case opdef::FusionKind::kContraction: return "contraction";
    case opdef::FusionKind::kOpaque: return "opaque";
  }
  return "unknown";
}

std::string describe(const opdef::ValueSpec& spec) {
  return cat(spec.name, spec.optional ? "?" : "", spec.variadic ? "..." : "", ": ",
             spec.types.to_string());
}

std::string describe(const opdef::AttrSpec& spec) {
  return cat(spec.name, spec.required ? "" : "?", ": ", opdef::name_of(spec.kind));
}

std::string onnx_names(const opdef::OpDef& op) {
  if (op.onnx.empty()) return cat(op.name, " since 1");
  std::vector<std::string> rules;
  for (const opdef::ImportRule& rule : op.onnx) {
    rules.push_back(cat(rule.domain.empty() ? "" : cat(rule.domain, "."), rule.op_type, " since ",
                        rule.since, rule.until < (1 << 30) ? cat(" until ", rule.until) : ""));
  }
  return join(rules);
}

std::string tensorflow_names(const opdef::OpDef& op) {
  std::vector<std::string> rules;
  for (const opdef::ImportRule& rule : op.tensorflow) rules.push_back(rule.op_type);
  return join(rules);
}

}  // namespace

std::vector<OpDesc> known_ops() {
  std::vector<OpDesc> out;
  const auto registry = api::current_registry();
  for (const opdef::OpDef* op : registry->ops.all()) {
    OpDesc desc{op->name, op->doc, std::string(fusion_name(op->kind)), {}, {}, {}, onnx_names(*op),
                tensorflow_names(*op)};
    for (const auto& spec : op->inputs) desc.inputs.push_back(describe(spec));
    for (const auto& spec : op->outputs) desc.outputs.push_back(describe(spec));
    for (const auto& spec : op->attrs) desc.attributes.push_back(describe(spec));
    out.push_back(std::move(desc));
  }
  return out;
}

Result<NamedTensor> read_tensor_proto(const void* data, size_t bytes) {
  return api::guarded([&]() -> Result<NamedTensor> {
    if (!data && bytes) return Status(Code::kInvalidArgument, "the tensor's data is null");
    PLANISH_API_ASSIGN_OR_RETURN(
        auto named,
        frontend::read_tensor_proto(std::span(static_cast<const std::byte*>(data), bytes)));
    return NamedTensor{named.name, api::to_public(named.tensor)};
  });
}

Result<std::string> write_tensor_proto(const std::string& name, const Tensor& tensor) {
  return api::guarded([&]() -> Result<std::string> {
    return frontend::write_tensor_proto(name, api::borrow(tensor));
  });
}

}  // namespace planish::v1
