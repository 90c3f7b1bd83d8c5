#include <gtest/gtest.h>

#include "backend/cuda/emit/nvrtc.h"
#include "backend/cuda/families/register_families.h"
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

TEST(CudaStem, CompilesWithoutSpills) {
  PLANISH_NEEDS_NVRTC();
  const ConvCase cases[] = {kResNet, {2, 3, 32, 32, 64, 3, 3, 1, 1, 1, 1, 1, kRelu}, {2, 3, 33, 31, 20, 3, 3, 2, 1, 1, 1, 1, kRelu}};
  for (const ConvCase& c : cases) {
    kernel::Problem problem = laid_out(family(), conv_problem(c, DataType::kF16), testing_device());
    expect_tactics_compile(family(), problem);
  }
}

}  // namespace
}  // namespace planish::cuda
