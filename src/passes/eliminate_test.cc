// eliminate_dead, eliminate_duplicates, remove_no_ops, simplify_views, fold_constants.
#include "passes/pass_fixture_testing.h"
#include "passes/passes.h"

namespace planish::passes {
namespace {

TEST(EliminateDead, RemovesWhatNobodyNeeds) {
  expect_rewrite(eliminate_dead, R"(graph "" {
  input %x: f32[2] input %unused: f32[1]
  const %c: f32[] = {1}
  %a: f32[] = Relu(%x)
  %b: f32[] = Exp(%a)
  %c2: f32[] = Add(%b, %c)
  %y: f32[] = Neg(%x)
  %kept: f32[] keep = Abs(%x)
  output %y })",
                 R"(graph "" {
  input %x: f32[2] input %unused: f32[1]
  %y: f32[] = Neg(%x)
  %kept: f32[] keep = Abs(%x)
  output %y })");
}

TEST(EliminateDead, KeepsWhatIsNeeded) {
  expect_unchanged(eliminate_dead, R"(graph "" {
  input %x: f32[2]
  %a: f32[] = Relu(%x)
  %y: f32[] = Exp(%a)
  output %y, %x })");
}

TEST(EliminateDuplicates, MergesEqualNodesAndConstants) {
  expect_rewrite(eliminate_duplicates, R"(graph "" {
  input %x: f32[2]
  const %c: f32[] = {3} const %d: f32[] = {3}
  %a: f32[] = Add(%x, %c)
  %b: f32[] = Add(%x, %d)
  %e: f32[] = Exp(%a)
  %f: f32[] = Exp(%b)
  %y: f32[] = Mul(%e, %f)
  output %y })",
                 R"(graph "" {
  input %x: f32[2]
  const %c: f32[] = {3}
  %a: f32[] = Add(%x, %c)
  %e: f32[] = Exp(%a)
  %y: f32[] = Mul(%e, %e)
  output %y })");
}

TEST(EliminateDuplicates, KeepsNamesOfOutputsAndDifferentAttributes) {
  expect_unchanged(eliminate_duplicates, R"(graph "" {
  input %x: f32[2]
  %a: f32[] = Exp(%x)
  %b: f32[] = Exp(%x)
  %p: f32[] = LeakyRelu(%x) {alpha = 0.1}
  %q: f32[] = LeakyRelu(%x) {alpha = 0.2}
  %y: f32[] = Add(%p, %q)
  output %a, %b, %y })");
}

TEST(RemoveNoOps, AsksExpressions) {
  expect_rewrite(remove_no_ops, R"(graph "" {
  input %x: f32[2, 3]
  const %zero: f32[] = {0} const %one: f32[1] = {1}
  %a: f32[] = Identity(%x)
  %b: f32[] = Cast(%a) {to = f32}
  %c: f32[] = Add(%b, %zero)
  %d: f32[] = Mul(%one, %c)
  %e: f32[] = Div(%d, %one)
  %f: f32[] = Sub(%e, %zero)
  %g: f32[] = Max(%f)
  %y: f32[] = Relu(%g)
  output %y })",
                 R"(graph "" {
  input %x: f32[2, 3]
  %y: f32[] = Relu(%x)
  output %y })");
}

TEST(RemoveNoOps, AsksShapes) {
  expect_rewrite(remove_no_ops, R"(graph "" {
  input %x: f32[N, 3, 4, 4]
  const %pads: i64[8] = {0, 0, 0, 0, 0, 0, 0, 0}
  const %starts: i64[1] = {0} const %ends: i64[1] = {100} const %axes: i64[1] = {2}
  %a: f32[] = Transpose(%x) {perm = [0, 1, 2, 3]}
  %b: f32[] = Pad(%a, %pads)
  %c: f32[] = Slice(%b, %starts, %ends, %axes)
  %d: f32[] = Concat(%c) {axis = 1}
  %e: f32[] = MaxPool(%d) {kernel_shape = [1, 1], strides = [1, 1], pads = [0, 0, 0, 0]}
  %y: f32[] = Relu(%e)
  output %y })",
                 R"(graph "" {
  input %x: f32[N, 3, 4, 4]
  %y: f32[] = Relu(%x)
  output %y })");
}

