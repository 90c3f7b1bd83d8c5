// Branches beside each other on the emulated GPU: captured graphs whose nodes run in any order that their
// edges allow must give what the interpreter gives.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "compiler/compile.h"
#include "compiler/launches.h"
#include "eval/interpreter.h"
#include "fake_world.h"
#include "opdef/infer.h"
#include "ops/case_inputs.h"

namespace planish::cuda_tests {
namespace {

using ir::DataType;

constexpr DataType kType = DataType::kF32;
const std::vector<int64_t> kDims = {1, 8, 6, 6};

ir::Tensor numbers(const std::vector<int64_t>& dims, int seed) {
  opdef::InputCase input{.dtype = kType, .dims = dims, .low = -1, .high = 1, .values = {}};
  return ops::make_input(input, size_t(seed));
}

// Two blocks alike: members of an elided concat from two branches, and a third that joins behind them.
std::unique_ptr<ir::Graph> network() {
  auto graph = std::make_unique<ir::Graph>();
  ir::Graph& g = *graph;
  int weights = 0;
  const auto add = [&](const char* op, std::vector<ir::Value*> inputs, ir::Attributes attrs = {}) {
    opdef::fill_defaults(*world().ops.find(op), attrs);
    ir::Value* v = g.add_node(op, std::move(inputs), std::move(attrs), {{}})->outputs[0];
    EXPECT_TRUE(opdef::infer_graph(world().ops, g).ok()) << op;
    return v;
  };
  const auto conv = [&](ir::Value* x, int64_t from) {
    ++weights;
    ir::Value* w = g.add_constant("w" + std::to_string(weights), numbers({8, from, 1, 1}, weights));
    return add("Relu", {add("Conv", {x, w})});
  };
  ir::Value* x = g.add_input("x", {kType, ir::to_shape(kDims)});
  for (int block = 0; block < 2; ++block) {
    ir::Value* both = add("Concat", {conv(x, 8), conv(conv(conv(x, 8), 8), 8)}, {{"axis", int64_t(1)}});
    ir::Value* pool = add("AveragePool", {x}, {{"kernel_shape", std::vector<int64_t>{3, 3}},
                                                {"pads", std::vector<int64_t>(4, 1)}});
    x = add("Mul", {conv(both, 16), pool});
  }
  g.outputs = {x};
  EXPECT_TRUE(opdef::infer_graph(world().ops, g).ok());
  return graph;
}

plan::Plan with_branches() {
  compiler::CompileOptions options;
  options.deterministic = true;
  const compiler::Environment environment{world().ops, world().kernels, *world().cuda, nullptr,
                                          world().cpu.get()};
  plan::Plan plan = std::move(compiler::compile(network(), options, environment)).value();
  const compiler::Branches branches = compiler::find_branches(plan.program);
  EXPECT_GE(branches.count, 3);
  const auto launches = compiler::launches_on(plan.program, branches.streams);
  for (size_t s = 0; s < launches.size(); ++s) plan.program.steps[s].launch = launches[s];
  return plan;
}

// Whether a run on inputs of this seed gives what the interpreter gives.
bool is_right(runtime::ExecutionContext& context, int seed) {
  const ir::Tensor x = numbers(kDims, seed);
  EXPECT_TRUE(context.set_input(0, x.data(), kDims).ok());
  const Status status = context.run();
  EXPECT_TRUE(status.ok()) << status.to_string();
  auto got = context.output(0);
  auto expected = eval::interpret(world().ops, *network(), std::span(&x, 1));
  EXPECT_TRUE(got.ok() && expected.ok());
  if (!status.ok() || !got.ok() || !expected.ok()) return false;
  for (int64_t i = 0; i < got->count(); ++i)
    if (!(std::fabs(got->f64(i) - (*expected)[0].f64(i)) <= 1e-4)) return false;
  return true;
}

TEST(EmulatedLaunches, AnyOrderOfTheGraphGivesWhatTheInterpreterGives) {
  const std::string cache = (std::filesystem::temp_directory_path() /
                             ("planish_launches_test_" + std::to_string(::getpid()))).string();
  setenv("PLANISH_CUDA_CACHE", cache.c_str(), 1);  // blocks have kernels in common
  auto engine = engine_of(with_branches());
  setenv("PLANISH_CUDA_CACHE", "none", 1);
  std::filesystem::remove_all(cache);
  ASSERT_TRUE(engine.ok()) << engine.status().to_string();
  auto context = std::move(runtime::ExecutionContext::create(*engine)).value();
  constexpr int kOrders = 8;
  for (int order = 0; order < kOrders; ++order) {
    const Fake fake("order=" + std::to_string(order));
    EXPECT_TRUE(is_right(*context, 10 + order)) << order;
  }
  // Without its waits some order goes wrong, or this test would see nothing.
  runtime::ContextOptions options;
  for (const plan::Step& step : (*engine)->program().steps)
    options.launches.push_back({step.launch.stream, {}});
  auto hasty = std::move(runtime::ExecutionContext::create(*engine, options)).value();
  int wrong = 0;
  for (int order = 0; order < kOrders; ++order) {
    const Fake fake("order=" + std::to_string(order));
    wrong += !is_right(*hasty, 20 + order);
  }
  EXPECT_GT(wrong, 0);
}

}  // namespace
}  // namespace planish::cuda_tests
