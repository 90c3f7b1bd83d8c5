// fuse_regions and the splitting of regions.
#include "passes/pass_fixture_testing.h"
#include "passes/passes.h"
#include "passes/region.h"

#include "base/text.h"

namespace planish::passes {
namespace {

// "Region(Conv Add Relu) MaxPool": every node with its body's ops.
std::string shape_of(const ir::Graph& graph) {
  std::vector<std::string> parts;
  for (const auto& node : graph.nodes()) {
    std::string part = node->op;
    if (node->op == kRegion) {
      std::vector<std::string> inner;
      for (const auto& n : node->attr_graph("body")->nodes()) inner.push_back(n->op);
      part += cat("(", join(inner, " "), ")");
    }
    parts.push_back(std::move(part));
  }
  return join(parts, " ");
}

std::string fused(std::string_view text, PassOptions options = {}) {
  return shape_of(*rewritten(fuse_regions, text, std::move(options)).graph);
}

TEST(FuseRegions, EpilogueOfAConvolution) {
  expect_rewrite(fuse_regions, R"(graph "" {
  input %x: f32[1, 2, 3, 3] input %r: f32[1, 2, 3, 3]
  const %w: f32[2, 2, 1, 1] = {1, 2, 3, 4} const %two: f32[] = {2}
  %a: f32[] = Conv(%x, %w) from "conv"
  %b: f32[] = Mul(%a, %two) from "mul"
  %c: f32[] = Add(%b, %r) from "add"
  %y: f32[] = Relu(%c) from "relu"
  output %y })",
                 R"(graph "" {
  input %x: f32[1, 2, 3, 3] input %r: f32[1, 2, 3, 3]
  const %w: f32[2, 2, 1, 1] = {1, 2, 3, 4}
  %y: f32[] = Region(%x, %w, %r) {body = graph "" {
    input %x: f32[1, 2, 3, 3] input %w: f32[2, 2, 1, 1] input %r: f32[1, 2, 3, 3]
    const %two: f32[] = {2}
    %a: f32[] = Conv(%x, %w) {auto_pad = "NOTSET", group = 1}
    %b: f32[] = Mul(%a, %two)
    %c: f32[] = Add(%b, %r)
    %y: f32[] = Relu(%c)
    output %y }}
  output %y })");
}

TEST(FuseRegions, CarriesSourcesAndNames) {
  const auto result = rewritten(fuse_regions, R"(graph "" {
  input %x: f32[1, 2, 3, 3]
  const %w: f32[2, 2, 1, 1] = {1, 2, 3, 4}
  %a: f32[] = Conv(%x, %w) from "conv"
  %y: f32[] = Relu(%a) from "relu"
  output %y })");
  const Node& region = *result.graph->nodes().front();
  EXPECT_EQ(region.sources, (std::vector<std::string>{"conv", "relu"}));
  EXPECT_EQ(region.outputs[0]->name, "y");
}

TEST(FuseRegions, AGateInsideAndAValueReadOutside) {
  EXPECT_EQ(fused(R"(graph "" {
  input %x: f32[1, 2, 3, 3]
  const %w: f32[2, 2, 1, 1] = {1, 2, 3, 4}
  %a: f32[] = Conv(%x, %w)
  %s: f32[] = Sigmoid(%a)
  %y: f32[] = Mul(%a, %s)
  output %y })"),
            "Region(Conv Sigmoid Mul)");
  // The pooled value gates its own operand: the convolution ends before.
  EXPECT_EQ(fused(R"(graph "" {
  input %x: f32[1, 2, 3, 3]
  const %w: f32[2, 2, 1, 1] = {1, 2, 3, 4}
  %a: f32[] = Conv(%x, %w)
  %r: f32[] = Relu(%a)
  %p: f32[] = GlobalAveragePool(%r)
  %s: f32[] = Sigmoid(%p)
  %y: f32[] = Mul(%r, %s)
  output %y })"),
            "Region(Conv Relu) Region(GlobalAveragePool Sigmoid) Mul");
}

