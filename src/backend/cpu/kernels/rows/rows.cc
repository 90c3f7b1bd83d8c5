#include "backend/cpu/kernels/rows/rows.h"

#include <algorithm>

#include "base/thread_team.h"

namespace planish::cpu {
namespace {

// Floats per task: below this a second thread costs more than it brings.
constexpr int64_t kTaskFloats = 4096;

template <class F>
void for_each_row(int64_t rows, int64_t n, ThreadTeam& team, F f) {
  const int64_t grain = std::max<int64_t>(1, kTaskFloats / std::max<int64_t>(n, 1));
  team.parallel_for(
      rows,
      [&](int64_t begin, int64_t end, int) {
        for (int64_t r = begin; r < end; r++) f(r);
      },
      grain);
}

}  // namespace

const RowKernels& row_kernels(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx512) return rows_kernels_avx512();
  if (isa == Isa::kAvx2) return rows_kernels_avx2();
#endif
  (void)isa;
  return rows_kernels_portable();
}

void run_softmax(const float* input, float* output, int64_t rows, int64_t n, Isa isa,
                 ThreadTeam& team) {
  const auto softmax = row_kernels(isa).softmax;
  for_each_row(rows, n, team, [&](int64_t r) { softmax(input + r * n, output + r * n, n); });
}

void run_layer_norm(const NormArgs& args, Isa isa, ThreadTeam& team) {
  const auto norm = row_kernels(isa).layer_norm;
  for_each_row(args.rows, args.n, team, [&](int64_t r) { norm(args, r); });
}

void run_rms_norm(const NormArgs& args, Isa isa, ThreadTeam& team) {
  const auto norm = row_kernels(isa).rms_norm;
  for_each_row(args.rows, args.n, team, [&](int64_t r) { norm(args, r); });
}

void run_reduce(Reduction kind, const float* input, float* output, int64_t rows, int64_t n, Isa isa,
                ThreadTeam& team) {
  const auto reduce = row_kernels(isa).reduce[static_cast<int>(kind)];
  for_each_row(rows, n, team, [&](int64_t r) { output[r] = reduce(input + r * n, n); });
}

void run_unary(Unary kind, const float* input, float* output, int64_t count, Isa isa,
               ThreadTeam& team) {
  const auto unary = row_kernels(isa).unary[static_cast<int>(kind)];
  const int64_t rows = (count + kTaskFloats - 1) / kTaskFloats;
  team.parallel_for(rows, [&](int64_t begin, int64_t end, int) {
    const int64_t first = begin * kTaskFloats, last = std::min(end * kTaskFloats, count);
    unary(input + first, output + first, last - first);
  });
}

}  // namespace planish::cpu
