#include "ops/recurrent.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"

namespace planish::ops {
namespace {

struct ActivationRow {
  std::string_view name;
  double (*function)(double, double, double);
  double alpha, beta;        // ONNX's defaults
  bool takes_alpha, takes_beta;  // does it use up a value of activation_alpha / _beta?
};

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

constexpr ActivationRow kActivations[] = {
    {"Affine", [](double x, double a, double b) { return a * x + b; }, 1, 0, true, true},
    {"Elu", [](double x, double a, double) { return x >= 0 ? x : a * std::expm1(x); }, 1, 0, true,
     false},
    {"HardSigmoid",
     [](double x, double a, double b) { return std::min(std::max(a * x + b, 0.0), 1.0); }, 0.2, 0.5,
     true, true},
    {"LeakyRelu", [](double x, double a, double) { return x >= 0 ? x : a * x; }, 0.01, 0, true,
     false},
    {"Relu", [](double x, double, double) { return x < 0 ? 0 : x; }, 0, 0, false, false},
    {"ScaledTanh", [](double x, double a, double b) { return a * std::tanh(b * x); }, 1, 1, true,
     true},
    {"Sigmoid", [](double x, double, double) { return sigmoid(x); }, 0, 0, false, false},
    {"Softplus",
     [](double x, double, double) { return std::max(x, 0.0) + std::log1p(std::exp(-std::fabs(x))); },
     0, 0, false, false},
    {"Softsign", [](double x, double, double) { return x / (1 + std::fabs(x)); }, 0, 0, false,
     false},
    {"Tanh", [](double x, double, double) { return std::tanh(x); }, 0, 0, false, false},
    {"ThresholdedRelu", [](double x, double a, double) { return x >= a ? x : 0; }, 1, 0, true,
     false},
};

bool same_letters(std::string_view a, std::string_view b) {
  auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

Result<const ActivationRow*> find_activation(std::string_view name) {
  for (const ActivationRow& row : kActivations) {
    if (same_letters(row.name, name)) return &row;
  }
  return bad_attr("activations", std::string(name), "an activation of ONNX's recurrent operators");
}

template <class T>
std::vector<T> list_or_empty(const ir::Attributes& attrs, std::string_view key) {
  auto found = attrs.find(key);
  if (found == attrs.end()) return {};
  const auto* list = std::get_if<std::vector<T>>(&found->second);
  return list ? *list : std::vector<T>();
}

Result<int64_t> direction_count(const ir::Attributes& attrs) {
  const std::string& direction = std::get<std::string>(attrs.find("direction")->second);
  if (direction == "forward" || direction == "reverse") return int64_t(1);
  if (direction == "bidirectional") return int64_t(2);
  return bad_attr("direction", direction, "forward, reverse or bidirectional");
}

// The operand, when present, must have these dims.
Status check_operand(const InferContext& ctx, int input, const Shape& expected) {
  if (input < 0 || !ctx.has_input(input)) return ok_status();
  const int rank = int(expected.size());
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, input, rank, rank));
  for (size_t d = 0; d < expected.size(); ++d) {
    PLANISH_RETURN_IF_ERROR(check_same_dim(cat(input_name(ctx, input), ", dim ", d),
                                           ctx.shape(input)[d], expected[d]));
  }
  return ok_status();
}

}  // namespace

Result<std::vector<Activation>> activations_of(const ir::Attributes& attrs, int64_t direction,
                                               int64_t directions,
                                               std::span<const std::string_view> defaults) {
  const size_t count = defaults.size();
  std::vector<std::string> names = list_or_empty<std::string>(attrs, "activations");
  if (names.empty()) {
    for (int64_t d = 0; d < directions; ++d) names.insert(names.end(), defaults.begin(), defaults.end());
  }
  if (names.size() != count * size_t(directions)) {
    return bad_attr("activations", cat(names.size(), " names"), cat(count * size_t(directions)));
  }
  // alpha and beta are handed out in order to the functions that take one.
  const std::vector<double> alphas = list_or_empty<double>(attrs, "activation_alpha");
  const std::vector<double> betas = list_or_empty<double>(attrs, "activation_beta");
  size_t next_alpha = 0, next_beta = 0;
  std::vector<Activation> out;
  for (size_t i = 0; i < names.size(); ++i) {
    PLANISH_ASSIGN_OR_RETURN(const ActivationRow* row, find_activation(names[i]));
    Activation activation{row->function, row->alpha, row->beta};
    if (row->takes_alpha && next_alpha < alphas.size()) activation.alpha = alphas[next_alpha++];
    if (row->takes_beta && next_beta < betas.size()) activation.beta = betas[next_beta++];
    if (i / count == size_t(direction)) out.push_back(activation);
  }
  return out;
}

