// What must hold of every clustering, checked by plain searches that share nothing with the code that
// makes them; for tests.
#pragma once
#include <string>
#include <vector>

#include "partition/cluster.h"

namespace planish::partition {

// Empty when all is well: clusters are disjoint and hold candidates only, each is convex, the graph
// with every cluster made one node has no cycle, devices agree, nothing crosses a border that may not,
// and no cluster weighs less than the minimum. Otherwise what is wrong first.
std::string fault_of(const ClusterGraph& graph, const std::vector<Cluster>& clusters,
                     int minimum_weight);

}  // namespace planish::partition
