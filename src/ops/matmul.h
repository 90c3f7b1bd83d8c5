// Matrix products in reference code, shared by MatMul, MatMulInteger, QLinearMatMul and Attention.
#pragma once
#include "ops/shape_rules.h"

namespace planish::ops {

// Shape of the product of two inputs, broadcast batches and 1-D forms included.
Result<Shape> infer_matmul(const InferContext& ctx, int a, int b);

// The product under the same rules, row-major. T is double or uint64_t.
template <class T>
std::vector<T> multiply_batches(const std::vector<T>& a, std::vector<int64_t> a_dims,
                                const std::vector<T>& b, std::vector<int64_t> b_dims);
extern template std::vector<double> multiply_batches(const std::vector<double>&,
                                                     std::vector<int64_t>,
                                                     const std::vector<double>&,
                                                     std::vector<int64_t>);
extern template std::vector<uint64_t> multiply_batches(const std::vector<uint64_t>&,
                                                       std::vector<int64_t>,
                                                       const std::vector<uint64_t>&,
                                                       std::vector<int64_t>);

// x less its zero point, which is absent, one value, or one per row (by_row) or column of x's
// matrices.
std::vector<double> less_zero_point(const Tensor& x, const Tensor* zero_point, bool by_row);

}  // namespace planish::ops
