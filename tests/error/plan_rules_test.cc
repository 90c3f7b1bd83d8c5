// Group H, the rules of programs: one broken rule each, met by plan::verify with the message that
// names it. The same rules guard plans whose hashes are right (plan_bytes_test.cc).
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "plan/plan_file.h"
#include "plan/sample_testing.h"

namespace planish::plan {
namespace {

using ir::DataType;
using ir::Dim;

Program program_with(const std::function<void(Program&)>& change) {
  Program program = rich_plan().program;
  change(program);
  return program;
}

#define EXPECT_RULE(part, ...)                                                         \
  do {                                                                                 \
    const Status status_ = verify(program_with([](Program& p) { __VA_ARGS__; }));      \
    EXPECT_EQ(status_.code(), Code::kDataLoss) << status_.to_string();                 \
    EXPECT_NE(status_.message().find(part), std::string::npos) << status_.to_string(); \
  } while (false)

int find(const Program& p, std::string_view name) {
  for (size_t i = 0; i < p.values.size(); ++i)
    if (p.values[i].name == name) return int(i);
  return -1;
}
ProgramValue& value(Program& p, std::string_view name) { return p.values[size_t(find(p, name))]; }

TEST(PlanRules, TheSampleKeepsThemAll) {
  EXPECT_TRUE(verify(rich_plan().program).ok()) << verify(rich_plan().program).to_string();
  EXPECT_TRUE(verify(nested_plan().program).ok()) << verify(nested_plan().program).to_string();
  EXPECT_TRUE(verify(small_plan().program).ok()) << verify(small_plan().program).to_string();
}

Status nested_with(const std::function<void(Step& step, Program& body)>& change) {
  Program program = nested_plan().program;
  auto body = std::make_shared<Program>(*program.steps[0].bodies[0].program);
  change(program.steps[0], *body);
  for (Body& one : program.steps[0].bodies)
    if (one.program) one.program = body;
  return verify(program);
}

#define EXPECT_BODY_RULE(part, ...)                                                    \
  do {                                                                                 \
    const Status status_ =                                                             \
        nested_with([]([[maybe_unused]] Step& s, [[maybe_unused]] Program& p) { __VA_ARGS__; }); \
    EXPECT_EQ(status_.code(), Code::kDataLoss) << status_.to_string();                 \
    EXPECT_NE(status_.message().find(part), std::string::npos) << status_.to_string(); \
  } while (false)

TEST(PlanRules, H139_BodiesAreProgramsOfTheirGraphs) {
  EXPECT_TRUE(nested_with([](Step&, Program&) {}).ok());
  EXPECT_BODY_RULE("no graph of the op", s.bodies[0].attribute = "other");
  EXPECT_BODY_RULE("no graph of the op", s.bodies.push_back(s.bodies[0]));
  EXPECT_BODY_RULE("no graph of the op", s.bodies[0].program = nullptr);
  EXPECT_BODY_RULE("other inputs", p.values[size_t(p.inputs[0])].type.dtype = DataType::kI32;
                   p.steps.clear(); p.outputs[0] = p.inputs[0]);
  EXPECT_BODY_RULE("other outputs", p.outputs.push_back(p.inputs[0]);
                   p.output_names.push_back("more"));
  // The rules of programs hold inside, and the message says where.
  EXPECT_BODY_RULE("body 'body': step 0", p.steps[0].operands[0] = 99);
  Program deep = nested_plan().program;
  for (int i = 0; i < kMaxBodyDepth; ++i) {
    Program outer = nested_plan().program;
    outer.steps[0].bodies[0].program = std::make_shared<Program>(std::move(deep));
    deep = std::move(outer);
  }
  const Status status = verify(deep);
  EXPECT_EQ(status.code(), Code::kDataLoss);
  EXPECT_NE(status.message().find("nests deeper"), std::string::npos) << status.to_string();
}

TEST(PlanRules, H137_NanAndInfinityInStoredNumbersAreCarriedNotUsed) {
  // In attributes and immediates they are data (kernels refuse what they cannot take); in times
  // they are nonsense and read as unknown (plan_test).
  Plan plan = rich_plan();
  for (double bad : {std::nan(""), std::numeric_limits<double>::infinity(), -1e308}) {
    plan.program.steps[0].problem.stages[0].attrs["epsilon"] = bad;
    plan.program.steps[0].expected_us = bad;
    auto bytes = serialize(plan);
    ASSERT_TRUE(bytes.ok());
    auto back = read_plan(*bytes, nullptr);
    ASSERT_TRUE(back.ok()) << back.status().to_string();
    EXPECT_EQ(back->program.steps[0].expected_us, 0);
  }
}

TEST(PlanRules, H138_ViewRanges) {
  EXPECT_RULE("begins at element -1", value(p, "left").offset = -1);
  EXPECT_RULE("in itself", value(p, "left").parent = find(p, "left"));
  EXPECT_RULE("in itself", (value(p, "both").parent = find(p, "left")));
  EXPECT_RULE("lies in value 999", value(p, "left").parent = 999);
  EXPECT_RULE("lies in value -7", value(p, "left").parent = -7);
  EXPECT_RULE("no parent", value(p, "left").parent = -1);
  EXPECT_RULE("outermost", value(p, "both").type.layout = ir::Layout::permuted({1, 0, 2, 3}));
  EXPECT_RULE("memory space", value(p, "left").type.space = ir::MemorySpace::kDevice);
  EXPECT_RULE("f64 inside of f32", value(p, "tail").type.dtype = DataType::kF64);
}

TEST(PlanRules, H138_ViewRangesOfConstantShapes) {
  const auto with_batch = [](int64_t offset, int64_t channels, bool strided) {
    Program p;
    p.device_kind = "cpu";
    ProgramValue parent, view;
    parent.type = {DataType::kF32, {4, 32, 10}};
    view.type = {DataType::kF32, {4, channels, 10}};
    view.parent = 0, view.offset = offset, view.strided = strided;
    p.values = {parent, view};
    return verify(p);
  };
  EXPECT_TRUE(with_batch(0, 32, false).ok());
  EXPECT_TRUE(with_batch(0, 16, true).ok());
  EXPECT_TRUE(with_batch(160, 16, true).ok());
  EXPECT_FALSE(with_batch(161, 16, true).ok());
  EXPECT_FALSE(with_batch(1, 32, false).ok());
  EXPECT_FALSE(with_batch(0, 33, true).ok());
  EXPECT_FALSE(with_batch(INT64_MAX, 1, false).ok());
  EXPECT_TRUE(with_batch(1280, 0, false).ok());
}

// Pixels of a part lie as far apart as its parent's.
TEST(PlanRules, H138_ViewRangesOfChannelsLast) {
  const auto part = [](int64_t offset, int64_t channels, bool last = true) {
    Program p;
    p.device_kind = "cpu";
    ProgramValue parent, view;
    parent.type = {DataType::kF32, {4, 32, 10}, ir::Layout::channels_last(3)};
    view.type = {DataType::kF32, {4, channels, 10}};
    if (last) view.type.layout = parent.type.layout;
    view.parent = 0, view.offset = offset, view.strided = true;
    p.values = {parent, view};
    return verify(p);
  };
  EXPECT_TRUE(part(0, 32).ok());
  EXPECT_TRUE(part(16, 16).ok());
  EXPECT_FALSE(part(17, 16).ok());
  EXPECT_FALSE(part(0, 33).ok());
  EXPECT_FALSE(part(0, 16, false).ok());
}

TEST(PlanRules, H138_BoundInstances) {
  const Program p = rich_plan().program;
  const auto bound = [](int64_t n, int64_t found) {
    return ir::Dim::Lookup([=](std::string_view name) -> std::optional<int64_t> {
      if (name == "N") return n;
      return found < 0 ? std::nullopt : std::optional<int64_t>(found);
    });
  };
  EXPECT_TRUE(verify_bound(p, bound(4, 2)).ok()) << verify_bound(p, bound(4, 2)).to_string();
  EXPECT_TRUE(verify_bound(p, bound(4, -1)).ok());
  EXPECT_FALSE(verify_bound(p, bound(0, 2)).ok());  // 'tail' begins at row N - 1
  EXPECT_FALSE(verify_bound(p, bound(-4, 2)).ok());
  EXPECT_FALSE(verify_bound(p, bound(INT64_MAX, 2)).ok());
  EXPECT_FALSE(verify_bound(p, bound(int64_t(1) << 50, 2)).ok());
}

TEST(PlanRules, H138_SizesBeyondTheMachine) {
  EXPECT_RULE("beyond 64 bits", (value(p, "pooled").type.shape = {int64_t(1) << 62, 4}));
  EXPECT_RULE("beyond 64 bits",
              (value(p, "pooled").type.shape = {int64_t(1) << 31, int64_t(1) << 31}));
  EXPECT_RULE("has dim -1", (value(p, "pooled").type.shape = {-1, 4}));
  EXPECT_RULE("invalid dim", (value(p, "pooled").type.shape = {Dim::invalid()}));
  EXPECT_RULE("rank 65", value(p, "pooled").type.shape.assign(65, 1));
  EXPECT_RULE("70000", p.threads = 70000);
  EXPECT_RULE("-1 threads", p.threads = -1);
}

TEST(PlanRules, H138_LayoutsThatAreNone) {
  EXPECT_RULE("permutes 2 dims", value(p, "v").type.layout.perm = {0, 1});
  EXPECT_RULE("no permutation", value(p, "v").type.layout.perm = {0, 0, 1, 2});
  EXPECT_RULE("no permutation", value(p, "v").type.layout.perm = {0, 4, 1, 2});
  EXPECT_RULE("blocks dim 4", value(p, "u").type.layout.block_dim = 4);
  EXPECT_RULE("block is 0", value(p, "u").type.layout.block = 0);
}

TEST(PlanRules, H139_BindingIndices) {
  EXPECT_RULE("value 99", p.inputs[0] = 99);
  EXPECT_RULE("value -1", p.inputs[0] = -1);
  EXPECT_RULE("not of that kind", p.inputs[0] = find(p, "pooled"));
  EXPECT_RULE("not listed", p.inputs.pop_back());
  EXPECT_RULE("value 99", p.outputs[0] = 99);
  EXPECT_RULE("names of outputs", p.outputs.pop_back());
  EXPECT_RULE("written by no step", p.steps.pop_back());
}

TEST(PlanRules, H139_BindingNames) {
  EXPECT_RULE("two inputs", value(p, "ids").name = "x");
  EXPECT_RULE("no name", value(p, "ids").name = "");
  EXPECT_RULE("one of its own", p.output_names[1] = p.output_names[0]);
  EXPECT_RULE("one of its own", p.output_names[1] = "");
}

TEST(PlanRules, H140_Profiles) {
  EXPECT_RULE("in that order", p.profiles[0][0].min[0] = 5);
  EXPECT_RULE("in that order", p.profiles[0][0].max[0] = 3);
  EXPECT_RULE("in that order", p.profiles[0][0].min[0] = -1);
  EXPECT_RULE("expected 3", p.profiles[0][0].max[1] = 4);
  EXPECT_RULE("ranks", p.profiles[0][0].opt.pop_back());
  EXPECT_RULE("none of the program's", p.profiles[0][0].input = "nobody");
  EXPECT_RULE("twice", p.profiles[0][1] = p.profiles[0][0]);
}

TEST(PlanRules, StepsAndOperands) {
  EXPECT_RULE("value 99", p.steps[0].operands[0] = 99);
  EXPECT_RULE("value -1", p.steps[0].operands[0] = -1);
  EXPECT_RULE("is absent", p.steps[0].operands[3] = 0);
  EXPECT_RULE("has 3 operands, expected 4", p.steps[0].operands.pop_back());
  EXPECT_RULE("has 0 results, expected 1", p.steps[0].results.pop_back());
  EXPECT_RULE("names no kernel", p.steps[0].kernel = "");
  EXPECT_RULE("read before it is written", std::swap(p.steps[0], p.steps[2]));
  EXPECT_RULE("written twice", p.steps[1].results = p.steps[0].results);
  EXPECT_RULE("its value", p.steps[0].operands[0] = find(p, "ids"));
  EXPECT_RULE("is not", p.steps[2].problem.operands[0].constant = true);
  EXPECT_RULE("differs from the constant", p.steps[3].problem.operands[3].value =
                                               ir::Tensor::vector_i64(std::vector<int64_t>{0, 9}));
}

TEST(PlanRules, LaunchesKeepTheOrderOfTheirSteps) {
  EXPECT_RULE("runs on stream 8, there are 8", p.steps[1].launch.stream = kMaxStreams);
  EXPECT_RULE("runs on stream -1", p.steps[1].launch.stream = -1);
  EXPECT_RULE("waits for step 99", p.steps[1].launch.waits = {99});
  EXPECT_RULE("waits for step 1, expected one in front", p.steps[1].launch.waits = {1});
  EXPECT_RULE("waits for step 0, expected one in front", p.steps[1].launch.waits = {0});
  EXPECT_RULE("step 2 (cpu.pointwise) runs beside step 1", p.steps[1].launch.stream = 1);
}

TEST(PlanRules, NothingWritesInputsOrConstants) {
  EXPECT_RULE("no step may write", {
    value(p, "both").kind = ValueKind::kInput;
    p.inputs.push_back(find(p, "both"));
  });
}

TEST(PlanRules, Constants) {
  EXPECT_RULE("there are 6", value(p, "axes").constant = 6);
  EXPECT_RULE("without being constant", value(p, "axes").constant = -1);
  EXPECT_RULE("without being constant", value(p, "pooled").constant = 0);
  EXPECT_RULE("its constant", value(p, "axes").type.shape = {3});
  EXPECT_RULE("view of another", value(p, "axes").parent = 0);
}

TEST(PlanRules, Problems) {
  EXPECT_RULE("no stage's output", p.steps[0].problem.results[0] = 0);
  EXPECT_RULE("no stage's output", p.steps[0].problem.results[0] = 6);
  EXPECT_RULE("no stage", p.steps[0].problem.stages.clear());
  EXPECT_RULE("no result", (p.steps[0].problem.results.clear(), p.steps[0].results.clear()));
  EXPECT_RULE("reads value 4", p.steps[0].problem.stages[0].inputs[0] = 4);
  EXPECT_RULE("reads value -2", p.steps[0].problem.stages[0].inputs[0] = -2);
  EXPECT_RULE("has no op", p.steps[0].problem.stages[0].op = "");
  EXPECT_RULE("Expr stages", p.steps[0].problem.stages[0].op = "Expr");
  EXPECT_RULE("has no output", p.steps[0].problem.stages[0].outputs.clear());
  EXPECT_RULE("holds no graph", p.steps[3].problem.stages[0].attrs["graph"] = ir::GraphPtr());
  EXPECT_RULE("absent, yet constant", p.steps[0].problem.operands[3].constant = true);
}

TEST(PlanRules, Expressions) {
  EXPECT_RULE("absent operand", p.steps[0].problem.stages[1].inputs[1] = 3);
  EXPECT_RULE("argument number", p.steps[0].problem.stages[1].expr->nodes[0].a = 2);
  EXPECT_RULE("not an earlier node", p.steps[0].problem.stages[1].expr->nodes[2].b = 2);
  EXPECT_RULE("unknown operation",
              p.steps[0].problem.stages[1].expr->nodes[2].op = kernel::ScalarOp(200));
  EXPECT_RULE("unknown type", p.steps[0].problem.stages[1].expr->nodes[2].dtype = DataType(99));
  EXPECT_RULE("takes 3 arguments", p.steps[0].problem.stages[1].expr->arg_count = 3);
  EXPECT_RULE("add of f32 and f16",
              p.steps[0].problem.stages[1].expr->nodes[0].dtype = DataType::kF16);
  EXPECT_RULE("expected f16", {
    for (kernel::ExprNode& node : p.steps[0].problem.stages[1].expr->nodes)
      node.dtype = DataType::kF16;
  });
  EXPECT_RULE("not a node", p.steps[0].problem.stages[1].expr->outputs[0] = 77);
  EXPECT_RULE("gives 2 results", p.steps[0].problem.stages[1].expr->outputs.push_back(0));
  EXPECT_RULE("does not broadcast", {
    value(p, "conv.bias").type.shape = {5, 1, 1};
    ir::Tensor bias(DataType::kF32, {5, 1, 1});
    p.constants[size_t(value(p, "conv.bias").constant)].tensor = bias;
    for (int i : {0, 1}) {
      p.steps[size_t(i)].problem.operands[2].type.shape = {5, 1, 1};
      p.steps[size_t(i)].problem.operands[2].value = bias;
    }
  });
}

TEST(PlanRules, Symbols) {
  EXPECT_RULE("does not declare", p.symbols.erase("N"));
  EXPECT_RULE("lower bound -1", p.symbols["N"].low = -1);
  EXPECT_RULE("range 1 to 0", p.symbols["N"].high = 0);
  EXPECT_RULE("in a circle", p.symbols["found"].upper_bound = Dim::symbol("found") + 1);
  EXPECT_RULE("upper bound expression", p.symbols["N"].upper_bound = Dim(3));
  EXPECT_RULE("cannot have", p.symbols["a`b"] = {});
  EXPECT_RULE("cannot have", p.symbols[""] = {});
}

TEST(PlanRules, LongChainsOfViewsAndBoundsEnd) {
  Program p;
  p.device_kind = "cpu";
  for (int i = 0; i < 20000; ++i) {
    ProgramValue v;
    v.type = {DataType::kF32, {4}};
    v.parent = i - 1;
    p.values.push_back(v);
    p.symbols["s" + std::to_string(i)] = {
        .low = 0,
        .high = {},
        .from_data = true,
        .upper_bound = Dim::symbol("s" + std::to_string((i + 1) % 20000))};
  }
  EXPECT_FALSE(verify(p).ok());
  p.symbols.clear();
  EXPECT_FALSE(verify(p).ok());
}

}  // namespace
}  // namespace planish::plan
