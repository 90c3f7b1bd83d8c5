// DeformConv: a 2-D convolution whose every kernel element reads the input at an offset of its own,
// interpolated linearly and scaled by an optional mask.
#include "base/text.h"
#include "ops/bilinear.h"
#include "ops/convolution.h"

namespace planish::ops {
namespace {

using opdef::EvalContext;
using opdef::kFloats;

Status check_side_input(InferContext& ctx, int input, int64_t per_position, const Shape& out) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, input, 4, 4));
  const Shape& shape = ctx.shape(input);
  std::string name = input_name(ctx, input);
  PLANISH_RETURN_IF_ERROR(check_same_dim(name + ": dim 0", shape[0], out[0]));
  PLANISH_RETURN_IF_ERROR(check_same_dim(name + ": dim 1", shape[1], per_position));
  PLANISH_RETURN_IF_ERROR(check_same_dim(name + ": dim 2", shape[2], out[2]));
  return check_same_dim(name + ": dim 3", shape[3], out[3]);
}

Status infer_deform_conv(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 4, 4));
  PLANISH_ASSIGN_OR_RETURN(ConvInference inference, infer_convolution(ctx, 0, 1));
  int64_t groups = ctx.attr_int("offset_group");
  if (groups < 1 || groups > kernel::kMaxWindowValue)
    return bad_attr("offset_group", cat(groups), "at least 1");
  if (auto c = ctx.shape(0)[1].constant(); c && *c % groups != 0)
    return bad_attr("offset_group", cat(groups), cat("a divisor of the ", *c, " input channels"));
  int64_t taps = 0;
  if (__builtin_mul_overflow(groups, inference.window.volume(), &taps) || taps > INT64_MAX / 2)
    return bad_attr("kernel_shape", bracketed(inference.window.kernel), "a smaller kernel");
  PLANISH_RETURN_IF_ERROR(check_side_input(ctx, 2, 2 * taps, inference.output));
  if (ctx.has_input(3)) {
    PLANISH_RETURN_IF_ERROR(check_rank(ctx, 3, 1, 1));
    PLANISH_RETURN_IF_ERROR(check_same_dim(input_name(ctx, 3) + ": length", ctx.shape(3)[0],
                                           ctx.shape(1)[0]));
  }
  if (ctx.has_input(4))
    PLANISH_RETURN_IF_ERROR(check_side_input(ctx, 4, taps, inference.output));
  ctx.set_output(0, ctx.dtype(0), std::move(inference.output));
  return ok_status();
}

Status evaluate_deform_conv(EvalContext& ctx) {
  std::vector<int64_t> dims = ctx.output_dims(0);
  PLANISH_ASSIGN_OR_RETURN(ConvGeometry g,
                           conv_geometry(ctx.attrs(), ctx.input(0), ctx.input(1), dims));
  const Spatial3& s = g.spatial;
  int64_t offset_groups = ctx.attr_int("offset_group");
  std::vector<double> x = ctx.input(0).f64_values(), w = ctx.input(1).f64_values();
  std::vector<double> offset = ctx.input(2).f64_values(), bias, mask;
  if (ctx.has_input(3)) bias = ctx.input(3).f64_values();
  if (ctx.has_input(4)) mask = ctx.input(4).f64_values();
  int64_t taps = s.kernel_count(), positions = s.out_count();
  int64_t in_group = g.ic / g.group, out_group = g.oc / g.group;
  std::vector<double> y(size_t(g.n * g.oc * positions), 0.0);
  std::vector<double> samples(size_t(g.ic * taps));
  for (int64_t n = 0; n < g.n; ++n)
    for (int64_t p = 0; p < positions; ++p) {
      int64_t oh = p / s.out[2], ow = p % s.out[2];
      for (int64_t c = 0; c < g.ic; ++c) {
        int64_t og = c / (g.ic / offset_groups);
        const double* image = x.data() + (n * g.ic + c) * s.in_count();
        for (int64_t k = 0; k < taps; ++k) {
          int64_t at = (n * offset_groups + og) * taps + k;
          double dy = offset[size_t(2 * at * positions + p)];
          double dx = offset[size_t((2 * at + 1) * positions + p)];
          double row = double(s.input_at(1, oh, k / s.kernel[2])) + dy;
          double column = double(s.input_at(2, ow, k % s.kernel[2])) + dx;
          double value = bilinear_with_zeros(image, s.in[1], s.in[2], row, column);
          if (!mask.empty()) value *= mask[size_t(at * positions + p)];
          samples[size_t(c * taps + k)] = value;
        }
      }
      for (int64_t m = 0; m < g.oc; ++m) {
        const double* from = samples.data() + m / out_group * in_group * taps;
        const double* weights = w.data() + m * in_group * taps;
        double sum = bias.empty() ? 0 : bias[size_t(m)];
        for (int64_t k = 0; k < in_group * taps; ++k) sum += from[k] * weights[k];
        y[size_t((n * g.oc + m) * positions + p)] = sum;
      }
    }
  ctx.output(0).assign_f64(y);
  return ok_status();
}

}  // namespace

void register_deform_conv(opdef::OpRegistry& registry) {
  opdef::OpDef def;
  def.name = "DeformConv";
  def.doc = "2-D convolution that reads the input at offsets given per kernel element and position.";
  def.inputs = {operand("X", kFloats, "N C H W"), operand("W", kFloats, "M C/group kH kW"),
                operand("offset", kFloats, "N (offset_group kH kW 2) oH oW: row, then column"),
                optional_operand("B", kFloats, "bias, M"),
                optional_operand("mask", kFloats, "N (offset_group kH kW) oH oW")};
  def.outputs = {operand("Y", kFloats, "N M oH oW")};
  for (opdef::AttrSpec& attr : window_attrs())
    if (attr.name != "auto_pad") def.attrs.push_back(std::move(attr));
  def.attrs.push_back(opdef::int_attr("group", 1, "channels are split into this many groups"));
  def.attrs.push_back(opdef::int_attr("offset_group", 1, "groups of input channels that share offsets"));
  def.kind = opdef::FusionKind::kContraction;
  def.infer = infer_deform_conv;
  def.evaluate = evaluate_deform_conv;
  def.accumulation = [](const ir::Node& node) { return conv_accumulation(node, 1); };
  registry.add(std::move(def));
}

}  // namespace planish::ops
