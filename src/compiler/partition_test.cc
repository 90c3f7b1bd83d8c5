// Whole regions against their parts on a clock that the test owns: planted kernels take planted times
// and predict others.
#include <gtest/gtest.h>


#include "backend/api/device_with_info.h"
#include "backend/cpu/cpu_backend.h"
#include "base/text.h"
#include "compiler/lowering.h"
#include "eval/reference_kernel.h"
#include "opdef/infer.h"
#include "ops/register_ops.h"

namespace planish::compiler {
namespace {

struct Times {
  double taken, predicted;
};

// Takes problems by their number of roots and whether something elementwise stands beside them, runs
// the reference code, and lets the clock go on by what the test planted.
class Planted : public kernel::KernelDef {
 public:
  Planted(std::string name, int roots, bool elementwise, Times times, double& clock,
          const kernel::KernelDef& reference)
      : name_(std::move(name)), roots_(roots), elementwise_(elementwise), times_(times),
        clock_(clock), reference_(reference) {}
  std::string name() const override { return name_; }
  std::string device_kind() const override { return "cpu"; }
  Status supports(const kernel::Problem& problem, const kernel::DeviceInfo&) const override {
    int roots = 0, expressions = 0;
    for (const kernel::Stage& stage : problem.stages) (stage.is_expr() ? expressions : roots) += 1;
    if (roots == roots_ && (expressions > 0) == elementwise_) return ok_status();
    return unimplemented("another part's problem");
  }
  double predict_us(const kernel::Problem&, const kernel::Tactic&,
                    const kernel::DeviceInfo&) const override {
    return times_.predicted;
  }
  Result<std::unique_ptr<kernel::Launchable>> bind(const kernel::BindArgs& args) const override {
    PLANISH_ASSIGN_OR_RETURN(auto inner, reference_.bind(args));
    return std::unique_ptr<kernel::Launchable>(
        std::make_unique<Run>(std::move(inner), clock_, times_.taken));
  }

 private:
  class Run : public kernel::Launchable {
   public:
    Run(std::unique_ptr<kernel::Launchable> inner, double& clock, double us)
        : inner_(std::move(inner)), clock_(clock), us_(us) {}
    Status run(const kernel::RunArgs& args) const override {
      clock_ += us_;
      return inner_->run(args);
    }

   private:
    std::unique_ptr<kernel::Launchable> inner_;
    double& clock_;
    double us_;
  };
  std::string name_;
  int roots_;
  bool elementwise_;
  Times times_;
  double& clock_;
  const kernel::KernelDef& reference_;
};

// A device on which one step more has a price.
class Priced : public backend::DeviceWithInfo {
 public:
  Priced(const std::shared_ptr<backend::Device>& device, double step_us)
      : DeviceWithInfo(device, device->info()), step_us_(step_us) {}
  double step_us() const override { return step_us_; }

 private:
  double step_us_;
};

// Depthwise and pointwise convolution, which become one region of two roots.
constexpr std::string_view kChain = R"(graph "" {
  input %x: f32[1, 4, 6, 6]
  const %w: f32[4, 1, 1, 1] = {1, 2, -1, 0.5}
  const %p: f32[3, 4, 1, 1] = {1, 0.5, -1, 2, 0.25, 1, -0.5, 1, 2, -1, 1, 0.5}
  %a: f32[1, 4, 6, 6] = Conv(%x, %w) {group = 4}
  %b: f32[1, 4, 6, 6] = Relu(%a)
  %y: f32[1, 3, 6, 6] = Conv(%b, %p)
  output %y })";

struct Fixture {
  opdef::OpRegistry ops;
  kernel::KernelRegistry kernels;
  std::shared_ptr<backend::Device> device;
  double clock = 0;

  // The whole region, the depthwise part with its activation, the pointwise part.
  Fixture(Times whole, Times first, Times second) {
    ops::register_all_ops(ops);
    device = std::move(cpu::make_cpu_backend()->device(0, 1)).value();
    kernels.add(eval::make_reference_kernel(ops));
    const kernel::KernelDef& reference = *kernels.find("ref");
    kernels.add(std::make_unique<Planted>("planted.whole", 2, true, whole, clock, reference));
    kernels.add(std::make_unique<Planted>("planted.first", 1, true, first, clock, reference));
    kernels.add(std::make_unique<Planted>("planted.second", 1, false, second, clock, reference));
  }

