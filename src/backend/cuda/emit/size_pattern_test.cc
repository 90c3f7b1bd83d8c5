#include "backend/cuda/emit/size_pattern.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backend/cuda/emit/any_size.h"
#include "backend/cuda/emit/any_size_source.h"
#include "backend/cuda/emit/nvrtc.h"
#include "backend/cuda/emit/prelude.h"
#include "backend/cuda/families/register_families.h"
#include "backend/cuda/testing/compile_testing.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

using testing::HasSubstr;

std::vector<std::vector<Token>> texts(std::initializer_list<std::string_view> sources) {
  std::vector<std::vector<Token>> out;
  for (const std::string_view source : sources) out.push_back(tokens_of(source));
  return out;
}

TEST(Tokens, AreWordsNumbersStringsDirectivesAndSigns) {
  std::string all;
  for (const Token& token : tokens_of("#pragma unroll\nx[0x1fu] += 1.5e-3f; // no\nasm(\"a, 3;\" ::\"n\"(k_2));"))
    all += cat(int(token.kind), ":", token.text, "|");
  EXPECT_EQ(all, "3:#pragma unroll|0:x|4:[|1:0x1fu|4:]|4:+|4:=|1:1.5e-3f|4:;|0:asm|4:(|2:\"a, 3;\"|4:"
                 ":|4::|2:\"n\"|4:(|0:k_2|4:)|4:)|4:;|");
}

TEST(SizePattern, VaryingNumbersAreParameters) {
  const auto same = texts({"f(10, 4, 10ll, 7)", "f(20, 4, 10ll, 9)", "f(30, 4, 11ll, 9)"});
  const auto pattern = pattern_of(same);
  ASSERT_TRUE(pattern.ok());
  EXPECT_EQ(pattern->parameters,
            (std::vector{NumberType::kI32, NumberType::kI64, NumberType::kI32}));
  const auto args = match(*pattern, tokens_of("f(99, 4, 5000000000ll, -0 )"));
  EXPECT_FALSE(args);  // another sign is another text
  const auto fits = match(*pattern, tokens_of("f(99, 4, 5000000000ll, 1)"));
  ASSERT_TRUE(fits);
  EXPECT_EQ(*fits, (std::vector{KernelArg::i32(99), KernelArg::i64(5000000000), KernelArg::i32(1)}));
  EXPECT_FALSE(match(*pattern, tokens_of("f(99, 5, 1ll, 1)")));  // a number that did not vary
  EXPECT_FALSE(match(*pattern, tokens_of("f(99, 4, 1, 1)")));    // another type
  EXPECT_FALSE(match(*pattern, tokens_of("f(99, 4, 1ll)")));
}

TEST(SizePattern, NumbersThatVaryTogetherAreOne) {
  const auto pattern = pattern_of(texts({"a[3] = 3 * 6;", "a[4] = 4 * 8;", "a[9] = 9 * 7;"}));
  ASSERT_TRUE(pattern.ok());
  EXPECT_EQ(pattern->parameters.size(), 2u);
  EXPECT_TRUE(match(*pattern, tokens_of("a[5] = 5 * 1;")));
  EXPECT_FALSE(match(*pattern, tokens_of("a[5] = 6 * 1;")));
}

constexpr std::string_view kText = R"(
constexpr int kRows = ROWS, kTile = TILE;
constexpr int kTiles = (kRows + kTile - 1) / kTile, kHalf = kTile / 2;
struct Part { float v[kHalf]; };
DEV int clamp_row(int row) { return row < kRows ? row : kRows - 1; }
template <int kN> DEV float take(const float* x, int row) { return x[clamp_row(row) + kN]; }
DEV int twice(int x) { return 2 * x; }
extern "C" __global__ void __launch_bounds__(kTile) k(const float* x, float* y) {
  const auto at = [&](int i) { return clamp_row(twice(i)); };
  for (int t = blockIdx.x; t < kTiles; t += gridDim.x) y[at(t)] = take<1>(x, t) * SCALE;
}
)";