TEST(RemoveNoOps, KeepsWhatMovesOrNames) {
  // A reversal, a shift by pads, a broadcast, and an output that is an input by another name.
  expect_unchanged(remove_no_ops, R"(graph "" {
  input %x: f32[4, 4]
  const %pads: i64[4] = {1, 0, -1, 0} const %one: f32[1, 4, 4] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}
  const %starts: i64[1] = {3} const %ends: i64[1] = {-9} const %axes: i64[1] = {0} const %steps: i64[1] = {-1}
  %a: f32[] = Slice(%x, %starts, %ends, %axes, %steps)
  %b: f32[] = Pad(%a, %pads)
  %c: f32[] = Mul(%b, %one)
  %same: f32[] = Identity(%x)
  %t: f32[] = Transpose(%x) {perm = [1, 0]}
  output %c, %same, %t })");
}

TEST(RemoveNoOps, ShortensCastsThatLoseNothing) {
  expect_rewrite(remove_no_ops, R"(graph "" {
  input %x: f32[4] input %i: i32[4]
  %a: f64[] = Cast(%x) {to = f64}
  %b: f32[] = Cast(%a) {to = f32}
  %c: i64[] = Cast(%i) {to = i64}
  %d: f32[] = Cast(%c) {to = f32}
  %y: f32[] = Add(%b, %d)
  output %y })",
                 R"(graph "" {
  input %x: f32[4] input %i: i32[4]
  %d: f32[] = Cast(%i) {to = f32}
  %y: f32[] = Add(%x, %d)
  output %y })");
  expect_unchanged(remove_no_ops, R"(graph "" {
  input %x: f32[4] input %i: i32[4]
  %a: f16[] = Cast(%x) {to = f16}
  %b: f32[] = Cast(%a) {to = f32}
  %c: f32[] = Cast(%i) {to = f32}
  %d: i64[] = Cast(%c) {to = i64}
  output %b, %d })");
}

TEST(RemoveNoOps, RenamesTheProducerOfAnOutput) {
  const auto result = rewritten(remove_no_ops, R"(graph "" {
  input %x: f32[4]
  %a: f32[] = Relu(%x)
  %y: f32[] = Identity(%a)
  output %y })");
  ASSERT_EQ(result.graph->node_count(), 1);
  EXPECT_EQ(result.graph->outputs[0]->name, "y");
}

TEST(SimplifyViews, MakesOneReshape) {
  expect_rewrite(simplify_views, R"(graph "" {
  symbol N [1, *]
  input %x: f32[N, 4, 1, 1]
  const %axes: i64[2] = {2, 3} const %axes2: i64[1] = {1}
  %a: f32[] = Squeeze(%x, %axes)
  %b: f32[] = Unsqueeze(%a, %axes2)
  %c: f32[] = Flatten(%b)
  %y: f32[] = Relu(%c)
  output %y })",
                 R"(graph "" {
  symbol N [1, *]
  input %x: f32[N, 4, 1, 1]
  const %shape: i64[2] = {0, 4}
  %a: f32[] = Reshape(%x, %shape)
  %y: f32[] = Relu(%a)
  output %y })");
}

TEST(SimplifyViews, FoldsComputedTargets) {
  expect_rewrite(simplify_views, R"(graph "" {
  symbol N [1, *]
  input %x: f32[N, 2, 3, 4]
  const %zero: i64[1] = {0} const %rest: i64[1] = {-1}
  const %one: i64[1] = {1}
  %s: i64[] = Shape(%x) {start = 0}
  %n: i64[] = Slice(%s, %zero, %one)
  %t: i64[] = Concat(%n, %rest) {axis = 0}
  %a: f32[] = Reshape(%x, %t)
  %y: f32[] = Relu(%a)
  output %y })",
                 R"(graph "" {
  symbol N [1, *]
  input %x: f32[N, 2, 3, 4]
  const %shape: i64[2] = {0, 24}
  %a: f32[] = Reshape(%x, %shape)
  %y: f32[] = Relu(%a)
  output %y })");
}

