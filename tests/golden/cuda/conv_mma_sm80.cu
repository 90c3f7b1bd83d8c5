// Conv 3x3 + {add add max} -> f16[2, 48, 14, 14]
// grid 50 1 1, block 256, tactic k=32,m=16,mma=1,n=32,slices=4,tm=16,tn=16
constexpr int kRows = 392;
constexpr int kChannels = 48;
constexpr int kDepth = 288;
constexpr int kRightDepth = 288;
constexpr int kRowTile = 16;
constexpr int kChannelTile = 32;
constexpr int kSlice = 32;
constexpr int kSlices = 4;
constexpr int kSlab = 128;
constexpr int kThreadRows = 16;
constexpr int kThreadChannels = 16;
constexpr int kThreads = 256;
constexpr int kRowTiles = 25;
constexpr int kChannelTiles = 2;
constexpr int kLeftVector = 8;
constexpr int kRightVector = 8;
constexpr int kLeftInner = 1;
constexpr int kRightInner = 1;
typedef u16 Element;
struct Row { const Element* base; int y, x; bool inside; };
DEV Row left_row(const Element* left, int batch, int row) {
  const int n = row / 196, at = row % 196;
  return {left + (u64)n * 6272u + batch * 0, at / 14 * 1 - 1, at % 14 * 1 - 1, row < kRows};
}
DEV const Element* left_at(const Row& r, int k) {
  const int tap = k / 32, c = k % 32, y = r.y + tap / 3 * 1, x = r.x + tap % 3 * 1;
  if ((u32)y >= 14u || (u32)x >= 14u) return nullptr;
  return r.base + ((u64)y * 14u + x) * 32u + c;
}
DEV int right_matrix(int batch) { return batch; }
DEV const Element* right_at(const Element* right, int batch, int channel, int k) {
  return right + (u64)right_matrix(batch) * 13824u + (u64)channel * 288u + (u64)k * 1u;
}

template <int kN> struct alignas(kN * sizeof(Element)) Vector { Element v[kN]; };
constexpr int kLeftLoads = (kRowTile * kSlab / kLeftVector + kThreads - 1) / kThreads;
constexpr int kRightLoads = (kChannelTile * kSlab / kRightVector + kThreads - 1) / kThreads;
// Place of a vector in the slab: threads follow what lies together in memory.
struct Spot { int outer, depth; };
DEV Spot left_spot(int i) {
  return kLeftInner ? Spot{i / (kSlab / kLeftVector), i % (kSlab / kLeftVector) * kLeftVector} : Spot{i % kRowTile, i / kRowTile};
}
DEV Spot right_spot(int i) {
  if (kRightInner) return {i / (kSlab / kRightVector), i % (kSlab / kRightVector) * kRightVector};
  return {i % (kChannelTile / kRightVector) * kRightVector, i / (kChannelTile / kRightVector)};
}
struct Slabs { Vector<kLeftVector> left[kLeftLoads]; Vector<kRightVector> right[kRightLoads]; };
DEV void fetch(Slabs& s, const Row (&rows)[kLeftLoads], const Element* right, int batch, int channel0, int k0) {
#pragma unroll
  for (int j = 0; j < kLeftLoads; ++j) {
    const int i = threadIdx.x + j * kThreads, k = k0 + left_spot(i).depth;
    const Element* p = i * kLeftVector < kRowTile * kSlab && rows[j].inside && k < kDepth ? left_at(rows[j], k) : nullptr;
    if (p) s.left[j] = *(const Vector<kLeftVector>*)p;
    else {
#pragma unroll
      for (int e = 0; e < kLeftVector; ++e) s.left[j].v[e] = 0;
    }
  }
#pragma unroll
  for (int j = 0; j < kRightLoads; ++j) {
    const int i = threadIdx.x + j * kThreads, k = k0 + right_spot(i).depth, channel = channel0 + right_spot(i).outer;
    const bool inside = i * kRightVector < kChannelTile * kSlab && k < (kRightInner ? kRightDepth : kDepth) && channel < kChannels;
    if (inside) s.right[j] = *(const Vector<kRightVector>*)right_at(right, batch, channel, k);
    else {
#pragma unroll
      for (int e = 0; e < kRightVector; ++e) s.right[j].v[e] = 0;
    }
  }
}

