// Where values lie, what is captured, what is carried across: everything about a CUDA program but
// the arithmetic of its kernels.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <mutex>

#include "backend/cuda/device/gpu.h"
#include "backend/cuda/emit/nvrtc.h"
#include "backend/cuda/testing/compile_testing.h"
#include "base/text.h"
#include "fake_world.h"
#include "kernel/launch_info.h"

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

// "0, 0.25, 0.5, 0.75, 0, ...": this many numbers.
std::string numbers(int count) {
  std::string out = "0";
  for (int i = 1; i < count; ++i) out += cat(", ", double(i % 4) / 4);
  return out;
}

// Weights that are packed, and a constant that is read as it is.
std::string weights_text() {
  return cat("graph \"\" {\n  input %x: f32[4, 16]\n  const %w: f32[16, 32] = {", numbers(512),
             "}\n  const %c: f32[4, 32] = {", numbers(128),
             "}\n  %y: f32[] = MatMul(%x, %w)\n  %z: f32[] = Add(%y, %c)\n  output %z }");
}

// A product for tensor cores, and a step that has none.
std::string tensor_core_text() {
  return cat("graph \"\" {\n  input %x: f16[64, 64]\n  const %w: f16[64, 64] = {", numbers(4096),
             "}\n  %y: f16[] = MatMul(%x, %w)\n  %z: f16[] = Softmax(%y) {axis = -1}\n  output %z }");
}

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

// Device memory in and out on the caller's stream: the run returns once it is enqueued.
TEST(CudaContext, OnTheCallersStreamNothingIsCopiedAndNobodyWaits) {
  PLANISH_NEEDS_NVRTC();
  auto engine = engine_of(kPointwise);
  ASSERT_TRUE(engine.ok()) << engine.status().to_string();
  auto stream = std::move(world().cuda->create_stream()).value();
  runtime::ContextOptions context_options;
  context_options.stream = stream->handle();
  auto context = std::move(ExecutionContext::create(*engine, context_options)).value();
  EXPECT_EQ(context->stream(), stream->handle());
  auto memory = std::move(world().cuda->allocate(3 * 128, MemorySpace::kDevice)).value();
  for (int i : {0, 1})
    ASSERT_TRUE(context->set_input(i, memory->data() + 128 * i, {4, 8}, MemorySpace::kDevice).ok());
  ASSERT_TRUE(context->bind_output(0, memory->data() + 256, 128, MemorySpace::kDevice).ok());
  runtime::RunOptions options;
  options.wait = false;
  {
    const Fake fake("cuMemcpyAsync=1@1;cuStreamSynchronize=999@1;cuMemHostAlloc=1@1");
    const Status status = context->run(options);
    EXPECT_TRUE(status.ok()) << status.to_string();
    EXPECT_EQ(context->run().code(), Code::kDeviceError);  // this one waits
  }
  // An output on the host has to be waited for, whatever is asked.
  ASSERT_TRUE(context->bind_output(0, nullptr, 0).ok());
  const Fake fake("cuStreamSynchronize=999@1");
  EXPECT_EQ(context->run(options).code(), Code::kDeviceError);
}

TEST(CudaContext, AnAddressThatLiesElsewhereIsRefused) {
  PLANISH_NEEDS_NVRTC();
  auto engine = engine_of(kPointwise);
  ASSERT_TRUE(engine.ok());
  auto context = std::move(ExecutionContext::create(*engine)).value();
  std::vector<float> host(32, 1);
  auto memory = std::move(world().cuda->allocate(128, MemorySpace::kDevice)).value();
  const Status as_device = context->set_input(0, host.data(), {4, 8}, MemorySpace::kDevice);
  EXPECT_EQ(as_device.code(), Code::kInvalidArgument);
  EXPECT_EQ(as_device.message(), "input 'x': the address lies in the host's memory, expected GPU memory");
  const Status as_host = context->set_input(1, memory->data(), {4, 8});
  EXPECT_EQ(as_host.code(), Code::kInvalidArgument);
  EXPECT_EQ(as_host.message(), "input 'y': the address lies in a GPU's memory, expected the host's");
  EXPECT_EQ(context->bind_output(0, host.data(), 128, MemorySpace::kDevice).code(),
            Code::kInvalidArgument);
  // A GPU's memory for an engine of the CPU.
  EXPECT_EQ(world().cpu->check_address(memory->data(), MemorySpace::kDevice).code(),
            Code::kInvalidArgument);
}

