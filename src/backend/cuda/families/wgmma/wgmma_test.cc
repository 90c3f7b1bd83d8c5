// The tensor-core contractions without a GPU: what is refused, that a tile's sums cover its outputs
// once, that the packed weights are where the kernel looks for them, and that chosen tiles with moments
// compile without spills (../tactics_test.cc: every tactic of a sample).
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <set>
#include <sstream>

#include "backend/cuda/emit/nvrtc.h"
#include "backend/cuda/emit/prelude.h"
#include "backend/cuda/families/plain/tile.h"
#include "backend/cuda/families/register_families.h"
#include "backend/cuda/families/wgmma/pack.h"
#include "backend/cuda/testing/compile_testing.h"
#include "backend/cuda/testing/contraction_testing.h"
#include "base/hash.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

using ir::DataType;
using wgmma::Plan;
using wgmma::Tile;

const EmittedKernelDef& wgmma_family() {
  static const EmittedKernelDef& found = registered(register_wgmma, "cuda.contraction_wgmma");
  return found;
}
const EmittedKernelDef& plain_family() {
  static const EmittedKernelDef& found =
      registered(register_plain_contraction, "cuda.contraction_plain");
  return found;
}

const Behind kBoth{true, true, Activation::kRelu};
kernel::Problem residual_conv(DataType type = DataType::kF16) {
  return conv_problem({2, 64, 14, 14, 256, 1, 1, 1, 0, 0, 1, 1, kBoth}, type);
}

// Row and packed column (or, swapped, packed row and column) of sum `i` of block `block` of a thread,
// as the wgmma accumulator lies: lane l, register 4 j + 2 h + e holds row 16 warp + l / 4 + 8 h and
// column 8 j + 2 (l % 4) + e.
struct SumPlace {
  int64_t high, wide;
};
SumPlace accumulator(const Tile& t, int thread, int block, int i) {
  const int group = t.ping_pong ? 0 : thread / 128, warp = thread % 128 / 32, lane = thread % 32;
  const int j = i / 4, h = i / 2 % 2, e = i % 2;
  return {group * t.blocks * 64 + block * 64 + 16 * warp + lane / 4 + 8 * h, 8 * j + 2 * (lane % 4) + e};
}

// The sums that one epilogue call takes: neighbouring channels of one row (kUnitText in
// kernel_text.cc).
TEST(CudaWgmma, EverySumBelongsToOneOutputAndChannelsFollowEachOther) {
  auto product = product_of(residual_conv());
  ASSERT_TRUE(product.ok());
  std::vector<Tile> tiles(6);
  tiles[1] = {.groups = 1, .blocks = 1, .width = 48};
  tiles[2] = {.groups = 2, .blocks = 2, .width = 64, .swap = true};
  tiles[3] = {.groups = 1, .blocks = 1, .width = 8, .swap = true};
  tiles[4] = {.groups = 2, .blocks = 2, .width = 192, .ping_pong = true};
  tiles[5] = {.groups = 3, .blocks = 1, .width = 8};
  for (const Tile& t : tiles) {
    auto made = wgmma::plan_of(*product, t);
    ASSERT_TRUE(made.ok()) << made.status().to_string();
    const Plan& plan = *made;
    std::set<std::pair<int64_t, int64_t>> seen;
    for (int thread = 0; thread < 128 * (t.ping_pong ? 1 : t.groups); ++thread)
      for (int block = 0; block < t.blocks; ++block)
        for (int i = 0; i < t.width / 2; ++i) {
          const SumPlace at = accumulator(t, thread, block, i);
          const int64_t row = t.swap ? at.wide : at.high;
          const int64_t channel = wgmma::channel_of_packed_row(plan, t.swap ? at.high : at.wide);
          EXPECT_TRUE(seen.insert({row, channel}).second) << row << " " << channel;
          const int lane = thread % 32, warp = thread % 128 / 32;
          if (t.swap) {
            const int first = (t.ping_pong ? 0 : thread / 128) * t.blocks * 64 + 2 * t.blocks * (8 * warp + lane / 4);
            EXPECT_EQ(channel, first + 2 * block + i / 2 % 2);
          } else {
            const int set = i / 4 / (plan.permuted / 2), j = i / 4 % (plan.permuted / 2);
            EXPECT_EQ(channel, set * 4 * plan.permuted + lane % 4 * plan.permuted + 2 * j + i % 2);
          }
        }
    EXPECT_EQ(int64_t(seen.size()), int64_t(t.row_tile()) * t.channel_tile());
  }
}

