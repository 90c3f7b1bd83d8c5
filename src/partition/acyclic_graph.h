// AcyclicGraph: a directed graph that stays acyclic while edges are added and neighbours are merged.
//
// A topological order is kept up to date as the graph changes (Pearce and Kelly, "A dynamic topological
// sort algorithm for directed acyclic graphs", ACM Journal of Experimental Algorithmics 11, 2006): an
// edge that agrees with the order costs nothing, another one reorders only what lies between its ends,
// and a search for a path never looks behind its goal. Greedy clustering asks "would merging these two
// close a cycle" once per edge; with a plain search that is quadratic in the graph.
//
//   AcyclicGraph graph(3);
//   graph.add_edge(0, 1), graph.add_edge(1, 2), graph.add_edge(0, 2);
//   graph.merge(0, 2);  // nullopt: 0 -> 1 -> 2 would become a cycle
//   graph.merge(0, 1);  // 0 or 1, whichever lives on; now merging with 2 is possible
#pragma once
#include <optional>
#include <set>
#include <vector>

namespace planish::partition {

class AcyclicGraph {
 public:
  explicit AcyclicGraph(int count);

  // False, and nothing changes, when the edge would close a cycle (an edge to itself does).
  bool add_edge(int from, int to);
  // Makes one node of the two, with the edges of both. Nullopt, and nothing changes, when there is a
  // path from `from` to `to` besides a direct edge. Precondition: none leads back. The node that has
  // more edges lives on, the other one must not be named any more.
  std::optional<int> merge(int from, int to);
  bool has_path(int from, int to) const;

  const std::set<int>& successors(int node) const { return out_[size_t(node)]; }
  const std::set<int>& predecessors(int node) const { return in_[size_t(node)]; }
  // Place in the topological order; edges lead to larger ones.
  int rank(int node) const { return ranks_[size_t(node)]; }

 private:
  // Nodes reached from `start` along `edges`, without those beyond `limit` in the order.
  template <class Within>
  std::vector<int> reach(int start, const std::vector<std::set<int>>& edges, Within within) const;

  std::vector<std::set<int>> out_, in_;
  std::vector<int> ranks_;
  mutable std::vector<int> marks_;  // by the search that saw the node last
  mutable int search_ = 0;
};

}  // namespace planish::partition
