// The first convolution of an image network on Hopper's tensor cores (sm_90a, f16 and bf16): at most
// 4 channels at stride 2, at most 8 at stride 1, read straight from the user's tensor, planar or not.
//
// A CTA makes 8 rows of 16 pixels. Its producers bring the raw patch under them into shared memory,
// pixel by pixel, padded to 4 (stride 2) or 8 channels, so that a step of one output pixel is 16
// bytes. The products read overlapping windows straight from the patch: an unswizzled descriptor whose
// 16-byte chunks of depth are the following pixels and whose 8-row groups are the following output
// rows. No im2col copy exists anywhere; a filter row's depth is padded to 16 with zero weights (a
// pixel under such a weight must be finite).
// A max pool behind it is taken in: stem_plan.h.
#include "backend/cuda/families/contraction/contraction_def.h"
#include "backend/cuda/families/register_families.h"
#include "backend/cuda/families/stem/stem_plan.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

using kernel::DeviceInfo;
using kernel::LayoutChoice;
using kernel::Problem;
using kernel::Tactic;
using stem::StemPlan;

class Stem : public ContractionDef {
 public:
  std::string name() const override { return "cuda.stem_wgmma"; }

  Status supports(const Problem& problem, const DeviceInfo& device) const override {
    PLANISH_ASSIGN_OR_RETURN(const PooledProduct p, pooled_product_of(problem));
    PLANISH_RETURN_IF_ERROR(stem::plan_of(p, {.residents = 1}).status());
    if (sm_version(device) != 90) return unsupported(cat("the device is ", device.isa, ", expected sm_90a"));
    return ok_status();
  }

  std::vector<LayoutChoice> layouts(const Problem& problem, const DeviceInfo&) const override {
    auto p = pooled_product_of(problem);
    if (!p.ok()) return {};
    LayoutChoice planar = product_layouts(problem, p->product), last = planar;
    planar.operands[size_t(p->product.left.value)] = {};
    return {planar, last};
  }

  std::vector<Tactic> tactics(const Problem& problem, const DeviceInfo& device) const override {
    std::vector<Tactic> out;
    auto p = pooled_product_of(problem);
    if (!p.ok()) return out;
    for (const stem::Tactic& tactic : stem::candidates(*p, sm_count(device))) out.push_back(stem::write(tactic));
    return out;
  }

  double predict_us(const Problem& problem, const Tactic& tactic, const DeviceInfo& device) const override {
    auto p = pooled_product_of(problem);
    if (!p.ok()) return 1e12;
    auto plan = stem::plan_of(*p, stem::read(tactic));
    return plan.ok() ? stem::predict_us(*p, *plan, sm_count(device)) : 1e12;
  }

  Result<kernel::Blob> pack(const Problem& problem, const Tactic& tactic, const DeviceInfo&,
                            std::span<const ir::Tensor> constants) const override {
    PLANISH_ASSIGN_OR_RETURN(const PooledProduct pooled, pooled_product_of_any_size(problem));
    PLANISH_ASSIGN_OR_RETURN(const StemPlan plan, stem::plan_of(pooled, stem::read(tactic)));
    const Product& p = pooled.product;
    const auto* from = static_cast<const uint16_t*>(constants[size_t(p.right.value)].data());
    kernel::Blob blob;
    blob.bytes.resize(size_t(plan.weight_bytes(p)));
    auto* to = reinterpret_cast<uint16_t*>(blob.bytes.data());
    // [filter row][16 deep][half of it][8 channels][channel][8 deep]: core matrices of 8 x 16 bytes.
    for (int64_t r = 0; r < p.conv.taps_y; ++r)
      for (int64_t k = 0; k < plan.row_steps * 16; ++k)
        for (int64_t n = 0; n < plan.width; ++n) {
          const int64_t set = 4 * plan.permuted, in = n % set;
          const int64_t channel = n - in + plan.permuted * (in % 8 / 2) + 2 * (in / 8) + in % 2;
          const int64_t tap = k / plan.pixel, c = k % plan.pixel;
          if (channel >= p.channels || tap >= p.conv.taps_x || c >= p.depth) continue;
          const int64_t at = ((r * plan.row_steps + k / 16) * 2 + k % 16 / 8) * plan.width * 8 + n / 8 * 64 + n % 8 * 8 + k % 8;
          to[at] = from[right_element(p, 0, channel, r * p.conv.taps_x + tap, c)];
        }
    return blob;
  }

  Result<EmittedStep> emit(const Problem& problem, const Tactic& tactic, const DeviceInfo&) const override {
    PLANISH_ASSIGN_OR_RETURN(const PooledProduct pooled, pooled_product_of(problem));
    PLANISH_ASSIGN_OR_RETURN(const StemPlan plan, stem::plan_of(pooled, stem::read(tactic)));
    const Product& p = pooled.product;
    const EpilogueStyle style{.lanes = plan.permuted, .group_channels = p.channels,
                              .channel_tail = p.channels % plan.permuted != 0};
    PLANISH_ASSIGN_OR_RETURN(const PooledText text, print_pooled(pooled, style));
    const bool last = !problem.operands[size_t(p.left.value)].type.layout.is_row_major();
    EmittedKernel kernel;
    kernel.entry = cat("stem_", ir::name_of(p.type), "_", p.conv.taps_y, "x", p.conv.taps_x, "_c", p.channels, pooled.pool ? "_pool" : "",
                       last ? "_nhwc" : "_nchw", plan.lean ? "_lean" : "", "_sm90");
    kernel.source = stem::kernel_text(pooled, plan, text.first, text.behind, last, kernel.entry);
    kernel.grid.x = uint32_t(plan.tiles);
    kernel.block.x = 384;
    kernel.persistent = true;
    kernel.dynamic_shared_bytes = plan.shared_bytes(p);
    kernel.args = {KernelArg::operand(p.left.value), KernelArg::packed()};
    kernel.args.insert(kernel.args.end(), text.args.begin(), text.args.end());
    kernel.programmatic_launch = true;
    EmittedStep step;
    step.kernels.push_back(std::move(kernel));
    return step;
  }
};

}  // namespace

void register_stem(kernel::KernelRegistry& registry) { registry.add(std::make_unique<Stem>()); }

}  // namespace planish::cuda
