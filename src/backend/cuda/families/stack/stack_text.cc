// The source of a stack of dense layers in one kernel.
#include "backend/cuda/emit/prelude.h"
#include "backend/cuda/families/contraction/kept_epilogue.h"
#include "backend/cuda/families/stack/stack.h"
#include "backend/cuda/families/wgmma/device_text.h"
#include "base/text.h"

namespace planish::cuda::stack {
namespace {

constexpr std::string_view kDeviceText = R"CUDA(
DEV void multiply(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.TYPE.TYPE.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
DEV void get_shared(u32 (&d)[4], u32 from) { asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3]) : "r"(from) : "memory"); }
DEV void put_shared(u32 to, const u32 (&d)[4]) { asm volatile("st.shared.v4.u32 [%0], {%1, %2, %3, %4};" ::"r"(to), "r"(d[0]), "r"(d[1]), "r"(d[2]), "r"(d[3]) : "memory"); }
// 16 bytes into a CTA of the cluster, which a barrier of its counts.
DEV void give(u32 to, u32 barrier, const u32 (&d)[4]) {
  asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.f32 [%0], {%1, %2, %3, %4}, [%5];" ::"r"(to), "f"(__uint_as_float(d[0])), "f"(__uint_as_float(d[1])), "f"(__uint_as_float(d[2])), "f"(__uint_as_float(d[3])), "r"(barrier) : "memory");
}
DEV void warps_meet() { asm volatile("bar.sync 1, %0;" ::"n"(kThreads - 32) : "memory"); }
struct Ring {
  u32 stage = 0, parity = 0;
  __device__ __forceinline__ void next() { if (++stage == kStages) { stage = 0; parity ^= 1; } }
};
// Of `kTiles` tiles, those of this CTA.
template <int kTiles, int kPerCta> DEV int tiles_of(int rank) { return max(0, min(kPerCta, kTiles - rank * kPerCta)); }
template <int kTiles, int kPerCta, int kAtOnce, int kWarpBlocks>
DEV void bring(Ring& ring, u32 stages, u32 full, u32 empty, const unsigned char* weights, int rank) {
  const int count = (tiles_of<kTiles, kPerCta>(rank) + kAtOnce - 1) / kAtOnce * kWarpBlocks;
  weights += (u64)rank * ((kPerCta + kAtOnce - 1) / kAtOnce * kWarpBlocks * kStageBytes);
  for (int i = 0; i < count; ++i) {
    barrier_wait(empty + 8 * ring.stage, ring.parity ^ 1);
    barrier_expect(full + 8 * ring.stage, kStageBytes);
    load_bytes(stages + ring.stage * kStageBytes, weights + (u64)i * kStageBytes, kStageBytes, full + 8 * ring.stage);
    ring.next();
  }
}
// The sums of a warp in one pass: 16 channels by rows in groups of 8, over its share of the depth.
template <int kBlocks, int kSplit, int kWarpBlocks, int kPitch>
DEV void multiply_tile(float (&sum)[kRowGroups][4], Ring& ring, u32 stages, u32 full, u32 empty, u32 input, u32 warp, u32 lane, bool works) {
  // Several sums, for each product waits for the one in front of it in its own; several blocks at a time.
  constexpr u32 kSets = kRowGroups == 1 ? 4 : 2, kAtATime = kRowGroups > 1 || kStages < 4 ? 1 : kWarpBlocks % 4 == 0 ? 4 : kWarpBlocks % 2 == 0 ? 2 : 1;
  float sums[kSets][kRowGroups][4];
#pragma unroll
  for (int s = 0; s < kSets; ++s)
#pragma unroll
    for (int r = 0; r < kRowGroups; ++r)
#pragma unroll
      for (int i = 0; i < 4; ++i) sums[s][r][i] = 0;
  const u32 first = warp % kSplit * kWarpBlocks;
  u32 from[kRowGroups];
#pragma unroll
  for (int r = 0; r < kRowGroups; ++r) from[r] = input + min(8 * r + (lane >> 2), kRows - 1u) * kPitch + (lane & 3) * 16;
#pragma unroll 1
  for (u32 b0 = 0; b0 < kWarpBlocks; b0 += kAtATime) {
    u32 w[kAtATime][2][4], stage[kAtATime];
#pragma unroll
    for (int k = 0; k < kAtATime; ++k) {
      barrier_wait(full + 8 * ring.stage, ring.parity);
      stage[k] = ring.stage;
      const u32 at = stages + ring.stage * kStageBytes + warp * 1024 + lane * 16;
      get_shared(w[k][0], at);
      get_shared(w[k][1], at + 512);
      ring.next();
    }
#pragma unroll
    for (int k = 0; k < kAtATime; ++k)
      if (works && first + b0 + k < kBlocks) {
#pragma unroll
        for (int r = 0; r < kRowGroups; ++r) {
          u32 x[4];
          get_shared(x, from[r] + (first + b0 + k) * 64);
          multiply(sums[2 * k % kSets][r], w[k][0], x[0], x[1]);
          multiply(sums[(2 * k + 1) % kSets][r], w[k][1], x[2], x[3]);
        }
      }
    __syncwarp();
#pragma unroll
    for (int k = 0; k < kAtATime; ++k)
      if (lane == 0) barrier_arrive(empty + 8 * stage[k]);
  }
#pragma unroll
  for (int r = 0; r < kRowGroups; ++r)
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      sum[r][i] = sums[0][r][i];
#pragma unroll
      for (int s = 1; s < kSets; ++s) sum[r][i] += sums[s][r][i];
    }
}
// [split][tile][row][16 channels]
template <int kSplit, int kAtOnce> DEV void leave_sums(float* sums, const float (&sum)[kRowGroups][4], u32 warp, u32 lane) {
  float* to = sums + (warp % kSplit * kAtOnce + warp / kSplit) * (kRows * 16) + (lane >> 2);
#pragma unroll
  for (int r = 0; r < kRowGroups; ++r)
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const u32 row = 8 * r + (lane & 3) * 2 + i % 2;
      if (row < kRows) to[row * 16 + i / 2 * 8] = sum[r][i];
    }
}
template <int kSplit, int kAtOnce> DEV void join_sums(float (&sum)[8], const float* sums, u32 tile, u32 row, u32 half) {
#pragma unroll
  for (int l = 0; l < 8; ++l) sum[l] = 0;
#pragma unroll
  for (int s = 0; s < kSplit; ++s) {
    const float4* from = (const float4*)(sums + (s * kAtOnce + tile) * (kRows * 16) + row * 16 + half * 8);
    const float4 a = from[0], b = from[1];
    sum[0] += a.x; sum[1] += a.y; sum[2] += a.z; sum[3] += a.w;
    sum[4] += b.x; sum[5] += b.y; sum[6] += b.z; sum[7] += b.w;
  }
}
)CUDA";