std::string text_for(int rows, int tile, std::string_view scale) {
  std::string out(kText);
  for (const auto& [from, to] : {std::pair<std::string_view, std::string>{"ROWS", std::to_string(rows)},
                                 {"TILE", std::to_string(tile)}, {"SCALE", std::string(scale)}})
    for (size_t at; (at = out.find(from)) != std::string::npos;) out.replace(at, from.size(), to);
  return out;
}

TEST(AnySizeSource, ConstantsOfSizesBecomeMembersThatFunctionsAreGiven) {
  const std::string a = text_for(100, 64, "0.5f"), b = text_for(130, 64, "0.25f");
  const auto same = texts({a, b});
  const auto pattern = pattern_of(same);
  ASSERT_TRUE(pattern.ok());
  EXPECT_TRUE(fixed_numbers(same[0], *pattern).empty());
  const auto source = any_size_source(same[0], *pattern);
  ASSERT_TRUE(source.ok()) << source.status().to_string();
  std::string dense = source->substr(std::string_view(kPrelude).size());
  std::erase_if(dense, [](char c) { return c == ' ' || c == '\n'; });
  EXPECT_THAT(dense, HasSubstr("constexprintkTile=64;"));
  EXPECT_THAT(dense, HasSubstr("constintkTiles=(kRows+kTile-1)/kTile;"));
  EXPECT_THAT(dense, HasSubstr("clamp_row(constSizes&rt_sizes,introw)"));
  EXPECT_THAT(dense, HasSubstr("clamp_row(rt_sizes,twice(i))"));
  EXPECT_THAT(dense, HasSubstr("take<1>(rt_sizes,x,t)*rt_sizes.rt_1"));
  EXPECT_THAT(dense, HasSubstr("float*y,intrt_0,floatrt_1)"));
  PLANISH_NEEDS_NVRTC();
  const auto compiled = compile_source(*source, "sm_90a");
  EXPECT_TRUE(compiled.ok()) << compiled.status().to_string() << *source;
}

TEST(AnySizeSource, WhatCppMustKnowIsFixed) {
  const std::string a = text_for(100, 64, "1.0f"), b = text_for(130, 32, "1.0f");
  const auto same = texts({a, b});
  const auto pattern = pattern_of(same);
  ASSERT_TRUE(pattern.ok());
  const auto fixed = fixed_numbers(same[0], *pattern);
  ASSERT_EQ(fixed.size(), 1u);
  EXPECT_EQ(same[0][fixed[0].token].text, "64");
}

TEST(AnySize, OneKernelTakesEveryLengthOfItsPattern) {
  PLANISH_NEEDS_NVRTC();
  kernel::KernelRegistry registry;
  register_pointwise(registry);
  const auto& def = static_cast<const EmittedKernelDef&>(*registry.find("cuda.pointwise"));
  const kernel::DeviceInfo device = testing_device();
  const auto problem_of = [](int64_t count) {
    kernel::ExprBuilder b;
    const ir::TensorType type{ir::DataType::kF16, ir::to_shape(std::vector<int64_t>{count, 8})};
    return pointwise_problem(
        {type}, b.finish({b.unary(kernel::ScalarOp::kExp, b.arg(0, ir::DataType::kF16))}, 1), {type});
  };
  std::vector<kernel::Problem> others;
  for (const int64_t count : {1, 2, 7, 64, 100, 1000}) others.push_back(problem_of(count));
  const kernel::Tactic tactic = def.tactics(others[0], device)[0];
  auto blob = def.compile_any_size(problem_of(4), others, tactic, device);
  ASSERT_TRUE(blob.ok()) << blob.status().to_string();
  auto artifact = decode(blob->bytes);
  ASSERT_TRUE(artifact.ok()) << artifact.status().to_string();
  ASSERT_FALSE(artifact->variants.empty());
  const auto fitting = fit(def, *artifact, problem_of(3333), device);
  ASSERT_TRUE(fitting);
  const EmittedKernel& launch = fitting->artifact.kernels[0].launch;
  EXPECT_EQ(launch.grid.x, (3333u * 8 + 4095) / 4096);
  EXPECT_GT(launch.args.size(), 2u);
}

}  // namespace
}  // namespace planish::cuda
