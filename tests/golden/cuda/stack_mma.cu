// Conv 1x1 + {max} + Conv 1x1 -> f16[1, 1152, 1, 1] perm(0,2,3,1)
// grid 4 1 1, block 544, tactic c=4

DEV u32 shared_address(const void* p) { return (u32)__cvta_generic_to_shared(p); }

// ---- barriers in shared memory: a phase ends when all arrivals and announced bytes are in
DEV void barrier_init(u32 barrier, u32 arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals));
}
DEV void barrier_init_fence() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }
DEV void barrier_expect(u32 barrier, u32 bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
}
DEV void barrier_arrive(u32 barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}
DEV u32 of_rank(u32 address, u32 rank) {
  u32 out;
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(out) : "r"(address), "r"(rank));
  return out;
}
DEV void barrier_arrive_at(u32 barrier, u32 rank) {
  asm volatile("mbarrier.arrive.shared::cluster.b64 _, [%0];" ::"r"(of_rank(barrier, rank)) : "memory");
}
// Waits for the end of the phase of that parity; right only while at most one phase ahead.
DEV void barrier_wait(u32 barrier, u32 parity) {
#ifdef TRAP_ON_HANG
  for (int i = 0; i < 200; ++i) {
    u32 done;
    asm volatile("{.reg .pred q; mbarrier.try_wait.parity.shared::cta.b64 q, [%1], %2, 0x989680; selp.u32 %0, 1, 0, q;}"
                 : "=r"(done) : "r"(barrier), "r"(parity) : "memory");
    if (done) return;
  }
  __trap();
#else
  asm volatile(
      "{.reg .pred q; W%=: mbarrier.try_wait.parity.shared::cta.b64 q, [%0], %1, 0x989680; @q bra D%=; bra W%=; D%=:}"
      ::"r"(barrier), "r"(parity) : "memory");
#endif
}

// ---- clusters
DEV u32 cluster_rank() {
  u32 rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}
DEV void cluster_arrive() { asm volatile("barrier.cluster.arrive.release;" ::: "memory"); }
DEV void cluster_wait() { asm volatile("barrier.cluster.wait.acquire;" ::: "memory"); }
DEV void cluster_sync() { cluster_arrive(); cluster_wait(); }

// ---- TMA: a box of a tensor into shared memory, its bytes counted on a barrier
DEV void prefetch_map(const TensorMap* map) { asm volatile("prefetch.tensormap [%0];" ::"l"(map)); }
DEV void load_box(u32 to, const TensorMap* map, u32 barrier, int x, int y, int z) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], [%2];"
      ::"r"(to), "l"(map), "r"(barrier), "r"(x), "r"(y), "r"(z) : "memory");
}
DEV void load_box_multicast(u32 to, const TensorMap* map, u32 barrier, int x, int y, int z, u16 ranks) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1, {%3, %4, %5}], [%2], %6;"
      ::"r"(to), "l"(map), "r"(barrier), "r"(x), "r"(y), "r"(z), "h"(ranks) : "memory");
}
// Consecutive output pixels seen through one filter tap.
DEV void load_pixels(u32 to, const TensorMap* map, u32 barrier, int c, int w, int h, int n, u16 dw, u16 dh) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5, %6}], [%2], {%7, %8};"
      ::"r"(to), "l"(map), "r"(barrier), "r"(c), "r"(w), "r"(h), "r"(n), "h"(dw), "h"(dh) : "memory");
}
DEV void load_pixels_multicast(u32 to, const TensorMap* map, u32 barrier, int c, int w, int h, int n, u16 dw,
                                  u16 dh, u16 ranks) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1, {%3, %4, %5, %6}], [%2], {%7, %8}, %9;"
      ::"r"(to), "l"(map), "r"(barrier), "r"(c), "r"(w), "r"(h), "r"(n), "h"(dw), "h"(dh), "h"(ranks) : "memory");
}
// Plain bytes, multiples of 16.
DEV void load_bytes(u32 to, const void* from, u32 bytes, u32 barrier) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];"
               ::"r"(to), "l"(from), "r"(bytes), "r"(barrier) : "memory");
}

