// Split + Attention -> f16[64, 128, 768]
// grid 1536 1 1, block 128, tactic g=1

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
constexpr int kSlabs = 1;
constexpr int kStages = 1;
constexpr int kHeads = 12;
constexpr int kKvHeads = 12;
constexpr int kQueries = 128;
constexpr int kKeys = 128;
constexpr int kKeyTiles = 1;
constexpr int kQueryTiles = 2;
constexpr int kItems = 1536;
constexpr int kFlat = 1;
constexpr int kCausal = 0;
constexpr int kResidents = 3;
constexpr int kProducerWarps = 0;
constexpr int kTeams = 1;
constexpr int kHiddenBytes = 0;
constexpr int kConsumerRegisters = 224;
constexpr float kScale = 0.1803368777036667f;
constexpr float kUnit = 1;
#define INFINITY_ __uint_as_float(0x7f800000u)
DEV float exp2_fast(float x) { float r; asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x)); return r; }
DEV void multiply_keys(float (&sum)[64], u64 a, u64 b, bool add) {
  asm volatile("{.reg .pred p; setp.ne.b32 p, %66, 0; wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, %64, %65, p, 1, 1, 0, 0;}"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3]), "+f"(sum[4]), "+f"(sum[5]), "+f"(sum[6]), "+f"(sum[7]), "+f"(sum[8]), "+f"(sum[9]), "+f"(sum[10]), "+f"(sum[11]), "+f"(sum[12]), "+f"(sum[13]), "+f"(sum[14]), "+f"(sum[15]), "+f"(sum[16]), "+f"(sum[17]), "+f"(sum[18]), "+f"(sum[19]), "+f"(sum[20]), "+f"(sum[21]), "+f"(sum[22]), "+f"(sum[23]), "+f"(sum[24]), "+f"(sum[25]), "+f"(sum[26]), "+f"(sum[27]), "+f"(sum[28]), "+f"(sum[29]), "+f"(sum[30]), "+f"(sum[31]), "+f"(sum[32]), "+f"(sum[33]), "+f"(sum[34]), "+f"(sum[35]), "+f"(sum[36]), "+f"(sum[37]), "+f"(sum[38]), "+f"(sum[39]), "+f"(sum[40]), "+f"(sum[41]), "+f"(sum[42]), "+f"(sum[43]), "+f"(sum[44]), "+f"(sum[45]), "+f"(sum[46]), "+f"(sum[47]), "+f"(sum[48]), "+f"(sum[49]), "+f"(sum[50]), "+f"(sum[51]), "+f"(sum[52]), "+f"(sum[53]), "+f"(sum[54]), "+f"(sum[55]), "+f"(sum[56]), "+f"(sum[57]), "+f"(sum[58]), "+f"(sum[59]), "+f"(sum[60]), "+f"(sum[61]), "+f"(sum[62]), "+f"(sum[63])
      : "l"(a), "l"(b), "r"((int)add));
}
DEV void multiply_values(float (&sum)[32], const u32 (&a)[4], u64 b, bool add) {
  asm volatile("{.reg .pred p; setp.ne.b32 p, %37, 0; wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, {%32, %33, %34, %35}, %36, p, 1, 1, 1;}"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3]), "+f"(sum[4]), "+f"(sum[5]), "+f"(sum[6]), "+f"(sum[7]), "+f"(sum[8]), "+f"(sum[9]), "+f"(sum[10]), "+f"(sum[11]), "+f"(sum[12]), "+f"(sum[13]), "+f"(sum[14]), "+f"(sum[15]), "+f"(sum[16]), "+f"(sum[17]), "+f"(sum[18]), "+f"(sum[19]), "+f"(sum[20]), "+f"(sum[21]), "+f"(sum[22]), "+f"(sum[23]), "+f"(sum[24]), "+f"(sum[25]), "+f"(sum[26]), "+f"(sum[27]), "+f"(sum[28]), "+f"(sum[29]), "+f"(sum[30]), "+f"(sum[31])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"((int)add));
}

constexpr int kQueryBytes = kSlabs * 8192, kTileBytes = kSlabs * 128 * 128;  // of a group; of keys or values
struct Place { int tile, head, image; };
// The last image first: of operands larger than L2 that is what is still there.
DEV Place place_of(int item) {
  return {item % kQueryTiles, item / kQueryTiles % kHeads, kItems / (kQueryTiles * kHeads) - 1 - item / (kQueryTiles * kHeads)};
}
DEV int tiles_of(const Place& p) { return kCausal ? min(kKeyTiles, ((p.tile + 1) * 64 * kGroups + 127) / 128) : kKeyTiles; }
// Where a head's rows start in a map: column and matrix.
DEV int column_of(int head) { return kFlat ? head * kSlabs * 64 : 0; }
DEV int matrix_of(int image, int head, int heads) { return kFlat ? image : image * heads + head; }

