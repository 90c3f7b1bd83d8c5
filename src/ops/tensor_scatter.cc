// TensorScatter: writes an update into a cache along its sequence axis, per batch element at a place
// of its own; circular caches wrap around.
#include "base/text.h"
#include "ops/movement.h"
#include "ops/shape_rules.h"

namespace planish::ops {
namespace {

using opdef::EvalContext;
using opdef::kAnyType;

Status infer_tensor_scatter(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 2));
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 1, ctx.rank(0), ctx.rank(0)));
  const std::string& mode = ctx.attr_string("mode");
  if (mode != "linear" && mode != "circular")
    return bad_attr("mode", cat("'", mode, "'"), "'linear' or 'circular'");
  PLANISH_ASSIGN_OR_RETURN(int axis, ctx.axis("axis", ctx.rank(0)));
  if (axis == 0) return bad_attr("axis", "the batch dim", "another dim");
  const Shape &cache = ctx.shape(0), &update = ctx.shape(1);
  for (int i = 0; i < ctx.rank(0); ++i) {
    size_t d = size_t(i);
    if (i != axis)
      PLANISH_RETURN_IF_ERROR(check_same_dim(cat("input 1 (update): dim ", i), update[d], cache[d]));
    else if (update[d].is_constant() && cache[d].is_constant() &&
             update[d].value() > cache[d].value())
      return invalid_argument(cat("input 1 (update): got ", update[d].to_string(), " along axis ", i,
                                  ", expected at most ", cache[d].to_string()));
  }
  if (ctx.has_input(2)) {
    PLANISH_RETURN_IF_ERROR(check_rank(ctx, 2, 1, 1));
    PLANISH_RETURN_IF_ERROR(
        check_same_dim("input 2 (write_indices): length", ctx.shape(2)[0], cache[0]));
  }
  ctx.set_output(0, ctx.dtype(0), cache);
  return ok_status();
}

Status evaluate_tensor_scatter(EvalContext& ctx) {
  const Tensor &cache = ctx.input(0), &update = ctx.input(1);
  int64_t at = ctx.attr_int("axis");
  int axis = int(at < 0 ? at + cache.rank() : at);
  bool circular = ctx.attr_string("mode") == "circular";
  std::vector<int64_t> starts(size_t(cache.dim(0)), 0);
  if (ctx.has_input(2)) starts = ctx.input(2).i64_values();
  Tensor& y = ctx.output(0);
  ElementMover(cache, y).copy(0, 0, cache.count());
  ElementMover mover(update, y);
  int64_t middle = product(cache.dims(), 1, axis), inner = product(cache.dims(), axis + 1, cache.rank());
  int64_t longest = cache.dim(axis), length = update.dim(axis);
  for (int64_t n = 0; n < cache.dim(0) && length > 0; ++n) {
    int64_t start = starts[size_t(n)];
    if (start < 0 || (circular ? start > INT64_MAX - length : start > longest - length))
      return invalid_argument(cat("input 2 (write_indices): got ", start, " for ", length,
                                  " elements, expected them within ", longest));
    for (int64_t m = 0; m < middle; ++m)
      for (int64_t i = 0; i < length; ++i) {
        int64_t to = (start + i) % longest, row = n * middle + m;
        mover.copy((row * longest + to) * inner, (row * length + i) * inner, inner);
      }
  }
  return ok_status();
}

}  // namespace

void register_tensor_scatter(opdef::OpRegistry& registry) {
  opdef::OpDef def;
  def.name = "TensorScatter";
  def.doc = "The cache with the update written over a stretch of its axis.";
  def.inputs = {operand("past_cache", kAnyType, "batch ... sequence ..."),
                operand("update", kAnyType, "the same with a shorter sequence"),
                optional_operand("write_indices", opdef::kInt64, "start per batch element; 0", "")};
  def.outputs = {operand("present_cache", kAnyType, "of the cache's shape")};
  def.attrs = {opdef::int_attr("axis", -2, "of the sequence"),
               opdef::string_attr("mode", "linear", "'linear', or 'circular' to wrap around")};
  def.infer = infer_tensor_scatter;
  def.evaluate = evaluate_tensor_scatter;
  registry.add(std::move(def));
}

}  // namespace planish::ops
