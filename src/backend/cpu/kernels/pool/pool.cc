#include "backend/cpu/kernels/pool/pool.h"

#include "base/thread_team.h"

namespace planish::cpu {
namespace {

constexpr int64_t kMaxKernelHeight = 64;

}  // namespace

const PoolKernels& pool_kernels(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx512) return pool_kernels_avx512();
  if (isa == Isa::kAvx2) return pool_kernels_avx2();
#endif
  (void)isa;
  return pool_kernels_portable();
}

std::string_view pool_refusal(const PoolProblem& p, Isa) {
  if (p.window.planar_input) return "planar input";
  if (p.window.kernel_height > kMaxKernelHeight) return "kernel higher than 64 rows";
  if (p.out_height < 0 || p.out_width < 0) return "negative output size";
  if ((p.out_height == 0 && p.window.out_height() < 1) ||
      (p.out_width == 0 && p.window.out_width() < 1))
    return "empty output";
  return {};
}

void run_pool(const PoolProblem& problem, Isa isa, const ConvArgs& args, ThreadTeam& team) {
  const ConvProblem& p = problem.window;
  const int64_t width = vector_width(isa), blocks = ceil_div(p.in_channels, width);
  const int64_t out_height = problem.out_height > 0 ? problem.out_height : p.out_height();
  const int64_t out_width = problem.out_width > 0 ? problem.out_width : p.out_width();
  const int64_t in_plane = p.in_height * p.in_width * width, out_row = out_width * width,
                out_plane = out_height * out_row;
  const int64_t in_batch =
      args.input_batch_stride != 0 ? args.input_batch_stride : blocks * in_plane;
  const int64_t out_batch =
      args.output_batch_stride != 0 ? args.output_batch_stride : blocks * out_plane;
  const PoolKernels& kernels = pool_kernels(isa);
  const auto row_kernel = problem.kind == PoolKind::kMax ? kernels.maximum : kernels.average;
  team.parallel_for(p.batch * blocks * out_height, [&](int64_t begin, int64_t end, int) {
    const float* rows[kMaxKernelHeight];
    PoolRowArgs a{};
    a.rows = rows;
    a.kernel_width = static_cast<int>(p.kernel_width);
    a.stride = p.stride_width;
    a.dilation = p.dilation_width;
    a.pad_left = p.pad_left;
    a.in_width = p.in_width;
    a.out_width = out_width;
    if (problem.kind == PoolKind::kAverage)
      a.scale = 1 / static_cast<float>(p.kernel_height * p.kernel_width);
    for (int64_t i = begin; i < end; i++) {
      const int64_t y = i % out_height, block = i / out_height % blocks,
                    n = i / out_height / blocks;
      const float* plane = args.input + n * in_batch + block * in_plane;
      a.row_count = 0;
      for (int64_t k = 0; k < p.kernel_height; k++) {
        const int64_t in_y = y * p.stride_height - p.pad_top + k * p.dilation_height;
        if (in_y >= 0 && in_y < p.in_height)
          rows[a.row_count++] = plane + in_y * p.in_width * width;
      }
      a.output = args.output + n * out_batch + block * out_plane + y * out_row;
      row_kernel(a);
    }
  });
}

void run_global_average(int64_t batch, int64_t channels, int64_t pixels, const float* input,
                        float* output, Isa isa, ThreadTeam& team) {
  const int64_t width = vector_width(isa), planes = batch * ceil_div(channels, width);
  const auto mean = pool_kernels(isa).mean;
  team.parallel_for(planes, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; i++)
      mean(input + i * pixels * width, pixels, output + i * width);
  });
}

}  // namespace planish::cpu
