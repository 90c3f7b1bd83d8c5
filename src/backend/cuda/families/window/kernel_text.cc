#include "backend/cuda/families/window/kernel_text.h"

#include "backend/cuda/emit/prelude.h"
#include "backend/cuda/families/wgmma/device_text.h"
#include "base/text.h"

namespace planish::cuda::window {
namespace {

constexpr std::string_view kBodyText = R"CUDA(
DEV void load_patch(u32 to, const TensorMap* map, u32 barrier, int c, int x, int y, int n) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5, %6}], [%2];"
      ::"r"(to), "l"(map), "r"(barrier), "r"(c), "r"(x), "r"(y), "r"(n) : "memory");
}
constexpr int kLanes = kPermuted, kSets = kWidth / (4 * kPermuted), kPatchBytes = kChunks * kChunkBytes;
struct Place { int image, y, x; };
DEV Place place_of(int tile) {
  return {tile / (kTilesX * kTilesY), tile / kTilesX % kTilesY * kTileHeight, tile % kTilesX * kTileWidth};
}
// First pixel of a block in the patch; rows of 8 pixels follow each other at kNextPixels.
DEV constexpr int first_pixel(int block) {
  return kAcross > 0 ? block / (kAcross > 0 ? kAcross : 1) * 8 * kPatchWidth + block % (kAcross > 0 ? kAcross : 1) * 8 : block * 64;
}
// Output pixel of a block's row, or -1.
DEV int row_of(const Place& p, int block, int row) {
  int y, x;
  if (kAcross > 0) {
    y = block / (kAcross > 0 ? kAcross : 1) * 8 + row / 8;
    x = block % (kAcross > 0 ? kAcross : 1) * 8 + row % 8;
  } else {
    y = (block * 64 + row) / kPatchWidth;
    x = (block * 64 + row) % kPatchWidth;
  }
  const bool inside = y < kTileHeight && x < kTileWidth && p.y + y < kOutHeight && p.x + x < kOutWidth;
  return inside ? (p.image * kOutHeight + p.y + y) * kOutWidth + p.x + x : -1;
}
POOL_FUNCTIONSextern "C" __global__ void __launch_bounds__(kThreads, 1) ENTRY(const __grid_constant__ TensorMap input, const unsigned char* weights PARAMETERS) {
  extern __shared__ __align__(1024) unsigned char shared[];
  const u32 thread = threadIdx.x, warp = __shfl_sync(~0u, thread >> 5, 0), lane = thread & 31;
  const u32 patches = shared_address(shared), filters = patches + kStages * kPatchBytes;
  const u32 full = filters + (kWeightBytes + 1023) / 1024 * 1024, empty = full + 8 * kStages, loaded = empty + 8 * kStages, drained = loaded + 8;
  // A CTA keeps to one tile of channels, unless there are more of them than CTAs: then it has several turns,
  // in each of which it goes over `count` tiles of pixels.
  const int across = min((int)gridDim.x, kChannelTiles), parts = gridDim.x / across, part = blockIdx.x / across;
  const int first_channels = blockIdx.x % across, turns = (kChannelTiles - first_channels + across - 1) / across;
  const int count = part < parts ? (kTiles - part + parts - 1) / parts : 0;
  if (thread == 0) {
    if (patches & 1023) __trap();
    for (int i = 0; i < kStages; ++i) { barrier_init(full + 8 * i, 1); barrier_init(empty + 8 * i, 4); }
    barrier_init(loaded, 1);
    barrier_init(drained, 4 * kGroups);
    barrier_init_fence();
  }
  __syncthreads();
  if (warp >= 4 * kGroups) {  // ---- producer
    if (kProducerWarps == 4) fewer_registers<kProducerRegisters>();
    if (warp == 4 * kGroups && lane == 0) {
      prefetch_map(&input);
      u32 stage = 0, parity = 1;
      for (int turn = 0; turn < turns; ++turn) {
        if (turn > 0) barrier_wait(drained, turn - 1 & 1);
        barrier_expect(loaded, kWeightBytes);
        load_bytes(filters, weights + (u64)(first_channels + turn * across) * kWeightBytes, kWeightBytes, loaded);
        if (turn == 0) grid_wait();
        for (int i = 0; i < count; ++i) {
          const Place p = place_of(part + i * parts);
          barrier_wait(empty + 8 * stage, parity);
          barrier_expect(full + 8 * stage, kBroughtBytes);
#pragma unroll
          for (int c = 0; c < kChunks; ++c)
            load_patch(patches + stage * kPatchBytes + c * kChunkBytes, &input, full + 8 * stage, c * (kRowBytes / 2), p.x - kLeft, p.y - kTop, p.image);
          if (++stage == kStages) { stage = 0; parity ^= 1; }
        }
      }
      grid_launch();
    }
  } else {  // ---- consumers
    if (kProducerWarps == 4) more_registers<kConsumerRegisters>();
    MAKE_EPILOGUE
    const u32 group = warp >> 2, quad = warp & 3;
    grid_wait();
    barrier_wait(loaded, 0);
    u32 stage = group, parity = 0;
    int my_turn = 0;
    for (int n = group; n < turns * count; n += kGroups) {
      const int turn = kChannelTiles > 1 ? n / count : 0, tile = part + (n - turn * count) * parts;
      for (; my_turn < turn; ++my_turn) {
        if (lane == 0) barrier_arrive(drained);
        barrier_wait(loaded, my_turn + 1 & 1);
      }
      const int channel0 = (first_channels + turn * across) * kWidth + (lane & 3) * kPermuted;
      float sum[kBlocks][kWidth / 2];
      barrier_wait(full + 8 * stage, parity);
      const u32 patch = patches + stage * kPatchBytes;
      wgmma_begin();
#pragma unroll 1
      for (int r = 0; r < kTapsY; ++r)
#pragma unroll
        for (int s = 0; s < kTapsX; ++s)
#pragma unroll
          for (int k = 0; k < kSteps; ++k)
#pragma unroll
            for (int b = 0; b < kBlocks; ++b)
              multiply(sum[b], matrix(patch + k / (kRowBytes / 32) * kChunkBytes + (first_pixel(b) + r * kDilationY * kPatchWidth + s * kDilationX) * kRowBytes + k % (kRowBytes / 32) * 32,
                                      kRowBytes == 128 ? 1 : 2, 16, kNextPixels * kRowBytes),
                       matrix(filters + ((r * kTapsX + s) * kSteps + k) * kWidth * 32, 0, kWidth * 16, 128), r + s + k > 0);
      wgmma_commit();
      wgmma_wait<0>();
      if (lane == 0) barrier_arrive(empty + 8 * stage);
      stage += kGroups;
      if (stage >= kStages) { stage -= kStages; parity ^= 1; }
      const Place p = place_of(tile);
      int rows[2 * kBlocks];
#pragma unroll
      for (int i = 0; i < 2 * kBlocks; ++i) rows[i] = row_of(p, i / 2, 16 * quad + 8 * (i % 2) + (lane >> 2));
#pragma unroll
      for (int s = 0; s < kSets; ++s) {
        const int channel = channel0 + s * 4 * kPermuted;
        if (channel >= kChannels) continue;
        Fixed fixed;
        load_fixed(e, fixed, FIXED_CHANNEL, kChannels);
#pragma unroll
        for (int first = 0; first < 2 * kBlocks; first += kGang) {
          Near near[kGang];
DECLARE_KEPT#pragma unroll
          for (int i = 0; i < kGang; ++i)
            if (rows[first + i] >= 0) load_near(e, near[i], (u32)rows[first + i], channel, kChannels);
#pragma unroll
          for (int i = 0; i < kGang; ++i) {
BEFORE_SUMS            float part[kLanes];
#pragma unroll
            for (int l = 0; l < kLanes; ++l) part[l] = sum[(first + i) / 2][(s * (kPermuted / 2) + l / 2) * 4 + 2 * ((first + i) % 2) + l % 2];
            FINISH
          }
BEHIND_SUMS        }
      }
    }
  }
}
)CUDA";

