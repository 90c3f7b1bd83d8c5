// ConvTranspose: every input element adds a kernel, scaled by it, to the output: the gradient of a
// convolution. Padding is cut from the output; output_padding adds to its far side; output_shape
// asks for a size, from which the padding follows. Importing brings all forms to pads and
// output_padding where the input's size is known.
#include "base/text.h"
#include "ops/composer.h"
#include "ops/contraction.h"
#include "ops/convolution.h"
#include "opdef/import.h"

namespace planish::ops {
namespace {

using opdef::AttrKind;
using opdef::EvalContext;
using opdef::ImportContext;
using opdef::kFloats;
using opdef::NodeView;

struct Transposed {
  Window window;
  std::vector<int64_t> output_padding;
  std::vector<int64_t> output_shape;  // empty: not asked for
};

Result<std::vector<int64_t>> extra_list(const ir::Attributes& attrs, std::string_view key,
                                        size_t rank) {
  std::optional<std::vector<int64_t>> list = ints_of(attrs, key);
  if (!list) return std::vector<int64_t>();
  if (list->size() != rank)
    return bad_attr(key, cat(bracketed(*list), " (", list->size(), " values)"),
                    cat(rank, " values"));
  for (int64_t v : *list)
    if (v < 0 || v > kernel::kMaxWindowValue)
      return bad_attr(key, bracketed(*list), cat("values from 0 to ", kernel::kMaxWindowValue));
  return *list;
}

Result<Transposed> transposed_of(const ir::Attributes& attrs, int rank,
                                 std::span<const int64_t> weights_kernel) {
  Transposed out;
  PLANISH_ASSIGN_OR_RETURN(out.window, kernel::window_of(attrs, rank, weights_kernel));
  PLANISH_ASSIGN_OR_RETURN(out.output_padding, extra_list(attrs, "output_padding", size_t(rank)));
  if (out.output_padding.empty()) out.output_padding.assign(size_t(rank), 0);
  PLANISH_ASSIGN_OR_RETURN(out.output_shape, extra_list(attrs, "output_shape", size_t(rank)));
  return out;
}

// Elements before any padding is cut off.
Dim full_size(const Transposed& t, size_t i, const Dim& input) {
  return (input - 1) * Dim(t.window.strides[i]) + t.output_padding[i] + t.window.extent(int(i));
}

Dim output_dim(const Transposed& t, size_t i, const Dim& input) {
  if (!t.output_shape.empty()) return t.output_shape[i];
  if (t.window.is_same()) return input * Dim(t.window.strides[i]);
  return full_size(t, i, input) - t.window.pads_begin[i] - t.window.pads_end[i];
}

// Elements cut off in front, for a known input.
int64_t pad_begin(const Transposed& t, size_t i, int64_t input) {
  if (t.output_shape.empty() && !t.window.is_same()) return t.window.pads_begin[i];
  int64_t total = full_size(t, i, input).value() - output_dim(t, i, input).value();
  total = std::max<int64_t>(total, 0);
  return t.window.auto_pad == kernel::AutoPad::kSameUpper ? total / 2 : total - total / 2;
}

Result<Transposed> checked(const InferContext& ctx) {
  int rank = ctx.rank(0) - 2;
  std::vector<int64_t> kernel_dims;
  for (int i = 0; i < rank; ++i)
    if (auto k = ctx.shape(1)[size_t(i + 2)].constant()) kernel_dims.push_back(*k);
  if (int(kernel_dims.size()) != rank) kernel_dims.clear();
  return transposed_of(ctx.attrs(), rank, kernel_dims);
}

Status infer_conv_transpose(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 3, 2 + kMaxSpatialRank));
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 1, ctx.rank(0), ctx.rank(0)));
  PLANISH_ASSIGN_OR_RETURN(Transposed t, checked(ctx));
  const Shape &x = ctx.shape(0), &w = ctx.shape(1);
  int64_t group = ctx.attr_int("group");
  if (group < 1) return bad_attr("group", cat(group), "at least 1");
  auto channels = x[1].constant();
  if (channels && *channels % group != 0)
    return bad_attr("group", cat(group), cat("a divisor of the ", *channels, " input channels"));
  PLANISH_RETURN_IF_ERROR(check_same_dim("input 1 (W): dim 0", w[0], x[1]));
  Shape out = {x[0], w[1] * Dim(group)};
  for (size_t i = 2; i < x.size(); ++i) {
    Dim size = output_dim(t, i - 2, x[i]);
    if (size.is_constant() && size.value() < 0)
      return bad_attr("pads", bracketed(kernel::pads_attr(t.window)),
                      cat("no more than the ", full_size(t, i - 2, x[i]).to_string(),
                          " elements of spatial dim ", i - 2));
    out.push_back(size);
  }
  if (ctx.has_input(2)) {
    PLANISH_RETURN_IF_ERROR(check_rank(ctx, 2, 1, 1));
    PLANISH_RETURN_IF_ERROR(
        check_same_dim(input_name(ctx, 2) + ": length", ctx.shape(2)[0], out[1]));
  }
  ctx.set_output(0, ctx.dtype(0), std::move(out));
  return ok_status();
}

