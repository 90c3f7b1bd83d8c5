// Conv 1x1 + {max} + Conv 1x1 + {max} -> f16[8, 96, 28, 28] perm(0,2,3,1)
// grid 49 1 1, block 384, tactic g=2

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
constexpr int kFirstSteps = 3;
constexpr int kBoxes = 1;
constexpr int kChunks = 3;
constexpr int kWidth = 96;
constexpr int kInputStages = 2;
constexpr int kTiles = 49;
constexpr int kRows = 6272;
constexpr int kThreads = 384;
constexpr int kConsumerRegisters = 240;
constexpr int kProducerRegisters = 24;
DEV void multiply_first(float (&sum)[32], u64 a, u64 b, bool add) {
  asm volatile("{.reg .pred p; setp.ne.b32 p, %34, 0; wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, %32, %33, p, 1, 1, 0, 0;}"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3]), "+f"(sum[4]), "+f"(sum[5]), "+f"(sum[6]), "+f"(sum[7]), "+f"(sum[8]), "+f"(sum[9]), "+f"(sum[10]), "+f"(sum[11]), "+f"(sum[12]), "+f"(sum[13]), "+f"(sum[14]), "+f"(sum[15]), "+f"(sum[16]), "+f"(sum[17]), "+f"(sum[18]), "+f"(sum[19]), "+f"(sum[20]), "+f"(sum[21]), "+f"(sum[22]), "+f"(sum[23]), "+f"(sum[24]), "+f"(sum[25]), "+f"(sum[26]), "+f"(sum[27]), "+f"(sum[28]), "+f"(sum[29]), "+f"(sum[30]), "+f"(sum[31])
      : "l"(a), "l"(b), "r"((int)add));
}
DEV void multiply_second(float (&sum)[48], u64 a, u64 b, bool add) {
  asm volatile("{.reg .pred p; setp.ne.b32 p, %50, 0; wgmma.mma_async.sync.aligned.m64n96k16.f32.f16.f16 {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47}, %48, %49, p, 1, 1, 0, 0;}"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3]), "+f"(sum[4]), "+f"(sum[5]), "+f"(sum[6]), "+f"(sum[7]), "+f"(sum[8]), "+f"(sum[9]), "+f"(sum[10]), "+f"(sum[11]), "+f"(sum[12]), "+f"(sum[13]), "+f"(sum[14]), "+f"(sum[15]), "+f"(sum[16]), "+f"(sum[17]), "+f"(sum[18]), "+f"(sum[19]), "+f"(sum[20]), "+f"(sum[21]), "+f"(sum[22]), "+f"(sum[23]), "+f"(sum[24]), "+f"(sum[25]), "+f"(sum[26]), "+f"(sum[27]), "+f"(sum[28]), "+f"(sum[29]), "+f"(sum[30]), "+f"(sum[31]), "+f"(sum[32]), "+f"(sum[33]), "+f"(sum[34]), "+f"(sum[35]), "+f"(sum[36]), "+f"(sum[37]), "+f"(sum[38]), "+f"(sum[39]), "+f"(sum[40]), "+f"(sum[41]), "+f"(sum[42]), "+f"(sum[43]), "+f"(sum[44]), "+f"(sum[45]), "+f"(sum[46]), "+f"(sum[47])
      : "l"(a), "l"(b), "r"((int)add));
}
namespace first {

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
namespace second {

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
const float v0_4 = (float)(__uint_as_float(0x00000000u));
const float v0_5 = (float)(max_nan(v0_3, v0_4));
const float v1_0 = (float)(sum[1]);
const float v1_1 = (float)(f16_high(fixed.x0[0][0]));
const float v1_2 = (float)((float)v1_1);
const float v1_3 = (float)(v1_0 + v1_2);
const float v1_4 = (float)(__uint_as_float(0x00000000u));
const float v1_5 = (float)(max_nan(v1_3, v1_4));
const float v2_0 = (float)(sum[2]);
const float v2_1 = (float)(f16_low(fixed.x0[0][1]));
const float v2_2 = (float)((float)v2_1);
const float v2_3 = (float)(v2_0 + v2_2);
const float v2_4 = (float)(__uint_as_float(0x00000000u));
const float v2_5 = (float)(max_nan(v2_3, v2_4));
const float v3_0 = (float)(sum[3]);
const float v3_1 = (float)(f16_high(fixed.x0[0][1]));
const float v3_2 = (float)((float)v3_1);
const float v3_3 = (float)(v3_0 + v3_2);
const float v3_4 = (float)(__uint_as_float(0x00000000u));
const float v3_5 = (float)(max_nan(v3_3, v3_4));
const float v4_0 = (float)(sum[4]);
const float v4_1 = (float)(f16_low(fixed.x0[0][2]));
const float v4_2 = (float)((float)v4_1);
const float v4_3 = (float)(v4_0 + v4_2);
const float v4_4 = (float)(__uint_as_float(0x00000000u));
const float v4_5 = (float)(max_nan(v4_3, v4_4));
const float v5_0 = (float)(sum[5]);
const float v5_1 = (float)(f16_high(fixed.x0[0][2]));
const float v5_2 = (float)((float)v5_1);
const float v5_3 = (float)(v5_0 + v5_2);
const float v5_4 = (float)(__uint_as_float(0x00000000u));
const float v5_5 = (float)(max_nan(v5_3, v5_4));
const float v6_0 = (float)(sum[6]);
const float v6_1 = (float)(f16_low(fixed.x0[0][3]));
const float v6_2 = (float)((float)v6_1);
const float v6_3 = (float)(v6_0 + v6_2);
const float v6_4 = (float)(__uint_as_float(0x00000000u));
const float v6_5 = (float)(max_nan(v6_3, v6_4));
const float v7_0 = (float)(sum[7]);
const float v7_1 = (float)(f16_high(fixed.x0[0][3]));
const float v7_2 = (float)((float)v7_1);
const float v7_3 = (float)(v7_0 + v7_2);
const float v7_4 = (float)(__uint_as_float(0x00000000u));
const float v7_5 = (float)(max_nan(v7_3, v7_4));
  { u16* p = whole(whole(e.y0 + row * e.y0_pitch + channel) + (u64)plus_row * e.y0_pitch) + plus_channel;
    { const u32 d[4] = {pack_f16x2(v0_5, v1_5), pack_f16x2(v2_5, v3_5), pack_f16x2(v4_5, v5_5), pack_f16x2(v6_5, v7_5)}; put(p + 0, d); }
  }
}
}

