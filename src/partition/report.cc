#include "partition/report.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/text.h"

namespace planish::partition {
namespace {

std::string us(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f us", value);
  return text;
}

std::string cost_text(const SegmentCost& cost) {
  const char* source = cost.is_measured ? " (measured)" : " (predicted)";
  if (!cost.is_known) source = " (sizes assumed)";
  return cat("gains ", us(cost.gain_us()), source,
             ": TensorFlow ", us(cost.tensorflow_us), ", engine ", us(cost.engine_us), ", border ",
             us(cost.border_us));
}

std::string type_text(const SegmentEdge& edge) {
  std::string out(edge.dtype ? ir::name_of(*edge.dtype) : "?");
  if (!edge.shape) return out + "[...]";
  std::vector<std::string> dims;
  for (int64_t dim : *edge.shape) dims.push_back(dim < 0 ? "?" : std::to_string(dim));
  return cat(out, bracketed(dims));
}

// One field of CSV: quoted where it holds something that would end it.
std::string field(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string out = "\"";
  for (char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + '"';
}

nlohmann::ordered_json to_json(const SegmentCost& cost) {
  return {{"gain_us", cost.gain_us()},     {"tensorflow_us", cost.tensorflow_us},
          {"engine_us", cost.engine_us},   {"border_us", cost.border_us},
          {"is_measured", cost.is_measured}, {"is_known", cost.is_known}};
}

nlohmann::ordered_json to_json(const std::vector<SegmentEdge>& edges) {
  auto out = nlohmann::ordered_json::array();
  for (const SegmentEdge& edge : edges) {
    nlohmann::ordered_json one = {{"tensor", edge.tensor}, {"name", edge.name}};
    if (edge.dtype) one["dtype"] = std::string(ir::name_of(*edge.dtype));
    else one["dtype"] = nullptr;
    if (edge.shape) one["shape"] = *edge.shape;
    else one["shape"] = nullptr;
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace

std::string report_text(const Partition& p) {
  std::string out = cat(p.node_count, " nodes: ", p.taken_count, " in ", p.segments.size(),
                        p.segments.size() == 1 ? " engine, " : " engines, ", p.constant_count,
                        " constants, ", p.node_count - p.taken_count - p.constant_count,
                        " left to TensorFlow\n");
  for (const Segment& segment : p.segments) {
    out += cat("\n", segment.name, ": ", segment.nodes.size(), " nodes, ", cost_text(segment.cost),
               "\n");
    for (const SegmentEdge& edge : segment.inputs)
      out += cat("  in   ", type_text(edge), " ", edge.tensor, "\n");
    for (const SegmentEdge& edge : segment.outputs)
      out += cat("  out  ", type_text(edge), " ", edge.tensor, "\n");
  }
  for (const DroppedSegment& dropped : p.dropped)
    out += cat("\ndropped: ", dropped.nodes.size(), " nodes from ", dropped.nodes[0], " to ",
               dropped.nodes.back(), ": ", dropped.reason, "; it ", cost_text(dropped.cost), "\n");
  if (!p.left.empty()) out += "\nleft to TensorFlow\n";
  for (const LeftNodes& left : p.left)
    out += cat("  ", left.nodes.size(), "x ", left.op, ": ", left.reason, " (", left.nodes[0],
               left.nodes.size() > 1 ? ", ..." : "", ")\n");
  return out;
}

std::string report_csv(const Partition& p) {
  std::string out = "kind,op,reason,nodes,example\n";
  for (const Segment& segment : p.segments)
    out += cat("engine,", segment.name, ",", field(cost_text(segment.cost)), ",",
               segment.nodes.size(), ",", field(segment.nodes[0]), "\n");
  for (const DroppedSegment& dropped : p.dropped)
    out += cat("dropped,,", field(cat(dropped.reason, "; ", cost_text(dropped.cost))), ",",
               dropped.nodes.size(), ",", field(dropped.nodes[0]), "\n");
  for (const LeftNodes& left : p.left)
    out += cat("left,", field(left.op), ",", field(left.reason), ",", left.nodes.size(), ",",
               field(left.nodes[0]), "\n");
  return out;
}

std::string report_json(const Partition& p) {
  nlohmann::ordered_json out = {{"nodes", p.node_count},
                                {"taken", p.taken_count},
                                {"constants", p.constant_count},
                                {"engines", nlohmann::ordered_json::array()},
                                {"dropped", nlohmann::ordered_json::array()},
                                {"left", nlohmann::ordered_json::array()}};
  for (const Segment& segment : p.segments)
    out["engines"].push_back({{"name", segment.name},
                              {"key", segment.key},
                              {"device", segment.device},
                              {"nodes", segment.nodes},
                              {"copied", segment.copied},
                              {"inputs", to_json(segment.inputs)},
                              {"outputs", to_json(segment.outputs)},
                              {"control_inputs", segment.control_inputs},
                              {"control_outputs", segment.control_outputs},
                              {"cost", to_json(segment.cost)}});
  for (const DroppedSegment& dropped : p.dropped)
    out["dropped"].push_back({{"nodes", dropped.nodes}, {"reason", dropped.reason},
                              {"cost", to_json(dropped.cost)}});
  for (const LeftNodes& left : p.left)
    out["left"].push_back({{"op", left.op}, {"reason", left.reason}, {"nodes", left.nodes}});
  return out.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace planish::partition