// The weights of one group, C/g x (M/g kernel), as (M/g kernel) x C/g.
std::vector<double> transposed_weights(std::span<const double> w, int64_t channels, int64_t rows) {
  std::vector<double> out(w.size());
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t r = 0; r < rows; ++r) out[size_t(r * channels + c)] = w[size_t(c * rows + r)];
  return out;
}

// Adds products (m kernel) x [begin, end) of input positions to the output image.
void scatter(std::span<const double> products, const Spatial3& s, int64_t channels, int64_t begin,
             int64_t end, double* to) {
  int64_t volume = s.kernel_count(), width = end - begin;
  for (int64_t m = 0; m < channels; ++m)
    for (int64_t k = 0; k < volume; ++k) {
      int64_t kw = k % s.kernel[2], kh = k / s.kernel[2] % s.kernel[1];
      int64_t kd = k / s.kernel[2] / s.kernel[1];
      for (int64_t p = begin; p < end; ++p) {
        int64_t iw = p % s.in[2], ih = p / s.in[2] % s.in[1], id = p / s.in[2] / s.in[1];
        int64_t od = s.input_at(0, id, kd), oh = s.input_at(1, ih, kh), ow = s.input_at(2, iw, kw);
        if (od < 0 || od >= s.out[0] || oh < 0 || oh >= s.out[1] || ow < 0 || ow >= s.out[2])
          continue;
        to[((m * s.out[0] + od) * s.out[1] + oh) * s.out[2] + ow] +=
            products[size_t((m * volume + k) * width + p - begin)];
      }
    }
}

Status evaluate_conv_transpose(EvalContext& ctx) {
  const Tensor &x = ctx.input(0), &w = ctx.input(1);
  std::vector<int64_t> dims = ctx.output_dims(0);
  int rank = x.rank() - 2;
  PLANISH_ASSIGN_OR_RETURN(
      Transposed t, transposed_of(ctx.attrs(), rank, std::span(w.dims()).subspan(2)));
  Window window = t.window;
  for (int i = 0; i < rank; ++i) window.pads_begin[size_t(i)] = pad_begin(t, size_t(i), x.dim(i + 2));
  Spatial3 s = spatial3(window, std::span(x.dims()).subspan(2), std::span(dims).subspan(2));
  int64_t group = ctx.attr_int("group"), n_count = x.dim(0);
  int64_t in_channels = x.dim(1) / group, out_channels = w.dim(1);
  int64_t positions = s.in_count(), rows = out_channels * s.kernel_count();
  std::vector<double> xs = x.f64_values(), ws = w.f64_values();
  std::vector<double> y(size_t(ir::element_count(dims)), 0.0), panels, products;
  constexpr int64_t kBlock = 256;
  if (!xs.empty() && !ws.empty() && !y.empty())
    for (int64_t g = 0; g < group; ++g) {
      std::vector<double> weights = transposed_weights(
          std::span(ws).subspan(size_t(g * in_channels * rows), size_t(in_channels * rows)),
          in_channels, rows);
      for (int64_t n = 0; n < n_count; ++n) {
        const double* image = xs.data() + (n * x.dim(1) + g * in_channels) * positions;
        double* to = y.data() + (n * dims[1] + g * out_channels) * s.out_count();
        for (int64_t begin = 0; begin < positions; begin += kBlock) {
          int64_t end = std::min(positions, begin + kBlock);
          pack_panels(image + begin, in_channels, end - begin, positions, int64_t(1), panels);
          products.resize(size_t(rows * (end - begin)));
          multiply_panels(weights.data(), in_channels, panels.data(), rows, end - begin,
                          in_channels, products.data(), end - begin);
          scatter(products, s, out_channels, begin, end, to);
        }
      }
    }
  if (ctx.has_input(2)) {
    std::vector<double> bias = ctx.input(2).f64_values();
    for (size_t i = 0; i < y.size(); ++i)
      y[i] += bias[i / size_t(s.out_count()) % size_t(dims[1])];
  }
  ctx.output(0).assign_f64(y);
  return ok_status();
}

