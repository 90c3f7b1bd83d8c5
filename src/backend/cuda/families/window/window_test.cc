// Convolutions on patches without a GPU: what is refused, that tiles cover the image, and that the packed
// filters hold every weight.
#include <gtest/gtest.h>

#include <cstring>

#include "backend/cuda/emit/prelude.h"
#include "backend/cuda/families/register_families.h"
#include "backend/cuda/families/window/tile.h"
#include "backend/cuda/testing/compile_testing.h"
#include "backend/cuda/testing/contraction_testing.h"
#include "base/hash.h"

namespace planish::cuda {
namespace {

using ir::DataType;
using window::Plan;
using window::Tile;

const EmittedKernelDef& family() {
  static const EmittedKernelDef& found = registered(register_window, "cuda.window_wgmma");
  return found;
}

const Behind kRelu{true, false, Activation::kRelu}, kBoth{true, true, Activation::kRelu};
const ConvCase kResNet{8, 64, 56, 56, 64, 3, 3, 1, 1, 1, 1, 1, kRelu};

TEST(CudaWindow, RefusesWithAReason) {
  const auto why = [](ConvCase c, DataType type = DataType::kF16, const std::string& isa = "sm_90a") {
    return family().supports(conv_problem(c, type), testing_device(isa)).message();
  };
  EXPECT_EQ(why(kResNet), "");
  EXPECT_NE(why(kResNet, DataType::kF32).find("f32"), std::string::npos);
  EXPECT_NE(why(kResNet, DataType::kF16, "sm_80").find("sm_90a"), std::string::npos);
  ConvCase c = kResNet;
  c.stride = 2;
  EXPECT_NE(why(c).find("strides 2"), std::string::npos);
  c = kResNet;
  c.r = c.s = 1;
  EXPECT_NE(why(c).find("one tap"), std::string::npos);
  c = kResNet;
  c.groups = 2;
  EXPECT_NE(why(c).find("2 groups"), std::string::npos);
  c = kResNet;
  c.c = c.k = 512;
  EXPECT_NE(why(c).find("shared memory"), std::string::npos);
}

TEST(CudaWindow, TakesAMaxPoolOrSaysWhyNot) {
  const auto why = [](ConvCase c, PoolCase pool) {
    return family().supports(pooled_problem(c, pool, DataType::kF16), testing_device()).message();
  };
  EXPECT_EQ(why(kResNet, {}), "");
  EXPECT_NE(why(kResNet, {3, 3, 2, 1, 1, 1, 1}).find("3 x 3"), std::string::npos);
  EXPECT_NE(why(kResNet, {2, 2, 1}).find("side by side"), std::string::npos);
  EXPECT_NE(why(kResNet, {2, 2, 2, 1, 1, 0, 0}).find("side by side"), std::string::npos);
  ConvCase c = kResNet;
  c.h = 55;
  EXPECT_EQ(why(c, {}), "");
  EXPECT_NE(why(c, {2, 2, 2, 0, 0, 0, 0, true}).find("beyond the image"), std::string::npos);
  c.k = 48;
  EXPECT_NE(why(c, {}).find("48 filters"), std::string::npos);
  c = kResNet;
  EXPECT_NE(why(c, {.scaled = true}).find("an expression behind the pool"), std::string::npos);
  c.behind = kBoth;
  EXPECT_NE(why(c, {}).find("beside a pixel"), std::string::npos);
  c.behind = {true, false, Activation::kSilu};
  EXPECT_NE(why(c, {}).find("may fall"), std::string::npos);
  for (const Tile& t : window::candidates(*pooled_product_of(pooled_problem(kResNet, {}, DataType::kF16)), 132)) {
    EXPECT_GT(t.across, 0);
    EXPECT_EQ(t.width % 32, 0);
  }
}

TEST(CudaWindow, TilesCoverTheImageAndPatchesTheTiles) {
  auto product = pooled_product_of(conv_problem({2, 48, 35, 33, 64, 5, 3, 1, 2, 1, 1, 1, kRelu}, DataType::kF16));
  ASSERT_TRUE(product.ok());
  for (const Tile& t : window::candidates(*product, 132)) {
    auto plan = window::plan_of(*product, t);
    ASSERT_TRUE(plan.ok());
    EXPECT_GE(plan->tiles_x * plan->tile_width, 33);
    EXPECT_GE(plan->tiles_y * plan->tile_height, 35);
    EXPECT_EQ(plan->patch_height, plan->tile_height + 4);
    EXPECT_EQ(plan->patch_width, plan->tile_width + 2);
    EXPECT_EQ(plan->stages % t.groups, 0);
    EXPECT_EQ(plan->weight_bytes, 15 * 3 * t.width * 32);
    EXPECT_EQ(plan->chunk_bytes % 1024, 0);
    EXPECT_LE(plan->shared_bytes, 232448);
    EXPECT_EQ(window::read(window::write(t)), t);
    const int64_t pixels = t.across > 0 ? plan->tile_width * plan->tile_height : plan->patch_width * plan->tile_height;
    EXPECT_LE(pixels, 64 * t.blocks);
  }
}

TEST(CudaWindow, PackedFiltersHoldEveryWeightOnce) {
  const kernel::Problem problem = conv_problem({1, 40, 9, 9, 72, 3, 3, 1, 1, 1, 1, 1, kRelu}, DataType::kF16);
  std::vector<double> values;
  double sum = 0, squares = 0;
  for (int i = 0; i < 72 * 40 * 9; ++i) {
    values.push_back(i % 1021 + 1);
    sum += values.back();
    squares += values.back() * values.back();
  }
  std::vector<ir::Tensor> constants(problem.operands.size());
  constants[1] = ir::Tensor::from_f64(DataType::kF16, {72, 40, 3, 3}, values);
  const Tile tile{.groups = 2, .width = 48};
  auto blob = family().pack(problem, window::write(tile), testing_device(), constants);
  ASSERT_TRUE(blob.ok()) << blob.status().to_string();
  EXPECT_EQ(blob->bytes.size(), size_t(2 * 9 * 3 * 48 * 32));
  const ir::Tensor packed = ir::Tensor::view(DataType::kF16, {int64_t(blob->bytes.size() / 2)}, blob->bytes.data(), nullptr);
  int64_t nonzero = 0;
  for (const double v : packed.f64_values()) {
    nonzero += v != 0;
    sum -= v;
    squares -= v * v;
  }
  EXPECT_EQ(nonzero, 72 * 40 * 9);
  EXPECT_EQ(sum, 0);
  EXPECT_EQ(squares, 0);
}

// By hash: a change of what is emitted must be meant.
TEST(CudaWindow, EmittedTextIsGolden) {
  const kernel::Problem problem = laid_out(family(), conv_problem(kResNet, DataType::kF16), testing_device());
  const std::pair<Tile, std::string> golden[] = {
      {{.groups = 3, .blocks = 1, .across = 1, .width = 64}, "ce158dfebae5b06104b93d200eb5d6e7"},
      {{.groups = 2, .blocks = 2, .across = 0, .width = 32}, "ef2e9397adad8ff7f7076b13439a1a34"},
  };
  for (const auto& [tile, hash] : golden) {
    auto step = family().emit(problem, window::write(tile), testing_device());
    ASSERT_TRUE(step.ok()) << step.status().to_string();
    const std::string& source = step->kernels[0].source;
    EXPECT_EQ(to_string(hash128(std::string_view(source).substr(std::strlen(kPrelude)))), hash) << step->kernels[0].entry;
  }
}

}  // namespace
}  // namespace planish::cuda
