// The source of a pair of 1x1 convolutions in one kernel.
#include "backend/cuda/emit/prelude.h"
#include "backend/cuda/families/bottleneck/pair.h"
#include "backend/cuda/families/contraction/kept_epilogue.h"
#include "backend/cuda/families/wgmma/device_text.h"
#include "base/text.h"

namespace planish::cuda::pair {
namespace {

constexpr std::string_view kBodyText = R"CUDA(
constexpr int kFirstBytes = kFirstSteps * 64 * 32, kSecondBytes = 4 * kWidth * 32, kWeightBytes = kFirstBytes + kSecondBytes;
constexpr int kInputBytes = kBoxes * 8192, kSets = kWidth / 32, kMid = kChunks * 64;
DEV void group_sync(u32 group) { asm volatile("bar.sync %0, %1;" ::"r"(group + 1), "r"(128) : "memory"); }
DEV void put_shared(u32 to, const u32 (&d)[4]) { asm volatile("st.shared.v4.u32 [%0], {%1, %2, %3, %4};" ::"r"(to), "r"(d[0]), "r"(d[1]), "r"(d[2]), "r"(d[3]) : "memory"); }
extern "C" __global__ void __launch_bounds__(kThreads, 1) ENTRY(const __grid_constant__ TensorMap inputRESIDUAL_MAP, const unsigned char* weights PARAMETERS) {
  extern __shared__ __align__(1024) unsigned char shared[];
  const u32 thread = threadIdx.x, warp = __shfl_sync(~0u, thread >> 5, 0), lane = thread & 31;
  const u32 inputs = shared_address(shared), wide = inputs + kGroups * kInputStages * kInputBytes, filters = wide + kGroups * 16384;
  const u32 input_full = filters + kChunks * kWeightBytesRESIDUAL_BYTES, input_empty = input_full + 8 * kGroups * kInputStages;
  const u32 loaded = input_empty + 8 * kGroups * kInputStages;
RESIDUAL_PLACES  if (thread == 0) {
    if (inputs & 1023) __trap();
    for (int i = 0; i < kGroups * kInputStages; ++i) { barrier_init(input_full + 8 * i, 1); barrier_init(input_empty + 8 * i, 4); }
    barrier_init(loaded, 1);
RESIDUAL_BARRIERS    barrier_init_fence();
  }
  __syncthreads();
  if (warp >= 4 * kGroups) {  // ---- producer
    fewer_registers<kProducerRegisters>();
PRODUCE  } else {  // ---- consumers: a group has 64 rows
    more_registers<kConsumerRegisters>();
    MAKE_FIRST
    MAKE_SECOND
    const u32 group = warp >> 2, quad = warp & 3, wide_tile = wide + group * 16384;
    u32 stage = 0, parity = 0RING_PLACE;
    grid_wait();
    barrier_wait(loaded, 0);
    for (int tile = blockIdx.x; tile < kTiles; tile += gridDim.x) {
      const int in_group = 16 * quad + (lane >> 2), row0 = (tile * kGroups + group) * 64 + in_group;
      const u32 at = group * kInputStages + stage, tile_input = inputs + at * kInputBytes;
BRING_FIRST      float out[kWidth / 2];
      barrier_wait(input_full + 8 * at, parity);
#pragma unroll 1
      for (int chunk = 0; chunk < kChunks; ++chunk) {
        const u32 filter = filters + chunk * kWeightBytes, half = wide_tile + (chunk & 1) * 8192;
        float sum[32];
        wgmma_begin();
#pragma unroll
        for (int k = 0; k < kFirstSteps; ++k)
          multiply_first(sum, matrix(tile_input + k / 4 * 8192 + k % 4 * 32, 1, 16, 1024), matrix(filter + k * 2048, 0, 1024, 128), k > 0);
        wgmma_commit();
BRING_NEXT        wgmma_wait<0>();
        if (chunk + 1 == kChunks && lane == 0) barrier_arrive(input_empty + 8 * at);
TAKE_NEAR#pragma unroll
        for (int s = 0; s < 2; ++s) {
          const int in_chunk = s * 32 + (lane & 3) * 8;
          first::Fixed fixed;
          first::load_fixed(e1, fixed, chunk * 64 + in_chunk, kMid);
#pragma unroll
          for (int h = 0; h < 2; ++h) {
            float part[8], kept[8];
#pragma unroll
            for (int l = 0; l < 8; ++l) { part[l] = sum[(s * 4 + l / 2) * 4 + 2 * h + l % 2]; kept[l] = 0; }
            if (row0 + 8 * h < kRows) first::finish(e1, part, fixed, near[2 * s + h], row0, chunk * 64 + in_chunk, kMid, kept, 8 * h);
            const u32 words[4] = {PACK(kept[0], kept[1]), PACK(kept[2], kept[3]), PACK(kept[4], kept[5]), PACK(kept[6], kept[7])};
            const u32 row = in_group + 8 * h;
            put_shared(half + row * 128 + ((in_chunk / 8 ^ row & 7) << 4), words);
          }
        }
        async_fence();
        group_sync(group);
LET_GO        wgmma_begin();
#pragma unroll
        for (int k = 0; k < 4; ++k)
          multiply_second(out, matrix(half + k * 32, 1, 16, 1024), matrix(filter + kFirstBytes + k * kWidth * 32, 0, kWidth * 16, 128), chunk + k > 0);
        wgmma_commit();
KEEP_NEXT      }
      wgmma_wait<0>();
      if (++stage == kInputStages) { stage = 0; parity ^= 1; }
#pragma unroll
      for (int s = 0; s < kSets; ++s) {
        const int channel = s * 32 + (lane & 3) * 8;
        second::Fixed fixed;
        second::load_fixed(e2, fixed, channel, kWidth);
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          if (row0 + 8 * h >= kRows) continue;
          float part[8];
#pragma unroll
          for (int l = 0; l < 8; ++l) part[l] = out[(s * 4 + l / 2) * 4 + 2 * h + l % 2];
          second::Near beside;
          second::load_near(e2, beside, row0, channel, kWidth, 8 * h);
          second::finish(e2, part, fixed, beside, row0, channel, kWidth, 8 * h);
        }
      }
      group_sync(group);  // the next tile's first chunk lies where a slower warp's products may still read
    }
  }
}
)CUDA";

