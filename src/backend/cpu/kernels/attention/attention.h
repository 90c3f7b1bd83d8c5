// Fused fp32 attention, softmax(scale * Q K^T + mask) V per head, without the score matrix in
// memory.
//
// A task owns a head (or a part of its queries): K and V are packed once into the task's private
// memory, then blocks of at most 64 queries run through scores, softmax and the second product
// while the block's scores stay in L1 or L2. The scores are written by the register tile in its own
// blocked input form, so nothing is repacked in between.
#pragma once

#include <cstdint>
#include <string_view>

#include "backend/cpu/kernels/isa.h"

namespace planish {
class ThreadTeam;
}

namespace planish::cpu {

// Where element (b, h, s, d) of an operand lies: b * batch + h * head + s * row + d.
struct HeadStrides {
  int64_t batch = 0, head = 0, row = 0;
};

struct AttentionProblem {
  int64_t batch = 1, heads = 1, kv_heads = 1;  // heads is a multiple of kv_heads (grouped queries)
  int64_t queries = 0, keys = 0;
  int64_t head_size = 0, value_size = 0;
  float scale = 1;
  bool causal = false;  // query i sees keys up to i + keys - queries
  HeadStrides q, k, v, output;
  HeadStrides mask;  // additive, [.., queries, keys]; strides of 0 share it
};

struct AttentionArgs {
  const float* q = nullptr;
  const float* k = nullptr;
  const float* v = nullptr;
  const float* mask =
      nullptr;  // null: none. A row that hides all keys gives NaN, as the definition does.
  float* output = nullptr;
  void* workspace = nullptr;
};

std::string_view attention_refusal(const AttentionProblem& problem, Isa isa);
int64_t attention_workspace_bytes(const AttentionProblem& problem, Isa isa, int threads);
void run_attention(const AttentionProblem& problem, Isa isa, const AttentionArgs& args,
                   ThreadTeam& team);

// Softmax over the keys of blocked scores, score (row, key) at scores[key / V * block + row * V +
// key % V].
struct ScoreArgs {
  float* scores;
  int64_t block, rows, keys;
  float scale;
  const float* mask;  // [row][key] with mask_row, or null
  int64_t mask_row;
  bool causal;
  int64_t first_hidden;  // causal: row r sees keys below first_hidden + r
  float* factors;        // out: what to multiply row r of the second product with
};
struct AttentionKernels {
  // Leaves exp(score - maximum), zero beyond the keys.
  void (*softmax)(const ScoreArgs& args);
  // output[r][i] = sums[r][i] * factors[r].
  void (*scale_rows)(const float* sums, int64_t sums_row, const float* factors, int64_t rows,
                     int64_t n, float* output, int64_t output_row);
};
const AttentionKernels& attention_kernels(Isa isa);
const AttentionKernels& attention_kernels_portable();
const AttentionKernels& attention_kernels_avx2();
const AttentionKernels& attention_kernels_avx512();

}  // namespace planish::cpu
