#include "ops/case_builder.h"

namespace planish::ops {
namespace {

void add_reductions(CaseList& cases) {
  for (const char* op : {"ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax",
                         "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare"}) {
    auto add = [&](const char* name, DataType dtype, std::vector<int64_t> dims, std::vector<double> axes,
                   bool keep) {
      std::vector<InputCase> inputs = {random(dtype, std::move(dims), 0.5, 2)};
      if (!axes.empty()) inputs.push_back(constant_i64(std::move(axes)));
      cases.push_back(make_case(op, name, std::move(inputs), {{"keepdims", integer(keep)}}));
    };
    add("last", DataType::kF32, {3, 5, 17}, {-1}, true);
    add("first", DataType::kF32, {9, 7}, {0}, false);
    add("spatial", DataType::kF32, {2, 3, 7, 5}, {2, 3}, true);
    add("ends", DataType::kF32, {3, 4, 5}, {0, 2}, false);
    add("all", DataType::kF32, {3, 4, 5}, {}, false);
    add("one", DataType::kF32, {6, 1}, {1}, true);
    add("f16", DataType::kF16, {4, 33}, {1}, true);
    add("f64", DataType::kF64, {4, 33}, {1}, true);
    add("large", DataType::kF32, {64, 1031}, {1}, false);
    if (std::string(op) != "ReduceMean")
      add("empty", DataType::kF32, {3, 0}, {1}, false);
  }
  for (const char* op : {"ReduceMax", "ReduceMin", "ReduceProd", "ReduceSum"})
    for (DataType dtype : {DataType::kI32, DataType::kI64})
      cases.push_back(make_case(op, "integer", {random(dtype, {3, 7}, -4, 4), constant_i64({1})}));
  for (const char* op : {"ReduceMax", "ReduceMin"})
    cases.push_back(make_case(op, "bool", {random(DataType::kBool, {3, 7}, 0, 1), constant_i64({1})}));
  auto x = given(DataType::kF32, {2, 2}, {1, 2, 3, 4});
  cases.push_back(known_case("ReduceSum", "known", {x, constant_i64({0})}, {{4, 6}}));
  cases.push_back(known_case("ReduceSumSquare", "noop", {x}, {{1, 4, 9, 16}}, {{"noop_with_empty_axes", integer(1)}}));
  cases.push_back(known_case("ReduceLogSumExp", "far_apart",
                             {given(DataType::kF32, {2}, {-10000, 1000}), constant_i64({0})}, {{1000}}));
}

void add_positions(CaseList& cases) {
  for (const char* op : {"ArgMax", "ArgMin"}) {
    cases.push_back(make_case(op, "last", {random({3, 5, 17})}, {{"axis", integer(-1)}}));
    cases.push_back(make_case(op, "middle_dropped", {random({3, 5, 7})}, {{"axis", integer(1)}, {"keepdims", integer(0)}}));
    cases.push_back(make_case(op, "i32", {random(DataType::kI32, {9, 4}, 0, 5)}, {{"axis", integer(0)}}));
    cases.push_back(make_case(op, "last_of_equals", {random(DataType::kI8, {3, 33}, 0, 3)},
                              {{"axis", integer(1)}, {"select_last_index", integer(1)}}));
  }
  cases.push_back(known_case("ArgMax", "ties", {given(DataType::kF32, {4}, {2, 5, 5, 1})}, {{1}}));
  for (int64_t largest : {0, 1})
    for (int64_t axis : {0, 1, -1})
      cases.push_back(make_case("TopK", "k3", {random({5, 4, 9}), constant_i64({3})},
                                {{"axis", integer(axis)}, {"largest", integer(largest)}}, 2));
  cases.push_back(known_case("TopK", "ties", {given(DataType::kI32, {5}, {3, 1, 3, 2, 3}), constant_i64({3})},
                             {{3, 3, 3}, {0, 2, 4}}));
  cases.push_back(make_case("TopK", "none", {random({3, 5}), constant_i64({0})}, {}, 2));
}

void add_running(CaseList& cases) {
  for (const char* op : {"CumSum", "CumProd"})
    for (int64_t exclusive : {0, 1})
      for (int64_t reverse : {0, 1}) {
        ir::Attributes attrs = {{"exclusive", integer(exclusive)}, {"reverse", integer(reverse)}};
        cases.push_back(make_case(op, "f32", {random(DataType::kF32, {3, 9}, 0.5, 1.5), constant(DataType::kI64, {}, {1})}, attrs));
        cases.push_back(make_case(op, "i32", {random(DataType::kI32, {5, 3}, 1, 3), constant(DataType::kI32, {}, {0})}, attrs));
      }
  cases.push_back(known_case("CumSum", "known", {given(DataType::kI64, {4}, {1, 2, 3, 4}), constant(DataType::kI64, {}, {0})},
                             {{9, 7, 4, 0}}, {{"exclusive", integer(1)}, {"reverse", integer(1)}}));
}

}  // namespace

CaseList reduce_cases() {
  CaseList cases;
  add_reductions(cases);
  add_positions(cases);
  add_running(cases);
  return cases;
}

}  // namespace planish::ops
