// How candidates are pruned and raced, on a clock that the test owns: a planted kernel with many tactics
// predicts some times and takes others.
#include <gtest/gtest.h>

#include <set>

#include "backend/cpu/cpu_backend.h"
#include "compiler/compile.h"
#include "eval/reference_kernel.h"
#include "opdef/infer.h"
#include "ops/register_ops.h"

namespace planish::compiler {
namespace {

// Tactic n is predicted to take 100 + n us and takes 200 - n.
class ManyTactics : public kernel::KernelDef {
 public:
  ManyTactics(int count, double& clock, std::set<int64_t>& timed, const kernel::KernelDef& reference)
      : count_(count), clock_(clock), timed_(timed), reference_(reference) {}
  std::string name() const override { return "planted.many"; }
  std::string device_kind() const override { return "cpu"; }
  Status supports(const kernel::Problem&, const kernel::DeviceInfo&) const override { return ok_status(); }
  std::vector<kernel::Tactic> tactics(const kernel::Problem&, const kernel::DeviceInfo&) const override {
    std::vector<kernel::Tactic> out;
    for (int n = 0; n < count_; ++n) out.push_back({{{"n", n}}});
    return out;
  }
  double predict_us(const kernel::Problem&, const kernel::Tactic& tactic, const kernel::DeviceInfo&) const override {
    return 100 + double(tactic.get("n"));
  }
  Result<std::unique_ptr<kernel::Launchable>> bind(const kernel::BindArgs& args) const override {
    PLANISH_ASSIGN_OR_RETURN(auto inner, reference_.bind(args));
    return std::unique_ptr<kernel::Launchable>(
        std::make_unique<Run>(std::move(inner), *this, args.tactic->get("n")));
  }

 private:
  class Run : public kernel::Launchable {
   public:
    Run(std::unique_ptr<kernel::Launchable> inner, const ManyTactics& of, int64_t n)
        : inner_(std::move(inner)), of_(of), n_(n) {}
    Status run(const kernel::RunArgs& args) const override {
      of_.timed_.insert(n_);
      of_.clock_ += 200 - double(n_);
      return inner_->run(args);
    }

   private:
    std::unique_ptr<kernel::Launchable> inner_;
    const ManyTactics& of_;
    int64_t n_;
  };
  int count_;
  double& clock_;
  std::set<int64_t>& timed_;
  const kernel::KernelDef& reference_;
};

TEST(Select, RacesTheTwelveThatPromiseMostAndKeepsPredictionBesideMeasurement) {
  opdef::OpRegistry ops;
  ops::register_all_ops(ops);
  kernel::KernelRegistry kernels;
  kernels.add(eval::make_reference_kernel(ops));
  double clock = 0;
  std::set<int64_t> timed;
  kernels.add(std::make_unique<ManyTactics>(40, clock, timed, *kernels.find("ref")));
  const auto device = std::move(cpu::make_cpu_backend()->device(0, 1)).value();
  auto graph = ir::parse(R"(graph "" {
  input %x: f32[4, 8]
  %y: f32[4, 8] = Exp(%x)
  output %y })");
  ASSERT_TRUE(graph.ok()) << graph.status().to_string();
  CompileOptions options;
  options.now_us = [&] { return clock += 1e-3; };
  auto plan = compile(std::move(*graph), options, {ops, kernels, *device});
  ASSERT_TRUE(plan.ok()) << plan.status().to_string();
  ASSERT_EQ(plan->program.steps.size(), 1u);
  const plan::Step& step = plan->program.steps[0];
  EXPECT_EQ(step.tactic.get("n"), 11);  // the fastest of those that were let in
  EXPECT_LE(timed.size(), 12u);
  EXPECT_EQ(*timed.rbegin(), 11);
  int measured = 0;
  for (const plan::Considered& one : step.considered) {
    if (one.measured_us < 0) continue;
    ++measured;
    auto tactic = kernel::Tactic::parse(one.tactic.substr(0, one.tactic.find(' ')));
    ASSERT_TRUE(tactic.ok()) << one.tactic;
    EXPECT_EQ(one.predicted_us, 100 + double(tactic->get("n"))) << one.tactic;
    EXPECT_NEAR(one.measured_us, 200 - double(tactic->get("n")), 1) << one.tactic;
  }
  EXPECT_EQ(measured, 12);
}

}  // namespace
}  // namespace planish::compiler
