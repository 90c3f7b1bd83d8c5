// Groups the nodes of a directed acyclic graph that can be taken into clusters that can each run as
// one.
//
// Every cluster is convex: a path between two of its nodes never leaves it. So the graph stays acyclic
// when each cluster becomes one node. Its nodes agree on a device. What crosses its border is allowed
// to: a node that an edge may not enter or leave is given up together with what would tie it to the
// rest. The result depends on the names and edges alone, not on the order of the nodes.
//
// The method is greedy (TensorFlow's own TensorRT integration used it too): nodes are visited from the
// results backwards; each one is merged with those that read it as long as no other path leads there.
// It is not claimed that the clusters are the largest possible.
#pragma once
#include <string>
#include <vector>

#include "base/status.h"

namespace planish::partition {

struct ClusterNode {
  std::string name;           // unique
  bool is_candidate = false;  // could be in a cluster
  std::string device;         // TensorFlow's name, may be empty
  int weight = 1;             // counted against the minimum; 0: only names or hands on
  int unit = -1;              // nodes of one unit stay together
};

struct ClusterEdge {
  int from = 0, to = 0;
  bool is_control = false;  // orders, but joins nothing
  bool may_enter = true;    // may come from outside into a cluster that holds `to`
  bool may_leave = true;    // may go outside from a cluster that holds `from`
};

struct ClusterGraph {
  std::vector<ClusterNode> nodes;
  std::vector<ClusterEdge> edges;
};

struct Cluster {
  std::vector<int> nodes;  // in topological order, neighbours in time by name
  std::string device;      // that all of them agree on
};

// Why a node is in no cluster.
enum class LeftOut {
  kNot,           // it is in one
  kNoCandidate,
  kDevice,        // its device's name cannot be read
  kUnit,          // another node of its unit is no candidate, or the unit is not convex
  kBorder,        // something would cross the border that may not
  kTooSmall,      // its cluster weighs less than the minimum
};

struct Clustering {
  std::vector<Cluster> clusters;  // in topological order of their first nodes
  std::vector<LeftOut> left_out;  // by node
};

// kInvalidArgument for a graph with a cycle.
Result<Clustering> cluster(const ClusterGraph& graph, int minimum_weight);

// The nodes in an order in which every one stands behind what leads to it; what could stand in any
// order is sorted by name. kInvalidArgument for a cycle.
Result<std::vector<int>> order_by_name(const ClusterGraph& graph);

}  // namespace planish::partition
