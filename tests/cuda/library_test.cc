// Engines with steps by cuBLASLt and cuDNN, on the emulated GPU with fakes of both libraries: from the
// build through captured graphs to a machine where the library is absent or another one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <thread>

#include "backend/api/device_with_info.h"
#include "base/text.h"
#include "compiler/compile.h"
#include "eval/interpreter.h"
#include "fake_world.h"
#include "kernel/library_kernel.h"
#include "opdef/infer.h"
#include "ops/case_inputs.h"

namespace planish::cuda_tests {
namespace {

using ir::DataType;
using testing::HasSubstr;

// Before main(): the driver and NVRTC are loaded once, whoever asks first.
[[maybe_unused]] const bool kLibrariesAreSet = [] {
  setenv("PLANISH_NVRTC", PLANISH_FAKE_NVRTC, 1);
  // The same kernels are wanted again and again.
  const std::string cache = testing::TempDir() + "planish_library_test_cubins";
  setenv("PLANISH_CUDA_CACHE", cache.c_str(), 1);
  setenv("PLANISH_CUBLASLT", PLANISH_FAKE_CUBLASLT, 1);
  setenv("PLANISH_CUDNN", PLANISH_FAKE_CUDNN, 1);
  return true;
}();

// Another value for a scope, then the one from before.
class Replaced {
 public:
  Replaced(const char* name, const std::string& value) : name_(name), before_(std::getenv(name)) {
    setenv(name, value.c_str(), 1);
  }
  ~Replaced() { setenv(name_, before_.c_str(), 1); }

 private:
  const char* name_;
  std::string before_;
};

// Times that make the kernels win whose key holds one of the words.
class Likes : public tuner::TimeStore {
 public:
  explicit Likes(std::vector<std::string> words) : words_(std::move(words)) {}
  std::optional<double> find(const std::string& key) const override {
    double us = 100;
    for (const std::string& word : words_)
      if (key.find(word) != std::string::npos) us = 1;
    return us;
  }
  void put(const std::string&, double, double) override {}

