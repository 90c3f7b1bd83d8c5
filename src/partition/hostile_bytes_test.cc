// Damaged GraphDefs end in a partition or in a Status, never in a stop of the process.
#include <gtest/gtest.h>

#include <random>

#include "partition/graph_def_testing.h"
#include "partition/partition.h"

namespace planish::partition {
namespace {

// A loop, a condition, a call and plain nodes, so that damage meets all of them.
std::string sample() {
  GraphText text;
  const std::string f32 = "T: type: DT_FLOAT", i32 = "T: type: DT_INT32", frame = "frame_name: s: \"loop\"";
  text.placeholder("x", {2, 4}).constant("w", {4, 4}, 0.5).constant_i32("zero", {0}, true);
  text.constant_i32("limit", {300}, true).op("m", "MatMul", {"x", "w"}).op("odd", "NoSuchOp", {"m"});
  text.op("o", "Relu", {"odd"}).op("p", "Exp", {"o"});
  text.node("enter_i", "Enter", {"zero"}, {i32, frame}).node("enter_y", "Enter", {"m"}, {f32, frame});
  text.node("merge_i", "Merge", {"enter_i", "next_i"}, {i32}).op("merge_y", "Merge", {"enter_y", "next_y"});
  text.node("less", "Less", {"merge_i", "limit"}, {i32}).node("cond", "LoopCond", {"less"});
  text.node("switch_i", "Switch", {"merge_i", "cond"}, {i32}).op("switch_y", "Switch", {"merge_y", "cond"});
  text.node("add", "Add", {"switch_i:1", "limit"}, {i32}).op("body", "Sigmoid", {"switch_y:1"});
  text.node("next_i", "NextIteration", {"add"}, {i32}).op("next_y", "NextIteration", {"body"});
  text.op("exit_y", "Exit", {"switch_y"});
  text.node("flag", "Placeholder", {}, {"dtype: type: DT_BOOL", "shape: shape { }"});
  text.op("s", "Switch", {"exit_y", "flag"}).op("yes", "Relu", {"s:1"}).op("no", "Neg", {"s"});
  text.op("merge", "Merge", {"no", "yes"});
  text.node("call", "PartitionedCall", {"merge"},
            {"f: func { name: \"f\" }", "Tin: list { type: DT_FLOAT }", "Tout: list { type: DT_FLOAT }"});
  text.library = "library { function { signature { name: \"f\" input_arg { name: \"v\" type: DT_FLOAT } "
                 "output_arg { name: \"u\" type: DT_FLOAT } } node_def { name: \"r\" op: \"Relu\" input: \"v\" "
                 "attr { key: \"T\" value { type: DT_FLOAT } } } ret { key: \"u\" value: \"r:activations:0\" } } }";
  return text.bytes();
}

TEST(HostileBytes, EndInAPartitionOrAStatus) {
  const std::string whole = sample();
  std::mt19937_64 random(1);
  const auto draw = [&](size_t count) { return size_t(random() % count); };
  int partitions = 0, refusals = 0;
  for (int round = 0; round < 6000; ++round) {
    std::string bytes = whole;
    for (size_t changes = 1 + draw(2); changes > 0; --changes) {
      const size_t at = draw(bytes.size());
      switch (draw(4)) {
        case 0: bytes[at] = char(draw(256)); break;
        case 1: bytes.erase(at, 1 + draw(30)); break;
        case 2: bytes.insert(at, bytes, draw(bytes.size()), 1 + draw(60)); break;
        default: {  // an input or op becomes another name of the same length
          const size_t from = draw(bytes.size());
          bytes.replace(at, std::min<size_t>(3, bytes.size() - at), bytes.substr(from, 3));
        }
      }
      if (bytes.empty()) bytes = "x";
    }
    PartitionOptions options;
    options.minimum_segment_size = 1;
    options.cost_gate = false;
    const auto out = partition_graph(bytes, options, test_registry());
    ++(out.ok() ? partitions : refusals);
  }
  EXPECT_GT(partitions, 50);
  EXPECT_GT(refusals, 200);
}

}  // namespace
}  // namespace planish::partition