TEST(CudaWgmma, PackedWeightsAreAPermutationWithZerosBeside) {
  const kernel::Problem problem = conv_problem({1, 40, 9, 9, 70, 3, 3, 1, 1, 1, 1, 1, {}}, DataType::kF16);
  auto product = product_of(problem);
  ASSERT_TRUE(product.ok());
  std::vector<double> values;
  for (int i = 0; i < 70 * 40 * 9; ++i) values.push_back(i % 2048 + 1);
  const ir::Tensor weights = ir::Tensor::from_f64(DataType::kF16, {70, 40, 3, 3}, values);
  for (const Tile& t : {Tile{.groups = 1, .blocks = 1, .width = 64}, Tile{.groups = 1, .blocks = 2, .width = 32, .swap = true}}) {
    auto plan = wgmma::plan_of(*product, t);
    ASSERT_TRUE(plan.ok()) << plan.status().to_string();
    const kernel::Blob blob = wgmma::pack_weights(*product, *plan, weights, false);
    EXPECT_EQ(int64_t(blob.bytes.size()), plan->packed_bytes(1));
    const ir::Tensor packed = ir::Tensor::view(
        DataType::kF16, {plan->steps, plan->packed_channels, plan->step_depth}, blob.bytes.data(), nullptr);
    for (int64_t row = 0; row < plan->packed_channels; ++row)
      for (int64_t tap = 0; tap < 9; ++tap)
        for (int64_t d = 0; d < int64_t(plan->chunks) * plan->step_depth; ++d) {
          const int64_t channel = wgmma::channel_of_packed_row(*plan, row);
          const double want = channel < 70 && d < 40 ? values[size_t((channel * 40 + d) * 9 + tap)] : 0;
          const int64_t step = tap * plan->chunks + d / plan->step_depth;
          ASSERT_EQ(packed.f64((step * plan->packed_channels + row) * plan->step_depth + d % plan->step_depth), want)
              << row << " " << tap << " " << d;
        }
  }
}

TEST(CudaWgmma, MomentsCompileWithoutSpills) {
  PLANISH_NEEDS_NVRTC();
  const std::pair<MomentsCase, Tile> cases[] = {
      {{128, 2304, 768, 48}, {.groups = 1, .width = 64}},
      {{128, 3072, 768, 48, 0, 0, true}, {.groups = 1, .width = 96}},
      {{128, 768, 768, 0, 48, 48}, {.groups = 1, .width = 48, .residents = 2, .split = 2}},
      {{128, 768, 3072, 0, 48, 48}, {.groups = 1, .width = 96, .split = 4}},
      {{1024, 768, 768, 0, 48, 48}, {.groups = 1, .width = 96}},
      {{1024, 2304, 768, 48}, {.groups = 3, .width = 96, .swap = true}},
      {{1024, 3072, 768, 48, 0, 0, true}, {.groups = 3, .width = 128, .swap = true}},
  };
  for (const auto& [c, tile] : cases) {
    auto step = wgmma_family().emit(moments_problem(c, DataType::kF16), wgmma::write(tile), testing_device());
    ASSERT_TRUE(step.ok()) << step.status().to_string();
    expect_compiles(*step);
  }
}

// What the kernel in front left last is read first, where that is all that L2 can still hold of it.
TEST(CudaWgmma, ReadersOfMuchWalkBackwards) {
  const auto walks = [](int64_t rows, int64_t n, int64_t k) {
    auto step = wgmma_family().emit(product_problem({{}, rows, n, k, true, {}, {}}, DataType::kF16),
                                    wgmma::write({.groups = 2, .width = 128}), testing_device());
    return step.ok() && step->kernels[0].source.find("constexpr int kBackwards = 1;") != std::string::npos;
  };
  EXPECT_TRUE(walks(16384, 768, 3072));
  EXPECT_FALSE(walks(16384, 3072, 768));
  EXPECT_FALSE(walks(16384, 768, 768));
  EXPECT_FALSE(walks(1024, 768, 3072));  // all of it is in L2
}

