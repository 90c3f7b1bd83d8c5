// Pairs of 1x1 convolutions without a GPU: how a problem is read and what is refused.
#include <gtest/gtest.h>

#include <cstring>

#include "backend/cuda/emit/prelude.h"
#include "backend/cuda/families/bottleneck/pair.h"
#include "backend/cuda/families/bottleneck/pair_def.h"
#include "backend/cuda/testing/compile_testing.h"
#include "backend/cuda/testing/contraction_testing.h"
#include "backend/cuda/testing/pair_testing.h"
#include "base/hash.h"
#include "kernel/supported.h"

namespace planish::cuda {
namespace {

using ir::DataType;

const EmittedKernelDef& family() {
  static const EmittedKernelDef& found = registered(register_pair, "cuda.pair_wgmma");
  return found;
}

TEST(CudaPair, ReadsBothProductsAndRefusesWithAReason) {
  auto p = pair::pair_of(pair_problem({2, 64, 256, 96, 5, 7}, DataType::kF16));
  ASSERT_TRUE(p.ok()) << p.status().to_string();
  EXPECT_EQ(p->rows, 70);
  EXPECT_EQ(p->mid_channels, 256);
  EXPECT_TRUE(p->stores_mid);
  EXPECT_EQ(p->first.results[0].index, 0);
  EXPECT_EQ(p->second.results[0].index, 1);
  const auto why = [](PairCase c, DataType type = DataType::kF16, const std::string& isa = "sm_90a") {
    return family().supports(pair_problem(c, type), testing_device(isa)).message();
  };
  EXPECT_EQ(why({2, 64, 256, 64, 5, 7}), "");
  EXPECT_NE(why({2, 64, 256, 64, 5, 7}, DataType::kF32).find("f32"), std::string::npos);
  EXPECT_NE(why({2, 64, 256, 64, 5, 7}, DataType::kF16, "sm_80").find("sm_90a"), std::string::npos);
  EXPECT_NE(why({2, 64, 200, 64, 5, 7}).find("multiples"), std::string::npos);
  EXPECT_NE(why({2, 512, 2048, 512, 5, 7}).find("multiples"), std::string::npos);
  EXPECT_FALSE(family().supports(conv_problem({1, 64, 8, 8, 64, 1, 1}, DataType::kF16), testing_device()).ok());
}

// The wide tensor may leave, in front of the result and nowhere else.
TEST(CudaPair, HandsOutTheWideTensor) {
  kernel::Problem problem = pair_problem({2, 64, 256, 64, 5, 7}, DataType::kF16);
  EXPECT_TRUE(kernel::supported(family(), problem, testing_device()).ok());
  std::swap(problem.results[0], problem.results[1]);
  EXPECT_NE(kernel::supported(family(), problem, testing_device()).message().find("in order"), std::string::npos);
  problem = pair_problem({2, 64, 256, 64, 5, 7, true, false}, DataType::kF16);
  EXPECT_TRUE(kernel::supported(family(), problem, testing_device()).ok());
}

// By hash: a change of what is emitted must be meant.
TEST(CudaPair, EmittedTextIsGolden) {
  const kernel::Problem problem = laid_out(family(), pair_problem({8, 64, 256, 64, 56, 56}, DataType::kF16), testing_device());
  const std::pair<pair::Tactic, const char*> texts[] = {{{.groups = 3}, "5129e0bb37c1d703e869e469ab07bd53"},
                                                        {{.groups = 3, .ring = 2}, "c54fe03ad1e40284bfe18b78536bc5ff"}};
  for (const auto& [tactic, hash] : texts) {
    auto step = family().emit(problem, pair::write(tactic), testing_device());
    ASSERT_TRUE(step.ok()) << step.status().to_string();
    const std::string& source = step->kernels[0].source;
    EXPECT_EQ(to_string(hash128(std::string_view(source).substr(std::strlen(kPrelude)))), hash) << tactic.ring;
  }
}

// Where there is a residual, and one that lies like the wide tensor.
TEST(CudaPair, BringsAResidualThroughARing) {
  const kernel::Problem problem = laid_out(family(), pair_problem({8, 64, 256, 64, 56, 56}, DataType::kF16), testing_device());
  int rings = 0;
  for (const kernel::Tactic& tactic : family().tactics(problem, testing_device())) {
    EXPECT_EQ(pair::write(pair::read(tactic)), tactic);
    auto step = family().emit(problem, tactic, testing_device());
    ASSERT_TRUE(step.ok()) << step.status().to_string();
    EXPECT_EQ(step->kernels[0].maps.size(), tactic.get("ring") ? 2u : 1u);
    EXPECT_LE(step->kernels[0].dynamic_shared_bytes, 232448);
    rings += tactic.get("ring") != 0;
  }
  EXPECT_GE(rings, 3);
  auto alone = pair::pair_of(pair_problem({8, 64, 256, 64, 56, 56, false}, DataType::kF16));
  ASSERT_TRUE(alone.ok());
  EXPECT_FALSE(pair::residual_of(*alone));
  EXPECT_NE(pair::plan_of(*alone, {.groups = 2, .ring = 2}).status().message().find("without one"), std::string::npos);
  auto apart = pair::pair_of(problem);
  ASSERT_TRUE(apart.ok());
  const std::optional<size_t> residual = pair::residual_of(*apart);
  ASSERT_TRUE(residual);
  apart->first.inputs[*residual].row_steps.back() += 8;  // pixels that lie further apart
  EXPECT_FALSE(pair::residual_of(*apart));
}

TEST(CudaPair, AllFiltersStayInSharedMemory) {
  auto p = pair::pair_of(pair_problem({8, 64, 256, 128, 56, 56}, DataType::kF16));
  ASSERT_TRUE(p.ok());
  auto plan = pair::plan_of(*p, {.groups = 2});
  ASSERT_TRUE(plan.ok()) << plan.status().to_string();
  EXPECT_LE(plan->shared_bytes, 232448);
  p = pair::pair_of(pair_problem({8, 128, 512, 128, 28, 28}, DataType::kF16));
  ASSERT_TRUE(p.ok());
  EXPECT_NE(pair::plan_of(*p, {.groups = 2}).status().message().find("more than shared memory"), std::string::npos);
}

}  // namespace
}  // namespace planish::cuda
