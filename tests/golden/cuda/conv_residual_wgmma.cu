// Conv 1x1 + {add add max} -> f16[2, 256, 14, 14] perm(0,2,3,1)
// grid 28 1 1, block 160, tactic b=1,g=1,occ=2,w=64

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
constexpr int kGroups = 1;
constexpr int kBlocks = 1;
constexpr int kWide = 64;
constexpr int kSums = 32;
constexpr int kSwap = 0;
constexpr int kPingPong = 0;
constexpr int kResidents = 2;
constexpr int kShareWeights = 1;
constexpr int kShareRows = 1;
constexpr int kSplit = 1;
constexpr int kCluster = 1;
constexpr int kStages = 7;
constexpr int kStepBytes = 128;
constexpr int kStepDepth = 64;
constexpr int kSteps = 1;
constexpr int kChunks = 1;
constexpr int kRowTile = 64;
constexpr int kChannelTile = 64;
constexpr int kRowTiles = 7;
constexpr int kChannelTiles = 4;
constexpr int kTiles = 28;
constexpr int kRows = 392;
constexpr int kChannels = 256;
constexpr int kLeftBytes = 8192;
constexpr int kRightBytes = 8192;
constexpr int kStageBytes = 16384;
constexpr int kReduceBytes = 0;
constexpr int kProducerWarps = 1;
constexpr int kConsumerRegisters = 240;
constexpr int kProducerRegisters = 24;
constexpr int kThreads = 160;
constexpr int kLanes = 8;
constexpr int kPermuted = 8;
constexpr int kEarly = 1;
constexpr int kBoxes = 0;
constexpr int kGang = 4;
constexpr int kBuffers = 2;
constexpr int kPrefetch = 0;
constexpr int kLeftDepthOuter = 0;
constexpr int kRightDepthOuter = 0;
constexpr int kSwizzle = 1;
constexpr int kElementBytes = 2;
constexpr int kRaster = 4;
constexpr int kBackwards = 0;
constexpr bool kOneWave = false;
DEV void multiply(float (&sum)[32], u64 a, u64 b, bool add) {
  asm volatile("{.reg .pred p; setp.ne.b32 p, %34, 0; wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, %32, %33, p, 1, 1, 0, 0;}"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3]), "+f"(sum[4]), "+f"(sum[5]), "+f"(sum[6]), "+f"(sum[7]), "+f"(sum[8]), "+f"(sum[9]), "+f"(sum[10]), "+f"(sum[11]), "+f"(sum[12]), "+f"(sum[13]), "+f"(sum[14]), "+f"(sum[15]), "+f"(sum[16]), "+f"(sum[17]), "+f"(sum[18]), "+f"(sum[19]), "+f"(sum[20]), "+f"(sum[21]), "+f"(sum[22]), "+f"(sum[23]), "+f"(sum[24]), "+f"(sum[25]), "+f"(sum[26]), "+f"(sum[27]), "+f"(sum[28]), "+f"(sum[29]), "+f"(sum[30]), "+f"(sum[31])
      : "l"(a), "l"(b), "r"((int)add));
}
DEV void load_left(u32 to, const TensorMap* map, u32 barrier, int batch, int step, int row) {
  load_box(to, map, barrier, batch * 0 + step * kStepDepth, row, 0);
}
DEV void load_right(u32 to, const TensorMap* map, u32 barrier, int batch, int step, int channel) {
  load_box(to, map, barrier, 0, channel, batch * kSteps + step);
}

