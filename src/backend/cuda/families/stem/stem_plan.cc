#include "backend/cuda/families/stem/stem_plan.h"

#include <algorithm>
#include <cmath>

#include "backend/cuda/emit/emitted_kernel_def.h"
#include "base/text.h"

namespace planish::cuda::stem {
namespace {

constexpr int kMaxSharedBytes = 232448;  // of one CTA on sm_90
constexpr size_t kMostSegments = 2;      // sizes of segments to time per number of residents

// Every window has an element of the image, along both dims.
bool windows_touch(const PooledProduct& problem) {
  const MaxPool& pool = *problem.pool;
  const kernel::Window& w = pool.window;
  const ConvGeometry& g = problem.product.conv;
  const int64_t sizes[] = {g.out_height, g.out_width}, pooled[] = {pool.height, pool.width};
  for (size_t d = 0; d < 2; ++d)
    if (w.kernel[d] <= w.pads_begin[d] || (pooled[d] - 1) * w.strides[d] - w.pads_begin[d] >= sizes[d]) return false;
  return true;
}

// Strips and segments; in the end how many tiles the longest segment has.
Status place_pool(const PooledProduct& problem, const Tactic& tactic, StemPlan& plan) {
  const MaxPool& pool = *problem.pool;
  const ConvGeometry& g = problem.product.conv;
  const kernel::Window& w = pool.window;
  if (plan.permuted != 8)
    return unsupported(cat(problem.product.channels, " filters before a pool, expected 32, 64, 96 or 128 in all"));
  if (g.out_height == 1 && g.height == 1) return unsupported("a pool over one dim");
  if (tactic.lean && !windows_touch(problem)) return unsupported("a window beyond the image");
  plan.pooled_width = (kTileWidth - w.kernel[1]) / w.strides[1] + 1;
  plan.pooled_rows = tactic.rows > 0 ? std::min<int64_t>(tactic.rows, pool.height) : pool.height;
  plan.tiles_x = (pool.width + plan.pooled_width - 1) / plan.pooled_width;
  plan.tiles_y = (pool.height + plan.pooled_rows - 1) / plan.pooled_rows;
  plan.tiles = g.images * plan.tiles_x * plan.tiles_y;
  for (int64_t i = 0; i < plan.tiles_y; ++i) {
    const int64_t last = std::min((i + 1) * plan.pooled_rows, pool.height) - 1;
    const int64_t first = std::max<int64_t>(i * plan.pooled_rows * w.strides[0] - w.pads_begin[0], 0);
    const int64_t end = std::min(last * w.strides[0] - w.pads_begin[0] + w.kernel[0], g.out_height);
    if (end <= first) return unsupported("a window beyond the image");
    plan.segment_tiles = std::max(plan.segment_tiles, (end - first + kTileHeight - 1) / kTileHeight);
  }
  plan.ring_bytes = 2 * kTileHeight * kTileWidth * plan.width * 2;
  return ok_status();
}

}  // namespace

kernel::Tactic write(const Tactic& tactic) {
  kernel::Tactic out{{{"occ", tactic.residents}}};
  if (tactic.rows > 0) out.params["rows"] = tactic.rows;
  if (tactic.lean) out.params["lean"] = 1;
  return out;
}

Tactic read(const kernel::Tactic& tactic) {
  return {int(tactic.get("occ", 2)), int(tactic.get("rows", 0)), tactic.get("lean") != 0};
}

Result<StemPlan> plan_of(const PooledProduct& problem, const Tactic& tactic) {
  const Product& p = problem.product;
  if (!p.is_conv) return other_family();
  PLANISH_RETURN_IF_ERROR(without_moments(p));
  const ConvGeometry& g = p.conv;
  if (p.type == ir::DataType::kF32) return unsupported("f32, expected f16 or bf16");
  if (!p.right_constant) return unsupported("computed weights");
  if (p.batches != 1 || g.dilation_x * g.dilation_y != 1) return unsupported("groups or dilation");
  if (g.stride_x != 1 && g.stride_x != 2)
    return unsupported(cat("a stride of ", g.stride_x, ", expected 1 or 2"));
  StemPlan plan;
  plan.residents = tactic.residents;
  plan.lean = tactic.lean;
  plan.pixel = g.stride_x == 2 ? 4 : 8;
  if (g.channels > plan.pixel)
    return unsupported(cat(g.channels, " channels, expected at most ", plan.pixel));
  plan.row_steps = int((g.taps_x * plan.pixel + 15) / 16);
  plan.width = int((p.channels + 15) / 16 * 16);
  if (plan.width > 128) return unsupported(cat(p.channels, " filters, expected at most 128"));
  int bytes = 1;
  for (const Access& a : p.epilogue.results) bytes = std::max(bytes, ir::bits_of(a.type) / 8);
  plan.permuted = plan.width % 32 == 0 && bytes <= 2 ? 8 : 4;
  plan.patch_height = int((kTileHeight - 1) * g.stride_y + g.taps_y);
  plan.patch_width = int((kTileWidth - 1) * g.stride_x + plan.row_steps * 16 / plan.pixel);
  plan.tiles_x = (g.out_width + kTileWidth - 1) / kTileWidth;
  plan.tiles_y = (g.out_height + kTileHeight - 1) / kTileHeight;
  plan.tiles = g.images * plan.tiles_x * plan.tiles_y;
  if (problem.pool) PLANISH_RETURN_IF_ERROR(place_pool(problem, tactic, plan));
  if (plan.tiles * std::max<int64_t>(plan.segment_tiles, 1) > INT32_MAX) return unsupported("too many tiles");
  if (plan.shared_bytes(p) - plan.ring_bytes > 110000) return unsupported("a filter too large for shared memory");
  if (plan.ring_bytes > 0 && plan.shared_bytes(p) > kMaxSharedBytes / tactic.residents - 1024)
    return unsupported("a filter and rows too large for shared memory");
  return plan;
}

double predict_us(const PooledProduct& problem, const StemPlan& plan, int sm_count) {
  const ConvGeometry& g = problem.product.conv;
  // Clocks of an SM per tile, from an H200: fixed ones, products, rows into the ring and out. CTAs of one SM
  // share it, a lone one hides less.
  const double clocks = 720 + 70.0 * double(g.taps_y) * plan.row_steps + (!problem.pool ? 0 : plan.lean ? 150 : 250);
  const double sharing = std::min<double>(plan.residents, std::ceil(double(plan.tiles) / sm_count));
  const double tile = clocks * (sharing > 1 ? sharing : 1.2) * double(std::max<int64_t>(plan.segment_tiles, 1));
  const double turns = std::ceil(double(plan.tiles) / (sm_count * plan.residents));
  const double out = problem.pool ? double(problem.pool->height * problem.pool->width) : double(g.out_height * g.out_width);
  const double bytes = 2.0 * double(g.images) * (double(g.channels * g.height * g.width) + double(problem.product.channels) * out);
  return std::max((1500 + turns * tile) / 1700, bytes / 3.6e6) + kLaunchUs;
}

std::vector<Tactic> candidates(const PooledProduct& problem, int sm_count) {
  std::vector<Tactic> out;
  for (const int residents : {2, 1}) {
    if (residents == 2 && problem.product.channels > 64) continue;  // two would have 80 registers
    if (!problem.pool) {
      for (const bool lean : {false, true}) out.push_back({.residents = residents, .lean = lean});
      continue;
    }
    std::vector<std::pair<double, Tactic>> found;
    const int64_t height = problem.pool->height;
    for (int64_t segments = 1, last = 0; segments <= height; ++segments) {
      const Tactic tactic{.residents = residents, .rows = int((height + segments - 1) / segments)};
      auto plan = plan_of(problem, tactic);
      if (tactic.rows == last || !plan.ok()) continue;
      last = tactic.rows;
      found.push_back({predict_us(problem, *plan, sm_count), tactic});
    }
    std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    for (size_t i = 0; i < std::min(found.size(), kMostSegments); ++i) {
      Tactic tactic = found[i].second;
      out.push_back(tactic);
      tactic.lean = true;
      if (plan_of(problem, tactic).ok()) out.push_back(tactic);
    }
  }
  return out;
}

}  // namespace planish::cuda::stem
