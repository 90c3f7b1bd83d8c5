// The public C++ API from a user's side: networks by hand, builds, engines, contexts, callbacks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <numeric>
#include <set>
#include <stdexcept>
#include <thread>

#include "planish/c/build.h"
#include "planish/planish.h"

namespace planish {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

Tensor iota(std::vector<int64_t> dims) {
  Tensor tensor = *Tensor::create(DataType::kF32, std::move(dims));
  auto* data = static_cast<float*>(tensor.mutable_data());
  for (int64_t i = 0; i < tensor.count(); ++i) data[i] = float(i % 7) - 3;
  return tensor;
}

// y = relu(x w), h = x w; several matrix products deep when asked.
Network make_mlp(int depth = 1) {
  Network network = Network::create("mlp");
  Value x = *network.add_input("x", DataType::kF32, {"N", 4});
  for (int i = 0; i < depth; ++i) {
    const Value w = *network.add_constant("w" + std::to_string(i), iota({4, 4}));
    const Value h = *network.add_op("MatMul", {x, w}, {}, "h" + std::to_string(i));
    x = *network.add_op("Relu", {h}, {}, i + 1 == depth ? "y" : "r" + std::to_string(i));
  }
  EXPECT_TRUE(network.mark_output(x).ok());
  return network;
}

BuildOptions quick() {
  BuildOptions options;
  options.deterministic = true;
  options.timing_cache = "";
  return options;
}

Engine make_engine(const Network& network, const EngineOptions& options = {}) {
  auto plan = build(network, quick());
  EXPECT_TRUE(plan.ok()) << plan.status().to_string();
  auto engine = plan->engine(options);
  EXPECT_TRUE(engine.ok()) << engine.status().to_string();
  return *engine;
}

std::vector<float> values_of(const Tensor& tensor) {
  return {tensor.data_as<float>(), tensor.data_as<float>() + tensor.count()};
}

TEST(Network, AnswersQuestions) {
  Network network = make_mlp();
  network.set_metadata("author", "me");
  EXPECT_EQ(network.name(), "mlp");
  EXPECT_EQ(network.node_count(), 2);
  EXPECT_EQ(to_string(network.inputs()[0]), "f32[N, 4]");
  EXPECT_EQ(network.outputs()[0].name, "y");
  EXPECT_EQ(to_string(network.outputs()[0]), "f32[N, 4]");
  EXPECT_EQ(network.weight_bytes(), 64);
  EXPECT_EQ(network.metadata().at("author"), "me");
  EXPECT_THAT(network.to_text(), HasSubstr("MatMul"));
}

TEST(Network, TextReadsBack) {
  const Network network = make_mlp(2);
  const std::string text = network.to_text(true);
  const auto again = Network::parse(text);
  ASSERT_TRUE(again.ok()) << again.status().to_string();
  EXPECT_EQ(again->to_text(true), text);
}

TEST(Network, NamesMistakes) {
  Network network = make_mlp();
  const Value x = *network.find("x");
  const auto no_op = network.add_op("MatMull", {x});
  EXPECT_EQ(no_op.status().code(), Code::kUnsupported);
  EXPECT_THAT(no_op.status().message(), HasSubstr("did you mean 'MatMul'"));
  const auto no_attribute = network.add_op("Relu", {x}, {{"alpha", 1.0}});
  EXPECT_THAT(no_attribute.status().message(), HasSubstr("no attribute 'alpha'"));
  const auto bad_kind = network.add_op("Softmax", {x}, {{"axis", std::string("one")}});
  EXPECT_THAT(bad_kind.status().message(), HasSubstr("axis"));
  const auto taken = network.add_input("x", DataType::kF32, {1});
  EXPECT_THAT(taken.status().message(), HasSubstr("taken"));
  const auto foreign = network.add_op("Relu", {Value{12345}});
  EXPECT_THAT(foreign.status().message(), HasSubstr("not of this network"));
  const auto shapes = network.add_op("MatMul", {x, *network.add_constant("c", iota({3, 3}))});
  EXPECT_EQ(shapes.status().code(), Code::kInvalidArgument);
  EXPECT_EQ(network.node_count(), 2) << "a refused op leaves nothing behind";
  EXPECT_EQ(network.find("xx").status().code(), Code::kNotFound);
  EXPECT_FALSE(network.add_input("z", DataType::kF32, {"N +"}).ok());
}

TEST(Network, WithoutOutputsIsNotBuilt) {
  Network network = Network::create("empty");
  EXPECT_THAT(build(network, quick()).status().message(), HasSubstr("no outputs"));
}

TEST(Network, AnyValueCanBeAnOutput) {
  Network network = make_mlp(2);
  ASSERT_TRUE(network.mark_output("h0").ok());
  ASSERT_TRUE(network.mark_output(*network.find("x"), "same_as_x").ok());
  const Engine engine = make_engine(network);
  Context context = *Context::create(engine);
  const Tensor x = iota({2, 4});
  ASSERT_TRUE(context.set_input("x", x).ok());
  ASSERT_TRUE(context.run().ok());
  EXPECT_EQ(values_of(*context.output("same_as_x")), values_of(x));
  const auto expected = network.interpret({x});
  ASSERT_TRUE(expected.ok());
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(values_of(*context.output(i)), values_of((*expected)[size_t(i)])) << i;
}

TEST(Limits, TheOneThatIsHitIsNamed) {
  ImportOptions options;
  options.limits.max_file_bytes = 100;
  const auto network = Network::load_onnx("examples/digits/digits.onnx", options);
  EXPECT_EQ(network.status().code(), Code::kResourceExhausted);
  EXPECT_THAT(network.status().message(), HasSubstr("100"));
}

TEST(Build, SameInputSameBytes) {
  const auto a = build(make_mlp(3), quick()), b = build(make_mlp(3), quick());
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(a->data()), a->bytes()),
            std::string(reinterpret_cast<const char*>(b->data()), b->bytes()));
}

