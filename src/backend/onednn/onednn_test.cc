// oneDNN's kernels in engines whose batch, image size and row count are symbolic: packed once, bound
// at many shapes, on one thread and two. Single problems are the conformance test's affair.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/defs/register_kernels.h"
#include "backend/onednn/onednn_backend.h"
#include "backend/onednn/register_kernels.h"
#include "compiler/compile.h"
#include "eval/interpreter.h"
#include "eval/reference_kernel.h"
#include "opdef/infer.h"
#include "ops/register_ops.h"
#include "runtime/context.h"

extern "C" int omp_get_max_threads(void);
extern "C" void omp_set_num_threads(int count);

namespace planish::onednn {
namespace {

using ir::DataType;
using ir::Tensor;
using testing::HasSubstr;

struct World {
  opdef::OpRegistry ops;
  kernel::KernelRegistry kernels;  // conversions of layouts are the project's own
  std::shared_ptr<backend::Device> device;
  World() {
    ops::register_all_ops(ops);
    make_onednn_backend()->register_kernels(kernels);
    cpu::register_copy_kernels(kernels);
    kernels.add(eval::make_reference_kernel(ops));
    device = std::move(cpu::make_cpu_backend()->device(0, 2)).value();
  }
};
World& world() {
  static World w;
  return w;
}

Tensor filled(std::vector<int64_t> dims, uint64_t seed) {
  Tensor t(DataType::kF32, std::move(dims));
  uint64_t state = seed * 2654435761u + 17;
  for (int64_t i = 0; i < t.count(); ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    t.set_f64(i, double(int64_t(state >> 40) - (1 << 23)) * 0x1p-23);
  }
  return t;
}

// One node over [N, C, H, H] (or [N, C] where there is no image) and its constant weights.
std::unique_ptr<ir::Graph> network(const std::string& op, int64_t channels,
                                   std::vector<int64_t> weights, ir::Attributes attrs,
                                   bool relu = false) {
  auto g = std::make_unique<ir::Graph>();
  g->symbols["N"] = {};
  ir::Shape shape = {ir::Dim::symbol("N"), channels};
  if (op != "MatMul") {
    g->symbols["H"] = {};
    shape.insert(shape.end(), 2, ir::Dim::symbol("H"));
  }
  std::vector<ir::Value*> inputs = {g->add_input("x", {DataType::kF32, shape})};
  if (!weights.empty()) inputs.push_back(g->add_constant("w", filled(std::move(weights), 3)));
  const auto add = [&](const std::string& name, std::vector<ir::Value*> from, ir::Attributes with) {
    opdef::fill_defaults(*world().ops.find(name), with);
    ir::Node* node = g->add_node(name, std::move(from), std::move(with), {ir::TensorType{}});
    const Status s = opdef::infer_node(world().ops, *node);
    EXPECT_TRUE(s.ok()) << s.to_string();
    return node->outputs[0];
  };
  g->outputs = {add(op, inputs, std::move(attrs))};
  if (relu) g->outputs = {add("Relu", g->outputs, {})};
  return g;
}

plan::Plan compiled(std::unique_ptr<ir::Graph> graph) {
  compiler::CompileOptions options;
  options.deterministic = true;
  auto plan = compiler::compile(std::move(graph), options,
                                {world().ops, world().kernels, *world().device, nullptr});
  EXPECT_TRUE(plan.ok()) << plan.status().to_string();
  return std::move(*plan);
}

// The step of that kernel; the test fails without one.
plan::Step* step_of(plan::Plan& plan, const std::string& kernel) {
  for (plan::Step& step : plan.program.steps)
    if (step.kernel == kernel) return &step;
  std::string steps;
  for (const plan::Step& step : plan.program.steps) steps += step.kernel + " ";
  ADD_FAILURE() << "no step runs " << kernel << " but: " << steps;
  return nullptr;
}

void expect_right(std::unique_ptr<ir::Graph> graph, const std::string& kernel,
                  const std::vector<std::vector<int64_t>>& shapes) {
  std::vector<Tensor> inputs, expected;
  for (size_t s = 0; s < shapes.size(); ++s) {
    inputs.push_back(filled(shapes[s], s + 11));
    auto outputs = eval::interpret(world().ops, *graph, std::span(&inputs[s], 1));
    ASSERT_TRUE(outputs.ok()) << outputs.status().to_string();
    expected.push_back((*outputs)[0]);
  }
  plan::Plan plan = compiled(std::move(graph));
  ASSERT_NE(step_of(plan, kernel), nullptr);
  auto engine = runtime::Engine::create(std::move(plan), world().device, world().kernels, {});
  ASSERT_TRUE(engine.ok()) << engine.status().to_string();
  for (const int threads : {1, 2}) {
    runtime::ContextOptions options;
    options.threads = threads;
    auto context = std::move(runtime::ExecutionContext::create(*engine, options)).value();
    for (size_t s = 0; s < shapes.size(); ++s) {
      ASSERT_TRUE(context->set_input(0, inputs[s].data(), shapes[s]).ok());
      const Status status = context->run();
      ASSERT_TRUE(status.ok()) << status.to_string();
      const Tensor got = *context->output(0);
      ASSERT_EQ(got.dims(), expected[s].dims());
      for (int64_t i = 0; i < got.count(); ++i)
        ASSERT_TRUE(std::fabs(got.f64(i) - expected[s].f64(i)) <= 2e-4)
            << "shape " << s << ", element " << i << ": got " << got.f64(i) << ", expected "
            << expected[s].f64(i);
    }
  }
}

const std::vector<int64_t> kPads = {1, 1, 1, 1};
bool has_winograd() { return world().device->info().isa == "avx512"; }

TEST(Onednn, OneImageSizeIsPackedForAndManyAreRun) {
  expect_right(network("Conv", 32, {64, 32, 3, 3}, {{"pads", kPads}}, /*relu=*/true),
               has_winograd() ? "onednn.conv_winograd_f32" : "onednn.conv_direct_f32",
               {{1, 32, 64, 64}, {2, 32, 7, 7}, {1, 32, 65, 65}, {3, 32, 14, 14}, {1, 32, 1, 1}});
}

// Equal weights, equal tactics: for a fixed size Winograd's weights alone are packed, for a symbolic one
// the direct algorithm's as well, and engines share what is packed alike.
TEST(Onednn, FixedAndSymbolicSizesArePackedApart) {
  if (!has_winograd()) GTEST_SKIP() << "oneDNN's Winograd needs AVX-512";
  const auto make = [] { return network("Conv", 32, {64, 32, 3, 3}, {{"pads", kPads}}); };
  auto graph = make();
  graph->inputs[0]->type.shape = {1, 32, 64, 64};  // the size that symbolic images are packed for
  ASSERT_TRUE(opdef::infer_graph(world().ops, *graph).ok());
  plan::Plan plan = compiled(std::move(graph));
  plan::Plan symbolic = compiled(make());
  plan::Step* step = step_of(plan, "onednn.conv_winograd_f32");
  plan::Step* other = step_of(symbolic, "onednn.conv_winograd_f32");
  ASSERT_TRUE(step && other);
  ASSERT_EQ(step->tactic, other->tactic);
  const auto fixed = runtime::Engine::create(std::move(plan), world().device, world().kernels, {});
  ASSERT_TRUE(fixed.ok()) << fixed.status().to_string();
  expect_right(make(), "onednn.conv_winograd_f32", {{1, 32, 14, 14}, {1, 32, 64, 64}});
}

TEST(Onednn, GroupsThatAreNoWholeBlocksRunRowMajor) {
  expect_right(network("Conv", 12, {20, 3, 3, 3}, {{"pads", kPads}, {"group", int64_t(4)}}, true),
               "onednn.conv_direct_f32", {{1, 12, 64, 64}, {2, 12, 5, 5}, {1, 12, 19, 19}});
}

TEST(Onednn, ChannelsThatFillNoBlock) {
  const std::vector<int64_t> strides = {2, 2};
  expect_right(network("Conv", 20, {40, 20, 5, 5}, {{"strides", strides}}),
               "onednn.conv_direct_f32", {{1, 20, 64, 64}, {2, 20, 9, 9}});
}

TEST(Onednn, AveragePools) {
  const std::vector<int64_t> window = {3, 3}, strides = {2, 2};
  expect_right(network("AveragePool", 48, {},
                       {{"kernel_shape", window}, {"strides", strides}, {"pads", kPads},
                        {"ceil_mode", int64_t(1)}}),
               "onednn.pool_f32", {{1, 48, 64, 64}, {2, 48, 8, 8}, {1, 48, 3, 3}});
}

TEST(Onednn, MatrixProductsOfAnyRowCount) {
  expect_right(network("MatMul", 40, {40, 30}, {}, /*relu=*/true), "onednn.matmul_f32",
               {{1, 40}, {5, 40}, {64, 40}});
}

// What a tampered plan asks for is refused, not written behind a buffer's end.
TEST(Onednn, RefusesTacticsThatDoNotFit) {
  for (const char* tactic : {"parts=64,x=64,y=64", "parts=0,x=64,y=64", "parts=3,x=64,y=64",
                             "parts=2,x=2147483647,y=2147483647"}) {
    plan::Plan plan = compiled(network("Conv", 32, {64, 32, 1, 1}, {}));
    plan::Step* step = step_of(plan, "onednn.conv_direct_f32");
    ASSERT_NE(step, nullptr);
    step->tactic = *kernel::Tactic::parse(tactic);
    const auto engine = runtime::Engine::create(plan, world().device, world().kernels, {});
    if (std::string_view(tactic).ends_with("2147483647")) continue;  // no crash is all we ask
    EXPECT_FALSE(engine.ok()) << tactic;
    EXPECT_THAT(engine.status().message(), HasSubstr("parts of 64 channels"));
  }
}

TEST(Onednn, PackedWeightsOfAnotherSizeAreRefused) {
  plan::Plan plan = compiled(network("Conv", 32, {64, 32, 1, 1}, {}));
  plan::Step* step = step_of(plan, "onednn.conv_direct_f32");
  ASSERT_NE(step, nullptr);
  step->packed.resize(64);
  const auto engine = runtime::Engine::create(plan, world().device, world().kernels, {});
  ASSERT_TRUE(engine.ok()) << engine.status().to_string();
  auto context = std::move(runtime::ExecutionContext::create(*engine)).value();
  const Tensor x = filled({1, 32, 8, 8}, 1);
  ASSERT_TRUE(context->set_input(0, x.data(), x.dims()).ok());
  const Status status = context->run();
  EXPECT_EQ(status.code(), Code::kDataLoss) << status.to_string();
}

TEST(Onednn, LeavesTheHostsThreadCountAlone) {
  omp_set_num_threads(3);
  expect_right(network("MatMul", 8, {8, 6}, {}), "onednn.matmul_f32", {{2, 8}});
  EXPECT_EQ(omp_get_max_threads(), 3);
  omp_set_num_threads(1);
}

}  // namespace
}  // namespace planish::onednn
