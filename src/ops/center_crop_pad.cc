// CenterCropPad: brings axes to given sizes by cutting equally from both sides or adding zeros there;
// an odd element goes behind.
#include "base/text.h"
#include "ops/dims.h"
#include "ops/movement.h"

namespace planish::ops {
namespace {

using opdef::EvalContext;
using opdef::kAnyType;

Result<std::vector<int>> cropped_axes(const ir::Attributes& attrs, int rank) {
  std::vector<int64_t> axes;
  if (auto given = ints_of(attrs, "axes")) axes = *given;
  else
    for (int i = 0; i < rank; ++i) axes.push_back(i);
  return ordered_axes("attribute 'axes'", axes, rank);
}

Status infer_center_crop_pad(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 1, 1, 1));
  PLANISH_ASSIGN_OR_RETURN(std::vector<int> axes, cropped_axes(ctx.attrs(), ctx.rank(0)));
  PLANISH_RETURN_IF_ERROR(
      check_same_dim("input 1 (shape): length", ctx.shape(1)[0], int64_t(axes.size())));
  std::optional<std::vector<Dim>> sizes = ctx.content(1);
  bool known = sizes && sizes->size() == axes.size();
  Shape out = ctx.shape(0);
  for (size_t i = 0; i < axes.size(); ++i)
    out[size_t(axes[i])] = known ? (*sizes)[i] : data_dim(ctx, "cropped");
  return set_sized_output(ctx, 0, ctx.dtype(0), std::move(out));
}

Status evaluate_center_crop_pad(EvalContext& ctx) {
  const Tensor& x = ctx.input(0);
  Tensor& y = ctx.output(0);
  StridedView from{0, ir::strides_of(x.dims())}, to{0, ir::strides_of(y.dims())};
  std::vector<int64_t> common;
  for (int i = 0; i < x.rank(); ++i) {
    int64_t in = x.dim(i), out = y.dim(i);
    if (in > out) from.offset += (in - out) / 2 * from.strides[size_t(i)];
    else to.offset += (out - in) / 2 * to.strides[size_t(i)];
    common.push_back(std::min(in, out));
  }
  if (ir::element_count(common) > 0) copy_strided(x, from, y, to, common);
  return ok_status();
}

}  // namespace

void register_center_crop_pad(opdef::OpRegistry& registry) {
  opdef::OpDef def;
  def.name = "CenterCropPad";
  def.doc = "Axes cut or padded with zeros, equally on both sides, to the given sizes.";
  def.inputs = {operand("input_data", kAnyType, "operand"),
                operand("shape", opdef::kIndices, "size per axis", "Tind")};
  def.outputs = {operand("output_data", kAnyType, "result")};
  def.attrs = {opdef::optional_attr("axes", opdef::AttrKind::kInts, "all when absent")};
  def.host_inputs = 1u << 1;
  def.infer = infer_center_crop_pad;
  def.evaluate = evaluate_center_crop_pad;
  registry.add(std::move(def));
}

}  // namespace planish::ops