typedef u16 Word;
// Slabs lie as they come: depth innermost, or depth outermost and turned by ldmatrix.
constexpr int kLeftPitch = (kLeftInner ? kSlab : kRowTile) + 8, kRightPitch = (kRightInner ? kSlab : kChannelTile) + 8;
constexpr int kLeftWords = (kLeftInner ? kRowTile : kSlab) * kLeftPitch, kRightWords = (kRightInner ? kChannelTile : kSlab) * kRightPitch;
constexpr int kTilesAcross = kChannelTile / kThreadChannels, kPerSlice = kThreads / kSlices;
constexpr int kHigh = kThreadRows / 16, kWide = kThreadChannels / 8;
typedef float Sums[kHigh][kWide][4];
DEV void put_slabs(const Slabs& s, Word* left, Word* right) {
#pragma unroll
  for (int j = 0; j < kLeftLoads; ++j) {
    const int i = threadIdx.x + j * kThreads; const Spot p = left_spot(i);
    if (i * kLeftVector < kRowTile * kSlab) *(Vector<kLeftVector>*)(left + (kLeftInner ? p.outer * kLeftPitch + p.depth : p.depth * kLeftPitch + p.outer)) = s.left[j];
  }
#pragma unroll
  for (int j = 0; j < kRightLoads; ++j) {
    const int i = threadIdx.x + j * kThreads; const Spot p = right_spot(i);
    if (i * kRightVector < kChannelTile * kSlab) *(Vector<kRightVector>*)(right + (kRightInner ? p.outer * kRightPitch + p.depth : p.depth * kRightPitch + p.outer)) = s.right[j];
  }
}
DEV u32 shared_at(const void* p) { return (u32)__cvta_generic_to_shared(p); }
DEV void load_four(u32 (&d)[4], u32 p) { asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3]) : "r"(p) : "memory"); }
DEV void load_four_turned(u32 (&d)[4], u32 p) { asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3]) : "r"(p) : "memory"); }
DEV void multiply_16x8(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
DEV int warp_in_slice() { return (int)(threadIdx.x % kPerSlice) / 32; }
DEV int warp_row() { return warp_in_slice() / kTilesAcross * kThreadRows; }
DEV int warp_channel() { return warp_in_slice() % kTilesAcross * kThreadChannels; }
DEV void multiply(Sums& sum, const Word* left, const Word* right) {
  const int from = threadIdx.x / kPerSlice * kSlice, lane = threadIdx.x & 31;
#pragma unroll
  for (int k = 0; k < kSlice; k += 16) {
    u32 a[kHigh][4];
#pragma unroll
    for (int i = 0; i < kHigh; ++i) {
      if (kLeftInner) load_four(a[i], shared_at(left + (warp_row() + 16 * i + lane % 16) * kLeftPitch + from + k + lane / 16 * 8));
      else load_four_turned(a[i], shared_at(left + (from + k + lane % 8 + lane / 16 * 8) * kLeftPitch + warp_row() + 16 * i + lane / 8 % 2 * 8));
    }
#pragma unroll
    for (int j = 0; j < kWide; j += 2) {  // 16 channels a time
      u32 b[4];
      if (kRightInner) load_four(b, shared_at(right + (warp_channel() + 8 * j + lane % 8 + lane / 16 * 8) * kRightPitch + from + k + lane / 8 % 2 * 8));
      else load_four_turned(b, shared_at(right + (from + k + lane % 16) * kRightPitch + warp_channel() + 8 * j + lane / 16 * 8));
#pragma unroll
      for (int i = 0; i < kHigh; ++i) {
        multiply_16x8(sum[i][j], a[i], b[0], b[1]);
        multiply_16x8(sum[i][j + 1], a[i], b[2], b[3]);
      }
    }
  }
}
constexpr int kLanes = 2, kUnits = kHigh * kWide * 2;
DEV int unit_row(int u) { return warp_row() + u / (2 * kWide) * 16 + u % 2 * 8 + (threadIdx.x & 31) / 4; }
DEV int unit_channel(int u) { return warp_channel() + u / 2 % kWide * 8 + (threadIdx.x & 3) * 2; }
DEV float& unit_sum(Sums& sum, int u, int l) { return sum[u / (2 * kWide)][u / 2 % kWide][u % 2 * 2 + l]; }

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
  const u16* x1;
  u16* y0;
};
struct Fixed {
  u32 x0[1][1];
};
struct Near {
  float x1[2];
};
DEV void load_fixed(const Epilogue& e, Fixed& fixed, int channel, int end, int plus_channel = 0) {
  { const u16* p = e.x0 + channel + plus_channel;
    get_fixed(fixed.x0[0], p + 0);
  }
}
DEV void load_near(const Epilogue& e, Near& near, u64 row, int channel, int end, int plus_row = 0, int plus_channel = 0) {
  { const u16* p = e.x1 + (u64)((u32)(row + plus_row) % 196u) * 1u + (u64)((u32)(row + plus_row) / 196u) * 9408u;
    near.x1[0] = f16_to_f32(*(const volatile u16*)&p[(u64)(channel + plus_channel + 0) * 196u]);
    near.x1[1] = f16_to_f32(*(const volatile u16*)&p[(u64)(channel + plus_channel + 1) * 196u]);
  }
}
DEV void prefetch_near(const Epilogue& e, u64 row, int channel, int plus_row = 0) {
}
DEV void finish(const Epilogue& e, const float (&sum)[2], const Fixed& fixed, const Near& near, u64 row, int channel, int end, int plus_row = 0, int plus_channel = 0) {
const float v0_0 = (float)(sum[0]);
const float v0_1 = (float)(f16_low(fixed.x0[0][0]));
const float v0_2 = (float)(near.x1[0]);
const float v0_3 = (float)(v0_0 + v0_1);
const float v0_4 = (float)(v0_3 + v0_2);
const float v0_5 = (float)(__uint_as_float(0x00000000u));
const float v0_6 = (float)(max_nan(v0_4, v0_5));
const float v1_0 = (float)(sum[1]);
const float v1_1 = (float)(f16_high(fixed.x0[0][0]));
const float v1_2 = (float)(near.x1[1]);
const float v1_3 = (float)(v1_0 + v1_1);
const float v1_4 = (float)(v1_3 + v1_2);
const float v1_5 = (float)(__uint_as_float(0x00000000u));
const float v1_6 = (float)(max_nan(v1_4, v1_5));
  { u16* p = e.y0 + (u64)((u32)(row + plus_row) % 196u) * 1u + (u64)((u32)(row + plus_row) / 196u) * 9408u;
    p[(u64)(channel + plus_channel + 0) * 196u] = f32_to_f16(v0_6);
    p[(u64)(channel + plus_channel + 1) * 196u] = f32_to_f16(v1_6);
  }
}

