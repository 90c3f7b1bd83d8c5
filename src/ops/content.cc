#include "ops/content.h"

#include "ops/known_elements.h"

namespace planish::ops {

namespace {

bool is_small(const Shape& shape) {
  const std::optional<int64_t> count = ir::element_count(shape).constant();
  return count && *count <= kMaxKnownElements;
}

}  // namespace

std::optional<std::vector<Dim>> small_content(const InferContext& ctx, int i) {
  // The check comes first: widening a large constant would be slow.
  if (!ctx.has_input(i) || !is_small(ctx.shape(i))) return std::nullopt;
  return ctx.content(i);
}

bool carries_content(InferContext& ctx, int i) {
  const TensorType& type = ctx.outputs()[size_t(i)].type;
  return !ir::is_float(type.dtype) && is_small(type.shape);
}

void set_moved_content(InferContext& ctx,
                       const std::function<void(const Tensor&, Tensor&)>& move) {
  if (!carries_content(ctx, 0)) return;
  const std::optional<std::vector<Dim>> in = small_content(ctx, 0);
  if (!in || !ir::is_constant(ctx.shape(0))) return;
  Tensor numbers(DataType::kI64, ir::to_dims(ctx.shape(0)));
  for (int64_t i = 0; i < numbers.count(); ++i) numbers.mutable_data_as<int64_t>()[i] = i;
  Tensor moved(DataType::kI64, ir::to_dims(ctx.outputs()[0].type.shape));
  move(numbers, moved);
  std::vector<Dim> out;
  for (int64_t i = 0; i < moved.count(); ++i) {
    out.push_back((*in)[size_t(moved.data_as<int64_t>()[i])]);
  }
  ctx.set_content(0, std::move(out));
}

}  // namespace planish::ops
