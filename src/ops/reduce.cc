// Reductions over axes: a table. The axes are an input (opset 18, ReduceSum from 13); older opsets'
// attribute becomes a constant. Sums run in double, or in wrapping 64-bit integers.
#include <cmath>

#include "base/text.h"
#include "ops/composer.h"
#include "ops/dims.h"
#include "ops/known_elements.h"
#include "ops/numeric.h"
#include "ops/reduction.h"
#include "opdef/import.h"

namespace planish::ops {
namespace {

using opdef::EvalContext;
using opdef::ImportContext;
using opdef::kFloats;
using opdef::NodeView;
using opdef::TypeSet;

constexpr TypeSet kWideNumbers = kFloats | TypeSet{DataType::kI32, DataType::kI64, DataType::kU32,
                                                   DataType::kU64};

// The axes when they are known: nullopt means that only the data decide.
Result<std::optional<std::vector<int>>> known_axes(const InferContext& ctx, int rank) {
  std::vector<int> all;
  for (int i = 0; i < rank; ++i) all.push_back(i);
  bool noop = ctx.attr_int("noop_with_empty_axes") != 0;
  if (!ctx.has_input(1)) return std::optional(noop ? std::vector<int>() : all);
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 1, 1, 1));
  std::optional<std::vector<int64_t>> axes = ctx.ints(1);
  if (!axes && ctx.shape(1)[0] == Dim(0)) axes.emplace();
  if (!axes) return std::optional<std::vector<int>>();
  if (axes->empty()) return std::optional(noop ? std::vector<int>() : all);
  PLANISH_ASSIGN_OR_RETURN(std::vector<int> list, normalize_axes("input 1 (axes)", *axes, rank));
  return std::optional(std::move(list));
}

Status infer_reduce(InferContext& ctx) {
  const Shape& x = ctx.shape(0);
  bool keep = ctx.attr_int("keepdims") != 0;
  PLANISH_ASSIGN_OR_RETURN(auto axes, known_axes(ctx, ctx.rank(0)));
  Shape out;
  if (axes) {
    out = reduced_shape(x, *axes, keep);
  } else if (keep) {
    for (const Dim& d : x) out.push_back(data_dim(ctx, "reduced", d));
  } else {
    auto count = ctx.shape(1)[0].constant();
    if (!count || *count > int64_t(x.size()))
      return unsupported("input 1 (axes): got a list of unknown length, expected a known one");
    for (size_t i = size_t(*count); i < x.size(); ++i) out.push_back(data_dim(ctx, "reduced"));
  }
  ctx.set_output(0, ctx.dtype(0), std::move(out));
  return ok_status();
}

// Product, sum, min or max of small integer lists stay known: the element counts of shapes.
template <class Fold>
Status infer_with_content(InferContext& ctx, Fold fold) {
  PLANISH_RETURN_IF_ERROR(infer_reduce(ctx));
  if (ir::is_float(ctx.dtype(0)) || ctx.rank(0) != 1 || (ctx.has_input(1) && !ctx.ints(1)))
    return ok_status();
  auto length = ctx.shape(0)[0].constant();
  Dim out = element_count(ctx.outputs()[0].type.shape);
  if (!length || *length < 1 || *length > kMaxKnownElements || out != Dim(1)) return ok_status();
  std::optional<std::vector<Dim>> content = ctx.content(0);
  if (!content || content->empty()) return ok_status();
  Dim result = (*content)[0];
  for (size_t i = 1; i < content->size(); ++i) result = fold(result, (*content)[i]);
  if (result.valid()) ctx.set_content(0, {result});
  return ok_status();
}
Status infer_prod(InferContext& ctx) {
  return infer_with_content(ctx, [](const Dim& a, const Dim& b) { return a * b; });
}
Status infer_sum(InferContext& ctx) {
  return infer_with_content(ctx, [](const Dim& a, const Dim& b) { return a + b; });
}
Status infer_max(InferContext& ctx) {
  return infer_with_content(ctx, [](const Dim& a, const Dim& b) { return max(a, b); });
}
Status infer_min(InferContext& ctx) {
  return infer_with_content(ctx, [](const Dim& a, const Dim& b) { return min(a, b); });
}

