// Engines, instances and contexts on small text graphs, compiled without measuring.
#include <gtest/gtest.h>

#include <cmath>
#include <thread>

#include "base/text.h"
#include "runtime/layout_copy.h"
#include "runtime/world_testing.h"

namespace planish::runtime {
namespace {

// relu(conv(x)) + x over a symbolic batch and size, then a mean over the pixels.
std::unique_ptr<ir::Graph> small_network() {
  Builder b;
  ir::Graph* g = b.graph.get();
  g->symbols["N"] = {};
  g->symbols["H"] = {};
  const ir::Dim n = ir::Dim::symbol("N"), h = ir::Dim::symbol("H");
  ir::Value* x = g->add_input("x", {DataType::kF32, {n, 8, h, h}});
  ir::Value* w = g->add_constant("w", filled({8, 8, 3, 3}, 3));
  ir::Value* c = b.add("Conv", {x, w}, {{"pads", std::vector<int64_t>{1, 1, 1, 1}}});
  ir::Value* sum = b.add("Add", {b.add("Relu", {c}), x});
  g->outputs = {sum, b.add("GlobalAveragePool", {sum})};
  return std::move(b.graph);
}

// Two channels of a whole of five, channels last: [n][w][c] with 5 elements from pixel to pixel.
TEST(LayoutCopy, PixelsThatLieApart) {
  std::vector<int32_t> whole(2 * 3 * 5);
  for (size_t i = 0; i < whole.size(); ++i) whole[i] = int32_t(i);
  const std::vector<int64_t> dims = {2, 2, 3};  // n, c, w
  std::vector<int32_t> part(12);
  copy_to_row_major(reinterpret_cast<const std::byte*>(whole.data() + 1), ir::Layout::channels_last(3),
                    5 * 4, reinterpret_cast<std::byte*>(part.data()), dims, 4);
  EXPECT_EQ(part, (std::vector<int32_t>{1, 6, 11, 2, 7, 12, 16, 21, 26, 17, 22, 27}));
}

TEST(Engine, EvictsInstancesWhileContextsRun) {
  constexpr int kContexts = 8, kRuns = 12;
  const std::vector<std::vector<int64_t>> shapes = {
      {1, 8, 6, 6}, {2, 8, 5, 5}, {1, 8, 9, 9}, {3, 8, 4, 4}, {1, 8, 7, 7}};
  auto graph = small_network();
  std::vector<Tensor> inputs;
  std::vector<std::vector<Tensor>> expected;
  for (size_t s = 0; s < shapes.size(); ++s) {
    inputs.push_back(filled(shapes[s], s + 1));
    expected.push_back(
        std::move(eval::interpret(world().ops, *graph, std::span(&inputs[s], 1))).value());
  }
  auto engine = make_engine(std::move(graph), /*instance_cache=*/2);
  std::vector<std::thread> threads;
  for (int t = 0; t < kContexts; ++t) {
    threads.emplace_back([&, t] {
      ContextOptions options;
      options.threads = 1 + t % 2;
      auto context = std::move(ExecutionContext::create(engine, options)).value();
      for (int run = 0; run < kRuns; ++run) {
        const size_t s = size_t(t * 3 + run) % shapes.size();
        ASSERT_TRUE(context->set_input(0, inputs[s].data(), shapes[s]).ok());
        const Status status = context->run();
        ASSERT_TRUE(status.ok()) << status.to_string();
        for (int o = 0; o < 2; ++o) expect_close(*context->output(o), expected[s][size_t(o)]);
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_LE(engine->cached_instances(), 2);
}

TEST(Engine, TakesAnEmptyBatch) {
  auto graph = small_network();
  graph->symbols["N"].low = 0;
  expect_same(std::move(graph), {filled({0, 8, 6, 6}, 1)});
}

// Also where nothing will ever be written: a step of no elements is bound to no kernel.
TEST(Engine, RefusesMemoryThatItsDeviceDoesNotHave) {
  const plan::Plan good = make_plan(small_network());
  for (size_t v = 0; v < good.program.values.size(); ++v)
    for (const auto space : {ir::MemorySpace::kPinned, ir::MemorySpace::kDevice}) {
      plan::Plan plan = good;
      plan.program.values[v].type.space = space;
      const auto engine = Engine::create(std::move(plan), world().device, world().kernels, {});
      ASSERT_FALSE(engine.ok()) << good.program.values[v].name;
      EXPECT_EQ(engine.status().code(), Code::kDataLoss) << engine.status().to_string();
    }
}

// A residual beside a blocked result is read like the result: of one channel it is padded, too, and a
// constant, which keeps its order, is none.
TEST(Engine, ReadsResidualsAsTheyLie) {
  for (const int64_t channels : {1, 16})
    for (const bool constant : {false, true}) {
      Builder b;
      ir::Value* x = b.graph->add_input("x", {DataType::kF32, {1, 16, 7, 7}});
      ir::Value* w = b.graph->add_constant("w", filled({channels, 16, 3, 3}, 3));
      const Tensor r = filled({1, channels, 7, 7}, 4);
      ir::Value* residual = constant ? b.graph->add_constant("r", r)
                                     : b.graph->add_input("r", r.type());
      ir::Value* c = b.add("Conv", {x, w}, {{"pads", std::vector<int64_t>{1, 1, 1, 1}}});
      b.graph->outputs = {b.add("Relu", {b.add("Add", {c, residual})})};
      std::vector<Tensor> inputs = {filled({1, 16, 7, 7}, 5)};
      if (!constant) inputs.push_back(r);
      expect_same(std::move(b.graph), inputs);
    }
}

// What data decide must be bound by looking at the results, also where it is half of what was given.
TEST(Engine, BindsDimsThatOnlyDataDecide) {
  for (const std::string op : {"STFT", "DFT"}) {
    Builder b;
    ir::Value* x = b.graph->add_input("x", {DataType::kF32, {1, 20, 1}});
    ir::Value* step = b.graph->add_constant("step", Tensor::scalar_i64(3));
    ir::Value* length = b.graph->add_input("length", {DataType::kI64, {}});
    ir::Value* spectrum =
        op == "STFT" ? b.add(op, {x, step, nullptr, length})
                     : b.add(op, {x, length, b.graph->add_constant("axis", Tensor::scalar_i64(1))},
                             {{"onesided", int64_t(1)}});
    ir::Value* y = b.add("Relu", {b.add("Add", {spectrum, spectrum})});
    b.graph->outputs = {b.add("ReduceSum", {y}), y};
    expect_same(std::move(b.graph), {filled({1, 20, 1}, 2), Tensor::scalar_i64(8)});
  }
}

// Views of what the last step gives have no step behind them that would place them.
// Nobody reads the elements of what gives the dims, so that the shapes alone must keep it in the program.
TEST(Engine, TellsDimsThatOnlyDataDecide) {
  const auto network = [](Builder& b, ir::Value* shape, ir::Value* x) {
    // The dims as data, in arithmetic, and as the shape of something else.
    ir::Value* two = b.graph->add_constant("two", Tensor::scalar_i64(2));
    b.graph->outputs = {shape, b.add("Mul", {shape, two}), b.add("Expand", {x, shape})};
    return std::move(b.graph);
  };
  {
    Builder b;
    ir::Value* dims = b.graph->add_input("dims", {DataType::kI64, {2}});
    ir::Value* x = b.graph->add_input("x", {DataType::kF32, {1, 1}});
    const int64_t sizes[] = {3, 4};
    expect_same(network(b, b.add("Shape", {b.add("ConstantOfShape", {dims})}), x),
                {Tensor::from_i64(DataType::kI64, {2}, sizes), filled({1, 1}, 1)});
  }
  {
    Builder b;
    b.graph->symbols["N"] = {};
    ir::Value* x = b.graph->add_input("x", {DataType::kF32, {ir::Dim::symbol("N"), 4}});
    ir::Value* relu = b.add("Relu", {x});
    ir::Value* found = b.add("Transpose", {b.add("NonZero", {relu})},
                             {{"perm", std::vector<int64_t>{1, 0}}});
    ir::Value* one = b.add("ReduceSum", {x}, {{"keepdims", int64_t(1)}});
    expect_same(network(b, b.add("Shape", {b.add("Neg", {found})}), one), {filled({5, 4}, 2)});
  }
}

TEST(Engine, DeliversViewsOfResultsThatOnlyDataSize) {
  Builder b;
  ir::Value* x = b.graph->add_input("x", {DataType::kF32, {6, 5}});
  const auto vector = [](int64_t v) { return Tensor::vector_i64(std::span(&v, 1)); };
  ir::Value* axes = b.graph->add_constant("axes", vector(0));
  std::vector<Tensor> inputs = {filled({6, 5}, 3)};
  for (const int64_t first : {1, 4, 2}) {
    ir::Value* start = b.graph->add_input(cat("start", first), {DataType::kI64, {1}});
    ir::Value* end = b.graph->add_constant(cat("end", first), vector(6));
    ir::Value* part = b.add("Slice", {x, start, end, axes});
    b.graph->outputs.push_back(b.add("Unsqueeze", {part, axes}));
    inputs.push_back(vector(first));
  }
  expect_same(std::move(b.graph), inputs);
}

TEST(Context, TakesAtMostTheEnginesThreads) {
  auto engine = make_engine(small_network(), 2);
  ContextOptions options;
  options.threads = 3;
  const Status status = ExecutionContext::create(engine, options).status();
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_NE(status.message().find("got 3, expected at most 2"), std::string::npos);
}

TEST(Context, NamesWhatIsWrongWithItsInputs) {
  auto engine = make_engine(small_network(), 2);
  auto context = std::move(ExecutionContext::create(engine)).value();
  EXPECT_EQ(context->run().code(), Code::kFailedPrecondition);
  const Tensor x = filled({1, 8, 6, 5}, 1);
  ASSERT_TRUE(context->set_input(0, x.data(), x.dims()).ok());
  const Status unequal = context->run();
  EXPECT_EQ(unequal.code(), Code::kInvalidArgument);
  EXPECT_NE(unequal.message().find("'x'"), std::string::npos) << unequal.to_string();
  EXPECT_EQ(context->set_input(0, nullptr, {1, 8, 6, 6}).code(), Code::kInvalidArgument);
  EXPECT_EQ(context->set_input(0, x.data(), {1, -8, 6, 6}).code(), Code::kInvalidArgument);
  EXPECT_EQ(context->set_input(0, static_cast<const char*>(x.data()) + 1, {1, 8, 5, 5}).code(),
            Code::kInvalidArgument);
  EXPECT_EQ(context->set_input(1, x.data(), {1}).code(), Code::kInvalidArgument);
  EXPECT_EQ(context->output(0).status().code(), Code::kFailedPrecondition);
}

TEST(Context, ChecksBoundOutputs) {
  auto engine = make_engine(small_network(), 2);
  auto context = std::move(ExecutionContext::create(engine)).value();
  Tensor x = filled({1, 8, 6, 6}, 1);
  ASSERT_TRUE(context->set_input(0, x.data(), x.dims()).ok());
  std::vector<float> small(10);
  ASSERT_TRUE(context->bind_output(0, small.data(), 40).ok());
  EXPECT_EQ(context->run().code(), Code::kInvalidArgument);
  ASSERT_TRUE(context->bind_output(0, x.mutable_data(), x.bytes()).ok());
  const Status overlap = context->run();
  EXPECT_EQ(overlap.code(), Code::kInvalidArgument);
  EXPECT_NE(overlap.message().find("overlaps"), std::string::npos) << overlap.to_string();
  std::vector<float> good(8 * 36, NAN);
  ASSERT_TRUE(context->bind_output(0, good.data(), int64_t(good.size() * 4)).ok());
  ASSERT_TRUE(context->run().ok());
  for (float v : good) EXPECT_FALSE(std::isnan(v));
}

TEST(Context, CancelsAndKeepsDeadlines) {
  auto engine = make_engine(small_network(), 2);
  auto context = std::move(ExecutionContext::create(engine)).value();
  const Tensor x = filled({1, 8, 6, 6}, 1);
  ASSERT_TRUE(context->set_input(0, x.data(), x.dims()).ok());
  std::atomic<bool> cancel{true};
  RunOptions options;
  options.cancel = &cancel;
  EXPECT_EQ(context->run(options).code(), Code::kCancelled);
  RunOptions late;
  late.deadline = std::chrono::steady_clock::now() - std::chrono::seconds(1);
  EXPECT_EQ(context->run(late).code(), Code::kDeadlineExceeded);
  EXPECT_TRUE(context->run().ok());
}

TEST(Compile, SameInputSameBytes) {
  compiler::CompileOptions options;
  options.deterministic = true;
  const compiler::Environment environment{world().ops, world().kernels, *world().device, nullptr};
  auto a = compiler::compile(small_network(), options, environment);
  auto b = compiler::compile(small_network(), options, environment);
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_EQ(a->decisions, b->decisions);
  // The lock file repeats the build; a choice it cannot make is refused by name.
  options.decisions = a->decisions;
  auto again = compiler::compile(small_network(), options, environment);
  ASSERT_TRUE(again.ok()) << again.status().to_string();
  EXPECT_EQ(again->decisions, a->decisions);
  const size_t at = a->decisions.find("\"cpu.");
  ASSERT_NE(at, std::string::npos);
  options.decisions = a->decisions;
  options.decisions.replace(at, 5, "\"no.such.");
  auto refused = compiler::compile(small_network(), options, environment);
  EXPECT_EQ(refused.status().code(), Code::kInvalidArgument);
  EXPECT_NE(refused.status().message().find("no.such"), std::string::npos);
}

}  // namespace
}  // namespace planish::runtime
