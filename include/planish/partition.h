// Which parts of a TensorFlow graph Planish can take, and why not the rest. Needs no TensorFlow.
//
// A frozen GraphDef (variables as constants, calls inlined) is cut into segments: convex groups of
// nodes that can each be replaced by one engine without making a cycle. A host rewrites its graph with
// them: for each segment it removes `nodes`, puts an engine in their place that reads `inputs` in
// order and gives `outputs` in order, and turns control inputs that name a member to the engine.
// `copied` nodes stay where somebody else reads them. `graph_def` is the segment alone, for
// Network::load_tensorflow with the edges' names as inputs and outputs. Part of libplanish.
//
//   planish::PartitionOptions options;
//   options.fetches = {"Identity"};
//   auto result = planish::partition(bytes.data(), bytes.size(), options);
//   for (const auto& segment : result->segments) ...
//   std::cout << result->report_text;
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "planish/config.h"
#include "planish/network.h"
#include "planish/status.h"
#include "planish/types.h"

namespace planish {
PLANISH_API_NAMESPACE {

// What the caller knows of a tensor that the graph does not tell (results of operators that stay).
struct TensorHint {
  std::optional<DataType> dtype;
  std::optional<std::vector<int64_t>> shape;  // -1: an unknown dim
};

// Of one call on this machine, in place of the model's figures.
struct MeasuredTimes {
  std::optional<double> tensorflow_us;  // the segment's nodes, run by TensorFlow
  std::optional<double> engine_us;      // the engine with its border
};

struct PartitionOptions {
  // Tensors ("node", "node:1") or nodes ("^node") that are wanted; nothing else is looked at. A result
  // that only hands on what it reads (Identity) stays outside, so that its name survives; any other
  // can be inside, and is then one of its segment's outputs. Empty: every node is wanted.
  std::vector<std::string> fetches;
  // Tensors that come from outside, besides all placeholders.
  std::vector<std::string> feeds;
  std::map<std::string, TensorHint> tensors;  // by "node:port"
  // Segments of fewer nodes stay in TensorFlow; nodes that only name, hand on or hold a constant do
  // not count. At least 1.
  int minimum_segment_size = 3;
  std::vector<std::string> deny_ops, deny_nodes;  // stay in TensorFlow
  int maximum_engines = 0;    // those that gain most; 0: all
  std::string device_type;    // "CPU", "GPU": nodes placed on another type stay; empty: no matter
  bool cost_gate = true;      // drop segments that gain less than their border costs
  int64_t assumed_batch = 1;  // for an open first dim, when gains are predicted
  std::map<std::string, MeasuredTimes> measured;  // by Segment::key
  int64_t max_nodes = 0;      // limit of the graph's nodes; 0: the default of this version
};

// A tensor that crosses a segment's border.
struct SegmentEdge {
  std::string tensor;  // "node:port" in the whole graph
  std::string name;    // in the segment's graph: the placeholder of an input; "node:port" of an output
  std::optional<DataType> dtype;               // absent: not known
  std::optional<std::vector<int64_t>> shape;   // -1: an unknown dim; absent: unknown rank
};

// Microseconds of one call, predicted by a plain model or measured.
struct SegmentCost {
  bool is_known = false;     // false: unknown dims count as 32, loops that data end as 8 iterations
  bool is_measured = false;
  double tensorflow_us = 0, engine_us = 0;
  double border_us = 0;      // the engine's call, and copies of what crosses the border
  double gain_us = 0;        // tensorflow_us - engine_us - border_us
};

struct Segment {
  std::string name;                  // "segment_000", in topological order
  std::string key;                   // hash of its content: equal where content is equal
  std::string device;                // as far as the nodes agree on one; TensorFlow's name
  std::vector<std::string> nodes;    // topological; to be removed from the graph
  std::vector<std::string> copied;   // constants that are inside as copies
  std::vector<SegmentEdge> inputs, outputs;      // every tensor once
  std::vector<std::string> control_inputs;       // nodes outside that must run before
  std::vector<std::string> control_outputs;      // nodes outside that wait for a member
  SegmentCost cost;
  std::string graph_def;             // serialized GraphDef
};

struct DroppedSegment {
  std::vector<std::string> nodes;
  std::string reason;
  SegmentCost cost;
};

// Nodes of one op that stay in TensorFlow for one reason.
struct LeftNodes {
  std::string op, reason;
  std::vector<std::string> nodes;
};

struct Partition {
  std::vector<Segment> segments;
  std::vector<DroppedSegment> dropped;  // by the cost gate, maximum_engines, or for want of inputs
  std::vector<LeftNodes> left;          // most nodes first; those of dropped segments are in it
  int node_count = 0;                   // that the fetches depend on
  int taken_count = 0;                  // in segments
  int constant_count = 0;               // constants, in no other count
  std::string report_text, report_csv, report_json;
};

// A model of TensorFlow as partition() takes it.
struct FrozenGraph {
  std::string graph_def;
  // Names of the signature (of the nodes, where there is none) and their tensors, "node:port".
  std::map<std::string, std::string> inputs, outputs;
};

// Reads what Network::load_tensorflow reads and gives one GraphDef: calls inlined, variables as constants,
// cut to what the outputs depend on. If and While keep their functions. Errors as there.
PLANISH_API Result<FrozenGraph> freeze_tensorflow(const std::string& path,
                                                  const TensorflowOptions& choice = {});

// `graph_def`: a serialized GraphDef; may be freed afterwards. The result is the same for every order
// of the graph's nodes. kDataLoss for other bytes, kInvalidArgument for a graph with a cycle or
// references to nothing, fetches that are not there and options out of range, kResourceExhausted.
// Thread-safe.
PLANISH_API Result<Partition> partition(const void* graph_def, size_t bytes,
                                        const PartitionOptions& options = {});

}  // namespace v1
}  // namespace planish
