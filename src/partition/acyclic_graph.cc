#include "partition/acyclic_graph.h"

#include <algorithm>
#include <numeric>

namespace planish::partition {

AcyclicGraph::AcyclicGraph(int count)
    : out_(size_t(count)), in_(size_t(count)), ranks_(size_t(count)), marks_(size_t(count), 0) {
  std::iota(ranks_.begin(), ranks_.end(), 0);
}

template <class Within>
std::vector<int> AcyclicGraph::reach(int start, const std::vector<std::set<int>>& edges,
                                     Within within) const {
  std::vector<int> found = {start};
  marks_[size_t(start)] = ++search_;
  for (size_t at = 0; at < found.size(); ++at)
    for (int next : edges[size_t(found[at])]) {
      if (marks_[size_t(next)] == search_ || !within(ranks_[size_t(next)])) continue;
      marks_[size_t(next)] = search_;
      found.push_back(next);
    }
  return found;
}

bool AcyclicGraph::has_path(int from, int to) const {
  const int last = ranks_[size_t(to)];
  if (from == to) return true;
  if (ranks_[size_t(from)] > last) return false;
  reach(from, out_, [&](int rank) { return rank <= last; });
  return marks_[size_t(to)] == search_;
}

bool AcyclicGraph::add_edge(int from, int to) {
  if (from == to) return false;
  if (out_[size_t(from)].count(to)) return true;
  const int high = ranks_[size_t(from)], low = ranks_[size_t(to)];
  if (high > low) {
    // What `to` leads to must move behind what leads to `from`, in the places that both have now.
    std::vector<int> behind = reach(to, out_, [&](int rank) { return rank <= high; });
    if (marks_[size_t(from)] == search_) return false;
    std::vector<int> before = reach(from, in_, [&](int rank) { return rank >= low; });
    const auto by_rank = [&](int a, int b) { return ranks_[size_t(a)] < ranks_[size_t(b)]; };
    std::sort(behind.begin(), behind.end(), by_rank);
    std::sort(before.begin(), before.end(), by_rank);
    before.insert(before.end(), behind.begin(), behind.end());
    std::vector<int> places;
    for (int node : before) places.push_back(ranks_[size_t(node)]);
    std::sort(places.begin(), places.end());
    for (size_t i = 0; i < before.size(); ++i) ranks_[size_t(before[i])] = places[i];
  }
  out_[size_t(from)].insert(to);
  in_[size_t(to)].insert(from);
  return true;
}

std::optional<int> AcyclicGraph::merge(int from, int to) {
  const bool had_edge = out_[size_t(from)].erase(to) > 0;
  in_[size_t(to)].erase(from);
  if (has_path(from, to)) {
    if (had_edge) {
      out_[size_t(from)].insert(to);
      in_[size_t(to)].insert(from);
    }
    return std::nullopt;
  }
  const auto edges = [&](int node) { return out_[size_t(node)].size() + in_[size_t(node)].size(); };
  const int kept = edges(from) >= edges(to) ? from : to, gone = kept == from ? to : from;
  const std::set<int> out = std::move(out_[size_t(gone)]), in = std::move(in_[size_t(gone)]);
  out_[size_t(gone)].clear();
  in_[size_t(gone)].clear();
  for (int next : out) in_[size_t(next)].erase(gone);
  for (int next : in) out_[size_t(next)].erase(gone);
  for (int next : out) add_edge(kept, next);
  for (int next : in) add_edge(next, kept);
  return kept;
}

}  // namespace planish::partition
