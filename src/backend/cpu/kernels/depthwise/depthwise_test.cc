#include "backend/cpu/kernels/depthwise/depthwise.h"

#include <gtest/gtest.h>

#include <array>

#include "backend/cpu/kernels/test_support/conv_check.h"
#include "base/thread_team.h"

namespace planish::cpu {
namespace {

TEST(Depthwise, MatchesTheDoubleSum) {
  ThreadTeam team(2);
  int extras = 0;
  // batch, channels, height, width, kernel, stride, pad, dilation
  for (auto [n, c, h, w, k, s, pad, d] : {std::array<int64_t, 8>{1, 16, 7, 7, 3, 1, 1, 1},
                                          {2, 19, 14, 15, 3, 2, 1, 1},
                                          {1, 32, 9, 30, 5, 1, 2, 1},
                                          {1, 40, 11, 12, 5, 2, 2, 1},
                                          {1, 16, 1, 1, 3, 1, 1, 1},
                                          {1, 8, 6, 2, 3, 1, 1, 1},
                                          {1, 24, 13, 13, 7, 1, 3, 1},
                                          {2, 16, 12, 12, 3, 1, 2, 2},
                                          {1, 16, 10, 10, 3, 3, 0, 1},
                                          {1, 17, 4, 57, 3, 1, 0, 1},
                                          {1, 16, 5, 3, 5, 1, 4, 1}}) {
    ConvProblem p;
    p.batch = n, p.in_channels = p.out_channels = p.groups = c, p.in_height = h, p.in_width = w;
    p.kernel_height = p.kernel_width = k, p.stride_height = p.stride_width = s;
    p.pad_top = p.pad_left = p.pad_bottom = p.pad_right = pad,
    p.dilation_height = p.dilation_width = d;
    for (Isa isa : isas_here()) {
      SCOPED_TRACE(std::string(isa_name(isa)) + " c" + std::to_string(c) + " k" +
                   std::to_string(k) + " s" + std::to_string(s));
      ASSERT_EQ(depthwise_refusal(p, isa), "");
      const int width = vector_width(isa);
      const ConvData data(p);
      const int64_t pixels = p.out_height() * p.out_width();
      const auto input = block(data.input, n, c, h * w, width),
                 residual = block(data.residual, n, c, pixels, width);
      const auto bias = pad_bias(data.bias, width);
      AlignedBuffer<float> packed(depthwise_packed_floats(p, isa));
      pack_depthwise_weights(p, isa, data.weights.data(), packed.data());
      auto output = nan_buffer(n * round_up(c, width) * pixels);
      ConvArgs a;
      a.input = input.data();
      a.weights = packed.data();
      a.output = output.data();
      const int kind = extras++ % 3;
      if (kind > 0) a.epilogue.bias = bias.data();
      if (kind == 1) a.epilogue.residual = residual.data(), a.epilogue.lo = 0, a.epilogue.hi = 6;
      if (kind == 2) a.epilogue.post = halve_and_add_one;
      run_depthwise(p, isa, a, team);
      check_conv(p, data, a.epilogue, output.data(), round_up(c, width) * pixels, width);
      if (testing::Test::HasFailure()) return;
    }
  }
}

}  // namespace
}  // namespace planish::cpu
