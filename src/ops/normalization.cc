// Normalizations over trailing dims, images or channel groups: LayerNormalization,
// RMSNormalization, InstanceNormalization, GroupNormalization, MeanVarianceNormalization,
// LpNormalization and LRN. Means and variances are exact two-pass sums in double.
#include <cmath>

#include "base/text.h"
#include "ops/composer.h"
#include "ops/broadcast_map.h"
#include "ops/lines.h"
#include "ops/reduction.h"
#include "opdef/import.h"

namespace planish::ops {
namespace {

using opdef::AttrKind;
using opdef::EvalContext;
using opdef::float_attr;
using opdef::ImportContext;
using opdef::int_attr;
using opdef::kFloats;
using opdef::NodeView;

const double kEpsilon = double(1e-5f);

Status check_epsilon(const InferContext& ctx) {
  double epsilon = ctx.attr_float("epsilon");
  return epsilon >= 0 ? ok_status() : bad_attr("epsilon", cat(epsilon), "0 or more");
}

// An operand that broadcasts to `shape` without changing it.
Status check_broadcasts_to(const InferContext& ctx, int input, const Shape& shape) {
  if (!ctx.has_input(input)) return ok_status();
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, input, 0, int(shape.size())));
  PLANISH_ASSIGN_OR_RETURN(Shape both, broadcast(shape, ctx.shape(input)));
  for (size_t i = 0; i < shape.size(); ++i)
    PLANISH_RETURN_IF_ERROR(
        check_same_dim(cat(input_name(ctx, input), ": broadcast dim ", i), both[i], shape[i]));
  return ok_status();
}

// A vector of one value per channel (dim 1 of X).
Status check_per_channel(const InferContext& ctx, int input) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, input, 1, 1));
  return check_same_dim(input_name(ctx, input) + ": length", ctx.shape(input)[0], ctx.shape(0)[1]);
}

struct Moments {
  double mean = 0, variance = 0;
};
Moments moments_of(const double* x, int64_t count) {
  Moments m;
  for (int64_t i = 0; i < count; ++i) m.mean += x[i];
  m.mean /= double(count);
  for (int64_t i = 0; i < count; ++i) m.variance += (x[i] - m.mean) * (x[i] - m.mean);
  m.variance /= double(count);
  return m;
}

// ---- over trailing dims ----

Result<DataType> stash_dtype(const InferContext& ctx) {
  int64_t stash = ctx.attr_int("stash_type");
  if (stash == 1) return DataType::kF32;
  if (stash == 16) return DataType::kBF16;
  if (stash == 10) return DataType::kF16;
  if (stash == 11) return DataType::kF64;
  return bad_attr("stash_type", cat(stash), "1 (float), 10, 11 or 16 (bfloat16)");
}

Status infer_layer_norm(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 1));
  PLANISH_RETURN_IF_ERROR(check_epsilon(ctx));
  PLANISH_ASSIGN_OR_RETURN(int axis, ctx.axis("axis", ctx.rank(0)));
  PLANISH_ASSIGN_OR_RETURN(DataType stash, stash_dtype(ctx));
  PLANISH_RETURN_IF_ERROR(check_broadcasts_to(ctx, 1, ctx.shape(0)));
  PLANISH_RETURN_IF_ERROR(check_broadcasts_to(ctx, 2, ctx.shape(0)));
  Shape moments = ctx.shape(0);
  for (size_t i = size_t(axis); i < moments.size(); ++i) moments[i] = Dim(1);
  ctx.set_output(0, ctx.dtype(0), ctx.shape(0));
  ctx.set_output(1, stash, moments);
  ctx.set_output(2, stash, moments);
  return ok_status();
}

int normalized_axis(EvalContext& ctx, std::string_view key = "axis") {
  int64_t axis = ctx.attr_int(key);
  return int(axis < 0 ? axis + ctx.input(0).rank() : axis);
}

// y = y * scale + bias, both broadcast.
void scale_and_shift(EvalContext& ctx, std::vector<double>& y, int scale, int bias) {
  const std::vector<int64_t>& dims = ctx.input(0).dims();
  std::vector<double> s = ctx.input(scale).f64_values();
  std::vector<int64_t> map = broadcast_map(dims, ctx.input(scale).dims());
  for (size_t i = 0; i < y.size(); ++i) y[i] *= s[size_t(map[i])];
  if (bias < 0 || !ctx.has_input(bias)) return;
  std::vector<double> b = ctx.input(bias).f64_values();
  map = broadcast_map(dims, ctx.input(bias).dims());
  for (size_t i = 0; i < y.size(); ++i) y[i] += b[size_t(map[i])];
}

