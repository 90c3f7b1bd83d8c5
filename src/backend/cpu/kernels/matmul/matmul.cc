#include "backend/cpu/kernels/matmul/matmul.h"

#include <algorithm>

#include "backend/cpu/kernels/conv_problem.h"
#include "backend/cpu/kernels/matmul/pack.h"
#include "backend/cpu/kernels/tile/tile.h"
#include "base/thread_team.h"

namespace planish::cpu {
namespace {

constexpr int64_t kLine = 64;
constexpr int64_t kPadding =
    16;  // floats between blocks of packed A: keeps them out of each other's cache sets

// One product with its strides resolved, and how a tactic cuts it.
struct Geometry {
  int64_t batch, m, n, k, a_row, b_row, c_row, a_batch, b_batch, c_batch;
  bool transpose_a, transpose_b, packed_b;
  int width, j;
  int64_t k_blocks, n_blocks, chunks;
  int64_t rows, row_tasks, chunks_per_task, chunk_tasks, k_at_once;
  bool a_in_place;  // one row of whole blocks
  int64_t a_block;  // floats between blocks of packed A
  bool over_batch;  // threads take whole products; otherwise they share each

  int64_t chunk_floats() const { return k_blocks * width * width * j; }
  int64_t matrix_floats() const { return k_blocks * width * n_blocks * width; }
  int64_t lanes(int64_t chunk) const { return std::min<int64_t>(j, n_blocks - chunk * j) * width; }
};

Geometry make_geometry(const MatmulProblem& p, const MatmulTactic& t, Isa isa, int threads) {
  Geometry g{};
  g.batch = p.batch, g.m = p.m, g.n = p.n, g.k = p.k;
  g.transpose_a = p.transpose_a, g.transpose_b = p.transpose_b, g.packed_b = p.packed_b;
  g.a_row = p.a_row != kDense ? p.a_row : (p.transpose_a ? p.m : p.k);
  g.b_row = p.b_row != kDense ? p.b_row : (p.transpose_b ? p.k : p.n);
  g.c_row = p.c_row != kDense ? p.c_row : p.n;
  g.a_batch = p.a_batch != kDense ? p.a_batch : (p.transpose_a ? p.k : p.m) * g.a_row;
  g.b_batch = p.b_batch != kDense ? p.b_batch : (p.transpose_b ? p.n : p.k) * g.b_row;
  g.c_batch = p.c_batch != kDense ? p.c_batch : p.m * g.c_row;
  if (g.batch > 1 && g.b_batch == 0 && !p.transpose_a && g.a_batch == g.m * g.a_row &&
      g.c_batch == g.m * g.c_row) {
    // One B for all: the batch is more rows.
    g.m *= g.batch;
    g.batch = 1;
  }
  g.width = vector_width(isa);
  g.k_blocks = ceil_div(g.k, g.width);
  g.n_blocks = ceil_div(g.n, g.width);
  g.j = static_cast<int>(std::min<int64_t>(t.j_blocks, g.n_blocks));
  g.chunks = ceil_div(g.n_blocks, g.j);
  g.over_batch = g.batch >= threads && threads > 1;
  g.rows = t.rows > 0 ? std::min(t.rows, g.m) : g.m;
  g.row_tasks = ceil_div(g.m, g.rows);
  g.chunks_per_task = t.chunks > 0 ? std::min(t.chunks, g.chunks) : g.chunks;
  g.chunk_tasks = ceil_div(g.chunks, g.chunks_per_task);
  g.k_at_once = t.k_blocks > 0 ? std::min(t.k_blocks, g.k_blocks) : g.k_blocks;
  g.a_in_place = g.m == 1 && !p.transpose_a && g.k % g.width == 0;
  g.a_block = g.a_in_place ? g.width : g.m * g.width + kPadding;
  return g;
}

// Of one product: offsets, packed A, packed B, then per thread partial sums and one tile of the
// ragged last columns.
struct Workspace {
  int64_t* offsets;
  float* a;
  float* b;
  char* thread_base;
  int64_t partial_floats, thread_bytes;

