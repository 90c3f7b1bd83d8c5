#include "partition/cluster_check_testing.h"

#include <set>

#include "base/text.h"
#include "partition/device_name.h"

namespace planish::partition {
namespace {

std::vector<std::vector<int>> next_of(const ClusterGraph& graph) {
  std::vector<std::vector<int>> out(graph.nodes.size());
  for (const ClusterEdge& edge : graph.edges) out[size_t(edge.from)].push_back(edge.to);
  return out;
}

// A member that is reached from another one by a path that leaves the cluster.
std::string convexity_fault(const ClusterGraph& graph, const std::vector<std::vector<int>>& next,
                            const std::set<int>& members) {
  std::vector<int> stack;
  std::set<int> outside;
  for (int member : members)
    for (int to : next[size_t(member)])
      if (!members.count(to) && outside.insert(to).second) stack.push_back(to);
  while (!stack.empty()) {
    const int node = stack.back();
    stack.pop_back();
    for (int to : next[size_t(node)]) {
      if (members.count(to))
        return cat("not convex: a path leaves and comes back through ", graph.nodes[size_t(node)].name,
                   " to ", graph.nodes[size_t(to)].name);
      if (outside.insert(to).second) stack.push_back(to);
    }
  }
  return "";
}

std::string cycle_fault(const ClusterGraph& graph, const std::vector<int>& cluster_of, int count) {
  const auto whole = [&](int node) {
    return cluster_of[size_t(node)] >= 0 ? cluster_of[size_t(node)] : count + node;
  };
  const size_t all = size_t(count) + graph.nodes.size();
  std::vector<std::set<int>> next(all);
  std::vector<int> waiting(all, 0);
  for (const ClusterEdge& edge : graph.edges) {
    const int from = whole(edge.from), to = whole(edge.to);
    if (from != to && next[size_t(from)].insert(to).second) ++waiting[size_t(to)];
  }
  std::vector<int> ready;
  size_t done = 0;
  for (size_t i = 0; i < all; ++i)
    if (waiting[i] == 0) ready.push_back(int(i));
  while (!ready.empty()) {
    const int node = ready.back();
    ready.pop_back();
    ++done;
    for (int to : next[size_t(node)])
      if (--waiting[size_t(to)] == 0) ready.push_back(to);
  }
  return done == all ? "" : "the graph of clusters has a cycle";
}

}  // namespace

std::string fault_of(const ClusterGraph& graph, const std::vector<Cluster>& clusters,
                     int minimum_weight) {
  const std::vector<std::vector<int>> next = next_of(graph);
  std::vector<int> cluster_of(graph.nodes.size(), -1);
  for (size_t k = 0; k < clusters.size(); ++k) {
    int weight = 0;
    DeviceName device;
    for (int node : clusters[k].nodes) {
      const ClusterNode& one = graph.nodes[size_t(node)];
      if (cluster_of[size_t(node)] >= 0) return cat(one.name, " is in two clusters");
      if (!one.is_candidate) return cat(one.name, " is no candidate");
      cluster_of[size_t(node)] = int(k);
      weight += one.weight;
      const auto both = DeviceName::merge(device, DeviceName::parse(one.device).value());
      if (!both) return cat(one.name, " is on another device than its cluster");
      device = *both;
    }
    if (weight < minimum_weight || weight == 0) return cat("cluster ", k, " weighs ", weight);
  }
  for (const ClusterEdge& edge : graph.edges) {
    const int from = cluster_of[size_t(edge.from)], to = cluster_of[size_t(edge.to)];
    if (edge.is_control || from == to) continue;
    const std::string names =
        cat(graph.nodes[size_t(edge.from)].name, " to ", graph.nodes[size_t(edge.to)].name);
    if (to >= 0 && !edge.may_enter) return cat("an edge may not enter: ", names);
    if (from >= 0 && !edge.may_leave) return cat("an edge may not leave: ", names);
  }
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    for (size_t j = 0; graph.nodes[i].unit >= 0 && j < i; ++j)
      if (graph.nodes[j].unit == graph.nodes[i].unit && cluster_of[i] != cluster_of[j])
        return cat("a unit is cut between ", graph.nodes[j].name, " and ", graph.nodes[i].name);
  for (const Cluster& one : clusters) {
    const std::set<int> members(one.nodes.begin(), one.nodes.end());
    if (std::string fault = convexity_fault(graph, next, members); !fault.empty()) return fault;
  }
  return cycle_fault(graph, cluster_of, int(clusters.size()));
}

}  // namespace planish::partition