Status infer_recurrent(InferContext& ctx, const RecurrentOperands& operands,
                       std::span<const std::string_view> default_activations) {
  PLANISH_ASSIGN_OR_RETURN(const int64_t directions, direction_count(ctx.attrs()));
  PLANISH_RETURN_IF_ERROR(
      activations_of(ctx.attrs(), 0, directions, default_activations).status());
  const int64_t layout = ctx.attr_int("layout");
  if (layout != 0 && layout != 1) return bad_attr("layout", cat(layout), "0 or 1");
  if (ctx.has_attr("clip") && !(ctx.attr_float("clip") >= 0)) {
    return bad_attr("clip", cat(ctx.attr_float("clip")), "0 or more");
  }
  for (int i : {0, 1, 2}) PLANISH_RETURN_IF_ERROR(check_rank(ctx, i, 3, 3));
  const bool batch_first = layout == 1;
  const Shape& x = ctx.shape(0);
  const Dim steps = x[batch_first ? 1 : 0], batch = x[batch_first ? 0 : 1];
  const Dim hidden = ctx.shape(2)[2];
  if (ctx.has_attr("hidden_size")) {
    PLANISH_RETURN_IF_ERROR(
        check_same_dim("attribute 'hidden_size'", ctx.attr_int("hidden_size"), hidden));
  }
  const Dim n = directions, rows = hidden * Dim(operands.gates);
  const Shape state = batch_first ? Shape{batch, n, hidden} : Shape{n, batch, hidden};
  PLANISH_RETURN_IF_ERROR(check_operand(ctx, 1, {n, rows, x[2]}));
  PLANISH_RETURN_IF_ERROR(check_operand(ctx, 2, {n, rows, hidden}));
  PLANISH_RETURN_IF_ERROR(check_operand(ctx, 3, {n, rows * Dim(2)}));
  PLANISH_RETURN_IF_ERROR(check_operand(ctx, 4, {batch}));
  PLANISH_RETURN_IF_ERROR(check_operand(ctx, 5, state));
  PLANISH_RETURN_IF_ERROR(check_operand(ctx, operands.initial_c, state));
  PLANISH_RETURN_IF_ERROR(check_operand(ctx, operands.peepholes, {n, hidden * Dim(3)}));
  const DataType dtype = ctx.dtype(0);
  PLANISH_RETURN_IF_ERROR(set_sized_output(
      ctx, 0, dtype,
      batch_first ? Shape{batch, steps, n, hidden} : Shape{steps, n, batch, hidden}));
  ctx.set_output(1, dtype, state);
  if (operands.initial_c >= 0) ctx.set_output(2, dtype, state);
  return ok_status();
}

double CellWeights::dot_w(int64_t row, const double* x) const {
  double sum = 0;
  for (int64_t k = 0; k < input; ++k) sum += w[size_t(row * input + k)] * x[k];
  return sum;
}

double CellWeights::dot_r(int64_t row, const double* h) const {
  double sum = 0;
  for (int64_t k = 0; k < hidden; ++k) sum += r[size_t(row * hidden + k)] * h[k];
  return sum;
}

namespace {

// Part `index` of `count` equal parts of the tensor.
std::vector<double> part(const Tensor& t, int64_t index, int64_t count) {
  const std::vector<double> all = t.f64_values();
  const int64_t size = int64_t(all.size()) / count;
  return {all.begin() + index * size, all.begin() + (index + 1) * size};
}

CellWeights weights_of(const EvalContext& ctx, const RecurrentOperands& operands, int64_t d,
                       int64_t directions) {
  CellWeights weights;
  weights.input = ctx.input(0).dim(2);
  weights.hidden = ctx.input(2).dim(2);
  weights.w = part(ctx.input(1), d, directions);
  weights.r = part(ctx.input(2), d, directions);
  const int64_t rows = weights.hidden * operands.gates;
  if (ctx.has_input(3)) {
    const std::vector<double> b = part(ctx.input(3), d, directions);
    weights.wb.assign(b.begin(), b.begin() + rows);
    weights.rb.assign(b.begin() + rows, b.end());
  } else {
    weights.wb.assign(size_t(rows), 0);
    weights.rb.assign(size_t(rows), 0);
  }
  if (operands.peepholes >= 0 && ctx.has_input(operands.peepholes)) {
    weights.p = part(ctx.input(operands.peepholes), d, directions);
  }
  if (ctx.has_attr("clip")) weights.clip = ctx.attr_float("clip");
  return weights;
}

// Offsets into X, Y and the states for both memory orders.
struct Order {
  bool batch_first;
  int64_t steps, batch, directions, hidden, input;

