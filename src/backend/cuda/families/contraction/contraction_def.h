// What the KernelDefs of the contraction families share: layouts, and which operand is packed.
#pragma once
#include "backend/cuda/emit/emitted_kernel_def.h"
#include "backend/cuda/families/contraction/product.h"
#include "kernel/strided.h"

namespace planish::cuda {

class ContractionDef : public EmittedKernelDef {
 public:
  std::vector<kernel::LayoutChoice> layouts(const kernel::Problem& problem,
                                            const kernel::DeviceInfo&) const override {
    auto product = product_of(problem);
    if (!product.ok()) return {};
    return {product_layouts(problem, *product)};
  }
  // Results of pixels: the epilogue knows their pitch.
  bool takes_strided(const kernel::Problem& problem, bool result, int index) const override {
    return result && kernel::pixels_lie_apart(problem.result_type(index));
  }
  // The right operand, when it is constant and nothing else of the region reads it.
  bool packs(const kernel::Problem& problem, int operand) const override {
    const auto parts = kernel::root_and_epilogue(problem);
    if (!parts || parts->root->inputs.size() < 2 || parts->root->inputs[1] != operand ||
        !problem.operands[size_t(operand)].constant)
      return false;
    for (size_t i = 0; i < parts->root->inputs.size(); ++i)
      if (i != 1 && parts->root->inputs[i] == operand) return false;
    for (int input : parts->epilogue_inputs)
      if (input == operand) return false;
    return true;
  }
};

}  // namespace planish::cuda
