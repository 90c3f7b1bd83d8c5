#include <gtest/gtest.h>

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
