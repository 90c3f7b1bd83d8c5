#include "backend/cpu/kernels/attention/attention_inl.h"

namespace planish::cpu {

const AttentionKernels& attention_kernels_avx2() {
  static const AttentionKernels kernels = make_attention_kernels<VecAvx2>();
  return kernels;
}

}  // namespace planish::cpu
