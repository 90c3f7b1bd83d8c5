// Epilogue of a contraction kernel: everything behind the sum, and where its tensors lie.
//
// The sums of a kernel are addressed by a row (pixel, token; leading dims included) and a channel.
// An Epilogue says for every operand beside them and every result how its address follows from the
// two, and holds one expression from the sum (argument 0, f32) and the operands (argument i + 1) to
// the results: scale, bias, residual, activation, conversion.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "backend/cuda/emit/emitted_kernel.h"
#include "kernel/kernel_def.h"

namespace planish::cuda {

// Element address of one tensor: steps along the row dims and along the channel.
struct Access {
  int index = -1;  // operand or result number
  ir::DataType type = ir::DataType::kF32;
  bool constant = false;
  std::vector<int64_t> row_steps;
  int64_t channel_step = 0;
  bool pitched = false;  // a result of pixels (kernel/strided.h): their distance is an argument
};

struct Epilogue {
  std::vector<int64_t> row_dims;  // a row index runs over them, the last one fastest
  int64_t channels = 1;
  kernel::Expr expr;
  std::vector<Access> inputs;
  std::vector<Access> results;

  int64_t rows() const;
};

// The root's own summand and factors: sum * scale + bias * bias_scale.
struct RootTerms {
  double scale = 1;
  int bias = -1;                     // operand number
  std::vector<int64_t> bias_dims;    // against the output's dims, trailing ones written out
  double bias_scale = 1;
};

// `channel_axis`: the output's logical dim that channels run along; -1: there is one channel.
Result<Epilogue> make_epilogue(const kernel::Problem& problem,
                               const kernel::RootAndEpilogue& parts, int channel_axis,
                               const RootTerms& terms);

// How a kernel wants the epilogue printed.
struct EpilogueStyle {
  int lanes = 8;              // neighbouring channels that one call finishes
  int64_t group_channels = 0; // channel bases and ends are multiples of what divides this
  bool channel_tail = true;   // some of the lanes may lie beyond the end
};

// CUDA text of an epilogue:
//   struct Epilogue { pointers };        made by `make` from the kernel's parameters
//   load_fixed(e, fixed, channel, end)   per-channel constants; allowed before grid_wait()
//   load_near(e, near, row, channel, end) what lies beside one row
//   prefetch_near(e, row, channel)       towards L2
//   finish(e, sum, fixed, near, row, channel, end)
// with `float (&sum)[lanes]`, `Fixed fixed`, `Near near`; channels [channel, min(channel + lanes, end)).
struct EpilogueText {
  std::string parameters;         // ", const u16* x0, u16* y0"
  std::string make;               // "const Epilogue e = {x0, y0};"
  std::string functions;
  std::vector<KernelArg> args;
  int near_registers = 0;         // of a Near
  int fixed_registers = 0;
};
Result<EpilogueText> print_epilogue(const Epilogue& epilogue, const EpilogueStyle& style);

}  // namespace planish::cuda
