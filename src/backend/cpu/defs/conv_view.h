// Reading a Problem as the convolution that the raw kernels take.
#pragma once
#include <optional>

#include "backend/cpu/kernels/conv_problem.h"
#include "base/status.h"
#include "kernel/problem.h"

namespace planish::cpu {

// The parts of an epilogue that raw kernels do in registers: y = clamp(acc + bias + residual).
// Value numbers; -1: absent. `rest` is what is left for the expression interpreter, if anything.
struct SimpleEpilogue {
  int bias = -1;      // per-channel operand ([C], [C,1,1] or [1,C,1,1])
  int residual = -1;  // operand of the output's type
  float lo = -std::numeric_limits<float>::infinity();
  float hi = std::numeric_limits<float>::infinity();
};

struct ConvView {
  ConvProblem conv;
  int input = 0, weights = 1, bias = -1;  // operand numbers of the root
  SimpleEpilogue epilogue;
  const kernel::Expr* post = nullptr;     // applied whole by the interpreter when it is not simple
  std::vector<int> post_inputs;           // value numbers of post's arguments
  int root_output = -1;
};

// kUnimplemented: no convolution; kUnsupported: one these kernels do not take, with the reason.
Result<ConvView> conv_view(const kernel::Problem& problem);

// Splits clamp(root + bias + residual) out of an epilogue; nullopt when it says more than that.
// `channel_axis` is the axis that bias runs along in an output of `rank` dims.
std::optional<SimpleEpilogue> simple_epilogue(const kernel::Problem& problem,
                                              const kernel::RootAndEpilogue& view,
                                              int channel_axis);

}  // namespace planish::cpu
