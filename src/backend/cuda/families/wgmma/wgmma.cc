// Convolutions and matrix products on Hopper's tensor cores (sm_90a), f16, bf16 and tf32, as a
// KernelDef. tile.h says how a tile works, kernel_text.cc how it is printed.
#include "backend/cuda/families/contraction/contraction_def.h"
#include "backend/cuda/families/register_families.h"
#include "backend/cuda/families/wgmma/kernel_text.h"
#include "backend/cuda/families/wgmma/pack.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

using kernel::DeviceInfo;
using kernel::Problem;
using kernel::Tactic;
using wgmma::Plan;
using wgmma::Source;

Swizzle swizzle_of(const Plan& plan) { return plan.step_bytes == 128 ? Swizzle::k128 : Swizzle::k64; }

// A tiled map over [matrices][outer][inner].
TensorMapSpec matrix_map(const Product& p, BufferPlace place, int64_t inner, int64_t outer,
                         int64_t matrices, uint32_t box_inner, uint32_t box_outer) {
  const uint64_t es = uint64_t(ir::bits_of(p.type) / 8);
  TensorMapSpec map;
  map.place = place;
  map.dtype = p.type;
  map.tf32 = p.type == ir::DataType::kF32;
  map.dims = {uint64_t(inner), uint64_t(outer), uint64_t(matrices)};
  map.byte_strides = {uint64_t(inner) * es, uint64_t(inner) * uint64_t(outer) * es};
  map.box = {box_inner, box_outer, 1};
  return map;
}

TensorMapSpec im2col_map(const Product& p, const Plan& plan, BufferPlace place) {
  const ConvGeometry& g = p.conv;
  const uint64_t pixel = uint64_t(g.channels * plan.element_bytes);
  TensorMapSpec map;
  map.mode = MapMode::kIm2col;
  map.place = place;
  map.dtype = p.type;
  map.tf32 = p.type == ir::DataType::kF32;
  map.dims = {uint64_t(g.channels), uint64_t(g.width), uint64_t(g.height), uint64_t(g.images)};
  map.byte_strides = {pixel, pixel * uint64_t(g.width), pixel * uint64_t(g.width * g.height)};
  map.element_strides = {1, uint32_t(g.stride_x), uint32_t(g.stride_y), 1};
  map.lower_corner = {int32_t(-g.left), int32_t(-g.top)};
  map.upper_corner = {int32_t(g.right - (g.taps_x - 1) * g.dilation_x),
                      int32_t(g.bottom - (g.taps_y - 1) * g.dilation_y)};
  map.channels_per_pixel = uint32_t(plan.step_depth);
  map.pixels_per_column = uint32_t(plan.tile.row_tile() / plan.tile.share_rows);
  map.swizzle = swizzle_of(plan);
  return map;
}

// A step of depth of 8 x 8 pixels.
TensorMapSpec boxes_map(const Product& p, const Plan& plan, BufferPlace place) {
  const ConvGeometry& g = p.conv;
  const uint64_t pixel = uint64_t(g.channels * plan.element_bytes);
  TensorMapSpec map;
  map.place = place;
  map.dtype = p.type;
  map.tf32 = p.type == ir::DataType::kF32;
  map.dims = {uint64_t(g.channels), uint64_t(g.width), uint64_t(g.height), uint64_t(g.images)};
  map.byte_strides = {pixel, pixel * uint64_t(g.width), pixel * uint64_t(g.width * g.height)};
  map.box = {uint32_t(plan.step_depth), 8, 8, 1};
  map.swizzle = swizzle_of(plan);
  return map;
}

TensorMapSpec left_map(const Product& p, const Plan& plan) {
  const BufferPlace place{BufferKind::kOperand, p.left.value, 0};
  const uint32_t depth = uint32_t(plan.step_depth);
  const uint32_t rows = uint32_t(plan.tile.row_tile() / plan.tile.share_rows);
  TensorMapSpec map;
  if (plan.left == Source::kIm2col) return im2col_map(p, plan, place);
  if (plan.left == Source::kBoxes) return boxes_map(p, plan, place);
  if (plan.left == Source::kDepthOuter)
    map = matrix_map(p, place, p.rows, p.depth, p.left.matrices, 64, depth);
  else if (p.is_conv)
    map = matrix_map(p, place, p.conv.channels, p.rows, 1, depth, rows);
  else
    map = matrix_map(p, place, p.depth, p.rows, p.left.matrices, depth, rows);
  map.swizzle = swizzle_of(plan);
  return map;
}

TensorMapSpec right_map(const Product& p, const Plan& plan) {
  const uint32_t depth = uint32_t(plan.step_depth);
  const uint32_t channels = uint32_t(plan.tile.channel_tile() / plan.tile.share_weights);
  const BufferPlace operand{BufferKind::kOperand, p.right.value, 0};
  TensorMapSpec map;
  if (plan.right == Source::kPacked)
    map = matrix_map(p, {BufferKind::kPacked, 0, 0}, plan.step_depth, plan.packed_channels,
                     p.batches * plan.steps, depth, channels);
  else if (plan.right == Source::kDepthInner)
    map = matrix_map(p, operand, p.depth * p.taps(), p.channels, p.right.matrices, depth, channels);
  else
    map = matrix_map(p, operand, p.channels, p.depth, p.right.matrices, 64, depth);
  map.swizzle = swizzle_of(plan);
  return map;
}

