// Ops that only Planish itself puts into graphs and plans: Region (a fused group of nodes as a body),
// LayoutConvert (other strides, same logical values), Copy (memory of its own) and Transfer (between
// host and device). To the reference they are a call and identities; what they cost is the compiler's
// affair.
#include "base/text.h"
#include "ops/content.h"
#include "ops/control_flow.h"
#include "ops/movement.h"

namespace planish::ops {
namespace {

Status infer_region(InferContext& ctx) {
  const std::vector<TensorType> inputs = input_types(ctx, 0);
  PLANISH_ASSIGN_OR_RETURN(const std::vector<TensorType> outputs,
                           ctx.infer_body("body", inputs));
  if (int(outputs.size()) != ctx.output_count()) {
    return invalid_argument(
        cat("body: got ", outputs.size(), " outputs, expected ", ctx.output_count()));
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    const TensorType type = outside_type(ctx, outputs[i], inputs, "region");
    ctx.set_output(int(i), type.dtype, type.shape);
  }
  return ok_status();
}

Status evaluate_region(EvalContext& ctx) {
  std::vector<Tensor> inputs;
  for (int i = 0; i < ctx.input_count(); ++i) inputs.push_back(ctx.input(i));
  PLANISH_ASSIGN_OR_RETURN(std::vector<Tensor> outputs, ctx.run_body("body", inputs));
  for (size_t i = 0; i < outputs.size(); ++i) set_body_output(ctx, int(i), std::move(outputs[i]));
  return ok_status();
}

Status infer_same(InferContext& ctx) {
  ctx.set_output(0, ctx.dtype(0), ctx.shape(0));
  set_moved_content(ctx, [](const Tensor& in, Tensor& out) {
    ElementMover(in, out).copy(0, 0, in.count());
  });
  return ok_status();
}

Status evaluate_same(EvalContext& ctx) {
  ctx.set_output(0, ctx.input(0));
  return ok_status();
}

Status refuse_import(const opdef::NodeView& node, opdef::ImportContext&) {
  return unsupported(cat(node.op_type(), " is an operator of compiled graphs, not of models"));
}

opdef::OpDef internal_def(std::string name, std::string doc) {
  opdef::OpDef def;
  def.onnx = {{name, "planish", 1, 1 << 30, refuse_import}};
  def.name = std::move(name);
  def.doc = std::move(doc);
  return def;
}

opdef::OpDef same_def(std::string name, std::string doc) {
  opdef::OpDef def = internal_def(std::move(name), std::move(doc));
  def.inputs = {operand("input", opdef::kAnyType, "tensor")};
  def.outputs = {operand("output", opdef::kAnyType, "the same logical values")};
  def.infer = infer_same;
  def.evaluate = evaluate_same;
  return def;
}

}  // namespace

void register_region(opdef::OpRegistry& registry) {
  opdef::OpDef region = internal_def(
      "Region", "A group of nodes that one kernel may take: the outputs of `body` for the inputs.");
  region.inputs = {variadic_operand("inputs", opdef::kAnyType, "inputs of the body", "")};
  region.outputs = {variadic_operand("outputs", opdef::kAnyType, "outputs of the body", "")};
  region.attrs = {opdef::required_attr("body", opdef::AttrKind::kGraph, "the group")};
  region.has_subgraphs = true;
  region.infer = infer_region;
  region.evaluate = evaluate_region;
  registry.add(std::move(region));

  registry.add(same_def("LayoutConvert",
                        "The same logical tensor in the layout that the output's type names."));
  registry.add(same_def("Copy", "The same tensor in memory of its own."));
  registry.add(same_def("Transfer", "The same tensor in the other memory space, host or device."));
}

}  // namespace planish::ops