constexpr std::string_view kPoolText = R"CUDA(
DEV int pooled_row_of(const Place& p, int block, u32 quad, u32 lane) {
  const int y = (p.y + block / kAcross * 8) / 2 + quad, x = (p.x + block % kAcross * 8 + (lane >> 2)) / 2;
  return y < kPoolHeight && x < kPoolWidth ? (p.image * kPoolHeight + y) * kPoolWidth + x : -1;
}
)CUDA";

constexpr PooledWord kWords[] = {
    {"FIXED_CHANNEL", "channel", "channel + (lane & 4)"},
    {"DECLARE_KEPT", "", "          float kept[kGang][kLanes];\n"},
    {"BEFORE_SUMS", "            if (rows[first + i] < 0) continue;\n", ""},
    {"float part[kLanes];", "float part[kLanes];", "float (&part)[kLanes] = kept[i];"},
    {"FINISH", "finish(e, part, fixed, near[i], (u32)rows[first + i], channel, kChannels);", ""},
    {"BEHIND_SUMS", "",
     "          pool_quads(e, kept[0], kept[1], fixed, pooled_row_of(p, first / 2, quad, lane), lane, channel);\n"},
};

}  // namespace

std::string kernel_text(const PooledProduct& problem, const Plan& plan, const EpilogueText& epilogue,
                        const std::string& entry) {
  const Product& p = problem.product;
  const ConvGeometry& g = p.conv;
  const Tile& t = plan.tile;
  // What lies beside a few rows is loaded together.
  const int gang = !problem.pool && (epilogue.near_registers == 0 || epilogue.near_registers > 8) ? 1 : 2;
  const std::pair<const char*, int64_t> constants[] = {
      {"kGroups", t.groups}, {"kBlocks", t.blocks}, {"kAcross", t.across}, {"kWidth", t.width}, {"kRowBytes", t.row_bytes},
      {"kChunks", plan.chunks}, {"kSteps", plan.steps}, {"kPermuted", plan.permuted}, {"kTileWidth", plan.tile_width},
      {"kTileHeight", plan.tile_height}, {"kPatchWidth", plan.patch_width}, {"kChunkBytes", plan.chunk_bytes},
      {"kBroughtBytes", plan.brought_bytes()}, {"kWeightBytes", plan.weight_bytes}, {"kTiles", plan.tiles},
      {"kTilesX", plan.tiles_x}, {"kTilesY", plan.tiles_y}, {"kChannelTiles", plan.channel_tiles}, {"kStages", plan.stages},
      {"kThreads", plan.threads()}, {"kProducerWarps", plan.producer_warps}, {"kConsumerRegisters", plan.consumer_registers},
      {"kProducerRegisters", plan.producer_registers}, {"kNextPixels", t.across > 0 ? plan.patch_width : 8},
      {"kTapsX", g.taps_x}, {"kTapsY", g.taps_y}, {"kDilationX", g.dilation_x}, {"kDilationY", g.dilation_y},
      {"kTop", g.top}, {"kLeft", g.left}, {"kOutHeight", g.out_height}, {"kOutWidth", g.out_width}, {"kChannels", p.channels},
      {"kGang", gang}};
  std::string out = cat(kPrelude, wgmma::async_text());
  for (const auto& [name, value] : constants) out += cat("constexpr int ", name, " = ", value, ";\n");
  out += wgmma::instruction_text("multiply", p.type, t.width, wgmma::Operand::kSharedKMajor, false);
  if (const auto& pool = problem.pool)
    out += cat("constexpr int kPoolHeight = ", pool->height, ", kPoolWidth = ", pool->width, ";\n");
  std::string body(kBodyText);
  put_words(body, kWords, problem.pool.has_value());
  replace_all(body, "ENTRY", entry);
  replace_all(body, "PARAMETERS", epilogue.parameters);
  replace_all(body, "MAKE_EPILOGUE", epilogue.make);
  replace_all(body, "POOL_FUNCTIONS", problem.pool ? cat(quads_text(), kPoolText) : std::string());
  return cat(out, epilogue.functions, body);
}

}  // namespace planish::cuda::window
