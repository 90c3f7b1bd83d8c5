#include "backend/cpu/kernels/bottleneck/bottleneck.h"

#include <algorithm>
#include <cstring>

#include "backend/cpu/kernels/depthwise/depthwise.h"
#include "backend/cpu/kernels/tile/finish.h"
#include "backend/cpu/kernels/tile/tile.h"
#include "base/thread_team.h"

namespace planish::cpu {
namespace {

constexpr int64_t kLine = 64;
constexpr int64_t kPlanePadding = 16;  // floats; see direct_conv.cc
constexpr int64_t kMaxKernel = 7;
constexpr int64_t kTileRows = 14;  // pixels that fill a register tile

struct Geometry {
  BottleneckProblem p;
  BottleneckTactic t;
  int width;
  int expand_j, project_j;
  int64_t in_blocks, mid_blocks, out_blocks;
  int64_t height, width_in, out_height, out_width;
  int64_t row;             // floats of a padded expanded row
  int64_t rows_kept;       // of the ring, or of the whole padded map
  int64_t slot_block;      // floats between channel blocks of the ring or map
  int64_t rows_at_once;    // output rows filtered before a projection
  int64_t filtered_block;  // floats between channel blocks of the filtered tensor
  int64_t bands;
  // Packed weights: expand, expand bias, depthwise, depthwise bias, project.
  int64_t expand_bias_at, depthwise_at, depthwise_bias_at, project_at, packed;

  int64_t taps() const { return p.depthwise.kernel_height * p.depthwise.kernel_width; }
  int64_t in_plane() const { return height * width_in * width; }
  int64_t out_plane() const { return out_height * out_width * width; }
};

Geometry make_geometry(const BottleneckProblem& p, const BottleneckTactic& t, Isa isa) {
  Geometry g{};
  const ConvProblem& d = p.depthwise;
  g.p = p;
  g.t = t;
  g.width = vector_width(isa);
  g.mid_blocks = ceil_div(d.in_channels, g.width);
  g.in_blocks = p.has_expand ? ceil_div(p.in_channels, g.width) : g.mid_blocks;
  g.out_blocks = ceil_div(p.out_channels, g.width);
  g.expand_j = static_cast<int>(std::min<int64_t>(g.mid_blocks % 3 == 0 ? 3 : 2, g.mid_blocks));
  g.project_j = static_cast<int>(std::min<int64_t>(2, g.out_blocks));
  g.height = d.in_height;
  g.width_in = d.in_width;
  g.out_height = d.out_height();
  g.out_width = d.out_width();
  g.row = (d.pad_left + d.in_width + d.pad_right) * g.width;
  g.bands = std::clamp<int64_t>(t.pieces, 1, g.out_height);
  g.rows_kept = t.by_channels ? d.pad_top + d.in_height + d.pad_bottom : d.kernel_height;
  g.slot_block = g.rows_kept * g.row + kPlanePadding;
  g.rows_at_once =
      std::min(std::max<int64_t>(1, kTileRows / g.out_width), ceil_div(g.out_height, g.bands));
  g.filtered_block =
      t.by_channels ? g.out_plane() : g.rows_at_once * g.out_width * g.width + kPlanePadding;
  g.expand_bias_at = p.has_expand ? g.mid_blocks * g.width * g.in_blocks * g.width : 0;
  g.depthwise_at = g.expand_bias_at + (p.has_expand ? g.mid_blocks * g.width : 0);
  g.depthwise_bias_at = g.depthwise_at + g.taps() * g.mid_blocks * g.width;
  g.project_at = g.depthwise_bias_at + g.mid_blocks * g.width;
  g.packed = g.project_at + g.mid_blocks * g.width * g.out_blocks * g.width;
  return g;
}

// Offsets of the expand and project steps; the filtered tensor of the channel form; per thread the
// ring or map of expanded rows and the filtered rows of the row form.
struct Workspace {
  int64_t* expand_offsets;
  int64_t* project_offsets;
  float* shared;
  char* thread_base;
  int64_t expanded_floats, thread_bytes;

