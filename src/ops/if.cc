// If: one of two bodies, chosen at run time. A condition that is known at build time (often shape
// arithmetic: "is this dim 1?") decides the types alone, so that branches of different rank do not
// hurt when only one can happen.
#include "base/text.h"
#include "ops/content.h"
#include "ops/control_flow.h"

namespace planish::ops {
namespace {

// Inputs: the condition, the captures of then_branch, the captures of else_branch.
size_t then_captures(const ir::Attributes& attrs) {
  return body_of(attrs, "then_branch").inputs.size();
}

std::optional<bool> known_condition(const InferContext& ctx) {
  const std::optional<std::vector<Dim>> content = small_content(ctx, 0);
  if (!content || content->size() != 1 || !(*content)[0].is_constant()) return std::nullopt;
  return (*content)[0].value() != 0;
}

Result<std::vector<TensorType>> branch_types(InferContext& ctx, std::string_view key,
                                             std::span<const TensorType> captures) {
  Result<std::vector<TensorType>> types = ctx.infer_body(key, captures);
  if (!types.ok()) return types.status().at(key);
  if (int(types->size()) != ctx.output_count()) {
    return invalid_argument(cat(key, ": got ", types->size(), " outputs, expected ",
                                ctx.output_count()));
  }
  for (TensorType& type : *types) type = outside_type(ctx, type, captures, "if");
  return types;
}

Status infer(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_single(ctx, 0));
  const std::vector<TensorType> captures = input_types(ctx, 1);
  const size_t cut = then_captures(ctx.attrs());
  const size_t expected = cut + body_of(ctx.attrs(), "else_branch").inputs.size();
  if (captures.size() != expected) {
    return invalid_argument(
        cat("got ", captures.size(), " captured inputs, expected ", expected));
  }
  const std::span<const TensorType> all = captures;
  const std::optional<bool> condition = known_condition(ctx);
  std::vector<TensorType> types;
  if (condition) {
    PLANISH_ASSIGN_OR_RETURN(
        types, *condition ? branch_types(ctx, "then_branch", all.first(cut))
                          : branch_types(ctx, "else_branch", all.subspan(cut)));
  } else {
    PLANISH_ASSIGN_OR_RETURN(types, branch_types(ctx, "then_branch", all.first(cut)));
    PLANISH_ASSIGN_OR_RETURN(const std::vector<TensorType> other,
                             branch_types(ctx, "else_branch", all.subspan(cut)));
    for (size_t i = 0; i < types.size(); ++i) {
      PLANISH_ASSIGN_OR_RETURN(types[i],
                               merged_type(ctx, types[i], other[i], cat("output ", i)));
    }
  }
  for (size_t i = 0; i < types.size(); ++i) {
    ctx.set_output(int(i), types[i].dtype, types[i].shape);
  }
  return ok_status();
}

Status evaluate(EvalContext& ctx) {
  const bool condition = ctx.input(0).i64(0) != 0;
  const int cut = 1 + int(then_captures(ctx.attrs()));
  std::vector<Tensor> inputs;
  for (int i = condition ? 1 : cut; i < (condition ? cut : ctx.input_count()); ++i) {
    inputs.push_back(ctx.input(i));
  }
  PLANISH_ASSIGN_OR_RETURN(std::vector<Tensor> outputs,
                           ctx.run_body(condition ? "then_branch" : "else_branch", inputs));
  for (size_t i = 0; i < outputs.size(); ++i) set_body_output(ctx, int(i), std::move(outputs[i]));
  return ok_status();
}

Status import_if(const opdef::NodeView& node, opdef::ImportContext& context) {
  if (!node.has_input(0)) return invalid_argument("input 0 (cond) is missing");
  std::vector<ir::Value*> inputs = {node.input(0)};
  ir::Attributes attrs;
  for (const char* key : {"then_branch", "else_branch"}) {
    PLANISH_ASSIGN_OR_RETURN(ir::GraphPtr body, imported_body(node, key));
    const std::vector<ir::Value*> captured = node.captures(key);
    inputs.insert(inputs.end(), captured.begin(), captured.end());
    if (body->inputs.size() != captured.size()) {
      return invalid_argument(cat(key, ": got ", body->inputs.size() - captured.size(),
                                  " inputs of its own, expected none"));
    }
    attrs[key] = std::move(body);
  }
  return add_with_all_outputs("If", std::move(inputs), std::move(attrs), node, context);
}

}  // namespace

void register_if(opdef::OpRegistry& registry) {
  opdef::OpDef def;
  def.name = "If";
  def.doc = "The outputs of then_branch when `cond` is true, of else_branch otherwise.";
  def.inputs = {operand("cond", opdef::kBools, "one element", ""),
                variadic_operand("captures", opdef::kAnyType,
                                 "outer values that then_branch reads, then those of else_branch",
                                 "")};
  def.outputs = {variadic_operand("outputs", opdef::kAnyType, "outputs of the branch", "")};
  def.attrs = {opdef::required_attr("then_branch", opdef::AttrKind::kGraph, "run when true"),
               opdef::required_attr("else_branch", opdef::AttrKind::kGraph, "run when false")};
  def.has_subgraphs = true;
  def.infer = infer;
  def.evaluate = evaluate;
  def.onnx = {{"If", "", 1, 1 << 30, import_if}};
  registry.add(std::move(def));
}

}  // namespace planish::ops
