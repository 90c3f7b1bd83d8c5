// Mistakes that only the data show: indices outside, lengths too long, shapes that change. They end
// in a Status when the op runs, and nothing is read or written outside a tensor. A loop that never
// ends can be cancelled.
#include <atomic>
#include <cmath>

#include "base/text.h"
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

ir::GraphPtr parsed_body(std::string_view text) {
  auto graph = ir::parse(cat("graph \"\" {", text, "}"));
  EXPECT_TRUE(graph.ok()) << graph.status().to_string();
  return ir::GraphPtr(std::move(*graph));
}

// Elements of a stack have one shape; a carried value may have another one in each iteration.
TEST(RunTime, StacksOfUnequalElementsAreRefused) {
  const auto out = run("Loop", {Tensor::scalar_i64(2), std::nullopt, zeros({1, 3})},
                       {{"body", parsed_body(R"(
    symbol R [0, *] input %i: i64[] input %go: bool[] input %s: f32[R, 3]
    %t: f32[] = Concat(%s, %s) {axis = 0} output %go, %t, %t)")}, {"carried", int64_t(1)}}, 2);
  ASSERT_FALSE(out.ok());
  EXPECT_EQ(out.status().code(), Code::kInvalidArgument);
  EXPECT_NE(out.status().message().find("has shape [4, 3] in one iteration and [2, 3] in the first"),
            std::string::npos)
      << out.status().to_string();
}

TEST(RunTime, CarriedValuesThatChangeTheirRankOrTypeAreRefused) {
  const auto refused = [](const char* op, std::string_view text, ir::Attributes attrs,
                          const std::vector<std::optional<Tensor>>& inputs, Code code,
                          std::string_view part) {
    attrs["body"] = parsed_body(text);
    const auto out = run(op, inputs, attrs);
    ASSERT_FALSE(out.ok()) << part;
    EXPECT_EQ(out.status().code(), code);
    EXPECT_NE(out.status().message().find(part), std::string::npos) << out.status().to_string();
  };
  const ir::Attributes carries = {{"carried", int64_t(1)}};
  const std::vector<std::optional<Tensor>> once = {Tensor::scalar_i64(1), std::nullopt, zeros({2})};
  refused("Loop", R"(input %i: i64[] input %go: bool[] input %s: f32[2]
    const %axes: i64[1] = {0} %t: f32[] = Unsqueeze(%s, %axes) output %go, %t)",
          carries, once, Code::kUnsupported, "carried value 0 changes its rank from 1 to 2");
  refused("Loop", R"(input %i: i64[] input %go: bool[] input %s: f32[2]
    %t: i64[] = Cast(%s) {to = i64} output %go, %t)",
          carries, once, Code::kInvalidArgument, "carried value 0 is f32 at first and i64 afterwards");
  refused("Loop", R"(input %i: i64[] input %go: bool[] input %s: f32[2]
    %no: bool[] = IsNaN(%s) output %no, %s)",
          carries, once, Code::kInvalidArgument, "the condition has 2 elements");
  refused("Scan", R"(symbol R [0, *] input %s: f32[R] input %x: f32[]
    %t: f32[] = Concat(%s, %s) {axis = 0} output %t)",
          {{"num_scan_inputs", int64_t(1)}, {"states", int64_t(1)}}, {zeros({2}), zeros({3})},
          Code::kInvalidArgument, "state 0");
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
