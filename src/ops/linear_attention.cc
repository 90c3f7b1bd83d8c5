// LinearAttention: a recurrence over the sequence that keeps one matrix of state per head, with
// optional decay and delta correction; and CausalConvWithState, the short depthwise convolution that
// stands before it in such networks. Both carry their state from call to call.
#include <cmath>

#include "base/text.h"
#include "ops/shape_rules.h"

namespace planish::ops {
namespace {

using opdef::AttrKind;
using opdef::EvalContext;
using opdef::kFloats;

enum Input { kQuery, kKey, kValue, kPast, kDecay, kBeta };

struct UpdateRule {
  bool decays = false, corrects = false;
};
Result<UpdateRule> update_rule(const std::string& name) {
  if (name == "linear") return UpdateRule{false, false};
  if (name == "gated") return UpdateRule{true, false};
  if (name == "delta") return UpdateRule{false, true};
  if (name == "gated_delta") return UpdateRule{true, true};
  return bad_attr("update_rule", cat("'", name, "'"), "'linear', 'gated', 'delta' or 'gated_delta'");
}

Status check_presence(const InferContext& ctx, int input, bool wanted) {
  if (ctx.has_input(input) == wanted) return ok_status();
  return invalid_argument(cat("input ", input, input == kDecay ? " (decay)" : " (beta)",
                              wanted ? " is missing, expected it with update_rule '"
                                     : ": got one, expected none with update_rule '",
                              ctx.attr_string("update_rule"), "'"));
}

Result<Dim> per_head(const InferContext& ctx, int input, std::string_view key, int64_t heads) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, input, 3, 3));
  const Dim& width = ctx.shape(input)[2];
  if (width.is_constant() && width.value() % heads != 0)
    return bad_attr(key, cat(heads), cat("a divisor of the ", width.value(), " elements of ",
                                         input_name(ctx, input)));
  return floordiv(width, heads);
}

// A gate of batch x sequence x one of the given widths.
Status check_gate(const InferContext& ctx, int input, const Dim& narrow, const Dim& wide) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, input, 3, 3));
  const Shape &gate = ctx.shape(input), &query = ctx.shape(kQuery);
  std::string name = input_name(ctx, input);
  for (size_t i = 0; i < 2; ++i)
    PLANISH_RETURN_IF_ERROR(check_same_dim(cat(name, ": dim ", i), gate[i], query[i]));
  if (gate[2] == narrow || !wide.is_constant()) return ok_status();
  return check_same_dim(cat(name, ": dim 2, other than ", narrow.to_string()), gate[2], wide);
}