TEST(CudaWgmma, MomentsAreTakenInSomeLayout) {
  const kernel::Problem problem = moments_problem({128, 768, 768, 0, 48, 48}, DataType::kF16);
  EXPECT_TRUE(wgmma_family().supports(problem, testing_device()).ok());
  EXPECT_EQ(wgmma_family().layouts(problem, testing_device()).size(), 1u);
  EXPECT_EQ(plain_family().supports(problem, testing_device()).message(), "moments of rows");
  const auto product = product_of(problem);
  ASSERT_TRUE(product.ok()) << product.status().to_string();
  EXPECT_EQ(without_moments(*product).message(), "moments of rows");
}

TEST(CudaWgmma, MomentsWantTilesOfWholeParts) {
  auto product = product_of(moments_problem({128, 768, 768, 0, 0, 48}, DataType::kF16));
  ASSERT_TRUE(product.ok()) << product.status().to_string();
  EXPECT_TRUE(wgmma::plan_of(*product, {.groups = 1, .width = 96}).ok());
  EXPECT_FALSE(wgmma::plan_of(*product, {.groups = 1, .width = 64}).ok());   // cuts parts
  EXPECT_FALSE(wgmma::plan_of(*product, {.groups = 1, .width = 144}).ok());  // and this the last tile
  EXPECT_FALSE(wgmma::plan_of(*product, {.groups = 1, .width = 96, .swap = true}).ok());
}

TEST(CudaWgmma, RefusesWithAReason) {
  const auto why = [&](const kernel::Problem& problem, const std::string& isa = "sm_90a") {
    return wgmma_family().supports(problem, testing_device(isa)).message();
  };
  EXPECT_NE(why(residual_conv(), "sm_80").find("sm_90a"), std::string::npos);
  EXPECT_NE(why(residual_conv(DataType::kF32)).find("tf32"), std::string::npos);
  EXPECT_NE(why(conv_problem({1, 3, 32, 32, 64, 3, 3, 1, 1, 1, 1, 1, {}}, DataType::kF16)).find("multiple of 16"), std::string::npos);
  EXPECT_NE(why(conv_problem({1, 64, 32, 32, 64, 3, 3, 1, 1, 1, 1, 8, {}}, DataType::kF16)).find("group"), std::string::npos);
  EXPECT_EQ(why(residual_conv()), "");
  kernel::DeviceInfo tf32 = testing_device();
  tf32.properties["tf32"] = "1";
  EXPECT_TRUE(wgmma_family().supports(residual_conv(DataType::kF32), tf32).ok());
}

TEST(CudaWgmma, TacticsAreAtMostTwelveAndReadBack) {
  for (const int64_t n : {1, 8, 128})
    for (const int64_t k : {64, 256, 1000}) {
      const kernel::Problem problem = conv_problem({n, 256, 14, 14, k, 3, 3, 1, 1, 1, 1, 1, kBoth}, DataType::kF16);
      const auto tactics = wgmma_family().tactics(problem, testing_device());
      EXPECT_GE(tactics.size(), 3u);
      EXPECT_LE(tactics.size(), 12u);
      for (const kernel::Tactic& t : tactics) EXPECT_EQ(wgmma::write(wgmma::read(t)), t);
    }
}

kernel::Problem recorded_problem(const std::string& text) {
  std::istringstream in(text);
  std::string op;
  in >> op;
  if (op == "conv") {
    int64_t n, size, c, k, taps, stride, residual, relu;
    in >> n >> size >> c >> k >> taps >> stride >> residual >> relu;
    return conv_problem({n, c, size, size, k, taps, taps, stride, taps / 2, taps / 2, 1, 1,
                         {true, residual != 0, relu ? Activation::kRelu : Activation::kNone}}, DataType::kF16);
  }
  int64_t m, n, k, epilogue;
  in >> m >> n >> k >> epilogue;
  return product_problem({{}, m, n, k, true, {}, {epilogue != 3, epilogue == 1, epilogue == 2 ? Activation::kGelu : Activation::kNone}}, DataType::kF16);
}

