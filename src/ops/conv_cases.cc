#include "ops/case_builder.h"

namespace planish::ops {
namespace {

struct ConvRow {
  const char* name;
  std::vector<int64_t> x, w;
  std::vector<int64_t> strides, pads, dilations;
  int64_t group = 1;
  std::string auto_pad = "NOTSET";
};

ir::Attributes attrs_of(const ConvRow& row) {
  ir::Attributes attrs = {{"group", integer(row.group)}, {"auto_pad", text(row.auto_pad)}};
  if (!row.strides.empty()) attrs["strides"] = ints(row.strides);
  if (!row.pads.empty()) attrs["pads"] = ints(row.pads);
  if (!row.dilations.empty()) attrs["dilations"] = ints(row.dilations);
  return attrs;
}

std::vector<ConvRow> conv_rows() {
  return {
      {"3x3_same", {1, 16, 14, 14}, {32, 16, 3, 3}, {1, 1}, {1, 1, 1, 1}, {}},
      {"3x3_stride_2", {2, 8, 15, 13}, {12, 8, 3, 3}, {2, 2}, {1, 1, 1, 1}, {}},
      {"1x1", {2, 24, 7, 7}, {10, 24, 1, 1}, {}, {}, {}},
      {"1x1_stride_2", {1, 24, 7, 9}, {16, 24, 1, 1}, {2, 2}, {}, {}},
      {"7x7_stride_2", {1, 3, 29, 31}, {16, 3, 7, 7}, {2, 2}, {3, 3, 3, 3}, {}},
      {"5x5_valid", {1, 4, 9, 8}, {6, 4, 5, 5}, {}, {}, {}, 1, "VALID"},
      {"same_upper", {1, 4, 9, 8}, {6, 4, 3, 3}, {2, 2}, {}, {}, 1, "SAME_UPPER"},
      {"same_lower", {1, 4, 9, 8}, {6, 4, 4, 4}, {2, 2}, {}, {}, 1, "SAME_LOWER"},
      {"asymmetric_pads", {1, 5, 8, 7}, {7, 5, 3, 2}, {}, {0, 1, 2, 0}, {}},
      {"dilated", {1, 6, 13, 12}, {9, 6, 3, 3}, {1, 1}, {2, 2, 2, 2}, {2, 2}},
      {"grouped", {1, 12, 9, 9}, {18, 4, 3, 3}, {1, 1}, {1, 1, 1, 1}, {}, 3},
      {"depthwise", {2, 17, 10, 11}, {17, 1, 3, 3}, {1, 1}, {1, 1, 1, 1}, {}, 17},
      {"depthwise_stride_2", {1, 32, 15, 15}, {32, 1, 5, 5}, {2, 2}, {2, 2, 2, 2}, {}, 32},
      {"depthwise_multiplier", {1, 6, 8, 8}, {12, 1, 3, 3}, {}, {}, {}, 6},
      {"1x7", {1, 9, 8, 17}, {11, 9, 1, 7}, {1, 1}, {0, 3, 0, 3}, {}},
      {"one_channel", {1, 1, 6, 6}, {1, 1, 3, 3}, {}, {}, {}},
      {"one_position", {3, 5, 3, 3}, {4, 5, 3, 3}, {}, {}, {}},
      {"empty_batch", {0, 3, 8, 8}, {4, 3, 3, 3}, {}, {}, {}},
      {"1d", {2, 6, 33}, {5, 6, 5}, {2}, {2, 2}, {}},
      {"1d_dilated", {1, 4, 40}, {8, 4, 3}, {1}, {4, 4}, {4}},
      {"3d", {1, 3, 6, 7, 5}, {4, 3, 3, 3, 3}, {1, 2, 1}, {1, 1, 1, 1, 1, 1}, {}},
      {"3d_grouped", {1, 4, 5, 5, 5}, {6, 2, 2, 3, 1}, {}, {}, {}, 2},
      {"large", {1, 64, 28, 28}, {64, 64, 3, 3}, {1, 1}, {1, 1, 1, 1}, {}},
      {"batch_3", {3, 16, 9, 9}, {24, 16, 3, 3}, {1, 1}, {1, 1, 1, 1}, {}},
      {"batch_128", {128, 16, 5, 5}, {24, 16, 3, 3}, {1, 1}, {1, 1, 1, 1}, {}},
      {"batch_128_1x1", {128, 24, 4, 4}, {40, 24, 1, 1}, {}, {}, {}},
      {"batch_128_stem", {128, 3, 11, 11}, {16, 3, 7, 7}, {2, 2}, {3, 3, 3, 3}, {}},
      {"batch_128_depthwise", {128, 8, 6, 6}, {8, 1, 3, 3}, {1, 1}, {1, 1, 1, 1}, {}, 8},
  };
}

void add_transposed(CaseList& cases) {
  auto add = [&](const char* name, std::vector<int64_t> x, std::vector<int64_t> w,
                 ir::Attributes attrs, int64_t group = 1) {
    attrs["group"] = integer(group);
    std::vector<InputCase> inputs = {random(x), random(w)};
    cases.push_back(make_case("ConvTranspose", name, inputs, attrs));
    inputs.push_back(random({w[1] * group}));
    cases.push_back(make_case("ConvTranspose", std::string(name) + "_bias", inputs, attrs));
  };
  add("plain", {1, 4, 5, 6}, {4, 3, 3, 3}, {});
  add("stride_2", {2, 8, 7, 5}, {8, 6, 2, 2}, {{"strides", ints({2, 2})}});
  add("pads", {1, 5, 6, 6}, {5, 4, 4, 4}, {{"strides", ints({2, 2})}, {"pads", ints({1, 1, 1, 1})}});
  add("output_padding", {1, 3, 4, 5}, {3, 4, 3, 3},
      {{"strides", ints({3, 2})}, {"output_padding", ints({1, 1})}});
  add("output_shape", {1, 3, 3, 3}, {3, 2, 3, 3},
      {{"strides", ints({3, 2})}, {"output_shape", ints({10, 8})}});
  add("same_upper", {1, 3, 3, 4}, {3, 2, 3, 3},
      {{"strides", ints({2, 2})}, {"auto_pad", text("SAME_UPPER")}});
  add("dilated", {1, 2, 5, 5}, {2, 3, 2, 3}, {{"dilations", ints({2, 2})}});
  add("grouped", {1, 6, 5, 5}, {6, 2, 3, 3}, {{"strides", ints({2, 2})}}, 3);
  add("1d", {1, 3, 9}, {3, 4, 4}, {{"strides", ints({2})}});
  add("3d", {1, 2, 3, 4, 3}, {2, 3, 2, 3, 2}, {{"strides", ints({1, 2, 2})}});
}

void add_integer_and_deformable(CaseList& cases) {
  auto x = random(DataType::kU8, {1, 5, 9, 7}, 0, 255), w = random(DataType::kI8, {6, 5, 3, 3}, -128, 127);
  ir::Attributes attrs = {{"group", integer(1)}, {"pads", ints({1, 1, 1, 1})}};
  cases.push_back(make_case("ConvInteger", "no_zero_points", {x, w}, attrs));
  cases.push_back(make_case("ConvInteger", "zero_points",
                            {x, w, constant(DataType::kU8, {}, {128}),
                             constant(DataType::kI8, {6}, {0, 1, -2, 3, -4, 5})},
                            attrs));
  cases.push_back(make_case("DeformConv", "offset_groups",
                            {random({1, 4, 6, 5}), random({6, 2, 3, 3}), random(DataType::kF32, {1, 36, 4, 3}, -2, 2),
                             random({6}), random(DataType::kF32, {1, 18, 4, 3}, 0, 1)},
                            {{"group", integer(2)}, {"offset_group", integer(2)}}));
}

}  // namespace

CaseList conv_cases() {
  CaseList cases;
  for (const ConvRow& row : conv_rows()) {
    std::vector<InputCase> inputs = {random(row.x), random(row.w)};
    cases.push_back(make_case("Conv", row.name, inputs, attrs_of(row)));
    inputs.push_back(random({row.w[0]}));
    inputs[1].constant = inputs[2].constant = true;
    cases.push_back(make_case("Conv", std::string(row.name) + "_bias", inputs, attrs_of(row)));
  }
  for (DataType dtype : {DataType::kF16, DataType::kBF16, DataType::kF64})
    cases.push_back(make_case("Conv", "type", {random(dtype, {1, 8, 9, 9}), random(dtype, {8, 8, 3, 3})},
                              {{"group", integer(1)}, {"pads", ints({1, 1, 1, 1})}}));
  cases.push_back(known_case("Conv", "known",
                             {given(DataType::kF32, {1, 1, 3, 3}, {0, 1, 2, 3, 4, 5, 6, 7, 8}),
                              given(DataType::kF32, {1, 1, 2, 2}, {1, 2, 3, 4}), given(DataType::kF32, {1}, {10})},
                             {{37, 47, 67, 77}}, {{"group", integer(1)}}));
  cases.push_back(known_case("ConvTranspose", "known",
                             {given(DataType::kF32, {1, 1, 2, 2}, {1, 2, 3, 4}),
                              given(DataType::kF32, {1, 1, 2, 2}, {1, 10, 100, 1000})},
                             {{1, 12, 20, 103, 1234, 2040, 300, 3400, 4000}}, {{"group", integer(1)}}));
  add_transposed(cases);
  add_integer_and_deformable(cases);
  return cases;
}

}  // namespace planish::ops
