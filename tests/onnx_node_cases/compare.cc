#include "compare.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"

namespace planish::tests {
namespace {

Status same_type(const ir::Tensor& got, const ir::Tensor& expected) {
  if (got.dtype() == expected.dtype() && got.dims() == expected.dims()) return ok_status();
  return Status(Code::kVerificationFailed, cat("got ", ir::to_string(got.type()), ", expected ",
                                               ir::to_string(expected.type())));
}

bool within(double got, double expected, double bound) {
  if (std::isnan(expected)) return std::isnan(got);
  if (std::isinf(expected)) return got == expected;
  return std::abs(got - expected) <= bound;  // false for a NaN
}

}  // namespace

Status compare(const ir::Tensor& got, const ir::Tensor& expected, const Tolerance& tolerance) {
  PLANISH_RETURN_IF_ERROR(same_type(got, expected));
  const auto failed = [](const std::string& what) {
    return Status(Code::kVerificationFailed, what);
  };
  int64_t wrong = 0, first = -1;
  if (!ir::is_float(got.dtype())) {
    const std::vector<int64_t> a = got.i64_values(), b = expected.i64_values();
    for (size_t i = 0; i < a.size(); ++i)
      if (a[i] != b[i] && wrong++ == 0) first = int64_t(i);
    if (wrong == 0) return ok_status();
    return failed(cat(wrong, " of ", a.size(), " elements differ, first at ", first, ": got ",
                      a[size_t(first)], ", expected ", b[size_t(first)]));
  }
  const std::vector<double> a = got.f64_values(), b = expected.f64_values();
  const double roundoff = ir::unit_roundoff(got.dtype());
  double worst = 0, largest = 0;
  for (double v : b)
    if (std::isfinite(v)) largest = std::max(largest, std::abs(v));
  const double accumulation = tolerance.accumulates ? 4 * roundoff * largest : 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double bound = std::max(tolerance.absolute + tolerance.relative * std::abs(b[i]),
                                  accumulation + 2 * roundoff * std::abs(b[i]));
    if (within(a[i], b[i], bound)) continue;
    if (wrong++ == 0) first = int64_t(i);
    worst = std::max(worst, std::abs(a[i] - b[i]));
  }
  if (wrong == 0) return ok_status();
  return failed(cat(wrong, " of ", a.size(), " elements differ, first at ", first, ": got ",
                    a[size_t(first)], ", expected ", b[size_t(first)], "; worst error ", worst));
}

Status compare_distribution(const ir::Tensor& got, const ir::Tensor& expected) {
  PLANISH_RETURN_IF_ERROR(same_type(got, expected));
  const auto moments = [](const std::vector<double>& values) {
    double sum = 0, squares = 0;
    for (double v : values) sum += v;
    const double mean = sum / double(values.size());
    for (double v : values) squares += (v - mean) * (v - mean);
    return std::pair(mean, std::sqrt(squares / double(values.size())));
  };
  if (got.count() == 0) return ok_status();
  const auto [mean, spread] = moments(got.f64_values());
  const auto [wanted_mean, wanted_spread] = moments(expected.f64_values());
  const double error =
      5 * std::max(spread, wanted_spread) * std::sqrt(2.0 / double(expected.count()));
  if (std::abs(mean - wanted_mean) <= error && std::abs(spread - wanted_spread) <= error)
    return ok_status();
  return Status(Code::kVerificationFailed,
                cat("got mean ", mean, " and spread ", spread, ", expected ", wanted_mean, " and ",
                    wanted_spread, " within ", error));
}

}  // namespace planish::tests
