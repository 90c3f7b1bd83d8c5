// Every tactic that every family offers for a fixed set of problems compiles for its architecture, without
// spills and without a stack, with the tensor cores' instructions that the family promises in its code.
// A tactic that a sample names as one that may spill is refused where a plan is made, or does not.
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>

#include "backend/cuda/emit/cubin.h"
#include "backend/cuda/emit/nvrtc.h"
#include "backend/cuda/families/register_families.h"
#include "backend/cuda/testing/compile_testing.h"
#include "backend/cuda/testing/contraction_testing.h"
#include "backend/cuda/testing/sample_problems.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

const kernel::KernelRegistry& families() {
  static const kernel::KernelRegistry& all = *[] {
    auto* made = new kernel::KernelRegistry;
    register_families(*made);
    return made;
  }();
  return all;
}

kernel::DeviceInfo device_of(const SampleProblem& sample) {
  kernel::DeviceInfo device = testing_device(sample.isa);
  if (sample.tf32) device.properties["tf32"] = "1";
  return device;
}

void expect_instructions(const EmittedKernel& kernel, const SampleProblem& sample) {
  const auto compiled = compile_source(kernel.source, sample.isa);  // known by now
  const auto counts = compiled.ok() ? count_instructions(*compiled->cubin) : compiled.status();
  ASSERT_TRUE(counts.ok()) << counts.status().to_string();
  EXPECT_EQ(counts->wgmma > 0, sample.expected == TensorCores::kWgmma) << kernel.entry;
  EXPECT_EQ(counts->mma > 0, sample.expected == TensorCores::kMma) << kernel.entry;
}

class Tactics : public ::testing::TestWithParam<SampleProblem> {};

TEST_P(Tactics, CompileWithoutSpills) {
  PLANISH_NEEDS_NVRTC();
  const SampleProblem& sample = GetParam();
  const kernel::DeviceInfo device = device_of(sample);
  const auto* family = dynamic_cast<const EmittedKernelDef*>(families().find(sample.family));
  ASSERT_NE(family, nullptr);
  const Status supported = family->supports(sample.problem, device);
  ASSERT_TRUE(supported.ok()) << supported.to_string();
  const kernel::Problem problem = laid_out(*family, sample.problem, device, sample.layout);
  const std::vector<kernel::Tactic> tactics = family->tactics(problem, device);
  ASSERT_FALSE(tactics.empty());
  int refused = 0;
  for (const kernel::Tactic& tactic : tactics) {
    SCOPED_TRACE(tactic.to_string());
    const auto step = family->emit(problem, tactic, device);
    ASSERT_TRUE(step.ok()) << step.status().to_string();
    if (std::count(sample.may_spill.begin(), sample.may_spill.end(), tactic.to_string())) {
      const Status compiled = family->compile(problem, tactic, device).status();
      EXPECT_TRUE(compiled.ok() || compiled.message().find("spills registers") != std::string::npos) << compiled.to_string();
      refused += !compiled.ok();
      continue;
    }
    const std::vector<PtxasReport> reports = expect_compiles(*step, sample.isa);
    for (const EmittedKernel& kernel : step->kernels) expect_instructions(kernel, sample);
    for (const PtxasReport& report : reports)
      std::cout << "  " << tactic.to_string() << ": " << report.registers << " registers, predicted "
                << family->predict_us(problem, tactic, device) << " us\n";
  }
  std::cout << tactics.size() << " tactics, " << refused << " refused\n";
}

std::string title_of(const ::testing::TestParamInfo<SampleProblem>& info) {
  return cat(info.param.family.substr(std::string("cuda.").size()), "_", info.param.title, "_", info.param.isa);
}
INSTANTIATE_TEST_SUITE_P(OfASample, Tactics, ::testing::ValuesIn(sample_problems()), title_of);

// A family without a sample would be compiled by nobody; one for sm_80 where it takes its own problem there.
TEST(Samples, NameEveryFamily) {
  const std::vector<SampleProblem> samples = sample_problems();
  for (const auto& def : families().all()) {
    if (!dynamic_cast<const EmittedKernelDef*>(def.get())) continue;
    bool here = false, older = false, taken = false;
    for (const SampleProblem& sample : samples) {
      if (sample.family != def->name()) continue;
      here |= sample.isa == "sm_90a";
      older |= sample.isa == "sm_80";
      taken |= def->supports(sample.problem, testing_device("sm_80")).ok();
    }
    EXPECT_TRUE(here) << def->name();
    EXPECT_EQ(older, taken) << def->name() << " on sm_80";
  }
}

}  // namespace
}  // namespace planish::cuda
