// The random graphs find what they are there to find: a fusion that is wrong and a kernel that is off
// by one are planted, and both turn the check red. And each pass has a trigger that makes it fire.
#include <gtest/gtest.h>

#include <set>

#include "base/text.h"
#include "graph_check.h"
#include "opdef/infer.h"
#include "passes/pipeline.h"
#include "triggers.h"

namespace planish::tests {
namespace {

// What the first failure among the first `count` graphs of a seed of this test's own says; empty: none.
std::string first_failure(const Machine& machine, int count) {
  const auto cases = cases_by_op(*machine.ops);
  for (int i = 0; i < count; ++i) {
    const uint64_t seed = 900000 + static_cast<uint64_t>(i);
    std::string failure = check_graph(machine, make_random_graph(*machine.ops, cases, seed), seed).failure;
    if (!failure.empty()) return failure;
  }
  return "";
}

// Far more than are looked at: which of them meets a fault depends on every operator's cases.
constexpr int kUntilFound = 400;

TEST(PlantedFaults, NoneAndNothingFails) { EXPECT_EQ(first_failure(*Machine::make().value(), 40), ""); }

// Max(x + y, 0) "fused" with the addition left out, where shapes allow it.
void fuse_wrongly(ir::Graph& graph) {
  for (const auto& node : graph.nodes()) {
    if (node->op != "Relu" && node->op != "Tanh" && node->op != "Sigmoid") continue;
    const ir::Node* add = node->inputs[0]->producer;
    if (!add || add->op != "Add" || !add->inputs[0]) continue;
    if (!(add->inputs[0]->type == node->inputs[0]->type)) continue;
    graph.set_input(node.get(), 0, add->inputs[0]);
  }
}

TEST(PlantedFaults, AWrongFusionIsFound) {
  auto machine = Machine::make().value();
  machine->planted_pass = fuse_wrongly;
  EXPECT_NE(first_failure(*machine, kUntilFound), "");
}

// The reference kernel of single elementwise nodes, whose loop ends one element early.
class OneShort : public kernel::KernelDef {
 public:
  explicit OneShort(const kernel::KernelDef& right) : right_(right) {}
  std::string name() const override { return "planted.one_short"; }
  std::string device_kind() const override { return "cpu"; }
  Status supports(const kernel::Problem& problem, const kernel::DeviceInfo& device) const override {
    if (!problem.is_pointwise() || problem.results.size() != 1) return unimplemented("elementwise");
    return right_.supports(problem, device);
  }
  double predict_us(const kernel::Problem&, const kernel::Tactic&,
                    const kernel::DeviceInfo&) const override {
    return 0;
  }
  Result<std::unique_ptr<kernel::Launchable>> bind(const kernel::BindArgs& args) const override {
    PLANISH_ASSIGN_OR_RETURN(auto right, right_.bind(args));
    const ir::TensorType& type = args.problem->result_type(0);
    return std::unique_ptr<kernel::Launchable>(std::make_unique<Run>(
        std::move(right), type.dtype, ir::element_count(std::span<const int64_t>(ir::to_dims(type.shape)))));
  }

 private:
  class Run : public kernel::Launchable {
   public:
    Run(std::unique_ptr<kernel::Launchable> right, ir::DataType dtype, int64_t count)
        : right_(std::move(right)), dtype_(dtype), count_(count) {}
    Status run(const kernel::RunArgs& args) const override {
      if (count_ < 2 || ir::bits_of(dtype_) < 8) return right_->run(args);
      const int64_t size = ir::bytes_of(dtype_, 1);
      std::vector<std::byte> before(static_cast<size_t>(size));
      std::byte* last = static_cast<std::byte*>(args.results[0].data) + (count_ - 1) * size;
      std::copy(last, last + size, before.begin());
      PLANISH_RETURN_IF_ERROR(right_->run(args));
      std::copy(before.begin(), before.end(), last);
      return ok_status();
    }

   private:
    std::unique_ptr<kernel::Launchable> right_;
    ir::DataType dtype_;
    int64_t count_;
  };
  const kernel::KernelDef& right_;
};

TEST(PlantedFaults, AnOffByOneIsFound) {
  auto machine = Machine::make().value();
  machine->kernels.add(std::make_unique<OneShort>(*machine->kernels.find("ref")));
  EXPECT_NE(first_failure(*machine, kUntilFound), "");
}

// A dim of open size that is one or five as the other operand has it: blocks of channels cannot be
// chosen for one of them.
TEST(DrawnChoices, ADimThatMayBroadcastIsNotBlockedAlong) {
  const auto machine = Machine::make().value();
  for (const int64_t first : {1, 5}) {
    auto graph = ir::parse(R"(graph "" {
  symbol D [1, *]
  input %x: f32[3, 5, 17] input %g: f32[D, 1]
  %a: f32[3, 5, 17] = Add(%x, %g)
  %y: f32[3, 5, 17] = Relu(%a)
  output %y })");
    ASSERT_TRUE(graph.ok()) << graph.status().to_string();
    RandomGraph one{std::move(*graph), {}, false, {}};
    for (std::vector<ir::Tensor>* feeds : {&one.feeds, &one.resized_feeds}) {
      feeds->push_back(ir::Tensor(ir::DataType::kF32, {3, 5, 17}));
      feeds->push_back(ir::Tensor(ir::DataType::kF32, {feeds == &one.feeds ? first : 6 - first, 1}));
    }
    for (uint64_t seed = 0; seed < 20; ++seed) {
      const GraphReport report = check_graph(*machine, one, seed);
      EXPECT_EQ(report.failure, "") << report.steps;
    }
  }
}

TEST(Triggers, MakeTheirPassFire) {
  const auto machine = Machine::make().value();
  std::set<std::string_view> triggered;
  for (const Trigger& trigger : triggers()) {
    if (trigger.pass.empty()) continue;
    auto graph = ir::parse(trigger.text);
    ASSERT_TRUE(graph.ok()) << trigger.pass << ": " << graph.status().to_string();
    for (const auto& node : (*graph)->nodes())
      opdef::fill_defaults(*machine->ops->find(node->op), node->attrs);
    const Status typed = opdef::infer_graph(*machine->ops, **graph);
    ASSERT_TRUE(typed.ok()) << trigger.pass << ": " << typed.to_string();
    passes::PassOptions options;
    options.merge_siblings = options.channels_last = true;
    if (trigger.pass == "convert_precision") options.precision = ir::DataType::kF16;
    passes::PassContext context(*machine->ops, options);
    ASSERT_TRUE(passes::optimize(**graph, context).ok());
    int64_t fired = 0;
    for (const auto& [rule, times] : context.fired)
      if (rule == trigger.pass || rule.starts_with(cat(trigger.pass, "/"))) fired += times;
    EXPECT_GT(fired, 0) << trigger.pass;
    triggered.insert(trigger.pass);
  }
  for (const passes::Pass& pass : passes::all_passes())
    EXPECT_TRUE(triggered.count(pass.name)) << pass.name << " has no trigger in triggers.cc";
}

}  // namespace
}  // namespace planish::tests
