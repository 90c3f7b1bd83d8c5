// Which of the raced count as near ties of what was taken.
#include "compiler/near_ties.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "compiler/lowering.h"

namespace planish::compiler {
namespace {

using nlohmann::json;

class Named : public kernel::KernelDef {
 public:
  explicit Named(std::string name, bool strided = false, bool reference = false)
      : name_(std::move(name)), strided_(strided), reference_(reference) {}
  std::string name() const override { return name_; }
  std::string device_kind() const override { return "cuda"; }
  Status supports(const kernel::Problem&, const kernel::DeviceInfo&) const override { return ok_status(); }
  double predict_us(const kernel::Problem&, const kernel::Tactic&, const kernel::DeviceInfo&) const override {
    return 1;
  }
  bool takes_strided(const kernel::Problem&, bool, int) const override { return strided_; }
  bool is_reference() const override { return reference_; }
  Result<std::unique_ptr<kernel::Launchable>> bind(const kernel::BindArgs&) const override {
    return unimplemented("a name alone");
  }

 private:
  std::string name_;
  bool strided_, reference_;
};

kernel::Tactic tactic(int64_t n) { return {{{"n", n}}}; }

// A Relu of [4, size], taken by `taken` as tactic 0 in 10 us.
struct Node {
  std::unique_ptr<ir::Graph> graph;
  LoweredNode entry;
  explicit Node(const kernel::KernelDef& taken, const std::string& size = "8") {
    const std::string symbol = size == "N" ? "symbol N [1, 64] " : "";
    graph = std::move(ir::parse("graph \"\" { " + symbol + "input %x: f32[4, " + size + "] %y: f32[4, " + size +
                                "] = Relu(%x) output %y }"))
                .value();
    entry.node = graph->outputs[0]->producer;
    entry.problem.operands.push_back({.type = graph->inputs[0]->type, .value = {}});
    kernel::Stage stage;
    stage.op = "Relu";
    stage.inputs = {0};
    stage.outputs = {graph->outputs[0]->type};
    entry.problem.stages = {stage};
    entry.problem.results = {1};
    entry.alternatives = {{&taken, rows(), entry.problem, tactic(0), 1, 10}};
    race(taken, 0, 10);
  }
  static kernel::LayoutChoice rows() { return {{ir::Layout()}, {ir::Layout()}}; }
  void race(const kernel::KernelDef& kernel, int64_t n, double us, kernel::LayoutChoice layouts = rows()) {
    entry.raced.push_back({&kernel, std::move(layouts), tactic(n), us});
  }
  std::vector<int64_t> ties() const {
    std::vector<int64_t> out;
    for (const NearTie& tie : near_ties_of(entry).ties) out.push_back(tie.tactic.get("n"));
    return out;
  }
};

using Numbers = std::vector<int64_t>;

TEST(NearTies, AreFewTheFastestAndCloseBehind) {
  const Named kernel("a");
  Node node(kernel);
  node.race(kernel, 1, 10.4);
  node.race(kernel, 2, 10.6);
  EXPECT_EQ(node.ties(), Numbers({1}));
  node.race(kernel, 3, 10.1);
  node.race(kernel, 4, 10.2);
  EXPECT_EQ(node.ties(), (Numbers{3, 4}));
  const StepTies ties = near_ties_of(node.entry);
  EXPECT_EQ(ties.node, "y");
  EXPECT_EQ(kernel::fingerprint(ties.problem), kernel::fingerprint(node.entry.problem));
  // A tenth of a microsecond is nothing that a race can tell.
  node.entry.alternatives[0].measured_us = 1;
  node.race(kernel, 5, 1.09);
  EXPECT_EQ(node.ties(), Numbers({5}));
}

TEST(NearTies, HaveTheLayoutsThatWereTaken) {
  const Named kernel("a");
  Node node(kernel);
  kernel::LayoutChoice other = Node::rows();
  other.results[0].block_dim = 1;
  other.results[0].block = 8;
  node.race(kernel, 1, 10, other);
  EXPECT_EQ(node.ties(), Numbers());
}

TEST(NearTies, OfAnotherKernelReadAndWriteWhatTheTakenOneDoes) {
  const Named plain("plain"), strided("strided", true), reference("reference", true, true);
  Node node(plain);
  node.race(strided, 1, 10);
  node.race(reference, 2, 10);
  EXPECT_EQ(node.ties(), Numbers({1}));
  Node apart(strided);
  apart.race(plain, 1, 10);
  EXPECT_EQ(apart.ties(), Numbers());
}

TEST(NearTies, AreNoneOfWhatIsSymbolicUnmeasuredOrOnTheHost) {
  const Named kernel("a");
  Node symbolic(kernel, "N"), predicted(kernel), host(kernel), sizes(kernel);
  for (Node* node : {&symbolic, &predicted, &host, &sizes}) node->race(kernel, 1, 10);
  EXPECT_EQ(sizes.ties(), Numbers({1}));
  EXPECT_EQ(symbolic.ties(), Numbers());
  predicted.entry.alternatives[0].measured_us = -1;
  EXPECT_EQ(predicted.ties(), Numbers());
  host.entry.on_host = true;
  EXPECT_EQ(host.ties(), Numbers());
}

TEST(NearTies, AreNotedInDecisionsAndReport) {
  const Named kernel("a");
  Node node(kernel);
  node.race(kernel, 1, 10);
  plan::Plan plan;
  plan.decisions = R"({"deferred_norms": true, "steps": {"y": {"kernel": "a", "tactic": "n=0", "results": ["rows"]}}})";
  plan.report = R"({"steps": 1})";
  plan::Step step;
  step.kernel = "a";
  step.tactic = tactic(1);
  plan.program.steps = {step};
  note_tactics(plan, {near_ties_of(node.entry)}, {9, 10, 1}, {{{0}, "a [n=1]", "a [n=0]", 9, 10, true}});
  const json decisions = json::parse(plan.decisions), report = json::parse(plan.report);
  EXPECT_EQ(decisions["steps"]["y"]["tactic"], "n=1");
  EXPECT_EQ(decisions["steps"]["y"]["results"], json::array({"rows"}));
  EXPECT_EQ(decisions["deferred_norms"], true);
  EXPECT_EQ(report["steps"], 1);
  EXPECT_EQ(report["tactics"]["exchanged"], 1);
  EXPECT_EQ(report["tactics"]["trials"][0]["tried"], "a [n=1]");
}

}  // namespace
}  // namespace planish::compiler