Status evaluate_layer_norm(EvalContext& ctx) {
  const Tensor& x = ctx.input(0);
  int axis = normalized_axis(ctx);
  double epsilon = ctx.attr_float("epsilon");
  int64_t rows = product(x.dims(), 0, axis), size = product(x.dims(), axis, x.rank());
  std::vector<double> y = x.f64_values(), means, inverses;
  for (int64_t row = 0; row < rows; ++row) {
    double* line = y.data() + row * size;
    Moments m = moments_of(line, size);
    double inverse = 1 / std::sqrt(m.variance + epsilon);
    for (int64_t i = 0; i < size; ++i) line[i] = (line[i] - m.mean) * inverse;
    means.push_back(m.mean);
    inverses.push_back(inverse);
  }
  scale_and_shift(ctx, y, 1, 2);
  ctx.output(0).assign_f64(y);
  if (ctx.output_count() > 1) ctx.output(1).assign_f64(means);
  if (ctx.output_count() > 2) ctx.output(2).assign_f64(inverses);
  return ok_status();
}

Status infer_rms_norm(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 1));
  PLANISH_RETURN_IF_ERROR(check_epsilon(ctx));
  PLANISH_RETURN_IF_ERROR(ctx.axis("axis", ctx.rank(0)).status());
  PLANISH_RETURN_IF_ERROR(stash_dtype(ctx).status());
  PLANISH_RETURN_IF_ERROR(check_broadcasts_to(ctx, 1, ctx.shape(0)));
  ctx.set_output(0, ctx.dtype(1), ctx.shape(0));
  return ok_status();
}

Status evaluate_rms_norm(EvalContext& ctx) {
  const Tensor& x = ctx.input(0);
  int axis = normalized_axis(ctx);
  double epsilon = ctx.attr_float("epsilon");
  int64_t rows = product(x.dims(), 0, axis), size = product(x.dims(), axis, x.rank());
  std::vector<double> y = x.f64_values();
  for (int64_t row = 0; row < rows; ++row) {
    double* line = y.data() + row * size;
    double sum = 0;
    for (int64_t i = 0; i < size; ++i) sum += line[i] * line[i];
    double inverse = 1 / std::sqrt(sum / double(size) + epsilon);
    for (int64_t i = 0; i < size; ++i) line[i] *= inverse;
  }
  scale_and_shift(ctx, y, 1, -1);
  ctx.output(0).assign_f64(y);
  return ok_status();
}

int64_t trailing_size(const ir::Node& node) {
  const Shape& x = node.inputs[0]->type.shape;
  int64_t axis = node.attr_int("axis");
  int first = int(axis < 0 ? axis + int64_t(x.size()) : axis);
  return std::max<int64_t>(product(x, first, int(x.size())).constant().value_or(1), 1);
}

// ---- over images and channel groups ----

Status infer_instance_norm(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 3));
  PLANISH_RETURN_IF_ERROR(check_epsilon(ctx));
  PLANISH_RETURN_IF_ERROR(check_per_channel(ctx, 1));
  PLANISH_RETURN_IF_ERROR(check_per_channel(ctx, 2));
  ctx.set_output(0, ctx.dtype(0), ctx.shape(0));
  return ok_status();
}

Status infer_group_norm(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 2));
  PLANISH_RETURN_IF_ERROR(check_epsilon(ctx));
  int64_t groups = ctx.attr_int("num_groups");
  if (groups < 1) return bad_attr("num_groups", cat(groups), "at least 1");
  if (auto c = ctx.shape(0)[1].constant(); c && *c % groups != 0)
    return bad_attr("num_groups", cat(groups), cat("a divisor of the ", *c, " channels"));
  PLANISH_RETURN_IF_ERROR(check_per_channel(ctx, 1));
  PLANISH_RETURN_IF_ERROR(check_per_channel(ctx, 2));
  ctx.set_output(0, ctx.dtype(0), ctx.shape(0));
  return ok_status();
}

