#include "backend/cpu/kernels/direct_conv/direct_conv.h"

#include <algorithm>
#include <cstring>

#include "backend/cpu/kernels/reorder/reorder.h"
#include "backend/cpu/kernels/tile/finish.h"
#include "backend/cpu/kernels/tile/tile.h"
#include "base/thread_team.h"

namespace planish::cpu {
namespace {

// Everything about a problem and a tactic that does not depend on the operands.
struct Geometry {
  ConvProblem p;
  int width;                      // V
  int lanes;                      // values of one input channel block: V, or 1 for planar input
  int j;                          // vectors per tile
  int64_t in_blocks, out_blocks;  // per group
  int64_t out_height, out_width;
  bool copy;            // input goes through the scratch
  bool flat;            // output pixels of a band are one run, also in the (possibly copied) input
  int64_t band, bands;  // output rows per band
  int64_t chunks, chunks_per_task, chunk_tasks;
  int64_t steps, steps_at_once;
  // Scratch: [in_blocks][rows][phases][columns][lanes].
  int64_t row_step, column_step;  // input rows and columns per scratch row and column
  int64_t phases, columns, scratch_rows, scratch_row, scratch_block;
  int64_t scratch_floats, partial_floats;

  int64_t weights_chunk() const { return steps * lanes * width * j; }
  int64_t weights_group() const { return steps * lanes * width * out_blocks; }
  int64_t pixels() const { return out_height * out_width; }
  int64_t tasks() const { return p.batch * p.groups * bands * chunk_tasks; }
};

// One cache line between channel blocks keeps the planes out of each other's cache sets.
constexpr int64_t kPlanePadding = 16;

Geometry make_geometry(const ConvProblem& p, const DirectConvTactic& t, Isa isa) {
  Geometry g{};
  g.p = p;
  g.width = vector_width(isa);
  g.lanes = p.planar_input ? 1 : g.width;
  g.in_blocks = ceil_div(p.in_channels / p.groups, g.lanes);
  g.out_blocks = ceil_div(p.out_channels / p.groups, g.width);
  g.j = static_cast<int>(std::min<int64_t>(t.j_blocks, g.out_blocks));
  g.out_height = p.out_height();
  g.out_width = p.out_width();
  const bool in_place =
      p.is_pointwise() && p.stride_height == 1 && p.stride_width == 1 && !p.has_padding();
  g.copy = t.copy_input || p.planar_input || !in_place;
  g.flat = p.is_pointwise();
  g.band = t.band > 0 ? std::min(t.band, g.out_height) : g.out_height;
  g.bands = ceil_div(g.out_height, g.band);
  g.chunks = ceil_div(g.out_blocks, g.j);
  g.chunks_per_task = t.chunks > 0 ? std::min(t.chunks, g.chunks) : g.chunks;
  g.chunk_tasks = ceil_div(g.chunks, g.chunks_per_task);
  const int64_t taps = p.kernel_height * p.kernel_width;
  g.steps = g.in_blocks * taps;
  g.steps_at_once = t.in_blocks > 0 ? std::min(t.in_blocks * taps, g.steps) : g.steps;
  if (g.copy) {
    // A kernel of one row or column uses every stride-th input row or column only; others keep all,
    // by phase.
    g.row_step = p.kernel_height == 1 ? p.stride_height : 1;
    g.column_step = p.kernel_width == 1 ? p.stride_width : 1;
    g.phases = p.kernel_width == 1 ? 1 : p.stride_width;
    g.columns = g.out_width + (p.kernel_width - 1) * p.dilation_width / g.phases;
    g.scratch_rows = p.kernel_height == 1 ? g.band
                                          : (g.band - 1) * p.stride_height +
                                                (p.kernel_height - 1) * p.dilation_height + 1;
    g.scratch_row = g.phases * g.columns * g.lanes;
    g.scratch_block = g.scratch_rows * g.scratch_row + kPlanePadding;
    g.scratch_floats = round_up(g.in_blocks * g.scratch_block + kPlanePadding, 16);
  } else {
    g.scratch_row = p.in_width * g.lanes;
    g.scratch_block = p.in_height * g.scratch_row;
  }
  if (g.steps_at_once < g.steps) g.partial_floats = g.band * g.out_width * g.j * g.width;
  return g;
}

// Workspace: offsets of the steps, then per thread the key of the band in its scratch, the scratch,
// partial sums.
struct Workspace {
  int64_t* offsets;
  char* thread_base;
  int64_t thread_bytes;

