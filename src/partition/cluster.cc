#include "partition/cluster.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <set>

#include "base/quote.h"
#include "base/text.h"
#include "frontend/tensorflow/order_by_name.h"
#include "partition/acyclic_graph.h"
#include "partition/device_name.h"

namespace planish::partition {
namespace {

// A node, or all nodes of a unit.
struct Element {
  std::vector<int> nodes;
  bool is_candidate = true;
  int weight = 0;
  DeviceName device;
};

// The graph of elements: `graph.nodes` are the elements' first names, edges within one are gone.
struct Quotient {
  ClusterGraph graph;
  std::vector<Element> elements;
  std::vector<int> order;  // of elements
};

class Clusterer {
 public:
  Clusterer(const ClusterGraph& graph, int minimum_weight)
      : graph_(graph), minimum_weight_(minimum_weight) {}
  Result<Clustering> run();

 private:
  Status make_elements();
  Quotient quotient(const std::vector<int>& units);
  void grow();
  bool join(int from, int to);
  bool grow_from(int element);
  void repair(std::set<int>& members);
  void finish();
  int root(int element);

  const ClusterGraph& graph_;
  const int minimum_weight_;
  Clustering out_;
  Quotient parts_;
  std::vector<int> places_;                 // by element, in parts_.order
  std::vector<std::vector<int>> edges_of_;  // by element: edges that touch it
  std::optional<AcyclicGraph> merged_;
  std::vector<int> parents_;        // union-find over elements
  std::vector<DeviceName> devices_; // by root
};

Quotient Clusterer::quotient(const std::vector<int>& units) {
  Quotient out;
  std::map<int, int> of_unit;
  std::vector<int> element_of(graph_.nodes.size());
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    int& element = element_of[i];
    element = int(out.elements.size());
    if (units[i] >= 0) element = of_unit.emplace(units[i], element).first->second;
    if (element == int(out.elements.size())) {
      out.elements.emplace_back();
      out.graph.nodes.emplace_back();
    }
    out.elements[size_t(element)].nodes.push_back(int(i));
    std::string& name = out.graph.nodes[size_t(element)].name;
    if (name.empty() || graph_.nodes[i].name < name) name = graph_.nodes[i].name;
  }
  for (ClusterEdge edge : graph_.edges) {
    edge.from = element_of[size_t(edge.from)];
    edge.to = element_of[size_t(edge.to)];
    if (edge.from != edge.to) out.graph.edges.push_back(edge);
  }
  return out;
}

// A unit around which the graph has a cycle cannot be one: its nodes are left alone.
Status Clusterer::make_elements() {
  PLANISH_RETURN_IF_ERROR(order_by_name(graph_).status());
  std::vector<int> units;
  for (const ClusterNode& node : graph_.nodes) units.push_back(node.unit);
  std::vector<bool> is_broken(graph_.nodes.size(), false);
  for (;;) {
    parts_ = quotient(units);
    auto order = order_by_name(parts_.graph);
    if (order.ok()) {
      parts_.order = std::move(*order);
      break;
    }
    for (size_t i = 0; i < units.size(); ++i) {
      is_broken[i] = is_broken[i] || units[i] >= 0;
      units[i] = -1;
    }
  }
  for (Element& element : parts_.elements) {
    for (int node : element.nodes) {
      const ClusterNode& from = graph_.nodes[size_t(node)];
      element.weight += from.weight;
      element.is_candidate = element.is_candidate && from.is_candidate && !is_broken[size_t(node)];
      const auto device = DeviceName::parse(from.device);
      const auto both = device ? DeviceName::merge(element.device, *device) : std::nullopt;
      if (both) element.device = *both;
      else element.is_candidate = false;
    }
    for (int node : element.nodes) {
      if (element.is_candidate) continue;
      const ClusterNode& from = graph_.nodes[size_t(node)];
      out_.left_out[size_t(node)] = !from.is_candidate                ? LeftOut::kNoCandidate
                                    : !DeviceName::parse(from.device) ? LeftOut::kDevice
                                                                      : LeftOut::kUnit;
    }
  }
  edges_of_.resize(parts_.elements.size());
  for (size_t i = 0; i < parts_.graph.edges.size(); ++i) {
    edges_of_[size_t(parts_.graph.edges[i].from)].push_back(int(i));
    edges_of_[size_t(parts_.graph.edges[i].to)].push_back(int(i));
  }
  return ok_status();
}

int Clusterer::root(int element) {
  int& parent = parents_[size_t(element)];
  if (parent != element) parent = root(parent);
  return parent;
}

bool Clusterer::join(int from, int to) {
  const auto device = DeviceName::merge(devices_[size_t(from)], devices_[size_t(to)]);
  if (!device) return false;
  const std::optional<int> kept = merged_->merge(from, to);
  if (!kept) return false;
  parents_[size_t(*kept == from ? to : from)] = *kept;
  devices_[size_t(*kept)] = *device;
  return true;
}

// Merges the element's cluster with every one that reads it, until no more can be.
bool Clusterer::grow_from(int element) {
  bool has_grown = false;
  for (bool again = true; again;) {
    again = false;
    std::vector<int> readers;
    for (int i : edges_of_[size_t(element)]) {
      const ClusterEdge& edge = parts_.graph.edges[size_t(i)];
      if (edge.from == element && !edge.is_control) readers.push_back(edge.to);
    }
    std::sort(readers.begin(), readers.end(), [&](int a, int b) {
      return parts_.graph.nodes[size_t(a)].name < parts_.graph.nodes[size_t(b)].name;
    });
    for (int reader : readers) {
      if (!parts_.elements[size_t(reader)].is_candidate || root(reader) == root(element)) continue;
      again = join(root(element), root(reader)) || again;
    }
    has_grown = has_grown || again;
  }
  return has_grown;
}

void Clusterer::grow() {
  const int count = int(parts_.elements.size());
  merged_.emplace(count);
  // Edges in topological order: the order that is kept starts right.
  places_.resize(size_t(count));
  for (int i = 0; i < count; ++i) places_[size_t(parts_.order[size_t(i)])] = i;
  std::vector<ClusterEdge> edges = parts_.graph.edges;
  std::sort(edges.begin(), edges.end(), [&](const ClusterEdge& a, const ClusterEdge& b) {
    return std::pair(places_[size_t(a.from)], places_[size_t(a.to)]) <
           std::pair(places_[size_t(b.from)], places_[size_t(b.to)]);
  });
  for (const ClusterEdge& edge : edges) merged_->add_edge(edge.from, edge.to);
  parents_.resize(size_t(count));
  std::iota(parents_.begin(), parents_.end(), 0);
  for (const Element& element : parts_.elements) devices_.push_back(element.device);
  // A merge can open the way for one that was refused before.
  for (bool again = true; again;) {
    again = false;
    for (auto at = parts_.order.rbegin(); at != parts_.order.rend(); ++at)
      if (parts_.elements[size_t(*at)].is_candidate) again = grow_from(*at) || again;
  }
}

// Gives up members with an edge across the border that may not cross: one that may not be entered
// with all members in front of it, one that may not be left with all behind it. Either way what stays
// is convex. Who is asked first matters, so members are asked in topological order.
void Clusterer::repair(std::set<int>& members) {
  const auto give_up = [&](int start, bool forward) {
    std::vector<int> stack = {start};
    while (!stack.empty()) {
      const int element = stack.back();
      stack.pop_back();
      if (!members.erase(element)) continue;
      for (int node : parts_.elements[size_t(element)].nodes)
        out_.left_out[size_t(node)] = LeftOut::kBorder;
      for (int i : edges_of_[size_t(element)]) {
        const ClusterEdge& edge = parts_.graph.edges[size_t(i)];
        if (forward ? edge.from == element : edge.to == element)
          stack.push_back(forward ? edge.to : edge.from);
      }
    }
  };
  for (bool again = true; again;) {
    again = false;
    std::vector<int> asked(members.begin(), members.end());
    std::sort(asked.begin(), asked.end(),
              [&](int a, int b) { return places_[size_t(a)] < places_[size_t(b)]; });
    for (int element : asked) {
      if (!members.count(element)) continue;
      bool enters = false, leaves = false;  // across the border, and may not
      for (int i : edges_of_[size_t(element)]) {
        const ClusterEdge& edge = parts_.graph.edges[size_t(i)];
        if (edge.is_control) continue;
        enters = enters || (edge.to == element && !members.count(edge.from) && !edge.may_enter);
        leaves = leaves || (edge.from == element && !members.count(edge.to) && !edge.may_leave);
      }
      if (enters || leaves) give_up(element, !enters);
      again = again || enters || leaves;
    }
  }
}

void Clusterer::finish() {
  const auto node_order = order_by_name(graph_);
  std::vector<int> places(graph_.nodes.size());
  for (size_t i = 0; i < node_order->size(); ++i) places[size_t((*node_order)[i])] = int(i);
  std::map<int, std::set<int>> members;
  for (size_t i = 0; i < parts_.elements.size(); ++i)
    if (parts_.elements[i].is_candidate) members[root(int(i))].insert(int(i));
  for (auto& [root_element, elements] : members) {
    repair(elements);
    Cluster one;
    int weight = 0;
    DeviceName device;
    for (int element : elements) {
      weight += parts_.elements[size_t(element)].weight;
      device = *DeviceName::merge(device, parts_.elements[size_t(element)].device);
      for (int node : parts_.elements[size_t(element)].nodes) one.nodes.push_back(node);
    }
    if (weight == 0 || weight < minimum_weight_) {
      for (int node : one.nodes) out_.left_out[size_t(node)] = LeftOut::kTooSmall;
      continue;
    }
    one.device = device.to_string();
    std::sort(one.nodes.begin(), one.nodes.end(),
              [&](int a, int b) { return places[size_t(a)] < places[size_t(b)]; });
    out_.clusters.push_back(std::move(one));
  }
  std::sort(out_.clusters.begin(), out_.clusters.end(), [&](const Cluster& a, const Cluster& b) {
    return places[size_t(a.nodes[0])] < places[size_t(b.nodes[0])];
  });
}

Result<Clustering> Clusterer::run() {
  out_.left_out.assign(graph_.nodes.size(), LeftOut::kNot);
  PLANISH_RETURN_IF_ERROR(make_elements());
  grow();
  finish();
  return std::move(out_);
}

}  // namespace

Result<std::vector<int>> order_by_name(const ClusterGraph& graph) {
  std::vector<std::vector<int>> readers(graph.nodes.size());
  std::vector<int> waiting(graph.nodes.size(), 0);
  for (const ClusterEdge& edge : graph.edges) {
    readers[size_t(edge.from)].push_back(edge.to);
    ++waiting[size_t(edge.to)];
  }
  return frontend::tensorflow::order_by_name(
      readers, std::move(waiting),
      [&](int i) -> const std::string& { return graph.nodes[size_t(i)].name; },
      [&](int i) { return cat("node ", quoted(graph.nodes[size_t(i)].name)); });
}

Result<Clustering> cluster(const ClusterGraph& graph, int minimum_weight) {
  return Clusterer(graph, minimum_weight).run();
}

}  // namespace planish::partition