TEST(FuseRegions, StopsAtOutputsKeptValuesAndOtherShapes) {
  EXPECT_EQ(fused(R"(graph "" {
  input %x: f32[1, 2, 3, 3] input %wide: f32[4, 2, 3, 3]
  const %w: f32[2, 2, 1, 1] = {1, 2, 3, 4}
  %a: f32[] = Conv(%x, %w)
  %b: f32[] = Relu(%a)
  %c: f32[] keep = Conv(%x, %w)
  %d: f32[] = Relu(%c)
  %e: f32[] = Conv(%x, %w)
  %f: f32[] = Add(%e, %wide)
  output %a, %b, %d, %f })"),
            "Conv Relu Conv Relu Conv Add");
}

TEST(FuseRegions, ExtraOutputsWhenAllowed) {
  PassOptions options;
  options.max_extra_outputs = 1;
  EXPECT_EQ(fused(R"(graph "" {
  input %x: f32[1, 2, 3, 3]
  const %w: f32[2, 2, 1, 1] = {1, 2, 3, 4}
  %a: f32[] = Conv(%x, %w)
  %b: f32[] = Relu(%a)
  output %a, %b })",
                  options),
            "Region(Conv Relu)");
}

TEST(FuseRegions, ReductionsTakeBothSides) {
  EXPECT_EQ(fused(R"(graph "" {
  input %x: f32[2, 8] input %mask: f32[2, 1]
  const %half: f32[] = {0.5}
  %a: f32[] = Mul(%x, %half)
  %b: f32[] = Add(%a, %mask)
  %s: f32[] = Softmax(%b)
  %y: f32[] = Mul(%s, %half)
  output %y })"),
            "Region(Mul Add Softmax Mul)");
  // A window reads elements more than once: nothing is computed in front of it.
  EXPECT_EQ(fused(R"(graph "" {
  input %x: f32[1, 2, 4, 4]
  %a: f32[] = Exp(%x)
  %p: f32[] = MaxPool(%a) {kernel_shape = [3, 3]}
  %y: f32[] = Neg(%p)
  output %y })"),
            "Exp Region(MaxPool Neg)");
}

TEST(FuseRegions, PointwiseGroups) {
  const auto result = rewritten(fuse_regions, R"(graph "" {
  input %x: f32[2, 8] input %z: f32[2, 8] input %b: f32[8]
  %a: f32[] = Add(%x, %b)
  %c: f32[] = Mul(%a, %z)
  %d: f32[] = Exp(%c)
  %e: f32[] = Neg(%a)
  %f: f32[] = Sub(%d, %e)
  output %d, %f })");
  EXPECT_EQ(shape_of(*result.graph), "Region(Add Mul Exp Neg Sub)");
  EXPECT_EQ(result.graph->outputs[0]->name, "d");
  EXPECT_EQ(result.graph->outputs[1]->name, "f");
}

TEST(FuseRegions, PointwiseGroupsStayConvex) {
  // The way from %a over the pool back to %c must not be closed into a ring.
  EXPECT_EQ(fused(R"(graph "" {
  input %x: f32[1, 2, 4, 4]
  %a: f32[] = Exp(%x)
  %p: f32[] = GlobalAveragePool(%a)
  %c: f32[] = Sub(%a, %p)
  %d: f32[] = Neg(%c)
  output %d })"),
            "Exp GlobalAveragePool Region(Sub Neg)");
}

TEST(FuseRegions, SmallShapesStayOutOfLargeOnes) {
  EXPECT_EQ(fused(R"(graph "" {
  input %x: f32[4, 8] input %g: f32[8]
  %a: f32[] = Exp(%g)
  %b: f32[] = Neg(%a)
  %c: f32[] = Mul(%x, %b)
  %d: f32[] = Relu(%c)
  output %d })"),
            "Region(Exp Neg) Region(Mul Relu)");
}

TEST(FuseRegions, FeedersJoinTheirOnlyReader) {
  EXPECT_EQ(fused(R"(graph "" {
  input %x: f32[4, 8] input %z: f32[4, 8]
  %a: f32[] = Exp(%x)
  %s: f32[] = Softmax(%z)
  %t: f32[] = Flatten(%s)
  %c: f32[] = Mul(%a, %t)
  output %c })"),
            "Softmax Flatten Region(Exp Mul)");
}