  Workspace(const Geometry& g, void* memory)
      : offsets(static_cast<int64_t*>(memory)),
        thread_base(static_cast<char*>(memory) + round_up((g.steps + 1) * 8, 64)),
        thread_bytes(64 + (g.scratch_floats + round_up(g.partial_floats, 16)) * 4) {}
  int64_t bytes(int threads) const {
    return thread_base - reinterpret_cast<char*>(offsets) + threads * thread_bytes;
  }
  int64_t& key(int thread) const {
    return *reinterpret_cast<int64_t*>(thread_base + thread * thread_bytes);
  }
  float* scratch(int thread) const {
    return reinterpret_cast<float*>(thread_base + thread * thread_bytes + 64);
  }
};

void fill_offsets(const Geometry& g, int64_t* offsets) {
  const ConvProblem& p = g.p;
  for (int64_t block = 0; block < g.in_blocks; block++) {
    for (int64_t y = 0; y < p.kernel_height; y++) {
      for (int64_t x = 0; x < p.kernel_width; x++) {
        const int64_t column = x * p.dilation_width, phases = std::max<int64_t>(g.phases, 1);
        *offsets++ = block * g.scratch_block + y * p.dilation_height * g.scratch_row +
                     (column % phases * g.columns + column / phases) * g.lanes;
      }
    }
  }
  *offsets = 0;
}

// Copies count pixels that are step pixels apart.
template <int Lanes>
void copy_pixels(const float* from, int64_t step, float* to, int64_t count) {
  for (int64_t i = 0; i < count; i++)
    std::memcpy(to + i * Lanes, from + i * step * Lanes, Lanes * sizeof(float));
}

void copy_pixels(int lanes, const float* from, int64_t step, float* to, int64_t count) {
  if (step == 1) {
    std::memcpy(to, from, count * lanes * sizeof(float));
  } else if (lanes == 1) {
    copy_pixels<1>(from, step, to, count);
  } else if (lanes == 8) {
    copy_pixels<8>(from, step, to, count);
  } else {
    copy_pixels<16>(from, step, to, count);
  }
}

// One scratch row from one input row (null: a row of padding).
void copy_row(const Geometry& g, const float* row, float* to) {
  const ConvProblem& p = g.p;
  const int64_t step = g.phases > 1 ? g.phases : g.column_step;
  for (int64_t phase = 0; phase < g.phases; phase++, to += g.columns * g.lanes) {
    // Column x holds input column x * step + first.
    const int64_t first = phase - p.pad_left;
    const int64_t begin = first >= 0 ? 0 : std::min(ceil_div(-first, step), g.columns);
    const int64_t end = std::clamp(ceil_div(p.in_width - first, step), begin, g.columns);
    if (row == nullptr || begin == end) {
      std::memset(to, 0, g.columns * g.lanes * sizeof(float));
      continue;
    }
    std::memset(to, 0, begin * g.lanes * sizeof(float));
    copy_pixels(g.lanes, row + (begin * step + first) * g.lanes, step, to + begin * g.lanes,
                end - begin);
    std::memset(to + end * g.lanes, 0, (g.columns - end) * g.lanes * sizeof(float));
  }
}

// The input rows that output rows [y0, y1) need; input is the group's first plane.
void copy_band(const Geometry& g, const float* input, int64_t y0, int64_t y1, float* scratch) {
  const ConvProblem& p = g.p;
  const int64_t rows =
      g.scratch_rows - (g.band - (y1 - y0)) * (p.kernel_height == 1 ? 1 : p.stride_height);
  for (int64_t block = 0; block < g.in_blocks; block++) {
    const float* plane = input + block * p.in_height * p.in_width * g.lanes;
    for (int64_t r = 0; r < rows; r++) {
      const int64_t y = y0 * p.stride_height - p.pad_top + r * g.row_step;
      const bool inside = y >= 0 && y < p.in_height;
      copy_row(g, inside ? plane + y * p.in_width * g.lanes : nullptr,
               scratch + block * g.scratch_block + r * g.scratch_row);
    }
  }
}

// Cuts count pixels into runs of at most limit, as equal as possible; f(first, length).
template <class F>
void for_each_run(int64_t count, int64_t limit, F f) {
  const int64_t runs = ceil_div(count, limit);
  for (int64_t i = 0; i < runs; i++) f(count * i / runs, count * (i + 1) / runs - count * i / runs);
}

class BandTask {
 public:
  BandTask(const Geometry& g, const TileKernels& tiles, const ConvArgs& args,
           const Workspace& workspace)
      : g_(g), tiles_(tiles), args_(args), workspace_(workspace) {
    finish_.epilogue = &args.epilogue;
    finish_.width = g.width;
    finish_.tail = static_cast<int>(g.p.out_channels % g.width);
  }