// Every group of channels of every batch element is normalized; scale and bias are per channel.
Status evaluate_groups(EvalContext& ctx, int64_t groups) {
  const Tensor& x = ctx.input(0);
  double epsilon = ctx.attr_float("epsilon");
  int64_t channels = x.dim(1), image = product(x.dims(), 2, x.rank());
  std::vector<double> y = x.f64_values();
  std::vector<double> scale = ctx.input(1).f64_values(), bias = ctx.input(2).f64_values();
  int64_t size = groups > 0 ? channels / groups * image : 0;
  if (size > 0)
    for (int64_t g = 0; g < x.dim(0) * groups; ++g) {
      Moments m = moments_of(y.data() + g * size, size);
      double inverse = 1 / std::sqrt(m.variance + epsilon);
      for (int64_t i = g * size; i < (g + 1) * size; ++i) {
        size_t c = size_t(i / image % channels);
        y[size_t(i)] = (y[size_t(i)] - m.mean) * inverse * scale[c] + bias[c];
      }
    }
  ctx.output(0).assign_f64(y);
  return ok_status();
}

Status evaluate_instance_norm(EvalContext& ctx) {
  return evaluate_groups(ctx, ctx.input(0).dim(1));
}
Status evaluate_group_norm(EvalContext& ctx) {
  return evaluate_groups(ctx, ctx.attr_int("num_groups"));
}

int64_t group_size(const ir::Node& node) {
  const Shape& x = node.inputs[0]->type.shape;
  int64_t all = product(x, 1, int(x.size())).constant().value_or(1);
  int64_t groups = node.op == "GroupNormalization" ? node.attr_int("num_groups")
                                                   : x[1].constant().value_or(1);
  return std::max<int64_t>(groups > 0 ? all / groups : 1, 1);
}

// Before opset 21 scale and bias are per group: repeated over the group's channels.
Status import_group_norm_18(const NodeView& node, ImportContext& ctx) {
  if (!node.has_input(0) || !node.has_input(1) || !node.has_input(2))
    return invalid_argument("GroupNormalization takes three inputs");
  PLANISH_ASSIGN_OR_RETURN(int64_t groups, node.attr_int("num_groups", 0));
  PLANISH_ASSIGN_OR_RETURN(double epsilon, node.attr_float("epsilon", kEpsilon));
  ir::Value* x = node.input(0);
  std::vector<ir::Value*> inputs = {x};
  auto channels = x->type.rank() > 1 ? x->type.shape[1].constant() : std::nullopt;
  if (!channels) return unsupported("input 0 (X): the channel count has to be known");
  if (groups < 1 || *channels % groups != 0)
    return bad_attr("num_groups", cat(groups), cat("a divisor of the ", *channels, " channels"));
  for (int i = 1; i <= 2; ++i) {
    ir::Value* v = node.input(i);
    if (v->type.rank() != 1 || v->type.shape[0] != Dim(groups))
      return invalid_argument(cat("input ", i, ": got ", ir::to_string(v->type), ", expected [",
                                  groups, "]"));
    PLANISH_ASSIGN_OR_RETURN(v, ctx.add1("Reshape", {v, ctx.constant_i64({groups, 1})}));
    PLANISH_ASSIGN_OR_RETURN(
        v, ctx.add1("Expand", {v, ctx.constant_i64({groups, *channels / groups})}));
    PLANISH_ASSIGN_OR_RETURN(v, ctx.add1("Reshape", {v, ctx.constant_i64({*channels})}));
    inputs.push_back(v);
  }
  PLANISH_ASSIGN_OR_RETURN(
      ir::Value * y, ctx.add1("GroupNormalization", inputs,
                              {{"num_groups", groups}, {"epsilon", epsilon}}));
  ctx.set_output(0, y);
  return ok_status();
}

// ---- over chosen axes ----

Status infer_mean_variance(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(
      normalize_axes("attribute 'axes'", ctx.attr_ints("axes"), ctx.rank(0)).status());
  ctx.set_output(0, ctx.dtype(0), ctx.shape(0));
  return ok_status();
}

// (x - mean) / (deviation + 1e-9), as the ONNX function body has it.
Status evaluate_mean_variance(EvalContext& ctx) {
  const Tensor& x = ctx.input(0);
  PLANISH_ASSIGN_OR_RETURN(std::vector<int> axes,
                           normalize_axes("attribute 'axes'", ctx.attr_ints("axes"), x.rank()));
  ReductionMap map = reduction_map(x.dims(), axes);
  std::vector<double> y = x.f64_values();
  std::vector<double> mean(size_t(map.output_count), 0.0), deviation(mean);
  for (size_t i = 0; i < y.size(); ++i) mean[size_t(map.slot[i])] += y[i];
  for (double& m : mean) m /= double(map.reduced_count);
  for (size_t i = 0; i < y.size(); ++i) {
    size_t slot = size_t(map.slot[i]);
    deviation[slot] += (y[i] - mean[slot]) * (y[i] - mean[slot]);
  }
  for (double& d : deviation) d = std::sqrt(d / double(map.reduced_count)) + 1e-9;
  for (size_t i = 0; i < y.size(); ++i) {
    size_t slot = size_t(map.slot[i]);
    y[i] = (y[i] - mean[slot]) / deviation[slot];
  }
  ctx.output(0).assign_f64(y);
  return ok_status();
}

