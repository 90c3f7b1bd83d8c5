// Element operators that walk axes in a loop of their own: reductions, ArgMax, running sums and
// LRN. One thread reads all that one result needs, neighbouring threads neighbouring elements:
// right for short loops and for axes that are not innermost in memory. Long innermost rows are the
// rows family's.
#include <algorithm>

#include "backend/cuda/emit/expr_text.h"
#include "backend/cuda/families/element/element_ops.h"
#include "backend/cuda/families/reduction_text.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

using kernel::Problem;
using kernel::Stage;

// ---- ReduceSum and its kin

Status supports_reduce(const Problem& problem, const Stage& stage) {
  PLANISH_RETURN_IF_ERROR(require_known(problem, stage, 1, "axes"));
  return ok_status();
}

Lanes emit_reduce(ElementEmitter& e, const Stage& stage, int, const Coords& coords) {
  const ir::TensorType& in = e.type(stage.inputs[0]);
  const std::vector<int64_t> dims = dims_of(in);
  const std::vector<bool> reduced = reduced_axes(e.problem(), stage);
  const bool keep = int_attr(stage, "keepdims", 1) != 0;
  const ReductionText text = reduction_text(stage.op, in.dtype);
  Coords from(dims.size());
  int64_t count = 1;
  for (size_t d = 0, k = 0; d < dims.size(); ++d) {
    if (!reduced[d] || keep) {
      if (!reduced[d]) from[d] = coords[k];
      ++k;
    }
    if (reduced[d]) count *= dims[d];
  }
  const int lanes = moves_by_lane(from) ? e.width() : 1;
  Lanes top;
  const auto walk = [&](auto body) {
    int loops = 0;
    for (size_t d = 0; d < dims.size(); ++d) {
      if (!reduced[d] || dims[d] == 1) continue;
      from[d] = coord(e.fresh("r"));
      e.open(cat("for (", e.index_type(), ' ', from[d].at, " = 0; ", from[d].at, " < ", dims[d],
                 "; ++", from[d].at, ')'));
      ++loops;
    }
    body(e.value(stage.inputs[0], from));
    for (; loops > 0; --loops) e.close();
  };
  if (stage.op == "ReduceLogSumExp") {
    for (int l = 0; l < lanes; ++l)
      top.names.push_back(e.variable(text.type, lowest_text(in.dtype)));
    walk([&](const Lanes& x) {
      for (int l = 0; l < lanes; ++l)
        e.line(cat(top.names[size_t(l)], " = max_nan(", top.names[size_t(l)], ", ", x[l], ");"));
    });
  }
  std::vector<std::string> sums;
  for (int l = 0; l < lanes; ++l) sums.push_back(e.variable(text.type, text.first));
  walk([&](const Lanes& x) {
    for (int l = 0; l < lanes; ++l) {
      const std::string element = top.names.empty()
                                      ? text.element(x[l])
                                      : cat('(', x[l], " == ", top.names[size_t(l)], " ? 1 : exp(",
                                            x[l], " - ", top.names[size_t(l)], "))");
      e.line(cat(sums[size_t(l)], " = ", text.combine(sums[size_t(l)], element), ';'));
    }
  });
  Lanes out;
  for (int l = 0; l < lanes; ++l) {
    const std::string sum = top.names.empty()
                                ? text.finish(sums[size_t(l)], count)
                                : cat(top.names[size_t(l)], " + log(", sums[size_t(l)], ')');
    out.names.push_back(e.bind(register_type(stage.outputs[0].dtype), sum));
  }
  return out;
}

// ---- ArgMax, ArgMin

Lanes emit_arg(ElementEmitter& e, const Stage& stage, int, const Coords& coords) {
  const ir::TensorType& in = e.type(stage.inputs[0]);
  const std::vector<int64_t> dims = dims_of(in);
  const size_t axis = axis_attr(stage, dims.size());
  Coords from = coords;
  if (int_attr(stage, "keepdims", 1) == 0) from.insert(from.begin() + long(axis), Coord{});
  const bool last = int_attr(stage, "select_last_index", 0) != 0;
  return e.per_lane(from, [&](const Coords& one) {
    Coords at = one;
    at[axis] = coord(0);
    const std::string best = e.variable(register_type(in.dtype), e.value(stage.inputs[0], at)[0]);
    const std::string where = e.variable(e.index_type(), "0");
    at[axis] = coord(e.fresh("r"));
    const std::string& r = at[axis].at;
    e.open(cat("for (", e.index_type(), ' ', r, " = 1; ", r, " < ", dims[axis], "; ++", r, ')'));
    const std::string x = e.value(stage.inputs[0], at)[0];
    e.line(cat("if (", beats_text(x, best, stage.op == "ArgMax", last), ") { ", best, " = ", x,
               "; ", where, " = ", r, "; }"));
    e.close();
    return e.bind("i64", cat("(i64)", where));
  });
}

