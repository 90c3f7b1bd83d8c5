// Resize and Upsample: every output element is a weighted mean of input elements around the place
// that a coordinate transformation gives. The weights are separable, so the reference resizes one
// axis after the other. Older opsets and Upsample become the newest form when imported.
#include <cmath>

#include "base/text.h"
#include "kernel/resize.h"
#include "ops/composer.h"
#include "ops/dims.h"
#include "ops/lines.h"
#include "ops/resize_axis.h"
#include "opdef/import.h"

namespace planish::ops {
namespace {

using opdef::AttrKind;
using opdef::EvalContext;
using opdef::ImportContext;
using opdef::kAnyType;
using opdef::kFloats;
using opdef::NodeView;
using opdef::TypeSet;
using kernel::resize_rule;
using kernel::resize_taps;
using kernel::ResizeAxis;
using kernel::ResizeRule;
using kernel::ResizeTaps;

enum Input { kX, kRoi, kScales, kSizes };

constexpr TypeSet kResizeTypes = opdef::kNumbers | opdef::kBools;

Result<std::vector<int>> resized_axes(const ir::Attributes& attrs, int rank) {
  std::vector<int> out;
  std::optional<std::vector<int64_t>> axes = ints_of(attrs, "axes");
  if (!axes) {
    for (int i = 0; i < rank; ++i) out.push_back(i);
    return out;
  }
  // Their order is the order of scales, sizes and roi.
  return ordered_axes("attribute 'axes'", *axes, rank);
}

// `given` elements, one per resized axis: exactly one of scales and sizes.
Status check_lists(const InferContext& ctx, size_t axes) {
  if (ctx.has_input(kScales) == ctx.has_input(kSizes))
    return invalid_argument("inputs 2 (scales) and 3 (sizes): got " +
                            std::string(ctx.has_input(kScales) ? "both" : "neither") +
                            ", expected exactly one of them");
  int list = ctx.has_input(kScales) ? kScales : kSizes;
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, list, 1, 1));
  PLANISH_RETURN_IF_ERROR(
      check_same_dim(input_name(ctx, list) + ": length", ctx.shape(list)[0], int64_t(axes)));
  if (!ctx.has_input(kRoi)) return ok_status();
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, kRoi, 1, 1));
  return check_same_dim(input_name(ctx, kRoi) + ": length", ctx.shape(kRoi)[0],
                        int64_t(2 * axes));
}

Status check_scale(double scale) {
  if (scale > 0 && scale <= double(kMaxResize)) return ok_status();
  return invalid_argument(cat("input 2 (scales): got ", scale, ", expected values above 0 and at most ",
                              kMaxResize));
}

// Sizes under keep_aspect_ratio_policy, for a known input.
std::vector<int64_t> kept_aspect(std::string_view policy, std::span<const int64_t> in,
                                 std::span<const int64_t> sizes, double* scale) {
  double chosen = 0;
  bool first = true;
  for (size_t i = 0; i < in.size(); ++i) {
    double ratio = in[i] > 0 ? double(sizes[i]) / double(in[i]) : 0;
    bool better = policy == "not_larger" ? ratio < chosen : ratio > chosen;
    if (first || better) chosen = ratio;
    first = false;
  }
  std::vector<int64_t> out;
  for (int64_t d : in) out.push_back(int64_t(std::floor(chosen * double(d) + 0.5)));
  if (scale) *scale = chosen;
  return out;
}

Status infer_from_scales(InferContext& ctx, const std::vector<int>& axes, bool cropped,
                         Shape& out) {
  const Tensor* scales = ctx.value(kScales);
  const Tensor* roi = cropped ? ctx.value(kRoi) : nullptr;
  for (size_t i = 0; i < axes.size(); ++i) {
    Dim& dim = out[size_t(axes[i])];
    if (!scales || (cropped && !roi)) {
      dim = data_dim(ctx, "resized");
      continue;
    }
    double scale = double(float(scales->f64(int64_t(i))));
    PLANISH_RETURN_IF_ERROR(check_scale(scale));
    if (roi) {
      double length = roi->f64(int64_t(i + axes.size())) - roi->f64(int64_t(i));
      if (!(length > 0 && length <= 1e6))
        return invalid_argument(cat("input 1 (roi): got a length of ", length,
                                    ", expected values above 0"));
      scale *= length;
    }
    Dim sized = scaled_size(dim, scale);
    if (!sized.valid()) return bad_attr("scales", cat(scale), "a smaller value");
    dim = std::move(sized);
  }
  return ok_status();
}

