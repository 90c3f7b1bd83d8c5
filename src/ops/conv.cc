// Conv and ConvInteger: sums of products over a sliding window and the channels of a group.
// Importing writes every attribute out (and SAME as explicit pads where the input's size is known),
// so that kernels see one form.
#include "base/text.h"
#include "ops/convolution.h"
#include "ops/fused_epilogue.h"
#include "opdef/import.h"

namespace planish::ops {
namespace {

using opdef::EvalContext;
using opdef::ImportContext;
using opdef::kFloats;
using opdef::NodeView;
using opdef::TypeSet;

Status infer_conv(InferContext& ctx) {
  PLANISH_ASSIGN_OR_RETURN(ConvInference inference, infer_convolution(ctx, 0, 1));
  if (ctx.has_input(2)) {
    PLANISH_RETURN_IF_ERROR(check_rank(ctx, 2, 1, 1));
    PLANISH_RETURN_IF_ERROR(check_same_dim(input_name(ctx, 2) + ": length", ctx.shape(2)[0],
                                           ctx.shape(1)[0]));
  }
  ctx.set_output(0, ctx.dtype(0), std::move(inference.output));
  return ok_status();
}

Status evaluate_conv(EvalContext& ctx) {
  std::vector<int64_t> dims = ctx.output_dims(0);
  PLANISH_ASSIGN_OR_RETURN(ConvGeometry geometry,
                           conv_geometry(ctx.attrs(), ctx.input(0), ctx.input(1), dims));
  std::vector<double> y =
      convolve(ctx.input(0).f64_values(), ctx.input(1).f64_values(), geometry);
  if (ctx.has_input(2)) {
    std::vector<double> bias = ctx.input(2).f64_values();
    int64_t positions = geometry.spatial.out_count();
    for (size_t i = 0; i < y.size(); ++i)
      y[i] += bias[i / size_t(positions) % size_t(geometry.oc)];
  }
  ctx.output(0).assign_f64(y);
  return ok_status();
}

// Subtracts a zero point that is one value, or one per slice of the first axis.
std::vector<double> without_zero_point(const Tensor& x, const Tensor* zero_point) {
  std::vector<double> values = x.f64_values();
  if (!zero_point || values.empty()) return values;
  std::vector<double> zeros = zero_point->f64_values();
  size_t slice = zeros.size() > 1 ? values.size() / zeros.size() : values.size();
  for (size_t i = 0; i < values.size(); ++i) values[i] -= zeros[i / slice];
  return values;
}

Status check_zero_point(InferContext& ctx, int input, const Dim* per_slice) {
  if (!ctx.has_input(input)) return ok_status();
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, input, 0, 1));
  if (ctx.rank(input) == 0 || ctx.shape(input)[0] == Dim(1)) return ok_status();
  return check_same_dim(input_name(ctx, input) + ": length", ctx.shape(input)[0],
                        per_slice ? *per_slice : Dim(1));
}

Status infer_conv_integer(InferContext& ctx) {
  PLANISH_ASSIGN_OR_RETURN(ConvInference inference, infer_convolution(ctx, 0, 1));
  PLANISH_RETURN_IF_ERROR(check_zero_point(ctx, 2, nullptr));
  PLANISH_RETURN_IF_ERROR(check_zero_point(ctx, 3, &ctx.shape(1)[0]));
  ctx.set_output(0, DataType::kI32, std::move(inference.output));
  return ok_status();
}

Status evaluate_conv_integer(EvalContext& ctx) {
  std::vector<int64_t> dims = ctx.output_dims(0);
  PLANISH_ASSIGN_OR_RETURN(ConvGeometry geometry,
                           conv_geometry(ctx.attrs(), ctx.input(0), ctx.input(1), dims));
  std::vector<double> x =
      without_zero_point(ctx.input(0), ctx.has_input(2) ? &ctx.input(2) : nullptr);
  std::vector<double> w =
      without_zero_point(ctx.input(1), ctx.has_input(3) ? &ctx.input(3) : nullptr);
  ctx.output(0).assign_f64(convolve(x, w, geometry));
  return ok_status();
}

