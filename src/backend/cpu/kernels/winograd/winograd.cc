#include "backend/cpu/kernels/winograd/winograd.h"

#include <algorithm>

#include "backend/cpu/kernels/reorder/reorder.h"
#include "backend/cpu/kernels/tile/finish.h"
#include "backend/cpu/kernels/tile/tile.h"
#include "base/thread_team.h"

namespace planish::cpu {
namespace {

// Floats between the planes of two points. Without this cache line all P streams of a transform
// fall into one cache set: 512 -> 512 channels at 14 x 14 took 3.0 ms instead of 1.1.
constexpr int64_t kPointPadding = 16;
constexpr int64_t kLine = 64;

struct Geometry {
  ConvProblem p;
  WinogradTactic t;
  int width, points, j;
  int64_t in_blocks, out_blocks, chunks;                // chunks: blocks of j output vectors
  int64_t out_height, out_width, rows, columns, tiles;  // tiles of all images
  int64_t tile_blocks, capacity;                        // capacity: most tiles of a block
  int64_t k_blocks;                                     // input blocks per accumulation step
  int64_t v_stride, u_stride, m_stride;                 // floats between points
  int64_t v_block;                                      // floats between input channel blocks of v

  int64_t channels() const { return in_blocks * width; }
  int64_t lanes(int64_t chunk) const {
    return std::min<int64_t>(j, out_blocks - chunk * j) * width;
  }
  int64_t shared_floats() const {
    return t.split_channels ? points * v_stride : chunks * points * u_stride;
  }
  int64_t private_floats() const {
    return points * (m_stride + (t.split_channels ? u_stride : v_stride));
  }
  int64_t block_begin(int64_t block) const { return tiles * block / tile_blocks; }
};

Geometry make_geometry(const ConvProblem& p, const WinogradTactic& t, Isa isa) {
  Geometry g{};
  g.p = p;
  g.t = t;
  g.width = vector_width(isa);
  g.points = (t.tile + 2) * (t.tile + 2);
  g.in_blocks = ceil_div(p.in_channels, g.width);
  g.out_blocks = ceil_div(p.out_channels, g.width);
  g.j = static_cast<int>(std::min<int64_t>(t.j_blocks, g.out_blocks));
  g.chunks = ceil_div(g.out_blocks, g.j);
  g.out_height = p.out_height();
  g.out_width = p.out_width();
  g.rows = ceil_div(g.out_height, t.tile);
  g.columns = ceil_div(g.out_width, t.tile);
  g.tiles = p.batch * g.rows * g.columns;
  g.tile_blocks = ceil_div(g.tiles, std::max<int64_t>(1, std::min(t.tiles, g.tiles)));
  g.capacity = ceil_div(g.tiles, g.tile_blocks);
  g.k_blocks =
      t.split_channels && t.in_blocks > 0 ? std::min(t.in_blocks, g.in_blocks) : g.in_blocks;
  g.v_block = (t.split_channels ? g.tiles : g.capacity) * g.width;
  g.v_stride = g.in_blocks * g.v_block + kPointPadding;
  g.u_stride =
      (t.split_channels ? g.k_blocks : g.in_blocks) * g.width * g.j * g.width + kPointPadding;
  g.m_stride = g.capacity * g.j * g.width + kPointPadding;
  return g;
}

struct Workspace {
  int64_t* offsets;
  float* shared;
  char* thread_base;
  int64_t thread_bytes;

  Workspace(const Geometry& g, void* memory) {
    char* p = static_cast<char*>(memory);
    offsets = reinterpret_cast<int64_t*>(p);
    p += round_up((g.in_blocks + 1) * 8, kLine);
    shared = reinterpret_cast<float*>(p);
    thread_base = p + round_up(g.shared_floats() * 4, kLine);
    thread_bytes = kLine + round_up(g.private_floats() * 4, kLine) + kLine;
  }
  // The (run-unique) chunk whose filters are in the thread's u.
  int64_t& chunk(int thread) const {
    return *reinterpret_cast<int64_t*>(thread_base + thread * thread_bytes);
  }
  float* scratch(int thread) const {
    return reinterpret_cast<float*>(thread_base + thread * thread_bytes + kLine);
  }
};

class Run {
 public:
  Run(const Geometry& g, Isa isa, const ConvArgs& args, const Workspace& workspace)
      : g_(g),
        kind_(g.t.tile == 4 ? 0 : 1),
        kernels_(winograd_kernels(isa)),
        tiles_(tile_kernels(isa)),
        args_(args),
        workspace_(workspace) {
    finish_.epilogue = &args.epilogue;
    finish_.width = g.width;
    finish_.tail = static_cast<int>(g.p.out_channels % g.width);
  }