constexpr std::string_view kFrontText = R"CUDA(
extern "C" __global__ void __launch_bounds__(kThreads, 1) ENTRY(const u16* input, const unsigned char* weightsPARAMETERS) {
  extern __shared__ __align__(128) unsigned char shared[];
  const u32 thread = threadIdx.x, warp = __shfl_sync(~0u, thread >> 5, 0), lane = thread & 31;
  const int rank = kCluster > 1 ? cluster_rank() : 0;
  const u32 base = shared_address(shared), stages = base + kRingAt, full = stages + kStages * kStageBytes, empty = full + 8 * kStages;
  const u32 ready = empty + 8 * kStages;  // of the inputs of layers
  if (thread == 0) {
    for (int i = 0; i < kStages; ++i) { barrier_init(full + 8 * i, 1); barrier_init(empty + 8 * i, kWarps); }
EXPECT    barrier_init_fence();
  }
  __syncthreads();
  if (kCluster > 1) cluster_arrive();
  if (warp == kWarps) {  // ---- brings weights
    if (lane == 0) {
      Ring ring;
BRING    }
    __syncwarp();
    if (kCluster > 1) cluster_wait();
  } else {
)CUDA";

// A layer's share of everything; LAYER is its number.
constexpr std::string_view kLayerText = R"CUDA(    {  // ---- layer LAYER
      using namespace layerLAYER;
      const int tiles = tiles_of<kTiles, kPerCta>(rank);
      float* sums = (float*)(shared + kSumsAt + LAYER % 2 * kSumsBytes);  // the other ones may still be read
      const u32 own_half = thread % kItems % 2, own_tile = thread % kItems / 2 % kAtOnce;
      Fixed early;  // of a thread that finishes 8 channels of each pass, where it has no more to do
      const auto bring_fixed = [&](int pass) {
        const int channel = (rank * kPerCta + pass * kAtOnce + (int)own_tile) * 16 + (int)own_half * 8;
        if (kItems * kShares <= kThreads - 32 && channel < kChannels) load_fixed(eLAYER, early, channel, kChannels);
      };
      bring_fixed(0);
WAIT      for (int pass = 0; pass * kAtOnce < tiles; ++pass) {
        float sum[kRowGroups][4];
        multiply_tile<kBlocks, kSplit, kWarpBlocks, kPitch>(sum, ring, stages, full, empty, base + kInputAt, warp, lane, pass * kAtOnce + (int)(warp / kSplit) < tiles);
        if (pass > 0) { warps_meet(); bring_fixed(pass); }  // the sums of the pass in front have been read
        leave_sums<kSplit, kAtOnce>(sums, sum, warp, lane);
        warps_meet();
        for (u32 u = thread; u < kItems * kShares; u += kThreads - 32) {
          const u32 item = u % kItems, half = item % 2, tile = item / 2 % kAtOnce, row = item / (2 * kAtOnce);
          const int channel = (rank * kPerCta + pass * kAtOnce + (int)tile) * 16 + (int)half * 8;
          if (pass * kAtOnce + (int)tile >= tiles) continue;
          float joined[8];
          join_sums<kSplit, kAtOnce>(joined, sums, tile, row, half);
FINISH        }
      }
IDLE    }
)CUDA";

