// defer_layer_norm: normalizations become part of the products around them.
#include "base/text.h"
#include "passes/pass_fixture_testing.h"
#include "passes/passes.h"

namespace planish::passes {
namespace {

// A layer of a transformer behind its attention: product and residual, normalized, into two products
// of which the second adds the normalized rows again.
std::string layer(std::string_view type, std::string_view outputs) {
  const auto list = [](int count, int step) {
    std::vector<std::string> out;
    for (int i = 0; i < count; ++i) out.push_back(cat(double((i * step) % 17 - 8) / 16));
    return join(out);
  };
  return cat("graph \"\" {\n  input %x: ", type, "[2, 3, 32] input %r: ", type, "[2, 3, 32]\n  const %w: ", type,
             "[32, 32] = {", list(1024, 7), "} const %b: ", type, "[32] = {", list(32, 5), "} const %gamma: ", type,
             "[32] = {", list(32, 3), "} const %beta: ", type, "[32] = {", list(32, 11), "} const %u: ", type,
             "[32, 8] = {", list(256, 5), "} const %c: ", type, "[8] = {", list(8, 3), "} const %v: ", type, "[8, 32] = {",
             list(256, 13), "}\n"
             "  %p: ", type, "[] = MatMul(%x, %w)\n  %q: ", type, "[] = Add(%p, %b)\n  %s: ", type,
             "[] = Add(%q, %r)\n  %n: ", type, "[] = LayerNormalization(%s, %gamma, %beta)\n  %a: ", type,
             "[] = MatMul(%n, %u)\n  %e: ", type, "[] = Add(%a, %c)\n  %f: ", type, "[] = Relu(%e)\n  %g: ", type,
             "[] = MatMul(%f, %v)\n  %y: ", type, "[] = Add(%g, %n)\n  output ", outputs, " }");
}

TEST(DeferLayerNorm, BecomesPartOfItsReaders) {
  const auto result = rewritten(defer_layer_norm, layer("f16", "%y"));  // compares the values, too
  EXPECT_TRUE(result.changed);
  EXPECT_EQ(count_nodes(*result.graph, "LayerNormalization"), 0);
  EXPECT_EQ(count_nodes(*result.graph, "PartialMoments"), 1);
  EXPECT_EQ(count_nodes(*result.graph, "JoinMoments"), 2);  // one for each reader
}

TEST(DeferLayerNorm, GoesWithItsOnlyReader) {
  std::string text = layer("f16", "%e");
  const size_t rest = text.find("  %f:");
  text.erase(rest, text.find("  output") - rest);
  const auto result = rewritten(defer_layer_norm, text);
  EXPECT_TRUE(result.changed);
  EXPECT_EQ(count_nodes(*result.graph, "LayerNormalization"), 0);
  EXPECT_EQ(count_nodes(*result.graph, "JoinMoments"), 1);
}

TEST(DeferLayerNorm, LeavesWhatSomebodyElseReads) {
  expect_unchanged(defer_layer_norm, layer("f16", "%y, %n"));
  expect_unchanged(defer_layer_norm, layer("f32", "%y"));
  // Rows that no product made.
  expect_unchanged(defer_layer_norm, R"(graph "" {
  input %x: f16[2, 32]
  const %gamma: f16[32] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}
  const %u: f16[32, 1] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}
  %n: f16[] = LayerNormalization(%x, %gamma)
  %y: f16[] = MatMul(%n, %u)
  output %y })");
}

// With fusion behind it both halves of the moments are inside of the products' regions.
TEST(DeferLayerNorm, FusesIntoTheProducts) {
  PassOptions wide;
  wide.wide_regions = true;
  auto graph = graph_of(layer("f16", "%y"));
  PassContext context(test_registry(), wide);
  ASSERT_TRUE(defer_layer_norm(*graph, context).ok());
  ASSERT_TRUE(fuse_regions(*graph, context).ok());
  EXPECT_EQ(graph->node_count(), 3);
  EXPECT_EQ(count_nodes(*graph, "Region"), 3);
}

}  // namespace
}  // namespace planish::passes