// Distance in a descriptor (16-byte units) of the next 32 bytes of depth.
constexpr int kLeftNext = kLeftDepthOuter ? 128 * (32 / kElementBytes) / 16 : 2;
constexpr int kRightNext = kRightDepthOuter ? 128 * (32 / kElementBytes) / 16 : 2;
DEV u64 left_matrix_at(u32 tile, int row) {
  if (kLeftDepthOuter) return matrix(tile + row / 64 * kStepDepth * 128, 1, kStepDepth * 128, 1024);
  return matrix(tile + row * kStepBytes, kSwizzle, 16, 8 * kStepBytes);
}
DEV u64 right_matrix_at(u32 tile, int channel) {
  if (kRightDepthOuter) return matrix(tile + channel / 64 * kStepDepth * 128, 1, kStepDepth * 128, 1024);
  return matrix(tile + channel * kStepBytes, kSwizzle, 16, 8 * kStepBytes);
}
DEV void multiply_step(float (&sum)[kBlocks][kSums], u32 stage, int high, bool add) {
  const u64 wide = kSwap ? left_matrix_at(stage, 0) : right_matrix_at(stage + kLeftBytes, 0);
  wgmma_begin();
#pragma unroll
  for (int i = 0; i < kBlocks; ++i) {
    const u64 tall = kSwap ? right_matrix_at(stage + kLeftBytes, high + 64 * i) : left_matrix_at(stage, high + 64 * i);
#pragma unroll
    for (int k = 0; k < kStepBytes / 32; ++k)
      multiply(sum[i], tall + k * (kSwap ? kRightNext : kLeftNext), wide + k * (kSwap ? kLeftNext : kRightNext), add || k > 0);
  }
  wgmma_commit();
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
  { const u16* p = whole(e.x1 + row * 256u + channel) + plus_row * (i64)256 + plus_channel;
    get_near(near.x1[0], p + 0);
  }
}
DEV void prefetch_near(const Epilogue& e, u64 row, int channel, int plus_row = 0) {
  asm volatile("prefetch.global.L2 [%0];" ::"l"(whole(e.x1 + row * 256u) + plus_row * (i64)256 + channel));
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

constexpr int kUnits = kBlocks * kSums / kLanes;       // calls of finish() for a thread's sums
constexpr int kQuarters = kPermuted / kLanes;          // calls that share a thread's run of channels
constexpr int kSets = kSwap ? 1 : kWide / (4 * kPermuted);
struct Unit { int block, half, set, quarter, column; };
// Units that share channels follow each other.
DEV Unit unit_of(int u) {
  if (kSwap) return {0, 0, 0, 0, u};
  return {u / 2 % kBlocks, u % 2, u / (2 * kBlocks * kQuarters), u / (2 * kBlocks) % kQuarters, 0};
}
DEV void gather(const float (&sum)[kBlocks][kSums], const Unit& u, float (&out)[kLanes]) {
#pragma unroll
  for (int l = 0; l < kLanes; ++l)
    out[l] = kSwap ? sum[l / 2 % kBlocks][4 * (u.column / 2) + 2 * (l % 2) + u.column % 2]
                   : sum[u.block][(u.set * (kPermuted / 2) + u.quarter * (kLanes / 2) + l / 2) * 4 + 2 * u.half + l % 2];
}
// Row and first channel inside the tile: a thread's first, and what a unit adds; `high`: first row of the
// thread's group on the high side.
DEV int first_row(int high, u32 warp, u32 lane) { return kSwap ? 2 * (lane & 3) : high + 16 * warp + (lane >> 2); }
DEV int first_channel(int high, u32 warp, u32 lane) { return kSwap ? high + 2 * kBlocks * (8 * warp + (lane >> 2)) : (lane & 3) * kPermuted; }
DEV int plus_row(const Unit& u) { return kSwap ? 8 * (u.column / 2) + u.column % 2 : 64 * u.block + 8 * u.half; }
DEV int plus_channel(const Unit& u) { return kSwap ? 0 : u.set * 4 * kPermuted + u.quarter * kLanes; }

// Where tiles are whole there is nothing to ask, and nothing stands between one call of finish() and the next.
constexpr bool kWholeRows = !kBoxes && kRows % (kRowTile * kShareWeights) == 0;
constexpr bool kWholeChannels = kChannels % kChannelTile == 0;
DEV bool is_inside(int row, int channel) { return (kWholeRows || row < kRows) && (kWholeChannels || channel < kChannels); }
constexpr int kColumns = kChannelTiles / kShareRows, kBands = (kRowTiles + kShareWeights - 1) / kShareWeights;
struct Place { int batch, row_tile, channel_tile; };
// Tiles go down the rows in strips of up to kRaster channel tiles, so that a wave reads few operands;
// backwards where L2 holds the end of the input, not its beginning.
DEV Place place_of(int tile, u32 rank) {
  if (kBackwards) tile = kTiles - 1 - tile;
  const int batch = tile / (kBands * kColumns), at = tile % (kBands * kColumns);
  const int strip = at / (kRaster * kBands), in = at - strip * kRaster * kBands;
  const int wide = min(kRaster, kColumns - strip * kRaster);
  return {batch, in / wide * kShareWeights + (kShareWeights > 1 ? (int)rank : 0),
          (strip * kRaster + in % wide) * kShareRows + (kShareRows > 1 ? (int)rank : 0)};
}
struct Ring {
  u32 stage, parity;
  __device__ __forceinline__ void next() { if (++stage == kStages) { stage = 0; parity ^= 1; } }
  __device__ __forceinline__ void skip(int steps) {
    stage += steps % kStages; parity ^= steps / kStages & 1;
    if (stage >= kStages) { stage -= kStages; parity ^= 1; }
  }
};
DEV void consumers_meet() { asm volatile("bar.sync 1, %0;" ::"n"(kGroups * 128) : "memory"); }
DEV void release(u32 barrier, u32 lane) {
  if (kCluster / kSplit > 1) { if (lane < kCluster) barrier_arrive_at(barrier, lane); }
  else if (lane == 0) barrier_arrive(barrier);
}
// Partial sums into a CTA of the cluster, which a barrier of its counts, and out of one's own.
template <int kN> DEV void give(u32 to, u32 barrier, const float (&x)[kN]) {
#pragma unroll
  for (int i = 0; i < kN; i += kN % 4 ? 2 : 4)
    if (kN % 4) asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.v2.f32 [%0], {%1, %2}, [%3];" ::"r"(to + 4 * i), "f"(x[i]), "f"(x[i + 1]), "r"(barrier) : "memory");
    else asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.f32 [%0], {%1, %2, %3, %4}, [%5];" ::"r"(to + 4 * i), "f"(x[i]), "f"(x[i + 1]), "f"(x[(i + 2) % kN]), "f"(x[(i + 3) % kN]), "r"(barrier) : "memory");
}
template <int kN> DEV void take(u32 from, float (&x)[kN]) {
#pragma unroll
  for (int i = 0; i < kN; i += 2) {
    float a, b;
    asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];" : "=f"(a), "=f"(b) : "r"(from + 4 * i) : "memory");
    x[i] += a; x[i + 1] += b;
  }
}