constexpr std::string_view kGiveText = R"CUDA(          float kept[8];
#pragma unroll
          for (int l = 0; l < 8; ++l) kept[l] = 0;
          if (channel < kChannels) {
            Fixed fixed; Near near;
            if (kItems * kShares <= kThreads - 32) fixed = early;
            else load_fixed(eLAYER, fixed, channel, kChannels);
            load_near(eLAYER, near, row, channel, kChannels);
            finish(eLAYER, joined, fixed, near, row, channel, kChannels, kept);
#pragma unroll
            for (int l = 0; l < 8; ++l) if (kChannels % 8 && channel + l >= kChannels) kept[l] = 0;  // weights of 0 meet them
          }
          const u32 words[4] = {PACK(kept[0], kept[1]), PACK(kept[2], kept[3]), PACK(kept[4], kept[5]), PACK(kept[6], kept[7])};
          const u32 to = base + kNextAt + row * kNextPitch + channel * 2;
          for (u32 r = u / kItems; r < kReaders; r += kShares) {
            if (kCluster > 1) give(of_rank(to, r), of_rank(ready + 8 * (LAYER + 1), r), words);
            else put_shared(to, words);
          }
)CUDA";

constexpr std::string_view kStoreText = R"CUDA(          if (channel < kChannels) {
            Fixed fixed; Near near;
            if (kItems * kShares <= kThreads - 32) fixed = early;
            else load_fixed(eLAYER, fixed, channel, kChannels);
            load_near(eLAYER, near, row, channel, kChannels);
            finish(eLAYER, joined, fixed, near, row, channel, kChannels);
          }
)CUDA";

}  // namespace

