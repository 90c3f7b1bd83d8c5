#include "ops/case_builder.h"

namespace planish::ops {

// Random tensors repeat bit by bit for a seed, so kernels can be compared with the interpreter; the
// distributions are ONNX's node cases' affair.
CaseList random_cases() {
  CaseList cases;
  const ir::Attributes shape = {{"shape", ints({3, 5})}, {"seed", real(7)}};
  const ir::Attributes seed = {{"seed", real(11)}};
  cases.push_back(make_case("RandomUniform", "matrix", {}, shape));
  cases.push_back(make_case("RandomNormal", "matrix", {}, shape));
  cases.push_back(make_case("RandomUniformLike", "matrix", {random({4, 3})}, seed));
  cases.push_back(make_case("RandomNormalLike", "f16", {random(DataType::kF16, {4, 3})}, seed));
  cases.push_back(make_case("Bernoulli", "matrix", {random(DataType::kF32, {4, 9}, 0, 1)}, seed));
  cases.push_back(make_case("Multinomial", "rows", {random(DataType::kF32, {2, 5}, -2, 2)},
                            {{"seed", real(3)}, {"sample_size", integer(6)}}));
  return cases;
}

}  // namespace planish::ops