  Workspace(const Geometry& g, void* memory) {
    char* p = static_cast<char*>(memory);
    expand_offsets = reinterpret_cast<int64_t*>(p);
    project_offsets = expand_offsets + g.in_blocks + 1;
    p += round_up((g.in_blocks + g.mid_blocks + 2) * 8, kLine);
    shared = reinterpret_cast<float*>(p);
    thread_base =
        p + (g.t.by_channels ? g.p.depthwise.batch * g.mid_blocks * g.filtered_block * 4 : 0);
    const int64_t blocks =
        g.t.by_channels ? std::min(g.t.mid_blocks, g.mid_blocks) + g.expand_j : g.mid_blocks;
    expanded_floats = g.p.has_expand ? round_up(blocks * g.slot_block, 16) : 0;
    thread_bytes =
        (expanded_floats + (g.t.by_channels ? 0 : round_up(g.mid_blocks * g.filtered_block, 16))) *
            4 +
        kLine;
  }
  float* expanded(int thread) const {
    return reinterpret_cast<float*>(thread_base + thread * thread_bytes);
  }
  float* filtered(int thread) const { return expanded(thread) + expanded_floats; }
};

class Run {
 public:
  Run(const Geometry& g, Isa isa, const ConvArgs& args, const Workspace& workspace)
      : g_(g),
        tiles_(tile_kernels(isa)),
        filter_row_(depthwise_kernels(isa).row),
        args_(args),
        workspace_(workspace) {
    finish_ = {&args.epilogue, g.width, static_cast<int>(g.p.out_channels % g.width)};
    in_batch_ = args.input_batch_stride != 0 ? args.input_batch_stride : g.in_blocks * g.in_plane();
    out_batch_ =
        args.output_batch_stride != 0 ? args.output_batch_stride : g.out_blocks * g.out_plane();
  }

  // Output rows of one band.
  void run_band(int64_t n, int64_t band, int thread) const {
    const ConvProblem& d = g_.p.depthwise;
    const int64_t y0 = g_.out_height * band / g_.bands, y1 = g_.out_height * (band + 1) / g_.bands;
    const float* input = args_.input + n * in_batch_;
    float* ring = workspace_.expanded(thread);
    float* filtered = workspace_.filtered(thread);
    int64_t next = y0 * d.stride_height - d.pad_top;  // the first input row that is not in the ring
    for (int64_t y = y0; y < y1; y += g_.rows_at_once) {
      const int64_t rows = std::min(g_.rows_at_once, y1 - y);
      for (int64_t r = 0; r < rows; r++) {
        const int64_t first = (y + r) * d.stride_height - d.pad_top;
        if (g_.p.has_expand) {
          next = std::max(next, first);
          for (; next < first + d.kernel_height; next++) {
            if (next < 0 || next >= g_.height) continue;
            expand_row(input, next, 0, g_.mid_blocks,
                       ring + (next + g_.rows_kept) % g_.rows_kept * g_.row);
          }
        }
        for (int64_t b = 0; b < g_.mid_blocks; b++) {
          const float* lines[kMaxKernel];
          for (int64_t k = 0; k < d.kernel_height; k++) {
            const int64_t line = first + k;
            const bool inside = line >= 0 && line < g_.height;
            lines[k] =
                !inside ? nullptr
                : g_.p.has_expand
                    ? ring + b * g_.slot_block + (line + g_.rows_kept) % g_.rows_kept * g_.row
                    : input + b * g_.in_plane() + line * g_.width_in * g_.width;
          }
          filter_row(lines, b, filtered + b * g_.filtered_block + r * g_.out_width * g_.width);
        }
      }
      for (int64_t c = 0; c < ceil_div(g_.out_blocks, g_.project_j); c++) {
        project(n, c, y * g_.out_width, rows * g_.out_width, filtered);
      }
    }
  }

