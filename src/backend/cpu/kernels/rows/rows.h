// Kernels over rows of floats: softmax, normalisations, reductions over the last axis, and
// elementary functions.
//
// A row is read a few times while it is in L1, so all of them run at the speed of memory; rows are
// shared out over the team. Sums are kept in V partial sums per register, which rounds less than
// one running sum. All functions allow output == input.
#pragma once

#include <cstdint>

#include "backend/cpu/kernels/isa.h"

namespace planish {
class ThreadTeam;
}

namespace planish::cpu {

// Over n floats per row, rows dense. A row of -infinity only gives NaN, as the definition does.
void run_softmax(const float* input, float* output, int64_t rows, int64_t n, Isa isa,
                 ThreadTeam& team);

// output = (x - mean) / sqrt(variance + epsilon) * scale + bias with x = input + residual (null:
// input alone); scale and bias are n floats or null.
struct NormArgs {
  const float* input = nullptr;
  const float* residual = nullptr;
  const float* scale = nullptr;
  const float* bias = nullptr;
  float* output = nullptr;
  int64_t rows = 0, n = 0;
  float epsilon = 1e-5f;
};
void run_layer_norm(const NormArgs& args, Isa isa, ThreadTeam& team);
// x / sqrt(mean(x^2) + epsilon) * scale + bias.
void run_rms_norm(const NormArgs& args, Isa isa, ThreadTeam& team);

enum class Reduction { kSum, kMean, kMax, kMin, kSumAbs, kSumSquares };
// One value per row of n >= 1 floats. Max and min give NaN if a value is NaN.
void run_reduce(Reduction kind, const float* input, float* output, int64_t rows, int64_t n, Isa isa,
                ThreadTeam& team);

enum class Unary { kExp, kTanh, kErf, kSigmoid, kGelu, kGeluTanh, kSilu };
void run_unary(Unary kind, const float* input, float* output, int64_t count, Isa isa,
               ThreadTeam& team);

// One row each.
struct RowKernels {
  void (*softmax)(const float* input, float* output, int64_t n);
  void (*layer_norm)(const NormArgs& args, int64_t row);
  void (*rms_norm)(const NormArgs& args, int64_t row);
  float (*reduce[6])(const float* input, int64_t n);               // by Reduction
  void (*unary[7])(const float* input, float* output, int64_t n);  // by Unary
};
const RowKernels& row_kernels(Isa isa);
const RowKernels& rows_kernels_portable();
const RowKernels& rows_kernels_avx2();
const RowKernels& rows_kernels_avx512();

}  // namespace planish::cpu
