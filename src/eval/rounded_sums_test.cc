// Interpretation with rounded sums errs as f32 arithmetic does.
#include <gtest/gtest.h>

#include <cmath>

#include "eval/interpreter.h"
#include "opdef/infer.h"
#include "ops/register_ops.h"

namespace planish::eval {
namespace {

// Root mean square of a - b.
double deviation(const ir::Tensor& a, const ir::Tensor& b) {
  double sum = 0;
  for (int64_t i = 0; i < a.count(); ++i) sum += (a.f64(i) - b.f64(i)) * (a.f64(i) - b.f64(i));
  return std::sqrt(sum / double(a.count()));
}

// A [rows, k] x [k, columns] product whose terms have the mean `shift` of the spread 1.
void check(double shift) {
  constexpr int64_t kRows = 16, kInner = 700, kColumns = 16;
  opdef::OpRegistry registry;
  ops::register_all_ops(registry);
  ir::Tensor a(ir::DataType::kF32, {kRows, kInner}), b(ir::DataType::kF32, {kInner, kColumns});
  uint64_t state = 7;
  for (ir::Tensor* t : {&a, &b})
    for (int64_t i = 0; i < t->count(); ++i) {
      state = state * 0x5851f42d4c957f2du + 0x14057b7ef767814fu;
      t->set_f64(i, shift + 2 * double(state >> 11) * 0x1p-53 - 1);
    }
  ir::Graph graph;
  ir::Value* x = graph.add_input("x", a.type());
  graph.outputs = graph.add_node("MatMul", {x, graph.add_constant("w", b)}, {}, {{}})->outputs;
  ASSERT_TRUE(opdef::infer_graph(registry, graph).ok());
  Options in_double, with_sums;
  in_double.wide = true;
  with_sums.rounded_sums = true;
  const std::vector<ir::Tensor> feeds = {a};
  const ir::Tensor exact = interpret(registry, graph, feeds, in_double).value()[0];
  const ir::Tensor rounded = interpret(registry, graph, feeds, with_sums).value()[0];
  ir::Tensor summed(ir::DataType::kF32, {kRows, kColumns});
  const float *p = a.data_as<float>(), *q = b.data_as<float>();
  for (int64_t m = 0; m < kRows; ++m)
    for (int64_t n = 0; n < kColumns; ++n) {
      float sum = 0;
      for (int64_t k = 0; k < kInner; ++k) sum += p[m * kInner + k] * q[k * kColumns + n];
      summed.mutable_data_as<float>()[m * kColumns + n] = sum;
    }
  const double ratio = deviation(rounded, exact) / deviation(summed, exact);
  EXPECT_GT(ratio, 0.5);
  EXPECT_LT(ratio, 2);
}

TEST(RoundedSums, ErrAsRunningSumsOfMixedSigns) { check(0); }
TEST(RoundedSums, ErrAsRunningSumsOfOneSign) { check(1.5); }

}  // namespace
}  // namespace planish::eval
