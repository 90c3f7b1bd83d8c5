// Cases of QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear: types x granularities, ties
// and saturation.
#include "ops/case_builder.h"

namespace planish::ops {
namespace {

InputCase scales(std::vector<int64_t> dims) {
  return random(DataType::kF32, std::move(dims), 0.01, 0.2);
}

void add_quantization(CaseList& cases) {
  struct Row {
    DataType dtype;
    double low, high;
  };
  constexpr Row kRows[] = {{DataType::kU8, 0, 255},     {DataType::kI8, -128, 127},
                           {DataType::kU16, 0, 65535},  {DataType::kI16, -32768, 32767},
                           {DataType::kU4, 0, 15},      {DataType::kI4, -8, 7},
                           {DataType::kF8E4M3Fn, 0, 0}, {DataType::kF8E5M2, 0, 0}};
  for (const Row& row : kRows) {
    const std::string name(ir::name_of(row.dtype));
    const double zero = (row.low + row.high) / 2;
    auto zeros = [&](std::vector<int64_t> dims) {
      return random(row.dtype, std::move(dims), zero - 2, zero + 2);
    };
    cases.push_back(make_case("QuantizeLinear", name + "_tensor",
                              {random(DataType::kF32, {3, 5, 7}, -9, 9), scales({}), zeros({})}));
    cases.push_back(make_case("QuantizeLinear", name + "_channel",
                              {random(DataType::kF32, {3, 5, 7}, -9, 9), scales({5}), zeros({5})}));
    cases.push_back(make_case("QuantizeLinear", name + "_block",
                              {random(DataType::kF32, {3, 8}, -9, 9), scales({3, 2}), zeros({3, 2})},
                              {{"axis", integer(1)}, {"block_size", integer(4)}}));
    const InputCase stored = random(row.dtype, {3, 5, 7}, row.low == row.high ? -4 : row.low,
                                    row.low == row.high ? 4 : row.high);
    cases.push_back(
        make_case("DequantizeLinear", name + "_tensor", {stored, scales({}), zeros({})}));
    cases.push_back(make_case("DequantizeLinear", name + "_channel", {stored, scales({7}), zeros({7})},
                              {{"axis", integer(-1)}}));
  }
  cases.push_back(known_case("QuantizeLinear", "halves_to_even",
                             {given(DataType::kF32, {6}, {0.5, 1.5, 2.5, -0.5, 300, -300}),
                              given(DataType::kF32, {}, {1}), given(DataType::kI8, {}, {0})},
                             {{0, 2, 2, 0, 127, -128}}));
  cases.push_back(make_case("QuantizeLinear", "f16",
                            {random(DataType::kF16, {33}, -2, 2), given(DataType::kF16, {}, {0.0625})}));
  cases.push_back(make_case("DequantizeLinear", "i32",
                            {random(DataType::kI32, {3, 5}, -1000, 1000), scales({})}));
  cases.push_back(make_case("DynamicQuantizeLinear", "range", {random({3, 17})}, {}, 3));
  cases.push_back(make_case("DynamicQuantizeLinear", "positive",
                            {random(DataType::kF32, {5, 2}, 1, 3)}, {}, 3));
  cases.push_back(make_case("DynamicQuantizeLinear", "zeros",
                            {random(DataType::kF32, {4}, 0, 0)}, {}, 3));
}

}  // namespace

CaseList quantization_cases() {
  CaseList cases;
  add_quantization(cases);
  return cases;
}

}  // namespace planish::ops