  Workspace(const Geometry& g, void* memory) {
    char* p = static_cast<char*>(memory);
    auto take = [&p](int64_t bytes) {
      char* here = p;
      p += round_up(bytes, kLine);
      return here;
    };
    offsets = reinterpret_cast<int64_t*>(take((g.k_blocks + 1) * 8));
    a = reinterpret_cast<float*>(take(g.a_in_place ? 0 : g.k_blocks * g.a_block * 4));
    b = reinterpret_cast<float*>(take(g.packed_b ? 0 : g.matrix_floats() * 4));
    thread_base = p;
    partial_floats =
        g.k_at_once < g.k_blocks ? round_up(g.rows * g.chunks_per_task * g.j * g.width, 16) : 0;
    thread_bytes = round_up((partial_floats + (kMaxTileRows + 1) * g.j * g.width) * 4, kLine);
  }
  int64_t bytes(int threads) const {
    return thread_base - reinterpret_cast<char*>(offsets) + threads * thread_bytes;
  }
  float* partial(int thread) const {
    return reinterpret_cast<float*>(thread_base + thread * thread_bytes);
  }
  float* ragged(int thread) const { return partial(thread) + partial_floats; }
};

class Product {
 public:
  // dense: place of this product's C in the dense batch.
  Product(const Geometry& g, Isa isa, const Epilogue& epilogue, const Workspace& w, const float* a,
          const float* b, float* c, const float* residual, int64_t dense)
      : g_(g),
        isa_(isa),
        tiles_(tile_kernels(isa)),
        epilogue_(epilogue),
        w_(w),
        a_(a),
        b_(b),
        c_(c),
        residual_(residual),
        dense_(dense) {}

  void run(ThreadTeam& team) {
    for (int64_t i = 0; i < g_.k_blocks; i++) w_.offsets[i] = i * g_.a_block;
    w_.offsets[g_.k_blocks] = 0;
    pack(team);
    team.parallel_for(
        g_.row_tasks * g_.chunk_tasks,
        [&](int64_t begin, int64_t end, int thread) {
          for (int64_t i = begin; i < end; i++)
            run_task(i / g_.chunk_tasks, i % g_.chunk_tasks, thread);
        },
        1);
  }

 private:
  void pack(ThreadTeam& team) {
    constexpr int64_t kTogether = 4;  // blocks of A
    const int64_t a_tasks = g_.a_in_place ? 0 : ceil_div(g_.k_blocks, kTogether),
                  b_tasks = g_.packed_b ? 0 : g_.chunks;
    team.parallel_for(a_tasks + b_tasks, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; i++) {
        if (i < a_tasks) {
          pack_a_blocks(a_, g_.a_row, g_.transpose_a, g_.m, g_.k, i * kTogether,
                        std::min((i + 1) * kTogether, g_.k_blocks), isa_, w_.a, g_.a_block);
        } else {
          const int64_t chunk = i - a_tasks;
          pack_b_chunk(b_, g_.b_row, g_.transpose_b, g_.k, g_.n, chunk * g_.j * g_.width,
                       g_.lanes(chunk), isa_, w_.b + chunk * g_.chunk_floats());
        }
      }
    });
    if (!g_.a_in_place) a_ = w_.a;
    if (!g_.packed_b) b_ = w_.b;
  }

  void run_task(int64_t row_task, int64_t chunk_task, int thread) const {
    const int64_t m0 = row_task * g_.rows, m1 = std::min(m0 + g_.rows, g_.m);
    const int64_t c0 = chunk_task * g_.chunks_per_task,
                  c1 = std::min(c0 + g_.chunks_per_task, g_.chunks);
    // Columns inside a slice of k: the slice of A stays in L2 while the chunks pass by.
    for (int64_t k = 0; k < g_.k_blocks; k += g_.k_at_once) {
      for (int64_t c = c0; c < c1; c++) {
        run_chunk(m0, m1, c, k, w_.partial(thread) + (c - c0) * g_.rows * g_.j * g_.width,
                  w_.ragged(thread));
      }
    }
    if (epilogue_.post == nullptr) return;
    const int64_t n0 = c0 * g_.j * g_.width, count = std::min(c1 * g_.j * g_.width, g_.n) - n0;
    for (int64_t r = m0; r < m1; r++) {
      epilogue_.post(epilogue_.post_context, c_ + r * g_.c_row + n0, dense_ + r * g_.n + n0, count);
    }
  }

