#include "ops/case_inputs.h"

#include <cmath>

namespace planish::ops {
namespace {

// SplitMix64: short, and the same everywhere, which std distributions are not.
uint64_t next(uint64_t& state) {
  uint64_t z = state += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace

ir::Tensor make_input(const opdef::InputCase& input, uint64_t seed) {
  if (!input.values.empty()) return ir::Tensor::from_f64(input.dtype, input.dims, input.values);
  ir::Tensor out(input.dtype, input.dims);
  uint64_t state = seed * 0x2545f4914f6cdd1d + 1;
  bool integral = !ir::is_float(input.dtype);
  for (int64_t i = 0; i < out.count(); ++i) {
    double unit = double(next(state) >> 11) * 0x1p-53;
    double span = input.high - input.low + (integral ? 1 : 0);
    double value = input.low + unit * span;
    out.set_f64(i, integral ? std::fmin(std::floor(value), input.high) : value);
  }
  return out;
}

}  // namespace planish::ops
