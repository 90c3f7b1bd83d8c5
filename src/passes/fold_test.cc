// flatten_channels_last, fold_batch_norm, fold_scale, fold_pad, reduce_strength, recognize_global_pool,
// spell_out_einsum, spell_out_quantization.
#include "base/text.h"
#include "passes/pass_fixture_testing.h"
#include "passes/passes.h"

namespace planish::passes {
namespace {

TEST(FoldBatchNorm, IntoTheConvolutionBefore) {
  expect_rewrite(fold_batch_norm, R"(graph "" {
  input %x: f32[1, 1, 3, 3]
  const %w: f32[2, 1, 1, 1] = {2, 3}
  const %s: f32[2] = {4, 8} const %b: f32[2] = {1, -1} const %m: f32[2] = {0.5, 0.25} const %v: f32[2] = {4, 16}
  %a: f32[] = Conv(%x, %w)
  %y: f32[] = BatchNormalization(%a, %s, %b, %m, %v) {epsilon = 0.0}
  output %y })",
                 R"(graph "" {
  input %x: f32[1, 1, 3, 3]
  const %w: f32[2, 1, 1, 1] = {4, 6} const %b: f32[2] = {0, -1.5}
  %y: f32[] = Conv(%x, %w, %b)
  output %y })");
}

TEST(FoldBatchNorm, IntoTransposedAndGroupedConvolutions) {
  const auto result = rewritten(fold_batch_norm, R"(graph "" {
  input %x: f32[2, 4, 3, 3]
  const %w: f32[4, 1, 2, 2] = {0.1, -0.2, 0.3, 0.4, 0.5, 0.6, -0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6}
  const %wb: f32[2] = {0.1, 0.2}
  const %s: f32[2] = {1.5, -0.5} const %b: f32[2] = {1, -1} const %m: f32[2] = {0.5, 0.25} const %v: f32[2] = {4, 1}
  %a: f32[] = ConvTranspose(%x, %w, %wb) {group = 2, strides = [2, 2]}
  %y: f32[] = BatchNormalization(%a, %s, %b, %m, %v)
  const %w2: f32[4, 2, 1, 1] = {0.1, -0.2, 0.3, 0.4, 0.5, 0.6, -0.7, 0.8}
  const %s4: f32[4] = {1.5, -0.5, 2, 3} const %b4: f32[4] = {1, -1, 0, 2} const %m4: f32[4] = {0.5, 0.25, -1, 0} const %v4: f32[4] = {4, 1, 2, 0.5}
  %c: f32[] = Conv(%x, %w2) {group = 2}
  %z: f32[] = BatchNormalization(%c, %s4, %b4, %m4, %v4)
  output %y, %z })");
  EXPECT_EQ(count_nodes(*result.graph, "BatchNormalization"), 0);
  EXPECT_EQ(count_nodes(*result.graph, "Mul"), 0);
}

TEST(FoldBatchNorm, IntoTheUnpaddedConvolutionBehind) {
  const auto result = rewritten(fold_batch_norm, R"(graph "" {
  input %x: f32[1, 2, 5, 5]
  const %s: f32[2] = {4, 8} const %b: f32[2] = {1, -1} const %m: f32[2] = {0.5, 0.25} const %v: f32[2] = {4, 16}
  const %w: f32[1, 2, 2, 2] = {0.1, -0.2, 0.3, 0.4, 0.5, 0.6, -0.7, 0.8}
  %a: f32[] = BatchNormalization(%x, %s, %b, %m, %v)
  %y: f32[] = Conv(%a, %w)
  output %y })");
  EXPECT_EQ(result.graph->node_count(), 1);
}

TEST(FoldBatchNorm, BecomesArithmeticElsewhere) {
  // A padded convolution must not see the shift in its border.
  const auto result = rewritten(fold_batch_norm, R"(graph "" {
  input %x: f32[1, 2, 3, 3]
  const %s: f32[2] = {4, 8} const %b: f32[2] = {1, -1} const %m: f32[2] = {0.5, 0.25} const %v: f32[2] = {4, 16}
  const %w: f32[1, 2, 3, 3] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}
  %a: f32[] = BatchNormalization(%x, %s, %b, %m, %v)
  %y: f32[] = Conv(%a, %w) {pads = [1, 1, 1, 1]}
  output %y })");
  EXPECT_EQ(count_nodes(*result.graph, "Mul"), 1);
  EXPECT_EQ(count_nodes(*result.graph, "Add"), 1);
}

