// Tensor-core instructions on the host: where the elements of operands and sums lie (PTX ISA,
// "Matrix multiply-accumulate"), and the products in f32.
#pragma once
#include <functional>

#include "backend/cuda/testing/host/machine.h"

namespace planish_host {

float to_float(Element element, uint32_t bits);

// Bytes of shared memory at an address; null where there are none.
using SharedBytes = std::function<const unsigned char*(uint32_t address, uint32_t bytes)>;

// The operands of one wgmma as the 128 threads of a warpgroup brought them.
struct WgmmaCall {
  Wgmma op;
  void* const* sums[128] = {};   // op.n / 2 floats of each thread
  uint32_t a_words[128][4] = {};  // with op.a_in_registers
  uint64_t a = 0, b = 0;
  bool add = false;
};
// False: an operand lies outside of shared memory.
bool run_wgmma(const WgmmaCall& call, const SharedBytes& shared);

// What one lane brings to ldmatrix, stmatrix and mma.m16n8k<depth>; slots of a whole warp.
struct LoadLane {
  const unsigned char* row = nullptr;
  void* const* words = nullptr;
  int count = 4;  // matrices
  bool turned = false;
};
void run_load_matrices(void** slots);
struct StoreLane {
  unsigned char* row = nullptr;
  void* const* words = nullptr;
  int count = 4;
};
void run_store_matrices(void** slots);
struct MmaLane {
  Element element = Element::kF16;
  int depth = 16;
  void* const *sums = nullptr, * const *a = nullptr, * const *b = nullptr, * const *c = nullptr;
};
void run_mma(void** slots);

}  // namespace planish_host
