// The public API on the emulated GPU, as a host framework uses it: its stream, its device memory, its
// allocator and its share; and the command line's profile.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>

#include "planish/c/build.h"
#include "planish/c/runtime.h"
#include "planish/planish.h"

namespace planish {
namespace {

using testing::HasSubstr;

// Before main(): the driver and the compiler are loaded once, whoever asks first.
[[maybe_unused]] const bool kGpuIsSet = [] {
  setenv("PLANISH_CUDA_DRIVER", PLANISH_FAKE_CUDA, 1);
  setenv("PLANISH_NVRTC", PLANISH_FAKE_NVRTC, 1);
  setenv("PLANISH_NVML", PLANISH_FAKE_CUDA, 1);
  setenv("PLANISH_CUDA_CACHE", "none", 1);
  return true;
}();

// y = relu(x w), f32[N, 4].
const Plan& plan() {
  static const Plan& the_plan = *new Plan([] {
    Network network = Network::create("layer");
    const Value x = *network.add_input("x", DataType::kF32, {"N", 4});
    Tensor weights = *Tensor::create(DataType::kF32, {4, 4});
    for (int i = 0; i < 16; ++i) static_cast<float*>(weights.mutable_data())[i] = i % 5 == 0;
    const Value w = *network.add_constant("w", weights);
    const Value h = *network.add_op("MatMul", {x, w}, {}, "h");
    EXPECT_TRUE(network.mark_output(*network.add_op("Relu", {h}, {}, "y")).ok());
    BuildOptions options;
    options.device = "cuda";
    options.deterministic = true;
    options.timing_cache = "";
    auto made = build(network, options);
    EXPECT_TRUE(made.ok()) << made.status().to_string();
    return *made;
  }());
  return the_plan;
}

constexpr float kIn[] = {-1, 2, -3, 4, 5, -6, 7, -8};
constexpr float kOut[] = {0, 2, 0, 4, 5, 0, 7, 0};

// GPU memory, which the fake driver takes from the host's.
std::shared_ptr<void> device_copy(const Engine& engine, const float (&values)[8]) {
  auto memory = engine.allocate(sizeof(values), MemorySpace::kDevice);
  EXPECT_TRUE(memory.ok()) << memory.status().to_string();
  std::copy(values, values + 8, static_cast<float*>(memory->get()));
  return *memory;
}

TEST(CudaApi, RunsOnMemoryAndStreamOfTheCaller) {
  auto engine = plan().engine();
  ASSERT_TRUE(engine.ok()) << engine.status().to_string();
  EXPECT_EQ(engine->device().index, 0);
  auto first = Context::create(*engine);
  ASSERT_TRUE(first.ok());
  ContextOptions options;
  options.stream = first->stream();
  auto context = Context::create(*engine, options);
  ASSERT_TRUE(context.ok());
  EXPECT_EQ(context->stream(), first->stream());
  const auto x = device_copy(*engine, kIn), y = device_copy(*engine, kIn);
  ASSERT_TRUE(context->set_input(0, x.get(), {2, 4}, MemorySpace::kDevice).ok());
  ASSERT_TRUE(context->bind_output(0, y.get(), sizeof(kOut), MemorySpace::kDevice).ok());
  RunOptions enqueue;
  enqueue.wait = false;
  const Status status = context->run(enqueue);
  ASSERT_TRUE(status.ok()) << status.to_string();
  EXPECT_TRUE(std::equal(kOut, kOut + 8, static_cast<float*>(y.get())));
  // Memory of the device for an unbound output.
  std::shared_ptr<void> given;
  ASSERT_TRUE(context->bind_output(0, nullptr, 0).ok());
  ASSERT_TRUE(context->set_output_allocator([&](int, int64_t bytes) {
    given = *engine->allocate(bytes, MemorySpace::kDevice);
    return given.get();
  }, MemorySpace::kDevice).ok());
  ASSERT_TRUE(context->run().ok());
  EXPECT_TRUE(std::equal(kOut, kOut + 8, static_cast<float*>(given.get())));
  const auto costs = context->step_costs();
  ASSERT_EQ(costs.size(), 1u);
  EXPECT_EQ(costs[0].device_kernels.size(), 1u);
  EXPECT_TRUE(costs[0].any_size);  // two rows, where one was tuned for
  EXPECT_GT(costs[0].peak_flops, 0);
}

TEST(CudaApi, WhatLiesElsewhereIsRefused) {
  auto engine = plan().engine();
  ASSERT_TRUE(engine.ok());
  auto context = Context::create(*engine);
  EXPECT_THAT(context->set_input(0, kIn, {2, 4}, MemorySpace::kDevice).message(),
              HasSubstr("input 'x': the address lies in the host's memory"));
  const auto x = device_copy(*engine, kIn);
  EXPECT_THAT(context->set_input(0, x.get(), {2, 4}).message(),
              HasSubstr("input 'x': the address lies in a GPU's memory"));
}

struct Lender {
  std::mutex mutex;
  std::map<void*, size_t> lent;
  size_t limit = 1 << 20, in_use = 0;
};

void* lend(void* user, size_t bytes, size_t alignment) {
  auto& lender = *static_cast<Lender*>(user);
  std::lock_guard lock(lender.mutex);
  if (lender.in_use + bytes > lender.limit) return nullptr;
  void* data = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  lender.lent[data] = bytes;
  lender.in_use += bytes;
  return data;
}

void take_back(void* user, void* data, size_t bytes) {
  auto& lender = *static_cast<Lender*>(user);
  std::lock_guard lock(lender.mutex);
  EXPECT_EQ(lender.lent.at(data), bytes);
  lender.lent.erase(data);
  lender.in_use -= bytes;
  std::free(data);
}

planish_code load(const planish_engine_options& options, planish_engine** engine) {
  return planish_engine_load_memory(plan().data(), plan().bytes(), &options, engine);
}

TEST(CudaCApi, TakesTheCallersMemoryStreamAndAllocator) {
  Lender lender;
  planish_allocator allocator{};
  allocator.struct_size = sizeof(allocator);
  allocator.user = &lender;
  allocator.allocate = lend;
  allocator.deallocate = take_back;
  planish_engine_options options{};
  options.struct_size = sizeof(options);
  options.device_allocator = &allocator;
  planish_engine* engine = nullptr;
  ASSERT_EQ(load(options, &engine), PLANISH_OK) << planish_error_message();
  planish_context *first = nullptr, *context = nullptr;
  ASSERT_EQ(planish_context_create(engine, nullptr, &first), PLANISH_OK);
  planish_context_options context_options{};
  context_options.struct_size = sizeof(context_options);
  context_options.stream = planish_context_stream(first);
  ASSERT_NE(context_options.stream, nullptr);
  ASSERT_EQ(planish_context_create(engine, &context_options, &context), PLANISH_OK);
  EXPECT_EQ(planish_context_stream(context), context_options.stream);
  const int64_t dims[] = {2, 4};
  ASSERT_EQ(planish_context_set_input(context, 0, kIn, dims, 2), PLANISH_OK);
  ASSERT_EQ(planish_context_run(context, nullptr), PLANISH_OK) << planish_error_message();
  const void* data = nullptr;
  ASSERT_EQ(planish_context_output(context, 0, &data, nullptr, nullptr, nullptr), PLANISH_OK);
  EXPECT_TRUE(std::equal(kOut, kOut + 8, static_cast<const float*>(data)));
  EXPECT_GE(lender.lent.size(), 3u);  // weights, arena, staging
  // An address that the driver did not make.
  EXPECT_EQ(planish_context_set_device_input(context, 0, kIn, dims, 2), PLANISH_INVALID_ARGUMENT);
  EXPECT_THAT(planish_error_message(), HasSubstr("expected GPU memory"));
  EXPECT_EQ(planish_context_bind_device_output(context, 0, const_cast<float*>(kOut), 32),
            PLANISH_INVALID_ARGUMENT);
  // The real thing, without a wait.
  const auto memory = plan().engine()->allocate(64, MemorySpace::kDevice).value();
  auto* values = static_cast<float*>(memory.get());
  std::copy(kIn, kIn + 8, values);
  ASSERT_EQ(planish_context_set_device_input(context, 0, values, dims, 2), PLANISH_OK);
  ASSERT_EQ(planish_context_bind_device_output(context, 0, values + 8, 32), PLANISH_OK);
  planish_run_options run{};
  run.struct_size = sizeof(run);
  run.enqueue_only = 1;
  ASSERT_EQ(planish_context_run(context, &run), PLANISH_OK) << planish_error_message();
  EXPECT_TRUE(std::equal(kOut, kOut + 8, values + 8));
  planish_context_free(context);
  planish_context_free(first);
  planish_engine_free(engine);
  EXPECT_TRUE(lender.lent.empty());
}

TEST(CudaCApi, AnAllocatorWithoutRoomAndACapEndInFigures) {
  Lender lender;
  lender.limit = 16;
  planish_allocator allocator{};
  allocator.struct_size = sizeof(allocator);
  allocator.user = &lender;
  allocator.allocate = lend;
  allocator.deallocate = take_back;
  const int64_t dims[] = {2, 4};
  const auto run = [&](const planish_engine_options& options) {
    planish_engine* engine = nullptr;
    planish_context* context = nullptr;
    planish_code code = load(options, &engine);
    if (code == PLANISH_OK) code = planish_context_create(engine, nullptr, &context);
    if (code == PLANISH_OK) code = planish_context_set_input(context, 0, kIn, dims, 2);
    if (code == PLANISH_OK) code = planish_context_run(context, nullptr);
    planish_context_free(context);
    planish_engine_free(engine);
    return code;
  };
  planish_engine_options options{};
  options.struct_size = sizeof(options);
  options.device_allocator = &allocator;
  EXPECT_EQ(run(options), PLANISH_RESOURCE_EXHAUSTED);
  EXPECT_THAT(planish_error_message(), HasSubstr("the host's allocator has no device memory for"));
  options.device_allocator = nullptr;
  options.max_device_memory_bytes = 100;
  EXPECT_EQ(run(options), PLANISH_RESOURCE_EXHAUSTED);
  EXPECT_THAT(planish_error_message(), HasSubstr("the engine's cap is 100"));
  options.max_device_memory_bytes = 1 << 20;
  EXPECT_EQ(run(options), PLANISH_OK) << planish_error_message();
  options.max_device_memory_bytes = -1;
  EXPECT_EQ(run(options), PLANISH_INVALID_ARGUMENT);
}

TEST(CudaCommandLine, BenchProfilesStepsKernelsAndClocks) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::path(testing::TempDir()) / "planish_cuda_bench";
  fs::create_directories(folder);
  const std::string file = (folder / "layer.plan").string(), json = (folder / "out.json").string();
  ASSERT_TRUE(plan().save(file).ok());
  const std::string command = std::string(PLANISH_PROGRAM) + " bench " + file +
                              " --profile --iterations 2 --warm-up 0 --json " + json + " > " +
                              (folder / "out.txt").string();
  ASSERT_EQ(std::system(command.c_str()), 0);
  std::ifstream in(json);
  const auto out = nlohmann::json::parse(in);
  EXPECT_EQ(out["device_state"]["before"]["clock_mhz"], 1755);
  EXPECT_EQ(out["device_state"]["after"]["power_watts"], 350);
  for (const char* name : {"h2d", "compute", "d2h", "enqueue"})
    EXPECT_TRUE(out["device_us"].contains(name)) << name;
  ASSERT_EQ(out["layers"].size(), 1u);
  const auto& layer = out["layers"][0];
  EXPECT_EQ(layer["device_kernels"].size(), 1u);
  EXPECT_EQ(layer["tensor_cores"], false);
  EXPECT_EQ(layer["any_size"], false);
  EXPECT_EQ(layer["bound_by"], "memory");
  EXPECT_GT(layer["fraction_of_ceiling"], 0);
  std::ifstream text_in(folder / "out.txt");
  const std::string text((std::istreambuf_iterator<char>(text_in)), {});
  EXPECT_THAT(text, HasSubstr("before 1755 MHz, memory 3201 MHz, 350 W, 41 C"));
  EXPECT_THAT(text, HasSubstr("TFLOP/s"));
  EXPECT_THAT(text, HasSubstr("plain"));
  // A cap on the GPU's memory.
  const std::string capped = std::string(PLANISH_PROGRAM) + " bench " + file +
                             " --iterations 1 --max-memory 64 2> " + (folder / "err.txt").string();
  EXPECT_NE(std::system(capped.c_str()), 0);
  std::ifstream error_in(folder / "err.txt");
  const std::string error((std::istreambuf_iterator<char>(error_in)), {});
  EXPECT_THAT(error, HasSubstr("the engine's cap is 64"));
  fs::remove_all(folder);
}

}  // namespace
}  // namespace planish
