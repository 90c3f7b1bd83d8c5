#include "backend/cpu/kernels/matmul/matmul.h"

#include <gtest/gtest.h>

#include <string>

#include "backend/cpu/kernels/test_support/conv_check.h"
#include "base/thread_team.h"

namespace planish::cpu {
namespace {

void check(const MatmulProblem& p, const MatmulTactic& t, Isa isa, int extras, ThreadTeam& team) {
  SCOPED_TRACE(std::string(isa_name(isa)) + " batch " + std::to_string(p.batch) + " m " +
               std::to_string(p.m) + " n " + std::to_string(p.n) + " k " + std::to_string(p.k) +
               (p.transpose_a ? " ta" : "") + (p.transpose_b ? " tb" : "") +
               (p.packed_b ? " packed" : "") + " j" + std::to_string(t.j_blocks) + " rows" +
               std::to_string(t.rows) + " chunks" + std::to_string(t.chunks) + " k" +
               std::to_string(t.k_blocks));
  const int64_t a_row = p.a_row != kDense ? p.a_row : p.transpose_a ? p.m : p.k;
  const int64_t b_row = p.transpose_b ? p.k : p.n, c_row = p.c_row != kDense ? p.c_row : p.n;
  const int64_t a_batch = (p.transpose_a ? p.k : p.m) * a_row;
  const int64_t b_batch = p.b_batch != kDense ? p.b_batch : p.k * p.n;
  const auto a = random_floats(p.batch * a_batch, 1), b = random_floats(p.batch * p.k * p.n, 2);
  const auto bias = random_floats(p.n, 3), residual = random_floats(p.batch * p.m * c_row, 4);
  AlignedBuffer<float> packed(matmul_packed_floats(p, t, isa));
  if (p.packed_b) pack_matmul_weights(p, t, isa, b.data(), packed.data());
  AlignedBuffer<char> workspace(matmul_workspace_bytes(p, t, isa, team.size()) + 64);
  std::fill(workspace.begin(), workspace.end(), char(0xff));
  auto c = nan_buffer(p.batch * p.m * c_row);
  MatmulArgs args;
  args.a = a.data();
  args.b = p.packed_b ? packed.data() : b.data();
  args.c = c.data();
  args.workspace = workspace.data();
  Epilogue& e = args.epilogue;
  if (extras != 0) e.bias = bias.data();
  if (extras == 1) e.residual = residual.data(), e.lo = -1, e.hi = 2;
  if (extras == 2) e.post = halve_and_add_one;
  run_matmul(p, t, isa, args, team);
  for (size_t i = workspace.size() - 64; i < workspace.size(); i++)
    ASSERT_EQ(workspace[i], char(0xff));
  for (int64_t s = 0; s < p.batch; s++)
    for (int64_t i = 0; i < p.m; i++)
      for (int64_t j = 0; j < c_row; j++) {
        const float got = c[(s * p.m + i) * c_row + j];
        if (j >= p.n) {
          ASSERT_TRUE(std::isnan(got)) << "written outside the row";
          continue;
        }
        Exact x;
        for (int64_t k = 0; k < p.k; k++) {
          x.add(a[s * a_batch + (p.transpose_a ? k * a_row + i : i * a_row + k)],
                b[s * b_batch + (p.transpose_b ? j * b_row + k : k * b_row + j)]);
        }
        if (e.bias != nullptr) x.add(bias[j], 1);
        if (e.residual != nullptr) x.add(residual[(s * p.m + i) * c_row + j], 1);
        x.value = std::min<double>(std::max<double>(x.value, e.lo), e.hi);
        if (e.post != nullptr) x.value = 0.5 * x.value + 1;
        ASSERT_TRUE(close_enough(got, x, static_cast<double>(p.k + 2)))
            << "batch " << s << " row " << i << " column " << j << ": got " << got << ", expected "
            << x.value;
      }
}

TEST(Matmul, MatchesTheDoubleSum) {
  ThreadTeam team(2);
  const int64_t sizes[][4] = {{1, 1, 1, 1},     {1, 1, 100, 64}, {1, 1, 37, 19},  {3, 5, 7, 11},
                              {1, 33, 47, 40},  {2, 64, 96, 33}, {5, 17, 16, 16}, {1, 130, 70, 9},
                              {1, 15, 200, 80}, {1, 4, 33, 300}, {2, 1, 48, 32}};
  int round = 0;
  for (const auto& s : sizes) {
    for (int flags = 0; flags < 8; flags++) {
      MatmulProblem p;
      p.batch = s[0], p.m = s[1], p.n = s[2], p.k = s[3];
      p.transpose_a = (flags & 1) != 0, p.transpose_b = (flags & 2) != 0,
      p.packed_b = (flags & 4) != 0;
      for (Isa isa : isas_here()) {
        ASSERT_EQ(matmul_refusal(p, isa), "");
        auto tactics = enumerate_matmul_tactics(p, isa, team.size());
        tactics.push_back({1 + round % 4, 6, 1, 1});
        for (const auto& t : tactics) {
          check(p, t, isa, round++ % 3, team);
          if (testing::Test::HasFailure()) return;
        }
      }
    }
  }
}

TEST(Matmul, StridesAndSharedWeights) {
  ThreadTeam team(2);
  MatmulProblem p;
  p.batch = 4, p.m = 9, p.n = 35, p.k = 21, p.b_batch = 0;
  check(p, {}, best_isa(), 1, team);
  p.packed_b = false;
  check(p, {2, 4, 1, 0}, best_isa(), 2, team);
  p.a_row = 30, p.c_row = 50, p.b_batch = kDense;
  check(p, {2, 0, 0, 1}, best_isa(), 1, team);
}

}  // namespace
}  // namespace planish::cpu