Status infer_linear_attention(InferContext& ctx) {
  PLANISH_ASSIGN_OR_RETURN(UpdateRule rule, update_rule(ctx.attr_string("update_rule")));
  int64_t q_heads = ctx.attr_int("q_num_heads"), kv_heads = ctx.attr_int("kv_num_heads");
  if (kv_heads < 1) return bad_attr("kv_num_heads", cat(kv_heads), "at least 1");
  if (q_heads < 1 || q_heads % kv_heads != 0)
    return bad_attr("q_num_heads", cat(q_heads), cat("a multiple of kv_num_heads = ", kv_heads));
  PLANISH_ASSIGN_OR_RETURN(Dim dk, per_head(ctx, kQuery, "q_num_heads", q_heads));
  PLANISH_ASSIGN_OR_RETURN(Dim key_size, per_head(ctx, kKey, "kv_num_heads", kv_heads));
  PLANISH_ASSIGN_OR_RETURN(Dim dv, per_head(ctx, kValue, "kv_num_heads", kv_heads));
  PLANISH_RETURN_IF_ERROR(check_same_dim("input 1 (key): head size", key_size, dk));
  const Shape& query = ctx.shape(kQuery);
  for (int input : {kKey, kValue})
    for (size_t i = 0; i < 2; ++i)
      PLANISH_RETURN_IF_ERROR(check_same_dim(cat(input_name(ctx, input), ": dim ", i),
                                             ctx.shape(input)[i], query[i]));
  PLANISH_RETURN_IF_ERROR(check_presence(ctx, kDecay, rule.decays));
  PLANISH_RETURN_IF_ERROR(check_presence(ctx, kBeta, rule.corrects));
  if (rule.decays) PLANISH_RETURN_IF_ERROR(check_gate(ctx, kDecay, kv_heads, dk * Dim(kv_heads)));
  if (rule.corrects) PLANISH_RETURN_IF_ERROR(check_gate(ctx, kBeta, kv_heads, 1));
  Shape state = {query[0], Dim(kv_heads), dk, dv};
  DataType state_type = ctx.dtype(kQuery);
  if (ctx.has_input(kPast)) {
    PLANISH_RETURN_IF_ERROR(check_rank(ctx, kPast, 4, 4));
    for (size_t i = 0; i < 4; ++i)
      PLANISH_RETURN_IF_ERROR(
          check_same_dim(cat("input 3 (past_state): dim ", i), ctx.shape(kPast)[i], state[i]));
    state_type = ctx.dtype(kPast);
  }
  ctx.set_output(0, ctx.dtype(kQuery), {query[0], query[1], dv * Dim(q_heads)});
  ctx.set_output(1, state_type, std::move(state));
  return ok_status();
}

// One head's step: state (dk x dv) decays, takes in key and value, in this order.
void advance(double* state, int64_t dk, int64_t dv, const double* key, const double* value,
             const double* decay, int64_t decay_step, const double* beta,
             std::vector<double>& update) {
  if (decay)
    for (int64_t d = 0; d < dk; ++d)
      for (int64_t m = 0; m < dv; ++m) state[d * dv + m] *= std::exp(decay[d * decay_step]);
  update.assign(value, value + dv);
  if (beta)
    for (int64_t m = 0; m < dv; ++m) {
      double known = 0;
      for (int64_t d = 0; d < dk; ++d) known += state[d * dv + m] * key[d];
      update[size_t(m)] = *beta * (value[m] - known);
    }
  for (int64_t d = 0; d < dk; ++d)
    for (int64_t m = 0; m < dv; ++m) state[d * dv + m] += key[d] * update[size_t(m)];
}

Status evaluate_linear_attention(EvalContext& ctx) {
  int64_t q_heads = ctx.attr_int("q_num_heads"), kv_heads = ctx.attr_int("kv_num_heads");
  const Tensor& q = ctx.input(kQuery);
  int64_t batch = q.dim(0), steps = q.dim(1), dk = q.dim(2) / q_heads;
  int64_t dv = ctx.input(kValue).dim(2) / kv_heads, group = q_heads / kv_heads;
  std::vector<double> query = q.f64_values(), key = ctx.input(kKey).f64_values();
  std::vector<double> value = ctx.input(kValue).f64_values(), decay, beta;
  if (ctx.has_input(kDecay)) decay = ctx.input(kDecay).f64_values();
  if (ctx.has_input(kBeta)) beta = ctx.input(kBeta).f64_values();
  int64_t decay_width = decay.empty() ? 0 : ctx.input(kDecay).dim(2);
  int64_t beta_width = beta.empty() ? 0 : ctx.input(kBeta).dim(2);
  std::vector<double> state(size_t(batch * kv_heads * dk * dv), 0.0);
  if (ctx.has_input(kPast)) state = ctx.input(kPast).f64_values();
  double scale = ctx.attr_float("scale");
  if (scale == 0) scale = 1 / std::sqrt(double(std::max<int64_t>(dk, 1)));
  std::vector<double> y(size_t(batch * steps * q_heads * dv), 0.0), update;
  for (int64_t n = 0; n < batch; ++n)
    for (int64_t t = 0; t < steps; ++t) {
      int64_t row = n * steps + t;
      for (int64_t h = 0; h < kv_heads; ++h) {
        bool per_head_decay = decay_width == kv_heads;
        const double* g = decay.empty() ? nullptr
                                        : &decay[size_t(row * decay_width +
                                                        (per_head_decay ? h : h * dk))];
        const double* b =
            beta.empty() ? nullptr : &beta[size_t(row * beta_width + (beta_width == 1 ? 0 : h))];
        advance(state.data() + (n * kv_heads + h) * dk * dv, dk, dv,
                key.data() + (row * kv_heads + h) * dk, value.data() + (row * kv_heads + h) * dv, g,
                per_head_decay ? 0 : 1, b, update);
      }
      for (int64_t h = 0; h < q_heads; ++h) {
        const double* s = state.data() + (n * kv_heads + h / group) * dk * dv;
        const double* from = query.data() + (row * q_heads + h) * dk;
        double* to = y.data() + (row * q_heads + h) * dv;
        for (int64_t d = 0; d < dk; ++d)
          for (int64_t m = 0; m < dv; ++m) to[m] += scale * from[d] * s[d * dv + m];
      }
    }
  ctx.output(0).assign_f64(y);
  if (ctx.output_count() > 1) ctx.output(1).assign_f64(state);
  return ok_status();
}

