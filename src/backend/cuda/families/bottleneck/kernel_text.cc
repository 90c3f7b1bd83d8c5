#include "backend/cuda/families/bottleneck/kernel_text.h"

#include <algorithm>
#include <cmath>

#include "backend/cuda/emit/expr_text.h"
#include "backend/cuda/emit/prelude.h"
#include "backend/cuda/families/contraction/product.h"
#include "base/float_types.h"
#include "base/text.h"

namespace planish::cuda::bottleneck {
namespace {

constexpr std::string_view kInstructionText = R"CUDA(
DEV u32 shared_at(const void* p) { return (u32)__cvta_generic_to_shared(p); }
DEV void copy16(u32 to, const void* from, bool inside) {  // 16 bytes, zeros beyond the image
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(inside ? 16u : 0u) : "memory");
}
DEV void copies_wait() { asm volatile("cp.async.wait_all;" ::: "memory"); }
DEV void load_four(u32 (&d)[4], u32 p) { asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3]) : "r"(p) : "memory"); }
DEV void load_two(u32& a, u32& b, u32 p) { asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];" : "=r"(a), "=r"(b) : "r"(p) : "memory"); }
DEV void store_four(u32 p, u32 a, u32 b, u32 c, u32 d) { asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1,%2,%3,%4};" ::"r"(p), "r"(a), "r"(b), "r"(c), "r"(d) : "memory"); }
// d += a b, 16 or 8 deep; with_bias: d = a b + the bias of the columns.
DEV void multiply(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.TYPE.TYPE.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
DEV void multiply_with_bias(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1, float2 bias) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.TYPE.TYPE.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%10,%11,%10,%11};"
               : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1), "f"(bias.x), "f"(bias.y));
}
DEV void multiply_8_deep(float (&d)[4], u32 upper, u32 lower, u32 b) {
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.TYPE.TYPE.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(upper), "r"(lower), "r"(b));
}
DEV u32 permuted(u32 a, u32 selection) { u32 d; asm("prmt.b32 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(0u), "r"(selection)); return d; }
)CUDA";

// Two values, rounded and clamped. Bounds are exact in the type, or rounded as the clamped value would be.
std::string clamp_text(std::string_view name, const Inner& inner, ir::DataType type) {
  const bool half = type == ir::DataType::kF16;
  const std::string_view two = half ? "f16x2" : "bf16x2";
  const auto bound = [&](double v) -> uint32_t {
    const uint32_t bits = half ? float_to_half(float(v)) : float_to_bfloat16(float(v));
    return bits | bits << 16;
  };
  std::string out = cat("DEV u32 ", name, "(float a, float b) {\n  u32 d;\n  asm(\"cvt.rn.", inner.low == 0 ? "relu." : "",
                        two, ".f32 %0, %2, %1;\" : \"=r\"(d) : \"f\"(a), \"f\"(b));\n");
  const auto against = [&](std::string_view op, double v) {
    out += cat("  asm(\"", op, ".NaN.", two, " %0, %1, %2;\" : \"=r\"(d) : \"r\"(d), \"r\"(", bound(v), "u));\n");
  };
  if (inner.low != 0 && std::isfinite(inner.low)) against("max", inner.low);
  if (std::isfinite(inner.high)) against("min", inner.high);
  return out + "  return d;\n}\n";
}

constexpr std::string_view kBodyText = R"CUDA(
constexpr int kBlocks = kChunk / 8, kPatch = kPatchHeight * kPatchWidth, kTaken = (kRows - 1) * kStride + 3;
// Column of the patch that a place in its row holds: with stride 2 the even ones lie in front, so that
// one tap of neighbouring outputs is contiguous.
DEV int column_at(int place) { return kStride == 1 ? place : place < kEven ? 2 * place : 2 * (place - kEven) + 1; }
DEV bool inside_image(int patch_y, int patch_x, int pixel) {
  return (u32)(patch_y + pixel / kPatchWidth) < kHeight && (u32)(patch_x + column_at(pixel % kPatchWidth)) < kWidth;
}
// `kCount` channels of every pixel of the patch.
template <int kCount, int kPitch> DEV void bring(u32 to, const u16* image, int patch_y, int patch_x, int channel0) {
  for (int i = threadIdx.x; i < kPatch * (kCount / 8); i += kThreads) {
    const int pixel = i / (kCount / 8), part = i % (kCount / 8), y = patch_y + pixel / kPatchWidth, x = patch_x + column_at(pixel % kPatchWidth);
    const bool inside = (u32)y < kHeight && (u32)x < kWidth && channel0 + part * 8 < kInChannels;
    copy16(to + pixel * kPitch + part * 16, image + (inside ? (y * kWidth + x) * kInChannels + channel0 + part * 8 : 0), inside);
  }
}
extern "C" __global__ void __launch_bounds__(kThreads, kResidents) ENTRY(const u16* input, const uint2* expand, const float* expand_bias, const uint4* depthwise, const float* depthwise_bias, const uint2* project PARAMETERS) {
  extern __shared__ __align__(128) unsigned char shared[];
  const u32 patch = shared_at(shared), middle = patch + kInputBytes;
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, g = lane >> 2, t = lane & 3;
  const int tile_x = blockIdx.x % kTilesX, tile_y = blockIdx.x / kTilesX % kTilesY, n = blockIdx.x / (kTilesX * kTilesY);
  const int patch_y = tile_y * kTileHeight * kStride - kTop, patch_x = tile_x * kTileWidth * kStride - kLeft;
  const bool whole = patch_y >= 0 && patch_x >= 0 && patch_y + kPatchHeight <= kHeight && patch_x + kPatchWidth <= kWidth;
  const u16* image = input + (u64)n * (kHeight * kWidth * kInChannels);
  grid_wait();
  if (kExpands) bring<kInChannels, kInputPitch>(patch, image, patch_y, patch_x, 0);
  float sum[kRows][kOutBlocks][4];
#pragma unroll
  for (int r = 0; r < kRows; ++r)
#pragma unroll
    for (int j = 0; j < kOutBlocks; ++j)
#pragma unroll
      for (int i = 0; i < 4; ++i) sum[r][j][i] = 0;
  // A warp's outputs, and the expanded pixels under their first taps: lanes 0-15 give the pixels of tap 0,
  // the others those of tap 1; for tap 2, lanes from 16 on the next 8 channels.
  const int down = warp / kAcross, across = warp % kAcross;
  const u32 corner = middle + (down * kRows * kStride * kPatchWidth + across * kColumns + (lane & 15)) * kMiddlePitch;
  const u32 taps01 = corner + (lane >> 4) * ((kStride == 1 ? 1 : kEven) * kMiddlePitch);
  const u32 tap2 = corner + (kStride == 1 ? 2 : 1) * kMiddlePitch + (lane >> 4) * 16;
  // A diagonal's element in this lane, if it has one: the low or the high half of a weight pair.
  const bool diagonal = t == g >> 1;
  const u32 low = diagonal ? (g & 1 ? 0x1044 : 0x4410) : 0x4444, high = diagonal ? (g & 1 ? 0x3244 : 0x4432) : 0x4444;
  if (kExpands) { copies_wait(); __syncthreads(); }
#pragma unroll 1
  for (int chunk = 0; chunk < kChunks; ++chunk) {
    if constexpr (kExpands) {
      uint2 weights[kDepthSteps][kBlocks];
      float2 bias[kBlocks];
#pragma unroll
      for (int k = 0; k < kDepthSteps; ++k)
#pragma unroll
        for (int j = 0; j < kBlocks; ++j) weights[k][j] = __ldg(expand + ((chunk * kDepthSteps + k) * kBlocks + j) * 32 + lane);
#pragma unroll
      for (int j = 0; j < kBlocks; ++j) bias[j] = __ldg((const float2*)(expand_bias + chunk * kChunk + j * 8 + 2 * t));
#pragma unroll 1
      for (int m = warp; m < kPatchBlocks; m += kThreads / 32) {
        float x[kBlocks][4];
        const u32 row = patch + (m * 16 + (lane & 15)) * kInputPitch;
#pragma unroll
        for (int k = 0; k < kDepthSteps; ++k) {
          u32 a[4];
          if (kInChannels - k * 16 >= 16) load_four(a, row + k * 32 + (lane >> 4) * 16);
          else load_two(a[0], a[1], row + k * 32);
#pragma unroll
          for (int j = 0; j < kBlocks; ++j) {
            if (k == 0) { x[j][0] = x[j][2] = bias[j].x; x[j][1] = x[j][3] = bias[j].y; }
            if (kInChannels - k * 16 >= 16) multiply(x[j], a, weights[k][j].x, weights[k][j].y);
            else multiply_8_deep(x[j], a[0], a[1], weights[k][j].x);
          }
        }
        // Beyond the image the depthwise step pads with zeros, not with what bias and clamp make of them.
        bool in0 = true, in1 = true;
        if (!whole) { in0 = inside_image(patch_y, patch_x, m * 16 + g); in1 = inside_image(patch_y, patch_x, m * 16 + g + 8); }
#pragma unroll
        for (int j = 0; j < kBlocks; j += 2) {
          const u32 v0 = expanded(x[j][0], x[j][1]), v1 = expanded(x[j][2], x[j][3]);
          const u32 v2 = expanded(x[j + 1][0], x[j + 1][1]), v3 = expanded(x[j + 1][2], x[j + 1][3]);
          store_four(middle + (m * 16 + (lane & 15)) * kMiddlePitch + (j + (lane >> 4)) * 16, in0 ? v0 : 0, in1 ? v1 : 0, in0 ? v2 : 0, in1 ? v3 : 0);
        }
      }
    } else {
      bring<kChunk, kMiddlePitch>(middle, image, patch_y, patch_x, chunk * kChunk);
      copies_wait();
    }
    __syncthreads();
    if (warp < kDown * kAcross) {
#pragma unroll kUnroll
      for (int j = 0; j < kBlocks; j += 2) {  // 16 middle channels
        u32 tap0[2][3], tap1[2][3], last[2][3];
        float2 bias[2];
        uint2 out[kOutBlocks];
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          const uint4* w = depthwise + ((chunk * kBlocks + j + e) * 8 + g) * 2;
          const uint4 a = __ldg(w), b = __ldg(w + 1);
          const u32 pairs[3] = {a.x, a.y, a.z}, alone[3] = {a.w, b.x, b.y};
          bias[e] = __ldg((const float2*)(depthwise_bias + chunk * kChunk + (j + e) * 8 + 2 * t));
#pragma unroll
          for (int r = 0; r < 3; ++r) { tap0[e][r] = permuted(pairs[r], low); tap1[e][r] = permuted(pairs[r], high); last[e][r] = permuted(alone[r], low); }
        }
#pragma unroll
        for (int o = 0; o < kOutBlocks; ++o) out[o] = __ldg(project + ((chunk * (kBlocks / 2) + j / 2) * kOutBlocks + o) * 32 + lane);
        float d[kRows][2][4];
#pragma unroll
        for (int y = 0; y < kTaken; ++y) {  // one row of the patch serves up to three rows of outputs
          u32 a0[4], a1[4], a2[4];
          load_four(a0, taps01 + y * kPatchWidth * kMiddlePitch + j * 16);
          load_four(a1, taps01 + y * kPatchWidth * kMiddlePitch + j * 16 + 16);
          load_four(a2, tap2 + y * kPatchWidth * kMiddlePitch + j * 16);
#pragma unroll
          for (int r = 0; r < 3; ++r) {
            if (y < r || (y - r) % kStride || (y - r) / kStride >= kRows) continue;
            const int m = (y - r) / kStride;
            if (r == 0) {
              multiply_with_bias(d[m][0], a0, tap0[0][r], tap1[0][r], bias[0]);
              multiply_with_bias(d[m][1], a1, tap0[1][r], tap1[1][r], bias[1]);
            } else {
              multiply(d[m][0], a0, tap0[0][r], tap1[0][r]);
              multiply(d[m][1], a1, tap0[1][r], tap1[1][r]);
            }
            multiply_8_deep(d[m][0], a2[0], a2[1], last[0][r]);
            multiply_8_deep(d[m][1], a2[2], a2[3], last[1][r]);
          }
          if (y >= 2 && (y - 2) % kStride == 0) {
            const int m = (y - 2) / kStride;
            const u32 a[4] = {filtered(d[m][0][0], d[m][0][1]), filtered(d[m][0][2], d[m][0][3]), filtered(d[m][1][0], d[m][1][1]), filtered(d[m][1][2], d[m][1][3])};
#pragma unroll
            for (int o = 0; o < kOutBlocks; ++o) multiply(sum[m][o], a, out[o].x, out[o].y);
          }
        }
      }
    }
    if (chunk + 1 < kChunks) __syncthreads();
  }
  grid_launch();
  if (warp >= kDown * kAcross) return;
  const int p0 = tile_y * kTileHeight + down * kRows, q0 = tile_x * kTileWidth + across * kColumns;
  const u32 row0 = ((u32)n * kOutHeight + p0) * kOutWidth + q0 + g;
  const auto there = [&](int r, int h) { return p0 + r < kOutHeight && g + 8 * h < kColumns && q0 + g + 8 * h < kOutWidth; };
ENDS
}
)CUDA";

