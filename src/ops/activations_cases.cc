#include "ops/case_builder.h"

namespace planish::ops {

CaseList activations_cases() {
  CaseList cases;
  struct Row {
    const char* op;
    const char* name;
    ir::Attributes attrs;
  };
  const Row rows[] = {
      {"Celu", "default", {{"alpha", real(1)}}},
      {"Celu", "alpha_half", {{"alpha", real(0.5)}}},
      {"Elu", "default", {{"alpha", real(1)}}},
      {"Elu", "alpha_two", {{"alpha", real(2)}}},
      {"Gelu", "erf", {{"approximate", text("none")}}},
      {"Gelu", "tanh", {{"approximate", text("tanh")}}},
      {"HardSigmoid", "default", {{"alpha", real(0.2)}, {"beta", real(0.5)}}},
      {"HardSwish", "default", {}},
      {"LeakyRelu", "slope_tenth", {{"alpha", real(0.1)}}},
      {"Mish", "default", {}},
      {"Relu", "default", {}},
      {"Selu", "default", {{"alpha", real(1.6732632)}, {"gamma", real(1.050701)}}},
      {"Shrink", "default", {{"bias", real(0.25)}, {"lambd", real(0.5)}}},
      {"Softsign", "default", {}},
      {"Swish", "default", {{"alpha", real(1)}}},
      {"Swish", "alpha_two", {{"alpha", real(2)}}},
      {"ThresholdedRelu", "default", {{"alpha", real(0.7)}}},
  };
  for (const Row& row : rows) {
    auto add = [&](const char* form, DataType dtype, std::vector<int64_t> dims) {
      cases.push_back(make_case(row.op, std::string(row.name) + "_" + form,
                                {random(dtype, std::move(dims), -4, 4)}, row.attrs));
    };
    add("f32", DataType::kF32, {2, 3, 17});
    add("f16", DataType::kF16, {5, 7});
    add("bf16", DataType::kBF16, {33});
    add("scalar", DataType::kF32, {});
    add("empty", DataType::kF32, {2, 0, 3});
    add("large", DataType::kF32, {16, 1031});
  }
  cases.push_back(make_case("Relu", "i32", {random(DataType::kI32, {7, 5}, -9, 9)}));
  cases.push_back(make_case("PRelu", "per_channel", {random({2, 5, 7, 3}), random({5, 1, 1})}));
  cases.push_back(make_case("PRelu", "scalar_slope", {random({2, 5, 7}), random({1})}));
  cases.push_back(make_case("PRelu", "f16", {random(DataType::kF16, {3, 9}, -2, 2),
                                             random(DataType::kF16, {9}, 0, 1)}));
  for (DataType dtype : {DataType::kF32, DataType::kF16, DataType::kBF16})
    cases.push_back(make_case("SwiGLU", "same_shapes",
                              {random(dtype, {3, 33}, -3, 3), random(dtype, {3, 33}, -3, 3)},
                              {{"alpha", real(1)}}));
  auto five = given(DataType::kF32, {5}, {-3, -1, 0, 1, 3});
  cases.push_back(known_case("HardSwish", "known", {five},
                             {{0, -1.0 / 3, 0, 2.0 / 3, 3}}));
  cases.push_back(known_case("Gelu", "known_erf", {given(DataType::kF32, {3}, {-1, 0, 1})},
                             {{-0.15865525393145707, 0, 0.8413447460685429}},
                             {{"approximate", text("none")}}));
  cases.push_back(known_case("Mish", "known", {given(DataType::kF32, {2}, {0, 1})},
                             {{0, 0.8650983882673103}}));
  cases.push_back(known_case("Celu", "known", {five},
                             {{-1.5537396797031404, -0.7869386805747332, 0, 1, 3}},
                             {{"alpha", real(2)}}));
  cases.push_back(known_case("Shrink", "known", {five}, {{-1.5, 0, 0, 0, 1.5}},
                             {{"bias", real(1.5)}, {"lambd", real(1.5)}}));
  cases.push_back(known_case("ThresholdedRelu", "known", {five}, {{0, 0, 0, 0, 3}},
                             {{"alpha", real(2)}}));
  return cases;
}

}  // namespace planish::ops
