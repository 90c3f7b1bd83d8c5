// Ten thousand random graphs: clusters are sound, every node is accounted for, the order of the nodes
// does not matter, and running clusters as units gives what running node by node gives. Two planted
// clusterings show that the check finds what it looks for.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <random>

#include "base/hash.h"
#include "base/text.h"
#include "partition/acyclic_graph.h"
#include "partition/cluster.h"
#include "partition/cluster_check_testing.h"

namespace planish::partition {
namespace {

using Random = std::mt19937_64;

int draw(Random& random, int low, int high) {
  return std::uniform_int_distribution<int>(low, high)(random);
}
bool chance(Random& random, double share) {
  return std::uniform_real_distribution<double>(0, 1)(random) < share;
}

ClusterGraph random_graph(Random& random) {
  ClusterGraph graph;
  const int count = draw(random, 1, chance(random, 0.05) ? 120 : 30);
  const double candidates = chance(random, 0.3) ? 1.0 : 0.5 + 0.5 * draw(random, 0, 10) / 10.0;
  const double control = chance(random, 0.5) ? 0.0 : 0.2, blocked = chance(random, 0.5) ? 0.0 : 0.1;
  const bool has_devices = chance(random, 0.3), has_units = chance(random, 0.2);
  const int reach = draw(random, 1, 20);
  const char* devices[] = {"", "/device:GPU:0", "/device:GPU:1", "/device:GPU:*", "/gpu:1",
                           "/job:a/device:GPU:*", "/job:b"};
  for (int i = 0; i < count; ++i) {
    ClusterNode node;
    node.name = cat("n", (i * 7919) % 100003);  // names do not follow the order
    node.is_candidate = chance(random, candidates);
    node.weight = chance(random, 0.2) ? 0 : 1;
    if (has_devices) node.device = devices[draw(random, 0, int(std::size(devices)) - 1)];
    if (has_units && chance(random, 0.3)) node.unit = i / 4;
    graph.nodes.push_back(node);
    const int inputs = i == 0 ? 0 : draw(random, 0, 3);
    for (int k = 0; k < inputs; ++k)
      graph.edges.push_back({draw(random, std::max(0, i - reach), i - 1), i,
                             chance(random, control), !chance(random, blocked),
                             !chance(random, blocked)});
  }
  return graph;
}

std::vector<std::vector<std::string>> names_of(const ClusterGraph& graph,
                                               const Clustering& clustering) {
  std::vector<std::vector<std::string>> out;
  for (const Cluster& one : clustering.clusters) {
    out.emplace_back();
    for (int node : one.nodes) out.back().push_back(graph.nodes[size_t(node)].name);
    out.back().push_back(one.device);
  }
  return out;
}

ClusterGraph shuffled(const ClusterGraph& graph, Random& random) {
  std::vector<int> places(graph.nodes.size());
  std::iota(places.begin(), places.end(), 0);
  std::shuffle(places.begin(), places.end(), random);
  ClusterGraph out;
  out.nodes.resize(graph.nodes.size());
  for (size_t i = 0; i < places.size(); ++i) out.nodes[size_t(places[i])] = graph.nodes[i];
  for (ClusterEdge edge : graph.edges) {
    edge.from = places[size_t(edge.from)];
    edge.to = places[size_t(edge.to)];
    out.edges.push_back(edge);
  }
  std::shuffle(out.edges.begin(), out.edges.end(), random);
  return out;
}

// A node's value is a hash of its name and of what it reads; nothing has a value before it has run.
class Machine {
 public:
  explicit Machine(const ClusterGraph& graph) : values_(graph.nodes.size()), inputs_(graph.nodes.size()), graph_(graph) {
    for (const ClusterEdge& edge : graph.edges) inputs_[size_t(edge.to)].push_back(edge.from);
  }
  // False when something that it reads or waits for has not run.
  bool run(int node) {
    Hasher hasher;
    hasher.add_text(graph_.nodes[size_t(node)].name);
    for (int input : inputs_[size_t(node)]) {
      if (!values_[size_t(input)]) return false;
      hasher.add_number(*values_[size_t(input)]);
    }
    values_[size_t(node)] = hasher.hash64();
    return true;
  }
  // A unit sees outside values as they are when it starts.
  bool run_together(const std::vector<int>& nodes) {
    for (int node : nodes)
      for (int input : inputs_[size_t(node)])
        if (!values_[size_t(input)] && std::find(nodes.begin(), nodes.end(), input) == nodes.end())
          return false;
    return std::all_of(nodes.begin(), nodes.end(), [&](int node) { return run(node); });
  }
  const std::vector<std::optional<uint64_t>>& values() const { return values_; }

