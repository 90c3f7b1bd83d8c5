// Cases of QLinearMatMul and QLinearConv: per tensor, row and channel, groups, padding, bias.
#include "ops/case_builder.h"

namespace planish::ops {
namespace {

InputCase scale(std::vector<int64_t> dims) {
  return random(DataType::kF32, std::move(dims), 0.01, 0.05);
}
InputCase bytes(DataType dtype, std::vector<int64_t> dims) {
  const bool is_signed = dtype == DataType::kI8;
  return random(dtype, std::move(dims), is_signed ? -128 : 0, is_signed ? 127 : 255);
}
InputCase zero(DataType dtype, std::vector<int64_t> dims, double low, double high) {
  return random(dtype, std::move(dims), low, high);
}

}  // namespace

CaseList qlinear_cases() {
  CaseList cases;
  for (DataType dtype : {DataType::kU8, DataType::kI8}) {
    const std::string name(ir::name_of(dtype));
    const bool is_signed = dtype == DataType::kI8;
    auto any_zero = [&](std::vector<int64_t> dims) {
      return zero(dtype, std::move(dims), is_signed ? -3 : 120, is_signed ? 3 : 130);
    };
    cases.push_back(make_case("QLinearMatMul", name + "_tensor",
                              {bytes(dtype, {5, 7}), scale({}), any_zero({}), bytes(dtype, {7, 3}),
                               scale({}), any_zero({}), scale({}), any_zero({})}));
    cases.push_back(make_case("QLinearMatMul", name + "_rows_columns",
                              {bytes(dtype, {2, 5, 7}), scale({5}), any_zero({5}),
                               bytes(dtype, {7, 3}), scale({3}), any_zero({3}), scale({}),
                               any_zero({})}));
    cases.push_back(make_case("QLinearConv", name + "_image",
                              {bytes(dtype, {1, 3, 9, 7}), scale({}), any_zero({}),
                               bytes(DataType::kI8, {4, 3, 3, 3}), scale({4}),
                               zero(DataType::kI8, {4}, 0, 0), scale({}), any_zero({}),
                               random(DataType::kI32, {4}, -500, 500)},
                              {{"pads", ints({1, 1, 1, 1})}, {"strides", ints({2, 1})}}));
    cases.push_back(make_case("QLinearConv", name + "_depthwise",
                              {bytes(dtype, {2, 4, 5, 5}), scale({}), any_zero({}),
                               bytes(dtype, {4, 1, 3, 3}), scale({}), any_zero({}), scale({}),
                               any_zero({})},
                              {{"group", integer(4)}}));
  }
  cases.push_back(known_case(
      "QLinearMatMul", "known",
      {given(DataType::kU8, {1, 2}, {10, 20}), given(DataType::kF32, {}, {0.5}),
       given(DataType::kU8, {}, {8}), given(DataType::kU8, {2, 1}, {3, 1}),
       given(DataType::kF32, {}, {2}), given(DataType::kU8, {}, {0}),
       given(DataType::kF32, {}, {4}), given(DataType::kU8, {}, {1})},
      {{5}}));  // (2 * 3 + 12 * 1) * 0.5 * 2 / 4 = 4.5, the even neighbour 4, plus 1
  return cases;
}

}  // namespace planish::ops