constexpr int kBufferBytes = (kLeftWords + kRightWords) * (int)sizeof(Word);
constexpr int kReduceBytes = kSlices > 1 ? (kSlices - 1) * kPerSlice * kUnits * kLanes * 4 : 0;
constexpr int kSharedBytes = 2 * kBufferBytes > kReduceBytes ? 2 * kBufferBytes : kReduceBytes;
static_assert(kSharedBytes <= 48 * 1024);
extern "C" __global__ void __launch_bounds__(kThreads) conv_f16_mma_16x32x128_slices4(const Element* left, const Element* right , const u16* __restrict__ x0, const u16* __restrict__ x1, u16* __restrict__ y0) {
  __shared__ __align__(16) unsigned char shared[kSharedBytes];
  const int tile = blockIdx.x % (kRowTiles * kChannelTiles), batch = blockIdx.x / (kRowTiles * kChannelTiles);
  const int row0 = tile / kChannelTiles * kRowTile, channel0 = tile % kChannelTiles * kChannelTile;
  const Epilogue e = {x0, x1, y0};
  grid_wait();
  Row rows[kLeftLoads];
#pragma unroll
  for (int j = 0; j < kLeftLoads; ++j) rows[j] = left_row(left, batch, row0 + left_spot(threadIdx.x + j * kThreads).outer);
  Sums sum = {};
  Slabs slabs;
  fetch(slabs, rows, right, batch, channel0, 0);
#pragma unroll 1
  for (int k = 0, buffer = 0; k < kDepth; k += kSlab, buffer ^= 1) {
    Word* to = (Word*)(shared + buffer * kBufferBytes);
    put_slabs(slabs, to, to + kLeftWords);
    __syncthreads();
    if (k + kSlab < kDepth) fetch(slabs, rows, right, batch, channel0, k + kSlab);
    multiply(sum, to, to + kLeftWords);
  }
  grid_launch();
  if (kSlices > 1) {  // all slices' sums into the first one's
    __syncthreads();
    float* parts = (float*)shared;
    const int slice = threadIdx.x / kPerSlice, at = threadIdx.x % kPerSlice;
    if (slice > 0)
#pragma unroll
      for (int u = 0; u < kUnits; ++u)
#pragma unroll
        for (int l = 0; l < kLanes; ++l) parts[((slice - 1) * kUnits * kLanes + u * kLanes + l) * kPerSlice + at] = unit_sum(sum, u, l);
    __syncthreads();
    if (slice > 0) return;
#pragma unroll
    for (int s = 1; s < kSlices; ++s)
#pragma unroll
      for (int u = 0; u < kUnits; ++u)
#pragma unroll
        for (int l = 0; l < kLanes; ++l) unit_sum(sum, u, l) += parts[((s - 1) * kUnits * kLanes + u * kLanes + l) * kPerSlice + at];
  }
  const u32 row_base = 0;
  const int channel_base = 0;
#pragma unroll
  for (int u = 0; u < kUnits; ++u) {
    const int row = row0 + unit_row(u), channel = channel0 + unit_channel(u);
    if (row >= kRows || channel >= kChannels) continue;
    float part[kLanes];
#pragma unroll
    for (int l = 0; l < kLanes; ++l) part[l] = unit_sum(sum, u, l);
    Fixed fixed; Near near;
    load_fixed(e, fixed, channel_base + channel, channel_base + kChannels);
    load_near(e, near, row_base + row, channel_base + channel, channel_base + kChannels);
    finish(e, part, fixed, near, row_base + row, channel_base + channel, channel_base + kChannels);
  }
}
