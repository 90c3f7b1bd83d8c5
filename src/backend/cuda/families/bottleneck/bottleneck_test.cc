#include <gtest/gtest.h>

#include "backend/cuda/families/bottleneck/block.h"
#include "backend/cuda/families/register_families.h"
#include "backend/cuda/testing/compile_testing.h"
#include "backend/cuda/testing/contraction_testing.h"

namespace planish::cuda {
namespace {

using ir::DataType;

const EmittedKernelDef& family() {
  static kernel::KernelRegistry& registry = *[] {
    auto* made = new kernel::KernelRegistry();
    register_bottleneck(*made);
    return made;
  }();
  return static_cast<const EmittedKernelDef&>(*registry.find("cuda.bottleneck_mma"));
}

// MobileNet V2's blocks at batch 128.
const BottleneckCase kBlocks[] = {
    {128, 32, 112, 112, 32, 16, 1, false}, {128, 16, 112, 112, 96, 24, 2},
    {128, 24, 56, 56, 144, 24, 1, true, true}, {128, 24, 56, 56, 144, 32, 2},
    {128, 32, 28, 28, 192, 32, 1, true, true}, {128, 32, 28, 28, 192, 64, 2},
    {128, 64, 14, 14, 384, 64, 1, true, true}, {128, 64, 14, 14, 384, 96, 1},
};

TEST(CudaBottleneck, RefusesWithAReason) {
  const auto why = [](const BottleneckCase& c, DataType type, const auto& change) {
    kernel::Problem problem = bottleneck_problem(c, type);
    change(problem);
    return family().supports(problem, testing_device()).message();
  };
  const auto nothing = [](kernel::Problem&) {};
  EXPECT_EQ(why(kBlocks[2], DataType::kF16, nothing), "");
  EXPECT_NE(family().supports(bottleneck_problem(kBlocks[2], DataType::kF16), testing_device("sm_120a"))
                .message().find("101376 bytes of shared memory"), std::string::npos);
  EXPECT_NE(why(kBlocks[2], DataType::kF32, nothing).find("expected f16 or bf16"), std::string::npos);
  BottleneckCase odd = kBlocks[2];
  odd.in = 20;
  odd.residual = false;
  EXPECT_NE(why(odd, DataType::kF16, nothing).find("20 input channels"), std::string::npos);
  odd.in = 24;
  odd.stride = 3;
  EXPECT_NE(why(odd, DataType::kF16, nothing).find("strides 3 x 3"), std::string::npos);
  EXPECT_NE(why(kBlocks[2], DataType::kF16, [](kernel::Problem& p) { p.operands[3].constant = false; }).find("computed"), std::string::npos);
  EXPECT_NE(why(kBlocks[2], DataType::kF16, [](kernel::Problem& p) {
              kernel::ExprBuilder b;
              p.stages[1].expr = b.finish({b.unary(kernel::ScalarOp::kTanh, b.arg(0, DataType::kF16))}, 1);
            }).find("more than bias and clamp"), std::string::npos);
  EXPECT_EQ(family().supports(conv_problem({1, 64, 8, 8, 64, 3, 3}, DataType::kF16), testing_device()).code(), Code::kUnimplemented);
}

// Tiles cover the result, and columns of the projection's product name every channel once.
TEST(CudaBottleneck, PlansCoverTheResult) {
  for (const BottleneckCase& c : kBlocks) {
    auto chain = bottleneck::chain_of(bottleneck_problem(c, DataType::kF16));
    ASSERT_TRUE(chain.ok()) << chain.status().to_string();
    const auto blocks = bottleneck::candidates(*chain, 132);
    ASSERT_FALSE(blocks.empty());
    for (const bottleneck::Block& block : blocks) {
      EXPECT_EQ(bottleneck::read(bottleneck::write(block)), block);
      auto plan = bottleneck::plan_of(*chain, block);
      ASSERT_TRUE(plan.ok());
      EXPECT_GE(plan->tiles_x * block.tile_width(), chain->out_width);
      EXPECT_GE(plan->tiles_y * block.tile_height(), chain->out_height);
      EXPECT_GE(plan->middle, chain->mid_channels);
      std::vector<int> seen(size_t(plan->out_blocks * 8), 0);
      for (size_t i = 0; i < seen.size(); ++i) ++seen[size_t(bottleneck::channel_of_column(*plan, int(i)))];
      EXPECT_EQ(seen, std::vector<int>(seen.size(), 1));
    }
  }
}

}  // namespace
}  // namespace planish::cuda
