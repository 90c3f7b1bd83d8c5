// The driver's services, the whole pipeline on small networks, and long chains.
#include "passes/pipeline.h"

#include <chrono>

#include "base/text.h"
#include "passes/pass_fixture_testing.h"
#include "passes/region.h"

namespace planish::passes {
namespace {

constexpr const char* kResidual = R"(graph "residual" {
  symbol N [1, *]
  input %x: f32[N, 2, 4, 4]
  const %w1: f32[2, 2, 1, 1] = {1, -2, 3, 4} const %w2: f32[2, 2, 1, 1] = {0.5, 2, -1, 1}
  const %s: f32[2] = {1.5, 0.5} const %b: f32[2] = {1, -1} const %m: f32[2] = {0.5, 0.25} const %v: f32[2] = {4, 1}
  const %fc: f32[3, 2] = {1, 2, 3, 4, 5, 6}
  %a: f32[] = Conv(%x, %w1) from "conv1"
  %a1: f32[] = BatchNormalization(%a, %s, %b, %m, %v) from "bn1"
  %a2: f32[] = Relu(%a1) from "relu1"
  %c: f32[] = Conv(%a2, %w2) from "conv2"
  %c1: f32[] = BatchNormalization(%c, %s, %b, %m, %v) from "bn2"
  %d: f32[] = Add(%c1, %x) from "add"
  %e: f32[] = Relu(%d) from "relu2"
  %p: f32[] = GlobalAveragePool(%e) from "pool"
  %f: f32[] = Flatten(%p) from "flatten"
  %y: f32[] = Gemm(%f, %fc) {transB = 1} from "fc"
  output %y })";

int steps(const ir::Graph& graph) {
  int count = 0;
  for (const auto& node : graph.nodes()) count += node->op != "Reshape" && node->op != "Concat";
  return count;
}

TEST(Pipeline, OptimizesAResidualNetwork) {
  const auto before = graph_of(kResidual);
  auto graph = before->clone();
  PassOptions options;
  options.verify = true;
  PassContext context(test_registry(), options);
  const Status status = optimize(*graph, context);
  ASSERT_TRUE(status.ok()) << status.to_string();
  EXPECT_EQ(steps(*graph), 4) << ir::print(*graph);
  EXPECT_EQ(graph->outputs[0]->name, "y");
  expect_same_values(*before, *graph);
}

// As TensorFlow's networks end: the mean is over the last two dims only when transposes have moved.
TEST(Pipeline, FindsAPoolBehindTransposes) {
  const auto before = graph_of(R"(graph "" {
  input %x: f32[2, 3, 4, 4]
  const %w: f32[2, 3, 1, 1] = {1, -2, 3, 4, 0.5, 2}
  const %axes: i64[2] = {1, 2}
  %c: f32[] = Conv(%x, %w)
  %t: f32[] = Transpose(%c) {perm = [0, 2, 3, 1]}
  %r: f32[] = Relu(%t)
  %y: f32[] = ReduceMean(%r, %axes) {keepdims = 0}
  output %y })");
  auto graph = before->clone();
  PassContext context(test_registry());
  ASSERT_TRUE(optimize(*graph, context).ok());
  const std::string text = ir::print(*graph);
  EXPECT_EQ(text.find("ReduceMean"), std::string::npos) << text;
  EXPECT_EQ(text.find("Transpose"), std::string::npos) << text;
  EXPECT_NE(text.find("GlobalAveragePool"), std::string::npos) << text;
  expect_same_values(*before, *graph);
}

TEST(Pipeline, PrintsStopsDisablesAndLogs) {
  auto graph = graph_of(kResidual);
  PassOptions options;
  options.print_after = {"fold_batch_norm"};
  options.disabled = {"fold_scale"};
  options.stop_after = "fold_batch_norm";
  int printed = 0, logged = 0;
  options.print = [&](const std::string& pass, const std::string& text) {
    EXPECT_EQ(pass, "fold_batch_norm");
    EXPECT_NE(text.find("Conv"), std::string::npos);
    ++printed;
  };
  options.log = [&](const std::string&) { ++logged; };
  PassContext context(test_registry(), options);
  ASSERT_TRUE(optimize(*graph, context).ok());
  EXPECT_GT(printed, 0);
  EXPECT_GT(logged, 0);
  EXPECT_EQ(count_nodes(*graph, kRegion), 0);
  EXPECT_EQ(context.stats.count("fold_scale"), 0u);
  EXPECT_EQ(context.fired.at("fold_batch_norm"), 2);
}

