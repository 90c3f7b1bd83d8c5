#include "ops/content.h"

#include <cmath>

namespace planish::ops {

namespace {

using Element = std::optional<Dim>;
using Content = std::vector<Dim>;

constexpr int64_t kTrue = 1, kFalse = 0;

struct Arithmetic {
  const InferContext& ctx;
  bool floating;

  Element divide(const Dim& a, const Dim& b) const {
    if (b == Dim(0)) return std::nullopt;
    if (a.is_constant() && b.is_constant()) {
      const int64_t x = a.value(), y = b.value();
      if (x == INT64_MIN && y == -1) return std::nullopt;
      if (floating && x % y != 0) return std::nullopt;
      return Dim(x / y);
    }
    if (std::optional<Dim> exact = exact_quotient(a, b)) return exact;
    // Integer division truncates: floordiv only where nothing can be negative.
    if (floating || !at_least(ctx, a, 0) || !at_least(ctx, b, 1)) return std::nullopt;
    return floordiv(a, b);
  }

  Element modulo(const Dim& a, const Dim& b) const {
    if (!at_least(ctx, b, 1)) return std::nullopt;
    // fmod keeps the dividend's sign, mod the divisor's: the same for what is not negative.
    const bool fmod = ctx.has_attr("fmod") && ctx.attr_int("fmod") != 0;
    if (fmod && !at_least(ctx, a, 0)) return std::nullopt;
    return mod(a, b);
  }

  Element equal(const Dim& a, const Dim& b) const {
    if (a == b) return Dim(kTrue);
    const Dim difference = a - b;
    if (at_least(ctx, difference, 1) || at_least(ctx, Dim(0) - difference, 1)) return Dim(kFalse);
    return std::nullopt;
  }

  // a < b
  Element less(const Dim& a, const Dim& b) const {
    if (at_least(ctx, b - a, 1)) return Dim(kTrue);
    if (at_least(ctx, a - b, 0)) return Dim(kFalse);
    return std::nullopt;
  }

