// Row-major fp32 matrix products C[m, n] = A[m, k] x B[k, n], single or batched, either operand
// transposed, B constant (packed ahead) or not.
//
// The product runs on the register tile (tile.h): A is copied to blocks of V columns, [k /
// V][m][V], in which neighbouring rows are one cache line apart whatever the model's row length; B
// is packed as [n / (V J)][k][V J]. One row of A is used in place, so a matrix-vector product only
// streams the packed weights. The epilogue is that of the convolutions, with channels along n.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "backend/cpu/kernels/epilogue.h"
#include "backend/cpu/kernels/isa.h"

namespace planish {
class ThreadTeam;
}

namespace planish::cpu {

constexpr int64_t kDense = -1;

struct MatmulProblem {
  int64_t batch = 1, m = 0, n = 0, k = 0;
  bool transpose_a = false, transpose_b = false;  // A is given as [k, m], B as [n, k]
  bool packed_b = true;                           // B was packed ahead by pack_matmul_weights
  // Row lengths in floats, and distances of matrices (0: shared by the whole batch).
  int64_t a_row = kDense, b_row = kDense, c_row = kDense;
  int64_t a_batch = kDense, b_batch = kDense, c_batch = kDense;
};

struct MatmulTactic {
  int j_blocks = 2;      // vectors of columns per tile, 1 to 4; decides the packed weights
  int64_t rows = 0;      // rows of C per task; 0: all
  int64_t chunks = 0;    // tiles of columns per task; 0: all
  int64_t k_blocks = 0;  // blocks of V along k accumulated in one go; 0: all

  bool operator==(const MatmulTactic&) const = default;
};

struct MatmulArgs {
  const float* a = nullptr;
  const float* b = nullptr;  // packed, or as the problem says
  float* c = nullptr;
  // bias: n values. residual: laid out like C. post gets pieces of rows and their offsets in the
  // dense C.
  Epilogue epilogue;
  void* workspace = nullptr;  // matmul_workspace_bytes(), aligned to 64
};

std::string_view matmul_refusal(const MatmulProblem& problem, Isa isa);
std::vector<MatmulTactic> enumerate_matmul_tactics(const MatmulProblem& problem, Isa isa,
                                                   int threads);
// For the whole batch of B (one matrix if b_batch is 0).
int64_t matmul_packed_floats(const MatmulProblem& problem, const MatmulTactic& tactic, Isa isa);
void pack_matmul_weights(const MatmulProblem& problem, const MatmulTactic& tactic, Isa isa,
                         const float* b, float* packed);
int64_t matmul_workspace_bytes(const MatmulProblem& problem, const MatmulTactic& tactic, Isa isa,
                               int threads);
void run_matmul(const MatmulProblem& problem, const MatmulTactic& tactic, Isa isa,
                const MatmulArgs& args, ThreadTeam& team);

}  // namespace planish::cpu
