// recognize_layer_norm, _rms_norm, _gelu, _silu, _hard_swish, _attention, _suppressed_scores.
#include "passes/pass_fixture_testing.h"
#include "passes/passes.h"

namespace planish::passes {
namespace {

constexpr const char* kLayerNorm = R"(graph "" {
  symbol N [1, *]
  input %x: f32[N, 3, 4]
  const %axes: i64[1] = {-1} const %two: f32[] = {2} const %eps: f32[] = {0.5}
  const %g: f32[4] = {1, 2, 3, 4} const %b: f32[4] = {0, 1, 0, 1}
  %m: f32[] = ReduceMean(%x, %axes)
  %d: f32[] = Sub(%x, %m)
  %q: f32[] = Pow(%d, %two)
  %v: f32[] = ReduceMean(%q, %axes)
  %e: f32[] = Add(%v, %eps)
  %s: f32[] = Sqrt(%e)
  %n: f32[] = Div(%d, %s)
  %h: f32[] = Mul(%n, %g)
  %y: f32[] = Add(%h, %b)
  output %y })";

TEST(RecognizeLayerNorm, InTheUsualSpelling) {
  expect_rewrite(recognize_layer_norm, kLayerNorm, R"(graph "" {
  symbol N [1, *]
  input %x: f32[N, 3, 4]
  const %g: f32[4] = {1, 2, 3, 4} const %b: f32[4] = {0, 1, 0, 1}
  %y: f32[] = LayerNormalization(%x, %g, %b) {axis = 2, epsilon = 0.5}
  output %y })");
}

TEST(RecognizeLayerNorm, WithReciprocalRootAndSeveralAxes) {
  expect_rewrite(recognize_layer_norm, R"(graph "" {
  symbol N [1, *]
  input %x: f32[N, 2, 3]
  const %axes: i64[2] = {2, 1} const %one: f32[] = {1} const %eps: f32[] = {0.5}
  %m: f32[] = ReduceMean(%x, %axes)
  %d: f32[] = Sub(%x, %m)
  %q: f32[] = Mul(%d, %d)
  %v: f32[] = ReduceMean(%q, %axes)
  %e: f32[] = Add(%eps, %v)
  %s: f32[] = Sqrt(%e)
  %r: f32[] = Div(%one, %s)
  %y: f32[] = Mul(%r, %d)
  output %y })",
                 R"(graph "" {
  symbol N [1, *]
  input %x: f32[N, 2, 3]
  const %g: f32[2, 3] = {1, 1, 1, 1, 1, 1}
  %y: f32[] = LayerNormalization(%x, %g) {axis = 1, epsilon = 0.5}
  output %y })");
}

TEST(RecognizeLayerNorm, NotOverOtherAxes) {
  // The mean over axis 1, the variance over axis 2; axes that do not reach the end.
  expect_unchanged(recognize_layer_norm, R"(graph "" {
  input %x: f32[2, 3, 4]
  const %axes: i64[1] = {1} const %last: i64[1] = {2} const %eps: f32[] = {0.5}
  %m: f32[] = ReduceMean(%x, %axes)
  %d: f32[] = Sub(%x, %m)
  %q: f32[] = Mul(%d, %d)
  %v: f32[] = ReduceMean(%q, %last)
  %e: f32[] = Add(%v, %eps)
  %s: f32[] = Sqrt(%e)
  %y: f32[] = Div(%d, %s)
  %v2: f32[] = ReduceMean(%q, %axes)
  %e2: f32[] = Add(%v2, %eps)
  %s2: f32[] = Sqrt(%e2)
  %z: f32[] = Div(%d, %s2)
  output %y, %z })");
}

