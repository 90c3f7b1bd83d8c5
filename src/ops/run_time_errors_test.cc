// Mistakes that only the data show: indices outside, lengths too long, shapes that change. They end
// in a Status when the op runs, and nothing is read or written outside a tensor. A loop that never
// ends can be cancelled.
#include <atomic>
#include <cmath>

#include "eval/interpreter.h"
#include "ops/op_test.h"

namespace planish::ops {
namespace {

Result<std::vector<Tensor>> run(std::string_view op, const std::vector<std::optional<Tensor>>& inputs,
                                ir::Attributes attrs = {}, int outputs = 1) {
  const opdef::OpDef* def = test_registry().find(op);
  opdef::fill_defaults(*def, attrs);
  std::vector<const Tensor*> pointers;
  for (const std::optional<Tensor>& t : inputs) pointers.push_back(t ? &*t : nullptr);
  return eval::evaluate_op(test_registry(), *def, attrs, pointers, outputs);
}

void expect_refusal(const Result<std::vector<Tensor>>& result, std::string_view words) {
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), Code::kInvalidArgument) << result.status().to_string();
  EXPECT_NE(result.status().message().find(words), std::string::npos)
      << result.status().to_string();
}

Tensor indices(std::vector<int64_t> dims, std::vector<int64_t> values) {
  return Tensor::from_i64(DataType::kI64, std::move(dims), values);
}

TEST(RunTime, IndicesOutside) {
  const Tensor x = zeros({2, 3});
  for (int64_t bad : {int64_t(2), int64_t(-3), INT64_MAX, INT64_MIN}) {
    const std::string words = std::to_string(bad);
    expect_refusal(run("Gather", {x, indices({1}, {bad})}), words);
    expect_refusal(run("GatherElements", {x, indices({1, 1}, {bad})}), words);
    expect_refusal(run("GatherND", {x, indices({1, 1}, {bad})}), words);
    expect_refusal(run("ScatterElements", {x, indices({1, 1}, {bad}), zeros({1, 1})}), words);
    expect_refusal(run("ScatterND", {x, indices({1, 1}, {bad}), zeros({1, 3})}), words);
  }
  EXPECT_TRUE(run("Gather", {x, indices({1}, {-2})}).ok());
  expect_refusal(run("Gather", {zeros({0, 3}), indices({1}, {0})}), "length 0");
}

TEST(RunTime, SequenceLengths) {
  const Tensor x = zeros({5, 2, 3}), w = zeros({1, 16, 3}), r = zeros({1, 16, 4});
  auto lengths = [](int64_t a, int64_t b) {
    return Tensor::from_i64(DataType::kI32, {2}, std::vector<int64_t>{a, b});
  };
  expect_refusal(run("LSTM", {x, w, r, std::nullopt, lengths(5, 6)}, {}, 3), "6");
  expect_refusal(run("LSTM", {x, w, r, std::nullopt, lengths(-1, 5)}, {}, 3), "-1");
  expect_refusal(run("ReverseSequence", {zeros({4, 1}), indices({1}, {5})}), "5");
}

TEST(RunTime, OneHotOutsideIsOff) {
  auto out = run("OneHot", {indices({3}, {3, -4, INT64_MIN}), Tensor::scalar_i64(3),
                            Tensor::from_f64(DataType::kF32, {2}, std::vector<double>{7, 9})});
  ASSERT_TRUE(out.ok()) << out.status().to_string();
  for (double v : (*out)[0].f64_values()) EXPECT_EQ(v, 7);
}

// The body hands its condition on and counts.
ir::GraphPtr counting_body() {
  auto graph = std::make_shared<ir::Graph>();
  opdef::ImportContext context(test_registry(), *graph, "body", 1);
  graph->add_input("i", {DataType::kI64, {}});
  ir::Value* condition = graph->add_input("c", {DataType::kBool, {}});
  ir::Value* count = graph->add_input("n", {DataType::kI64, {}});
  auto next = context.add1("Add", {count, context.constant(Tensor::scalar_i64(1))});
  EXPECT_TRUE(next.ok()) << next.status().to_string();
  graph->outputs = {condition, *next};
  return graph;
}