// What the model would choose without measuring costs little over the best that was measured.
TEST(CudaWgmma, CostModelRanksRecordedTimes) {
  std::ifstream file(PLANISH_WGMMA_TIMES);
  ASSERT_TRUE(file.good()) << PLANISH_WGMMA_TIMES;
  struct Row {
    double predicted, measured;
  };
  std::map<std::string, std::vector<Row>> problems;
  std::map<std::string, Product> products;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    const std::vector<std::string> fields = split(line, '\t');
    ASSERT_EQ(fields.size(), 3u) << line;
    auto product = product_of(recorded_problem(fields[0]));
    ASSERT_TRUE(product.ok()) << line;
    auto tactic = kernel::Tactic::parse(fields[1]);
    ASSERT_TRUE(tactic.ok()) << line;
    auto plan = wgmma::plan_of(*product, wgmma::read(*tactic));
    ASSERT_TRUE(plan.ok()) << line;
    problems[fields[0]].push_back({wgmma::predict_us(*product, *plan, 132), std::stod(fields[2])});
  }
  ASSERT_GE(problems.size(), 50u);
  double regret = 0;
  int in_five = 0;
  for (auto& [problem, rows] : problems) {
    std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.predicted < b.predicted; });
    const auto best = std::min_element(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.measured < b.measured; });
    regret += std::log(rows[0].measured / best->measured) / double(problems.size());
    in_five += best - rows.begin() < 5;
  }
  std::cout << "first choice " << std::exp(regret) << " x the best, best among the first five of " << in_five << " of " << problems.size() << " problems\n";
  EXPECT_LT(std::exp(regret), 1.15);
  EXPECT_GT(double(in_five), 0.55 * double(problems.size()));
}

// The text of a small fixed set (the prelude left out), by hash: a change of what is emitted must be meant. The failure
// prints the new hash.
TEST(CudaWgmma, EmittedTextIsGolden) {
  struct Golden {
    kernel::Problem problem;
    Tile tile;
    std::string hash;
  };
  const Golden golden[] = {
      {residual_conv(), {.groups = 2, .blocks = 1, .width = 128}, "f1975b9e71d0ac07d638745cc20fc463"},
      {conv_problem({1, 512, 7, 7, 512, 3, 3, 1, 1, 1, 1, 1, kBoth}, DataType::kBF16), {.groups = 1, .width = 64, .residents = 2, .split = 8}, "3b88a3b5a14f94f7c1351a23d94addd1"},
      {product_problem({{2}, 64, 64, 64, false, {2}, {}}, DataType::kF16), {.groups = 1, .width = 64}, "4c3654bbde8fa0c088019146bb7b7396"},
  };
  for (const Golden& g : golden) {
    const kernel::Problem problem = laid_out(wgmma_family(), g.problem, testing_device());
    auto step = wgmma_family().emit(problem, wgmma::write(g.tile), testing_device());
    ASSERT_TRUE(step.ok()) << step.status().to_string();
    const std::string& source = step->kernels[0].source;
    EXPECT_EQ(to_string(hash128(std::string_view(source).substr(std::strlen(kPrelude)))), g.hash) << step->kernels[0].entry;
  }
}

