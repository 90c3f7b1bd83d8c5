// Range: start, start + delta, ... up to but not including limit. The length is
// max(0, ceil((limit - start) / delta)), exact in the dims when the operands are shape arithmetic.
#include <cmath>

#include "base/limits.h"
#include "base/text.h"
#include "ops/composer.h"
#include "ops/content.h"

namespace planish::ops {
namespace {

constexpr opdef::TypeSet kRangeTypes =
    opdef::kFloats | opdef::TypeSet{DataType::kI16, DataType::kI32, DataType::kI64};

Status too_long(std::string_view length) {
  return resource_exhausted(cat("the range has ", length, " elements, more than the limit ",
                                "max_tensor_elements = ", kDefaultLimits.max_tensor_elements));
}

Result<Dim> float_length(double start, double limit, double delta) {
  const double length = std::ceil((limit - start) / delta);
  if (std::isnan(length)) return invalid_argument("start, limit or delta is not a number");
  if (length <= 0) return Dim(0);
  if (length > double(kDefaultLimits.max_tensor_elements)) return too_long(to_text(length));
  return Dim(int64_t(length));
}

Result<Dim> int_length(int64_t start, int64_t limit, int64_t delta) {
  const __int128 extent = __int128(limit) - start;
  if (extent == 0 || (extent > 0) != (delta > 0)) return Dim(0);
  const __int128 step = delta > 0 ? __int128(delta) : -__int128(delta);
  const __int128 length = ((extent > 0 ? extent : -extent) + step - 1) / step;
  if (length > kDefaultLimits.max_tensor_elements) return too_long("over 2^33");
  return Dim(int64_t(length));
}

// The elements of the operand as dims, whatever its rank.
std::optional<Dim> element(const InferContext& ctx, int i) {
  const std::optional<std::vector<Dim>> content = small_content(ctx, i);
  if (!content || content->size() != 1) return std::nullopt;
  return (*content)[0];
}

Result<Dim> symbolic_length(InferContext& ctx) {
  const std::optional<Dim> start = element(ctx, 0), limit = element(ctx, 1);
  const std::optional<Dim> delta = element(ctx, 2);
  if (delta && *delta == Dim(0)) return invalid_argument("input 2 (delta): got 0");
  if (!start || !limit || !delta || !delta->is_constant()) return data_dim(ctx, "range");
  if (start->is_constant() && limit->is_constant()) {
    return int_length(start->value(), limit->value(), delta->value());
  }
  const bool up = delta->value() > 0;
  const Dim extent = up ? *limit - *start : *start - *limit;
  if (delta->value() == INT64_MIN) return data_dim(ctx, "range");
  const Dim length = ceildiv(extent, Dim(up ? delta->value() : -delta->value()));
  return at_least(ctx, extent, 0) ? length : max(length, Dim(0));
}

Status infer(InferContext& ctx) {
  for (int i = 0; i < 3; ++i) PLANISH_RETURN_IF_ERROR(check_single(ctx, i));
  if (ir::is_float(ctx.dtype(0))) {
    Dim length;
    const Tensor *start = ctx.value(0), *limit = ctx.value(1), *delta = ctx.value(2);
    if (delta && delta->f64(0) == 0) return invalid_argument("input 2 (delta): got 0");
    if (start && limit && delta) {
      PLANISH_ASSIGN_OR_RETURN(length,
                               float_length(start->f64(0), limit->f64(0), delta->f64(0)));
    } else {
      length = data_dim(ctx, "range");
    }
    return set_sized_output(ctx, 0, ctx.dtype(0), {length});
  }
  PLANISH_ASSIGN_OR_RETURN(const Dim length, symbolic_length(ctx));
  PLANISH_RETURN_IF_ERROR(set_sized_output(ctx, 0, ctx.dtype(0), {length}));
  const std::optional<Dim> start = element(ctx, 0), delta = element(ctx, 2);
  if (carries_content(ctx, 0) && start && delta) {
    std::vector<Dim> content;
    for (int64_t i = 0; i < length.value(); ++i) content.push_back(*start + Dim(i) * *delta);
    ctx.set_content(0, std::move(content));
  }
  return ok_status();
}

Status evaluate(EvalContext& ctx) {
  Tensor& out = ctx.output(0);
  if (ir::is_float(out.dtype())) {
    const double start = ctx.input(0).f64(0), delta = ctx.input(2).f64(0);
    for (int64_t i = 0; i < out.count(); ++i) out.set_f64(i, start + double(i) * delta);
    return ok_status();
  }
  const uint64_t start = uint64_t(ctx.input(0).i64(0)), delta = uint64_t(ctx.input(2).i64(0));
  for (int64_t i = 0; i < out.count(); ++i) out.set_i64(i, int64_t(start + uint64_t(i) * delta));
  return ok_status();
}

Status import_lin_space(const opdef::NodeView& node, opdef::ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value *start = c.in(0), *stop = c.in(1);
  const int64_t count = c.need_one(2, "num");
  if (count < 1 || count > (1 << 24))
    return invalid_argument(cat("input 2 (num) is ", count, ", expected 1 to 16777216"));
  std::vector<double> part;
  for (int64_t i = 0; i < count; ++i) part.push_back(count > 1 ? double(i) / double(count - 1) : 0);
  ir::Value* share = c.constant(Tensor::from_f64(c.dtype(start), {count}, part));
  return c.finish({c.add(start, c.mul(c.sub(stop, start), share))});
}

}  // namespace

void register_range(opdef::OpRegistry& registry) {
  opdef::OpDef def;
  def.name = "Range";
  def.doc = "start + i * delta for i = 0, 1, ... while before `limit`.";
  def.inputs = {operand("start", kRangeTypes, "first element, one element"),
                operand("limit", kRangeTypes, "not reached, one element"),
                operand("delta", kRangeTypes, "step, not 0, one element")};
  def.outputs = {operand("output", kRangeTypes, "the sequence, rank 1")};
  def.attrs = {opdef::int_attr("stash_type", 1,
                               "ONNX's type of the intermediate sums; ours are in double")};
  def.host_inputs = 0b111;
  def.infer = infer;
  def.evaluate = evaluate;
  def.tensorflow = {tensorflow("Range"), tensorflow("LinSpace", import_lin_space)};
  registry.add(std::move(def));
}

}  // namespace planish::ops
