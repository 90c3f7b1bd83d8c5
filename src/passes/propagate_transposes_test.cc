// propagate_transposes and merge_sibling_contractions.
#include "passes/pass_fixture_testing.h"
#include "passes/passes.h"

namespace planish::passes {
namespace {

TEST(PropagateTransposes, CancelsPairsAroundElementwiseNodes) {
  expect_rewrite(propagate_transposes, R"(graph "" {
  input %x: f32[2, 3, 4, 5]
  const %bias: f32[3] = {1, 2, 3} const %two: f32[] = {2}
  %a: f32[] = Transpose(%x) {perm = [0, 2, 3, 1]}
  %b: f32[] = Add(%a, %bias)
  %c: f32[] = Mul(%b, %two)
  %y: f32[] = Transpose(%c) {perm = [0, 3, 1, 2]}
  output %y })",
                 R"(graph "" {
  input %x: f32[2, 3, 4, 5]
  const %bias: f32[1, 1, 1, 3] = {1, 2, 3} const %two: f32[] = {2}
  %t: f32[] = Transpose(%bias) {perm = [0, 3, 1, 2]}
  %b: f32[] = Add(%x, %t)
  %y: f32[] = Mul(%b, %two)
  output %y })");
}

TEST(PropagateTransposes, PassesJoinsAndReductions) {
  const auto result = rewritten(propagate_transposes, R"(graph "" {
  input %x: f32[2, 3, 4, 5] input %z: f32[2, 3, 4, 5]
  const %pads: i64[8] = {0, 1, 0, 0, 0, 2, 0, 0} const %axes: i64[2] = {1, 2} const %sizes: i64[2] = {2, 4}
  %a: f32[] = Transpose(%x) {perm = [0, 2, 3, 1]}
  %b: f32[] = Transpose(%z) {perm = [0, 2, 3, 1]}
  %c: f32[] = Concat(%a, %b) {axis = -1}
  %d: f32[] = Pad(%c, %pads)
  %e: f32[] = Softmax(%d) {axis = 3}
  %p: f32[], %q: f32[] = Split(%e, %sizes) {axis = 3}
  %f: f32[] = Transpose(%p) {perm = [0, 3, 1, 2]}
  %g: f32[] = ReduceMean(%q, %axes)
  %h: f32[] = Transpose(%g) {perm = [0, 3, 1, 2]}
  output %f, %h })");
  EXPECT_TRUE(result.changed);
  EXPECT_EQ(count_nodes(*result.graph, "Transpose"), 0) << ir::print(*result.graph);
}

TEST(PropagateTransposes, DropsReducedDims) {
  const auto result = rewritten(propagate_transposes, R"(graph "" {
  input %x: f32[2, 3, 4, 5]
  const %axes: i64[2] = {1, 2}
  %a: f32[] = Transpose(%x) {perm = [0, 2, 3, 1]}
  %y: f32[] = ReduceSum(%a, %axes) {keepdims = 0}
  %b: f32[] = Transpose(%x) {perm = [3, 2, 1, 0]}
  const %last: i64[1] = {-1}
  %z: f32[] = ReduceSum(%b, %last) {keepdims = 0}
  output %y, %z })");
  EXPECT_EQ(count_nodes(*result.graph, "Transpose"), 1) << ir::print(*result.graph);
}

// A squeeze-and-excitation block as TensorFlow's networks spell it: the mean is not the only reader.
TEST(PropagateTransposes, AReductionReadsBesideOthers) {
  const auto result = rewritten(propagate_transposes, R"(graph "" {
  input %x: f32[2, 3, 4, 5]
  const %axes: i64[2] = {1, 2} const %dims: i64[4] = {2, 3, 1, 1}
  %a: f32[] = Transpose(%x) {perm = [0, 2, 3, 1]}
  %s: f32[] = ReduceMean(%a, %axes) {keepdims = 0}
  %r: f32[] = Reshape(%s, %dims)
  %e: f32[] = Transpose(%r) {perm = [0, 2, 3, 1]}
  %m: f32[] = Mul(%a, %e)
  %y: f32[] = Transpose(%m) {perm = [0, 3, 1, 2]}
  output %y })");
  EXPECT_EQ(count_nodes(*result.graph, "Transpose"), 0) << ir::print(*result.graph);
}

// An operand that is a view either way may stand beside; one that is not stops the transpose.
TEST(PropagateTransposes, PassesWhereTheOtherOperandBecomesAView) {
  const auto transposes = [](const char* dims) {
    const auto result = rewritten(propagate_transposes, std::string(R"(graph "" {
  input %x: f32[2, 3, 4, 5] input %g: f32[)") + dims + R"(]
  %a: f32[] = Transpose(%x) {perm = [0, 2, 3, 1]}
  %m: f32[] = Mul(%a, %g)
  %y: f32[] = Transpose(%m) {perm = [0, 3, 1, 2]}
  output %y })");
    return count_nodes(*result.graph, "Transpose");
  };
  EXPECT_EQ(transposes("2, 1, 1, 3"), 1);  // of the gate alone: [2, 3, 1, 1]
  EXPECT_EQ(transposes("1, 4, 1, 1"), 1);
  EXPECT_EQ(transposes("1, 4, 1, 3"), 2);
}

