// Near ties of tactics, decided by whole runs: kernels compile at once to ones that do nothing, the fake
// driver gives each 10 us alone, and more for each thread block while whole runs are timed.
#include <gtest/gtest.h>

#include "base/text.h"
#include "check/choose_tactics.h"
#include "compiler/compile.h"
#include "fake_world.h"
#include "opdef/infer.h"

namespace planish::cuda_tests {
namespace {

std::string numbers(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += cat(i ? ", " : "", (i * 7 % 11 - 5) * 0.125);
  return text;
}

// One product twice, kept apart by softmax.
std::string network(std::string_view rows) {
  return cat("graph \"\" {\n", rows == "N" ? "  symbol N [1, 512]\n" : "", "  input %x: f16[", rows,
             ", 128]\n  const %a: f16[128, 128] = {", numbers(128 * 128), R"(}
  %1: f16[] = MatMul(%x, %a)
  %2: f16[] = Softmax(%1) {axis = -1}
  %3: f16[] = MatMul(%2, %a)
  output %3 })");
}

const std::vector<std::vector<int64_t>> kDims = {{256, 128}};

// What a cache keeps between builds.
class Times : public tuner::TimeStore {
 public:
  std::optional<double> find(const std::string& key) const override {
    const auto found = times.find(key);
    return found == times.end() ? std::nullopt : std::optional<double>(found->second);
  }
  void put(const std::string& key, double us, double) override { times[key] = us; }
  std::map<std::string, double> times;
};

struct Build {
  plan::Plan plan;
  compiler::NearTies ties;

