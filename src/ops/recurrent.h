// What RNN, GRU and LSTM share: the activation functions by name, the directions, the sizes that
// every operand must have, and the walk over time and batch. The cell itself is each op's own.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "ops/dims.h"

namespace planish::ops {

// One gate's nonlinearity.
struct Activation {
  double (*function)(double x, double alpha, double beta);
  double alpha, beta;
  double operator()(double x) const { return function(x, alpha, beta); }
};

// Operand positions of an op; -1: the op has none of it.
struct RecurrentOperands {
  int gates;           // rows of W per hidden unit
  int initial_c = -1;  // input numbers
  int peepholes = -1;
};


// Checks attributes and operand shapes; sets Y, Y_h (and Y_c when the op has an initial_c).
Status infer_recurrent(InferContext& ctx, const RecurrentOperands& operands,
                       std::span<const std::string_view> default_activations);

// Activations of one direction, from the attributes or the defaults.
Result<std::vector<Activation>> activations_of(const ir::Attributes& attrs, int64_t direction,
                                               int64_t directions,
                                               std::span<const std::string_view> defaults);

// Everything a cell needs of one direction, in double, row-major.
struct CellWeights {
  std::vector<double> w, r;   // [gates * hidden, input], [gates * hidden, hidden]
  std::vector<double> wb, rb; // [gates * hidden], zeros without B
  std::vector<double> p;      // [3 * hidden], empty without P
  std::vector<Activation> activations;
  int64_t input = 0, hidden = 0;
  double clip = 0;            // 0: none
  double clipped(double x) const {
    return clip > 0 ? (x > clip ? clip : x < -clip ? -clip : x) : x;
  }
  // Row `row` of W times x, of R times h.
  double dot_w(int64_t row, const double* x) const;
  double dot_r(int64_t row, const double* h) const;
};

// One step of one sample: updates h (and c) of `hidden` elements in place.
using Cell = std::function<void(const CellWeights&, const double* x, double* h, double* c)>;

// Runs all directions, samples and steps and sets the outputs.
Status evaluate_recurrent(EvalContext& ctx, const RecurrentOperands& operands,
                          std::span<const std::string_view> default_activations, const Cell& cell);

// Attributes that the three have in common.
std::vector<opdef::AttrSpec> recurrent_attrs();

}  // namespace planish::ops