Status infer_lp_norm(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 1));
  PLANISH_RETURN_IF_ERROR(ctx.axis("axis", ctx.rank(0)).status());
  int64_t p = ctx.attr_int("p");
  if (p != 1 && p != 2) return bad_attr("p", cat(p), "1 or 2");
  ctx.set_output(0, ctx.dtype(0), ctx.shape(0));
  return ok_status();
}

// A line of zeros stays zero.
Status evaluate_lp_norm(EvalContext& ctx) {
  const Tensor& x = ctx.input(0);
  Lines lines = lines_of(x.dims(), normalized_axis(ctx));
  bool squares = ctx.attr_int("p") == 2;
  std::vector<double> y = x.f64_values();
  for (int64_t l = 0; l < lines.count(); ++l) {
    double* line = y.data() + lines.start(l);
    double norm = 0;
    for (int64_t i = 0; i < lines.length; ++i) {
      double v = line[i * lines.step()];
      norm += squares ? v * v : std::fabs(v);
    }
    if (squares) norm = std::sqrt(norm);
    if (norm == 0) continue;
    for (int64_t i = 0; i < lines.length; ++i) line[i * lines.step()] /= norm;
  }
  ctx.output(0).assign_f64(y);
  return ok_status();
}

int64_t line_length(const ir::Node& node) {
  const Shape& x = node.inputs[0]->type.shape;
  int64_t axis = node.attr_int("axis");
  if (axis < 0) axis += int64_t(x.size());
  return std::max<int64_t>(x[size_t(axis)].constant().value_or(1), 1);
}

Status infer_lrn(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 2));
  int64_t size = ctx.attr_int("size");
  if (size < 1) return bad_attr("size", cat(size), "at least 1");
  ctx.set_output(0, ctx.dtype(0), ctx.shape(0));
  return ok_status();
}

// x / (bias + alpha / size * sum of squares over neighbouring channels) ^ beta
Status evaluate_lrn(EvalContext& ctx) {
  const Tensor& x = ctx.input(0);
  int64_t size = ctx.attr_int("size");
  double alpha = ctx.attr_float("alpha"), beta = ctx.attr_float("beta");
  double bias = ctx.attr_float("bias");
  int64_t before = (size - 1) / 2, after = size - 1 - before;
  Lines lines = lines_of(x.dims(), 1);
  std::vector<double> in = x.f64_values(), y(in.size());
  for (int64_t l = 0; l < lines.count(); ++l)
    for (int64_t c = 0; c < lines.length; ++c) {
      int64_t first = c > before ? c - before : 0;
      int64_t last = after >= lines.length - c ? lines.length - 1 : c + after;
      double sum = 0;
      for (int64_t i = first; i <= last; ++i) {
        double v = in[size_t(lines.start(l) + i * lines.step())];
        sum += v * v;
      }
      size_t at = size_t(lines.start(l) + c * lines.step());
      y[at] = in[at] / std::pow(bias + alpha / double(size) * sum, beta);
    }
  ctx.output(0).assign_f64(y);
  return ok_status();
}

opdef::OpDef norm_def(std::string name, std::string doc) {
  opdef::OpDef def;
  def.name = std::move(name);
  def.doc = std::move(doc);
  def.inputs = {operand("X", kFloats, "operand")};
  def.outputs = {operand("Y", kFloats, "result, of the operand's shape")};
  def.kind = opdef::FusionKind::kReduction;
  return def;
}

opdef::AttrSpec epsilon_attr() {
  return float_attr("epsilon", kEpsilon, "added to the variance");
}
opdef::AttrSpec stash_attr() {
  return int_attr("stash_type", 1, "ONNX number of the type that the statistics are held in");
}