// Weights, constants, arena and staging come from the caller, and go back to him.
TEST(CudaMemory, ComesFromTheCallersAllocator) {
  PLANISH_NEEDS_NVRTC();
  auto plan = compile_text(weights_text());
  ASSERT_TRUE(plan.ok()) << plan.status().to_string();
  std::map<void*, int64_t> lent;
  int64_t most = 0, bytes_lent = 0;
  std::mutex mutex;
  backend::MemorySource source;
  source.allocate = [&](int64_t bytes) {
    void* data = std::move(cuda::gpu(0).value()->pool(MemorySpace::kDevice).allocate(bytes)).value();
    std::lock_guard lock(mutex);
    lent[data] = bytes;
    most = std::max(most, bytes_lent += bytes);
    return data;
  };
  source.release = [&](void* data, int64_t bytes) {
    std::lock_guard lock(mutex);
    EXPECT_EQ(lent.at(data), bytes);
    lent.erase(data);
    bytes_lent -= bytes;
    cuda::gpu(0).value()->pool(MemorySpace::kDevice).release(data, bytes);
  };
  {
    auto device = std::move(world().cuda->with_memory(source)).value();
    auto engine = engine_on(device, *plan);
    ASSERT_TRUE(engine.ok()) << engine.status().to_string();
    auto context = std::move(ExecutionContext::create(*engine)).value();
    std::vector<float> x(64, 1);
    ASSERT_TRUE(context->set_input(0, x.data(), {4, 16}).ok());
    const Status status = context->run();
    ASSERT_TRUE(status.ok()) << status.to_string();
    // Packed weights, the constant, the arena, staging on both sides.
    EXPECT_GE(lent.size(), 4u);
    EXPECT_GT(most, 16 * 32 * 4 + 2 * 4 * 16 * 4);
  }
  EXPECT_TRUE(lent.empty());
}

TEST(CudaMemory, ACapRefusesWithFigures) {
  PLANISH_NEEDS_NVRTC();
  auto plan = compile_text(weights_text());
  ASSERT_TRUE(plan.ok());
  backend::MemorySource source;
  source.max_bytes = 16 * 32 * 4 + 1024;
  auto device = std::move(world().cuda->with_memory(source)).value();
  auto engine = engine_on(device, *plan);
  ASSERT_TRUE(engine.ok()) << engine.status().to_string();
  auto context = std::move(ExecutionContext::create(*engine)).value();
  std::vector<float> x(64, 1);
  ASSERT_TRUE(context->set_input(0, x.data(), {4, 16}).ok());
  const Status status = context->run();
  EXPECT_EQ(status.code(), Code::kResourceExhausted) << status.to_string();
  EXPECT_NE(status.message().find("are in use, the engine's cap is 3072"), std::string::npos)
      << status.message();
}

TEST(CudaDevice, TellsClocksAndPower) {
  const Setting nvml("PLANISH_NVML", PLANISH_FAKE_CUDA);
  const auto state = world().cuda->state();
  ASSERT_TRUE(state.ok()) << state.status().to_string();
  EXPECT_EQ(state->clock_mhz, 1755);
  EXPECT_EQ(state->memory_clock_mhz, 3201);
  EXPECT_EQ(state->power_watts, 350);
  EXPECT_EQ(state->temperature_c, 41);
  EXPECT_EQ(world().cpu->state().status().code(), Code::kUnsupported);
}

TEST(CudaContext, TellsWhatAStepRanOn) {
  PLANISH_NEEDS_NVRTC();
  auto engine = engine_of(tensor_core_text());
  ASSERT_TRUE(engine.ok()) << engine.status().to_string();
  const std::vector<std::vector<int64_t>> dims = {{64, 64}};
  const auto instance = (*engine)->instance(dims);
  ASSERT_TRUE(instance.ok()) << instance.status().to_string();
  const auto& steps = (*instance)->first_phase().steps;
  const auto info_of = [&](size_t s) {
    return dynamic_cast<const kernel::DescribedLaunchable&>(*steps.at(s).launchable).launch_info();
  };
  const auto product = info_of(0);
  ASSERT_EQ(product.kernels.size(), 1u);
  EXPECT_EQ(product.kernels[0].rfind("gemm_f16_", 0), 0u) << product.kernels[0];
  EXPECT_TRUE(product.tensor_cores);
  EXPECT_NEAR(product.peak_flops, 132 * 4096 * 1.98e9, 1e9);  // the fake is an H200
  const auto softmax = info_of(1);
  EXPECT_FALSE(softmax.tensor_cores);
  EXPECT_NEAR(softmax.peak_flops, 132 * 256 * 1.98e9, 1e9);
  EXPECT_FALSE(softmax.any_size);
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
  EXPECT_NEAR(times.h2d_us, 20, 1e-3);  // the fake takes 10 us for a copy, as for a kernel
  EXPECT_NEAR(times.compute_us, 10, 1e-3);
  EXPECT_NEAR(times.d2h_us, 10, 1e-3);
  EXPECT_GT(times.enqueue_us, 0);
}

}  // namespace
}  // namespace planish::cuda_tests
