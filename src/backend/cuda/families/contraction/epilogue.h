// Epilogue of a contraction kernel: everything behind the sum, and where its tensors lie.
//
// The sums of a kernel are addressed by a row (pixel, token; leading dims included) and a channel.
// An Epilogue says for every operand beside them and every result how its address follows from the
// two, and holds one expression from the sum (argument 0, f32) and the operands (argument i + 1) to
// the results: scale, bias, residual, activation, conversion.
//
// Rows may have moments (defer_layer_norm): partial ones of an operand, which the kernel joins to mean
// and scale of the row, and those of a result, which it leaves for the next.
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
  int moments = -1;       // >= 0: no tensor, but mean or scale of the row from Epilogue::moments
  bool is_scale = false;
};

// Partial moments of rows: [row][parts][2] in f32, a part being `width` elements of the row.
struct RowMoments {
  int index = -1;  // operand or result number
  int64_t parts = 0, width = 0;
  double epsilon = 0;
};

struct Epilogue {
  std::vector<int64_t> row_dims;  // a row index runs over them, the last one fastest
  int64_t channels = 1;
  kernel::Expr expr;
  std::vector<Access> inputs;
  std::vector<Access> results;
  std::vector<RowMoments> moments;           // that inputs name
  std::optional<RowMoments> result_moments;  // of results[0]

  int64_t rows() const;
  bool has_moments() const { return !moments.empty() || result_moments; }
};

// The stages of a region around one contraction: expressions, JoinMoments of operands, PartialMoments of
// the result.
struct ContractionStages {
  const kernel::Stage* root = nullptr;
  int root_output = -1;  // value number
  int first = 0;         // stage at which they begin: what stands before belongs to other roots
};
// nullopt when the region is something else.
std::optional<ContractionStages> contraction_stages(const kernel::Problem& problem);

// The root's own summand and factors: sum * scale + bias * bias_scale.
struct RootTerms {
  double scale = 1;
  int bias = -1;                     // operand number
  std::vector<int64_t> bias_dims;    // against the output's dims, trailing ones written out
  double bias_scale = 1;
};

// `channel_axis`: the output's logical dim that channels run along; -1: there is one channel.
Result<Epilogue> make_epilogue(const kernel::Problem& problem,
                               const ContractionStages& stages, int channel_axis,
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
// With moments of operands there is also
//   load_rows(e, rows, row, quarter)      by four neighbouring lanes together, one row
// and finish() takes `Rows rows` behind `near`; with those of the result it takes `float (&kept)[lanes]`
// behind `end`, in which it leaves results[0].
// Last of all, each takes what a call adds to row and channel (plus_row, plus_channel; 0 where not given):
// constants of a thread's calls, which then share what addresses take to compute (docs/decisions/0044).
struct EpilogueText {
  std::string parameters;         // ", const u16* x0, u16* y0"
  std::string make;               // "const Epilogue e = {x0, y0};"
  std::string functions;
  std::vector<KernelArg> args;
  int near_registers = 0;         // of a Near
  int fixed_registers = 0;
  bool has_rows = false, keeps = false;  // moments of operands, of the result
};
Result<EpilogueText> print_epilogue(const Epilogue& epilogue, const EpilogueStyle& style);

}  // namespace planish::cuda
