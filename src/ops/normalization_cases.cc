#include "ops/case_builder.h"

namespace planish::ops {
namespace {

void add_trailing(CaseList& cases) {
  ir::Attributes last = {{"axis", integer(-1)}, {"epsilon", real(1e-5)}};
  ir::Attributes second = {{"axis", integer(1)}, {"epsilon", real(1e-3)}};
  for (DataType dtype : {DataType::kF32, DataType::kF16, DataType::kBF16}) {
    auto x = random(dtype, {2, 5, 33}, -3, 3), scale = random(dtype, {33}), bias = random(dtype, {33});
    cases.push_back(make_case("LayerNormalization", "last", {x, scale, bias}, last));
    cases.push_back(make_case("LayerNormalization", "all_outputs", {x, scale, bias}, last, 3));
    cases.push_back(make_case("LayerNormalization", "no_bias", {x, scale}, last));
    cases.push_back(make_case("RMSNormalization", "last", {x, scale}, last));
  }
  cases.push_back(make_case("LayerNormalization", "two_dims",
                            {random({3, 4, 7}), random({4, 7}), random({4, 7})}, second));
  cases.push_back(make_case("RMSNormalization", "two_dims", {random({3, 4, 7}), random({7})}, second));
  cases.push_back(make_case("LayerNormalization", "one_element", {random({4, 1}), random({1})}, last));
  cases.push_back(make_case("LayerNormalization", "empty", {random({0, 8}), random({8})}, last));
  cases.push_back(make_case("LayerNormalization", "batch_128",
                            {random({128, 3, 64}), random({64}), random({64})}, last));
  cases.push_back(make_case("LayerNormalization", "large",
                            {random({128, 768}), random({768}), random({768})}, last));
  cases.push_back(known_case("LayerNormalization", "known",
                             {given(DataType::kF32, {1, 4}, {1, 2, 3, 4}), given(DataType::kF32, {4}, {1, 1, 1, 2}),
                              given(DataType::kF32, {4}, {0, 0, 1, 0})},
                             {{-1.3416407865, -0.4472135955, 1.4472135955, 2.683281573}},
                             {{"axis", integer(-1)}, {"epsilon", real(0)}}));
}

void add_images(CaseList& cases) {
  auto per_channel = [](int64_t c) { return random(DataType::kF32, {c}, 0.5, 2); };
  for (std::vector<int64_t> dims : {std::vector<int64_t>{2, 6, 5, 7}, {1, 6, 9}, {3, 6, 2, 3, 4}}) {
    cases.push_back(make_case("InstanceNormalization", "images", {random(dims), per_channel(6), per_channel(6)}));
    cases.push_back(make_case("GroupNormalization", "groups", {random(dims), per_channel(6), per_channel(6)},
                              {{"num_groups", integer(3)}}));
    cases.push_back(make_case("BatchNormalization", "images",
                              {random(dims), per_channel(6), per_channel(6), per_channel(6), per_channel(6)}));
    cases.push_back(make_case("LRN", "channels", {random(dims)}, {{"size", integer(3)}}));
    cases.push_back(make_case("LpNormalization", "channels", {random(dims)}, {{"axis", integer(1)}}));
  }
  cases.push_back(make_case("BatchNormalization", "matrix",
                            {random({4, 6}), per_channel(6), per_channel(6), per_channel(6), per_channel(6)}));
  cases.push_back(make_case("MeanVarianceNormalization", "default", {random({2, 3, 4, 5})}));
  cases.push_back(make_case("LpNormalization", "one_norm", {random({3, 17})}, {{"p", integer(1)}}));
  cases.push_back(known_case("LpNormalization", "zeros", {given(DataType::kF32, {2, 2}, {0, 0, 3, 4})},
                             {{0, 0, 0.6, 0.8}}));
}

void add_softmax(CaseList& cases) {
  for (const char* op : {"Softmax", "LogSoftmax", "Hardmax"}) {
    auto add = [&](const char* name, DataType dtype, std::vector<int64_t> dims, int64_t axis) {
      cases.push_back(make_case(op, name, {random(dtype, std::move(dims), -5, 5)}, {{"axis", integer(axis)}}));
    };
    add("last", DataType::kF32, {3, 5, 17}, -1);
    add("first", DataType::kF32, {7, 9}, 0);
    add("middle", DataType::kF32, {2, 11, 6}, 1);
    add("one", DataType::kF32, {4, 1}, 1);
    add("f16", DataType::kF16, {3, 33}, 1);
    add("bf16", DataType::kBF16, {3, 33}, 1);
    add("empty", DataType::kF32, {0, 4}, 1);
    add("batch_128", DataType::kF32, {128, 2, 33}, 2);
    add("large", DataType::kF32, {12, 128, 128}, 2);
  }
  cases.push_back(known_case("Softmax", "known", {given(DataType::kF32, {3}, {-1, 0, 1})},
                             {{0.09003057317038046, 0.24472847105479767, 0.6652409557748219}}));
  cases.push_back(known_case("Softmax", "far_apart", {given(DataType::kF32, {2}, {-10000, 10000})}, {{0, 1}}));
  auto scores = random(DataType::kF32, {3, 5, 4}, -2, 2), target = random(DataType::kI64, {3, 4}, 0, 4);
  for (const char* reduction : {"none", "mean", "sum"}) {
    ir::Attributes attrs = {{"reduction", text(reduction)}};
    cases.push_back(make_case("NegativeLogLikelihoodLoss", reduction, {scores, target, random(DataType::kF32, {5}, 0.5, 2)}, attrs));
    attrs["ignore_index"] = integer(2);
    cases.push_back(make_case("SoftmaxCrossEntropyLoss", reduction, {scores, target}, attrs, 2));
  }
}

}  // namespace

CaseList normalization_cases() {
  CaseList cases;
  add_trailing(cases);
  add_images(cases);
  add_softmax(cases);
  return cases;
}

}  // namespace planish::ops
