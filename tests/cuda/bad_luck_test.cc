// What goes wrong on real machines, planted by the fake driver: each ends in a typed error that says
// what is missing, or in a named fallback.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "backend/cuda/cuda_backend.h"
#include "backend/cuda/device/gpu.h"
#include "backend/cuda/emit/artifact.h"
#include "backend/cuda/emit/nvrtc.h"
#include "backend/cuda/emit/prelude.h"
#include "backend/cuda/testing/compile_testing.h"
#include "base/text.h"
#include "fake_world.h"
#include "plan/plan_file.h"

namespace planish::cuda_tests {
namespace {

using testing::HasSubstr;

constexpr std::string_view kPointwise = R"(graph "" {
  input %x: f32[4, 8]
  %z: f32[] = Relu(%x)
  output %z })";

TEST(BadLuck, NoDriver) {
  const auto loaded = cuda::load_driver("libcuda_that_is_not_there.so.1");
  EXPECT_EQ(loaded.status().code(), Code::kNotFound);
  EXPECT_THAT(loaded.status().message(), HasSubstr("no CUDA driver"));
}

TEST(BadLuck, DriverTooOld) {
  const Fake fake("version=12020");
  const auto loaded = cuda::load_driver(PLANISH_FAKE_CUDA);
  EXPECT_EQ(loaded.status().code(), Code::kIncompatible);
  EXPECT_THAT(loaded.status().message(), HasSubstr("12.2"));
  EXPECT_THAT(loaded.status().message(), HasSubstr("at least 12.4"));
}

TEST(BadLuck, DriverWithoutAFunction) {
  const Fake fake("cuGraphLaunch=missing");
  const auto loaded = cuda::load_driver(PLANISH_FAKE_CUDA);
  EXPECT_EQ(loaded.status().code(), Code::kIncompatible);
  EXPECT_THAT(loaded.status().message(), HasSubstr("cuGraphLaunch"));
}

TEST(BadLuck, DriverWithoutADevice) {
  const Fake fake("devices=0");
  const auto loaded = cuda::load_driver(PLANISH_FAKE_CUDA);
  EXPECT_EQ(loaded.status().code(), Code::kNotFound);
}

TEST(BadLuck, DriverThatDoesNotStart) {
  const Fake fake("cuInit=999@1");
  const auto loaded = cuda::load_driver(PLANISH_FAKE_CUDA);
  EXPECT_EQ(loaded.status().code(), Code::kDeviceError);
  EXPECT_THAT(loaded.status().message(), HasSubstr("999"));
}

TEST(BadLuck, DeviceNumberThatIsNotThere) {
  const auto opened = cuda::Gpu::open(7);
  EXPECT_EQ(opened.status().code(), Code::kNotFound);
  EXPECT_THAT(opened.status().message(), HasSubstr("7"));
}

TEST(BadLuck, GpuOfAnArchitectureThatIsTooOld) {
  const Fake fake("capability=61");
  const auto opened = cuda::Gpu::open(0);
  EXPECT_EQ(opened.status().code(), Code::kUnsupported);
  EXPECT_THAT(opened.status().message(), HasSubstr("6.1"));
}

TEST(BadLuck, ArchitectureThatNvrtcDoesNotKnow) {
  PLANISH_NEEDS_NVRTC();
  const auto compiled = cuda::compile_source("extern \"C\" __global__ void k(int* p) { *p = 7; }", "sm_20");
  EXPECT_EQ(compiled.status().code(), Code::kUnsupported) << compiled.status().to_string();
  EXPECT_THAT(compiled.status().message(), HasSubstr("does not compile for sm_20, expected one of sm_"));
}

TEST(BadLuck, NoMemoryAtBuildOfAnEngine) {
  PLANISH_NEEDS_NVRTC();
  auto plan = compile_text(R"(graph "" {
  input %x: f32[4]
  const %c: f32[4] = {1, 2, 3, 4}
  %z: f32[] = Add(%x, %c)
  output %z })");
  ASSERT_TRUE(plan.ok()) << plan.status().to_string();
  cuda::gpu(0).value()->pool(ir::MemorySpace::kDevice).trim();
  const Fake fake("cuMemAlloc=2@1");
  const auto engine = engine_of(std::move(*plan));
  EXPECT_EQ(engine.status().code(), Code::kResourceExhausted) << engine.status().to_string();
  EXPECT_THAT(engine.status().message(), HasSubstr("for 16 bytes"));
}

