#include "partition/segment.h"

#include <algorithm>
#include <set>

#include "base/hash.h"
#include "base/text.h"

namespace planish::partition {
namespace {

using frontend::Extract;
using frontend::SurveyedInput;
using frontend::SurveyedNode;
using frontend::SurveyedPort;

// Values known before anything runs, up to this many elements, are written into the segment.
constexpr int64_t kEmbeddedElements = 4096;

}  // namespace

SegmentBuilder::SegmentBuilder(const frontend::GraphFile& file, const frontend::Survey& survey)
    : file_(file), survey_(survey), readers_(survey.nodes.size()), places_(survey.nodes.size()) {
  for (size_t i = 0; i < survey.order.size(); ++i) places_[size_t(survey.order[i])] = int(i);
  for (size_t i = 0; i < survey.nodes.size(); ++i)
    for (const SurveyedInput& input : survey.nodes[i].inputs)
      readers_[size_t(input.node)].push_back({int(i), input});
}

std::string SegmentBuilder::free_name(std::string_view wanted, size_t number) const {
  std::string name = cat(wanted, number);
  const auto is_taken = [&] {
    return std::any_of(survey_.nodes.begin(), survey_.nodes.end(),
                       [&](const SurveyedNode& node) { return node.name == name; });
  };
  while (is_taken()) name += '_';
  return name;
}

void SegmentBuilder::copy_constant(int node, Segment& segment, Extract& part,
                                   std::vector<bool>& is_inside) const {
  if (is_inside[size_t(node)]) return;
  is_inside[size_t(node)] = true;
  const SurveyedNode& from = survey_.nodes[size_t(node)];
  for (const SurveyedInput& input : from.inputs)
    if (!input.is_control) copy_constant(input.node, segment, part, is_inside);
  part.nodes.push_back(node);
  segment.copied.push_back(from.name);
}

void SegmentBuilder::add_input(const SurveyedInput& input, Segment& segment, Extract& part,
                               std::vector<bool>& is_inside) const {
  const SurveyedNode& from = survey_.nodes[size_t(input.node)];
  if (is_inside[size_t(input.node)]) return;
  if (from.is_constant) return copy_constant(input.node, segment, part, is_inside);
  const auto is_there = [&](const auto& all) {
    return std::any_of(all.begin(), all.end(), [&](const auto& one) {
      return one.tensor.node == input.node && one.tensor.port == input.port;
    });
  };
  if (is_there(part.inputs) || is_there(part.constants)) return;
  const SurveyedPort& port = from.outputs[size_t(input.port)];
  if (port.value && port.value->count() <= kEmbeddedElements) {
    part.constants.push_back({free_name("planish_known_", part.constants.size()), input, *port.value});
    return;
  }
  const std::string name = free_name("planish_input_", part.inputs.size());
  part.inputs.push_back({name, input, port.dtype.value_or(ir::DataType::kF32), port.shape});
  segment.inputs.push_back({cat(from.name, ':', input.port), name, port.dtype, port.shape, port.bytes});
}

Segment SegmentBuilder::build(const std::vector<int>& nodes, std::string name,
                              std::string device) const {
  Segment out;
  out.name = std::move(name);
  out.device = std::move(device);
  Extract part;
  std::vector<bool> is_inside(survey_.nodes.size(), false), is_member = is_inside;
  for (int node : nodes) is_inside[size_t(node)] = is_member[size_t(node)] = true;
  std::set<std::string> control_inputs, control_outputs;
  for (int node : nodes) {
    out.nodes.push_back(survey_.nodes[size_t(node)].name);
    for (const SurveyedInput& input : survey_.nodes[size_t(node)].inputs) {
      const SurveyedNode& from = survey_.nodes[size_t(input.node)];
      if (!input.is_control) add_input(input, out, part, is_inside);
      else if (!is_member[size_t(input.node)] && !from.is_constant) control_inputs.insert(from.name);
    }
    part.nodes.push_back(node);
  }
  for (int node : nodes) {
    const SurveyedNode& from = survey_.nodes[size_t(node)];
    std::set<int> ports;
    bool is_read = false;
    for (const auto& [reader, input] : readers_[size_t(node)]) {
      const SurveyedNode& to = survey_.nodes[size_t(reader)];
      is_read = is_read || (!input.is_control && to.is_wanted);
      if (is_member[size_t(reader)] || !to.is_wanted) continue;
      if (input.is_control) {
        if (!to.is_constant) control_outputs.insert(to.name);
      } else {
        ports.insert(input.port);
      }
    }
    for (const SurveyedInput& fetch : survey_.fetches)
      if (fetch.node == node && !fetch.is_control) ports.insert(fetch.port);
    if (survey_.fetches.empty() && !is_read)
      for (int port = 0; port < int(from.outputs.size()); ++port) ports.insert(port);
    for (int port : ports) {
      const SurveyedPort& one = from.outputs[size_t(port)];
      const std::string tensor = cat(from.name, ':', port);
      out.outputs.push_back({tensor, tensor, one.dtype, one.shape, one.bytes});
    }
  }
  out.control_inputs.assign(control_inputs.begin(), control_inputs.end());
  out.control_outputs.assign(control_outputs.begin(), control_outputs.end());
  std::sort(out.copied.begin(), out.copied.end());
  // Constants stand in front of what reads them, so the file's order is topological.
  out.graph_def = file_.extract(survey_, part);
  Hasher hasher;
  hasher.add_text(out.graph_def);
  for (const SegmentEdge& output : out.outputs) hasher.add_text(output.name);
  out.key = planish::to_string(hasher.hash128());
  return out;
}

}  // namespace planish::partition