  void by_channels(ThreadTeam& team) const {
    team.parallel_for(g_.in_blocks * g_.p.batch * g_.rows, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; i++) {
        const int64_t block = i / (g_.p.batch * g_.rows), row = i % (g_.p.batch * g_.rows);
        transform_tiles(block, row * g_.columns, (row + 1) * g_.columns, row * g_.columns,
                        workspace_.shared + block * g_.v_block + row * g_.columns * g_.width);
      }
    });
    team.parallel_for(
        g_.chunks * g_.tile_blocks,
        [&](int64_t begin, int64_t end, int thread) {
          for (int64_t i = begin; i < end; i++)
            multiply_shared_input(i / g_.tile_blocks, i % g_.tile_blocks, thread);
        },
        1);
  }

  void by_tiles(ThreadTeam& team) const {
    team.parallel_for(g_.chunks * g_.in_blocks, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; i++) {
        const int64_t chunk = i / g_.in_blocks, c = i % g_.in_blocks * g_.width,
                      lanes = g_.lanes(chunk);
        kernels_.filter[kind_](filters(chunk, c), g_.width, static_cast<int>(lanes / g_.width),
                               workspace_.shared + chunk * g_.points * g_.u_stride + c * lanes,
                               g_.u_stride);
      }
    });
    team.parallel_for(
        g_.tile_blocks,
        [&](int64_t begin, int64_t end, int thread) {
          for (int64_t i = begin; i < end; i++) multiply_shared_filters(i, thread);
        },
        1);
  }

 private:
  const float* filters(int64_t chunk, int64_t channel) const {
    return args_.weights + chunk * g_.channels() * 9 * g_.j * g_.width +
           channel * 9 * g_.lanes(chunk);
  }

  // Tiles [begin, end) of one input block to v, tile `origin` first.
  void transform_tiles(int64_t block, int64_t begin, int64_t end, int64_t origin, float* v) const {
    const ConvProblem& p = g_.p;
    const int64_t plane = p.in_height * p.in_width * g_.width;
    const int64_t batch =
        args_.input_batch_stride != 0 ? args_.input_batch_stride : g_.in_blocks * plane;
    for (int64_t tile = begin; tile < end; tile++) {
      const int64_t x = tile % g_.columns, y = tile / g_.columns % g_.rows,
                    n = tile / g_.columns / g_.rows;
      kernels_.input[kind_](args_.input + n * batch + block * plane, p.in_height, p.in_width,
                            y * g_.t.tile - p.pad_top, x * g_.t.tile - p.pad_left,
                            v + (tile - origin) * g_.width, g_.v_stride);
    }
  }

  // m[point] (+)= v[point] * u[point] for count tiles over blocks of input channels.
  void multiply(int64_t count, int64_t blocks, const float* v, const float* u, int64_t u_stride,
                int64_t lanes, float* m, bool accumulate, const float* soon,
                int64_t soon_lines) const {
    const int j = static_cast<int>(lanes / g_.width);
    const int64_t limit = tiles_.max_rows[j], runs = ceil_div(count, limit);
    const int64_t share = ceil_div(soon_lines, g_.points);
    TileArgs t{};
    t.offsets = workspace_.offsets;
    t.steps = blocks;
    for (int64_t point = 0; point < g_.points; point++) {
      t.weights = t.next_weights = u + point * u_stride;
      // The filters of the next step come from memory while this one is multiplied.
      for (int64_t line = point * share; line < std::min((point + 1) * share, soon_lines); line++) {
        __builtin_prefetch(soon + line * 16, 0, 2);
      }
      for (int64_t run = 0; run < runs; run++) {
        const int64_t first = count * run / runs, rows = count * (run + 1) / runs - first;
        t.input = v + point * g_.v_stride + first * g_.width;
        t.partial_out = m + point * g_.m_stride + first * lanes;
        t.partial_in = accumulate ? t.partial_out : nullptr;
        tiles_.single[j][rows](t);
      }
    }
  }

  void multiply_shared_input(int64_t chunk, int64_t tile_block, int thread) const {
    float* u = workspace_.scratch(thread);
    float* m = u + g_.points * g_.u_stride;
    const int64_t begin = g_.block_begin(tile_block), end = g_.block_begin(tile_block + 1),
                  lanes = g_.lanes(chunk);
    for (int64_t b = 0; b < g_.in_blocks; b += g_.k_blocks) {
      const int64_t blocks = std::min(g_.k_blocks, g_.in_blocks - b);
      const bool whole = blocks == g_.in_blocks;
      if (!whole || workspace_.chunk(thread) != chunk) {
        kernels_.filter[kind_](filters(chunk, b * g_.width), blocks * g_.width,
                               static_cast<int>(lanes / g_.width), u, g_.u_stride);
      }
      workspace_.chunk(thread) = chunk;
      const bool leaving = !whole || tile_block == g_.tile_blocks - 1;
      multiply(end - begin, blocks, workspace_.shared + b * g_.v_block + begin * g_.width, u,
               g_.u_stride, lanes, m, b > 0,
               filters(chunk, b * g_.width) + blocks * g_.width * 9 * lanes,
               leaving ? blocks * g_.width * 9 * lanes / 16 : 0);
    }
    store_tiles(m, chunk, begin, end);
  }

  void multiply_shared_filters(int64_t tile_block, int thread) const {
    float* v = workspace_.scratch(thread);
    float* m = v + g_.points * g_.v_stride;
    const int64_t begin = g_.block_begin(tile_block), end = g_.block_begin(tile_block + 1);
    for (int64_t b = 0; b < g_.in_blocks; b++)
      transform_tiles(b, begin, end, begin, v + b * g_.v_block);
    for (int64_t chunk = 0; chunk < g_.chunks; chunk++) {
      multiply(end - begin, g_.in_blocks, v, workspace_.shared + chunk * g_.points * g_.u_stride,
               g_.u_stride, g_.lanes(chunk), m, false, nullptr, 0);
      store_tiles(m, chunk, begin, end);
    }
  }

  void store_tiles(const float* m, int64_t chunk, int64_t begin, int64_t end) const {
    const int64_t lanes = g_.lanes(chunk), plane = g_.out_height * g_.out_width * g_.width;
    const int64_t dense_batch = g_.out_blocks * plane;
    const int64_t batch = args_.output_batch_stride != 0 ? args_.output_batch_stride : dense_batch;
    const Epilogue& e = args_.epilogue;
    WinogradOutputArgs o{};
    o.points_stride = g_.m_stride;
    o.row = g_.out_width * g_.width;
    o.lo = e.lo;
    o.hi = e.hi;
    for (int64_t b = 0; b < lanes / g_.width; b++) {
      const int64_t block = chunk * g_.j + b;
      const bool last = block == g_.out_blocks - 1;
      o.bias = e.bias != nullptr ? e.bias + block * g_.width : nullptr;
      for (int64_t tile = begin; tile < end; tile++) {
        const int64_t x = tile % g_.columns * g_.t.tile,
                      y = tile / g_.columns % g_.rows * g_.t.tile;
        const int64_t n = tile / g_.columns / g_.rows,
                      at = block * plane + (y * g_.out_width + x) * g_.width;
        const int64_t dense = n * dense_batch + at;
        o.points = m + (tile - begin) * lanes + b * g_.width;
        o.rows = static_cast<int>(std::min<int64_t>(g_.t.tile, g_.out_height - y));
        o.columns = static_cast<int>(std::min<int64_t>(g_.t.tile, g_.out_width - x));
        o.output = args_.output + n * batch + at;
        o.residual = e.residual != nullptr ? e.residual + dense : nullptr;
        kernels_.output[kind_](o);
        if (e.moves_zero()) {
          for (int r = 0; r < o.rows; r++)
            finish_.run(o.output + r * o.row, 0, dense + r * o.row, o.columns, 1, last);
        }
      }
    }
  }

  const Geometry& g_;
  const int kind_;
  const WinogradKernels& kernels_;
  const TileKernels& tiles_;
  const ConvArgs& args_;
  const Workspace& workspace_;
  TileFinish finish_;
};

}  // namespace