// What stands in the body for threads that read the residual, and for a ring that TMA fills: then one warp
// of the producers serves each group.
struct Word {
  std::string_view name, read, ring;
};
constexpr Word kWords[] = {
    {"RESIDUAL_MAP", "", ", const __grid_constant__ TensorMap residual"},
    {"RESIDUAL_BYTES", "", " + kGroups * kRing * 8192"},
    {"RESIDUAL_PLACES", "",
     "  const u32 residuals = filters + kChunks * kWeightBytes, residual_full = loaded + 8, residual_empty = residual_full + 8 * kGroups * kRing;\n"},
    {"RESIDUAL_BARRIERS", "",
     "    for (int i = 0; i < kGroups * kRing; ++i) { barrier_init(residual_full + 8 * i, 1); barrier_init(residual_empty + 8 * i, 1); }\n"},
    {"PRODUCE",
     R"CUDA(    if (warp == 4 * kGroups && lane == 0) {
      prefetch_map(&input);
      barrier_expect(loaded, kChunks * kWeightBytes);
      for (int chunk = 0; chunk < kChunks; ++chunk)
        load_bytes(filters + chunk * kWeightBytes, weights + (u64)chunk * kWeightBytes, kWeightBytes, loaded);
      grid_wait();
      u32 stage = 0, parity = 1;
      for (int tile = blockIdx.x; tile < kTiles; tile += gridDim.x) {
        for (int g = 0; g < kGroups; ++g) {
          const u32 at = g * kInputStages + stage;
          barrier_wait(input_empty + 8 * at, parity);
          barrier_expect(input_full + 8 * at, kInputBytes);
          for (int b = 0; b < kBoxes; ++b)
            load_box(inputs + at * kInputBytes + b * 8192, &input, input_full + 8 * at, b * 64, (tile * kGroups + g) * 64, 0);
        }
        if (++stage == kInputStages) { stage = 0; parity ^= 1; }
      }
      grid_launch();
    }
)CUDA",
     R"CUDA(    if (warp < 5 * kGroups && lane == 0) {
      const u32 group = warp - 4 * kGroups;
      if (group == 0) {
        prefetch_map(&input);
        prefetch_map(&residual);
        barrier_expect(loaded, kChunks * kWeightBytes);
        for (int chunk = 0; chunk < kChunks; ++chunk)
          load_bytes(filters + chunk * kWeightBytes, weights + (u64)chunk * kWeightBytes, kWeightBytes, loaded);
      }
      grid_wait();
      u32 stage = 0, parity = 1, place = 0, place_parity = 1;
      for (int tile = blockIdx.x; tile < kTiles; tile += gridDim.x) {
        const int row = (tile * kGroups + group) * 64;
        const u32 at = group * kInputStages + stage;
        barrier_wait(input_empty + 8 * at, parity);
        barrier_expect(input_full + 8 * at, kInputBytes);
        for (int b = 0; b < kBoxes; ++b) load_box(inputs + at * kInputBytes + b * 8192, &input, input_full + 8 * at, b * 64, row, 0);
        if (++stage == kInputStages) { stage = 0; parity ^= 1; }
        for (int chunk = 0; chunk < kChunks; ++chunk) {
          const u32 held = group * kRing + place;
          barrier_wait(residual_empty + 8 * held, place_parity);
          barrier_expect(residual_full + 8 * held, 8192);
          load_box(residuals + held * 8192, &residual, residual_full + 8 * held, chunk * 64, row, 0);
          if (++place == kRing) { place = 0; place_parity ^= 1; }
        }
      }
      if (group == 0) grid_launch();
    }
)CUDA"},
    {"RING_PLACE", "", ", place = 0, place_parity = 0"},
    {"BRING_FIRST",
     R"CUDA(      first::Near near[4], next[4];  // of 32 channels and 8 rows each
      const auto bring = [&](int chunk, first::Near (&to)[4]) {
#pragma unroll
        for (int u = 0; u < 4; ++u)
          if (row0 + 8 * (u % 2) < kRows) first::load_near(e1, to[u], row0, chunk * 64 + (lane & 3) * 8, kMid, 8 * (u % 2), u / 2 * 32);
      };
      bring(0, near);
)CUDA", ""},
    {"BRING_NEXT", "        if (chunk + 1 < kChunks) bring(chunk + 1, next);\n", ""},
    {"TAKE_NEAR", "",
     R"CUDA(        const u32 held = group * kRing + place, residual_tile = residuals + held * 8192;
        barrier_wait(residual_full + 8 * held, place_parity);
        first::Near near[4];  // of 32 channels and 8 rows each
#pragma unroll
        for (int u = 0; u < 4; ++u)
          get_shared(near[u].RESIDUAL[0], residual_tile + (in_group + 8 * (u % 2)) * 128 + ((u / 2 * 4 + (lane & 3) ^ in_group & 7) << 4));
)CUDA"},
    {"LET_GO", "",
     R"CUDA(        if (quad == 0 && lane == 0) barrier_arrive(residual_empty + 8 * held);
        if (++place == kRing) { place = 0; place_parity ^= 1; }
)CUDA"},
    {"KEEP_NEXT",
     R"CUDA(#pragma unroll
        for (int u = 0; u < 4; ++u) near[u] = next[u];
)CUDA", ""},
};
constexpr std::string_view kGetText = R"CUDA(
DEV void get_shared(u32 (&d)[4], u32 from) { asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3]) : "r"(from) : "memory"); }
)CUDA";

}  // namespace

