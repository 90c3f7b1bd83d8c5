// What the KernelDefs of the contraction families share: layouts, and which operand is packed.
#pragma once
#include "backend/cuda/emit/emitted_kernel_def.h"
#include "backend/cuda/families/contraction/pooled.h"
#include "backend/cuda/families/contraction/product.h"
#include "kernel/strided.h"

namespace planish::cuda {

// Is the operand the right one of a contraction, constant, and read by nothing else of the region?
inline bool packs_right_operand(const kernel::Problem& problem, int operand) {
  const auto stages = contraction_stages(problem);
  if (!stages || stages->root->inputs.size() < 2 || stages->root->inputs[1] != operand ||
      !problem.operands[size_t(operand)].constant)
    return false;
  for (const kernel::Stage& stage : problem.stages)
    for (size_t i = 0; i < stage.inputs.size(); ++i)
      if (stage.inputs[i] == operand && (&stage != stages->root || i != 1)) return false;
  return true;
}

// Families of contractions, some of which take a max pool behind a convolution, too (pooled.h).
class ContractionDef : public EmittedKernelDef {
 public:
  std::vector<kernel::LayoutChoice> layouts(const kernel::Problem& problem,
                                            const kernel::DeviceInfo&) const override {
    auto p = pooled_product_of(problem);
    if (!p.ok()) return {};
    return {product_layouts(problem, p->product)};
  }
  // Results of pixels: the epilogue knows their pitch.
  bool takes_strided(const kernel::Problem& problem, bool result, int index) const override {
    return result && kernel::pixels_lie_apart(problem.result_type(index));
  }
  bool packs(const kernel::Problem& problem, int operand) const override {
    const std::optional<size_t> pool = pool_stage(problem);
    if (!pool) return packs_right_operand(problem, operand);
    for (size_t i = *pool; i < problem.stages.size(); ++i)
      for (const int input : problem.stages[i].inputs)
        if (input == operand) return false;
    return packs_right_operand(stages_before(problem, *pool, problem.stages[*pool].inputs[0]), operand);
  }
};

}  // namespace planish::cuda
