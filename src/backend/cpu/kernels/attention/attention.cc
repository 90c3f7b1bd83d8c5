#include "backend/cpu/kernels/attention/attention.h"

#include <algorithm>
#include <limits>

#include "backend/cpu/kernels/conv_problem.h"
#include "backend/cpu/kernels/matmul/pack.h"
#include "backend/cpu/kernels/tile/tile.h"
#include "base/thread_team.h"

namespace planish::cpu {
namespace {

constexpr int64_t kQueryBlock = 64;
constexpr int64_t kPadding = 16;
constexpr int kJ = 2;

struct Geometry {
  AttentionProblem p;
  int width;
  int64_t head_blocks, key_blocks, value_blocks;  // in units of V
  int64_t query_block;                            // queries at a time
  int64_t parts;                                  // tasks per head
  int64_t q_stride, score_stride;                 // floats between blocks of packed Q and of scores

  int64_t k_floats() const { return key_blocks * width * head_blocks * width; }
  int64_t v_floats() const { return value_blocks * width * key_blocks * width; }
};

Geometry make_geometry(const AttentionProblem& p, Isa isa, int threads) {
  Geometry g{};
  g.p = p;
  g.width = vector_width(isa);
  g.head_blocks = ceil_div(p.head_size, g.width);
  g.key_blocks = ceil_div(p.keys, g.width);
  g.value_blocks = ceil_div(p.value_size, g.width);
  g.parts = std::clamp<int64_t>(ceil_div(threads, p.batch * p.heads), 1, p.queries);
  const int64_t per_part = ceil_div(p.queries, g.parts);
  g.query_block = ceil_div(per_part, ceil_div(per_part, kQueryBlock));
  g.q_stride = g.score_stride = g.query_block * g.width + kPadding;
  return g;
}

struct Workspace {
  int64_t* q_offsets;
  int64_t* score_offsets;
  char* thread_base;
  int64_t k_at = 0, v_at, q_at, scores_at, sums_at, factors_at, thread_floats;

  Workspace(const Geometry& g, void* memory) {
    q_offsets = static_cast<int64_t*>(memory);
    score_offsets = q_offsets + g.head_blocks + 1;
    thread_base = static_cast<char*>(memory) + round_up((g.head_blocks + g.key_blocks + 2) * 8, 64);
    v_at = round_up(g.k_floats(), 16);
    q_at = v_at + round_up(g.v_floats(), 16);
    scores_at = q_at + g.head_blocks * g.q_stride;
    sums_at = scores_at + g.key_blocks * g.score_stride;
    factors_at = sums_at + g.query_block * g.value_blocks * g.width;
    thread_floats = round_up(factors_at + g.query_block, 16);
  }
  float* memory(int thread) const {
    return reinterpret_cast<float*>(thread_base) + thread * thread_floats;
  }
};

class HeadTask {
 public:
  HeadTask(const Geometry& g, Isa isa, const AttentionArgs& args, const Workspace& w)
      : g_(g),
        isa_(isa),
        tiles_(tile_kernels(isa)),
        kernels_(attention_kernels(isa)),
        args_(args),
        w_(w) {}

  void run(int64_t b, int64_t h, int64_t part, int thread) const {
    const AttentionProblem& p = g_.p;
    const int64_t kv = h / (p.heads / p.kv_heads);
    float* memory = w_.memory(thread);
    pack(args_.k + b * p.k.batch + kv * p.k.head, p.k.row, true, p.head_size, p.keys,
         memory + w_.k_at);
    pack(args_.v + b * p.v.batch + kv * p.v.head, p.v.row, false, p.keys, p.value_size,
         memory + w_.v_at);
    const int64_t end = p.queries * (part + 1) / g_.parts;
    for (int64_t i = p.queries * part / g_.parts; i < end; i += g_.query_block) {
      run_queries(b, h, i, std::min(g_.query_block, end - i), memory);
    }
  }

 private:
  void pack(const float* from, int64_t row, bool transposed, int64_t k, int64_t n,
            float* to) const {
    const int64_t blocks = ceil_div(n, g_.width), chunk = round_up(k, g_.width) * kJ * g_.width;
    for (int64_t b = 0; b < blocks; b += kJ) {
      pack_b_chunk(from, row, transposed, k, n, b * g_.width,
                   std::min<int64_t>(kJ, blocks - b) * g_.width, isa_, to + b / kJ * chunk);
    }
  }

