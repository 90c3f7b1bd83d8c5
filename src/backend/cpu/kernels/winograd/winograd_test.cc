#include "backend/cpu/kernels/winograd/winograd.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "backend/cpu/kernels/test_support/conv_check.h"
#include "base/thread_team.h"

namespace planish::cpu {
namespace {

// Winograd's transforms amplify rounding; the bound is 16 times the direct one.
constexpr double kWinogradFactor = 16;

void check(const ConvProblem& p, const WinogradTactic& t, Isa isa, int extras, ThreadTeam& team) {
  SCOPED_TRACE(std::string(isa_name(isa)) + " F" + std::to_string(t.tile) + " " +
               std::to_string(p.in_channels) + "->" + std::to_string(p.out_channels) + " " +
               std::to_string(p.in_height) + "x" + std::to_string(p.in_width) +
               (t.split_channels ? " channels" : " tiles") + " j" + std::to_string(t.j_blocks));
  const int width = vector_width(isa);
  const ConvData d(p);
  const int64_t pixels = p.out_height() * p.out_width(), blocks = ceil_div(p.out_channels, width);
  const auto input = block(d.input, p.batch, p.in_channels, p.in_height * p.in_width, width);
  const auto residual = block(d.residual, p.batch, p.out_channels, pixels, width);
  const auto bias = pad_bias(d.bias, width);
  AlignedBuffer<float> packed(winograd_packed_floats(p, t, isa));
  pack_winograd_weights(p, t, isa, d.weights.data(), packed.data());
  AlignedBuffer<char> workspace(winograd_workspace_bytes(p, t, isa, team.size()));
  ConvArgs a;
  a.input = input.data();
  a.weights = packed.data();
  a.workspace = workspace.data();
  if (extras > 0) a.epilogue.bias = bias.data();
  if (extras == 1) a.epilogue.residual = residual.data(), a.epilogue.lo = 0;
  if (extras == 2) a.epilogue.post = halve_and_add_one;
  const int64_t batch_stride = (blocks + 1) * pixels * width;
  auto output = nan_buffer(p.batch * batch_stride);
  a.output = output.data();
  a.output_batch_stride = batch_stride;
  run_winograd(p, t, isa, a, team);
  check_conv(p, d, a.epilogue, a.output, batch_stride, width, kWinogradFactor);
}

TEST(Winograd, MatchesTheDoubleSum) {
  ThreadTeam team(2);
  int extras = 0;
  for (auto [n, ic, oc, h, w, pad] : {std::array<int64_t, 6>{1, 16, 16, 4, 4, 1},
                                      {2, 32, 48, 7, 7, 1},
                                      {1, 20, 35, 14, 13, 1},
                                      {1, 48, 64, 9, 30, 0},
                                      {1, 64, 16, 3, 3, 1},
                                      {3, 16, 40, 6, 5, 2},
                                      {1, 33, 32, 50, 47, 1}}) {
    ConvProblem p;
    p.batch = n, p.in_channels = ic, p.out_channels = oc, p.in_height = h, p.in_width = w;
    p.kernel_height = p.kernel_width = 3;
    p.pad_top = p.pad_left = p.pad_bottom = p.pad_right = pad;
    for (Isa isa : isas_here()) {
      ASSERT_EQ(winograd_refusal(p, isa), "");
      auto tactics = enumerate_winograd_tactics(p, isa, 2);
      ASSERT_FALSE(tactics.empty());
      for (int tile : {4, 6})
        for (bool split : {false, true})
          tactics.push_back({tile, 1 + extras % 4, split, 5, split ? 1 : 0});
      for (const auto& t : tactics) {
        check(p, t, isa, extras++ % 3, team);
        if (testing::Test::HasFailure()) return;
      }
    }
  }
}

TEST(Winograd, RefusesOtherKernels) {
  ConvProblem p;
  p.in_channels = p.out_channels = 16;
  p.in_height = p.in_width = 8;
  p.kernel_height = p.kernel_width = 5;
  EXPECT_NE(winograd_refusal(p, Isa::kPortable), "");
}

}  // namespace
}  // namespace planish::cpu
