#include "backend/cpu/kernels/reorder/reorder.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "backend/cpu/kernels/test_support/conv_check.h"
#include "base/thread_team.h"

namespace planish::cpu {
namespace {

TEST(Reorder, PlanarAndChannelsLastBothWays) {
  ThreadTeam team(2);
  for (Isa isa : isas_here()) {
    for (auto [n, c, hw] : {std::array<int64_t, 3>{1, 16, 49},
                            {2, 3, 30},
                            {1, 37, 1},
                            {3, 64, 257},
                            {1, 1, 600},
                            {2, 17, 16}}) {
      const int width = vector_width(isa);
      const auto planar = random_floats(n * c * hw, 5);
      const auto blocked = block(planar, n, c, hw, width);
      std::vector<float> last(planar.size());
      for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < c; j++)
          for (int64_t p = 0; p < hw; p++)
            last[(i * hw + p) * c + j] = planar[(i * c + j) * hw + p];
      const int64_t dense = round_up(c, width) * hw, wide = dense + 2 * hw * width;
      ReorderShape s{n, c, hw, wide};
      auto out = nan_buffer(n * wide);
      reorder_nchw_to_blocked(planar.data(), out.data(), s, isa, team);
      auto out_last = nan_buffer(n * wide);
      reorder_nhwc_to_blocked(last.data(), out_last.data(), s, isa, team);
      for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < wide; k++) {
          if (k < dense) {
            ASSERT_EQ(out[i * wide + k], blocked[i * dense + k])
                << isa_name(isa) << " c " << c << " at " << k;
            ASSERT_EQ(out_last[i * wide + k], blocked[i * dense + k]);
          } else {
            ASSERT_TRUE(std::isnan(out[i * wide + k]));
          }
        }
      std::vector<float> back(planar.size()), back_last(planar.size());
      reorder_blocked_to_nchw(out.data(), back.data(), s, isa, team);
      reorder_blocked_to_nhwc(out.data(), back_last.data(), s, isa, team);
      ASSERT_EQ(back, planar);
      ASSERT_EQ(back_last, last);
    }
  }
}

TEST(Reorder, TransposesInnerAxes) {
  ThreadTeam team(2);
  for (Isa isa : isas_here()) {
    for (auto [b, r, c] : {std::array<int64_t, 3>{1, 1, 1}, {2, 16, 16}, {1, 33, 7}, {3, 5, 100}}) {
      const auto in = random_floats(b * r * c, 6);
      std::vector<float> out(in.size());
      TransposeShape s;
      s.batch = b, s.rows = r, s.columns = c;
      transpose_inner(in.data(), out.data(), s, isa, team);
      for (int64_t i = 0; i < b; i++)
        for (int64_t j = 0; j < r; j++)
          for (int64_t k = 0; k < c; k++)
            ASSERT_EQ(out[(i * c + k) * r + j], in[(i * r + j) * c + k]);
    }
  }
}

TEST(Reorder, CopiesWithStrides) {
  ThreadTeam team(2);
  const auto in = random_floats(60, 7);
  std::vector<float> out(120, -1);
  CopyShape s{3, {3, 4, 5}, {20, 1, 4}, {40, 10, 2}};
  strided_copy(in.data(), out.data(), s, team);
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 4; j++)
      for (int k = 0; k < 5; k++) ASSERT_EQ(out[i * 40 + j * 10 + k * 2], in[i * 20 + j + k * 4]);
  EXPECT_EQ(out[1], -1);
}

}  // namespace
}  // namespace planish::cpu
