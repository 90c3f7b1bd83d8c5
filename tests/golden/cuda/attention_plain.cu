// Attention -> f32[1, 2, 50, 40]
// grid 7 2 1, block 256, tactic 
template <class T, int N> struct alignas(sizeof(T) * N) Pack { T v[N]; };
extern "C" __global__ void __launch_bounds__(256) attention_plain_f32_d40(const float* x0, const float* x1, const float* x2, float* y0) {
  grid_wait();
  grid_launch();
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int h = blockIdx.y, n = blockIdx.z;
  const int kvh = h / 1;
  const int at = blockIdx.x * 8 + warp, query = at < 50 ? at : 49;
  __shared__ float qs[8][40], ks[32][41], vs[32][40];
  for (int d = lane; d < 40; d += 32) {
    const float n0 = x0[(((h * 2000) + (query * 40)) + d)];
    qs[warp][d] = n0;
  }
  float top = __uint_as_float(0xff800000u), sum = 0;
  float y0_ = 0;
  float y1_ = 0;
  for (int j0 = 0; j0 < 50; j0 += 32) {
    for (int t = threadIdx.x; t < 1280; t += 256) {
      const int j = t / 40, d = t % 40, key = j0 + j;
      ks[j][d] = 0;
      if (key < 50) {
        const float n1 = x1[(((kvh * 2000) + (key * 40)) + d)];
        ks[j][d] = n1;
      }
    }
    for (int t = threadIdx.x; t < 1280; t += 256) {
      const int j = t / 40, d = t % 40, key = j0 + j;
      vs[j][d] = 0;
      if (key < 50) {
        const float n2 = x2[(((kvh * 2000) + (key * 40)) + d)];
        vs[j][d] = n2;
      }
    }
    __syncthreads();
    const int key = j0 + lane;
    float score = 0;
    #pragma unroll 8
    for (int d = 0; d < 40; ++d) score = fmaf(qs[warp][d], ks[lane][d], score);
    score *= __uint_as_float(0x3e21e89bu);
    bool seen = key < 50;
    if (!seen) score = __uint_as_float(0xff800000u);
    float best = score;
    #pragma unroll
  for (int i = 16; i > 0; i /= 2) best = max_nan(best, __shfl_xor_sync(0xffffffffu, best, i));
    best = max_nan(best, top);
    const float weight = score == __uint_as_float(0xff800000u) ? 0.0f : expf(score - best);
    const float decay = top == __uint_as_float(0xff800000u) ? 0.0f : expf(top - best);
    float total = weight;
    #pragma unroll
  for (int i = 16; i > 0; i /= 2) total += __shfl_xor_sync(0xffffffffu, total, i);
    sum = sum * decay + total;
    top = best;
    y0_ *= decay;
    y1_ *= decay;
    #pragma unroll 8
    for (int j = 0; j < 32; ++j) {
      const float w = __shfl_sync(0xffffffffu, weight, j);
      y0_ = fmaf(w, vs[j][lane + 0], y0_);
      if (lane + 32 < 40) y1_ = fmaf(w, vs[j][lane + 32], y1_);
    }
    __syncthreads();
  }
  if (at < 50) {
    if (lane + 0 < 40) {
      const float n3 = sum > 0 ? y0_ / sum : 0.0f;
      const int n4 = lane + 0;
      y0[((((n * 4000) + (h * 2000)) + (at * 40)) + n4)] = (float)(n3);
    }
    if (lane + 32 < 40) {
      const float n5 = sum > 0 ? y1_ / sum : 0.0f;
      const int n6 = lane + 32;
      y0[((((n * 4000) + (h * 2000)) + (at * 40)) + n6)] = (float)(n5);
    }
  }
}
