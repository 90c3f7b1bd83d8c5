// What a subject's results should be, and how far off each element may lie.
#pragma once
#include "backend/conformance/conformance.h"

namespace planish::conformance {

struct Expected {
  std::vector<ir::Tensor> values;
  std::vector<std::vector<double>> bounds;             // per result and element
  std::vector<std::vector<double>> transform_bounds;   // of kernels that round differently
};

Result<Expected> expect(const opdef::OpRegistry& registry, const Subject& subject);

// "" when every element is within its bound; else the first that is not.
std::string difference(const ir::Tensor& got, const ir::Tensor& expected,
                       const std::vector<double>& bounds);

}  // namespace planish::conformance