DEV void bring_queries(const TensorMap* q, const Place& p, u32 to, u32 full) {
  barrier_expect(full, kGroups * kQueryBytes);
  for (int g = 0; g < kGroups; ++g)
    for (int s = 0; s < kSlabs; ++s)
      load_box(to + g * kQueryBytes + s * 8192, q, full, column_of(p.head) + 64 * s, (p.tile * kGroups + g) * 64,
               matrix_of(p.image, p.head, kHeads));
}
// A tile of keys, or of values; `more` bytes come to the same barrier.
DEV void bring_tile(const TensorMap* map, const Place& p, int t, u32 to, u32 full, u32 more = 0) {
  const int head = p.head / (kHeads / kKvHeads);
  barrier_expect(full, kTileBytes + more);
  for (int s = 0; s < kSlabs; ++s)
    load_box(to + s * 16384, map, full, column_of(head) + 64 * s, t * 128, matrix_of(p.image, head, kKvHeads));
}


// Lane q of a quad has words q of four rows of 16 bytes and gets the four words of row q.
DEV void turn(u32 (&d)[4], u32 lane) {
#pragma unroll
  for (int bit = 1; bit <= 2; bit *= 2) {
    const bool upper = lane & bit;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (i & bit) continue;
      const u32 got = __shfl_xor_sync(~0u, upper ? d[i] : d[i + bit], bit);
      if (upper) d[i] = got;
      else d[i + bit] = got;
    }
  }
}

// A thread's part of a group's result: rows `row` and `row` + 8. Maxima are in units of 1 / kUnit of log2.
struct Sums { float sum[kSlabs][32], top[2], total[2]; };
DEV void clear(Sums& r) { r.top[0] = r.top[1] = -INFINITY_; r.total[0] = r.total[1] = 0; }

// One tile of keys: scores, weights, and their share of the result. The caller has waited for the keys.
DEV void attend(Sums& r, u32 queries, u32 keys, u32 values, u32 value_full, u32 parity, const Place& p, int t, int row,
                u32 lane , const u16* mask) {
  float score[64];
  u32 hidden[16];
#pragma unroll
  for (int j = 0; j < 16; ++j) {
    const int pair = t * 128 + 8 * j + 2 * (lane & 3);
    hidden[j] = pair < kKeys ? *(const u32*)(mask + (u64)p.image * 128u + (u64)p.head * 0u + pair) : 0;
  }
  wgmma_begin();
#pragma unroll
  for (int s = 0; s < kSlabs; ++s)
#pragma unroll
    for (int i = 0; i < 4; ++i)
      multiply_keys(score, matrix(queries + s * 8192, 1, 16, 1024) + 2 * i, matrix(keys + s * 16384, 1, 16, 1024) + 2 * i, s + i > 0);
  wgmma_commit();
  wgmma_wait<0>();
  float now[2] = {r.top[0], r.top[1]};
#pragma unroll
  for (int j = 0; j < 16; ++j)
#pragma unroll
    for (int c = 0; c < 2; ++c) {
      const int key = t * 128 + 8 * j + 2 * (lane & 3) + c;
      const float add = (c ? f16_high(hidden[j]) : f16_low(hidden[j])) * 1.44269504f;
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        float& x = score[4 * j + 2 * h + c];
        x = fmaf(x, kScale, add);
        if (key >= kKeys || (kCausal && key > row + 8 * h)) x = -INFINITY_;
        now[h] = fmaxf(now[h], x);
      }
    }
  u32 weight[8][4];
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    now[h] = fmaxf(now[h], __shfl_xor_sync(~0u, now[h], 1));
    now[h] = fmaxf(now[h], __shfl_xor_sync(~0u, now[h], 2));
    const float base = now[h] == -INFINITY_ ? 0.0f : now[h] * kUnit, shrink = exp2_fast(fmaf(r.top[h], kUnit, -base));
    float part = 0;
#pragma unroll
    for (int j = 0; j < 16; ++j) {
      const float a = exp2_fast(fmaf(score[4 * j + 2 * h], kUnit, -base)), b = exp2_fast(fmaf(score[4 * j + 2 * h + 1], kUnit, -base));
      part += a + b;
      weight[j >> 1][(j & 1) * 2 + h] = pack_f16x2(a, b);
    }
    r.total[h] = r.total[h] * shrink + part;
    r.top[h] = now[h];
    if (t > 0)