TEST(FoldBatchNorm, NeedsConstantStatistics) {
  expect_unchanged(fold_batch_norm, R"(graph "" {
  input %x: f32[1, 2, 3, 3] input %m: f32[2]
  const %s: f32[2] = {4, 8} const %b: f32[2] = {1, -1} const %v: f32[2] = {4, 16}
  %y: f32[] = BatchNormalization(%x, %s, %b, %m, %v)
  output %y })");
}

TEST(FoldScale, IntoWeightsAndBias) {
  expect_rewrite(fold_scale, R"(graph "" {
  input %x: f32[1, 1, 3, 3]
  const %w: f32[2, 1, 1, 1] = {2, 3} const %two: f32[] = {2}
  const %s: f32[2, 1, 1] = {4, 8} const %b: f32[1, 2, 1, 1] = {1, -1}
  %a: f32[] = Conv(%x, %w)
  %c: f32[] = Mul(%s, %a)
  %d: f32[] = Sub(%b, %c)
  %y: f32[] = Div(%d, %two)
  output %y })",
                 R"(graph "" {
  input %x: f32[1, 1, 3, 3]
  const %w: f32[2, 1, 1, 1] = {-4, -12} const %b: f32[2] = {0.5, -0.5}
  %y: f32[] = Conv(%x, %w, %b)
  output %y })");
}

TEST(FoldScale, IntoProductsAndGemms) {
  const auto result = rewritten(fold_scale, R"(graph "" {
  input %x: f32[4, 3]
  const %w: f32[3, 2] = {1, 2, 3, 4, 5, 6} const %w2: f32[3, 2] = {1, 2, 3, 4, 5, 6} const %c: f32[3] = {0.5, 0.25, 0.125}
  const %s: f32[2] = {4, 8} const %b: f32[1, 2] = {1, -1}
  %a: f32[] = MatMul(%x, %w)
  %d: f32[] = Mul(%s, %a)
  %e: f32[] = Gemm(%d, %w2, %c) {transB = 1, alpha = 0.5, beta = 2.0}
  %f: f32[] = Mul(%x, %e)
  %h: f32[] = Gemm(%f, %w, %s)
  %y: f32[] = Add(%h, %b)
  output %y })");
  EXPECT_EQ(count_nodes(*result.graph, "Mul"), 1);
  EXPECT_EQ(count_nodes(*result.graph, "Add"), 0);
  EXPECT_EQ(result.fired.at("fold_scale/gemm"), 2);
}

TEST(FoldScale, LeavesOtherShapesAndReaders) {
  // Not per channel; a second reader; a MatMul takes no summand; padding sees no shift.
  expect_unchanged(fold_scale, R"(graph "" {
  input %x: f32[1, 2, 2, 2]
  const %w: f32[2, 2, 1, 1] = {1, 2, 3, 4} const %spatial: f32[2, 2] = {1, 2, 3, 4} const %two: f32[] = {2}
  const %m: f32[2, 2] = {1, 2, 3, 4} const %w3: f32[1, 2, 1, 1] = {1, 2}
  %a: f32[] = Conv(%x, %w)
  %b: f32[] = Mul(%a, %spatial)
  %c: f32[] = Conv(%x, %w)
  %d: f32[] = Mul(%c, %two)
  %e: f32[] = Add(%c, %d)
  %f: f32[] = MatMul(%x, %m)
  %g: f32[] = Add(%f, %two)
  %h: f32[] = Exp(%x)
  %i: f32[] = Add(%h, %two)
  %j: f32[] = Conv(%i, %w3) {pads = [1, 1, 1, 1]}
  output %b, %e, %g, %j })");
}

