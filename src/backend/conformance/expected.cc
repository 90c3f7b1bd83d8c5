#include "backend/conformance/expected.h"

#include <cmath>

#include "base/text.h"
#include "eval/reference_kernel.h"

namespace planish::conformance {
namespace {

constexpr double kTransformFactor = 16;  // of kernels that round differently (Winograd)

std::vector<const ir::Tensor*> pointers(const Subject& subject,
                                        const std::vector<ir::Tensor>& tensors) {
  std::vector<const ir::Tensor*> out;
  for (size_t i = 0; i < tensors.size(); ++i)
    out.push_back(subject.problem.operands[i].present ? &tensors[i] : nullptr);
  return out;
}

double largest_of(const ir::Tensor& t) {
  double largest = 0;
  for (int64_t i = 0; i < t.count(); ++i)
    if (const double v = std::fabs(t.f64(i)); std::isfinite(v)) largest = std::max(largest, v);
  return largest;
}

// Length of the longest sum of the problem's roots; 0 when none sums.
double accumulation_of(const opdef::OpRegistry& registry, const kernel::Problem& problem) {
  double longest = 0;
  for (const kernel::Stage& stage : problem.stages) {
    const opdef::OpDef* op = stage.is_expr() ? nullptr : registry.find(stage.op);
    if (!op || (op->kind != opdef::FusionKind::kContraction &&
                op->kind != opdef::FusionKind::kReduction))
      continue;
    // Elements that go into one that comes out: never less than what is summed.
    double in = 1, out = 1;
    for (int v : stage.inputs)
      if (v >= 0) in = std::max(in, double(ir::element_count(std::span<const int64_t>(
                                   ir::to_dims(problem.type_of(v).shape)))));
    for (const ir::TensorType& type : stage.outputs)
      out = std::max(out, double(ir::element_count(std::span<const int64_t>(ir::to_dims(type.shape)))));
    double length = std::max(1.0, in / out);
    if (op->accumulation) {
      ir::Graph alone;
      std::vector<ir::Value*> operands;
      for (int v : stage.inputs)
        operands.push_back(v < 0 ? nullptr
                                 : alone.add_input(cat("x", operands.size()), problem.type_of(v)));
      ir::Attributes attrs;
      for (const auto& [key, value] : stage.attrs) attrs[key] = ir::clone(value);
      length = double(op->accumulation(
          *alone.add_node(stage.op, operands, std::move(attrs), stage.outputs)));
    }
    longest = std::max(longest, length);
  }
  return longest;
}

}  // namespace

Result<Expected> expect(const opdef::OpRegistry& registry, const Subject& subject) {
  Expected out;
  PLANISH_ASSIGN_OR_RETURN(out.values,
                           eval::evaluate_problem(registry, subject.problem,
                                                  pointers(subject, subject.operands)));
  std::vector<ir::Tensor> wide = subject.operands, magnitudes = subject.operands;
  for (size_t i = 0; i < wide.size(); ++i) {
    const ir::DataType type = wide[i].dtype();
    if (!ir::is_float(type) || !subject.problem.operands[i].present) continue;
    if (ir::bits_of(type) >= 16) wide[i] = wide[i].converted(ir::DataType::kF64);
    magnitudes[i] = magnitudes[i].clone();
    for (int64_t k = 0; k < magnitudes[i].count(); ++k)
      magnitudes[i].set_f64(k, std::fabs(magnitudes[i].f64(k)));
  }
  const auto exact =
      eval::evaluate_problem(registry, subject.problem, pointers(subject, wide), true);
  const auto sums =
      eval::evaluate_problem(registry, subject.problem, pointers(subject, magnitudes));
  const double length = accumulation_of(registry, subject.problem);
  for (size_t r = 0; r < out.values.size(); ++r) {
    const ir::Tensor& ref = out.values[r];
    const double u = ir::unit_roundoff(ref.dtype());
    double rounding = 0;
    if (exact.ok() && (*exact)[r].count() == ref.count())
      for (int64_t i = 0; i < ref.count(); ++i)
        if (const double d = std::fabs(ref.f64(i) - (*exact)[r].f64(i)); std::isfinite(d))
          rounding = std::max(rounding, d);
    const double common = std::max(16 * rounding, 64 * u * largest_of(ref));
    std::vector<double>& bounds = out.bounds.emplace_back();
    std::vector<double>& loose = out.transform_bounds.emplace_back();
    for (int64_t i = 0; i < ref.count(); ++i) {
      double sum = std::fabs(ref.f64(i));
      if (sums.ok() && (*sums)[r].count() == ref.count())
        sum = std::max(sum, std::fabs((*sums)[r].f64(i)));
      const double rounded = 2 * u * std::fabs(ref.f64(i));
      const bool is_sum = length > 0 && ir::is_float(ref.dtype()) && std::isfinite(sum);
      const double summed = 4 * u * std::sqrt(std::max(length, 1.0)) * sum;
      // Neighbours share what a transform loses.
      bounds.push_back(is_sum ? std::max(summed + rounded, 16 * rounding) : common);
      loose.push_back(kTransformFactor * std::max(bounds.back(), common));
    }
  }
  return out;
}

std::string difference(const ir::Tensor& got, const ir::Tensor& expected,
                       const std::vector<double>& bounds) {
  int64_t wrong = 0, first = 0;
  double worst = 0;
  const bool exact = expected.dtype() == ir::DataType::kI64 || expected.dtype() == ir::DataType::kU64;
  for (int64_t i = 0; i < expected.count(); ++i) {
    const double a = got.f64(i), b = expected.f64(i);
    bool good = a == b || (std::isnan(a) && std::isnan(b)) ||
                std::fabs(a - b) <= bounds[size_t(i)];  // false for a NaN
    if (exact) good = got.i64(i) == expected.i64(i);
    if (good) continue;
    if (wrong++ == 0) first = i;
    worst = std::max(worst, std::fabs(a - b) / bounds[size_t(i)]);
  }
  if (wrong == 0) return {};
  return cat(wrong, " of ", expected.count(), " elements differ, first [", first, "]: got ",
             got.f64(first), ", expected ", expected.f64(first), " within ",
             bounds[size_t(first)], "; worst ", worst, " bounds off");
}

}  // namespace planish::conformance
