// If, Loop and Scan whose bodies are programs: their steps run on kernels, and the results are the
// interpreter's.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "base/text.h"
#include "ops/all_cases.h"
#include "ops/case_inputs.h"
#include "plan/plan_file.h"
#include "runtime/world_testing.h"

namespace planish::runtime {
namespace {

ir::GraphPtr shared(Builder& body) { return ir::GraphPtr(std::move(body.graph)); }

std::vector<ir::Value*> add_control(Builder& b, std::string op, std::vector<ir::Value*> inputs,
                                    ir::Attributes attrs, int outputs) {
  opdef::fill_defaults(*world().ops.find(op), attrs);
  ir::Node* node = b.graph->add_node(op, std::move(inputs), std::move(attrs),
                                     std::vector<ir::TensorType>(size_t(outputs)));
  node->sources = {op};
  const Status s = opdef::infer_node(world().ops, *node);
  EXPECT_TRUE(s.ok()) << s.to_string();
  return node->outputs;
}

const ir::TensorType kScalarInt{DataType::kI64, {}}, kScalarBool{DataType::kBool, {}};

// A step of a small recurrence: state = tanh(state w + x), condition = any trip count; scans the state.
ir::GraphPtr recurrent_body(const ir::Shape& state) {
  Builder b;
  b.graph->add_input("i", kScalarInt);
  ir::Value* condition = b.graph->add_input("c", kScalarBool);
  ir::Value* s = b.graph->add_input("s", {DataType::kF32, state});
  ir::Value* x = b.graph->add_input("x", {DataType::kF32, state});
  ir::Value* w = b.graph->add_constant("w", filled({16, 16}, 5));
  ir::Value* next = b.add("Tanh", {b.add("Add", {b.add("MatMul", {s, w}), x})});
  b.graph->outputs = {condition, next, next};  // one value, given twice
  return shared(b);
}

// Over f32[N, 16] states; outputs: last state, all states.
std::unique_ptr<ir::Graph> recurrent_network() {
  Builder b;
  b.graph->symbols["N"] = {};
  const ir::Shape state = {ir::Dim::symbol("N"), 16};
  ir::Value* trips = b.graph->add_input("trips", kScalarInt);
  ir::Value* s = b.graph->add_input("s", {DataType::kF32, state});
  ir::Value* x = b.graph->add_input("x", {DataType::kF32, state});
  const auto out = add_control(b, "Loop", {trips, nullptr, b.add("Relu", {s}), x},
                               {{"body", recurrent_body(state)}, {"carried", int64_t(1)}}, 2);
  b.graph->outputs = {b.add("Relu", {out[0]}), out[1]};
  return std::move(b.graph);
}

std::vector<std::string> body_kernels(const plan::Program& program) {
  std::vector<std::string> names;
  for (const plan::Step& step : program.steps)
    for (const plan::Body& body : step.bodies)
      plan::for_each_step(*body.program,
                          [&](const plan::Step& one) { names.push_back(one.kernel); });
  return names;
}

TEST(Bodies, RunOnKernels) {
  const auto engine = make_engine(recurrent_network(), 2);
  const auto kernels = body_kernels(engine->program());
  EXPECT_NE(std::find(kernels.begin(), kernels.end(), "cpu.matmul_f32"), kernels.end())
      << join(kernels);
  EXPECT_EQ(std::find(kernels.begin(), kernels.end(), "ref"), kernels.end()) << join(kernels);
  for (const int64_t trips : {0, 1, 7})
    expect_same(recurrent_network(),
                {Tensor::scalar_i64(trips), filled({3, 16}, 1), filled({3, 16}, 2)});
}

// A plan that is saved and loaded runs the same; a body's choices go into the decisions and come back.
TEST(Bodies, SurviveThePlanFileAndTheDecisions) {
  compiler::CompileOptions options;
  options.deterministic = true;
  const compiler::Environment environment{world().ops, world().kernels, *world().device};
  auto plan = compiler::compile(recurrent_network(), options, environment);
  ASSERT_TRUE(plan.ok()) << plan.status().to_string();
  const auto bytes = plan::serialize(*plan);
  ASSERT_TRUE(bytes.ok()) << bytes.status().to_string();
  auto back = plan::read_plan(*bytes, nullptr);
  ASSERT_TRUE(back.ok()) << back.status().to_string();
  EXPECT_EQ(body_kernels(back->program), body_kernels(plan->program));
  auto engine = Engine::create(std::move(*back), world().device, world().kernels);
  ASSERT_TRUE(engine.ok()) << engine.status().to_string();
  EXPECT_GE((*engine)->weight_bytes(), 16 * 16 * 4);
  options.decisions = plan->decisions;
  auto again = compiler::compile(recurrent_network(), options, environment);
  ASSERT_TRUE(again.ok()) << again.status().to_string();
  EXPECT_EQ(again->decisions, plan->decisions);
  const size_t at = options.decisions.find("cpu.matmul_f32");
  ASSERT_NE(at, std::string::npos);
  options.decisions.replace(at, 3, "nix");
  again = compiler::compile(recurrent_network(), options, environment);
  EXPECT_EQ(again.status().code(), Code::kInvalidArgument);
  EXPECT_NE(again.status().message().find("nix.matmul_f32"), std::string::npos)
      << again.status().to_string();
}

// Largest constant of the graphs that a program's steps carry beside their programs, in elements.
int64_t largest_in_attributes(const plan::Program& program) {
  int64_t largest = 0;
  plan::for_each_step(program, [&](const plan::Step& step) {
    for (const kernel::Stage& stage : step.problem.stages)
      for (const auto& [key, attribute] : stage.attrs) {
        const auto* graph = std::get_if<ir::GraphPtr>(&attribute);
        if (!graph) continue;
        for (const auto& [id, value] : (*graph)->values())
          if (value->constant) largest = std::max(largest, value->constant->count());
      }
  });
  return largest;
}

// Every case of an op that holds bodies, through an engine and through the interpreter.
TEST(Bodies, GiveWhatTheInterpreterGives) {
  int checked = 0;
  for (const opdef::OpCase& c : ops::all_cases()) {
    if (!world().ops.find(c.op)->has_subgraphs) continue;
    SCOPED_TRACE(cat(c.op, ".", c.name));
    Builder b;
    std::vector<ir::Value*> operands;
    std::vector<Tensor> inputs;
    for (size_t i = 0; i < c.inputs.size(); ++i) {
      const Tensor t = ops::make_input(c.inputs[i], i + 1);
      if (c.inputs[i].absent) {
        operands.push_back(nullptr);
      } else if (c.inputs[i].constant) {
        operands.push_back(b.graph->add_constant(cat("c", i), t));
      } else {
        operands.push_back(b.graph->add_input(cat("x", i), t.type()));
        inputs.push_back(t);
      }
    }
    ir::Attributes attrs;
    for (const auto& [key, value] : c.attrs) attrs[key] = ir::clone(value);
    b.graph->outputs = add_control(b, c.op, operands, std::move(attrs), c.output_count);
    expect_same(std::move(b.graph), inputs);
    ++checked;
  }
  EXPECT_GT(checked, 30);
}

// Weights stand in the program that computes with them and nowhere else, whatever the nesting.
TEST(Bodies, HoldTheirWeightsOnce) {
  constexpr int64_t kSize = 64, kWeightBytes = kSize * kSize * 4;
  Builder inner;
  ir::Value* s = inner.graph->add_input("s", {DataType::kF32, {1, kSize}});
  ir::Value* x = inner.graph->add_input("x", {DataType::kF32, {1, kSize}});
  ir::Value* w = inner.graph->add_constant("w", filled({kSize, kSize}, 5));
  ir::Value* next = inner.add("Tanh", {inner.add("Add", {inner.add("MatMul", {s, w}), x})});
  inner.graph->outputs = {next};
  const ir::GraphPtr scan_body = shared(inner);
  Builder outer;
  outer.graph->add_input("i", kScalarInt);
  ir::Value* condition = outer.graph->add_input("c", kScalarBool);
  ir::Value* state = outer.graph->add_input("s", {DataType::kF32, {1, kSize}});
  ir::Value* rows = outer.graph->add_input("rows", {DataType::kF32, {3, 1, kSize}});
  ir::Value* bias = outer.graph->add_constant("bias", filled({8, kSize}, 6));
  const auto last = add_control(outer, "Scan", {state, rows},
                                {{"body", scan_body}, {"num_scan_inputs", int64_t(1)},
                                 {"states", int64_t(1)}}, 1);
  outer.graph->outputs = {condition, last[0], bias};
  const ir::GraphPtr loop_body = shared(outer);
  const auto network = [&] {
    Builder b;
    ir::Value* trips = b.graph->add_input("trips", kScalarInt);
    ir::Value* start = b.graph->add_input("s", {DataType::kF32, {1, kSize}});
    ir::Value* values = b.graph->add_input("rows", {DataType::kF32, {3, 1, kSize}});
    b.graph->outputs = add_control(b, "Loop", {trips, nullptr, start, values},
                                   {{"body", ir::GraphPtr(loop_body->clone())},
                                    {"carried", int64_t(1)}}, 2);
    return std::move(b.graph);
  };
  compiler::CompileOptions options;
  options.deterministic = true;
  auto plan = compiler::compile(network(), options, {world().ops, world().kernels, *world().device});
  ASSERT_TRUE(plan.ok()) << plan.status().to_string();
  EXPECT_LE(largest_in_attributes(plan->program), 256);
  const auto bytes = plan::serialize(*plan);
  ASSERT_TRUE(bytes.ok()) << bytes.status().to_string();
  EXPECT_LT(int64_t(bytes->size()), 2 * kWeightBytes);
  // The loaded plan checks the ops' types, nested ones included, and computes with the real weights.
  auto back = plan::read_plan(*bytes, nullptr);
  ASSERT_TRUE(back.ok()) << back.status().to_string();
  auto engine = Engine::create(std::move(*back), world().device, world().kernels);
  ASSERT_TRUE(engine.ok()) << engine.status().to_string();
  auto context = std::move(ExecutionContext::create(*engine)).value();
  const std::vector<Tensor> inputs = {Tensor::scalar_i64(2), filled({1, kSize}, 1),
                                      filled({3, 1, kSize}, 2)};
  const auto expected = eval::interpret(world().ops, *network(), inputs);
  ASSERT_TRUE(expected.ok()) << expected.status().to_string();
  for (size_t i = 0; i < inputs.size(); ++i)
    ASSERT_TRUE(context->set_input(int(i), inputs[i].data(), inputs[i].dims()).ok());
  const Status status = context->run();
  ASSERT_TRUE(status.ok()) << status.to_string();
  for (int o = 0; o < 2; ++o) expect_close(*context->output(o), (*expected)[size_t(o)]);
}

// A condition that data decide, a carried value that grows, and rows captured from outside.
TEST(Bodies, GrowWhatTheyCarry) {
  Builder body;
  ir::Value* i = body.graph->add_input("i", kScalarInt);
  body.graph->add_input("c", kScalarBool);
  ir::Value* rows = body.graph->add_input("rows", {DataType::kF32, {1, 3}});
  ir::Value* row = body.graph->add_input("row", {DataType::kF32, {1, 3}});
  ir::Value* limit = body.graph->add_input("limit", kScalarInt);
  ir::Value* more = body.add("Concat", {rows, row}, {{"axis", int64_t(0)}});
  body.graph->outputs = {body.add("Less", {i, limit}), more, body.add("Sigmoid", {row})};
  const ir::GraphPtr graph = shared(body);
  for (const int64_t end : {0, 3, 20}) {
    Builder b;
    ir::Value* first = b.graph->add_input("row", {DataType::kF32, {1, 3}});
    ir::Value* last = b.graph->add_input("limit", kScalarInt);
    const auto out = add_control(
        b, "Loop", {nullptr, nullptr, first, b.add("Exp", {first}), last},
        {{"body", ir::GraphPtr(graph->clone())}, {"carried", int64_t(1)}}, 2);
    b.graph->outputs = out;
    expect_same(std::move(b.graph), {filled({1, 3}, 4), Tensor::scalar_i64(end)});
  }
}

TEST(Bodies, BranchesAreChosenByData) {
  for (const bool taken : {false, true}) {
    Builder one, other;
    ir::Value* x = one.graph->add_input("x", {DataType::kF32, {2, 8}});
    one.graph->outputs = {one.add("MatMul", {x, one.graph->add_constant("w", filled({8, 8}, 1))})};
    ir::Value* y = other.graph->add_input("y", {DataType::kF32, {2, 8}});
    other.graph->outputs = {other.add("Softmax", {y}, {{"axis", int64_t(-1)}})};
    Builder b;
    ir::Value* condition = b.graph->add_input("condition", kScalarBool);
    ir::Value* input = b.graph->add_input("x", {DataType::kF32, {2, 8}});
    b.graph->outputs = add_control(
        b, "If", {condition, input, input},
        {{"then_branch", shared(one)}, {"else_branch", shared(other)}}, 1);
    Tensor flag(DataType::kBool, {});
    flag.set_i64(0, taken);
    expect_same(std::move(b.graph), {flag, filled({2, 8}, 3)});
  }
}

// A scan inside of a loop: contexts within contexts, on one team.
TEST(Bodies, NestAndScan) {
  Builder scan;
  ir::Value* sum = scan.graph->add_input("sum", {DataType::kF32, {4}});
  ir::Value* x = scan.graph->add_input("x", {DataType::kF32, {4}});
  ir::Value* next = scan.add("Add", {sum, scan.add("Tanh", {x})});
  scan.graph->outputs = {next, next};
  Builder loop;
  loop.graph->add_input("i", kScalarInt);
  ir::Value* condition = loop.graph->add_input("c", kScalarBool);
  ir::Value* carried = loop.graph->add_input("carried", {DataType::kF32, {4}});
  ir::Value* values = loop.graph->add_input("values", {DataType::kF32, {5, 4}});
  const auto inner = add_control(
      loop, "Scan", {carried, values},
      {{"body", shared(scan)}, {"num_scan_inputs", int64_t(1)}, {"states", int64_t(1)}}, 2);
  loop.graph->outputs = {condition, inner[0], inner[1]};
  Builder b;
  ir::Value* trips = b.graph->add_input("trips", kScalarInt);
  ir::Value* start = b.graph->add_input("start", {DataType::kF32, {4}});
  ir::Value* rows = b.graph->add_input("rows", {DataType::kF32, {5, 4}});
  b.graph->outputs = add_control(b, "Loop", {trips, nullptr, start, rows},
                                 {{"body", shared(loop)}, {"carried", int64_t(1)}}, 2);
  auto again = b.graph->clone();
  int depth = 0;
  const auto engine = make_engine(std::move(again), 2);
  for (const plan::Program* p = &engine->program(); p;) {
    const plan::Program* below = nullptr;
    for (const plan::Step& step : p->steps)
      for (const plan::Body& one : step.bodies) below = one.program.get();
    depth += below != nullptr;
    p = below;
  }
  EXPECT_EQ(depth, 2);
  expect_same(std::move(b.graph),
              {Tensor::scalar_i64(3), filled({4}, 1), filled({5, 4}, 2)});
}

// An endless loop ends when it is told to, also where its body has nothing that could be asked.
TEST(Bodies, AreCancelledAndKeepDeadlines) {
  for (const bool empty : {false, true}) {
    Builder body;
    body.graph->add_input("i", kScalarInt);
    ir::Value* condition = body.graph->add_input("c", kScalarBool);
    ir::Value* s = body.graph->add_input("s", {DataType::kF32, {4}});
    body.graph->outputs = {condition, empty ? s : body.add("Tanh", {s})};
    Builder b;
    ir::Value* start = b.graph->add_input("s", {DataType::kF32, {4}});
    b.graph->outputs = add_control(b, "Loop", {nullptr, nullptr, start},
                                   {{"body", shared(body)}, {"carried", int64_t(1)}}, 1);
    auto context = std::move(ExecutionContext::create(make_engine(std::move(b.graph), 2))).value();
    const Tensor x = filled({4}, 1);
    ASSERT_TRUE(context->set_input(0, x.data(), x.dims()).ok());
    RunOptions late;
    late.deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(20);
    EXPECT_EQ(context->run(late).code(), Code::kDeadlineExceeded);
    std::atomic<bool> cancel{false};
    RunOptions options;
    options.cancel = &cancel;
    std::thread other([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      cancel = true;
    });
    EXPECT_EQ(context->run(options).code(), Code::kCancelled);
    other.join();
  }
}

// A plan is not trusted: a body that gives something else than its graph ends in a typed error.
TEST(Bodies, ThatLieAreRefused) {
  compiler::CompileOptions options;
  options.deterministic = true;
  auto plan = compiler::compile(recurrent_network(), options,
                                {world().ops, world().kernels, *world().device});
  ASSERT_TRUE(plan.ok()) << plan.status().to_string();
  size_t control = 0;
  while (plan->program.steps[control].bodies.empty()) ++control;
  const auto status_with = [&](auto&& change) {
    plan::Plan forged = *plan;
    auto body = std::make_shared<plan::Program>(*forged.program.steps[control].bodies[0].program);
    change(forged.program.steps[control], *body);
    if (!forged.program.steps[control].bodies.empty())
      forged.program.steps[control].bodies[0].program = body;
    auto engine = Engine::create(std::move(forged), world().device, world().kernels);
    if (!engine.ok()) return engine.status();
    auto context = std::move(ExecutionContext::create(*engine)).value();
    const std::vector<Tensor> inputs = {Tensor::scalar_i64(2), filled({3, 16}, 1),
                                        filled({3, 16}, 2)};
    for (size_t i = 0; i < inputs.size(); ++i)
      EXPECT_TRUE(context->set_input(int(i), inputs[i].data(), inputs[i].dims()).ok());
    return context->run();
  };
  EXPECT_TRUE(status_with([](plan::Step&, plan::Program&) {}).ok());
  const auto refused = [&](auto&& change, std::string_view part) {
    const Status status = status_with(change);
    EXPECT_EQ(status.code(), Code::kDataLoss) << status.to_string();
    EXPECT_NE(status.message().find(part), std::string::npos) << status.to_string();
  };
  refused([](plan::Step& step, plan::Program&) { step.bodies.clear(); }, "has 0 bodies");
  refused([](plan::Step& step, plan::Program&) { step.kernel = "ref"; }, "runs 0");
  refused([](plan::Step&, plan::Program& body) { body.outputs.pop_back(); body.output_names.pop_back(); },
          "gave 2 results, expected 3");
  refused([](plan::Step&, plan::Program& body) { body.outputs[0] = body.inputs[0]; }, "result 0");
}

}  // namespace
}  // namespace planish::runtime
