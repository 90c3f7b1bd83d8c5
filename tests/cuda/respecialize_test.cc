// Programs made for one architecture, or by other versions of kernels, that run on another: what is taken
// in place of kernels for Hopper alone, on the emulated GPU, against the interpreter.
#include "runtime/respecialize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "backend/cpu/cpu_backend.h"
#include "backend/cuda/families/register_families.h"
#include "compiler/compile.h"
#include "eval/interpreter.h"
#include "eval/reference_kernel.h"
#include "fake_world.h"
#include "opdef/check_problem.h"
#include "opdef/infer.h"
#include "ops/case_inputs.h"

namespace planish::cuda_tests {
namespace {

using ir::DataType;
using testing::HasSubstr;
using Dims = std::vector<int64_t>;

constexpr double kBound = 4e-3;  // of values about 1 in f16

ir::Tensor drawn(const Dims& dims, int seed) {
  opdef::InputCase input{.dtype = DataType::kF16, .dims = dims, .low = -1, .high = 1, .values = {}};
  return ops::make_input(input, size_t(seed));
}

struct Builder {
  std::unique_ptr<ir::Graph> graph = std::make_unique<ir::Graph>();
  ir::Value* input(const char* name, ir::Shape shape) {
    return graph->add_input(name, {DataType::kF16, std::move(shape)});
  }
  ir::Value* weights(const char* name, const Dims& dims, double scale) {
    ir::Tensor t = drawn(dims, 5);
    for (int64_t i = 0; i < t.count(); ++i) t.set_f64(i, t.f64(i) * scale);
    return graph->add_constant(name, t);
  }
  ir::Value* add(const char* op, std::vector<ir::Value*> inputs, ir::Attributes attrs = {}) {
    opdef::fill_defaults(*world().ops.find(op), attrs);
    ir::Value* v = graph->add_node(op, std::move(inputs), std::move(attrs), {{}})->outputs[0];
    EXPECT_TRUE(opdef::infer_graph(world().ops, *graph).ok()) << op;
    return v;
  }
};

// A convolution, of Hopper's tensor cores; over a batch of any size where that is no number.
std::unique_ptr<ir::Graph> convolution(ir::Dim batch = 3) {
  Builder b;
  if (!batch.is_constant()) b.graph->symbols[batch.symbol_name()].low = 1;
  ir::Value* x = b.input("x", {batch, 64, 10, 10});
  ir::Value* v = b.add("Conv", {x, b.weights("w", {128, 64, 3, 3}, 0.06), b.weights("bias", {128}, 1)},
                       {{"pads", Dims{1, 1, 1, 1}}});
  b.graph->outputs = {b.add("Relu", {v})};
  EXPECT_TRUE(opdef::infer_graph(world().ops, *b.graph).ok());
  return std::move(b.graph);
}

// An inverted bottleneck with its residual.
std::unique_ptr<ir::Graph> bottleneck() {
  Builder b;
  ir::Value* x = b.input("x", {2, 16, 14, 14});
  ir::Value* v = b.add("Relu", {b.add("Conv", {x, b.weights("w1", {96, 16, 1, 1}, 0.4), b.weights("b1", {96}, 0.5)})});
  v = b.add("Relu", {b.add("Conv", {v, b.weights("w2", {96, 1, 3, 3}, 0.5), b.weights("b2", {96}, 0.5)},
                           {{"pads", Dims{1, 1, 1, 1}}, {"group", int64_t(96)}})});
  v = b.add("Add", {b.add("Conv", {v, b.weights("w3", {16, 96, 1, 1}, 0.15), b.weights("b3", {16}, 0.5)}), x});
  v->name = "y";
  b.graph->outputs = {v};
  EXPECT_TRUE(opdef::infer_graph(world().ops, *b.graph).ok());
  return std::move(b.graph);
}

// Compiled for the world's GPU, sm_90a.
plan::Plan made_for_hopper(std::unique_ptr<ir::Graph> graph, const std::string& decisions = "") {
  compiler::CompileOptions options;
  options.deterministic = true;
  options.decisions = decisions;
  if (!graph->inputs[0]->type.shape[0].is_constant()) {
    compiler::Profile& profile = options.profiles.emplace_back();
    profile.min["x"] = {1, 64, 10, 10};
    profile.opt["x"] = profile.max["x"] = {3, 64, 10, 10};
  }
  const compiler::Environment environment{world().ops, world().kernels, *world().cuda, nullptr,
                                          world().cpu.get()};
  auto plan = compiler::compile(std::move(graph), options, environment);
  EXPECT_TRUE(plan.ok()) << plan.status().to_string();
  return plan.ok() ? std::move(*plan) : plan::Plan();
}

plan::Plan convolution_for_hopper() {
  static const plan::Plan& plan = *new plan::Plan(made_for_hopper(convolution()));
  return plan;
}

int steps_by(const plan::Program& program, std::string_view kernel) {
  int count = 0;
  for (const plan::Step& step : program.steps) count += step.kernel == kernel;
  return count;
}

kernel::DeviceInfo ampere() {
  kernel::DeviceInfo info = world().cuda->info();
  info.isa = "sm_80";
  return info;
}

Status check(const kernel::Problem& problem) { return opdef::check_problem(world().ops, problem); }

Result<std::string> respecialized(plan::Plan& plan, const kernel::DeviceInfo& device,
                                  const std::vector<Dims>& dims,
                                  const kernel::KernelRegistry& kernels = world().kernels) {
  return runtime::respecialize(plan.program, kernels, device, check, dims);
}

// The emulated GPU runs kernels of every architecture: the program, not the device, is Ampere's.
void run_and_compare(plan::Plan plan, const ir::Graph& graph, const std::vector<Dims>& dims) {
  auto engine = engine_of(std::move(plan));
  ASSERT_TRUE(engine.ok()) << engine.status().to_string();
  auto context = std::move(runtime::ExecutionContext::create(*engine)).value();
  std::vector<ir::Tensor> inputs;
  for (size_t i = 0; i < dims.size(); ++i) {
    inputs.push_back(drawn(dims[i], int(i) + 11));
    ASSERT_TRUE(context->set_input(int(i), inputs[i].data(), dims[i]).ok());
  }
  const Status status = context->run();
  ASSERT_TRUE(status.ok()) << status.to_string();
  auto got = context->output(0);
  ASSERT_TRUE(got.ok()) << got.status().to_string();
  auto expected = eval::interpret(world().ops, graph, inputs);
  ASSERT_TRUE(expected.ok()) << expected.status().to_string();
  ASSERT_EQ(got->count(), (*expected)[0].count());
  for (int64_t i = 0; i < got->count(); ++i) {
    const double a = got->f64(i), e = (*expected)[0].f64(i);
    ASSERT_TRUE(std::fabs(a - e) <= kBound) << "[" << i << "]: got " << a << ", expected " << e;
  }
}

TEST(Respecialize, KernelsOfHopperAreReplacedElsewhere) {
  const ir::Dim any = ir::Dim::symbol("N");
  plan::Plan plan = made_for_hopper(convolution(any));
  ASSERT_EQ(steps_by(plan.program, "cuda.contraction_wgmma"), 1);
  const size_t steps = plan.program.steps.size();
  auto changes = respecialized(plan, ampere(), {{3, 64, 10, 10}});
  ASSERT_TRUE(changes.ok()) << changes.status().to_string();
  EXPECT_THAT(*changes, HasSubstr("made for sm_90a, the device is sm_80: 1 of "));
  EXPECT_EQ(steps_by(plan.program, "cuda.contraction_wgmma"), 0);
  EXPECT_EQ(plan.program.steps.size(), steps);
  for (const int64_t batch : {1, 3}) run_and_compare(plan, *convolution(any), {{batch, 64, 10, 10}});
}

TEST(Respecialize, RegionsThatNobodyTakesWholeBecomeTheirStages) {
  plan::Plan plan =
      made_for_hopper(bottleneck(), R"({"version": 1, "steps": {"y": {"kernel": "cuda.bottleneck_mma"}}})");
  ASSERT_EQ(steps_by(plan.program, "cuda.bottleneck_mma"), 1);
  const size_t steps = plan.program.steps.size();
  auto changes = respecialized(plan, ampere(), {{2, 16, 14, 14}});
  ASSERT_TRUE(changes.ok()) << changes.status().to_string();
  EXPECT_THAT(*changes, HasSubstr("regions in parts"));
  EXPECT_EQ(steps_by(plan.program, "cuda.bottleneck_mma"), 0);
  EXPECT_GE(plan.program.steps.size(), steps + 2);
  run_and_compare(std::move(plan), *bottleneck(), {{2, 16, 14, 14}});
}

TEST(Respecialize, KernelsOfAnotherVersionAreMadeAnew) {
  plan::Plan plan = convolution_for_hopper();
  for (plan::Step& step : plan.program.steps) step.kernel_version += 7;
  auto changes = respecialized(plan, world().cuda->info(), {{3, 64, 10, 10}});
  ASSERT_TRUE(changes.ok()) << changes.status().to_string();
  EXPECT_THAT(*changes, HasSubstr(" is of version "));
  for (const plan::Step& step : plan.program.steps) EXPECT_TRUE(step.artifact.empty()) << step.kernel;
  run_and_compare(std::move(plan), *convolution(), {{3, 64, 10, 10}});
}

TEST(Respecialize, WhatFitsIsLeftAlone) {
  plan::Plan plan = convolution_for_hopper();
  auto changes = respecialized(plan, world().cuda->info(), {{3, 64, 10, 10}});
  ASSERT_TRUE(changes.ok()) << changes.status().to_string();
  EXPECT_EQ(*changes, "");
  EXPECT_EQ(steps_by(plan.program, "cuda.contraction_wgmma"), 1);
  for (const plan::Step& step : plan.program.steps) EXPECT_FALSE(step.artifact.empty()) << step.kernel;
}

TEST(Respecialize, AStepThatNothingTakesIsNamedWithBothArchitectures) {
  kernel::KernelRegistry few;
  cuda::register_copy(few);
  cuda::register_pointwise(few);
  cuda::register_tile_copy(few);
  cuda::register_wgmma(few);
  plan::Plan plan = convolution_for_hopper();
  const Status status = respecialized(plan, ampere(), {{3, 64, 10, 10}}, few).status();
  EXPECT_EQ(status.code(), Code::kIncompatible) << status.to_string();
  for (const char* said : {"(cuda.contraction_wgmma)", "made for sm_90a, the device is sm_80", "no kernel here takes Conv"})
    EXPECT_THAT(status.message(), HasSubstr(said));
}

}  // namespace
}  // namespace planish::cuda_tests
