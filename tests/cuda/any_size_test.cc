// Plans with symbolic dims on the emulated GPU: runs with shapes that no kernel was compiled for, while
// the compiler refuses, and their results.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "backend/cuda/device/gpu.h"
#include "base/text.h"
#include "compiler/compile.h"
#include "eval/interpreter.h"
#include "fake_world.h"
#include "kernel/launch_info.h"
#include "opdef/infer.h"
#include "ops/case_inputs.h"

namespace planish::cuda_tests {
namespace {

using ir::DataType;

ir::Tensor random_tensor(DataType dtype, const std::vector<int64_t>& dims, int seed) {
  opdef::InputCase input{.dtype = dtype, .dims = dims, .low = -1, .high = 1, .values = {}};
  return ops::make_input(input, size_t(seed));
}

// A graph under construction.
struct Builder {
  std::unique_ptr<ir::Graph> graph = std::make_unique<ir::Graph>();
  DataType dtype;
  int seed = 1;

  explicit Builder(DataType type) : dtype(type) {}
  ir::Value* add(const char* op, std::vector<ir::Value*> inputs, ir::Attributes attrs = {}) {
    opdef::fill_defaults(*world().ops.find(op), attrs);
    ir::Value* v = graph->add_node(op, std::move(inputs), std::move(attrs), {{}})->outputs[0];
    const Status status = opdef::infer_graph(world().ops, *graph);
    EXPECT_TRUE(status.ok()) << op << ": " << status.to_string();
    return v;
  }
  ir::Value* weight(const std::vector<int64_t>& dims, double scale) {
    ir::Tensor t = random_tensor(dtype, dims, ++seed);
    for (int64_t i = 0; i < t.count(); ++i) t.set_f64(i, t.f64(i) * scale);
    return graph->add_constant(cat("w", seed), std::move(t));
  }
};

using Dims = std::vector<int64_t>;

// Convolution, residual, pool and product over any batch.
std::unique_ptr<ir::Graph> images(DataType dtype) {
  Builder b(dtype);
  b.graph->symbols["N"] = {1, 24, false, std::nullopt};
  ir::Value* x = b.graph->add_input("x", {dtype, {ir::Dim::symbol("N"), 64, 6, 6}});
  ir::Value* v = b.add("Conv", {x, b.weight({64, 64, 3, 3}, 0.06)}, {{"pads", Dims{1, 1, 1, 1}}});
  v = b.add("Relu", {b.add("Add", {v, x})});
  v = b.add("MaxPool", {v}, {{"kernel_shape", Dims{3, 3}}, {"strides", Dims{3, 3}}});
  v = b.add("Gemm", {b.add("Flatten", {v}), b.weight({256, 24}, 0.1)});
  b.graph->outputs = {b.add("Softmax", {v})};
  return std::move(b.graph);
}

// Products, attention's scores over any length, and a normalization.
std::unique_ptr<ir::Graph> words(DataType dtype) {
  Builder b(dtype);
  b.graph->symbols["N"] = {1, 4, false, std::nullopt};
  b.graph->symbols["S"] = {8, 128, false, std::nullopt};
  ir::Value* x =
      b.graph->add_input("x", {dtype, {ir::Dim::symbol("N"), ir::Dim::symbol("S"), 64}});
  ir::Value* q = b.add("MatMul", {x, b.weight({64, 64}, 0.2)});
  ir::Value* k = b.add("Transpose", {b.add("MatMul", {x, b.weight({64, 64}, 0.2)})},
                       {{"perm", Dims{0, 2, 1}}});
  ir::Value* scores = b.add("Softmax", {b.add("MatMul", {q, k})});
  ir::Value* v = b.add("Add", {b.add("MatMul", {scores, x}), x});
  b.graph->outputs = {
      b.add("LayerNormalization", {v, b.weight({64}, 1)}, {{"axis", int64_t(-1)}})};
  return std::move(b.graph);
}

Result<std::shared_ptr<runtime::Engine>> engine_for(std::unique_ptr<ir::Graph> graph) {
  compiler::CompileOptions options;
  options.deterministic = true;
  const compiler::Environment environment{world().ops, world().kernels, *world().cuda, nullptr,
                                          world().cpu.get()};
  PLANISH_ASSIGN_OR_RETURN(plan::Plan plan, compiler::compile(std::move(graph), options, environment));
  return engine_of(std::move(plan));
}

// Runs at these dims and compares with the interpreter.
void expect_right(runtime::ExecutionContext& context, const ir::Graph& graph, const Dims& dims) {
  SCOPED_TRACE(bracketed(dims));
  const DataType dtype = graph.inputs[0]->type.dtype;
  const ir::Tensor x = random_tensor(dtype, dims, int(dims[0]));
  ASSERT_TRUE(context.set_input(0, x.data(), dims).ok());
  const Status status = context.run();
  ASSERT_TRUE(status.ok()) << status.to_string();
  const auto got = context.output(0);
  ASSERT_TRUE(got.ok()) << got.status().to_string();
  const auto expected = eval::interpret(world().ops, graph, std::span(&x, 1));
  ASSERT_TRUE(expected.ok()) << expected.status().to_string();
  ASSERT_EQ(got->dims(), (*expected)[0].dims());
  const double bound = dtype == DataType::kF32 ? 3e-5 : 3e-2;
  for (int64_t i = 0; i < got->count(); ++i) {
    const double a = got->f64(i), b = (*expected)[0].f64(i);
    ASSERT_TRUE(std::fabs(a - b) <= bound) << "[" << i << "]: got " << a << ", expected " << b;
  }
}

int any_size_steps(const runtime::Instance& instance) {
  int count = 0;
  for (const runtime::BoundStep& step : instance.first_phase().steps) {
    const auto* info = dynamic_cast<const kernel::DescribedLaunchable*>(step.launchable.get());
    count += info && info->launch_info().any_size;
  }
  return count;
}

class AnySize : public ::testing::TestWithParam<DataType> {};

TEST_P(AnySize, BatchesThatNothingWasCompiledFor) {
  auto engine = engine_for(images(GetParam()));
  ASSERT_TRUE(engine.ok()) << engine.status().to_string();
  auto context = std::move(runtime::ExecutionContext::create(*engine)).value();
  const auto graph = images(GetParam());
  const Setting refuse("FAKE_NVRTC", "refuse");
  expect_right(*context, *graph, {1, 64, 6, 6});  // the shape that it was tuned for
  EXPECT_EQ(any_size_steps(*context->instance()), 0);
  for (const int64_t batch : {2, 3, 9}) {
    expect_right(*context, *graph, {batch, 64, 6, 6});
    EXPECT_EQ(any_size_steps(*context->instance()), int((*engine)->program().steps.size()));
  }
}

TEST_P(AnySize, LengthsThatNothingWasCompiledFor) {
  auto engine = engine_for(words(GetParam()));
  ASSERT_TRUE(engine.ok()) << engine.status().to_string();
  auto context = std::move(runtime::ExecutionContext::create(*engine)).value();
  const auto graph = words(GetParam());
  const Setting refuse("FAKE_NVRTC", "refuse");
  for (const Dims& dims : {Dims{1, 64, 64}, Dims{2, 64, 64}, Dims{1, 16, 64}, Dims{3, 40, 64}, Dims{2, 72, 64}})
    expect_right(*context, *graph, dims);
}

INSTANTIATE_TEST_SUITE_P(Types, AnySize, ::testing::Values(DataType::kF16),
                         [](const auto& info) { return std::string(ir::name_of(info.param)); });

// A kernel that wants 8 rows at least is none for a dim that may have 3, although 64 are tuned for.
TEST(AnySizeChoice, HoldsForTheSmallestShapes) {
  const auto transposed = [] {
    Builder b(DataType::kF32);
    b.graph->symbols["S"] = {1, 128, false, std::nullopt};
    ir::Value* x = b.graph->add_input("x", {DataType::kF32, {2, ir::Dim::symbol("S"), 2, 4}});
    ir::Value* y = b.graph->add_constant("y", random_tensor(DataType::kF32, {2, 2, 3, 4}, 7));
    ir::Value* product = b.add("MatMul", {y, b.add("Transpose", {x}, {{"perm", Dims{0, 2, 3, 1}}})});
    b.graph->outputs = {b.add("Sin", {product})};
    return std::move(b.graph);
  };
  auto engine = engine_for(transposed());
  ASSERT_TRUE(engine.ok()) << engine.status().to_string();
  auto context = std::move(runtime::ExecutionContext::create(*engine)).value();
  for (const int64_t length : {64, 3, 1, 65}) expect_right(*context, *transposed(), {2, length, 2, 4});
}

// Device memory that is too small for one batch ends that run; a smaller one works.
TEST(AnySizeMemory, ASmallerRunWorksAfterOneThatDidNotFit) {
  auto engine = engine_of(R"(graph "" {
  symbol N [1, 16]
  input %x: f32[N, 64, 6, 6]
  %y: f32[] = Exp(%x)
  %z: f32[] = Softmax(%y) {axis = 1}
  output %z })");
  ASSERT_TRUE(engine.ok()) << engine.status().to_string();
  auto context = std::move(runtime::ExecutionContext::create(*engine)).value();
  const std::vector<float> x(size_t(9) * 64 * 36, 0.5f);
  const auto run = [&](int64_t batch) {
    EXPECT_TRUE(context->set_input(0, x.data(), {batch, 64, 6, 6}).ok());
    return context->run();
  };
  ASSERT_TRUE(run(1).ok());
  cuda::gpu(0).value()->pool(ir::MemorySpace::kDevice).trim();
  {
    const Fake fake("memory=65536");
    const Status status = run(9);
    EXPECT_EQ(status.code(), Code::kResourceExhausted) << status.to_string();
    EXPECT_THAT(status.message(), testing::HasSubstr("no device memory for"));
  }
  EXPECT_TRUE(run(1).ok());
  EXPECT_TRUE(run(9).ok());
}

}  // namespace
}  // namespace planish::cuda_tests