  plan::Plan build(bool deterministic, std::string decisions = "", double budget_s = 1e6) {
    auto graph = ir::parse(kChain);
    EXPECT_TRUE(graph.ok()) << graph.status().to_string();
    for (const auto& node : (*graph)->nodes()) opdef::fill_defaults(*ops.find(node->op), node->attrs);
    CompileOptions options;
    options.deterministic = deterministic;
    options.decisions = std::move(decisions);
    options.time_budget_s = budget_s;
    options.now_us = [this] { return clock += 1e-3; };
    auto plan = compile(std::move(*graph), options, {ops, kernels, *device});
    EXPECT_TRUE(plan.ok()) << plan.status().to_string();
    return std::move(plan).value();
  }
};

std::string kernels_of(const plan::Plan& plan) {
  std::vector<std::string> names;
  for (const plan::Step& step : plan.program.steps) names.push_back(step.kernel);
  return join(names, " ");
}

constexpr std::string_view kParts = "planted.first planted.second";

TEST(Partition, TakesTheFasterByMeasuredTime) {
  // Predictions favour the other way.
  EXPECT_EQ(kernels_of(Fixture({10, 5}, {3, 4}, {4, 4}).build(false)), kParts);
  EXPECT_EQ(kernels_of(Fixture({10, 9}, {6, 4}, {6, 4}).build(false)), "planted.whole");
}

// 9.6 us in parts beat 10 as one step, unless each step has its price.
TEST(Partition, CountsThePriceOfAStep) {
  for (const bool deterministic : {false, true}) {
    const Times whole{10, 10}, part{4.8, 4.8};
    Fixture plain(whole, part, part), priced(whole, part, part);
    EXPECT_EQ(kernels_of(plain.build(deterministic)), kParts);
    priced.device = std::make_shared<Priced>(priced.device, 0.5);
    EXPECT_EQ(kernels_of(priced.build(deterministic)), "planted.whole");
  }
}

// A wrapped device's price is its own, and a conversion is a step, too.
TEST(Partition, AConversionHasThePriceOfAStep) {
  const Fixture fixture({1, 1}, {1, 1}, {1, 1});
  const auto priced = std::make_shared<Priced>(fixture.device, 0.5);
  const backend::DeviceWithInfo wrapped(priced, priced->info());
  ir::TensorType type;
  type.shape = {1, 8, 4, 4};
  const auto us = [&](const backend::Device& device) {
    return conversion_us(type, {}, ir::Layout::channels_last(4), device);
  };
  EXPECT_EQ(fixture.device->step_us(), 0);
  EXPECT_DOUBLE_EQ(us(wrapped), us(*fixture.device) + 0.5);
}

TEST(Partition, GoesByPredictionsWhereNothingIsMeasured) {
  EXPECT_EQ(kernels_of(Fixture({10, 5}, {3, 4}, {4, 4}).build(true)), "planted.whole");
  EXPECT_EQ(kernels_of(Fixture({10, 9}, {6, 4}, {6, 4}).build(true)), kParts);
  EXPECT_EQ(kernels_of(Fixture({10, 5}, {3, 4}, {4, 4}).build(false, "", 0)), "planted.whole");
}

TEST(Partition, MeasuresNothingThatIsHopeless) {
  Fixture fixture({10, 5}, {1, 20}, {1, 20});
  EXPECT_EQ(kernels_of(fixture.build(false)), "planted.whole");
}

TEST(Partition, FollowsDecisions) {
  Fixture fixture({10, 5}, {3, 4}, {4, 4});
  const plan::Plan parts = fixture.build(false), whole = fixture.build(true);
  ASSERT_EQ(kernels_of(parts), kParts);
  ASSERT_EQ(kernels_of(whole), "planted.whole");
  EXPECT_EQ(kernels_of(fixture.build(true, parts.decisions)), kParts);
  EXPECT_EQ(kernels_of(fixture.build(false, whole.decisions)), "planted.whole");
}

TEST(Partition, SaysWhatItCompared) {
  const plan::Plan plan = Fixture({10, 5}, {3, 4}, {4, 4}).build(false);
  std::string said;
  for (const plan::Considered& one : plan.program.steps[0].considered)
    if (one.kernel == "one step") said = one.refused;
  EXPECT_NE(said.find("us as 2 parts"), std::string::npos) << said;
}

}  // namespace
}  // namespace planish::compiler
