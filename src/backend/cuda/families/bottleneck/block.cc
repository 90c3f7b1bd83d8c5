#include "backend/cuda/families/bottleneck/block.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"

namespace planish::cuda::bottleneck {
namespace {

constexpr int kSharedOfSm = 233472;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
// Bytes of a pixel of so many channels: an odd multiple of 16, so that 8 pixels beside each other lie in
// different banks.
int pitch_of(int64_t channels) {
  const int bytes = int(channels) * 2;
  return bytes % 32 ? bytes : bytes + 16;
}

// Registers of a thread: each quarter of an SM has 16384 for its warps of 32.
int register_limit(const Block& b) {
  const int warps = (b.threads() / 32 * b.residents + 3) / 4;
  return std::min(255, 16384 / (32 * warps) / 8 * 8);
}

// What a thread holds at its fullest, by the size of what is unrolled.
int registers_of(const Chain& c, const BlockPlan& p) {
  const int sums = p.block.rows * p.out_blocks * 4, middle_blocks = p.block.chunk / 8;
  const int depthwise = p.block.rows * 8 + 2 * 9 + 12 + 2 * p.out_blocks + 8;
  const int expansion = c.expands ? p.depth_steps * middle_blocks * 2 + middle_blocks * 6 + 8 : 0;
  return 38 + sums + std::max(depthwise, expansion - 8) + (p.block.unrolled ? 40 : 0);
}

}  // namespace

kernel::Tactic write(const Block& b) {
  kernel::Tactic out{{{"rows", b.rows}, {"columns", b.columns}, {"down", b.down}, {"across", b.across},
                      {"loaders", b.loaders}, {"chunk", b.chunk}, {"occ", b.residents}}};
  if (b.unrolled) out.params["unrolled"] = 1;
  return out;
}

Block read(const kernel::Tactic& t) {
  Block b;
  b.rows = int(t.get("rows", 2));
  b.columns = int(t.get("columns", 14));
  b.down = int(t.get("down", 1));
  b.across = int(t.get("across", 1));
  b.loaders = int(t.get("loaders"));
  b.chunk = int(t.get("chunk", 48));
  b.residents = int(t.get("occ", 1));
  b.unrolled = t.get("unrolled") != 0;
  return b;
}

int channel_of_column(const BlockPlan& plan, int column) {
  const int block = column / 8, pair = column % 8 / 2, half = column % 2;
  const bool alone = block + 1 == plan.out_blocks && plan.out_blocks % 2;  // the last of an odd number
  return alone ? column : block / 2 * 16 + 4 * pair + 2 * (block % 2) + half;
}

Result<BlockPlan> plan_of(const Chain& c, const Block& b) {
  const auto in = [](int value, int low, int high) { return value >= low && value <= high; };
  if (!in(b.rows, 1, 8) || !in(b.columns, 1, 16) || !in(b.down, 1, 8) || !in(b.across, 1, 8) || !in(b.loaders, 0, 8) ||
      !in(b.chunk, 16, 64) || b.chunk % 16 || !in(b.residents, 1, 16) || b.threads() > 512)
    return unsupported(cat("no block: ", write(b).to_string()));
  BlockPlan p;
  p.block = b;
  p.patch_height = int((b.tile_height() - 1) * c.stride + 3);
  p.patch_width = int((b.tile_width() - 1) * c.stride + 3);
  p.patch_blocks = int(ceil_div(p.patch_height * p.patch_width, 16));
  p.even = (p.patch_width + 1) / 2;
  p.input_pitch = pitch_of(c.in_channels);
  p.middle_pitch = pitch_of(b.chunk);
  p.chunks = int(ceil_div(c.mid_channels, b.chunk));
  p.middle = p.chunks * b.chunk;
  p.depth_steps = c.expands ? int(ceil_div(c.in_channels, 16)) : 0;
  p.out_blocks = int(ceil_div(c.out_channels, 8));
  p.tiles_x = ceil_div(c.out_width, b.tile_width());
  p.tiles_y = ceil_div(c.out_height, b.tile_height());
  // The last rows of a product reach up to 15 pixels beyond the patch.
  const int pixels = std::max(p.patch_blocks * 16, p.patch_height * p.patch_width + 16 - b.columns);
  p.shared_bytes = (c.expands ? p.input_bytes() : 0) + pixels * p.middle_pitch;
  if (p.shared_bytes > kSharedOfBlock || (p.shared_bytes + 1024) * b.residents > kSharedOfSm)
    return unsupported(cat("a tile of ", p.shared_bytes, " bytes of shared memory"));
  if (registers_of(c, p) > register_limit(b))
    return unsupported(cat(registers_of(c, p), " registers of a thread, at most ", register_limit(b)));
  if (c.images * p.tiles_x * p.tiles_y > INT32_MAX) return unsupported("too many tiles");
  return p;
}

// Clocks of one SM: tensor cores and shared memory share the time, as measured on an H200 (both weights
// are fitted to nine blocks of MobileNetV2, within 25 %).
double predict_us(const Chain& c, const BlockPlan& p, int sm_count) {
  constexpr double kProductClocks = 0.9, kSharedBytesPerClock = 128 / 2.3, kFillClocks = 6000;
  constexpr double kNarrow = 0.6;  // a product of 8 deep, of one of 16
  constexpr double kClocksPerUs = 1750, kBytesPerUs = 3.6e6, kGapUs = 0.7, kWarpsEnough = 10;
  const Block& b = p.block;
  const double warps = b.down * b.across, middle_blocks = b.chunk / 8.0;
  const double steps = double(c.in_channels / 16) + (c.in_channels % 16 ? kNarrow : 0);
  double products = warps * p.chunks * middle_blocks / 2 * b.rows * (3 * (2 + 2 * kNarrow) + p.out_blocks);
  double bytes = double(p.patch_height * p.patch_width * c.in_channels) * 2 +
                 warps * p.chunks * middle_blocks / 2 * ((b.rows - 1) * double(c.stride) + 3) * 3 * 512;
  if (c.expands) {
    products += p.patch_blocks * middle_blocks * steps * p.chunks;
    bytes += p.patch_blocks * (p.depth_steps * 512 + middle_blocks * 256) * p.chunks;
  }
  const double tiles = double(c.images * p.tiles_x * p.tiles_y);
  const double active = std::min(double(b.residents), std::ceil(tiles / sm_count));
  const double waves = std::max(1.0, tiles / (sm_count * active));
  const double lonely = std::max(1.0, kWarpsEnough / (active * b.threads() / 32));
  const double tile = products * kProductClocks + bytes / kSharedBytesPerClock;
  const double compute = (waves < 3 ? std::ceil(waves) : waves) * active * tile * lonely + kFillClocks;
  const double memory = double(c.images) * 2 * double(c.height * c.width * c.in_channels + c.out_height * c.out_width * c.out_channels);
  return std::max(compute / kClocksPerUs, memory / kBytesPerUs) + kGapUs;
}

std::vector<Block> candidates(const Chain& c, int sm_count, size_t limit) {
  std::vector<std::pair<double, Block>> found;
  // Columns that waste little of the width, and of the 16 that a product makes.
  std::vector<int> widths;
  double least = 1e9;
  const auto cost = [&](int columns) { return double(ceil_div(c.out_width, columns)); };
  for (int columns = 16; columns >= 7; --columns) least = std::min(least, cost(columns));
  for (int columns = 16; columns >= 7; --columns)
    if (cost(columns) <= least * 1.15 && (c.out_width % columns == 0 || columns == 16)) widths.push_back(columns);
  const auto offer = [&](Block b) {
    if (b.tile_width() - c.out_width >= b.columns || b.tile_height() - c.out_height >= b.rows) return;
    // As many CTAs as registers and shared memory allow.
    for (b.residents = 8; b.residents > 0; --b.residents) {
      auto plan = plan_of(c, b);
      if (!plan.ok()) continue;
      found.push_back({predict_us(c, *plan, sm_count), b});
      return;
    }
  };
  // Warps that only load and expand help where there are too few CTAs to fill the SMs.
  const bool many = double(c.images * c.out_height * c.out_width) > 100.0 * sm_count;
  for (const int columns : widths)
    for (int rows : {1, 2, 4, 7})
      for (int down : {1, 2, 4})
        for (int across : {1, 2, 4})
          for (int loaders : {0, 2})
            for (int chunk : {32, 48, 64}) {
              if (c.mid_channels <= chunk / 2 || (loaders && (!c.expands || down * across > 4 || many))) continue;
              // Padding of the middle channels is work for nothing.
              if (double(ceil_div(c.mid_channels, chunk) * chunk) > 1.1 * double(c.mid_channels) && chunk > 32) continue;
              offer({.rows = rows, .columns = columns, .down = down, .across = across, .loaders = loaders, .chunk = chunk});
            }
  std::stable_sort(found.begin(), found.end(), [](const auto& x, const auto& y) { return x.first < y.first; });
  std::vector<Block> out;
  for (const auto& [us, block] : found) {
    if (out.size() < limit) out.push_back(block);
    Block unrolled = block;
    unrolled.unrolled = true;
    if (out.size() <= limit / 2 && plan_of(c, unrolled).ok()) out.push_back(unrolled);
  }
  return out;
}

}  // namespace planish::cuda::bottleneck
