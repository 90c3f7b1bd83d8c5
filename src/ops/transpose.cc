// Transpose: dims in another order. The permutation is always explicit in the IR, so that passes
// compose and cancel transposes without knowing the default.
#include <algorithm>

#include "base/text.h"
#include "ops/composer.h"
#include "ops/content.h"
#include "ops/movement.h"
#include "opdef/import.h"

namespace planish::ops {
namespace {

// What lies outside of the rank is left as it is, for inference to refuse.
void count_from_front(std::vector<int64_t>& perm, int rank) {
  for (int64_t& p : perm)
    if (p < 0 && p >= -rank) p += rank;
}

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
  // Passes and kernels index by the permutation: importers count its axes from the front.
  if (std::any_of(perm.begin(), perm.end(), [](int64_t p) { return p < 0; }))
    return bad_attr("perm", bracketed(perm), "axes counted from the front");
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
  count_from_front(perm, node.input(0)->type.rank());
  PLANISH_ASSIGN_OR_RETURN(ir::Value* out,
                           context.add1("Transpose", {node.input(0)}, {{"perm", perm}}));
  context.set_output(0, out);
  return ok_status();
}

Status import_tensorflow_transpose(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  std::vector<int64_t> perm = c.need(1, "perm");
  if (c.in(0)) count_from_front(perm, c.in(0)->type.rank());
  return c.finish({c.transpose(c.in(0), std::move(perm))});
}
Status import_invert_permutation(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  const std::vector<int64_t> perm = c.need(0, "x");
  std::vector<int64_t> out(perm.size(), 0);
  for (size_t i = 0; i < perm.size(); ++i) {
    if (perm[i] < 0 || perm[i] >= int64_t(perm.size()))
      return invalid_argument(cat(bracketed(perm), " is no permutation"));
    out[size_t(perm[i])] = int64_t(i);
  }
  return c.finish({c.constant(Tensor::from_i64(c.dtype(c.in(0)), {int64_t(out.size())}, out))});
}
// DataFormatVecPermute: the entries of a shape, or [n, 2] pairs, from one format to the other.
Status import_vec_permute(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  const std::string from = c.attr_string("src_format", "NHWC"), to = c.attr_string("dst_format", "NCHW");
  std::string source = from, target = to;
  ir::Value* x = c.in(0);
  const int64_t length = c.need_dim(x, 0, "x");
  if (length + 2 == int64_t(from.size())) {  // spatial dims alone
    std::erase_if(source, [](char f) { return f == 'N' || f == 'C'; });
    std::erase_if(target, [](char f) { return f == 'N' || f == 'C'; });
  }
  std::vector<int64_t> indices;
  for (char format : target) indices.push_back(int64_t(source.find(format)));
  if (length != int64_t(indices.size())) return unsupported(cat("x has ", length, " entries"));
  return c.finish({c.op("Gather", {x, c.ints(indices)}, {{"axis", int64_t(0)}})});
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
  def.tensorflow = {tensorflow("Transpose", import_tensorflow_transpose),
                    tensorflow("ConjugateTranspose", import_tensorflow_transpose),
                    tensorflow("InvertPermutation", import_invert_permutation),
                    tensorflow("DataFormatVecPermute", import_vec_permute)};
  registry.add(std::move(def));
}

}  // namespace planish::ops