TEST(FoldPad, IntoConvolutionsAndPools) {
  expect_rewrite(fold_pad, R"(graph "" {
  input %x: f32[1, 1, 3, 3]
  const %w: f32[1, 1, 2, 2] = {1, 2, 3, 4} const %pads: i64[8] = {0, 0, 1, 0, 0, 0, 0, 1}
  const %axes: i64[2] = {-2, 3} const %p2: i64[4] = {1, 1, 1, 1} const %zero: f32[] = {0}
  %a: f32[] = Pad(%x, %pads)
  %b: f32[] = Conv(%a, %w) {pads = [0, 1, 0, 0]}
  %c: f32[] = Relu(%x)
  %d: f32[] = Pad(%c, %p2, %zero, %axes)
  %e: f32[] = MaxPool(%d) {kernel_shape = [2, 2]}
  %f: f32[] = Pad(%x, %p2, _, %axes)
  %g: f32[] = AveragePool(%f) {kernel_shape = [2, 2]}
  output %b, %e, %g })",
                 R"(graph "" {
  input %x: f32[1, 1, 3, 3]
  const %w: f32[1, 1, 2, 2] = {1, 2, 3, 4}
  %b: f32[] = Conv(%x, %w) {pads = [1, 1, 0, 1]}
  %c: f32[] = Relu(%x)
  %e: f32[] = MaxPool(%c) {kernel_shape = [2, 2], pads = [1, 1, 1, 1]}
  %g: f32[] = AveragePool(%x) {kernel_shape = [2, 2], pads = [1, 1, 1, 1], count_include_pad = 1}
  output %b, %e, %g })");
}

TEST(FoldPad, LeavesOtherFillsAndModes) {
  // MaxPool over operands of any sign; channels padded; a fill that is not zero; reflection.
  expect_unchanged(fold_pad, R"(graph "" {
  input %x: f32[1, 1, 3, 3]
  const %w: f32[1, 1, 2, 2] = {1, 2, 3, 4} const %w2: f32[1, 2, 2, 2] = {1, 2, 3, 4, 5, 6, 7, 8}
  const %p: i64[8] = {0, 0, 1, 1, 0, 0, 1, 1} const %channel: i64[8] = {0, 1, 0, 0, 0, 0, 0, 0} const %one: f32[] = {1}
  %a: f32[] = Pad(%x, %p)
  %b: f32[] = MaxPool(%a) {kernel_shape = [2, 2]}
  %c: f32[] = Pad(%x, %channel)
  %d: f32[] = Conv(%c, %w2)
  %e: f32[] = Pad(%x, %p, %one)
  %f: f32[] = Conv(%e, %w)
  %g: f32[] = Pad(%x, %p) {mode = "reflect"}
  %h: f32[] = Conv(%g, %w)
  output %b, %d, %f, %h })");
}

TEST(ReduceStrength, ExactForms) {
  PassOptions exact;
  exact.fp32_exact = true;
  expect_rewrite(reduce_strength, R"(graph "" {
  input %x: f32[3]
  const %two: f32[] = {2} const %eight: f32[] = {8} const %zero: f32[] = {0} const %six: f32[] = {6}
  const %three: f32[] = {3}
  %a: f32[] = Pow(%x, %two)
  %b: f32[] = Div(%a, %eight)
  %c: f32[] = Max(%b, %zero)
  %d: f32[] = Max(%x, %zero)
  %e: f32[] = Min(%d, %six)
  %f: f32[] = Div(%e, %three)
  %y: f32[] = Add(%c, %f)
  output %y })",
                 R"(graph "" {
  input %x: f32[3]
  const %eighth: f32[] = {0.125} const %zero: f32[] = {0} const %six: f32[] = {6} const %three: f32[] = {3}
  %a: f32[] = Mul(%x, %x)
  %b: f32[] = Mul(%a, %eighth)
  %c: f32[] = Relu(%b)
  %e: f32[] = Clip(%x, %zero, %six)
  %f: f32[] = Div(%e, %three)
  %y: f32[] = Add(%c, %f)
  output %y })",
                 exact);
}

