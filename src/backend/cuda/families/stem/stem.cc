// The first convolution of an image network on Hopper's tensor cores (sm_90a, f16 and bf16): at most
// 4 channels at stride 2, at most 8 at stride 1, read straight from the user's tensor, planar or not.
//
// A CTA makes 8 rows of 16 pixels. Its producers bring the raw patch under them into shared memory,
// pixel by pixel, padded to 4 (stride 2) or 8 channels, so that a step of one output pixel is 16
// bytes. The products read overlapping windows straight from the patch: an unswizzled descriptor whose
// 16-byte chunks of depth are the following pixels and whose 8-row groups are the following output
// rows. No im2col copy exists anywhere; a filter row's depth is padded to 16 with zero weights (a
// pixel under such a weight must be finite).
#include <algorithm>
#include <cmath>

#include "backend/cuda/emit/prelude.h"
#include "backend/cuda/families/contraction/contraction_def.h"
#include "backend/cuda/families/register_families.h"
#include "backend/cuda/families/wgmma/device_text.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

using kernel::DeviceInfo;
using kernel::LayoutChoice;
using kernel::Problem;
using kernel::Tactic;

constexpr int kTileHeight = 8, kTileWidth = 16, kStages = 4;

struct StemPlan {
  int pixel = 4;           // channels of a pixel in the patch
  int row_steps = 1;       // 16-deep steps of a filter row
  int width = 64;          // channels, padded
  int permuted = 8;        // channels that lie together in a thread's sums
  int patch_height = 0, patch_width = 0;  // pixels
  int64_t tiles = 0, tiles_x = 0, tiles_y = 0;

  int patch_bytes() const { return (patch_height * patch_width * pixel * 2 + 127) / 128 * 128; }
  int weight_bytes(const Product& p) const { return int(p.conv.taps_y) * row_steps * width * 32; }
  int shared_bytes(const Product& p) const { return weight_bytes(p) + kStages * patch_bytes() + 128; }
};

Result<StemPlan> stem_plan(const Product& p) {
  if (!p.is_conv) return other_family();
  const ConvGeometry& g = p.conv;
  if (p.type == ir::DataType::kF32) return unsupported("f32, expected f16 or bf16");
  if (!p.right_constant) return unsupported("computed weights");
  if (p.batches != 1 || g.dilation_x * g.dilation_y != 1) return unsupported("groups or dilation");
  if (g.stride_x != 1 && g.stride_x != 2)
    return unsupported(cat("a stride of ", g.stride_x, ", expected 1 or 2"));
  StemPlan plan;
  plan.pixel = g.stride_x == 2 ? 4 : 8;
  if (g.channels > plan.pixel)
    return unsupported(cat(g.channels, " channels, expected at most ", plan.pixel));
  plan.row_steps = int((g.taps_x * plan.pixel + 15) / 16);
  plan.width = int((p.channels + 15) / 16 * 16);
  if (plan.width > 128) return unsupported(cat(p.channels, " filters, expected at most 128"));
  int bytes = 1;
  for (const Access& a : p.epilogue.results) bytes = std::max(bytes, ir::bits_of(a.type) / 8);
  plan.permuted = plan.width % 32 == 0 && bytes <= 2 ? 8 : 4;
  plan.patch_height = int((kTileHeight - 1) * g.stride_y + g.taps_y);
  plan.patch_width = int((kTileWidth - 1) * g.stride_x + plan.row_steps * 16 / plan.pixel);
  plan.tiles_x = (g.out_width + kTileWidth - 1) / kTileWidth;
  plan.tiles_y = (g.out_height + kTileHeight - 1) / kTileHeight;
  plan.tiles = g.images * plan.tiles_x * plan.tiles_y;
  if (plan.tiles > INT32_MAX) return unsupported("too many tiles");
  if (plan.shared_bytes(p) > 110000) return unsupported("a filter too large for shared memory");
  return plan;
}