  void run_chunk(int64_t m0, int64_t m1, int64_t chunk, int64_t k, float* partial,
                 float* ragged) const {
    const int64_t lanes = g_.lanes(chunk), n0 = chunk * g_.j * g_.width;
    const int j = static_cast<int>(lanes / g_.width);
    const bool last = k + g_.k_at_once >= g_.k_blocks, whole = n0 + lanes <= g_.n;
    TileArgs t{};
    t.offsets = w_.offsets + k;
    t.steps = std::min(g_.k_at_once, g_.k_blocks - k);
    t.weights = b_ + chunk * g_.chunk_floats() + k * g_.width * lanes;
    t.lo = epilogue_.lo;
    t.hi = epilogue_.hi;
    t.output_row = t.residual_row = g_.c_row;
    t.output_block = t.residual_block = g_.width;
    if (epilogue_.bias != nullptr) t.bias = bias_of(n0, lanes, ragged + kMaxTileRows * lanes);
    const int64_t runs = ceil_div(m1 - m0, tiles_.max_rows[j]);
    // The tiles together fetch the next chunk's weights.
    const int64_t lines = t.steps * g_.width;
    t.next_step = std::min<int64_t>(ceil_div(lanes, runs), g_.width);
    for (int64_t i = 0; i < runs; i++) {
      const int64_t first = m0 + (m1 - m0) * i / runs,
                    rows = m0 + (m1 - m0) * (i + 1) / runs - first;
      t.input = a_ + first * g_.width;
      t.next_weights = t.weights + g_.chunk_floats() + i * lines * t.next_step;
      float* sums = partial + (first - m0) * lanes;
      t.partial_in = k > 0 ? sums : nullptr;
      t.partial_out = last ? nullptr : sums;
      t.output = c_ + first * g_.c_row + n0;
      t.residual = residual_ != nullptr ? residual_ + first * g_.c_row + n0 : nullptr;
      if (last && !whole) t.partial_out = ragged;
      tiles_.single[j][rows](t);
      if (last && !whole) store_ragged(t, ragged, rows, lanes, g_.n - n0);
    }
  }

  // The bias is n floats; the last columns read it through a padded copy.
  const float* bias_of(int64_t n0, int64_t lanes, float* copy) const {
    if (n0 + lanes <= g_.n) return epilogue_.bias + n0;
    std::fill_n(copy, lanes, 0.f);
    std::copy_n(epilogue_.bias + n0, g_.n - n0, copy);
    return copy;
  }

  void store_ragged(const TileArgs& t, const float* sums, int64_t rows, int64_t lanes,
                    int64_t columns) const {
    for (int64_t r = 0; r < rows; r++) {
      for (int64_t i = 0; i < columns; i++) {
        float v = sums[r * lanes + i];
        if (t.residual != nullptr) v += t.residual[r * g_.c_row + i];
        v = v < t.lo ? t.lo : v;
        t.output[r * g_.c_row + i] = v > t.hi ? t.hi : v;
      }
    }
  }

  const Geometry& g_;
  const Isa isa_;
  const TileKernels& tiles_;
  const Epilogue& epilogue_;
  const Workspace& w_;
  const float* a_;
  const float* b_;
  float* c_;
  const float* residual_;
  const int64_t dense_;
};

}  // namespace

std::string_view matmul_refusal(const MatmulProblem& p, Isa) {
  if (p.m < 1 || p.n < 1 || p.batch < 1) return "empty output";
  if (p.k < 1) return "empty sum";
  return {};
}