TEST(Pipeline, CanBeCancelled) {
  auto graph = graph_of(kResidual);
  PassOptions options;
  int calls = 0;
  options.progress = [&](const std::string&, int done, int total) {
    EXPECT_LE(done, total);
    return ++calls < 3;
  };
  PassContext context(test_registry(), options);
  EXPECT_EQ(optimize(*graph, context).code(), Code::kCancelled);
  EXPECT_TRUE(ir::verify(*graph).ok());
  std::atomic<bool> cancel = true;
  PassOptions flagged;
  flagged.cancel = &cancel;
  PassContext second(test_registry(), flagged);
  EXPECT_EQ(optimize(*graph, second).code(), Code::kCancelled);
}

TEST(Pipeline, OptimizesBodies) {
  const char* text = R"(graph "" {
  input %c: bool[] input %x: f32[2]
  %y: f32[] = If(%c, %x, %x) {then_branch = graph "" {
    input %a: f32[2]
    %b: f32[2] = Identity(%a)
    %d: f32[2] = Exp(%b)
    %e: f32[2] = Neg(%d)
    output %e }, else_branch = graph "" {
    input %a: f32[2]
    %b: f32[2] = Relu(%a)
    output %b }}
  output %y })";
  const auto before = graph_of(text);
  auto graph = before->clone();
  PassOptions options;
  options.verify = true;
  PassContext context(test_registry(), options);
  const Status status = optimize(*graph, context);
  ASSERT_TRUE(status.ok()) << status.to_string();
  EXPECT_EQ(graph->nodes().front()->attr_graph("then_branch")->node_count(), 1);
  expect_same_values(*before, *graph);
}

TEST(Pipeline, InlinesKnownBranches) {
  const char* text = R"(graph "" {
  input %x: f32[2]
  const %c: bool[] = {0}
  %y: f32[] = If(%c, %x, %x) {then_branch = graph "" {
    input %a: f32[2]
    %e: f32[2] = Neg(%a)
    output %e }, else_branch = graph "" {
    input %a: f32[2]
    %b: f32[2] = Relu(%a)
    output %b }}
  output %y })";
  const auto before = graph_of(text);
  auto graph = before->clone();
  PassContext context(test_registry());
  ASSERT_TRUE(optimize(*graph, context).ok());
  EXPECT_EQ(graph->nodes().front()->op, "Relu");
  EXPECT_EQ(graph->outputs[0]->name, "y");
  expect_same_values(*before, *graph);
}

// Linear in the length: ten times the nodes take about ten times as long, and no stack runs out.
TEST(Pipeline, TakesLongChains) {
  auto graph = std::make_unique<ir::Graph>();
  Value* v = graph->add_input("x", {DataType::kF32, {Dim(2), Dim(3)}});
  const TensorType type = v->type;
  const char* const ops[] = {"Relu", "Identity", "Softmax", "Neg", "Exp"};
  for (int i = 0; i < 30000; ++i) {
    Attributes attrs;
    if (std::string_view(ops[i % 5]) == "Softmax") attrs["axis"] = int64_t(-1);
    v = graph->add_node(ops[i % 5], {v}, attrs, {type})->outputs[0];
  }
  graph->outputs = {v};
  PassContext context(test_registry());
  const Status status = optimize(*graph, context);
  ASSERT_TRUE(status.ok()) << status.to_string();
  EXPECT_TRUE(ir::verify(*graph).ok());
  EXPECT_LT(graph->node_count(), 9000);
}

TEST(Pipeline, NamesEveryPassOnce) {
  std::set<std::string_view> names;
  for (const Pass& pass : all_passes()) EXPECT_TRUE(names.insert(pass.name).second);
  for (const Stage& stage : pipeline())
    for (const Pass& pass : stage.passes) {
      ASSERT_NE(find_pass(pass.name), nullptr) << pass.name;
      EXPECT_EQ(find_pass(pass.name)->run, pass.run);
    }
  EXPECT_EQ(find_pass("no_such_pass"), nullptr);
}

}  // namespace
}  // namespace planish::passes