Status infer_from_sizes(InferContext& ctx, const std::vector<int>& axes, Shape& out) {
  const std::string& policy = ctx.attr_string("keep_aspect_ratio_policy");
  std::optional<std::vector<Dim>> sizes = ctx.content(kSizes);
  bool known = sizes && sizes->size() == axes.size();
  if (known)
    for (const Dim& size : *sizes)
      if (size.is_constant() && (size.value() < 0 || size.value() > kMaxResize))
        return invalid_argument(cat("input 3 (sizes): got ", size.to_string(),
                                    ", expected 0 to ", kMaxResize));
  if (policy == "stretch") {
    for (size_t i = 0; i < axes.size(); ++i)
      out[size_t(axes[i])] = known ? (*sizes)[i] : data_dim(ctx, "resized");
    return ok_status();
  }
  std::optional<std::vector<int64_t>> wanted = ctx.ints(kSizes);
  std::vector<int64_t> in;
  for (int axis : axes)
    if (auto d = out[size_t(axis)].constant()) in.push_back(*d);
  std::vector<int64_t> kept;
  if (known && wanted && in.size() == axes.size()) kept = kept_aspect(policy, in, *wanted, nullptr);
  for (size_t i = 0; i < axes.size(); ++i)
    out[size_t(axes[i])] = kept.empty() ? data_dim(ctx, "resized") : Dim(kept[i]);
  return ok_status();
}

Status infer_resize(InferContext& ctx) {
  PLANISH_ASSIGN_OR_RETURN(ResizeRule rule, resize_rule(ctx.attrs()));
  PLANISH_ASSIGN_OR_RETURN(std::vector<int> axes, resized_axes(ctx.attrs(), ctx.rank(kX)));
  PLANISH_RETURN_IF_ERROR(check_lists(ctx, axes.size()));
  bool cropped = rule.transform == ResizeRule::Transform::kCropAndResize;
  if (cropped && !ctx.has_input(kRoi))
    return invalid_argument(
        "input 1 (roi) is missing, expected one for coordinate_transformation_mode "
        "'tf_crop_and_resize'");
  const std::string& policy = ctx.attr_string("keep_aspect_ratio_policy");
  if (policy != "stretch" && policy != "not_larger" && policy != "not_smaller")
    return bad_attr("keep_aspect_ratio_policy", cat("'", policy, "'"),
                    "'stretch', 'not_larger' or 'not_smaller'");
  Shape out = ctx.shape(kX);
  if (ctx.has_input(kScales)) {
    PLANISH_RETURN_IF_ERROR(infer_from_scales(ctx, axes, cropped, out));
  } else {
    PLANISH_RETURN_IF_ERROR(infer_from_sizes(ctx, axes, out));
  }
  for (size_t i = 0; i < out.size(); ++i)
    if (ctx.shape(kX)[i] == Dim(0) && out[i].is_constant() && out[i].value() > 0)
      return invalid_argument(cat("input 0 (X): got an empty dim ", i,
                                  ", expected elements to resize to ", out[i].value()));
  return set_sized_output(ctx, 0, ctx.dtype(kX), std::move(out));
}

// Resizes one axis of row-major values.
void apply_axis(std::vector<double>& values, std::vector<int64_t>& dims, int axis,
                const std::vector<ResizeTaps>& taps, double extrapolation) {
  std::vector<int64_t> out_dims = dims;
  out_dims[size_t(axis)] = int64_t(taps.size());
  std::vector<double> out(size_t(ir::element_count(out_dims)), 0.0);
  Lines from = lines_of(dims, axis), to = lines_of(out_dims, axis);
  for (int64_t l = 0; l < from.count(); ++l) {
    const double* line = values.data() + from.start(l);
    double* result = out.data() + to.start(l);
    for (size_t o = 0; o < taps.size(); ++o) {
      double sum = taps[o].outside ? extrapolation : 0;
      for (size_t k = 0; k < taps[o].weights.size(); ++k)
        sum += taps[o].weights[k] * line[taps[o].indices[k] * from.step()];
      result[int64_t(o) * to.step()] = sum;
    }
  }
  values = std::move(out);
  dims = std::move(out_dims);
}