int64_t accumulation(const ir::Node& node) {
  const Shape& w = node.inputs[1]->type.shape;
  Dim out = product(w, 2, int(w.size())) * w[0];
  return std::max<int64_t>(out.constant().value_or(1) / node.attr_int("group"), 1);
}

Status import_conv_transpose(const NodeView& node, ImportContext& ctx) {
  ir::Attributes attrs;
  for (const std::string& key : node.attr_names()) attrs[key] = *node.attr(key);
  std::vector<ir::Value*> inputs;
  for (int i = 0; i < node.input_count(); ++i) inputs.push_back(node.input(i));
  if (node.has_input(0) && node.has_input(1)) {
    const Shape &x = node.input(0)->type.shape, &w = node.input(1)->type.shape;
    Shape spatial, kernel_dims;
    if (x.size() >= 3 && x.size() == w.size()) {
      spatial.assign(x.begin() + 2, x.end());
      kernel_dims.assign(w.begin() + 2, w.end());
    }
    if (!spatial.empty() && ir::is_constant(spatial) && ir::is_constant(kernel_dims)) {
      PLANISH_ASSIGN_OR_RETURN(
          Transposed t, transposed_of(attrs, int(spatial.size()), ir::to_dims(kernel_dims)));
      std::vector<int64_t> begin, end, padding;
      for (size_t i = 0; i < spatial.size(); ++i) {
        if (!full_size(t, i, spatial[i]).valid() || !output_dim(t, i, spatial[i]).valid())
          return invalid_argument(cat("spatial dim ", i, " of the output leaves 64 bits"));
        int64_t in = spatial[i].value(), out = output_dim(t, i, in).value();
        int64_t cut = full_size(t, i, in).value() - t.output_padding[i];
        begin.push_back(pad_begin(t, i, in));
        int64_t rest = cut - begin.back() - out;  // to cut behind; negative: to add
        end.push_back(std::max<int64_t>(rest, 0));
        padding.push_back(std::max<int64_t>(-rest, 0));
      }
      begin.insert(begin.end(), end.begin(), end.end());
      attrs["kernel_shape"] = t.window.kernel;
      attrs["strides"] = t.window.strides;
      attrs["dilations"] = t.window.dilations;
      attrs["pads"] = std::move(begin);
      attrs["output_padding"] = std::move(padding);
      attrs["auto_pad"] = std::string("NOTSET");
      attrs.erase("output_shape");
    }
  }
  PLANISH_ASSIGN_OR_RETURN(ir::Value * y,
                           ctx.add1("ConvTranspose", std::move(inputs), std::move(attrs)));
  ctx.set_output(0, y);
  return ok_status();
}

