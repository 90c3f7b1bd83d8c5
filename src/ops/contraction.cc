#include "ops/contraction.h"

#include <algorithm>

namespace planish::ops {
namespace {

constexpr int64_t kRows = 4;
constexpr int64_t kColumns = kPanelColumns;

// One tile of up to four rows by one panel. Rows beyond `rows` repeat the last one and are dropped.
template <class T>
void multiply_tile(const T* a, int64_t lda, const T* panel, int64_t rows, int64_t columns,
                   int64_t k, T* c, int64_t ldc, bool accumulate) {
  typedef T Four __attribute__((vector_size(4 * sizeof(T))));
  const T* row[kRows];
  for (int64_t r = 0; r < kRows; ++r) row[r] = a + std::min(r, rows - 1) * lda;
  Four sum0 = {}, sum1 = {}, sum2 = {}, sum3 = {};
  for (int64_t i = 0; i < k; ++i) {
    Four b;
    __builtin_memcpy(&b, panel + i * kColumns, sizeof b);
    sum0 += row[0][i] * b;
    sum1 += row[1][i] * b;
    sum2 += row[2][i] * b;
    sum3 += row[3][i] * b;
  }
  const Four sums[kRows] = {sum0, sum1, sum2, sum3};
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t j = 0; j < columns; ++j)
      c[r * ldc + j] = accumulate ? c[r * ldc + j] + sums[r][j] : sums[r][j];
}

}  // namespace

template <class T>
void pack_panels(const T* b, int64_t k, int64_t n, int64_t row_stride, int64_t column_stride,
                 std::vector<T>& panels) {
  int64_t count = (n + kColumns - 1) / kColumns;
  panels.assign(size_t(count * k * kColumns), T(0));
  for (int64_t p = 0; p < count; ++p) {
    int64_t width = std::min(kColumns, n - p * kColumns);
    const T* from = b + p * kColumns * column_stride;
    T* to = panels.data() + p * k * kColumns;
    for (int64_t i = 0; i < k; ++i)
      for (int64_t j = 0; j < width; ++j)
        to[i * kColumns + j] = from[i * row_stride + j * column_stride];
  }
}

template <class T>
void multiply_panels(const T* a, int64_t lda, const T* panels, int64_t m, int64_t n, int64_t k,
                     T* c, int64_t ldc, bool accumulate) {
  for (int64_t j = 0; j < n; j += kColumns) {
    const T* panel = panels + j * k;
    int64_t columns = std::min(kColumns, n - j);
    for (int64_t i = 0; i < m; i += kRows)
      multiply_tile(a + i * lda, lda, panel, std::min(kRows, m - i), columns, k, c + i * ldc + j,
                    ldc, accumulate);
  }
}

template void pack_panels(const double*, int64_t, int64_t, int64_t, int64_t,
                          std::vector<double>&);
template void pack_panels(const uint64_t*, int64_t, int64_t, int64_t, int64_t,
                          std::vector<uint64_t>&);
template void multiply_panels(const double*, int64_t, const double*, int64_t, int64_t, int64_t,
                              double*, int64_t, bool);
template void multiply_panels(const uint64_t*, int64_t, const uint64_t*, int64_t, int64_t, int64_t,
                              uint64_t*, int64_t, bool);

}  // namespace planish::ops