TEST(BadLuck, NoMemoryAtRunAndTheContextRunsAgain) {
  PLANISH_NEEDS_NVRTC();
  auto engine = engine_of(kPointwise);
  ASSERT_TRUE(engine.ok()) << engine.status().to_string();
  auto context = std::move(runtime::ExecutionContext::create(*engine)).value();
  std::vector<float> x(32, 1);
  ASSERT_TRUE(context->set_input(0, x.data(), {4, 8}).ok());
  (void)world();
  cuda::gpu(0).value()->pool(ir::MemorySpace::kDevice).trim();
  {
    const Fake fake("cuMemAlloc=2@1");
    const Status status = context->run();
    EXPECT_EQ(status.code(), Code::kResourceExhausted) << status.to_string();
    EXPECT_THAT(status.message(), HasSubstr("no device memory"));
  }
  EXPECT_TRUE(context->run().ok());
}

TEST(BadLuck, CubinThatDoesNotLoad) {
  PLANISH_NEEDS_NVRTC();
  auto engine = engine_of(R"(graph "" {
  input %x: f32[4, 9]
  %z: f32[] = Relu(%x)
  output %z })");
  ASSERT_TRUE(engine.ok());
  auto context = std::move(runtime::ExecutionContext::create(*engine)).value();
  std::vector<float> x(36, 1);
  ASSERT_TRUE(context->set_input(0, x.data(), {4, 9}).ok());
  const Fake fake("cuModuleLoadData=209@1");
  const Status status = context->run();
  EXPECT_EQ(status.code(), Code::kIncompatible) << status.to_string();
  EXPECT_THAT(status.message(), HasSubstr(": cuModuleLoadData: "));
  EXPECT_THAT(status.message(), HasSubstr("the driver, of version 13.0, does not take this kernel for sm_90a"));
  EXPECT_THAT(status.message(), HasSubstr("step 0"));
}

// The plan's kernels as a driver sees them that is older than their compiler.
plan::Plan unknown_to_the_driver() {
  auto plan = compile_text(kPointwise);
  EXPECT_TRUE(plan.ok()) << plan.status().to_string();
  auto artifact = cuda::decode(plan->program.steps[0].artifact);
  EXPECT_TRUE(artifact.ok()) << artifact.status().to_string();
  for (cuda::ArtifactKernel& kernel : artifact->kernels)
    kernel.cubin = std::make_shared<const std::vector<std::byte>>(64, std::byte{7});
  plan->program.steps[0].artifact = cuda::encode(*artifact);
  return std::move(*plan);
}

// Case 135, another driver: what it does not take is compiled by the NVRTC that is here.
TEST(BadLuck, KernelsThatTheDriverDoesNotTakeAreCompiledAnew) {
  PLANISH_NEEDS_NVRTC();
  auto engine = engine_of(unknown_to_the_driver());
  ASSERT_TRUE(engine.ok()) << engine.status().to_string();
  auto context = std::move(runtime::ExecutionContext::create(*engine)).value();
  std::vector<float> x(32, 1);
  ASSERT_TRUE(context->set_input(0, x.data(), {4, 8}).ok());
  const Status status = context->run();
  EXPECT_TRUE(status.ok()) << status.to_string();
}

TEST(BadLuck, ArtifactThatIsDamaged) {
  PLANISH_NEEDS_NVRTC();
  auto plan = compile_text(kPointwise);
  ASSERT_TRUE(plan.ok());
  plan->program.steps[0].artifact.resize(40);
  auto engine = engine_of(std::move(*plan));
  ASSERT_TRUE(engine.ok());
  const std::vector<int64_t> dims = {4, 8};
  const auto instance = (*engine)->instance(std::span(&dims, 1));
  EXPECT_EQ(instance.status().code(), Code::kDataLoss) << instance.status().to_string();
}

// An error that leaves the context alone ends its run, names its call and the steps, and no more.
TEST(BadLuck, DeviceErrorInMidRunNamesItsCallAndTheSteps) {
  PLANISH_NEEDS_NVRTC();
  auto engine = engine_of(kPointwise);
  ASSERT_TRUE(engine.ok());
  auto context = std::move(runtime::ExecutionContext::create(*engine)).value();
  std::vector<float> x(32, 1);
  ASSERT_TRUE(context->set_input(0, x.data(), {4, 8}).ok());
  {
    const Fake fake("cuStreamSynchronize=999@1");
    const Status status = context->run();
    EXPECT_EQ(status.code(), Code::kDeviceError);
    EXPECT_THAT(status.message(), HasSubstr("999"));
    EXPECT_THAT(status.message(), HasSubstr("one of step 0 (cuda.pointwise) from"));
  }
  {
    const Fake fake("cuGraphLaunch=999@1");
    const Status status = context->run();
    EXPECT_EQ(status.code(), Code::kDeviceError);
    EXPECT_THAT(status.message(), HasSubstr("step 0 (cuda.pointwise) from"));
  }
  EXPECT_TRUE(context->run().ok());
}