TEST(Build, SaysWhereItsTimeWent) {
  const auto plan = build(make_mlp(3), quick());
  ASSERT_TRUE(plan.ok());
  std::set<std::string> names;
  for (const BuildPhase& phase : plan->phases()) {
    EXPECT_TRUE(names.insert(phase.name).second) << phase.name;
    EXPECT_GE(phase.seconds, 0) << phase.name;
  }
  for (const char* name : {"passes", "device", "candidates", "emit", "encode"})
    EXPECT_TRUE(names.count(name)) << name;
}

TEST(Build, DecisionsGoRound) {
  const auto first = build(make_mlp(2), quick());
  ASSERT_TRUE(first.ok());
  BuildOptions options = quick();
  options.decisions = first->decisions();
  const auto second = build(make_mlp(2), options);
  ASSERT_TRUE(second.ok()) << second.status().to_string();
  EXPECT_EQ(first->decisions(), second->decisions());
  options.decisions = "{not json";
  EXPECT_EQ(build(make_mlp(2), options).status().code(), Code::kInvalidArgument);
}

TEST(Build, FixedShapesBindSymbols) {
  BuildOptions options = quick();
  options.shapes["x"] = {8, 4};
  const auto plan = build(make_mlp(), options);
  ASSERT_TRUE(plan.ok()) << plan.status().to_string();
  EXPECT_EQ(to_string(plan->engine()->outputs()[0]), "f32[8, 4]");
  options.shapes["x"] = {8, 5};
  EXPECT_THAT(build(make_mlp(), options).status().message(), HasSubstr("dim 1 is 5"));
  options.shapes = {{"z", {1}}};
  EXPECT_THAT(build(make_mlp(), options).status().message(), HasSubstr("inputs are x"));
}

