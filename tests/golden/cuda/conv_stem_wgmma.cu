// Conv 7x7 + {add max} -> f16[1, 64, 112, 112] perm(0,2,3,1)
// grid 98 1 1, block 384, tactic occ=2

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
constexpr int kPixel = 4;
constexpr int kRowSteps = 2;
constexpr int kWidth = 64;
constexpr int kPermuted = 8;
constexpr int kPatchHeight = 21;
constexpr int kPatchWidth = 38;
constexpr int kPatchBytes = 6400;
constexpr int kWeightBytes = 28672;
constexpr int kTiles = 98;
constexpr int kTilesX = 7;
constexpr int kTilesY = 14;
constexpr int kStages = 4;
constexpr int kResidents = 2;
constexpr int kImageChannels = 3;
constexpr int kHeight = 224;
constexpr int kImageWidth = 224;
constexpr int kTapsY = 7;
constexpr int kStrideX = 2;
constexpr int kStrideY = 2;
constexpr int kTop = 3;
constexpr int kLeft = 3;
constexpr int kOutHeight = 112;
constexpr int kOutWidth = 112;
constexpr int kChannels = 64;
constexpr int kChannelStep = 50176;
constexpr int kPixelStep = 1;
DEV void multiply(float (&sum)[32], u64 a, u64 b, bool add) {
  asm volatile("{.reg .pred p; setp.ne.b32 p, %34, 0; wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, %32, %33, p, 1, 1, 0, 0;}"
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
const float v0_2 = (float)(v0_0 + v0_1);
const float v0_3 = (float)(__uint_as_float(0x00000000u));
const float v0_4 = (float)(max_nan(v0_2, v0_3));
const float v1_0 = (float)(sum[1]);
const float v1_1 = (float)(f16_high(fixed.x0[0][0]));
const float v1_2 = (float)(v1_0 + v1_1);
const float v1_3 = (float)(__uint_as_float(0x00000000u));
const float v1_4 = (float)(max_nan(v1_2, v1_3));
const float v2_0 = (float)(sum[2]);
const float v2_1 = (float)(f16_low(fixed.x0[0][1]));
const float v2_2 = (float)(v2_0 + v2_1);
const float v2_3 = (float)(__uint_as_float(0x00000000u));
const float v2_4 = (float)(max_nan(v2_2, v2_3));
const float v3_0 = (float)(sum[3]);
const float v3_1 = (float)(f16_high(fixed.x0[0][1]));
const float v3_2 = (float)(v3_0 + v3_1);
const float v3_3 = (float)(__uint_as_float(0x00000000u));
const float v3_4 = (float)(max_nan(v3_2, v3_3));
const float v4_0 = (float)(sum[4]);
const float v4_1 = (float)(f16_low(fixed.x0[0][2]));
const float v4_2 = (float)(v4_0 + v4_1);
const float v4_3 = (float)(__uint_as_float(0x00000000u));
const float v4_4 = (float)(max_nan(v4_2, v4_3));
const float v5_0 = (float)(sum[5]);
const float v5_1 = (float)(f16_high(fixed.x0[0][2]));
const float v5_2 = (float)(v5_0 + v5_1);
const float v5_3 = (float)(__uint_as_float(0x00000000u));
const float v5_4 = (float)(max_nan(v5_2, v5_3));
const float v6_0 = (float)(sum[6]);
const float v6_1 = (float)(f16_low(fixed.x0[0][3]));
const float v6_2 = (float)(v6_0 + v6_1);
const float v6_3 = (float)(__uint_as_float(0x00000000u));
const float v6_4 = (float)(max_nan(v6_2, v6_3));
const float v7_0 = (float)(sum[7]);
const float v7_1 = (float)(f16_high(fixed.x0[0][3]));
const float v7_2 = (float)(v7_0 + v7_1);
const float v7_3 = (float)(__uint_as_float(0x00000000u));
const float v7_4 = (float)(max_nan(v7_2, v7_3));
  { u16* p = whole(whole(e.y0 + row * e.y0_pitch + channel) + (u64)plus_row * e.y0_pitch) + plus_channel;
    { const u32 d[4] = {pack_f16x2(v0_4, v1_4), pack_f16x2(v2_4, v3_4), pack_f16x2(v4_4, v5_4), pack_f16x2(v6_4, v7_4)}; put(p + 0, d); }
  }
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
extern "C" __global__ void __launch_bounds__(kThreads, kResidents) stem_f16_7x7_c64_nchw_sm90(const u16* input, const unsigned char* weights , const u16* __restrict__ x0, u16* __restrict__ y0, i64 y0_pitch) {
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
      if (tile >= kTiles) return;
      const int x0 = tile % kTilesX * 16 * kStrideX - kLeft, y0 = tile / kTilesX % kTilesY * 8 * kStrideY - kTop;
      const u16* patch = input + (i64)(tile / (kTilesX * kTilesY)) * (kImageChannels * kHeight * kImageWidth) + (y0 * kImageWidth + x0) * kPixelStep;
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
    const int step = gridDim.x;
    int tile = blockIdx.x;
    bring(tile, even);
    while (tile < kTiles) {
      bring(tile + step, odd);
      hand_over(even);
      if ((tile += step) >= kTiles) break;
      bring(tile + step, even);
      hand_over(odd);
      tile += step;
    }
    grid_launch();
  } else {  // ---- consumers: a group takes 8 x 8 output pixels
    const Epilogue e = {x0, y0, (u32)(y0_pitch / 2)};
    const u32 group = warp >> 2, quad = warp & 3;
    const int channel0 = (lane & 3) * kPermuted;
    Fixed fixed[kSets];
#pragma unroll
    for (int s = 0; s < kSets; ++s)
      if (channel0 + s * 4 * kPermuted < kChannels) load_fixed(e, fixed[s], channel0 + s * 4 * kPermuted, kChannels);
    grid_wait();
    barrier_wait(loaded, 0);
    for (int tile = blockIdx.x; tile < kTiles; tile += gridDim.x) {
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
      const int image = tile / (kTilesX * kTilesY), x = tile % kTilesX * 16 + group * 8 + (lane >> 2);
#pragma unroll
      for (int s = 0; s < kSets; ++s)
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          const int y = tile / kTilesX % kTilesY * 8 + 2 * quad + h, channel = channel0 + s * 4 * kPermuted;
          if (y >= kOutHeight || x >= kOutWidth || channel >= kChannels) continue;
          const u32 row = (image * kOutHeight + y) * kOutWidth + x;
          float part[kLanes];
#pragma unroll
          for (int l = 0; l < kLanes; ++l) part[l] = sum[(s * (kPermuted / 2) + l / 2) * 4 + 2 * h + l % 2];
          Near near;
          load_near(e, near, row, channel, kChannels);
          finish(e, part, fixed[s], near, row, channel, kChannels);
        }
    }
  }
}
