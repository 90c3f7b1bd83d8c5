// Reference convolution in double and the comparison that all convolution tests share.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "backend/cpu/kernels/conv_problem.h"
#include "base/aligned_buffer.h"

namespace planish::cpu {

constexpr double kUnit = 5.9604644775390625e-08;  // unit roundoff of fp32

inline std::vector<Isa> isas_here() {
  std::vector<Isa> list;
  for (Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512}) {
    if (machine_has(isa)) list.push_back(isa);
  }
  return list;
}

inline std::vector<float> random_floats(int64_t count, uint32_t seed, float scale = 1) {
  std::mt19937 engine(seed);
  std::uniform_real_distribution<float> uniform(-scale, scale);
  std::vector<float> v(count);
  for (float& x : v) x = uniform(engine);
  return v;
}

// The exact value, and the sum of |a||b| that bounds its rounding error.
struct Exact {
  double value = 0, magnitude = 0;
  void add(double a, double b) {
    value += a * b;
    magnitude += std::fabs(a * b);
  }
};

// |got - ref| <= factor * 4 u sqrt(k) S + 2 u |ref|; NaN fails.
inline bool close_enough(float got, const Exact& ref, double k, double factor = 1) {
  return std::fabs(got - ref.value) <=
         factor * 4 * kUnit * std::sqrt(k) * ref.magnitude + 2 * kUnit * std::fabs(ref.value);
}

inline AlignedBuffer<float> nan_buffer(int64_t count) {
  AlignedBuffer<float> b(count);
  for (float& x : b) x = std::numeric_limits<float>::quiet_NaN();
  return b;
}

// NCHW to blocked; the padding is zero.
inline AlignedBuffer<float> block(const std::vector<float>& v, int64_t batch, int64_t channels,
                                  int64_t pixels, int width) {
  const int64_t blocks = ceil_div(channels, width);
  AlignedBuffer<float> b(batch * blocks * pixels * width);
  for (int64_t n = 0; n < batch; n++)
    for (int64_t c = 0; c < channels; c++)
      for (int64_t i = 0; i < pixels; i++)
        b[((n * blocks + c / width) * pixels + i) * width + c % width] =
            v[(n * channels + c) * pixels + i];
  return b;
}

inline AlignedBuffer<float> pad_bias(const std::vector<float>& bias, int width) {
  AlignedBuffer<float> b(round_up(static_cast<int64_t>(bias.size()), width));
  for (size_t i = 0; i < bias.size(); i++) b[i] = bias[i];
  return b;
}

struct ConvData {
  std::vector<float> input, weights, bias, residual;  // NCHW, OIHW

  explicit ConvData(const ConvProblem& p)
      : input(random_floats(p.batch * p.in_channels * p.in_height * p.in_width, 1)),
        weights(random_floats(
            p.out_channels * (p.in_channels / p.groups) * p.kernel_height * p.kernel_width, 2)),
        bias(random_floats(p.out_channels, 3)),
        residual(random_floats(p.batch * p.out_channels * p.out_height() * p.out_width(), 4)) {}
};

inline Exact exact_conv(const ConvProblem& p, const ConvData& d, int64_t n, int64_t o, int64_t y,
                        int64_t x) {
  const int64_t ic = p.in_channels / p.groups, first = o / (p.out_channels / p.groups) * ic;
  Exact e;
  for (int64_t c = 0; c < ic; c++)
    for (int64_t i = 0; i < p.kernel_height; i++)
      for (int64_t j = 0; j < p.kernel_width; j++) {
        const int64_t yy = y * p.stride_height + i * p.dilation_height - p.pad_top;
        const int64_t xx = x * p.stride_width + j * p.dilation_width - p.pad_left;
        if (yy < 0 || xx < 0 || yy >= p.in_height || xx >= p.in_width) continue;
        e.add(d.input[((n * p.in_channels + first + c) * p.in_height + yy) * p.in_width + xx],
              d.weights[((o * ic + c) * p.kernel_height + i) * p.kernel_width + j]);
      }
  return e;
}

// Compares a blocked output (first block of a slice, batch_stride floats per image) with bias,
// residual and clamp applied to the exact sums; also that the channel padding is zero.
inline void check_conv(const ConvProblem& p, const ConvData& d, const Epilogue& epilogue,
                       const float* output, int64_t batch_stride, int width, double factor = 1) {
  const int64_t oh = p.out_height(), ow = p.out_width(), blocks = ceil_div(p.out_channels, width);
  const double k =
      static_cast<double>(p.in_channels / p.groups * p.kernel_height * p.kernel_width + 2);
  for (int64_t n = 0; n < p.batch; n++)
    for (int64_t c = 0; c < blocks * width; c++)
      for (int64_t i = 0; i < oh * ow; i++) {
        const float got = output[n * batch_stride + (c / width * oh * ow + i) * width + c % width];
        if (c >= p.out_channels) {
          ASSERT_EQ(got, 0.f) << "padding at n " << n << " c " << c << " pixel " << i;
          continue;
        }
        Exact e = exact_conv(p, d, n, c, i / ow, i % ow);
        if (epilogue.bias != nullptr) e.add(d.bias[c], 1);
        if (epilogue.residual != nullptr)
          e.add(d.residual[(n * p.out_channels + c) * oh * ow + i], 1);
        e.value = std::min<double>(std::max<double>(e.value, epilogue.lo), epilogue.hi);
        if (epilogue.post != nullptr) e.value = 0.5 * e.value + 1;
        ASSERT_TRUE(close_enough(got, e, k, factor))
            << "n " << n << " c " << c << " y " << i / ow << " x " << i % ow << ": got " << got
            << ", expected " << e.value;
      }
}

// The post function that check_conv expects when one is set.
inline void halve_and_add_one(void*, float* tile, int64_t, int64_t count) {
  for (int64_t i = 0; i < count; i++) tile[i] = 0.5f * tile[i] + 1;
}

}  // namespace planish::cpu
