// LSTM -> f16[12, 1, 8, 64]
// grid 4 3 1, block 128, tactic samples=2
template <class T, int N> struct alignas(sizeof(T) * N) Pack { T v[N]; };
extern "C" __global__ void __launch_bounds__(128) simt_Gemm_f32_32x64x16(const u16* x0, const u16* x1, float* y0) {
  grid_wait();
  grid_launch();
  const int tid = threadIdx.x;
  const int q0 = (int)blockIdx.y * 32, p0 = (int)blockIdx.x * 64, batch = blockIdx.z;
  const int n0 = tid % 16;
  const int n1 = tid / 16;
  const int n2w = q0 + n1;
  const int n2 = n2w;
    const int n2x0 = n2;
  const int n3w = q0 + (n1 + 8);
  const int n3 = n3w;
    const int n3x0 = n3;
  const int n4w = q0 + (n1 + 16);
  const int n4 = n4w;
    const int n4x0 = n4;
  const int n5w = q0 + (n1 + 24);
  const int n5 = n5w;
    const int n5x0 = n5;
  float a0 = 0;
  float a1 = 0;
  float a2 = 0;
  float a3 = 0;
  const int n6 = tid % 16;
  const int n7 = tid / 16;
  const int n8w = p0 + n7;
  const int n8 = n8w;
    const int n8x0 = n8;
  const int n9w = p0 + (n7 + 8);
  const int n9 = n9w;
    const int n9x0 = n9;
  const int n10w = p0 + (n7 + 16);
  const int n10 = n10w;
    const int n10x0 = n10;
  const int n11w = p0 + (n7 + 24);
  const int n11 = n11w;
    const int n11x0 = n11;
  const int n12w = p0 + (n7 + 32);
  const int n12 = n12w;
    const int n12x0 = n12;
  const int n13w = p0 + (n7 + 40);
  const int n13 = n13w;
    const int n13x0 = n13;
  const int n14w = p0 + (n7 + 48);
  const int n14 = n14w;
    const int n14x0 = n14;
  const int n15w = p0 + (n7 + 56);
  const int n15 = n15w;
    const int n15x0 = n15;
  float b0 = 0;
  float b1 = 0;
  float b2 = 0;
  float b3 = 0;
  float b4 = 0;
  float b5 = 0;
  float b6 = 0;
  float b7 = 0;
  __shared__ float sq[2][16][36], sp[2][16][68];
  const int tp = tid % 16, tq = tid / 16;
  float sum[4][4] = {};
  int stage = 0;
  const int k16 = 0 + n0;
    const int k16x0 = k16;
   {
    a0 = 0;
     {
      const float n17 = f16_to_f32(x0[((n2x0 * 32) + k16x0)]);
      a0 = n17;
    }
  }
   {
    a1 = 0;
     {
      const float n18 = f16_to_f32(x0[((n3x0 * 32) + k16x0)]);
      a1 = n18;
    }
  }
   {
    a2 = 0;
     {
      const float n19 = f16_to_f32(x0[((n4x0 * 32) + k16x0)]);
      a2 = n19;
    }
  }
   {
    a3 = 0;
     {
      const float n20 = f16_to_f32(x0[((n5x0 * 32) + k16x0)]);
      a3 = n20;
    }
  }
  const int k21 = 0 + n6;
    const int k21x0 = k21;
   {
    b0 = 0;
     {
      const float n22 = f16_to_f32(x1[((n8x0 * 32) + k21x0)]);
      b0 = n22;
    }
  }
   {
    b1 = 0;
     {
      const float n23 = f16_to_f32(x1[((n9x0 * 32) + k21x0)]);
      b1 = n23;
    }
  }
   {
    b2 = 0;
     {
      const float n24 = f16_to_f32(x1[((n10x0 * 32) + k21x0)]);
      b2 = n24;
    }
  }
   {
    b3 = 0;
     {
      const float n25 = f16_to_f32(x1[((n11x0 * 32) + k21x0)]);
      b3 = n25;
    }
  }
   {
    b4 = 0;
     {
      const float n26 = f16_to_f32(x1[((n12x0 * 32) + k21x0)]);
      b4 = n26;
    }
  }
   {
    b5 = 0;
     {
      const float n27 = f16_to_f32(x1[((n13x0 * 32) + k21x0)]);
      b5 = n27;
    }
  }
   {
    b6 = 0;
     {
      const float n28 = f16_to_f32(x1[((n14x0 * 32) + k21x0)]);
      b6 = n28;
    }
  }
   {
    b7 = 0;
     {
      const float n29 = f16_to_f32(x1[((n15x0 * 32) + k21x0)]);
      b7 = n29;
    }
  }
  for (int k0 = 0; k0 < 32; k0 += 16) {
    sq[stage][n0][n1] = a0;
    sq[stage][n0][(n1 + 8)] = a1;
    sq[stage][n0][(n1 + 16)] = a2;
    sq[stage][n0][(n1 + 24)] = a3;
    sp[stage][n6][n7] = b0;
    sp[stage][n6][(n7 + 8)] = b1;
    sp[stage][n6][(n7 + 16)] = b2;
    sp[stage][n6][(n7 + 24)] = b3;
    sp[stage][n6][(n7 + 32)] = b4;
    sp[stage][n6][(n7 + 40)] = b5;
    sp[stage][n6][(n7 + 48)] = b6;
    sp[stage][n6][(n7 + 56)] = b7;
    __syncthreads();
    const int k30 = k0 + 16 + n0;
      const int k30x0 = k30;
     {
      a0 = 0;
      if (k30 < 32) {
        const float n31 = f16_to_f32(x0[((n2x0 * 32) + k30x0)]);
        a0 = n31;
      }
    }
     {
      a1 = 0;
      if (k30 < 32) {
        const float n32 = f16_to_f32(x0[((n3x0 * 32) + k30x0)]);
        a1 = n32;
      }
    }
     {
      a2 = 0;
      if (k30 < 32) {
        const float n33 = f16_to_f32(x0[((n4x0 * 32) + k30x0)]);
        a2 = n33;
      }
    }
     {
      a3 = 0;
      if (k30 < 32) {
        const float n34 = f16_to_f32(x0[((n5x0 * 32) + k30x0)]);
        a3 = n34;
      }
    }
    const int k35 = k0 + 16 + n6;
      const int k35x0 = k35;
     {
      b0 = 0;
      if (k35 < 32) {
        const float n36 = f16_to_f32(x1[((n8x0 * 32) + k35x0)]);
        b0 = n36;
      }
    }
     {
      b1 = 0;
      if (k35 < 32) {
        const float n37 = f16_to_f32(x1[((n9x0 * 32) + k35x0)]);
        b1 = n37;
      }
    }
     {
      b2 = 0;
      if (k35 < 32) {
        const float n38 = f16_to_f32(x1[((n10x0 * 32) + k35x0)]);
        b2 = n38;
      }
    }
     {
      b3 = 0;
      if (k35 < 32) {
        const float n39 = f16_to_f32(x1[((n11x0 * 32) + k35x0)]);
        b3 = n39;
      }
    }
     {
      b4 = 0;
      if (k35 < 32) {
        const float n40 = f16_to_f32(x1[((n12x0 * 32) + k35x0)]);
        b4 = n40;
      }
    }
     {
      b5 = 0;
      if (k35 < 32) {
        const float n41 = f16_to_f32(x1[((n13x0 * 32) + k35x0)]);
        b5 = n41;
      }
    }
     {
      b6 = 0;
      if (k35 < 32) {
        const float n42 = f16_to_f32(x1[((n14x0 * 32) + k35x0)]);
        b6 = n42;
      }
    }
     {
      b7 = 0;
      if (k35 < 32) {
        const float n43 = f16_to_f32(x1[((n15x0 * 32) + k35x0)]);
        b7 = n43;
      }
    }
    #pragma unroll
    for (int kk = 0; kk < 16; ++kk) {
      float fq[4], fp[4];
      #pragma unroll
  for (int i = 0; i < 4; ++i) fq[i] = sq[stage][kk][tq * 4 + i];
      #pragma unroll
  for (int j = 0; j < 4; ++j) fp[j] = sp[stage][kk][tp * 4 + j];
      #pragma unroll
  for (int i = 0; i < 4; ++i)
      #pragma unroll
  for (int j = 0; j < 4; ++j) sum[i][j] = fma(fq[i], fp[j], sum[i][j]);
    }
    stage ^= 1;
  }
  #pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int q = q0 + tq * 4 + i;
    if (q < 96) {
        const int qx0 = q;
      #pragma unroll
      for (int j = 0; j < 4; j += 4) {
        const int p = p0 + tp * 4 + j;
        if (p < 256) {
          const int pv = p / 4;
            const int px0 = pv;
          const float n44 = sum[i][j + 0];
          const float n45 = sum[i][j + 1];
          const float n46 = sum[i][j + 2];
          const float n47 = sum[i][j + 3];
          Pack<float, 4> p48;
          p48.v[0] = (float)(n44);
          p48.v[1] = (float)(n45);
          p48.v[2] = (float)(n46);
          p48.v[3] = (float)(n47);
          *(Pack<float, 4>*)(y0 + ((qx0 * 256) + (px0 * 4))) = p48;
        }
      }
    }
  }
}

