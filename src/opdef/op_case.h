// OpCase: one test case of an operator, used by shape tests, reference tests, conformance of every
// backend, fuzz inputs and benches. Cases are compiled into tests and benches only.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace planish::opdef {

// How random inputs are drawn.
struct InputCase {
  ir::DataType dtype = ir::DataType::kF32;
  std::vector<int64_t> dims;
  double low = -1, high = 1;              // uniform; integers inclusive
  std::vector<double> values;             // given elements instead of random ones
  bool constant = false;                  // a graph constant, not an input
  bool absent = false;
};

struct OpCase {
  std::string name;                       // "same_padding_odd"
  std::string op;
  std::vector<InputCase> inputs;
  ir::Attributes attrs;
  int output_count = 1;
  // Expected elements per output (checked within the op bound); empty: only interpreter against
  // kernels.
  std::vector<std::vector<double>> expected;
};

using CaseList = std::vector<OpCase>;

}  // namespace planish::opdef
