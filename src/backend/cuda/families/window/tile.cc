#include "backend/cuda/families/window/tile.h"

#include <algorithm>
#include <cmath>

#include "backend/cuda/emit/emitted_kernel_def.h"
#include "base/text.h"

namespace planish::cuda::window {
namespace {

constexpr int kMaxSharedBytes = 232448;  // of one CTA on sm_90
constexpr int kBarrierBytes = 1024;      // barriers, and room to align the patches
constexpr size_t kMostCandidates = 6;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

int widest_result(const Product& p) {
  int bytes = 1;
  for (const Access& a : p.epilogue.results) bytes = std::max(bytes, ir::bits_of(a.type) / 8);
  return bytes;
}

// Registers a consumer thread may have: each quarter of an SM has 16384 for its warps of 32.
int register_cap(const Plan& plan) {
  if (plan.producer_warps == 4) return plan.consumer_registers;
  return std::min(255, 16384 / (32 * ((plan.threads() / 32 + 3) / 4)) / 8 * 8);
}

// Pixels of a tile and of the patch under it.
Status place_tile(const Product& p, Plan& plan) {
  const ConvGeometry& g = p.conv;
  const Tile& t = plan.tile;
  const int64_t halo_x = (g.taps_x - 1) * g.dilation_x, halo_y = (g.taps_y - 1) * g.dilation_y;
  if (t.across > 0) {
    if (t.blocks % t.across) return invalid_argument("blocks that make no rectangle");
    plan.tile_width = 8 * t.across;
    plan.tile_height = 8 * (t.blocks / t.across);
  } else {
    plan.tile_width = g.out_width;
    plan.tile_height = std::min(64 * t.blocks / (g.out_width + halo_x), g.out_height);
    if (plan.tile_height < 1) return unsupported(cat("rows of ", g.out_width, " pixels, wider than a tile"));
  }
  plan.patch_width = plan.tile_width + halo_x;
  plan.patch_height = plan.tile_height + halo_y;
  if (plan.patch_width > 256 || plan.patch_height > 256) return unsupported("a patch larger than a TMA box");
  plan.tiles_x = ceil_div(g.out_width, plan.tile_width);
  plan.tiles_y = ceil_div(g.out_height, plan.tile_height);
  plan.tiles = g.images * plan.tiles_x * plan.tiles_y;
  // Whole rows: the products of what lies behind the last pixel are read, too.
  const int64_t reach = t.across > 0 ? 0 : 64 * t.blocks + halo_y * plan.patch_width + halo_x;
  plan.chunk_bytes = round_up(std::max(plan.patch_width * plan.patch_height, reach) * t.row_bytes, 1024);
  return ok_status();
}

}  // namespace

kernel::Tactic write(const Tile& t) {
  return {{{"g", t.groups}, {"b", t.blocks}, {"x", t.across}, {"w", t.width}, {"row", t.row_bytes}}};
}

Tile read(const kernel::Tactic& tactic) {
  Tile t;
  t.groups = int(tactic.get("g", t.groups));
  t.blocks = int(tactic.get("b", t.blocks));
  t.across = int(tactic.get("x", t.across));
  t.width = int(tactic.get("w", t.width));
  t.row_bytes = int(tactic.get("row", t.row_bytes));
  return t;
}

Status can_take(const PooledProduct& problem) {
  const Product& p = problem.product;
  if (!p.is_conv) return other_family();
  PLANISH_RETURN_IF_ERROR(without_moments(p));
  const ConvGeometry& g = p.conv;
  if (p.type == ir::DataType::kF32) return unsupported("f32, expected f16 or bf16");
  if (!p.right_constant) return unsupported("computed filters");
  if (p.batches != 1) return unsupported(cat(p.batches, " groups, expected 1"));
  if (p.taps() == 1) return unsupported("one tap: nothing is read twice");
  if (g.stride_x != 1 || g.stride_y != 1)
    return unsupported(cat("strides ", g.stride_y, " x ", g.stride_x, ", expected 1"));
  if (p.depth % 8) return unsupported(cat(p.depth, " channels, expected a multiple of 8"));
  if (p.channels < 16) return unsupported(cat(p.channels, " filters, expected at least 16"));
  if (g.taps_x > 16 || g.taps_y > 16) return unsupported("a window wider than 16");
  return problem.pool ? quads_epilogue(problem).status() : ok_status();
}

Result<Plan> plan_of(const PooledProduct& problem, const Tile& t) {
  PLANISH_RETURN_IF_ERROR(can_take(problem));
  const Product& p = problem.product;
  Plan plan;
  plan.tile = t;
  if (t.groups < 1 || t.groups > 4 || t.blocks < 1 || t.blocks > 8 || t.across < 0 || t.width % 16 ||
      t.width < 16 || t.width > 256 || (t.row_bytes != 64 && t.row_bytes != 128))
    return invalid_argument("no such tile");
  plan.chunks = int(ceil_div(p.depth * 2, t.row_bytes));
  plan.steps = int(ceil_div(p.depth, 16));
  plan.permuted = t.width % 32 == 0 && widest_result(p) <= 2 ? 8 : 4;
  plan.channel_tiles = ceil_div(p.channels, t.width);
  if (problem.pool && (t.across == 0 || plan.permuted != 8))
    return unsupported("a tile that does not hold whole windows of the pool");
  PLANISH_RETURN_IF_ERROR(place_tile(p, plan));
  if (plan.tiles * plan.channel_tiles > INT32_MAX) return unsupported("too many tiles");
  plan.weight_bytes = p.taps() * plan.steps * t.width * 32;
  const int64_t room = kMaxSharedBytes - kBarrierBytes - round_up(plan.weight_bytes, 1024);
  if (room < t.groups * plan.patch_bytes())
    return unsupported(cat("filters of ", plan.weight_bytes, " bytes and ", t.groups, " patches of ",
                           plan.patch_bytes(), ", more than shared memory"));
  // A stage serves one group: each waits for its own stages' phases in order.
  plan.stages = int(std::min<int64_t>(room / plan.patch_bytes() / t.groups, 3)) * t.groups;
  plan.shared_bytes = int(round_up(plan.weight_bytes, 1024) + plan.stages * plan.patch_bytes() + 16 * plan.stages + 16);
  plan.producer_warps = plan.sums() >= 96 && t.groups > 1 ? 4 : 1;
  plan.consumer_registers = t.groups == 4 ? 112 : t.groups == 3 ? 160 : 240;
  plan.producer_registers = t.groups == 4 ? 32 : t.groups == 3 ? 32 : 24;
  if (plan.sums() + 44 > register_cap(plan)) return unsupported("more sums than registers");
  return plan;
}

// Clocks of one SM at 1.7 GHz: tensor cores at the rate they had in a loop of their own, TMA by rows,
// an epilogue that other groups' products hide in part; then the memory's floor.
double predict_us(const PooledProduct& problem, const Plan& plan, int sm_count) {
  const Product& p = problem.product;
  const Tile& t = plan.tile;
  constexpr double kTensorRate = 0.82, kRowClocks = 2.5, kEpilogueBytesPerClock = 40, kHidden = 0.6;
  const double tensor = double(p.taps()) * plan.steps * 16 * 2 * 64 * t.blocks * t.width / 4096 / kTensorRate *
                        std::max(1.0, 48.0 / t.width);
  const double load = double(plan.patch_width * plan.patch_height * plan.chunks) * kRowClocks;
  double out_bytes = 0, bytes = 0;
  for (const Access& a : problem.last().results) out_bytes += ir::bits_of(a.type) / 8.0 / (problem.pool ? 4 : 1);
  for (const Access& a : p.epilogue.inputs)
    if (!a.constant && a.moments < 0) out_bytes += ir::bits_of(a.type) / 8;
  const double epilogue = 300 + 64.0 * t.blocks * t.width * out_bytes / kEpilogueBytesPerClock;
  const double share = std::min(double(t.groups), 1 / (1 - kHidden));
  const double tile = std::max({tensor, load, (tensor + 250 + epilogue) / share});
  const double per_sm = std::ceil(double(plan.tiles * plan.channel_tiles) / double(sm_count * t.groups)) * t.groups;
  const double compute = (1500 + double(plan.weight_bytes) / 60 + per_sm * tile) / 1700;
  bytes += double(p.conv.images * p.conv.height * p.conv.width * p.conv.channels) * 2 + double(p.rows * p.channels) * out_bytes;
  return std::max(compute, bytes / 3.6e6) + 0.5;
}

std::vector<Tile> candidates(const PooledProduct& problem, int sm_count) {
  const Product& p = problem.product;
  std::vector<std::pair<double, Tile>> found;
  std::vector<int> widths = {int(round_up(p.channels, p.channels > 16 && p.channels % 32 == 0 ? 32 : 16))};
  for (int width : {64, 96, 128})
    if (width < p.channels && p.channels % width == 0) widths.push_back(width);
  for (int width : widths)
    for (int row : {128, 64}) {
      if (row == 128 && p.depth <= 32) continue;
      for (const auto& [groups, blocks, across] :
           {std::tuple(3, 1, 1), std::tuple(2, 1, 1), std::tuple(4, 1, 1), std::tuple(3, 2, 1), std::tuple(3, 2, 2),
            std::tuple(2, 2, 1), std::tuple(2, 2, 2), std::tuple(3, 4, 2), std::tuple(2, 4, 2), std::tuple(2, 3, 0),
            std::tuple(3, 3, 0), std::tuple(3, 2, 0), std::tuple(2, 2, 0), std::tuple(2, 1, 0), std::tuple(3, 1, 0)}) {
        const Tile t{.groups = groups, .blocks = blocks, .across = across, .width = width, .row_bytes = row};
        auto plan = plan_of(problem, t);
        if (plan.ok()) found.push_back({predict_us(problem, *plan, sm_count), t});
      }
    }
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Tile> out;
  for (const auto& [us, tile] : found) {
    if (out.size() >= kMostCandidates || us > 1.6 * found[0].first) break;
    out.push_back(tile);
  }
  return out;
}

}  // namespace planish::cuda::window
