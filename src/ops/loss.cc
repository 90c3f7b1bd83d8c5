// NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss, forward only.
#include <cmath>
#include <limits>

#include "base/text.h"
#include "ops/composer.h"
#include "ops/lines.h"
#include "ops/shape_rules.h"

namespace planish::ops {
namespace {

using opdef::AttrKind;
using opdef::EvalContext;
using opdef::kFloats;

Status infer_loss(InferContext& ctx) {
  const std::string& reduction = ctx.attr_string("reduction");
  if (reduction != "none" && reduction != "mean" && reduction != "sum")
    return bad_attr("reduction", cat("'", reduction, "'"), "'none', 'mean' or 'sum'");
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 2));
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 1, ctx.rank(0) - 1, ctx.rank(0) - 1));
  const Shape &x = ctx.shape(0), &target = ctx.shape(1);
  for (size_t i = 0; i < target.size(); ++i)
    PLANISH_RETURN_IF_ERROR(check_same_dim(cat(input_name(ctx, 1), ": dim ", i), target[i],
                                           x[i == 0 ? 0 : i + 1]));
  if (ctx.has_input(2)) {
    PLANISH_RETURN_IF_ERROR(check_rank(ctx, 2, 1, 1));
    PLANISH_RETURN_IF_ERROR(
        check_same_dim(input_name(ctx, 2) + ": length", ctx.shape(2)[0], x[1]));
  }
  ctx.set_output(0, ctx.dtype(0), reduction == "none" ? target : Shape());
  ctx.set_output(1, ctx.dtype(0), x);
  return ok_status();
}

// Weighted -log p of the target class at every place, reduced as asked. `log_p` as input 0 lies.
Status finish_loss(EvalContext& ctx, const std::vector<double>& log_p) {
  const Tensor &x = ctx.input(0), &target = ctx.input(1);
  Lines lines = lines_of(x.dims(), 1);
  std::vector<int64_t> classes = target.i64_values();
  std::vector<double> weights, losses;
  if (ctx.has_input(2)) weights = ctx.input(2).f64_values();
  bool ignores = ctx.has_attr("ignore_index");
  int64_t ignored = ignores ? ctx.attr_int("ignore_index") : 0;
  double sum = 0, weight_sum = 0;
  for (int64_t l = 0; l < lines.count(); ++l) {
    int64_t c = classes[size_t(l)];
    double weight = 0, loss = 0;
    if (!ignores || c != ignored) {
      if (c < 0 || c >= lines.length)
        return invalid_argument(cat("input 1: got class ", c, ", expected 0 to ", lines.length - 1));
      weight = weights.empty() ? 1 : weights[size_t(c)];
      loss = -weight * log_p[size_t(lines.start(l) + c * lines.step())];
    }
    losses.push_back(loss);
    sum += loss;
    weight_sum += weight;
  }
  const std::string& reduction = ctx.attr_string("reduction");
  if (reduction != "none") losses = {reduction == "sum" ? sum : sum / weight_sum};
  ctx.output(0).assign_f64(losses);
  return ok_status();
}

Status evaluate_nll(EvalContext& ctx) { return finish_loss(ctx, ctx.input(0).f64_values()); }

Status evaluate_cross_entropy(EvalContext& ctx) {
  const Tensor& x = ctx.input(0);
  Lines lines = lines_of(x.dims(), 1);
  std::vector<double> log_p = x.f64_values();
  for (int64_t l = 0; l < lines.count(); ++l) {
    double* line = log_p.data() + lines.start(l);
    double top = -std::numeric_limits<double>::infinity(), sum = 0;
    for (int64_t i = 0; i < lines.length; ++i) top = std::fmax(top, line[i * lines.step()]);
    for (int64_t i = 0; i < lines.length; ++i) sum += std::exp(line[i * lines.step()] - top);
    for (int64_t i = 0; i < lines.length; ++i) line[i * lines.step()] -= top + std::log(sum);
  }
  if (ctx.output_count() > 1) ctx.output(1).assign_f64(log_p);
  return finish_loss(ctx, log_p);
}

// Of rows of scores: the loss, and its gradient.
Status import_rows(const opdef::NodeView& node, opdef::ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value *scores = c.in(0), *target = c.in(1);
  if (!c.has_rank(scores, 2, 2, "input 0 (features)")) return c.finish({});
  const ir::Attributes rows = {{"axis", int64_t(1)}};
  ir::Value* log_p = c.op("LogSoftmax", {scores}, rows);
  const bool is_sparse = node.op_type() == "SparseSoftmaxCrossEntropyWithLogits";
  ir::Value* loss = nullptr;
  if (is_sparse) {
    ir::Value* place = c.unsqueeze(c.i64(target), {1});
    loss = c.squeeze(c.op("GatherElements", {log_p, place}, rows), {1});
    if (node.output_count() > 1) {
      ir::Value* ends = c.constant(Tensor::from_f64(c.dtype(scores), {2}, std::vector<double>{0, 1}));
      target = c.op("OneHot", {c.i64(target), c.dim_of(scores, 1), ends}, rows);
    }
  } else {
    loss = c.reduce("ReduceSum", c.mul(target, log_p), {1}, false);
  }
  loss = c.op("Neg", {loss});
  if (node.output_count() < 2) return c.finish({loss});
  return c.finish({loss, c.sub(c.op("Softmax", {scores}, rows), target)});
}

opdef::OpDef loss_def(std::string name, std::string doc, std::string input, std::string target,
                      std::string weights, std::string output) {
  opdef::OpDef def;
  def.name = std::move(name);
  def.doc = std::move(doc);
  def.inputs = {operand(std::move(input), kFloats, "N C places"),
                operand(std::move(target), opdef::kIndices, "class, N places", "Tind"),
                optional_operand(std::move(weights), kFloats, "per class; 1 when absent")};
  def.outputs = {operand(std::move(output), kFloats, "scalar, or N places with reduction 'none'")};
  def.attrs = {opdef::optional_attr("ignore_index", AttrKind::kInt, "class that does not count"),
               opdef::string_attr("reduction", "mean", "'none', 'mean' (weighted) or 'sum'")};
  def.kind = opdef::FusionKind::kReduction;
  def.infer = infer_loss;
  return def;
}

}  // namespace

void register_loss(opdef::OpRegistry& registry) {
  opdef::OpDef def = loss_def("NegativeLogLikelihoodLoss",
                              "Minus the log probability of the target class.", "input", "target",
                              "weight", "loss");
  def.evaluate = evaluate_nll;
  registry.add(std::move(def));

  def = loss_def("SoftmaxCrossEntropyLoss",
                 "Minus the log softmax score of the target class, and the log softmax itself.",
                 "scores", "labels", "weights", "output");
  def.outputs.push_back(optional_operand("log_prob", kFloats, "N C places"));
  def.evaluate = evaluate_cross_entropy;
  def.tensorflow = {tensorflow("SoftmaxCrossEntropyWithLogits", import_rows),
                    tensorflow("SparseSoftmaxCrossEntropyWithLogits", import_rows)};
  registry.add(std::move(def));
}

}  // namespace planish::ops