TEST(RecognizeRmsNorm, WithScale) {
  expect_rewrite(recognize_rms_norm, R"(graph "" {
  symbol N [1, *]
  input %x: f32[N, 4]
  const %axes: i64[1] = {-1} const %two: f32[] = {2} const %eps: f32[] = {0.5}
  const %g: f32[4] = {1, 2, 3, 4}
  %q: f32[] = Pow(%x, %two)
  %v: f32[] = ReduceMean(%q, %axes)
  %e: f32[] = Add(%v, %eps)
  %s: f32[] = Sqrt(%e)
  %r: f32[] = Reciprocal(%s)
  %n: f32[] = Mul(%x, %r)
  %y: f32[] = Mul(%g, %n)
  output %y })",
                 R"(graph "" {
  symbol N [1, *]
  input %x: f32[N, 4]
  const %g: f32[4] = {1, 2, 3, 4}
  %y: f32[] = RMSNormalization(%x, %g) {axis = 1, epsilon = 0.5}
  output %y })");
}

TEST(RecognizeRmsNorm, NotOfAnotherOperand) {
  expect_unchanged(recognize_rms_norm, R"(graph "" {
  input %x: f32[2, 4] input %z: f32[2, 4]
  const %axes: i64[1] = {-1} const %eps: f32[] = {0.5}
  %q: f32[] = Mul(%x, %x)
  %v: f32[] = ReduceMean(%q, %axes)
  %e: f32[] = Add(%v, %eps)
  %s: f32[] = Sqrt(%e)
  %y: f32[] = Div(%z, %s)
  output %y })");
}

constexpr const char* kGelu = R"(graph "" {
  input %x: f32[40]
  %y: f32[] = Gelu(%x) {approximate = "none"}
  output %y })";

TEST(RecognizeGelu, ErfInSeveralOrders) {
  expect_rewrite(recognize_gelu, R"(graph "" {
  input %x: f32[40]
  const %root: f32[] = {1.4142135} const %one: f32[] = {1} const %half: f32[] = {0.5}
  %a: f32[] = Div(%x, %root)
  %b: f32[] = Erf(%a)
  %c: f32[] = Add(%b, %one)
  %d: f32[] = Mul(%x, %c)
  %y: f32[] = Mul(%d, %half)
  output %y })",
                 kGelu);
  expect_rewrite(recognize_gelu, R"(graph "" {
  input %x: f32[40]
  const %root: f32[1] = {0.70710677} const %half: f32[] = {0.5}
  %a: f32[] = Mul(%root, %x)
  %b: f32[] = Erf(%a)
  %c: f32[] = Mul(%half, %b)
  %d: f32[] = Add(%half, %c)
  %y: f32[] = Mul(%d, %x)
  output %y })",
                 kGelu);
}

TEST(RecognizeGelu, Tanh) {
  expect_rewrite(recognize_gelu, R"(graph "" {
  input %x: f32[40]
  const %three: f32[] = {3} const %k: f32[] = {0.044715} const %r: f32[] = {0.7978846}
  const %one: f32[] = {1} const %half: f32[] = {0.5}
  %a: f32[] = Pow(%x, %three)
  %b: f32[] = Mul(%k, %a)
  %c: f32[] = Add(%x, %b)
  %d: f32[] = Mul(%r, %c)
  %e: f32[] = Tanh(%d)
  %f: f32[] = Add(%e, %one)
  %g: f32[] = Mul(%x, %half)
  %y: f32[] = Mul(%g, %f)
  output %y })",
                 R"(graph "" {
  input %x: f32[40]
  %y: f32[] = Gelu(%x) {approximate = "tanh"}
  output %y })");
}

TEST(RecognizeGelu, NotWithOtherConstantsOrReaders) {
  expect_unchanged(recognize_gelu, R"(graph "" {
  input %x: f32[40]
  const %root: f32[] = {1.41} const %good: f32[] = {1.4142135} const %one: f32[] = {1} const %half: f32[] = {0.5}
  %a: f32[] = Div(%x, %root)
  %b: f32[] = Erf(%a)
  %c: f32[] = Add(%b, %one)
  %d: f32[] = Mul(%x, %c)
  %y: f32[] = Mul(%d, %half)
  %a2: f32[] = Div(%x, %good)
  %b2: f32[] = Erf(%a2)
  %c2: f32[] = Add(%b2, %one)
  %d2: f32[] = Mul(%x, %c2)
  %z: f32[] = Mul(%d2, %half)
  output %y, %z, %b2 })");
}