void register_trailing(opdef::OpRegistry& registry) {
  opdef::OpDef def = norm_def("LayerNormalization",
                              "Zero mean and unit variance over the dims from axis on, then "
                              "scale and bias.");
  def.inputs.push_back(operand("Scale", kFloats, "broadcasts to the normalized dims"));
  def.inputs.push_back(optional_operand("B", kFloats, "broadcasts to the normalized dims"));
  def.outputs.push_back(optional_operand("Mean", kFloats, "of every row", "U"));
  def.outputs.push_back(optional_operand("InvStdDev", kFloats, "1 / deviation of every row", "U"));
  def.attrs = {int_attr("axis", -1, "first normalized dim"), epsilon_attr(), stash_attr()};
  def.infer = infer_layer_norm;
  def.evaluate = evaluate_layer_norm;
  def.accumulation = trailing_size;
  registry.add(std::move(def));

  def = norm_def("RMSNormalization", "x / sqrt(mean of squares over the dims from axis on), scaled.");
  def.inputs.push_back(operand("scale", kFloats, "broadcasts to the normalized dims", "V"));
  def.outputs = {operand("Y", kFloats, "result, of the operand's shape", "V")};
  def.attrs = {int_attr("axis", -1, "first normalized dim"), epsilon_attr(), stash_attr()};
  def.infer = infer_rms_norm;
  def.evaluate = evaluate_rms_norm;
  def.accumulation = trailing_size;
  registry.add(std::move(def));
}

void register_groups(opdef::OpRegistry& registry) {
  opdef::OpDef def =
      norm_def("InstanceNormalization", "Zero mean and unit variance of every image.");
  def.inputs.push_back(operand("scale", kFloats, "per channel"));
  def.inputs.push_back(operand("B", kFloats, "per channel"));
  def.attrs = {epsilon_attr()};
  def.infer = infer_instance_norm;
  def.evaluate = evaluate_instance_norm;
  def.accumulation = group_size;
  registry.add(std::move(def));

  def = norm_def("GroupNormalization", "Zero mean and unit variance of every group of channels.");
  def.inputs.push_back(operand("scale", kFloats, "per channel"));
  def.inputs.push_back(operand("bias", kFloats, "per channel"));
  def.attrs = {epsilon_attr(), stash_attr(),
               opdef::required_attr("num_groups", AttrKind::kInt, "groups of channels")};
  def.infer = infer_group_norm;
  def.evaluate = evaluate_group_norm;
  def.accumulation = group_size;
  def.onnx = {{"GroupNormalization", "", 18, 20, import_group_norm_18},
              {"GroupNormalization", "", 21, 1 << 30, nullptr}};
  registry.add(std::move(def));
}

Status import_tensorflow_lrn(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  const int64_t size = 2 * c.attr_int("depth_radius", 5) + 1;
  ir::Value* y = c.op("LRN", {c.to_channels_first(c.in(0))},
                      {{"size", size}, {"alpha", c.attr_float("alpha", 1) * double(size)},
                       {"beta", c.attr_float("beta", 0.5)}, {"bias", c.attr_float("bias", 1)}});
  return c.finish({c.to_channels_last(y)});
}

}  // namespace

void register_normalization(opdef::OpRegistry& registry) {
  register_trailing(registry);
  register_groups(registry);

  opdef::OpDef def =
      norm_def("MeanVarianceNormalization", "Zero mean and unit variance over the axes.");
  def.attrs = {opdef::ints_attr("axes", {0, 2, 3}, "reduced together")};
  def.infer = infer_mean_variance;
  def.evaluate = evaluate_mean_variance;
  registry.add(std::move(def));

  def = norm_def("LpNormalization", "Every line along the axis divided by its p-norm.");
  def.attrs = {int_attr("axis", -1, "of the lines"), int_attr("p", 2, "1 or 2")};
  def.infer = infer_lp_norm;
  def.evaluate = evaluate_lp_norm;
  def.accumulation = line_length;
  registry.add(std::move(def));

  def = norm_def("LRN", "Division by a power of the neighbouring channels' sum of squares.");
  def.attrs = {float_attr("alpha", double(1e-4f), "factor of the sum"),
               float_attr("beta", 0.75, "exponent"), float_attr("bias", 1, "added to the sum"),
               opdef::required_attr("size", AttrKind::kInt, "channels that are summed")};
  def.infer = infer_lrn;
  def.evaluate = evaluate_lrn;
  def.tensorflow = {tensorflow("LRN", import_tensorflow_lrn)};
  registry.add(std::move(def));
}

}  // namespace planish::ops
