#include "plan/sample_testing.h"

#include <cmath>
#include <limits>

#include "base/text.h"

namespace planish::plan {
namespace {

using ir::DataType;
using ir::Dim;
using ir::TensorType;
using kernel::ExprBuilder;
using kernel::Operand;
using kernel::Problem;
using kernel::ScalarOp;
using kernel::Stage;

ir::Tensor ramp(DataType dtype, std::vector<int64_t> dims, double step) {
  ir::Tensor t(dtype, std::move(dims));
  for (int64_t i = 0; i < t.count(); ++i) t.set_f64(i, double(i % 97) * step);
  return t;
}

class ProgramBuilder {
 public:
  explicit ProgramBuilder(Program& program) : p(program) {}

  int value(std::string name, TensorType type) {
    ProgramValue v;
    v.name = std::move(name);
    v.type = std::move(type);
    p.values.push_back(std::move(v));
    return int(p.values.size()) - 1;
  }
  int input(std::string name, TensorType type) {
    const int i = value(std::move(name), std::move(type));
    p.values[size_t(i)].kind = ValueKind::kInput;
    p.inputs.push_back(i);
    return i;
  }
  int constant(std::string name, ir::Tensor tensor) {
    const int i = value(name, tensor.type());
    p.values[size_t(i)].kind = ValueKind::kConstant;
    p.values[size_t(i)].constant = int(p.constants.size());
    p.constants.push_back({std::move(name), tensor, content_hash(tensor)});
    return i;
  }
  int view(std::string name, TensorType type, int parent, Dim offset, bool strided) {
    const int i = value(std::move(name), std::move(type));
    ProgramValue& v = p.values[size_t(i)];
    v.parent = parent, v.offset = std::move(offset), v.strided = strided;
    return i;
  }
  void output(std::string name, int number) {
    p.outputs.push_back(number);
    p.output_names.push_back(std::move(name));
  }
  // A step whose problem's operand and result types are those of the values.
  Step& step(std::string kernel, std::vector<int> operands, std::vector<Stage> stages,
             std::vector<int> problem_results, std::vector<int> results) {
    Step s;
    s.kernel = std::move(kernel);
    for (int o : operands) {
      Operand operand;
      operand.present = o >= 0;
      if (o >= 0) {
        const ProgramValue& v = p.values[size_t(o)];
        operand.type = v.type;
        operand.constant = v.kind == ValueKind::kConstant;
        if (operand.constant) {
          const ir::Tensor& t = p.constants[size_t(v.constant)].tensor;
          if (t.count() <= 16) operand.value = t;
        }
      }
      s.problem.operands.push_back(std::move(operand));
    }
    s.problem.stages = std::move(stages);
    s.problem.results = std::move(problem_results);
    s.operands = std::move(operands);
    s.results = std::move(results);
    p.steps.push_back(std::move(s));
    return p.steps.back();
  }
  const TensorType& type(int value) const { return p.values[size_t(value)].type; }
  Program& p;
};

Stage root(std::string op, std::vector<int> inputs, TensorType output, ir::Attributes attrs = {}) {
  return {std::move(op), std::move(attrs), std::move(inputs), {std::move(output)}, std::nullopt};
}

Stage expr(std::vector<int> inputs, std::vector<TensorType> outputs, kernel::Expr e) {
  return {std::string(kernel::kExprStage), {}, std::move(inputs), std::move(outputs), std::move(e)};
}

// Node by node below: the arguments of one call would be made in an order of the compiler's own.

// relu(a + b)
kernel::Expr add_relu() {
  ExprBuilder e;
  const int b = e.arg(1, DataType::kF32), a = e.arg(0, DataType::kF32);
  const int sum = e.add(a, b);
  return e.finish({e.max(sum, e.imm(0, DataType::kF32))}, 2);
}

// Immediates that formats like to lose.
kernel::Expr odd_numbers() {
  const double inf = std::numeric_limits<double>::infinity();
  ExprBuilder e;
  const int x = e.arg(0, DataType::kF32);
  const int low = e.imm(-inf, DataType::kF32), high = e.imm(inf, DataType::kF32);
  const int clipped = e.max(e.binary(ScalarOp::kMin, x, high), low);
  const int y = e.add(clipped, e.imm(-0.0, DataType::kF32));
  const int other = e.imm(std::nan(""), DataType::kF32);
  const int nan = e.select(e.less(x, e.imm(5e-324, DataType::kF32)), y, other);
  const int lowest = e.imm_int(std::numeric_limits<int64_t>::min() + 1, DataType::kI64);
  const int integer = e.add(e.cast(x, DataType::kI64), lowest);
  return e.finish({nan, e.cast(integer, DataType::kF32)}, 1);
}

std::shared_ptr<ir::Graph> body() {
  auto graph = std::make_shared<ir::Graph>();
  graph->name = "body";
  ir::Value* x = graph->add_input("state", {DataType::kF32, {Dim::symbol("N"), 4}});
  ir::Value* k = graph->add_constant("k", ir::Tensor::scalar_f32(0.5f));
  ir::Node* node = graph->add_node("Mul", {x, k}, {}, {{DataType::kF32, {Dim::symbol("N"), 4}}});
  graph->outputs = {node->outputs[0]};
  return graph;
}

void add_profile(Program& p) {
  p.profiles.push_back({{"x", {1, 3, 8, 8}, {4, 3, 8, 8}, {16, 3, 8, 8}}, {"ids", {1}, {4}, {16}}});
}

}  // namespace

Plan small_plan() {
  Plan plan;
  plan.planish_version = "0.1.0";
  Program& p = plan.program;
  p.device_kind = "cpu";
  p.threads = 2;
  p.symbols["N"] = {.low = 1, .high = 8, .from_data = false, .upper_bound = {}};
  ProgramBuilder b(p);
  const Dim n = Dim::symbol("N");
  const TensorType image{DataType::kF32, {n, 8, 4, 4}};
  const int x = b.input("x", image);
  const int w = b.constant("w", ramp(DataType::kF32, {8, 8, 3, 3}, 0.01));
  const int y = b.value("y", image);
  b.step("cpu.conv", {x, w, x},
         {root("Conv", {0, 1}, image, {{"pads", std::vector<int64_t>{1, 1, 1, 1}}}),
          expr({3, 2}, {image}, add_relu())},
         {4}, {y});
  b.output("y", y);
  p.profiles.push_back({{"x", {1, 8, 4, 4}, {2, 8, 4, 4}, {8, 8, 4, 4}}});
  return plan;
}

Plan rich_plan() {
  Plan plan;
  plan.planish_version = "0.1.0";
  plan.metadata = {{"author", "nobody"},
                   {"empty", ""},
                   {"licence", "a text of more than thirty-two characters"}};
  plan.options = {{"fp32", "fast"}, {"threads", "2"}};
  plan.graph_text = "graph text, which readers keep and do not parse\n";
  plan.decisions = R"({"steps": []})";
  plan.report = R"({"passes": ["fold_constants"]})";
  plan.plugins = {"example 1.0"};
  plan.libraries = {"onednn 2.6"};
  Program& p = plan.program;
  p.device_kind = "cpu";
  p.device_name = "A processor @ 2.5 GHz";
  p.isa = "avx512";
  p.threads = 2;
  p.symbols["N"] = {.low = 1, .high = 16, .from_data = false, .upper_bound = {}};
  p.symbols["found"] = {.low = 0, .high = {}, .from_data = true, .upper_bound = Dim::symbol("N")};
  ProgramBuilder b(p);
  const Dim n = Dim::symbol("N"), found = Dim::symbol("found");
  const ir::Layout blocked = ir::Layout::blocked(1, 16), nhwc = ir::Layout::channels_last(4);

  const int x = b.input("x", {DataType::kF32, {n, 3, 8, 8}});
  const int ids = b.input("ids", {DataType::kI64, {n}});
  const int w = b.constant("conv.weight", ramp(DataType::kF32, {16, 3, 3, 3}, 0.02));
  const int bias = b.constant("conv.bias", ramp(DataType::kF32, {16, 1, 1}, -0.5));
  const int again = b.constant("conv.weight.again", ramp(DataType::kF32, {16, 3, 3, 3}, 0.02));
  const int packed = b.constant("four bits", ramp(DataType::kI4, {5, 3}, 1));
  const int none = b.constant("no elements", ir::Tensor(DataType::kF16, {0, 7}));
  const int axes = b.constant("axes", ir::Tensor::vector_i64(std::vector<int64_t>{1, -1}));

  // Two convolutions write the halves of one buffer: an elided concat.
  const int both = b.value("both", {DataType::kF32, {n, 32, 8, 8}});
  const TensorType half{DataType::kF32, {n, 16, 8, 8}};
  const int left = b.view("left", half, both, 0, true);
  const int right = b.view("right", half, both, 16 * 64, true);
  const ir::Attributes conv = {{"pads", std::vector<int64_t>{1, 1, 1, 1}}, {"group", int64_t(1)}};
  for (const auto& [weight, out] : {std::pair(w, left), std::pair(again, right)}) {
    Step& s = b.step("cpu.conv_direct", {x, weight, bias, -1},
                     {root("Conv", {0, 1, -1}, half, conv), expr({4, 2}, {half}, add_relu())}, {5},
                     {out});
    s.kernel_version = 3;
    s.tactic.params = {{"j", 2}, {"rows", 14}};
    s.sources = {"conv1", "relu1"};
    s.expected_us = 12.5;
    s.artifact.assign(3000, std::byte{7});
    s.considered = {{"cpu.conv_direct", "j=2,rows=14", 11, 12.5, ""},
                    {"cpu.conv_winograd", "", 0, -1, "stride is 2, expected 1"}};
  }
  // Other layouts, several outputs, odd immediates.
  const TensorType in_blocks{DataType::kF32, {n, 32, 8, 8}, blocked};
  const TensorType last{DataType::kF32, {n, 32, 8, 8}, nhwc};
  const int u = b.value("u", in_blocks), v = b.value("v", last);
  Step& s = b.step("cpu.pointwise", {both}, {expr({0}, {in_blocks, last}, odd_numbers())}, {1, 2},
                   {u, v});
  s.packed.assign(100, std::byte{9});
  // A reshape and a slice cost no step.
  const int flat = b.view("flat", {DataType::kF32, {n * 2048}}, v, 0, false);
  (void)flat;
  // Every kind of attribute, on a step that runs reference code.
  const int pooled = b.value("pooled", {DataType::kF32, {n, 4}});
  ir::Attributes all;
  all["int"] = std::numeric_limits<int64_t>::min();
  all["float"] = -0.0;
  all["nan"] = std::nan("");
  all["string"] = std::string("with a \0 byte", 13);
  all["empty string"] = std::string();
  all["ints"] = std::vector<int64_t>{1, -2, 3};
  all["no ints"] = std::vector<int64_t>{};
  all["floats"] = std::vector<double>{0.1, -0.0, std::numeric_limits<double>::infinity()};
  all["strings"] = std::vector<std::string>{"a", "", "b"};
  all["type"] = DataType::kBF16;
  all["tensor"] = ramp(DataType::kF16, {2, 3}, 0.25);
  all["large tensor"] = ramp(DataType::kF64, {300}, 0.125);
  all["graph"] = ir::GraphPtr(body());
  b.step("reference", {v, packed, none, axes},
         {root("Everything", {0, 1, 2, 3}, b.type(pooled), all)}, {4}, {pooled})
      .reference = true;
  // A step whose result's size only it knows.
  const int where = b.value("where", {DataType::kI64, {1, found}});
  b.step("reference", {ids}, {root("NonZero", {0}, b.type(where))}, {1}, {where}).binds_symbols =
      true;
  const int tail = b.view("tail", {DataType::kF32, {1, 4}}, pooled, 4 * (n - 1), false);
  b.output("pooled", pooled);
  b.output("tail", tail);
  b.output("where", where);
  b.output("again", pooled);
  add_profile(p);
  p.profiles.push_back({});
  return plan;
}

namespace {

constexpr int64_t kStateWidth = 300;  // of f32: more than stands in the metadata

// `depth` steps within each other over f32[N, kStateWidth]; the innermost multiplies by a constant.
void add_nested(Program& p, int depth) {
  p.device_kind = "cpu";
  p.symbols["N"] = {.low = 1, .high = {}, .from_data = false, .upper_bound = {}};
  ProgramBuilder b(p);
  const TensorType state{DataType::kF32, {Dim::symbol("N"), kStateWidth}};
  const int x = b.input("state", state);
  const int k = b.constant(cat("k", depth), ramp(DataType::kF32, {kStateWidth}, 0.5 * depth));
  const int y = b.value("y", state);
  b.output("result 0", y);
  if (depth == 0) {
    b.step("reference", {x, k}, {root("Mul", {0, 1}, state)}, {2}, {y}).sources = {"mul"};
    return;
  }
  auto graph = std::make_shared<ir::Graph>();
  ir::Value* in = graph->add_input("state", state);
  graph->outputs = {graph->add_node("Neg", {in}, {}, {state})->outputs[0]};
  auto inner = std::make_shared<Program>();
  add_nested(*inner, depth - 1);
  b.step("control", {x}, {root("Repeat", {0}, state, {{"body", ir::GraphPtr(graph)}})}, {1}, {y})
      .bodies = {{"body", inner}};
}

}  // namespace

Plan nested_plan() {
  Plan plan;
  plan.planish_version = "0.1.0";
  add_nested(plan.program, 2);
  return plan;
}

}  // namespace planish::plan