TEST(RecognizeSilu, InEverySpelling) {
  const char* after = R"(graph "" {
  input %x: f32[40]
  %y: f32[] = Swish(%x)
  output %y })";
  expect_rewrite(recognize_silu, R"(graph "" {
  input %x: f32[40]
  %s: f32[] = Sigmoid(%x)
  %y: f32[] = Mul(%s, %x)
  output %y })",
                 after);
  expect_rewrite(recognize_silu, R"(graph "" {
  input %x: f32[40]
  const %one: f32[] = {1}
  %n: f32[] = Neg(%x)
  %e: f32[] = Exp(%n)
  %a: f32[] = Add(%e, %one)
  %y: f32[] = Div(%x, %a)
  output %y })",
                 after);
}

TEST(RecognizeSilu, WithASlope) {
  const auto result = rewritten(recognize_silu, R"(graph "" {
  input %x: f32[40]
  const %k: f32[] = {1.702}
  %a: f32[] = Mul(%x, %k)
  %s: f32[] = Sigmoid(%a)
  %y: f32[] = Mul(%x, %s)
  output %y })");
  ASSERT_EQ(count_nodes(*result.graph, "Swish"), 1);
  EXPECT_NEAR(result.graph->nodes().front()->attr_float("alpha"), 1.702, 1e-6);
}

TEST(RecognizeSilu, NotAGateOfAnotherValue) {
  expect_unchanged(recognize_silu, R"(graph "" {
  input %x: f32[40] input %z: f32[40]
  %s: f32[] = Sigmoid(%x)
  %y: f32[] = Mul(%s, %z)
  %t: f32[] = Tanh(%x)
  %w: f32[] = Mul(%t, %x)
  output %y, %w })");
}

TEST(RecognizeHardSwish, InEverySpelling) {
  const char* after = R"(graph "" {
  input %x: f32[40]
  %y: f32[] = HardSwish(%x)
  output %y })";
  expect_rewrite(recognize_hard_swish, R"(graph "" {
  input %x: f32[40]
  const %three: f32[] = {3} const %zero: f32[] = {0} const %six: f32[] = {6}
  %a: f32[] = Add(%x, %three)
  %b: f32[] = Clip(%a, %zero, %six)
  %c: f32[] = Mul(%x, %b)
  %y: f32[] = Div(%c, %six)
  output %y })",
                 after);
  expect_rewrite(recognize_hard_swish, R"(graph "" {
  input %x: f32[40]
  %b: f32[] = HardSigmoid(%x) {alpha = 0.1666666716337204, beta = 0.5}
  %y: f32[] = Mul(%x, %b)
  output %y })",
                 after);
  expect_rewrite(recognize_hard_swish, R"(graph "" {
  input %x: f32[40]
  const %three: f32[] = {3} const %zero: f32[] = {0} const %six: f32[] = {6} const %sixth: f32[] = {0.16666667}
  %a: f32[] = Add(%x, %three)
  %r: f32[] = Max(%a, %zero)
  %b: f32[] = Min(%r, %six)
  %c: f32[] = Mul(%b, %sixth)
  %y: f32[] = Mul(%c, %x)
  output %y })",
                 after);
}

TEST(RecognizeHardSwish, NotOtherClips) {
  expect_unchanged(recognize_hard_swish, R"(graph "" {
  input %x: f32[40]
  const %three: f32[] = {3} const %zero: f32[] = {0} const %five: f32[] = {5} const %six: f32[] = {6}
  %a: f32[] = Add(%x, %three)
  %b: f32[] = Clip(%a, %zero, %five)
  %c: f32[] = Mul(%x, %b)
  %y: f32[] = Div(%c, %six)
  output %y })");
}

