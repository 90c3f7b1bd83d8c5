// The structural cases of TF-TRT's segmenter test, as they stand there: graphs of additions in which
// some nodes are no candidates, or may not be entered or left.
#include <gmock/gmock.h>

#include <set>

#include "partition/cluster.h"
#include "partition/cluster_check_testing.h"

namespace planish::partition {
namespace {

using Names = std::set<std::string>;

struct Adds {
  std::vector<std::pair<std::string, std::vector<std::string>>> nodes;  // with what they read
  std::map<std::string, std::string> devices;

  Names names() const {
    Names out;
    for (const auto& [name, inputs] : nodes) out.insert(name);
    return out;
  }
};

Names without(Names names, const std::string& name) {
  names.erase(name);
  return names;
}

std::vector<Names> segments_of(const Adds& adds, const Names& candidates, const Names& enterable,
                               const Names& leavable, int weight = 1) {
  ClusterGraph graph;
  std::map<std::string, int> index = {{"feed", 0}};
  graph.nodes.push_back({"feed", false, "", 1, -1});
  for (const auto& [name, inputs] : adds.nodes) {
    index[name] = int(graph.nodes.size());
    const auto device = adds.devices.find(name);
    graph.nodes.push_back({name, candidates.count(name) > 0,
                           device == adds.devices.end() ? "" : device->second, weight, -1});
    for (const std::string& input : inputs)
      graph.edges.push_back({index.at(input), index.at(name), false, enterable.count(name) > 0,
                             leavable.count(input) > 0});
  }
  const auto clustering = cluster(graph, 2);
  EXPECT_TRUE(clustering.ok()) << clustering.status().message();
  EXPECT_EQ(fault_of(graph, clustering->clusters, 2), "");
  std::vector<Names> out;
  for (const Cluster& one : clustering->clusters) {
    Names names;
    for (int node : one.nodes) names.insert(graph.nodes[size_t(node)].name);
    out.push_back(std::move(names));
  }
  return out;
}

// add0 and add1 read the feed, add2 both of them; add3 reads add0 and add2, add4 add2 twice.
Adds five() {
  return {{{"add0", {"feed", "feed"}},
           {"add1", {"feed", "feed"}},
           {"add2", {"add0", "add1"}},
           {"add3", {"add0", "add2"}},
           {"add4", {"add2", "add2"}}},
          {}};
}

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

TEST(SegmentCases, Empty) { EXPECT_THAT(segments_of({}, {}, {}, {}), IsEmpty()); }

TEST(SegmentCases, Simple) {
  const Adds adds = five();
  const Names all = adds.names();
  const Names no1 = without(all, "add1"), no2 = without(all, "add2"), no3 = without(all, "add3");
  EXPECT_THAT(segments_of(adds, all, all, all), ElementsAre(all));
  EXPECT_THAT(segments_of(adds, no1, no1, no1), ElementsAre(no1));
  // add2 would be entered from add1: it goes with all in front of it.
  EXPECT_THAT(segments_of(adds, no1, no2, no1), ElementsAre(Names{"add3", "add4"}));
  // Nothing enters add2 from outside.
  EXPECT_THAT(segments_of(adds, all, no2, all), ElementsAre(all));
  // The feed enters add1.
  EXPECT_THAT(segments_of(adds, all, no1, all), ElementsAre(no1));
  // Nobody reads add3.
  EXPECT_THAT(segments_of(adds, all, all, no3), ElementsAre(all));
}

TEST(SegmentCases, WithDeviceAssignments) {
  Adds adds = five();
  const Names all = adds.names();
  const std::string cpu = "/device:CPU:0", gpu0 = "/device:GPU:0", gpu1 = "/device:GPU:1";
  for (const auto& [name, inputs] : adds.nodes) adds.devices[name] = gpu0;
  adds.devices["add1"] = cpu;
  EXPECT_THAT(segments_of(adds, without(all, "add1"), all, all), ElementsAre(without(all, "add1")));
  // The same when add1 is a candidate: it cannot be on the device of the others.
  EXPECT_THAT(segments_of(adds, all, all, all), ElementsAre(without(all, "add1")));
  adds.devices["add1"] = gpu0;
  adds.devices["add3"] = adds.devices["add4"] = gpu1;
  EXPECT_THAT(segments_of(adds, all, all, all), ElementsAre(Names{"add0", "add1", "add2"}));
  adds.devices["add3"] = adds.devices["add4"] = "/device:GPU:*";
  EXPECT_THAT(segments_of(adds, all, all, all), ElementsAre(all));
}

TEST(SegmentCases, AvoidCycle) {
  const Adds adds = five();
  const Names all = adds.names();
  EXPECT_THAT(segments_of(adds, without(all, "add2"), all, all), IsEmpty());
}

TEST(SegmentCases, Multiple) {
  const Adds adds = {{{"add0", {"feed", "feed"}},
                      {"add1", {"feed", "feed"}},
                      {"add7", {"feed", "feed"}},
                      {"add2", {"add0", "add1"}},
                      {"add5", {"add2", "add7"}},
                      {"add8", {"add7", "add7"}},
                      {"add3", {"add0", "add2"}},
                      {"add4", {"add2", "add5"}},
                      {"add6", {"add5", "add8"}}},
                     {}};
  const Names all = adds.names();
  const Names no5 = without(all, "add5");
  EXPECT_THAT(segments_of(adds, no5, no5, no5),
              UnorderedElementsAre(Names{"add0", "add1", "add2", "add3"}, Names{"add6", "add8"}));
  // add6 would be entered from add8: it goes with all in front of it.
  EXPECT_THAT(segments_of(adds, without(all, "add8"), without(all, "add6"), all),
              ElementsAre(Names{"add3", "add4"}));
  // add0 would be left to add3: it goes with all behind it.
  EXPECT_THAT(segments_of(adds, without(all, "add3"), all, without(all, "add0")),
              ElementsAre(Names{"add1", "add7", "add8"}));
}

TEST(SegmentCases, BigIfElse) {
  const Adds adds = {{{"add0", {"feed", "feed"}},
                      {"add1", {"add0", "add0"}},
                      {"add2", {"add1", "add1"}},
                      {"add3", {"add2", "add2"}},
                      {"add4", {"add0", "add0"}},
                      {"add5", {"add4", "add4"}},
                      {"add6", {"add5", "add5"}},
                      {"add7", {"add3", "add6"}}},
                     {}};
  const Names all = adds.names();
  EXPECT_THAT(segments_of(adds, without(all, "add2"), all, all),
              UnorderedElementsAre(Names{"add0", "add1"},
                                   Names{"add3", "add4", "add5", "add6", "add7"}));
}

TEST(SegmentCases, IdentityOps) {
  const Adds identities = {{{"identity0", {"feed"}},
                            {"identity1", {"identity0"}},
                            {"identity2", {"identity1"}},
                            {"identity3", {"identity2"}}},
                           {}};
  const Names all = identities.names();
  EXPECT_THAT(segments_of(identities, all, all, all, 0), IsEmpty());
}

}  // namespace
}  // namespace planish::partition
