#include "ops/shape_rules.h"

#include <algorithm>

#include "base/text.h"

namespace planish::ops {
namespace {

Result<Dim> broadcast_dim(const Dim& a, const Dim& b) {
  if (a == b) return a;
  if (a.is_constant() && a.value() == 1) return b;
  if (b.is_constant() && b.value() == 1) return a;
  if (a.is_constant() && b.is_constant())
    return invalid_argument(cat("dims ", a.to_string(), " and ", b.to_string(),
                                " do not broadcast, expected equal dims or 1"));
  if (a.is_constant()) return a;
  if (b.is_constant()) return b;
  return max(a, b);
}

}  // namespace

Result<Shape> broadcast(const Shape& a, const Shape& b) {
  const Shape& longer = a.size() >= b.size() ? a : b;
  const Shape& shorter = a.size() >= b.size() ? b : a;
  Shape out = longer;
  size_t offset = longer.size() - shorter.size();
  for (size_t i = 0; i < shorter.size(); ++i) {
    Result<Dim> dim = broadcast_dim(longer[offset + i], shorter[i]);
    if (!dim.ok())
      return dim.status().at(cat("shapes ", ir::to_string(a), " and ", ir::to_string(b)));
    out[offset + i] = std::move(dim).value();
  }
  return out;
}

Result<Shape> broadcast_inputs(const InferContext& ctx) {
  Shape out;
  for (int i = 0; i < ctx.input_count(); ++i) {
    if (!ctx.has_input(i)) continue;
    PLANISH_ASSIGN_OR_RETURN(out, broadcast(out, ctx.shape(i)));
  }
  return out;
}

std::string input_name(const InferContext& ctx, int input) {
  const auto& specs = ctx.op().inputs;
  if (specs.empty()) return cat("input ", input);
  const auto& spec = specs[std::min(size_t(input), specs.size() - 1)];
  return cat("input ", input, " (", spec.name, ")");
}

Status check_rank(const InferContext& ctx, int input, int low, int high) {
  int rank = ctx.rank(input);
  if (rank >= low && rank <= high) return ok_status();
  std::string expected = low == high ? cat(low) : high >= 64 ? cat("at least ", low)
                                                             : cat(low, " to ", high);
  return invalid_argument(cat(input_name(ctx, input), ": got rank ", rank, " (",
                              ir::to_string(ctx.shape(input)), "), expected rank ", expected));
}

Status check_same_dim(std::string_view what, const Dim& got, const Dim& expected) {
  if (!got.is_constant() || !expected.is_constant() || got == expected) return ok_status();
  return invalid_argument(
      cat(what, ": got ", got.to_string(), ", expected ", expected.to_string()));
}

Result<int> normalize_axis(std::string_view what, int64_t axis, int rank) {
  if (axis >= -int64_t(rank) && axis < rank) return int(axis < 0 ? axis + rank : axis);
  return invalid_argument(
      cat(what, ": got axis ", axis, ", expected ", -rank, " to ", rank - 1));
}

Result<std::vector<int>> normalize_axes(std::string_view what, std::span<const int64_t> axes,
                                        int rank) {
  std::vector<int> out;
  for (int64_t axis : axes) {
    PLANISH_ASSIGN_OR_RETURN(int normal, normalize_axis(what, axis, rank));
    out.push_back(normal);
  }
  std::sort(out.begin(), out.end());
  if (std::adjacent_find(out.begin(), out.end()) != out.end())
    return invalid_argument(cat(what, ": got ", bracketed(axes), ", expected distinct axes"));
  return out;
}

Status bad_attr(std::string_view key, std::string got, std::string expected) {
  return invalid_argument(cat("attribute '", key, "': got ", got, ", expected ", expected));
}

std::optional<std::vector<int64_t>> ints_of(const ir::Attributes& attrs, std::string_view key) {
  auto it = attrs.find(key);
  if (it == attrs.end()) return std::nullopt;
  const auto* ints = std::get_if<std::vector<int64_t>>(&it->second);
  if (!ints || ints->empty()) return std::nullopt;
  return *ints;
}

int64_t product(std::span<const int64_t> dims, int first, int last) {
  int64_t out = 1;
  for (int i = first; i < last; ++i) out *= dims[size_t(i)];
  return out;
}

Dim product(const Shape& shape, int first, int last) {
  Dim out = 1;
  for (int i = first; i < last; ++i) out = out * shape[size_t(i)];
  return out;
}

opdef::ValueSpec operand(std::string name, opdef::TypeSet types, std::string doc,
                         std::string type_var) {
  return {std::move(name), types, std::move(doc), false, false, std::move(type_var)};
}
opdef::ValueSpec optional_operand(std::string name, opdef::TypeSet types, std::string doc,
                                  std::string type_var) {
  return {std::move(name), types, std::move(doc), true, false, std::move(type_var)};
}
opdef::ValueSpec variadic_operand(std::string name, opdef::TypeSet types, std::string doc,
                                  std::string type_var) {
  return {std::move(name), types, std::move(doc), false, true, std::move(type_var)};
}

}  // namespace planish::ops
