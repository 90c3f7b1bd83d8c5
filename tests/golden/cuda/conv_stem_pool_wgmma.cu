// Conv 3x3 + {add max} + MaxPool 2x2 -> bf16[2, 64, 16, 16] perm(0,2,3,1)
// grid 16 1 1, block 384, tactic occ=1,rows=4

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
constexpr int kPixel = 8;
constexpr int kRowSteps = 2;
constexpr int kWidth = 64;
constexpr int kPermuted = 8;
constexpr int kPatchHeight = 10;
constexpr int kPatchWidth = 19;
constexpr int kPatchBytes = 3072;
constexpr int kWeightBytes = 12288;
constexpr int kTiles = 16;
constexpr int kTilesX = 2;
constexpr int kTilesY = 4;
constexpr int kStages = 4;
constexpr int kResidents = 1;
constexpr int kImageChannels = 3;
constexpr int kHeight = 32;
constexpr int kImageWidth = 32;
constexpr int kTapsY = 3;
constexpr int kStrideX = 1;
constexpr int kStrideY = 1;
constexpr int kTop = 1;
constexpr int kLeft = 1;
constexpr int kOutHeight = 32;
constexpr int kOutWidth = 32;
constexpr int kChannels = 64;
constexpr int kChannelStep = 1;
constexpr int kPixelStep = 3;
constexpr int kPoolTapsY = 2;
constexpr int kPoolTapsX = 2;
constexpr int kPoolStrideY = 2;
constexpr int kPoolStrideX = 2;
constexpr int kPoolTop = 0;
constexpr int kPoolLeft = 0;
constexpr int kPoolHeight = 16;
constexpr int kPoolWidth = 16;
constexpr int kPooledWidth = 8;
constexpr int kPooledRows = 4;
constexpr int kSegmentTiles = 1;
DEV void multiply(float (&sum)[32], u64 a, u64 b, bool add) {
  asm volatile("{.reg .pred p; setp.ne.b32 p, %34, 0; wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, %32, %33, p, 1, 1, 0, 0;}"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3]), "+f"(sum[4]), "+f"(sum[5]), "+f"(sum[6]), "+f"(sum[7]), "+f"(sum[8]), "+f"(sum[9]), "+f"(sum[10]), "+f"(sum[11]), "+f"(sum[12]), "+f"(sum[13]), "+f"(sum[14]), "+f"(sum[15]), "+f"(sum[16]), "+f"(sum[17]), "+f"(sum[18]), "+f"(sum[19]), "+f"(sum[20]), "+f"(sum[21]), "+f"(sum[22]), "+f"(sum[23]), "+f"(sum[24]), "+f"(sum[25]), "+f"(sum[26]), "+f"(sum[27]), "+f"(sum[28]), "+f"(sum[29]), "+f"(sum[30]), "+f"(sum[31])
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
const float v0_1 = (float)(bf16_low(fixed.x0[0][0]));
const float v0_2 = (float)(v0_0 + v0_1);
const float v0_3 = (float)(__uint_as_float(0x00000000u));
const float v0_4 = (float)(max_nan(v0_2, v0_3));
  kept[0] = v0_4;
const float v1_0 = (float)(sum[1]);
const float v1_1 = (float)(bf16_high(fixed.x0[0][0]));
const float v1_2 = (float)(v1_0 + v1_1);
const float v1_3 = (float)(__uint_as_float(0x00000000u));
const float v1_4 = (float)(max_nan(v1_2, v1_3));
  kept[1] = v1_4;
const float v2_0 = (float)(sum[2]);
const float v2_1 = (float)(bf16_low(fixed.x0[0][1]));
const float v2_2 = (float)(v2_0 + v2_1);
const float v2_3 = (float)(__uint_as_float(0x00000000u));
const float v2_4 = (float)(max_nan(v2_2, v2_3));
  kept[2] = v2_4;
const float v3_0 = (float)(sum[3]);
const float v3_1 = (float)(bf16_high(fixed.x0[0][1]));
const float v3_2 = (float)(v3_0 + v3_1);
const float v3_3 = (float)(__uint_as_float(0x00000000u));
const float v3_4 = (float)(max_nan(v3_2, v3_3));
  kept[3] = v3_4;