  Element larger_of(const Dim& a, const Dim& b) const {
    if (at_least(ctx, a - b, 0)) return a;
    if (at_least(ctx, b - a, 0)) return b;
    return max(a, b);
  }
  Element smaller_of(const Dim& a, const Dim& b) const {
    if (at_least(ctx, a - b, 0)) return b;
    if (at_least(ctx, b - a, 0)) return a;
    return min(a, b);
  }
};

Element negated(Element truth) {
  if (!truth) return std::nullopt;
  return Dim(1 - truth->value());
}

// Truth of an element: only constants decide.
std::optional<bool> truth(const Dim& d) {
  if (!d.is_constant()) return std::nullopt;
  return d.value() != 0;
}

// Is `value` the same number in that type?
bool holds(DataType type, int64_t value) {
  switch (type) {
    case DataType::kI64: return true;
    case DataType::kI32: return value == int64_t(int32_t(value));
    case DataType::kF64: return std::llabs(value) <= int64_t(1) << 53;
    case DataType::kF32: return std::llabs(value) <= int64_t(1) << 24;
    default: return false;
  }
}

Element unary(const Arithmetic& rules, std::string_view op, const Dim& x, DataType to) {
  if (op == "Identity" || op == "Floor" || op == "Ceil" || op == "Round") return x;
  if (op == "Neg") return Dim(0) - x;
  if (op == "Abs") {
    if (at_least(rules.ctx, x, 0)) return x;
    return x.is_constant() ? Element(Dim(0) - x) : std::nullopt;
  }
  if (op == "Not") {
    const std::optional<bool> t = truth(x);
    return t ? Element(Dim(!*t)) : std::nullopt;
  }
  if (op == "Cast" || op == "CastLike") {
    if (to == DataType::kBool) {
      if (at_least(rules.ctx, x, 1)) return Dim(kTrue);
      const std::optional<bool> t = truth(x);
      return t ? Element(Dim(*t)) : std::nullopt;
    }
    if (x.is_constant() && !holds(to, x.value())) return std::nullopt;
    return x;
  }
  return std::nullopt;
}

Element binary(const Arithmetic& rules, std::string_view op, const Dim& a, const Dim& b) {
  if (op == "Add" || op == "Sum") return a + b;
  if (op == "Sub") return a - b;
  if (op == "Mul") return a * b;
  if (op == "Div") return rules.divide(a, b);
  if (op == "Mod") return rules.modulo(a, b);
  if (op == "Min") return rules.smaller_of(a, b);
  if (op == "Max") return rules.larger_of(a, b);
  if (op == "Equal") return rules.equal(a, b);
  if (op == "Less") return rules.less(a, b);
  if (op == "Greater") return rules.less(b, a);
  if (op == "LessOrEqual") return negated(rules.less(b, a));
  if (op == "GreaterOrEqual") return negated(rules.less(a, b));
  if (op == "And" || op == "Or") {
    const std::optional<bool> x = truth(a), y = truth(b);
    if (!x || !y) return std::nullopt;
    return Dim(op == "And" ? *x && *y : *x || *y);
  }
  return std::nullopt;
}

// The element of `content` (of `dims`) that broadcasts to flat index `index` of `out_dims`.
const Dim& broadcast_element(const Content& content, std::span<const int64_t> dims,
                             std::span<const int64_t> out_dims, int64_t index) {
  int64_t at = 0, stride = 1;
  for (size_t i = out_dims.size(); i-- > 0;) {
    const int64_t position = index % out_dims[i];
    index /= out_dims[i];
    const size_t lead = out_dims.size() - dims.size();
    if (i < lead) continue;
    const int64_t d = dims[i - lead];
    if (d != 1) at += position * stride;
    stride *= d;
  }
  return content[size_t(at)];
}

bool knows_op(std::string_view op) {
  static constexpr std::string_view kOps[] = {
      "Abs",   "Add",     "And",  "Cast",           "CastLike", "Ceil",        "Div", "Equal",
      "Floor", "Greater", "Less", "GreaterOrEqual", "Identity", "LessOrEqual", "Max", "Min",
      "Mod",   "Mul",     "Neg",  "Not",            "Or",       "Round",       "Sub", "Sum",
      "Where"};
  for (std::string_view known : kOps) {
    if (op == known) return true;
  }
  return false;
}

Element element(const Arithmetic& rules, std::string_view op, std::span<const Dim> args,
                DataType to) {
  if (op == "Where") {
    const std::optional<bool> t = truth(args[0]);
    if (t) return *t ? args[1] : args[2];
    return args[1] == args[2] ? Element(args[1]) : std::nullopt;
  }
  if (args.size() == 1 && op != "Min" && op != "Max" && op != "Sum") {
    return unary(rules, op, args[0], to);
  }
  Element out = args[0];
  for (size_t i = 1; i < args.size() && out; ++i) out = binary(rules, op, *out, args[i]);
  return out;
}

}  // namespace

std::optional<Content> small_content(const InferContext& ctx, int i) {
  if (!ctx.has_input(i)) return std::nullopt;
  const std::optional<int64_t> count = ir::element_count(ctx.shape(i)).constant();
  if (!count || *count > kMaxContentElements) return std::nullopt;
  const Tensor* value = ctx.value(i);
  if (!value || !ir::is_float(ctx.dtype(i))) return ctx.content(i);
  Content out;
  for (int64_t k = 0; k < *count; ++k) {
    const double v = value->f64(k);
    if (!(std::fabs(v) < 0x1p53) || v != std::floor(v)) return std::nullopt;
    out.push_back(int64_t(v));
  }
  return out;
}

bool carries_content(InferContext& ctx, int i) {
  static constexpr opdef::TypeSet kTypes{DataType::kI32, DataType::kI64, DataType::kBool,
                                         DataType::kF32, DataType::kF64};
  const TensorType& type = ctx.outputs()[size_t(i)].type;
  if (!kTypes.contains(type.dtype)) return false;
  const std::optional<int64_t> count = ir::element_count(type.shape).constant();
  return count && *count <= kMaxContentElements;
}

void set_moved_content(InferContext& ctx,
                       const std::function<void(const Tensor&, Tensor&)>& move) {
  if (!carries_content(ctx, 0)) return;
  const std::optional<Content> in = small_content(ctx, 0);
  if (!in || !ir::is_constant(ctx.shape(0))) return;
  Tensor numbers(DataType::kI64, ir::to_dims(ctx.shape(0)));
  for (int64_t i = 0; i < numbers.count(); ++i) numbers.mutable_data_as<int64_t>()[i] = i;
  Tensor moved(DataType::kI64, ir::to_dims(ctx.outputs()[0].type.shape));
  move(numbers, moved);
  Content out;
  for (int64_t i = 0; i < moved.count(); ++i) {
    out.push_back((*in)[size_t(moved.data_as<int64_t>()[i])]);
  }
  ctx.set_content(0, std::move(out));
}

void propagate_content(InferContext& ctx) {
  const std::string_view op = ctx.op().name;
  if (!knows_op(op) || !carries_content(ctx, 0)) return;
  const int used = op == "CastLike" ? 1 : ctx.input_count();
  std::vector<Content> inputs;
  std::vector<std::vector<int64_t>> dims;
  for (int i = 0; i < used; ++i) {
    std::optional<Content> content = small_content(ctx, i);
    if (!content) return;
    inputs.push_back(std::move(*content));
    dims.push_back(ir::to_dims(ctx.shape(i)));
  }
  if (inputs.empty()) return;
  const TensorType& type = ctx.outputs()[0].type;
  const std::vector<int64_t> out_dims = ir::to_dims(type.shape);
  const int64_t count = ir::element_count(out_dims);
  const Arithmetic rules{ctx, ir::is_float(ctx.dtype(0))};
  Content out;
  std::vector<Dim> args(inputs.size());
  for (int64_t k = 0; k < count; ++k) {
    for (size_t i = 0; i < inputs.size(); ++i) {
      args[i] = broadcast_element(inputs[i], dims[i], out_dims, k);
    }
    const Element result = element(rules, op, args, type.dtype);
    if (!result || !result->valid()) return;
    out.push_back(*result);
  }
  ctx.set_content(0, std::move(out));
}

}  // namespace planish::ops