  // output[r][n] = input x packed, all columns; output vectors are output_block floats apart.
  void multiply(const float* input, const int64_t* offsets, int64_t steps, const float* packed,
                int64_t blocks, int64_t rows, float* output, int64_t output_row,
                int64_t output_block) const {
    TileArgs t{};
    t.offsets = offsets;
    t.steps = steps;
    t.lo = -std::numeric_limits<float>::infinity();
    t.hi = std::numeric_limits<float>::infinity();
    t.output_row = output_row;
    t.output_block = output_block;
    for (int64_t b = 0; b < blocks; b += kJ) {
      const int j = static_cast<int>(std::min<int64_t>(kJ, blocks - b));
      t.weights = t.next_weights = packed + b * steps * g_.width * g_.width;
      const int64_t runs = ceil_div(rows, tiles_.max_rows[j]);
      for (int64_t i = 0; i < runs; i++) {
        const int64_t first = rows * i / runs, count = rows * (i + 1) / runs - first;
        t.input = input + first * g_.width;
        t.output = output + first * output_row + b * output_block;
        tiles_.single[j][count](t);
      }
    }
  }

  void run_queries(int64_t b, int64_t h, int64_t first, int64_t rows, float* memory) const {
    const AttentionProblem& p = g_.p;
    const float* q = args_.q + b * p.q.batch + h * p.q.head + first * p.q.row;
    pack_a_blocks(q, p.q.row, false, rows, p.head_size, 0, g_.head_blocks, isa_,
                  memory + w_.q_at, g_.q_stride);
    float* scores = memory + w_.scores_at;
    multiply(memory + w_.q_at, w_.q_offsets, g_.head_blocks, memory + w_.k_at, g_.key_blocks, rows,
             scores, g_.width, g_.score_stride);
    ScoreArgs s{};
    s.scores = scores;
    s.block = g_.score_stride;
    s.rows = rows;
    s.keys = p.keys;
    s.scale = p.scale;
    s.mask_row = p.mask.row;
    if (args_.mask != nullptr)
      s.mask = args_.mask + b * p.mask.batch + h * p.mask.head + first * p.mask.row;
    s.causal = p.causal;
    s.first_hidden = first + p.keys - p.queries + 1;
    s.factors = memory + w_.factors_at;
    kernels_.softmax(s);
    float* sums = memory + w_.sums_at;
    const int64_t sums_row = g_.value_blocks * g_.width;
    multiply(scores, w_.score_offsets, g_.key_blocks, memory + w_.v_at, g_.value_blocks, rows, sums,
             sums_row, g_.width);
    kernels_.scale_rows(
        sums, sums_row, s.factors, rows, p.value_size,
        args_.output + b * p.output.batch + h * p.output.head + first * p.output.row, p.output.row);
  }

  const Geometry& g_;
  const Isa isa_;
  const TileKernels& tiles_;
  const AttentionKernels& kernels_;
  const AttentionArgs& args_;
  const Workspace& w_;
};

}  // namespace

const AttentionKernels& attention_kernels(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx512) return attention_kernels_avx512();
  if (isa == Isa::kAvx2) return attention_kernels_avx2();
#endif
  (void)isa;
  return attention_kernels_portable();
}

std::string_view attention_refusal(const AttentionProblem& p, Isa) {
  if (p.batch < 1 || p.heads < 1 || p.queries < 1 || p.keys < 1 || p.head_size < 1 ||
      p.value_size < 1)
    return "empty operand";
  if (p.kv_heads < 1 || p.heads % p.kv_heads != 0)
    return "heads are not a multiple of key-value heads";
  return {};
}

int64_t attention_workspace_bytes(const AttentionProblem& problem, Isa isa, int threads) {
  const Geometry g = make_geometry(problem, isa, threads);
  char origin[1];
  const Workspace w(g, origin);
  return w.thread_base - origin + threads * w.thread_floats * 4;
}

void run_attention(const AttentionProblem& problem, Isa isa, const AttentionArgs& args,
                   ThreadTeam& team) {
  const Geometry g = make_geometry(problem, isa, team.size());
  const Workspace w(g, args.workspace);
  for (int64_t i = 0; i < g.head_blocks; i++) w.q_offsets[i] = i * g.q_stride;
  for (int64_t i = 0; i < g.key_blocks; i++) w.score_offsets[i] = i * g.score_stride;
  w.q_offsets[g.head_blocks] = w.score_offsets[g.key_blocks] = 0;
  const HeadTask task(g, isa, args, w);
  team.parallel_for(
      problem.batch * problem.heads * g.parts,
      [&](int64_t begin, int64_t end, int thread) {
        for (int64_t i = begin; i < end; i++) {
          const int64_t head = i / g.parts;
          task.run(head / problem.heads, head % problem.heads, i % g.parts, thread);
        }
      },
      1);
}

}  // namespace planish::cpu
