// A time budget on a GPU: what is compiled when time is short. The clock is the test's; kernels compile
// at once to ones that do nothing, and the fake driver gives them times.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/text.h"
#include "compiler/compile.h"
#include "fake_world.h"
#include "opdef/infer.h"

namespace planish::cuda_tests {
namespace {

// Products of several sizes, kept apart by softmax, the same one twice among them.
constexpr std::string_view kNetwork = R"(graph "" {
  input %x: f16[64, 128]
  const %a: f16[128, 256] = random const %b: f16[256, 64] = random
  const %c: f16[64, 128] = random
  %1: f16[] = MatMul(%x, %a)
  %2: f16[] = Softmax(%1) {axis = 0}
  %3: f16[] = MatMul(%2, %b)
  %4: f16[] = Softmax(%3) {axis = 0}
  %5: f16[] = MatMul(%4, %c)
  %6: f16[] = Softmax(%5) {axis = 0}
  %7: f16[] = MatMul(%6, %a)
  output %7 })";

// Convolutions in a row, which like their channels last, all but the ends.
constexpr std::string_view kConvolutions = R"(graph "" {
  input %x: f16[1, 64, 14, 14]
  const %a: f16[64, 64, 1, 1] = random const %b: f16[64, 64, 3, 3] = random
  %1: f16[] = Conv(%x, %a)
  %2: f16[] = Relu(%1)
  %3: f16[] = Conv(%2, %b) {pads = [1, 1, 1, 1]}
  %4: f16[] = Relu(%3)
  %5: f16[] = Conv(%4, %a)
  %6: f16[] = Relu(%5)
  %7: f16[] = Conv(%6, %b) {pads = [1, 1, 1, 1]}
  output %7 })";

std::string filled(std::string_view network, std::vector<int> counts) {
  std::string text(network);
  for (const int count : counts) {
    std::string values = "{";
    for (int i = 0; i < count; ++i) values += cat(i ? ", " : "", (i * 7 % 11 - 5) * 0.125);
    text.replace(text.find("random"), 6, values + "}");
  }
  return text;
}

std::string products() { return filled(kNetwork, {128 * 256, 256 * 64, 64 * 128}); }
std::string convolutions() { return filled(kConvolutions, {64 * 64, 64 * 64 * 9}); }

Result<plan::Plan> compiled(const std::string& text, std::optional<double> budget_s,
                            std::function<double()> clock) {
  PLANISH_ASSIGN_OR_RETURN(auto graph, ir::parse(text));
  for (const auto& node : graph->nodes())
    opdef::fill_defaults(*world().ops.find(node->op), node->attrs);
  PLANISH_RETURN_IF_ERROR(opdef::infer_graph(world().ops, *graph));
  compiler::CompileOptions options;
  options.time_budget_s = budget_s;
  options.now_us = std::move(clock);
  const compiler::Environment environment{world().ops, world().kernels, *world().cuda, nullptr,
                                          world().cpu.get()};
  return compiler::compile(std::move(graph), options, environment);
}

struct Counts {
  int measured = 0, predicted = 0, steps_without = 0;
};
Counts count(const plan::Plan& plan) {
  Counts counts;
  for (const plan::Step& step : plan.program.steps) {
    int measured = 0, others = 0;
    for (const plan::Considered& one : step.considered) {
      if (!one.refused.empty()) continue;
      ++(one.measured_us >= 0 ? measured : others);
    }
    counts.measured += measured;
    counts.predicted += others;
    counts.steps_without += measured == 0 && others > 0;
  }
  return counts;
}

TEST(CudaTimeBudget, WithoutOneEverythingIsMeasured) {
  const Setting stub("FAKE_NVRTC", "stub");
  double now = 0;
  auto plan = compiled(products(), std::nullopt, [&] { return now += 1; });
  ASSERT_TRUE(plan.ok()) << plan.status().to_string();
  const Counts counts = count(*plan);
  EXPECT_GT(counts.measured, int(plan->program.steps.size()));
  EXPECT_EQ(counts.predicted, 0);
}

TEST(CudaTimeBudget, EveryProblemsBestGuessIsCompiledAndMeasuredFirst) {
  const Setting stub("FAKE_NVRTC", "stub");
  // A tenth of a second goes by whenever somebody looks at the clock, until it stands still: too late
  // to begin compiling, in time to measure.
  double now = 0;
  auto plan = compiled(products(), 3, [&] { return now = std::min(now + 1e5, 2e6); });
  ASSERT_TRUE(plan.ok()) << plan.status().to_string();
  const Counts counts = count(*plan);
  EXPECT_EQ(counts.steps_without, 0) << "a problem was left without a measured candidate";
  EXPECT_GT(counts.predicted, 0) << "nothing was left out";
}

// What was measured wins over what was not: few measured ones must not bring changes of layout along.
TEST(CudaTimeBudget, LayoutsThatFitTogetherAreMeasuredFirst) {
  const Setting stub("FAKE_NVRTC", "stub");
  double now = 0;
  auto predicted = compiled(convolutions(), 0, [&] { return now += 1; });
  ASSERT_TRUE(predicted.ok()) << predicted.status().to_string();
  now = 0;
  auto hurried = compiled(convolutions(), 3, [&] { return now = std::min(now + 2e5, 2e6); });
  ASSERT_TRUE(hurried.ok()) << hurried.status().to_string();
  EXPECT_GT(count(*hurried).measured, 0);
  EXPECT_EQ(hurried->program.steps.size(), predicted->program.steps.size());
}

TEST(CudaTimeBudget, NoTimeAtAllLeavesPredictions) {
  const Setting stub("FAKE_NVRTC", "stub");
  double now = 0;
  auto plan = compiled(products(), 0, [&] { return now += 1; });
  ASSERT_TRUE(plan.ok()) << plan.status().to_string();
  EXPECT_EQ(count(*plan).measured, 0);
}

}  // namespace
}  // namespace planish::cuda_tests
