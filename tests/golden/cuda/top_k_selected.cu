// TopK -> f16[4, 10]
// grid 4 1 1, block 1024, tactic select=1
template <class T, int N> struct alignas(sizeof(T) * N) Pack { T v[N]; };
typedef u32 Key;
DEV Key key_of(float x) {
  const Key bits = __float_as_uint(x == 0 ? (float)0 : x);
  const Key key = x != x ? ~(Key)0 : bits & 0x80000000u ? ~bits : bits | 0x80000000u;
  return key;
}
extern "C" __global__ void __launch_bounds__(1024) top_k_select_f16_k10(const u16* x0, u16* y0, i64* y1) {
  grid_wait();
  grid_launch();
  const int line = blockIdx.x;
    const int l0 = line;
  __shared__ u32 histogram[256], chosen, left, count, warps[32];
  __shared__ Key keys[16];
  __shared__ int places[16];
  Key known = 0, mask = 0;
  u32 remaining = 10;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  for (int shift = 24; shift >= 0; shift -= 8) {
    if (threadIdx.x < 256) histogram[threadIdx.x] = 0;
    __syncthreads();
    for (int i0 = 0; i0 < 1000; i0 += 1024) {
      const int i = i0 + threadIdx.x;
      int bin = -1;
      if (i < 1000) {
        const float n0 = f16_to_f32(x0[((l0 * 1000) + i)]);
        const Key own = key_of(n0);
        if ((own & mask) == known) bin = (int)(own >> shift) & 255;
      }
      const int first = __shfl_sync(0xffffffffu, bin, 0);
      const u32 same = __ballot_sync(0xffffffffu, bin == first);
      if (bin >= 0 && (bin != first || lane == 0)) atomicAdd(&histogram[bin], bin == first ? (u32)__popc(same) : 1u);
    }
    __syncthreads();
    if (threadIdx.x == 0) {
      int b = 255;
    u32 rest = remaining;
    while (histogram[b] < rest) rest -= histogram[b--];
    chosen = b;
    left = rest;
    }
    __syncthreads();
    known |= (Key)chosen << shift;
    mask |= (Key)255 << shift;
    remaining = left;
  }
  for (int i = threadIdx.x; i < 16; i += 1024) { keys[i] = 0; places[i] = 0x7fffffff; }
  if (threadIdx.x == 0) count = 0;
  u32 equals = 0;
  __syncthreads();
  for (int i0 = 0; i0 < 1000; i0 += 1024) {
    const int i = i0 + threadIdx.x;
    bool is_equal = false;
    if (i < 1000) {
      const float n1 = f16_to_f32(x0[((l0 * 1000) + i)]);
      const Key own = key_of(n1);
      if (own > known) { const u32 slot = atomicAdd(&count, 1u); keys[slot] = own; places[slot] = i; }
      is_equal = own == known;
    }
    if (equals < remaining) {
      const u32 votes = __ballot_sync(0xffffffffu, is_equal);
      if (lane == 0) warps[warp] = __popc(votes);
      __syncthreads();
      u32 before = equals + __popc(votes & ((1u << lane) - 1)), all = 0;
      for (int w = 0; w < 32; ++w) { if (w < warp) before += warps[w]; all += warps[w]; }
      if (is_equal && before < remaining) { const u32 slot = 10 - remaining + before; keys[slot] = known; places[slot] = i; }
      equals += all;
      __syncthreads();
    }
  }
  __syncthreads();
  for (int size = 2; size <= 16; size *= 2) {
    for (int step = size / 2; step > 0; step /= 2) {
      for (int i = threadIdx.x; i < 16; i += 1024) {
        const int j = i ^ step;
        if (j > i) {
          const Key a = keys[i], b = keys[j];
    const int pa = places[i], pb = places[j];
          const bool behind = a < b || (a == b && pa > pb);
          if (behind == ((i & size) == 0)) { keys[i] = b; keys[j] = a; places[i] = pb; places[j] = pa; }
        }
      }
      __syncthreads();
    }
  }
  for (int i = threadIdx.x; i < 10; i += 1024) {
    const int from = places[i];
    const float n2 = f16_to_f32(x0[((l0 * 1000) + from)]);
    y0[((l0 * 10) + i)] = f32_to_f16(n2);
    y1[((l0 * 10) + i)] = (i64)((i64)from);
  }
}