constexpr std::string_view kBodyText = R"CUDA(
constexpr int kThreads = 384, kPatchPixels = kPatchHeight * kPatchWidth, kPerThread = (kPatchPixels + 127) / 128;
constexpr int kLanes = kPermuted, kSets = kWidth / (4 * kPermuted);
// A pixel of the patch as the image has it: its channels, zeros beyond the image.
struct Pixel { u16 c[kImageChannels]; };
DEV void fetch(Pixel& to, const u16* from, bool inside) {
#pragma unroll
  for (int c = 0; c < kImageChannels; ++c) {
    to.c[c] = 0;
    if (inside) asm volatile("ld.global.u16 %0, [%1];" : "=h"(to.c[c]) : "l"(from + c * kChannelStep) : "memory");
  }
}
DEV u32 pair(const Pixel& p, int c) {
  return (c < kImageChannels ? (u32)p.c[c % kImageChannels] : 0) | (c + 1 < kImageChannels ? (u32)p.c[(c + 1) % kImageChannels] << 16 : 0);
}
DEV void put_pixel(u32 to, const Pixel& p) {
  if (kPixel == 4) asm volatile("st.shared.v2.u32 [%0], {%1, %2};" ::"r"(to), "r"(pair(p, 0)), "r"(pair(p, 2)) : "memory");
  else asm volatile("st.shared.v4.u32 [%0], {%1, %2, %3, %4};" ::"r"(to), "r"(pair(p, 0)), "r"(pair(p, 2)), "r"(pair(p, 4)), "r"(pair(p, 6)) : "memory");
}
extern "C" __global__ void __launch_bounds__(kThreads, kResidents) ENTRY(const u16* input, const unsigned char* weights PARAMETERS) {
  extern __shared__ __align__(1024) unsigned char shared[];
  const u32 thread = threadIdx.x, warp = __shfl_sync(~0u, thread >> 5, 0), lane = thread & 31;
  const u32 filters = shared_address(shared), patches = filters + kWeightBytes;
  const u32 full = patches + kStages * kPatchBytes, empty = full + 8 * kStages, loaded = empty + 8 * kStages;
  if (thread == 0) {
    for (int i = 0; i < kStages; ++i) { barrier_init(full + 8 * i, 4); barrier_init(empty + 8 * i, 8); }
    barrier_init(loaded, 1);
    barrier_init_fence();
  }
  __syncthreads();
  u32 stage = 0, parity = 0;
  if (warp >= 8) {  // ---- producers
    if (warp == 8 && lane == 0) { barrier_expect(loaded, kWeightBytes); load_bytes(filters, weights, kWeightBytes, loaded); }
    grid_wait();
    // Where a thread's pixels lie in every patch; the last one may lie in none.
    u32 places[kPerThread];
#pragma unroll
    for (int j = 0; j < kPerThread; ++j) {
      const int i = thread - 256 + j * 128;
      places[j] = i < kPatchPixels ? i / kPatchWidth << 16 | i % kPatchWidth : 0x7fff0000u;
    }
    // The next tile's pixels are on their way while this one's go into shared memory.
    Pixel even[kPerThread], odd[kPerThread];
    const auto bring = [&](int tile, Pixel (&to)[kPerThread]) {
      if (tile >= kTiles) return;
      const int x0 = tile % kTilesX * 16 * kStrideX - kLeft, y0 = tile / kTilesX % kTilesY * 8 * kStrideY - kTop;
      const u16* patch = input + (i64)(tile / (kTilesX * kTilesY)) * (kImageChannels * kHeight * kImageWidth) + (y0 * kImageWidth + x0) * kPixelStep;
#pragma unroll
      for (int j = 0; j < kPerThread; ++j) {
        const int y = places[j] >> 16, x = places[j] & 0xffff;
        fetch(to[j], patch + (y * kImageWidth + x) * kPixelStep, (u32)(y0 + y) < kHeight && (u32)(x0 + x) < kImageWidth);
      }
    };
    const auto hand_over = [&](const Pixel (&from)[kPerThread]) {
      barrier_wait(empty + 8 * stage, parity ^ 1);
#pragma unroll
      for (int j = 0; j < kPerThread; ++j) {
        const int i = thread - 256 + j * 128;
        if (i < kPatchPixels) put_pixel(patches + stage * kPatchBytes + i * kPixel * 2, from[j]);
      }
      async_fence();
      __syncwarp();
      if (lane == 0) barrier_arrive(full + 8 * stage);
      if (++stage == kStages) { stage = 0; parity ^= 1; }
    };
    const int step = gridDim.x;
    int tile = blockIdx.x;
    bring(tile, even);
    while (tile < kTiles) {
      bring(tile + step, odd);
      hand_over(even);
      if ((tile += step) >= kTiles) break;
      bring(tile + step, even);
      hand_over(odd);
      tile += step;
    }
    grid_launch();
  } else {  // ---- consumers: a group takes 8 x 8 output pixels
    MAKE_EPILOGUE
    const u32 group = warp >> 2, quad = warp & 3;
    const int channel0 = (lane & 3) * kPermuted;
    Fixed fixed[kSets];
#pragma unroll
    for (int s = 0; s < kSets; ++s)
      if (channel0 + s * 4 * kPermuted < kChannels) load_fixed(e, fixed[s], channel0 + s * 4 * kPermuted, kChannels);
    grid_wait();
    barrier_wait(loaded, 0);
    for (int tile = blockIdx.x; tile < kTiles; tile += gridDim.x) {
      float sum[kWidth / 2];
      barrier_wait(full + 8 * stage, parity);
      const u32 patch = patches + stage * kPatchBytes + group * 8 * kStrideX * kPixel * 2;
      wgmma_begin();
#pragma unroll
      for (int r = 0; r < kTapsY; ++r)
#pragma unroll
        for (int s = 0; s < kRowSteps; ++s)
          multiply(sum, matrix(patch + r * kPatchWidth * kPixel * 2 + s * 32, 0, 16, kStrideY * kPatchWidth * kPixel * 2),
                   matrix(filters + (r * kRowSteps + s) * kWidth * 32, 0, kWidth * 16, 128), r + s > 0);
      wgmma_commit();
      wgmma_wait<0>();
      if (lane == 0) barrier_arrive(empty + 8 * stage);
      if (++stage == kStages) { stage = 0; parity ^= 1; }
      const int image = tile / (kTilesX * kTilesY), x = tile % kTilesX * 16 + group * 8 + (lane >> 2);
#pragma unroll
      for (int s = 0; s < kSets; ++s)
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          const int y = tile / kTilesX % kTilesY * 8 + 2 * quad + h, channel = channel0 + s * 4 * kPermuted;
          if (y >= kOutHeight || x >= kOutWidth || channel >= kChannels) continue;
          const u32 row = (image * kOutHeight + y) * kOutWidth + x;
          float part[kLanes];
#pragma unroll
          for (int l = 0; l < kLanes; ++l) part[l] = sum[(s * (kPermuted / 2) + l / 2) * 4 + 2 * h + l % 2];
          Near near;
          load_near(e, near, row, channel, kChannels);
          finish(e, part, fixed[s], near, row, channel, kChannels);
        }
    }
  }
}
)CUDA";