std::vector<int> axes_of(EvalContext& ctx) {
  std::vector<int64_t> axes;
  if (ctx.has_input(1)) axes = ctx.input(1).i64_values();
  int rank = ctx.input(0).rank();
  std::vector<int> out;
  for (int64_t axis : axes) out.push_back(int(axis < 0 ? axis + rank : axis));
  if (axes.empty() && ctx.attr_int("noop_with_empty_axes") == 0)
    for (int i = 0; i < rank; ++i) out.push_back(i);
  return out;
}

// out[slot] = combine(out[slot], x) over all elements, from `first`.
template <class T, class Combine>
std::vector<T> fold(const std::vector<T>& x, const ReductionMap& map, T first, Combine combine) {
  std::vector<T> out(size_t(map.output_count), first);
  for (size_t i = 0; i < x.size(); ++i) {
    T& slot = out[size_t(map.slot[i])];
    slot = combine(slot, x[i]);
  }
  return out;
}

enum class Kind { kL1, kL2, kLogSum, kLogSumExp, kMax, kMean, kMin, kProd, kSum, kSumSquare };

template <class T>
T extreme(bool high) {
  using Limits = std::numeric_limits<T>;
  if constexpr (std::is_floating_point_v<T>) return high ? Limits::infinity() : -Limits::infinity();
  else return high ? Limits::max() : Limits::min();
}

// The limits of a narrow integer type stand in for those of the wide one that computes.
template <class T>
T empty_extreme(DataType dtype, bool high) {
  T value = extreme<T>(high);
  if (std::is_floating_point_v<T>) return value;
  if (dtype == DataType::kBool) return T(high);
  int bits = ir::bits_of(dtype);
  if (bits == 64) return value;
  if (ir::is_unsigned_int(dtype)) return high ? T((uint64_t(1) << bits) - 1) : T(0);
  int64_t half = int64_t(1) << (bits - 1);
  return T(high ? half - 1 : -half);
}

template <class T>
T take_extreme(T a, T b, bool high) {
  if (is_nan(a)) return a;
  if (is_nan(b)) return b;
  return high ? std::max(a, b) : std::min(a, b);
}

// Kinds that stay in the element type.
template <class T>
std::vector<T> reduce_exact(Kind kind, const std::vector<T>& x, const ReductionMap& map,
                            DataType dtype) {
  switch (kind) {
    case Kind::kMax:
    case Kind::kMin: {
      bool high = kind == Kind::kMax;
      return fold(x, map, empty_extreme<T>(dtype, !high),
                  [high](T a, T b) { return take_extreme(a, b, high); });
    }
    case Kind::kProd:
      return fold(x, map, T(1), [](T a, T b) { return wrapping_multiply(a, b); });
    case Kind::kSumSquare:
      return fold(x, map, T(0),
                  [](T a, T b) { return wrapping_add(a, wrapping_multiply(b, b)); });
    case Kind::kL1:
      return fold(x, map, T(0), [](T a, T b) {
        return wrapping_add(a, b < T(0) ? wrapping_multiply(b, T(-1)) : b);
      });
    default:
      return fold(x, map, T(0), [](T a, T b) { return wrapping_add(a, b); });
  }
}

std::vector<double> log_sum_exp(const std::vector<double>& x, const ReductionMap& map) {
  std::vector<double> top = reduce_exact(Kind::kMax, x, map, DataType::kF64);
  std::vector<double> sum(top.size(), 0.0);
  for (size_t i = 0; i < x.size(); ++i) {
    size_t slot = size_t(map.slot[i]);
    sum[slot] += x[i] == top[slot] ? 1.0 : std::exp(x[i] - top[slot]);
  }
  for (size_t i = 0; i < top.size(); ++i) top[i] += std::log(sum[i]);
  return top;
}