TEST(SimplifyViews, PassesByWhatComesBackToTheSameShape) {
  expect_rewrite(simplify_views, R"(graph "" {
  symbol N [1, *]
  input %x: f32[N, 6]
  const %s1: i64[3] = {0, 2, 3} const %s2: i64[2] = {0, 6}
  %a: f32[] = Reshape(%x, %s1)
  %b: f32[] = Reshape(%a, %s2)
  %y: f32[] = Relu(%b)
  output %y })",
                 R"(graph "" {
  symbol N [1, *]
  input %x: f32[N, 6]
  %y: f32[] = Relu(%x)
  output %y })");
}

TEST(SimplifyViews, LeavesConstantReshapesAndTransposesAlone) {
  expect_unchanged(simplify_views, R"(graph "" {
  symbol N [1, *]
  input %x: f32[N, 6]
  const %s: i64[3] = {0, 2, 3}
  %a: f32[] = Reshape(%x, %s)
  %y: f32[] = Transpose(%a) {perm = [0, 2, 1]}
  output %y })");
}

TEST(SimplifyViews, TransposesOfOnesAreViews) {
  expect_rewrite(simplify_views, R"(graph "" {
  symbol N [1, *]
  input %x: f32[N, 6, 1, 1]
  %a: f32[] = Transpose(%x) {perm = [0, 2, 3, 1]}
  %y: f32[] = Relu(%a)
  output %y })",
                 R"(graph "" {
  symbol N [1, *]
  input %x: f32[N, 6, 1, 1]
  const %s: i64[4] = {0, 1, 1, 6}
  %a: f32[] = Reshape(%x, %s)
  %y: f32[] = Relu(%a)
  output %y })");
}

TEST(FoldConstants, EvaluatesConstantNodes) {
  expect_rewrite(fold_constants, R"(graph "" {
  input %x: f32[2]
  const %a: f32[2] = {1, 2} const %b: f32[2] = {3, 5}
  %c: f32[] = Add(%a, %b)
  %d: f32[] = Mul(%c, %c)
  %y: f32[] = Mul(%x, %d)
  output %y })",
                 R"(graph "" {
  input %x: f32[2]
  const %d: f32[2] = {16, 49}
  %y: f32[] = Mul(%x, %d)
  output %y })");
}

TEST(FoldConstants, TakesNumbersFromShapes) {
  expect_rewrite(fold_constants, R"(graph "" {
  symbol N [1, *]
  input %x: f32[N, 6, 8] input %z: f32[48]
  const %one: i64[1] = {1} const %three: i64[1] = {3}
  %s: i64[] = Shape(%x) {start = 0}
  %t: i64[] = Slice(%s, %one, %three)
  %y: f32[] = Reshape(%z, %t)
  output %y })",
                 R"(graph "" {
  symbol N [1, *]
  input %x: f32[N, 6, 8] input %z: f32[48]
  const %one: i64[1] = {1} const %three: i64[1] = {3} const %t: i64[2] = {6, 8}
  %s: i64[] = Shape(%x) {start = 0}
  %u: i64[] = Slice(%s, %one, %three)
  %y: f32[] = Reshape(%z, %t)
  output %y })");
}

TEST(FoldConstants, DoesNotGrowTheModel) {
  PassOptions options;
  options.max_fold_growth = 1000;
  expect_unchanged(fold_constants, R"(graph "" {
  input %x: f32[64, 64]
  const %c: f32[1, 1] = {2} const %s: i64[2] = {64, 64}
  %a: f32[] = Expand(%c, %s)
  %y: f32[] = Add(%x, %a)
  output %y })",
                   options);
}

TEST(FoldConstants, KeepsOutputsComputed) {
  expect_unchanged(fold_constants, R"(graph "" {
  const %a: f32[2] = {1, 2}
  %y: f32[] = Exp(%a)
  output %y })");
}

}  // namespace
}  // namespace planish::passes
