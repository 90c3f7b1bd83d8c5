// Conv 3x3 + {add add max} -> f16[8, 96, 35, 35] perm(0,2,3,1)
// grid 200 1 1, block 288, tactic b=1,g=2,row=128,w=96,x=1

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
constexpr int kGroups = 2;
constexpr int kBlocks = 1;
constexpr int kAcross = 1;
constexpr int kWidth = 96;
constexpr int kRowBytes = 128;
constexpr int kChunks = 2;
constexpr int kSteps = 6;
constexpr int kPermuted = 8;
constexpr int kTileWidth = 8;
constexpr int kTileHeight = 8;
constexpr int kPatchWidth = 10;
constexpr int kChunkBytes = 13312;
constexpr int kBroughtBytes = 25600;
constexpr int kWeightBytes = 165888;
constexpr int kTiles = 200;
constexpr int kTilesX = 5;
constexpr int kTilesY = 5;
constexpr int kChannelTiles = 1;
constexpr int kStages = 2;
constexpr int kThreads = 288;
constexpr int kProducerWarps = 1;
constexpr int kConsumerRegisters = 240;
constexpr int kProducerRegisters = 24;
constexpr int kNextPixels = 10;
constexpr int kTapsX = 3;
constexpr int kTapsY = 3;
constexpr int kDilationX = 1;
constexpr int kDilationY = 1;
constexpr int kTop = 1;
constexpr int kLeft = 1;
constexpr int kOutHeight = 35;
constexpr int kOutWidth = 35;
constexpr int kChannels = 96;
constexpr int kGang = 2;
DEV void multiply(float (&sum)[48], u64 a, u64 b, bool add) {
  asm volatile("{.reg .pred p; setp.ne.b32 p, %50, 0; wgmma.mma_async.sync.aligned.m64n96k16.f32.f16.f16 {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47}, %48, %49, p, 1, 1, 0, 0;}"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3]), "+f"(sum[4]), "+f"(sum[5]), "+f"(sum[6]), "+f"(sum[7]), "+f"(sum[8]), "+f"(sum[9]), "+f"(sum[10]), "+f"(sum[11]), "+f"(sum[12]), "+f"(sum[13]), "+f"(sum[14]), "+f"(sum[15]), "+f"(sum[16]), "+f"(sum[17]), "+f"(sum[18]), "+f"(sum[19]), "+f"(sum[20]), "+f"(sum[21]), "+f"(sum[22]), "+f"(sum[23]), "+f"(sum[24]), "+f"(sum[25]), "+f"(sum[26]), "+f"(sum[27]), "+f"(sum[28]), "+f"(sum[29]), "+f"(sum[30]), "+f"(sum[31]), "+f"(sum[32]), "+f"(sum[33]), "+f"(sum[34]), "+f"(sum[35]), "+f"(sum[36]), "+f"(sum[37]), "+f"(sum[38]), "+f"(sum[39]), "+f"(sum[40]), "+f"(sum[41]), "+f"(sum[42]), "+f"(sum[43]), "+f"(sum[44]), "+f"(sum[45]), "+f"(sum[46]), "+f"(sum[47])
      : "l"(a), "l"(b), "r"((int)add));
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
  const u16* x1;
  u16* y0;
  u32 y0_pitch;
};
struct Fixed {
  u32 x0[1][4];
};
struct Near {
  u32 x1[1][4];
};
DEV void load_fixed(const Epilogue& e, Fixed& fixed, int channel, int end, int plus_channel = 0) {
  { const u16* p = e.x0 + channel + plus_channel;
    get_fixed(fixed.x0[0], p + 0);
  }
}
DEV void load_near(const Epilogue& e, Near& near, u64 row, int channel, int end, int plus_row = 0, int plus_channel = 0) {
  { const u16* p = whole(e.x1 + row * 96u + channel) + plus_row * (i64)96 + plus_channel;
    get_near(near.x1[0], p + 0);
  }
}
DEV void prefetch_near(const Epilogue& e, u64 row, int channel, int plus_row = 0) {
  asm volatile("prefetch.global.L2 [%0];" ::"l"(whole(e.x1 + row * 96u) + plus_row * (i64)96 + channel));
}
DEV void finish(const Epilogue& e, const float (&sum)[8], const Fixed& fixed, const Near& near, u64 row, int channel, int end, int plus_row = 0, int plus_channel = 0) {
const float v0_0 = (float)(sum[0]);
const float v0_1 = (float)(f16_low(fixed.x0[0][0]));
const float v0_2 = (float)(f16_low(near.x1[0][0]));
const float v0_3 = (float)(v0_0 + v0_1);
const float v0_4 = (float)(v0_3 + v0_2);
const float v0_5 = (float)(__uint_as_float(0x00000000u));
const float v0_6 = (float)(max_nan(v0_4, v0_5));
const float v1_0 = (float)(sum[1]);
const float v1_1 = (float)(f16_high(fixed.x0[0][0]));
const float v1_2 = (float)(f16_high(near.x1[0][0]));
const float v1_3 = (float)(v1_0 + v1_1);
const float v1_4 = (float)(v1_3 + v1_2);
const float v1_5 = (float)(__uint_as_float(0x00000000u));
const float v1_6 = (float)(max_nan(v1_4, v1_5));
const float v2_0 = (float)(sum[2]);
const float v2_1 = (float)(f16_low(fixed.x0[0][1]));
const float v2_2 = (float)(f16_low(near.x1[0][1]));
const float v2_3 = (float)(v2_0 + v2_1);
const float v2_4 = (float)(v2_3 + v2_2);
const float v2_5 = (float)(__uint_as_float(0x00000000u));
const float v2_6 = (float)(max_nan(v2_4, v2_5));
const float v3_0 = (float)(sum[3]);
const float v3_1 = (float)(f16_high(fixed.x0[0][1]));
const float v3_2 = (float)(f16_high(near.x1[0][1]));
const float v3_3 = (float)(v3_0 + v3_1);
const float v3_4 = (float)(v3_3 + v3_2);
const float v3_5 = (float)(__uint_as_float(0x00000000u));
const float v3_6 = (float)(max_nan(v3_4, v3_5));
const float v4_0 = (float)(sum[4]);
const float v4_1 = (float)(f16_low(fixed.x0[0][2]));
const float v4_2 = (float)(f16_low(near.x1[0][2]));
const float v4_3 = (float)(v4_0 + v4_1);
const float v4_4 = (float)(v4_3 + v4_2);
const float v4_5 = (float)(__uint_as_float(0x00000000u));
const float v4_6 = (float)(max_nan(v4_4, v4_5));
const float v5_0 = (float)(sum[5]);
const float v5_1 = (float)(f16_high(fixed.x0[0][2]));
const float v5_2 = (float)(f16_high(near.x1[0][2]));
const float v5_3 = (float)(v5_0 + v5_1);
const float v5_4 = (float)(v5_3 + v5_2);
const float v5_5 = (float)(__uint_as_float(0x00000000u));
const float v5_6 = (float)(max_nan(v5_4, v5_5));
const float v6_0 = (float)(sum[6]);
const float v6_1 = (float)(f16_low(fixed.x0[0][3]));
const float v6_2 = (float)(f16_low(near.x1[0][3]));
const float v6_3 = (float)(v6_0 + v6_1);
const float v6_4 = (float)(v6_3 + v6_2);
const float v6_5 = (float)(__uint_as_float(0x00000000u));
const float v6_6 = (float)(max_nan(v6_4, v6_5));
const float v7_0 = (float)(sum[7]);
const float v7_1 = (float)(f16_high(fixed.x0[0][3]));
const float v7_2 = (float)(f16_high(near.x1[0][3]));
const float v7_3 = (float)(v7_0 + v7_1);
const float v7_4 = (float)(v7_3 + v7_2);
const float v7_5 = (float)(__uint_as_float(0x00000000u));
const float v7_6 = (float)(max_nan(v7_4, v7_5));
  { u16* p = whole(whole(e.y0 + row * e.y0_pitch + channel) + (u64)plus_row * e.y0_pitch) + plus_channel;
    { const u32 d[4] = {pack_f16x2(v0_6, v1_6), pack_f16x2(v2_6, v3_6), pack_f16x2(v4_6, v5_6), pack_f16x2(v6_6, v7_6)}; put(p + 0, d); }
  }
}

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
extern "C" __global__ void __launch_bounds__(kThreads, 1) window_f16_3x3_8x8x96_g2_s2_sm90(const __grid_constant__ TensorMap input, const unsigned char* weights , const u16* __restrict__ x0, const u16* __restrict__ x1, u16* __restrict__ y0, i64 y0_pitch) {
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
    const Epilogue e = {x0, x1, y0, (u32)(y0_pitch / 2)};
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
        load_fixed(e, fixed, channel, kChannels);
#pragma unroll
        for (int first = 0; first < 2 * kBlocks; first += kGang) {
          Near near[kGang];
#pragma unroll
          for (int i = 0; i < kGang; ++i)
            if (rows[first + i] >= 0) load_near(e, near[i], (u32)rows[first + i], channel, kChannels);
#pragma unroll
          for (int i = 0; i < kGang; ++i) {
            if (rows[first + i] < 0) continue;
            float part[kLanes];
#pragma unroll
            for (int l = 0; l < kLanes; ++l) part[l] = sum[(first + i) / 2][(s * (kPermuted / 2) + l / 2) * 4 + 2 * ((first + i) % 2) + l % 2];
            finish(e, part, fixed, near[i], (u32)rows[first + i], channel, kChannels);
          }
        }
      }
    }
  }
}
