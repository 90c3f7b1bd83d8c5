// Branches beside each other on a driver without a GPU, whose kernels do nothing: memory, capturing, and
// how launches are chosen. What they compute: emulated_launches_test.cc.
#include <gtest/gtest.h>

#include "backend/cuda/emit/nvrtc.h"
#include "backend/cuda/testing/compile_testing.h"
#include "check/choose_launches.h"
#include "compiler/compile.h"
#include "compiler/launches.h"
#include "fake_world.h"
#include "opdef/infer.h"
#include "plan/step_order.h"

namespace planish::cuda_tests {
namespace {

// Branches of one, two and three steps, joined; reductions between keep the steps apart.
constexpr std::string_view kBranches = R"(graph "" {
  input %x: f32[64, 64]
  %h: f32[] = Softmax(%x) {axis = -1}
  %a: f32[] = Softmax(%h) {axis = 0}
  %b: f32[] = Softmax(%h) {axis = -1}
  %c: f32[] = Softmax(%b) {axis = 0}
  %d: f32[] = LogSoftmax(%h) {axis = 0}
  %e: f32[] = Softmax(%d) {axis = -1}
  %f: f32[] = Softmax(%e) {axis = 0}
  %g: f32[] = Sum(%a, %c, %f)
  %y: f32[] = Softmax(%g) {axis = -1}
  output %y })";
const std::vector<std::vector<int64_t>> kDims = {{64, 64}};

plan::Plan compiled(const std::string& decisions = "") {
  auto graph = std::move(ir::parse(kBranches)).value();
  EXPECT_TRUE(opdef::infer_graph(world().ops, *graph).ok());
  compiler::CompileOptions options;
  options.deterministic = true;
  options.decisions = decisions;
  const compiler::Environment environment{world().ops, world().kernels, *world().cuda, nullptr,
                                          world().cpu.get()};
  auto plan = compiler::compile(std::move(graph), options, environment);
  EXPECT_TRUE(plan.ok()) << plan.status().to_string();
  return plan.ok() ? std::move(*plan) : plan::Plan();
}

plan::Plan with_branches() {
  plan::Plan plan = compiled();
  const compiler::Branches branches = compiler::find_branches(plan.program);
  EXPECT_GE(branches.count, 1);
  const auto launches = compiler::launches_on(plan.program, branches.streams);
  for (size_t s = 0; s < launches.size(); ++s) plan.program.steps[s].launch = launches[s];
  return plan;
}

int beside(const plan::Plan& plan) {
  int count = 0;
  for (const plan::Step& step : plan.program.steps) count += step.launch.stream != 0;
  return count;
}

// Buffers of steps that may run at once lie apart.
TEST(CudaLaunches, TheArenaHoldsBranchesAtOnce) {
  PLANISH_NEEDS_NVRTC();
  plan::Plan plan = with_branches();
  const plan::StepOrder order(plan.program);
  auto engine = engine_of(std::move(plan));
  ASSERT_TRUE(engine.ok()) << engine.status().to_string();
  auto instance = (*engine)->instance(kDims);
  ASSERT_TRUE(instance.ok()) << instance.status().to_string();
  auto plain = engine_of(compiled());
  ASSERT_TRUE(plain.ok());
  EXPECT_GT((*instance)->first_phase().arena_bytes,
            (*(*plain)->instance(kDims))->first_phase().arena_bytes);
  const auto& memory = (*instance)->first_phase().memory;
  int checked = 0;
  for (const auto& a : memory)
    for (const auto& b : memory) {
      if (a.first_step >= b.first_step || order.ends_before(a.first_step, b.first_step)) continue;
      ++checked;
      EXPECT_TRUE(a.offset + a.bytes <= b.offset || b.offset + b.bytes <= a.offset)
          << a.name << " and " << b.name;
    }
  EXPECT_GT(checked, 0);
}

// The driver of the tests counts a step's time once for all that run beside it.
TEST(CudaLaunches, ArePickedByTimingWholeRunsAndRepeatedByDecisions) {
  PLANISH_NEEDS_NVRTC();
  plan::Plan plan = compiled();
  check::RaceOptions options;
  options.host = world().cpu;
  options.input_dims = kDims;
  options.seconds = 60;
  const Status status = check::choose_launches(plan, world().cuda, world().kernels, options);
  ASSERT_TRUE(status.ok()) << status.to_string();
  EXPECT_GE(beside(plan), 2) << plan.report;
  EXPECT_TRUE(plan::verify(plan.program).ok());
  EXPECT_NE(plan.report.find("plain_us"), std::string::npos) << plan.report;
  const plan::Plan again = compiled(plan.decisions);
  ASSERT_EQ(again.program.steps.size(), plan.program.steps.size());
  for (size_t s = 0; s < plan.program.steps.size(); ++s)
    EXPECT_EQ(again.program.steps[s].launch, plan.program.steps[s].launch) << s;
  // No time: in a row.
  plan::Plan hurried = compiled();
  options.out_of_time = [] { return true; };
  ASSERT_TRUE(check::choose_launches(hurried, world().cuda, world().kernels, options).ok());
  for (const plan::Step& step : hurried.program.steps) EXPECT_EQ(step.launch, plan::Launch{});
}

// What cannot be timed stays as it was.
TEST(CudaLaunches, NoMemoryForTimingLeavesStepsInARow) {
  PLANISH_NEEDS_NVRTC();
  plan::Plan plan = compiled();
  check::RaceOptions options;
  options.host = world().cpu;
  options.input_dims = kDims;
  const Fake fake("cuStreamBeginCapture=2@1");
  ASSERT_TRUE(check::choose_launches(plan, world().cuda, world().kernels, options).ok());
  EXPECT_EQ(beside(plan), 0);
}

TEST(CudaLaunches, AnErrorWhileCapturingEndsTheRunAndTheNextOneGoesOn) {
  PLANISH_NEEDS_NVRTC();
  auto engine = engine_of(with_branches());
  ASSERT_TRUE(engine.ok());
  auto context = std::move(runtime::ExecutionContext::create(*engine)).value();
  const std::vector<float> x(64 * 64, 1);
  ASSERT_TRUE(context->set_input(0, x.data(), {64, 64}).ok());
  for (const char* function : {"cuStreamWaitEvent", "cuLaunchKernelEx"}) {
    const Fake fake(std::string(function) + "=1@1");
    EXPECT_EQ(context->run().code(), Code::kDeviceError) << function;
  }
  const Status status = context->run();
  EXPECT_TRUE(status.ok()) << status.to_string();
}

}  // namespace
}  // namespace planish::cuda_tests
