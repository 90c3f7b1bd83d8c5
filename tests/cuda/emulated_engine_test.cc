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

// Compiles the graph with these kernels by prediction, runs it on random inputs, compares with the interpreter
// and returns the kernels of its steps.
std::vector<std::string> kernels_that_give_the_same(const std::string& text, const kernel::KernelRegistry& kernels,
                                                    double bound) {
  SCOPED_TRACE(text);
  std::vector<std::string> names;
  const auto run = [&]() -> Status {
    PLANISH_ASSIGN_OR_RETURN(auto graph, ir::parse(text));
    for (const auto& node : graph->nodes()) opdef::fill_defaults(*world().ops.find(node->op), node->attrs);
    PLANISH_RETURN_IF_ERROR(opdef::infer_graph(world().ops, *graph));
    std::vector<ir::Tensor> inputs;
    for (const ir::Value* v : graph->inputs)
      inputs.push_back(random_tensor(v->type.dtype, ir::to_dims(v->type.shape), 5 + int(inputs.size())));
    PLANISH_ASSIGN_OR_RETURN(const auto expected, eval::interpret(world().ops, *graph, inputs));
    compiler::CompileOptions options;
    options.deterministic = true;
    PLANISH_ASSIGN_OR_RETURN(auto plan, compiler::compile(std::move(graph), options,
                                                          {world().ops, kernels, *world().cuda, nullptr, world().cpu.get()}));
    for (const plan::Step& step : plan.program.steps) names.push_back(step.kernel);
    PLANISH_ASSIGN_OR_RETURN(auto engine, runtime::Engine::create(std::move(plan), world().cuda, kernels, {}));
    PLANISH_ASSIGN_OR_RETURN(auto context, runtime::ExecutionContext::create(engine));
    for (size_t i = 0; i < inputs.size(); ++i)
      PLANISH_RETURN_IF_ERROR(context->set_input(int(i), inputs[i].data(), inputs[i].dims()));
    PLANISH_RETURN_IF_ERROR(context->run());
    PLANISH_ASSIGN_OR_RETURN(const ir::Tensor got, context->output(0));
    EXPECT_EQ(got.dims(), expected[0].dims());
    for (int64_t i = 0; i < expected[0].count() && i < got.count(); ++i)
      EXPECT_NEAR(got.f64(i), expected[0].f64(i), bound) << i;
    return ok_status();
  };
  const Status status = run();
  EXPECT_TRUE(status.ok()) << status.to_string();
  return names;
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
  for (const auto& [type, op] : networks)
    kernels_that_give_the_same(cat("graph \"\" {\n  input %x: ", type, "\n  const %axes: i64[1] = {1}\n",
                                   "  const %both: i64[2] = {1, 2}\n  %y: f32[] = ", op, "\n  output %y\n}"),
                               rows, 1e-5);
}

std::string numbers(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += cat(i ? ", " : "", (i * 7 % 11 - 5) * 0.0625);
  return text;
}

// An image that comes channels last, and leaves so, is not copied: nor is one that is flattened in front of a
// dense layer.
TEST(EmulatedImages, TransposesAndFlattenAreLayouts) {
  const std::string filters = cat("  const %k: f16[16, 16, 3, 3] = {", numbers(16 * 16 * 9), "}\n");
  const auto kernels = kernels_that_give_the_same(
      cat("graph \"\" {\n  input %x: f16[2, 6, 5, 16]\n", filters, R"(  %i: f16[] = Transpose(%x) {perm = [0, 3, 1, 2]}
  %c: f16[] = Conv(%i, %k) {pads = [1, 1, 1, 1]}
  %r: f16[] = Relu(%c)
  %y: f16[] = Transpose(%r) {perm = [0, 2, 3, 1]}
  output %y })"),
      world().kernels, 4e-3);
  EXPECT_EQ(kernels.size(), 1u) << join(kernels);
  const auto flat = kernels_that_give_the_same(
      cat("graph \"\" {\n  input %x: f16[2, 6, 5, 16]\n", filters, "  const %w: f16[480, 8] = {", numbers(480 * 8), R"(}
  %i: f16[] = Transpose(%x) {perm = [0, 3, 1, 2]}
  %c: f16[] = Conv(%i, %k) {pads = [1, 1, 1, 1]}
  %r: f16[] = Relu(%c)
  %f: f16[] = Flatten(%r)
  %y: f16[] = MatMul(%f, %w)
  output %y })"),
      world().kernels, 4e-3);
  EXPECT_EQ(flat.size(), 2u) << join(flat);
  // Both ways at once: a transposed image that others read as it is.
  kernels_that_give_the_same(R"(graph "" {
  input %x: f16[2, 6, 5, 8]
  %i: f16[] = Transpose(%x) {perm = [0, 3, 1, 2]}
  %e: f16[] = Exp(%i)
  %t: f16[] = Transpose(%x) {perm = [0, 2, 3, 1]}
  %s: f16[] = ReduceSum(%e) {keepdims = 0}
  %u: f16[] = ReduceSum(%t) {keepdims = 0}
  %y: f16[] = Add(%s, %u)
  output %y })",
                             world().kernels, 0.5);
}

// Dense layers on few rows are one step.
TEST(EmulatedStack, IsOneStep) {
  const auto kernels = kernels_that_give_the_same(
      cat("graph \"\" {\n  input %x: f16[3, 24]\n  const %a: f16[24, 48] = {", numbers(24 * 48), "}\n  const %b: f16[48, 40] = {",
          numbers(48 * 40), "}\n  const %c: f16[40, 10] = {", numbers(400), R"(}
  %1: f16[] = MatMul(%x, %a)
  %2: f16[] = Relu(%1)
  %3: f16[] = MatMul(%2, %b)
  %4: f16[] = Sigmoid(%3)
  %5: f16[] = MatMul(%4, %c)
  %y: f16[] = Tanh(%5)
  output %y })"),
      world().kernels, 4e-3);
  EXPECT_EQ(join(kernels), "cuda.stack_mma");
}

INSTANTIATE_TEST_SUITE_P(Types, EmulatedEngine, ::testing::Values(DataType::kF32, DataType::kF16, DataType::kBF16),
                         [](const auto& info) { return std::string(ir::name_of(info.param)); });

}  // namespace
}  // namespace planish::cuda_tests
