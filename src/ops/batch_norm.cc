// BatchNormalization in its inference form: scale, bias, mean and variance are given per channel.
// Training mode is refused.
#include <cmath>

#include "base/text.h"
#include "ops/fused_epilogue.h"
#include "ops/shape_rules.h"
#include "opdef/import.h"

namespace planish::ops {
namespace {

using opdef::EvalContext;
using opdef::ImportContext;
using opdef::kFloats;
using opdef::NodeView;

Status infer_batch_norm(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 1));
  double epsilon = ctx.attr_float("epsilon");
  if (!(epsilon >= 0)) return bad_attr("epsilon", cat(epsilon), "0 or more");
  // A vector is a batch of one channel.
  Dim channels = ctx.rank(0) > 1 ? ctx.shape(0)[1] : Dim(1);
  for (int i = 1; i < 5; ++i) {
    PLANISH_RETURN_IF_ERROR(check_rank(ctx, i, 1, 1));
    PLANISH_RETURN_IF_ERROR(
        check_same_dim(input_name(ctx, i) + ": length", ctx.shape(i)[0], channels));
  }
  ctx.set_output(0, ctx.dtype(0), ctx.shape(0));
  return ok_status();
}

Status evaluate_batch_norm(EvalContext& ctx) {
  const Tensor& x = ctx.input(0);
  double epsilon = ctx.attr_float("epsilon");
  std::vector<double> scale = ctx.input(1).f64_values(), bias = ctx.input(2).f64_values();
  std::vector<double> mean = ctx.input(3).f64_values(), variance = ctx.input(4).f64_values();
  std::vector<double> y = x.f64_values();
  int64_t channels = x.rank() > 1 ? x.dim(1) : 1;
  int64_t image = x.rank() > 1 ? product(x.dims(), 2, x.rank()) : 1;
  for (size_t i = 0; i < y.size(); ++i) {
    size_t c = size_t(int64_t(i) / image % channels);
    y[i] = (y[i] - mean[c]) / std::sqrt(variance[c] + epsilon) * scale[c] + bias[c];
  }
  ctx.output(0).assign_f64(y);
  return ok_status();
}

Status import_batch_norm(const NodeView& node, ImportContext& ctx) {
  PLANISH_ASSIGN_OR_RETURN(double epsilon, node.attr_float("epsilon", double(1e-5f)));
  PLANISH_ASSIGN_OR_RETURN(int64_t training, node.attr_int("training_mode", 0));
  PLANISH_ASSIGN_OR_RETURN(int64_t spatial, node.attr_int("spatial", 1));
  if (training != 0) return unsupported("training: attribute 'training_mode' is 1, expected 0");
  if (spatial == 0)
    return unsupported("attribute 'spatial': got 0 (statistics per element), expected 1");
  for (int i = 1; i < node.output_count(); ++i)
    if (node.output_used(i))
      return unsupported(cat("training: output ", i, " is used, expected only output 0"));
  std::vector<ir::Value*> inputs;
  for (int i = 0; i < node.input_count(); ++i) inputs.push_back(node.input(i));
  PLANISH_ASSIGN_OR_RETURN(ir::Value * y,
                           ctx.add1("BatchNormalization", inputs, {{"epsilon", epsilon}}));
  ctx.set_output(0, y);
  return ok_status();
}

// The variance of a batch as TensorFlow hands it on: of n elements, over n - 1 (at least 1).
ir::Value* unbiased_variance(Composer& c, ir::Value* x, ir::Value* variance) {
  ir::Value* count = c.cast(c.op("Size", {x}), c.dtype(variance));
  count = c.div(count, c.cast(c.op("Size", {variance}), c.dtype(variance)));
  ir::Value* one = c.scalar_like(1, variance);
  return c.mul(variance, c.div(count, c.op("Max", {c.sub(count, one), one})));
}

// Training (the default of is_training) normalizes with the batch's own statistics.
Status import_fused_batch_norm(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  const bool last = c.channels_last();
  ir::Value *x = c.in(0), *scale = c.in(1), *offset = c.in(2), *mean = c.in(3), *variance = c.in(4);
  if (!c.has_rank(x, 4, 5, "input 0")) return c.finish({});
  if (last) x = c.to_channels_first(x);
  ir::Value* unbiased = nullptr;
  if (c.attr_int("is_training", 1) != 0) {
    std::vector<int64_t> axes = {0};
    for (int i = 2; i < c.rank(x); ++i) axes.push_back(i);
    ir::Value* kept = c.reduce("ReduceMean", x, axes, true);
    ir::Value* distance = c.sub(x, kept);
    mean = c.reduce("ReduceMean", x, axes, false);
    variance = c.reduce("ReduceMean", c.mul(distance, distance), axes, false);
    unbiased = unbiased_variance(c, x, variance);
  }
  ir::Value* y = c.op("BatchNormalization", {x, scale, offset, mean, variance},
                      {{"epsilon", c.attr_float("epsilon", double(1e-4f))}});
  if (last) y = c.to_channels_last(y);
  if (node.op_type() == "_FusedBatchNormEx") {
    if (c.attr_int("num_side_inputs", 0) > 0) y = c.add(y, c.in(5));
    y = apply_activation(c, y, c.attr_string("activation_mode", "Identity"));
  }
  return c.finish({y, mean, unbiased ? unbiased : variance, mean, variance, mean});
}
Status import_global_batch_norm(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value *x = c.in(0), *scale = c.in(4);
  if (c.attr_int("scale_after_normalization", 1) == 0) scale = c.filled(c.dim_of(scale, 0), 1, c.dtype(x));
  ir::Value* y = c.op("BatchNormalization", {c.to_channels_first(x), scale, c.in(3), c.in(1), c.in(2)},
                      {{"epsilon", c.attr_float("variance_epsilon", 1e-3)}});
  return c.finish({c.to_channels_last(y)});
}

}  // namespace

void register_batch_norm(opdef::OpRegistry& registry) {
  opdef::OpDef def;
  def.name = "BatchNormalization";
  def.doc = "(x - mean) / sqrt(variance + epsilon) * scale + B, per channel (dim 1).";
  def.inputs = {operand("X", kFloats, "N C spatial"), operand("scale", kFloats, "C", "T1"),
                operand("B", kFloats, "C", "T1"), operand("input_mean", kFloats, "C", "T2"),
                operand("input_var", kFloats, "C", "T2")};
  def.outputs = {operand("Y", kFloats, "N C spatial")};
  def.attrs = {opdef::float_attr("epsilon", double(1e-5f), "added to the variance")};
  def.infer = infer_batch_norm;
  def.evaluate = evaluate_batch_norm;
  def.onnx = {{"BatchNormalization", "", 7, 1 << 30, import_batch_norm}};
  for (const char* tf : {"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3",
                         "_FusedBatchNormEx"})
    def.tensorflow.push_back(tensorflow(tf, import_fused_batch_norm));
  def.tensorflow.push_back(
      tensorflow("BatchNormWithGlobalNormalization", import_global_batch_norm));
  registry.add(std::move(def));
}

}  // namespace planish::ops
