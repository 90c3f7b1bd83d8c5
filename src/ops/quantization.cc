#include "ops/quantization.h"

#include <cmath>

#include "base/float_types.h"
#include "base/text.h"

namespace planish::ops {
namespace {

// Larger scales are not read at build time: weights of a language model have millions of blocks.
constexpr int64_t kMaxCheckedScales = 65536;

const MiniFloat* float8_format(DataType type) {
  switch (type) {
    case DataType::kF8E4M3Fn: return &kF8E4M3Fn;
    case DataType::kF8E5M2: return &kF8E5M2;
    case DataType::kF8E4M3Fnuz: return &kF8E4M3Fnuz;
    case DataType::kF8E5M2Fnuz: return &kF8E5M2Fnuz;
    default: return nullptr;
  }
}

Status check_blocks(const InferContext& ctx, int scale, int axis, int64_t block) {
  const int rank = ctx.rank(0);
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, scale, rank, rank));
  for (int d = 0; d < rank; ++d) {
    const Dim& dim = ctx.shape(0)[size_t(d)];
    const Dim expected = d == axis ? ceildiv(dim, Dim(block)) : dim;
    PLANISH_RETURN_IF_ERROR(check_same_dim(cat(input_name(ctx, scale), ", dim ", d),
                                           ctx.shape(scale)[size_t(d)], expected));
  }
  return ok_status();
}

Status check_scale(const InferContext& ctx, int scale) {
  const int64_t block = ctx.attr_int("block_size");
  if (block < 0) return bad_attr("block_size", cat(block), "0 or more");
  const Dim count = ir::element_count(ctx.shape(scale));
  if (block == 0 && count == Dim(1)) return ok_status();
  PLANISH_ASSIGN_OR_RETURN(const int axis, ctx.axis("axis", ctx.rank(0)));
  if (block > 0) return check_blocks(ctx, scale, axis, block);
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, scale, 0, 1));
  if (ctx.rank(scale) == 0) return ok_status();
  return check_same_dim(cat(input_name(ctx, scale), ", dim 0"), ctx.shape(scale)[0],
                        ctx.shape(0)[size_t(axis)]);
}

}  // namespace

Status check_scale_shape(const InferContext& ctx, int scale) {
  PLANISH_RETURN_IF_ERROR(check_scale(ctx, scale));
  const int zero = scale + 1;
  if (!ctx.has_input(zero)) return ok_status();
  const Dim scales = ir::element_count(ctx.shape(scale)), zeros = ir::element_count(ctx.shape(zero));
  if (scales == Dim(1) && zeros == Dim(1)) return ok_status();
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, zero, ctx.rank(scale), ctx.rank(scale)));
  for (int d = 0; d < ctx.rank(scale); ++d) {
    PLANISH_RETURN_IF_ERROR(check_same_dim(cat(input_name(ctx, zero), ", dim ", d),
                                           ctx.shape(zero)[size_t(d)],
                                           ctx.shape(scale)[size_t(d)]));
  }
  return ok_status();
}

Status check_scale_values(const InferContext& ctx, int scale, bool positive) {
  const Tensor* value = ctx.value(scale);
  if (!value || value->count() > kMaxCheckedScales) return ok_status();
  for (int64_t i = 0; i < value->count(); ++i) {
    const double s = value->f64(i);
    if (std::isfinite(s) && (positive ? s > 0 : s >= 0)) continue;
    return invalid_argument(cat(input_name(ctx, scale), ": element ", i, " is ", s,
                                ", expected a finite number ",
                                positive ? "over 0" : "not below 0"));
  }
  return ok_status();
}

ScaleMap scale_map(const EvalContext& ctx, int scale) {
  const Tensor &x = ctx.input(0), &s = ctx.input(scale);
  const int64_t block = ctx.attr_int("block_size");
  ScaleMap map;
  if (s.count() == 1 && block == 0) return map;
  const int axis = wrap_axis(ctx.attr_int("axis"), x.rank());
  map.outer = product(x.dims(), 0, axis);
  map.length = x.dim(axis);
  map.inner = product(x.dims(), axis + 1, x.rank());
  map.granularity = block > 0 ? Granularity::kBlock : Granularity::kAxis;
  if (block > 0) {
    map.block = block;
    map.blocks = s.dim(axis);
  }
  return map;
}

void store_quantized(Tensor& out, int64_t i, double value, bool saturate) {
  const DataType dtype = out.dtype();
  if (const MiniFloat* format = float8_format(dtype)) {
    out.mutable_data_as<uint8_t>()[i] = float_to_mini(float(value), *format, saturate);
    return;
  }
  if (ir::is_float(dtype)) return out.set_f64(i, value);
  const int bits = ir::bits_of(dtype);
  const bool is_signed = ir::is_signed_int(dtype);
  const double low = is_signed ? -std::ldexp(1, bits - 1) : 0;
  const double high = std::ldexp(1, is_signed ? bits - 1 : bits) - 1;
  const double rounded = std::nearbyint(value);
  out.set_i64(i, std::isnan(rounded) ? 0 : int64_t(std::fmin(std::fmax(rounded, low), high)));
}

}  // namespace planish::ops
