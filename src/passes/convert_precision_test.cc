#include "passes/convert_precision.h"

#include "eval/interpreter.h"
#include "opdef/infer.h"
#include "passes/pass_fixture_testing.h"
#include "passes/passes.h"
#include "passes/pipeline.h"

namespace planish::passes {
namespace {

using ir::DataType;

PassOptions half() {
  PassOptions options;
  options.precision = DataType::kF16;
  return options;
}

constexpr std::string_view kNetwork = R"(graph "" {
  input %x: f32[1, 1, 3, 3]
  const %w: f32[2, 1, 1, 1] = {2, 100000}
  %a: f32[] = Conv(%x, %w)
  %y: f32[] = Relu(%a)
  output %y })";

TEST(ConvertPrecision, ValuesBecomeHalfBetweenTheBorders) {
  auto graph = graph_of(kNetwork);
  PassContext context(test_registry(), half());
  auto changed = convert_precision(*graph, context);
  ASSERT_TRUE(changed.ok()) << changed.status().to_string();
  EXPECT_TRUE(*changed);
  EXPECT_TRUE(ir::verify(*graph).ok());
  // A weight beyond the type's range becomes its largest, and does not become infinite.
  EXPECT_EQ(canonical(*graph), canonical(*graph_of(R"(graph "" {
  input %x: f32[1, 1, 3, 3]
  const %w: f16[2, 1, 1, 1] = {2, 65504}
  %h: f16[] = Cast(%x) {to = f16}
  %a: f16[] = Conv(%h, %w)
  %b: f16[] = Relu(%a)
  %y: f32[] = Cast(%b) {to = f32}
  output %y })"))) << ir::print(*graph);
}

TEST(ConvertPrecision, StaysOutUnlessAskedFor) { expect_unchanged(convert_precision, kNetwork); }

TEST(ConvertPrecision, ValuesStayNearThoseOfFullPrecision) {
  const std::string_view text = R"(graph "" {
  input %x: f32[2, 3, 4, 4]
  const %w: f32[4, 3, 1, 1] = {0.1, -0.2, 0.3, 0.4, 0.5, 0.6, -0.7, 0.8, 0.9, 1, 1.1, 1.2}
  %a: f32[] = Conv(%x, %w)
  %s: f32[] = Softmax(%a) {axis = 1}
  %y: f32[] = Mul(%s, %a)
  output %y })";
  auto reference = graph_of(text), graph = graph_of(text);
  PassContext context(test_registry(), half());
  ASSERT_TRUE(optimize(*graph, context).ok());
  const auto inputs = random_inputs(*reference, 3);
  auto expected = eval::interpret(test_registry(), *reference, inputs);
  auto got = eval::interpret(test_registry(), *graph, inputs);
  ASSERT_TRUE(expected.ok() && got.ok());
  EXPECT_EQ((*got)[0].dtype(), DataType::kF32);
  bool differs = false;
  for (int64_t i = 0; i < (*got)[0].count(); ++i) {
    EXPECT_NEAR((*got)[0].f64(i), (*expected)[0].f64(i), 4e-3);
    differs |= (*got)[0].f64(i) != (*expected)[0].f64(i);
  }
  EXPECT_TRUE(differs) << "nothing was rounded";
}

TEST(ConvertPrecision, OperatorsOfFixedTypesKeepTheirs) {
  auto graph = graph_of(R"(graph "" {
  input %x: f32[1, 1, 2, 2]
  const %r: f32[8] = {0, 0, 0, 0, 1, 1, 1, 1} const %s: f32[4] = {1, 1, 2, 2}
  %a: f32[] = Relu(%x)
  %y: f32[] = Resize(%a, %r, %s)
  output %y })");
  PassContext context(test_registry(), half());
  ASSERT_TRUE(convert_precision(*graph, context).ok());
  EXPECT_TRUE(opdef::infer_graph(test_registry(), *graph).ok());
  for (const auto& node : graph->nodes()) {
    if (node->op != "Resize") continue;
    EXPECT_EQ(node->inputs[0]->type.dtype, DataType::kF16);
    EXPECT_EQ(node->inputs[2]->type.dtype, DataType::kF32);
  }
}

TEST(ConvertPrecision, IoTakesTheReducedTypeWhenAskedFor) {
  auto graph = graph_of(kNetwork);
  ASSERT_TRUE(convert_io(*graph, test_registry(), DataType::kBF16).ok());
  EXPECT_EQ(graph->inputs[0]->type.dtype, DataType::kBF16);
  EXPECT_EQ(graph->outputs[0]->type.dtype, DataType::kBF16);
  EXPECT_EQ(graph->outputs[0]->name, "y");
  PassOptions options;
  options.precision = DataType::kBF16;
  options.verify = true;
  PassContext context(test_registry(), options);
  ASSERT_TRUE(optimize(*graph, context).ok());
  // The casts at the border met those of the pass and are gone.
  EXPECT_EQ(count_nodes(*graph, "Cast"), 0) << ir::print(*graph);
}

TEST(ConvertPrecision, PipelineVerifiesAfterEveryPass) {
  auto graph = graph_of(kNetwork);
  PassOptions options = half();
  options.verify = true;
  PassContext context(test_registry(), options);
  const Status status = optimize(*graph, context);
  EXPECT_TRUE(status.ok()) << status.to_string();
}

}  // namespace
}  // namespace planish::passes