#pragma unroll
      for (int s = 0; s < kSlabs; ++s)
#pragma unroll
        for (int i = 0; i < 8; ++i) { r.sum[s][4 * i + 2 * h] *= shrink; r.sum[s][4 * i + 2 * h + 1] *= shrink; }
  }
  barrier_wait(value_full, parity);
  wgmma_begin();
#pragma unroll
  for (int s = 0; s < kSlabs; ++s)
#pragma unroll
    for (int i = 0; i < 8; ++i)
      multiply_values(r.sum[s], weight[i], matrix(values + s * 16384, 1, 16384, 1024) + 128 * i, t > 0 || i > 0);
  wgmma_commit();
  wgmma_wait<0>();
}

DEV void put_rows(Sums& r, const Place& p, int row, u32 lane, u16* out) {
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    r.total[h] += __shfl_xor_sync(~0u, r.total[h], 1);
    r.total[h] += __shfl_xor_sync(~0u, r.total[h], 2);
    const float share = 1.0f / r.total[h];
    const int query = row + 8 * h;
    u16* to = out + (kFlat ? ((u64)p.image * kQueries + query) * (kHeads * kSlabs * 64) + p.head * kSlabs * 64
                           : ((u64)(p.image * kHeads + p.head) * kQueries + query) * (kSlabs * 64));
#pragma unroll
    for (int s = 0; s < kSlabs; ++s)
#pragma unroll
      for (int i = 0; i < 8; i += 4) {
        u32 d[4];
#pragma unroll
        for (int k = 0; k < 4; ++k) d[k] = pack_f16x2(r.sum[s][4 * (i + k) + 2 * h] * share, r.sum[s][4 * (i + k) + 2 * h + 1] * share);
        turn(d, lane);
        if (query < kQueries) *(V4*)(to + 64 * s + 8 * (i + (lane & 3))) = {d[0], d[1], d[2], d[3]};
      }
  }
}

extern "C" __global__ void __launch_bounds__(kGroups * 128, kResidents)
attention_f16_d64_q64_k128_sm90(const __grid_constant__ TensorMap q, const __grid_constant__ TensorMap k, const __grid_constant__ TensorMap v , const u16* mask,
      u16* __restrict__ out) {
  extern __shared__ __align__(1024) unsigned char shared[];
  const u32 thread = threadIdx.x, group = thread >> 7, warp = thread >> 5 & 3, lane = thread & 31;
  const u32 queries = shared_address(shared), keys = queries + kGroups * kQueryBytes, values = keys + kStages * kTileBytes;
  const u32 hidden = values + kStages * kTileBytes, query_full = hidden + kStages * kHiddenBytes, key_full = query_full + 8, value_full = key_full + 8 * kStages;
  const Place p = place_of(blockIdx.x);
  const int tiles = tiles_of(p);
  const auto bring = [&](int t) {
    const int stage = t % kStages;
    bring_tile(&k, p, t, keys + stage * kTileBytes, key_full + 8 * stage);
    bring_tile(&v, p, t, values + stage * kTileBytes, value_full + 8 * stage);
  };
  if (thread == 0) {
    if (queries & 1023) __trap();
    barrier_init(query_full, 1);
    for (int i = 0; i < kStages; ++i) { barrier_init(key_full + 8 * i, 1); barrier_init(value_full + 8 * i, 1); }
    barrier_init_fence();
    prefetch_map(&q); prefetch_map(&k); prefetch_map(&v);
  }
  grid_wait();
  if (thread == 0) {
    bring_queries(&q, p, queries, query_full);
    for (int t = 0; t < kStages && t < tiles; ++t) bring(t);
    if (tiles <= kStages) grid_launch();
  }
  __syncthreads();
  const int row = (p.tile * kGroups + (int)group) * 64 + 16 * warp + (lane >> 2);
  Sums r;
  clear(r);
  barrier_wait(query_full, 0);
#pragma unroll 1
  for (int t = 0; t < tiles; ++t) {
    const int stage = t % kStages, parity = t / kStages & 1;
    barrier_wait(key_full + 8 * stage, parity);
    attend(r, queries + group * kQueryBytes, keys + stage * kTileBytes, values + stage * kTileBytes, value_full + 8 * stage, parity,
           p, t, row, lane , mask);
    if (t + kStages < tiles) {  // the stage is free when every warp is done with it
      __syncthreads();
      if (thread == 0) bring(t + kStages);
    }
  }
  if (tiles > kStages) grid_launch();
  put_rows(r, p, row, lane, out);
}