constexpr const char* kBottleneck = R"(graph "" {
  input %x: f32[1, 2, 4, 4]
  const %w1: f32[4, 2, 1, 1] = {1, 2, 3, 4, 5, 6, 7, 8}
  const %w2: f32[4, 1, 2, 2] = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6}
  const %w3: f32[2, 4, 1, 1] = {0.1, -0.2, 0.3, -0.4, 0.5, -0.6, 0.7, -0.8}
  const %zero: f32[] = {0} const %six: f32[] = {6}
  %a: f32[] = Conv(%x, %w1)
  %b: f32[] = Clip(%a, %zero, %six)
  %c: f32[] = Conv(%b, %w2) {group = 4, pads = [0, 0, 1, 1]}
  %d: f32[] = Clip(%c, %zero, %six)
  %e: f32[] = Conv(%d, %w3)
  %y: f32[] = Add(%e, %x)
  output %y })";

TEST(FuseRegions, InvertedBottleneckIsOneRegionThatSplits) {
  auto result = rewritten(fuse_regions, kBottleneck);
  EXPECT_EQ(shape_of(*result.graph), "Region(Conv Clip Conv Clip Conv Add)");
  const auto before = graph_of(kBottleneck);
  PassContext context(test_registry());
  Node* region = result.graph->nodes().front().get();
  EXPECT_EQ(roots_of(*region, context).size(), 3u);

  auto parts = split_region(*result.graph, region, context);
  ASSERT_TRUE(parts.ok()) << parts.status().to_string();
  EXPECT_EQ(shape_of(*result.graph), "Region(Conv Clip) Region(Conv Clip) Region(Conv Add)");
  EXPECT_EQ(result.graph->outputs[0]->name, "y");
  ASSERT_TRUE(ir::verify(*result.graph).ok());
  expect_same_values(*before, *result.graph);

  parts = split_region(*result.graph, (*parts)[1], context);
  ASSERT_TRUE(parts.ok()) << parts.status().to_string();
  EXPECT_EQ(shape_of(*result.graph), "Region(Conv Clip) Conv Clip Region(Conv Add)");
  expect_same_values(*before, *result.graph);

  for (Node* node : std::vector<Node*>{result.graph->nodes().front().get(),
                                       result.graph->nodes().back().get()})
    ASSERT_TRUE(dissolve_region(*result.graph, node).ok());
  EXPECT_EQ(shape_of(*result.graph), "Conv Clip Conv Clip Conv Add");
  EXPECT_EQ(result.graph->outputs[0]->name, "y");
  ASSERT_TRUE(ir::verify(*result.graph).ok());
  expect_same_values(*before, *result.graph);
}

TEST(FuseRegions, SeveralRootsOnlyWhenAllowed) {
  PassOptions options;
  options.multi_root_regions = false;
  EXPECT_EQ(fused(kBottleneck, options), "Region(Conv Clip) Region(Conv Clip) Region(Conv Add)");
}

// Whoever else reads the wide value gets it from the region.
TEST(FuseRegions, WideAndNarrowConvolutionsBecomeOneRegion) {
  const std::string text = R"(graph "" {
  input %x: f32[1, 2, 3, 3] input %r: f32[1, 4, 3, 3]
  const %w: f32[4, 2, 1, 1] = {1, 2, 3, 4, 5, 6, 7, 8}
  const %v: f32[2, 4, 1, 1] = {1, -2, 3, -4, 5, -6, 7, -8}
  %a: f32[] = Conv(%x, %w)
  %s: f32[] = Add(%a, %r)
  %m: f32[] = Relu(%s)
  %b: f32[] = Conv(%m, %v)
  %z: f32[] = Relu(%b)
  output %m output %z })";
  PassOptions wide;
  wide.wide_regions = true;
  auto result = rewritten(fuse_regions, text, wide);
  EXPECT_EQ(shape_of(*result.graph), "Region(Conv Add Relu Conv Relu)");
  EXPECT_EQ(result.graph->nodes().front()->outputs.size(), 2u);
  ASSERT_TRUE(ir::verify(*result.graph).ok());
  const auto before = graph_of(text);
  expect_same_values(*before, *result.graph);
  PassContext context(test_registry());
  ASSERT_TRUE(split_region(*result.graph, result.graph->nodes().front().get(), context).ok());
  EXPECT_EQ(shape_of(*result.graph), "Region(Conv Add Relu) Region(Conv Relu)");
  expect_same_values(*before, *result.graph);

  EXPECT_EQ(fused(text), "Region(Conv Add Relu) Region(Conv Relu)");
  std::string square = text;  // as many channels behind as in the middle: nothing is saved
  const size_t at = square.find("%v: f32[2, 4, 1, 1] = {1, -2, 3, -4, 5, -6, 7, -8}");
  square.replace(at, 50, "%v: f32[4, 4, 1, 1] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}");
  EXPECT_EQ(fused(square, wide), "Region(Conv Add Relu) Region(Conv Relu)");
}

