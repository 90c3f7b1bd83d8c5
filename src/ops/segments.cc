#include "ops/segments.h"

#include <limits>

#include "base/text.h"
#include "ops/composer.h"

namespace planish::ops {
namespace {

enum class Kind { kSum, kMean, kSqrtN, kProd, kMax, kMin };

const char* reduction_of(Kind kind) {
  if (kind == Kind::kProd) return "mul";
  if (kind == Kind::kMax) return "max";
  return kind == Kind::kMin ? "min" : "add";
}

// "UnsortedSegmentMax" and the like; the kind is what follows "Segment".
Kind kind_of(std::string_view type) {
  const std::string_view rest = type.substr(type.find("Segment") + 7);
  if (rest.substr(0, 4) == "Mean") return Kind::kMean;
  if (rest.substr(0, 5) == "SqrtN") return Kind::kSqrtN;
  if (rest.substr(0, 4) == "Prod") return Kind::kProd;
  if (rest.substr(0, 3) == "Max") return Kind::kMax;
  return rest.substr(0, 3) == "Min" ? Kind::kMin : Kind::kSum;
}

// What a reduction begins with, one element of the type.
std::optional<Tensor> neutral(Kind kind, DataType type) {
  if (kind != Kind::kMax && kind != Kind::kMin)
    return Tensor::from_f64(type, {1}, std::vector<double>{kind == Kind::kProd ? 1.0 : 0.0});
  const auto pick = [&](auto low, auto high) { return kind == Kind::kMax ? low : high; };
  switch (type) {
    case DataType::kF32: {
      using Limit = std::numeric_limits<float>;
      return Tensor::from_f64(type, {1}, std::vector<double>{pick(Limit::lowest(), Limit::max())});
    }
    case DataType::kF64: {
      using Limit = std::numeric_limits<double>;
      return Tensor::from_f64(type, {1}, std::vector<double>{pick(Limit::lowest(), Limit::max())});
    }
    case DataType::kI32: {
      using Limit = std::numeric_limits<int32_t>;
      return Tensor::from_i64(type, {1}, std::vector<int64_t>{pick(Limit::min(), Limit::max())});
    }
    case DataType::kI64: {
      using Limit = std::numeric_limits<int64_t>;
      return Tensor::from_i64(type, {1}, std::vector<int64_t>{pick(Limit::min(), Limit::max())});
    }
    default: return std::nullopt;
  }
}

ir::Value* scattered(Composer& c, ir::Value* into, ir::Value* ids, ir::Value* rows,
                     const char* reduction) {
  return c.op("ScatterND", {into, c.unsqueeze(ids, {c.rank(ids)}), rows},
              {{"reduction", std::string(reduction)}});
}

// Rows of x with the same id as one row each of [count, dims of x behind those of the ids].
ir::Value* segments(Composer& c, Kind kind, ir::Value* x, ir::Value* ids, ir::Value* count) {
  const std::optional<Tensor> start = neutral(kind, c.dtype(x));
  if (!start) {
    c.fail(unsupported(cat("segments of ", ir::name_of(c.dtype(x)))));
    return x;
  }
  ir::Value* rest = c.op("Shape", {x}, {{"start", int64_t(c.rank(ids))}});
  ir::Value* into = c.op("ConstantOfShape", {c.concat({count, rest}, 0)}, {{"value", *start}});
  return scattered(c, into, ids, x, reduction_of(kind));
}

// How many rows went into each segment, in x's type, to be broadcast over a segment's row.
ir::Value* members(Composer& c, ir::Value* x, ir::Value* ids, ir::Value* count) {
  ir::Value* ones = c.filled(c.op("Shape", {ids}), 1, c.dtype(x));
  ir::Value* found = scattered(c, c.filled(count, 0, c.dtype(x)), ids, ones, "add");
  std::vector<int64_t> dims(size_t(std::max(1, c.rank(x))), 1);
  dims[0] = -1;
  return c.reshape(found, dims);
}

// The segment ids are sorted (or the number of segments is given): segments without rows are zero, of
// a product one.
ir::Value* sorted_segments(Composer& c, Kind kind, ir::Value* x, ir::Value* ids, ir::Value* count) {
  ir::Value* y = segments(c, kind, x, ids, count);
  if (!c.ok() || kind == Kind::kSum || kind == Kind::kProd) return y;
  ir::Value* found = members(c, x, ids, count);
  if (kind == Kind::kMax || kind == Kind::kMin) {
    ir::Value* zero = c.scalar_like(0, x);
    return c.where(c.op("Greater", {found, zero}), y, zero);
  }
  ir::Value* least = c.op("Max", {found, c.scalar_like(1, x)});
  return c.div(y, kind == Kind::kMean ? least : c.op("Sqrt", {least}));
}

// One more than the last id.
ir::Value* count_of_sorted(Composer& c, ir::Value* ids) {
  if (const auto all = c.known(ids)) return c.ints({all->empty() ? 0 : all->back() + 1});
  return c.add(c.reduce("ReduceMax", c.concat({c.ints({-1}), ids}, 0), {0}, true), c.ints({1}));
}

Status import_segments(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value *x = c.in(0), *ids = c.i64(c.in(1));
  return c.finish({sorted_segments(c, kind_of(node.op_type()), x, ids, count_of_sorted(c, ids))});
}

// Rows whose id is negative are left out: they go to a segment more, which is cut off.
Status import_unsorted_segments(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  const Kind kind = kind_of(node.op_type());
  ir::Value *x = c.in(0), *ids = c.i64(c.in(1)), *count = c.i64_list(c.in(2));
  bool is_plain = false;
  if (const auto all = c.known(ids)) {
    is_plain = true;
    for (int64_t id : *all) is_plain = is_plain && id >= 0;
  }
  if (is_plain) return c.finish({segments(c, kind, x, ids, count)});
  ids = c.where(c.op("Less", {ids, c.scalar_like(0, ids)}), count, ids);
  ir::Value* y = segments(c, kind, x, ids, c.add(count, c.ints({1})));
  return c.finish({c.slice(y, 0, 0, -1)});
}

// The rows are picked by index first: sums of embeddings.
Status import_sparse_segments(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value *ids = c.i64(c.in(2));
  ir::Value* x = c.op("Gather", {c.in(0), c.i64(c.in(1))}, {{"axis", int64_t(0)}});
  const bool is_given = node.op_type().find("WithNumSegments") != std::string_view::npos;
  ir::Value* count = is_given ? c.i64_list(c.in(3)) : count_of_sorted(c, ids);
  return c.finish({sorted_segments(c, kind_of(node.op_type()), x, ids, count)});
}

// Lists of indices, then as many tensors whose rows go to them; later ones win.
Status import_dynamic_stitch(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  const Composer::Values all = c.all_inputs();
  const size_t half = all.size() / 2;
  if (all.empty() || all.size() % 2 != 0) return invalid_argument("expected as many indices as data");
  Composer::Values indices, rows;
  ir::Value* rest = nullptr;
  for (size_t i = 0; i < half; ++i) {
    rest = c.op("Shape", {all[half + i]}, {{"start", int64_t(c.rank(all[i]))}});
    indices.push_back(c.reshape(c.i64(all[i]), {-1}));
    rows.push_back(c.op("Reshape", {all[half + i], c.concat({c.ints({-1}), rest}, 0)}));
  }
  ir::Value *places = c.concat(indices, 0), *x = c.concat(rows, 0);
  ir::Value* count = c.add(c.op("ReduceMax", {places, c.ints({0})}), c.ints({1}));
  return c.finish({scattered(c, c.filled(c.concat({count, rest}, 0), 0, c.dtype(x)), places, x, "none")});
}

Status import_sparse_to_dense(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value *places = c.i64(c.in(0)), *dims = c.i64_list(c.in(1)), *values = c.in(2), *other = c.in(3);
  if (c.rank(places) == 0) places = c.reshape(places, {1});
  if (c.rank(places) == 1) places = c.unsqueeze(places, {1});
  if (c.rank(values) == 0) values = c.op("Expand", {values, c.dim_of(places, 0)});
  ir::Value* into = c.op("Expand", {other, dims});
  return c.finish({c.op("ScatterND", {into, places, values})});
}

// a, a sparse matrix of [nnz, 2] indices, times b: rows of b times a's values, summed by a's rows.
Status import_sparse_product(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value *places = c.i64(c.in(0)), *values = c.in(1), *dims = c.i64(c.in(2)), *b = c.in(3);
  const int64_t row = c.attr_int("adjoint_a", 0) ? 1 : 0;
  if (c.attr_int("adjoint_b", 0)) b = c.transpose(b, {1, 0});
  ir::Value* picked = c.op("Gather", {b, c.gather(places, 1 - row, 1)}, {{"axis", int64_t(0)}});
  ir::Value* products = c.mul(picked, c.unsqueeze(values, {1}));
  ir::Value* count = c.slice(dims, 0, row, row + 1);
  return c.finish({segments(c, Kind::kSum, products, c.gather(places, row, 1), count)});
}

// How many values lie in each of n steps between two ends; what lies beyond counts in the last step.
Status import_histogram(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value *x = c.reshape(c.in(0), {-1}), *ends = c.in(1);
  const int64_t steps = c.need_one(2, "nbins");
  const DataType type = c.attr_type("dtype", DataType::kI32);
  ir::Value* low = c.gather(ends, 0, 0);
  ir::Value* step = c.div(c.sub(c.gather(ends, 1, 0), low), c.scalar_like(double(steps), x));
  ir::Value* place = c.op("Floor", {c.div(c.sub(x, low), step)});
  place = c.op("Clip", {place, c.scalar_like(0, x), c.scalar_like(double(steps - 1), x)});
  ir::Value* ones = c.filled(c.op("Shape", {x}), 1, type);
  return c.finish({scattered(c, c.filled(c.ints({steps}), 0, type), c.i64(place), ones, "add")});
}

Status import_scatter_add(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  return c.finish({c.op("ScatterND", {c.in(0), c.i64(c.in(1)), c.in(2)},
                        {{"reduction", std::string("add")}})});
}

}  // namespace

std::vector<opdef::ImportRule> segment_rules() {
  std::vector<opdef::ImportRule> rules = {
      tensorflow("DynamicStitch", import_dynamic_stitch),
      tensorflow("HistogramFixedWidth", import_histogram),
      tensorflow("ParallelDynamicStitch", import_dynamic_stitch),
      tensorflow("ScatterNdNonAliasingAdd", import_scatter_add),
      tensorflow("SparseTensorDenseMatMul", import_sparse_product),
      tensorflow("SparseToDense", import_sparse_to_dense)};
  for (const char* kind : {"Max", "Mean", "Min", "Prod", "Sum"})
    rules.push_back(tensorflow(cat("Segment", kind), import_segments));
  for (const char* kind : {"Max", "Min", "Prod", "Sum"})
    rules.push_back(tensorflow(cat("UnsortedSegment", kind), import_unsorted_segments));
  for (const char* kind : {"Mean", "SqrtN", "Sum"})
    for (const char* end : {"", "WithNumSegments"})
      rules.push_back(tensorflow(cat("SparseSegment", kind, end), import_sparse_segments));
  return rules;
}

}  // namespace planish::ops
