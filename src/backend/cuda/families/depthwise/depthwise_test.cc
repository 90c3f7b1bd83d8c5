#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>

#include "backend/cuda/emit/nvrtc.h"
#include "backend/cuda/families/register_families.h"
#include "backend/cuda/testing/compile_testing.h"
#include "backend/cuda/testing/contraction_testing.h"

namespace planish::cuda {
namespace {

using ir::DataType;

const EmittedKernelDef& family() {
  static kernel::KernelRegistry& registry = *[] {
    auto* made = new kernel::KernelRegistry();
    register_depthwise(*made);
    return made;
  }();
  return static_cast<const EmittedKernelDef&>(*registry.find("cuda.depthwise"));
}

const Behind kRelu{true, false, Activation::kRelu};
const ConvCase kCases[] = {
    {128, 384, 14, 14, 384, 3, 3, 1, 1, 1, 1, 384, kRelu}, {128, 96, 112, 112, 96, 3, 3, 2, 1, 1, 1, 96, kRelu},
    {128, 960, 7, 7, 960, 3, 3, 1, 1, 1, 1, 960, kRelu},   {1, 576, 14, 14, 576, 3, 3, 1, 1, 1, 1, 576, kRelu},
    {8, 240, 28, 28, 240, 5, 5, 2, 2, 2, 1, 240, kRelu},
};

TEST(CudaDepthwise, CompilesWithoutSpills) {
  PLANISH_NEEDS_NVRTC();
  const bool every = std::getenv("PLANISH_EVERY_WAY") != nullptr;
  for (const ConvCase& c : kCases) {
    const kernel::Problem problem = laid_out(family(), conv_problem(c, DataType::kF16), testing_device());
    std::vector<kernel::Tactic> tactics = family().tactics(problem, testing_device());
    ASSERT_FALSE(tactics.empty());
    if (!every) tactics.resize(1);
    for (const kernel::Tactic& tactic : tactics) {
      auto step = family().emit(problem, tactic, testing_device());
      ASSERT_TRUE(step.ok()) << step.status().to_string();
      const auto reports = expect_compiles(*step);
      if (every && !reports.empty())
        std::cout << c.c << "x" << c.h << " " << tactic.to_string() << ": " << reports[0].registers << " registers, predicted "
                  << family().predict_us(problem, tactic, testing_device()) << " us\n";
    }
  }
}

// A thread has many outputs where there are many, and few where threads are.
TEST(CudaDepthwise, SharesFollowTheBatch) {
  const auto outputs = [](const ConvCase& c) {
    const kernel::Problem problem = laid_out(family(), conv_problem(c, DataType::kF16), testing_device());
    const kernel::Tactic best = family().tactics(problem, testing_device())[0];
    return best.get("rows") * best.get("strip") * best.get("v");
  };
  EXPECT_LT(outputs(kCases[3]), outputs(kCases[0]));
}

}  // namespace
}  // namespace planish::cuda