  void run(int64_t task, int thread) const {
    const ConvProblem& p = g_.p;
    const int64_t chunk_task = task % g_.chunk_tasks, key = task / g_.chunk_tasks;
    const int64_t band = key % g_.bands, group = key / g_.bands % p.groups,
                  image = key / g_.bands / p.groups;
    const int64_t y0 = band * g_.band, y1 = std::min(y0 + g_.band, g_.out_height);
    const int64_t plane = p.in_height * p.in_width;
    const int64_t batch_stride = args_.input_batch_stride != 0
                                     ? args_.input_batch_stride
                                     : p.groups * g_.in_blocks * plane * g_.lanes;
    const float* input =
        args_.input + image * batch_stride + group * g_.in_blocks * plane * g_.lanes;
    if (g_.copy) {
      float* scratch = workspace_.scratch(thread);
      if (workspace_.key(thread) != key) copy_band(g_, input, y0, y1, scratch);
      workspace_.key(thread) = key;
      input = scratch;
    } else {
      input += y0 * g_.scratch_row;
    }
    const int64_t c1 = std::min((chunk_task + 1) * g_.chunks_per_task, g_.chunks);
    for (int64_t c = chunk_task * g_.chunks_per_task; c < c1; c++) {
      run_chunk(input, image, group, c, y0, y1, workspace_.scratch(thread) + g_.scratch_floats);
    }
  }