TEST(Build, RefusesOptionsThatDoNotFit) {
  const auto message = [](auto&& change) {
    BuildOptions options = quick();
    change(options);
    const auto plan = build(make_mlp(), options);
    EXPECT_FALSE(plan.ok());
    return plan.status().message();
  };
  EXPECT_THAT(message([](BuildOptions& o) { o.device = "tpu"; }), HasSubstr("'tpu'"));
  EXPECT_THAT(message([](BuildOptions& o) { o.threads = -1; }), HasSubstr("-1"));
  EXPECT_THAT(message([](BuildOptions& o) { o.allow_libraries = true; }),
              HasSubstr("allow_libraries: device 'cpu' has no library to allow, expected a GPU"));
  EXPECT_THAT(message([](BuildOptions& o) { o.time_budget_s = NAN; }), HasSubstr("time_budget"));
  EXPECT_THAT(message([](BuildOptions& o) { o.disabled_passes = {"fold_constant"}; }),
              HasSubstr("did you mean 'fold_constants'"));
  EXPECT_THAT(message([](BuildOptions& o) {
                o.profiles.push_back({{"x", {{1, 4}, {9, 4}, {8, 4}}}});
              }),
              HasSubstr("min <= opt <= max"));
}

// Weights, their packed form and the arena at the largest shapes that the build knows.
TEST(Build, KeepsTheMemoryCapOrRefusesWithFigures) {
  BuildOptions options = quick();
  options.max_memory_bytes = 4096;
  EXPECT_TRUE(build(make_mlp(3), options).ok());
  options.profiles = {{{"x", {{1, 4}, {2, 4}, {1000, 4}}}}};
  const auto refused = build(make_mlp(3), options);
  EXPECT_EQ(refused.status().code(), Code::kResourceExhausted);
  EXPECT_THAT(refused.status().message(),
              AllOf(HasSubstr("'x' [1000, 4]"), HasSubstr("weights 64 (most: 'w0' with 64)"),
                    HasSubstr("(most: workspace of step 0"), HasSubstr("max_memory is 4096")));
  options.max_memory_bytes = 0;
  const auto plan = build(make_mlp(3), options);
  ASSERT_TRUE(plan.ok()) << plan.status().to_string();
  const auto memory = plan->engine()->memory({{1000, 4}});
  ASSERT_TRUE(memory.ok());
  const int64_t taken = memory->weight_bytes + memory->packed_bytes + memory->arena_bytes;
  options.max_memory_bytes = taken;
  EXPECT_TRUE(build(make_mlp(3), options).ok());
  options.max_memory_bytes = taken - 1;
  EXPECT_EQ(build(make_mlp(3), options).status().code(), Code::kResourceExhausted);
}

// What a GPU has and a CPU has not is refused by name.
TEST(Context, OfACpuTakesTheHostsMemoryOnly) {
  const Engine engine = make_engine(make_mlp());
  EXPECT_EQ(engine.device_state().status().code(), Code::kUnsupported);
  EXPECT_EQ(engine.allocate(64, MemorySpace::kDevice).status().code(), Code::kInvalidArgument);
  const auto memory = engine.allocate(64, MemorySpace::kHost);
  ASSERT_TRUE(memory.ok()) << memory.status().to_string();
  auto context = Context::create(engine);
  ASSERT_TRUE(context.ok());
  EXPECT_EQ(context->stream(), nullptr);
  const Status refused = context->set_input(0, memory->get(), {4, 4}, MemorySpace::kDevice);
  EXPECT_EQ(refused.code(), Code::kInvalidArgument);
  EXPECT_THAT(refused.message(), HasSubstr("input 'x': device memory for device 'cpu'"));
  EXPECT_EQ(context->bind_output(0, memory->get(), 64, MemorySpace::kDevice).code(),
            Code::kInvalidArgument);
  EngineOptions options;
  options.max_device_memory_bytes = -1;
  EXPECT_EQ(build(make_mlp(), quick())->engine(options).status().code(), Code::kInvalidArgument);
}

TEST(Build, TakesCapsThroughTheCApi) {
  planish_network* network = nullptr;
  ASSERT_EQ(planish_network_load_onnx("examples/digits/digits.onnx", nullptr, &network), PLANISH_OK);
  planish_build_options options;
  planish_build_options_init(&options);
  options.deterministic = 1;
  options.timing_cache = "";
  const auto refusal = [&](int64_t max_workspace, int64_t max_memory) -> std::string {
    options.max_workspace_bytes = max_workspace;
    options.max_memory_bytes = max_memory;
    planish_plan* plan = nullptr;
    const planish_code code = planish_build(network, &options, &plan);
    planish_plan_free(plan);
    if (code == PLANISH_OK) return "";
    EXPECT_EQ(code, PLANISH_RESOURCE_EXHAUSTED);
    return planish_error_message();
  };
  EXPECT_EQ(refusal(1 << 20, 1 << 20), "");
  // oneDNN's primitives, where the library is there, need none for these shapes.
  const std::string tight = refusal(1, 0);
  EXPECT_TRUE(tight.empty() || tight.find("max_workspace = 1 bytes") != tight.npos) << tight;
  EXPECT_THAT(refusal(0, 1000), HasSubstr("max_memory is 1000"));
  planish_network_free(network);
}