// Epilogue calls of `lanes` neighbouring channels: what lies beside all of a thread's rows is loaded
// before the first is finished.
constexpr std::string_view kEndText = R"CUDA(
  {
    NAMES
    MAKE_EPILOGUE
#pragma unroll
    for (int j = FIRST; j < LIMIT; j += LANES / 2) {
      const int channel = j * 8 + LANES * t;
      Fixed fixed;
      Near near[kRows][2];
      load_fixed(e, fixed, channel, kOutChannels);
#pragma unroll
      for (int r = 0; r < kRows; ++r)
#pragma unroll
        for (int h = 0; h < 2; ++h)
          if (there(r, h)) load_near(e, near[r][h], row0, channel, kOutChannels, r * kOutWidth + 8 * h);
#pragma unroll
      for (int r = 0; r < kRows; ++r)
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          float part[LANES];
#pragma unroll
          for (int l = 0; l < LANES; ++l) part[l] = sum[r][j + l / 2][2 * h + l % 2];
          if (there(r, h)) finish(e, part, fixed, near[r][h], row0, channel, kOutChannels, r * kOutWidth + 8 * h);
        }
    }
  }
)CUDA";

std::string end_text(const EpilogueText& epilogue, std::string_view scope, int lanes, int first, int limit) {
  std::string out(kEndText);
  std::string names;
  if (!scope.empty())
    for (const char* name : {"Epilogue", "Fixed", "Near", "load_fixed", "load_near", "finish"})
      names += cat("using ", scope, "::", name, "; ");
  replace_all(out, "NAMES", names);
  replace_all(out, "MAKE_EPILOGUE", epilogue.make);
  replace_all(out, "LANES", std::to_string(lanes));
  replace_all(out, "FIRST", std::to_string(first));
  replace_all(out, "LIMIT", std::to_string(limit));
  return out;
}

}  // namespace