 private:
  // All pixels of rows [y0, y1), one tile of output channels.
  void run_chunk(const float* input, int64_t image, int64_t group, int64_t chunk, int64_t y0,
                 int64_t y1, float* partial) const {
    const int64_t out_block = group * g_.out_blocks + chunk * g_.j;
    const int j = static_cast<int>(std::min<int64_t>(g_.j, g_.out_blocks - chunk * g_.j));
    const int64_t plane = g_.pixels() * g_.width;
    const int64_t dense_batch = g_.p.groups * g_.out_blocks * plane;
    const int64_t batch_stride =
        args_.output_batch_stride != 0 ? args_.output_batch_stride : dense_batch;
    TileArgs t{};
    t.output_row = t.residual_row = g_.width;
    t.output_block = t.residual_block = plane;
    t.lo = args_.epilogue.lo;
    t.hi = args_.epilogue.hi;
    if (args_.epilogue.bias != nullptr) t.bias = args_.epilogue.bias + out_block * g_.width;
    const float* weights = args_.weights + group * g_.weights_group() + chunk * g_.weights_chunk();
    float* output = args_.output + image * batch_stride + out_block * plane;
    const int64_t dense = image * dense_batch + out_block * plane;
    const bool tail = chunk == g_.chunks - 1;
    // The tiles of a pass together fetch the weights of the next one, which follow its own.
    int64_t tiles = 0;
    for_each_tile(j, y0, y1, [&](auto&&...) { tiles++; });
    const int64_t next_step = std::min<int64_t>(ceil_div(j * g_.width, tiles), g_.width);
    for (int64_t s = 0; s < g_.steps; s += g_.steps_at_once) {
      const bool last = s + g_.steps_at_once >= g_.steps;
      t.steps = std::min(g_.steps_at_once, g_.steps - s);
      t.offsets = workspace_.offsets + s;
      t.weights = weights + s * g_.lanes * g_.width * j;
      const int64_t pass = t.steps * g_.lanes * g_.width * j;
      const int64_t share = t.steps * g_.lanes * next_step;  // what one tile fetches
      int64_t fetched = 0;
      // Finished pixels wait until a call of the epilogue is worth it.
      int64_t waiting_from = y0 * g_.out_width, waiting = 0;
      const auto finish = [&](int64_t least) {
        if (!last || waiting * g_.width < least) return;
        const int64_t at = waiting_from * g_.width;
        finish_.run(output + at, plane, dense + at, waiting, j, tail);
        waiting_from += waiting;
        waiting = 0;
      };
      for_each_tile(
          j, y0, y1,
          [&](TileFn tile, int64_t input_offset, int64_t second, int64_t pixel, int64_t rows) {
            t.input = input + input_offset;
            t.second_rows = second;
            t.next_weights = t.weights + (fetched < pass ? pass + fetched : 0);
            t.next_step = fetched < pass ? next_step : 0;
            fetched += share;
            float* sums = partial + (pixel - y0 * g_.out_width) * j * g_.width;
            t.partial_in = s > 0 ? sums : nullptr;
            t.partial_out = last ? nullptr : sums;
            t.output = output + pixel * g_.width;
            if (args_.epilogue.residual != nullptr)
              t.residual = args_.epilogue.residual + dense + pixel * g_.width;
            tile(t);
            waiting += rows;
            finish(kFinishFloats);
          });
      finish(1);
    }
  }

  // f(tile, input offset, distance of the second half, first output pixel, pixels).
  template <class F>
  void for_each_tile(int j, int64_t y0, int64_t y1, F f) const {
    const TileFn* single = g_.lanes == 1 ? tiles_.stem[j] : tiles_.single[j];
    const int64_t limit = tiles_.max_rows[j], width = g_.out_width;
    if (g_.flat) {
      for_each_run((y1 - y0) * width, limit, [&](int64_t first, int64_t count) {
        f(single[count], first * g_.lanes, 0, y0 * width + first, count);
      });
      return;
    }
    const int64_t row = (g_.p.kernel_height == 1 ? 1 : g_.p.stride_height) * g_.scratch_row;
    int64_t y = y0;
    // Narrow maps: two rows at once fill the register file.
    if (g_.lanes > 1 && width * 2 <= limit) {
      for (; y + 1 < y1; y += 2)
        f(tiles_.pair[j][width], (y - y0) * row, row, y * width, 2 * width);
    }
    for (; y < y1; y++) {
      for_each_run(width, limit, [&](int64_t first, int64_t count) {
        f(single[count], (y - y0) * row + first * g_.lanes, 0, y * width + first, count);
      });
    }
  }