// A kernel's fault takes the GPU from this process: who comes later is told so, and by what. Another
// GPU goes on. (A process of its own: what is lost stays lost.)
TEST(BadLuckDeathTest, AFaultLosesItsGpuAndNoOther) {
  PLANISH_NEEDS_NVRTC();
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto faults = [] {
    const Fake fake("devices=2;cuStreamSynchronize=700@1#1");
    const auto backend = cuda::make_cuda_backend();
    const auto second = backend->device(1, 0).value();
    auto plan = compile_text(kPointwise);
    if (!plan.ok()) return 2;
    const auto on_first = engine_of(*plan), on_second = engine_on(second, *plan);
    if (!on_first.ok() || !on_second.ok()) return 3;
    auto lost = std::move(runtime::ExecutionContext::create(*on_second)).value();
    auto other = std::move(runtime::ExecutionContext::create(*on_second)).value();
    auto lives = std::move(runtime::ExecutionContext::create(*on_first)).value();
    const std::vector<float> x(32, 1);
    for (auto* context : {lost.get(), other.get(), lives.get()})
      if (!context->set_input(0, x.data(), {4, 8}).ok()) return 4;
    runtime::RunOptions profiled;
    profiled.profiler = [](const runtime::StepTime&) {};
    const Status first = lost->run(profiled), later = other->run();
    std::fprintf(stderr, "%s\n%s\n", first.to_string().c_str(), later.to_string().c_str());
    const bool told = first.message().find("step 0 (cuda.pointwise) from") == 0 &&
                      first.message().find("(700)") != std::string::npos &&
                      later.code() == Code::kDeviceError &&
                      later.message().find("GPU 1 (Fake GPU) was lost to this process") !=
                          std::string::npos &&
                      later.message().find("(700)") != std::string::npos;
    return told && lives->run().ok() ? 0 : 5;
  };
  // What lay on the lost GPU is not given back: no leak, but one to who looks at the process's end.
  EXPECT_EXIT(std::_Exit(faults()), testing::ExitedWithCode(0), "was lost to this process");
}

TEST(BadLuck, LaunchErrorNamesTheStep) {
  PLANISH_NEEDS_NVRTC();
  auto engine = engine_of(kPointwise);
  ASSERT_TRUE(engine.ok());
  auto context = std::move(runtime::ExecutionContext::create(*engine)).value();
  std::vector<float> x(32, 1);
  ASSERT_TRUE(context->set_input(0, x.data(), {4, 8}).ok());
  const Fake fake("cuLaunchKernelEx=701@1");
  const Status status = context->run();
  EXPECT_EQ(status.code(), Code::kDeviceError);
  EXPECT_THAT(status.message(), HasSubstr("step 0 (cuda.pointwise)"));
}

// Without NVRTC: prints the status and exits with 0 when it has the code.
template <class Ask>
[[noreturn]] void leave_with(Code code, Ask ask) {
  setenv("PLANISH_NVRTC", "/nonexistent/libnvrtc.so", 1);
  const Status status = ask();
  std::fprintf(stderr, "%s\n", status.to_string().c_str());
  std::exit(status.code() == code ? 0 : 1);
}

// Binds a kernel with an artifact.
Status bind_artifact(cuda::Artifact artifact) {
  kernel::ExprBuilder b;
  const ir::TensorType type{ir::DataType::kF32, ir::to_shape(std::vector<int64_t>{4, 8})};
  const kernel::Problem problem = cuda::pointwise_problem(
      {type}, b.finish({b.unary(kernel::ScalarOp::kExp, b.arg(0, ir::DataType::kF32))}, 1), {type});
  artifact.fingerprint = kernel::fingerprint(problem);
  const std::vector<std::byte> bytes = cuda::encode(artifact);
  kernel::BindArgs args{};
  args.problem = &problem;
  const kernel::Tactic tactic;
  args.tactic = &tactic;
  args.device = &world().cuda->info();
  args.artifact = bytes;
  return world().kernels.find("cuda.pointwise")->bind(args).status();
}

Status bind_foreign_artifact() {
  cuda::Artifact artifact;
  artifact.generator = cuda::kGeneratorVersion;
  artifact.arch = "sm_80";
  return bind_artifact(artifact);
}