// ---- CumSum, CumProd

Status supports_running(const Problem& problem, const Stage& stage) {
  return require_known(problem, stage, 1, "axis");
}

Lanes emit_running(ElementEmitter& e, const Stage& stage, int, const Coords& coords) {
  const ir::TensorType& in = e.type(stage.inputs[0]);
  const std::vector<int64_t> dims = dims_of(in);
  const int64_t a = known_ints(e.problem(), stage, 1)->front();
  const size_t axis = size_t(a < 0 ? a + int64_t(dims.size()) : a);
  const bool exclusive = int_attr(stage, "exclusive", 0) != 0;
  const bool reverse = int_attr(stage, "reverse", 0) != 0, product = stage.op == "CumProd";
  return e.per_lane(coords, [&](const Coords& one) {
    const std::string_view type = sum_type(in.dtype);
    const std::string total = e.variable(type, product ? "1" : "0");
    Coords at = one;
    at[axis] = coord(e.fresh("r"));
    const std::string& r = at[axis].at;
    const std::string first = reverse ? cat('(', one[axis].at, exclusive ? " + 1)" : ")") : "0";
    const std::string end =
        reverse ? cat(dims[axis]) : cat('(', one[axis].at, exclusive ? ")" : " + 1)");
    e.open(cat("for (", e.index_type(), ' ', r, " = ", first, "; ", r, " < ", end, "; ++", r, ')'));
    e.line(
        cat(total, product ? " *= (" : " += (", type, ')', e.value(stage.inputs[0], at)[0], ';'));
    e.close();
    return e.bind(register_type(in.dtype), cat('(', register_type(in.dtype), ')', total));
  });
}

// ---- LRN

Lanes emit_lrn(ElementEmitter& e, const Stage& stage, int, const Coords& coords) {
  const ir::TensorType& in = e.type(stage.inputs[0]);
  const int64_t size = int_attr(stage, "size", 1), channels = dims_of(in)[1];
  const int64_t before = (size - 1) / 2, after = size - 1 - before;
  const double beta = float_attr(stage, "beta", 0.75);
  const bool wide = in.dtype == ir::DataType::kF64;
  const std::string_view type = sum_type(in.dtype);
  const auto number = [&](double v) {
    return cat('(', type, ")", wide ? cat(v) : float_literal(float(v)));
  };
  return e.per_lane(coords, [&](const Coords& one) {
    const std::string c = e.bind_index(one[1].at), sum = e.variable(type, "0");
    Coords at = one;
    at[1] = coord(e.fresh("r"));
    const std::string& r = at[1].at;
    e.open(cat("for (", e.index_type(), ' ', r, " = ", c, " > ", before, " ? ", c, " - ", before,
               " : 0; ", r, " < ", channels, " && ", r, " <= ", c, " + ", after, "; ++", r, ')'));
    const std::string x = e.value(stage.inputs[0], at)[0];
    e.line(cat(sum, " += ", x, " * ", x, ';'));
    e.close();
    const std::string base =
        e.bind(type, cat(number(float_attr(stage, "bias", 1)), " + ",
                         number(float_attr(stage, "alpha", 1e-4) / double(size)), " * ", sum));
    // x^-0.75 by square roots: the value every published network has.
    const std::string power = beta == 0.75 ? cat("(sqrt(", base, ") * sqrt(sqrt(", base, ")))")
                                           : cat("pow(", base, ", ", number(beta), ')');
    return e.bind(type, cat(e.value(stage.inputs[0], one)[0], " / ", power));
  });
}

Status always(const Problem&, const Stage&) { return ok_status(); }

constexpr ElementOp kOps[] = {
    {"ArgMax", always, emit_arg, true},
    {"ArgMin", always, emit_arg, true},
    {"CumProd", supports_running, emit_running, true},
    {"CumSum", supports_running, emit_running, true},
    {"LRN", always, emit_lrn, true},
    {"ReduceL1", supports_reduce, emit_reduce, true},
    {"ReduceL2", supports_reduce, emit_reduce, true},
    {"ReduceLogSum", supports_reduce, emit_reduce, true},
    {"ReduceLogSumExp", supports_reduce, emit_reduce, true},
    {"ReduceMax", supports_reduce, emit_reduce, true},
    {"ReduceMean", supports_reduce, emit_reduce, true},
    {"ReduceMin", supports_reduce, emit_reduce, true},
    {"ReduceProd", supports_reduce, emit_reduce, true},
    {"ReduceSum", supports_reduce, emit_reduce, true},
    {"ReduceSumSquare", supports_reduce, emit_reduce, true},
};

}  // namespace

std::span<const ElementOp> reduction_ops() { return kOps; }

}  // namespace planish::cuda
