#include "backend/cpu/kernels/attention/attention.h"

#include <gtest/gtest.h>

#include <array>

#include "backend/cpu/kernels/test_support/conv_check.h"
#include "base/thread_team.h"

namespace planish::cpu {
namespace {

// [batch][seq][heads][size], as the projections of a transformer leave it.
HeadStrides interleaved(int64_t seq, int64_t heads, int64_t size) {
  return {seq * heads * size, size, heads * size};
}

void check(AttentionProblem p, bool masked, Isa isa, ThreadTeam& team) {
  SCOPED_TRACE(std::string(isa_name(isa)) + " queries " + std::to_string(p.queries) + " keys " +
               std::to_string(p.keys) + " size " + std::to_string(p.head_size) +
               (p.causal ? " causal" : "") + (masked ? " masked" : ""));
  p.q = interleaved(p.queries, p.heads, p.head_size);
  p.k = interleaved(p.keys, p.kv_heads, p.head_size);
  p.v = interleaved(p.keys, p.kv_heads, p.value_size);
  p.output = interleaved(p.queries, p.heads, p.value_size);
  p.mask = {p.keys, 0, 0};  // one row per batch entry
  p.scale = 1 / std::sqrt(static_cast<float>(p.head_size));
  const auto q = random_floats(p.batch * p.q.batch, 1, 2),
             k = random_floats(p.batch * p.k.batch, 2, 2);
  const auto v = random_floats(p.batch * p.v.batch, 3);
  auto mask = random_floats(p.batch * p.keys, 4);
  for (size_t i = 1; i < mask.size(); i += 3) mask[i] = i % p.keys != 0 ? -INFINITY : 0;
  AlignedBuffer<char> workspace(attention_workspace_bytes(p, isa, team.size()) + 64);
  std::fill(workspace.begin(), workspace.end(), char(0xff));
  auto output = nan_buffer(p.batch * p.output.batch);
  AttentionArgs a{q.data(),      k.data(),        v.data(), masked ? mask.data() : nullptr,
                  output.data(), workspace.data()};
  run_attention(p, isa, a, team);
  for (size_t i = workspace.size() - 64; i < workspace.size(); i++)
    ASSERT_EQ(workspace[i], char(0xff));
  std::vector<double> w(p.keys);
  for (int64_t b = 0; b < p.batch; b++)
    for (int64_t h = 0; h < p.heads; h++)
      for (int64_t i = 0; i < p.queries; i++) {
        const int64_t kv = h / (p.heads / p.kv_heads);
        double peak = -INFINITY, total = 0, error = 0;
        for (int64_t j = 0; j < p.keys; j++) {
          Exact e;
          for (int64_t d = 0; d < p.head_size; d++) {
            e.add(q[b * p.q.batch + h * p.q.head + i * p.q.row + d],
                  k[b * p.k.batch + kv * p.k.head + j * p.k.row + d]);
          }
          w[j] = e.value * p.scale + (masked ? mask[b * p.keys + j] : 0);
          if (p.causal && j > i + p.keys - p.queries) w[j] = -INFINITY;
          peak = std::max(peak, w[j]);
          error = std::max(error, 4 * kUnit * std::sqrt(static_cast<double>(p.head_size)) *
                                      e.magnitude * p.scale);
        }
        for (double& x : w) total += x = std::exp(x - peak);
        for (int64_t d = 0; d < p.value_size; d++) {
          Exact e;
          for (int64_t j = 0; j < p.keys; j++)
            e.add(w[j] / total, v[b * p.v.batch + kv * p.v.head + j * p.v.row + d]);
          const float got = output[b * p.output.batch + h * p.output.head + i * p.output.row + d];
          // The error of a score is a relative error of its weight.
          const double bound =
              (2 * error + kUnit * (20 + 8 * std::sqrt(static_cast<double>(p.keys)))) * e.magnitude;
          ASSERT_TRUE(std::fabs(got - e.value) <= bound)
              << "b " << b << " h " << h << " query " << i << " d " << d << ": got " << got
              << ", expected " << e.value;
        }
      }
}

TEST(Attention, MatchesTheDoubleSum) {
  ThreadTeam team(2);
  // batch, heads, kv heads, queries, keys, head size, value size
  for (auto [b, h, kv, s, t, d, e] : {std::array<int64_t, 7>{1, 1, 1, 1, 1, 1, 1},
                                      {2, 3, 3, 17, 17, 16, 16},
                                      {1, 4, 2, 5, 33, 20, 40},
                                      {1, 1, 1, 130, 130, 64, 64},
                                      {1, 2, 1, 1, 100, 64, 32},
                                      {2, 2, 2, 31, 31, 33, 7}}) {
    AttentionProblem p;
    p.batch = b, p.heads = h, p.kv_heads = kv, p.queries = s, p.keys = t, p.head_size = d,
    p.value_size = e;
    for (Isa isa : isas_here()) {
      ASSERT_EQ(attention_refusal(p, isa), "");
      for (int kind = 0; kind < 3; kind++) {
        p.causal = kind == 2;
        check(p, kind == 1, isa, team);
        if (testing::Test::HasFailure()) return;
      }
    }
  }
}

}  // namespace
}  // namespace planish::cpu