  const Geometry& g_;
  const TileKernels& tiles_;
  const ConvArgs& args_;
  const Workspace& workspace_;
  TileFinish finish_;
};

}  // namespace

std::string_view direct_conv_refusal(const ConvProblem& p, Isa isa) {
  const int width = vector_width(isa);
  if (p.groups < 1 || p.in_channels % p.groups != 0 || p.out_channels % p.groups != 0) {
    return "channels are not a multiple of groups";
  }
  if (p.groups > 1 &&
      (p.in_channels / p.groups % width != 0 || p.out_channels / p.groups % width != 0)) {
    return "channels per group are not a multiple of the vector width";
  }
  if (p.groups > 1 && p.planar_input) return "planar input with groups";
  if (p.planar_input && p.in_channels > 16)
    return "planar input is for first layers of at most 16 channels";
  if (p.batch < 1 || p.out_height() < 1 || p.out_width() < 1) return "empty output";
  // A band's scratch holds the padded input rows it needs; in double, where sizes cannot wrap.
  const double rows = double(p.out_height()) * double(p.stride_height) +
                      double(p.kernel_height) * double(p.dilation_height);
  const double columns = double(p.out_width()) * double(p.stride_width) +
                         double(p.kernel_width) * double(p.dilation_width);
  if (rows * columns * double(p.in_channels + width) > 0x1p40)
    return "padding or dilation beyond any scratch memory";
  return {};
}

int64_t direct_conv_packed_floats(const ConvProblem& problem, const DirectConvTactic& tactic,
                                  Isa isa) {
  const Geometry g = make_geometry(problem, tactic, isa);
  return g.weights_group() * problem.groups;
}

void pack_direct_conv_weights(const ConvProblem& p, const DirectConvTactic& tactic, Isa isa,
                              const float* weights, float* packed) {
  const Geometry g = make_geometry(p, tactic, isa);
  const int64_t in_per_group = p.in_channels / p.groups, out_per_group = p.out_channels / p.groups;
  const int64_t taps = p.kernel_height * p.kernel_width, full = g.j * g.width;
  const int64_t row = in_per_group * taps;
  if (in_per_group % g.lanes != 0) std::fill_n(packed, g.weights_group() * p.groups, 0.f);
  // V filters at a time: V x V transposes, whose rows then go where their step and lane are.
  const auto transpose = reorder_kernels(isa).transpose;
  float square[16 * 16];
  for (int64_t o = 0; o < p.out_channels;) {
    const int64_t group = o / out_per_group, within = o % out_per_group, chunk = within / full;
    const int64_t chunk_width = std::min<int64_t>(full, g.out_blocks * g.width - chunk * full);
    float* base = packed + group * g.weights_group() + chunk * g.weights_chunk() + within % full;
    const int rows = static_cast<int>(std::min<int64_t>(g.width, out_per_group - within));
    for (int64_t at = 0; at < row; at += g.width) {
      const int columns = static_cast<int>(std::min<int64_t>(g.width, row - at));
      transpose(weights + o * row + at, row, rows, columns, square, g.width, g.width);
      for (int c = 0; c < columns; c++) {
        const int64_t i = (at + c) / taps, step = i / g.lanes * taps + (at + c) % taps;
        std::copy_n(square + c * g.width, g.width,
                    base + (step * g.lanes + i % g.lanes) * chunk_width);
      }
    }
    o += rows;
  }
}

int64_t direct_conv_workspace_bytes(const ConvProblem& problem, const DirectConvTactic& tactic,
                                    Isa isa, int threads) {
  const Geometry g = make_geometry(problem, tactic, isa);
  char origin[1];
  return Workspace(g, origin).bytes(threads);
}

void run_direct_conv(const ConvProblem& problem, const DirectConvTactic& tactic, Isa isa,
                     const ConvArgs& args, ThreadTeam& team) {
  const Geometry g = make_geometry(problem, tactic, isa);
  const Workspace workspace(g, args.workspace);
  fill_offsets(g, workspace.offsets);
  for (int t = 0; t < team.size(); t++) workspace.key(t) = -1;
  const BandTask task(g, tile_kernels(isa), args, workspace);
  team.parallel_for(
      g.tasks(),
      [&](int64_t begin, int64_t end, int thread) {
        for (int64_t i = begin; i < end; i++) task.run(i, thread);
      },
      1);
}

}  // namespace planish::cpu
