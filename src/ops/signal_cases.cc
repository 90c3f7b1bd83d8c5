// Cases of Fourier transforms (lengths of every kind of factor), windows, mel filters and small linear systems.
#include "ops/case_builder.h"

namespace planish::ops {
namespace {

void add_signal(CaseList& cases) {
  for (int64_t length : {1, 2, 12, 17, 64, 67, 134}) {
    cases.push_back(
        make_case("DFT", "length_" + std::to_string(length), {random({2, length, 2})}));
    cases.push_back(make_case("DFT", "inverse_" + std::to_string(length), {random({length, 2})},
                              {{"inverse", integer(1)}}));
  }
  cases.push_back(make_case("DFT", "real", {random({3, 10, 1})}, {{"onesided", integer(1)}}));
  cases.push_back(make_case("DFT", "padded",
                            {random({3, 10, 1}), constant(DataType::kI64, {}, {16}),
                             constant(DataType::kI64, {}, {0})}));
  cases.push_back(make_case("STFT", "window",
                            {random({2, 32, 1}), constant(DataType::kI64, {}, {5}), random({9})}));
  for (const char* op : {"HannWindow", "HammingWindow", "BlackmanWindow"}) {
    cases.push_back(make_case(op, "periodic", {constant(DataType::kI64, {}, {10})}));
    cases.push_back(make_case(op, "symmetric", {constant(DataType::kI64, {}, {7})},
                              {{"periodic", integer(0)}}));
  }
  cases.push_back(make_case("MelWeightMatrix", "speech",
                            {constant(DataType::kI64, {}, {8}), constant(DataType::kI64, {}, {64}),
                             constant(DataType::kI64, {}, {8192}), constant(DataType::kF32, {}, {0}),
                             constant(DataType::kF32, {}, {4096})}));
  cases.push_back(known_case("Det", "known", {given(DataType::kF32, {2, 2}, {0, 1, 2, 3})}, {{-2}}));
  cases.push_back(make_case("Det", "batch", {random({3, 4, 4})}));
  const auto square = [](std::vector<double> elements) {
    return given(DataType::kF32, {2, 2}, std::move(elements));
  };
  const auto column = [](std::vector<double> elements) {
    return given(DataType::kF32, {2, 1}, std::move(elements));
  };
  cases.push_back(known_case("MatrixSolve", "known", {square({0, 3, 2, 1}), column({3, 5})}, {{2, 1}}));
  cases.push_back(make_case("MatrixSolve", "batch", {random({3, 4, 4}), random({3, 4, 2})}));
  cases.push_back(known_case("TriangularSolve", "lower", {square({2, 9, 1, 3}), column({4, 5})}, {{2, 1}}));
  cases.push_back(known_case("TriangularSolve", "upper", {square({2, 1, 9, 3}), column({5, 3})}, {{2, 1}},
                             {{"lower", integer(0)}}));
  cases.push_back(known_case("Cholesky", "known", {square({4, 9, 2, 5})}, {{2, 0, 1, 2}}));
}

}  // namespace

CaseList signal_cases() {
  CaseList cases;
  // Pool: 1, 3 and the pairs (1 2), (2 1); counted with up to one token between.
  cases.push_back(make_case("TfIdfVectorizer", "pairs", {random(DataType::kI64, {2, 9}, 0, 3)},
                            {{"mode", text("TFIDF")},
                             {"min_gram_length", integer(1)},
                             {"max_gram_length", integer(2)},
                             {"max_skip_count", integer(1)},
                             {"ngram_counts", ints({0, 2})},
                             {"ngram_indexes", ints({0, 2, 1, 3})},
                             {"pool_int64s", ints({1, 3, 1, 2, 2, 1})},
                             {"weights", floats({0.5, 1, 2, 0.25})}}));
  add_signal(cases);
  return cases;
}

}  // namespace planish::ops
