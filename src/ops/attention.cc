// Attention: softmax(Q K^T scale + bias) V per head, with grouped heads, cached keys and values,
// boolean or additive masks, causal and sliding-window limits, soft capping, and the scores as an
// output. A query that may see no key gives zeros. In f16 and bf16 the scaled operands, the scores
// and the weights are values of that type, as in the function that defines the operator.
#include <cmath>
#include <limits>

#include "base/text.h"
#include "ops/broadcast_map.h"
#include "ops/contraction.h"
#include "ops/shape_rules.h"
#include "opdef/import.h"
#include "opdef/onnx_types.h"

namespace planish::ops {
namespace {

using opdef::AttrKind;
using opdef::EvalContext;
using opdef::ImportContext;
using opdef::kFloats;
using opdef::NodeView;

enum Input { kQ, kK, kV, kMask, kPastKey, kPastValue, kValidLength };

// Q, K and V as (batch, heads, sequence, size), whichever form they come in.
struct HeadShape {
  Dim batch, heads, sequence, size;
};

Result<HeadShape> head_shape(const InferContext& ctx, int input, std::string_view heads_attr) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, input, 3, 4));
  const Shape& s = ctx.shape(input);
  auto given = ctx.attrs().find(heads_attr);
  bool has_heads = given != ctx.attrs().end();
  int64_t heads = has_heads ? std::get<int64_t>(given->second) : 0;
  if (has_heads && heads < 1) return bad_attr(heads_attr, cat(heads), "at least 1");
  if (s.size() == 4) {
    if (has_heads)
      PLANISH_RETURN_IF_ERROR(check_same_dim(
          cat("attribute '", heads_attr, "', against ", input_name(ctx, input)), heads, s[1]));
    return HeadShape{s[0], s[1], s[2], s[3]};
  }
  if (!has_heads) return bad_attr(heads_attr, "nothing", "a count of heads for 3-D inputs");
  if (auto hidden = s[2].constant(); hidden && *hidden % heads != 0)
    return bad_attr(heads_attr, cat(heads),
                    cat("a divisor of the ", *hidden, " elements of ", input_name(ctx, input)));
  return HeadShape{s[0], Dim(heads), s[1], floordiv(s[2], heads)};
}

Status check_past(const InferContext& ctx, int input, const HeadShape& like) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, input, 4, 4));
  const Shape& s = ctx.shape(input);
  std::string name = input_name(ctx, input);
  PLANISH_RETURN_IF_ERROR(check_same_dim(name + ": dim 0", s[0], like.batch));
  PLANISH_RETURN_IF_ERROR(check_same_dim(name + ": dim 1", s[1], like.heads));
  return check_same_dim(name + ": dim 3", s[3], like.size);
}

// The mask broadcasts to (batch, heads, queries, keys); its last dim may be shorter than the keys.
Status check_mask(const InferContext& ctx, const HeadShape& q, const Dim& keys) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, kMask, 1, 4));
  const Shape& mask = ctx.shape(kMask);
  const Dim full[4] = {q.batch, q.heads, q.sequence, keys};
  for (size_t i = 0; i + 1 < mask.size(); ++i) {
    const Dim& wanted = full[4 - mask.size() + i];
    if (mask[i] == Dim(1)) continue;
    PLANISH_RETURN_IF_ERROR(check_same_dim(cat(input_name(ctx, kMask), ": dim ", i), mask[i], wanted));
  }
  auto last = mask.back().constant(), total = keys.constant();
  if (last && total && *last > *total)
    return invalid_argument(cat(input_name(ctx, kMask), ": got a last dim of ", *last,
                                ", expected at most ", *total));
  return ok_status();
}

Status check_attributes(const InferContext& ctx) {
  for (const char* key : {"left_window_size", "right_window_size"})
    if (int64_t v = ctx.attr_int(key); v < -1) return bad_attr(key, cat(v), "-1 or more");
  if (int64_t mode = ctx.attr_int("qk_matmul_output_mode"); mode < 0 || mode > 3)
    return bad_attr("qk_matmul_output_mode", cat(mode), "0 to 3");
  if (double cap = ctx.attr_float("softcap"); !(cap >= 0))
    return bad_attr("softcap", cat(cap), "0 or more");
  if (ctx.has_attr("scale")) {
    if (double scale = ctx.attr_float("scale"); !std::isfinite(scale))
      return bad_attr("scale", cat(scale), "a finite value");
  }
  return ok_status();
}