TEST(Build, ProgressRisesAndCancels) {
  BuildOptions options = quick();
  double last = 0;
  bool rises = true;
  options.progress = [&](const BuildProgress& p) {
    rises &= p.fraction >= last && p.fraction <= 1;
    last = p.fraction;
    return true;
  };
  ASSERT_TRUE(build(make_mlp(4), options).ok());
  EXPECT_TRUE(rises);
  EXPECT_EQ(last, 1);
  options.progress = [](const BuildProgress&) { return false; };
  EXPECT_EQ(build(make_mlp(4), options).status().code(), Code::kCancelled);
  options.progress = nullptr;
  options.cancel.cancel();
  EXPECT_EQ(build(make_mlp(4), options).status().code(), Code::kCancelled);
}

TEST(Build, AThrowingCallbackIsAStatus) {
  BuildOptions options = quick();
  options.progress = [](const BuildProgress&) -> bool { throw std::runtime_error("no more"); };
  const auto plan = build(make_mlp(), options);
  EXPECT_THAT(plan.status().message(), HasSubstr("no more"));
}

TEST(Build, ConsumesAnRvalueAndGivesTheSamePlan) {
  auto network = Network::load_onnx("examples/digits/digits.onnx");
  const auto copied = build(*network, quick());
  const auto moved = build(std::move(*network), quick());
  ASSERT_TRUE(copied.ok() && moved.ok());
  const auto bytes = [](const Plan& plan) {
    return std::vector<std::byte>(plan.data(), plan.data() + plan.bytes());
  };
  EXPECT_EQ(bytes(*moved), bytes(*copied));
}

TEST(Build, PackedWeightsGiveTheSameResults) {
  const auto network = Network::load_onnx("examples/digits/digits.onnx");
  BuildOptions options = quick();
  const auto plain = build(*network, options);
  options.packed_weights = true;
  const auto packed = build(*network, options);
  ASSERT_TRUE(plain.ok() && packed.ok());
  EXPECT_GT(packed->bytes(), plain->bytes());
  const Tensor x = iota({3, 1, 8, 8});
  std::vector<std::vector<float>> results;
  for (const Plan* plan : {&*plain, &*packed}) {
    Context context = *Context::create(*plan->engine());
    ASSERT_TRUE(context.set_input(0, x.data(), x.dims()).ok());
    ASSERT_TRUE(context.run().ok());
    results.push_back(values_of(*context.output(0)));
  }
  EXPECT_EQ(results[0], results[1]);
}

TEST(Build, BodiesRunOnKernels) {
  const auto body = [](const std::string& op) {
    auto network = std::make_shared<Network>(Network::create(op));
    const Value x = *network->add_input("x", DataType::kF32, {2, 4});
    EXPECT_TRUE(network->mark_output(*network->add_op(op, {x})).ok());
    return network;
  };
  Network network = Network::create("branches");
  const Value taken = *network.add_input("taken", DataType::kBool, {});
  const Value x = *network.add_input("x", DataType::kF32, {2, 4});
  const auto y = network.add_op("If", {taken, x, x},
                                {{"then_branch", body("Relu")}, {"else_branch", body("Neg")}}, "y");
  ASSERT_TRUE(y.ok()) << y.status().to_string();
  ASSERT_TRUE(network.mark_output(*y).ok());
  const Engine engine = make_engine(network);
  const std::string json = *engine.describe_json();
  EXPECT_THAT(json, HasSubstr("then_branch"));
  EXPECT_THAT(json, HasSubstr("cpu.pointwise"));
  Context context = *Context::create(engine);
  const Tensor values = iota({2, 4});
  for (const bool flag : {true, false}) {
    Tensor condition = *Tensor::create(DataType::kBool, {});
    *static_cast<bool*>(condition.mutable_data()) = flag;
    ASSERT_TRUE(context.set_input("taken", condition).ok());
    ASSERT_TRUE(context.set_input("x", values).ok());
    ASSERT_TRUE(context.run().ok());
    const auto expected = network.interpret({condition, values});
    ASSERT_TRUE(expected.ok());
    EXPECT_EQ(values_of(*context.output(0)), values_of((*expected)[0]));
  }
}

