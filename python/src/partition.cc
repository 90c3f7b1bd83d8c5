#include "partition.h"

#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "errors.h"
#include "planish/partition.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace planish::python {
namespace {

using Strings = std::vector<std::string>;
using Hints =
    std::map<std::string, std::pair<std::optional<std::string>, std::optional<std::vector<int64_t>>>>;
using Times = std::map<std::string, std::pair<std::optional<double>, std::optional<double>>>;

nb::object describe(const SegmentCost& cost) {
  nb::dict out;
  out["gain_us"] = cost.gain_us;
  out["tensorflow_us"] = cost.tensorflow_us;
  out["engine_us"] = cost.engine_us;
  out["border_us"] = cost.border_us;
  out["is_measured"] = cost.is_measured;
  out["is_known"] = cost.is_known;
  return out;
}

nb::list describe(const std::vector<SegmentEdge>& edges) {
  nb::list out;
  for (const SegmentEdge& edge : edges) {
    nb::object dtype = nb::none(), shape = nb::none();
    if (edge.dtype) dtype = nb::cast(std::string(name_of(*edge.dtype)));
    if (edge.shape) shape = nb::tuple(nb::cast(*edge.shape));
    out.append(nb::make_tuple(edge.tensor, edge.name, dtype, shape));
  }
  return out;
}

nb::dict describe(const Segment& segment) {
  nb::dict out;
  out["name"] = segment.name;
  out["key"] = segment.key;
  out["device"] = segment.device;
  out["nodes"] = segment.nodes;
  out["copied"] = segment.copied;
  out["inputs"] = describe(segment.inputs);
  out["outputs"] = describe(segment.outputs);
  out["control_inputs"] = segment.control_inputs;
  out["control_outputs"] = segment.control_outputs;
  out["cost"] = describe(segment.cost);
  out["graph_def"] = nb::bytes(segment.graph_def.data(), segment.graph_def.size());
  return out;
}

using Found = nb::typed<nb::dict, nb::str, nb::any>;

Found run(nb::bytes graph_def, const Strings& fetches, const Strings& feeds, const Hints& tensors,
          int minimum_segment_size, const Strings& deny_ops, const Strings& deny_nodes,
          int maximum_engines, const std::string& device_type, bool cost_gate,
          int64_t assumed_batch, const Times& measured) {
  PartitionOptions options;
  options.fetches = fetches;
  options.feeds = feeds;
  for (const auto& [name, hint] : tensors) {
    TensorHint& to = options.tensors[name];
    if (hint.first) {
      to.dtype = parse_data_type(*hint.first);
      if (!to.dtype)
        throw StatusError(Status(Code::kInvalidArgument,
                                 "tensor '" + name + "': '" + *hint.first + "' is no element type"));
    }
    to.shape = hint.second;
  }
  options.minimum_segment_size = minimum_segment_size;
  options.deny_ops = deny_ops;
  options.deny_nodes = deny_nodes;
  options.maximum_engines = maximum_engines;
  options.device_type = device_type;
  options.cost_gate = cost_gate;
  options.assumed_batch = assumed_batch;
  for (const auto& [key, times] : measured) options.measured[key] = {times.first, times.second};
  Partition result;
  {
    const char* data = graph_def.c_str();
    const size_t bytes = graph_def.size();
    nb::gil_scoped_release release;
    result = take(partition(data, bytes, options));
  }
  nb::dict out;
  nb::list segments, dropped, left;
  for (const Segment& segment : result.segments) segments.append(describe(segment));
  for (const DroppedSegment& one : result.dropped)
    dropped.append(nb::make_tuple(one.nodes, one.reason, describe(one.cost)));
  for (const LeftNodes& one : result.left)
    left.append(nb::make_tuple(one.op, one.reason, one.nodes));
  out["segments"] = segments;
  out["dropped"] = dropped;
  out["left"] = left;
  out["node_count"] = result.node_count;
  out["taken_count"] = result.taken_count;
  out["constant_count"] = result.constant_count;
  out["report_text"] = result.report_text;
  out["report_csv"] = result.report_csv;
  out["report_json"] = result.report_json;
  return nb::borrow<Found>(out);
}

}  // namespace

void register_partition(nb::module_& module) {
  module.def("partition", run, "graph_def"_a, "fetches"_a, "feeds"_a, "tensors"_a,
             "minimum_segment_size"_a, "deny_ops"_a, "deny_nodes"_a, "maximum_engines"_a,
             "device_type"_a, "cost_gate"_a, "assumed_batch"_a, "measured"_a);
}

}  // namespace planish::python