Status infer_attention(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_attributes(ctx));
  PLANISH_ASSIGN_OR_RETURN(HeadShape q, head_shape(ctx, kQ, "q_num_heads"));
  PLANISH_ASSIGN_OR_RETURN(HeadShape k, head_shape(ctx, kK, "kv_num_heads"));
  PLANISH_ASSIGN_OR_RETURN(HeadShape v, head_shape(ctx, kV, "kv_num_heads"));
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, kK, ctx.rank(kQ), ctx.rank(kQ)));
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, kV, ctx.rank(kQ), ctx.rank(kQ)));
  PLANISH_RETURN_IF_ERROR(check_same_dim("input 1 (K): batch", k.batch, q.batch));
  PLANISH_RETURN_IF_ERROR(check_same_dim("input 2 (V): batch", v.batch, q.batch));
  PLANISH_RETURN_IF_ERROR(check_same_dim("input 1 (K): head size", k.size, q.size));
  PLANISH_RETURN_IF_ERROR(check_same_dim("input 2 (V): heads", v.heads, k.heads));
  PLANISH_RETURN_IF_ERROR(check_same_dim("input 2 (V): sequence", v.sequence, k.sequence));
  auto many = q.heads.constant(), few = k.heads.constant();
  if (many && few && (*few == 0 ? *many != 0 : *many % *few != 0))
    return invalid_argument(cat("input 0 (Q): got ", *many, " heads, expected a multiple of the ",
                                *few, " heads of K and V"));
  if (ctx.has_input(kPastKey) != ctx.has_input(kPastValue))
    return invalid_argument("inputs 4 (past_key) and 5 (past_value): got one, expected both or none");
  Dim keys = k.sequence;
  if (ctx.has_input(kPastKey)) {
    if (ctx.has_input(kValidLength))
      return invalid_argument(
          "input 6 (nonpad_kv_seqlen): got it together with past_key, expected one of them");
    PLANISH_RETURN_IF_ERROR(check_past(ctx, kPastKey, k));
    PLANISH_RETURN_IF_ERROR(check_past(ctx, kPastValue, v));
    PLANISH_RETURN_IF_ERROR(check_same_dim("input 5 (past_value): dim 2", ctx.shape(kPastValue)[2],
                                           ctx.shape(kPastKey)[2]));
    keys = keys + ctx.shape(kPastKey)[2];
  }
  if (ctx.has_input(kValidLength)) {
    PLANISH_RETURN_IF_ERROR(check_rank(ctx, kValidLength, 1, 1));
    PLANISH_RETURN_IF_ERROR(check_same_dim("input 6 (nonpad_kv_seqlen): length",
                                           ctx.shape(kValidLength)[0], q.batch));
  }
  if (ctx.has_input(kMask)) PLANISH_RETURN_IF_ERROR(check_mask(ctx, q, keys));
  Shape y = ctx.rank(kQ) == 4 ? Shape{q.batch, q.heads, q.sequence, v.size}
                              : Shape{q.batch, q.sequence, q.heads * v.size};
  ctx.set_output(0, ctx.dtype(kQ), std::move(y));
  ctx.set_output(1, ctx.dtype(kK), {k.batch, k.heads, keys, k.size});
  ctx.set_output(2, ctx.dtype(kV), {v.batch, v.heads, keys, v.size});
  ctx.set_output(3, ctx.dtype(kQ), {q.batch, q.heads, q.sequence, keys});
  return ok_status();
}

// Elements as (batch, heads, sequence, size).
struct Heads {
  int64_t batch = 0, heads = 0, sequence = 0, size = 0;
  std::vector<double> values;

  const double* at(int64_t n, int64_t h) const {
    return values.data() + (n * heads + h) * sequence * size;
  }
};

Heads heads_of(const Tensor& x, int64_t heads) {
  Heads out;
  std::vector<double> values = x.f64_values();
  if (x.rank() == 4) {
    out = {x.dim(0), x.dim(1), x.dim(2), x.dim(3), std::move(values)};
    return out;
  }
  out = {x.dim(0), heads, x.dim(1), x.dim(2) / heads, {}};
  out.values.resize(values.size());
  size_t from = 0;
  for (int64_t n = 0; n < out.batch; ++n)
    for (int64_t s = 0; s < out.sequence; ++s)
      for (int64_t h = 0; h < heads; ++h)
        for (int64_t i = 0; i < out.size; ++i)
          out.values[size_t(((n * heads + h) * out.sequence + s) * out.size + i)] = values[from++];
  return out;
}