int64_t accumulation(const ir::Node& node) { return conv_accumulation(node, 1); }

// Every attribute written out; SAME and VALID become pads where the spatial dims are known.
Status import_conv(const NodeView& node, ImportContext& ctx) {
  ir::Attributes attrs;
  for (const std::string& key : node.attr_names()) attrs[key] = *node.attr(key);
  std::vector<ir::Value*> inputs;
  for (int i = 0; i < node.input_count(); ++i) inputs.push_back(node.input(i));
  if (node.has_input(0) && node.has_input(1)) {
    const Shape &x = node.input(0)->type.shape, &w = node.input(1)->type.shape;
    bool fits = x.size() >= 3 && x.size() == w.size();
    Shape kernel_dims = fits ? Shape(w.begin() + 2, w.end()) : Shape();
    Shape spatial = fits ? Shape(x.begin() + 2, x.end()) : Shape();
    if (fits && ir::is_constant(kernel_dims)) {
      PLANISH_ASSIGN_OR_RETURN(
          Window window, kernel::window_of(attrs, int(x.size()) - 2, ir::to_dims(kernel_dims)));
      bool known = ir::is_constant(spatial);
      if (window.auto_pad == kernel::AutoPad::kValid || (window.is_same() && known))
        kernel::resolve_pads(window, known ? ir::to_dims(spatial) : std::vector<int64_t>());
      attrs["kernel_shape"] = window.kernel;
      attrs["strides"] = window.strides;
      attrs["dilations"] = window.dilations;
      if (!window.is_same()) {
        attrs["pads"] = kernel::pads_attr(window);
        attrs["auto_pad"] = std::string("NOTSET");
      }
    }
  }
  PLANISH_ASSIGN_OR_RETURN(ir::Value * y,
                           ctx.add1(node.op_type(), std::move(inputs), std::move(attrs)));
  ctx.set_output(0, y);
  return ok_status();
}

std::vector<opdef::AttrSpec> conv_attrs() {
  std::vector<opdef::AttrSpec> attrs = window_attrs();
  attrs.push_back(opdef::int_attr("group", 1, "channels are split into this many groups"));
  return attrs;
}

// Strides, dilations and padding of a TensorFlow node as our attributes.
ir::Attributes tensorflow_window(Composer& c, const std::vector<int64_t>& kernel, const Shape& in,
                                 bool last) {
  const std::vector<int64_t> ones(kernel.size() + 2, 1);
  ir::Attributes attrs;
  attrs["kernel_shape"] = kernel;
  attrs["strides"] = c.spatial(c.attr_ints("strides", ones), last, "strides");
  attrs["dilations"] = c.spatial(c.attr_ints("dilations", ones), last, "dilations");
  const std::string padding = c.attr_string("padding", "VALID");
  if (padding == "EXPLICIT") {
    const std::vector<int64_t> all = c.attr_ints("explicit_paddings", {});
    std::vector<int64_t> begin, end, pads;
    for (size_t i = 0; i + 1 < all.size(); i += 2) {
      begin.push_back(all[i]);
      end.push_back(all[i + 1]);
    }
    pads = c.spatial(std::vector<int64_t>(begin.size(), 1), last, "explicit_paddings");
    const size_t first = last ? 1 : 2;
    if (all.size() != 2 * (kernel.size() + 2)) {
      c.fail(invalid_argument("attribute 'explicit_paddings' has the wrong length"));
      return attrs;
    }
    pads.assign(begin.begin() + std::ptrdiff_t(first), begin.begin() + std::ptrdiff_t(first + kernel.size()));
    pads.insert(pads.end(), end.begin() + std::ptrdiff_t(first), end.begin() + std::ptrdiff_t(first + kernel.size()));
    attrs["pads"] = pads;
    return attrs;
  }
  attrs["auto_pad"] = std::string(padding == "SAME" ? "SAME_UPPER" : "VALID");
  if (!c.ok()) return attrs;
  Result<Window> window = kernel::window_of(attrs, int(kernel.size()), kernel);
  if (!window.ok()) {
    c.fail(window.status());
    return attrs;
  }
  const Shape spatial(in.begin() + 2, in.end());
  const bool known = ir::is_constant(spatial);
  if (window->auto_pad == kernel::AutoPad::kValid || known) {
    kernel::resolve_pads(*window, known ? ir::to_dims(spatial) : std::vector<int64_t>());
    attrs["pads"] = kernel::pads_attr(*window);
    attrs["auto_pad"] = std::string("NOTSET");
  }
  return attrs;
}

