// Transposes a V x V block of floats held in registers.
#pragma once

#include "backend/cpu/kernels/simd/vec.h"

namespace planish::cpu {

PLANISH_INLINE void transpose_square(VecPortable (&r)[8]) {
  float t[8][8], u[8][8];
  for (int i = 0; i < 8; i++) r[i].store(t[i]);
  for (int i = 0; i < 8; i++)
    for (int j = 0; j < 8; j++) u[j][i] = t[i][j];
  for (int i = 0; i < 8; i++) r[i] = VecPortable::load(u[i]);
}

#if defined(__AVX2__)
PLANISH_INLINE void transpose_square(VecAvx2 (&r)[8]) {
  __m256 b[2][4];
  PLANISH_UNROLL(2) for (int g = 0; g < 2; g++) {
    const __m256 a0 = _mm256_unpacklo_ps(r[4 * g].v, r[4 * g + 1].v);
    const __m256 a1 = _mm256_unpackhi_ps(r[4 * g].v, r[4 * g + 1].v);
    const __m256 a2 = _mm256_unpacklo_ps(r[4 * g + 2].v, r[4 * g + 3].v);
    const __m256 a3 = _mm256_unpackhi_ps(r[4 * g + 2].v, r[4 * g + 3].v);
    b[g][0] = _mm256_shuffle_ps(a0, a2, 0x44);
    b[g][1] = _mm256_shuffle_ps(a0, a2, 0xee);
    b[g][2] = _mm256_shuffle_ps(a1, a3, 0x44);
    b[g][3] = _mm256_shuffle_ps(a1, a3, 0xee);
  }
  PLANISH_UNROLL(4) for (int i = 0; i < 4; i++) {
    r[i].v = _mm256_permute2f128_ps(b[0][i], b[1][i], 0x20);
    r[4 + i].v = _mm256_permute2f128_ps(b[0][i], b[1][i], 0x31);
  }
}
#endif

#if defined(__AVX512F__)
PLANISH_INLINE void transpose_square(VecAvx512 (&r)[16]) {
  constexpr __mmask16 all = 0xffff;
  __m512 b[4][4];
  PLANISH_UNROLL(4) for (int g = 0; g < 4; g++) {
    const __m512 a0 = _mm512_maskz_unpacklo_ps(all, r[4 * g].v, r[4 * g + 1].v);
    const __m512 a1 = _mm512_maskz_unpackhi_ps(all, r[4 * g].v, r[4 * g + 1].v);
    const __m512 a2 = _mm512_maskz_unpacklo_ps(all, r[4 * g + 2].v, r[4 * g + 3].v);
    const __m512 a3 = _mm512_maskz_unpackhi_ps(all, r[4 * g + 2].v, r[4 * g + 3].v);
    b[g][0] = _mm512_maskz_shuffle_ps(all, a0, a2, 0x44);
    b[g][1] = _mm512_maskz_shuffle_ps(all, a0, a2, 0xee);
    b[g][2] = _mm512_maskz_shuffle_ps(all, a1, a3, 0x44);
    b[g][3] = _mm512_maskz_shuffle_ps(all, a1, a3, 0xee);
  }
  PLANISH_UNROLL(4) for (int i = 0; i < 4; i++) {
    const __m512 c0 = _mm512_maskz_shuffle_f32x4(all, b[0][i], b[1][i], 0x88);
    const __m512 c1 = _mm512_maskz_shuffle_f32x4(all, b[0][i], b[1][i], 0xdd);
    const __m512 c2 = _mm512_maskz_shuffle_f32x4(all, b[2][i], b[3][i], 0x88);
    const __m512 c3 = _mm512_maskz_shuffle_f32x4(all, b[2][i], b[3][i], 0xdd);
    r[i].v = _mm512_maskz_shuffle_f32x4(all, c0, c2, 0x88);
    r[4 + i].v = _mm512_maskz_shuffle_f32x4(all, c1, c3, 0x88);
    r[8 + i].v = _mm512_maskz_shuffle_f32x4(all, c0, c2, 0xdd);
    r[12 + i].v = _mm512_maskz_shuffle_f32x4(all, c1, c3, 0xdd);
  }
}
#endif

}  // namespace planish::cpu
