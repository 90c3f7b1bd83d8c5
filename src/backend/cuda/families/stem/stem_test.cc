#include <gtest/gtest.h>

#include "backend/cuda/families/register_families.h"
#include "backend/cuda/families/stem/stem_plan.h"
#include "backend/cuda/testing/compile_testing.h"
#include "backend/cuda/testing/contraction_testing.h"

namespace planish::cuda {
namespace {

using ir::DataType;

const EmittedKernelDef& family() {
  static const EmittedKernelDef& found = registered(register_stem, "cuda.stem_wgmma");
  return found;
}

const Behind kRelu{true, false, Activation::kRelu};
const ConvCase kResNet{1, 3, 224, 224, 64, 7, 7, 2, 3, 3, 1, 1, kRelu};

TEST(CudaStem, RefusesWithAReason) {
  const auto why = [](ConvCase c, DataType type) {
    return family().supports(conv_problem(c, type), testing_device()).message();
  };
  EXPECT_EQ(why(kResNet, DataType::kF16), "");
  EXPECT_NE(why(kResNet, DataType::kF32).find("f32"), std::string::npos);
  ConvCase wide = kResNet;
  wide.c = 5;
  EXPECT_NE(why(wide, DataType::kF16).find("5 channels"), std::string::npos);
  wide = kResNet;
  wide.stride = 4;
  EXPECT_NE(why(wide, DataType::kF16).find("stride of 4"), std::string::npos);
  wide = kResNet;
  wide.k = 192;
  EXPECT_NE(why(wide, DataType::kF16).find("192 filters"), std::string::npos);
}

const PoolCase kResNetPool{3, 3, 2, 1, 1, 1, 1};

TEST(CudaStem, TakesAMaxPoolOrSaysWhyNot) {
  const auto why = [](ConvCase c, PoolCase pool) {
    return family().supports(pooled_problem(c, pool, DataType::kF16), testing_device()).message();
  };
  EXPECT_EQ(why(kResNet, kResNetPool), "");
  EXPECT_EQ(why(kResNet, {}), "");
  EXPECT_NE(why(kResNet, {9, 2, 2}).find("9 elements"), std::string::npos);
  ConvCase few = kResNet;
  few.k = 16;
  EXPECT_NE(why(few, kResNetPool).find("16 filters before a pool"), std::string::npos);
  kernel::Problem shared = pooled_problem(kResNet, kResNetPool, DataType::kF16);
  shared.results.insert(shared.results.begin(), shared.stages.back().inputs[0]);
  EXPECT_NE(family().supports(shared, testing_device()).message().find("a result that is not the root's first"), std::string::npos);
  kernel::Problem average = pooled_problem(kResNet, kResNetPool, DataType::kF16);
  average.stages.back().op = "AveragePool";
  EXPECT_FALSE(family().supports(average, testing_device()).ok());
}

// Strips and segments cover the pooled image, and a segment's tiles its rows.
TEST(CudaStem, SegmentsCoverThePooledImage) {
  const PoolCase pools[] = {kResNetPool, {}, {3, 3, 2, 0, 0, 0, 0, true}, {2, 5, 1, 1, 2, 0, 2}};
  for (const PoolCase& pool : pools) {
    auto problem = pooled_product_of(pooled_problem({2, 3, 75, 93, 64, 7, 7, 2, 3, 3, 1, 1, kRelu}, pool, DataType::kF16));
    ASSERT_TRUE(problem.ok()) << problem.status().to_string();
    const kernel::Window& w = problem->pool->window;
    for (const stem::Tactic& tactic : stem::candidates(*problem, 132)) {
      EXPECT_EQ(stem::write(stem::read(stem::write(tactic))), stem::write(tactic));
      auto plan = stem::plan_of(*problem, tactic);
      ASSERT_TRUE(plan.ok()) << plan.status().to_string();
      EXPECT_GE(plan->pooled_width * plan->tiles_x, problem->pool->width);
      EXPECT_GE(plan->pooled_rows * plan->tiles_y, problem->pool->height);
      EXPECT_LE((plan->pooled_width - 1) * w.strides[1] + w.kernel[1], stem::kTileWidth);
      EXPECT_GE(plan->segment_tiles * stem::kTileHeight, std::min((plan->pooled_rows - 1) * w.strides[0] + 1, problem->product.conv.out_height - 1));
      EXPECT_LE(plan->shared_bytes(problem->product) * tactic.residents, 232448);
    }
  }
}

// Elements beyond the image stand for others of their window only where each window has some.
TEST(CudaStem, LeanPoolsHaveNoWindowBeyondTheImage) {
  const auto lean = [](PoolCase pool) {
    auto problem = pooled_product_of(pooled_problem({1, 3, 15, 15, 64, 3, 3, 1, 1, 1, 1, 1, kRelu}, pool, DataType::kF16));
    EXPECT_TRUE(problem.ok()) << problem.status().to_string();
    return stem::plan_of(*problem, {.residents = 2, .rows = 2, .lean = true}).status().message();
  };
  EXPECT_EQ(lean(kResNetPool), "");
  EXPECT_EQ(lean({2, 2, 3}), "");
  EXPECT_NE(lean({1, 1, 2, 1, 1, 1, 1}).find("beyond the image"), std::string::npos);
}

// Every weight once, zeros beside: the packed blob holds the same multiset of values.
TEST(CudaStem, PackedWeightsHoldEveryWeightOnce) {
  const kernel::Problem problem = conv_problem(kResNet, DataType::kF16);
  std::vector<double> values;
  double sum = 0, squares = 0;
  for (int i = 0; i < 64 * 3 * 49; ++i) {
    values.push_back(i % 1021 + 1);
    sum += values.back();
    squares += values.back() * values.back();
  }
  std::vector<ir::Tensor> constants(problem.operands.size());
  constants[1] = ir::Tensor::from_f64(DataType::kF16, {64, 3, 7, 7}, values);
  auto blob = family().pack(problem, {}, testing_device(), constants);
  ASSERT_TRUE(blob.ok()) << blob.status().to_string();
  EXPECT_EQ(blob->bytes.size(), size_t(7 * 2 * 64 * 32));
  const ir::Tensor packed = ir::Tensor::view(DataType::kF16, {int64_t(blob->bytes.size() / 2)}, blob->bytes.data(), nullptr);
  int nonzero = 0;
  for (const double v : packed.f64_values()) {
    nonzero += v != 0;
    sum -= v;
    squares -= v * v;
  }
  EXPECT_EQ(nonzero, 64 * 3 * 49);
  EXPECT_EQ(sum, 0);
  EXPECT_EQ(squares, 0);
}

}  // namespace
}  // namespace planish::cuda
