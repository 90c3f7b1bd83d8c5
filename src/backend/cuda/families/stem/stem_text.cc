// The stem's source. Upper-case words in the body stand for what differs with a pool behind it.
#include "backend/cuda/emit/prelude.h"
#include "backend/cuda/families/contraction/kept_epilogue.h"
#include "backend/cuda/families/stem/stem_plan.h"
#include "backend/cuda/families/wgmma/device_text.h"
#include "base/text.h"

namespace planish::cuda::stem {
namespace {

constexpr std::string_view kBodyText = R"CUDA(
constexpr int kThreads = 384, kPatchPixels = kPatchHeight * kPatchWidth, kPerThread = (kPatchPixels + 127) / 128;
constexpr int kLanes = kPermuted, kSets = kWidth / (4 * kPermuted);
// A pixel of the patch as the image has it: its channels, zeros beyond the image.
struct Pixel { u16 c[kImageChannels]; };
DEV void fetch(Pixel& to, const u16* from, bool inside) {
#pragma unroll
  for (int c = 0; c < kImageChannels; ++c) {
    to.c[c] = 0;
    if (inside) asm volatile("ld.global.u16 %0, [%1];" : "=h"(to.c[c]) : "l"(from + c * kChannelStep) : "memory");
  }
}
DEV u32 pair(const Pixel& p, int c) {
  return (c < kImageChannels ? (u32)p.c[c % kImageChannels] : 0) | (c + 1 < kImageChannels ? (u32)p.c[(c + 1) % kImageChannels] << 16 : 0);
}
DEV void put_pixel(u32 to, const Pixel& p) {
  if (kPixel == 4) asm volatile("st.shared.v2.u32 [%0], {%1, %2};" ::"r"(to), "r"(pair(p, 0)), "r"(pair(p, 2)) : "memory");
  else asm volatile("st.shared.v4.u32 [%0], {%1, %2, %3, %4};" ::"r"(to), "r"(pair(p, 0)), "r"(pair(p, 2)), "r"(pair(p, 4)), "r"(pair(p, 6)) : "memory");
}
POOL_FUNCTIONSextern "C" __global__ void __launch_bounds__(kThreads, kResidents) ENTRY(const u16* input, const unsigned char* weights PARAMETERS) {
  extern __shared__ __align__(1024) unsigned char shared[];
  const u32 thread = threadIdx.x, warp = __shfl_sync(~0u, thread >> 5, 0), lane = thread & 31;
  const u32 filters = shared_address(shared), patches = filters + kWeightBytes;
  const u32 full = patches + kStages * kPatchBytes, empty = full + 8 * kStages, loaded = empty + 8 * kStages;
  if (thread == 0) {
    for (int i = 0; i < kStages; ++i) { barrier_init(full + 8 * i, 4); barrier_init(empty + 8 * i, 8); }
    barrier_init(loaded, 1);
    barrier_init_fence();
  }
  __syncthreads();
  u32 stage = 0, parity = 0;
COUNT_TILES  if (warp >= 8) {  // ---- producers
    if (warp == 8 && lane == 0) { barrier_expect(loaded, kWeightBytes); load_bytes(filters, weights, kWeightBytes, loaded); }
    grid_wait();
    // Where a thread's pixels lie in every patch; the last one may lie in none.
    u32 places[kPerThread];
#pragma unroll
    for (int j = 0; j < kPerThread; ++j) {
      const int i = thread - 256 + j * 128;
      places[j] = i < kPatchPixels ? i / kPatchWidth << 16 | i % kPatchWidth : 0x7fff0000u;
    }
    // The next tile's pixels are on their way while this one's go into shared memory.
    Pixel even[kPerThread], odd[kPerThread];
    const auto bring = [&](int tile, Pixel (&to)[kPerThread]) {
      if (tile >= TILE_COUNT) return;
      const int x0 = TILE_X * kStrideX - kLeft, y0 = TILE_Y * kStrideY - kTop;
      const u16* patch = input + (i64)(TILE_IMAGE) * (kImageChannels * kHeight * kImageWidth) + (y0 * kImageWidth + x0) * kPixelStep;
#pragma unroll
      for (int j = 0; j < kPerThread; ++j) {
        const int y = places[j] >> 16, x = places[j] & 0xffff;
        fetch(to[j], patch + (y * kImageWidth + x) * kPixelStep, (u32)(y0 + y) < kHeight && (u32)(x0 + x) < kImageWidth);
      }
    };
    const auto hand_over = [&](const Pixel (&from)[kPerThread]) {
      barrier_wait(empty + 8 * stage, parity ^ 1);
#pragma unroll
      for (int j = 0; j < kPerThread; ++j) {
        const int i = thread - 256 + j * 128;
        if (i < kPatchPixels) put_pixel(patches + stage * kPatchBytes + i * kPixel * 2, from[j]);
      }
      async_fence();
      __syncwarp();
      if (lane == 0) barrier_arrive(full + 8 * stage);
      if (++stage == kStages) { stage = 0; parity ^= 1; }
    };
    const int step = TILE_STEP;
    int tile = FIRST_TILE;
    bring(tile, even);
    while (tile < TILE_COUNT) {
      bring(tile + step, odd);
      hand_over(even);
      if ((tile += step) >= TILE_COUNT) break;
      bring(tile + step, even);
      hand_over(odd);
      tile += step;
    }
    grid_launch();
  } else {  // ---- consumers: a group takes 8 x 8 output pixels
    MAKE_EPILOGUE
MAKE_POOLMAKE_RING    const u32 group = warp >> 2, quad = warp & 3;
    const int channel0 = (lane & 3) * kPermuted;
    Fixed fixed[kSets];
#pragma unroll
    for (int s = 0; s < kSets; ++s)
      if (channel0 + s * 4 * kPermuted < kChannels) load_fixed(e, fixed[s], channel0 + s * 4 * kPermuted, kChannels);
    grid_wait();
    barrier_wait(loaded, 0);
    for (int tile = FIRST_TILE; tile < TILE_COUNT; tile += TILE_STEP) {
      float sum[kWidth / 2];
      barrier_wait(full + 8 * stage, parity);
      const u32 patch = patches + stage * kPatchBytes + group * 8 * kStrideX * kPixel * 2;
DESCRIPTORS      wgmma_begin();
#pragma unroll
      for (int r = 0; r < kTapsY; ++r)
#pragma unroll
        for (int s = 0; s < kRowSteps; ++s)
          PRODUCT
      wgmma_commit();
      wgmma_wait<0>();
      if (lane == 0) barrier_arrive(empty + 8 * stage);
      if (++stage == kStages) { stage = 0; parity ^= 1; }
      const int image = TILE_IMAGE, x = TILE_X + group * 8 + (lane >> 2);
BEFORE_SUMS#pragma unroll
      for (int s = 0; s < kSets; ++s)
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          const int y = TILE_Y + 2 * quad + h, channel = channel0 + s * 4 * kPermuted;
          if (IS_BEYOND || channel >= kChannels) continue;
          const u32 row = (image * kOutHeight + y) * kOutWidth + x;
          float part[kLanes];
#pragma unroll
          for (int l = 0; l < kLanes; ++l) part[l] = sum[(s * (kPermuted / 2) + l / 2) * 4 + 2 * h + l % 2];
          Near near;
          load_near(e, near, row, channel, kChannels);
          FINISH
        }
BEHIND_SUMS    }
  }
}
)CUDA";