std::string kernel_text(const Pair& pair, const Plan& plan, const EpilogueText& first, const EpilogueText& second,
                        const std::string& entry) {
  const std::pair<const char*, int64_t> constants[] = {
      {"kGroups", plan.groups}, {"kFirstSteps", plan.first_steps}, {"kBoxes", plan.boxes}, {"kChunks", plan.chunks},
      {"kWidth", pair.out_channels}, {"kInputStages", plan.input_stages},
      {"kTiles", plan.tiles}, {"kRows", pair.rows}, {"kThreads", plan.threads()},
      {"kConsumerRegisters", plan.consumer_registers}, {"kProducerRegisters", plan.producer_registers}};
  std::string out = cat(kPrelude, wgmma::async_text());
  for (const auto& [name, value] : constants) out += cat("constexpr int ", name, " = ", value, ";\n");
  out += wgmma::instruction_text("multiply_first", pair.type, kChunk, wgmma::Operand::kSharedKMajor, false);
  out += wgmma::instruction_text("multiply_second", pair.type, int(pair.out_channels), wgmma::Operand::kSharedKMajor, false);
  std::string body(kBodyText), make_first = first.make;
  for (const Word& word : kWords) replace_all(body, word.name, plan.ring > 0 ? word.ring : word.read);
  if (plan.ring > 0) {
    replace_all(body, "RESIDUAL", cat("x", *residual_of(pair)));
    out += cat("constexpr int kRing = ", plan.ring, ";", kGetText);
  }
  const EpilogueText other = named_epilogue(second, "second", "e2");
  replace_all(make_first, "const Epilogue e", "const first::Epilogue e1");
  replace_all(body, "ENTRY", entry);
  replace_all(body, "PARAMETERS", cat(first.parameters, other.parameters));
  replace_all(body, "MAKE_FIRST", make_first);
  replace_all(body, "MAKE_SECOND", other.make);
  replace_all(body, "PACK", pair.type == ir::DataType::kF16 ? "pack_f16x2" : "pack_bf16x2");
  return cat(out, "namespace first {\n", first.functions, "}\n", other.functions, body);
}

}  // namespace planish::cuda::pair