Result<Ends> ends_of(const Chain& c, const BlockPlan& p) {
  Ends ends;
  EpilogueStyle style{.lanes = 4, .group_channels = c.out_channels, .channel_tail = c.out_channels % 8 != 0};
  if (p.out_blocks > 1) {
    PLANISH_ASSIGN_OR_RETURN(ends.pairs, print_epilogue(c.epilogue, style));
  }
  style.lanes = 2;
  if (p.out_blocks % 2) {
    PLANISH_ASSIGN_OR_RETURN(ends.last, print_epilogue(c.epilogue, style));
  }
  return ends;
}

std::string kernel_text(const Chain& c, const BlockPlan& p, const Ends& ends, const std::string& entry) {
  const Block& b = p.block;
  const std::pair<const char*, int64_t> constants[] = {
      {"kRows", b.rows}, {"kColumns", b.columns}, {"kDown", b.down}, {"kAcross", b.across}, {"kThreads", b.threads()},
      {"kResidents", b.residents}, {"kUnroll", b.unrolled ? b.chunk / 16 : 1}, {"kChunk", b.chunk}, {"kChunks", p.chunks}, {"kExpands", c.expands},
      {"kTileHeight", b.tile_height()}, {"kTileWidth", b.tile_width()}, {"kTilesX", p.tiles_x}, {"kTilesY", p.tiles_y},
      {"kPatchHeight", p.patch_height}, {"kPatchWidth", p.patch_width}, {"kPatchBlocks", p.patch_blocks}, {"kEven", p.even},
      {"kInputPitch", p.input_pitch}, {"kInputBytes", c.expands ? p.input_bytes() : 0}, {"kMiddlePitch", p.middle_pitch},
      {"kDepthSteps", std::max(p.depth_steps, 1)}, {"kOutBlocks", p.out_blocks}, {"kInChannels", c.in_channels},
      {"kOutChannels", c.out_channels}, {"kHeight", c.height}, {"kWidth", c.width}, {"kOutHeight", c.out_height},
      {"kOutWidth", c.out_width}, {"kStride", c.stride}, {"kTop", c.top}, {"kLeft", c.left}};
  std::string out(kPrelude);
  for (const auto& [name, value] : constants) out += cat("constexpr int ", name, " = ", value, ";\n");
  std::string instructions(kInstructionText), body(kBodyText), calls;
  replace_all(instructions, "TYPE", c.type == ir::DataType::kF16 ? "f16" : "bf16");
  out += instructions;
  out += clamp_text("expanded", c.expand, c.type) + clamp_text("filtered", c.depthwise, c.type);
  const int whole = p.out_blocks / 2 * 2;
  if (ends.pairs) {
    out += ends.pairs->functions;
    calls += end_text(*ends.pairs, "", 4, 0, whole);
  }
  if (ends.last) {
    out += cat("namespace last_block {\n", ends.last->functions, "}\n");
    calls += end_text(*ends.last, "last_block", 2, whole, p.out_blocks);
  }
  replace_all(body, "ENTRY", entry);
  replace_all(body, "PARAMETERS", (ends.pairs ? ends.pairs : ends.last)->parameters);
  replace_all(body, "ENDS", calls);
  return out + body;
}

}  // namespace planish::cuda::bottleneck