int64_t linear_attention_accumulation(const ir::Node& node) {
  const Shape& q = node.inputs[kQuery]->type.shape;
  int64_t size = q[2].constant().value_or(1) / std::max<int64_t>(node.attr_int("q_num_heads"), 1);
  int64_t steps = q[1].constant().value_or(1), out;
  return __builtin_mul_overflow(std::max<int64_t>(size, 1), std::max<int64_t>(steps, 1), &out)
             ? INT64_MAX
             : out;
}

Status infer_causal_conv(InferContext& ctx) {
  const std::string& activation = ctx.attr_string("activation");
  if (activation != "none" && activation != "silu" && activation != "swish")
    return bad_attr("activation", cat("'", activation, "'"), "'none', 'silu' or 'swish'");
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 3, 3));
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 1, 3, 3));
  const Shape &x = ctx.shape(0), &w = ctx.shape(1);
  PLANISH_RETURN_IF_ERROR(check_same_dim("input 1 (weight): dim 0", w[0], x[1]));
  PLANISH_RETURN_IF_ERROR(check_same_dim("input 1 (weight): dim 1", w[1], 1));
  if (w[2] == Dim(0)) return invalid_argument("input 1 (weight): got an empty kernel, expected elements");
  Shape state = {x[0], x[1], w[2] - 1};
  if (ctx.has_input(2)) {
    PLANISH_RETURN_IF_ERROR(check_rank(ctx, 2, 1, 1));
    PLANISH_RETURN_IF_ERROR(check_same_dim("input 2 (bias): length", ctx.shape(2)[0], x[1]));
  }
  if (ctx.has_input(3)) {
    PLANISH_RETURN_IF_ERROR(check_rank(ctx, 3, 3, 3));
    for (size_t i = 0; i < 3; ++i)
      PLANISH_RETURN_IF_ERROR(
          check_same_dim(cat("input 3 (past_state): dim ", i), ctx.shape(3)[i], state[i]));
  }
  ctx.set_output(0, ctx.dtype(0), x);
  ctx.set_output(1, ctx.dtype(0), std::move(state));
  return ok_status();
}

