// Decisions name what a build chose, on a GPU regions that hand out more than one value among it.
#include <gtest/gtest.h>

#include "base/text.h"
#include "compiler/compile.h"
#include "fake_world.h"
#include "opdef/infer.h"

namespace planish::cuda_tests {
namespace {

std::string numbers(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += cat(i ? ", " : "", (i * 7 % 11 - 5) * 0.125);
  return text;
}

// A 1x1 convolution that widens, with its residual, and one that narrows; both results leave.
std::string pair_text() {
  return cat("graph \"\" {\n  input %x: f16[32, 16, 56, 56]\n  input %r: f16[32, 128, 56, 56]\n",
             "  const %a: f16[128, 16, 1, 1] = {", numbers(128 * 16), "}\n  const %b: f16[32, 128, 1, 1] = {",
             numbers(32 * 128), "}\n", R"(  %1: f16[] = Conv(%x, %a)
  %2: f16[] = Add(%1, %r)
  %wide: f16[] = Relu(%2)
  %4: f16[] = Conv(%wide, %b)
  %y: f16[] = Relu(%4)
  output %wide, %y })");
}

Result<plan::Plan> compiled(const std::string& decisions) {
  PLANISH_ASSIGN_OR_RETURN(auto graph, ir::parse(pair_text()));
  for (const auto& node : graph->nodes()) opdef::fill_defaults(*world().ops.find(node->op), node->attrs);
  PLANISH_RETURN_IF_ERROR(opdef::infer_graph(world().ops, *graph));
  compiler::CompileOptions options;
  options.deterministic = true;
  options.decisions = decisions;
  return compiler::compile(std::move(graph), options,
                           {world().ops, world().kernels, *world().cuda, nullptr, world().cpu.get()});
}

std::string kernels_of(const plan::Plan& plan) {
  std::vector<std::string> names;
  for (const plan::Step& step : plan.program.steps) names.push_back(cat(step.kernel, " ", step.tactic.to_string()));
  return join(names, "; ");
}

// The region and the first of its parts have one name.
TEST(CudaDecisions, RepeatAPair) {
  const Setting stub("FAKE_NVRTC", "stub");
  auto plan = compiled("");
  ASSERT_TRUE(plan.ok()) << plan.status().to_string();
  ASSERT_NE(kernels_of(*plan).find("cuda.pair_wgmma"), std::string::npos) << kernels_of(*plan);
  auto again = compiled(plan->decisions);
  ASSERT_TRUE(again.ok()) << again.status().to_string();
  EXPECT_EQ(kernels_of(*again), kernels_of(*plan));
}

}  // namespace
}  // namespace planish::cuda_tests
