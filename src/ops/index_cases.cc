// Cases of the operators that take indices or whose output sizes are data: gathers, scatters,
// OneHot, NonZero, Compress, Unique, and the tensors made of dims alone.
#include "ops/case_builder.h"

namespace planish::ops {
namespace {

InputCase indices(std::vector<int64_t> dims, double size, DataType dtype = DataType::kI64) {
  return random(dtype, std::move(dims), -size, size - 1);
}

void add_gathers(CaseList& cases) {
  for (DataType dtype : {DataType::kF32, DataType::kF16, DataType::kI8, DataType::kI64,
                         DataType::kBool, DataType::kU4}) {
    cases.push_back(make_case("Gather", std::string(ir::name_of(dtype)),
                              {random(dtype, {7, 5}, 0, 1), indices({3, 2}, 7)},
                              {{"axis", integer(0)}}));
  }
  cases.push_back(make_case("Gather", "embedding", {random({33, 24}), indices({2, 9}, 33)}));
  cases.push_back(make_case("Gather", "scalar", {random({4, 6}), indices({}, 6)},
                            {{"axis", integer(-1)}}));
  cases.push_back(make_case("Gather", "middle",
                            {random({2, 5, 3}), indices({4}, 5, DataType::kI32)},
                            {{"axis", integer(1)}}));
  cases.push_back(make_case("Gather", "no_index", {random({5, 3}), random(DataType::kI64, {0}, 0, 0)}));
  cases.push_back(make_case("GatherElements", "rows", {random({5, 3}), indices({2, 3}, 5)}));
  cases.push_back(make_case("GatherElements", "columns", {random({5, 3}), indices({4, 7}, 3)},
                            {{"axis", integer(1)}}));
  cases.push_back(make_case("GatherND", "elements", {random({3, 4}), indices({5, 2}, 3)}));
  cases.push_back(make_case("GatherND", "slices", {random({3, 4, 5}), indices({2, 2, 1}, 3)}));
  cases.push_back(make_case("GatherND", "batched", {random({2, 3, 4}), indices({2, 5, 1}, 3)},
                            {{"batch_dims", integer(1)}}));
}

void add_scatters(CaseList& cases) {
  // Distinct indices where the order of the updates would matter.
  for (const char* reduction : {"none", "add", "mul", "max", "min"}) {
    cases.push_back(make_case(
        "ScatterElements", reduction,
        {random({5, 3}), given(DataType::kI64, {2, 3}, {0, 4, -1, 2, 1, 0}), random({2, 3})},
        {{"reduction", text(reduction)}}));
    cases.push_back(make_case("ScatterND", reduction,
                              {random({5, 3}), given(DataType::kI64, {2, 1}, {3, 0}), random({2, 3})},
                              {{"reduction", text(reduction)}}));
  }
  cases.push_back(make_case("ScatterElements", "repeated",
                            {random({6}), given(DataType::kI64, {4}, {1, 1, 1, 5}), random({4})},
                            {{"reduction", text("add")}}));
  cases.push_back(make_case("ScatterElements", "integers",
                            {random(DataType::kI32, {2, 5}, -9, 9),
                             given(DataType::kI32, {2, 2}, {0, 4, 2, 1}),
                             random(DataType::kI32, {2, 2}, -9, 9)},
                            {{"reduction", text("mul")}, {"axis", integer(-1)}}));
  cases.push_back(make_case("ScatterND", "elements",
                            {random({4, 4}), given(DataType::kI64, {3, 2}, {0, 1, 2, 3, 3, 0}),
                             random({3})}));
}

void add_data_sized(CaseList& cases) {
  cases.push_back(known_case("NonZero", "known",
                             {given(DataType::kF32, {2, 3}, {0, 1, 0, 2, 0, -3})},
                             {{0, 1, 1, 1, 0, 2}}));
  cases.push_back(make_case("NonZero", "none", {random(DataType::kI32, {3, 4}, 0, 0)}));
  cases.push_back(make_case("NonZero", "scalar", {given(DataType::kF32, {}, {5})}));
  cases.push_back(make_case("Compress", "rows",
                            {random({4, 3}), given(DataType::kBool, {3}, {1, 0, 1})},
                            {{"axis", integer(0)}}));
  cases.push_back(make_case("Compress", "flat",
                            {random({4, 3}), given(DataType::kBool, {5}, {0, 1, 0, 0, 1})}));
  cases.push_back(known_case("Unique", "sorted", {given(DataType::kF32, {6}, {2, 1, 1, 3, 4, 3})},
                             {{1, 2, 3, 4}, {1, 0, 3, 4}, {1, 0, 0, 2, 3, 2}, {2, 1, 2, 1}}));
  cases.push_back(known_case("Unique", "in_order", {given(DataType::kF32, {6}, {2, 1, 1, 3, 4, 3})},
                             {{2, 1, 3, 4}, {0, 1, 3, 4}, {0, 1, 1, 2, 3, 2}, {1, 2, 2, 1}},
                             {{"sorted", integer(0)}}));
  cases.push_back(make_case("Unique", "columns", {random(DataType::kI32, {2, 9}, 0, 1)},
                            {{"axis", integer(1)}}, 4));
  cases.push_back(make_case("Unique", "empty", {random({0})}, {}, 4));
  cases.push_back(known_case("OneHot", "known",
                             {given(DataType::kI64, {3}, {1, -1, 5}),
                              constant(DataType::kI64, {}, {3}),
                              constant(DataType::kF32, {2}, {2, 5})},
                             {{2, 5, 2, 2, 2, 5, 2, 2, 2}}));
  cases.push_back(make_case("OneHot", "first",
                            {indices({2, 3}, 4, DataType::kI32), constant(DataType::kI64, {1}, {4}),
                             constant(DataType::kF32, {2}, {0, 1})},
                            {{"axis", integer(0)}}));
}

void add_dims_alone(CaseList& cases) {
  cases.push_back(known_case("Shape", "all", {random({2, 0, 3})}, {{2, 0, 3}}));
  cases.push_back(known_case("Shape", "part", {random({2, 5, 3})}, {{5}},
                             {{"start", integer(-2)}, {"end", integer(-1)}}));
  cases.push_back(known_case("Size", "known", {random({2, 5, 3})}, {{30}}));
  auto range = [&](const char* name, DataType dtype, double start, double limit, double delta) {
    cases.push_back(make_case("Range", name, {constant(dtype, {}, {start}),
                                              constant(dtype, {}, {limit}),
                                              constant(dtype, {}, {delta})}));
  };
  range("floats", DataType::kF32, 1, 5, 0.75);
  range("down", DataType::kI64, 9, -2, -3);
  range("nothing", DataType::kI32, 3, 3, 1);
  cases.push_back(make_case("ConstantOfShape", "default", {constant_i64({2, 3})}));
  cases.push_back(make_case("Constant", "list", {},
                            {{"value", ir::Tensor::vector_i64(std::vector<int64_t>{3, 1, 2})}}));
  cases.push_back(make_case("EyeLike", "above", {random({4, 6})}, {{"k", integer(2)}}));
  cases.push_back(make_case("EyeLike", "outside", {random({3, 3})}, {{"k", integer(1000000000)}}));
}

}  // namespace

CaseList index_cases() {
  CaseList cases;
  add_gathers(cases);
  add_scatters(cases);
  add_data_sized(cases);
  add_dims_alone(cases);
  return cases;
}

}  // namespace planish::ops