// Dense layers on few rows, as matrix products or as 1x1 convolutions of single pixels.
TEST(FuseRegions, DenseLayersOnFewRowsBecomeOneRegion) {
  const std::string text = R"(graph "" {
  input %x: f32[2, 3]
  const %w: f32[3, 2] = {1, 2, 3, 4, 5, 6}
  const %b: f32[2] = {0.5, -1}
  const %v: f32[2, 2] = {1, -2, 3, -4}
  const %u: f32[2, 1] = {1, 2}
  %a: f32[] = Gemm(%x, %w, %b)
  %r: f32[] = Relu(%a)
  %c: f32[] = MatMul(%r, %v)
  %s: f32[] = Sigmoid(%c)
  %y: f32[] = MatMul(%s, %u)
  output %y })";
  PassOptions wide;
  wide.wide_regions = true;
  auto result = rewritten(fuse_regions, text, wide);
  EXPECT_EQ(shape_of(*result.graph), "Region(Gemm Relu MatMul Sigmoid MatMul)");
  ASSERT_TRUE(ir::verify(*result.graph).ok());
  const auto before = graph_of(text);
  expect_same_values(*before, *result.graph);
  PassContext context(test_registry());
  ASSERT_TRUE(split_region(*result.graph, result.graph->nodes().front().get(), context).ok());
  EXPECT_EQ(shape_of(*result.graph), "Region(Gemm Relu) Region(MatMul Sigmoid) MatMul");
  expect_same_values(*before, *result.graph);

  const std::string apart = "Region(Gemm Relu) Region(MatMul Sigmoid) MatMul";
  EXPECT_EQ(fused(text), apart);
  const auto changed = [&](std::string_view from, std::string_view to) {
    std::string other = text;
    other.replace(other.find(from), from.size(), to);
    return fused(other, wide);
  };
  EXPECT_EQ(changed("output %y", "output %y output %r"), "Region(Gemm Relu) Region(MatMul Sigmoid MatMul)");
  EXPECT_EQ(changed("%x: f32[2, 3]", "%x: f32[33, 3]"), apart);
  EXPECT_EQ(changed("MatMul(%r, %v)", "MatMul(%v, %r)"), apart);  // computed weights

  const std::string_view squeeze = R"(graph "" {
  input %x: f32[1, 3, 4, 4]
  const %w: f32[2, 3, 1, 1] = {1, 2, 3, 4, 5, 6}
  const %v: f32[3, 2, 1, 1] = {1, -2, 3, -4, 5, 6}
  %p: f32[] = GlobalAveragePool(%x)
  %a: f32[] = Conv(%p, %w)
  %r: f32[] = Relu(%a)
  %b: f32[] = Conv(%r, %v)
  %s: f32[] = Sigmoid(%b)
  %y: f32[] = Mul(%x, %s)
  output %y })";
  EXPECT_EQ(fused(squeeze, wide), "GlobalAveragePool Region(Conv Relu Conv Sigmoid) Mul");
}