 private:
  std::vector<std::optional<uint64_t>> values_;
  std::vector<std::vector<int>> inputs_;
  const ClusterGraph& graph_;
};

// Runs the graph with each cluster as one unit, in a random order among what is ready.
bool run_clustered(const ClusterGraph& graph, const std::vector<Cluster>& clusters, Random& random,
                   Machine& machine) {
  std::vector<std::vector<int>> units;
  std::vector<bool> is_member(graph.nodes.size(), false);
  for (const Cluster& one : clusters) {
    units.push_back(one.nodes);
    for (int node : one.nodes) is_member[size_t(node)] = true;
  }
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    if (!is_member[i]) units.push_back({int(i)});
  std::shuffle(units.begin(), units.end(), random);
  while (!units.empty()) {
    const size_t before = units.size();
    std::erase_if(units, [&](const std::vector<int>& unit) { return machine.run_together(unit); });
    if (units.size() == before) return false;
  }
  return true;
}

TEST(RandomDags, ClustersAreSoundAndRunAsUnits) {
  constexpr int kGraphs = 10000;
  int clusters = 0, members = 0, refused_borders = 0, devices = 0;
  for (int seed = 0; seed < kGraphs; ++seed) {
    SCOPED_TRACE(cat("seed ", seed));
    Random random{uint64_t(seed)};
    const ClusterGraph graph = random_graph(random);
    const int minimum = draw(random, 1, 4);
    const auto clustering = cluster(graph, minimum);
    ASSERT_TRUE(clustering.ok()) << clustering.status().message();
    ASSERT_EQ(fault_of(graph, clustering->clusters, minimum), "");

    std::vector<bool> is_member(graph.nodes.size(), false);
    for (const Cluster& one : clustering->clusters) {
      devices += !one.device.empty();
      for (int node : one.nodes) is_member[size_t(node)] = true;
    }
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
      const LeftOut why = clustering->left_out[i];
      ASSERT_EQ(is_member[i], why == LeftOut::kNot) << graph.nodes[i].name;
      ASSERT_EQ(graph.nodes[i].is_candidate, why != LeftOut::kNoCandidate) << graph.nodes[i].name;
      refused_borders += why == LeftOut::kBorder;
      members += is_member[i];
    }
    clusters += int(clustering->clusters.size());

    const ClusterGraph other = shuffled(graph, random);
    const auto again = cluster(other, minimum);
    ASSERT_TRUE(again.ok());
    ASSERT_EQ(names_of(graph, *clustering), names_of(other, *again));

    Machine alone(graph), together(graph);
    for (size_t i = 0; i < graph.nodes.size(); ++i) ASSERT_TRUE(alone.run(int(i)));
    ASSERT_TRUE(run_clustered(graph, clustering->clusters, random, together));
    ASSERT_EQ(alone.values(), together.values());
  }
  // The graphs reach what is to be tested.
  EXPECT_GT(clusters, kGraphs);
  EXPECT_GT(members, 5 * kGraphs);
  EXPECT_GT(refused_borders, kGraphs / 10);
  EXPECT_GT(devices, kGraphs / 10);
}

// a -> b -> c, a -> c; d -> e beside them, with edges that tie both.
ClusterGraph planted() {
  ClusterGraph graph;
  for (const char* name : {"a", "b", "c", "d", "e"}) graph.nodes.push_back({name, true, "", 1, -1});
  graph.nodes[1].is_candidate = false;
  graph.edges = {{0, 1, false, true, true}, {1, 2, false, true, true}, {0, 2, false, true, true},
                 {0, 4, false, true, true}, {3, 2, false, true, true}, {3, 4, false, true, true}};
  return graph;
}

TEST(RandomDags, CheckFindsWhatIsNotConvex) {
  const ClusterGraph graph = planted();
  const std::vector<Cluster> clusters = {{{0, 2}, ""}};
  EXPECT_NE(fault_of(graph, clusters, 2).find("not convex"), std::string::npos);
  Random random{1};
  Machine machine(graph);
  EXPECT_FALSE(run_clustered(graph, clusters, random, machine));
}

TEST(RandomDags, CheckFindsACycleOfConvexClusters) {
  ClusterGraph graph = planted();
  graph.nodes[1].is_candidate = true;
  graph.edges = {{0, 4, false, true, true}, {3, 2, false, true, true}, {0, 2, false, true, true},
                 {3, 4, false, true, true}};
  // {a, c} reads d, {d, e} reads a: each convex, together a cycle.
  const std::vector<Cluster> clusters = {{{0, 2}, ""}, {{3, 4}, ""}};
  EXPECT_EQ(fault_of(graph, clusters, 2), "the graph of clusters has a cycle");
  Random random{1};
  Machine machine(graph);
  EXPECT_FALSE(run_clustered(graph, clusters, random, machine));
}

TEST(RandomDags, CheckFindsTheRest) {
  ClusterGraph graph = planted();
  EXPECT_EQ(fault_of(graph, {{{1, 2}, ""}}, 1), "b is no candidate");
  EXPECT_EQ(fault_of(graph, {{{0}, ""}, {{0}, ""}}, 1), "a is in two clusters");
  EXPECT_EQ(fault_of(graph, {{{4}, ""}}, 2), "cluster 0 weighs 1");
  graph.nodes[3].device = "/device:GPU:0", graph.nodes[4].device = "/device:GPU:1";
  EXPECT_EQ(fault_of(graph, {{{3, 4}, ""}}, 1), "e is on another device than its cluster");
  graph.edges[5].may_enter = false;
  EXPECT_EQ(fault_of(graph, {{{4}, ""}}, 1), "an edge may not enter: d to e");
}

// The order that is kept agrees with a plain search, while edges are added and nodes are merged.
TEST(AcyclicGraph, AgreesWithPlainSearch) {
  for (int seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(cat("seed ", seed));
    Random random{uint64_t(seed)};
    const int count = draw(random, 2, 25);
    AcyclicGraph graph(count);
    std::vector<int> alive(static_cast<size_t>(count));
    std::iota(alive.begin(), alive.end(), 0);
    const auto reaches = [&](int from, int to, bool skip_direct) {
      std::vector<int> stack = {from};
      std::vector<bool> seen(size_t(count), false);
      while (!stack.empty()) {
        const int node = stack.back();
        stack.pop_back();
        for (int next : graph.successors(node)) {
          if (skip_direct && node == from && next == to) continue;
          if (next == to) return true;
          if (!seen[size_t(next)]) stack.push_back(next);
          seen[size_t(next)] = true;
        }
      }
      return false;
    };
    for (int step = 0; step < 120 && alive.size() > 1; ++step) {
      const int from = alive[size_t(draw(random, 0, int(alive.size()) - 1))];
      const int to = alive[size_t(draw(random, 0, int(alive.size()) - 1))];
      if (from == to) continue;
      if (chance(random, 0.8)) {
        const bool closes = reaches(to, from, false);
        ASSERT_EQ(graph.add_edge(from, to), !closes);
      } else if (!reaches(to, from, false)) {
        const bool blocked = reaches(from, to, true);
        const auto kept = graph.merge(from, to);
        ASSERT_EQ(kept.has_value(), !blocked);
        if (kept) std::erase(alive, *kept == from ? to : from);
      }
      for (int node : alive)
        for (int next : graph.successors(node)) {
          ASSERT_LT(graph.rank(node), graph.rank(next));
          ASSERT_TRUE(graph.predecessors(next).count(node));
        }
    }
  }
}

TEST(Cluster, RefusesACycle) {
  ClusterGraph graph;
  for (const char* name : {"a", "b"}) graph.nodes.push_back({name, true, "", 1, -1});
  graph.edges = {{0, 1, false, true, true}, {1, 0, false, true, true}};
  const auto clustering = cluster(graph, 1);
  ASSERT_FALSE(clustering.ok());
  EXPECT_NE(clustering.status().message().find("cycle that node 'a'"), std::string::npos)
      << clustering.status().message();
}

// What a plain search per edge would take minutes for.
TEST(Cluster, TakesALargeGraph) {
  ClusterGraph graph;
  constexpr int kNodes = 50000;
  Random random{7};
  for (int i = 0; i < kNodes; ++i) {
    graph.nodes.push_back({cat("n", i), chance(random, 0.95), "", 1, -1});
    for (int k = 0; i > 0 && k < 2; ++k)
      graph.edges.push_back({draw(random, std::max(0, i - 200), i - 1), i, false, true, true});
  }
  const auto clustering = cluster(graph, 3);
  ASSERT_TRUE(clustering.ok());
  EXPECT_FALSE(clustering->clusters.empty());
}

}  // namespace
}  // namespace planish::partition