// Kinds that leave the integers.
std::vector<double> reduce_real(Kind kind, const std::vector<double>& x, const ReductionMap& map) {
  if (kind == Kind::kLogSumExp) return log_sum_exp(x, map);
  std::vector<double> out =
      reduce_exact(kind == Kind::kL2 ? Kind::kSumSquare : Kind::kSum, x, map, DataType::kF64);
  double count = double(map.reduced_count);
  for (double& y : out)
    y = kind == Kind::kL2 ? std::sqrt(y) : kind == Kind::kLogSum ? std::log(y) : y / count;
  return out;
}

template <Kind kKind>
Status evaluate_reduce(EvalContext& ctx) {
  const Tensor& x = ctx.input(0);
  ReductionMap map = reduction_map(x.dims(), axes_of(ctx));
  if (kKind == Kind::kL2 || kKind == Kind::kLogSum || kKind == Kind::kLogSumExp ||
      kKind == Kind::kMean) {
    ctx.output(0).assign_f64(reduce_real(kKind, x.f64_values(), map));
    return ok_status();
  }
  with_values(x, [&](auto values) {
    assign(ctx.output(0), reduce_exact(kKind, values, map, x.dtype()));
  });
  return ok_status();
}

int64_t accumulation(const ir::Node& node) {
  const Shape &x = node.inputs[0]->type.shape, &y = node.outputs[0]->type.shape;
  auto in = element_count(x).constant(), out = element_count(y).constant();
  return in && out && *out > 0 ? std::max<int64_t>(*in / *out, 1) : 1;
}

// Axes as an attribute become a constant input; absent ones stay absent.
Status import_with_axes_attr(const NodeView& node, ImportContext& ctx) {
  if (!node.has_input(0) || node.input_count() != 1)
    return invalid_argument(cat("got ", node.input_count(), " inputs, expected 1 at this opset"));
  PLANISH_ASSIGN_OR_RETURN(int64_t keepdims, node.attr_int("keepdims", 1));
  PLANISH_ASSIGN_OR_RETURN(std::vector<int64_t> axes, node.attr_ints("axes", {}));
  ir::Value* list = axes.empty() ? nullptr : ctx.constant_i64(axes);
  PLANISH_ASSIGN_OR_RETURN(
      ir::Value * y, ctx.add1(node.op_type(), {node.input(0), list}, {{"keepdims", keepdims}}));
  ctx.set_output(0, y);
  return ok_status();
}

struct Row {
  const char* name;
  TypeSet types;
  Status (*infer)(InferContext&);
  Status (*evaluate)(EvalContext&);
  const char* doc;
};

constexpr TypeSet kExtremeTypes = kWideNumbers | opdef::kBools |
                                  TypeSet{DataType::kI8, DataType::kU8};

constexpr Row kRows[] = {
    {"ReduceL1", kWideNumbers, infer_reduce, evaluate_reduce<Kind::kL1>, "sum of |x|"},
    {"ReduceL2", kWideNumbers, infer_reduce, evaluate_reduce<Kind::kL2>,
     "square root of the sum of squares"},
    {"ReduceLogSum", kWideNumbers, infer_reduce, evaluate_reduce<Kind::kLogSum>,
     "logarithm of the sum"},
    {"ReduceLogSumExp", kWideNumbers, infer_reduce, evaluate_reduce<Kind::kLogSumExp>,
     "logarithm of the sum of e^x"},
    {"ReduceMax", kExtremeTypes, infer_max, evaluate_reduce<Kind::kMax>, "maximum"},
    {"ReduceMean", kWideNumbers, infer_reduce, evaluate_reduce<Kind::kMean>, "mean"},
    {"ReduceMin", kExtremeTypes, infer_min, evaluate_reduce<Kind::kMin>, "minimum"},
    {"ReduceProd", kWideNumbers, infer_prod, evaluate_reduce<Kind::kProd>, "product"},
    {"ReduceSum", kWideNumbers, infer_sum, evaluate_reduce<Kind::kSum>, "sum"},
    {"ReduceSumSquare", kWideNumbers, infer_reduce, evaluate_reduce<Kind::kSumSquare>,
     "sum of squares"},
};

