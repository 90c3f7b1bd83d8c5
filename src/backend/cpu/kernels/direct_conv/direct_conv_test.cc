#include "backend/cpu/kernels/direct_conv/direct_conv.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "backend/cpu/kernels/test_support/conv_check.h"
#include "base/thread_team.h"

namespace planish::cpu {
namespace {

std::string name(const ConvProblem& p, const DirectConvTactic& t, Isa isa) {
  auto s = [](int64_t v) { return std::to_string(v); };
  return std::string(isa_name(isa)) + " n" + s(p.batch) + " " + s(p.in_channels) + "->" +
         s(p.out_channels) + " g" + s(p.groups) + " " + s(p.in_height) + "x" + s(p.in_width) +
         " k" + s(p.kernel_height) + "x" + s(p.kernel_width) + " j" + s(t.j_blocks) + " band" +
         s(t.band) + " chunks" + s(t.chunks) + " in" + s(t.in_blocks) +
         (t.copy_input ? " copy" : "");
}

enum class Extras { kNone, kResidual, kPostIntoSlice };

void check(const ConvProblem& p, const DirectConvTactic& t, Isa isa, Extras extras,
           ThreadTeam& team) {
  SCOPED_TRACE(name(p, t, isa));
  const int width = vector_width(isa);
  const ConvData d(p);
  const int64_t pixels = p.out_height() * p.out_width(), blocks = ceil_div(p.out_channels, width);
  const auto blocked = block(d.input, p.batch, p.in_channels, p.in_height * p.in_width, width);
  const auto residual = block(d.residual, p.batch, p.out_channels, pixels, width);
  const auto bias = pad_bias(d.bias, width);
  AlignedBuffer<float> packed(direct_conv_packed_floats(p, t, isa));
  pack_direct_conv_weights(p, t, isa, d.weights.data(), packed.data());
  AlignedBuffer<char> workspace(direct_conv_workspace_bytes(p, t, isa, team.size()) + 64);
  workspace[workspace.size() - 64] = 77;
  ConvArgs a;
  a.input = p.planar_input ? d.input.data() : blocked.data();
  a.weights = packed.data();
  a.workspace = workspace.data();
  a.epilogue.bias = bias.data();
  int64_t batch_stride = blocks * pixels * width, first = 0;
  if (extras == Extras::kResidual) {
    a.epilogue.residual = residual.data();
    a.epilogue.lo = 0;
    a.epilogue.hi = 6;
  } else if (extras == Extras::kPostIntoSlice) {
    a.epilogue.post = halve_and_add_one;
    first = pixels * width;
    batch_stride = (blocks + 2) * pixels * width;
  }
  auto output = nan_buffer(p.batch * batch_stride);
  a.output = output.data() + first;
  a.output_batch_stride = batch_stride;
  run_direct_conv(p, t, isa, a, team);
  check_conv(p, d, a.epilogue, a.output, batch_stride, width);
  EXPECT_EQ(workspace[workspace.size() - 64], 77);
  for (int64_t i = 0; i < first; i++)
    ASSERT_TRUE(std::isnan(output[i])) << "written before the slice at " << i;
}

ConvProblem conv(int64_t n, int64_t ic, int64_t oc, int64_t h, int64_t w, int64_t k, int64_t stride,
                 int64_t pad, int64_t groups = 1, int64_t dilation = 1) {
  ConvProblem p;
  p.batch = n;
  p.in_channels = ic;
  p.out_channels = oc;
  p.in_height = h;
  p.in_width = w;
  p.kernel_height = p.kernel_width = k;
  p.stride_height = p.stride_width = stride;
  p.pad_top = p.pad_left = p.pad_bottom = p.pad_right = pad;
  p.groups = groups;
  p.dilation_height = p.dilation_width = dilation;
  return p;
}

std::vector<ConvProblem> problems() {
  std::vector<ConvProblem> list = {
      conv(1, 16, 16, 1, 1, 1, 1, 0),    conv(2, 19, 37, 5, 7, 1, 1, 0),
      conv(1, 48, 80, 9, 17, 1, 1, 0),   conv(1, 33, 50, 11, 13, 1, 2, 0),
      conv(1, 16, 32, 7, 7, 3, 1, 1),    conv(2, 35, 66, 7, 7, 3, 1, 1),
      conv(1, 16, 96, 9, 14, 3, 1, 1),   conv(1, 20, 40, 15, 31, 3, 2, 1),
      conv(1, 17, 17, 3, 3, 3, 1, 1),    conv(1, 32, 64, 8, 6, 5, 1, 2),
      conv(1, 16, 48, 20, 20, 7, 3, 3),  conv(1, 16, 32, 12, 12, 3, 1, 2, 1, 2),
      conv(2, 64, 96, 6, 5, 3, 1, 1, 2), conv(1, 16, 16, 2, 40, 3, 1, 1),
      conv(1, 5, 7, 4, 4, 4, 1, 0),      conv(1, 32, 32, 10, 10, 2, 2, 0),
      conv(1, 128, 48, 4, 4, 3, 1, 1),   conv(1, 16, 32, 9, 9, 3, 2, 2, 1, 3)};
  ConvProblem odd = conv(1, 24, 40, 10, 12, 1, 1, 0);
  odd.kernel_height = 1, odd.kernel_width = 5, odd.pad_left = 2, odd.pad_right = 1,
  odd.stride_height = 2;
  list.push_back(odd);
  odd.kernel_height = 4, odd.kernel_width = 1, odd.pad_left = odd.pad_right = 0, odd.pad_top = 3,
  odd.stride_width = 3;
  list.push_back(odd);
  for (auto [oc, h, k, s, pad] : {std::array<int64_t, 5>{64, 37, 7, 2, 3},
                                  {32, 30, 3, 2, 1},
                                  {70, 17, 3, 1, 1},
                                  {8, 9, 1, 1, 0}}) {
    ConvProblem p = conv(2, 3, oc, h, h + 1, k, s, pad);
    p.planar_input = true;
    list.push_back(p);
  }
  return list;
}

TEST(DirectConv, MatchesTheDoubleSum) {
  ThreadTeam team(2);
  int extras = 0;
  for (const ConvProblem& p : problems()) {
    for (Isa isa : isas_here()) {
      ASSERT_EQ(direct_conv_refusal(p, isa), "");
      const auto tactics = enumerate_direct_conv_tactics(p, isa, team.size());
      ASSERT_FALSE(tactics.empty());
      ASSERT_LE(tactics.size(), 8u);
      for (const auto& t : tactics) {
        check(p, t, isa, static_cast<Extras>(extras++ % 3), team);
        if (testing::Test::HasFailure()) return;
      }
    }
  }
}

TEST(DirectConv, EveryTileWidthAndTactic) {
  ThreadTeam team(3);
  const ConvProblem p = conv(1, 40, 100, 6, 29, 3, 1, 1);
  for (Isa isa : isas_here()) {
    for (int j = 1; j <= 4; j++) {
      for (int64_t in_blocks : {0, 1, 2}) {
        check(p, {j, 2, 1, in_blocks, false}, isa, Extras::kResidual, team);
        check(p, {j, 0, 0, in_blocks, false}, isa, Extras::kPostIntoSlice, team);
        if (testing::Test::HasFailure()) return;
      }
    }
  }
}

TEST(DirectConv, RefusesNarrowGroups) {
  EXPECT_NE(direct_conv_refusal(conv(1, 24, 24, 5, 5, 3, 1, 1, 3), Isa::kAvx512), "");
  EXPECT_NE(direct_conv_refusal(conv(1, 16, 16, 2, 2, 3, 1, 0), Isa::kAvx512), "");
}

}  // namespace
}  // namespace planish::cpu