std::vector<MatmulTactic> enumerate_matmul_tactics(const MatmulProblem& p, Isa isa, int threads) {
  const Geometry g = make_geometry(p, {}, isa, threads);
  std::vector<MatmulTactic> list;
  auto add = [&](int j, int64_t row_tasks, int64_t chunk_tasks, int64_t k) {
    MatmulTactic t;
    t.j_blocks = static_cast<int>(std::min<int64_t>(j, g.n_blocks));
    t.rows = row_tasks > 1 ? round_up(ceil_div(g.m, row_tasks), 14) : 0;
    t.chunks = ceil_div(ceil_div(g.n_blocks, t.j_blocks), chunk_tasks);
    t.k_blocks = k / g.width < g.k_blocks ? k / g.width : 0;
    if (list.size() < 12 && std::find(list.begin(), list.end(), t) == list.end()) list.push_back(t);
  };
  constexpr int64_t kAll = int64_t{1} << 40;
  const int64_t team = g.over_batch ? 1 : threads;
  if (g.m < 6) {
    // Bound by the stream of weights: wide tiles, enough tasks to balance.
    add(4, 1, 8 * team, kAll);
    add(4, 1, 2 * team, kAll);
    add(2, 1, 8 * team, kAll);
    return list;
  }
  for (int j : {2, 3, 4}) {
    add(j, 1, team, kAll);
    if (j < 4) add(j, 1, 4 * team, 512);
    if (j < 4) add(j, 1, 4 * team, 128);
    if (j == 2) add(j, 1, 4 * team, 256);
    if (j == 3) add(j, 1, team, 192);
    if (j == 2 && g.m >= 28 * team) add(j, team * ceil_div(g.m, team * 256), 1, 512);
  }
  return list;
}

int64_t matmul_packed_floats(const MatmulProblem& problem, const MatmulTactic& tactic, Isa isa) {
  const Geometry g = make_geometry(problem, tactic, isa, 1);
  return g.matrix_floats() * (g.b_batch == 0 ? 1 : g.batch);
}

void pack_matmul_weights(const MatmulProblem& problem, const MatmulTactic& tactic, Isa isa,
                         const float* b, float* packed) {
  const Geometry g = make_geometry(problem, tactic, isa, 1);
  for (int64_t i = 0; i < (g.b_batch == 0 ? 1 : g.batch); i++) {
    for (int64_t c = 0; c < g.chunks; c++) {
      pack_b_chunk(b + i * g.b_batch, g.b_row, g.transpose_b, g.k, g.n, c * g.j * g.width,
                   g.lanes(c), isa, packed + i * g.matrix_floats() + c * g.chunk_floats());
    }
  }
}

int64_t matmul_workspace_bytes(const MatmulProblem& problem, const MatmulTactic& tactic, Isa isa,
                               int threads) {
  const Geometry g = make_geometry(problem, tactic, isa, threads);
  char origin[1];
  const Workspace w(g, origin);
  if (g.over_batch) return threads * w.bytes(1);
  // A context of fewer threads may take whole products where the full team shares each.
  const int64_t apart = g.batch > 1 ? std::min<int64_t>(g.batch, threads) : 0;
  return std::max(w.bytes(threads), apart * w.bytes(1));
}

void run_matmul(const MatmulProblem& problem, const MatmulTactic& tactic, Isa isa,
                const MatmulArgs& args, ThreadTeam& team) {
  const Geometry g = make_geometry(problem, tactic, isa, team.size());
  const int64_t b_batch = g.packed_b && g.b_batch != 0 ? g.matrix_floats() : g.b_batch;
  auto run_one = [&](int64_t i, void* memory) {
    const Workspace w(g, memory);
    const float* residual =
        args.epilogue.residual != nullptr ? args.epilogue.residual + i * g.c_batch : nullptr;
    Product(g, isa, args.epilogue, w, args.a + i * g.a_batch, args.b + i * b_batch,
            args.c + i * g.c_batch, residual, i * g.m * g.n)
        .run(team);
  };
  if (!g.over_batch) {
    for (int64_t i = 0; i < g.batch; i++) run_one(i, args.workspace);
    return;
  }
  // Loops inside a task run serially: each thread computes whole products in a workspace of its
  // own.
  char origin[1];
  const int64_t bytes = Workspace(g, origin).bytes(1);
  team.parallel_for(g.batch, [&](int64_t begin, int64_t end, int thread) {
    for (int64_t i = begin; i < end; i++)
      run_one(i, static_cast<char*>(args.workspace) + thread * bytes);
  });
}

}  // namespace planish::cpu
