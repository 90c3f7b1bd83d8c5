// AveragePool 3x3 -> f16[128, 768, 17, 17] perm(0,2,3,1)
// grid 58752 1 1, block 128, tactic rows=2,strip=1,v=2
template <class T, int N> struct alignas(sizeof(T) * N) Pack { T v[N]; };
extern "C" __global__ void __launch_bounds__(128) average_pool_f16_3x3_s1_v2_2x1(const u16* x0, u16* y0, i64 y0_pitch) {
  const int number = (int)blockIdx.x * 128 + threadIdx.x;
  const int t = number < 7520256 ? number : 7520255;
    const int d3 = t % 384;
    const int dabove3 = t / 384;
    const int d2 = dabove3 % 17;
    const int dabove2 = dabove3 / 17;
    const int d1 = dabove2 % 9;
    const int dabove1 = dabove2 / 9;
    const int d0 = dabove1;
  const int n0 = (d3 * 2);
  float s0_0_0 = 0;
  float s0_0_1 = 0;
  float s1_0_0 = 0;
  float s1_0_1 = 0;
  grid_wait();
  grid_launch();
  if (number >= 7520256) return;
  const int n1 = ((d1 * 2) - 1);
  const int n2 = (d2 - 1);
  const bool c0 = (unsigned)(n2 + 0) < 17u;
  const bool c1 = (unsigned)(n2 + 1) < 17u;
  const bool c2 = (unsigned)(n2 + 2) < 17u;
  const int n3 = ((((d0 * 221952) + (n1 * 13056)) + (n2 * 768)) + n0);
  const bool r4 = (unsigned)(n1 + 0) < 17u;
  Pack<u16, 2> in0_0 = {{0, 0}}; if (r4 && c0) in0_0 = *(const Pack<u16, 2>*)(x0 + n3 + 0);
  Pack<u16, 2> in0_1 = {{0, 0}}; if (r4 && c1) in0_1 = *(const Pack<u16, 2>*)(x0 + n3 + 768);
  Pack<u16, 2> in0_2 = {{0, 0}}; if (r4 && c2) in0_2 = *(const Pack<u16, 2>*)(x0 + n3 + 1536);
  const bool r5 = (unsigned)(n1 + 1) < 17u;
  Pack<u16, 2> in1_0 = {{0, 0}}; if (r5 && c0) in1_0 = *(const Pack<u16, 2>*)(x0 + n3 + 13056);
  Pack<u16, 2> in1_1 = {{0, 0}}; if (r5 && c1) in1_1 = *(const Pack<u16, 2>*)(x0 + n3 + 13824);
  Pack<u16, 2> in1_2 = {{0, 0}}; if (r5 && c2) in1_2 = *(const Pack<u16, 2>*)(x0 + n3 + 14592);
  const float n6 = f16_to_f32(in0_0.v[0]);
  const float n7 = f16_to_f32(in0_1.v[0]);
  const float n8 = n6 + n7;
  const float n9 = f16_to_f32(in0_2.v[0]);
  const float n10 = n8 + n9;
  s0_0_0 = s0_0_0 + n10;
  const float n11 = f16_to_f32(in0_0.v[1]);
  const float n12 = f16_to_f32(in0_1.v[1]);
  const float n13 = n11 + n12;
  const float n14 = f16_to_f32(in0_2.v[1]);
  const float n15 = n13 + n14;
  s0_0_1 = s0_0_1 + n15;
  const bool r16 = (unsigned)(n1 + 2) < 17u;
  Pack<u16, 2> in2_0 = {{0, 0}}; if (r16 && c0) in2_0 = *(const Pack<u16, 2>*)(x0 + n3 + 26112);
  Pack<u16, 2> in2_1 = {{0, 0}}; if (r16 && c1) in2_1 = *(const Pack<u16, 2>*)(x0 + n3 + 26880);
  Pack<u16, 2> in2_2 = {{0, 0}}; if (r16 && c2) in2_2 = *(const Pack<u16, 2>*)(x0 + n3 + 27648);
  const float n17 = f16_to_f32(in1_0.v[0]);
  const float n18 = f16_to_f32(in1_1.v[0]);
  const float n19 = n17 + n18;
  const float n20 = f16_to_f32(in1_2.v[0]);
  const float n21 = n19 + n20;
  s0_0_0 = s0_0_0 + n21;
  s1_0_0 = s1_0_0 + n21;
  const float n22 = f16_to_f32(in1_0.v[1]);
  const float n23 = f16_to_f32(in1_1.v[1]);
  const float n24 = n22 + n23;
  const float n25 = f16_to_f32(in1_2.v[1]);
  const float n26 = n24 + n25;
  s0_0_1 = s0_0_1 + n26;
  s1_0_1 = s1_0_1 + n26;
  const bool r27 = (unsigned)(n1 + 3) < 17u;
  Pack<u16, 2> in3_0 = {{0, 0}}; if (r27 && c0) in3_0 = *(const Pack<u16, 2>*)(x0 + n3 + 39168);
  Pack<u16, 2> in3_1 = {{0, 0}}; if (r27 && c1) in3_1 = *(const Pack<u16, 2>*)(x0 + n3 + 39936);
  Pack<u16, 2> in3_2 = {{0, 0}}; if (r27 && c2) in3_2 = *(const Pack<u16, 2>*)(x0 + n3 + 40704);
  const float n28 = f16_to_f32(in2_0.v[0]);
  const float n29 = f16_to_f32(in2_1.v[0]);
  const float n30 = n28 + n29;
  const float n31 = f16_to_f32(in2_2.v[0]);
  const float n32 = n30 + n31;
  s0_0_0 = s0_0_0 + n32;
  s1_0_0 = s1_0_0 + n32;
  const float n33 = f16_to_f32(in2_0.v[1]);
  const float n34 = f16_to_f32(in2_1.v[1]);
  const float n35 = n33 + n34;
  const float n36 = f16_to_f32(in2_2.v[1]);
  const float n37 = n35 + n36;
  s0_0_1 = s0_0_1 + n37;
  s1_0_1 = s1_0_1 + n37;
  const int n38 = ((d1 * 2) - 1);
  const int n39 = (min((int)n38 + 3, 17) - max((int)n38, 0));
  const int n40 = (d2 - 1);
  const float n41 = 1.0f / (float)(n39 * (min((int)n40 + 3, 17) - max((int)n40, 0)));
  s0_0_0 *= n41;
  s0_0_1 *= n41;
  const int n42 = (d1 * 2);
  if (n42 < 17) {
     {
      Pack<u16, 2> p43;
      p43.v[0] = f32_to_f16(s0_0_0);
      p43.v[1] = f32_to_f16(s0_0_1);
      *(Pack<u16, 2>*)(y0 + ((i64)((((d0 * 289) + (n42 * 17)) + d2)) * (y0_pitch / 2) + n0)) = p43;
    }
  }
  const float n44 = f16_to_f32(in3_0.v[0]);
  const float n45 = f16_to_f32(in3_1.v[0]);
  const float n46 = n44 + n45;
  const float n47 = f16_to_f32(in3_2.v[0]);
  const float n48 = n46 + n47;
  s1_0_0 = s1_0_0 + n48;
  const float n49 = f16_to_f32(in3_0.v[1]);
  const float n50 = f16_to_f32(in3_1.v[1]);
  const float n51 = n49 + n50;
  const float n52 = f16_to_f32(in3_2.v[1]);
  const float n53 = n51 + n52;
  s1_0_1 = s1_0_1 + n53;
  const int n54 = (((d1 * 2) + 1) - 1);
  const int n55 = (min((int)n54 + 3, 17) - max((int)n54, 0));
  const int n56 = (d2 - 1);
  const float n57 = 1.0f / (float)(n55 * (min((int)n56 + 3, 17) - max((int)n56, 0)));
  s1_0_0 *= n57;
  s1_0_1 *= n57;
  const int n58 = ((d1 * 2) + 1);
  if (n58 < 17) {
     {
      Pack<u16, 2> p59;
      p59.v[0] = f32_to_f16(s1_0_0);
      p59.v[1] = f32_to_f16(s1_0_1);
      *(Pack<u16, 2>*)(y0 + ((i64)((((d0 * 289) + (n58 * 17)) + d2)) * (y0_pitch / 2) + n0)) = p59;
    }
  }
}
