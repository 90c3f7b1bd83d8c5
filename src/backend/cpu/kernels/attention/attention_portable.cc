#include "backend/cpu/kernels/attention/attention_inl.h"

namespace planish::cpu {

const AttentionKernels& attention_kernels_portable() {
  static const AttentionKernels kernels = make_attention_kernels<VecPortable>();
  return kernels;
}

}  // namespace planish::cpu
