// Unique: distinct elements, or distinct slices along an axis, with where they came from. Slices
// are compared element by element; all NaNs count as one value that sorts last.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "ops/composer.h"
#include "ops/dims.h"
#include "ops/movement.h"

namespace planish::ops {
namespace {

// -1, 0 or 1.
int compare(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return int(std::isnan(a)) - int(std::isnan(b));
  return a < b ? -1 : a > b;
}

// The input as [outer, length, inner]: slice s is every (o, s, i).
struct Slices {
  const Tensor& in;
  int64_t outer, length, inner;
  std::vector<double> floats;
  std::vector<int64_t> ints;

  Slices(const Tensor& tensor, int64_t outer_count, int64_t slice_count, int64_t inner_count)
      : in(tensor), outer(outer_count), length(slice_count), inner(inner_count) {
    if (ir::is_float(in.dtype())) {
      floats = in.f64_values();
    } else {
      ints = in.i64_values();
    }
  }
  int compare_elements(int64_t a, int64_t b) const {
    if (!floats.empty()) return compare(floats[size_t(a)], floats[size_t(b)]);
    const int64_t x = ints[size_t(a)], y = ints[size_t(b)];
    if (in.dtype() == DataType::kU64) return uint64_t(x) < uint64_t(y) ? -1 : x != y;
    return x < y ? -1 : x > y;
  }
  int compare_slices(int64_t a, int64_t b) const {
    for (int64_t o = 0; o < outer; ++o) {
      for (int64_t i = 0; i < inner; ++i) {
        const int64_t base = o * length * inner + i;
        if (int c = compare_elements(base + a * inner, base + b * inner)) return c;
      }
    }
    return 0;
  }
};

struct Groups {
  std::vector<int64_t> first;    // slice that stands for the group
  std::vector<int64_t> inverse;  // group of every slice
  std::vector<int64_t> counts;
};

Groups group(const Slices& slices, bool sorted) {
  std::vector<int64_t> order(size_t(slices.length));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return slices.compare_slices(a, b) < 0;
  });
  Groups groups;
  groups.inverse.resize(order.size());
  for (size_t i = 0; i < order.size(); ++i) {
    if (i == 0 || slices.compare_slices(order[i - 1], order[i]) != 0) {
      groups.first.push_back(order[i]);  // stable sort: the earliest of its equals
      groups.counts.push_back(0);
    }
    groups.inverse[size_t(order[i])] = int64_t(groups.first.size()) - 1;
    ++groups.counts.back();
  }
  if (sorted) return groups;
  // Renumber the groups by first occurrence.
  const size_t n = groups.first.size();
  std::vector<int64_t> by_first(n), rank(n);
  std::iota(by_first.begin(), by_first.end(), 0);
  std::sort(by_first.begin(), by_first.end(), [&](int64_t a, int64_t b) {
    return groups.first[size_t(a)] < groups.first[size_t(b)];
  });
  Groups out;
  for (size_t i = 0; i < n; ++i) {
    rank[size_t(by_first[i])] = int64_t(i);
    out.first.push_back(groups.first[size_t(by_first[i])]);
    out.counts.push_back(groups.counts[size_t(by_first[i])]);
  }
  for (int64_t g : groups.inverse) out.inverse.push_back(rank[size_t(g)]);
  return out;
}

Status infer(InferContext& ctx) {
  Shape shape;
  int axis = 0;
  if (ctx.has_attr("axis")) {
    PLANISH_ASSIGN_OR_RETURN(axis, ctx.axis("axis", ctx.rank(0)));
    shape = ctx.shape(0);
  } else {
    shape = {ir::element_count(ctx.shape(0))};
  }
  const Dim whole = shape[size_t(axis)];
  const Dim count = data_dim(ctx, "unique", whole);
  shape[size_t(axis)] = count;
  const Shape lists[] = {{count}, {whole}, {count}};
  PLANISH_RETURN_IF_ERROR(set_sized_output(ctx, 0, ctx.dtype(0), std::move(shape)));
  for (int i = 1; i < std::min(4, ctx.output_count()); ++i) {
    ctx.set_output(i, DataType::kI64, lists[i - 1]);
  }
  return ok_status();
}

Status evaluate(EvalContext& ctx) {
  const Tensor& in = ctx.input(0);
  const bool flat = !ctx.has_attr("axis");
  std::vector<int64_t> dims = flat ? std::vector<int64_t>{in.count()} : in.dims();
  const int rank = int(dims.size());
  const int axis = flat ? 0 : wrap_axis(ctx.attr_int("axis"), rank);
  const Slices slices(in, product(dims, 0, axis), dims[size_t(axis)],
                      product(dims, axis + 1, rank));
  const Groups groups = group(slices, ctx.attr_int("sorted") != 0);
  const int64_t count = int64_t(groups.first.size());
  dims[size_t(axis)] = count;
  Tensor unique(in.dtype(), std::move(dims));
  ElementMover mover(in, unique);
  for (int64_t o = 0; o < slices.outer; ++o) {
    for (int64_t g = 0; g < count; ++g) {
      mover.copy((o * count + g) * slices.inner,
                 (o * slices.length + groups.first[size_t(g)]) * slices.inner, slices.inner);
    }
  }
  ctx.set_output(0, std::move(unique));
  const std::vector<int64_t>* lists[] = {&groups.first, &groups.inverse, &groups.counts};
  for (int i = 1; i < std::min(4, ctx.output_count()); ++i) {
    ctx.set_output(i, Tensor::vector_i64(*lists[i - 1]));
  }
  return ok_status();
}

Status import_tensorflow(const opdef::NodeView& node, opdef::ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Attributes attrs = {{"sorted", int64_t(0)}};
  if (node.op_type() == "UniqueV2" || node.op_type() == "UniqueWithCountsV2")
    for (int64_t axis : c.need(1, "axis")) attrs["axis"] = axis;
  const auto found = c.ops("Unique", {c.in(0)}, attrs, 4);
  const DataType type = c.attr_type("out_idx", DataType::kI32);
  return c.finish({found[0], c.cast(found[2], type), c.cast(found[3], type)});
}

}  // namespace

void register_unique(opdef::OpRegistry& registry) {
  constexpr opdef::TypeSet kTypes = opdef::kNumbers | opdef::kBools;
  opdef::OpDef def;
  def.name = "Unique";
  def.doc =
      "Distinct elements (with `axis`: slices), sorted or by first occurrence, the index of each "
      "one's first occurrence, the number of each input element's group, and the counts.";
  def.inputs = {operand("X", kTypes, "tensor")};
  def.outputs = {operand("Y", kTypes, "distinct elements or slices"),
                 optional_operand("indices", opdef::kInt64, "first occurrences", ""),
                 optional_operand("inverse_indices", opdef::kInt64, "group per element", ""),
                 optional_operand("counts", opdef::kInt64, "size per group", "")};
  def.attrs = {opdef::optional_attr("axis", opdef::AttrKind::kInt, "dim of the slices"),
               opdef::int_attr("sorted", 1, "1: ascending; 0: by first occurrence")};
  def.infer = infer;
  def.evaluate = evaluate;
  def.tensorflow = {tensorflow("Unique", import_tensorflow),
                    tensorflow("UniqueV2", import_tensorflow),
                    tensorflow("UniqueWithCounts", import_tensorflow),
                    tensorflow("UniqueWithCountsV2", import_tensorflow)};
  registry.add(std::move(def));
}

}  // namespace planish::ops