Status evaluate_resize(EvalContext& ctx) {
  const Tensor& x = ctx.input(kX);
  std::vector<int64_t> out = ctx.output_dims(0), dims = x.dims();
  PLANISH_ASSIGN_OR_RETURN(ResizeRule rule, resize_rule(ctx.attrs()));
  PLANISH_ASSIGN_OR_RETURN(std::vector<int> axes, resized_axes(ctx.attrs(), x.rank()));
  std::vector<double> values = x.f64_values(), roi;
  if (ctx.has_input(kRoi)) roi = ctx.input(kRoi).f64_values();
  double kept_scale = 0;
  if (ctx.has_input(kSizes) && ctx.attr_string("keep_aspect_ratio_policy") != "stretch") {
    std::vector<int64_t> in;
    for (int axis : axes) in.push_back(dims[size_t(axis)]);
    kept_aspect(ctx.attr_string("keep_aspect_ratio_policy"), in, ctx.input(kSizes).i64_values(),
                &kept_scale);
  }
  bool empty = ir::element_count(out) == 0;
  for (size_t i = 0; i < axes.size() && !empty; ++i) {
    ResizeAxis axis;
    axis.in = dims[size_t(axes[i])];
    axis.out = out[size_t(axes[i])];
    if (ctx.has_input(kScales)) axis.scale = double(float(ctx.input(kScales).f64(int64_t(i))));
    else if (kept_scale > 0) axis.scale = kept_scale;
    else axis.scale = double(axis.out) / double(axis.in);
    if (!roi.empty()) {
      axis.roi_begin = roi[i];
      axis.roi_end = roi[i + axes.size()];
    }
    if (axis.is_identity(rule)) continue;
    PLANISH_ASSIGN_OR_RETURN(std::vector<ResizeTaps> taps, resize_taps(rule, axis));
    apply_axis(values, dims, axes[i], taps, rule.extrapolation);
  }
  if (empty) return ok_status();
  Tensor& y = ctx.output(0);
  if (!ir::is_float(y.dtype())) saturate_to(y.dtype(), values);
  y.assign_f64(values);
  return ok_status();
}

// Inputs that are absent or empty lists.
ir::Value* useful(const NodeView& node, int i) {
  if (!node.has_input(i)) return nullptr;
  ir::Value* v = node.input(i);
  bool empty = v->type.rank() == 1 && v->type.shape[0] == Dim(0);
  return empty ? nullptr : v;
}

Status import_resize_11(const NodeView& node, ImportContext& ctx) {
  if (!node.has_input(0)) return invalid_argument("input 0 (X) is missing");
  ir::Attributes attrs;
  for (const std::string& key : node.attr_names()) attrs[key] = *node.attr(key);
  PLANISH_ASSIGN_OR_RETURN(std::string mode,
                           node.attr_string("coordinate_transformation_mode", "half_pixel"));
  // Opset 11 had an early name for a mode of TensorFlow's.
  if (mode == "tf_half_pixel_for_nn") {
    PLANISH_ASSIGN_OR_RETURN(std::string kind, node.attr_string("mode", "nearest"));
    PLANISH_ASSIGN_OR_RETURN(std::string rounding,
                             node.attr_string("nearest_mode", "round_prefer_floor"));
    if (kind != "nearest" || rounding != "floor")
      return unsupported(cat("coordinate_transformation_mode 'tf_half_pixel_for_nn' with mode '",
                             kind, "' and nearest_mode '", rounding,
                             "', expected 'nearest' and 'floor'"));
    // floor((x + 0.5) / scale) is half_pixel rounded half up.
    attrs["coordinate_transformation_mode"] = std::string("half_pixel");
    attrs["nearest_mode"] = std::string("round_prefer_ceil");
  }
  bool cropped = mode == "tf_crop_and_resize";
  PLANISH_ASSIGN_OR_RETURN(
      ir::Value * y,
      ctx.add1("Resize",
               {node.input(0), cropped ? useful(node, 1) : nullptr, useful(node, 2),
                useful(node, 3)},
               std::move(attrs)));
  ctx.set_output(0, y);
  return ok_status();
}

// Resize 10 and Upsample: coordinates are divided by the scale, nearest takes the floor.
Status import_asymmetric(const NodeView& node, ImportContext& ctx) {
  PLANISH_ASSIGN_OR_RETURN(std::string mode, node.attr_string("mode", "nearest"));
  if (mode == "bilinear") mode = "linear";
  if (!node.has_input(0)) return invalid_argument("input 0 (X) is missing");
  ir::Value* scales = node.has_input(1) ? node.input(1) : nullptr;
  if (const ir::Attribute* list = node.attr("scales"); list && !scales) {
    const auto* values = std::get_if<std::vector<double>>(list);
    if (!values) return bad_attr("scales", "another kind", "floats");
    scales = ctx.constant(Tensor::from_f64(DataType::kF32, {int64_t(values->size())}, *values));
  }
  PLANISH_ASSIGN_OR_RETURN(
      ir::Value * y,
      ctx.add1("Resize", {node.input(0), nullptr, scales},
               {{"mode", mode},
                {"coordinate_transformation_mode", std::string("asymmetric")},
                {"nearest_mode", std::string("floor")}}));
  ctx.set_output(0, y);
  return ok_status();
}