 private:
  std::vector<std::string> words_;
};

struct Way {
  DataType dtype;
  std::string precision, conv, product;  // words of the kernels' keys in the time store
  std::string name;
};
const Way kWays[] = {
    {DataType::kF32, "fp32", "cuda.cudnn_conv v1 [engine=8,", "cuda.cublaslt v1 [algo=0,", "f32"},
    {DataType::kF32, "tf32", "cuda.cudnn_conv v1 [engine=7,", "cuda.cublaslt v1 [algo=1,", "tf32"},
    {DataType::kF16, "fp16", "cuda.cudnn_conv v1 [engine=7,", "cuda.cublaslt v1 [algo=1,", "f16"},
    {DataType::kBF16, "bf16", "cuda.cudnn_conv v1 [engine=8,", "cuda.cublaslt v1 [algo=0,", "bf16"}};

std::shared_ptr<backend::Device> device_of(const Way& way, std::string_view use) {
  auto device = backend::with_precision(world().cuda, way.precision);
  return use.empty() ? device : backend::with_libraries(std::move(device), use);
}

ir::Tensor random_tensor(DataType dtype, const std::vector<int64_t>& dims, int seed, double scale = 1) {
  opdef::InputCase input{.dtype = dtype, .dims = dims, .low = -1, .high = 1, .values = {}};
  ir::Tensor t = ops::make_input(input, size_t(seed));
  for (int64_t i = 0; i < t.count(); ++i) t.set_f64(i, t.f64(i) * scale);
  return t;
}

// A strided convolution; one with bias, residual and ReLU; a pointwise one; products with and without a
// constant; a clamp.
std::unique_ptr<ir::Graph> network(DataType dtype) {
  auto graph = std::make_unique<ir::Graph>();
  ir::Graph& g = *graph;
  const auto add = [&](const char* op, std::vector<ir::Value*> inputs, ir::Attributes attrs) {
    opdef::fill_defaults(*world().ops.find(op), attrs);
    ir::Value* v = g.add_node(op, std::move(inputs), std::move(attrs), {{}})->outputs[0];
    EXPECT_TRUE(opdef::infer_graph(world().ops, g).ok()) << op;
    return v;
  };
  const auto constant = [&](const char* name, const std::vector<int64_t>& dims, int seed, double scale) {
    return g.add_constant(name, random_tensor(dtype, dims, seed, scale));
  };
  ir::Value* x = g.add_input("x", {dtype, ir::to_shape(std::vector<int64_t>{2, 8, 9, 7})});
  ir::Value* v = add("Conv", {x, constant("w1", {16, 8, 3, 3}, 2, 0.2), constant("b1", {16}, 3, 1)},
                     {{"pads", std::vector<int64_t>{1, 1, 1, 1}}, {"strides", std::vector<int64_t>{2, 2}}});
  ir::Value* short_cut = add("Relu", {v}, {});
  v = add("Conv", {short_cut, constant("w2", {16, 16, 3, 3}, 4, 0.1), constant("b2", {16}, 5, 1)},
          {{"pads", std::vector<int64_t>{1, 1, 1, 1}}});
  v = add("Relu", {add("Add", {v, short_cut}, {})}, {});
  v = add("Flatten", {v}, {});  // 2 x 320
  v = add("Gemm", {v, constant("w3", {320, 24}, 6, 0.1), constant("b3", {24}, 7, 1)}, {});
  ir::Value* wide = add("Relu", {v}, {});
  ir::Value* table = add("Transpose", {add("Sigmoid", {wide}, {})}, {{"perm", std::vector<int64_t>{1, 0}}});
  g.outputs = {add("MatMul", {wide, table}, {})};
  EXPECT_TRUE(opdef::infer_graph(world().ops, g).ok());
  return graph;
}

Result<plan::Plan> compile(const Way& way, bool libraries = true) {
  compiler::CompileOptions options;
  Likes times({way.conv, way.product});
  const auto device = device_of(way, libraries ? kernel::kLibrariesRace : "");
  const compiler::Environment environment{world().ops, world().kernels, *device, &times, world().cpu.get()};
  return compiler::compile(network(way.dtype), options, environment);
}

// What the build looked at, and why it took it not: a line each.
std::string considered_in(const plan::Plan& plan) {
  std::string out;
  for (const plan::Step& step : plan.program.steps)
    for (const plan::Considered& one : step.considered)
      out += cat(one.kernel, " [", one.tactic, "] ", one.refused, "\n");
  return out;
}

std::multiset<std::string> kernels_of(const plan::Plan& plan) {
  std::multiset<std::string> out;
  for (const plan::Step& step : plan.program.steps) out.insert(step.kernel);
  return out;
}

void run_and_compare(runtime::ExecutionContext& context, const Way& way, int seed) {
  const ir::Tensor x = random_tensor(way.dtype, {2, 8, 9, 7}, seed);
  ASSERT_TRUE(context.set_input(0, x.data(), {2, 8, 9, 7}).ok());
  const Status status = context.run();
  ASSERT_TRUE(status.ok()) << status.to_string();
  auto got = context.output(0);
  ASSERT_TRUE(got.ok()) << got.status().to_string();
  auto expected = eval::interpret(world().ops, *network(way.dtype), std::span(&x, 1));
  ASSERT_TRUE(expected.ok()) << expected.status().to_string();
  const double unit = way.dtype == DataType::kF32 ? 1e-6 : way.dtype == DataType::kF16 ? 1e-3 : 8e-3;
  for (int64_t i = 0; i < got->count(); ++i) {
    const double a = got->f64(i), b = (*expected)[0].f64(i);
    EXPECT_TRUE(std::fabs(a - b) <= 8 * unit * std::max(1.0, std::fabs(b))) << "[" << i << "]: got " << a << ", expected " << b;
  }
}

void run_engine(plan::Plan plan, const Way& way) {
  auto engine = engine_on(device_of(way, kernel::kLibrariesLoad), std::move(plan));
  ASSERT_TRUE(engine.ok()) << engine.status().to_string();
  auto context = runtime::ExecutionContext::create(*engine);
  ASSERT_TRUE(context.ok()) << context.status().to_string();
  for (int seed : {11, 12, 13}) run_and_compare(**context, way, seed);  // captured once, replayed
}

class Libraries : public ::testing::TestWithParam<Way> {};

TEST_P(Libraries, TakePartWhereAllowedAndGiveWhatTheInterpreterGives) {
  auto plan = compile(GetParam());
  ASSERT_TRUE(plan.ok()) << plan.status().to_string();
  const auto kernels = kernels_of(*plan);
  EXPECT_EQ(kernels.count("cuda.cudnn_conv"), 2u);
  EXPECT_EQ(kernels.count("cuda.cublaslt"), 2u);
  run_engine(*plan, GetParam());
  auto engine = engine_on(device_of(GetParam(), kernel::kLibrariesLoad), *plan);
  ASSERT_TRUE(engine.ok());
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t)
    threads.emplace_back([&, t] {
      auto own = runtime::ExecutionContext::create(*engine);
      ASSERT_TRUE(own.ok());
      for (int i = 0; i < 2; ++i) run_and_compare(**own, GetParam(), 20 + 2 * t + i);
    });
  for (std::thread& thread : threads) thread.join();
}

INSTANTIATE_TEST_SUITE_P(Precisions, Libraries, ::testing::ValuesIn(kWays),
                         [](const auto& info) { return info.param.name; });

TEST(LibrariesAtBuild, AreNotAskedUnlessAllowed) {
  auto plan = compile(kWays[2], /*libraries=*/false);
  ASSERT_TRUE(plan.ok()) << plan.status().to_string();
  EXPECT_EQ(kernels_of(*plan).count("cuda.cudnn_conv") + kernels_of(*plan).count("cuda.cublaslt"), 0u);
  EXPECT_THAT(considered_in(*plan), testing::Not(HasSubstr("cublaslt")));
}

TEST(LibrariesAtBuild, ThatAreMissingLeaveTheBuildToOurKernelsAndSayWhatWasTried) {
  const Replaced products("PLANISH_CUBLASLT", "/nowhere/libcublasLt.so.13");
  const Replaced convolutions("PLANISH_CUDNN", "/nowhere/libcudnn.so.9");
  auto plan = compile(kWays[2]);
  ASSERT_TRUE(plan.ok()) << plan.status().to_string();
  EXPECT_EQ(kernels_of(*plan).count("cuda.cudnn_conv") + kernels_of(*plan).count("cuda.cublaslt"), 0u);
  EXPECT_THAT(considered_in(*plan), HasSubstr("no cuBLASLt: tried /nowhere/libcublasLt.so.13"));
  EXPECT_THAT(considered_in(*plan), HasSubstr("no cuDNN: tried /nowhere/libcudnn.so.9"));
  run_engine(std::move(*plan), kWays[2]);
}

TEST(LibrariesAtBuild, OfferOnlyWhatSumsAndRoundsAsAskedFor) {
  for (const Way& way : kWays) {
    auto plan = compile(way);
    ASSERT_TRUE(plan.ok()) << plan.status().to_string();
    EXPECT_THAT(considered_in(*plan), testing::Not(HasSubstr("engine=9"))) << way.name;  // transforms
    EXPECT_THAT(considered_in(*plan), testing::Not(HasSubstr("algo=3"))) << way.name;
    const bool exact = way.precision == "fp32";
    EXPECT_EQ(considered_in(*plan).find("engine=7") == std::string::npos, exact) << way.name;
    EXPECT_EQ(considered_in(*plan).find("algo=2") == std::string::npos, exact) << way.name;
  }
}

const kernel::LibraryKernel& library_kernel(const plan::Step& step) {
  return dynamic_cast<const kernel::LibraryKernel&>(*world().kernels.find(step.kernel));
}

TEST(LibrariesInAPlan, AreNamedWithTheirVersions) {
  auto plan = compile(kWays[2]);
  ASSERT_TRUE(plan.ok());
  std::set<std::string> wanted;
  for (const plan::Step& step : plan->program.steps)
    if (dynamic_cast<const kernel::LibraryKernel*>(world().kernels.find(step.kernel)))
      wanted.insert(library_kernel(step).requirement(step.artifact).value());
  EXPECT_EQ(wanted, (std::set<std::string>{"cuBLASLt 13.1", "cuDNN 9.19"}));
}

TEST(LibrariesAtLoad, OfAnotherVersionAreReplacedByOurKernels) {
  auto plan = compile(kWays[2]);
  ASSERT_TRUE(plan.ok());
  const Setting products("FAKE_CUBLASLT", "version=130200"), convolutions("FAKE_CUDNN", "version=92000");
  run_engine(std::move(*plan), kWays[2]);
}

TEST(LibrariesAtLoad, ThatAreMissingAreReplacedByOurKernels) {
  auto plan = compile(kWays[0]);
  ASSERT_TRUE(plan.ok());
  const Replaced products("PLANISH_CUBLASLT", "/nowhere/libcublasLt.so.13");
  const Replaced convolutions("PLANISH_CUDNN", "/nowhere/libcudnn.so.9");
  run_engine(std::move(*plan), kWays[0]);
}

TEST(LibrariesAtLoad, DamagedChoicesAreRefused) {
  auto plan = compile(kWays[2]);
  ASSERT_TRUE(plan.ok());
  for (plan::Step& step : plan->program.steps) {
    if (step.kernel != "cuda.cudnn_conv" && step.kernel != "cuda.cublaslt") continue;
    const std::vector<std::byte> good(step.artifact.begin(), step.artifact.end());
    for (const size_t length : {size_t(0), size_t(3), good.size() / 2, good.size() - 1}) {
      const Status status = library_kernel(step).check_library(std::span(good).first(length));
      EXPECT_EQ(status.code(), Code::kDataLoss) << length;
    }
    std::vector<std::byte> forged = good;
    forged[12] = std::byte{0xff};  // the length of the library's name
    EXPECT_EQ(library_kernel(step).check_library(forged).code(), Code::kDataLoss);
  }
}

}  // namespace
}  // namespace planish::cuda_tests
