// Contractions without Hopper's engines as a KernelDef; see tile.h.
#include "backend/cuda/emit/emitted_kernel_def.h"
#include "backend/cuda/families/contraction/contraction_def.h"
#include "backend/cuda/families/plain/tile.h"
#include "backend/cuda/families/register_families.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

using kernel::DeviceInfo;
using kernel::Problem;
using kernel::Tactic;

class Plain : public ContractionDef {
 public:
  std::string name() const override { return "cuda.contraction_plain"; }

  Status supports(const Problem& problem, const DeviceInfo& device) const override {
    PLANISH_ASSIGN_OR_RETURN(Product product, product_of(problem));
    PLANISH_RETURN_IF_ERROR(without_moments(product));
    if (sm_version(device) < 80)
      return unsupported(cat("the device is ", device.isa, ", expected sm_80 or newer"));
    if (product.depth * product.taps() > INT32_MAX / 2) return unsupported("a depth beyond 2^30");
    return ok_status();
  }
  std::vector<Tactic> tactics(const Problem& problem, const DeviceInfo& device) const override {
    std::vector<Tactic> out;
    auto product = product_of(problem);
    if (!product.ok()) return out;
    for (const plain::Tile& tile : plain::candidates(*product, sm_version(device), sm_count(device)))
      out.push_back(plain::write(tile));
    return out;
  }
  double predict_us(const Problem& problem, const Tactic& tactic, const DeviceInfo& device) const override {
    auto product = product_of(problem);
    return product.ok() ? plain::predict_us(*product, plain::read(tactic), device) : 1e12;
  }
  Result<kernel::Blob> pack(const Problem& problem, const Tactic& tactic, const DeviceInfo&,
                            std::span<const ir::Tensor> constants) const override {
    PLANISH_ASSIGN_OR_RETURN(Product product, product_of_any_size(problem));
    if (!product.right_constant) return kernel::Blob{};
    return plain::pack_weights(product, plain::read(tactic), constants[size_t(product.right.value)]);
  }
  Result<EmittedStep> emit(const Problem& problem, const Tactic& tactic, const DeviceInfo&) const override {
    PLANISH_ASSIGN_OR_RETURN(Product product, product_of(problem));
    const plain::Tile t = plain::read(tactic);
    const EpilogueStyle style{.lanes = plain::lanes_of(t), .group_channels = product.channels,
                              .channel_tail = product.channels % plain::lanes_of(t) != 0};
    PLANISH_ASSIGN_OR_RETURN(EpilogueText epilogue, print_epilogue(product.epilogue, style));
    EmittedKernel kernel;
    kernel.entry = cat(product.is_conv ? "conv_" : "gemm_", ir::name_of(product.type), t.mma ? "_mma_" : "_fma_",
                       t.rows, "x", t.channels, "x", t.slab(), t.slices > 1 ? cat("_slices", t.slices) : "");
    kernel.source = plain::kernel_text(product, t, epilogue, kernel.entry);
    const int64_t tiles = product.batches * ((product.rows + t.rows - 1) / t.rows) *
                          ((product.channels + t.channels - 1) / t.channels);
    if (tiles > INT32_MAX) return unsupported("too many tiles");
    kernel.grid.x = uint32_t(tiles);
    kernel.block.x = uint32_t(t.threads());
    kernel.args = {KernelArg::operand(product.left.value),
                   product.right_constant ? KernelArg::packed() : KernelArg::operand(product.right.value)};
    kernel.args.insert(kernel.args.end(), epilogue.args.begin(), epilogue.args.end());
    kernel.programmatic_launch = true;
    EmittedStep step;
    step.kernels.push_back(std::move(kernel));
    return step;
  }
};

}  // namespace

void register_plain_contraction(kernel::KernelRegistry& registry) {
  registry.add(std::make_unique<Plain>());
}

}  // namespace planish::cuda
