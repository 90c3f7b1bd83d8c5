// The sums of products behind the reference code of convolutions and matrix products: a plain
// blocked matrix multiplication in double (or in 64-bit integers, which wrap), quick enough that a
// large network's reference runs in seconds. Operands are widened once; the columns of B are packed
// in groups of four, so that the inner loop is contiguous.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace planish::ops {

inline constexpr int64_t kPanelColumns = 4;

// B of k x n, B[i][j] at b[i * row_stride + j * column_stride], as panels of four columns:
// panels[(j / 4 * k + i) * 4 + j % 4], zero-filled behind column n.
template <class T>
void pack_panels(const T* b, int64_t k, int64_t n, int64_t row_stride, int64_t column_stride,
                 std::vector<T>& panels);

// C[m x n] = A[m x k] B, or C += A B with `accumulate`. A and C are row-major with leading
// dimensions lda and ldc; B is packed. T is double or uint64_t.
template <class T>
void multiply_panels(const T* a, int64_t lda, const T* panels, int64_t m, int64_t n, int64_t k,
                     T* c, int64_t ldc, bool accumulate = false);

extern template void pack_panels(const double*, int64_t, int64_t, int64_t, int64_t,
                                 std::vector<double>&);
extern template void pack_panels(const uint64_t*, int64_t, int64_t, int64_t, int64_t,
                                 std::vector<uint64_t>&);
extern template void multiply_panels(const double*, int64_t, const double*, int64_t, int64_t,
                                     int64_t, double*, int64_t, bool);
extern template void multiply_panels(const uint64_t*, int64_t, const uint64_t*, int64_t, int64_t,
                                     int64_t, uint64_t*, int64_t, bool);

}  // namespace planish::ops
