#include "ops/case_builder.h"

namespace planish::ops {

CaseList unary_cases() {
  CaseList cases;
  struct Row {
    const char* op;
    double low, high;
  };
  constexpr Row kRows[] = {
      {"Abs", -3, 3},     {"Acos", -1, 1},    {"Acosh", 1, 9},    {"Asin", -1, 1},
      {"Asinh", -3, 3},   {"Atan", -3, 3},    {"Atanh", -.9, .9}, {"Ceil", -3, 3},
      {"Cos", -7, 7},     {"Cosh", -3, 3},    {"Erf", -3, 3},     {"Exp", -3, 3},
      {"Floor", -3, 3},   {"Log", .1, 9},     {"Neg", -3, 3},     {"Reciprocal", .5, 4},
      {"Round", -3, 3},   {"Sigmoid", -6, 6}, {"Sign", -2, 2},    {"Sin", -7, 7},
      {"Sinh", -3, 3},    {"Softplus", -6, 6}, {"Sqrt", 0, 9},    {"Tan", -1.2, 1.2},
      {"Tanh", -3, 3},
  };
  for (const Row& row : kRows) {
    auto add = [&](const char* name, DataType dtype, std::vector<int64_t> dims) {
      cases.push_back(
          make_case(row.op, name, {random(dtype, std::move(dims), row.low, row.high)}));
    };
    add("f32", DataType::kF32, {2, 3, 17});
    add("f16", DataType::kF16, {5, 7});
    add("bf16", DataType::kBF16, {33});
    add("f64", DataType::kF64, {2, 9});
    add("scalar", DataType::kF32, {});
    add("empty", DataType::kF32, {2, 0, 3});
    add("large", DataType::kF32, {16, 1031});
  }
  for (DataType dtype : {DataType::kI8, DataType::kI16, DataType::kI32, DataType::kI64})
    for (const char* op : {"Abs", "Neg", "Sign"})
      cases.push_back(make_case(op, "integer", {random(dtype, {3, 11}, -9, 9)}));
  for (DataType dtype : {DataType::kU8, DataType::kU32, DataType::kI32, DataType::kI64})
    cases.push_back(make_case("BitwiseNot", "integer", {random(dtype, {3, 11}, 0, 99)}));
  cases.push_back(make_case("Not", "bool", {random(DataType::kBool, {3, 5}, 0, 1)}));
  cases.push_back(known_case(
      "Round", "halves_to_even",
      {given(DataType::kF32, {8}, {-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 2.4, 2.6})},
      {{-2, -2, 0, 0, 2, 2, 2, 3}}));
  cases.push_back(known_case("Sigmoid", "known", {given(DataType::kF32, {3}, {-1, 0, 1})},
                             {{0.2689414213699951, 0.5, 0.7310585786300049}}));
  cases.push_back(known_case("Erf", "known", {given(DataType::kF32, {3}, {-1, 0, 0.5})},
                             {{-0.8427007929497149, 0, 0.5204998778130465}}));
  cases.push_back(known_case("Softplus", "known", {given(DataType::kF32, {3}, {-1, 0, 1})},
                             {{0.31326168751822286, 0.6931471805599453, 1.3132616875182228}}));
  return cases;
}

}  // namespace planish::ops
