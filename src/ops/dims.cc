#include "ops/dims.h"

#include "base/limits.h"
#include "base/text.h"

namespace planish::ops {

namespace {

Status too_large(std::string_view what, const std::string& shape) {
  return resource_exhausted(cat(what, ": shape ", shape, " has more elements than the limit ",
                                "max_tensor_elements = ", kDefaultLimits.max_tensor_elements));
}

}  // namespace

Status check_size(std::span<const int64_t> dims, std::string_view what) {
  bool empty = false;
  for (int64_t d : dims) {
    if (d < 0) return invalid_argument(cat(what, ": negative dim in shape ", bracketed(dims)));
    empty |= d == 0;
  }
  if (empty) return ok_status();
  const std::optional<int64_t> count = ir::checked_element_count(dims);
  if (!count || *count > kDefaultLimits.max_tensor_elements) return too_large(what, bracketed(dims));
  return ok_status();
}

Status check_size(const Shape& shape, std::string_view what) {
  std::vector<int64_t> known;
  bool empty = false;
  for (const Dim& d : shape) {
    if (!d.valid()) {
      return resource_exhausted(cat(what, ": a dim leaves the range of 64-bit integers"));
    }
    if (!d.is_constant()) continue;
    if (d.value() < 0) {
      return invalid_argument(cat(what, ": negative dim in shape ", ir::to_string(shape)));
    }
    empty |= d.value() == 0;
    known.push_back(d.value());
  }
  if (empty) return ok_status();
  // Symbols may be 1, so the constant part alone must fit.
  const std::optional<int64_t> count = ir::checked_element_count(known);
  if (!count || *count > kDefaultLimits.max_tensor_elements) {
    return too_large(what, ir::to_string(shape));
  }
  return ok_status();
}

Status set_sized_output(InferContext& ctx, int i, DataType dtype, Shape shape) {
  PLANISH_RETURN_IF_ERROR(check_size(shape, cat("output ", i)));
  ctx.set_output(i, dtype, std::move(shape));
  return ok_status();
}

Result<Dim> broadcast_dim(const Dim& a, const Dim& b) {
  if (a == b) return a;
  if (a == Dim(1)) return b;
  if (b == Dim(1)) return a;
  if (a.is_constant() && b.is_constant()) {
    return invalid_argument(cat("dims ", a.value(), " and ", b.value(), " do not broadcast"));
  }
  // A constant other than 1 wins: the symbol must equal it or be 1.
  if (a.is_constant()) return a;
  if (b.is_constant()) return b;
  return max(a, b);
}

Result<Shape> broadcast_shapes(const Shape& a, const Shape& b) {
  const size_t rank = std::max(a.size(), b.size());
  Shape out(rank);
  for (size_t i = 0; i < rank; ++i) {
    const Dim da = i + a.size() < rank ? Dim(1) : a[i + a.size() - rank];
    const Dim db = i + b.size() < rank ? Dim(1) : b[i + b.size() - rank];
    Result<Dim> d = broadcast_dim(da, db);
    if (!d.ok()) {
      return d.status().at(cat("shapes ", ir::to_string(a), " and ", ir::to_string(b)));
    }
    out[i] = *d;
  }
  return out;
}

Dim data_dim(InferContext& ctx, std::string_view hint, std::optional<Dim> upper) {
  ir::SymbolInfo info;
  info.low = 0;
  info.from_data = true;
  if (upper && upper->valid()) {
    info.high = upper->constant();
    info.upper_bound = std::move(upper);
  }
  return ctx.new_symbol(hint, std::move(info));
}

bool at_least(const InferContext& ctx, const Dim& dim, int64_t bound) {
  if (dim.is_constant()) return dim.value() >= bound;
  const Dim::Range range = ctx.range(dim);
  return range.low && *range.low >= bound;
}

Result<int> normalize_axis(int64_t axis, int rank, std::string_view what) {
  if (axis < -rank || axis >= rank) {
    return invalid_argument(
        cat(what, ": axis ", axis, " is out of range, expected ", -rank, " to ", rank - 1));
  }
  return int(axis < 0 ? axis + rank : axis);
}

Result<std::vector<int>> normalize_axes(std::span<const int64_t> axes, int rank,
                                        std::string_view what) {
  std::vector<int> out;
  std::vector<bool> seen(size_t(rank), false);
  for (int64_t axis : axes) {
    PLANISH_ASSIGN_OR_RETURN(const int a, normalize_axis(axis, rank, what));
    if (seen[size_t(a)]) return invalid_argument(cat(what, ": axis ", axis, " stands twice"));
    seen[size_t(a)] = true;
    out.push_back(a);
  }
  return out;
}

std::string input_text(const InferContext& ctx, int i) {
  const auto& specs = ctx.op().inputs;
  std::string name;
  if (!specs.empty()) name = specs[std::min(size_t(i), specs.size() - 1)].name;
  return cat("input ", i, " ('", name, "')");
}

Status check_rank(const InferContext& ctx, int i, int rank) {
  if (ctx.rank(i) == rank) return ok_status();
  return invalid_argument(cat(input_text(ctx, i), ": got shape ", ir::to_string(ctx.shape(i)),
                              ", expected rank ", rank));
}

Status check_single(const InferContext& ctx, int i) {
  const Dim count = ir::element_count(ctx.shape(i));
  if (!count.is_constant() || count.value() == 1) return ok_status();
  return invalid_argument(cat(input_text(ctx, i), ": got shape ", ir::to_string(ctx.shape(i)),
                              ", expected one element"));
}

Status check_equal(const Dim& got, const Dim& expected, std::string_view what) {
  if (!got.is_constant() || !expected.is_constant() || got == expected) return ok_status();
  return invalid_argument(cat(what, ": got ", got.value(), ", expected ", expected.value()));
}

}  // namespace planish::ops