std::string attention_text(std::string_view scores) {
  return std::string(R"(graph "" {
  symbol B [1, *] symbol S [1, *]
  input %q: f32[B, S, 8] input %k: f32[B, S, 8] input %v: f32[B, S, 8] input %mask: f32[B, 1, 1, S]
  const %split: i64[4] = {0, 0, 2, 4} const %merge: i64[3] = {0, 0, 8} const %two: f32[] = {2}
  %q1: f32[] = Reshape(%q, %split)
  %q2: f32[] = Transpose(%q1) {perm = [0, 2, 1, 3]}
  %k1: f32[] = Reshape(%k, %split)
  %k2: f32[] = Transpose(%k1) {perm = [0, 2, 3, 1]}
  %v1: f32[] = Reshape(%v, %split)
  %v2: f32[] = Transpose(%v1) {perm = [0, 2, 1, 3]}
  %p: f32[] = MatMul(%q2, %k2)
)") + std::string(scores) +
         R"(
  %w: f32[] = Softmax(%s) {axis = -1}
  %c: f32[] = MatMul(%w, %v2)
  %c1: f32[] = Transpose(%c) {perm = [0, 2, 1, 3]}
  %y: f32[] = Reshape(%c1, %merge)
  output %y })";
}

TEST(RecognizeAttention, WithHeadsMaskAndScale) {
  for (const char* scores : {"%d: f32[] = Div(%p, %two) %s: f32[] = Add(%d, %mask)",
                             "%d: f32[] = Mul(%two, %p) %s: f32[] = Add(%mask, %d)",
                             "%d: f32[] = Mul(%two, %p) const %low: f32[] = {-1e9} %h: bool[] = Less(%mask, %two) "
                             "%s: f32[] = Where(%h, %d, %low)",
                             "%s: f32[] = Div(%p, %two)", "%s: f32[] = Identity(%p)"}) {
    const auto result = rewritten(recognize_attention, attention_text(scores));
    const bool plain = std::string_view(scores).find("Identity") != std::string_view::npos;
    EXPECT_EQ(count_nodes(*result.graph, "Attention"), plain ? 0 : 1);
    EXPECT_EQ(count_nodes(*result.graph, "Transpose"), plain ? 4 : 0);
  }
}

TEST(RecognizeAttention, NotWhenScoresAreRead) {
  std::string text = attention_text("%s: f32[] = Add(%p, %mask)");
  text.replace(text.rfind("output %y"), 9, "output %y, %s");
  expect_unchanged(recognize_attention, text);
}

constexpr const char* kSuppression = R"(graph "" {
  input %boxes: f32[1, 6, 4]
  input %scores: f32[1, 2, 6]
  const %most: i64[1] = {3} const %iou: f32[1] = {0.5}
  const %zeros: f32[1, 2, 6] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
  %kept: i64[] = NonMaxSuppression(%boxes, %scores, %most, %iou)
  %picked: f32[] = GatherND(%scores, %kept)
  %y: f32[] = ScatterND(%zeros, %kept, %picked)
  output %y })";

TEST(RecognizeSuppressedScores, GatheredAndScatteredIntoZeros) {
  const auto result = rewritten(recognize_suppressed_scores, kSuppression);
  EXPECT_EQ(count_nodes(*result.graph, "SuppressedScores"), 1);
  EXPECT_EQ(result.graph->node_count(), 1);
  EXPECT_TRUE(result.graph->symbols.empty());
}

TEST(RecognizeSuppressedScores, NotIntoOtherValues) {
  std::string text = kSuppression;
  text.replace(text.find("{0, 0, 0"), 8, "{0, 1, 0");
  expect_unchanged(recognize_suppressed_scores, text);
}

}  // namespace
}  // namespace planish::passes