// A whole plan of another architecture (case 135).
Status save_foreign_plan(const std::string& path) {
  PLANISH_ASSIGN_OR_RETURN(plan::Plan plan, compile_text(kPointwise));
  for (plan::Step& step : plan.program.steps) {
    PLANISH_ASSIGN_OR_RETURN(cuda::Artifact artifact, cuda::decode(step.artifact));
    artifact.arch = "sm_80";
    step.artifact = cuda::encode(artifact);
  }
  PLANISH_ASSIGN_OR_RETURN(const auto file, plan::EncodedPlan::create(std::move(plan)));
  return file->write(path);
}
Status bind_plan(const std::string& path) {
  PLANISH_ASSIGN_OR_RETURN(plan::Plan plan, plan::read_plan(path));
  PLANISH_ASSIGN_OR_RETURN(const auto engine, engine_of(std::move(plan)));
  const std::vector<int64_t> dims = {4, 8};
  return engine->instance(std::span(&dims, 1)).status();
}

// Made anew where NVRTC is; refused where it is not, with the step, what it was made for and what is there.
TEST(BadLuckDeathTest, APlanOfAnotherArchitecture) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const std::string path = testing::TempDir() + "planish_foreign.plan";
  if (!testing::internal::InDeathTestChild()) {  // which must not find NVRTC before it is hidden
    PLANISH_NEEDS_NVRTC();
    const Status saved = save_foreign_plan(path);
    ASSERT_TRUE(saved.ok()) << saved.to_string();
    const Status here = bind_plan(path);
    EXPECT_TRUE(here.ok()) << here.to_string();
  }
  EXPECT_EXIT(leave_with(Code::kIncompatible, [&] { return bind_plan(path); }), testing::ExitedWithCode(0),
              "step 0 .cuda.pointwise. from .*made for sm_80, the device is sm_90a.*no NVRTC");
  std::filesystem::remove(path);
}

// Another generator's artifact, of which nothing but its number can be read.
TEST(BadLuckDeathTest, AnArtifactOfAnotherGenerator) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto bind = [] {
    cuda::Artifact artifact;
    artifact.generator = 1;
    return bind_artifact(artifact);
  };
  EXPECT_EXIT(leave_with(Code::kIncompatible, bind), testing::ExitedWithCode(0),
              "made by generator 1, this is");
}

// The process's NVRTC is found once; these ask in processes of their own.
TEST(BadLuckDeathTest, NvrtcIsMissing) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(leave_with(Code::kNotFound,
                         [] { return compile_text(kPointwise).status(); }),
              testing::ExitedWithCode(0), "no NVRTC");
}

// What was compiled for another architecture is made anew with NVRTC, and refused by name without.
TEST(BadLuckDeathTest, ArtifactOfAnotherArchitecture) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(leave_with(Code::kIncompatible, bind_foreign_artifact), testing::ExitedWithCode(0),
              "made for sm_80, the device is sm_90a");
  PLANISH_NEEDS_NVRTC();
  const Status status = bind_foreign_artifact();
  EXPECT_TRUE(status.ok()) << status.to_string();
}

TEST(BadLuckDeathTest, CacheEntryThatIsDamagedIsCompiledAnew) {
  PLANISH_NEEDS_NVRTC();
  GTEST_FLAG_SET(death_test_style, "fast");  // a child must not begin the test anew
  namespace fs = std::filesystem;
  const fs::path folder = fs::path(testing::TempDir()) / "planish_damaged_cubins";
  const std::string source = cat(cuda::kPrelude, "extern \"C\" __global__ void k(u32* p) { *p = 7; }");
  const auto compile = [&] {
    const Setting cache("PLANISH_CUDA_CACHE", folder.string());
    return cuda::compile_source(source, "sm_90a").ok();
  };
  fs::remove_all(folder);
  EXPECT_EXIT(std::_Exit(compile() ? 0 : 1), testing::ExitedWithCode(0), "");
  ASSERT_FALSE(fs::is_empty(folder));
  const fs::path entry = fs::directory_iterator(folder)->path();
  const auto good = fs::file_size(entry);
  {
    std::fstream file(entry, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(200);
    file.put('x').put('y');
  }
  EXPECT_EXIT(std::_Exit(compile() ? 0 : 1), testing::ExitedWithCode(0), "is damaged");
  fs::resize_file(entry, 100);
  EXPECT_EXIT(std::_Exit(compile() ? 0 : 1), testing::ExitedWithCode(0), "is damaged");
  EXPECT_EQ(fs::file_size(entry), good);
  EXPECT_EXIT(std::_Exit(compile() ? 0 : 1), testing::ExitedWithCode(0), "^$");
  fs::remove_all(folder);
}

}  // namespace
}  // namespace planish::cuda_tests
