#include "plan_road.h"

#include <chrono>
#include <optional>

#include "backend/cpu/cpu_backend.h"
#include "base/text.h"
#include "compiler/compile.h"
#include "eval/control_kernel.h"
#include "eval/reference_kernel.h"
#include "opdef/check_problem.h"
#include "opdef/infer.h"
#include "ops/case_inputs.h"
#include "ops/register_ops.h"
#include "plan/plan_file.h"
#include "runtime/context.h"

namespace planish::plan {

World::World() {
  ops::register_all_ops(ops);
  auto backend = cpu::make_cpu_backend();
  backend->register_kernels(kernels);
  kernels.add(eval::make_reference_kernel(ops));
  kernels.add(eval::make_control_kernel(ops));
  device = std::move(backend->device(0, 1)).value();
}
World& world() {
  static World w;
  return w;
}

Result<Program> compiled(std::unique_ptr<ir::Graph> graph, bool exact) {
  compiler::CompileOptions options;
  options.deterministic = true;
  options.fp32_exact = exact;
  PLANISH_ASSIGN_OR_RETURN(
      Plan plan, compiler::compile(std::move(graph), options,
                                   {world().ops, world().kernels, *world().device, nullptr}));
  return std::move(plan.program);
}

namespace {

// Builds graphs node by node.
struct Builder {
  std::unique_ptr<ir::Graph> graph = std::make_unique<ir::Graph>();