// Inputs 0 and 1 convolved: filters are (spatial, in, out), of depthwise convolutions (spatial, in,
// multiplier). The result has the channels where the input has them.
ir::Value* tensorflow_conv(Composer& c, int rank, bool depthwise) {
  const bool last = c.channels_last(rank == 5 ? "NDHWC" : "NHWC");
  ir::Value *x = c.in(0), *w = c.in(1);
  if (!c.has_rank(x, rank, rank, "input 0") || !c.has_rank(w, rank, rank, "input 1 (filter)"))
    return x;
  if (c.attr_string("filter_format", "HWIO") == "OIHW") w = c.transpose(w, {2, 3, 1, 0});
  if (last) x = c.to_channels_first(x);
  std::vector<int64_t> kernel, perm = {rank - 1, rank - 2};
  for (int i = 0; i + 2 < rank; ++i) {
    kernel.push_back(c.need_dim(w, i, "input 1 (filter)"));
    perm.push_back(i);
  }
  const int64_t in = c.need_dim(w, rank - 2, "input 1 (filter)");
  const int64_t out = c.need_dim(w, rank - 1, "input 1 (filter)");
  const int64_t channels = depthwise ? in : c.need_dim(x, 1, "input 0");
  int64_t group = depthwise ? in : in > 0 ? channels / in : 1;
  if (c.ok() && (in < 1 || channels % in != 0))
    c.fail(invalid_argument(cat("the input has ", channels, " channels, the filter takes ", in)));
  if (!c.ok()) return x;
  ir::Attributes attrs = tensorflow_window(c, kernel, x->type.shape, last);
  attrs["group"] = group;
  if (depthwise) {
    std::vector<int64_t> dims = kernel;
    dims.insert(dims.end(), {1, in * out});
    w = c.reshape(w, dims);
  }
  ir::Value* y = c.op("Conv", {x, c.transpose(w, perm)}, attrs);
  return last ? c.to_channels_last(y) : y;
}

// Conv2D, Conv3D, DepthwiseConv2dNative and the first two as TensorFlow's optimizer fuses them.
Status import_tensorflow_conv(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  const std::string_view type = node.op_type();
  const int rank = type.find("Conv3D") != std::string_view::npos ? 5 : 4;
  ir::Value* y = tensorflow_conv(c, rank, type.find("Depthwise") != std::string_view::npos);
  if (type.substr(0, 6) == "_Fused")
    y = apply_fused_ops(c, y, 2, c.channels_last(rank == 5 ? "NDHWC" : "NHWC"));
  return c.finish({y});
}

// activation(conv_input_scale conv + side_input_scale side_input + bias).
Status import_conv_bias_activation(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value *y = c.mul(tensorflow_conv(c, 4, false), c.in(4)), *bias = c.in(2), *side = c.in(3);
  if (!c.channels_last()) bias = c.reshape(bias, {-1, 1, 1});
  const bool has_side = c.rank(side) == c.rank(y);
  if (has_side) y = c.add(y, c.mul(side, c.in(5)));
  return c.finish({apply_activation(c, c.add(y, bias), c.attr_string("activation_mode", "Relu"))});
}

