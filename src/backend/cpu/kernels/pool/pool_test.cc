#include "backend/cpu/kernels/pool/pool.h"

#include <gtest/gtest.h>

#include <array>

#include "backend/cpu/kernels/test_support/conv_check.h"
#include "base/thread_team.h"

namespace planish::cpu {
namespace {

void check(const PoolProblem& problem, Isa isa, ThreadTeam& team) {
  const ConvProblem& p = problem.window;
  const int width = vector_width(isa);
  const int64_t oh = problem.out_height > 0 ? problem.out_height : p.out_height();
  const int64_t ow = problem.out_width > 0 ? problem.out_width : p.out_width();
  const int64_t blocks = ceil_div(p.in_channels, width),
                batch_stride = (blocks + 1) * oh * ow * width;
  const auto in = random_floats(p.batch * p.in_channels * p.in_height * p.in_width, 1);
  const auto blocked = block(in, p.batch, p.in_channels, p.in_height * p.in_width, width);
  auto output = nan_buffer(p.batch * batch_stride);
  ConvArgs a;
  a.input = blocked.data();
  a.output = output.data();
  a.output_batch_stride = batch_stride;
  run_pool(problem, isa, a, team);
  for (int64_t n = 0; n < p.batch; n++)
    for (int64_t c = 0; c < p.in_channels; c++)
      for (int64_t y = 0; y < oh; y++)
        for (int64_t x = 0; x < ow; x++) {
          double peak = -INFINITY;
          int count = 0;
          Exact sum;
          for (int64_t i = 0; i < p.kernel_height; i++)
            for (int64_t j = 0; j < p.kernel_width; j++) {
              const int64_t yy = y * p.stride_height - p.pad_top + i * p.dilation_height;
              const int64_t xx = x * p.stride_width - p.pad_left + j * p.dilation_width;
              if (yy < 0 || xx < 0 || yy >= p.in_height || xx >= p.in_width) continue;
              const double v = in[((n * p.in_channels + c) * p.in_height + yy) * p.in_width + xx];
              peak = std::max(peak, v), sum.add(v, 1), count++;
            }
          const double divisor = problem.kind == PoolKind::kAverage
                                     ? static_cast<double>(p.kernel_height * p.kernel_width)
                                     : std::max(count, 1);
          const Exact want = problem.kind == PoolKind::kMax
                                 ? Exact{peak, 0}
                                 : Exact{sum.value / divisor, sum.magnitude / divisor};
          const float got =
              output[n * batch_stride + ((c / width * oh + y) * ow + x) * width + c % width];
          ASSERT_TRUE(got == want.value || close_enough(got, want, 9))
              << isa_name(isa) << " c " << c << " y " << y << " x " << x << ": got " << got
              << ", expected " << want.value;
        }
}

TEST(Pool, MatchesTheWindow) {
  ThreadTeam team(2);
  // batch, channels, height, width, kernel, stride, pad, dilation, extra output (ceil mode)
  for (auto [n, c, h, w, k, s, pad, d, extra] :
       {std::array<int64_t, 9>{1, 16, 14, 14, 3, 2, 1, 1, 0},
        {2, 21, 9, 7, 2, 2, 0, 1, 1},
        {1, 8, 5, 5, 3, 1, 1, 1, 0},
        {1, 16, 10, 9, 3, 1, 2, 2, 0},
        {1, 3, 1, 1, 1, 1, 0, 1, 0}}) {
    PoolProblem p;
    p.window.batch = n, p.window.in_channels = p.window.out_channels = c, p.window.in_height = h,
    p.window.in_width = w;
    p.window.kernel_height = p.window.kernel_width = k,
    p.window.stride_height = p.window.stride_width = s;
    p.window.pad_top = p.window.pad_left = p.window.pad_bottom = p.window.pad_right = pad;
    p.window.dilation_height = p.window.dilation_width = d;
    if (extra != 0)
      p.out_height = p.window.out_height() + extra, p.out_width = p.window.out_width() + extra;
    for (Isa isa : isas_here()) {
      ASSERT_EQ(pool_refusal(p, isa), "");
      for (PoolKind kind : {PoolKind::kMax, PoolKind::kAverage, PoolKind::kAverageExcludePadding}) {
        p.kind = kind;
        check(p, isa, team);
        if (testing::Test::HasFailure()) return;
      }
    }
  }
}

TEST(Pool, MaximumKeepsNan) {
  ThreadTeam team(1);
  for (Isa isa : isas_here()) {
    const int width = vector_width(isa);
    AlignedBuffer<float> in(4 * width), out(width);
    in[0] = NAN, in[1] = -INFINITY, in[width + 1] = INFINITY;
    PoolProblem p;
    p.window.in_channels = p.window.out_channels = width;
    p.window.in_height = p.window.in_width = p.window.kernel_height = p.window.kernel_width = 2;
    ConvArgs a;
    a.input = in.data();
    a.output = out.data();
    run_pool(p, isa, a, team);
    EXPECT_TRUE(std::isnan(out[0])) << isa_name(isa);
    EXPECT_EQ(out[1], INFINITY);
    EXPECT_EQ(out[2], 0.f);
  }
}

TEST(Pool, GlobalAverage) {
  ThreadTeam team(2);
  for (Isa isa : isas_here()) {
    const int width = vector_width(isa);
    for (int64_t pixels : {1, 5, 49}) {
      const auto in = random_floats(2 * 20 * pixels, 3);
      const auto blocked = block(in, 2, 20, pixels, width);
      auto out = nan_buffer(2 * round_up(20, width));
      run_global_average(2, 20, pixels, blocked.data(), out.data(), isa, team);
      for (int64_t i = 0; i < 40; i++) {
        Exact e;
        for (int64_t k = 0; k < pixels; k++)
          e.add(in[i * pixels + k], 1.0 / static_cast<double>(pixels));
        ASSERT_TRUE(close_enough(out[i / 20 * round_up(20, width) + i % 20], e,
                                 static_cast<double>(pixels)));
      }
    }
  }
}

}  // namespace
}  // namespace planish::cpu