// A tile is the CTA's n-th: it goes down its strip's segment, then to the next segment.
constexpr std::string_view kPoolText = R"CUDA(
constexpr int kPixelBytes = kWidth * 2, kTwist = kWidth % 64 == 0 ? 4 : 0;  // the latter keeps neighbours off each other's banks
DEV int segment_at(int tile) { return blockIdx.x + tile / kSegmentTiles * gridDim.x; }
DEV int image_of(int tile) { return segment_at(tile) / (kTilesX * kTilesY); }
DEV int strip_of(int tile) { return segment_at(tile) % kTilesX; }
DEV int first_pooled(int tile) { return segment_at(tile) / kTilesX % kTilesY * kPooledRows; }
DEV int first_row(int tile) { return max(first_pooled(tile) * kPoolStrideY - kPoolTop, 0); }
DEV int tile_x(int tile) { return strip_of(tile) * (kPooledWidth * kPoolStrideX) - kPoolLeft; }
DEV int tile_y(int tile) { return first_row(tile) + tile % kSegmentTiles * 8; }
// Pooled rows that are complete when the convolution's rows before `y` are there.
DEV int pooled_before(int y) { return y >= kOutHeight ? kPoolHeight : (y + kPoolTop - kPoolTapsY + kPoolStrideY) / kPoolStrideY; }
DEV void consumers_sync() { asm volatile("bar.sync %0, %1;" ::"r"(1), "r"(256) : "memory"); }
DEV void get_shared(u32 (&d)[4], u32 from) { asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3]) : "r"(from) : "memory"); }
DEV void put_shared(u32 to, const u32 (&d)[4]) { asm volatile("st.shared.v4.u32 [%0], {%1, %2, %3, %4};" ::"r"(to), "r"(d[0]), "r"(d[1]), "r"(d[2]), "r"(d[3]) : "memory"); }
// Eight channels of a pixel in the ring of rows; `row` counts from the segment's first.
DEV u32 in_ring(u32 ring, int row, int column, int channel) {
  return ring + ((row & 15) * 16 + column) * kPixelBytes + ((channel / 8 ^ (column & 1) * kTwist) << 4);
}
// The pooled rows that the tile completes.
DEV void pool_rows(const pooled::Epilogue& e, u32 ring, int tile, int thread) {
  const int pooled0 = first_pooled(tile), row0 = first_row(tile), y = tile_y(tile);
  const int begin = tile % kSegmentTiles == 0 ? pooled0 : max(pooled0, pooled_before(y));
  const int end = min(min(pooled0 + kPooledRows, kPoolHeight), pooled_before(y + 8));
  for (int i = thread; i < (end - begin) * (kPooledWidth * kWidth / 8); i += 256) {
    const int channel = i % (kWidth / 8) * 8, column = i / (kWidth / 8) % kPooledWidth;
    const int py = begin + i / (kPooledWidth * kWidth / 8), px = strip_of(tile) * kPooledWidth + column;
    if (px >= kPoolWidth || channel >= kChannels) continue;
TAKE_LARGEST    const float sum[8] = {low_of(most[0]), high_of(most[0]), low_of(most[1]), high_of(most[1]),
                          low_of(most[2]), high_of(most[2]), low_of(most[3]), high_of(most[3])};
    const u32 row = (image_of(tile) * kPoolHeight + py) * kPoolWidth + px;
    pooled::Fixed fixed;
    pooled::load_fixed(e, fixed, channel, kChannels);
    pooled::Near near;
    pooled::load_near(e, near, row, channel, kChannels);
    pooled::finish(e, sum, fixed, near, row, channel, kChannels);
  }
}
)CUDA";

