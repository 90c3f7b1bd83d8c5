// The public partition() over src/partition.
#include "planish/partition.h"

#include "api/runtime/convert.h"
#include "api/runtime/registry.h"
#include "frontend/tensorflow/tensorflow_import.h"
#include "partition/partition.h"
#include "partition/report.h"

namespace planish::v1 {
namespace {

partition::PartitionOptions convert(const PartitionOptions& from) {
  partition::PartitionOptions out;
  if (from.max_nodes > 0) out.limits.max_nodes = from.max_nodes;
  out.fetches = from.fetches;
  out.feeds = from.feeds;
  for (const auto& [name, hint] : from.tensors) {
    frontend::TensorHint& to = out.tensors[name];
    if (hint.dtype) to.dtype = api::from_public(*hint.dtype);
    to.shape = hint.shape;
  }
  out.minimum_segment_size = from.minimum_segment_size;
  out.deny_ops = from.deny_ops;
  out.deny_nodes = from.deny_nodes;
  out.maximum_engines = from.maximum_engines;
  out.device_type = from.device_type;
  out.cost_gate = from.cost_gate;
  out.assumed_batch = from.assumed_batch;
  for (const auto& [key, times] : from.measured)
    out.measured[key] = {times.tensorflow_us, times.engine_us};
  return out;
}

SegmentCost convert(const partition::SegmentCost& from) {
  return {from.is_known, from.is_measured, from.tensorflow_us, from.engine_us, from.border_us,
          from.gain_us()};
}

std::vector<SegmentEdge> convert(const std::vector<partition::SegmentEdge>& from) {
  std::vector<SegmentEdge> out;
  for (const partition::SegmentEdge& edge : from) {
    out.push_back({edge.tensor, edge.name, std::nullopt, edge.shape});
    if (edge.dtype) out.back().dtype = api::to_public(*edge.dtype);
  }
  return out;
}

}  // namespace

Result<FrozenGraph> freeze_tensorflow(const std::string& path, const TensorflowOptions& choice) {
  return api::guarded([&]() -> Result<FrozenGraph> {
    frontend::TensorflowOptions wanted;
    wanted.signature = choice.signature;
    wanted.tags = choice.tags;
    wanted.inputs = choice.inputs;
    wanted.outputs = choice.outputs;
    PLANISH_API_ASSIGN_OR_RETURN(frontend::FrozenGraph out, frontend::freeze_tensorflow(path, wanted));
    return FrozenGraph{std::move(out.graph_def), std::move(out.inputs), std::move(out.outputs)};
  });
}

Result<Partition> partition(const void* graph_def, size_t bytes, const PartitionOptions& options) {
  return api::guarded([&]() -> Result<Partition> {
    if (!graph_def && bytes) return Status(Code::kInvalidArgument, "the graph's data is null");
    const auto registry = api::current_registry();
    PLANISH_API_ASSIGN_OR_RETURN(
        partition::Partition from,
        partition::partition_graph({static_cast<const char*>(graph_def), bytes}, convert(options),
                                   registry->ops));
    Partition out;
    out.report_text = partition::report_text(from);
    out.report_csv = partition::report_csv(from);
    out.report_json = partition::report_json(from);
    for (partition::Segment& segment : from.segments)
      out.segments.push_back({segment.name, segment.key, segment.device, std::move(segment.nodes),
                              std::move(segment.copied), convert(segment.inputs),
                              convert(segment.outputs), std::move(segment.control_inputs),
                              std::move(segment.control_outputs), convert(segment.cost),
                              std::move(segment.graph_def)});
    for (partition::DroppedSegment& dropped : from.dropped)
      out.dropped.push_back({std::move(dropped.nodes), dropped.reason, convert(dropped.cost)});
    for (partition::LeftNodes& left : from.left)
      out.left.push_back({left.op, left.reason, std::move(left.nodes)});
    out.node_count = from.node_count;
    out.taken_count = from.taken_count;
    out.constant_count = from.constant_count;
    return out;
  });
}

}  // namespace planish::v1
