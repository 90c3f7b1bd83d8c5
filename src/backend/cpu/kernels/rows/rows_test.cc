#include "backend/cpu/kernels/rows/rows.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "backend/cpu/kernels/test_support/conv_check.h"
#include "base/thread_team.h"

namespace planish::cpu {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
const int64_t kLengths[] = {1, 2, 7, 8, 15, 16, 17, 33, 64, 100, 768, 1000};

double exact_unary(Unary kind, double x) {
  switch (kind) {
    case Unary::kExp:
      return std::exp(x);
    case Unary::kTanh:
      return std::tanh(x);
    case Unary::kErf:
      return std::erf(x);
    case Unary::kSigmoid:
      return 1 / (1 + std::exp(-x));
    case Unary::kGelu:
      return 0.5 * x * (1 + std::erf(x * std::sqrt(0.5)));
    case Unary::kGeluTanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Unary::kSilu:
      return x / (1 + std::exp(-x));
  }
  return 0;
}

// Distance in units of the last place of the exact value's float.
double ulps(float got, double exact) {
  const float f = static_cast<float>(std::fabs(exact));
  if (std::isinf(f)) return got == (exact > 0 ? kInf : -kInf) ? 0 : 1e9;
  const double unit =
      std::max<double>(std::nextafter(f, kInf) - f, std::numeric_limits<float>::denorm_min());
  return std::fabs(got - exact) / unit;
}

TEST(RowKernels, ElementaryFunctionsStayWithinTheirUlps) {
  // All signs and exponents, a prime stride over the significands.
  std::vector<float> in;
  for (uint64_t bits = 0; bits < (uint64_t{1} << 32); bits += 16411) {
    float f;
    const uint32_t b = static_cast<uint32_t>(bits);
    std::memcpy(&f, &b, 4);
    if (std::isfinite(f)) in.push_back(f);
  }
  std::mt19937 engine(9);
  std::uniform_real_distribution<float> uniform(-20, 20);
  for (int i = 0; i < 200000; i++) in.push_back(uniform(engine));
  std::vector<float> out(in.size());
  const std::pair<Unary, double> limits[] = {
      {Unary::kExp, 3}, {Unary::kTanh, 4}, {Unary::kErf, 3}, {Unary::kSigmoid, 3}};
  for (Isa isa : isas_here()) {
    for (auto [kind, limit] : limits) {
      row_kernels(isa).unary[static_cast<int>(kind)](in.data(), out.data(),
                                                     static_cast<int64_t>(in.size()));
      double worst = 0;
      for (size_t i = 0; i < in.size(); i++) {
        // Below -87 the sigmoid is about the least float: ours is zero.
        const bool vanishes = kind == Unary::kSigmoid && in[i] < -87;
        const double d = vanishes ? (out[i] == 0 ? 0 : 1e9)
                                 : ulps(out[i], exact_unary(kind, in[i]));
        worst = std::max(worst, d);
        ASSERT_TRUE(d <= limit) << isa_name(isa) << " function " << static_cast<int>(kind) << " at "
                                << in[i] << ": got " << out[i] << ", expected "
                                << exact_unary(kind, in[i]) << ", " << d << " ulp";
      }
      RecordProperty(std::string(isa_name(isa)) + std::to_string(static_cast<int>(kind)),
                     std::to_string(worst));
    }
    for (Unary kind : {Unary::kGelu, Unary::kGeluTanh, Unary::kSilu}) {
      row_kernels(isa).unary[static_cast<int>(kind)](in.data(), out.data(),
                                                     static_cast<int64_t>(in.size()));
      for (size_t i = 0; i < in.size(); i++) {
        if (std::fabs(in[i]) > 1e4f) continue;
        const double bound = 8 * kUnit * std::fabs(in[i]) * (1 + std::fabs(in[i]) * 0.2) + 1e-44;
        ASSERT_TRUE(std::fabs(out[i] - exact_unary(kind, in[i])) <= bound)
            << isa_name(isa) << " at " << in[i];
      }
    }
    const float special[] = {kInf, -kInf, std::nanf("")};
    float got[3];
    row_kernels(isa).unary[static_cast<int>(Unary::kExp)](special, got, 3);
    EXPECT_EQ(got[0], kInf);
    EXPECT_EQ(got[1], 0.f);
    EXPECT_TRUE(std::isnan(got[2]));
    for (Unary kind : {Unary::kTanh, Unary::kErf}) {
      row_kernels(isa).unary[static_cast<int>(kind)](special, got, 3);
      EXPECT_EQ(got[0], 1.f);
      EXPECT_EQ(got[1], -1.f);
      EXPECT_TRUE(std::isnan(got[2])) << isa_name(isa) << static_cast<int>(kind);
    }
    row_kernels(isa).unary[static_cast<int>(Unary::kSigmoid)](special, got, 3);
    EXPECT_EQ(got[0], 1.f);
    EXPECT_EQ(got[1], 0.f);
    EXPECT_TRUE(std::isnan(got[2]));
  }
}

TEST(RowKernels, SoftmaxMatches) {
  ThreadTeam team(2);
  for (Isa isa : isas_here()) {
    for (int64_t n : kLengths) {
      const auto in = random_floats(5 * n, 3, 20);
      std::vector<float> out(in.size(), NAN);
      run_softmax(in.data(), out.data(), 5, n, isa, team);
      for (int64_t r = 0; r < 5; r++) {
        double peak = -1e30, total = 0;
        for (int64_t i = 0; i < n; i++) peak = std::max<double>(peak, in[r * n + i]);
        for (int64_t i = 0; i < n; i++) total += std::exp(in[r * n + i] - peak);
        for (int64_t i = 0; i < n; i++) {
          const double d = in[r * n + i] - peak, want = std::exp(d) / total;
          const double relative =
              kUnit * (10 + std::fabs(d) + 4 * std::sqrt(static_cast<double>(n)));
          ASSERT_TRUE(std::fabs(out[r * n + i] - want) <= relative * want)
              << isa_name(isa) << " n " << n << " at " << i;
        }
      }
    }
  }
}

TEST(RowKernels, NormsMatch) {
  ThreadTeam team(2);
  for (Isa isa : isas_here()) {
    for (int64_t n : kLengths) {
      const auto in = random_floats(3 * n, 4), residual = random_floats(3 * n, 5),
                 scale = random_floats(n, 6), bias = random_floats(n, 7);
      for (bool center : {true, false}) {
        std::vector<float> out(in.size(), NAN);
        NormArgs a;
        a.input = in.data(), a.output = out.data(), a.rows = 3, a.n = n, a.scale = scale.data(),
        a.bias = bias.data();
        a.epsilon = 1e-2f;
        if (n % 2 == 0) a.residual = residual.data();
        (center ? run_layer_norm : run_rms_norm)(a, isa, team);
        for (int64_t r = 0; r < 3; r++) {
          std::vector<double> x(n);
          double mean = 0, square = 0;
          for (int64_t i = 0; i < n; i++) {
            x[i] = in[r * n + i] + (a.residual != nullptr ? residual[r * n + i] : 0.0);
            mean += x[i] / static_cast<double>(n);
          }
          if (!center) mean = 0;
          for (int64_t i = 0; i < n; i++)
            square += (x[i] - mean) * (x[i] - mean) / static_cast<double>(n);
          for (int64_t i = 0; i < n; i++) {
            const double factor = 1 / std::sqrt(square + a.epsilon),
                         want = (x[i] - mean) * factor * scale[i] + bias[i];
            const double size =
                (std::fabs(x[i]) + std::fabs(mean) + 1) * factor * std::fabs(scale[i]) +
                std::fabs(bias[i]);
            ASSERT_TRUE(std::fabs(out[r * n + i] - want) <=
                        kUnit * (8 + 4 * std::sqrt(static_cast<double>(n))) * size)
                << isa_name(isa) << " n " << n << " at " << i << ": got " << out[r * n + i]
                << ", expected " << want;
          }
        }
      }
    }
  }
}

TEST(RowKernels, ReductionsMatch) {
  ThreadTeam team(2);
  for (Isa isa : isas_here()) {
    for (int64_t n : kLengths) {
      const auto in = random_floats(4 * n, 8);
      for (int kind = 0; kind < 6; kind++) {
        float out[4] = {NAN, NAN, NAN, NAN};
        run_reduce(static_cast<Reduction>(kind), in.data(), out, 4, n, isa, team);
        for (int64_t r = 0; r < 4; r++) {
          Exact sum, abs, squares;
          double peak = -kInf, low = kInf;
          for (int64_t i = 0; i < n; i++) {
            const double x = in[r * n + i];
            sum.add(x, 1), abs.add(std::fabs(x), 1), squares.add(x, x);
            peak = std::max(peak, x), low = std::min(low, x);
          }
          Exact mean{sum.value / static_cast<double>(n), sum.magnitude / static_cast<double>(n)};
          const Exact want[] = {sum, mean, {peak, 0}, {low, 0}, abs, squares};
          ASSERT_TRUE(close_enough(out[r], want[kind], static_cast<double>(n)))
              << isa_name(isa) << " kind " << kind << " n " << n;
        }
      }
    }
    float special[20] = {};
    special[3] = kInf, special[5] = -kInf;
    EXPECT_EQ(row_kernels(isa).reduce[2](special, 20), kInf);
    EXPECT_EQ(row_kernels(isa).reduce[3](special, 20), -kInf);
    special[17] = NAN;
    EXPECT_TRUE(std::isnan(row_kernels(isa).reduce[2](special, 20)));
  }
}

}  // namespace
}  // namespace planish::cpu