// The gradient of a convolution towards its input: sizes, filter (spatial, out, in), input.
Status import_backprop_input(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  const int rank = node.op_type() == "Conv2DBackpropInput" ? 4 : 5;
  const bool last = c.channels_last(rank == 5 ? "NDHWC" : "NHWC");
  ir::Value *w = c.in(1), *x = c.in(2);
  if (!c.has_rank(x, rank, rank, "input 2") || !c.has_rank(w, rank, rank, "input 1 (filter)"))
    return c.finish({});
  if (last) x = c.to_channels_first(x);
  const std::vector<int64_t> ones(size_t(rank), 1);
  const std::vector<int64_t> strides = c.spatial(c.attr_ints("strides", ones), last, "strides");
  const std::vector<int64_t> rates = c.spatial(c.attr_ints("dilations", ones), last, "dilations");
  const std::string padding = c.attr_string("padding", "VALID");
  if (padding == "EXPLICIT") return unsupported("padding EXPLICIT");
  std::vector<int64_t> kernel, perm = {rank - 1, rank - 2}, begin, end, behind;
  for (int i = 0; i + 2 < rank; ++i) {
    kernel.push_back(c.need_dim(w, i, "input 1 (filter)"));
    perm.push_back(i);
  }
  const ir::Value* sizes = c.in(0);
  if (!c.ok()) return c.finish({});
  for (int i = 0; i + 2 < rank; ++i) {
    const size_t k = size_t(i), at = size_t(last ? i + 1 : i + 2);
    std::optional<int64_t> out, in = x->type.shape[k + 2].constant();
    if (sizes->constant && sizes->constant->count() == rank) out = sizes->constant->i64(int64_t(at));
    if (sizes->content && sizes->content->size() == size_t(rank)) out = (*sizes->content)[at].constant();
    const int64_t extent = (kernel[k] - 1) * rates[k] + 1;
    // An output whose size is open is the stride times the input (SAME), or what the windows cover.
    int64_t cut = padding == "SAME" ? extent - strides[k] : 0;
    if (out && in) cut = (*in - 1) * strides[k] + extent - *out;
    begin.push_back(padding == "SAME" ? std::max<int64_t>(cut, 0) / 2 : 0);
    end.push_back(std::max<int64_t>(cut, 0) - begin.back());
    behind.push_back(std::max<int64_t>(-cut, 0));
  }
  begin.insert(begin.end(), end.begin(), end.end());
  ir::Value* y = c.op("ConvTranspose", {x, c.transpose(w, perm)},
                      {{"kernel_shape", kernel}, {"strides", strides}, {"dilations", rates},
                       {"pads", begin}, {"output_padding", behind}});
  return c.finish({last ? c.to_channels_last(y) : y});
}

}  // namespace

void register_conv_transpose(opdef::OpRegistry& registry) {
  opdef::OpDef def;
  def.name = "ConvTranspose";
  def.doc =
      "Transposed convolution over 1 to 3 spatial dims: every input element adds its kernel to the "
      "output, at its position times the stride.";
  def.inputs = {operand("X", kFloats, "N C spatial"), operand("W", kFloats, "C M/group kernel"),
                optional_operand("B", kFloats, "bias, M")};
  def.outputs = {operand("Y", kFloats, "N M spatial")};
  def.attrs = window_attrs();
  def.attrs.push_back(opdef::int_attr("group", 1, "channels are split into this many groups"));
  def.attrs.push_back(opdef::optional_attr("output_padding", AttrKind::kInts,
                                           "elements added behind the output; 0 when absent"));
  def.attrs.push_back(opdef::optional_attr("output_shape", AttrKind::kInts,
                                           "spatial dims of the output, in place of pads"));
  def.kind = opdef::FusionKind::kContraction;
  def.infer = infer_conv_transpose;
  def.evaluate = evaluate_conv_transpose;
  def.accumulation = accumulation;
  def.onnx = {{"ConvTranspose", "", 1, 1 << 30, import_conv_transpose}};
  def.tensorflow = {tensorflow("Conv2DBackpropInput", import_backprop_input),
                    tensorflow("Conv3DBackpropInputV2", import_backprop_input)};
  registry.add(std::move(def));
}

}  // namespace planish::ops
