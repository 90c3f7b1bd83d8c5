// Conv 1x1 + {max min} + Conv 3x3 + {max min} + Conv 1x1 -> f16[128, 64, 14, 14] perm(0,2,3,1)
// grid 256 1 1, block 128, tactic across=1,chunk=64,columns=14,down=4,loaders=0,occ=2,rows=2
constexpr int kRows = 2;
constexpr int kColumns = 14;
constexpr int kDown = 4;
constexpr int kAcross = 1;
constexpr int kThreads = 128;
constexpr int kResidents = 2;
constexpr int kUnroll = 1;
constexpr int kChunk = 64;
constexpr int kChunks = 3;
constexpr int kExpands = 1;
constexpr int kTileHeight = 8;
constexpr int kTileWidth = 14;
constexpr int kTilesX = 1;
constexpr int kTilesY = 2;
constexpr int kPatchHeight = 17;
constexpr int kPatchWidth = 29;
constexpr int kPatchBlocks = 31;
constexpr int kEven = 15;
constexpr int kInputPitch = 80;
constexpr int kInputBytes = 39680;
constexpr int kMiddlePitch = 144;
constexpr int kDepthSteps = 2;
constexpr int kOutBlocks = 8;
constexpr int kInChannels = 32;
constexpr int kOutChannels = 64;
constexpr int kHeight = 28;
constexpr int kWidth = 28;
constexpr int kOutHeight = 14;
constexpr int kOutWidth = 14;
constexpr int kStride = 2;
constexpr int kTop = 1;
constexpr int kLeft = 1;

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
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
DEV void multiply_with_bias(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1, float2 bias) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%10,%11,%10,%11};"
               : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1), "f"(bias.x), "f"(bias.y));
}
DEV void multiply_8_deep(float (&d)[4], u32 upper, u32 lower, u32 b) {
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(upper), "r"(lower), "r"(b));
}
DEV u32 permuted(u32 a, u32 selection) { u32 d; asm("prmt.b32 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(0u), "r"(selection)); return d; }
DEV u32 expanded(float a, float b) {
  u32 d;
  asm("cvt.rn.relu.f16x2.f32 %0, %2, %1;" : "=r"(d) : "f"(a), "f"(b));
  asm("min.NaN.f16x2 %0, %1, %2;" : "=r"(d) : "r"(d), "r"(1174423040u));
  return d;
}
DEV u32 filtered(float a, float b) {
  u32 d;
  asm("cvt.rn.relu.f16x2.f32 %0, %2, %1;" : "=r"(d) : "f"(a), "f"(b));
  asm("min.NaN.f16x2 %0, %1, %2;" : "=r"(d) : "r"(d), "r"(1174423040u));
  return d;
}

// An address as a whole: what is added to it stays a part of the instruction that uses it.
template <class T> DEV T* whole(T* p) { u64 a; asm("mov.b64 %0, %1;" : "=l"(a) : "l"(p)); return (T*)a; }
DEV void get_fixed(u32 (&d)[4], const void* p) { asm("ld.global.nc.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3]) : "l"(p)); }
DEV void get_fixed(u32 (&d)[2], const void* p) { asm("ld.global.nc.v2.u32 {%0,%1}, [%2];" : "=r"(d[0]), "=r"(d[1]) : "l"(p)); }
DEV void get_fixed(u32 (&d)[1], const void* p) { asm("ld.global.nc.u32 %0, [%1];" : "=r"(d[0]) : "l"(p)); }
DEV void get_near(u32 (&d)[4], const void* p) { asm volatile("ld.global.cg.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3]) : "l"(p) : "memory"); }
DEV void get_near(u32 (&d)[2], const void* p) { asm volatile("ld.global.cg.v2.u32 {%0,%1}, [%2];" : "=r"(d[0]), "=r"(d[1]) : "l"(p) : "memory"); }
DEV void get_near(u32 (&d)[1], const void* p) { asm volatile("ld.global.cg.u32 %0, [%1];" : "=r"(d[0]) : "l"(p) : "memory"); }
DEV void put(void* p, const u32 (&d)[4]) { asm volatile("st.global.v4.u32 [%0], {%1,%2,%3,%4};" :: "l"(p), "r"(d[0]), "r"(d[1]), "r"(d[2]), "r"(d[3]) : "memory"); }
DEV void put(void* p, const u32 (&d)[2]) { asm volatile("st.global.v2.u32 [%0], {%1,%2};" :: "l"(p), "r"(d[0]), "r"(d[1]) : "memory"); }
DEV void put(void* p, const u32 (&d)[1]) { asm volatile("st.global.u32 [%0], %1;" :: "l"(p), "r"(d[0]) : "memory"); }

DEV float exp2_fast(float x) { float r; asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x)); return r; }
DEV float exp_fast(float x) { return exp2_fast(x * 1.44269504f); }
DEV float reciprocal_fast(float x) { float r; asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x)); return r; }
DEV float gelu_fast(float x) {
  const float t = fminf(fabsf(x), 30.0f);
  float p = fmaf(t, -0.000317044775f, 0.00586511046f);
  p = fmaf(t, p, -0.0485443098f);
  p = fmaf(t, p, -0.463716665f);
  p = fmaf(t, p, -1.14908037f);
  p = fmaf(t, p, -1.00027163f);
  return fmaf(-t, exp2_fast(p), max_nan(x, 0.0f));
}
DEV float erf_beside_one(float x) {
  const float t = fabsf(x) * 1.41421356f;
  float p = fmaf(t, -0.000317044775f, 0.00586511046f);
  p = fmaf(t, p, -0.0485443098f);
  p = fmaf(t, p, -0.463716665f);
  p = fmaf(t, p, -1.14908037f);
  p = fmaf(t, p, -0.00027163f);
  return copysignf(1.0f - exp2_fast(p), x);
}
struct Epilogue {
  const u16* x0;
  u16* y0;
  u32 y0_pitch;
};
struct Fixed {
  u32 x0[1][2];
};
struct Near {
};
DEV void load_fixed(const Epilogue& e, Fixed& fixed, int channel, int end, int plus_channel = 0) {
  { const u16* p = e.x0 + channel + plus_channel;
    get_fixed(fixed.x0[0], p + 0);
  }
}
DEV void load_near(const Epilogue& e, Near& near, u64 row, int channel, int end, int plus_row = 0, int plus_channel = 0) {
}
DEV void prefetch_near(const Epilogue& e, u64 row, int channel, int plus_row = 0) {
}
DEV void finish(const Epilogue& e, const float (&sum)[4], const Fixed& fixed, const Near& near, u64 row, int channel, int end, int plus_row = 0, int plus_channel = 0) {
const float v0_0 = (float)(sum[0]);
const float v0_1 = (float)(f16_low(fixed.x0[0][0]));
const float v0_2 = (float)((float)v0_1);
const float v0_3 = (float)(v0_0 + v0_2);
const float v1_0 = (float)(sum[1]);
const float v1_1 = (float)(f16_high(fixed.x0[0][0]));
const float v1_2 = (float)((float)v1_1);
const float v1_3 = (float)(v1_0 + v1_2);
const float v2_0 = (float)(sum[2]);
const float v2_1 = (float)(f16_low(fixed.x0[0][1]));
const float v2_2 = (float)((float)v2_1);
const float v2_3 = (float)(v2_0 + v2_2);
const float v3_0 = (float)(sum[3]);
const float v3_1 = (float)(f16_high(fixed.x0[0][1]));
const float v3_2 = (float)((float)v3_1);
const float v3_3 = (float)(v3_0 + v3_2);
  { u16* p = whole(whole(e.y0 + row * e.y0_pitch + channel) + (u64)plus_row * e.y0_pitch) + plus_channel;
    { const u32 d[2] = {pack_f16x2(v0_3, v1_3), pack_f16x2(v2_3, v3_3)}; put(p + 0, d); }
  }
}

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
extern "C" __global__ void __launch_bounds__(kThreads, kResidents) bottleneck_f16_c32_192_64_s2_8x14_r2_sm90(const u16* input, const uint2* expand, const float* expand_bias, const uint4* depthwise, const float* depthwise_bias, const uint2* project , const u16* __restrict__ x0, u16* __restrict__ y0, i64 y0_pitch) {
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

  {
    
    const Epilogue e = {x0, y0, (u32)(y0_pitch / 2)};
#pragma unroll
    for (int j = 0; j < 8; j += 4 / 2) {
      const int channel = j * 8 + 4 * t;
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
          float part[4];
#pragma unroll
          for (int l = 0; l < 4; ++l) part[l] = sum[r][j + l / 2][2 * h + l % 2];
          if (there(r, h)) finish(e, part, fixed, near[r][h], row0, channel, kOutChannels, r * kOutWidth + 8 * h);
        }
    }
  }

}