// past and then now, along the sequence.
Heads appended(const Tensor* past, Heads now) {
  if (!past) return now;
  Heads before = heads_of(*past, now.heads), out = now;
  out.sequence += before.sequence;
  out.values.clear();
  for (int64_t n = 0; n < now.batch; ++n)
    for (int64_t h = 0; h < now.heads; ++h)
      for (const Heads* part : {&before, &now})
        out.values.insert(out.values.end(), part->at(n, h),
                          part->at(n, h) + part->sequence * part->size);
  return out;
}

// What is added to the scores: masks of every kind, -infinity where a key is not seen.
class Bias {
 public:
  Bias(EvalContext& ctx, const Heads& q) : q_(q) {
    is_causal_ = ctx.attr_int("is_causal") != 0;
    left_ = ctx.attr_int("left_window_size");
    right_ = ctx.attr_int("right_window_size");
    if (ctx.has_input(kPastKey)) past_ = ctx.input(kPastKey).dim(2);
    if (ctx.has_input(kValidLength)) valid_ = ctx.input(kValidLength).i64_values();
    if (!ctx.has_input(kMask)) return;
    const Tensor& mask = ctx.input(kMask);
    mask_ = mask.f64_values();
    if (mask.dtype() == DataType::kBool)
      for (double& m : mask_) m = m != 0 ? 0 : -std::numeric_limits<double>::infinity();
    width_ = mask.dim(mask.rank() - 1);
    map_ = broadcast_map({{q.batch, q.heads, q.sequence, width_}}, mask.dims());
  }

  double at(int64_t n, int64_t h, int64_t i, int64_t j) const {
    constexpr double kHidden = -std::numeric_limits<double>::infinity();
    int64_t place = i + (valid_.empty() ? past_ : valid_[size_t(n)] - q_.sequence);
    if (is_causal_ && j > place) return kHidden;
    if (left_ >= 0 && place - j > left_) return kHidden;
    if (right_ >= 0 && j - place > right_) return kHidden;
    if (!valid_.empty() && j >= valid_[size_t(n)]) return kHidden;
    if (width_ < 0) return 0;
    if (j >= width_) return kHidden;
    return mask_[size_t(map_[size_t(((n * q_.heads + h) * q_.sequence + i) * width_ + j)])];
  }

 private:
  const Heads& q_;
  bool is_causal_ = false;
  int64_t left_ = -1, right_ = -1, past_ = 0, width_ = -1;
  std::vector<int64_t> valid_, map_;
  std::vector<double> mask_;
};

// Turns scores into weights; a row whose bias hides every key becomes zero.
void softmax_row(double* row, int64_t keys, bool all_hidden) {
  double top = -std::numeric_limits<double>::infinity(), sum = 0;
  for (int64_t j = 0; j < keys; ++j)
    if (!(row[j] <= top)) top = std::isnan(top) ? top : row[j];
  if (all_hidden || top == -std::numeric_limits<double>::infinity()) {
    std::fill(row, row + keys, 0.0);
    return;
  }
  for (int64_t j = 0; j < keys; ++j) sum += row[j] = std::exp(row[j] - top);
  for (int64_t j = 0; j < keys; ++j) row[j] /= sum;
}

struct Scoring {
  DataType dtype;
  double scale, softcap;
  int64_t mode;
  std::vector<double>* exposed;  // null: scores are no output
};

bool is_narrow(DataType dtype) { return dtype == DataType::kF16 || dtype == DataType::kBF16; }

void round_narrow(DataType dtype, std::vector<double>& values) {
  if (!is_narrow(dtype)) return;
  for (double& v : values) v = ir::round_to(dtype, v);
}

// A narrow operand times the root of the scale; both operands together make the scale.
void scale_narrow(DataType dtype, double scale, Heads& heads) {
  double root = ir::round_to(dtype, std::sqrt(scale));
  for (double& v : heads.values) v *= root;
  round_narrow(dtype, heads.values);
}

