#include "ops/case_builder.h"

namespace planish::ops {
namespace {

void add_matmul(CaseList& cases) {
  auto add = [&](const char* name, std::vector<int64_t> a, std::vector<int64_t> b,
                 DataType dtype = DataType::kF32) {
    cases.push_back(make_case("MatMul", name, {random(dtype, std::move(a)), random(dtype, std::move(b))}));
  };
  add("square", {16, 16}, {16, 16});
  add("odd", {7, 13}, {13, 5});
  add("row_times_column", {1, 33}, {33, 1});
  add("outer", {17, 1}, {1, 9});
  add("batched", {3, 5, 8}, {3, 8, 7});
  add("shared_right", {2, 3, 6, 9}, {9, 4});
  add("shared_left", {6, 9}, {2, 3, 9, 4});
  add("batch_stretch", {2, 1, 4, 5}, {1, 3, 5, 6});
  add("vector_left", {9}, {2, 9, 4});
  add("vector_right", {2, 3, 9}, {9});
  add("vectors", {31}, {31});
  add("empty_rows", {0, 8}, {8, 3});
  add("empty_inner", {3, 0}, {0, 4});
  add("large", {128, 256}, {256, 192});
  add("batch_128", {128, 7, 32}, {128, 32, 8});
  add("batch_128_shared_right", {128, 3, 64}, {64, 40});
  add("f16", {9, 17}, {17, 11}, DataType::kF16);
  add("bf16", {9, 17}, {17, 11}, DataType::kBF16);
  add("f64", {9, 17}, {17, 11}, DataType::kF64);
  for (DataType dtype : {DataType::kI32, DataType::kI64, DataType::kU32})
    cases.push_back(make_case("MatMul", "integer", {random(dtype, {5, 7}, 0, 9), random(dtype, {7, 3}, 0, 9)}));
  cases.push_back(known_case("MatMul", "known",
                             {given(DataType::kF32, {2, 3}, {1, 2, 3, 4, 5, 6}),
                              given(DataType::kF32, {3, 2}, {1, 0, 0, 1, 2, 2})},
                             {{7, 8, 16, 17}}));
}

void add_gemm(CaseList& cases) {
  auto add = [&](const char* name, bool ta, bool tb, std::vector<InputCase> inputs, double alpha = 1,
                 double beta = 1) {
    cases.push_back(make_case("Gemm", name, std::move(inputs),
                              {{"transA", integer(ta)}, {"transB", integer(tb)},
                               {"alpha", real(alpha)}, {"beta", real(beta)}}));
  };
  add("plain", false, false, {random({5, 9}), random({9, 7})});
  add("trans_a", true, false, {random({9, 5}), random({9, 7}), random({7})});
  add("trans_b", false, true, {random({5, 9}), random({7, 9}), random({5, 1})});
  add("trans_both", true, true, {random({9, 5}), random({7, 9}), random({5, 7})});
  add("scalar_c", false, false, {random({5, 9}), random({9, 7}), random({})});
  add("alpha_beta", false, true, {random({4, 33}), random({10, 33}), random({1, 10})}, 0.5, 2);
  add("batch_128", false, true, {random({128, 96}), random({40, 96}), random({40})});
  add("fully_connected", false, true, {random({1, 512}), random({100, 512}), random({100})});
  add("f16", false, true, {random(DataType::kF16, {3, 17}), random(DataType::kF16, {5, 17}),
                           random(DataType::kF16, {5})});
  add("empty", false, false, {random({0, 4}), random({4, 3}), random({3})});
}

void add_integer(CaseList& cases) {
  auto a = random(DataType::kU8, {5, 12}, 0, 255), b = random(DataType::kI8, {12, 7}, -128, 127);
  cases.push_back(make_case("MatMulInteger", "no_zero_points", {a, b}));
  cases.push_back(make_case("MatMulInteger", "zero_points",
                            {a, b, constant(DataType::kU8, {}, {120}), constant(DataType::kI8, {}, {3})}));
  cases.push_back(make_case("MatMulInteger", "per_line",
                            {a, b, constant(DataType::kU8, {5}, {1, 2, 3, 4, 5}),
                             constant(DataType::kI8, {7}, {0, 1, 2, 3, -1, -2, -3})}));
}

void add_einsum(CaseList& cases) {
  auto add = [&](const char* name, const char* equation, std::vector<InputCase> inputs) {
    cases.push_back(make_case("Einsum", name, std::move(inputs), {{"equation", text(equation)}}));
  };
  add("matmul", "ij,jk->ik", {random({4, 5}), random({5, 6})});
  add("attention", "bshd,bthd->bhst", {random({2, 5, 3, 4}), random({2, 6, 3, 4})});
  add("transpose", "ijk->kji", {random({2, 3, 4})});
  add("sum", "ij->", {random({3, 4})});
  add("diagonal", "...ii->...i", {random({2, 4, 4})});
  add("trace", "ii", {random({4, 4})});
  add("outer", "i,j->ij", {random({3}), random({4})});
  add("ellipsis", "...ij,...jk->...ik", {random({2, 1, 3, 4}), random({5, 4, 2})});
  add("three", "ab,bc,cd->ad", {random({2, 3}), random({3, 4}), random({4, 5})});
  add("implicit", "ij,jk", {random({4, 5}), random({5, 6})});
}

}  // namespace

CaseList matmul_cases() {
  CaseList cases;
  add_matmul(cases);
  add_gemm(cases);
  add_integer(cases);
  add_einsum(cases);
  return cases;
}

}  // namespace planish::ops