// A max pool joins the convolution in front of it, with what stands behind it, unless somebody else reads
// what it pools.
TEST(FuseRegions, MaxPoolsJoinTheirConvolution) {
  const std::string text = R"(graph "" {
  input %x: f32[1, 2, 5, 6]
  const %w: f32[2, 2, 2, 2] = {1, 2, 3, 4, 5, 6, 7, 8, -1, -2, -3, 4, 5, 6, 7, 8}
  const %h: f32[] = {0.5}
  %a: f32[] = Conv(%x, %w)
  %m: f32[] = Relu(%a)
  %p: f32[] = MaxPool(%m) {kernel_shape = [2, 2], strides = [2, 2]}
  %y: f32[] = Mul(%p, %h)
  output %y })";
  PassOptions wide;
  wide.wide_regions = true;
  auto result = rewritten(fuse_regions, text, wide);
  EXPECT_EQ(shape_of(*result.graph), "Region(Conv Relu MaxPool Mul)");
  ASSERT_TRUE(ir::verify(*result.graph).ok());
  const auto before = graph_of(text);
  expect_same_values(*before, *result.graph);
  PassContext context(test_registry());
  ASSERT_TRUE(split_region(*result.graph, result.graph->nodes().front().get(), context).ok());
  EXPECT_EQ(shape_of(*result.graph), "Region(Conv Relu) Region(MaxPool Mul)");
  expect_same_values(*before, *result.graph);

  EXPECT_EQ(fused(text), "Region(Conv Relu) Region(MaxPool Mul)");
  const auto changed = [&](std::string_view from, std::string_view to) {
    std::string other = text;
    other.replace(other.find(from), from.size(), to);
    return fused(other, wide);
  };
  EXPECT_EQ(changed("output %y", "output %y output %m"), "Region(Conv Relu) Region(MaxPool Mul)");
  EXPECT_EQ(changed("Mul(%p, %h)", "Mul(%p, %p)"), "Region(Conv Relu MaxPool Mul)");
  EXPECT_EQ(changed("MaxPool(%m)", "AveragePool(%m)"), "Region(Conv Relu) Region(AveragePool Mul)");
  EXPECT_EQ(changed("  %y: f32[] = Mul(%p, %h)\n  output %y", "  output %p"), "Region(Conv Relu MaxPool)");
}

TEST(FuseRegions, SplitsPrologueFromRootAndEpilogue) {
  auto result = rewritten(fuse_regions, R"(graph "" {
  input %x: f32[2, 8] input %mask: f32[2, 1]
  const %half: f32[] = {0.5}
  %a: f32[] = Mul(%x, %half)
  %b: f32[] = Add(%a, %mask)
  %s: f32[] = Softmax(%b)
  %c: f32[] = Mul(%s, %half)
  %y: f32[] = Neg(%c)
  output %y })");
  PassContext context(test_registry());
  auto parts = split_region(*result.graph, result.graph->nodes().front().get(), context);
  ASSERT_TRUE(parts.ok());
  EXPECT_EQ(shape_of(*result.graph), "Region(Mul Add) Region(Softmax Mul Neg)");
  parts = split_region(*result.graph, parts->back(), context);
  ASSERT_TRUE(parts.ok());
  EXPECT_EQ(shape_of(*result.graph), "Region(Mul Add) Softmax Region(Mul Neg)");
}

TEST(FuseRegions, WideRegionsTakePartsAndLookups) {
  PassOptions wide;
  wide.wide_regions = true;
  const std::string_view attention = R"(graph "" {
  input %x: f32[1, 4, 12]
  const %sizes: i64[3] = {4, 4, 4}
  %q: f32[], %k: f32[], %v: f32[] = Split(%x, %sizes) {axis = 2}
  %y: f32[] = Attention(%q, %k, %v) {q_num_heads = 2, kv_num_heads = 2}
  output %y })";
  EXPECT_EQ(fused(attention, wide), "Region(Split Attention)");
  EXPECT_EQ(fused(attention), "Split Attention");
  const std::string_view lookup = R"(graph "" {
  input %a: i64[2, 3] input %b: i64[2, 3]
  const %words: f32[4, 2] = {1, 2, 3, 4, 5, 6, 7, 8} const %kinds: f32[2, 2] = {1, 2, 3, 5}
  const %scale: f32[2] = {1, 2}
  %w: f32[] = Gather(%words, %a)
  %t: f32[] = Gather(%kinds, %b)
  %s: f32[] = Add(%w, %t)
  %y: f32[] = LayerNormalization(%s, %scale)
  output %y })";
  EXPECT_EQ(fused(lookup, wide), "Region(Gather Gather Add LayerNormalization)");
  EXPECT_EQ(fused(lookup), "Gather Gather Region(Add LayerNormalization)");
  // A row that somebody else reads is made once.
  const std::string_view twice = R"(graph "" {
  input %a: i64[2, 3]
  const %words: f32[4, 2] = {1, 2, 3, 4, 5, 6, 7, 8} const %scale: f32[2] = {1, 2}
  %w: f32[] = Gather(%words, %a)
  %y: f32[] = LayerNormalization(%w, %scale)
  output %y output %w })";
  EXPECT_EQ(fused(twice, wide), "Gather LayerNormalization");
}

}  // namespace
}  // namespace planish::passes
