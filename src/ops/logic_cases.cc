#include <cmath>
#include <limits>

#include "ops/case_builder.h"

namespace planish::ops {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
const double kNan = std::numeric_limits<double>::quiet_NaN();

void add_comparisons(CaseList& cases) {
  for (const char* op : {"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"}) {
    for (DataType dtype : {DataType::kF32, DataType::kF16, DataType::kBF16, DataType::kF64,
                           DataType::kI8, DataType::kU8, DataType::kI32, DataType::kI64})
      cases.push_back(make_case(op, "broadcast",
                                {random(dtype, {3, 1, 5}, 0, 3), random(dtype, {4, 1}, 0, 3)}));
    cases.push_back(make_case(op, "empty", {random({0, 3}), random({3})}));
  }
  auto a = given(DataType::kF32, {4}, {1, kNan, 2, 3}), b = given(DataType::kF32, {4}, {1, 1, 3, kNan});
  cases.push_back(known_case("Equal", "nan", {a, b}, {{1, 0, 0, 0}}));
  cases.push_back(known_case("Less", "nan", {a, b}, {{0, 0, 1, 0}}));
  cases.push_back(known_case("GreaterOrEqual", "nan", {a, b}, {{1, 0, 0, 0}}));
  auto x = given(DataType::kF32, {5}, {1, kInf, -kInf, kNan, 0});
  cases.push_back(known_case("IsNaN", "known", {x}, {{0, 0, 0, 1, 0}}));
  ir::Attributes both = {{"detect_negative", integer(1)}, {"detect_positive", integer(1)}};
  ir::Attributes negative = {{"detect_negative", integer(1)}, {"detect_positive", integer(0)}};
  cases.push_back(known_case("IsInf", "both", {x}, {{0, 1, 1, 0, 0}}, both));
  cases.push_back(known_case("IsInf", "negative", {x}, {{0, 0, 1, 0, 0}}, negative));
}

void add_variadic(CaseList& cases) {
  for (const char* op : {"Max", "Mean", "Min", "Sum"}) {
    cases.push_back(make_case(op, "one", {random({3, 5})}));
    cases.push_back(make_case(op, "three", {random({3, 5}), random({5}), random({2, 1, 1})}));
    cases.push_back(make_case(op, "f16", {random(DataType::kF16, {33}), random(DataType::kF16, {33})}));
  }
  for (const char* op : {"Max", "Min"})
    for (DataType dtype : {DataType::kI8, DataType::kU16, DataType::kI32, DataType::kI64})
      cases.push_back(make_case(op, "integer", {random(dtype, {9}, 0, 9), random(dtype, {9}, 0, 9)}));
  cases.push_back(known_case("Max", "nan", {given(DataType::kF32, {2}, {1, kNan}),
                                            given(DataType::kF32, {2}, {2, 2})},
                             {{2, kNan}}));
}

void add_selection(CaseList& cases) {
  cases.push_back(make_case("Where", "broadcast", {random(DataType::kBool, {3, 1, 4}, 0, 1),
                                                   random({2, 4}), random({3, 2, 1})}));
  for (DataType dtype : {DataType::kI64, DataType::kU8, DataType::kF16, DataType::kBool})
    cases.push_back(make_case("Where", "type", {random(DataType::kBool, {7}, 0, 1),
                                                random(dtype, {7}, 0, 1), random(dtype, {7}, 0, 1)}));
  auto x = given(DataType::kF32, {5}, {-2, -1, 0, 1, 2});
  auto low = constant(DataType::kF32, {}, {-1}), high = constant(DataType::kF32, {}, {1});
  cases.push_back(known_case("Clip", "both", {x, low, high}, {{-1, -1, 0, 1, 1}}));
  cases.push_back(known_case("Clip", "low", {x, low}, {{-1, -1, 0, 1, 2}}));
  cases.push_back(known_case("Clip", "high", {x, absent(), high}, {{-2, -1, 0, 1, 1}}));
  cases.push_back(known_case("Clip", "none", {x}, {{-2, -1, 0, 1, 2}}));
  cases.push_back(known_case("Clip", "crossed", {x, high, low}, {{-1, -1, -1, -1, -1}}));
  cases.push_back(make_case("Clip", "i8", {random(DataType::kI8, {33}, -90, 90),
                                           constant(DataType::kI8, {}, {-10}),
                                           constant(DataType::kI8, {}, {20})}));
}

void add_casts(CaseList& cases) {
  constexpr DataType kTypes[] = {DataType::kF32, DataType::kF16, DataType::kBF16, DataType::kF64,
                                 DataType::kI8, DataType::kU8, DataType::kI32, DataType::kI64,
                                 DataType::kBool};
  for (DataType from : kTypes)
    for (DataType to : kTypes)
      cases.push_back(make_case("Cast", std::string(ir::name_of(from)) + "_to_" +
                                            std::string(ir::name_of(to)),
                                {random(from, {3, 11}, 0, from == DataType::kBool ? 1 : 100)},
                                {{"to", to}}));
  cases.push_back(known_case("Cast", "truncates", {given(DataType::kF32, {4}, {-1.7, -0.2, 0.9, 2.5})},
                             {{-1, 0, 0, 2}}, {{"to", DataType::kI32}}));
  cases.push_back(known_case("Cast", "wraps", {given(DataType::kI32, {3}, {200, -200, 256})},
                             {{-56, 56, 0}}, {{"to", DataType::kI8}}));
  cases.push_back(known_case("Cast", "f8_saturates", {given(DataType::kF32, {3}, {1e6, -1e6, 0.3})},
                             {{448, -448, 0.3125}}, {{"to", DataType::kF8E4M3Fn}}));
  cases.push_back(make_case("NarrowCast", "to_infinity", {random(DataType::kF32, {3, 5}, -500, 500)},
                            {{"to", DataType::kF8E4M3Fn}, {"saturate", integer(0)}}));
  cases.push_back(known_case("BitCast", "f32_to_i32", {given(DataType::kF32, {2}, {1, -2})},
                             {{0x3f800000, -1073741824.0}}, {{"to", DataType::kI32}}));
  for (DataType dtype : {DataType::kF32, DataType::kI64, DataType::kBool})
    cases.push_back(make_case("Identity", "type", {random(dtype, {5, 3}, 0, 1)}));
}

}  // namespace

CaseList logic_cases() {
  CaseList cases;
  add_comparisons(cases);
  add_variadic(cases);
  add_selection(cases);
  add_casts(cases);
  return cases;
}

}  // namespace planish::ops
