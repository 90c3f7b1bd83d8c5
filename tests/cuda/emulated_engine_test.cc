// Whole engines on the emulated GPU: the fake NVRTC compiles kernels for the host and the fake driver
// runs them, so that arena, packed weights, launches, tensor maps and captured graphs are those of a
// device, and the results can be compared.
#include <gtest/gtest.h>

#include <cmath>
#include <thread>

#include "backend/cuda/families/register_families.h"
#include "base/text.h"
#include "compiler/compile.h"
#include "eval/interpreter.h"
#include "fake_world.h"
#include "opdef/infer.h"
#include "ops/case_inputs.h"

namespace planish::cuda_tests {
namespace {

using ir::DataType;

// Before main(): NVRTC is loaded once, whoever asks first.
[[maybe_unused]] const bool kCompilerIsSet = [] {
  setenv("PLANISH_NVRTC", PLANISH_FAKE_NVRTC, 1);
  setenv("PLANISH_CUDA_CACHE", "none", 1);
  return true;
}();

ir::Tensor random_tensor(DataType dtype, const std::vector<int64_t>& dims, int seed) {
  const double size = double(dims.size() == 4 ? dims[1] * dims[2] * dims[3] : dims.back());
  opdef::InputCase input{.dtype = dtype, .dims = dims, .low = -1, .high = 1, .values = {}};
  ir::Tensor t = ops::make_input(input, size_t(seed));
  for (int64_t i = 0; i < t.count(); ++i) t.set_f64(i, t.f64(i) * 2 / std::sqrt(size));
  return t;
}

// Convolution and residual, pool, flatten, product, softmax.
std::unique_ptr<ir::Graph> network(DataType dtype) {
  auto graph = std::make_unique<ir::Graph>();
  ir::Graph& g = *graph;
  const auto add = [&](const char* op, std::vector<ir::Value*> inputs, ir::Attributes attrs) {
    opdef::fill_defaults(*world().ops.find(op), attrs);
    ir::Value* v = g.add_node(op, std::move(inputs), std::move(attrs), {{}})->outputs[0];
    EXPECT_TRUE(opdef::infer_graph(world().ops, g).ok()) << op;
    return v;
  };
  ir::Value* x = g.add_input("x", {dtype, ir::to_shape(std::vector<int64_t>{2, 64, 6, 6})});
  ir::Value* filters = g.add_constant("filters", random_tensor(dtype, {64, 64, 3, 3}, 2));
  ir::Value* bias = g.add_constant("bias", random_tensor(dtype, {64}, 3));
  ir::Value* v = add("Conv", {x, filters, bias}, {{"pads", std::vector<int64_t>{1, 1, 1, 1}}});
  v = add("Relu", {add("Add", {v, x}, {})}, {});
  v = add("MaxPool", {v}, {{"kernel_shape", std::vector<int64_t>{3, 3}}, {"strides", std::vector<int64_t>{3, 3}}});
  v = add("Flatten", {v}, {});
  v = add("Gemm", {v, g.add_constant("w", random_tensor(dtype, {256, 24}, 4))}, {});
  g.outputs = {add("Softmax", {v}, {})};
  EXPECT_TRUE(opdef::infer_graph(world().ops, g).ok());
  return graph;
}

Result<std::shared_ptr<runtime::Engine>> engine_for(DataType dtype) {
  compiler::CompileOptions options;
  options.deterministic = true;
  const compiler::Environment environment{world().ops, world().kernels, *world().cuda, nullptr, world().cpu.get()};
  PLANISH_ASSIGN_OR_RETURN(plan::Plan plan, compiler::compile(network(dtype), options, environment));
  for (const plan::Step& step : plan.program.steps)
    EXPECT_EQ(step.kernel.rfind("cuda.", 0), 0u) << step.kernel;
  return engine_of(std::move(plan));
}

// Runs the context on inputs of this seed and compares with the interpreter.
void run_and_compare(runtime::ExecutionContext& context, DataType dtype, int seed) {
  opdef::InputCase input{.dtype = dtype, .dims = {2, 64, 6, 6}, .low = -1, .high = 1, .values = {}};
  const ir::Tensor x = ops::make_input(input, size_t(seed));
  ASSERT_TRUE(context.set_input(0, x.data(), {2, 64, 6, 6}).ok());
  const Status status = context.run();
  ASSERT_TRUE(status.ok()) << status.to_string();
  auto got = context.output(0);
  ASSERT_TRUE(got.ok()) << got.status().to_string();
  auto expected = eval::interpret(world().ops, *network(dtype), std::span(&x, 1));
  ASSERT_TRUE(expected.ok()) << expected.status().to_string();
  const double bound = dtype == DataType::kF32 ? 1e-5 : 4e-3;
  for (int64_t i = 0; i < got->count(); ++i) {
    const double a = got->f64(i), b = (*expected)[0].f64(i);
    EXPECT_TRUE(std::fabs(a - b) <= bound) << "[" << i << "]: got " << a << ", expected " << b;
  }
}

class EmulatedEngine : public ::testing::TestWithParam<DataType> {};

TEST_P(EmulatedEngine, GivesWhatTheInterpreterGives) {
  auto engine = engine_for(GetParam());
  ASSERT_TRUE(engine.ok()) << engine.status().to_string();
  auto context = runtime::ExecutionContext::create(*engine);
  ASSERT_TRUE(context.ok());
  for (int seed : {11, 12, 13}) run_and_compare(**context, GetParam(), seed);  // captured once, replayed
  // Contexts of their own on threads of their own.
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t)
    threads.emplace_back([&, t] {
      auto own = runtime::ExecutionContext::create(*engine);
      ASSERT_TRUE(own.ok());
      for (int i = 0; i < 2; ++i) run_and_compare(**own, GetParam(), 20 + 2 * t + i);
    });
  for (std::thread& thread : threads) thread.join();
}

// Dims of one element behind the one that vectors lie along.
TEST(EmulatedRows, DimsOfOneElementInside) {
  kernel::KernelRegistry rows;
  cuda::register_rows(rows);
  const std::pair<const char*, const char*> networks[] = {
      {"f32[8, 1, 1]", "ReduceMax(%x, %axes) {keepdims = 0, noop_with_empty_axes = 0}"},
      {"f32[8, 1, 6, 1]", "ReduceMax(%x, %axes) {keepdims = 1, noop_with_empty_axes = 0}"},
      {"f32[3, 4, 8, 1]", "GlobalAveragePool(%x)"},
      {"f32[3, 4, 1]", "ReduceMax(%x, %both) {keepdims = 0, noop_with_empty_axes = 0}"},
      {"f32[3, 8, 1]", "Softmax(%x) {axis = 1}"},
      {"f32[3, 1, 8, 1]", "Softmax(%x) {axis = 0}"}};
  for (const auto& [type, op] : networks) {
    SCOPED_TRACE(cat(type, " ", op));
    const std::string text = cat("graph \"\" {\n  input %x: ", type, "\n  const %axes: i64[1] = {1}\n",
                                 "  const %both: i64[2] = {1, 2}\n  %y: f32[] = ", op, "\n  output %y\n}");
    auto graph = ir::parse(text);
    ASSERT_TRUE(graph.ok()) << graph.status().to_string();
    ASSERT_TRUE(opdef::infer_graph(world().ops, **graph).ok());
    const std::vector<int64_t> dims = ir::to_dims((*graph)->inputs[0]->type.shape);
    const ir::Tensor x = ops::make_input({.dtype = DataType::kF32, .dims = dims, .low = -1, .high = 1, .values = {}}, 5);
    const auto expected = eval::interpret(world().ops, **graph, std::span(&x, 1));
    ASSERT_TRUE(expected.ok()) << expected.status().to_string();
    compiler::CompileOptions options;
    options.deterministic = true;
    auto plan = compiler::compile(std::move(*graph), options, {world().ops, rows, *world().cuda, nullptr, world().cpu.get()});
    ASSERT_TRUE(plan.ok()) << plan.status().to_string();
    auto engine = runtime::Engine::create(std::move(*plan), world().cuda, rows, {});
    ASSERT_TRUE(engine.ok()) << engine.status().to_string();
    auto context = std::move(runtime::ExecutionContext::create(*engine)).value();
    ASSERT_TRUE(context->set_input(0, x.data(), dims).ok());
    const Status status = context->run();
    ASSERT_TRUE(status.ok()) << status.to_string();
    const ir::Tensor got = context->output(0).value();
    ASSERT_EQ(got.dims(), (*expected)[0].dims());
    for (int64_t i = 0; i < got.count(); ++i) EXPECT_NEAR(got.f64(i), (*expected)[0].f64(i), 1e-5) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Types, EmulatedEngine, ::testing::Values(DataType::kF32, DataType::kF16, DataType::kBF16),
                         [](const auto& info) { return std::string(ir::name_of(info.param)); });

}  // namespace
}  // namespace planish::cuda_tests
