#include "backend/cpu/kernels/attention/attention_inl.h"

namespace planish::cpu {

const AttentionKernels& attention_kernels_avx512() {
  static const AttentionKernels kernels = make_attention_kernels<VecAvx512>();
  return kernels;
}

}  // namespace planish::cpu