// ---- wgmma
// Descriptor of a tile in shared memory. Swizzle 1: 128-byte rows, 2: 64-byte rows, 0: none. K-major
// tiles: `next_rows` is the distance of 8-row groups, `leading` that of 16-byte chunks of depth (no
// swizzle only). MN-major tiles: `next_rows` is the distance of 8 deep, `leading` of 64 elements.
DEV u64 matrix(u32 address, u32 swizzle, u32 leading, u32 next_rows) {
  return (u64)((address & 0x3ffff) >> 4) | ((u64)(leading >> 4) << 16) | ((u64)(next_rows >> 4) << 32) |
         ((u64)swizzle << 62);
}
DEV void wgmma_begin() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
DEV void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int kPending> DEV void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}
template <int kCount> DEV void more_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kCount));
}
template <int kCount> DEV void fewer_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kCount));
}
// Orders ordinary accesses of shared memory before what TMA or wgmma do next.
DEV void async_fence() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
constexpr int kThreads = 544;
constexpr int kWarps = 16;
constexpr int kStageBytes = 16384;
constexpr int kCluster = 4;
constexpr int kStages = 7;
constexpr int kRowGroups = 1;
constexpr int kSumsAt = 2688;
constexpr int kSumsBytes = 1024;
constexpr int kRingAt = 4736;
constexpr u32 kRows = 1;

