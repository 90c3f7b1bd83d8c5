// Reductions as CUDA text: the start, the step and the end of each, for whoever walks the elements
// (one thread alone, or the threads of a block that meet).
#pragma once
#include <string>
#include <vector>

#include "kernel/problem.h"

namespace planish::cuda {

enum class ReductionKind : uint8_t { kSum, kProduct, kMax, kMin };

// The whole of a ReduceX operator but ReduceLogSumExp, whose elements depend on the maximum.
struct ReductionText {
  ReductionKind kind = ReductionKind::kSum;
  ir::DataType dtype = ir::DataType::kF32;
  std::string_view op;
  std::string_view type;  // of the running value
  std::string first;      // what no elements reduce to
  // What an element adds to the running value.
  std::string element(const std::string& x) const;
  // Of two running values, or of one and an element().
  std::string combine(const std::string& a, const std::string& b) const;
  // The result from the value over `count` elements.
  std::string finish(const std::string& value, int64_t count) const;
};
ReductionText reduction_text(std::string_view op, ir::DataType dtype);

// The least and greatest value of a type, as initial values of extremes.
std::string lowest_text(ir::DataType dtype);
std::string highest_text(ir::DataType dtype);

// "x comes before best" for ArgMax and ArgMin: NaN is the extreme; `last`: later equals win.
std::string beats_text(const std::string& x, const std::string& best, bool maximum, bool last);

// Which dims of input 0 a ReduceX stage reduces. Precondition: its axes are known.
std::vector<bool> reduced_axes(const kernel::Problem& problem, const kernel::Stage& stage);

}  // namespace planish::cuda
