// Transpose: dims in another order. The permutation is always explicit in the IR, so that passes
// compose and cancel transposes without knowing the default.
#include "base/text.h"
#include "ops/content.h"
#include "ops/movement.h"
#include "opdef/import.h"

namespace planish::ops {
namespace {

void permute(const Tensor& in, std::span<const int64_t> perm, Tensor& out) {
  const std::vector<int64_t> strides = ir::strides_of(in.dims());
  StridedView view;
  for (int64_t p : perm) view.strides.push_back(strides[size_t(wrap_axis(p, in.rank()))]);
  copy_strided(in, view, out);
}

Status infer(InferContext& ctx) {
  const std::vector<int64_t>& perm = ctx.attr_ints("perm");
  if (int(perm.size()) != ctx.rank(0)) {
    return bad_attr("perm", bracketed(perm), cat(ctx.rank(0), " axes"));
  }
  PLANISH_ASSIGN_OR_RETURN(const std::vector<int> axes,
                           ordered_axes("attribute 'perm'", perm, ctx.rank(0)));
  Shape shape;
  for (int a : axes) shape.push_back(ctx.shape(0)[size_t(a)]);
  PLANISH_RETURN_IF_ERROR(set_sized_output(ctx, 0, ctx.dtype(0), std::move(shape)));
  set_moved_content(ctx, [&](const Tensor& in, Tensor& out) { permute(in, perm, out); });
  return ok_status();
}

Status evaluate(EvalContext& ctx) {
  permute(ctx.input(0), ctx.attr_ints("perm"), ctx.output(0));
  return ok_status();
}

Status import_transpose(const opdef::NodeView& node, opdef::ImportContext& context) {
  if (!node.has_input(0)) return invalid_argument("input 0 (data) is missing");
  std::vector<int64_t> reversed;
  for (int i = node.input(0)->type.rank(); i-- > 0;) reversed.push_back(i);
  PLANISH_ASSIGN_OR_RETURN(std::vector<int64_t> perm, node.attr_ints("perm", reversed));
  PLANISH_ASSIGN_OR_RETURN(ir::Value* out,
                           context.add1("Transpose", {node.input(0)}, {{"perm", perm}}));
  context.set_output(0, out);
  return ok_status();
}

}  // namespace

void register_transpose(opdef::OpRegistry& registry) {
  opdef::OpDef def;
  def.name = "Transpose";
  def.doc = "Dim i of the output is dim perm[i] of the input.";
  def.inputs = {operand("data", opdef::kAnyType, "tensor")};
  def.outputs = {operand("transposed", opdef::kAnyType, "the same elements, dims permuted")};
  def.attrs = {opdef::required_attr("perm", opdef::AttrKind::kInts,
                                    "source dim of each output dim (ONNX's default: reversed)")};
  def.kind = opdef::FusionKind::kInjective;
  def.infer = infer;
  def.evaluate = evaluate;
  def.onnx = {{"Transpose", "", 1, 1 << 30, import_transpose}};
  registry.add(std::move(def));
}

}  // namespace planish::ops