// The weights of one head, queries x keys.
std::vector<double> weights_of(const Heads& q, const Heads& k, int64_t n, int64_t h,
                               const Bias& bias, const Scoring& scoring) {
  int64_t keys = k.sequence, group = q.heads / k.heads;
  std::vector<double> panels, scores(size_t(q.sequence * keys));
  pack_panels(k.at(n, h / group), k.size, keys, int64_t(1), k.size, panels);
  multiply_panels(q.at(n, h), q.size, panels.data(), q.sequence, keys, q.size, scores.data(), keys);
  for (double& s : scores) s *= scoring.scale;
  round_narrow(scoring.dtype, scores);
  auto expose = [&](int64_t mode) {
    if (!scoring.exposed || scoring.mode != mode) return;
    std::copy(scores.begin(), scores.end(),
              scoring.exposed->begin() + (n * q.heads + h) * q.sequence * keys);
  };
  expose(0);
  if (scoring.softcap > 0)
    for (double& s : scores) s = scoring.softcap * std::tanh(s / scoring.softcap);
  round_narrow(scoring.dtype, scores);
  expose(1);
  std::vector<bool> hidden(size_t(q.sequence), true);
  for (int64_t i = 0; i < q.sequence; ++i)
    for (int64_t j = 0; j < keys; ++j) {
      double b = bias.at(n, h, i, j);
      if (!(b == -std::numeric_limits<double>::infinity())) hidden[size_t(i)] = false;
      scores[size_t(i * keys + j)] += b;
    }
  round_narrow(scoring.dtype, scores);
  expose(2);
  for (int64_t i = 0; i < q.sequence; ++i)
    softmax_row(scores.data() + i * keys, keys, hidden[size_t(i)]);
  round_narrow(scoring.dtype, scores);
  expose(3);
  return scores;
}

int64_t attr_or(EvalContext& ctx, std::string_view key, int64_t fallback) {
  return ctx.has_attr(key) ? ctx.attr_int(key) : fallback;
}

Status evaluate_attention(EvalContext& ctx) {
  int64_t kv_heads = attr_or(ctx, "kv_num_heads", 1);
  Heads q = heads_of(ctx.input(kQ), attr_or(ctx, "q_num_heads", 1));
  Heads k = appended(ctx.has_input(kPastKey) ? &ctx.input(kPastKey) : nullptr,
                     heads_of(ctx.input(kK), kv_heads));
  Heads v = appended(ctx.has_input(kPastValue) ? &ctx.input(kPastValue) : nullptr,
                     heads_of(ctx.input(kV), kv_heads));
  std::vector<double> exposed(ctx.output_count() > 3 ? size_t(q.batch * q.heads * q.sequence * k.sequence)
                                                     : 0);
  double scale = ctx.has_attr("scale") ? ctx.attr_float("scale")
                                       : 1 / std::sqrt(double(std::max<int64_t>(q.size, 1)));
  DataType dtype = ctx.input(kQ).dtype();
  Heads scaled_k = k;
  if (is_narrow(dtype)) {
    scale_narrow(dtype, scale, q);
    scale_narrow(dtype, scale, scaled_k);
    scale = 1;
  }
  Scoring scoring{dtype, scale, ctx.attr_float("softcap"), ctx.attr_int("qk_matmul_output_mode"),
                  ctx.output_count() > 3 ? &exposed : nullptr};
  if (ctx.has_input(kValidLength))
    for (int64_t length : ctx.input(kValidLength).i64_values())
      if (length < 0 || length > k.sequence)
        return invalid_argument(cat("input 6 (nonpad_kv_seqlen): got ", length, ", expected 0 to ",
                                    k.sequence));
  Bias bias(ctx, q);
  bool packed = ctx.input(kQ).rank() == 3;
  std::vector<double> y(size_t(q.batch * q.heads * q.sequence * v.size)), panels;
  for (int64_t n = 0; n < q.batch; ++n)
    for (int64_t h = 0; h < q.heads; ++h) {
      std::vector<double> weights = weights_of(q, scaled_k, n, h, bias, scoring);
      int64_t group = q.heads / k.heads;
      pack_panels(v.at(n, h / group), v.sequence, v.size, v.size, int64_t(1), panels);
      int64_t step = packed ? q.heads * v.size : v.size;
      double* to = y.data() + (packed ? (n * q.sequence * q.heads + h) * v.size
                                      : (n * q.heads + h) * q.sequence * v.size);
      multiply_panels(weights.data(), v.sequence, panels.data(), q.sequence, v.size, v.sequence, to,
                      step);
    }
  ctx.output(0).assign_f64(y);
  if (ctx.output_count() > 1) ctx.output(1).assign_f64(k.values);
  if (ctx.output_count() > 2) ctx.output(2).assign_f64(v.values);
  if (ctx.output_count() > 3) ctx.output(3).assign_f64(exposed);
  return ok_status();
}