extern "C" __global__ void __launch_bounds__(kThreads, kResidents)
conv_f16_64x64x64_s7_sm90(const __grid_constant__ TensorMap left, const __grid_constant__ TensorMap right , const u16* __restrict__ x0, const u16* __restrict__ x1, u16* __restrict__ y0, i64 y0_pitch) {
  extern __shared__ __align__(1024) unsigned char shared[];
  const u32 thread = threadIdx.x, warp = __shfl_sync(~0u, thread >> 5, 0), lane = thread & 31;
  const u32 ring = shared_address(shared), reduce = ring + kStages * kStageBytes;
  const u32 full = reduce + kReduceBytes, empty = full + 8 * kStages, turn = empty + 8 * kStages, joined = turn;
  const u32 rank = kCluster > 1 ? cluster_rank() : 0;
  const int first = blockIdx.x / kCluster, stride = gridDim.x / kCluster;
  const int begin = kSplit > 1 ? kSteps * (int)rank / kSplit : 0, end = kSplit > 1 ? kSteps * ((int)rank + 1) / kSplit : kSteps;
  if (thread == 0) {
    if (ring & 1023) __trap();
    for (int i = 0; i < kStages; ++i) {
      barrier_init(full + 8 * i, 1);
      barrier_init(empty + 8 * i, (kPingPong ? 4 : 4 * kGroups) * (kCluster / kSplit));
    }
    if (kPingPong) { barrier_init(turn, 4); barrier_init(turn + 8, 4); }
    if (kSplit > 1) { barrier_init(joined, 1); barrier_expect(joined, kReduceBytes); }
    barrier_init_fence();
  }
  if (kCluster / kSplit > 1) cluster_sync();
  else { __syncthreads(); if (kSplit > 1) cluster_arrive(); }

  if (warp >= 4 * kGroups) {  // ---- producer
    if (kProducerWarps == 4) fewer_registers<kProducerRegisters>();
    if (warp == 4 * kGroups && lane == 0) {
      prefetch_map(&left); prefetch_map(&right);
      const int right_part = rank * (kChannelTile / kShareWeights), left_part = rank * (kRowTile / kShareRows);
      const auto bring_right = [&](const Place& p, int step, u32 stage) {
        const int part = kShareWeights > 1 ? right_part : 0;
        load_right(ring + stage * kStageBytes + kLeftBytes + part * kStepBytes, &right, full + 8 * stage, p.batch, step,
                   p.channel_tile * kChannelTile + part);
      };
      Ring r = {0, 1};
      int ahead = 0;  // stages whose weights were loaded before the producers of the input were done
      if (true && first < kTiles) {
        const Place p = place_of(first, rank);
        ahead = min(kStages, end - begin);
        for (int i = 0; i < ahead; ++i) { barrier_expect(full + 8 * i, kStageBytes); bring_right(p, begin + i, i); }
      }
      grid_wait();
      if (kOneWave) grid_launch();
      for (int tile = first; tile < kTiles; tile += stride) {
        const Place p = place_of(tile, rank);
        const int part = kShareRows > 1 ? left_part : 0;
#pragma unroll 1
        for (int step = begin; step < end; ++step) {
          if (ahead > 0) --ahead;
          else { barrier_wait(empty + 8 * r.stage, r.parity); barrier_expect(full + 8 * r.stage, kStageBytes); bring_right(p, step, r.stage); }
          load_left(ring + r.stage * kStageBytes + part * kStepBytes, &left, full + 8 * r.stage, p.batch, step,
                    p.row_tile * kRowTile + part);
          r.next();
        }
      }
      if (!kOneWave) grid_launch();
    }
    __syncwarp();
    if (kSplit > 1) cluster_wait();
  } else {  // ---- consumers
    if (kProducerWarps == 4) more_registers<kConsumerRegisters>();
    const Epilogue e = {x0, x1, y0, (u32)(y0_pitch / 2)};
    const u32 group = warp >> 2, quad = warp & 3;
    const int high = kPingPong ? 0 : group * kBlocks * 64;
    Ring r = {0, 0};
    u32 my_turn = group ^ 1;
    if (kPingPong && group == 1) r.skip(kSteps);
    if (!kEarly) grid_wait();
    for (int tile = first + (kPingPong ? (int)group * stride : 0); tile < kTiles; tile += kPingPong ? 2 * stride : stride) {
      const Place p = place_of(tile, rank);
      const int row0 = p.row_tile * kRowTile, channel0 = p.channel_tile * kChannelTile;
      constexpr int kMine = kUnits / kSplit;
      const int row_from = row0 + first_row(high, quad, lane), channel_from = channel0 + first_channel(high, quad, lane);
      const auto row_at = [&](const Unit& u) { return row_from + plus_row(u); };
      const auto channel_at = [&](const Unit& u) { return channel_from + plus_channel(u); };
      const u64 row_base = 0;
      const int channel_base = 0;
      Fixed fixed[kEarly ? kMine : 1];
      Near near[kEarly ? 1 : kBuffers][kEarly ? kMine : kGang];
      const auto unit_at = [&](int v) { return unit_of(v + (kSplit > 1 ? (int)rank * kMine : 0)); };
      const auto bring_near = [&](int gang, Near* to) {
#pragma unroll
        for (int i = 0; i < kGang; ++i) {
          const Unit u = unit_at(gang * kGang + i);
          if (is_inside(row_at(u), channel_at(u)))
            load_near(e, to[i], row_base + row_from, channel_base + channel_from, channel_base + kChannels, plus_row(u), plus_channel(u));
        }
      };
      if (kEarly) {
#pragma unroll
        for (int v = 0; v < kMine; ++v)
          if (kWholeChannels || channel_at(unit_at(v)) < kChannels) load_fixed(e, fixed[v], channel_base + channel_at(unit_at(v)), channel_base + kChannels);
        grid_wait();
#pragma unroll
        for (int v = 0; v < kMine; ++v) {
          const Unit u = unit_at(v);
          if (is_inside(row_at(u), channel_at(u)))
            load_near(e, near[0][v], row_base + row_from, channel_base + channel_from, channel_base + kChannels, plus_row(u), plus_channel(u));
        }
      } else if (kPrefetch && kSplit == 1) {  // what the epilogue reads moves towards L2 beside the products
#pragma unroll
        for (int i = 0; i < 2 * kBlocks; ++i) {
          const int row = row0 + high + 64 * (i / 2) + 16 * quad + (lane >> 2) + 8 * (i % 2);
          for (int c = (lane & 3) * 64; c < kChannelTile; c += 256)
            if (row < kRows && channel0 + c < kChannels) prefetch_near(e, row_base + row, channel_base + channel0 + c);
        }
      }
      float sum[kBlocks][kSums];
      if (kPingPong) { barrier_wait(turn + 8 * group, my_turn); my_turn ^= 1; }
      u32 previous = 0;
#pragma unroll 1
      for (int step = begin; step < end; ++step) {
        barrier_wait(full + 8 * r.stage, r.parity);
        multiply_step(sum, ring + r.stage * kStageBytes, high, step > begin);
        wgmma_wait<1>();
        if (step > begin) release(empty + 8 * previous, lane);
        previous = r.stage;
        r.next();
      }
      if (kPingPong && lane == 0) barrier_arrive(turn + 8 * (group ^ 1));
      if (!kEarly) bring_near(0, near[0]);
      wgmma_wait<0>();
      release(empty + 8 * previous, lane);
      if (kPingPong) r.skip(kSteps);

      if (kSplit > 1) {  // every CTA of the cluster gets its share of all sums
        cluster_wait();
#pragma unroll
        for (int v = 0; v < kUnits; ++v) {
          float part[kLanes];
          gather(sum, unit_of(v), part);
          const u32 to = of_rank(reduce + ((rank * kMine + v % kMine) * kGroups * 128 + thread) * (kLanes * 4), v / kMine);
          give(to, of_rank(joined, v / kMine), part);
        }
        barrier_wait(joined, 0);  // a split tile is the CTA's only one
      }
#pragma unroll
      for (int v = 0; v < kMine; ++v) {
        const Unit u = unit_at(v);
        float part[kLanes];
        if constexpr (kSplit > 1) {
#pragma unroll
          for (int l = 0; l < kLanes; ++l) part[l] = 0;
#pragma unroll
          for (int s = 0; s < kSplit; ++s) take(reduce + ((s * kMine + v) * kGroups * 128 + thread) * (kLanes * 4), part);
        } else {
          gather(sum, u, part);
        }
        const int gang = v / kGang;
        if (!kEarly && v % kGang == 0) {
          if (kBuffers == 2 && (gang + 1) * kGang < kMine) bring_near(gang + 1, near[(gang + 1) % kBuffers]);
          if (kBuffers == 1 && gang > 0) bring_near(gang, near[0]);
        }
        const int channel = channel_at(u), row = row_at(u);
        if (!kEarly && (v % (kSwap ? kUnits : 2 * kBlocks) == 0 || kSplit > 1) && (kWholeChannels || channel < kChannels))
          load_fixed(e, fixed[0], channel_base + channel, channel_base + kChannels);
        if (is_inside(row, channel))
          finish(e, part, fixed[kEarly ? v : 0], near[kEarly ? 0 : gang % kBuffers][kEarly ? v : v % kGang], row_base + row_from,
                 channel_base + channel_from, channel_base + kChannels, plus_row(u), plus_channel(u));
      }
    }
  }
  if (kCluster / kSplit > 1) { __syncwarp(); cluster_sync(); }  // nobody leaves while a peer can still write here
}
