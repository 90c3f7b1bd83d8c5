// Which parts of a TensorFlow graph Planish takes: segments, each of which becomes one engine, and a
// reason for every node that stays.
//
// The frontend says what it can import (frontend/tensorflow/graph_survey.h), cluster.h groups it, and
// every segment is written as a GraphDef of its own and surveyed once more: what only worked with the
// rest of the graph around it is left out, and the grouping starts again. Last, segments that gain
// less than their border costs are dropped (cost_model.h), and the best are kept when there is a
// maximum. Constants are copied into the segments that read them. The result depends on names and
// edges, not on the order of the file. Thread-safe.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "base/status.h"
#include "frontend/tensorflow/graph_survey.h"
#include "opdef/op_def.h"
#include "partition/cost_model.h"

namespace planish::partition {

struct PartitionOptions {
  Limits limits;
  std::vector<std::string> fetches, feeds;      // as in frontend::SurveyOptions
  std::map<std::string, frontend::TensorHint> tensors;
  int minimum_segment_size = 3;                 // nodes that only name or hand on do not count
  std::vector<std::string> deny_ops, deny_nodes;
  int maximum_engines = 0;                      // those of the largest gain; 0: all
  std::string device_type;                      // "CPU", "GPU": nodes placed elsewhere stay; "": any
  bool cost_gate = true;
  int64_t assumed_batch = 1;
  std::map<std::string, MeasuredTimes> measured;  // by Segment::key
};

struct SegmentEdge {
  std::string tensor;       // "node:port" in the whole graph
  std::string name;         // in the segment's graph: a placeholder, or the same "node:port"
  std::optional<ir::DataType> dtype;
  std::optional<std::vector<int64_t>> shape;  // -1: an unknown dim; absent: unknown rank
  double bytes = 0;         // with the assumed batch; 0: not known
};

struct Segment {
  std::string name;         // "segment_000", by topological order
  std::string key;          // hash of its content: the same in every graph that holds it
  std::string device;       // TensorFlow's name, as far as its nodes agree on one
  std::vector<std::string> nodes;   // taken out of the graph; topological
  std::vector<std::string> copied;  // constants that are inside and may be read outside too
  std::vector<SegmentEdge> inputs, outputs;
  std::vector<std::string> control_inputs, control_outputs;  // nodes outside
  SegmentCost cost;
  std::string graph_def;
};

struct DroppedSegment {
  std::vector<std::string> nodes;
  std::string reason;
  SegmentCost cost;
};

// Nodes of one op that stay in TensorFlow for one reason.
struct LeftNodes {
  std::string op, reason;
  std::vector<std::string> nodes;  // sorted
};

struct Partition {
  std::vector<Segment> segments;
  std::vector<DroppedSegment> dropped;
  std::vector<LeftNodes> left;     // most nodes first
  int node_count = 0;              // that the fetches depend on
  int taken_count = 0;             // in segments
  int constant_count = 0;          // constants: copied where they are read, in no list
};

// `graph_def`: a serialized GraphDef. Errors as of GraphFile, and kInvalidArgument for a
// minimum_segment_size below 1 or a maximum_engines below 0.
Result<Partition> partition_graph(std::string_view graph_def, const PartitionOptions& options,
                                  const opdef::OpRegistry& registry);

}  // namespace planish::partition