// The axes are an operand, keep_dims an attribute; no axes at all mean no reduction.
template <const char* const& kName>
Status import_reduction(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  const int64_t keep = c.attr_int("keep_dims", 0);
  return c.finish({c.op(kName, {c.in(0), c.i64_list(c.in(1))},
                        {{"keepdims", keep}, {"noop_with_empty_axes", int64_t(1)}})});
}
Status import_l2_loss(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value* x = c.in(0);
  ir::Value* sum = c.op("ReduceSumSquare", {x}, {{"keepdims", int64_t(0)}});
  return c.finish({c.mul(sum, c.scalar_like(0.5, x))});
}

const char* const kL2 = "ReduceL2";
const char* const kMax = "ReduceMax";
const char* const kMean = "ReduceMean";
const char* const kMin = "ReduceMin";
const char* const kProd = "ReduceProd";
const char* const kSum = "ReduceSum";

// How many elements are in front of each value: sorted rows [rows, n], values [rows, m].
template <bool kWithEqual>
Status import_bound(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value *sorted = c.unsqueeze(c.in(0), {1}), *values = c.unsqueeze(c.in(1), {2});
  ir::Value* is_before = c.op(kWithEqual ? "LessOrEqual" : "Less", {sorted, values});
  const DataType type = c.attr_type("out_type", DataType::kI32);
  return c.finish({c.reduce(kSum, c.cast(is_before, type), {2}, false)});
}
// The number of the bucket between given boundaries.
Status import_bucketize(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  const ir::Attribute* attr = node.attr("boundaries");
  const auto* given = attr ? std::get_if<std::vector<double>>(attr) : nullptr;
  const std::vector<double> boundaries = given ? *given : std::vector<double>();
  ir::Value* x = c.cast(c.in(0), DataType::kF32);
  ir::Value* limits =
      c.constant(Tensor::from_f64(DataType::kF32, {int64_t(boundaries.size())}, boundaries));
  ir::Value* is_above = c.op("GreaterOrEqual", {c.unsqueeze(x, {c.rank(x)}), limits});
  return c.finish({c.reduce(kSum, c.cast(is_above, DataType::kI32), {c.rank(x)}, false)});
}
// How often each number from 0 to size - 1 occurs (in each row), or the sum of its weights.
Status import_bincount(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value *x = c.i64(c.in(0)), *size = c.i64(c.in(1)), *weights = c.in(2);
  const DataType type = c.dtype(weights);
  const bool is_flat = node.op_type() == "Bincount";  // over all elements
  if (is_flat) x = c.reshape(x, {-1});
  // Numbers beyond the bins count nowhere, and so do negative ones.
  ir::Value* is_off = c.op("Less", {x, c.scalar_like(0, x)});
  ir::Value* bins = c.op("OneHot", {c.where(is_off, size, x), size,
                                    c.constant(Tensor::from_f64(type, {2}, std::vector<double>{0, 1}))});
  const bool is_binary = c.attr_int("binary_output", 0) != 0;
  const bool has_weights = c.rank(weights) > 0 && weights->type.shape[0].constant() != 0;
  if (!is_binary && has_weights) {
    if (is_flat) weights = c.reshape(weights, {-1});
    bins = c.mul(bins, c.unsqueeze(weights, {c.rank(weights)}));
  }
  return c.finish({c.reduce(is_binary ? kMax : kSum, bins, {c.rank(x) - 1}, false)});
}
// Images drawn away from each channel's mean.
Status import_adjust_contrast(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value* x = c.in(0);
  ir::Value* mean = c.reduce(kMean, x, {c.rank(x) - 3, c.rank(x) - 2}, true);
  return c.finish({c.add(c.mul(c.sub(x, mean), c.cast(c.in(1), c.dtype(x))), mean)});
}