const WinogradKernels& winograd_kernels(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx512) return winograd_kernels_avx512();
  if (isa == Isa::kAvx2) return winograd_kernels_avx2();
#endif
  (void)isa;
  return winograd_kernels_portable();
}

std::string_view winograd_refusal(const ConvProblem& p, Isa) {
  if (p.kernel_height != 3 || p.kernel_width != 3) return "kernel is not 3 x 3";
  if (p.stride_height != 1 || p.stride_width != 1) return "stride is not 1";
  if (p.dilation_height != 1 || p.dilation_width != 1) return "dilated";
  if (p.groups != 1) return "grouped";
  if (p.planar_input) return "planar input";
  if (p.batch < 1 || p.out_height() < 1 || p.out_width() < 1) return "empty output";
  return {};
}

std::vector<WinogradTactic> enumerate_winograd_tactics(const ConvProblem& p, Isa isa, int threads) {
  std::vector<WinogradTactic> list;
  const int64_t in_blocks = ceil_div(p.in_channels, vector_width(isa));
  const int64_t out_blocks = ceil_div(p.out_channels, vector_width(isa));
  const int64_t tiles = p.batch * ceil_div(p.out_height(), 4) * ceil_div(p.out_width(), 4);
  auto add = [&](int tile, int j, bool split, int64_t count, int64_t blocks) {
    if (list.size() < 8) {
      list.push_back({tile, static_cast<int>(std::min<int64_t>(j, out_blocks)), split, count,
                      split ? blocks : 0});
    }
  };
  if (tiles > 100) {
    // Blocks of tiles keep the transformed input in L2; with many channels the transformed filters
    // no longer fit.
    for (int tile : {4, 6}) {
      if (in_blocks * vector_width(isa) <= 256) {
        add(tile, 2, false, 14, 0);
        add(tile, 2, false, 28, 0);
      }
      add(tile, 2, true, 98, in_blocks * vector_width(isa) > 256 ? 128 / vector_width(isa) : 0);
    }
    return list;
  }
  // Few tiles: transformed filters dominate, so their block must stay near L1. One output vector
  // per block gives the team more tasks where there are few.
  for (int64_t k : {32, 64, 128}) {
    const int64_t blocks = std::max<int64_t>(1, k / vector_width(isa));
    if (k > 32 && blocks / 2 >= in_blocks) break;
    add(4, 2, true, 49, blocks);
    if (tiles < 20 && out_blocks / 2 >= threads) add(4, 1, true, 49, blocks);
  }
  if (tiles > 30) add(6, 2, true, 49, std::max(1, 128 / vector_width(isa)));
  return list;
}

