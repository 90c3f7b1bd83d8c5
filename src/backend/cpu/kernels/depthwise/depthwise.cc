#include "backend/cpu/kernels/depthwise/depthwise.h"

#include <algorithm>
#include <vector>

#include "backend/cpu/kernels/tile/finish.h"
#include "base/thread_team.h"

namespace planish::cpu {
namespace {

constexpr int64_t kMaxKernelHeight = 31;

}  // namespace

const DepthwiseKernels& depthwise_kernels(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx512) return depthwise_kernels_avx512();
  if (isa == Isa::kAvx2) return depthwise_kernels_avx2();
#endif
  (void)isa;
  return depthwise_kernels_portable();
}

std::string_view depthwise_refusal(const ConvProblem& p, Isa) {
  if (p.groups != p.in_channels || p.groups != p.out_channels) return "not one filter per channel";
  if (p.planar_input) return "planar input";
  if (p.kernel_height > kMaxKernelHeight) return "kernel higher than 31 rows";
  if (p.batch < 1 || p.out_height() < 1 || p.out_width() < 1) return "empty output";
  return {};
}

int64_t depthwise_packed_floats(const ConvProblem& p, Isa isa) {
  return round_up(p.in_channels, vector_width(isa)) * p.kernel_height * p.kernel_width;
}

void pack_depthwise_weights(const ConvProblem& p, Isa isa, const float* weights, float* packed) {
  const int64_t width = vector_width(isa), taps = p.kernel_height * p.kernel_width;
  std::fill_n(packed, depthwise_packed_floats(p, isa), 0.f);
  for (int64_t c = 0; c < p.in_channels; c++) {
    for (int64_t t = 0; t < taps; t++)
      packed[(c / width * taps + t) * width + c % width] = weights[c * taps + t];
  }
}

void run_depthwise(const ConvProblem& p, Isa isa, const ConvArgs& args, ThreadTeam& team) {
  const int64_t width = vector_width(isa), blocks = ceil_div(p.in_channels, width);
  const int64_t out_height = p.out_height(), out_row = p.out_width() * width;
  const int64_t in_plane = p.in_height * p.in_width * width, out_plane = out_height * out_row;
  const int64_t in_batch =
      args.input_batch_stride != 0 ? args.input_batch_stride : blocks * in_plane;
  const int64_t out_batch =
      args.output_batch_stride != 0 ? args.output_batch_stride : blocks * out_plane;
  const auto row_kernel = depthwise_kernels(isa).row;
  const Epilogue& e = args.epilogue;
  TileFinish finish{&e, static_cast<int>(width), static_cast<int>(p.in_channels % width)};
  DepthwiseRowArgs base{};
  base.kernel_height = static_cast<int>(p.kernel_height);
  base.kernel_width = static_cast<int>(p.kernel_width);
  base.stride = p.stride_width;
  base.dilation = p.dilation_width;
  base.pad_left = p.pad_left;
  base.in_width = p.in_width;
  base.out_width = p.out_width();
  base.lo = e.lo;
  base.hi = e.hi;
  team.parallel_for(p.batch * blocks * out_height, [&](int64_t begin, int64_t end, int) {
    const float* rows[kMaxKernelHeight];
    DepthwiseRowArgs a = base;
    a.rows = rows;
    int64_t waiting = 0;  // pixels before this row's end that the epilogue has not seen
    for (int64_t i = begin; i < end; i++) {
      const int64_t y = i % out_height, block = i / out_height % blocks,
                    n = i / out_height / blocks;
      const float* plane = args.input + n * in_batch + block * in_plane;
      for (int64_t k = 0; k < p.kernel_height; k++) {
        const int64_t in_y = y * p.stride_height - p.pad_top + k * p.dilation_height;
        rows[k] = in_y >= 0 && in_y < p.in_height ? plane + in_y * p.in_width * width : nullptr;
      }
      const int64_t at = block * out_plane + y * out_row, dense = n * blocks * out_plane + at;
      a.weights = args.weights + block * p.kernel_height * p.kernel_width * width;
      a.bias = e.bias != nullptr ? e.bias + block * width : nullptr;
      a.residual = e.residual != nullptr ? e.residual + dense : nullptr;
      a.output = args.output + n * out_batch + at;
      row_kernel(a);
      waiting += a.out_width;
      if (waiting * width < kFinishFloats && y + 1 < out_height && i + 1 < end) continue;
      const int64_t back = (waiting - a.out_width) * width;
      finish.run(a.output - back, 0, dense - back, waiting, 1, block == blocks - 1);
      waiting = 0;
    }
  });
}

}  // namespace planish::cpu