TEST(ReduceStrength, LeavesWhatIsNotCheaper) {
  expect_unchanged(reduce_strength, R"(graph "" {
  input %x: f32[3] input %z: f32[3] input %i: i64[3]
  const %three: f32[] = {3} const %zero: f32[] = {0} const %seven: i64[] = {7}
  %a: f32[] = Pow(%three, %x)
  %b: f32[] = Div(%x, %zero)
  %c: i64[] = Div(%i, %seven)
  %d: f32[] = Max(%x, %z)
  %e: f32[] = Clip(%x, %zero, %three)
  output %a, %c, %d, %e })");
}

// Scores and values of attention as Keras writes them; a plain product.
TEST(SpellOutEinsum, BatchedProducts) {
  for (const auto& [equation, a, b] : {std::tuple("BTNH,BSNH->BNTS", "2, 3, 2, 4", "2, 5, 2, 4"),
                                       std::tuple("bnts, bsnh -> btnh", "2, 2, 3, 5", "2, 5, 2, 4"),
                                       std::tuple("ik,kj->ij", "2, 3", "3, 4")}) {
    const std::string text = cat("graph \"\" { input %a: f32[", a, "] input %b: f32[", b,
                                 "] %y: f32[] = Einsum(%a, %b) {equation = \"", equation, "\"} output %y }");
    const auto result = rewritten(spell_out_einsum, text);
    EXPECT_EQ(count_nodes(*result.graph, "Einsum"), 0) << equation;
    EXPECT_EQ(count_nodes(*result.graph, "MatMul"), 1) << equation;
  }
}

TEST(SpellOutEinsum, LeavesWhatIsNoProduct) {
  for (const char* equation : {"ij,ij->ij", "ii,ij->ij", "ij,kj->k", "...j,jk->...k"})
    expect_unchanged(spell_out_einsum,
                       cat("graph \"\" { input %a: f32[3, 3] input %b: f32[3, 3] %y: f32[] = Einsum(%a, %b) "
                           "{equation = \"", equation, "\"} output %y }"));
  // A dim of 1 that the other operand stretches.
  expect_unchanged(spell_out_einsum, R"(graph "" {
  input %a: f32[1, 2, 3] input %b: f32[4, 3, 5]
  %y: f32[] = Einsum(%a, %b) {equation = "bij,bjk->bik"}
  output %y })");
}

TEST(SpellOutQuantization, PerTensorAndPerChannel) {
  const auto result = rewritten(spell_out_quantization, R"(graph "" {
  input %x: f32[2, 3]
  const %s: f32[] = {0.25} const %z: u8[] = {3} const %s3: f32[3] = {0.5, 0.25, 0.125} const %z3: i8[3] = {0, 0, 0}
  %q: u8[] = QuantizeLinear(%x, %s, %z)
  %d: f32[] = DequantizeLinear(%q, %s, %z)
  %q3: i8[] = QuantizeLinear(%d, %s3, %z3) {axis = -1}
  %y: f32[] = DequantizeLinear(%q3, %s3, %z3) {axis = -1}
  output %y })");
  for (const char* gone : {"QuantizeLinear", "DequantizeLinear"})
    EXPECT_EQ(count_nodes(*result.graph, gone), 0);
  for (const char* twice : {"Div", "Round", "Clip", "Mul"})
    EXPECT_EQ(count_nodes(*result.graph, twice), 2);
  // Zero points of 0 need no arithmetic.
  for (const char* once : {"Add", "Sub"}) EXPECT_EQ(count_nodes(*result.graph, once), 1);
}

TEST(SpellOutQuantization, LeavesIntegersThatOthersRead) {
  expect_unchanged(spell_out_quantization, R"(graph "" {
  input %x: f32[2, 4] input %i: f32[]
  const %c: f32[] = {0.25} const %z: u8[] = {3} const %blocks: f32[2, 2] = {0.5, 0.25, 0.5, 1}
  %q: u8[] = QuantizeLinear(%x, %c, %z)
  %d: f32[] = DequantizeLinear(%q, %c, %z)
  %s: f32[] = Exp(%i)
  %r: u8[] = QuantizeLinear(%x, %s, %z)
  %e: f32[] = DequantizeLinear(%r, %s, %z)
  %t: u8[] = QuantizeLinear(%x, %blocks) {block_size = 2}
  %f: f32[] = DequantizeLinear(%t, %blocks) {block_size = 2}
  output %q, %d, %e, %f })");
}

