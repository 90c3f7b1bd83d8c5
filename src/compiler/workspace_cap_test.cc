// A kernel with planted scratch memory under caps that it keeps and caps that it breaks.
#include <gtest/gtest.h>

#include "backend/cpu/cpu_backend.h"
#include "base/text.h"
#include "compiler/compile.h"
#include "eval/reference_kernel.h"
#include "opdef/infer.h"
#include "ops/register_ops.h"

namespace planish::compiler {
namespace {

constexpr int64_t kBytesPerRow = 100;

// Takes MatMul, runs the reference code, asks for scratch memory by the first operand's rows.
class Greedy : public kernel::KernelDef {
 public:
  explicit Greedy(const kernel::KernelDef& reference) : reference_(reference) {}
  std::string name() const override { return "planted.greedy"; }
  std::string device_kind() const override { return "cpu"; }
  Status supports(const kernel::Problem& problem, const kernel::DeviceInfo&) const override {
    if (problem.stages.size() == 1 && problem.stages[0].op == "MatMul") return ok_status();
    return unimplemented("another op");
  }
  double predict_us(const kernel::Problem&, const kernel::Tactic&,
                    const kernel::DeviceInfo&) const override {
    return 0.1;
  }
  Result<std::unique_ptr<kernel::Launchable>> bind(const kernel::BindArgs& args) const override {
    PLANISH_ASSIGN_OR_RETURN(auto inner, reference_.bind(args));
    return std::unique_ptr<kernel::Launchable>(std::make_unique<Run>(
        std::move(inner), kBytesPerRow * args.problem->operands[0].type.shape[0].value()));
  }

 private:
  class Run : public kernel::Launchable {
   public:
    Run(std::unique_ptr<kernel::Launchable> inner, int64_t bytes)
        : inner_(std::move(inner)), bytes_(bytes) {}
    int64_t workspace_bytes() const override { return bytes_; }
    Status run(const kernel::RunArgs& args) const override { return inner_->run(args); }

   private:
    std::unique_ptr<kernel::Launchable> inner_;
    int64_t bytes_;
  };
  const kernel::KernelDef& reference_;
};

// Two rows when tuned, whose product takes 2 * 3 * 4 bytes.
constexpr std::string_view kProduct = R"(graph "" {
  symbol N [1, *]
  input %x: f32[N, 4]
  const %w: f32[4, 3] = {1, 2, -1, 0.5, 1, 0.5, -1, 2, 0.25, 1, -0.5, 1}
  %y: f32[N, 3] = MatMul(%x, %w)
  output %y })";
constexpr int64_t kTunedRows = 2, kGreedyBytes = kTunedRows * kBytesPerRow;
constexpr int64_t kReferenceBytes = kTunedRows * 3 * 4;

Result<plan::Plan> build(int64_t max_workspace, int64_t max_rows = kTunedRows) {
  static opdef::OpRegistry& ops = *new opdef::OpRegistry();
  static kernel::KernelRegistry& kernels = *new kernel::KernelRegistry();
  if (kernels.all().empty()) {
    ops::register_all_ops(ops);
    kernels.add(eval::make_reference_kernel(ops));
    kernels.add(std::make_unique<Greedy>(*kernels.find("ref")));
  }
  const auto device = std::move(cpu::make_cpu_backend()->device(0, 1)).value();
  PLANISH_ASSIGN_OR_RETURN(auto graph, ir::parse(kProduct));
  CompileOptions options;
  options.deterministic = true;
  options.max_workspace = max_workspace;
  options.profiles.push_back({{{"x", {1, 4}}}, {{"x", {kTunedRows, 4}}}, {{"x", {max_rows, 4}}}});
  return compile(std::move(graph), options, {ops, kernels, *device});
}

std::string chosen(const Result<plan::Plan>& plan) {
  return plan.ok() ? plan->program.steps[0].kernel : plan.status().to_string();
}

TEST(WorkspaceCap, KeepsWhatStaysBelow) {
  EXPECT_EQ(chosen(build(-1)), "planted.greedy");
  EXPECT_EQ(chosen(build(kGreedyBytes)), "planted.greedy");
}

TEST(WorkspaceCap, DropsWhatTakesMoreAndSaysSo) {
  const auto plan = build(kGreedyBytes - 1);
  ASSERT_EQ(chosen(plan), "ref");
  std::string said;
  for (const plan::Considered& one : plan->program.steps[0].considered)
    if (one.kernel == "planted.greedy") said = one.refused;
  EXPECT_NE(said.find("workspace of 200 bytes"), std::string::npos) << said;
  EXPECT_NE(said.find("max_workspace is 199"), std::string::npos) << said;
}

TEST(WorkspaceCap, HoldsAtAProfilesMaximalShapes) {
  EXPECT_EQ(chosen(build(kGreedyBytes, 2 * kTunedRows)), "ref");
  EXPECT_EQ(chosen(build(2 * kGreedyBytes, 2 * kTunedRows)), "planted.greedy");
  // Beyond any memory is a refusal, no overflow.
  EXPECT_EQ(build(kGreedyBytes, int64_t(1) << 60).status().code(), Code::kResourceExhausted);
}

TEST(WorkspaceCap, RefusesWhatNotEvenTheReferenceKeeps) {
  EXPECT_EQ(chosen(build(kReferenceBytes)), "ref");
  const Status status = build(kReferenceBytes - 1).status();
  EXPECT_EQ(status.code(), Code::kResourceExhausted);
  for (const char* part : {"max_workspace = 23", "24 bytes", "planted.greedy", "200 bytes"})
    EXPECT_NE(status.message().find(part), std::string::npos) << status.to_string();
}

}  // namespace
}  // namespace planish::compiler
