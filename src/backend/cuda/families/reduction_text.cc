#include "backend/cuda/families/reduction_text.h"

#include "backend/cuda/families/element/element_ops.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

using ir::DataType;

bool is_extreme(ReductionKind kind) {
  return kind == ReductionKind::kMax || kind == ReductionKind::kMin;
}

std::string_view signed_wide(DataType dtype) { return ir::is_signed_int(dtype) ? "i64" : "u64"; }

}  // namespace

std::string lowest_text(DataType dtype) {
  if (dtype == DataType::kF64) return "__longlong_as_double(0xfff0000000000000ll)";
  if (ir::is_float(dtype)) return "__uint_as_float(0xff800000u)";
  if (!ir::is_signed_int(dtype)) return "0";
  if (dtype == DataType::kI64) return "(i64)0x8000000000000000ull";
  return cat('(', -(int64_t(1) << (ir::bits_of(dtype) - 1)), ')');
}

std::string highest_text(DataType dtype) {
  if (dtype == DataType::kF64) return "__longlong_as_double(0x7ff0000000000000ll)";
  if (ir::is_float(dtype)) return "__uint_as_float(0x7f800000u)";
  if (dtype == DataType::kBool) return "1";
  if (dtype == DataType::kU64) return "0xffffffffffffffffull";
  if (dtype == DataType::kI64) return "0x7fffffffffffffffll";
  return cat((int64_t(1) << (ir::bits_of(dtype) - ir::is_signed_int(dtype))) - 1, "ll");
}

std::string beats_text(const std::string& x, const std::string& best, bool maximum, bool last) {
  // A NaN beats what is none; among NaNs and equals the first stays unless the last is wanted.
  const std::string order = cat(x, maximum ? " > " : " < ", best);
  const std::string nan = cat('(', x, " != ", x, " && ", best, " == ", best, ')');
  const std::string tie =
      last ? cat(" || ", x, " == ", best, " || (", x, " != ", x, " && ", best, " != ", best, ')')
           : "";
  return cat(order, " || ", nan, tie);
}

ReductionText reduction_text(std::string_view op, DataType dtype) {
  ReductionText text;
  text.op = op;
  text.dtype = dtype;
  text.kind = op == "ReduceMax"    ? ReductionKind::kMax
              : op == "ReduceMin"  ? ReductionKind::kMin
              : op == "ReduceProd" ? ReductionKind::kProduct
                                   : ReductionKind::kSum;
  const bool real =
      op == "ReduceMean" || op == "ReduceL2" || op == "ReduceLogSum" || op == "ReduceLogSumExp";
  text.type = sum_type(dtype);
  if (!ir::is_float(dtype) && real) text.type = "double";
  if (!ir::is_float(dtype) && is_extreme(text.kind)) text.type = signed_wide(dtype);
  text.first = text.kind == ReductionKind::kMax       ? lowest_text(dtype)
               : text.kind == ReductionKind::kMin     ? highest_text(dtype)
               : text.kind == ReductionKind::kProduct ? "1"
                                                      : "0";
  return text;
}

std::string ReductionText::element(const std::string& x) const {
  const std::string v = cat('(', type, ')', x);
  if (op == "ReduceL1") return cat('(', x, " < 0 ? (", type, ")0 - ", v, " : ", v, ')');
  if (op == "ReduceSumSquare" || op == "ReduceL2") return cat('(', v, " * ", v, ')');
  return v;
}

std::string ReductionText::combine(const std::string& a, const std::string& b) const {
  if (kind == ReductionKind::kSum) return cat(a, " + ", b);
  if (kind == ReductionKind::kProduct) return cat(a, " * ", b);
  const bool high = kind == ReductionKind::kMax;
  if (ir::is_float(dtype)) return cat(high ? "max_nan(" : "min_nan(", a, ", ", b, ')');
  return cat(a, high ? " > " : " < ", b, " ? ", a, " : ", b);
}

std::string ReductionText::finish(const std::string& value, int64_t count) const {
  if (op == "ReduceMean") return cat(value, " / (", type, ')', count);
  if (op == "ReduceL2") return cat("sqrt(", value, ')');
  if (op == "ReduceLogSum") return cat("log(", value, ')');
  return value;
}

std::vector<bool> reduced_axes(const kernel::Problem& problem, const kernel::Stage& stage) {
  const int rank = problem.type_of(stage.inputs[0]).rank();
  const auto axes = known_ints(problem, stage, 1);
  if (!axes || axes->empty())
    return std::vector<bool>(size_t(rank), int_attr(stage, "noop_with_empty_axes", 0) == 0);
  std::vector<bool> reduced(size_t(rank), false);
  for (int64_t axis : *axes) reduced[size_t(axis < 0 ? axis + rank : axis)] = true;
  return reduced;
}

}  // namespace planish::cuda