TEST(RecognizeGlobalPool, InReductionsAndPools) {
  expect_rewrite(recognize_global_pool, R"(graph "" {
  symbol N [1, *]
  input %x: f32[N, 2, 3, 3]
  const %axes: i64[2] = {-1, 2}
  %a: f32[] = ReduceMean(%x, %axes)
  %b: f32[] = ReduceMax(%x, %axes) {keepdims = 0}
  %c: f32[] = AveragePool(%x) {kernel_shape = [3, 3]}
  output %a, %b, %c })",
                 R"(graph "" {
  symbol N [1, *]
  input %x: f32[N, 2, 3, 3]
  const %shape: i64[2] = {0, 0}
  %a: f32[] = GlobalAveragePool(%x)
  %m: f32[] = GlobalMaxPool(%x)
  %b: f32[] = Reshape(%m, %shape)
  %c: f32[] = GlobalAveragePool(%x)
  output %a, %b, %c })");
}

TEST(RecognizeGlobalPool, NotOverOtherAxesOrPadding) {
  expect_unchanged(recognize_global_pool, R"(graph "" {
  input %x: f32[2, 2, 3, 3]
  const %axes: i64[2] = {1, 2}
  %a: f32[] = ReduceMean(%x, %axes)
  %c: f32[] = AveragePool(%x) {kernel_shape = [3, 3], pads = [1, 1, 1, 1]}
  output %a, %c })");
}

// Two dense layers with weights on either side, one of them shared.
constexpr std::string_view kFlattened = R"(graph "" {
  symbol N [1, *]
  input %x: f32[N, 2, 2, 3]
  const %k: f32[2, 2, 1, 1] = {1, -1, 0.5, 2}
  const %w: f32[12, 2] = {1, 2, 3, 4, 5, 6, 7, 8, -1, -2, -3, 4, 5, 6, 7, 8, 0.5, 0.25, 2, 1, 0, 3, -4, 2}
  const %v: f32[1, 12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
  const %shape: i64[2] = {0, -1}
  %c: f32[] = Conv(%x, %k)
  %r: f32[] = Relu(%c)
  %f: f32[] = Reshape(%r, %shape)
  %y: f32[] = MatMul(%f, %w)
  %z: f32[] = Gemm(%f, %v) {transB = 1}
  output %y, %z })";

TEST(FlattenChannelsLast, TurnsWeightsInPlaceOfImages) {
  PassOptions options;
  options.channels_last = true;
  auto result = rewritten(flatten_channels_last, std::string(kFlattened), options);
  EXPECT_EQ(count_nodes(*result.graph, "Transpose"), 1);
  EXPECT_EQ(result.graph->find("f"), nullptr);  // its elements would come in another order than the source's
  ASSERT_TRUE(ir::verify(*result.graph).ok());
  expect_same_values(*graph_of(std::string(kFlattened)), *result.graph);
}

TEST(FlattenChannelsLast, OnlyWhereItSavesACopy) {
  const auto transposes = [](std::string_view from, std::string_view to, bool channels_last = true) {
    std::string text(kFlattened);
    if (!from.empty()) text.replace(text.find(from), from.size(), to);
    PassOptions options;
    options.channels_last = channels_last;
    return count_nodes(*rewritten(flatten_channels_last, text, options).graph, "Transpose");
  };
  EXPECT_EQ(transposes("", ""), 1);
  EXPECT_EQ(transposes("", "", false), 0);
  EXPECT_EQ(transposes("output %y", "output %f, %y"), 0);            // somebody else reads the flat value
  EXPECT_EQ(transposes("Reshape(%r", "Reshape(%x"), 0);              // an image of the user's
  EXPECT_EQ(transposes("Conv(%x, %k)", "Softmax(%x) {axis = 1}"), 0);
}

}  // namespace
}  // namespace planish::passes
