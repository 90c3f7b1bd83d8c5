// Matrix products as one loop per element: for what the matrix families refuse.
#include "backend/cuda/emit/expr_text.h"
#include "backend/cuda/families/element/element_ops.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

using kernel::Problem;
using kernel::Stage;

Status always(const Problem&, const Stage&) { return ok_status(); }

// sum over k of a(k) b(k), per lane. `a` and `b` give an operand's coordinates from k's.
template <class A, class B>
std::vector<std::string> dot(ElementEmitter& e, const Stage& stage, int64_t length, int lanes, A a,
                             B b) {
  const std::string_view type = sum_type(e.type(stage.inputs[0]).dtype);
  std::vector<std::string> sums;
  for (int lane = 0; lane < lanes; ++lane) sums.push_back(e.variable(type, "0"));
  const Coord k = coord(e.fresh("k"));
  e.open(cat("for (int ", k.at, " = 0; ", k.at, " < ", length, "; ++", k.at, ')'));
  const Lanes x = e.value(stage.inputs[0], a(k)), y = e.value(stage.inputs[1], b(k));
  for (int lane = 0; lane < lanes; ++lane)
    e.line(cat(sums[size_t(lane)], " += (", type, ')', x[lane], " * (", type, ')', y[lane], ';'));
  e.close();
  return sums;
}

Lanes emit_matmul(ElementEmitter& e, const Stage& stage, int, const Coords& coords) {
  const ir::TensorType &a = e.type(stage.inputs[0]), &b = e.type(stage.inputs[1]);
  const size_t rank_a = size_t(a.rank()), rank_b = size_t(b.rank());
  // Row and column, where the operands have them; a batch before.
  const bool has_row = rank_a > 1, has_column = rank_b > 1;
  const size_t batch = coords.size() - size_t(has_row) - size_t(has_column);
  const auto operand = [&](size_t rank, const Coord& first, const Coord& second) {
    Coords out(coords.begin() + long(batch - (rank - 2)), coords.begin() + long(batch));
    out.push_back(first);
    out.push_back(second);
    return out;
  };
  const auto sums = dot(
      e, stage, a.shape.back().value(), moves_by_lane(coords) ? e.width() : 1,
      [&](const Coord& k) { return has_row ? operand(rank_a, coords[batch], k) : Coords{k}; },
      [&](const Coord& k) {
        return has_column ? operand(rank_b, k, coords[batch + size_t(has_row)]) : Coords{k};
      });
  Lanes out;
  for (const std::string& sum : sums)
    out.names.push_back(e.bind(register_type(stage.outputs[0].dtype),
                               cat('(', register_type(stage.outputs[0].dtype), ')', sum)));
  return out;
}

Lanes emit_gemm(ElementEmitter& e, const Stage& stage, int, const Coords& coords) {
  const ir::TensorType& a = e.type(stage.inputs[0]);
  const bool trans_a = int_attr(stage, "transA", 0) != 0,
             trans_b = int_attr(stage, "transB", 0) != 0;
  const double alpha = float_attr(stage, "alpha", 1), beta = float_attr(stage, "beta", 1);
  const auto order = [](bool swap, const Coord& x, const Coord& y) {
    return swap ? Coords{y, x} : Coords{x, y};
  };
  auto sums = dot(
      e, stage, a.shape[trans_a ? 0 : 1].value(), moves_by_lane(coords) ? e.width() : 1,
      [&](const Coord& k) { return order(trans_a, coords[0], k); },
      [&](const Coord& k) { return order(trans_b, k, coords[1]); });
  const bool real = ir::is_float(a.dtype);
  const std::string_view type = real ? sum_type(a.dtype) : "double";
  const auto number = [&](double v) {
    return type == "float" ? float_literal(float(v)) : cat("((double)", v, ')');
  };
  Lanes out;
  const Lanes bias = has_input(stage, 2) ? e.value(stage.inputs[2], coords) : Lanes{{""}};
  for (size_t lane = 0; lane < sums.size(); ++lane) {
    // Integers that are not scaled stay exact.
    std::string value = real || alpha == 1 ? sums[lane] : cat("(i64)", sums[lane]);
    if (alpha != 1) value = cat(number(alpha), " * ", value);
    if (has_input(stage, 2))
      value = beta == 1 ? cat(value, " + ", bias[int(lane)])
                        : cat(value, " + ", number(beta), " * ", bias[int(lane)]);
    const std::string_view reg = register_type(stage.outputs[0].dtype);
    out.names.push_back(e.bind(reg, cat('(', reg, ")(", value, ')')));
  }
  return out;
}

constexpr ElementOp kOps[] = {
    {"Gemm", always, emit_gemm, true},
    {"MatMul", always, emit_matmul, true},
};

}  // namespace

std::span<const ElementOp> contraction_ops() { return kOps; }

}  // namespace planish::cuda