// The longer of the two sums: over the head's size and over the keys.
int64_t accumulation(const ir::Node& node) {
  const Shape &q = node.inputs[kQ]->type.shape, &k = node.inputs[kK]->type.shape;
  int64_t size = q.back().constant().value_or(1);
  if (q.size() == 3 && node.has_attr("q_num_heads"))
    size /= std::max<int64_t>(node.attr_int("q_num_heads"), 1);
  int64_t keys = k[k.size() - 2].constant().value_or(1);
  return std::max<int64_t>({size, keys, 1});
}

Status import_attention(const NodeView& node, ImportContext& ctx) {
  ir::Attributes attrs;
  for (const std::string& key : node.attr_names()) {
    // The reference computes in double; the type of the softmax is a matter of speed alone.
    if (key == "softmax_precision") {
      PLANISH_ASSIGN_OR_RETURN(int64_t type, node.attr_int(key, 1));
      Result<DataType> known = opdef::data_type_from_onnx(type);
      if (!known.ok() || !kFloats.contains(*known))
        return bad_attr(key, cat(type), "the number of a floating type");
      continue;
    }
    attrs[key] = *node.attr(key);
  }
  std::vector<ir::Value*> inputs;
  for (int i = 0; i < node.input_count(); ++i) inputs.push_back(node.input(i));
  int wanted = 1;
  for (int i = 0; i < node.output_count(); ++i)
    if (node.output_used(i)) wanted = i + 1;
  PLANISH_ASSIGN_OR_RETURN(auto outputs, ctx.add("Attention", inputs, std::move(attrs), wanted));
  for (int i = 0; i < wanted; ++i) ctx.set_output(i, outputs[size_t(i)]);
  return ok_status();
}

}  // namespace

void register_attention(opdef::OpRegistry& registry) {
  using opdef::int_attr;
  opdef::OpDef def;
  def.name = "Attention";
  def.doc =
      "Scaled dot-product attention over heads; groups of query heads may share key and value heads.";
  def.inputs = {
      operand("Q", kFloats, "batch heads sequence size, or batch sequence (heads size)", "T1"),
      operand("K", kFloats, "as Q, with kv_num_heads", "T1"),
      operand("V", kFloats, "as K, with a size of its own", "T2"),
      optional_operand("attn_mask", opdef::kNumbers | opdef::kBools,
                       "bool: whether to attend; else added to the scores", ""),
      optional_operand("past_key", kFloats, "batch heads past size", "T1"),
      optional_operand("past_value", kFloats, "batch heads past size", "T2"),
      optional_operand("nonpad_kv_seqlen", opdef::kInt64, "keys that count, per batch element", "")};
  def.outputs = {operand("Y", kFloats, "in the form of Q", "T1"),
                 optional_operand("present_key", kFloats, "past and K", "T1"),
                 optional_operand("present_value", kFloats, "past and V", "T2"),
                 optional_operand("qk_matmul_output", kFloats, "scores, see its mode", "T1")};
  def.attrs = {
      int_attr("is_causal", 0, "1: no key behind the query's own place"),
      opdef::optional_attr("kv_num_heads", AttrKind::kInt, "for 3-D inputs"),
      int_attr("left_window_size", -1, "keys before the query's place that are seen; -1: all"),
      opdef::optional_attr("q_num_heads", AttrKind::kInt, "for 3-D inputs"),
      int_attr("qk_matmul_output_mode", 0, "0: scores, 1: capped, 2: with bias, 3: weights"),
      int_attr("right_window_size", -1, "keys behind the query's place that are seen; -1: all"),
      opdef::optional_attr("scale", AttrKind::kFloat, "of the scores; 1 / sqrt(size) when absent"),
      opdef::float_attr("softcap", 0, "c: scores become c tanh(score / c); 0: not")};
  def.kind = opdef::FusionKind::kContraction;
  def.infer = infer_attention;
  def.evaluate = evaluate_attention;
  def.accumulation = accumulation;
  def.onnx = {{"Attention", "", 23, 1 << 30, import_attention}};
  registry.add(std::move(def));
}

}  // namespace planish::ops