// "conv_f16_128x128x64_s4_sm90": op, type, rows x channels x depth, stages, what else is special.
std::string entry_name(const Product& p, const Plan& plan, bool pooled) {
  const wgmma::Tile& t = plan.tile;
  const std::string type = p.type == ir::DataType::kF32 ? "tf32" : std::string(ir::name_of(p.type));
  std::string out = cat(p.is_conv ? "conv_" : "gemm_", type, "_", t.row_tile(), "x",
                        t.channel_tile(), "x", plan.step_depth, "_s", plan.stages);
  if (t.ping_pong) out += "_pingpong";
  if (t.swap) out += "_swap";
  if (t.split > 1) out += cat("_split", t.split);
  if (t.share_rows > 1) out += cat("_rows", t.share_rows);
  if (t.share_weights > 1) out += cat("_weights", t.share_weights);
  if (t.boxes) out += pooled ? "_boxes_pool" : "_boxes";
  return out + "_sm90";
}

class Wgmma : public ContractionDef {
 public:
  std::string name() const override { return "cuda.contraction_wgmma"; }
  int version() const override { return 2; }

  Status supports(const Problem& problem, const DeviceInfo& device) const override {
    PLANISH_ASSIGN_OR_RETURN(const PooledProduct pooled, pooled_product_of(problem));
    const Product& product = pooled.product;
    if (sm_version(device) != 90)
      return unsupported(cat("the device is ", device.isa, ", expected sm_90a"));
    if (product.type == ir::DataType::kF32 && !takes_tf32(device))
      return unsupported("f32 products are exact, tensor cores would take tf32");
    PLANISH_RETURN_IF_ERROR(wgmma::can_take(product));
    if (pooled.pool) PLANISH_RETURN_IF_ERROR(quads_epilogue(pooled).status());
    return wgmma::candidates(pooled, sm_count(device)).empty() ? unsupported("no tile fits")
                                                                : ok_status();
  }

  std::vector<Tactic> tactics(const Problem& problem, const DeviceInfo& device) const override {
    auto product = pooled_product_of(problem);
    std::vector<Tactic> out;
    if (!product.ok()) return out;
    for (const wgmma::Tile& tile : wgmma::candidates(*product, sm_count(device)))
      out.push_back(wgmma::write(tile));
    return out;
  }

  double predict_us(const Problem& problem, const Tactic& tactic,
                    const DeviceInfo& device) const override {
    auto product = pooled_product_of(problem);
    if (!product.ok()) return 1e12;
    auto plan = wgmma::plan_of(*product, wgmma::read(tactic));
    return plan.ok() ? wgmma::predict_us(*product, *plan, sm_count(device)) : 1e12;
  }

  Result<kernel::Blob> pack(const Problem& problem, const Tactic& tactic, const DeviceInfo&,
                            std::span<const ir::Tensor> constants) const override {
    PLANISH_ASSIGN_OR_RETURN(const PooledProduct pooled, pooled_product_of_any_size(problem));
    PLANISH_ASSIGN_OR_RETURN(const Plan plan, wgmma::plan_of(pooled, wgmma::read(tactic)));
    const Product& product = pooled.product;
    if (plan.right != Source::kPacked) return kernel::Blob{};
    return wgmma::pack_weights(product, plan, constants[size_t(product.right.value)],
                               product.type == ir::DataType::kF32);
  }

  Result<EmittedStep> emit(const Problem& problem, const Tactic& tactic,
                           const DeviceInfo& device) const override {
    PLANISH_ASSIGN_OR_RETURN(const PooledProduct pooled, pooled_product_of(problem));
    PLANISH_ASSIGN_OR_RETURN(const Plan plan, wgmma::plan_of(pooled, wgmma::read(tactic)));
    const Product& product = pooled.product;
    PLANISH_ASSIGN_OR_RETURN(const EpilogueText epilogue, print_quads_or_rows(pooled, plan.lanes));
    EmittedKernel kernel;
    kernel.entry = entry_name(product, plan, pooled.pool.has_value());
    // Measured for products only.
    const bool one_wave = !product.is_conv && plan.cluster_tiles * plan.tile.cluster() <= sm_count(device);
    kernel.source = wgmma::kernel_text(pooled, plan, epilogue, kernel.entry, one_wave);
    kernel.grid.x = uint32_t(plan.cluster_tiles * plan.tile.cluster());
    kernel.block.x = uint32_t(plan.threads());
    kernel.cluster.x = uint32_t(plan.tile.cluster());
    kernel.persistent = plan.tile.split == 1;
    kernel.dynamic_shared_bytes = plan.shared_bytes;
    kernel.maps = {left_map(product, plan), right_map(product, plan)};
    kernel.args = {KernelArg::tensor_map(0), KernelArg::tensor_map(1)};
    kernel.args.insert(kernel.args.end(), epilogue.args.begin(), epilogue.args.end());
    kernel.programmatic_launch = true;
    EmittedStep step;
    step.kernels.push_back(std::move(kernel));
    return step;
  }
};

}  // namespace

void register_wgmma(kernel::KernelRegistry& registry) { registry.add(std::make_unique<Wgmma>()); }

}  // namespace planish::cuda
