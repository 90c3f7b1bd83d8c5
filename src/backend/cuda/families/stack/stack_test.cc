// What the kernel for dense layers takes, and why not; its texts run on the emulated GPU
// (testing/host/contraction_host_test.cc).
#include <gtest/gtest.h>

#include "backend/cuda/emit/emitted_kernel_def.h"
#include "backend/cuda/families/register_families.h"
#include "backend/cuda/families/stack/stack.h"
#include "backend/cuda/testing/compile_testing.h"
#include "backend/cuda/testing/pair_testing.h"

namespace planish::cuda {
namespace {

constexpr ir::DataType kF16 = ir::DataType::kF16;

const kernel::KernelDef& stack_kernel() {
  static const auto& all = *[] {
    auto* made = new kernel::KernelRegistry;
    register_stack(*made);
    return made;
  }();
  return *all.all().front();
}
std::string refusal(const kernel::Problem& problem, const std::string& isa = "sm_90a") {
  const Status status = stack_kernel().supports(problem, testing_device(isa));
  return status.ok() ? "" : status.message();
}

TEST(Stack, SaysWhatItDoesNotTake) {
  const StackCase small{2, {64, 48, 32}};
  EXPECT_EQ(refusal(stack_problem(small, kF16)), "");
  EXPECT_EQ(refusal(stack_problem(small, kF16), "sm_100a"), "");
  EXPECT_NE(refusal(stack_problem(small, kF16), "sm_80").find("expected sm_90"), std::string::npos);
  EXPECT_NE(refusal(stack_problem(small, kF16), "sm_120").find("bytes of shared memory, expected 232448"), std::string::npos);
  EXPECT_NE(refusal(stack_problem(small, ir::DataType::kF32)).find("expected f16 or bf16"), std::string::npos);
  EXPECT_NE(refusal(stack_problem({65, {64, 48, 32}}, kF16)).find("65 rows, expected at most 64"), std::string::npos);
  EXPECT_NE(refusal(stack_problem({64, {4096, 4096, 64}}, kF16)).find("more than shared memory"), std::string::npos);
  kernel::Problem computed = stack_problem(small, kF16);
  computed.operands[1].constant = false;
  EXPECT_NE(refusal(computed).find("computed weights"), std::string::npos);
  kernel::Problem two = stack_problem(small, kF16);  // the first layer's result is wanted as well
  two.results.insert(two.results.begin(), int(two.operands.size()) + 1);
  EXPECT_NE(refusal(two).find("more than one result"), std::string::npos);
  EXPECT_EQ(stack_kernel().supports(stack_problem({2, {64, 48}}, kF16), testing_device()).code(), Code::kUnimplemented);
}

// A layer's partial sums lie where those of the layer before the last one were: between the two all warps of a CTA
// meet, also of one that has no tile of the layer between.
TEST(Stack, WarpsMeetInEveryLayerBetweenTwoOthers) {
  const kernel::Problem problem = stack_problem({2, {96, 24, 128, 24, 96}}, kF16);  // 2, 8, 2 and 6 tiles
  const auto meetings = [&](int cluster) {
    auto step = dynamic_cast<const EmittedKernelDef&>(stack_kernel()).emit(problem, stack::write({cluster}), testing_device());
    EXPECT_TRUE(step.ok()) << step.status().to_string();
    const std::string& text = step->kernels[0].source;
    int count = 0;
    for (size_t at = text.find("if (tiles <= 0) warps_meet();"); at != std::string::npos; at = text.find("if (tiles <= 0)", at + 1)) ++count;
    return count;
  };
  EXPECT_EQ(meetings(2), 0);  // every CTA has a tile of every layer
  EXPECT_EQ(meetings(8), 1);  // six have none of the third
  EXPECT_EQ(meetings(16), 2);  // eight have none of the second either
}

TEST(Stack, StaysWithinSharedMemory) {
  for (const StackCase& c : {StackCase{1, {256, 1024, 1024, 512, 256, 1}}, StackCase{32, {512, 512, 512}}})
    for (const int cluster : {1, 2, 4, 8, 16}) {
      auto found = stack::stack_of(stack_problem(c, kF16));
      ASSERT_TRUE(found.ok()) << found.status().to_string();
      auto plan = stack::plan_of(*found, {cluster});
      ASSERT_TRUE(plan.ok()) << plan.status().to_string();
      EXPECT_LE(plan->shared_bytes, stack::kMaxSharedBytes);
      EXPECT_GE(plan->stages, 2);
    }
}

}  // namespace
}  // namespace planish::cuda