TEST(PropagateTransposes, BecomesAFlagOfGemm) {
  expect_rewrite(propagate_transposes, R"(graph "" {
  input %x: f32[3, 2] input %z: f32[4, 3]
  %a: f32[] = Transpose(%x) {perm = [1, 0]}
  %b: f32[] = Transpose(%z) {perm = [1, 0]}
  %y: f32[] = Gemm(%a, %b)
  %w: f32[] = MatMul(%a, %b)
  output %y, %w })",
                 R"(graph "" {
  input %x: f32[3, 2] input %z: f32[4, 3]
  %y: f32[] = Gemm(%x, %z) {transA = 1, transB = 1}
  %w: f32[] = Gemm(%x, %z) {transA = 1, transB = 1}
  output %y, %w })");
}

TEST(PropagateTransposes, StopsWhereItWouldMultiply) {
  // Two readers; an operand that is not transposed; a convolution.
  expect_unchanged(propagate_transposes, R"(graph "" {
  input %x: f32[2, 3, 4, 4] input %z: f32[2, 4, 4, 3]
  const %w: f32[1, 4, 1, 1] = {1, 2, 3, 4}
  %a: f32[] = Transpose(%x) {perm = [0, 2, 3, 1]}
  %b: f32[] = Relu(%a)
  %c: f32[] = Neg(%a)
  %d: f32[] = Transpose(%x) {perm = [0, 3, 2, 1]}
  %e: f32[] = Add(%d, %z)
  %f: f32[] = Transpose(%x) {perm = [0, 3, 2, 1]}
  %g: f32[] = Conv(%f, %w)
  output %b, %c, %e, %g })");
}

TEST(MergeSiblings, QueryKeyValue) {
  PassOptions options;
  options.merge_siblings = true;
  expect_rewrite(merge_sibling_contractions, R"(graph "" {
  input %x: f32[2, 3, 2]
  const %w1: f32[2, 2] = {1, 2, 3, 4} const %w2: f32[2, 1] = {5, 6}
  const %b1: f32[2] = {1, 2} const %b2: f32[1] = {3}
  %p1: f32[] = MatMul(%x, %w1)
  %y1: f32[] = Add(%p1, %b1)
  %p2: f32[] = MatMul(%x, %w2)
  %y2: f32[] = Add(%b2, %p2)
  output %y1, %y2 })",
                 R"(graph "" {
  input %x: f32[2, 3, 2]
  const %w: f32[2, 3] = {1, 2, 5, 3, 4, 6} const %b: f32[3] = {1, 2, 3} const %s: i64[2] = {2, 1}
  %p: f32[] = MatMul(%x, %w)
  %a: f32[] = Add(%p, %b)
  %y1: f32[], %y2: f32[] = Split(%a, %s) {axis = 2}
  output %y1, %y2 })",
                 options);
}

TEST(MergeSiblings, PointwiseConvolutions) {
  PassOptions options;
  options.merge_siblings = true;
  const auto result = rewritten(merge_sibling_contractions, R"(graph "" {
  input %x: f32[1, 2, 3, 3]
  const %w1: f32[2, 2, 1, 1] = {1, 2, 3, 4} const %w2: f32[1, 2, 1, 1] = {5, 6} const %w3: f32[1, 2, 3, 3] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}
  const %b1: f32[2] = {1, 2} const %b2: f32[1] = {3}
  %y1: f32[] = Conv(%x, %w1, %b1)
  %y2: f32[] = Conv(%x, %w2, %b2)
  %y3: f32[] = Conv(%x, %w3, %b2)
  output %y1, %y2, %y3 })",
                                options);
  EXPECT_EQ(count_nodes(*result.graph, "Conv"), 2);
  EXPECT_EQ(count_nodes(*result.graph, "Split"), 1);
}

TEST(MergeSiblings, OnlyWhenAskedAndOfOneGeometry) {
  const char* text = R"(graph "" {
  input %x: f32[1, 2, 3, 3]
  const %w1: f32[2, 2, 1, 1] = {1, 2, 3, 4} const %w2: f32[1, 2, 1, 1] = {5, 6}
  %y1: f32[] = Conv(%x, %w1) {strides = [2, 2]}
  %y2: f32[] = Conv(%x, %w2)
  output %y1, %y2 })";
  expect_unchanged(merge_sibling_contractions, text);
  PassOptions options;
  options.merge_siblings = true;
  expect_unchanged(merge_sibling_contractions, text, options);
}

}  // namespace
}  // namespace planish::passes