int64_t winograd_packed_floats(const ConvProblem& problem, const WinogradTactic& tactic, Isa isa) {
  const Geometry g = make_geometry(problem, tactic, isa);
  return g.channels() * 9 * g.out_blocks * g.width;
}

// [chunk][in channel][9][lanes of the chunk].
void pack_winograd_weights(const ConvProblem& p, const WinogradTactic& tactic, Isa isa,
                           const float* weights, float* packed) {
  const Geometry g = make_geometry(p, tactic, isa);
  if (p.in_channels % g.width != 0) std::fill_n(packed, winograd_packed_floats(p, tactic, isa), 0.f);
  // Per chunk the filters [o][i] become [i][o]: V x V transposes.
  const auto transpose = reorder_kernels(isa).transpose;
  const int64_t full = g.j * g.width, row = p.in_channels * 9;
  for (int64_t o = 0; o < p.out_channels; o += g.width) {
    const int64_t chunk = o / full, lanes = g.lanes(chunk);
    float* base = packed + chunk * g.channels() * 9 * full + o % full;
    const int rows = static_cast<int>(std::min<int64_t>(g.width, p.out_channels - o));
    for (int64_t i = 0; i < row; i += g.width) {
      const int columns = static_cast<int>(std::min<int64_t>(g.width, row - i));
      transpose(weights + o * row + i, row, rows, columns, base + i * lanes, lanes, g.width);
    }
  }
}

int64_t winograd_workspace_bytes(const ConvProblem& problem, const WinogradTactic& tactic, Isa isa,
                                 int threads) {
  const Geometry g = make_geometry(problem, tactic, isa);
  char origin[1];
  const Workspace w(g, origin);
  return w.thread_base - origin + threads * w.thread_bytes;
}

void run_winograd(const ConvProblem& problem, const WinogradTactic& tactic, Isa isa,
                  const ConvArgs& args, ThreadTeam& team) {
  const Geometry g = make_geometry(problem, tactic, isa);
  const Workspace workspace(g, args.workspace);
  for (int64_t b = 0; b <= g.in_blocks; b++) workspace.offsets[b] = b * g.v_block;
  for (int t = 0; t < team.size(); t++) workspace.chunk(t) = -1;
  const Run run(g, isa, args, workspace);
  if (tactic.split_channels) {
    run.by_channels(team);
  } else {
    run.by_tiles(team);
  }
}

}  // namespace planish::cpu
