// Compares a computed tensor with the one a test case stores: type and dims must match, and every
// element within the bound; a NaN only matches a NaN, an infinity only itself.
//
// The bound at op level is |got - ref| <= 4 u sqrt(K) S + 2 u_out |ref|, but a stored case carries
// neither K nor S, and its reference was itself computed in the output's precision. Where values are
// summed or computed in several steps, K >= 1 and S >= max|ref| give a lower bound of that bound,
// with the roundoff of the stored type for u; elsewhere S is 0. The case's own rtol and atol are the
// floor.
#pragma once
#include "base/status.h"
#include "ir/tensor.h"

namespace planish::tests {

struct Tolerance {
  double relative = 1e-3;
  double absolute = 1e-7;
  bool accumulates = false;  // several nodes, or one that sums
};

Status compare(const ir::Tensor& got, const ir::Tensor& expected, const Tolerance& tolerance);

// For outputs of random operators: type, dims, and a mean and spread that fit those of the stored
// sample within five standard errors.
Status compare_distribution(const ir::Tensor& got, const ir::Tensor& expected);

}  // namespace planish::tests