// Every window as one row of channels: a convolution with one filter per place in the window.
Status import_patches(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value* x = c.in(0);
  if (!c.has_rank(x, 4, 4, "input 0 (images)")) return c.finish({});
  const int64_t channels = c.need_dim(x, 3, "input 0 (images)");
  const std::vector<int64_t> kernel = c.spatial(c.attr_ints("ksizes", {}), true, "ksizes");
  if (!c.ok()) return c.finish({});
  const int64_t places = kernel[0] * kernel[1], rows = places * channels;
  if (kernel[0] < 1 || kernel[1] < 1 || rows * places > (1 << 24))
    return unsupported(cat("windows of ", bracketed(kernel), " over ", channels, " channels"));
  Tensor w(DataType::kF32, {rows, 1, kernel[0], kernel[1]});
  for (int64_t r = 0; r < rows; ++r) w.set_f64(r * places + r % places, 1);
  ir::Value* first = c.to_channels_first(x);
  const std::vector<int64_t> strides = c.spatial(c.attr_ints("strides", {}), true, "strides");
  const std::vector<int64_t> rates = c.spatial(c.attr_ints("rates", {}), true, "rates");
  const std::string padding = c.attr_string("padding", "VALID");
  ir::Value* y = c.op("Conv", {c.cast(first, DataType::kF32), c.constant(w)},
                      {{"kernel_shape", kernel}, {"strides", strides}, {"dilations", rates},
                       {"group", channels},
                       {"auto_pad", std::string(padding == "SAME" ? "SAME_UPPER" : "VALID")}});
  // From (channel, place) to (place, channel).
  y = c.cast(c.to_channels_last(y), c.dtype(x));
  std::vector<int64_t> order;
  for (int64_t p = 0; p < places; ++p)
    for (int64_t ch = 0; ch < channels; ++ch) order.push_back(ch * places + p);
  return c.finish({c.op("Gather", {y, c.ints(order)}, {{"axis", int64_t(3)}})});
}

}  // namespace

void register_conv(opdef::OpRegistry& registry) {
  opdef::OpDef def;
  def.name = "Conv";
  def.doc =
      "Convolution (cross-correlation) over 1 to 3 spatial dims: every output is the sum of "
      "products of a window, over the channels of its group, plus a bias per output channel.";
  def.inputs = {operand("X", kFloats, "N C spatial"), operand("W", kFloats, "M C/group kernel"),
                optional_operand("B", kFloats, "bias, M")};
  def.outputs = {operand("Y", kFloats, "N M spatial")};
  def.attrs = conv_attrs();
  def.kind = opdef::FusionKind::kContraction;
  def.infer = infer_conv;
  def.evaluate = evaluate_conv;
  def.accumulation = accumulation;
  def.onnx = {{"Conv", "", 1, 1 << 30, import_conv}};
  def.tensorflow = {tensorflow("Conv2D", import_tensorflow_conv),
                    tensorflow("Conv3D", import_tensorflow_conv),
                    tensorflow("DepthwiseConv2dNative", import_tensorflow_conv),
                    tensorflow("ExtractImagePatches", import_patches),
                    tensorflow("FusedConv2DBiasActivation", import_conv_bias_activation),
                    tensorflow("_FusedConv2D", import_tensorflow_conv),
                    tensorflow("_FusedConv3D", import_tensorflow_conv),
                    tensorflow("_FusedDepthwiseConv2dNative", import_tensorflow_conv)};
  registry.add(std::move(def));

  TypeSet bytes{DataType::kI8, DataType::kU8};
  def = {};
  def.name = "ConvInteger";
  def.doc = "Convolution of 8-bit integers, less their zero points, summed in 32 bits.";
  def.inputs = {operand("x", bytes, "N C spatial", "T1"), operand("w", bytes, "M C/group kernel", "T2"),
                optional_operand("x_zero_point", bytes, "scalar", "T1"),
                optional_operand("w_zero_point", bytes, "scalar, or M values", "T2")};
  def.outputs = {operand("y", TypeSet{DataType::kI32}, "N M spatial", "T3")};
  def.attrs = conv_attrs();
  def.kind = opdef::FusionKind::kContraction;
  def.infer = infer_conv_integer;
  def.evaluate = evaluate_conv_integer;
  def.accumulation = accumulation;
  def.onnx = {{"ConvInteger", "", 10, 1 << 30, import_conv}};
  registry.add(std::move(def));
}

}  // namespace planish::ops
