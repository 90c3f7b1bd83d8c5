// The family "cuda.stack_mma": dense layers on few rows in one kernel (stack.h), in f16 and bf16 on tensor
// cores.
#include "backend/cuda/emit/emitted_kernel_def.h"
#include "backend/cuda/families/contraction/kept_epilogue.h"
#include "backend/cuda/families/register_families.h"
#include "backend/cuda/families/stack/stack.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

using kernel::DeviceInfo;
using kernel::LayoutChoice;
using kernel::Problem;
using kernel::Tactic;
using stack::LayerPlan;
using stack::Plan;
using stack::Stack;

// Packing looks at weights only: symbolic dims may be any.
Result<Stack> stack_of_any_size(const Problem& problem) {
  PLANISH_ASSIGN_OR_RETURN(const Problem plain, kernel::concrete(problem, [](std::string_view) { return 1; }));
  return stack::stack_of(plain);
}

class StackDef : public EmittedKernelDef {
 public:
  std::string name() const override { return "cuda.stack_mma"; }

  Status supports(const Problem& problem, const DeviceInfo& device) const override {
    PLANISH_ASSIGN_OR_RETURN(const Stack s, stack::stack_of(problem));
    if (sm_version(device) < 90) return unsupported(cat("the device is ", device.isa, ", expected sm_90"));
    if (const int64_t shared = shared_bytes_per_block(device); shared < stack::kMaxSharedBytes)
      return unsupported(cat("a block has ", shared, " bytes of shared memory, expected ", stack::kMaxSharedBytes));
    return stack::plan_of(s, {}).status();
  }

  std::vector<LayoutChoice> layouts(const Problem& problem, const DeviceInfo&) const override {
    auto s = stack::stack_of(problem);
    if (!s.ok()) return {};
    return {product_layouts(problem, s->layers.back())};
  }

  std::vector<Tactic> tactics(const Problem& problem, const DeviceInfo&) const override {
    std::vector<Tactic> out;
    auto s = stack::stack_of(problem);
    if (!s.ok()) return out;
    int most = 1;  // tiles of a layer
    for (const Product& layer : s->layers) most = std::max(most, int((layer.channels + 15) / 16));
    for (int cluster = 16; cluster >= 1; cluster /= 2)
      if ((cluster < 2 * most || cluster == 1) && stack::plan_of(*s, {cluster}).ok()) out.push_back(stack::write({cluster}));
    return out;
  }

  double predict_us(const Problem& problem, const Tactic& tactic, const DeviceInfo&) const override {
    auto s = stack::stack_of(problem);
    if (!s.ok()) return 1e12;
    auto plan = stack::plan_of(*s, stack::read(tactic));
    return plan.ok() ? stack::predict_us(*s, *plan) : 1e12;
  }

  bool packs(const Problem& problem, int operand) const override {
    auto s = stack_of_any_size(problem);
    return s.ok() && std::any_of(s->layers.begin(), s->layers.end(),
                                 [&](const Product& layer) { return layer.right.value == operand; });
  }

  // By layer and CTA, in the order in which the ring brings it: a stage is 1 KB for each warp, two
  // fragments of mma.m16n8k16, of which the lane at row g and place t has depths 8 t .. 8 t + 7.
  Result<kernel::Blob> pack(const Problem& problem, const Tactic& tactic, const DeviceInfo&,
                            std::span<const ir::Tensor> constants) const override {
    PLANISH_ASSIGN_OR_RETURN(const Stack s, stack_of_any_size(problem));
    PLANISH_ASSIGN_OR_RETURN(const Plan plan, stack::plan_of(s, stack::read(tactic)));
    kernel::Blob blob;
    blob.bytes.resize(size_t(plan.packed_bytes));
    for (size_t i = 0; i < plan.layers.size(); ++i) {
      const Product& layer = s.layers[i];
      const LayerPlan& l = plan.layers[i];
      const auto* from = static_cast<const uint16_t*>(constants[size_t(layer.right.value)].data());
      auto* to = reinterpret_cast<uint16_t*>(blob.bytes.data() + l.weights_at);
      for (int cta = 0; cta < plan.cluster; ++cta)
        for (int pass = 0; pass < l.passes; ++pass)
          for (int b = 0; b < l.warp_blocks; ++b)
            for (int warp = 0; warp < stack::kWarps; ++warp) {
              const int tile = pass * l.at_once() + warp / l.split, block = warp % l.split * l.warp_blocks + b;
              const bool any = tile < l.per_cta && block < l.blocks;
              for (int step = 0; step < 2; ++step)
                for (int lane = 0; lane < 32; ++lane)
                  for (int half = 0; half < 8; ++half) {
                    const int64_t channel = (int64_t(cta) * l.per_cta + tile) * 16 + lane / 4 + half / 2 % 2 * 8;
                    const int64_t depth = block * 32 + lane % 4 * 8 + step * 4 + half / 4 * 2 + half % 2;
                    const bool inside = any && channel < layer.channels && depth < layer.depth;
                    *to++ = inside ? from[right_element(layer, 0, channel, 0, depth)] : uint16_t(0);
                  }
            }
    }
    return blob;
  }

  Result<EmittedStep> emit(const Problem& problem, const Tactic& tactic, const DeviceInfo&) const override {
    PLANISH_ASSIGN_OR_RETURN(const Stack s, stack::stack_of(problem));
    PLANISH_ASSIGN_OR_RETURN(const Plan plan, stack::plan_of(s, stack::read(tactic)));
    std::vector<EpilogueText> epilogues;
    EmittedKernel kernel;
    kernel.entry = cat("stack_", ir::name_of(s.type), "_", s.rows, "x", s.layers[0].depth);
    kernel.args = {KernelArg::operand(s.input), KernelArg::packed()};
    for (const Product& layer : s.layers) {
      const EpilogueStyle style{.lanes = 8, .group_channels = layer.channels, .channel_tail = layer.channels % 8 != 0};
      PLANISH_ASSIGN_OR_RETURN(EpilogueText text, &layer == &s.layers.back()
                                                      ? print_epilogue(layer.epilogue, style)
                                                      : print_kept_epilogue(layer.epilogue, style, false));
      kernel.args.insert(kernel.args.end(), text.args.begin(), text.args.end());
      kernel.entry += cat("_", layer.channels);
      epilogues.push_back(std::move(text));
    }
    kernel.entry += cat("_c", plan.cluster);
    kernel.source = stack::kernel_text(s, plan, epilogues, kernel.entry);
    kernel.grid.x = kernel.cluster.x = uint32_t(plan.cluster);
    kernel.block.x = uint32_t(stack::kWarps * 32 + 32);
    kernel.dynamic_shared_bytes = plan.shared_bytes;
    kernel.programmatic_launch = true;
    EmittedStep step;
    step.kernels.push_back(std::move(kernel));
    return step;
  }
};

}  // namespace

void register_stack(kernel::KernelRegistry& registry) { registry.add(std::make_unique<StackDef>()); }

}  // namespace planish::cuda