constexpr PooledWord kWords[] = {
    {"TILE_X", "tile % kTilesX * 16", "tile_x(tile)"},
    {"TILE_Y", "tile / kTilesX % kTilesY * 8", "tile_y(tile)"},
    {"TILE_IMAGE", "tile / (kTilesX * kTilesY)", "image_of(tile)"},
    {"TILE_COUNT", "kTiles", "tile_count"},
    {"TILE_STEP", "gridDim.x", "1"},
    {"FIRST_TILE", "blockIdx.x", "0"},
    {"IS_BEYOND", "y >= kOutHeight || x >= kOutWidth", "(u32)y >= kOutHeight || (u32)x >= kOutWidth"},
    {"COUNT_TILES", "",
     "  const int tile_count = ((int)blockIdx.x < kTiles ? (kTiles - (int)blockIdx.x + (int)gridDim.x - 1) / (int)gridDim.x : 0) * kSegmentTiles;\n"},
    {"MAKE_RING", "", "    const u32 ring = patches + kStages * kPatchBytes + 128;\n"},
    {"BEFORE_SUMS", "", "      consumers_sync();  // nobody reads any longer what these rows replace\n"},
    {"FINISH", "finish(e, part, fixed[s], near, row, channel, kChannels);",
     "float kept[kLanes];\n"
     "          finish(e, part, fixed[s], near, row, channel, kChannels, kept);\n"
     "          const u32 words[4] = {pack_two(kept[0], kept[1]), pack_two(kept[2], kept[3]), pack_two(kept[4], kept[5]), pack_two(kept[6], kept[7])};\n"
     "          put_shared(in_ring(ring, y - first_row(tile), x - tile_x(tile), channel), words);"},
    {"BEHIND_SUMS", "", "      consumers_sync();\n      pool_rows(e2, ring, tile, thread);\n"},
};

