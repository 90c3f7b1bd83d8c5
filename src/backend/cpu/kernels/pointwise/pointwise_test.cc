// The block interpreter against the definition of every scalar operation, on every instruction set
// of the machine, with broadcasts, odd sizes and several threads.
#include "backend/cpu/kernels/pointwise/pointwise.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/thread_team.h"
#include "ir/tensor.h"

namespace planish::cpu {
namespace {

using ir::DataType;
using kernel::ExprBuilder;
using kernel::ScalarOp;

uint64_t next(uint64_t& state) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

std::vector<float> values(size_t count, uint64_t seed, double low, double high) {
  uint64_t state = seed * 0x9E3779B97F4A7C15u + 1;
  std::vector<float> out(count);
  for (float& v : out) v = float(low + (high - low) * double(next(state) >> 11) * 0x1p-53);
  return out;
}

std::vector<Isa> machine_isas() {
  std::vector<Isa> out;
  for (Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512})
    if (machine_has(isa)) out.push_back(isa);
  return out;
}

// Runs out = op(x) over n elements and compares with the double definition.
void check_unary(ScalarOp op, double low, double high, double ulps) {
  for (Isa isa : machine_isas()) {
    for (int64_t n : {1, 15, 16, 511, 513, 2000}) {
      ExprBuilder b;
      const int y = b.unary(op, b.arg(0, DataType::kF32));
      if (b.dtype(y) != DataType::kF32) continue;
      const kernel::Expr expr = b.finish({y}, 1);
      PointwiseShape shape{{n}, {{1}}};
      PointwiseProgram program(expr, {DataType::kF32}, {DataType::kF32}, shape, isa);
      const std::vector<float> x = values(size_t(n), uint64_t(n), low, high);
      std::vector<float> got(size_t(n), NAN);
      const void* in = x.data();
      void* out = got.data();
      ThreadTeam team(2);
      program.run(std::span(&in, 1), std::span(&out, 1), team);
      for (int64_t i = 0; i < n; ++i) {
        kernel::ScalarValue arg{x[size_t(i)], 0}, want;
        kernel::evaluate(expr, std::span(&arg, 1), std::span(&want, 1), true);
        const double bound = ulps * 0x1p-23 * (std::fabs(want.f) + 1e-30);
        ASSERT_TRUE(std::fabs(got[size_t(i)] - want.f) <= bound)
            << info(op).name << "(" << x[size_t(i)] << ") = " << got[size_t(i)] << ", expected "
            << want.f << " on " << isa_name(isa);
      }
    }
  }
}

TEST(Pointwise, EveryUnaryOperation) {
  for (ScalarOp op : {ScalarOp::kNeg, ScalarOp::kAbs, ScalarOp::kSign, ScalarOp::kCeil,
                      ScalarOp::kFloor, ScalarOp::kRound, ScalarOp::kTrunc})
    check_unary(op, -9, 9, 0);
  for (ScalarOp op : {ScalarOp::kExp, ScalarOp::kTanh, ScalarOp::kErf, ScalarOp::kSigmoid,
                      ScalarOp::kSoftplus, ScalarOp::kSin, ScalarOp::kCos, ScalarOp::kSinh})
    check_unary(op, -6, 6, 8);
  for (ScalarOp op : {ScalarOp::kSqrt, ScalarOp::kRsqrt, ScalarOp::kLog, ScalarOp::kLog1p,
                      ScalarOp::kReciprocal})
    check_unary(op, 1.5, 40, 4);
}

TEST(Pointwise, BroadcastsAndSeveralOutputs) {
  // y = max(x * scale[c] + bias[c], 0), z = x - y, over [3, 5, 7, 11].
  ExprBuilder b;
  const int x = b.arg(0, DataType::kF32), scale = b.arg(1, DataType::kF32),
            bias = b.arg(2, DataType::kF32);
  const int y = b.max(b.add(b.mul(x, scale), bias), b.imm(0, DataType::kF32));
  const kernel::Expr expr = b.finish({y, b.sub(x, y)}, 3);
  const std::vector<DataType> args(3, DataType::kF32), outputs(2, DataType::kF32);
  const PointwiseShape shape{{3, 5, 7, 11}, {{385, 77, 11, 1}, {0, 1, 0, 0}, {0, 1, 0, 0}}};
  const std::vector<float> xs = values(3 * 385, 1, -2, 2), ss = values(5, 2, -2, 2),
                           bs = values(5, 3, -1, 1);
  for (Isa isa : machine_isas()) {
    PointwiseProgram program(expr, args, outputs, shape, isa);
    std::vector<float> ys(xs.size(), NAN), zs(xs.size(), NAN);
    const void* in[] = {xs.data(), ss.data(), bs.data()};
    void* out[] = {ys.data(), zs.data()};
    ThreadTeam team(2);
    program.run(in, out, team);
    for (size_t i = 0; i < xs.size(); ++i) {
      const size_t c = i / 77 % 5;
      const float want = std::max(xs[i] * ss[c] + bs[c], 0.0f);
      ASSERT_NEAR(ys[i], want, 1e-6) << i;
      ASSERT_NEAR(zs[i], xs[i] - want, 1e-6) << i;
    }
  }
}

TEST(Pointwise, IntegersBoolsAndCasts) {
  // out = select(a < b, cast(a), 0.5), and the wrapped i8 sum.
  ExprBuilder e;
  const int a = e.arg(0, DataType::kI8), b = e.arg(1, DataType::kI8);
  const int picked = e.select(e.less(a, b), e.cast(a, DataType::kF32), e.imm(0.5, DataType::kF32));
  const kernel::Expr expr = e.finish({picked, e.add(a, b)}, 2);
  const std::vector<DataType> args(2, DataType::kI8), outputs = {DataType::kF32, DataType::kI8};
  std::vector<int8_t> as, bs;
  for (int i = -128; i < 128; ++i) {
    as.push_back(int8_t(i));
    bs.push_back(int8_t(i * 7));
  }
  const PointwiseShape shape{{256}, {{1}, {1}}};
  for (Isa isa : machine_isas()) {
    PointwiseProgram program(expr, args, outputs, shape, isa);
    std::vector<float> floats(256, NAN);
    std::vector<int8_t> sums(256);
    const void* in[] = {as.data(), bs.data()};
    void* out[] = {floats.data(), sums.data()};
    ThreadTeam team(1);
    program.run(in, out, team);
    for (size_t i = 0; i < 256; ++i) {
      EXPECT_EQ(floats[i], as[i] < bs[i] ? float(as[i]) : 0.5f) << i;
      EXPECT_EQ(sums[i], int8_t(as[i] + bs[i])) << i;
    }
  }
}

TEST(Pointwise, MaximumKeepsNan) {
  ExprBuilder b;
  const int x = b.arg(0, DataType::kF32);
  const kernel::Expr expr = b.finish({b.max(x, b.imm(0, DataType::kF32))}, 1);
  const std::vector<float> xs = {NAN, -1, 2, NAN};
  for (Isa isa : machine_isas()) {
    PointwiseProgram program(expr, {DataType::kF32}, {DataType::kF32}, {{4}, {{1}}}, isa);
    float got[4];
    const void* in = xs.data();
    void* out = got;
    ThreadTeam team(1);
    program.run(std::span(&in, 1), std::span(&out, 1), team);
    EXPECT_TRUE(std::isnan(got[0]) && std::isnan(got[3]));
    EXPECT_EQ(got[1], 0);
    EXPECT_EQ(got[2], 2);
  }
}

}  // namespace
}  // namespace planish::cpu
