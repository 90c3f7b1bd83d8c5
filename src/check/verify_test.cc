#include "check/verify.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace planish::check {
namespace {

ir::Tensor f32(std::vector<double> values) {
  return ir::Tensor::from_f64(ir::DataType::kF32, {int64_t(values.size())}, values);
}

TEST(Compare, TakesWhatLiesWithinTheBound) {
  const auto row = compare("y", f32({1, 2, 4}), f32({1, 2, 4 + 1e-6}), 0, {});
  ASSERT_TRUE(row.ok());
  EXPECT_TRUE(row->good);
  EXPECT_LE(row->ratio, 1);
}

TEST(Compare, FindsAnErrorAndSaysWhere) {
  const auto row = compare("y", f32({1, 2.5, 4}), f32({1, 2, 4}), 0, {});
  ASSERT_TRUE(row.ok());
  EXPECT_FALSE(row->good);
  EXPECT_EQ(row->index, 1);
  EXPECT_EQ(row->got, 2.5);
  EXPECT_EQ(row->expected, 2);
  EXPECT_EQ(row->worst_error, 0.5);
}

TEST(Compare, NanOnOneSideFails) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const auto& [got, ref] : {std::pair{nan, 1.0}, std::pair{1.0, nan}}) {
    const auto row = compare("y", f32({got}), f32({ref}), 0, {});
    ASSERT_TRUE(row.ok());
    EXPECT_FALSE(row->good);
    EXPECT_TRUE(std::isinf(row->ratio));
  }
  EXPECT_TRUE(compare("y", f32({nan}), f32({nan}), 0, {})->good);
}

TEST(Compare, InfinitiesMustAgreeInSign) {
  const double inf = std::numeric_limits<double>::infinity();
  EXPECT_TRUE(compare("y", f32({inf}), f32({inf}), 0, {})->good);
  EXPECT_FALSE(compare("y", f32({inf}), f32({-inf}), 0, {})->good);
  EXPECT_FALSE(compare("y", f32({1}), f32({inf}), 0, {})->good);
}

TEST(Compare, ANanToleranceFails) {
  VerifyOptions options;
  options.atol = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(compare("y", f32({1}), f32({2}), 0, options)->good);
}

TEST(Compare, IntegersAreExactBeyondDoubles) {
  const std::vector<int64_t> a = {(int64_t(1) << 53) + 1}, b = {int64_t(1) << 53};
  const auto row = compare("y", ir::Tensor::vector_i64(a), ir::Tensor::vector_i64(b), 0, {});
  ASSERT_TRUE(row.ok());
  EXPECT_FALSE(row->good);
}

TEST(Compare, AnotherShapeFails) {
  EXPECT_FALSE(compare("y", f32({1, 2}), f32({1}), 0, {})->good);
}

TEST(Compare, AnotherTypeIsAnError) {
  const std::vector<int64_t> one = {1};
  EXPECT_FALSE(compare("y", f32({1}), ir::Tensor::vector_i64(one), 0, {}).ok());
}

TEST(Compare, TransformsWidenEachTermByItsOwnFactor) {
  VerifyOptions transforms;
  transforms.transforms = true;
  const ir::Tensor y = f32({1});
  EXPECT_DOUBLE_EQ(compare("y", y, y, 0, transforms)->bound,
                   16 * compare("y", y, y, 0, {})->bound);
  constexpr double kLeading = 1e-2;  // of the model's rounding: far above the unit roundoff's term
  EXPECT_DOUBLE_EQ(compare("y", y, y, kLeading, transforms)->bound,
                   2 * compare("y", y, y, kLeading, {})->bound);
}

TEST(Compare, TheModelsOwnRoundingWidensTheBound) {
  const ir::Tensor wide = ir::Tensor::from_f64(ir::DataType::kF64, {1}, std::vector<double>{1.01});
  EXPECT_TRUE(compare("y", f32({1.1}), f32({1}), model_rounding(f32({1}), wide), {})->good);
  EXPECT_FALSE(compare("y", f32({1.2}), f32({1}), model_rounding(f32({1}), wide), {})->good);
}

}  // namespace
}  // namespace planish::check
