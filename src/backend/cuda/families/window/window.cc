// Convolutions of few channels at stride 1 on Hopper's tensor cores (sm_90a, f16 and bf16), as a
// KernelDef: filters stay in shared memory, a patch of the input comes once for all taps. tile.h says
// how, kernel_text.cc prints it.
#include "backend/cuda/emit/prelude.h"
#include "backend/cuda/families/contraction/contraction_def.h"
#include "backend/cuda/families/register_families.h"
#include "backend/cuda/families/window/kernel_text.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

using kernel::DeviceInfo;
using kernel::Problem;
using kernel::Tactic;
using window::Plan;

// A box of whole pixels' chunk: [images][height][width][channels].
TensorMapSpec input_map(const Product& p, const Plan& plan) {
  const ConvGeometry& g = p.conv;
  const uint64_t pixel = uint64_t(g.channels) * 2;
  TensorMapSpec map;
  map.place = {BufferKind::kOperand, p.left.value, 0};
  map.dtype = p.type;
  map.dims = {uint64_t(g.channels), uint64_t(g.width), uint64_t(g.height), uint64_t(g.images)};
  map.byte_strides = {pixel, pixel * uint64_t(g.width), pixel * uint64_t(g.width * g.height)};
  map.box = {uint32_t(plan.tile.row_bytes / 2), uint32_t(plan.patch_width), uint32_t(plan.patch_height), 1};
  map.swizzle = plan.tile.row_bytes == 128 ? Swizzle::k128 : Swizzle::k64;
  return map;
}

class Window : public ContractionDef {
 public:
  std::string name() const override { return "cuda.window_wgmma"; }

  Status supports(const Problem& problem, const DeviceInfo& device) const override {
    PLANISH_ASSIGN_OR_RETURN(const PooledProduct product, pooled_product_of(problem));
    PLANISH_RETURN_IF_ERROR(window::can_take(product));
    if (sm_version(device) != 90) return unsupported(cat("the device is ", device.isa, ", expected sm_90a"));
    return window::candidates(product, sm_count(device)).empty()
               ? unsupported("filters and patches that do not fit in shared memory")
               : ok_status();
  }

  std::vector<Tactic> tactics(const Problem& problem, const DeviceInfo& device) const override {
    std::vector<Tactic> out;
    auto product = pooled_product_of(problem);
    if (!product.ok()) return out;
    for (const window::Tile& tile : window::candidates(*product, sm_count(device))) out.push_back(window::write(tile));
    return out;
  }

  double predict_us(const Problem& problem, const Tactic& tactic, const DeviceInfo& device) const override {
    auto product = pooled_product_of(problem);
    if (!product.ok()) return 1e12;
    auto plan = window::plan_of(*product, window::read(tactic));
    return plan.ok() ? window::predict_us(*product, *plan, sm_count(device)) : 1e12;
  }

  // [tile of channels][tap][16 deep][half of it][8 channels][channel][8 deep]: core matrices of 8 x 16
  // bytes, channels permuted as wgmma's sums are.
  Result<kernel::Blob> pack(const Problem& problem, const Tactic& tactic, const DeviceInfo&,
                            std::span<const ir::Tensor> constants) const override {
    PLANISH_ASSIGN_OR_RETURN(const PooledProduct pooled, pooled_product_of_any_size(problem));
    PLANISH_ASSIGN_OR_RETURN(const Plan plan, window::plan_of(pooled, window::read(tactic)));
    const Product& p = pooled.product;
    const auto* from = static_cast<const uint16_t*>(constants[size_t(p.right.value)].data());
    kernel::Blob blob;
    blob.bytes.resize(size_t(plan.weight_bytes * plan.channel_tiles));
    auto* to = reinterpret_cast<uint16_t*>(blob.bytes.data());
    const int64_t width = plan.tile.width, set = 4 * plan.permuted;
    for (int64_t column = 0; column < width * plan.channel_tiles; ++column) {
      const int64_t n = column % width, in = n % set;
      const int64_t channel = column - in + plan.permuted * (in % 8 / 2) + 2 * (in / 8) + in % 2;
      if (channel >= p.channels) continue;
      for (int64_t tap = 0; tap < p.taps(); ++tap)
        for (int64_t k = 0; k < p.depth; ++k) {
          const int64_t step = (column / width * p.taps() + tap) * plan.steps + k / 16;
          to[((step * 2 + k % 16 / 8) * width + n) * 8 + k % 8] = from[right_element(p, 0, channel, tap, k)];
        }
    }
    return blob;
  }

  Result<EmittedStep> emit(const Problem& problem, const Tactic& tactic, const DeviceInfo&) const override {
    PLANISH_ASSIGN_OR_RETURN(const PooledProduct pooled, pooled_product_of(problem));
    PLANISH_ASSIGN_OR_RETURN(const Plan plan, window::plan_of(pooled, window::read(tactic)));
    const Product& p = pooled.product;
    PLANISH_ASSIGN_OR_RETURN(const EpilogueText epilogue, print_quads_or_rows(pooled, plan.permuted));
    EmittedKernel kernel;
    const window::Tile& t = plan.tile;
    kernel.entry = cat("window_", ir::name_of(p.type), "_", p.conv.taps_y, "x", p.conv.taps_x, "_", plan.tile_height, "x",
                       plan.tile_width, "x", t.width, "_g", t.groups, "_s", plan.stages, pooled.pool ? "_pool" : "", "_sm90");
    kernel.source = window::kernel_text(pooled, plan, epilogue, kernel.entry);
    kernel.grid.x = uint32_t(plan.tiles * plan.channel_tiles);
    kernel.block.x = uint32_t(plan.threads());
    kernel.persistent = true;
    kernel.dynamic_shared_bytes = plan.shared_bytes;
    kernel.maps = {input_map(p, plan)};
    kernel.args = {KernelArg::tensor_map(0), KernelArg::packed()};
    kernel.args.insert(kernel.args.end(), epilogue.args.begin(), epilogue.args.end());
    kernel.programmatic_launch = true;
    EmittedStep step;
    step.kernels.push_back(std::move(kernel));
    return step;
  }
};

}  // namespace

void register_window(kernel::KernelRegistry& registry) { registry.add(std::make_unique<Window>()); }

}  // namespace planish::cuda