TEST(Plan, SavesAndLoads) {
  const auto plan = build(make_mlp(), quick());
  const std::string path = testing::TempDir() + "/api_test.plan";
  ASSERT_TRUE(plan->save(path).ok());
  EXPECT_TRUE(is_plan_file(path));
  EXPECT_FALSE(is_plan_file("examples/digits/digits.onnx"));
  const auto engine = Engine::load(path);
  ASSERT_TRUE(engine.ok()) << engine.status().to_string();
  EXPECT_EQ(engine->metadata().at("planish.version"), version());
  EngineOptions options;
  options.max_plan_bytes = 10;
  EXPECT_EQ(Engine::load(path, options).status().code(), Code::kResourceExhausted);
  std::filesystem::remove(path);
  EXPECT_EQ(Engine::load(path).status().code(), Code::kNotFound);
  EXPECT_EQ(plan->save("/nowhere/at/all.plan").ok(), false);
  EXPECT_FALSE(Engine::load("not a plan", 10).ok());
}

TEST(Engine, ReportsMemoryAndJson) {
  const Engine engine = make_engine(make_mlp(3));
  const auto memory = engine.memory({{16, 4}});
  ASSERT_TRUE(memory.ok()) << memory.status().to_string();
  EXPECT_GE(memory->arena_bytes, memory->lower_bound_bytes);
  EXPECT_GE(memory->sum_bytes, memory->arena_bytes);
  EXPECT_GT(memory->weight_bytes, 0);
  const auto json = engine.describe_json({{16, 4}});
  ASSERT_TRUE(json.ok());
  for (const char* key : {"\"steps\"", "\"memory\"", "\"arena_bytes\"", "\"considered\""})
    EXPECT_THAT(*json, HasSubstr(key));
  EXPECT_FALSE(engine.memory({{16, 5}}).ok());
  EXPECT_FALSE(engine.memory({}).ok());
}

TEST(Context, RunsAnyBatch) {
  const Network network = make_mlp(2);
  const Engine engine = make_engine(network);
  Context context = *Context::create(engine);
  for (const int64_t batch : {1, 5, 64, 2, 5}) {
    const Tensor x = iota({batch, 4});
    ASSERT_TRUE(context.set_input("x", x).ok());
    const Status status = context.run();
    ASSERT_TRUE(status.ok()) << batch << ": " << status.to_string();
    EXPECT_EQ(values_of(*context.output(0)), values_of((*network.interpret({x}))[0])) << batch;
  }
  const Tensor none = iota({0, 4});
  ASSERT_TRUE(context.set_input("x", none).ok());
  EXPECT_THAT(context.run().message(), HasSubstr("N must be at least 1"));
}

