#include "backend/cuda/families/plain/tile.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "backend/cuda/emit/emitted_kernel_def.h"
#include "kernel/cost.h"

namespace planish::cuda::plain {
namespace {

constexpr Tile kMultiplyAdd[] = {
    {.rows = 128, .channels = 128, .depth = 8, .thread_rows = 8, .thread_channels = 8},
    {.rows = 128, .channels = 64, .depth = 16, .thread_rows = 8, .thread_channels = 8},
    {.rows = 64, .channels = 64, .depth = 16, .thread_rows = 8, .thread_channels = 4},
    {.rows = 64, .channels = 64, .depth = 8, .thread_rows = 8, .thread_channels = 8, .slices = 4},
    {.rows = 32, .channels = 64, .depth = 16, .thread_rows = 4, .thread_channels = 4, .slices = 2},
    {.rows = 32, .channels = 32, .depth = 16, .thread_rows = 4, .thread_channels = 4, .slices = 4},
    {.rows = 16, .channels = 32, .depth = 8, .thread_rows = 4, .thread_channels = 4, .slices = 8},
};
constexpr Tile kTensorCore[] = {
    {.rows = 128, .channels = 128, .depth = 32, .thread_rows = 64, .thread_channels = 32, .mma = true},
    {.rows = 128, .channels = 64, .depth = 32, .thread_rows = 32, .thread_channels = 32, .mma = true},
    {.rows = 64, .channels = 64, .depth = 32, .thread_rows = 32, .thread_channels = 32, .mma = true},
    {.rows = 64, .channels = 32, .depth = 32, .thread_rows = 32, .thread_channels = 16, .slices = 2, .mma = true},
    {.rows = 32, .channels = 32, .depth = 32, .thread_rows = 16, .thread_channels = 32, .slices = 4, .mma = true},
    {.rows = 16, .channels = 32, .depth = 32, .thread_rows = 16, .thread_channels = 16, .slices = 4, .mma = true},
};

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

int widest_dividing(int64_t count, int most) {
  int width = most;
  while (width > 1 && count % width) width /= 2;
  return width;
}

template <class T>
void copy_strided(const std::byte* from, int64_t step, std::byte* to, int64_t to_step, int64_t count) {
  const int64_t size = sizeof(T);
  for (int64_t i = 0; i < count; ++i) std::memcpy(to + i * to_step * size, from + i * step * size, sizeof(T));
}

int most_elements(const Product& p) { return p.type == ir::DataType::kF32 ? 4 : 8; }

}  // namespace

kernel::Tactic write(const Tile& t) {
  return {{{"m", t.rows}, {"n", t.channels}, {"k", t.depth}, {"tm", t.thread_rows},
           {"tn", t.thread_channels}, {"slices", t.slices}, {"mma", t.mma}}};
}

Tile read(const kernel::Tactic& tactic) {
  const auto get = [&](const char* key, int64_t usual) { return int(tactic.get(key, usual)); };
  Tile t;
  t.rows = get("m", 64);
  t.channels = get("n", 64);
  t.depth = get("k", 16);
  t.thread_rows = get("tm", 4);
  t.thread_channels = get("tn", 4);
  t.slices = get("slices", 1);
  t.mma = get("mma", 0) != 0;
  return t;
}

int lanes_of(const Tile& tile) { return tile.mma ? 2 : 4; }

int left_vector(const Product& p) {
  if (!p.is_conv && !p.left.depth_inner) return 1;
  return widest_dividing(p.depth, most_elements(p));
}

PackedRight packed_right(const Product& p, const Tile& tile) {
  const int64_t step = most_elements(p);
  const int64_t depth = p.depth * p.taps();
  if (tile.mma) return {true, ceil_div(depth, step) * step};
  return {false, ceil_div(p.channels, step) * step};
}

int right_vector(const Product& p, const Tile& tile) {
  if (p.right_constant) return most_elements(p);
  (void)tile;
  return widest_dividing(p.right.depth_inner ? p.depth * p.taps() : p.channels, most_elements(p));
}

kernel::Blob pack_weights(const Product& p, const Tile& tile, const ir::Tensor& weights) {
  const PackedRight packed = packed_right(p, tile);
  const int64_t depth = p.depth * p.taps(), bytes = ir::bits_of(p.type) / 8;
  const int64_t outer = packed.depth_inner ? p.channels : depth;
  kernel::Blob blob;
  blob.bytes.resize(size_t(p.batches * outer * packed.pitch * bytes));
  const auto* from = static_cast<const std::byte*>(weights.data());
  const int64_t step = p.depth > 1 ? right_element(p, 0, 0, 0, 1) - right_element(p, 0, 0, 0, 0) : 0;
  const int64_t to_step = packed.depth_inner ? 1 : packed.pitch;
  for (int64_t b = 0; b < p.batches; ++b)
    for (int64_t n = 0; n < p.channels; ++n)
      for (int64_t tap = 0; tap < p.taps(); ++tap) {
        const std::byte* source = from + right_element(p, b, n, tap, 0) * bytes;
        const int64_t k = tap * p.depth;
        std::byte* to = blob.bytes.data() +
                        (b * outer * packed.pitch + (packed.depth_inner ? n * packed.pitch + k : k * packed.pitch + n)) * bytes;
        if (bytes == 2) copy_strided<uint16_t>(source, step, to, to_step, p.depth);
        else copy_strided<uint32_t>(source, step, to, to_step, p.depth);
      }
  return blob;
}

double predict_us(const Product& p, const Tile& t, const kernel::DeviceInfo& device) {
  const int sms = sm_count(device);
  const double tiles = double(p.batches) * double(ceil_div(p.rows, t.rows)) * double(ceil_div(p.channels, t.channels));
  const double depth = double(ceil_div(p.depth * p.taps(), t.slab())) * t.slab();
  // Multiply-adds of one SM and clock; a tile alone on its SM waits for its loads.
  const int residents = std::max(1, std::min(1024 / t.threads(), 4));
  const double reuse = double(t.rows) * t.channels / (t.rows + t.channels);
  const double rate = (t.mma ? 512.0 : 100.0) * std::min(1.0, reuse / (t.mma ? 64 : 32));
  const double busy = std::min(double(residents), std::max(1.0, tiles / sms));
  const double share = std::min(1.0, busy * t.threads() / 256.0);
  const double waves = std::ceil(tiles / (sms * busy));
  // Clocks of an output's own way, two by two, and of what lies beside it (28 measured on an H200).
  double ends = t.mma ? 0.3 : 0.0;
  for (const Access& a : p.epilogue.inputs)
    if (t.mma && !a.constant) ends += 0.35;
  const double clocks = waves * busy * (double(t.rows) * t.channels * (depth / (rate * share) + ends)) +
                        500 + depth / t.slab() * (busy > 1 ? 20 : 250) * waves;
  const double bytes = double(p.batches) * double(ir::bits_of(p.type) / 8) *
                       (double(p.rows) * double(p.depth) + double(p.channels) * depth + double(p.rows * p.channels));
  return std::max(clocks / 1700, memory_us(device, bytes)) + kLaunchUs;
}

std::vector<Tile> candidates(const Product& p, int version, int sms) {
  const bool mma = p.type != ir::DataType::kF32 && version >= 80;
  const std::span<const Tile> all = mma ? std::span<const Tile>(kTensorCore) : std::span<const Tile>(kMultiplyAdd);
  kernel::DeviceInfo device;
  device.memory_gbps = 4800;
  device.properties["sm_count"] = std::to_string(sms);
  std::vector<std::pair<double, Tile>> found;
  for (const Tile& t : all) found.push_back({predict_us(p, t, device), t});
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Tile> out;
  for (const auto& [us, tile] : found)
    if (us <= 3 * found[0].first) out.push_back(tile);
  return out;
}

}  // namespace planish::cuda::plain