std::vector<opdef::ImportRule> tensorflow_rules(std::string_view op) {
  if (op == kL2) return {tensorflow("EuclideanNorm", import_reduction<kL2>)};
  if (op == kMax)
    return {tensorflow("Max", import_reduction<kMax>), tensorflow("Any", import_reduction<kMax>)};
  if (op == kMean)
    return {tensorflow("Mean", import_reduction<kMean>),
            tensorflow("AdjustContrastv2", import_adjust_contrast)};
  if (op == kMin)
    return {tensorflow("Min", import_reduction<kMin>), tensorflow("All", import_reduction<kMin>)};
  if (op == kProd) return {tensorflow("Prod", import_reduction<kProd>)};
  if (op == kSum)
    return {tensorflow("Sum", import_reduction<kSum>), tensorflow("Bincount", import_bincount),
            tensorflow("Bucketize", import_bucketize), tensorflow("DenseBincount", import_bincount),
            tensorflow("LowerBound", import_bound<false>),
            tensorflow("UpperBound", import_bound<true>)};
  if (op == "ReduceSumSquare") return {tensorflow("L2Loss", import_l2_loss)};
  return {};
}

}  // namespace

Shape reduced_shape(const Shape& shape, std::span<const int> axes, bool keepdims) {
  Shape out;
  for (int i = 0; i < int(shape.size()); ++i) {
    if (std::find(axes.begin(), axes.end(), i) == axes.end()) out.push_back(shape[size_t(i)]);
    else if (keepdims) out.push_back(Dim(1));
  }
  return out;
}

ReductionMap reduction_map(std::span<const int64_t> dims, std::span<const int> axes) {
  ReductionMap map;
  size_t rank = dims.size();
  std::vector<int64_t> step(rank, 0), index(rank, 0);
  map.output_count = map.reduced_count = 1;
  for (size_t i = rank; i-- > 0;) {
    bool reduced = std::find(axes.begin(), axes.end(), int(i)) != axes.end();
    if (!reduced) step[i] = map.output_count;
    (reduced ? map.reduced_count : map.output_count) *= dims[i];
  }
  int64_t count = ir::element_count(dims), at = 0;
  map.slot.resize(size_t(count));
  for (int64_t i = 0; i < count; ++i) {
    map.slot[size_t(i)] = at;
    for (size_t d = rank; d-- > 0;) {
      at += step[d];
      if (++index[d] < dims[d]) break;
      at -= step[d] * dims[d];
      index[d] = 0;
    }
  }
  return map;
}

void register_reduce(opdef::OpRegistry& registry) {
  for (const Row& row : kRows) {
    opdef::OpDef def;
    def.name = row.name;
    def.doc = cat(row.doc, " over the given axes");
    def.inputs = {operand("data", row.types, "operand"),
                  optional_operand("axes", opdef::kInt64, "axes to reduce; all when absent", "")};
    def.outputs = {operand("reduced", row.types, "result")};
    def.attrs = {
        opdef::int_attr("keepdims", 1, "1: reduced dims stay as 1"),
        opdef::int_attr("noop_with_empty_axes", 0, "1: no axes mean none, in place of all")};
    def.kind = opdef::FusionKind::kReduction;
    def.host_inputs = 1u << 1;
    def.infer = row.infer;
    def.evaluate = row.evaluate;
    def.accumulation = accumulation;
    int since = def.name == "ReduceSum" ? 13 : 18;
    def.onnx = {{row.name, "", 1, since - 1, import_with_axes_attr},
                {row.name, "", since, 1 << 30, nullptr}};
    def.tensorflow = tensorflow_rules(def.name);
    registry.add(std::move(def));
  }
}

}  // namespace planish::ops
