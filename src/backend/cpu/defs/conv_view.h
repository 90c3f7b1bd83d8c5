// Reading a Problem as the convolution that the raw kernels take.
#pragma once
#include "backend/cpu/kernels/conv_problem.h"
#include "base/status.h"
#include "kernel/problem.h"
#include "kernel/window.h"

namespace planish::cpu {

struct ConvView {
  ConvProblem conv;
  int input = 0, weights = 1, bias = -1;  // operand numbers of the root
  kernel::RootAndEpilogue parts;          // refers to the problem
};

// A window over an input of rank 3 (as height 1) or 4, in the raw kernels' form; out_channels is set
// to in_channels.
ConvProblem convolution_of(kernel::Window window, const std::vector<int64_t>& input);

// kUnimplemented: no convolution; kUnsupported: one these kernels do not take, with the reason.
Result<ConvView> conv_view(const kernel::Problem& problem);

// The input has the channels that the weights were packed for: dims that were symbolic at build may
// disagree when they are bound.
Status check_channels(const kernel::Problem& problem, const ConvView& view);

}  // namespace planish::cpu
