// Softmax -> f16[96, 1000]
// grid 12 1 1, block 256, tactic team=32,v=8
template <class T, int N> struct alignas(sizeof(T) * N) Pack { T v[N]; };

template <int TEAM, class T, class F> DEV T team_reduce(T v, T* shared, F combine) {
  #pragma unroll
  for (int i = (TEAM < 32 ? TEAM : 32) / 2; i > 0; i /= 2)
    v = combine(v, __shfl_xor_sync(0xffffffffu, v, i));
  if (TEAM > 32) {
    if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = v;
    __syncthreads();
    v = shared[0];
    #pragma unroll
    for (int i = 1; i < TEAM / 32; ++i) v = combine(v, shared[i]);
  }
  return v;
}
template <int TEAM, int COLUMNS, class T, class F> DEV T column_reduce(T v, T* shared, F combine) {
  if (TEAM == 1) return v;
  shared[threadIdx.x] = v;
  __syncthreads();
  v = shared[threadIdx.x % COLUMNS];
  #pragma unroll
  for (int i = 1; i < TEAM; ++i) v = combine(v, shared[threadIdx.x % COLUMNS + i * COLUMNS]);
  return v;
}
extern "C" __global__ void __launch_bounds__(256) rows_Softmax_f16_t32_v8(const u16* x0, u16* y0) {
  grid_wait();
  grid_launch();
  const int member = threadIdx.x % 32;
  const int at = (int)blockIdx.x * 8 + threadIdx.x / 32;
  const bool live = at < 96;
  const int row = live ? at : 95;
    const int row0 = row;
  const int j0w = member + 0;
  const int j0 = j0w < 125 ? j0w : 0;
    const int j0c0 = j0;
  const int j1w = member + 32;
  const int j1 = j1w < 125 ? j1w : 0;
    const int j1c0 = j1;
  const int j2w = member + 64;
  const int j2 = j2w < 125 ? j2w : 0;
    const int j2c0 = j2;
  const int j3w = member + 96;
  const int j3 = j3w < 125 ? j3w : 0;
    const int j3c0 = j3;
  float v4 = __uint_as_float(0xff800000u);
  const Pack<u16, 8> p5 = *(const Pack<u16, 8>*)(x0 + ((row0 * 1000) + (j0c0 * 8)));
  const float n6 = f16_to_f32(p5.v[0]);
  const float n7 = f16_to_f32(p5.v[1]);
  const float n8 = f16_to_f32(p5.v[2]);
  const float n9 = f16_to_f32(p5.v[3]);
  const float n10 = f16_to_f32(p5.v[4]);
  const float n11 = f16_to_f32(p5.v[5]);
  const float n12 = f16_to_f32(p5.v[6]);
  const float n13 = f16_to_f32(p5.v[7]);
  if (j0w < 125) {
    v4 = max_nan(v4, n6);
    v4 = max_nan(v4, n7);
    v4 = max_nan(v4, n8);
    v4 = max_nan(v4, n9);
    v4 = max_nan(v4, n10);
    v4 = max_nan(v4, n11);
    v4 = max_nan(v4, n12);
    v4 = max_nan(v4, n13);
  }
  const Pack<u16, 8> p14 = *(const Pack<u16, 8>*)(x0 + ((row0 * 1000) + (j1c0 * 8)));
  const float n15 = f16_to_f32(p14.v[0]);
  const float n16 = f16_to_f32(p14.v[1]);
  const float n17 = f16_to_f32(p14.v[2]);
  const float n18 = f16_to_f32(p14.v[3]);
  const float n19 = f16_to_f32(p14.v[4]);
  const float n20 = f16_to_f32(p14.v[5]);
  const float n21 = f16_to_f32(p14.v[6]);
  const float n22 = f16_to_f32(p14.v[7]);
  if (j1w < 125) {
    v4 = max_nan(v4, n15);
    v4 = max_nan(v4, n16);
    v4 = max_nan(v4, n17);
    v4 = max_nan(v4, n18);
    v4 = max_nan(v4, n19);
    v4 = max_nan(v4, n20);
    v4 = max_nan(v4, n21);
    v4 = max_nan(v4, n22);
  }
  const Pack<u16, 8> p23 = *(const Pack<u16, 8>*)(x0 + ((row0 * 1000) + (j2c0 * 8)));
  const float n24 = f16_to_f32(p23.v[0]);
  const float n25 = f16_to_f32(p23.v[1]);
  const float n26 = f16_to_f32(p23.v[2]);
  const float n27 = f16_to_f32(p23.v[3]);
  const float n28 = f16_to_f32(p23.v[4]);
  const float n29 = f16_to_f32(p23.v[5]);
  const float n30 = f16_to_f32(p23.v[6]);
  const float n31 = f16_to_f32(p23.v[7]);
  if (j2w < 125) {
    v4 = max_nan(v4, n24);
    v4 = max_nan(v4, n25);
    v4 = max_nan(v4, n26);
    v4 = max_nan(v4, n27);
    v4 = max_nan(v4, n28);
    v4 = max_nan(v4, n29);
    v4 = max_nan(v4, n30);
    v4 = max_nan(v4, n31);
  }
  const Pack<u16, 8> p32 = *(const Pack<u16, 8>*)(x0 + ((row0 * 1000) + (j3c0 * 8)));
  const float n33 = f16_to_f32(p32.v[0]);
  const float n34 = f16_to_f32(p32.v[1]);
  const float n35 = f16_to_f32(p32.v[2]);
  const float n36 = f16_to_f32(p32.v[3]);
  const float n37 = f16_to_f32(p32.v[4]);
  const float n38 = f16_to_f32(p32.v[5]);
  const float n39 = f16_to_f32(p32.v[6]);
  const float n40 = f16_to_f32(p32.v[7]);
  if (j3w < 125) {
    v4 = max_nan(v4, n33);
    v4 = max_nan(v4, n34);
    v4 = max_nan(v4, n35);
    v4 = max_nan(v4, n36);
    v4 = max_nan(v4, n37);
    v4 = max_nan(v4, n38);
    v4 = max_nan(v4, n39);
    v4 = max_nan(v4, n40);
  }
  const float n41 = team_reduce<32>(v4, (float*)0, [](float a, float b) { return (float)(max_nan(a, b)); });
  float v42 = 0;
  float v43 = 0;
  float v44 = 0;
  float v45 = 0;
  float v46 = 0;
  float v47 = 0;
  float v48 = 0;
  float v49 = 0;
  float v50 = 0;
  float v51 = 0;
  float v52 = 0;
  float v53 = 0;
  float v54 = 0;
  float v55 = 0;
  float v56 = 0;
  float v57 = 0;
  float v58 = 0;
  float v59 = 0;
  float v60 = 0;
  float v61 = 0;
  float v62 = 0;
  float v63 = 0;
  float v64 = 0;
  float v65 = 0;
  float v66 = 0;
  float v67 = 0;
  float v68 = 0;
  float v69 = 0;
  float v70 = 0;
  float v71 = 0;
  float v72 = 0;
  float v73 = 0;
  float v74 = 0;
  if (j0w < 125) {
    v74 = v74 + (v42 = __expf(n6 - n41));
    v74 = v74 + (v43 = __expf(n7 - n41));
    v74 = v74 + (v44 = __expf(n8 - n41));
    v74 = v74 + (v45 = __expf(n9 - n41));
    v74 = v74 + (v46 = __expf(n10 - n41));
    v74 = v74 + (v47 = __expf(n11 - n41));
    v74 = v74 + (v48 = __expf(n12 - n41));
    v74 = v74 + (v49 = __expf(n13 - n41));
  }
  if (j1w < 125) {
    v74 = v74 + (v50 = __expf(n15 - n41));
    v74 = v74 + (v51 = __expf(n16 - n41));
    v74 = v74 + (v52 = __expf(n17 - n41));
    v74 = v74 + (v53 = __expf(n18 - n41));
    v74 = v74 + (v54 = __expf(n19 - n41));
    v74 = v74 + (v55 = __expf(n20 - n41));
    v74 = v74 + (v56 = __expf(n21 - n41));
    v74 = v74 + (v57 = __expf(n22 - n41));
  }
  if (j2w < 125) {
    v74 = v74 + (v58 = __expf(n24 - n41));
    v74 = v74 + (v59 = __expf(n25 - n41));
    v74 = v74 + (v60 = __expf(n26 - n41));
    v74 = v74 + (v61 = __expf(n27 - n41));
    v74 = v74 + (v62 = __expf(n28 - n41));
    v74 = v74 + (v63 = __expf(n29 - n41));
    v74 = v74 + (v64 = __expf(n30 - n41));
    v74 = v74 + (v65 = __expf(n31 - n41));
  }
  if (j3w < 125) {
    v74 = v74 + (v66 = __expf(n33 - n41));
    v74 = v74 + (v67 = __expf(n34 - n41));
    v74 = v74 + (v68 = __expf(n35 - n41));
    v74 = v74 + (v69 = __expf(n36 - n41));
    v74 = v74 + (v70 = __expf(n37 - n41));
    v74 = v74 + (v71 = __expf(n38 - n41));
    v74 = v74 + (v72 = __expf(n39 - n41));
    v74 = v74 + (v73 = __expf(n40 - n41));
  }
  const float n75 = team_reduce<32>(v74, (float*)0, [](float a, float b) { return (float)(a + b); });
  const float n76 = 1 / n75;
  if (live) {
    if (j0w < 125) {
      const float n77 = v42 * n76;
      const float n78 = v43 * n76;
      const float n79 = v44 * n76;
      const float n80 = v45 * n76;
      const float n81 = v46 * n76;
      const float n82 = v47 * n76;
      const float n83 = v48 * n76;
      const float n84 = v49 * n76;
       {
        Pack<u16, 8> p85;
        p85.v[0] = f32_to_f16(n77);
        p85.v[1] = f32_to_f16(n78);
        p85.v[2] = f32_to_f16(n79);
        p85.v[3] = f32_to_f16(n80);
        p85.v[4] = f32_to_f16(n81);
        p85.v[5] = f32_to_f16(n82);
        p85.v[6] = f32_to_f16(n83);
        p85.v[7] = f32_to_f16(n84);
        *(Pack<u16, 8>*)(y0 + ((row0 * 1000) + (j0c0 * 8))) = p85;
      }
    }
    if (j1w < 125) {
      const float n86 = v50 * n76;
      const float n87 = v51 * n76;
      const float n88 = v52 * n76;
      const float n89 = v53 * n76;
      const float n90 = v54 * n76;
      const float n91 = v55 * n76;
      const float n92 = v56 * n76;
      const float n93 = v57 * n76;
       {
        Pack<u16, 8> p94;
        p94.v[0] = f32_to_f16(n86);
        p94.v[1] = f32_to_f16(n87);
        p94.v[2] = f32_to_f16(n88);
        p94.v[3] = f32_to_f16(n89);
        p94.v[4] = f32_to_f16(n90);
        p94.v[5] = f32_to_f16(n91);
        p94.v[6] = f32_to_f16(n92);
        p94.v[7] = f32_to_f16(n93);
        *(Pack<u16, 8>*)(y0 + ((row0 * 1000) + (j1c0 * 8))) = p94;
      }
    }
    if (j2w < 125) {
      const float n95 = v58 * n76;
      const float n96 = v59 * n76;
      const float n97 = v60 * n76;
      const float n98 = v61 * n76;
      const float n99 = v62 * n76;
      const float n100 = v63 * n76;
      const float n101 = v64 * n76;
      const float n102 = v65 * n76;
       {
        Pack<u16, 8> p103;
        p103.v[0] = f32_to_f16(n95);
        p103.v[1] = f32_to_f16(n96);
        p103.v[2] = f32_to_f16(n97);
        p103.v[3] = f32_to_f16(n98);
        p103.v[4] = f32_to_f16(n99);
        p103.v[5] = f32_to_f16(n100);
        p103.v[6] = f32_to_f16(n101);
        p103.v[7] = f32_to_f16(n102);
        *(Pack<u16, 8>*)(y0 + ((row0 * 1000) + (j2c0 * 8))) = p103;
      }
    }
    if (j3w < 125) {
      const float n104 = v66 * n76;
      const float n105 = v67 * n76;
      const float n106 = v68 * n76;
      const float n107 = v69 * n76;
      const float n108 = v70 * n76;
      const float n109 = v71 * n76;
      const float n110 = v72 * n76;
      const float n111 = v73 * n76;
       {
        Pack<u16, 8> p112;
        p112.v[0] = f32_to_f16(n104);
        p112.v[1] = f32_to_f16(n105);
        p112.v[2] = f32_to_f16(n106);
        p112.v[3] = f32_to_f16(n107);
        p112.v[4] = f32_to_f16(n108);
        p112.v[5] = f32_to_f16(n109);
        p112.v[6] = f32_to_f16(n110);
        p112.v[7] = f32_to_f16(n111);
        *(Pack<u16, 8>*)(y0 + ((row0 * 1000) + (j3c0 * 8))) = p112;
      }
    }
  }
}
