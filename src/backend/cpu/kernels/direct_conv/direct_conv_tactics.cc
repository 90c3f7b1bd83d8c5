// Which cuts of a direct convolution are worth timing.
#include <algorithm>

#include "backend/cpu/kernels/direct_conv/direct_conv.h"

namespace planish::cpu {
namespace {

constexpr int64_t kTaskFactor = 4;            // tasks per thread that make stealing useful
constexpr int64_t kBandBytes = 192 * 1024;    // a band's input should share L2 with the weights
constexpr int64_t kPrivateBytes = 16 * 1024;  // weights of one pass that should stay in L1
constexpr size_t kMaxTactics = 8;

// Output rows per task: enough tasks for the team, and the input rows of a task within L2.
int64_t pick_band(const ConvProblem& p, int threads) {
  const int64_t rows = p.out_height();
  const int64_t wanted = ceil_div(kTaskFactor * threads, p.batch * p.groups);
  const int64_t row_bytes = p.in_channels / p.groups * p.in_width * 4 * p.stride_height;
  const int64_t fitting = std::max<int64_t>(1, kBandBytes / std::max<int64_t>(row_bytes, 1));
  return std::clamp<int64_t>(rows / std::max<int64_t>(wanted, 1), 1, fitting);
}

}  // namespace

std::vector<DirectConvTactic> enumerate_direct_conv_tactics(const ConvProblem& p, Isa isa,
                                                            int threads) {
  const int width = vector_width(isa);
  const int64_t out_blocks = ceil_div(p.out_channels / p.groups, width);
  const int64_t in_blocks =
      p.planar_input ? p.in_channels : ceil_div(p.in_channels / p.groups, width);
  const int64_t taps = p.kernel_height * p.kernel_width;
  const int64_t band = pick_band(p, threads);
  const int64_t weight_bytes = p.out_channels * (p.in_channels / p.groups) * taps * 4;
  const int64_t map_bytes = p.in_channels * p.in_height * p.in_width * 4;
  std::vector<DirectConvTactic> list;
  auto add = [&](int j, int64_t rows, int64_t chunks, int64_t blocks, bool copy) {
    DirectConvTactic t;
    t.j_blocks = static_cast<int>(std::min<int64_t>(j, out_blocks));
    t.band = rows;
    t.chunks = chunks;
    t.in_blocks = blocks < in_blocks ? blocks : 0;
    t.copy_input = copy;
    if (list.size() < kMaxTactics && std::find(list.begin(), list.end(), t) == list.end())
      list.push_back(t);
  };
  // Input channel blocks whose weights stay in L1 while all pixels of a task pass by.
  auto resident = [&](int j) {
    return std::max<int64_t>(1, kPrivateBytes / (taps * width * width * j * 4));
  };
  auto by_channels = [&](int j, int64_t blocks) {
    const int64_t chunks = ceil_div(out_blocks, j);
    add(j, 0, std::max<int64_t>(1, chunks / (2 * threads)), blocks, false);
  };
  const bool weights_dominate = weight_bytes > map_bytes;
  const int wide = p.is_pointwise() ? 4 : 3;
  for (int j : {2, wide}) {
    if (weights_dominate) by_channels(j, 0);
    add(j, band, 0, 0, false);
    if (!p.planar_input) add(j, band, 0, resident(j), false);
    if (weights_dominate) by_channels(j, resident(j));
  }
  // Larger bands reuse weights more often; copied planes do not collide.
  if (p.is_pointwise() && !p.planar_input) add(4, band, 0, 0, true);
  add(2, std::min(p.out_height(), 2 * band), 0, 0, false);
  return list;
}

}  // namespace planish::cpu