  std::string kernels() const {
    std::vector<std::string> names;
    for (const plan::Step& step : plan.program.steps)
      names.push_back(cat(step.kernel, " ", step.tactic.to_string(), " ", step.artifact.size()));
    return join(names, "; ");
  }
  void choose(tuner::TimeStore* times, double seconds = 60, std::function<bool()> out_of_time = {}) {
    check::RaceOptions options;
    options.host = world().cpu;
    options.input_dims = kDims;
    options.times = times;
    options.seconds = seconds;
    options.out_of_time = std::move(out_of_time);
    const Status status = check::choose_tactics(plan, ties, world().cuda, world().kernels, options);
    EXPECT_TRUE(status.ok()) << status.to_string();
  }
};

Build compiled(tuner::TimeStore* times, bool deterministic = false, const std::string& decisions = "",
               std::string_view rows = "256") {
  Build out;
  auto graph = std::move(ir::parse(network(rows))).value();
  EXPECT_TRUE(opdef::infer_graph(world().ops, *graph).ok());
  compiler::CompileOptions options;
  options.deterministic = deterministic;
  options.decisions = decisions;
  options.near_ties = &out.ties;
  auto plan = compiler::compile(std::move(graph), options,
                                {world().ops, world().kernels, *world().cuda, times, world().cpu.get()});
  EXPECT_TRUE(plan.ok()) << plan.status().to_string();
  if (plan.ok()) out.plan = std::move(*plan);
  return out;
}

int tied(const Build& build) {
  int count = 0;
  for (const compiler::StepTies& step : build.ties) count += !step.ties.empty();
  return count;
}

// Where whole runs are timed, fewer thread blocks are faster.
struct SlowBlocks : Fake {
  SlowBlocks() : Fake("cta_ns=100") {}
};

TEST(CudaTactics, WhatIsFasterInWholeRunsIsTakenForAllLikeSteps) {
  const Setting stub("FAKE_NVRTC", "stub");
  Times times;
  Build build = compiled(&times);
  ASSERT_EQ(tied(build), 3);
  const std::string before = build.kernels();
  const kernel::Tactic old = build.plan.program.steps[0].tactic;
  {
    const SlowBlocks slow;
    build.choose(&times);
  }
  const plan::Program& program = build.plan.program;
  EXPECT_FALSE(program.steps[0].tactic == old) << before;
  EXPECT_EQ(program.steps[0].tactic, program.steps[2].tactic);
  EXPECT_EQ(program.steps[0].artifact, program.steps[2].artifact);
  EXPECT_EQ(program.steps[0].expected_us, build.ties[0].ties[0].us);
  EXPECT_TRUE(plan::verify(program).ok());
  EXPECT_NE(build.plan.report.find("\"had\": \"cuda.contraction_wgmma [" + old.to_string()), std::string::npos)
      << build.plan.report;
  // Decisions repeat it, without looking at times.
  const Build again = compiled(nullptr, true, build.plan.decisions);
  EXPECT_EQ(again.kernels(), build.kernels());
  ASSERT_EQ(again.plan.program.steps.size(), program.steps.size());
  for (size_t s = 0; s < program.steps.size(); ++s) {
    const plan::Step &a = again.plan.program.steps[s], &b = program.steps[s];
    EXPECT_EQ(a.kernel_version, b.kernel_version) << s;
    EXPECT_EQ(a.artifact, b.artifact) << s;
    EXPECT_EQ(a.operands, b.operands) << s;
    EXPECT_EQ(a.results, b.results) << s;
    EXPECT_EQ(kernel::fingerprint(a.problem), kernel::fingerprint(b.problem)) << s;
  }
}

TEST(CudaTactics, WhatIsNotFasterInWholeRunsIsNotTaken) {
  const Setting stub("FAKE_NVRTC", "stub");
  Build build = compiled(nullptr);
  const std::string before = build.kernels(), decisions = build.plan.decisions;
  build.choose(nullptr);  // each takes 10 us there, too
  EXPECT_EQ(build.kernels(), before);
  EXPECT_EQ(build.plan.decisions, decisions);
  EXPECT_NE(build.plan.report.find("\"exchanged\": 0"), std::string::npos) << build.plan.report;
}

TEST(CudaTactics, AnotherBuildTimesNothingAndChoosesTheSame) {
  const Setting stub("FAKE_NVRTC", "stub");
  Times times;
  Build cold = compiled(&times), warm = cold;
  const std::string before = cold.kernels();
  {
    const SlowBlocks slow;
    cold.choose(&times);
  }
  ASSERT_NE(cold.kernels(), before);
  const Fake no_launch("cuGraphLaunch=719@1");
  warm.choose(&times);
  EXPECT_EQ(warm.kernels(), cold.kernels());
  EXPECT_EQ(warm.plan.decisions, cold.plan.decisions);
  EXPECT_EQ(warm.plan.report, cold.plan.report);
}

TEST(CudaTactics, WhatABuildHadNoTimeForLaterOnesDoNotBegin) {
  const Setting stub("FAKE_NVRTC", "stub");
  Times times;
  const Build build = compiled(&times);
  const SlowBlocks slow;
  // Its own limit: the next build would choose otherwise.
  Build limited = build, next = build;
  limited.choose(&times, -1);
  next.choose(&times);
  EXPECT_EQ(limited.kernels(), build.kernels());
  EXPECT_EQ(next.kernels(), build.kernels());
}

TEST(CudaTactics, ABuildCutShortLeavesTheRestToTheNext) {
  const Setting stub("FAKE_NVRTC", "stub");
  Times times;
  const Build build = compiled(&times);
  const SlowBlocks slow;
  Build cut = build, next = build;
  cut.choose(&times, 60, [] { return true; });
  EXPECT_EQ(cut.kernels(), build.kernels());
  next.choose(&times);
  EXPECT_NE(next.kernels(), build.kernels());
}

TEST(CudaTactics, WhatCannotBeTimedStays) {
  const Setting stub("FAKE_NVRTC", "stub");
  const Build build = compiled(nullptr);
  for (const char* wrong : {"cta_ns=100;cuStreamBeginCapture=2@1", "cta_ns=100;cuModuleLoadData=2@1"}) {
    Build failed = build;
    const Fake fake(wrong);
    failed.choose(nullptr);
    EXPECT_EQ(failed.kernels(), build.kernels()) << wrong;
  }
}

TEST(CudaTactics, NothingTiesUnmeasuredOrWhereSizesAreOpen) {
  const Setting stub("FAKE_NVRTC", "stub");
  EXPECT_EQ(tied(compiled(nullptr, /*deterministic=*/true)), 0);
  EXPECT_EQ(tied(compiled(nullptr, false, "", "N")), 0);
}

}  // namespace
}  // namespace planish::cuda_tests
