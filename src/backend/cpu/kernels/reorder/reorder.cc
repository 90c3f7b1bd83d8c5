#include "backend/cpu/kernels/reorder/reorder.h"

#include <algorithm>
#include <cstring>

#include "backend/cpu/kernels/conv_problem.h"
#include "base/thread_team.h"

namespace planish::cpu {
namespace {

// Pixels per task: small enough to share the work, large enough to hide the loop.
constexpr int64_t kPixelsPerTask = 256;

// Calls f(image, channel block, first pixel, end pixel) for every piece of a blocked tensor.
template <class F>
void for_each_piece(const ReorderShape& s, int width, ThreadTeam& team, F f) {
  const int64_t blocks = ceil_div(s.channels, width), pieces = ceil_div(s.pixels, kPixelsPerTask);
  team.parallel_for(s.batch * blocks * pieces, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; i++) {
      const int64_t piece = i % pieces, block = i / pieces % blocks, image = i / pieces / blocks;
      const int64_t p0 = piece * kPixelsPerTask;
      f(image, block, p0, std::min(p0 + kPixelsPerTask, s.pixels));
    }
  });
}

int64_t batch_stride(const ReorderShape& s, int width) {
  return s.blocked_batch_stride != 0 ? s.blocked_batch_stride
                                     : round_up(s.channels, width) * s.pixels;
}

}  // namespace

const ReorderKernels& reorder_kernels(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx512) return reorder_kernels_avx512();
  if (isa == Isa::kAvx2) return reorder_kernels_avx2();
#endif
  (void)isa;
  return reorder_kernels_portable();
}

void reorder_nchw_to_blocked(const float* input, float* output, const ReorderShape& s, Isa isa,
                             ThreadTeam& team) {
  const int width = vector_width(isa);
  const auto transpose = reorder_kernels(isa).transpose;
  const int64_t batch = batch_stride(s, width);
  for_each_piece(s, width, team, [&](int64_t n, int64_t block, int64_t p0, int64_t p1) {
    const float* from = input + (n * s.channels + block * width) * s.pixels;
    float* to = output + n * batch + block * width * s.pixels;
    const int channels = static_cast<int>(std::min<int64_t>(width, s.channels - block * width));
    for (int64_t p = p0; p < p1; p += width) {
      const int count = static_cast<int>(std::min<int64_t>(width, p1 - p));
      transpose(from + p, s.pixels, channels, count, to + p * width, width, width);
    }
  });
}

void reorder_blocked_to_nchw(const float* input, float* output, const ReorderShape& s, Isa isa,
                             ThreadTeam& team) {
  const int width = vector_width(isa);
  const auto transpose = reorder_kernels(isa).transpose;
  const int64_t batch = batch_stride(s, width);
  for_each_piece(s, width, team, [&](int64_t n, int64_t block, int64_t p0, int64_t p1) {
    const float* from = input + n * batch + block * width * s.pixels;
    float* to = output + (n * s.channels + block * width) * s.pixels;
    const int channels = static_cast<int>(std::min<int64_t>(width, s.channels - block * width));
    for (int64_t p = p0; p < p1; p += width) {
      const int count = static_cast<int>(std::min<int64_t>(width, p1 - p));
      transpose(from + p * width, width, count, channels, to + p, s.pixels, count);
    }
  });
}

void reorder_nhwc_to_blocked(const float* input, float* output, const ReorderShape& s, Isa isa,
                             ThreadTeam& team) {
  const int width = vector_width(isa);
  const int64_t batch = batch_stride(s, width);
  for_each_piece(s, width, team, [&](int64_t n, int64_t block, int64_t p0, int64_t p1) {
    const float* from = input + n * s.pixels * s.channels + block * width;
    float* to = output + n * batch + block * width * s.pixels;
    const int64_t channels = std::min<int64_t>(width, s.channels - block * width);
    for (int64_t p = p0; p < p1; p++) {
      std::memcpy(to + p * width, from + p * s.channels, channels * sizeof(float));
      if (channels < width)
        std::memset(to + p * width + channels, 0, (width - channels) * sizeof(float));
    }
  });
}

void reorder_blocked_to_nhwc(const float* input, float* output, const ReorderShape& s, Isa isa,
                             ThreadTeam& team) {
  const int width = vector_width(isa);
  const int64_t batch = batch_stride(s, width);
  for_each_piece(s, width, team, [&](int64_t n, int64_t block, int64_t p0, int64_t p1) {
    const float* from = input + n * batch + block * width * s.pixels;
    float* to = output + n * s.pixels * s.channels + block * width;
    const int64_t channels = std::min<int64_t>(width, s.channels - block * width);
    for (int64_t p = p0; p < p1; p++) {
      std::memcpy(to + p * s.channels, from + p * width, channels * sizeof(float));
    }
  });
}

void transpose_inner(const float* input, float* output, const TransposeShape& s, Isa isa,
                     ThreadTeam& team) {
  const int width = vector_width(isa);
  const auto transpose = reorder_kernels(isa).transpose;
  const int64_t input_row = s.input_row != 0 ? s.input_row : s.columns;
  const int64_t output_row = s.output_row != 0 ? s.output_row : s.rows;
  const int64_t input_batch = s.input_batch != 0 ? s.input_batch : s.rows * input_row;
  const int64_t output_batch = s.output_batch != 0 ? s.output_batch : s.columns * output_row;
  const int64_t strips = ceil_div(s.columns, width);
  // A task writes V whole output rows.
  team.parallel_for(s.batch * strips, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; i++) {
      const int64_t c = i % strips * width;
      const int columns = static_cast<int>(std::min<int64_t>(width, s.columns - c));
      const float* from = input + i / strips * input_batch + c;
      float* to = output + i / strips * output_batch + c * output_row;
      for (int64_t r = 0; r < s.rows; r += width) {
        const int rows = static_cast<int>(std::min<int64_t>(width, s.rows - r));
        transpose(from + r * input_row, input_row, rows, columns, to + r, output_row, rows);
      }
    }
  });
}

void strided_copy(const float* input, float* output, const CopyShape& s, ThreadTeam& team) {
  if (s.axes == 0) {
    *output = *input;
    return;
  }
  const int inner = s.axes - 1;
  int64_t rows = 1;
  for (int a = 0; a < inner; a++) rows *= s.size[a];
  const int64_t count = s.size[inner], in = s.input_stride[inner], out = s.output_stride[inner];
  team.parallel_for(rows, [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; row++) {
      const float* from = input;
      float* to = output;
      for (int64_t a = inner - 1, rest = row; a >= 0; rest /= s.size[a], a--) {
        from += rest % s.size[a] * s.input_stride[a];
        to += rest % s.size[a] * s.output_stride[a];
      }
      if (in == 1 && out == 1) {
        std::memcpy(to, from, count * sizeof(float));
      } else {
        for (int64_t i = 0; i < count; i++) to[i * out] = from[i * in];
      }
    }
  });
}

}  // namespace planish::cpu