// Blocks of pixels are offered beside im2col where they fit the image, and alone where a pool follows.
TEST(CudaWgmma, BlocksOfPixelsAndPools) {
  const auto boxes = [](const PooledProduct& problem) {
    int count = 0, all = 0;
    for (const Tile& t : wgmma::candidates(problem, 132)) {
      auto plan = wgmma::plan_of(problem, t);
      EXPECT_TRUE(plan.ok());
      EXPECT_EQ(wgmma::read(wgmma::write(t)), t);
      count += t.boxes;
      ++all;
      if (t.boxes) {
        EXPECT_GE(plan->row_tiles * t.row_tile(), problem.product.conv.images * plan->boxes_x * plan->boxes_y * 64);
      }
    }
    return std::pair(count, all);
  };
  const Behind relu{true, false, Activation::kRelu};
  const ConvCase conv{8, 128, 112, 112, 128, 3, 3, 1, 1, 1, 1, 1, relu};
  const auto [some, of] = boxes(*product_of(conv_problem(conv, DataType::kF16)));
  EXPECT_GE(some, 1);
  EXPECT_LE(some, 2);
  EXPECT_LE(of, 12);
  const auto [all, pooled] = boxes(*pooled_product_of(pooled_problem(conv, {}, DataType::kF16)));
  EXPECT_EQ(all, pooled);
  EXPECT_GE(all, 4);
  ConvCase odd = conv;
  odd.h = odd.w = 14;  // 23 % of such rows would be empty
  EXPECT_EQ(boxes(*product_of(conv_problem(odd, DataType::kF16))).first, 0);
  const auto why = [](ConvCase c, PoolCase pool) {
    return wgmma_family().supports(pooled_problem(c, pool, DataType::kF16), testing_device()).message();
  };
  EXPECT_EQ(why(conv, {}), "");
  EXPECT_NE(why(conv, {3, 3, 2}).find("3 x 3"), std::string::npos);
  EXPECT_NE(why(conv, {.scaled = true}).find("an expression behind the pool"), std::string::npos);
  odd = conv;
  odd.stride = 2;
  EXPECT_NE(why(odd, {}).find("no tile"), std::string::npos);
}

TEST(CudaPlainContraction, TakesWhatTensorCoresRefuse) {
  const kernel::DeviceInfo device = testing_device();
  EXPECT_TRUE(plain_family().supports(residual_conv(DataType::kF32), device).ok());
  EXPECT_TRUE(plain_family().supports(conv_problem({1, 3, 32, 32, 64, 3, 3, 1, 1, 1, 1, 1, {}}, DataType::kF16), device).ok());
  EXPECT_TRUE(plain_family().supports(conv_problem({1, 24, 9, 9, 36, 3, 3, 1, 1, 1, 1, 6, {}}, DataType::kBF16), device).ok());
  EXPECT_NE(plain_family().supports(residual_conv(), testing_device("sm_75")).message().find("sm_80"), std::string::npos);
}

TEST(CudaPlainContraction, PackedWeightsLieByDepthAndByChannel) {
  const kernel::Problem conv = conv_problem({1, 12, 9, 9, 10, 3, 2, 1, 1, 1, 1, 2, {}}, DataType::kF16);
  const kernel::Problem gemm = gemm_problem({4, 6, 10, false, true, true, 1, 1, {}}, DataType::kF32);
  for (const auto& [problem, dims] : {std::pair{conv, std::vector<int64_t>{10, 6, 3, 2}}, std::pair{gemm, std::vector<int64_t>{6, 10}}}) {
    auto product = product_of(problem);
    ASSERT_TRUE(product.ok());
    const Product& p = *product;
    ir::Tensor weights(p.type, dims);
    for (int64_t i = 0; i < weights.count(); ++i) weights.set_f64(i, double(i + 1));
    for (const bool mma : {false, true}) {
      plain::Tile tile;
      tile.mma = mma;
      const plain::PackedRight packed = plain::packed_right(p, tile);
      const kernel::Blob blob = plain::pack_weights(p, tile, weights);
      const int64_t depth = p.depth * p.taps(), outer = packed.depth_inner ? p.channels : depth;
      const ir::Tensor got = ir::Tensor::view(p.type, {p.batches * outer * packed.pitch}, blob.bytes.data(), nullptr);
      double sum = 0;
      for (const double v : got.f64_values()) sum += v;
      for (int64_t b = 0; b < p.batches; ++b)
        for (int64_t n = 0; n < p.channels; ++n)
          for (int64_t k = 0; k < depth; ++k) {
            const double want = double(right_element(p, b, n, k / p.depth, k % p.depth) + 1);
            const int64_t at = packed.depth_inner ? n * packed.pitch + k : k * packed.pitch + n;
            ASSERT_EQ(got.f64(b * outer * packed.pitch + at), want) << b << " " << n << " " << k;
            sum -= want;
          }
      EXPECT_EQ(sum, 0);
    }
  }
}

}  // namespace
}  // namespace planish::cuda