const float v4_0 = (float)(sum[4]);
const float v4_1 = (float)(bf16_low(fixed.x0[0][2]));
const float v4_2 = (float)(v4_0 + v4_1);
const float v4_3 = (float)(__uint_as_float(0x00000000u));
const float v4_4 = (float)(max_nan(v4_2, v4_3));
  kept[4] = v4_4;
const float v5_0 = (float)(sum[5]);
const float v5_1 = (float)(bf16_high(fixed.x0[0][2]));
const float v5_2 = (float)(v5_0 + v5_1);
const float v5_3 = (float)(__uint_as_float(0x00000000u));
const float v5_4 = (float)(max_nan(v5_2, v5_3));
  kept[5] = v5_4;
const float v6_0 = (float)(sum[6]);
const float v6_1 = (float)(bf16_low(fixed.x0[0][3]));
const float v6_2 = (float)(v6_0 + v6_1);
const float v6_3 = (float)(__uint_as_float(0x00000000u));
const float v6_4 = (float)(max_nan(v6_2, v6_3));
  kept[6] = v6_4;
const float v7_0 = (float)(sum[7]);
const float v7_1 = (float)(bf16_high(fixed.x0[0][3]));
const float v7_2 = (float)(v7_0 + v7_1);
const float v7_3 = (float)(__uint_as_float(0x00000000u));
const float v7_4 = (float)(max_nan(v7_2, v7_3));
  kept[7] = v7_4;
}

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
DEV u32 max_two(u32 a, u32 b) { u32 r; asm("max.NaN.bf16x2 %0,%1,%2;" : "=r"(r) : "r"(a), "r"(b)); return r; }
DEV u32 pack_two(float l, float h) { return pack_bf16x2(l, h); }
DEV float low_of(u32 v) { return bf16_low(v); }
DEV float high_of(u32 v) { return bf16_high(v); }
constexpr u32 kLeast = 0xff80ff80u;
namespace pooled {

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
  u16* y0;
  u32 y0_pitch;
};
struct Fixed {
};
struct Near {
};
DEV void load_fixed(const Epilogue& e, Fixed& fixed, int channel, int end, int plus_channel = 0) {
}
DEV void load_near(const Epilogue& e, Near& near, u64 row, int channel, int end, int plus_row = 0, int plus_channel = 0) {
}
DEV void prefetch_near(const Epilogue& e, u64 row, int channel, int plus_row = 0) {
}
DEV void finish(const Epilogue& e, const float (&sum)[8], const Fixed& fixed, const Near& near, u64 row, int channel, int end, int plus_row = 0, int plus_channel = 0) {
const float v0_0 = (float)(sum[0]);
const float v1_0 = (float)(sum[1]);
const float v2_0 = (float)(sum[2]);
const float v3_0 = (float)(sum[3]);
const float v4_0 = (float)(sum[4]);
const float v5_0 = (float)(sum[5]);
const float v6_0 = (float)(sum[6]);
const float v7_0 = (float)(sum[7]);
  { u16* p = whole(whole(e.y0 + row * e.y0_pitch + channel) + (u64)plus_row * e.y0_pitch) + plus_channel;
    { const u32 d[4] = {pack_bf16x2(v0_0, v1_0), pack_bf16x2(v2_0, v3_0), pack_bf16x2(v4_0, v5_0), pack_bf16x2(v6_0, v7_0)}; put(p + 0, d); }
  }
}
}

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
    u32 most[4] = {kLeast, kLeast, kLeast, kLeast};
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
    const float sum[8] = {low_of(most[0]), high_of(most[0]), low_of(most[1]), high_of(most[1]),
                          low_of(most[2]), high_of(most[2]), low_of(most[3]), high_of(most[3])};
    const u32 row = (image_of(tile) * kPoolHeight + py) * kPoolWidth + px;
    pooled::Fixed fixed;
    pooled::load_fixed(e, fixed, channel, kChannels);
    pooled::Near near;
    pooled::load_near(e, near, row, channel, kChannels);
    pooled::finish(e, sum, fixed, near, row, channel, kChannels);
  }
}
extern "C" __global__ void __launch_bounds__(kThreads, kResidents) stem_bf16_3x3_c64_pool_nhwc_sm90(const u16* input, const unsigned char* weights , const u16* __restrict__ x0, u16* __restrict__ pooled_y0, i64 pooled_y0_pitch) {
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
  const int tile_count = ((int)blockIdx.x < kTiles ? (kTiles - (int)blockIdx.x + (int)gridDim.x - 1) / (int)gridDim.x : 0) * kSegmentTiles;
  if (warp >= 8) {  // ---- producers
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
      if (tile >= tile_count) return;
      const int x0 = tile_x(tile) * kStrideX - kLeft, y0 = tile_y(tile) * kStrideY - kTop;
      const u16* patch = input + (i64)(image_of(tile)) * (kImageChannels * kHeight * kImageWidth) + (y0 * kImageWidth + x0) * kPixelStep;
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
    const int step = 1;
    int tile = 0;
    bring(tile, even);
    while (tile < tile_count) {
      bring(tile + step, odd);
      hand_over(even);
      if ((tile += step) >= tile_count) break;
      bring(tile + step, even);
      hand_over(odd);
      tile += step;
    }
    grid_launch();
  } else {  // ---- consumers: a group takes 8 x 8 output pixels
    const Epilogue e = {x0};
    const pooled::Epilogue e2 = {pooled_y0, (u32)(pooled_y0_pitch / 2)};
    const u32 ring = patches + kStages * kPatchBytes + 128;
    const u32 group = warp >> 2, quad = warp & 3;
    const int channel0 = (lane & 3) * kPermuted;
    Fixed fixed[kSets];
#pragma unroll
    for (int s = 0; s < kSets; ++s)
      if (channel0 + s * 4 * kPermuted < kChannels) load_fixed(e, fixed[s], channel0 + s * 4 * kPermuted, kChannels);
    grid_wait();
    barrier_wait(loaded, 0);
    for (int tile = 0; tile < tile_count; tile += 1) {
      float sum[kWidth / 2];
      barrier_wait(full + 8 * stage, parity);
      const u32 patch = patches + stage * kPatchBytes + group * 8 * kStrideX * kPixel * 2;
      wgmma_begin();
#pragma unroll
      for (int r = 0; r < kTapsY; ++r)
#pragma unroll
        for (int s = 0; s < kRowSteps; ++s)
          multiply(sum, matrix(patch + r * kPatchWidth * kPixel * 2 + s * 32, 0, 16, kStrideY * kPatchWidth * kPixel * 2),
                   matrix(filters + (r * kRowSteps + s) * kWidth * 32, 0, kWidth * 16, 128), r + s > 0);
      wgmma_commit();
      wgmma_wait<0>();
      if (lane == 0) barrier_arrive(empty + 8 * stage);
      if (++stage == kStages) { stage = 0; parity ^= 1; }
      const int image = image_of(tile), x = tile_x(tile) + group * 8 + (lane >> 2);
      consumers_sync();  // nobody reads any longer what these rows replace
#pragma unroll
      for (int s = 0; s < kSets; ++s)
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          const int y = tile_y(tile) + 2 * quad + h, channel = channel0 + s * 4 * kPermuted;
          if ((u32)y >= kOutHeight || (u32)x >= kOutWidth || channel >= kChannels) continue;
          const u32 row = (image * kOutHeight + y) * kOutWidth + x;
          float part[kLanes];
#pragma unroll
          for (int l = 0; l < kLanes; ++l) part[l] = sum[(s * (kPermuted / 2) + l / 2) * 4 + 2 * h + l % 2];
          Near near;
          load_near(e, near, row, channel, kChannels);
          float kept[kLanes];
          finish(e, part, fixed[s], near, row, channel, kChannels, kept);
          const u32 words[4] = {pack_two(kept[0], kept[1]), pack_two(kept[2], kept[3]), pack_two(kept[4], kept[5]), pack_two(kept[6], kept[7])};
          put_shared(in_ring(ring, y - first_row(tile), x - tile_x(tile), channel), words);
        }
      consumers_sync();
      pool_rows(e2, ring, tile, thread);
    }
  }
}
