#include "ops/case_builder.h"

namespace planish::ops {
namespace {

struct PoolRow {
  const char* name;
  std::vector<int64_t> x;
  ir::Attributes attrs;
};

const std::vector<PoolRow>& rows() {
  static const std::vector<PoolRow> kRows = {
      {"2x2_stride_2", {2, 5, 8, 6}, {{"kernel_shape", ints({2, 2})}, {"strides", ints({2, 2})}}},
      {"3x3_padded", {1, 7, 9, 11}, {{"kernel_shape", ints({3, 3})}, {"strides", ints({2, 2})},
                                     {"pads", ints({1, 1, 1, 1})}}},
      {"3x3_ceil", {1, 4, 8, 10}, {{"kernel_shape", ints({3, 3})}, {"strides", ints({2, 2})},
                                   {"ceil_mode", integer(1)}}},
      {"ceil_into_padding", {1, 2, 7, 7}, {{"kernel_shape", ints({1, 1})}, {"strides", ints({2, 2})},
                                           {"pads", ints({0, 0, 1, 1})}, {"ceil_mode", integer(1)}}},
      {"dilated", {1, 3, 9, 9}, {{"kernel_shape", ints({2, 2})}, {"dilations", ints({3, 2})}}},
      {"same_upper", {1, 3, 7, 6}, {{"kernel_shape", ints({3, 3})}, {"strides", ints({2, 2})},
                                    {"auto_pad", text("SAME_UPPER")}}},
      {"same_lower", {1, 3, 7, 6}, {{"kernel_shape", ints({2, 2})}, {"auto_pad", text("SAME_LOWER")}}},
      {"whole_image", {2, 3, 5, 5}, {{"kernel_shape", ints({5, 5})}}},
      {"one_element", {1, 1, 1, 1}, {{"kernel_shape", ints({1, 1})}}},
      {"empty_batch", {0, 3, 4, 4}, {{"kernel_shape", ints({2, 2})}}},
      {"1d", {2, 3, 17}, {{"kernel_shape", ints({3})}, {"strides", ints({2})}}},
      {"3d", {1, 2, 5, 6, 7}, {{"kernel_shape", ints({2, 3, 2})}, {"pads", ints({0, 1, 0, 1, 1, 1})}}},
      {"batch_128", {128, 8, 7, 7}, {{"kernel_shape", ints({3, 3})}, {"strides", ints({2, 2})},
                                     {"pads", ints({1, 1, 1, 1})}}},
      {"large", {1, 32, 56, 56}, {{"kernel_shape", ints({3, 3})}, {"strides", ints({2, 2})},
                                  {"pads", ints({1, 1, 1, 1})}}},
  };
  return kRows;
}

}  // namespace

CaseList pool_cases() {
  CaseList cases;
  for (const PoolRow& row : rows()) {
    cases.push_back(make_case("MaxPool", row.name, {random(row.x)}, row.attrs, 1));
    cases.push_back(make_case("MaxPool", std::string(row.name) + "_indices", {random(row.x)}, row.attrs, 2));
    cases.push_back(make_case("AveragePool", row.name, {random(row.x)}, row.attrs));
    ir::Attributes with_padding = row.attrs;
    with_padding["count_include_pad"] = integer(1);
    cases.push_back(make_case("AveragePool", std::string(row.name) + "_with_padding", {random(row.x)}, with_padding));
    cases.push_back(make_case("LpPool", row.name, {random(row.x)}, row.attrs));
  }
  for (const char* op : {"GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"})
    for (DataType dtype : {DataType::kF32, DataType::kF16}) {
      cases.push_back(make_case(op, "2d", {random(dtype, {2, 5, 7, 7})}));
      cases.push_back(make_case(op, "1d", {random(dtype, {2, 5, 9})}));
    }
  for (DataType dtype : {DataType::kI8, DataType::kU8})
    cases.push_back(make_case("MaxPool", "bytes", {random(dtype, {1, 3, 6, 6}, 0, 99)}, rows()[0].attrs));
  auto x = given(DataType::kF32, {1, 1, 3, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9});
  cases.push_back(known_case("MaxPool", "known", {x}, {{5, 6, 8, 9}, {4, 5, 7, 8}},
                             {{"kernel_shape", ints({2, 2})}}));
  cases.push_back(known_case("MaxPool", "known_column_major", {x}, {{5, 6, 8, 9}, {4, 7, 5, 8}},
                             {{"kernel_shape", ints({2, 2})}, {"storage_order", integer(1)}}));
  cases.push_back(known_case("AveragePool", "known_padded", {x}, {{3, 3.5, 4, 4.5, 5, 5.5, 6, 6.5, 7}},
                             {{"kernel_shape", ints({3, 3})}, {"pads", ints({1, 1, 1, 1})}}));
  cases.push_back(known_case("MaxUnpool", "known",
                             {given(DataType::kF32, {1, 1, 2, 2}, {1, 2, 3, 4}),
                              given(DataType::kI64, {1, 1, 2, 2}, {5, 7, 13, 15})},
                             {{0, 0, 0, 0, 0, 1, 0, 2, 0, 0, 0, 0, 0, 3, 0, 4}},
                             {{"kernel_shape", ints({2, 2})}, {"strides", ints({2, 2})}}));
  return cases;
}

}  // namespace planish::ops