constexpr int kFirstBytes = kFirstSteps * 64 * 32, kSecondBytes = 4 * kWidth * 32, kWeightBytes = kFirstBytes + kSecondBytes;
constexpr int kInputBytes = kBoxes * 8192, kSets = kWidth / 32, kMid = kChunks * 64;
DEV void group_sync(u32 group) { asm volatile("bar.sync %0, %1;" ::"r"(group + 1), "r"(128) : "memory"); }
DEV void put_shared(u32 to, const u32 (&d)[4]) { asm volatile("st.shared.v4.u32 [%0], {%1, %2, %3, %4};" ::"r"(to), "r"(d[0]), "r"(d[1]), "r"(d[2]), "r"(d[3]) : "memory"); }
extern "C" __global__ void __launch_bounds__(kThreads, 1) pair_f16_40_192_96_128_sm90(const __grid_constant__ TensorMap input, const unsigned char* weights , const u16* __restrict__ x0, const u16* __restrict__ second_x0, u16* __restrict__ second_y0, i64 second_y0_pitch) {
  extern __shared__ __align__(1024) unsigned char shared[];
  const u32 thread = threadIdx.x, warp = __shfl_sync(~0u, thread >> 5, 0), lane = thread & 31;
  const u32 inputs = shared_address(shared), wide = inputs + kGroups * kInputStages * kInputBytes, filters = wide + kGroups * 16384;
  const u32 input_full = filters + kChunks * kWeightBytes, input_empty = input_full + 8 * kGroups * kInputStages;
  const u32 loaded = input_empty + 8 * kGroups * kInputStages;
  if (thread == 0) {
    if (inputs & 1023) __trap();
    for (int i = 0; i < kGroups * kInputStages; ++i) { barrier_init(input_full + 8 * i, 1); barrier_init(input_empty + 8 * i, 4); }
    barrier_init(loaded, 1);
    barrier_init_fence();
  }
  __syncthreads();
  if (warp >= 4 * kGroups) {  // ---- producer
    fewer_registers<kProducerRegisters>();
    if (warp == 4 * kGroups && lane == 0) {
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
  } else {  // ---- consumers: a group has 64 rows
    more_registers<kConsumerRegisters>();
    const first::Epilogue e1 = {x0};
    const second::Epilogue e2 = {second_x0, second_y0, (u32)(second_y0_pitch / 2)};
    const u32 group = warp >> 2, quad = warp & 3, wide_tile = wide + group * 16384;
    u32 stage = 0, parity = 0;
    grid_wait();
    barrier_wait(loaded, 0);
    for (int tile = blockIdx.x; tile < kTiles; tile += gridDim.x) {
      const int in_group = 16 * quad + (lane >> 2), row0 = (tile * kGroups + group) * 64 + in_group;
      const u32 at = group * kInputStages + stage, tile_input = inputs + at * kInputBytes;
      first::Near near[4], next[4];  // of 32 channels and 8 rows each
      const auto bring = [&](int chunk, first::Near (&to)[4]) {
#pragma unroll
        for (int u = 0; u < 4; ++u)
          if (row0 + 8 * (u % 2) < kRows) first::load_near(e1, to[u], row0, chunk * 64 + (lane & 3) * 8, kMid, 8 * (u % 2), u / 2 * 32);
      };
      bring(0, near);
      float out[kWidth / 2];
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
        if (chunk + 1 < kChunks) bring(chunk + 1, next);
        wgmma_wait<0>();
        if (chunk + 1 == kChunks && lane == 0) barrier_arrive(input_empty + 8 * at);
#pragma unroll
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
            const u32 words[4] = {pack_f16x2(kept[0], kept[1]), pack_f16x2(kept[2], kept[3]), pack_f16x2(kept[4], kept[5]), pack_f16x2(kept[6], kept[7])};
            const u32 row = in_group + 8 * h;
            put_shared(half + row * 128 + ((in_chunk / 8 ^ row & 7) << 4), words);
          }
        }
        async_fence();
        group_sync(group);
        wgmma_begin();
#pragma unroll
        for (int k = 0; k < 4; ++k)
          multiply_second(out, matrix(half + k * 32, 1, 16, 1024), matrix(filter + kFirstBytes + k * kWidth * 32, 0, kWidth * 16, 128), chunk + k > 0);
        wgmma_commit();
#pragma unroll
        for (int u = 0; u < 4; ++u) near[u] = next[u];
      }
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