TEST(Context, NamesMistakes) {
  const Engine engine = make_engine(make_mlp());
  Context context = *Context::create(engine);
  EXPECT_EQ(context.run().code(), Code::kFailedPrecondition);
  EXPECT_EQ(context.output(0).status().code(), Code::kFailedPrecondition);
  EXPECT_FALSE(context.output(7).ok());
  EXPECT_FALSE(context.set_input(7, nullptr, {}).ok());
  EXPECT_THAT(context.set_input("z", iota({1})).message(), HasSubstr("there is: x"));
  EXPECT_THAT(context.set_input("x", *Tensor::create(DataType::kI64, {1, 4})).message(),
              HasSubstr("got i64, expected f32"));
  EXPECT_FALSE(context.set_input(0, nullptr, {1, 4}).ok());
  float x[8] = {};
  EXPECT_FALSE(context.set_input(0, reinterpret_cast<char*>(x) + 1, {1, 4}).ok());
  EXPECT_FALSE(context.set_input(0, x, {-1, 4}).ok());
  EXPECT_FALSE(context.set_input(0, x, {int64_t(1) << 62, 4}).ok());
  ASSERT_TRUE(context.set_input(0, x, {1, 5}).ok());  // judged when it runs
  EXPECT_THAT(context.run().message(), HasSubstr("'x'"));
  ASSERT_TRUE(context.set_input(0, x, {4}).ok());
  EXPECT_FALSE(context.run().ok());
  ASSERT_TRUE(context.set_input(0, x, {2, 4}).ok());
  EXPECT_TRUE(context.run().ok()) << "a refused run leaves the context usable";
}

TEST(Context, WritesBoundMemory) {
  const Engine engine = make_engine(make_mlp());
  Context context = *Context::create(engine);
  const Tensor x = iota({2, 4});
  std::vector<float> y(8 + 1, 1234);
  ASSERT_TRUE(context.set_input("x", x).ok());
  ASSERT_TRUE(context.bind_output(0, y.data(), 32).ok());
  ASSERT_TRUE(context.run().ok());
  EXPECT_EQ(context.output(0)->data(), y.data());
  EXPECT_EQ(y[8], 1234);
  ASSERT_TRUE(context.bind_output(0, y.data(), 31).ok());
  EXPECT_THAT(context.run().message(), HasSubstr("32"));
  EXPECT_FALSE(context.bind_output(0, y.data(), -1).ok());
  // An output over an input would be read after it is written.
  ASSERT_TRUE(context.bind_output(0, const_cast<void*>(x.data()), 32).ok());
  EXPECT_THAT(context.run().message(), HasSubstr("overlaps"));
  ASSERT_TRUE(context.bind_output(0, nullptr, 0).ok());
  EXPECT_TRUE(context.run().ok());
}

TEST(Context, AsksTheOutputAllocator) {
  const Engine engine = make_engine(make_mlp());
  Context context = *Context::create(engine);
  const Tensor x = iota({3, 4});
  ASSERT_TRUE(context.set_input("x", x).ok());
  std::vector<float> memory(64);
  int64_t asked = 0;
  ASSERT_TRUE(context.set_output_allocator([&](int, int64_t bytes) {
    asked = bytes;
    return memory.data();
  }).ok());
  ASSERT_TRUE(context.run().ok());
  EXPECT_EQ(asked, 48);
  EXPECT_EQ(context.output(0)->data(), memory.data());
  ASSERT_TRUE(context.set_output_allocator([](int, int64_t) -> void* { return nullptr; }).ok());
  EXPECT_TRUE(context.run().ok()) << "null falls back to the context's own memory";
  ASSERT_TRUE(context.set_output_allocator([](int, int64_t) -> void* {
    throw std::runtime_error("allocator says no");
  }).ok());
  EXPECT_THAT(context.run().message(), HasSubstr("allocator says no"));
  ASSERT_TRUE(context.set_output_allocator(nullptr).ok());
  EXPECT_TRUE(context.run().ok());
}

TEST(Context, CallbacksSeeStepsAndMayThrow) {
  const Engine engine = make_engine(make_mlp(2));
  Context context = *Context::create(engine);
  const Tensor x = iota({2, 4});
  ASSERT_TRUE(context.set_input("x", x).ok());
  std::vector<int> steps;
  std::vector<std::string> names;
  RunOptions options;
  options.profiler = [&](const StepTiming& t) { steps.push_back(t.step); };
  options.observer = [&](std::string_view name, const Tensor& value) {
    names.emplace_back(name);
    EXPECT_GT(value.count(), 0);
  };
  ASSERT_TRUE(context.run(options).ok());
  EXPECT_EQ(steps.size(), engine.steps().size());
  EXPECT_THAT(names, testing::Contains("y"));
  EXPECT_EQ(context.step_costs().size(), engine.steps().size());
  options.profiler = [](const StepTiming&) { throw std::runtime_error("bad profiler"); };
  EXPECT_THAT(context.run(options).message(), HasSubstr("bad profiler"));
  EXPECT_TRUE(context.run().ok());
}