std::string source_of(const Product& p, const StemPlan& plan, const EpilogueText& epilogue, int residents,
                      bool channels_last, const std::string& entry) {
  const ConvGeometry& g = p.conv;
  const std::pair<const char*, int64_t> constants[] = {
      {"kPixel", plan.pixel}, {"kRowSteps", plan.row_steps}, {"kWidth", plan.width}, {"kPermuted", plan.permuted},
      {"kPatchHeight", plan.patch_height}, {"kPatchWidth", plan.patch_width}, {"kPatchBytes", plan.patch_bytes()},
      {"kWeightBytes", plan.weight_bytes(p)}, {"kTiles", plan.tiles}, {"kTilesX", plan.tiles_x}, {"kTilesY", plan.tiles_y},
      {"kStages", kStages}, {"kResidents", residents}, {"kImageChannels", g.channels}, {"kHeight", g.height},
      {"kImageWidth", g.width}, {"kTapsY", g.taps_y}, {"kStrideX", g.stride_x}, {"kStrideY", g.stride_y}, {"kTop", g.top},
      {"kLeft", g.left}, {"kOutHeight", g.out_height}, {"kOutWidth", g.out_width}, {"kChannels", p.channels},
      {"kChannelStep", channels_last ? 1 : g.height * g.width}, {"kPixelStep", channels_last ? g.channels : 1}};
  std::string out = cat(kPrelude, wgmma::async_text());
  for (const auto& [name, value] : constants) out += cat("constexpr int ", name, " = ", value, ";\n");
  out += wgmma::instruction_text("multiply", p.type, plan.width, wgmma::Operand::kSharedKMajor, false);
  std::string body(kBodyText);
  replace_all(body, "ENTRY", entry);
  replace_all(body, "PARAMETERS", epilogue.parameters);
  replace_all(body, "MAKE_EPILOGUE", epilogue.make);
  return cat(out, epilogue.functions, body);
}