  // Expands and filters a few channel blocks of a whole image.
  void run_chunk(int64_t n, int64_t chunk, int thread) const {
    const ConvProblem& d = g_.p.depthwise;
    const int64_t b0 = chunk * g_.t.mid_blocks, b1 = std::min(b0 + g_.t.mid_blocks, g_.mid_blocks);
    const float* input = args_.input + n * in_batch_;
    float* map = workspace_.expanded(thread);
    if (g_.p.has_expand) {
      for (int64_t y = 0; y < g_.height; y++) expand_row(input, y, b0, b1, map + y * g_.row);
    }
    for (int64_t b = b0; b < b1; b++) {
      float* to = workspace_.shared + (n * g_.mid_blocks + b) * g_.filtered_block;
      for (int64_t y = 0; y < g_.out_height; y++) {
        const float* lines[kMaxKernel];
        for (int64_t k = 0; k < d.kernel_height; k++) {
          const int64_t line = y * d.stride_height - d.pad_top + k;
          const bool inside = line >= 0 && line < g_.height;
          lines[k] = !inside           ? nullptr
                     : g_.p.has_expand ? map + (b - b0) * g_.slot_block + line * g_.row
                                       : input + b * g_.in_plane() + line * g_.width_in * g_.width;
        }
        filter_row(lines, b, to + y * g_.out_width * g_.width);
      }
    }
  }

  // One tile of output channels, count pixels from `first` of image n; filtered holds these pixels.
  void project(int64_t n, int64_t chunk, int64_t first, int64_t count,
               const float* filtered) const {
    const Epilogue& e = args_.epilogue;
    const int64_t block = chunk * g_.project_j, plane = g_.out_plane();
    const int j = static_cast<int>(std::min<int64_t>(g_.project_j, g_.out_blocks - block));
    const int64_t dense = (n * g_.out_blocks + block) * plane + first * g_.width;
    TileArgs t{};
    t.offsets = workspace_.project_offsets;
    t.steps = g_.mid_blocks;
    t.weights = args_.weights + g_.project_at + block * g_.width * g_.mid_blocks * g_.width;
    t.next_weights = t.weights;
    t.bias = e.bias != nullptr ? e.bias + block * g_.width : nullptr;
    t.lo = e.lo;
    t.hi = e.hi;
    t.output_row = t.residual_row = g_.width;
    t.output_block = t.residual_block = plane;
    float* output = args_.output + n * out_batch_ + block * plane + first * g_.width;
    for_each_tile(count, j, [&](int64_t from, int64_t rows) {
      t.input = filtered + from * g_.width;
      t.output = output + from * g_.width;
      if (e.residual != nullptr) t.residual = e.residual + dense + from * g_.width;
      tiles_.single[j][rows](t);
      finish_.run(t.output, plane, dense + from * g_.width, rows, j, block + j == g_.out_blocks);
    });
  }

 private:
  template <class F>
  void for_each_tile(int64_t count, int j, F f) const {
    const int64_t runs = ceil_div(count, tiles_.max_rows[j]);
    for (int64_t i = 0; i < runs; i++)
      f(count * i / runs, count * (i + 1) / runs - count * i / runs);
  }

  // Input row y, channel blocks [b0, b1) of the middle, to padded rows slot_block floats apart.
  void expand_row(const float* input, int64_t y, int64_t b0, int64_t b1, float* to) const {
    const ConvProblem& d = g_.p.depthwise;
    const int64_t left = d.pad_left * g_.width, used = g_.width_in * g_.width;
    TileArgs t{};
    t.offsets = workspace_.expand_offsets;
    t.steps = g_.in_blocks;
    t.lo = g_.p.expand_lo;
    t.hi = g_.p.expand_hi;
    t.output_row = g_.width;
    t.output_block = g_.slot_block;
    for (int64_t b = b0; b < b1; b += g_.expand_j) {
      const int j = static_cast<int>(std::min<int64_t>(g_.expand_j, g_.mid_blocks - b));
      t.weights = args_.weights + b * g_.width * g_.in_blocks * g_.width;
      t.next_weights = t.weights;
      t.bias = args_.weights + g_.expand_bias_at + b * g_.width;
      float* row = to + (b - b0) * g_.slot_block;
      for (int64_t i = 0; i < j; i++) {
        std::memset(row + i * g_.slot_block, 0, left * sizeof(float));
        std::memset(row + i * g_.slot_block + left + used, 0,
                    (g_.row - left - used) * sizeof(float));
      }
      for_each_tile(g_.width_in, j, [&](int64_t from, int64_t rows) {
        t.input = input + (y * g_.width_in + from) * g_.width;
        t.output = row + left + from * g_.width;
        tiles_.single[j][rows](t);
      });
    }
  }

