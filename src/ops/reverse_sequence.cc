// ReverseSequence: the first sequence_lens[b] steps of every sample turned around, the rest copied.
#include "base/text.h"
#include "ops/composer.h"
#include "ops/dims.h"
#include "ops/movement.h"

namespace planish::ops {
namespace {

Status infer(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 2));
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 1, 1, 1));
  const int64_t batch = ctx.attr_int("batch_axis"), time = ctx.attr_int("time_axis");
  if (batch != 0 && batch != 1) return bad_attr("batch_axis", cat(batch), "0 or 1");
  if (time != 1 - batch) return bad_attr("time_axis", cat(time), cat(1 - batch));
  PLANISH_RETURN_IF_ERROR(check_same_dim("length of input 1 (sequence_lens)", ctx.shape(1)[0],
                                         ctx.shape(0)[size_t(batch)]));
  ctx.set_output(0, ctx.dtype(0), ctx.shape(0));
  return ok_status();
}

Status evaluate(EvalContext& ctx) {
  const Tensor &in = ctx.input(0), &lengths = ctx.input(1);
  const int batch_axis = int(ctx.attr_int("batch_axis"));
  const int64_t batches = in.dim(batch_axis), steps = in.dim(1 - batch_axis);
  const int64_t inner = product(in.dims(), 2, in.rank());
  ElementMover mover(in, ctx.output(0));
  auto offset = [&](int64_t b, int64_t t) {
    return (batch_axis == 0 ? b * steps + t : t * batches + b) * inner;
  };
  for (int64_t b = 0; b < batches; ++b) {
    const int64_t length = lengths.i64(b);
    if (length < 0 || length > steps) {
      return invalid_argument(cat("input 1 (sequence_lens): element ", b, " is ", length,
                                  ", expected 0 to ", steps));
    }
    for (int64_t t = 0; t < steps; ++t) {
      mover.copy(offset(b, t), offset(b, t < length ? length - 1 - t : t), inner);
    }
  }
  return ok_status();
}

Status import_tensorflow(const opdef::NodeView& node, opdef::ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value* x = c.in(0);
  const int64_t time = c.attr_int("seq_dim", 0), batch = c.attr_int("batch_dim", 0);
  if (time + batch != 1) return unsupported(cat("seq_dim is ", time, " and batch_dim ", batch));
  return c.finish({c.op("ReverseSequence", {x, c.i64(c.in(1))},
                        {{"time_axis", time}, {"batch_axis", batch}})});
}

}  // namespace

void register_reverse_sequence(opdef::OpRegistry& registry) {
  opdef::OpDef def;
  def.name = "ReverseSequence";
  def.doc = "Each sample's first sequence_lens[b] steps in reverse order, later ones as they are.";
  def.inputs = {operand("input", opdef::kAnyType, "batch and time in the first two dims"),
                operand("sequence_lens", opdef::kInt64, "length per sample", "")};
  def.outputs = {operand("Y", opdef::kAnyType, "reversed sequences")};
  def.attrs = {opdef::int_attr("batch_axis", 1, "0 or 1"),
               opdef::int_attr("time_axis", 0, "the other of 0 and 1")};
  def.infer = infer;
  def.evaluate = evaluate;
  def.tensorflow = {tensorflow("ReverseSequence", import_tensorflow)};
  registry.add(std::move(def));
}

}  // namespace planish::ops
