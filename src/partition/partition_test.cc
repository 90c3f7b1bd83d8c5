// What a partition holds: batch cases of TF-TRT's segmenter test under explicit batch, constants, control
// edges, deny lists and limits, reports, errors.
#include <gmock/gmock.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "partition/graph_def_testing.h"
#include "partition/partition.h"
#include "partition/report.h"

namespace planish::partition {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;
using Names = std::vector<std::string>;

PartitionOptions ungated(int minimum = 2) {
  PartitionOptions options;
  options.minimum_segment_size = minimum;
  options.cost_gate = false;
  return options;
}

Partition partition_of(const GraphText& text, const PartitionOptions& options = ungated()) {
  auto out = partition_graph(text.bytes(), options, test_registry());
  EXPECT_TRUE(out.ok()) << out.status().message();
  return out.ok() ? std::move(*out) : Partition();
}

std::vector<Names> nodes_of(const Partition& partition) {
  std::vector<Names> out;
  for (const Segment& segment : partition.segments) out.push_back(segment.nodes);
  return out;
}

Names tensors_of(const std::vector<SegmentEdge>& edges) {
  Names out;
  for (const SegmentEdge& edge : edges) out.push_back(edge.tensor);
  return out;
}

std::string reason_of(const Partition& partition, const std::string& node) {
  for (const LeftNodes& left : partition.left)
    if (std::find(left.nodes.begin(), left.nodes.end(), node) != left.nodes.end()) return left.reason;
  return "";
}

// x -> a -> b -> c -> d -> y, all Relu and Exp by turns.
GraphText chain(int length = 4) {
  GraphText text;
  text.placeholder("x", {-1, 8});
  std::string last = "x";
  for (int i = 0; i < length; ++i) {
    const std::string name(1, char('a' + i));
    text.op(name, i % 2 ? "Exp" : "Relu", {last});
    last = name;
  }
  return text;
}

// The seven batch cases. With an explicit batch no dim is special, so each graph is taken whole where
// its nodes hang together; a constant is copied and joins nothing.

TEST(BatchCases, DynamicNonBatchDimensionIsTaken) {
  GraphText text;
  text.placeholder("feed-0", {-1, 2, 3}).placeholder("feed-1", {-1, -1, 3}).constant("const", {}, 1);
  text.op("add-0", "Add", {"feed-0", "const"}).op("add-1", "Add", {"add-0", "feed-0"});
  text.op("add-2", "Add", {"const", "feed-1"}).op("add-3", "Add", {"add-2", "feed-1"});
  EXPECT_THAT(nodes_of(partition_of(text)), ElementsAre(Names{"add-0", "add-1"}, Names{"add-2", "add-3"}));
}

TEST(BatchCases, ReshapeWithDynamicNonBatchDimensionIsTaken) {
  GraphText text;
  text.placeholder("feed", {-1, 2, 3}).constant_i32("shape", {6, -1});
  text.op("relu-0", "Relu", {"feed"}).op("reshape", "Reshape", {"relu-0", "shape"});
  text.op("relu-1", "Relu", {"reshape"});
  EXPECT_THAT(nodes_of(partition_of(text)), ElementsAre(Names{"relu-0", "reshape", "relu-1"}));
}

TEST(BatchCases, RankOneIsTaken) {
  GraphText text;
  text.placeholder("feed", {3}).constant("const", {}, 1);
  text.op("add-0", "Add", {"feed", "const"}).op("add-1", "Add", {"feed", "add-0"});
  EXPECT_THAT(nodes_of(partition_of(text)), ElementsAre(Names{"add-0", "add-1"}));
}

TEST(BatchCases, TwoChainsOfDifferentBatchAreTwoSegments) {
  GraphText text;
  text.placeholder("feed-0", {2, 3}).placeholder("feed-1", {5, 3}).constant("const", {}, 1);
  text.op("add-0", "Add", {"feed-0", "const"}).op("add-1", "Add", {"add-0", "const"});
  text.op("add-2", "Add", {"feed-1", "const"}).op("add-3", "Add", {"add-2", "const"});
  const Partition p = partition_of(text);
  EXPECT_THAT(nodes_of(p), ElementsAre(Names{"add-0", "add-1"}, Names{"add-2", "add-3"}));
  for (const Segment& segment : p.segments) EXPECT_THAT(segment.copied, ElementsAre("const"));
}

TEST(BatchCases, StaticBroadcastIsTaken) {
  GraphText text;
  text.placeholder("feed-0", {2, 3, 1}).placeholder("feed-1", {1, 3, 4}).placeholder("feed-2", {2, 3, 4});
  text.op("add-0", "Add", {"feed-0", "feed-1"}).op("add-1", "Add", {"feed-2", "add-0"});
  EXPECT_THAT(nodes_of(partition_of(text)), ElementsAre(Names{"add-0", "add-1"}));
}

TEST(BatchCases, DynamicBroadcastIsTaken) {
  GraphText text;
  text.placeholder("feed", {-1, 2}).constant("const", {1, 2}, 1);
  text.op("add-0", "Add", {"feed", "const"}).op("add-1", "Add", {"add-0", "feed"});
  EXPECT_THAT(nodes_of(partition_of(text)), ElementsAre(Names{"add-0", "add-1"}));
}

// The batch must be 2 or 1 then, which the shapes of a call decide.
TEST(BatchCases, BatchAgainstAConstantIsTaken) {
  GraphText text;
  text.placeholder("feed", {-1, 2}).constant("const", {2, 2}, 1);
  text.op("add-0", "Add", {"feed", "const"}).op("add-1", "Add", {"add-0", "feed"});
  EXPECT_THAT(nodes_of(partition_of(text)), ElementsAre(Names{"add-0", "add-1"}));
}

TEST(Partition, EmptyGraphHasNoSegments) {
  auto out = partition_graph("", ungated(), test_registry());
  ASSERT_TRUE(out.ok()) << out.status().message();
  EXPECT_THAT(out->segments, IsEmpty());
  EXPECT_EQ(out->node_count, 0);
}

TEST(Partition, WholeChainIsOneSegmentWithTypedBorder) {
  PartitionOptions options = ungated();
  options.fetches = {"y"};
  const Partition p = partition_of(chain().op("y", "Identity", {"d"}).op("unused", "Relu", {"b"}), options);
  ASSERT_THAT(nodes_of(p), ElementsAre(Names{"a", "b", "c", "d"}));
  const Segment& segment = p.segments[0];
  ASSERT_EQ(segment.inputs.size(), 1u);
  EXPECT_EQ(segment.inputs[0].tensor, "x:0");
  EXPECT_EQ(segment.inputs[0].dtype, ir::DataType::kF32);
  EXPECT_EQ(segment.inputs[0].shape, (std::vector<int64_t>{-1, 8}));
  ASSERT_EQ(segment.outputs.size(), 1u);
  EXPECT_EQ(segment.outputs[0].tensor, "d:0");
  EXPECT_EQ(segment.outputs[0].shape, (std::vector<int64_t>{-1, 8}));
  EXPECT_EQ(reason_of(p, "y"), "a result that only hands on what it reads");
  EXPECT_EQ(p.node_count, 6) << "what no fetch depends on does not count";
}

TEST(Partition, FetchInsideOfASegmentIsItsOutput) {
  PartitionOptions options = ungated();
  options.fetches = {"b", "d:0"};
  const Partition p = partition_of(chain(), options);
  ASSERT_THAT(nodes_of(p), ElementsAre(Names{"a", "b", "c", "d"}));
  EXPECT_THAT(tensors_of(p.segments[0].outputs), ElementsAre("b:0", "d:0"));
}

TEST(Partition, FedTensorCutsTheGraph) {
  PartitionOptions options = ungated();
  options.feeds = {"b:0"};
  const Partition p = partition_of(chain(5), options);
  EXPECT_THAT(nodes_of(p), ElementsAre(Names{"c", "d", "e"}));
  EXPECT_THAT(tensors_of(p.segments[0].inputs), ElementsAre("b:0"));
  EXPECT_EQ(reason_of(p, "b"), "it is fed from outside");
}

TEST(Partition, ConstantsAreCopiedThroughIdentities) {
  GraphText text;
  text.placeholder("x", {-1, 4}).constant("w", {4, 4}, 0.5).op("w1", "Identity", {"w"}).op("w2", "Identity", {"w1"});
  text.op("m1", "MatMul", {"x", "w2"}).op("r1", "Relu", {"m1"}).op("odd", "NoSuchOp", {"r1"});
  text.op("m2", "MatMul", {"odd", "w2"}).op("r2", "Relu", {"m2"});
  const Partition p = partition_of(text);
  ASSERT_THAT(nodes_of(p), UnorderedElementsAre(Names{"m1", "r1"}, Names{"m2", "r2"}));
  for (const Segment& segment : p.segments) {
    EXPECT_THAT(segment.copied, ElementsAre("w", "w1", "w2"));
    EXPECT_EQ(segment.inputs.size(), 1u) << "weights are no inputs";
  }
  EXPECT_EQ(reason_of(p, "odd"), "not an operator that Planish knows");
  EXPECT_EQ(p.constant_count, 3);
}

TEST(Partition, ControlEdgesAreKeptOnce) {
  GraphText text;
  text.placeholder("x", {-1, 4}).op("check", "NoSuchOp", {"x"});
  text.op("a", "Relu", {"x", "^check"}).op("b", "Exp", {"a", "^check"}).op("c", "Relu", {"b"});
  text.node("done", "NoOp", {"^b", "^c"});
  const Partition p = partition_of(text);
  ASSERT_THAT(nodes_of(p), ElementsAre(Names{"a", "b", "c"}));
  EXPECT_THAT(p.segments[0].control_inputs, ElementsAre("check"));
  EXPECT_THAT(p.segments[0].control_outputs, ElementsAre("done"));
}

TEST(Partition, ControlPathOutsideSplits) {
  // b reads a, and waits for something that waits for a: they cannot be one.
  GraphText text;
  text.placeholder("x", {-1, 4}).op("a0", "Relu", {"x"}).op("a", "Exp", {"a0"});
  text.op("odd", "NoSuchOp", {"x", "^a"}).op("b", "Relu", {"a", "^odd"}).op("c", "Exp", {"b"});
  EXPECT_THAT(nodes_of(partition_of(text)), UnorderedElementsAre(Names{"a0", "a"}, Names{"b", "c"}));
}

TEST(Partition, DenyListsMinimumSizeAndMaximum) {
  PartitionOptions options = ungated(2);
  options.deny_nodes = {"c"};
  EXPECT_THAT(nodes_of(partition_of(chain(6), options)), ElementsAre(Names{"a", "b"}, Names{"d", "e", "f"}));
  EXPECT_EQ(reason_of(partition_of(chain(6), options), "c"), "its name is on the deny list");
  options.minimum_segment_size = 3;
  Partition p = partition_of(chain(6), options);
  EXPECT_THAT(nodes_of(p), ElementsAre(Names{"d", "e", "f"}));
  EXPECT_EQ(reason_of(p, "a"), "its segment has fewer than 3 nodes");
  options.minimum_segment_size = 2;
  options.maximum_engines = 1;
  p = partition_of(chain(6), options);
  EXPECT_THAT(nodes_of(p), ElementsAre(Names{"d", "e", "f"})) << "the one that gains more";
  EXPECT_EQ(reason_of(p, "b"), "its segment is not among the best 1");
  options.deny_ops = {"Exp"};
  p = partition_of(chain(6), options);
  EXPECT_THAT(nodes_of(p), IsEmpty());
  EXPECT_EQ(reason_of(p, "b"), "its op is on the deny list");
}

TEST(Partition, IdentitiesAndConstantsDoNotCount) {
  GraphText text;
  text.placeholder("x", {-1, 4}).constant("k", {4}, 1);
  text.op("i1", "Identity", {"x"}).op("i2", "StopGradient", {"i1"}).op("i3", "Snapshot", {"i2"});
  text.op("a", "AddV2", {"i3", "k"}).op("b", "Relu", {"a"});
  EXPECT_THAT(nodes_of(partition_of(text, ungated(3))), IsEmpty());
  EXPECT_THAT(nodes_of(partition_of(text, ungated(2))), ElementsAre(Names{"i1", "i2", "i3", "a", "b"}));
}

TEST(Partition, NodesOfAnotherDeviceTypeStay) {
  GraphText text;
  text.placeholder("x", {-1, 4});
  text.op("a", "Relu", {"x"}, "/device:GPU:0").op("b", "Exp", {"a"}).op("c", "Relu", {"b"}, "/device:CPU:0");
  PartitionOptions options = ungated();
  options.device_type = "GPU";
  Partition p = partition_of(text, options);
  ASSERT_THAT(nodes_of(p), ElementsAre(Names{"a", "b"}));
  EXPECT_EQ(p.segments[0].device, "/device:GPU:0");
  EXPECT_EQ(reason_of(p, "c"), "it is placed on /device:CPU:0, the engines are for GPU");
}

TEST(Partition, CostGateDropsWithFigures) {
  PartitionOptions options = ungated();
  options.cost_gate = true;
  Partition p = partition_of(chain(2), options);
  ASSERT_THAT(p.segments, IsEmpty());
  ASSERT_EQ(p.dropped.size(), 1u);
  EXPECT_TRUE(p.dropped[0].cost.is_known);
  EXPECT_LE(p.dropped[0].cost.gain_us(), 0);
  EXPECT_EQ(reason_of(p, "a"), "its segment gains less than its border costs");
  options.cost_gate = false;
  p = partition_of(chain(2), options);
  ASSERT_EQ(p.segments.size(), 1u);
  // Measured times stand in place of the model's.
  options.cost_gate = true;
  options.measured[p.segments[0].key] = {50.0, 10.0};
  p = partition_of(chain(2), options);
  ASSERT_EQ(p.segments.size(), 1u);
  EXPECT_TRUE(p.segments[0].cost.is_measured);
  EXPECT_DOUBLE_EQ(p.segments[0].cost.gain_us(), 40);
  // A large product gains whatever its border costs.
  GraphText large;
  large.placeholder("x", {256, 1024}).constant("w", {1024, 1024}, 0.1);
  large.op("m", "MatMul", {"x", "w"}).op("r", "Relu", {"m"});
  EXPECT_EQ(partition_of(large, options).segments.size(), 1u);
}

TEST(Partition, SegmentsRunAloneGiveTheSameResult) {
  GraphText text;
  text.placeholder("x", {2, 4}).constant("w", {4, 4}, 0.25).op("w1", "Identity", {"w"});
  text.op("m", "MatMul", {"x", "w1"}).op("r", "Exp", {"m"}).op("cut", "Neg", {"r"});
  text.op("s", "Mul", {"cut", "r"}).op("t", "AddV2", {"s", "w"}).op("y", "MatMul", {"t", "w1"});
  // t adds [2,4] to [4,4]: not allowed, so a matrix of two rows is taken instead.
  text.nodes.erase(text.nodes.begin() + 7);
  text.op("t", "AddV2", {"s", "x"});
  std::swap(text.nodes[7], text.nodes[8]);
  PartitionOptions options = ungated();
  options.deny_nodes = {"cut"};
  options.fetches = {"y"};
  const Partition p = partition_of(text, options);
  ASSERT_THAT(nodes_of(p), ElementsAre(Names{"m", "r"}, Names{"s", "t", "y"}));
  const ir::Tensor x = ir::Tensor::of<float>(ir::DataType::kF32, {2, 4},
                                             std::vector<float>{1, -2, 3, 0.5f, 0, 0.25f, -1, 2});
  const std::vector<ir::Tensor> whole = run_graph(text.bytes(), {"x"}, {"y"}, {x});
  ASSERT_EQ(whole.size(), 1u);
  std::map<std::string, ir::Tensor> known = {{"x:0", x}};
  for (const Segment& segment : p.segments) {
    std::vector<ir::Tensor> values;
    Names inputs, outputs;
    for (const SegmentEdge& edge : segment.inputs) {
      values.push_back(known.at(edge.tensor));
      inputs.push_back(edge.name);
    }
    for (const SegmentEdge& edge : segment.outputs) outputs.push_back(edge.name);
    const std::vector<ir::Tensor> results = run_graph(segment.graph_def, inputs, outputs, values);
    ASSERT_EQ(results.size(), outputs.size());
    for (size_t i = 0; i < results.size(); ++i) known[segment.outputs[i].tensor] = results[i];
    if (known.count("r:0") && !known.count("cut:0")) {
      std::vector<double> cut = known["r:0"].f64_values();
      for (double& value : cut) value = -value;
      known["cut:0"] = ir::Tensor::from_f64(ir::DataType::kF32, {2, 4}, cut);
    }
  }
  EXPECT_EQ(known.at("y:0").f64_values(), whole[0].f64_values());
}

TEST(Partition, OrderOfTheFileDoesNotMatter) {
  GraphText text = chain(8).constant("k", {8}, 2).op("z", "Mul", {"h", "k"}).op("odd", "NoSuchOp", {"c"});
  text.op("tail", "Relu", {"odd"}).op("tail2", "Exp", {"tail"});
  const Partition first = partition_of(text);
  ASSERT_EQ(first.segments.size(), 2u);
  for (int round = 0; round < 20; ++round) {
    std::rotate(text.nodes.begin(), text.nodes.begin() + 1 + round % 5, text.nodes.end());
    std::swap(text.nodes[size_t(round) % text.nodes.size()], text.nodes[0]);
    const Partition again = partition_of(text);
    ASSERT_EQ(nodes_of(again), nodes_of(first));
    for (size_t i = 0; i < first.segments.size(); ++i)
      ASSERT_EQ(again.segments[i].key, first.segments[i].key);
  }
}

TEST(Partition, Reports) {
  PartitionOptions options = ungated(3);
  options.cost_gate = true;
  GraphText text;
  text.placeholder("x", {64, 512}).constant("w", {512, 512}, 0.1).op("m", "MatMul", {"x", "w"});
  text.op("a", "Relu", {"m"}).op("b", "Exp", {"a"}).op("o,dd", "No\\\"Op", {"b"}).op("e", "Relu", {"x"});
  const Partition p = partition_of(text, options);
  ASSERT_EQ(p.segments.size(), 1u);
  const std::string readable = report_text(p);
  EXPECT_THAT(readable, HasSubstr("7 nodes: 3 in 1 engine, 1 constants, 3 left to TensorFlow"));
  EXPECT_THAT(readable, HasSubstr("segment_000: 3 nodes, gains "));
  EXPECT_THAT(readable, HasSubstr("in   f32[64, 512] x:0"));
  EXPECT_THAT(readable, HasSubstr("1x Relu: its segment has fewer than 3 nodes (e)"));
  const std::string csv = report_csv(p);
  EXPECT_THAT(csv, HasSubstr("kind,op,reason,nodes,example\nengine,segment_000,"));
  EXPECT_THAT(csv, HasSubstr("left,\"No\"\"Op\",not an operator that Planish knows,1,\"o,dd\"\n"));
  const auto json = nlohmann::json::parse(report_json(p));
  EXPECT_EQ(json["nodes"], 7);
  EXPECT_EQ(json["taken"], 3);
  EXPECT_EQ(json["engines"][0]["nodes"], (Names{"m", "a", "b"}));
  EXPECT_EQ(json["engines"][0]["inputs"][0]["shape"], (std::vector<int>{64, 512}));
  EXPECT_GT(json["engines"][0]["cost"]["gain_us"].get<double>(), 0);
  EXPECT_EQ(json["left"].size(), 3u);
}

TEST(Partition, Errors) {
  const auto message = [](const std::string& bytes, const PartitionOptions& options) {
    const auto out = partition_graph(bytes, options, test_registry());
    return out.ok() ? "ok" : cat(int(out.status().code()), " ", out.status().message());
  };
  PartitionOptions options = ungated();
  EXPECT_THAT(message("\xff\xff\xff", options), HasSubstr(cat(int(Code::kDataLoss))));
  options.minimum_segment_size = 0;
  EXPECT_THAT(message(chain().bytes(), options), HasSubstr("minimum_segment_size is 0, expected 1 or more"));
  options = ungated();
  options.maximum_engines = -1;
  EXPECT_THAT(message(chain().bytes(), options), HasSubstr("maximum_engines is -1, expected 0 or more"));
  options = ungated();
  options.fetches = {"nothing"};
  EXPECT_THAT(message(chain().bytes(), options), HasSubstr("fetch 'nothing': reads 'nothing', which nothing produces"));
  options = ungated();
  GraphText cycle;
  cycle.op("a", "Relu", {"b"}).op("b", "Relu", {"a"});
  EXPECT_THAT(message(cycle.bytes(), options), HasSubstr("the graph has a cycle"));
}

}  // namespace
}  // namespace planish::partition
