// How a constant factor or summand per channel goes into the weights and bias of a contraction.
//
// For y = contract(x, W) + B: output side, a * y + b is contract(x, a W) + (a B + b) with a, b per
// output channel; input side, contract(a x + b, W) + B is contract(x, W a) + (B + sum of W b) with
// a, b per input channel, where padding must not see the shift. Everything is computed in double and
// rounded once to the weights' type.
#pragma once
#include <optional>
#include <vector>

#include "passes/rewrite.h"

namespace planish::passes {

// A contraction whose weights (input 1) and bias (input 2 or absent) are constants.
struct Contraction {
  Node* node = nullptr;
  int64_t outputs = 0;        // channels of output 0
  int64_t inputs = 0;         // channels of input 0
  int output_axis = 0;        // channel axis of output 0
  int input_axis = 0;         // of input 0
  bool takes_bias = true;     // MatMul has none
  bool takes_input_shift = true;  // false where padding would see it
};
// Conv, ConvTranspose, Gemm, MatMul with constant weights and bias; nullopt otherwise.
std::optional<Contraction> contraction_of(Node* node);

// Values per channel of a constant that broadcasts along `axis` of `shape` only (a scalar does).
std::optional<std::vector<double>> per_channel(const Value* constant, const Shape& shape, int axis,
                                               int64_t channels);

// y -> a y + b. False (nothing done) when weights would leave their type's range, or b is not zero
// and there is no bias input.
bool scale_outputs(Graph& graph, const Contraction& c, const std::vector<double>& a,
                   const std::vector<double>& b);
// x -> a x + b.
bool scale_inputs(Graph& graph, const Contraction& c, const std::vector<double>& a,
                  const std::vector<double>& b);

}  // namespace planish::passes
