// Epilogues as the raw kernels take them: bias, residual and clamp in registers, anything else by
// the block interpreter on each finished piece.
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "backend/cpu/kernels/epilogue.h"
#include "backend/cpu/kernels/pointwise/pointwise.h"
#include "base/status.h"
#include "kernel/kernel_def.h"

namespace planish::cpu {

// clamp(root + bias + residual). Value numbers; -1: absent.
struct SimpleEpilogue {
  int bias = -1;      // per-channel operand
  int residual = -1;  // operand of the output's shape
  float lo = -std::numeric_limits<float>::infinity();
  float hi = std::numeric_limits<float>::infinity();
};

// nullopt when the epilogue says more. `channel_axis`: the axis of the output that bias runs along.
std::optional<SimpleEpilogue> simple_epilogue(const kernel::Problem& problem,
                                              const kernel::RootAndEpilogue& view,
                                              int channel_axis);

// Physical axes of `out` (blocked: channel blocks and lanes) and how each value moves along them.
PointwiseShape pointwise_shape(const kernel::Problem& problem, std::span<const int> values,
                               const std::vector<int64_t>& out, bool blocked, int width);

// The layouts that an expression's operands must have beside a blocked f32 result; nullopt when they
// cannot. Constants stay row-major.
std::optional<std::vector<ir::Layout>> blocked_operands(const kernel::Problem& problem,
                                                        std::span<const int> values,
                                                        const std::vector<int64_t>& out,
                                                        int width);

// An epilogue bound to shapes. Immutable.
class BoundEpilogue {
 public:
  // Ok, or why the kernels of this folder cannot take the epilogue of a root with one f32 result.
  // `bias` is the root's own bias operand (-1: none).
  static Status supports(const kernel::Problem& problem, const kernel::RootAndEpilogue& view,
                         int channel_axis, int bias);
  // `lanes`: bias is padded with zeros up to a multiple of it.
  static Result<BoundEpilogue> bind(const kernel::BindArgs& args,
                                    const kernel::RootAndEpilogue& view, int channel_axis, int bias,
                                    bool blocked, int lanes);

  // Lives on the caller's stack while the kernel runs.
  struct Call {
    const BoundEpilogue* self = nullptr;
    std::vector<const void*> args;
  };
  Epilogue for_run(const kernel::RunArgs& args, Call& call) const;
  const std::vector<float>& bias() const { return bias_; }

 private:
  static void run_post(void* context, float* tile, int64_t offset, int64_t count);

  SimpleEpilogue simple_;
  std::vector<float> bias_;
  std::shared_ptr<PointwiseProgram> post_;
  std::vector<int> post_inputs_;
  int root_output_ = -1;
};

}  // namespace planish::cpu
