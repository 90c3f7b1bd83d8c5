#include "ops/convolution.h"

#include "base/text.h"
#include "ops/contraction.h"

namespace planish::ops {
namespace {

// Output positions whose columns are gathered and multiplied at a time.
constexpr int64_t kBlock = 256;

// Columns of the input that the output positions [begin, end) read, as panels.
void gather_columns(std::span<const double> x, const ConvGeometry& g, int64_t begin, int64_t end,
                    std::vector<double>& panels) {
  const Spatial3& s = g.spatial;
  int64_t channels = g.ic / g.group, volume = s.kernel_count(), k = channels * volume;
  int64_t count = (end - begin + kPanelColumns - 1) / kPanelColumns;
  panels.assign(size_t(count * k * kPanelColumns), 0.0);
  for (int64_t p = begin; p < end; ++p) {
    int64_t column = p - begin;
    double* to = panels.data() + column / kPanelColumns * k * kPanelColumns + column % kPanelColumns;
    int64_t ow = p % s.out[2], oh = p / s.out[2] % s.out[1], od = p / s.out[2] / s.out[1];
    Spatial3::Range rd = s.inside(0, od), rh = s.inside(1, oh), rw = s.inside(2, ow);
    for (int64_t c = 0; c < channels; ++c) {
      const double* from = x.data() + c * s.in_count();
      for (int64_t kd = rd.first; kd < rd.last; ++kd)
        for (int64_t kh = rh.first; kh < rh.last; ++kh) {
          const double* row = from + (s.input_at(0, od, kd) * s.in[1] + s.input_at(1, oh, kh)) *
                                         s.in[2] + s.input_at(2, ow, 0);
          double* out = to + (c * volume + (kd * s.kernel[1] + kh) * s.kernel[2]) * kPanelColumns;
          for (int64_t kw = rw.first; kw < rw.last; ++kw)
            out[kw * kPanelColumns] = row[kw * s.dilation[2]];
        }
    }
  }
}

}  // namespace

Result<ConvInference> infer_convolution(InferContext& ctx, int x, int w) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, x, 3, 2 + kMaxSpatialRank));
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, w, ctx.rank(x), ctx.rank(x)));
  const Shape &input = ctx.shape(x), &weights = ctx.shape(w);
  int rank = ctx.rank(x) - 2;
  std::vector<int64_t> kernel_dims;
  for (int i = 0; i < rank; ++i)
    if (auto k = weights[size_t(i + 2)].constant()) kernel_dims.push_back(*k);
  if (int(kernel_dims.size()) != rank) kernel_dims.clear();
  ConvInference out;
  PLANISH_ASSIGN_OR_RETURN(out.window, kernel::window_of(ctx.attrs(), rank, kernel_dims));
  int64_t group = ctx.attr_int("group");
  if (group < 1) return bad_attr("group", cat(group), "at least 1");
  auto channels = input[1].constant(), per_group = weights[1].constant();
  if (channels && *channels % group != 0)
    return bad_attr("group", cat(group), cat("a divisor of the ", *channels, " input channels"));
  if (auto m = weights[0].constant(); m && *m % group != 0)
    return bad_attr("group", cat(group), cat("a divisor of the ", *m, " output channels"));
  if (channels && per_group && *channels / group != *per_group)
    return invalid_argument(cat(input_name(ctx, w), ": got ", *per_group,
                                " channels per group, expected ", *channels, " / ", group));
  out.output = {input[0], weights[0]};
  Shape spatial(input.begin() + 2, input.end());
  PLANISH_RETURN_IF_ERROR(add_output_dims(out.window, spatial, out.output));
  return out;
}

Result<ConvGeometry> conv_geometry(const ir::Attributes& attrs, const Tensor& x, const Tensor& w,
                                   std::span<const int64_t> output) {
  std::span<const int64_t> in = std::span(x.dims()).subspan(2);
  PLANISH_ASSIGN_OR_RETURN(
      Window window,
      kernel::window_of(attrs, x.rank() - 2, std::span(w.dims()).subspan(2)));
  kernel::resolve_pads(window, in);
  return ConvGeometry{x.dim(0), x.dim(1), w.dim(0), std::get<int64_t>(attrs.at("group")),
                      spatial3(window, in, output.subspan(2))};
}

std::vector<double> convolve(std::span<const double> x, std::span<const double> w,
                             const ConvGeometry& g) {
  int64_t positions = g.spatial.out_count();
  int64_t out_channels = g.oc / g.group, in_channels = g.ic / g.group;
  int64_t k = in_channels * g.spatial.kernel_count();
  std::vector<double> out(size_t(g.n * g.oc * positions), 0.0), panels;
  if (out.empty() || k == 0) return out;
  for (int64_t n = 0; n < g.n; ++n)
    for (int64_t group = 0; group < g.group; ++group) {
      std::span<const double> image =
          x.subspan(size_t((n * g.ic + group * in_channels) * g.spatial.in_count()),
                    size_t(in_channels * g.spatial.in_count()));
      const double* weights = w.data() + group * out_channels * k;
      double* to = out.data() + (n * g.oc + group * out_channels) * positions;
      for (int64_t begin = 0; begin < positions; begin += kBlock) {
        int64_t end = std::min(positions, begin + kBlock);
        gather_columns(image, g, begin, end, panels);
        multiply_panels(weights, k, panels.data(), out_channels, end - begin, k, to + begin,
                        positions);
      }
    }
  return out;
}

int64_t conv_accumulation(const ir::Node& node, int weights) {
  const Shape& shape = node.inputs[size_t(weights)]->type.shape;
  int64_t out = 1;
  for (size_t i = 1; i < shape.size(); ++i)
    if (__builtin_mul_overflow(out, std::max<int64_t>(shape[i].constant().value_or(1), 1), &out))
      return kernel::kMaxWindowValue;
  return out;
}

}  // namespace planish::ops
