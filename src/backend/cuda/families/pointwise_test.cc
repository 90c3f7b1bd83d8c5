#include <gtest/gtest.h>

#include "backend/cuda/emit/nvrtc.h"
#include "backend/cuda/families/register_families.h"
#include "backend/cuda/testing/compile_testing.h"

namespace planish::cuda {
namespace {

using ir::DataType;
using kernel::ExprBuilder;

const EmittedKernelDef& pointwise() {
  static const EmittedKernelDef& found = registered(register_pointwise, "cuda.pointwise");
  return found;
}

// max(x * scale + y, 0) in one type; scale is one element.
kernel::Problem scaled_sum(DataType dtype, std::vector<int64_t> dims) {
  ExprBuilder b;
  const int sum = b.add(b.mul(b.arg(0, dtype), b.arg(1, dtype)), b.arg(2, dtype));
  const ir::TensorType whole{dtype, ir::to_shape(dims)}, one{dtype, {}};
  return pointwise_problem({whole, one, whole}, b.finish({b.max(sum, b.imm(0, dtype))}, 3), {whole});
}

TEST(CudaPointwise, TakesEqualShapesAndSingleElementsOnly) {
  const kernel::DeviceInfo device = testing_device();
  EXPECT_TRUE(pointwise().supports(scaled_sum(DataType::kF16, {3, 5, 7}), device).ok());
  kernel::Problem rows = scaled_sum(DataType::kF16, {3, 5, 7});
  rows.operands[2].type.shape = ir::to_shape(std::vector<int64_t>{7});
  const Status status = pointwise().supports(rows, device);
  EXPECT_EQ(status.code(), Code::kUnsupported);
  EXPECT_NE(status.message().find("broadcasts"), std::string::npos) << status.message();
}

TEST(CudaPointwise, GridCoversEveryElement) {
  const kernel::DeviceInfo device = testing_device();
  for (const int64_t count : {1, 7, 4096, 4097, 1 << 20}) {
    const kernel::Problem problem = scaled_sum(DataType::kF16, {count});
    for (const kernel::Tactic& tactic : pointwise().tactics(problem, device)) {
      auto step = pointwise().emit(problem, tactic, device);
      ASSERT_TRUE(step.ok());
      const EmittedKernel& kernel = step->kernels[0];
      const int64_t per_block = 256 * 8 * tactic.get("vectors");
      EXPECT_GE(int64_t(kernel.grid.x) * per_block, count);
      EXPECT_LT(int64_t(kernel.grid.x - 1) * per_block, count);
      EXPECT_EQ(kernel.args.size(), 4u);
    }
  }
}

TEST(CudaPointwise, ChannelsLastIsOfferedForWholeOperands) {
  const auto layouts =
      pointwise().layouts(scaled_sum(DataType::kF16, {2, 8, 5, 5}), testing_device());
  ASSERT_EQ(layouts.size(), 2u);
  EXPECT_EQ(layouts[1].results[0], ir::Layout::channels_last(4));
  EXPECT_EQ(layouts[1].operands[1], ir::Layout{});
}

TEST(CudaPointwise, EveryTacticCompilesWithoutSpills) {
  PLANISH_NEEDS_NVRTC();
  for (const DataType dtype : {DataType::kF32, DataType::kF16, DataType::kBF16, DataType::kF64,
                               DataType::kI8, DataType::kI32, DataType::kI64}) {
    const kernel::Problem problem = scaled_sum(dtype, {3, 5, 7});
    for (const kernel::Tactic& tactic : pointwise().tactics(problem, testing_device())) {
      auto step = pointwise().emit(problem, tactic, testing_device());
      ASSERT_TRUE(step.ok()) << step.status().to_string();
      expect_compiles(*step);
    }
  }
  auto step = pointwise().emit(scaled_sum(DataType::kF16, {3, 5, 7}), {}, testing_device("sm_80"));
  ASSERT_TRUE(step.ok());
  expect_compiles(*step, "sm_80");
}

}  // namespace
}  // namespace planish::cuda