  int64_t x(int64_t t, int64_t b) const {
    return (batch_first ? b * steps + t : t * batch + b) * input;
  }
  int64_t y(int64_t t, int64_t d, int64_t b) const {
    return (batch_first ? (b * steps + t) * directions + d : (t * directions + d) * batch + b) *
           hidden;
  }
  int64_t state(int64_t d, int64_t b) const {
    return (batch_first ? b * directions + d : d * batch + b) * hidden;
  }
};

Result<std::vector<int64_t>> sequence_lengths(const EvalContext& ctx, int64_t batch,
                                              int64_t steps) {
  std::vector<int64_t> lengths(size_t(batch), steps);
  if (!ctx.has_input(4)) return lengths;
  lengths = ctx.input(4).i64_values();
  for (size_t b = 0; b < lengths.size(); ++b) {
    if (lengths[b] < 0 || lengths[b] > steps) {
      return invalid_argument(cat("input 4 (sequence_lens): element ", b, " is ", lengths[b],
                                  ", expected 0 to ", steps));
    }
  }
  return lengths;
}

std::vector<double> state_or_zeros(const EvalContext& ctx, int input, int64_t size) {
  if (input < 0 || !ctx.has_input(input)) return std::vector<double>(size_t(size), 0);
  return ctx.input(input).f64_values();
}

}  // namespace

Status evaluate_recurrent(EvalContext& ctx, const RecurrentOperands& operands,
                          std::span<const std::string_view> default_activations,
                          const Cell& cell) {
  PLANISH_ASSIGN_OR_RETURN(const int64_t directions, direction_count(ctx.attrs()));
  const bool batch_first = ctx.attr_int("layout") == 1;
  const Tensor& input = ctx.input(0);
  const Order order{batch_first, input.dim(batch_first ? 1 : 0), input.dim(batch_first ? 0 : 1),
                    directions, ctx.input(2).dim(2), input.dim(2)};
  PLANISH_ASSIGN_OR_RETURN(const std::vector<int64_t> lengths,
                           sequence_lengths(ctx, order.batch, order.steps));
  const int64_t state_size = directions * order.batch * order.hidden;
  std::vector<double> h = state_or_zeros(ctx, 5, state_size);
  std::vector<double> c = state_or_zeros(ctx, operands.initial_c, state_size);
  const std::vector<double> x = input.f64_values();
  std::vector<double> y(size_t(order.steps * state_size), 0);
  for (int64_t d = 0; d < directions; ++d) {
    CellWeights weights = weights_of(ctx, operands, d, directions);
    PLANISH_ASSIGN_OR_RETURN(
        weights.activations, activations_of(ctx.attrs(), d, directions, default_activations));
    const bool backwards = d == 1 || ctx.attr_string("direction") == "reverse";
    for (int64_t b = 0; b < order.batch; ++b) {
      double* hidden = h.data() + order.state(d, b);
      double* state = c.data() + order.state(d, b);
      const int64_t length = lengths[size_t(b)];
      for (int64_t i = 0; i < length; ++i) {
        const int64_t t = backwards ? length - 1 - i : i;
        cell(weights, x.data() + order.x(t, b), hidden, state);
        std::copy_n(hidden, order.hidden, y.data() + order.y(t, d, b));
      }
      // A sample without a step ends as nothing.
      if (length == 0) std::fill_n(hidden, order.hidden, 0.0);
    }
  }
  ctx.output(0).assign_f64(y);
  if (ctx.output_count() > 1) ctx.output(1).assign_f64(h);
  if (ctx.output_count() > 2) ctx.output(2).assign_f64(c);
  return ok_status();
}

std::vector<opdef::AttrSpec> recurrent_attrs() {
  using opdef::AttrKind;
  return {
      opdef::string_attr("direction", "forward", "forward, reverse or bidirectional"),
      opdef::optional_attr("hidden_size", AttrKind::kInt, "units; follows from R"),
      opdef::optional_attr("clip", AttrKind::kFloat, "bound of the activations' arguments"),
      opdef::optional_attr("activations", AttrKind::kStrings, "per direction, in gate order"),
      opdef::optional_attr("activation_alpha", AttrKind::kFloats, "alphas in order of use"),
      opdef::optional_attr("activation_beta", AttrKind::kFloats, "betas in order of use"),
      opdef::int_attr("layout", 0, "0: time first; 1: batch first"),
  };
}

}  // namespace planish::ops
