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

const EmittedKernelDef& family(std::string_view name = "cuda.depthwise") {
  static kernel::KernelRegistry& registry = *[] {
    auto* made = new kernel::KernelRegistry();
    register_depthwise(*made);
    register_pool(*made);
    return made;
  }();
  return static_cast<const EmittedKernelDef&>(*registry.find(name));
}

kernel::Problem pool_problem(const std::string& op, const ConvCase& c, DataType type) {
  kernel::Problem problem = conv_problem(c, type);
  problem.operands.resize(1);
  problem.stages.resize(1);
  problem.stages[0].op = op;
  problem.stages[0].inputs = {0};
  problem.stages[0].attrs.erase("group");
  problem.results = {1};
  return problem;
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

TEST(CudaPool, CompilesWithoutSpills) {
  PLANISH_NEEDS_NVRTC();
  const ConvCase same{128, 768, 17, 17, 768, 3, 3, 1, 1, 1, 1, 768}, halved{128, 64, 147, 147, 64, 3, 3, 2, 0, 0, 1, 64};
  for (const auto& [op, c] : {std::pair("AveragePool", same), std::pair("MaxPool", halved)}) {
    const kernel::Problem problem = laid_out(family("cuda.pool"), pool_problem(op, c, DataType::kF16), testing_device());
    const std::vector<kernel::Tactic> tactics = family("cuda.pool").tactics(problem, testing_device());
    ASSERT_FALSE(tactics.empty());
    auto step = family("cuda.pool").emit(problem, tactics[0], testing_device());
    ASSERT_TRUE(step.ok()) << step.status().to_string();
    expect_compiles(*step);
  }
}

TEST(CudaPool, RefusesWithAReason) {
  ConvCase c{1, 16, 9, 9, 16, 3, 3, 1, 2, 2, 2, 16};
  EXPECT_EQ(family("cuda.pool").supports(pool_problem("MaxPool", c, DataType::kF16), testing_device()).message(), "");
  EXPECT_NE(family("cuda.pool").supports(pool_problem("AveragePool", c, DataType::kF16), testing_device()).message().find("dilated"), std::string::npos);
  c.r = c.s = 9;
  c.dilation = 1;
  EXPECT_NE(family("cuda.pool").supports(pool_problem("MaxPool", c, DataType::kF16), testing_device()).message().find("81 elements"), std::string::npos);
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