// How a product is asked for, and how a window's largest element is found: as it is, and lean.
constexpr PooledWord kLeanWords[] = {
    {"DESCRIPTORS", "",
     "      const u64 window = matrix(patch, 0, 16, kStrideY * kPatchWidth * kPixel * 2), filter = matrix(filters, 0, kWidth * 16, 128);\n"},
    {"PRODUCT",
     "multiply(sum, matrix(patch + r * kPatchWidth * kPixel * 2 + s * 32, 0, 16, kStrideY * kPatchWidth * kPixel * 2),\n"
     "                   matrix(filters + (r * kRowSteps + s) * kWidth * 32, 0, kWidth * 16, 128), r + s > 0);",
     "multiply(sum, window + (r * kPatchWidth * kPixel / 8 + s * 2), filter + (r * kRowSteps + s) * kWidth * 2, r + s > 0);"},
    {"TAKE_LARGEST",
     R"CUDA(    u32 most[4] = {kLeast, kLeast, kLeast, kLeast};
#pragma unroll
    for (int r = 0; r < kPoolTapsY; ++r)
#pragma unroll
      for (int s = 0; s < kPoolTapsX; ++s) {
        const int cy = py * kPoolStrideY - kPoolTop + r, cx = px * kPoolStrideX - kPoolLeft + s;
        if ((u32)cy >= kOutHeight || (u32)cx >= kOutWidth) continue;
        u32 one[4];
        get_shared(one, in_ring(ring, cy - row0, column * kPoolStrideX + s, channel));
#pragma unroll
        for (int k = 0; k < 4; ++k) most[k] = max_two(most[k], one[k]);
      }
)CUDA",
     R"CUDA(    u32 most[4];
#pragma unroll
    for (int r = 0; r < kPoolTapsY; ++r) {
      const int cy = min(max(py * kPoolStrideY - kPoolTop + r, 0), kOutHeight - 1);
      u32 one[kPoolTapsX][4];
#pragma unroll
      for (int s = 0; s < kPoolTapsX; ++s)
        get_shared(one[s], in_ring(ring, cy - row0, min(max(px * kPoolStrideX - kPoolLeft + s, 0), kOutWidth - 1) - tile_x(tile), channel));
#pragma unroll
      for (int s = 0; s < kPoolTapsX; ++s)
#pragma unroll
        for (int k = 0; k < 4; ++k) most[k] = r + s > 0 ? max_two(most[k], one[s][k]) : one[s][k];
    }
)CUDA"},
};

}  // namespace

std::string kernel_text(const PooledProduct& problem, const StemPlan& plan, const EpilogueText& epilogue,
                        const EpilogueText& pooled, bool channels_last, const std::string& entry) {
  const Product& p = problem.product;
  const ConvGeometry& g = p.conv;
  std::vector<std::pair<const char*, int64_t>> constants = {
      {"kPixel", plan.pixel}, {"kRowSteps", plan.row_steps}, {"kWidth", plan.width}, {"kPermuted", plan.permuted},
      {"kPatchHeight", plan.patch_height}, {"kPatchWidth", plan.patch_width}, {"kPatchBytes", plan.patch_bytes()},
      {"kWeightBytes", plan.weight_bytes(p)}, {"kTiles", plan.tiles}, {"kTilesX", plan.tiles_x}, {"kTilesY", plan.tiles_y},
      {"kStages", kStages}, {"kResidents", plan.residents}, {"kImageChannels", g.channels}, {"kHeight", g.height},
      {"kImageWidth", g.width}, {"kTapsY", g.taps_y}, {"kStrideX", g.stride_x}, {"kStrideY", g.stride_y}, {"kTop", g.top},
      {"kLeft", g.left}, {"kOutHeight", g.out_height}, {"kOutWidth", g.out_width}, {"kChannels", p.channels},
      {"kChannelStep", channels_last ? 1 : g.height * g.width}, {"kPixelStep", channels_last ? g.channels : 1}};
  if (const auto& pool = problem.pool) {
    const kernel::Window& w = pool->window;
    constants.insert(constants.end(), {{"kPoolTapsY", w.kernel[0]}, {"kPoolTapsX", w.kernel[1]}, {"kPoolStrideY", w.strides[0]},
                                       {"kPoolStrideX", w.strides[1]}, {"kPoolTop", w.pads_begin[0]}, {"kPoolLeft", w.pads_begin[1]},
                                       {"kPoolHeight", pool->height}, {"kPoolWidth", pool->width}, {"kPooledWidth", plan.pooled_width},
                                       {"kPooledRows", plan.pooled_rows}, {"kSegmentTiles", plan.segment_tiles}});
  }
  std::string out = cat(kPrelude, wgmma::async_text());
  for (const auto& [name, value] : constants) out += cat("constexpr int ", name, " = ", value, ";\n");
  out += wgmma::instruction_text("multiply", p.type, plan.width, wgmma::Operand::kSharedKMajor, false);
  std::string body(kBodyText);
  std::string pool(kPoolText);
  for (std::string* text : {&body, &pool}) put_words(*text, kLeanWords, plan.lean);
  put_words(body, kWords, problem.pool.has_value());
  const EpilogueText other = named_epilogue(pooled, "pooled", "e2");
  replace_all(body, "ENTRY", entry);
  replace_all(body, "PARAMETERS", cat(epilogue.parameters, other.parameters));
  replace_all(body, "MAKE_EPILOGUE", epilogue.make);
  replace_all(body, "MAKE_POOL", problem.pool ? cat("    ", other.make, "\n") : std::string());
  replace_all(body, "POOL_FUNCTIONS", problem.pool ? cat(pairs_text(p.type), other.functions, pool) : std::string());
  return cat(out, epilogue.functions, body);
}

}  // namespace planish::cuda::stem
