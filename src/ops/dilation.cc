#include "ops/dilation.h"

#include <limits>

#include "base/text.h"
#include "ops/composer.h"

namespace planish::ops {
namespace {

constexpr int64_t kMostTaps = 256;

// The largest sum of a pixel and the filter's element over it, per channel: one shifted image per
// element of the filter. Beyond the border there is nothing.
Status import_dilation(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value *x = c.in(0), *filter = c.in(1);
  const std::vector<int64_t> strides = c.attr_ints("strides", {1, 1, 1, 1});
  const std::vector<int64_t> rates = c.attr_ints("rates", {1, 1, 1, 1});
  const std::string padding = c.attr_string("padding", "SAME");
  if (!c.has_rank(x, 4, 4, "input 0") || !c.has_rank(filter, 3, 3, "input 1 (filter)"))
    return c.finish({});
  const int64_t taps[] = {c.need_dim(filter, 0, "the filter's height"),
                          c.need_dim(filter, 1, "the filter's width")};
  if (strides.size() != 4 || rates.size() != 4 || taps[0] * taps[1] > kMostTaps)
    c.fail(unsupported(cat("a filter of ", taps[0], " by ", taps[1])));
  if (!c.ok()) return c.finish({});
  std::vector<int64_t> pads(8, 0);
  int64_t reach[2];
  for (int i = 0; i < 2; ++i) {
    const size_t axis = size_t(1 + i);
    reach[i] = (taps[i] - 1) * rates[axis];
    if (padding != "SAME") continue;
    int64_t total = reach[i];
    if (strides[axis] > 1) {
      const int64_t size = c.need_dim(x, int64_t(axis), "a dim of the image");
      total = std::max<int64_t>(0, (size - 1) / strides[axis] * strides[axis] + reach[i] + 1 - size);
    }
    pads[axis] = total / 2;
    pads[axis + 4] = total - total / 2;
  }
  x = c.op("Pad", {x, c.ints(pads),
                   c.scalar_like(double(std::numeric_limits<float>::lowest()), x)});
  Composer::Values sums;
  for (int64_t row = 0; row < taps[0]; ++row)
    for (int64_t column = 0; column < taps[1]; ++column) {
      ir::Value* shifted = x;
      const int64_t at[] = {row, column};
      for (int i = 0; i < 2; ++i) {
        const int64_t begin = at[i] * rates[size_t(1 + i)], behind = reach[i] - begin;
        shifted = c.slice(shifted, 1 + i, begin, behind ? -behind : INT64_MAX, strides[size_t(1 + i)]);
      }
      sums.push_back(c.add(shifted, c.gather(c.gather(filter, row, 0), column, 0)));
    }
  return c.finish({sums.size() == 1 ? sums[0] : c.op("Max", sums)});
}

}  // namespace

std::vector<opdef::ImportRule> dilation_rules() { return {tensorflow("Dilation2D", import_dilation)}; }

}  // namespace planish::ops