Status evaluate_causal_conv(EvalContext& ctx) {
  const Tensor& input = ctx.input(0);
  int64_t rows = input.dim(0) * input.dim(1), channels = input.dim(1), length = input.dim(2);
  int64_t k = ctx.input(1).dim(2), kept = k - 1;
  std::vector<double> x = input.f64_values(), w = ctx.input(1).f64_values(), bias, past;
  if (ctx.has_input(2)) bias = ctx.input(2).f64_values();
  if (ctx.has_input(3)) past = ctx.input(3).f64_values();
  bool silu = ctx.attr_string("activation") != "none";
  std::vector<double> y(x.size()), state(size_t(rows * kept)), line(size_t(kept + length));
  for (int64_t row = 0; row < rows; ++row) {
    int64_t c = row % channels;
    for (int64_t i = 0; i < kept; ++i)
      line[size_t(i)] = past.empty() ? 0 : past[size_t(row * kept + i)];
    for (int64_t i = 0; i < length; ++i) line[size_t(kept + i)] = x[size_t(row * length + i)];
    for (int64_t i = 0; i < length; ++i) {
      double sum = bias.empty() ? 0 : bias[size_t(c)];
      for (int64_t j = 0; j < k; ++j) sum += w[size_t(c * k + j)] * line[size_t(i + j)];
      y[size_t(row * length + i)] = silu ? sum / (1 + std::exp(-sum)) : sum;
    }
    for (int64_t i = 0; i < kept; ++i) state[size_t(row * kept + i)] = line[size_t(length + i)];
  }
  ctx.output(0).assign_f64(y);
  if (ctx.output_count() > 1) ctx.output(1).assign_f64(state);
  return ok_status();
}

int64_t causal_conv_accumulation(const ir::Node& node) {
  return std::max<int64_t>(node.inputs[1]->type.shape[2].constant().value_or(1), 1);
}

}  // namespace

void register_linear_attention(opdef::OpRegistry& registry) {
  opdef::OpDef def;
  def.name = "LinearAttention";
  def.doc =
      "Per head and step: the state decays, takes in key and value (or the value's correction), and "
      "the query reads it.";
  def.inputs = {operand("query", kFloats, "batch sequence (q_num_heads dk)"),
                operand("key", kFloats, "batch sequence (kv_num_heads dk)"),
                operand("value", kFloats, "batch sequence (kv_num_heads dv)"),
                optional_operand("past_state", kFloats, "batch kv_num_heads dk dv; zeros", "S"),
                optional_operand("decay", kFloats, "logarithm, per head or per key element"),
                optional_operand("beta", kFloats, "rate of correction, per head")};
  def.outputs = {operand("output", kFloats, "batch sequence (q_num_heads dv)"),
                 optional_operand("present_state", kFloats, "batch kv_num_heads dk dv", "S")};
  def.attrs = {
      opdef::int_attr("chunk_size", 64, "hint of speed; no effect on the result"),
      opdef::required_attr("kv_num_heads", AttrKind::kInt, "heads of key and value"),
      opdef::required_attr("q_num_heads", AttrKind::kInt, "heads of query"),
      opdef::float_attr("scale", 0, "of the output; 0: 1 / sqrt(dk)"),
      opdef::string_attr("update_rule", "gated_delta", "linear, gated, delta or gated_delta")};
  def.infer = infer_linear_attention;
  def.evaluate = evaluate_linear_attention;
  def.accumulation = linear_attention_accumulation;
  registry.add(std::move(def));

  def = {};
  def.name = "CausalConvWithState";
  def.doc = "Depthwise convolution over present and past elements, whose last ones are handed on.";
  def.inputs = {operand("input", kFloats, "batch channels length"),
                operand("weight", kFloats, "channels 1 kernel"),
                optional_operand("bias", kFloats, "channels"),
                optional_operand("past_state", kFloats, "batch channels kernel-1; zeros")};
  def.outputs = {operand("output", kFloats, "batch channels length"),
                 optional_operand("present_state", kFloats, "batch channels kernel-1")};
  def.attrs = {opdef::string_attr("activation", "none", "'none', 'silu' or 'swish'")};
  def.infer = infer_causal_conv;
  def.evaluate = evaluate_causal_conv;
  def.accumulation = causal_conv_accumulation;
  registry.add(std::move(def));
}

}  // namespace planish::ops