TEST(Context, CancelAndDeadline) {
  const Engine engine = make_engine(make_mlp(3));
  Context context = *Context::create(engine);
  const Tensor x = iota({2, 4});
  ASSERT_TRUE(context.set_input("x", x).ok());
  RunOptions options;
  options.cancel.cancel();
  EXPECT_EQ(context.run(options).code(), Code::kCancelled);
  RunOptions late;
  late.deadline = std::chrono::steady_clock::now() - std::chrono::seconds(1);
  EXPECT_EQ(context.run(late).code(), Code::kDeadlineExceeded);
  EXPECT_TRUE(context.run().ok());
}

TEST(Context, AsyncRunsAndKeepsOthersOut) {
  const Engine engine = make_engine(make_mlp(3));
  const Tensor x = iota({2, 4});  // borrowed until the last run has ended, in the context's destructor
  Context context = *Context::create(engine);
  ASSERT_TRUE(context.set_input("x", x).ok());
  std::atomic<bool> started{false}, release{false};
  RunOptions options;
  options.profiler = [&](const StepTiming&) {
    started = true;
    while (!release) std::this_thread::yield();
  };
  auto future = context.run_async(options);
  while (!started) std::this_thread::yield();
  EXPECT_EQ(context.run().code(), Code::kFailedPrecondition);
  EXPECT_EQ(context.run_async().get().code(), Code::kFailedPrecondition);
  EXPECT_FALSE(context.output(0).ok());
  EXPECT_FALSE(context.set_input("x", x).ok());
  release = true;
  EXPECT_TRUE(future.get().ok());
  EXPECT_TRUE(context.output(0).ok());
  auto last = context.run_async();  // the destructor waits for it
}

TEST(Context, OutlivesItsEngine) {
  auto engine = std::make_unique<Engine>(make_engine(make_mlp()));
  Context context = *Context::create(*engine);
  engine.reset();
  const Tensor x = iota({2, 4});
  ASSERT_TRUE(context.set_input("x", x).ok());
  EXPECT_TRUE(context.run().ok());
}

struct CountingHost {
  std::atomic<int> loops{0}, allocations{0}, live{0};
  int64_t limit = INT64_MAX;
};

TEST(Host, ItsThreadsAreUsed) {
  Network network = Network::create("wide");  // enough work to share
  const Value input = *network.add_input("x", DataType::kF32, {256, 256});
  const Value weights = *network.add_constant("w", iota({256, 256}));
  ASSERT_TRUE(network.mark_output(*network.add_op("MatMul", {input, weights})).ok());
  BuildOptions build_options = quick();
  build_options.threads = 2;
  const Engine engine = *build(network, build_options)->engine();
  CountingHost host;
  ContextOptions options;
  options.parallel_for = HostParallelFor{
      2, &host,
      [](void* context, int64_t count, void (*task)(void*, int64_t), void* task_context) {
        ++static_cast<CountingHost*>(context)->loops;
        std::thread other([&] {
          for (int64_t i = 1; i < count; i += 2) task(task_context, i);
        });
        for (int64_t i = 0; i < count; i += 2) task(task_context, i);
        other.join();
      }};
  Context context = *Context::create(engine, options);
  const Tensor x = iota({256, 256});
  ASSERT_TRUE(context.set_input("x", x).ok());
  ASSERT_TRUE(context.run().ok());
  EXPECT_GT(host.loops, 0);
  EXPECT_EQ(values_of(*context.output(0)), values_of((*network.interpret({x}))[0]));
  options.parallel_for->run = nullptr;
  EXPECT_FALSE(Context::create(engine, options).ok());
}