DEV void multiply(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
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
namespace layer0 {
constexpr int kChannels = 48, kTiles = 3, kBlocks = 36, kPerCta = 1, kSplit = 16, kAtOnce = 1, kWarpBlocks = 3, kPitch = 2368, kInputAt = 0;
constexpr u32 kItems = 2, kShares = 4, kReaders = 4;
constexpr int kNextAt = 2432, kNextPitch = 192;


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
};
struct Fixed {
  u32 x0[1][4];
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
DEV void finish(const Epilogue& e, const float (&sum)[8], const Fixed& fixed, const Near& near, u64 row, int channel, int end, float (&kept)[8], int plus_row = 0, int plus_channel = 0) {
const float v0_0 = (float)(sum[0]);
const float v0_1 = (float)(f16_low(fixed.x0[0][0]));
const float v0_2 = (float)((float)v0_1);
const float v0_3 = (float)(v0_0 + v0_2);
const float v0_4 = (float)(__uint_as_float(0x00000000u));
const float v0_5 = (float)(max_nan(v0_3, v0_4));
  kept[0] = v0_5;
const float v1_0 = (float)(sum[1]);
const float v1_1 = (float)(f16_high(fixed.x0[0][0]));
const float v1_2 = (float)((float)v1_1);
const float v1_3 = (float)(v1_0 + v1_2);
const float v1_4 = (float)(__uint_as_float(0x00000000u));
const float v1_5 = (float)(max_nan(v1_3, v1_4));
  kept[1] = v1_5;
const float v2_0 = (float)(sum[2]);
const float v2_1 = (float)(f16_low(fixed.x0[0][1]));
const float v2_2 = (float)((float)v2_1);
const float v2_3 = (float)(v2_0 + v2_2);
const float v2_4 = (float)(__uint_as_float(0x00000000u));
const float v2_5 = (float)(max_nan(v2_3, v2_4));
  kept[2] = v2_5;
const float v3_0 = (float)(sum[3]);
const float v3_1 = (float)(f16_high(fixed.x0[0][1]));
const float v3_2 = (float)((float)v3_1);
const float v3_3 = (float)(v3_0 + v3_2);
const float v3_4 = (float)(__uint_as_float(0x00000000u));
const float v3_5 = (float)(max_nan(v3_3, v3_4));
  kept[3] = v3_5;
const float v4_0 = (float)(sum[4]);
const float v4_1 = (float)(f16_low(fixed.x0[0][2]));
const float v4_2 = (float)((float)v4_1);
const float v4_3 = (float)(v4_0 + v4_2);
const float v4_4 = (float)(__uint_as_float(0x00000000u));
const float v4_5 = (float)(max_nan(v4_3, v4_4));
  kept[4] = v4_5;
const float v5_0 = (float)(sum[5]);
const float v5_1 = (float)(f16_high(fixed.x0[0][2]));
const float v5_2 = (float)((float)v5_1);
const float v5_3 = (float)(v5_0 + v5_2);
const float v5_4 = (float)(__uint_as_float(0x00000000u));
const float v5_5 = (float)(max_nan(v5_3, v5_4));
  kept[5] = v5_5;
const float v6_0 = (float)(sum[6]);
const float v6_1 = (float)(f16_low(fixed.x0[0][3]));
const float v6_2 = (float)((float)v6_1);
const float v6_3 = (float)(v6_0 + v6_2);
const float v6_4 = (float)(__uint_as_float(0x00000000u));
const float v6_5 = (float)(max_nan(v6_3, v6_4));
  kept[6] = v6_5;
const float v7_0 = (float)(sum[7]);
const float v7_1 = (float)(f16_high(fixed.x0[0][3]));
const float v7_2 = (float)((float)v7_1);
const float v7_3 = (float)(v7_0 + v7_2);
const float v7_4 = (float)(__uint_as_float(0x00000000u));
const float v7_5 = (float)(max_nan(v7_3, v7_4));
  kept[7] = v7_5;
}
}
namespace layer1 {
constexpr int kChannels = 1152, kTiles = 72, kBlocks = 2, kPerCta = 18, kSplit = 1, kAtOnce = 16, kWarpBlocks = 2, kPitch = 192, kInputAt = 2432;
constexpr u32 kItems = 32, kShares = 1, kReaders = 1;


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
  u32 x0[1][4];
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
DEV void finish(const Epilogue& e, const float (&sum)[8], const Fixed& fixed, const Near& near, u64 row, int channel, int end, int plus_row = 0, int plus_channel = 0) {
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
const float v4_0 = (float)(sum[4]);
const float v4_1 = (float)(f16_low(fixed.x0[0][2]));
const float v4_2 = (float)((float)v4_1);
const float v4_3 = (float)(v4_0 + v4_2);
const float v5_0 = (float)(sum[5]);
const float v5_1 = (float)(f16_high(fixed.x0[0][2]));
const float v5_2 = (float)((float)v5_1);
const float v5_3 = (float)(v5_0 + v5_2);
const float v6_0 = (float)(sum[6]);
const float v6_1 = (float)(f16_low(fixed.x0[0][3]));
const float v6_2 = (float)((float)v6_1);
const float v6_3 = (float)(v6_0 + v6_2);
const float v7_0 = (float)(sum[7]);
const float v7_1 = (float)(f16_high(fixed.x0[0][3]));
const float v7_2 = (float)((float)v7_1);
const float v7_3 = (float)(v7_0 + v7_2);
  { u16* p = whole(whole(e.y0 + row * e.y0_pitch + channel) + (u64)plus_row * e.y0_pitch) + plus_channel;
    { const u32 d[4] = {pack_f16x2(v0_3, v1_3), pack_f16x2(v2_3, v3_3), pack_f16x2(v4_3, v5_3), pack_f16x2(v6_3, v7_3)}; put(p + 0, d); }
  }
}
}

extern "C" __global__ void __launch_bounds__(kThreads, 1) stack_f16_1x1152_48_1152_c4(const u16* input, const unsigned char* weights, const u16* __restrict__ layer0_x0, const u16* __restrict__ layer1_x0, u16* __restrict__ layer1_y0, i64 layer1_y0_pitch) {
  extern __shared__ __align__(128) unsigned char shared[];
  const u32 thread = threadIdx.x, warp = __shfl_sync(~0u, thread >> 5, 0), lane = thread & 31;
  const int rank = kCluster > 1 ? cluster_rank() : 0;
  const u32 base = shared_address(shared), stages = base + kRingAt, full = stages + kStages * kStageBytes, empty = full + 8 * kStages;
  const u32 ready = empty + 8 * kStages;  // of the inputs of layers
  if (thread == 0) {
    for (int i = 0; i < kStages; ++i) { barrier_init(full + 8 * i, 1); barrier_init(empty + 8 * i, kWarps); }
    barrier_init(ready + 8, 1);
    if (rank < 4) barrier_expect(ready + 8, 96);
    barrier_init_fence();
  }
  __syncthreads();
  if (kCluster > 1) cluster_arrive();
  if (warp == kWarps) {  // ---- brings weights
    if (lane == 0) {
      Ring ring;
      bring<3, 1, 1, 3>(ring, stages, full, empty, weights + 0, rank);
      bring<72, 18, 16, 2>(ring, stages, full, empty, weights + 196608, rank);
    }
    __syncwarp();
    if (kCluster > 1) cluster_wait();
  } else {
    const u32 nothing[4] = {0, 0, 0, 0};
    for (u32 i = thread; i < 2; i += kThreads - 32) put_shared(base + 2432 + i / 2 * 192 + 96 + i % 2 * 16, nothing);
    const layer0::Epilogue e0 = {layer0_x0};
    const layer1::Epilogue e1 = {layer1_x0, layer1_y0, (u32)(layer1_y0_pitch / 2)};
    grid_wait();
    grid_launch();
    for (u32 i = thread; i < kRows * 144; i += kThreads - 32) {
      const u32 row = i / 144, at = i % 144;
      u32 words[4] = {0, 0, 0, 0};
      if (at < 144) { const V4 v = ld16(input + (u64)row * 1152 + at * 8); words[0] = v.x; words[1] = v.y; words[2] = v.z; words[3] = v.w; }
      put_shared(base + row * 2368 + at * 16, words);
    }
    warps_meet();
    if (kCluster > 1) cluster_wait();  // barriers of all CTAs are there
    Ring ring;
    {  // ---- layer 0
      using namespace layer0;
      const int tiles = tiles_of<kTiles, kPerCta>(rank);
      float* sums = (float*)(shared + kSumsAt + 0 % 2 * kSumsBytes);  // the other ones may still be read
      const u32 own_half = thread % kItems % 2, own_tile = thread % kItems / 2 % kAtOnce;
      Fixed early;  // of a thread that finishes 8 channels of each pass, where it has no more to do
      const auto bring_fixed = [&](int pass) {
        const int channel = (rank * kPerCta + pass * kAtOnce + (int)own_tile) * 16 + (int)own_half * 8;
        if (kItems * kShares <= kThreads - 32 && channel < kChannels) load_fixed(e0, early, channel, kChannels);
      };
      bring_fixed(0);
      for (int pass = 0; pass * kAtOnce < tiles; ++pass) {
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
          float kept[8];
#pragma unroll
          for (int l = 0; l < 8; ++l) kept[l] = 0;
          if (channel < kChannels) {
            Fixed fixed; Near near;
            if (kItems * kShares <= kThreads - 32) fixed = early;
            else load_fixed(e0, fixed, channel, kChannels);
            load_near(e0, near, row, channel, kChannels);
            finish(e0, joined, fixed, near, row, channel, kChannels, kept);
#pragma unroll
            for (int l = 0; l < 8; ++l) if (kChannels % 8 && channel + l >= kChannels) kept[l] = 0;  // weights of 0 meet them
          }
          const u32 words[4] = {pack_f16x2(kept[0], kept[1]), pack_f16x2(kept[2], kept[3]), pack_f16x2(kept[4], kept[5]), pack_f16x2(kept[6], kept[7])};
          const u32 to = base + kNextAt + row * kNextPitch + channel * 2;
          for (u32 r = u / kItems; r < kReaders; r += kShares) {
            if (kCluster > 1) give(of_rank(to, r), of_rank(ready + 8 * (0 + 1), r), words);
            else put_shared(to, words);
          }
        }
      }
    }
    {  // ---- layer 1
      using namespace layer1;
      const int tiles = tiles_of<kTiles, kPerCta>(rank);
      float* sums = (float*)(shared + kSumsAt + 1 % 2 * kSumsBytes);  // the other ones may still be read
      const u32 own_half = thread % kItems % 2, own_tile = thread % kItems / 2 % kAtOnce;
      Fixed early;  // of a thread that finishes 8 channels of each pass, where it has no more to do
      const auto bring_fixed = [&](int pass) {
        const int channel = (rank * kPerCta + pass * kAtOnce + (int)own_tile) * 16 + (int)own_half * 8;
        if (kItems * kShares <= kThreads - 32 && channel < kChannels) load_fixed(e1, early, channel, kChannels);
      };
      bring_fixed(0);
      if (tiles > 0) barrier_wait(ready + 8, 0);
      for (int pass = 0; pass * kAtOnce < tiles; ++pass) {
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
          if (channel < kChannels) {
            Fixed fixed; Near near;
            if (kItems * kShares <= kThreads - 32) fixed = early;
            else load_fixed(e1, fixed, channel, kChannels);
            load_near(e1, near, row, channel, kChannels);
            finish(e1, joined, fixed, near, row, channel, kChannels);
          }
        }
      }
    }
  }
}