TEST(RunTime, LoopCounts) {
  auto out = run("Loop", {Tensor::scalar_i64(17), std::nullopt, Tensor::scalar_i64(4)},
                 {{"body", counting_body()}, {"carried", int64_t(1)}});
  ASSERT_TRUE(out.ok()) << out.status().to_string();
  EXPECT_EQ((*out)[0].i64(0), 21);
  // A negative trip count is none.
  out = run("Loop", {Tensor::scalar_i64(INT64_MIN), std::nullopt, Tensor::scalar_i64(4)},
            {{"body", counting_body()}, {"carried", int64_t(1)}});
  ASSERT_TRUE(out.ok()) << out.status().to_string();
  EXPECT_EQ((*out)[0].i64(0), 4);
}

TEST(RunTime, EndlessLoopIsCancelled) {
  const std::atomic<bool> cancel = true;
  eval::Options options;
  options.cancel = &cancel;
  const opdef::OpDef* def = test_registry().find("Loop");
  const Tensor start = Tensor::scalar_i64(0);
  const std::vector<const Tensor*> inputs = {nullptr, nullptr, &start};
  auto out = eval::evaluate_op(test_registry(), *def,
                               {{"body", counting_body()}, {"carried", int64_t(1)}}, inputs, 1,
                               options);
  ASSERT_FALSE(out.ok());
  EXPECT_EQ(out.status().code(), Code::kCancelled);
}

TEST(RunTime, WideLoopKeepsDouble) {
  auto graph = std::make_shared<ir::Graph>();
  opdef::ImportContext context(test_registry(), *graph, "body", 1);
  graph->add_input("i", {DataType::kI64, {}});
  ir::Value* condition = graph->add_input("c", {DataType::kBool, {}});
  ir::Value* x = graph->add_input("x", {DataType::kF32, {1}});
  auto next = context.add1("Add", {x, x});
  ASSERT_TRUE(next.ok()) << next.status().to_string();
  graph->outputs = {condition, *next};
  eval::Options options;
  options.wide = true;
  const Tensor trips = Tensor::scalar_i64(3);
  const Tensor start = Tensor::from_f64(DataType::kF64, {1}, std::vector<double>{0.1});
  const std::vector<const Tensor*> inputs = {&trips, nullptr, &start};
  auto out = eval::evaluate_op(test_registry(), *test_registry().find("Loop"),
                               {{"body", graph}, {"carried", int64_t(1)}}, inputs, 1, options);
  ASSERT_TRUE(out.ok()) << out.status().to_string();
  EXPECT_EQ((*out)[0].dtype(), DataType::kF64);
  EXPECT_EQ((*out)[0].f64(0), 0.8);
}

TEST(Random, SeedDecidesAndElementsDiffer) {
  const ir::Attributes attrs = {{"shape", std::vector<int64_t>{1000}}, {"seed", 3.0}};
  auto a = run("RandomNormal", {}, attrs), b = run("RandomNormal", {}, attrs);
  auto c = run("RandomNormal", {}, {{"shape", std::vector<int64_t>{1000}}, {"seed", 4.0}});
  ASSERT_TRUE(a.ok() && b.ok() && c.ok());
  EXPECT_TRUE((*a)[0].same_bytes((*b)[0]));
  EXPECT_FALSE((*a)[0].same_bytes((*c)[0]));
  double sum = 0, squares = 0;
  for (double v : (*a)[0].f64_values()) {
    sum += v;
    squares += v * v;
  }
  // Five standard errors of the mean and of the mean square.
  EXPECT_LT(std::abs(sum / 1000), 5 / std::sqrt(1000.0));
  EXPECT_LT(std::abs(squares / 1000 - 1), 5 * std::sqrt(2.0 / 1000));
}

TEST(Random, Bernoulli) {
  const Tensor p = Tensor::from_f64(DataType::kF32, {4}, std::vector<double>{0, 1, 0, 1});
  auto out = run("Bernoulli", {p}, {{"seed", 1.0}});
  ASSERT_TRUE(out.ok());
  EXPECT_EQ((*out)[0].f64_values(), (std::vector<double>{0, 1, 0, 1}));
}

}  // namespace
}  // namespace planish::ops