// Images are NHWC; the result of all but nearest is f32.
Status import_tensorflow_resize(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value* x = c.in(0);
  if (!c.has_rank(x, 4, 4, "input 0 (images)")) return c.finish({});
  const bool corners = c.attr_int("align_corners", 0) != 0;
  const bool centers = c.attr_int("half_pixel_centers", 0) != 0;
  const bool nearest = node.op_type() == "ResizeNearestNeighbor";
  const bool cubic = node.op_type() == "ResizeBicubic";
  ir::Attributes attrs = {{"axes", std::vector<int64_t>{2, 3}}};
  attrs["mode"] = std::string(nearest ? "nearest" : cubic ? "cubic" : "linear");
  attrs["coordinate_transformation_mode"] =
      std::string(corners ? "align_corners" : centers ? "half_pixel" : "asymmetric");
  if (nearest)
    attrs["nearest_mode"] = std::string(corners || centers ? "round_prefer_ceil" : "floor");
  if (cubic && centers) {
    attrs["cubic_coeff_a"] = -0.5;
    attrs["exclude_outside"] = int64_t(1);
  }
  if (!nearest && !c.is_float(x)) x = c.cast(x, DataType::kF32);
  ir::Value* y = c.op("Resize", {c.to_channels_first(x), nullptr, nullptr, c.i64(c.in(1))}, attrs);
  return c.finish({c.to_channels_last(nearest ? y : c.cast(y, DataType::kF32))});
}

}  // namespace

void register_resize(opdef::OpRegistry& registry) {
  using opdef::float_attr;
  using opdef::int_attr;
  using opdef::string_attr;
  opdef::OpDef def;
  def.name = "Resize";
  def.doc = "Resamples X to other sizes by nearest, linear or cubic interpolation.";
  def.inputs = {operand("X", kResizeTypes, "operand", "T1"),
                optional_operand("roi", kFloats, "starts, then ends per axis, of 1", "T2"),
                optional_operand("scales", kFloats, "output over input size, per axis", ""),
                optional_operand("sizes", opdef::kInt64, "output sizes, per axis", "")};
  def.outputs = {operand("Y", kResizeTypes, "result", "T1")};
  def.attrs = {
      int_attr("antialias", 0, "1: linear and cubic kernels widen when shrinking"),
      opdef::optional_attr("axes", AttrKind::kInts, "that the lists refer to; all when absent"),
      string_attr("coordinate_transformation_mode", "half_pixel",
                  "half_pixel, half_pixel_symmetric, pytorch_half_pixel, align_corners, asymmetric "
                  "or tf_crop_and_resize"),
      float_attr("cubic_coeff_a", -0.75, "coefficient of the cubic kernel"),
      int_attr("exclude_outside", 0, "1: elements outside get no weight"),
      float_attr("extrapolation_value", 0, "outside of the input, for tf_crop_and_resize"),
      string_attr("keep_aspect_ratio_policy", "stretch", "stretch, not_larger or not_smaller"),
      string_attr("mode", "nearest", "nearest, linear or cubic"),
      string_attr("nearest_mode", "round_prefer_floor",
                  "round_prefer_floor, round_prefer_ceil, floor or ceil")};
  def.kind = opdef::FusionKind::kOpaque;
  def.host_inputs = 1u << kRoi | 1u << kScales | 1u << kSizes;
  def.infer = infer_resize;
  def.evaluate = evaluate_resize;
  def.tensorflow = {tensorflow("ResizeBicubic", import_tensorflow_resize),
                    tensorflow("ResizeBilinear", import_tensorflow_resize),
                    tensorflow("ResizeNearestNeighbor", import_tensorflow_resize)};
  def.onnx = {{"Resize", "", 10, 10, import_asymmetric},
              {"Resize", "", 11, 1 << 30, import_resize_11},
              {"Upsample", "", 7, 9, import_asymmetric}};
  registry.add(std::move(def));
}

}  // namespace planish::ops