// grid 4 1 1, block 256, tactic samples=2
DEV float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }
extern "C" __global__ void __launch_bounds__(256) lstm_steps_f16_h64_b2(const float* xw, const u16* rt, const float* xb, const float* hb, u16* y, u16* yh, u16* yc) {
  __shared__ float hs[2][64], cs[2][64], sums[2][256];
  const int d = blockIdx.y, n0 = blockIdx.x * 2;
  grid_wait();
  grid_launch();
    for (int u = threadIdx.x; u < 128; u += 256) {
      const int b = u / 64, j = u % 64, n = n0 + b;
      hs[b][j] = 0;
      cs[b][j] = 0;
    }
  __syncthreads();
  for (int s = 0; s < 12; ++s) {
    const int t = false ? 11 - s : s;
    for (int r = 0 + threadIdx.x; r < 256; r += 256) {
      float a0 = hb[d * 256 + r];
      float a1 = hb[d * 256 + r];
      #pragma unroll 16
      for (int k = 0; k < 64; ++k) {
        const float w = f16_to_f32(rt[(d * 64 + k) * 256 + r]);
        a0 = fmaf(hs[0][k], w, a0);
        a1 = fmaf(hs[1][k], w, a1);
      }
      sums[0][r] = a0;
      sums[1][r] = a1;
    }
    __syncthreads();
    for (int u = threadIdx.x; u < 128; u += 256) {
      const int b = u / 64, j = u % 64, n = n0 + b;
      if (n >= 8) continue;
      const float* x = xw + ((i64)t * 8 + n) * 256 + d * 256;
      const float c = sigmoid((x[128 + j] + xb[d * 256 + 128 + j]) + sums[b][128 + j]) * cs[b][j] + sigmoid((x[0 + j] + xb[d * 256 + 0 + j]) + sums[b][0 + j]) * tanhf((x[192 + j] + xb[d * 256 + 192 + j]) + sums[b][192 + j]);
      cs[b][j] = c;
      const float h = sigmoid((x[64 + j] + xb[d * 256 + 64 + j]) + sums[b][64 + j]) * tanhf(c);
      hs[b][j] = h;
      y[(((i64)t * 1 + d) * 8 + n) * 64 + j] = f32_to_f16(h);
    }
    __syncthreads();
  }
    for (int u = threadIdx.x; u < 128; u += 256) {
      const int b = u / 64, j = u % 64, n = n0 + b;
      if (n < 8) yh[(d * 8 + n) * 64 + j] = f32_to_f16(hs[b][j]);
      if (n < 8) yc[(d * 8 + n) * 64 + j] = f32_to_f16(cs[b][j]);
    }
}
