// What goes whole or stays whole: conditions and loops of TF1, functions; and what is not known or no
// tensor of numbers.
#include <gmock/gmock.h>

#include <algorithm>

#include "partition/graph_def_testing.h"
#include "partition/partition.h"

namespace planish::partition {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using Names = std::vector<std::string>;

Partition partition_of(const GraphText& text, PartitionOptions options = {}, int minimum = 2) {
  options.minimum_segment_size = minimum;
  options.cost_gate = false;
  auto out = partition_graph(text.bytes(), options, test_registry());
  EXPECT_TRUE(out.ok()) << out.status().message();
  return out.ok() ? std::move(*out) : Partition();
}

std::string reason_of(const Partition& partition, const std::string& node) {
  for (const LeftNodes& left : partition.left)
    if (std::find(left.nodes.begin(), left.nodes.end(), node) != left.nodes.end()) return left.reason;
  return "";
}

std::string float_type(const std::string& key) { return key + ": type: DT_FLOAT"; }

// cond(sum(x) > 0, inside(x), -x), then Exp and Relu.
GraphText condition(const std::string& inside) {
  GraphText text;
  text.placeholder("x", {-1, 4}).constant("zero", {}, 0).constant_i32("axes", {0, 1});
  text.node("sum", "Sum", {"x", "axes"}, {float_type("T"), "Tidx: type: DT_INT32"});
  text.op("p", "Greater", {"sum", "zero"}).op("switch", "Switch", {"x", "p"});
  text.op("yes", inside, {"switch:1"}).op("no", "Neg", {"switch"}).op("merge", "Merge", {"no", "yes"});
  text.op("a", "Exp", {"merge"}).op("b", "Relu", {"a"});
  return text;
}

TEST(ControlFlow, ConditionGoesWhole) {
  const Partition p = partition_of(condition("Relu"));
  ASSERT_EQ(p.segments.size(), 1u);
  for (const char* name : {"sum", "p", "switch", "yes", "no", "merge", "a", "b"})
    EXPECT_THAT(p.segments[0].nodes, Contains(name));
}

TEST(ControlFlow, ConditionStaysWhole) {
  const Partition p = partition_of(condition("NoSuchOp"));
  ASSERT_EQ(p.segments.size(), 2u);
  EXPECT_THAT(p.segments[0].nodes, ElementsAre("sum", "p"));
  EXPECT_THAT(p.segments[1].nodes, ElementsAre("a", "b"));
  EXPECT_EQ(reason_of(p, "merge"), "it merges a tensor of unknown shape");
  for (const char* name : {"switch", "no"})
    EXPECT_EQ(reason_of(p, name), "its loop or condition holds 'yes' (NoSuchOp), which is not taken");
  EXPECT_EQ(reason_of(p, "yes"), "not an operator that Planish knows");
}

// for (i = 0; i < rounds; ++i) y = inside(y); 300 are more than are unrolled.
GraphText loop(const std::string& inside, int rounds = 300) {
  GraphText text;
  text.placeholder("x", {2, 4}).constant_i32("start", {0}, true).constant("half", {}, 0.5);
  // Only the body reads it: the Exit depends on it through the back edge alone.
  text.op("zz_step", "Relu", {"x"});
  text.op("before", "Exp", {"x"});
  const std::string frame = "frame_name: s: \"loop\"", i32 = "T: type: DT_INT32";
  text.node("enter_i", "Enter", {"start"}, {i32, frame}).node("enter_y", "Enter", {"before"}, {float_type("T"), frame});
  text.node("merge_i", "Merge", {"enter_i", "next_i"}, {i32}).op("merge_y", "Merge", {"enter_y", "next_y"});
  text.constant_i32("limit", {rounds}, true).node("less", "Less", {"merge_i", "limit"}, {i32});
  text.node("cond", "LoopCond", {"less"});
  text.node("switch_i", "Switch", {"merge_i", "cond"}, {i32}).op("switch_y", "Switch", {"merge_y", "cond"});
  text.node("one", "Const", {"^switch_i"}, {"dtype: type: DT_INT32",
            "value: tensor { dtype: DT_INT32 tensor_shape { } int_val: 1 }"});
  text.node("enter_step", "Enter", {"zz_step"}, {float_type("T"), frame, "is_constant: b: true"});
  text.node("add", "Add", {"switch_i:1", "one"}, {i32}).op("moved", "Mul", {"switch_y:1", "enter_step"});
  text.op("body", inside, {"moved"});
  text.node("next_i", "NextIteration", {"add"}, {i32}).op("next_y", "NextIteration", {"body"});
  text.op("exit_y", "Exit", {"switch_y"}).op("after", "Mul", {"exit_y", "half"});
  return text;
}

TEST(ControlFlow, WhileFrameGoesWhole) {
  const Partition p = partition_of(loop("Sigmoid"));
  ASSERT_EQ(p.segments.size(), 1u) << (p.left.empty() ? "" : p.left[0].reason);
  for (const char* name : {"before", "enter_i", "merge_y", "cond", "body", "next_y", "exit_y", "after"})
    EXPECT_THAT(p.segments[0].nodes, Contains(name));
  EXPECT_EQ(p.segments[0].inputs.size(), 1u);
  EXPECT_EQ(p.segments[0].outputs.size(), 1u);
}

TEST(ControlFlow, LoopsCountAsOftenAsTheyRun) {
  const auto cost = [](int rounds) { return partition_of(loop("Relu", rounds)).segments.at(0).cost; };
  const SegmentCost few = cost(4), many = cost(40), open = cost(300);
  EXPECT_TRUE(few.is_known);
  EXPECT_TRUE(many.is_known);
  EXPECT_GE(many.tensorflow_us, few.tensorflow_us + 36);  // one operator per round at least
  EXPECT_FALSE(open.is_known);
}

TEST(ControlFlow, WhileFrameStaysWhole) {
  const Partition p = partition_of(loop("NoSuchOp"), {}, 1);
  for (const Segment& segment : p.segments)
    for (const char* name : {"enter_i", "merge_y", "cond", "add", "next_y", "exit_y", "switch_i"})
      EXPECT_THAT(segment.nodes, Not(Contains(name)));
  EXPECT_THAT(reason_of(p, "exit_y"), HasSubstr("NoSuchOp (not an operator that Planish knows)"));
  EXPECT_THAT(reason_of(p, "add"), HasSubstr("its loop or condition holds 'exit_y' (Exit)"));
}

// x -> call of f -> Exp, where f(v) = Relu(inside(v)).
GraphText call(const std::string& inside) {
  GraphText text;
  text.placeholder("x", {-1, 4});
  text.node("call", "PartitionedCall", {"x"},
            {"f: func { name: \"f\" }", "Tin: list { type: DT_FLOAT }", "Tout: list { type: DT_FLOAT }"});
  text.op("a", "Exp", {"call"}).op("b", "Relu", {"a"});
  text.library = "library { function { signature { name: \"f\" input_arg { name: \"v\" type: DT_FLOAT } "
                 "output_arg { name: \"w\" type: DT_FLOAT } } "
                 "node_def { name: \"in\" op: \"" + inside + "\" input: \"v\" attr { key: \"T\" value { type: DT_FLOAT } } } "
                 "node_def { name: \"out\" op: \"Relu\" input: \"in:y:0\" attr { key: \"T\" value { type: DT_FLOAT } } } "
                 "ret { key: \"w\" value: \"out:activations:0\" } } }";
  return text;
}

TEST(Functions, CallIsTakenWithItsLibrary) {
  const Partition p = partition_of(call("Neg"), {}, 4);  // its inner nodes count
  ASSERT_EQ(p.segments.size(), 1u);
  EXPECT_THAT(p.segments[0].nodes, ElementsAre("call", "a", "b"));
  const ir::Tensor x = ir::Tensor::of<float>(ir::DataType::kF32, {1, 4}, std::vector<float>{1, -2, 0, -0.5f});
  const auto got = run_graph(p.segments[0].graph_def, {p.segments[0].inputs[0].name}, {"b:0"}, {x});
  const auto want = run_graph(call("Neg").bytes(), {"x"}, {"b"}, {x});
  ASSERT_EQ(got.size(), 1u);
  ASSERT_EQ(want.size(), 1u);
  EXPECT_EQ(got[0].f64_values(), want[0].f64_values());
}

TEST(Functions, ReasonNamesWhatItHolds) {
  const Partition p = partition_of(call("NoSuchOp"));
  ASSERT_EQ(p.segments.size(), 1u);
  EXPECT_THAT(p.segments[0].nodes, ElementsAre("a", "b"));
  EXPECT_THAT(reason_of(p, "call"), HasSubstr("NoSuchOp (not an operator that Planish knows)"));
  // Tout tells the type.
  EXPECT_EQ(p.segments[0].inputs[0].dtype, ir::DataType::kF32);
}

TEST(Unknown, ShapesBehindAForeignNode) {
  GraphText text;
  text.placeholder("x", {-1, 8, 8, 3}).op("odd", "NoSuchOp", {"x"}).constant("w", {3, 3, 3, 5}, 0.1);
  text.node("conv", "Conv2D", {"odd", "w"},
            {float_type("T"), "strides: list { i: 1 i: 1 i: 1 i: 1 }", "padding: s: \"SAME\""});
  text.op("relu", "Relu", {"conv"});
  Partition p = partition_of(text);
  ASSERT_EQ(p.segments.size(), 1u);
  EXPECT_THAT(p.segments[0].nodes, ElementsAre("conv", "relu"));
  // A convolution's operand has four dims, the last as deep as its filter; the rest is open.
  EXPECT_EQ(p.segments[0].inputs[0].shape, (std::vector<int64_t>{-1, -1, -1, 3}));
  EXPECT_EQ(p.segments[0].outputs[0].shape, (std::vector<int64_t>{-1, -1, -1, 5}));
  EXPECT_FALSE(p.segments[0].cost.is_known);
  EXPECT_GT(p.segments[0].cost.tensorflow_us, 2);  // of images of an assumed size
  PartitionOptions options;
  options.tensors["odd:0"] = {ir::DataType::kF32, std::vector<int64_t>{-1, 8, 8, 3}};
  p = partition_of(text, options);
  ASSERT_EQ(p.segments.size(), 1u);
  EXPECT_EQ(p.segments[0].inputs[0].shape, (std::vector<int64_t>{-1, 8, 8, 3}));
  EXPECT_TRUE(p.segments[0].cost.is_known);
}

TEST(Unknown, HintOfAWrongDepthIsARefusal) {
  GraphText text;
  text.placeholder("x", {-1, 8}).op("odd", "NoSuchOp", {"x"}).constant("w", {3, 5}, 0.1);
  text.op("m", "MatMul", {"odd", "w"}).op("r", "Relu", {"m"});
  PartitionOptions options;
  options.tensors["odd"] = {ir::DataType::kF32, std::vector<int64_t>{-1, 4}};
  EXPECT_THAT(reason_of(partition_of(text, options), "m"), HasSubstr("got 3, expected 4"));
}

TEST(Border, TextAndResourcesStay) {
  GraphText text;
  text.placeholder("x", {-1, 4});
  text.node("file", "Placeholder", {}, {"dtype: type: DT_STRING"});
  text.node("join", "StringJoin", {"file", "file"}, {"N: i: 2"});
  text.node("v", "VarHandleOp", {}, {"dtype: type: DT_FLOAT", "shape: shape { dim { size: 4 } }"});
  text.node("read", "ReadVariableOp", {"v"}, {"dtype: type: DT_FLOAT"});
  text.op("a", "AddV2", {"x", "read"}).op("b", "Relu", {"a"});
  const Partition p = partition_of(text, {}, 1);
  ASSERT_EQ(p.segments.size(), 1u);
  EXPECT_THAT(p.segments[0].nodes, ElementsAre("a", "b"));
  EXPECT_EQ(reason_of(p, "v"), "a variable: its value belongs to TensorFlow");
  EXPECT_NE(reason_of(p, "read"), "");
  EXPECT_NE(reason_of(p, "join"), "");
}

// The list may not leave its segment, but what reads it there is read by nobody.
TEST(Border, ReadersThatNobodyWantsDoNotCount) {
  GraphText text;
  text.placeholder("x", {3, 4}).constant_i32("row", {4}).op("a", "Exp", {"x"});
  const std::string element = "element_dtype: type: DT_FLOAT", shape = "shape_type: type: DT_INT32";
  text.node("list", "TensorListFromTensor", {"a", "row"}, {element, shape});
  text.node("stack", "TensorListStack", {"list", "row"}, {element, "num_elements: i: 3"});
  text.op("b", "Relu", {"stack"});
  text.node("length", "TensorListLength", {"list"}).node("unread", "NoSuchOp", {"list"});
  PartitionOptions options;
  options.fetches = {"b"};
  const Partition p = partition_of(text, options);
  ASSERT_EQ(p.segments.size(), 1u) << (p.left.empty() ? "" : p.left[0].reason);
  EXPECT_THAT(p.segments[0].nodes, ElementsAre("a", "list", "stack", "b"));
}

TEST(Border, ViewsThatWouldBeCopiedAreTrimmed) {
  GraphText text;
  text.placeholder("x", {2, 4}).constant_i32("flat", {8}).constant_i32("back", {4, 2});
  // r is a result; its reshaped forms are free in TensorFlow. So is the first one, which another
  // result reads.
  text.op("first", "Reshape", {"x", "back"}).op("a", "Exp", {"first"}).op("r", "Relu", {"a"});
  text.op("second", "Reshape", {"r", "flat"}).op("third", "Identity", {"second"});
  text.op("last", "Reshape", {"third", "back"}).op("aside", "Reshape", {"first", "flat"});
  PartitionOptions options;
  options.fetches = {"r", "last", "aside"};
  const Partition p = partition_of(text, options);
  ASSERT_EQ(p.segments.size(), 1u);
  EXPECT_THAT(p.segments[0].nodes, ElementsAre("a", "r"));
  EXPECT_THAT(reason_of(p, "last"), HasSubstr("only hands memory on at its segment's border"));
}

TEST(Border, RandomNumbersAndEffectsStay) {
  GraphText text;
  text.placeholder("x", {2, 4}).constant_i32("shape", {2, 4});
  text.node("draw", "RandomUniform", {"shape"}, {"dtype: type: DT_FLOAT", "T: type: DT_INT32"});
  text.op("a", "AddV2", {"x", "draw"}).op("b", "Relu", {"a"}).node("nothing", "NoOp", {"^b"});
  const Partition p = partition_of(text, {}, 1);
  ASSERT_EQ(p.segments.size(), 1u);
  EXPECT_THAT(p.segments[0].nodes, ElementsAre("a", "b"));
  EXPECT_EQ(p.segments[0].inputs[1].shape, (std::vector<int64_t>{2, 4}));
  EXPECT_EQ(reason_of(p, "draw"), "it draws random numbers");
  EXPECT_EQ(reason_of(p, "nothing"), "it gives no tensor and is run for its effect");
}

}  // namespace
}  // namespace planish::partition
