// Where values lie, what is captured, what is carried across: everything about a CUDA program but
// the arithmetic of its kernels.
#include <gtest/gtest.h>

#include <cmath>

#include "backend/cuda/emit/nvrtc.h"
#include "backend/cuda/testing/compile_testing.h"
#include "base/text.h"
#include "fake_world.h"

namespace planish::cuda_tests {
namespace {

using ir::DataType;
using ir::MemorySpace;
using runtime::ExecutionContext;

constexpr std::string_view kPointwise = R"(graph "" {
  input %x: f32[4, 8] input %y: f32[4, 8]
  %a: f32[] = Add(%x, %y)
  %z: f32[] = Relu(%a)
  output %z })";

// Det has no CUDA kernel; what stands around it has.
constexpr std::string_view kMixed = R"(graph "" {
  input %x: f32[4, 2, 2]
  %a: f32[] = Relu(%x)
  %v: f32[] = Det(%a)
  %z: f32[] = Exp(%v)
  output %z, %v })";

// Nothing but the host computes.
constexpr std::string_view kHost = R"(graph "" {
  input %x: f32[4, 2, 2]
  %v: f32[] = Det(%x)
  output %v })";

std::vector<std::string> kernels_of(const plan::Plan& plan) {
  std::vector<std::string> names;
  for (const plan::Step& step : plan.program.steps)
    names.push_back(cat(step.kernel, ":", step.problem.root_op()));
  return names;
}

TEST(CudaProgram, ValuesLieWhereTheyAreMadeAndAreCarriedAcross) {
  PLANISH_NEEDS_NVRTC();
  auto plan = compile_text(kMixed);
  ASSERT_TRUE(plan.ok()) << plan.status().to_string();
  const std::vector<std::string> names = kernels_of(*plan);
  EXPECT_EQ(names, (std::vector<std::string>{"cuda.pointwise:Expr", "cuda.copy:Transfer",
                                             "ref:Det", "cuda.copy:Transfer",
                                             "cuda.pointwise:Expr"}));
  const auto& values = plan->program.values;
  EXPECT_EQ(values[size_t(plan->program.inputs[0])].type.space, MemorySpace::kDevice);
  EXPECT_EQ(values[size_t(plan->program.outputs[0])].type.space, MemorySpace::kDevice);
  EXPECT_EQ(values[size_t(plan->program.outputs[1])].type.space, MemorySpace::kHost);
  EXPECT_NE(plan->report.find("\"transfers\": 2"), std::string::npos) << plan->report;
}

TEST(CudaProgram, WhatOnlyTheHostReadsStaysThere) {
  auto plan = compile_text(kHost);
  ASSERT_TRUE(plan.ok()) << plan.status().to_string();
  EXPECT_EQ(kernels_of(*plan), std::vector<std::string>{"ref:Det"});
  auto engine = engine_of(std::move(*plan));
  ASSERT_TRUE(engine.ok()) << engine.status().to_string();
  auto context = ExecutionContext::create(*engine);
  ASSERT_TRUE(context.ok());
  std::vector<float> x(16);
  for (size_t i = 0; i < x.size(); ++i) x[i] = float(i);
  ASSERT_TRUE((*context)->set_input(0, x.data(), {4, 2, 2}).ok());
  ASSERT_TRUE((*context)->run().ok());
  auto values = (*context)->output(0);
  ASSERT_TRUE(values.ok());
  EXPECT_EQ(values->f64(0), 0 * 3 - 1 * 2);
  EXPECT_EQ(values->f64(3), 12 * 15 - 13 * 14);
}

// The plan's own bytes: cubins travel in it and are launched without NVRTC.
TEST(CudaProgram, StepsCarryTheirCubins) {
  PLANISH_NEEDS_NVRTC();
  auto plan = compile_text(kPointwise);
  ASSERT_TRUE(plan.ok()) << plan.status().to_string();
  ASSERT_EQ(plan->program.steps.size(), 1u);
  EXPECT_GT(plan->program.steps[0].artifact.size(), 1000u);
}

TEST(CudaContext, CapturesOncePerAddresses) {
  PLANISH_NEEDS_NVRTC();
  auto engine = engine_of(kPointwise);
  ASSERT_TRUE(engine.ok()) << engine.status().to_string();
  auto context = std::move(ExecutionContext::create(*engine)).value();
  std::vector<float> x(32, 1), y(32, 2), z(32, 3);
  ASSERT_TRUE(context->set_input(0, x.data(), {4, 8}).ok());
  ASSERT_TRUE(context->set_input(1, y.data(), {4, 8}).ok());
  ASSERT_TRUE(context->run().ok());
  {
    // Replaying captures nothing more: a driver that refuses to is not asked.
    const Fake fake("cuStreamBeginCapture=1@1");
    EXPECT_TRUE(context->run().ok());
    // Device memory of the caller is a new address, and the capture is missed.
    auto memory = std::move(world().cuda->allocate(128, MemorySpace::kDevice)).value();
    ASSERT_TRUE(context->set_input(0, memory->data(), {4, 8}, MemorySpace::kDevice).ok());
    EXPECT_EQ(context->run().code(), Code::kDeviceError);
    ASSERT_TRUE(context->set_input(0, x.data(), {4, 8}).ok());
    EXPECT_TRUE(context->run().ok());
  }
}

TEST(CudaContext, DeviceMemoryOfTheCallerIsReadAndWrittenInPlace) {
  PLANISH_NEEDS_NVRTC();
  // Passed through by a transfer only: the values can be checked.
  auto engine = engine_of(R"(graph "" {
  input %x: f32[40, 2, 2]
  %a: f32[] = Relu(%x)
  %v: f32[] = Det(%x)
  output %v, %a })");
  ASSERT_TRUE(engine.ok()) << engine.status().to_string();
  auto context = std::move(ExecutionContext::create(*engine)).value();
  auto input = std::move(world().cuda->allocate(640, MemorySpace::kDevice)).value();
  auto output = std::move(world().cuda->allocate(160, MemorySpace::kDevice)).value();
  auto* x = reinterpret_cast<float*>(input->data());  // the fake's device memory is the host's
  for (int i = 0; i < 160; ++i) x[i] = float(i);
  ASSERT_TRUE(context->set_input(0, x, {40, 2, 2}, MemorySpace::kDevice).ok());
  ASSERT_TRUE(context->bind_output(0, output->data(), 160, MemorySpace::kDevice).ok());
  const Status status = context->run();
  ASSERT_TRUE(status.ok()) << status.to_string();
  EXPECT_EQ(reinterpret_cast<float*>(output->data())[0], -2);
  EXPECT_EQ(reinterpret_cast<float*>(output->data())[39], -2);
}

TEST(CudaContext, TellsWhereTheTimeGoes) {
  PLANISH_NEEDS_NVRTC();
  auto engine = engine_of(kPointwise);
  ASSERT_TRUE(engine.ok());
  auto context = std::move(ExecutionContext::create(*engine)).value();
  std::vector<float> x(32, 1);
  for (int i : {0, 1}) ASSERT_TRUE(context->set_input(i, x.data(), {4, 8}).ok());
  runtime::RunTimes times;
  runtime::RunOptions options;
  options.times = &times;
  options.compute_repeats = 10;
  ASSERT_TRUE(context->run(options).ok());
  EXPECT_NEAR(times.h2d_us, 10, 1e-3);  // what the fake's events say
  EXPECT_NEAR(times.compute_us, 1, 1e-3);
  EXPECT_NEAR(times.d2h_us, 10, 1e-3);
  EXPECT_GT(times.enqueue_us, 0);
}

}  // namespace
}  // namespace planish::cuda_tests
