// MatMul -> f32[3, 70, 100]
// grid 2 4 1, block 256, tactic tile=1
template <class T, int N> struct alignas(sizeof(T) * N) Pack { T v[N]; };
extern "C" __global__ void __launch_bounds__(256) simt_MatMul_f32_64x64x16(const float* x0, const float* x1, float* y0) {
  grid_wait();
  grid_launch();
  const int tid = threadIdx.x;
  const int q0 = (int)blockIdx.y * 64, p0 = (int)blockIdx.x * 64, batch = blockIdx.z;
  const int n0 = tid % 16;
  const int n1 = tid / 16;
  const int n2w = q0 + n1;
  const int n2 = n2w < 210 ? n2w : 0;
    const int n2x1 = n2 % 70;
    const int n2xabove1 = n2 / 70;
    const int n2x0 = n2xabove1;
  const int n3w = q0 + (n1 + 16);
  const int n3 = n3w < 210 ? n3w : 0;
    const int n3x1 = n3 % 70;
    const int n3xabove1 = n3 / 70;
    const int n3x0 = n3xabove1;
  const int n4w = q0 + (n1 + 32);
  const int n4 = n4w < 210 ? n4w : 0;
    const int n4x1 = n4 % 70;
    const int n4xabove1 = n4 / 70;
    const int n4x0 = n4xabove1;
  const int n5w = q0 + (n1 + 48);
  const int n5 = n5w < 210 ? n5w : 0;
    const int n5x1 = n5 % 70;
    const int n5xabove1 = n5 / 70;
    const int n5x0 = n5xabove1;
  float a0 = 0;
  float a1 = 0;
  float a2 = 0;
  float a3 = 0;
  const int n6 = tid % 64;
  const int n7 = tid / 64;
  const int n8w = p0 + n6;
  const int n8 = n8w < 100 ? n8w : 0;
    const int n8x0 = n8;
  float b0 = 0;
  float b1 = 0;
  float b2 = 0;
  float b3 = 0;
  __shared__ float sq[2][16][68], sp[2][16][68];
  const int tp = tid % 16, tq = tid / 16;
  float sum[4][4] = {};
  int stage = 0;
  const int k9 = 0 + n0;
    const int k9x0 = k9;
   {
    a0 = 0;
    if (n2w < 210) {
      const float n10 = x0[(((n2x0 * 2800) + (n2x1 * 40)) + k9x0)];
      a0 = n10;
    }
  }
   {
    a1 = 0;
    if (n3w < 210) {
      const float n11 = x0[(((n3x0 * 2800) + (n3x1 * 40)) + k9x0)];
      a1 = n11;
    }
  }
   {
    a2 = 0;
    if (n4w < 210) {
      const float n12 = x0[(((n4x0 * 2800) + (n4x1 * 40)) + k9x0)];
      a2 = n12;
    }
  }
   {
    a3 = 0;
    if (n5w < 210) {
      const float n13 = x0[(((n5x0 * 2800) + (n5x1 * 40)) + k9x0)];
      a3 = n13;
    }
  }
  const int k14 = 0 + n7;
    const int k14x0 = k14;
   {
    b0 = 0;
    if (n8w < 100) {
      const float n15 = x1[((k14x0 * 100) + n8x0)];
      b0 = n15;
    }
  }
  const int k16 = 0 + (n7 + 4);
    const int k16x0 = k16;
   {
    b1 = 0;
    if (n8w < 100) {
      const float n17 = x1[((k16x0 * 100) + n8x0)];
      b1 = n17;
    }
  }
  const int k18 = 0 + (n7 + 8);
    const int k18x0 = k18;
   {
    b2 = 0;
    if (n8w < 100) {
      const float n19 = x1[((k18x0 * 100) + n8x0)];
      b2 = n19;
    }
  }
  const int k20 = 0 + (n7 + 12);
    const int k20x0 = k20;
   {
    b3 = 0;
    if (n8w < 100) {
      const float n21 = x1[((k20x0 * 100) + n8x0)];
      b3 = n21;
    }
  }
  for (int k0 = 0; k0 < 40; k0 += 16) {
    sq[stage][n0][n1] = a0;
    sq[stage][n0][(n1 + 16)] = a1;
    sq[stage][n0][(n1 + 32)] = a2;
    sq[stage][n0][(n1 + 48)] = a3;
    sp[stage][n7][n6] = b0;
    sp[stage][(n7 + 4)][n6] = b1;
    sp[stage][(n7 + 8)][n6] = b2;
    sp[stage][(n7 + 12)][n6] = b3;
    __syncthreads();
    const int k22 = k0 + 16 + n0;
      const int k22x0 = k22;
     {
      a0 = 0;
      if (k22 < 40 && n2w < 210) {
        const float n23 = x0[(((n2x0 * 2800) + (n2x1 * 40)) + k22x0)];
        a0 = n23;
      }
    }
     {
      a1 = 0;
      if (k22 < 40 && n3w < 210) {
        const float n24 = x0[(((n3x0 * 2800) + (n3x1 * 40)) + k22x0)];
        a1 = n24;
      }
    }
     {
      a2 = 0;
      if (k22 < 40 && n4w < 210) {
        const float n25 = x0[(((n4x0 * 2800) + (n4x1 * 40)) + k22x0)];
        a2 = n25;
      }
    }
     {
      a3 = 0;
      if (k22 < 40 && n5w < 210) {
        const float n26 = x0[(((n5x0 * 2800) + (n5x1 * 40)) + k22x0)];
        a3 = n26;
      }
    }
    const int k27 = k0 + 16 + n7;
      const int k27x0 = k27;
     {
      b0 = 0;
      if (k27 < 40 && n8w < 100) {
        const float n28 = x1[((k27x0 * 100) + n8x0)];
        b0 = n28;
      }
    }
    const int k29 = k0 + 16 + (n7 + 4);
      const int k29x0 = k29;
     {
      b1 = 0;
      if (k29 < 40 && n8w < 100) {
        const float n30 = x1[((k29x0 * 100) + n8x0)];
        b1 = n30;
      }
    }
    const int k31 = k0 + 16 + (n7 + 8);
      const int k31x0 = k31;
     {
      b2 = 0;
      if (k31 < 40 && n8w < 100) {
        const float n32 = x1[((k31x0 * 100) + n8x0)];
        b2 = n32;
      }
    }
    const int k33 = k0 + 16 + (n7 + 12);
      const int k33x0 = k33;
     {
      b3 = 0;
      if (k33 < 40 && n8w < 100) {
        const float n34 = x1[((k33x0 * 100) + n8x0)];
        b3 = n34;
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
    if (q < 210) {
        const int qx1 = q % 70;
        const int qxabove1 = q / 70;
        const int qx0 = qxabove1;
      #pragma unroll
      for (int j = 0; j < 4; j += 4) {
        const int p = p0 + tp * 4 + j;
        if (p < 100) {
          const int pv = p / 4;
            const int px0 = pv;
          const float n35 = sum[i][j + 0];
          const float n36 = sum[i][j + 1];
          const float n37 = sum[i][j + 2];
          const float n38 = sum[i][j + 3];
          Pack<float, 4> p39;
          p39.v[0] = (float)(n35);
          p39.v[1] = (float)(n36);
          p39.v[2] = (float)(n37);
          p39.v[3] = (float)(n38);
          *(Pack<float, 4>*)(y0 + (((qx0 * 7000) + (qx1 * 100)) + (px0 * 4))) = p39;
        }
      }
    }
  }
}
