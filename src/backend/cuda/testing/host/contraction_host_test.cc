// The tensor-core families on the host: TMA, mbarriers, clusters, wgmma, mma.sync and ldmatrix as the
// emulated GPU carries them out, over small problems that have every edge: tails of rows, channels and
// depth, groups, dilation, transposed and computed operands, clusters, split depth. Operands are small
// multiples of 1/8, so that sums are exact in every type.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <map>
#include <random>
#include <set>
#include <span>

#include "backend/cuda/families/bottleneck/pair.h"
#include "backend/cuda/families/register_families.h"
#include "backend/cuda/families/stack/stack.h"
#include "backend/cuda/families/stem/stem_plan.h"
#include "backend/cuda/families/wgmma/tile.h"
#include "backend/cuda/families/window/tile.h"
#include "backend/cuda/testing/compile_testing.h"
#include "backend/cuda/testing/contraction_testing.h"
#include "backend/cuda/testing/host/host_check_testing.h"
#include "backend/cuda/testing/pair_testing.h"
#include "base/text.h"
#include "eval/reference_kernel.h"
#include "ops/register_ops.h"

namespace planish::cuda {
namespace {

using ir::DataType;
using kernel::Problem;
using kernel::Tactic;

const opdef::OpRegistry& ops() {
  static const auto& all = *[] {
    auto* r = new opdef::OpRegistry;
    ops::register_all_ops(*r);
    return r;
  }();
  return all;
}
const EmittedKernelDef& family(std::string_view name) {
  static const auto& all = *[] {
    auto* r = new kernel::KernelRegistry;
    register_families(*r);
    return r;
  }();
  return dynamic_cast<const EmittedKernelDef&>(*all.find(name));
}
kernel::DeviceInfo tf32_device() {
  kernel::DeviceInfo device = testing_device();
  device.properties["tf32"] = "1";
  return device;
}

struct Asked {
  std::string title;
  Problem problem;
  std::vector<ir::Tensor> operands, expected;
};

// Rows of a mask: nothing hidden, nothing in the first 128 keys, nothing behind them, anything.
void thin_out_mask(ir::Tensor& mask) {
  const int64_t keys = mask.dims().back();
  for (int64_t i = 0; i < mask.count(); ++i)
    if (const int64_t row = i / keys % 4, tile = i % keys / 128; row == 0 || (row == 1 && tile == 0) || (row == 2 && tile > 0))
      mask.set_f64(i, i % 2 ? 0.0 : -0.0);
}

// `thin`: operand that is a mask with tiles of zeros.
Asked asked(std::string title, Problem problem, bool computed_right = false, int thin = -1) {
  Asked out{std::move(title), std::move(problem), {}, {}};
  if (computed_right) out.problem.operands[1].constant = false;
  std::mt19937 random(7);
  std::vector<ir::Tensor> wide;
  std::vector<const ir::Tensor*> pointers;
  for (const kernel::Operand& operand : out.problem.operands) {
    ir::Tensor t(operand.type.dtype, ir::to_dims(operand.type.shape));
    for (int64_t i = 0; i < t.count(); ++i)
      t.set_f64(i, operand.type.dtype == DataType::kBool ? double(random() % 4 > 0)
                                                         : double(int(random() % 17) - 8) / 8);
    for (const kernel::Stage& stage : out.problem.stages)  // squares are not negative
      if (stage.op == "JoinMoments" && &operand == &out.problem.operands[size_t(stage.inputs[0])])
        for (int64_t i = 1; i < t.count(); i += 2) t.set_f64(i, 4 + 4 * std::fabs(t.f64(i)));
    if (thin >= 0 && &operand == &out.problem.operands[size_t(thin)]) thin_out_mask(t);
    wide.push_back(ir::is_float(t.dtype()) ? t.converted(DataType::kF64) : t);
    out.operands.push_back(std::move(t));
  }
  for (const ir::Tensor& t : wide) pointers.push_back(&t);
  auto expected = eval::evaluate_problem(ops(), out.problem, pointers, true);
  EXPECT_TRUE(expected.ok()) << out.title << ": " << expected.status().to_string();
  if (expected.ok()) out.expected = std::move(*expected);
  return out;
}

const Behind kRelu{true, false, Activation::kRelu}, kBoth{true, true, Activation::kRelu};

std::vector<Asked> contractions() {
  std::vector<Asked> out;
  const auto conv = [&](const char* title, ConvCase c, DataType type, bool computed = false) {
    out.push_back(asked(title, conv_problem(c, type), computed));
  };
  conv("pointwise with residual", {2, 64, 6, 5, 96, 1, 1, 1, 0, 0, 1, 1, kBoth}, DataType::kF16);
  conv("3x3, odd sizes", {1, 64, 9, 7, 72, 3, 3, 1, 1, 1, 1, 1, kRelu}, DataType::kF16);
  conv("3x3, stride 2, narrow depth", {2, 32, 11, 10, 40, 3, 3, 2, 1, 1, 1, 1, kRelu}, DataType::kBF16);
  conv("3x3, dilation 2", {1, 64, 10, 10, 64, 3, 3, 1, 2, 2, 2, 1, {}}, DataType::kF16);
  conv("3x3, two groups", {1, 128, 6, 6, 128, 3, 3, 1, 1, 1, 1, 2, kBoth}, DataType::kF16);
  conv("5x1", {3, 16, 8, 8, 24, 5, 1, 1, 2, 0, 1, 1, {}}, DataType::kF16);
  conv("3x3 in tf32", {1, 32, 7, 7, 48, 3, 3, 1, 1, 1, 1, 1, kRelu}, DataType::kF32);
  conv("deep, few pixels", {1, 512, 4, 4, 128, 3, 3, 1, 1, 1, 1, 1, kBoth}, DataType::kF16);
  conv("computed 3x3 filters", {1, 64, 6, 6, 40, 3, 3, 1, 1, 1, 1, 1, {}}, DataType::kF16, true);
  conv("computed 1x1 filters, groups", {2, 128, 5, 5, 64, 1, 1, 1, 0, 0, 1, 2, {}}, DataType::kF16, true);
  conv("computed 3x3 filters, small", {1, 6, 6, 6, 10, 3, 3, 1, 1, 1, 1, 2, {}}, DataType::kF16, true);
  conv("computed 3x3 filters in f32", {1, 6, 6, 6, 10, 3, 3, 2, 1, 1, 1, 1, {}}, DataType::kF32, true);
  const auto product = [&](const char* title, ProductCase c, DataType type) {
    out.push_back(asked(title, product_problem(c, type)));
  };
  product("one row", {{}, 1, 136, 96, true, {}, kRelu}, DataType::kF16);
  product("many rows, gelu", {{2}, 150, 200, 128, true, {}, {true, false, Activation::kGelu}}, DataType::kF16);
  product("batches and a broadcast", {{2, 3}, 40, 72, 64, false, {1, 3}, {false, true, Activation::kSilu}}, DataType::kF16);
  product("deep", {{}, 33, 64, 1024, true, {}, kRelu}, DataType::kBF16);
  product("f32", {{}, 35, 50, 47, true, {}, kRelu}, DataType::kF32);
  out.push_back(asked("gemm, both turned", gemm_problem({64, 72, 80, true, true, false, 0.5, 2, {64, 1}}, DataType::kF16)));
  out.push_back(asked("gemm, odd", gemm_problem({33, 65, 47, true, false, false, 1, 1, {65}}, DataType::kF32)));
  out.push_back(asked("gemm, turned weights", gemm_problem({20, 48, 64, false, true, true, 1, 1, {}}, DataType::kBF16)));
  return out;
}

// What makes a tile walk a way of its own.
std::string kind_of(const std::string& name, const Tactic& t) {
  std::string out = name;
  for (const char* key : {"swap", "ping", "cm", "cn", "split", "g", "b", "mma", "slices"})
    out += cat(" ", t.get(key));
  return out;
}

// One case per kind of tactic and at least one per problem and family that takes it; the titles of
// problems by family.
void add_cases(const std::vector<Asked>& problems, std::span<const std::string_view> names,
               std::vector<HostCase>& cases, std::map<std::string, std::set<std::string>>& taken) {
  std::set<std::string> kinds;
  for (const std::string_view name : names)
    for (const Asked& one : problems) {
      const EmittedKernelDef& def = family(name);
      const kernel::DeviceInfo device = tf32_device();
      if (!def.supports(one.problem, device).ok()) continue;
      taken[std::string(name)].insert(one.title);
      for (const kernel::LayoutChoice& layouts : def.layouts(one.problem, device)) {
        const Problem problem = with_layouts(one.problem, layouts);
        bool first = true;
        for (const Tactic& tactic : def.tactics(problem, device)) {
          if (!kinds.insert(kind_of(std::string(name), tactic)).second && !first) continue;
          first = false;
          auto made = host_case(one.title, def, problem, tactic, device, one.operands, one.expected);
          ASSERT_TRUE(made.ok()) << one.title << ": " << made.status().to_string();
          cases.push_back(std::move(*made));
        }
      }
    }
}

TEST(ContractionsOnTheHost, GiveWhatTheInterpreterGives) {
  const std::vector<Asked> problems = contractions();
  std::vector<HostCase> cases;
  std::map<std::string, std::set<std::string>> taken;
  const std::string_view names[] = {"cuda.contraction_wgmma", "cuda.contraction_plain"};
  add_cases(problems, names, cases, taken);
  // Ways that no prediction puts first at these sizes.
  const wgmma::Tile tiles[] = {
      {.groups = 2, .width = 64, .share_weights = 2},
      {.groups = 1, .width = 32, .share_rows = 2},
      {.groups = 2, .width = 64, .ping_pong = true},
      {.groups = 2, .width = 32, .ping_pong = true, .share_weights = 2},
      {.groups = 1, .blocks = 2, .width = 32, .swap = true},
      {.groups = 3, .width = 48},
      {.groups = 1, .width = 64, .residents = 2, .split = 4},
      {.groups = 2, .blocks = 1, .width = 64, .stages = 2},
      {.groups = 2, .blocks = 1, .width = 64, .residents = 2, .boxes = true},
      {.groups = 1, .blocks = 2, .width = 48, .boxes = true},
      {.groups = 1, .width = 64, .residents = 2, .split = 2, .boxes = true},
  };
  int forced = 0;
  for (const Asked& one : problems)
    for (const wgmma::Tile& tile : tiles) {
      if (one.title != "3x3, odd sizes" && one.title != "many rows, gelu" && one.title != "deep") continue;
      const EmittedKernelDef& def = family(names[0]);
      const Problem problem = laid_out(def, one.problem, testing_device());
      auto made = host_case(one.title, def, problem, wgmma::write(tile), testing_device(), one.operands, one.expected);
      if (!made.ok()) continue;  // not a tile of this problem
      cases.push_back(std::move(*made));
      ++forced;
    }
  EXPECT_GE(forced, 14);
  EXPECT_GE(taken["cuda.contraction_wgmma"].size(), 15u);
  EXPECT_EQ(taken["cuda.contraction_plain"].size(), problems.size());
  std::cout << cases.size() << " kernels\n";
  for (const std::string& wrong : run_on_host(cases)) ADD_FAILURE() << wrong;
}

TEST(ContractionsOnTheHost, MomentsOfRows) {
  std::vector<Asked> problems;
  const auto moments = [&](const char* title, MomentsCase c, DataType type) {
    problems.push_back(asked(title, moments_problem(c, type)));
  };
  moments("joins", {100, 144, 192, 48, 0, 0, true}, DataType::kF16);
  moments("joins an odd number", {70, 64, 96, 32, 0, 0, false}, DataType::kBF16);
  moments("leaves 48s", {100, 192, 256, 0, 0, 48, false}, DataType::kF16);
  moments("leaves 32s", {37, 192, 256, 0, 0, 32, false}, DataType::kBF16);
  moments("all in 48s", {100, 192, 384, 48, 48, 48, false}, DataType::kF16);
  moments("all in 32s", {65, 128, 512, 32, 32, 32, true}, DataType::kF16);
  const wgmma::Tile tiles[] = {
      {.groups = 1, .width = 48, .residents = 2, .split = 2},
      {.groups = 1, .width = 96, .residents = 1, .split = 4},
      {.groups = 1, .width = 64, .residents = 2, .split = 4},
      {.groups = 1, .width = 96, .residents = 1},
      {.groups = 2, .width = 96, .residents = 2},
      {.groups = 2, .blocks = 2, .width = 96},
      {.groups = 2, .blocks = 1, .width = 64, .share_weights = 2},
      {.groups = 2, .blocks = 1, .width = 96, .ping_pong = true},
      {.groups = 1, .blocks = 1, .width = 32, .share_rows = 2},
      {.groups = 1, .width = 144},
      {.groups = 3, .width = 40, .swap = true},
      {.groups = 1, .width = 104, .swap = true},
      {.groups = 1, .blocks = 2, .width = 32, .swap = true, .split = 2},
  };
  const EmittedKernelDef& def = family("cuda.contraction_wgmma");
  std::vector<HostCase> cases;
  std::map<std::string, int> taken;
  for (const Asked& one : problems) {
    ASSERT_TRUE(def.supports(one.problem, testing_device()).ok()) << one.title << def.supports(one.problem, testing_device()).message();
    EXPECT_FALSE(family("cuda.contraction_plain").supports(one.problem, testing_device()).ok());
    for (const wgmma::Tile& tile : tiles) {
      auto made = host_case(one.title, def, one.problem, wgmma::write(tile), testing_device(), one.operands, one.expected);
      if (!made.ok()) continue;  // the tile cuts a part
      ++taken[one.title];
      cases.push_back(std::move(*made));
    }
    EXPECT_GE(taken[one.title], 3) << one.title;
  }
  std::cout << cases.size() << " kernels\n";
  for (const std::string& wrong : run_on_host(cases)) ADD_FAILURE() << wrong;
}

TEST(ContractionsOnTheHost, AttentionAndStem) {
  std::vector<Asked> problems;
  const auto attention = [&](const char* title, AttentionCase c, DataType type) {
    problems.push_back(asked(title, attention_problem(c, type)));
  };
  attention("flat, tails", {2, 2, 70, 150, 64, 0, true}, DataType::kF16);
  attention("shared heads of 128", {1, 4, 65, 130, 128, 2}, DataType::kBF16);
  attention("causal, mask per row", {1, 2, 140, 140, 64, 0, false, true, {1, 1, 140, 140}}, DataType::kF16);
  attention("boolean mask", {2, 1, 20, 300, 64, 0, true, false, {2, 1, 1, 300}, DataType::kBool}, DataType::kF16);
  attention("parts of one operand", {2, 3, 70, 70, 64, 0, true, false, {2, 1, 1, 70}, DataType::kF16, true}, DataType::kF16);
  const AttentionCase thin{4, 2, 70, 200, 64, 1, true, false, {4, 1, 1, 200}};
  problems.push_back(asked("tiles that hide nothing", attention_problem(thin, DataType::kF16), false, 3));
  attention("a mask by head, causal", {1, 2, 136, 136, 128, 0, false, true, {2, 1, 136}, DataType::kBF16}, DataType::kBF16);
  const auto stem = [&](const char* title, ConvCase c, DataType type) {
    problems.push_back(asked(title, conv_problem(c, type)));
  };
  stem("7x7, stride 2", {1, 3, 21, 19, 24, 7, 7, 2, 3, 3, 1, 1, kRelu}, DataType::kF16);
  stem("3x3, stride 1", {2, 3, 17, 18, 64, 3, 3, 1, 1, 1, 1, 1, kRelu}, DataType::kBF16);
  std::vector<HostCase> cases;
  std::map<std::string, std::set<std::string>> taken;
  const std::string_view names[] = {"cuda.attention_wgmma", "cuda.attention_plain", "cuda.stem_wgmma"};
  add_cases(problems, names, cases, taken);
  // CTAs that walk over heads, which no tactic proposes for so few.
  const EmittedKernelDef& def = family(names[0]);
  int walks = 0;
  for (const Asked& one : problems)
    for (const char* text : {"g=1,occ=1,ring=2", "g=2,occ=1,ring=3", "g=2,occ=1,ring=2,teams=2", "g=1,occ=1,ring=1,teams=2", "g=2,mask=1,occ=1,ring=4,teams=1", "g=2,mask=1,occ=1,ring=2,teams=2", "g=1,mask=1,occ=1,ring=3"}) {
      if (!def.supports(one.problem, testing_device()).ok()) continue;
      auto made = host_case(one.title, def, one.problem, *Tactic::parse(text), testing_device(), one.operands, one.expected);
      if (!made.ok()) continue;  // more than the shared memory, or a mask that does not come
      cases.push_back(std::move(*made));
      ++walks;
    }
  EXPECT_GE(walks, 26);
  EXPECT_EQ(taken["cuda.attention_wgmma"].size(), 7u);
  EXPECT_EQ(taken["cuda.stem_wgmma"].size(), 2u);
  for (const std::string& wrong : run_on_host(cases)) ADD_FAILURE() << wrong;
}

// Convolutions on patches: every way a tile lies, edges that no tile fits, chunks of depth, tails of
// channels and depth, dilation, windows that are not square.
TEST(ContractionsOnTheHost, Windows) {
  const std::pair<const char*, std::pair<ConvCase, DataType>> convs[] = {
      {"64 channels, residual", {{2, 64, 17, 19, 64, 3, 3, 1, 1, 1, 1, 1, kBoth}, DataType::kF16}},
      {"32 channels, no padding", {{1, 32, 20, 37, 32, 3, 3, 1, 0, 0, 1, 1, kRelu}, DataType::kBF16}},
      {"5x3, tails of depth and channels", {{3, 40, 11, 13, 72, 5, 3, 1, 2, 1, 1, 1, kRelu}, DataType::kF16}},
      {"two chunks, dilation", {{1, 96, 12, 14, 48, 3, 3, 1, 2, 2, 2, 1, {}}, DataType::kF16}},
      {"two tiles of channels", {{1, 64, 9, 30, 128, 1, 3, 1, 0, 1, 1, 1, kBoth}, DataType::kF16}},
  };
  const window::Tile tiles[] = {
      {.groups = 3, .blocks = 1, .across = 1, .width = 64},  {.groups = 2, .blocks = 2, .across = 1, .width = 32, .row_bytes = 64},
      {.groups = 3, .blocks = 2, .across = 2, .width = 64},  {.groups = 2, .blocks = 4, .across = 2, .width = 48, .row_bytes = 64},
      {.groups = 2, .blocks = 2, .across = 0, .width = 96},  {.groups = 1, .blocks = 3, .across = 0, .width = 32},
      {.groups = 2, .blocks = 1, .across = 0, .width = 80, .row_bytes = 64},
  };
  const EmittedKernelDef& def = family("cuda.window_wgmma");
  std::vector<Asked> problems;
  for (const auto& [title, c] : convs) problems.push_back(asked(title, conv_problem(c.first, c.second)));
  std::vector<HostCase> cases;
  for (const Asked& one : problems) {
    const Problem problem = laid_out(def, one.problem, testing_device());
    ASSERT_TRUE(def.supports(problem, testing_device()).ok()) << def.supports(problem, testing_device()).to_string();
    for (const window::Tile& tile : tiles) {
      auto made = host_case(one.title, def, problem, window::write(tile), testing_device(), one.operands, one.expected);
      if (!made.ok()) continue;  // more than shared memory
      cases.push_back(std::move(*made));
    }
  }
  EXPECT_GE(cases.size(), 30u);
  for (const std::string& wrong : run_on_host(cases)) ADD_FAILURE() << wrong;
}

// A max pool behind a convolution: strips and segments of a stem, blocks of whole windows, sizes that neither
// fits, padding on one side, lines that no window takes, windows beyond the end, an expression behind.
TEST(ContractionsOnTheHost, PooledConvolutions) {
  struct One {
    const char* title;
    std::string_view family;
    ConvCase conv;
    PoolCase pool;
    DataType type;
  };
  const std::string_view stem = "cuda.stem_wgmma", window = "cuda.window_wgmma", wide = "cuda.contraction_wgmma";
  const One all[] = {
      {"as ResNet's", stem, {2, 3, 75, 47, 64, 7, 7, 2, 3, 3, 1, 1, kRelu}, {3, 3, 2, 1, 1, 1, 1}, DataType::kF16},
      {"2x2 at stride 1, tails of channels", stem, {1, 3, 29, 40, 27, 3, 3, 1, 1, 1, 1, 1, kRelu}, {}, DataType::kBF16},
      {"5x4 at stride 1, one side padded", stem, {1, 2, 21, 19, 96, 3, 3, 1, 0, 1, 1, 1, {}}, {5, 4, 1, 2, 0, 0, 3}, DataType::kF16},
      {"3x3 to the end, with what follows", stem, {3, 4, 36, 23, 32, 5, 5, 2, 2, 2, 1, 1, kBoth}, {3, 3, 2, 0, 0, 0, 0, true, true}, DataType::kF16},
      {"wider steps than windows", stem, {1, 3, 40, 40, 128, 3, 3, 1, 1, 1, 1, 1, kRelu}, {1, 2, 3}, DataType::kF16},
      {"as VGG's", window, {2, 64, 18, 22, 64, 3, 3, 1, 1, 1, 1, 1, kRelu}, {}, DataType::kF16},
      {"odd sizes", window, {1, 40, 19, 13, 96, 3, 3, 1, 1, 1, 1, 1, kRelu}, {}, DataType::kBF16},
      {"boxes", wide, {3, 64, 18, 21, 64, 3, 3, 1, 1, 1, 1, 1, kRelu}, {}, DataType::kF16},
      {"boxes, narrow depth", wide, {2, 32, 17, 8, 96, 5, 3, 1, 2, 0, 1, 1, {}}, {}, DataType::kBF16},
  };
  const window::Tile tiles[] = {{.groups = 3, .blocks = 1, .across = 1, .width = 64},
                                {.groups = 2, .blocks = 2, .across = 2, .width = 32},
                                {.groups = 2, .blocks = 2, .across = 1, .width = 96, .row_bytes = 64}};
  const wgmma::Tile boxes[] = {{.groups = 2, .blocks = 1, .width = 64, .boxes = true},
                               {.groups = 2, .blocks = 2, .width = 96, .boxes = true},
                               {.groups = 2, .blocks = 1, .width = 32, .ping_pong = true, .boxes = true},
                               {.groups = 1, .blocks = 2, .width = 32, .share_weights = 2, .boxes = true}};
  std::vector<Asked> problems;
  for (const One& one : all) problems.push_back(asked(one.title, pooled_problem(one.conv, one.pool, one.type)));
  std::vector<HostCase> cases;
  std::map<std::string, int> taken;
  for (size_t i = 0; i < std::size(all); ++i) {
    const EmittedKernelDef& def = family(all[i].family);
    const Asked& one = problems[i];
    ASSERT_TRUE(def.supports(one.problem, testing_device()).ok()) << one.title << def.supports(one.problem, testing_device()).to_string();
    const std::vector<kernel::LayoutChoice> layouts = def.layouts(one.problem, testing_device());
    const Problem problem = with_layouts(one.problem, layouts[i % layouts.size()]);
    std::vector<Tactic> tactics = def.tactics(problem, testing_device());
    EXPECT_FALSE(tactics.empty());
    if (all[i].family == window) {
      tactics.clear();
      for (const window::Tile& tile : tiles) tactics.push_back(window::write(tile));
    } else if (all[i].family == wide) {
      tactics.clear();
      for (const wgmma::Tile& tile : boxes) tactics.push_back(wgmma::write(tile));
    } else {
      for (const int rows : {3, 1000}) tactics.push_back(stem::write({.residents = 1, .rows = rows}));
    }
    for (const Tactic& tactic : tactics) {
      auto made = host_case(one.title, def, problem, tactic, testing_device(), one.operands, one.expected);
      if (!made.ok()) continue;  // not a tile of this problem
      ++taken[one.title];
      cases.push_back(std::move(*made));
    }
    EXPECT_GE(taken[one.title], 2) << one.title;
  }
  std::cout << cases.size() << " kernels\n";
  for (const std::string& wrong : run_on_host(cases)) ADD_FAILURE() << wrong;
}

// Fused bottlenecks: every block of the tactics at small sizes, with edges that no tile fits, lopsided
// padding, channels that fill no chunk and no block of 8.
TEST(ContractionsOnTheHost, Bottlenecks) {
  const double none = std::numeric_limits<double>::infinity();
  const std::pair<BottleneckCase, DataType> blocks[] = {
      {{1, 16, 17, 15, 96, 24, 1, true, false}, DataType::kF16},
      {{2, 24, 9, 20, 144, 24, 1, true, true}, DataType::kF16},
      {{1, 24, 13, 16, 144, 32, 2, true, false}, DataType::kF16},
      {{1, 32, 8, 7, 48, 20, 1, true, false, 1, 1, none}, DataType::kBF16},
      {{1, 40, 11, 11, 100, 8, 2, true, false, 0, 1}, DataType::kF16},
      {{1, 32, 18, 18, 32, 16, 1, false, false}, DataType::kF16},
      {{1, 80, 10, 9, 80, 36, 2, false, false, 0, 1}, DataType::kBF16},
  };
  std::vector<Asked> problems;
  for (const auto& [c, type] : blocks)
    problems.push_back(asked(cat("bottleneck ", c.in, "-", c.mid, "-", c.out, " ", c.h, "x", c.w), bottleneck_problem(c, type)));
  const EmittedKernelDef& def = family("cuda.bottleneck_mma");
  std::vector<HostCase> cases;
  for (const Asked& one : problems) {
    ASSERT_TRUE(def.supports(one.problem, testing_device()).ok()) << def.supports(one.problem, testing_device()).to_string();
    const Problem problem = laid_out(def, one.problem, testing_device());
    const std::vector<Tactic> tactics = def.tactics(problem, testing_device());
    for (size_t i = 0; i < tactics.size(); i += 3) {
      auto made = host_case(one.title, def, problem, tactics[i], testing_device(), one.operands, one.expected);
      ASSERT_TRUE(made.ok()) << made.status().to_string();
      cases.push_back(std::move(*made));
    }
  }
  std::cout << cases.size() << " kernels\n";
  for (const std::string& wrong : run_on_host(cases)) ADD_FAILURE() << wrong;
}

// Each tactic that the family offers for each of the problems, `least` kernels in all.
void expect_every_tactic(const EmittedKernelDef& def, const std::vector<Asked>& problems, size_t least) {
  std::vector<HostCase> cases;
  for (const Asked& one : problems) {
    ASSERT_TRUE(def.supports(one.problem, testing_device()).ok()) << one.title << def.supports(one.problem, testing_device()).to_string();
    const Problem problem = laid_out(def, one.problem, testing_device());
    for (const Tactic& tactic : def.tactics(problem, testing_device())) {
      auto made = host_case(one.title, def, problem, tactic, testing_device(), one.operands, one.expected);
      ASSERT_TRUE(made.ok()) << made.status().to_string();
      cases.push_back(std::move(*made));
    }
  }
  EXPECT_GE(cases.size(), least);
  for (const std::string& wrong : run_on_host(cases)) ADD_FAILURE() << wrong;
}

// Two 1x1 convolutions in one kernel: tails of rows, one and two stages of input, wide tensors that are
// read again and that are not.
TEST(ContractionsOnTheHost, Pairs) {
  const std::pair<const char*, std::pair<PairCase, DataType>> pairs[] = {
      {"residual, filters stay", {{2, 64, 128, 64, 23, 17, true, true}, DataType::kF16}},
      {"no residual, inner wide tensor", {{1, 40, 192, 96, 7, 9, false, false}, DataType::kBF16}},
      {"two boxes of input", {{3, 96, 256, 64, 10, 8, true, true}, DataType::kF16}},
      {"one stage of input", {{1, 128, 256, 128, 31, 13, true, false}, DataType::kF16}},
  };
  const EmittedKernelDef& def = family("cuda.pair_wgmma");
  std::vector<Asked> problems;
  for (const auto& [title, c] : pairs) problems.push_back(asked(title, pair_problem(c.first, c.second)));
  expect_every_tactic(def, problems, 6);
}

// Dense layers in one kernel: every cluster; odd widths, one output, several groups of rows, more tiles of a
// CTA than warps, rings that come round, a residual, single pixels.
TEST(ContractionsOnTheHost, Stacks) {
  const std::pair<const char*, std::pair<StackCase, DataType>> stacks[] = {
      {"one row", {{1, {256, 320, 128, 1}}, DataType::kF16}},
      {"odd widths", {{3, {37, 45, 50, 19}}, DataType::kBF16}},
      {"rows, residual", {{21, {64, 144, 72}, false, true}, DataType::kF16}},
      {"pixels", {{2, {96, 24, 96}, true}, DataType::kBF16}},
      {"wide", {{1, {72, 640, 40}}, DataType::kF16}},
  };
  const EmittedKernelDef& def = family("cuda.stack_mma");
  std::vector<Asked> problems;
  for (const auto& [title, c] : stacks) problems.push_back(asked(title, stack_problem(c.first, c.second)));
  expect_every_tactic(def, problems, 15);
}

// That the right kernel is right, and with a piece of its text replaced is not.
void expect_faults_seen(const HostCase& right, std::span<const std::pair<std::string, std::string>> faults) {
  std::vector<HostCase> cases = {right};
  for (const auto& [from, to] : faults) {
    HostCase wrong = right;
    std::string& source = wrong.step.kernels[0].source;
    const size_t at = source.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    source.replace(at, from.size(), to);
    wrong.title = cat("fault ", cases.size(), " ", from);
    cases.push_back(std::move(wrong));
  }
  const std::vector<std::string> seen = run_on_host(cases);
  const auto is_seen = [&](const HostCase& one) {
    return std::any_of(seen.begin(), seen.end(), [&](const std::string& text) { return text.starts_with(one.title.substr(0, 20)); });
  };
  EXPECT_FALSE(is_seen(right));
  for (size_t i = 1; i < cases.size(); ++i) EXPECT_TRUE(is_seen(cases[i])) << "not seen: " << cases[i].title;
}

// Faults planted in a right kernel are seen: what the emulated GPU is for.
TEST(ContractionsOnTheHost, PlantedFaultsAreSeen) {
  const Asked one = asked("deep", conv_problem({1, 512, 8, 8, 128, 3, 3, 1, 1, 1, 1, 1, kBoth}, DataType::kF16));
  const EmittedKernelDef& def = family("cuda.contraction_wgmma");
  const Problem problem = laid_out(def, one.problem, testing_device());
  const wgmma::Tile tile{.groups = 2, .width = 64, .stages = 2};
  auto right = host_case(one.title, def, problem, wgmma::write(tile), testing_device(), one.operands, one.expected);
  ASSERT_TRUE(right.ok()) << right.status().to_string();
  const std::pair<std::string, std::string> faults[] = {
      {"      wgmma_wait<0>();\n      release(empty", "      release(empty"},                // sums read too early
      {"barrier_wait(full + 8 * r.stage, r.parity);\n        multiply", "multiply"},         // operands read too early
      {"barrier_wait(empty + 8 * r.stage, r.parity); barrier_expect", "barrier_expect"},     // ring overwritten
      {"if (step > begin) release(empty + 8 * previous, lane);", ""},                        // producer never goes on
      {"(lane & 3) * kPermuted", "(lane & 3) * kLanes / 2"},                                 // channels permuted wrongly
      {"        grid_wait();\n#pragma unroll", "#pragma unroll"},                                // residual read too early
      {"grid_wait();\n      if (kOneWave)", "if (kOneWave)"},                                // inputs read too early
      {"constexpr int kSwizzle = 1;", "constexpr int kSwizzle = 2;"},                        // wrong swizzle
  };
  expect_faults_seen(*right, faults);
  auto split = host_case("split", def, problem, wgmma::write({.groups = 1, .width = 24, .swap = true, .split = 2}),
                         testing_device(), one.operands, one.expected);
  ASSERT_TRUE(split.ok()) << split.status().to_string();
  const std::pair<std::string, std::string> split_faults[] = {
      {"        barrier_wait(joined, 0);", ""},  // sums of others read too early
      {"barrier_expect(joined, kReduceBytes)", "barrier_expect(joined, kReduceBytes / 2)"},  // of one member alone
  };
  expect_faults_seen(*split, split_faults);
}

// The same of a pair whose residual comes through a ring.
TEST(ContractionsOnTheHost, PlantedFaultsOfARingAreSeen) {
  const Asked one = asked("ring", pair_problem({2, 64, 256, 64, 23, 17}, DataType::kF16));
  const EmittedKernelDef& def = family("cuda.pair_wgmma");
  const Problem problem = laid_out(def, one.problem, testing_device());
  auto right = host_case(one.title, def, problem, pair::write({.groups = 2, .ring = 2}), testing_device(), one.operands, one.expected);
  ASSERT_TRUE(right.ok()) << right.status().to_string();
  const std::pair<std::string, std::string> faults[] = {
      {"barrier_wait(residual_full + 8 * held, place_parity);", ""},    // residual read too early
      {"barrier_wait(residual_empty + 8 * held, place_parity);", ""},   // ring overwritten
      {"if (quad == 0 && lane == 0) barrier_arrive(residual_empty", "if (false) barrier_arrive(residual_empty"},  // producer never goes on
      {"chunk * 64, row, 0);", "chunk * 64, row + 64, 0);"},             // another group's rows
      {"^ in_group & 7) << 4));", ") << 4));"},                          // the swizzle forgotten
  };
  expect_faults_seen(*right, faults);
}

// The same of a stack of layers.
TEST(ContractionsOnTheHost, PlantedFaultsOfAStackAreSeen) {
  const Asked one = asked("stack", stack_problem({3, {64, 656, 1024, 8}}, DataType::kF16));
  const EmittedKernelDef& def = family("cuda.stack_mma");
  const Problem problem = laid_out(def, one.problem, testing_device());
  auto right = host_case(one.title, def, problem, stack::write({.cluster = 4}), testing_device(), one.operands, one.expected);
  ASSERT_TRUE(right.ok()) << right.status().to_string();
  const std::pair<std::string, std::string> faults[] = {
      {"if (tiles > 0) barrier_wait(ready + 8, 0);", ""},                      // a layer begins too early
      {"    grid_wait();\n", ""},                                             // the input read too early
      {"barrier_wait(full + 8 * ring.stage, ring.parity);", ""},               // weights read too early
      {"barrier_wait(empty + 8 * ring.stage, ring.parity ^ 1);", ""},          // ring overwritten
      {"if (lane == 0) barrier_arrive(empty", "if (false) barrier_arrive(empty"},  // weights never come
      {"put_shared(base + ", "if (false) put_shared(base + "},                 // what lies beyond a layer's width not zeroed
      {"for (int s = 0; s < kSplit; ++s)", "for (int s = 0; s < 1; ++s)"},           // a part of the depth lost
  };
  expect_faults_seen(*right, faults);
}

}  // namespace
}  // namespace planish::cuda
