// Short forms for writing test cases: random and given inputs, and a case in one expression.
#pragma once
#include <utility>

#include "opdef/op_case.h"

namespace planish::ops {

using ir::DataType;
using opdef::CaseList;
using opdef::InputCase;
using opdef::OpCase;

// Uniform in [low, high]; integers inclusive.
inline InputCase random(DataType dtype, std::vector<int64_t> dims, double low = -1,
                        double high = 1) {
  InputCase input;
  input.dtype = dtype;
  input.dims = std::move(dims);
  input.low = low;
  input.high = high;
  return input;
}
inline InputCase random(std::vector<int64_t> dims) {
  return random(DataType::kF32, std::move(dims));
}
inline InputCase given(DataType dtype, std::vector<int64_t> dims, std::vector<double> values) {
  InputCase input = random(dtype, std::move(dims));
  input.values = std::move(values);
  return input;
}
// A graph constant.
inline InputCase constant(DataType dtype, std::vector<int64_t> dims, std::vector<double> values) {
  InputCase input = given(dtype, std::move(dims), std::move(values));
  input.constant = true;
  return input;
}
inline InputCase constant_i64(std::vector<double> values) {
  int64_t count = int64_t(values.size());
  return constant(DataType::kI64, {count}, std::move(values));
}
inline InputCase absent() {
  InputCase input;
  input.absent = true;
  return input;
}

inline OpCase make_case(std::string op, std::string name, std::vector<InputCase> inputs,
                        ir::Attributes attrs = {}, int output_count = 1,
                        std::vector<std::vector<double>> expected = {}) {
  return {std::move(name), std::move(op),  std::move(inputs),
          std::move(attrs), output_count, std::move(expected)};
}
// With known results.
inline OpCase known_case(std::string op, std::string name, std::vector<InputCase> inputs,
                         std::vector<std::vector<double>> expected, ir::Attributes attrs = {}) {
  int count = int(expected.size());
  return make_case(std::move(op), std::move(name), std::move(inputs), std::move(attrs), count,
                   std::move(expected));
}

// Attribute values without the variant's ambiguities.
inline ir::Attribute ints(std::vector<int64_t> values) { return values; }
inline ir::Attribute floats(std::vector<double> values) { return values; }
inline ir::Attribute text(std::string value) { return value; }
inline ir::Attribute integer(int64_t value) { return value; }
inline ir::Attribute real(double value) { return value; }

}  // namespace planish::ops