  void filter_row(const float* const* lines, int64_t block, float* to) const {
    const ConvProblem& d = g_.p.depthwise;
    DepthwiseRowArgs a{};
    a.rows = lines;
    a.kernel_height = static_cast<int>(d.kernel_height);
    a.kernel_width = static_cast<int>(d.kernel_width);
    a.stride = d.stride_width;
    a.dilation = 1;
    // Expanded rows carry their padding.
    a.pad_left = g_.p.has_expand ? 0 : d.pad_left;
    a.in_width = g_.p.has_expand ? g_.row / g_.width : g_.width_in;
    a.out_width = g_.out_width;
    a.weights = args_.weights + g_.depthwise_at + block * g_.taps() * g_.width;
    a.bias = args_.weights + g_.depthwise_bias_at + block * g_.width;
    a.output = to;
    a.lo = g_.p.depthwise_lo;
    a.hi = g_.p.depthwise_hi;
    filter_row_(a);
  }

  const Geometry& g_;
  const TileKernels& tiles_;
  void (*filter_row_)(const DepthwiseRowArgs&);
  const ConvArgs& args_;
  const Workspace& workspace_;
  TileFinish finish_;
  int64_t in_batch_, out_batch_;
};

// [out / (j V)][in][j V] from [out][in].
void pack_pointwise(const float* weights, int64_t out, int64_t in, int j, int width,
                    float* packed) {
  const int64_t out_blocks = ceil_div(out, width), in_padded = round_up(in, width);
  for (int64_t o = 0; o < out; o++) {
    const int64_t block = o / width / j * j,
                  lanes = std::min<int64_t>(j, out_blocks - block) * width;
    float* base = packed + block * width * in_padded + (o - block * width);
    for (int64_t i = 0; i < in; i++) base[i * lanes] = weights[o * in + i];
  }
}

}  // namespace

std::string_view bottleneck_refusal(const BottleneckProblem& p, Isa isa) {
  const std::string_view depthwise = depthwise_refusal(p.depthwise, isa);
  if (!depthwise.empty()) return depthwise;
  if (p.depthwise.dilation_height != 1 || p.depthwise.dilation_width != 1) return "dilated";
  if (p.depthwise.kernel_height > kMaxKernel) return "kernel higher than 7 rows";
  if (p.depthwise.kernel_height < p.depthwise.stride_height) return "stride larger than the kernel";
  if (p.depthwise.pad_top >= p.depthwise.kernel_height) return "padding as large as the kernel";
  if (p.out_channels < 1 || (p.has_expand && p.in_channels < 1)) return "no channels";
  return {};
}

std::vector<BottleneckTactic> enumerate_bottleneck_tactics(const BottleneckProblem& p, Isa isa,
                                                           int threads) {
  const int64_t rows = p.depthwise.out_height(),
                mid_blocks = ceil_div(p.depthwise.in_channels, vector_width(isa));
  std::vector<BottleneckTactic> list;
  auto add = [&](BottleneckTactic t) {
    if (std::find(list.begin(), list.end(), t) == list.end()) list.push_back(t);
  };
  // Long bands waste little on halos, short ones balance better.
  for (int64_t per_thread : {2, 4, 1})
    add({false, std::min<int64_t>(rows, per_thread * threads), 3});
  if (p.depthwise.in_height * p.depthwise.in_width <= 28 * 28) {
    for (int64_t blocks : {3, 2, 6}) add({true, rows <= 7 ? 1 : 2, std::min(blocks, mid_blocks)});
  }
  // Small maps: the channel form first.
  if (rows <= 14)
    std::rotate(list.begin(),
                std::find_if(list.begin(), list.end(), [](auto& t) { return t.by_channels; }),
                list.end());
  return list;
}

int64_t bottleneck_packed_floats(const BottleneckProblem& problem, Isa isa) {
  return make_geometry(problem, {}, isa).packed;
}

void pack_bottleneck_weights(const BottleneckProblem& p, Isa isa, const BottleneckWeights& w,
                             float* packed) {
  const Geometry g = make_geometry(p, {}, isa);
  const int64_t mid = p.depthwise.in_channels;
  std::fill_n(packed, g.packed, 0.f);
  if (p.has_expand) {
    pack_pointwise(w.expand, mid, p.in_channels, g.expand_j, g.width, packed);
    if (w.expand_bias != nullptr) std::copy_n(w.expand_bias, mid, packed + g.expand_bias_at);
  }
  pack_depthwise_weights(p.depthwise, isa, w.depthwise, packed + g.depthwise_at);
  if (w.depthwise_bias != nullptr) std::copy_n(w.depthwise_bias, mid, packed + g.depthwise_bias_at);
  pack_pointwise(w.project, p.out_channels, mid, g.project_j, g.width, packed + g.project_at);
}

int64_t bottleneck_workspace_bytes(const BottleneckProblem& problem, const BottleneckTactic& tactic,
                                   Isa isa, int threads) {
  const Geometry g = make_geometry(problem, tactic, isa);
  char origin[1];
  const Workspace w(g, origin);
  return w.thread_base - origin + threads * w.thread_bytes;
}

void run_bottleneck(const BottleneckProblem& problem, const BottleneckTactic& tactic, Isa isa,
                    const ConvArgs& args, ThreadTeam& team) {
  Geometry g = make_geometry(problem, tactic, isa);
  // A task of the channel form expands whole tiles.
  if (tactic.by_channels && problem.has_expand)
    g.t.mid_blocks = round_up(g.t.mid_blocks, g.expand_j);
  const Workspace workspace(g, args.workspace);
  for (int64_t b = 0; b <= g.in_blocks; b++) workspace.expand_offsets[b] = b * g.in_plane();
  for (int64_t b = 0; b <= g.mid_blocks; b++) workspace.project_offsets[b] = b * g.filtered_block;
  // The last entries are only prefetched; keep them inside.
  workspace.expand_offsets[g.in_blocks] = workspace.project_offsets[g.mid_blocks] = 0;
  const Run run(g, isa, args, workspace);
  const int64_t batch = problem.depthwise.batch;
  if (!tactic.by_channels) {
    team.parallel_for(
        batch * g.bands,
        [&](int64_t begin, int64_t end, int thread) {
          for (int64_t i = begin; i < end; i++) run.run_band(i / g.bands, i % g.bands, thread);
        },
        1);
    return;
  }
  const int64_t chunks = ceil_div(g.mid_blocks, g.t.mid_blocks);
  team.parallel_for(
      batch * chunks,
      [&](int64_t begin, int64_t end, int thread) {
        for (int64_t i = begin; i < end; i++) run.run_chunk(i / chunks, i % chunks, thread);
      },
      1);
  const int64_t out_chunks = ceil_div(g.out_blocks, g.project_j),
                pixels = g.out_height * g.out_width;
  const int64_t pieces = std::clamp<int64_t>(tactic.pieces, 1, pixels);
  team.parallel_for(
      batch * out_chunks * pieces,
      [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; i++) {
          const int64_t piece = i % pieces, chunk = i / pieces % out_chunks,
                        n = i / pieces / out_chunks;
          const int64_t first = pixels * piece / pieces, last = pixels * (piece + 1) / pieces;
          run.project(n, chunk, first, last - first,
                      workspace.shared + n * g.mid_blocks * g.filtered_block + first * g.width);
        }
      },
      1);
}

}  // namespace planish::cpu
