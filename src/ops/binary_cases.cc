#include "ops/case_builder.h"

namespace planish::ops {
namespace {

void add_arithmetic(CaseList& cases) {
  for (const char* op : {"Add", "Div", "Mul", "Sub"}) {
    auto add = [&](const char* name, DataType dtype, std::vector<int64_t> a, std::vector<int64_t> b) {
      cases.push_back(make_case(op, name, {random(dtype, std::move(a), -3, 3),
                                           random(dtype, std::move(b), 1, 5)}));
    };
    add("same", DataType::kF32, {2, 3, 17}, {2, 3, 17});
    add("scalar_right", DataType::kF32, {5, 9}, {});
    add("scalar_left", DataType::kF32, {}, {5, 9});
    add("channel", DataType::kF32, {2, 7, 5, 3}, {7, 1, 1});
    add("both_stretch", DataType::kF32, {4, 1, 6}, {5, 1});
    add("inner_row", DataType::kF16, {3, 33}, {33});
    add("bf16", DataType::kBF16, {3, 9}, {3, 1});
    add("f64", DataType::kF64, {3, 9}, {3, 1});
    add("empty", DataType::kF32, {3, 0}, {1});
    add("large", DataType::kF32, {64, 257}, {257});
    for (DataType dtype : {DataType::kI8, DataType::kU8, DataType::kI16, DataType::kI32,
                           DataType::kI64, DataType::kU32, DataType::kU64})
      cases.push_back(make_case(op, "integer",
                                {random(dtype, {3, 11}, 0, 90), random(dtype, {11}, 1, 9)}));
  }
  cases.push_back(known_case("Div", "truncates",
                             {given(DataType::kI32, {4}, {-7, 7, -7, 7}),
                              given(DataType::kI32, {4}, {2, -2, -2, 2})},
                             {{-3, -3, 3, 3}}));
  cases.push_back(known_case("Add", "wraps",
                             {given(DataType::kI8, {2}, {100, -100}),
                              given(DataType::kI8, {2}, {100, -100})},
                             {{-56, 56}}));
}

void add_mod_and_pow(CaseList& cases) {
  auto a = given(DataType::kI32, {6}, {-4, 7, 5, 4, -7, 8});
  auto b = given(DataType::kI32, {6}, {2, -3, 8, -2, 3, 5});
  cases.push_back(known_case("Mod", "floored", {a, b}, {{0, -2, 5, 0, 2, 3}}, {{"fmod", integer(0)}}));
  cases.push_back(known_case("Mod", "truncated", {a, b}, {{0, 1, 5, 0, -1, 3}}, {{"fmod", integer(1)}}));
  cases.push_back(known_case("Mod", "floats",
                             {given(DataType::kF32, {4}, {-4.25, 7.25, 5.0, -5.5}),
                              given(DataType::kF32, {4}, {2.0, -3.5, 8.0, 3.0})},
                             {{-0.25, 0.25, 5.0, -2.5}}, {{"fmod", integer(1)}}));
  cases.push_back(make_case("Pow", "floats",
                            {random(DataType::kF32, {3, 7}, 0.5, 3), random(DataType::kF32, {7}, -2, 2)}));
  cases.push_back(make_case("Pow", "f16_base_i32_exponent",
                            {random(DataType::kF16, {9}, 0.5, 2), random(DataType::kI32, {9}, 0, 3)}));
  cases.push_back(known_case("Pow", "integers",
                             {given(DataType::kI64, {4}, {1, 2, 3, -2}),
                              given(DataType::kI64, {4}, {9, 10, 4, 3})},
                             {{1, 1024, 81, -8}}));
  cases.push_back(known_case("Pow", "integer_base_float_exponent",
                             {given(DataType::kI32, {3}, {1, 4, 9}), given(DataType::kF32, {}, {0.5})},
                             {{1, 2, 3}}));
}

void add_bits_and_logic(CaseList& cases) {
  for (const char* op : {"BitwiseAnd", "BitwiseOr", "BitwiseXor"})
    for (DataType dtype : {DataType::kU8, DataType::kI16, DataType::kI32, DataType::kI64})
      cases.push_back(make_case(op, "broadcast",
                                {random(dtype, {3, 11}, 0, 120), random(dtype, {11}, 0, 120)}));
  for (const char* op : {"And", "Or", "Xor"})
    cases.push_back(make_case(op, "broadcast", {random(DataType::kBool, {3, 5, 4}, 0, 1),
                                                random(DataType::kBool, {5, 1}, 0, 1)}));
  cases.push_back(known_case("BitShift", "left", {given(DataType::kU8, {3}, {16, 4, 1}),
                                                  given(DataType::kU8, {3}, {1, 2, 9})},
                             {{32, 16, 0}}, {{"direction", text("LEFT")}}));
  cases.push_back(known_case("BitShift", "right_signed", {given(DataType::kI32, {4}, {-16, 16, -1, 5}),
                                                          given(DataType::kI32, {4}, {2, 2, 40, -1})},
                             {{-4, 4, -1, 0}}, {{"direction", text("RIGHT")}}));
}

}  // namespace

CaseList binary_cases() {
  CaseList cases;
  add_arithmetic(cases);
  add_mod_and_pow(cases);
  add_bits_and_logic(cases);
  return cases;
}

}  // namespace planish::ops