  ir::Value* input(std::string name, ir::Shape shape) {
    for (const ir::Dim& d : shape)
      for (const std::string& symbol : d.symbols()) graph->symbols[symbol] = {};
    return graph->add_input(std::move(name), {ir::DataType::kF32, std::move(shape)});
  }
  ir::Value* weights(std::vector<int64_t> dims) {
    opdef::InputCase drawn;
    drawn.dims = std::move(dims);
    return graph->add_constant("w", ops::make_input(drawn, graph->values().size() + 1));
  }
  ir::Value* add(const std::string& op, std::vector<ir::Value*> inputs, ir::Attributes attrs = {}) {
    opdef::fill_defaults(*world().ops.find(op), attrs);
    ir::Node* node = graph->add_node(op, std::move(inputs), std::move(attrs), {ir::TensorType{}});
    const Status s = opdef::infer_node(world().ops, *node);
    PLANISH_CHECK(s.ok(), s.to_string());
    return node->outputs[0];
  }
  ir::Value* conv(ir::Value* x, std::vector<int64_t> dims, int64_t pad, int64_t group = 1) {
    const int64_t out = dims[0];
    return add("Conv", {x, weights(std::move(dims)), weights({out})},
               {{"pads", std::vector<int64_t>(4, pad)}, {"group", group}});
  }
};

}  // namespace

std::vector<std::pair<std::string, std::unique_ptr<ir::Graph>>> networks() {
  std::vector<std::pair<std::string, std::unique_ptr<ir::Graph>>> out;
  const ir::Dim n = ir::Dim::symbol("N"), h = ir::Dim::symbol("H");
  const auto keep = [&](std::string name, Builder& b, std::vector<ir::Value*> outputs) {
    b.graph->outputs = std::move(outputs);
    out.emplace_back(std::move(name), std::move(b.graph));
  };
  {
    Builder b;
    ir::Value* x = b.input("x", {n, 16, h, h});
    ir::Value* c = b.add("Relu", {b.add("Add", {b.conv(x, {16, 16, 3, 3}, 1), x})});
    ir::Value* d = b.add("Concat", {b.conv(c, {16, 16, 1, 1}, 0), b.conv(c, {32, 16, 3, 3}, 1)},
                         {{"axis", int64_t(1)}});
    ir::Value* p = b.add("MaxPool", {d}, {{"kernel_shape", std::vector<int64_t>{2, 2}},
                                          {"strides", std::vector<int64_t>{2, 2}}});
    ir::Value* flat = b.add("Flatten", {b.add("GlobalAveragePool", {p})});
    keep("residual", b, {b.add("Softmax", {b.add("MatMul", {flat, b.weights({48, 10})})}), c});
  }
  {
    Builder b;
    ir::Value* x = b.input("x", {1, 3, 9, 9});
    ir::Value* c = b.add("Sigmoid", {b.conv(x, {24, 3, 3, 3}, 1)});
    ir::Value* e = b.add("Clip", {b.conv(c, {48, 24, 1, 1}, 0), b.weights({}), b.weights({})});
    ir::Value* d = b.add("Relu", {b.conv(e, {48, 1, 3, 3}, 1, 48)});
    keep("bottleneck", b, {b.add("Add", {b.conv(d, {24, 48, 1, 1}, 0), c})});
  }
  {
    Builder b;
    ir::Value* x = b.input("x", {5, 2, 6});
    keep("lstm", b, {b.add("LSTM", {x, b.weights({1, 32, 6}), b.weights({1, 32, 8}),
                                    b.weights({1, 64})}, {{"hidden_size", int64_t(8)}})});
  }
  {
    Builder b;
    ir::Value* x = b.input("x", {n, 7, 12});
    ir::Value* scale = b.weights({12});
    ir::Value* y = b.add("LayerNormalization", {x, scale, b.weights({12})});
    ir::Value* q = b.add("Add", {b.add("MatMul", {y, b.weights({12, 20})}), b.weights({20})});
    ir::Value* t = b.add("Transpose", {q}, {{"perm", std::vector<int64_t>{0, 2, 1}}});
    keep("norm", b, {b.add("MatMul", {t, b.add("Tanh", {x})}), b.add("Exp", {q})});
  }
  return out;
}

std::unique_ptr<ir::Graph> control_network() {
  const auto as_body = [](Builder& b, std::vector<ir::Value*> outputs) {
    b.graph->outputs = std::move(outputs);
    return ir::GraphPtr(std::move(b.graph));
  };
  const auto add = [](Builder& b, const std::string& op, std::vector<ir::Value*> inputs,
                      ir::Attributes attrs, size_t outputs) {
    opdef::fill_defaults(*world().ops.find(op), attrs);
    ir::Node* node = b.graph->add_node(op, std::move(inputs), std::move(attrs),
                                       std::vector<ir::TensorType>(outputs));
    const Status s = opdef::infer_node(world().ops, *node);
    PLANISH_CHECK(s.ok(), s.to_string());
    return node->outputs;
  };
  const ir::TensorType integer{ir::DataType::kI64, {}}, boolean{ir::DataType::kBool, {}};
  Builder scan;
  ir::Value* sum = scan.input("sum", {4});
  ir::Value* next = scan.add("Add", {sum, scan.add("Tanh", {scan.input("x", {4})})});
  const ir::GraphPtr scan_body = as_body(scan, {next, next});
  Builder loop;
  loop.graph->add_input("i", integer);
  ir::Value* condition = loop.graph->add_input("c", boolean);
  ir::Value* state = loop.input("state", {4});
  ir::Value* rows = loop.input("rows", {5, 4});
  const auto scanned = add(loop, "Scan", {state, loop.add("MatMul", {rows, loop.weights({4, 4})})},
                           {{"body", scan_body}, {"num_scan_inputs", int64_t(1)},
                            {"states", int64_t(1)}}, 2);
  const ir::GraphPtr loop_body = as_body(loop, {condition, scanned[0], scanned[1]});
  Builder one, other;
  const ir::GraphPtr then_branch = as_body(one, {one.add("Relu", {one.input("a", {4})})});
  const ir::GraphPtr else_branch = as_body(other, {other.add("Exp", {other.input("b", {4})})});
  Builder b;
  ir::Value* flag = b.graph->add_input("flag", boolean);
  ir::Value* start = b.input("start", {4});
  ir::Value* values = b.input("values", {5, 4});
  ir::Value* trips = b.graph->add_constant("trips", ir::Tensor::scalar_i64(3));
  const auto looped = add(b, "Loop", {trips, nullptr, start, values},
                          {{"body", loop_body}, {"carried", int64_t(1)}}, 2);
  const auto chosen =
      add(b, "If", {flag, looped[0], looped[0]},
          {{"then_branch", then_branch}, {"else_branch", else_branch}}, 1);
  b.graph->outputs = {chosen[0], looped[1]};
  return std::move(b.graph);
}

Result<std::unique_ptr<ir::Graph>> graph_of(const opdef::OpCase& c, bool constants, Feeds& feeds) {
  auto graph = std::make_unique<ir::Graph>();
  std::vector<ir::Value*> operands;
  for (size_t i = 0; i < c.inputs.size(); ++i) {
    const ir::Tensor t = ops::make_input(c.inputs[i], i + 1);
    if (t.count() > RunLimits{}.most_elements) return unsupported("a large case");
    if (c.inputs[i].absent) operands.push_back(nullptr);
    else if (c.inputs[i].constant || (constants && i > 0))
      operands.push_back(graph->add_constant(cat("c", i), t));
    else operands.push_back(graph->add_input(cat("x", i), t.type()));
    feeds.insert_or_assign(cat("x", i), t);
  }
  ir::Attributes attrs;
  for (const auto& [key, value] : c.attrs) attrs[key] = ir::clone(value);
  opdef::fill_defaults(*world().ops.find(c.op), attrs);
  ir::Node* node = graph->add_node(c.op, operands, attrs,
                                   std::vector<ir::TensorType>(size_t(c.output_count)));
  PLANISH_RETURN_IF_ERROR(opdef::infer_graph(world().ops, *graph));
  graph->outputs = node->outputs;
  return graph;
}

namespace {

// Dims for the engine's inputs: 3 for what is symbolic. Nullopt: too much to run.
std::optional<std::vector<std::vector<int64_t>>> input_dims(const Program& p, int64_t most) {
  const ir::Dim::Lookup three = [](std::string_view) { return 3; };
  for (const ProgramValue& v : p.values) {
    int64_t count = 1;
    for (const ir::Dim& d : v.type.shape) {
      const auto size = d.evaluate(three);
      if (!size || *size < 0 || *size > most) return std::nullopt;
      count *= std::max<int64_t>(1, *size);
      if (count > most) return std::nullopt;
    }
  }
  std::vector<std::vector<int64_t>> out;
  for (int v : p.inputs) {
    std::vector<int64_t>& dims = out.emplace_back();
    for (const ir::Dim& d : p.values[size_t(v)].type.shape) dims.push_back(*d.evaluate(three));
  }
  return out;
}

// Some step's bodies are interpreted, which no deadline ends.
bool interprets_bodies(const Program& p) {
  bool found = false;
  for_each_step(p, [&](const Step& step) {
    for (const kernel::Stage& stage : step.problem.stages)
      if (const opdef::OpDef* op = world().ops.find(stage.op); op && op->has_subgraphs)
        found |= step.bodies.empty();
  });
  return found;
}

}  // namespace

Status load_and_run(const std::vector<std::byte>& bytes, const Feeds& feeds,
                    const RunLimits& limits) {
  PLANISH_ASSIGN_OR_RETURN(Plan plan, read_plan(bytes, nullptr));
  runtime::EngineOptions options;
  options.max_memory = limits.max_memory;
  options.check_problem = [](const kernel::Problem& problem) {
    return opdef::check_problem(world().ops, problem);
  };
  PLANISH_ASSIGN_OR_RETURN(auto engine, runtime::Engine::create(std::move(plan), world().device,
                                                                world().kernels, options));
  const auto dims = input_dims(engine->program(), limits.most_elements);
  if (!dims) return unsupported("too large for a test");
  PLANISH_RETURN_IF_ERROR(engine->instance(*dims).status());
  // A forged trip count may run for ever; bodies are checked with the problem.
  if (interprets_bodies(engine->program())) return ok_status();
  PLANISH_ASSIGN_OR_RETURN(auto context, runtime::ExecutionContext::create(engine));
  std::vector<ir::Tensor> inputs;
  for (size_t i = 0; i < dims->size(); ++i) {
    const ProgramValue& value = engine->program().values[size_t(engine->program().inputs[i])];
    opdef::InputCase drawn{.dtype = value.type.dtype, .dims = (*dims)[i], .values = {}};
    const auto feed = feeds.find(value.name);
    const bool fits = feed != feeds.end() && feed->second.dtype() == drawn.dtype &&
                      feed->second.dims() == drawn.dims;
    inputs.push_back(fits ? feed->second : ops::make_input(drawn, i + 1));
    PLANISH_RETURN_IF_ERROR(
        context->set_input(int(i), inputs.back().data(), inputs.back().dims()));
  }
  runtime::RunOptions limited;
  limited.deadline = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  return context->run(limited);
}

}  // namespace planish::plan