TEST(Host, ItsAllocatorIsUsedAndMayRefuse) {
  CountingHost host;
  EngineOptions options;
  options.allocator = HostAllocator{
      [](void* user, size_t bytes, size_t alignment) -> void* {
        auto& self = *static_cast<CountingHost*>(user);
        if (int64_t(bytes) > self.limit) return nullptr;
        ++self.allocations;
        ++self.live;
        return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
      },
      [](void* user, void* memory, size_t) {
        --static_cast<CountingHost*>(user)->live;
        std::free(memory);
      },
      &host};
  {
    const Engine engine = make_engine(make_mlp(2), options);
    Context context = *Context::create(engine);
    const Tensor x = iota({1000, 4});
    ASSERT_TRUE(context.set_input("x", x).ok());
    host.limit = 100;
    EXPECT_EQ(context.run().code(), Code::kResourceExhausted);
    host.limit = INT64_MAX;
    ASSERT_TRUE(context.run().ok());
    EXPECT_GT(host.allocations, 0);
  }
  EXPECT_EQ(host.live, 0);
}

TEST(Host, TakesTheLog) {
  std::vector<std::string> lines;
  set_log_callback([&](LogLevel, std::string_view line) { lines.emplace_back(line); });
  set_log_level(LogLevel::kTrace);
  EXPECT_EQ(log_level(), LogLevel::kTrace);
  (void)make_engine(make_mlp());
  set_log_callback(nullptr);
  set_log_level(LogLevel::kWarning);
  for (const std::string& line : lines) EXPECT_EQ(line.find('\n'), std::string::npos);
}

TEST(Host, OpensADeviceAheadOrSaysWhyNot) {
  EXPECT_TRUE(open_device("cpu").ok());
  EXPECT_EQ(open_device("toaster").code(), Code::kNotFound);
  EXPECT_EQ(open_device("cpu:x").code(), Code::kInvalidArgument);
  EXPECT_TRUE(open_device_async("cpu").get().ok());
  EXPECT_EQ(open_device_async("toaster").get().code(), Code::kNotFound);
  (void)open_device_async("toaster");  // nobody asks
}

TEST(Host, ListsDevices) {
  bool cpu = false;
  for (const DeviceDesc& device : devices()) {
    cpu |= device.kind == "cpu" && device.available && device.threads > 0;
    EXPECT_TRUE(device.available || !device.reason.empty()) << device.kind;
  }
  EXPECT_TRUE(cpu);
}

TEST(Verify, FindsTheBundledModelGood) {
  const auto network = Network::load_onnx("examples/digits/digits.onnx");
  ASSERT_TRUE(network.ok()) << network.status().to_string();
  const auto report = verify(*network, make_engine(*network));
  ASSERT_TRUE(report.ok()) << report.status().to_string();
  EXPECT_TRUE(report->good);
  EXPECT_EQ(report->first_drift, -1);
  EXPECT_GT(report->layers.size(), 0u);
}

TEST(Verify, FindsAnotherNetworksEngineBad) {
  Network other = Network::create("other");
  const Value x = *other.add_input("x", DataType::kF32, {"N", 4});
  ASSERT_TRUE(other.mark_output(*other.add_op("Neg", {x}, {}, "y")).ok());
  const auto report = verify(make_mlp(), make_engine(other));
  ASSERT_TRUE(report.ok()) << report.status().to_string();
  EXPECT_FALSE(report->good);
}

TEST(Verify, AWrongExpectationFails) {
  const Network network = make_mlp();
  VerifyOptions options;
  options.inputs = {iota({2, 4})};
  options.expected = {*Tensor::create(DataType::kF32, {2, 4})};  // zeros: wrong
  const auto report = verify(network, make_engine(network), options);
  ASSERT_TRUE(report.ok());
  EXPECT_TRUE(report->outputs[0].good);
  EXPECT_FALSE(report->expected[0].good);
  EXPECT_FALSE(report->good);
}

TEST(Lifetime, ManyCyclesLeaveNothingBehind) {
  const Network network = make_mlp();
  const auto plan = build(network, quick());
  const Tensor x = iota({2, 4});
  for (int i = 0; i < 1000; ++i) {
    const auto engine = plan->engine();
    ASSERT_TRUE(engine.ok());
    Context context = *Context::create(*engine, {.threads = 1, .parallel_for = {}});
    ASSERT_TRUE(context.set_input("x", x).ok());
    ASSERT_TRUE(context.run().ok());
  }
}

}  // namespace
}  // namespace planish