std::string kernel_text(const Stack& stack, const Plan& plan, const std::vector<EpilogueText>& epilogues,
                        const std::string& entry) {
  const bool half = stack.type == ir::DataType::kF16;
  std::string out = cat(kPrelude, wgmma::async_text());
  const std::pair<const char*, int64_t> constants[] = {
      {"kThreads", kWarps * 32 + 32}, {"kWarps", kWarps}, {"kStageBytes", kStageBytes}, {"kCluster", plan.cluster},
      {"kStages", plan.stages}, {"kRowGroups", (stack.rows + 7) / 8}, {"kSumsAt", plan.sums_at}, {"kSumsBytes", plan.sums_bytes}, {"kRingAt", plan.ring_at}};
  for (const auto& [name, value] : constants) out += cat("constexpr int ", name, " = ", value, ";\n");
  out += cat("constexpr u32 kRows = ", stack.rows, ";\n");
  std::string device(kDeviceText);
  replace_all(device, "TYPE", half ? "f16" : "bf16");
  out += device;

  std::string parameters, make, expect, bring, layers, zeros;
  for (size_t i = 0; i < plan.layers.size(); ++i) {
    const LayerPlan& l = plan.layers[i];
    const bool last = i + 1 == plan.layers.size();
    const std::string space = cat("layer", i);
    const EpilogueText epilogue = named_epilogue(epilogues[i], space, cat("e", i));
    parameters += epilogue.parameters;
    make += cat("    ", epilogue.make, "\n");
    const int items = 2 * l.at_once() * int(stack.rows);
    const int readers = last ? 1 : plan.layers[i + 1].readers();
    const int shares = std::clamp(kWarps * 32 / items, 1, readers);
    std::string own = cat("constexpr int kChannels = ", stack.layers[i].channels, ", kTiles = ", l.tiles, ", kBlocks = ", l.blocks,
                          ", kPerCta = ", l.per_cta, ", kSplit = ", l.split, ", kAtOnce = ", l.at_once(), ", kWarpBlocks = ",
                          l.warp_blocks, ", kPitch = ", l.pitch, ", kInputAt = ", l.input_at, ";\nconstexpr u32 kItems = ", items,
                          ", kShares = ", shares, ", kReaders = ", readers, ";\n");
    if (!last) own += cat("constexpr int kNextAt = ", plan.layers[i + 1].input_at, ", kNextPitch = ", plan.layers[i + 1].pitch, ";\n");
    std::string functions = epilogue.functions;
    functions.insert(functions.find('{') + 1, cat("\n", own));
    out += functions;
    bring += cat("      bring<", l.tiles, ", ", l.per_cta, ", ", l.at_once(), ", ", l.warp_blocks,
                 ">(ring, stages, full, empty, weights + ", l.weights_at, ", rank);\n");
    std::string wait;
    if (i > 0) {
      // Every tile of the layer in front is given whole; what its rows have beyond is zeroed once.
      const LayerPlan& before = plan.layers[i - 1];
      if (plan.cluster > 1) {
        expect += cat("    barrier_init(ready + ", 8 * i, ", 1);\n    if (rank < ", l.readers(), ") barrier_expect(ready + ", 8 * i, ", ",
                      before.tiles * 32 * stack.rows, ");\n");
        wait = cat("      if (tiles > 0) barrier_wait(ready + ", 8 * i, ", 0);\n");
      } else {
        wait = "      warps_meet();\n";
      }
      if (before.tiles % 2)
        zeros += cat("    for (u32 i = thread; i < ", 2 * stack.rows, "; i += kThreads - 32) put_shared(base + ", l.input_at, " + i / 2 * ",
                     l.pitch, " + ", before.tiles * 32, " + i % 2 * 16, nothing);\n");
    }
    // Sums lie where those of the layer before the last one were, which other warps may still read.
    const bool idle = l.readers() < plan.cluster && i > 0 && !last;
    std::string text(kLayerText);
    replace_all(text, "IDLE", idle ? "      if (tiles <= 0) warps_meet();  // as the others do, before the next layer's sums\n" : "");
    replace_all(text, "WAIT", wait);
    replace_all(text, "FINISH", last ? kStoreText : kGiveText);
    replace_all(text, "LAYER", cat(i));
    layers += text;
  }
  const int64_t depth = stack.layers[0].depth, width = plan.layers[0].blocks * 32;
  std::string front(kFrontText);
  replace_all(front, "EXPECT", expect);
  replace_all(front, "BRING", bring);
  replace_all(front, "ENTRY", entry);
  replace_all(front, "PARAMETERS", parameters);
  // The input's rows, zeros behind them.
  std::string take;
  if (depth % 8 == 0) {
    take = cat("    for (u32 i = thread; i < kRows * ", width / 8, "; i += kThreads - 32) {\n      const u32 row = i / ", width / 8, ", at = i % ",
               width / 8, ";\n      u32 words[4] = {0, 0, 0, 0};\n      if (at < ", depth / 8, ") { const V4 v = ld16(input + (u64)row * ", depth,
               " + at * 8); words[0] = v.x; words[1] = v.y; words[2] = v.z; words[3] = v.w; }\n      put_shared(base + row * ",
               plan.layers[0].pitch, " + at * 16, words);\n    }\n");
  } else {
    take = cat("    for (u32 i = thread; i < kRows * ", width, "; i += kThreads - 32) {\n      const u32 row = i / ", width, ", at = i % ", width,
               ";\n      ((u16*)(shared + row * ", plan.layers[0].pitch, "))[at] = at < ", depth,
               " ? *(const volatile u16*)(input + (u64)row * ", depth, " + at) : (u16)0;\n    }\n");
  }
  if (!zeros.empty()) zeros = cat("    const u32 nothing[4] = {0, 0, 0, 0};\n", zeros);
  std::string body = cat(front, zeros, make, "    grid_wait();\n    grid_launch();\n", take,
                         "    warps_meet();\n    if (kCluster > 1) cluster_wait();  // barriers of all CTAs are there\n    Ring ring;\n",
                         layers, "  }\n}\n");
  replace_all(body, "PACK", half ? "pack_f16x2" : "pack_bf16x2");
  return out + body;
}

}  // namespace planish::cuda::stack
