// Expressions: the scalar operations against their definitions, the builder, inlining and checks.
#include "kernel/expr.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace planish::kernel {
namespace {

using enum DataType;

double run_f(ScalarOp op, std::vector<double> args, DataType dtype = kF64, bool wide = false) {
  ExprBuilder b;
  std::vector<int> nodes;
  std::vector<ScalarValue> values;
  for (size_t i = 0; i < args.size(); ++i) {
    nodes.push_back(b.arg(int(i), dtype));
    values.push_back({args[i], 0});
  }
  const int result = args.size() == 1 ? b.unary(op, nodes[0]) : b.binary(op, nodes[0], nodes[1]);
  const Expr e = b.finish({result}, int(args.size()));
  ScalarValue out;
  evaluate(e, values, std::span(&out, 1), wide);
  return out.f;
}

int64_t run_i(ScalarOp op, std::vector<int64_t> args, DataType dtype) {
  ExprBuilder b;
  std::vector<int> nodes;
  std::vector<ScalarValue> values;
  for (size_t i = 0; i < args.size(); ++i) {
    nodes.push_back(b.arg(int(i), dtype));
    values.push_back({0, args[i]});
  }
  const int result = args.size() == 1 ? b.unary(op, nodes[0]) : b.binary(op, nodes[0], nodes[1]);
  const Expr e = b.finish({result}, int(args.size()));
  ScalarValue out;
  evaluate(e, values, std::span(&out, 1), false);
  return out.i;
}

TEST(Expr, UnaryOperationsAreTheLibrarys) {
  const std::pair<ScalarOp, double (*)(double)> table[] = {
      {ScalarOp::kAbs, std::fabs},   {ScalarOp::kCeil, std::ceil},   {ScalarOp::kFloor, std::floor},
      {ScalarOp::kTrunc, std::trunc}, {ScalarOp::kSqrt, std::sqrt},  {ScalarOp::kExp, std::exp},
      {ScalarOp::kExpm1, std::expm1}, {ScalarOp::kLog, std::log},    {ScalarOp::kLog1p, std::log1p},
      {ScalarOp::kSin, std::sin},     {ScalarOp::kCos, std::cos},    {ScalarOp::kTan, std::tan},
      {ScalarOp::kAsin, std::asin},   {ScalarOp::kAcos, std::acos},  {ScalarOp::kAtan, std::atan},
      {ScalarOp::kSinh, std::sinh},   {ScalarOp::kCosh, std::cosh},  {ScalarOp::kTanh, std::tanh},
      {ScalarOp::kAsinh, std::asinh}, {ScalarOp::kErf, std::erf}};
  for (const auto& [op, f] : table)
    for (double x : {-0.75, -0.1, 0.0, 0.3, 0.9, 2.5}) {
      const double expected = f(x), got = run_f(op, {x});
      if (std::isnan(expected)) EXPECT_TRUE(std::isnan(got)) << info(op).name << x;
      else EXPECT_EQ(got, expected) << info(op).name << " of " << x;
    }
  EXPECT_EQ(run_f(ScalarOp::kRound, {2.5}), 2);
  EXPECT_EQ(run_f(ScalarOp::kRound, {-3.5}), -4);
  EXPECT_EQ(run_f(ScalarOp::kSign, {-3.5}), -1);
  EXPECT_TRUE(std::isnan(run_f(ScalarOp::kSign, {NAN})));
  EXPECT_EQ(run_f(ScalarOp::kReciprocal, {4}), 0.25);
  EXPECT_EQ(run_f(ScalarOp::kRsqrt, {4}), 0.5);
  EXPECT_NEAR(run_f(ScalarOp::kSigmoid, {-800}), 0, 1e-300);
  EXPECT_EQ(run_f(ScalarOp::kSigmoid, {800}), 1);
  EXPECT_EQ(run_f(ScalarOp::kSoftplus, {800}), 800);
  EXPECT_NEAR(run_f(ScalarOp::kSoftplus, {0}), std::log(2), 1e-15);
}

TEST(Expr, ExtremaPropagateNan) {
  EXPECT_TRUE(std::isnan(run_f(ScalarOp::kMax, {NAN, 1})));
  EXPECT_TRUE(std::isnan(run_f(ScalarOp::kMin, {1, NAN})));
  EXPECT_EQ(run_f(ScalarOp::kMax, {-1, 1}), 1);
}

TEST(Expr, RemaindersHaveTheirSigns) {
  EXPECT_EQ(run_f(ScalarOp::kMod, {-7, 3}), 2);
  EXPECT_EQ(run_f(ScalarOp::kFmod, {-7, 3}), -1);
  EXPECT_EQ(run_i(ScalarOp::kMod, {-7, 3}, kI32), 2);
  EXPECT_EQ(run_i(ScalarOp::kMod, {7, -3}, kI32), -2);
  EXPECT_EQ(run_i(ScalarOp::kFmod, {-7, 3}, kI32), -1);
  EXPECT_EQ(run_i(ScalarOp::kDiv, {-7, 2}, kI32), -3);
}

TEST(Expr, IntegersWrapAndNeverTrap) {
  const int64_t low = std::numeric_limits<int64_t>::min();
  EXPECT_EQ(run_i(ScalarOp::kAdd, {100, 100}, kI8), -56);
  EXPECT_EQ(run_i(ScalarOp::kSub, {0, 1}, kU8), 255);
  EXPECT_EQ(run_i(ScalarOp::kMul, {65536, 65536}, kI32), 0);
  EXPECT_EQ(run_i(ScalarOp::kNeg, {low}, kI64), low);
  for (DataType t : {kI8, kI32, kI64, kU64}) {
    run_i(ScalarOp::kDiv, {5, 0}, t);
    run_i(ScalarOp::kMod, {5, 0}, t);
    run_i(ScalarOp::kDiv, {low, -1}, t);
    run_i(ScalarOp::kMod, {low, -1}, t);
    run_i(ScalarOp::kShiftLeft, {1, 70}, t);
    run_i(ScalarOp::kShiftRight, {1, 70}, t);
  }
  EXPECT_EQ(run_i(ScalarOp::kBitAnd, {12, 10}, kU8), 8);
  EXPECT_EQ(run_i(ScalarOp::kBitXor, {12, 10}, kU8), 6);
  EXPECT_EQ(run_i(ScalarOp::kBitNot, {0}, kU8), 255);
  EXPECT_EQ(run_i(ScalarOp::kShiftLeft, {3, 2}, kI32), 12);
}

TEST(Expr, RoundsAtNodesOfNarrowTypes) {
  EXPECT_EQ(run_f(ScalarOp::kAdd, {2048, 1}, kF16), 2048);
  EXPECT_EQ(run_f(ScalarOp::kAdd, {2048, 1}, kF16, true), 2049);
  EXPECT_EQ(run_f(ScalarOp::kMul, {0.1, 0.1}, kF32), double(float(0.1 * 0.1)));
}

TEST(Expr, SharesEqualNodesAndDropsDeadOnes) {
  ExprBuilder b;
  const int x = b.arg(0, kF32), y = b.arg(1, kF32);
  const int s = b.add(x, y);
  EXPECT_EQ(b.add(x, y), s);
  EXPECT_EQ(b.imm(0.1, kF32), b.imm(0.1f, kF32));
  EXPECT_NE(b.imm(0.0, kF32), b.imm(-0.0, kF32));
  b.mul(x, x);  // nobody reads it
  const Expr e = b.finish({s, x}, 2);
  EXPECT_EQ(e.nodes.size(), 3u);
  EXPECT_TRUE(verify(e).ok());
  EXPECT_EQ(to_string(e), "%0 = arg f32 0; %1 = arg f32 1; %2 = add f32 %0 %1; -> 2, 0");
}

TEST(Expr, InlinesOtherExpressions) {
  ExprBuilder inner;
  const Expr square = inner.finish({inner.mul(inner.arg(0, kF32), inner.arg(0, kF32))}, 1);
  ExprBuilder b;
  const int x = b.arg(0, kF32);
  const int once = b.inline_expr(square, std::vector<int>{x})[0];
  const int twice = b.inline_expr(square, std::vector<int>{once})[0];
  const Expr e = b.finish({twice}, 1);
  ScalarValue in{3, 0}, out;
  evaluate(e, std::span(&in, 1), std::span(&out, 1), false);
  EXPECT_EQ(out.f, 81);
}

TEST(Expr, VerifyFindsBrokenOnes) {
  ExprBuilder b;
  const Expr good = b.finish({b.add(b.arg(0, kF32), b.arg(1, kF32))}, 2);
  ASSERT_TRUE(verify(good).ok());
  Expr e = good;
  e.nodes[2].b = 2;  // itself
  EXPECT_FALSE(verify(e).ok());
  e = good;
  e.nodes[0].a = 5;
  EXPECT_FALSE(verify(e).ok());
  e = good;
  e.nodes[2].c = 0;
  EXPECT_FALSE(verify(e).ok());
  e = good;
  e.nodes[0].dtype = kI32;
  EXPECT_FALSE(verify(e).ok()) << "i32 and f32";
  e = good;
  e.nodes[2].dtype = kI32;
  EXPECT_FALSE(verify(e).ok()) << "a sum of f32 that is i32";
  e = good;
  e.nodes[2].op = ScalarOp::kLess;
  EXPECT_FALSE(verify(e).ok()) << "a comparison that is f32";
  e.nodes[2].dtype = DataType::kBool;
  EXPECT_TRUE(verify(e).ok());
  e.nodes.push_back({.op = ScalarOp::kSelect, .dtype = kF32, .a = 2, .b = 0, .c = 1});
  EXPECT_TRUE(verify(e).ok());
  e.nodes[3].a = 0;
  EXPECT_FALSE(verify(e).ok()) << "select by f32";
  e = good;
  e.outputs = {7};
  EXPECT_FALSE(verify(e).ok());
  e.outputs.clear();
  EXPECT_FALSE(verify(e).ok());
}

TEST(Expr, EveryOperationHasANameThatParses) {
  for (int i = 0; i < kScalarOpCount; ++i) {
    const auto parsed = parse_scalar_op(info(ScalarOp(i)).name);
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ(int(*parsed), i);
  }
  EXPECT_FALSE(parse_scalar_op("no_such").ok());
}

}  // namespace
}  // namespace planish::kernel
