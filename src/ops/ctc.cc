#include "ops/ctc.h"

#include "ops/composer.h"

namespace planish::ops {
namespace {

// The likeliest class of every step, without blanks and (if asked) without repetitions, as a sparse
// matrix [batch, place], and minus the sum of what the chosen classes scored.
Status import_greedy(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value *scores = c.in(0), *lengths = c.i64(c.in(1));
  if (!c.has_rank(scores, 3, 3, "input 0 (inputs)")) return c.finish({});
  int64_t blank = c.attr_int("blank_index", -1);
  if (blank < 0) blank += c.need_dim(scores, 2, "the number of classes");
  scores = c.transpose(scores, {1, 0, 2});
  ir::Value* best = c.op("ArgMax", {scores}, {{"axis", int64_t(2)}, {"keepdims", int64_t(0)}});
  ir::Value* steps = c.squeeze(c.dim_of(scores, 1), {0});
  const auto scalar = [&](int64_t value) { return c.constant(Tensor::scalar_i64(value)); };
  ir::Value* time = c.op("Range", {scalar(0), steps, scalar(1)});
  ir::Value* is_there = c.op("Less", {c.unsqueeze(time, {0}), c.unsqueeze(lengths, {1})});
  const auto differs = [&](ir::Value* from) { return c.op("Not", {c.op("Equal", {best, from})}); };
  ir::Value* is_kept = c.op("And", {is_there, differs(scalar(blank))});
  if (c.attr_int("merge_repeated", 0)) {
    ir::Value* none = c.filled(c.concat({c.dim_of(scores, 0), c.ints({1})}, 0), -1, DataType::kI64);
    ir::Value* before = c.concat({none, c.slice(best, 1, 0, -1)}, 1);
    is_kept = c.op("And", {is_kept, differs(before)});
  }
  ir::Value* marks = c.cast(is_kept, DataType::kI64);
  ir::Value* places = c.sub(c.op("CumSum", {marks, scalar(1)}), scalar(1));
  ir::Value* found = c.transpose(c.op("NonZero", {is_kept}), {1, 0});
  ir::Value* place = c.unsqueeze(c.op("GatherND", {places, found}), {1});
  ir::Value* indices = c.concat({c.slice(found, 1, 0, 1), place}, 1);
  ir::Value* longest = c.reduce("ReduceMax", c.reduce("ReduceSum", marks, {1}, false), {0}, true);
  ir::Value* top = c.reduce("ReduceMax", scores, {2}, false);
  ir::Value* sum = c.reduce("ReduceSum", c.where(is_there, top, c.scalar_like(0, top)), {1}, true);
  return c.finish({indices, c.op("GatherND", {best, found}),
                   c.concat({c.dim_of(scores, 0), longest}, 0), c.op("Neg", {sum})});
}

}  // namespace

std::vector<opdef::ImportRule> ctc_rules() { return {tensorflow("CTCGreedyDecoder", import_greedy)}; }

}  // namespace planish::ops
