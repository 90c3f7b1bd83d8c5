#include "backend/cpu/kernels/bottleneck/bottleneck.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "backend/cpu/kernels/test_support/conv_check.h"
#include "base/thread_team.h"

namespace planish::cpu {
namespace {

struct Data {
  std::vector<float> input, expand, expand_bias, depthwise, depthwise_bias, project, bias, residual;
};

double clamp(double v, double lo, double hi) { return std::min(std::max(v, lo), hi); }

// One linear step at a time in double; the error bound of a step adds that of its inputs times
// |weight|.
struct Sum {
  double value = 0, magnitude = 0, error = 0;
  int64_t k = 0;
  void add(double x, double x_error, double w) {
    value += x * w, magnitude += std::fabs(x * w), error += x_error * std::fabs(w), k++;
  }
  double bound() const {
    return error + 4 * kUnit * std::sqrt(static_cast<double>(k)) * magnitude +
           2 * kUnit * std::fabs(value);
  }
};

void check(const BottleneckProblem& p, const BottleneckTactic& t, Isa isa, bool extras,
           ThreadTeam& team) {
  const ConvProblem& d = p.depthwise;
  SCOPED_TRACE(std::string(isa_name(isa)) + (t.by_channels ? " channels" : " rows") + " pieces " +
               std::to_string(t.pieces) + " map " + std::to_string(d.in_height) + "x" +
               std::to_string(d.in_width) + " mid " + std::to_string(d.in_channels));
  const int width = vector_width(isa);
  const int64_t mid = d.in_channels, in = p.has_expand ? p.in_channels : mid, out = p.out_channels;
  const int64_t hw = d.in_height * d.in_width, oh = d.out_height(), ow = d.out_width(), n = d.batch;
  Data m{random_floats(n * in * hw, 1), random_floats(mid * in, 2),
         random_floats(mid, 3),         random_floats(mid * d.kernel_height * d.kernel_width, 4),
         random_floats(mid, 5),         random_floats(out * mid, 6),
         random_floats(out, 7),         random_floats(n * out * oh * ow, 8)};
  const auto input = block(m.input, n, in, hw, width),
             residual = block(m.residual, n, out, oh * ow, width);
  const auto bias = pad_bias(m.bias, width);
  AlignedBuffer<float> packed(bottleneck_packed_floats(p, isa));
  pack_bottleneck_weights(p, isa,
                          {m.expand.data(), m.expand_bias.data(), m.depthwise.data(),
                           m.depthwise_bias.data(), m.project.data()},
                          packed.data());
  AlignedBuffer<char> workspace(bottleneck_workspace_bytes(p, t, isa, team.size()) + 64);
  std::fill(workspace.begin(), workspace.end(),
            char(0xff));  // NaNs: nothing may be read before it is written
  auto output = nan_buffer(n * round_up(out, width) * oh * ow);
  ConvArgs a;
  a.input = input.data();
  a.weights = packed.data();
  a.output = output.data();
  a.workspace = workspace.data();
  a.epilogue.bias = bias.data();
  if (extras) a.epilogue.residual = residual.data(), a.epilogue.post = halve_and_add_one;
  run_bottleneck(p, t, isa, a, team);
  for (size_t i = workspace.size() - 64; i < workspace.size(); i++)
    ASSERT_EQ(workspace[i], char(0xff));
  std::vector<double> e(mid * hw), e_error(mid * hw), f(mid * oh * ow), f_error(mid * oh * ow);
  for (int64_t b = 0; b < n; b++) {
    for (int64_t c = 0; c < mid; c++)
      for (int64_t i = 0; i < hw; i++) {
        if (!p.has_expand) {
          e[c * hw + i] = m.input[(b * in + c) * hw + i];
          continue;
        }
        Sum s;
        s.add(m.expand_bias[c], 0, 1);
        for (int64_t k = 0; k < in; k++)
          s.add(m.input[(b * in + k) * hw + i], 0, m.expand[c * in + k]);
        e[c * hw + i] = clamp(s.value, p.expand_lo, p.expand_hi);
        e_error[c * hw + i] = s.bound();
      }
    for (int64_t c = 0; c < mid; c++)
      for (int64_t y = 0; y < oh; y++)
        for (int64_t x = 0; x < ow; x++) {
          Sum s;
          s.add(m.depthwise_bias[c], 0, 1);
          for (int64_t i = 0; i < d.kernel_height; i++)
            for (int64_t j = 0; j < d.kernel_width; j++) {
              const int64_t yy = y * d.stride_height - d.pad_top + i,
                            xx = x * d.stride_width - d.pad_left + j;
              if (yy < 0 || xx < 0 || yy >= d.in_height || xx >= d.in_width) continue;
              const int64_t at = c * hw + yy * d.in_width + xx;
              s.add(e[at], e_error[at],
                    m.depthwise[(c * d.kernel_height + i) * d.kernel_width + j]);
            }
          f[(c * oh + y) * ow + x] = clamp(s.value, p.depthwise_lo, p.depthwise_hi);
          f_error[(c * oh + y) * ow + x] = s.bound();
        }
    for (int64_t o = 0; o < round_up(out, width); o++)
      for (int64_t i = 0; i < oh * ow; i++) {
        const float got =
            output[((b * ceil_div(out, width) + o / width) * oh * ow + i) * width + o % width];
        if (o >= out) {
          ASSERT_EQ(got, 0.f);
          continue;
        }
        Sum s;
        s.add(m.bias[o], 0, 1);
        if (extras) s.add(m.residual[(b * out + o) * oh * ow + i], 0, 1);
        for (int64_t c = 0; c < mid; c++)
          s.add(f[c * oh * ow + i], f_error[c * oh * ow + i], m.project[o * mid + c]);
        const double want = extras ? 0.5 * s.value + 1 : s.value;
        ASSERT_TRUE(std::fabs(got - want) <= s.bound() + 2 * kUnit * std::fabs(want))
            << "n " << b << " channel " << o << " pixel " << i << ": got " << got << ", expected "
            << want;
      }
  }
}

TEST(Bottleneck, MatchesTheDoubleSum) {
  ThreadTeam team(2);
  int round = 0;
  // batch, in, mid, out, height, width, kernel, stride, pad begin, pad end, expand
  for (auto [n, in, mid, out, h, w, k, s, p0, p1, expand] :
       {std::array<int64_t, 11>{1, 16, 96, 24, 14, 14, 3, 2, 1, 1, 1},
        {2, 24, 144, 24, 7, 7, 3, 1, 1, 1, 1},
        {1, 20, 72, 40, 9, 11, 5, 1, 2, 2, 1},
        {1, 32, 64, 64, 15, 13, 3, 2, 0, 1, 1},
        {1, 0, 48, 64, 10, 10, 3, 1, 1, 1, 0},
        {2, 0, 40, 17, 9, 8, 3, 2, 1, 1, 0},
        {1, 8, 16, 8, 3, 2, 3, 1, 1, 1, 1}}) {
    BottleneckProblem p;
    ConvProblem& d = p.depthwise;
    d.batch = n, d.in_channels = d.out_channels = d.groups = mid, d.in_height = h, d.in_width = w;
    d.kernel_height = d.kernel_width = k, d.stride_height = d.stride_width = s;
    d.pad_top = d.pad_left = p0, d.pad_bottom = d.pad_right = p1;
    p.in_channels = in, p.out_channels = out, p.has_expand = expand != 0;
    p.expand_hi = 6, p.depthwise_lo = -1, p.depthwise_hi = 5;
    for (Isa isa : isas_here()) {
      ASSERT_EQ(bottleneck_refusal(p, isa), "");
      for (const auto& t : enumerate_bottleneck_tactics(p, isa, 2)) {
        check(p, t, isa, round++ % 2 == 0, team);
        if (testing::Test::HasFailure()) return;
      }
    }
  }
}

}  // namespace
}  // namespace planish::cpu