class Stem : public ContractionDef {
 public:
  std::string name() const override { return "cuda.stem_wgmma"; }

  Status supports(const Problem& problem, const DeviceInfo& device) const override {
    PLANISH_ASSIGN_OR_RETURN(Product product, product_of(problem));
    PLANISH_RETURN_IF_ERROR(stem_plan(product).status());
    if (sm_version(device) != 90) return unsupported(cat("the device is ", device.isa, ", expected sm_90a"));
    return ok_status();
  }

  std::vector<LayoutChoice> layouts(const Problem& problem, const DeviceInfo&) const override {
    auto product = product_of(problem);
    if (!product.ok()) return {};
    LayoutChoice planar = product_layouts(problem, *product), last = planar;
    planar.operands[size_t(product->left.value)] = {};
    return {planar, last};
  }

  std::vector<Tactic> tactics(const Problem& problem, const DeviceInfo&) const override {
    auto product = product_of(problem);
    if (product.ok() && product->channels > 64) return {{{{"occ", 1}}}};  // two would have 80 registers
    return {{{{"occ", 2}}}, {{{"occ", 1}}}};
  }

  double predict_us(const Problem& problem, const Tactic& tactic, const DeviceInfo& device) const override {
    auto product = product_of(problem);
    if (!product.ok()) return 1e12;
    auto plan = stem_plan(*product);
    if (!plan.ok()) return 1e12;
    const ConvGeometry& g = product->conv;
    const double occ = double(tactic.get("occ", 2));
    const double waves = std::ceil(double(plan->tiles) / (sm_count(device) * occ));
    const double bytes = 2.0 * double(g.images) * double(g.channels * g.height * g.width + product->channels * g.out_height * g.out_width);
    return std::max((1500 + waves * 1000) / 1700, bytes / 3.6e6) + kLaunchUs;
  }

  Result<kernel::Blob> pack(const Problem& problem, const Tactic&, const DeviceInfo&,
                            std::span<const ir::Tensor> constants) const override {
    PLANISH_ASSIGN_OR_RETURN(Product p, product_of_any_size(problem));
    PLANISH_ASSIGN_OR_RETURN(StemPlan plan, stem_plan(p));
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
    PLANISH_ASSIGN_OR_RETURN(Product p, product_of(problem));
    PLANISH_ASSIGN_OR_RETURN(StemPlan plan, stem_plan(p));
    const EpilogueStyle style{.lanes = plan.permuted, .group_channels = p.channels,
                              .channel_tail = p.channels % plan.permuted != 0};
    PLANISH_ASSIGN_OR_RETURN(EpilogueText epilogue, print_epilogue(p.epilogue, style));
    const bool last = !problem.operands[size_t(p.left.value)].type.layout.is_row_major();
    EmittedKernel kernel;
    kernel.entry = cat("stem_", ir::name_of(p.type), "_", p.conv.taps_y, "x", p.conv.taps_x, "_c", p.channels, last ? "_nhwc" : "_nchw", "_sm90");
    kernel.source = source_of(p, plan, epilogue, int(tactic.get("occ", 2)), last, kernel.entry);
    kernel.grid.x = uint32_t(plan.tiles);
    kernel.block.x = 384;
    kernel.persistent = true;
    kernel.dynamic_shared_bytes = plan.shared_bytes(p);
    kernel.args = {KernelArg::operand(p.left.value), KernelArg::packed()};
    kernel.args.insert(kernel.args.end(), epilogue.args.begin(), epilogue.args.end());
    kernel.programmatic_launch = true;
    EmittedStep step;
    step.kernels.push_back(std::move(kernel));
    return step;
  }
};

}  // namespace

void register_stem(kernel::KernelRegistry& registry) { registry.add(std::make_unique<Stem>()); }

}  // namespace planish::cuda
