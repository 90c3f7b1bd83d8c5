#include <gtest/gtest.h>

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

const Behind kRelu{true, false, Activation::kRelu};
const ConvCase kCases[] = {
    {128, 384, 14, 14, 384, 3, 3, 1, 1, 1, 1, 384, kRelu}, {128, 96, 112, 112, 96, 3, 3, 2, 1, 1, 1, 96, kRelu},
    {128, 960, 7, 7, 960, 3, 3, 1, 1, 1, 1, 960, kRelu},   {1, 576, 14, 14, 576, 3, 3, 1, 1, 1, 1, 576, kRelu},
    {8, 240, 28, 28, 240, 5, 5, 2, 2, 2, 1, 240, kRelu},
};

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
