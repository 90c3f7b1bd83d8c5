#include <gtest/gtest.h>

#include <algorithm>

#include "backend/cuda/families/attention_wgmma/kernel_text.h"
#include "backend/cuda/families/register_families.h"
#include "backend/cuda/testing/compile_testing.h"
#include "backend/cuda/testing/contraction_testing.h"

namespace planish::cuda {
namespace {

using ir::DataType;

const EmittedKernelDef& family() {
  static const EmittedKernelDef& found = registered(register_attention_wgmma, "cuda.attention_wgmma");
  return found;
}

TEST(CudaAttentionWgmma, RefusesWithAReason) {
  const auto why = [](const AttentionCase& c, DataType type) {
    return family().supports(attention_problem(c, type), testing_device()).message();
  };
  EXPECT_EQ(why({1, 12, 128, 128, 64}, DataType::kF16), "");
  EXPECT_NE(why({1, 12, 128, 128, 80}, DataType::kF16).find("heads of 80"), std::string::npos);
  EXPECT_NE(why({1, 12, 128, 128, 64}, DataType::kF32).find("f16 or bf16"), std::string::npos);
  EXPECT_NE(why({1, 12, 128, 100, 64, 0, false, true}, DataType::kF16).find("causal"), std::string::npos);
  EXPECT_NE(why({1, 12, 128, 128, 64, 0, false, false, {1, 1, 1, 64}}, DataType::kF16).find("mask"), std::string::npos);
  EXPECT_EQ(why({1, 12, 128, 128, 64, 0, true, false, {}, DataType::kF16, true}, DataType::kF16), "");
}

TEST(CudaAttentionWgmma, BringsMasksOfWholeVectorsWithTheKeys) {
  const auto brings = [](std::vector<int64_t> mask, DataType mask_type, int64_t keys) {
    const auto problem = attention_problem({2, 3, 70, keys, 64, 0, false, false, std::move(mask), mask_type}, DataType::kF16);
    const auto tactics = family().tactics(problem, testing_device());
    return std::any_of(tactics.begin(), tactics.end(), [](const kernel::Tactic& t) { return t.get("mask") != 0; });
  };
  EXPECT_TRUE(brings({2, 1, 1, 200}, DataType::kF16, 200));
  EXPECT_TRUE(brings({3, 1, 200}, DataType::kBF16, 200));
  EXPECT_FALSE(brings({2, 1, 1, 100}, DataType::kF16, 100));   // rows of 200 bytes
  EXPECT_FALSE(brings({2, 1, 70, 200}, DataType::kF16, 200));  // by query
  EXPECT_FALSE(brings({2, 1, 1, 200}, DataType::kF32, 200));
  EXPECT_FALSE(brings({}, DataType::kF16, 200));
  const auto problem = attention_problem({2, 3, 70, 100, 64, 0, false, false, {2, 1, 1, 100}}, DataType::kF16);
  const auto step = family().emit(problem, *kernel::Tactic::parse("g=1,mask=1"), testing_device());
  EXPECT_NE(step.status().message().find("mask"), std::string::npos) << step.status().to_string();
}

// setmaxnreg waits for registers that the block does not have.
TEST(CudaAttentionWgmma, HandsRoundNoMoreRegistersThanItWasLaunchedWith) {
  for (const auto& [groups, teams] : {std::pair(1, 2), std::pair(2, 2), std::pair(1, 3)}) {
    const attention::Schedule s{.groups = groups, .ring = 2, .teams = teams};
    EXPECT_LE(128 * groups * teams * s.consumer_registers() + 24 * 128, s.threads() * s.launch_registers());
    EXPECT_LE(s.consumer_registers(), 240);
    EXPECT_GE(s.consumer_registers(), 104);
  }
}

}  // namespace
}  // namespace planish::cuda
