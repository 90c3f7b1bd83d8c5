// Cases of the operators that move elements: every element type, ranks 0 to 6, dims of 0 and 1, odd
// tails, negative axes and steps.
#include "ops/case_builder.h"

namespace planish::ops {
namespace {

constexpr DataType kEveryWidth[] = {DataType::kF32, DataType::kF16,  DataType::kF64,
                                    DataType::kI8,  DataType::kI64,  DataType::kBool,
                                    DataType::kU16, DataType::kBF16, DataType::kF8E4M3Fn,
                                    DataType::kI4};

InputCase numbers(std::vector<int64_t> dims, DataType dtype = DataType::kF32) {
  const bool is_bool = dtype == DataType::kBool;
  return random(dtype, std::move(dims), is_bool ? 0 : -7, is_bool ? 1 : 7);
}

void add_views(CaseList& cases) {
  cases.push_back(make_case("Reshape", "unknown", {numbers({2, 3, 4}), constant_i64({-1, 6})}));
  cases.push_back(make_case("Reshape", "copied", {numbers({2, 3, 4}), constant_i64({0, -1})}));
  cases.push_back(make_case("Reshape", "scalar", {numbers({1, 1}), constant_i64({})}));
  cases.push_back(make_case("Reshape", "empty", {numbers({0, 3}), constant_i64({3, 0})},
                            {{"allowzero", integer(1)}}));
  cases.push_back(make_case("Reshape", "run_time",
                            {numbers({2, 6}), given(DataType::kI64, {2}, {3, 4})}));
  cases.push_back(make_case("Squeeze", "axes", {numbers({1, 3, 1, 5}), constant_i64({0, -2})}));
  cases.push_back(make_case("Squeeze", "all", {numbers({1, 3, 1, 5})}));
  cases.push_back(make_case("Unsqueeze", "ends", {numbers({3, 5}), constant_i64({0, -1})}));
  cases.push_back(make_case("Unsqueeze", "scalar", {numbers({}), constant_i64({0})}));
  for (int64_t axis : {0, 1, 3, 4, -1}) {
    cases.push_back(make_case("Flatten", "axis_" + std::to_string(axis + 1),
                              {numbers({2, 3, 4, 5})}, {{"axis", integer(axis)}}));
  }
}

void add_transposes(CaseList& cases) {
  auto add = [&](std::string name, std::vector<int64_t> dims, std::vector<int64_t> perm,
                 DataType dtype = DataType::kF32) {
    cases.push_back(make_case("Transpose", std::move(name), {numbers(std::move(dims), dtype)},
                              {{"perm", ints(std::move(perm))}}));
  };
  for (DataType dtype : kEveryWidth) add(std::string(ir::name_of(dtype)), {3, 5, 7}, {2, 0, 1}, dtype);
  add("matrix", {37, 53}, {1, 0});
  add("nchw_to_nhwc", {2, 19, 7, 9}, {0, 2, 3, 1});
  add("nhwc_to_nchw", {2, 7, 9, 19}, {0, 3, 1, 2});
  add("heads", {2, 17, 4, 8}, {0, 2, 1, 3});
  add("identity", {2, 3, 4}, {0, 1, 2});
  add("six_dims", {2, 3, 1, 4, 5, 2}, {5, 3, 1, 0, 2, 4});
  add("empty", {3, 0, 2}, {2, 1, 0});
  add("scalar", {}, {});
  add("large", {64, 129, 65}, {1, 2, 0});
}

void add_joins(CaseList& cases) {
  for (DataType dtype : kEveryWidth) {
    cases.push_back(make_case("Concat", std::string(ir::name_of(dtype)),
                              {numbers({3, 2, 5}, dtype), numbers({3, 3, 5}, dtype)},
                              {{"axis", integer(1)}}));
  }
  cases.push_back(make_case("Concat", "channels",
                            {numbers({2, 3, 5, 7}), numbers({2, 8, 5, 7}), numbers({2, 1, 5, 7})},
                            {{"axis", integer(1)}}));
  cases.push_back(make_case("Concat", "last", {numbers({4, 3}), numbers({4, 0}), numbers({4, 5})},
                            {{"axis", integer(-1)}}));
  cases.push_back(make_case("Concat", "one", {numbers({4, 3})}, {{"axis", integer(0)}}));
  cases.push_back(make_case("Split", "equal", {numbers({3, 12, 5})},
                            {{"axis", integer(1)}, {"num_outputs", integer(3)}}, 3));
  cases.push_back(make_case("Split", "uneven", {numbers({7, 3})}, {{"num_outputs", integer(3)}}, 3));
  cases.push_back(make_case("Split", "sizes", {numbers({3, 12}), constant_i64({5, 0, 7})},
                            {{"axis", integer(-1)}}, 3));
  cases.push_back(make_case("Split", "four_bits",
                            {numbers({3, 5}, DataType::kU4), constant_i64({2, 3})},
                            {{"axis", integer(1)}}, 2));
}

void add_slices(CaseList& cases) {
  auto add = [&](std::string name, std::vector<int64_t> dims, std::vector<double> starts,
                 std::vector<double> ends, std::vector<double> axes, std::vector<double> steps) {
    cases.push_back(make_case("Slice", std::move(name),
                              {numbers(std::move(dims)), constant_i64(std::move(starts)),
                               constant_i64(std::move(ends)), constant_i64(std::move(axes)),
                               constant_i64(std::move(steps))}));
  };
  add("rows", {9, 5, 3}, {2}, {7}, {0}, {1});
  add("inner", {9, 5, 17}, {1, 3}, {4, 99}, {1, 2}, {1, 2});
  add("backwards", {9, 5}, {-1}, {-99}, {0}, {-1});
  add("backwards_by_three", {10, 4}, {8}, {0}, {0}, {-3});
  add("from_the_back", {9, 5}, {-4}, {-1}, {-1}, {1});
  add("nothing", {9, 5}, {5}, {2}, {0}, {1});
  add("past_the_end", {9, 5}, {100}, {200}, {0}, {1});
  add("of_nothing", {0, 5}, {0}, {9}, {0}, {1});
  cases.push_back(known_case("Slice", "known",
                             {given(DataType::kF32, {5}, {0, 1, 2, 3, 4}), constant_i64({3}),
                              constant_i64({-6}), constant_i64({0}), constant_i64({-2})},
                             {{3, 1}}));
}

void add_pads(CaseList& cases) {
  for (const char* mode : {"constant", "edge", "reflect", "wrap"}) {
    auto add = [&](const char* name, std::vector<int64_t> dims, std::vector<double> pads) {
      cases.push_back(make_case("Pad", std::string(mode) + "_" + name,
                                {numbers(std::move(dims)), constant_i64(std::move(pads))},
                                {{"mode", text(mode)}}));
    };
    add("image", {2, 3, 5, 7}, {0, 0, 2, 1, 0, 0, 1, 3});
    add("line", {9}, {4, 3});
    add("cut", {5, 6}, {-1, 2, 2, -2});
  }
  cases.push_back(make_case("Pad", "value",
                            {numbers({3, 4}), constant_i64({1, 0, 0, 2}),
                             constant(DataType::kF32, {}, {1.5})}));
  cases.push_back(make_case("Pad", "axes",
                            {numbers({3, 4, 5}), constant_i64({1, 2}), absent(),
                             constant_i64({-1})}));
  cases.push_back(make_case("Pad", "bytes",
                            {numbers({3, 4}, DataType::kU8), constant_i64({1, 1, 1, 1}),
                             constant(DataType::kU8, {}, {7})}));
  cases.push_back(known_case("Pad", "known",
                             {given(DataType::kF32, {3}, {1, 2, 3}), constant_i64({2, 1})},
                             {{3, 2, 1, 2, 3, 2}}, {{"mode", text("reflect")}}));
}

void add_repeats(CaseList& cases) {
  cases.push_back(make_case("Expand", "rows", {numbers({1, 5}), constant_i64({7, 5})}));
  cases.push_back(make_case("Expand", "both_ways", {numbers({3, 1, 5}), constant_i64({4, 1})}));
  cases.push_back(make_case("Expand", "scalar", {numbers({}), constant_i64({2, 3})}));
  cases.push_back(make_case("Expand", "empty", {numbers({1, 3}), constant_i64({0, 3})}));
  cases.push_back(make_case("Expand", "bool",
                            {numbers({1, 1, 9}, DataType::kBool), constant_i64({2, 3, 9})}));
  cases.push_back(make_case("Tile", "matrix", {numbers({3, 5}), constant_i64({2, 3})}));
  cases.push_back(make_case("Tile", "nothing", {numbers({3, 5}), constant_i64({0, 1})}));
  cases.push_back(make_case("Tile", "four_dims", {numbers({1, 2, 3, 1}), constant_i64({2, 1, 2, 5})}));
  cases.push_back(make_case("Trilu", "upper", {numbers({2, 5, 7})}));
  cases.push_back(make_case("Trilu", "lower", {numbers({5, 3}), constant(DataType::kI64, {}, {-1})},
                            {{"upper", integer(0)}}));
  for (const char* mode : {"DCR", "CRD"}) {
    cases.push_back(make_case("DepthToSpace", mode, {numbers({2, 12, 3, 5})},
                              {{"blocksize", integer(2)}, {"mode", text(mode)}}));
    cases.push_back(make_case("SpaceToDepth", mode, {numbers({2, 3, 6, 9})},
                              {{"blocksize", integer(3)}, {"mode", text(mode)}}));
  }
  cases.push_back(make_case("ReverseSequence", "time_first",
                            {numbers({4, 3, 2}), given(DataType::kI64, {3}, {4, 0, 2})}));
  cases.push_back(make_case("ReverseSequence", "batch_first",
                            {numbers({3, 4}), given(DataType::kI64, {3}, {1, 3, 4})},
                            {{"batch_axis", integer(0)}, {"time_axis", integer(1)}}));
}

}  // namespace

CaseList movement_cases() {
  CaseList cases;
  add_views(cases);
  add_transposes(cases);
  add_joins(cases);
  add_slices(cases);
  add_pads(cases);
  add_repeats(cases);
  return cases;
}

}  // namespace planish::ops
