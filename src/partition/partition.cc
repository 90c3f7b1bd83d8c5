#include "partition/partition.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include "base/text.h"
#include "partition/cluster.h"
#include "partition/device_name.h"
#include "partition/segment.h"
#include "partition/trim.h"

namespace planish::partition {
namespace {

using frontend::GraphFile;
using frontend::Survey;
using frontend::SurveyedInput;
using frontend::SurveyedNode;

// Every round leaves out at least one node more.
constexpr int kMaxRounds = 20;

class Partitioner {
 public:
  Partitioner(const GraphFile& file, const PartitionOptions& options,
              const opdef::OpRegistry& registry)
      : file_(file), options_(options), registry_(registry) {}
  Result<Partition> run();

 private:
  void mark();
  std::string denied(const SurveyedNode& node) const;
  bool is_fetched(int node) const;
  ClusterGraph cluster_graph() const;
  Status find_segments();
  Result<bool> check_alone(const Segment& segment);
  void count_cost(Segment& segment) const;
  void drop(const Segment& segment, std::string reason);
  void keep_best();
  void report();

  const GraphFile& file_;
  const PartitionOptions& options_;
  const opdef::OpRegistry& registry_;
  Survey survey_;
  std::unordered_map<std::string_view, int> index_;
  std::vector<std::string> reasons_;  // by node; empty: a candidate
  Partition out_;
};

std::string Partitioner::denied(const SurveyedNode& node) const {
  const auto holds = [](const std::vector<std::string>& list, const std::string& name) {
    return std::find(list.begin(), list.end(), name) != list.end();
  };
  if (holds(options_.deny_ops, node.op)) return "its op is on the deny list";
  if (holds(options_.deny_nodes, node.name)) return "its name is on the deny list";
  const auto device = DeviceName::parse(node.device);
  if (!options_.device_type.empty() && device && device->type && *device->type != options_.device_type)
    return cat("it is placed on ", device->to_string(), ", the engines are for ",
               options_.device_type);
  return "";
}

bool Partitioner::is_fetched(int node) const {
  return std::any_of(survey_.fetches.begin(), survey_.fetches.end(),
                     [&](const SurveyedInput& fetch) { return fetch.node == node; });
}

void Partitioner::mark() {
  reasons_.resize(survey_.nodes.size());
  std::vector<bool> is_read(survey_.nodes.size(), false);
  for (const SurveyedNode& node : survey_.nodes)
    for (const SurveyedInput& input : node.inputs)
      if (node.is_wanted && !input.is_control) is_read[size_t(input.node)] = true;
  for (size_t i = 0; i < survey_.nodes.size(); ++i) {
    const SurveyedNode& node = survey_.nodes[i];
    index_[node.name] = int(i);
    reasons_[i] = node.is_taken ? denied(node) : node.reason;
    // Under its own name a result survives the rewrite; a name is all that this node is.
    if (reasons_[i].empty() && node.made_nodes == 0 && node.unit < 0 && is_fetched(int(i)) &&
        !is_read[i])
      reasons_[i] = "a result that only hands on what it reads";
  }
}

// Constants are left out: they can be copied, so they join nothing and order nothing.
ClusterGraph Partitioner::cluster_graph() const {
  ClusterGraph out;
  std::vector<int> places(survey_.nodes.size());
  for (size_t i = 0; i < survey_.order.size(); ++i) places[size_t(survey_.order[i])] = int(i);
  for (size_t i = 0; i < survey_.nodes.size(); ++i) {
    const SurveyedNode& node = survey_.nodes[i];
    ClusterNode one;
    one.name = node.name;
    one.is_candidate = reasons_[i].empty() && node.is_wanted && !node.is_constant;
    one.device = node.device;
    one.weight = node.calls_functions ? node.made_nodes : std::min(node.made_nodes, 1);
    if (node.unit >= 0) one.weight = node.made_nodes;
    one.unit = one.is_candidate ? node.unit : -1;
    out.nodes.push_back(std::move(one));
    // What no fetch depends on goes when the graph is rewritten: it reads nothing across a border.
    if (node.is_constant || !node.is_wanted) continue;
    for (const SurveyedInput& input : node.inputs) {
      const SurveyedNode& from = survey_.nodes[size_t(input.node)];
      if (from.is_constant || places[size_t(input.node)] > places[i]) continue;
      ClusterEdge edge{input.node, int(i), input.is_control, true, true};
      if (!input.is_control)
        edge.may_enter = edge.may_leave = from.outputs[size_t(input.port)].dtype.has_value();
      out.edges.push_back(edge);
    }
  }
  return out;
}

// Surveys the segment's own graph. False, with the culprits marked, when some node is not taken there.
Result<bool> Partitioner::check_alone(const Segment& segment) {
  PLANISH_ASSIGN_OR_RETURN(const GraphFile file, GraphFile::read(segment.graph_def, options_.limits));
  frontend::SurveyOptions options;
  options.limits = options_.limits;
  for (const SegmentEdge& output : segment.outputs) options.fetches.push_back(output.name);
  PLANISH_ASSIGN_OR_RETURN(const Survey survey, file.survey(options, registry_));
  bool is_good = true;
  for (const SurveyedNode& node : survey.nodes) {
    const auto found = index_.find(node.name);
    if (node.is_taken || !node.is_wanted || found == index_.end()) continue;
    std::string& reason = reasons_[size_t(found->second)];
    if (!reason.empty() || survey_.nodes[size_t(found->second)].is_constant) continue;
    reason = node.reason;
    is_good = false;
  }
  return is_good;
}

void Partitioner::count_cost(Segment& segment) const {
  std::vector<const SurveyedNode*> nodes;
  for (const std::string& name : segment.nodes)
    nodes.push_back(&survey_.nodes[size_t(index_.at(name))]);
  BorderBytes border;
  border.tensor_count = int(segment.inputs.size() + segment.outputs.size());
  for (const SegmentEdge& edge : segment.inputs) border.inputs += edge.bytes;
  for (const SegmentEdge& edge : segment.outputs) border.outputs += edge.bytes;
  const auto measured = options_.measured.find(segment.key);
  segment.cost = cost_of(nodes, border,
                         measured == options_.measured.end() ? MeasuredTimes() : measured->second);
}

void Partitioner::drop(const Segment& segment, std::string reason) {
  for (const std::string& name : segment.nodes) reasons_[size_t(index_.at(name))] = reason;
  out_.dropped.push_back({segment.nodes, std::move(reason), segment.cost});
}

Status Partitioner::find_segments() {
  const SegmentBuilder builder(file_, survey_);
  for (int round = 0; round < kMaxRounds; ++round) {
    const ClusterGraph graph = cluster_graph();
    PLANISH_ASSIGN_OR_RETURN(const Clustering clustering,
                             cluster(graph, options_.minimum_segment_size));
    std::vector<Segment> segments;
    bool is_good = true;
    for (const Cluster& one : clustering.clusters) {
      const std::vector<int> nodes = trim(survey_, one.nodes);
      int weight = 0;
      for (int node : nodes) weight += graph.nodes[size_t(node)].weight;
      if (weight == 0 || weight < options_.minimum_segment_size) continue;
      segments.push_back(builder.build(nodes, "", one.device));
      PLANISH_ASSIGN_OR_RETURN(const bool is_alone_good, check_alone(segments.back()));
      is_good = is_good && is_alone_good;
    }
    if (!is_good) continue;
    std::vector<bool> is_taken(survey_.nodes.size(), false);
    for (const Segment& segment : segments)
      for (const std::string& name : segment.nodes) is_taken[size_t(index_.at(name))] = true;
    for (size_t i = 0; i < survey_.nodes.size(); ++i) {
      if (!reasons_[i].empty() || is_taken[i]) continue;
      switch (clustering.left_out[i]) {
        case LeftOut::kNot:
          reasons_[i] = "it only hands memory on at its segment's border, or leaves it too small";
          break;
        case LeftOut::kDevice:
          reasons_[i] = cat("its device '", survey_.nodes[i].device, "' is no device name");
          break;
        case LeftOut::kUnit: reasons_[i] = "its loop or condition cannot go as a whole"; break;
        case LeftOut::kBorder:
          reasons_[i] = "what would cross the segment's border is no tensor of a known type";
          break;
        case LeftOut::kTooSmall:
          reasons_[i] = cat("its segment has fewer than ", options_.minimum_segment_size, " nodes");
          break;
        default: break;
      }
    }
    for (Segment& segment : segments) {
      count_cost(segment);
      if (segment.inputs.empty()) drop(segment, "its segment reads nothing: TensorFlow folds it");
      else if (segment.outputs.empty()) drop(segment, "nothing reads its segment");
      else if (options_.cost_gate && segment.cost.gain_us() <= 0)
        drop(segment, "its segment gains less than its border costs");
      else out_.segments.push_back(std::move(segment));
    }
    return ok_status();
  }
  return Status(Code::kInternal, "the segments do not settle");
}

void Partitioner::keep_best() {
  if (options_.maximum_engines == 0 || int(out_.segments.size()) <= options_.maximum_engines) return;
  // What gains most; then the largest.
  std::vector<size_t> ranking(out_.segments.size());
  for (size_t i = 0; i < ranking.size(); ++i) ranking[i] = i;
  std::stable_sort(ranking.begin(), ranking.end(), [&](size_t a, size_t b) {
    const Segment &x = out_.segments[a], &y = out_.segments[b];
    const double gain_x = x.cost.gain_us(), gain_y = y.cost.gain_us();
    return gain_x != gain_y ? gain_x > gain_y : x.nodes.size() > y.nodes.size();
  });
  const std::set<size_t> kept(ranking.begin(), ranking.begin() + options_.maximum_engines);
  std::vector<Segment> segments;
  for (size_t i = 0; i < out_.segments.size(); ++i) {
    if (kept.count(i)) segments.push_back(std::move(out_.segments[i]));
    else drop(out_.segments[i], cat("its segment is not among the best ", options_.maximum_engines));
  }
  out_.segments = std::move(segments);
}

void Partitioner::report() {
  for (size_t i = 0; i < out_.segments.size(); ++i) {
    const std::string number = std::to_string(i);
    out_.segments[i].name =
        cat("segment_", std::string(number.size() < 3 ? 3 - number.size() : 0, '0'), number);
    out_.taken_count += int(out_.segments[i].nodes.size());
  }
  std::map<std::pair<std::string, std::string>, std::vector<std::string>> left;
  for (size_t i = 0; i < survey_.nodes.size(); ++i) {
    const SurveyedNode& node = survey_.nodes[i];
    if (!node.is_wanted) continue;
    ++out_.node_count;
    if (node.is_constant) ++out_.constant_count;
    else if (!reasons_[i].empty()) left[{node.op, reasons_[i]}].push_back(node.name);
  }
  for (auto& [key, nodes] : left) {
    std::sort(nodes.begin(), nodes.end());
    out_.left.push_back({key.first, key.second, std::move(nodes)});
  }
  std::stable_sort(out_.left.begin(), out_.left.end(), [](const LeftNodes& a, const LeftNodes& b) {
    return a.nodes.size() > b.nodes.size();
  });
}

Result<Partition> Partitioner::run() {
  frontend::SurveyOptions options;
  options.limits = options_.limits;
  options.fetches = options_.fetches;
  options.feeds = options_.feeds;
  options.tensors = options_.tensors;
  options.assumed_batch = options_.assumed_batch;
  PLANISH_ASSIGN_OR_RETURN(survey_, file_.survey(options, registry_));
  mark();
  PLANISH_RETURN_IF_ERROR(find_segments());
  keep_best();
  report();
  return std::move(out_);
}

}  // namespace

Result<Partition> partition_graph(std::string_view graph_def, const PartitionOptions& options,
                                  const opdef::OpRegistry& registry) {
  if (options.minimum_segment_size < 1)
    return invalid_argument(cat("minimum_segment_size is ", options.minimum_segment_size,
                                ", expected 1 or more"));
  if (options.maximum_engines < 0)
    return invalid_argument(cat("maximum_engines is ", options.maximum_engines,
                                ", expected 0 or more"));
  PLANISH_ASSIGN_OR_RETURN(const GraphFile file, GraphFile::read(graph_def, options.limits));
  return Partitioner(file, options, registry).run();
}

}  // namespace planish::partition
