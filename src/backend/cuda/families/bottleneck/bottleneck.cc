// The family "cuda.bottleneck_mma": expand, depthwise, project in one kernel (MobileNet V2 and its
// family), or depthwise, project (MobileNet V1), in f16 and bf16 on tensor cores; see block.h.
//
// Known limit: what is no number in one of 8 neighbouring middle channels spreads over all 8, because a
// diagonal's zeros multiply it.
#include <cstring>

#include "backend/cuda/emit/emitted_kernel_def.h"
#include "backend/cuda/families/bottleneck/kernel_text.h"
#include "backend/cuda/families/bottleneck/pair_def.h"
#include "backend/cuda/families/register_families.h"
#include "base/text.h"
#include "kernel/strided.h"

namespace planish::cuda {
namespace {

using namespace bottleneck;
using ir::Layout;
using kernel::DeviceInfo;
using kernel::LayoutChoice;
using kernel::Problem;
using kernel::Tactic;

// Fragments of a right operand: for every 16 deep and 8 wide, a lane's two words.
class Packer {
 public:
  Packer(const Chain& chain, const BlockPlan& plan, std::span<const ir::Tensor> constants, std::byte* to)
      : chain_(chain), plan_(plan), constants_(constants), to_(to) {}

  void run() {
    const int blocks = plan_.block.chunk / 8;
    if (chain_.expands) {
      for (int chunk = 0; chunk < plan_.chunks; ++chunk)
        for (int k = 0; k < plan_.depth_steps; ++k)
          for (int j = 0; j < blocks; ++j)
            fragment(0, (chunk * plan_.depth_steps + k) * blocks + j, [&](int depth, int column) {
              return weight(chain_.expand.weights, chunk * plan_.block.chunk + j * 8 + column, k * 16 + depth,
                            chain_.mid_channels, chain_.in_channels);
            });
      biases(plan_.expand_bias(), chain_.expand.bias);
    }
    biases(plan_.depthwise_bias(), chain_.depthwise.bias);
    // Of a channel: the first two taps of each row in one word, then the third ones.
    for (int64_t c = 0; c < chain_.mid_channels; ++c)
      for (int64_t r = 0; r < 3; ++r)
        for (int64_t s = 0; s < 3; ++s)
          copy(plan_.depthwise() + c * 32 + (s < 2 ? r * 4 + s * 2 : 12 + r * 4), chain_.depthwise.weights, c * 9 + r * 3 + s);
    for (int k = 0; k < plan_.middle / 16; ++k)
      for (int j = 0; j < plan_.out_blocks; ++j)
        fragment(plan_.project(), k * plan_.out_blocks + j, [&](int depth, int column) {
          return weight(chain_.project_weights, channel_of_column(plan_, j * 8 + column), k * 16 + depth,
                        chain_.out_channels, chain_.mid_channels);
        });
  }

 private:
  // Bits of a 1x1 filter's element; zero beyond it.
  uint16_t weight(int operand, int64_t channel, int64_t depth, int64_t channels, int64_t depths) const {
    if (channel >= channels || depth >= depths) return 0;
    return constants_[size_t(operand)].data_as<uint16_t>()[channel * depths + depth];
  }
  void copy(int64_t offset, int operand, int64_t element) {
    std::memcpy(to_ + offset, constants_[size_t(operand)].data_as<uint16_t>() + element, 2);
  }
  // Lane 4 n + i holds column n at depths 2 i, 2 i + 1 and, in its second word, 8 deeper.
  template <class Weight>
  void fragment(int64_t offset, int number, Weight weight) {
    for (int lane = 0; lane < 32; ++lane)
      for (int half = 0; half < 4; ++half) {
        const uint16_t bits = weight(lane % 4 * 2 + half % 2 + half / 2 * 8, lane / 4);
        std::memcpy(to_ + offset + (int64_t(number) * 32 + lane) * 8 + half * 2, &bits, 2);
      }
  }
  void biases(int64_t offset, int operand) {
    if (operand < 0) return;
    const ir::Tensor& t = constants_[size_t(operand)];
    for (int64_t c = 0; c < chain_.mid_channels; ++c) {
      const float v = float(t.f64(t.count() == 1 ? 0 : c));
      std::memcpy(to_ + offset + c * 4, &v, 4);
    }
  }

  const Chain& chain_;
  const BlockPlan& plan_;
  std::span<const ir::Tensor> constants_;
  std::byte* to_;
};

class Bottleneck : public EmittedKernelDef {
 public:
  std::string name() const override { return "cuda.bottleneck_mma"; }

  Status supports(const Problem& problem, const DeviceInfo& device) const override {
    PLANISH_ASSIGN_OR_RETURN(Chain chain, chain_of(problem));
    if (sm_version(device) < 90) return unsupported(cat("the device is ", device.isa, ", expected sm_90"));
    if (shared_bytes_per_block(device) < kSharedOfBlock)
      return unsupported(cat("a block has ", shared_bytes_per_block(device), " bytes of shared memory, expected ",
                             kSharedOfBlock));
    if (candidates(chain, sm_count(device), 1).empty())
      return unsupported(cat("no tile for ", chain.in_channels, " -> ", chain.mid_channels, " -> ", chain.out_channels, " channels"));
    return ok_status();
  }

  std::vector<LayoutChoice> layouts(const Problem& problem, const DeviceInfo&) const override {
    LayoutChoice last;
    for (const kernel::Operand& operand : problem.operands)
      last.operands.push_back(operand.present && !operand.constant && operand.type.rank() == 4 ? Layout::channels_last(4) : Layout{});
    last.results.assign(problem.results.size(), Layout::channels_last(4));
    return {std::move(last)};
  }

  std::vector<Tactic> tactics(const Problem& problem, const DeviceInfo& device) const override {
    std::vector<Tactic> out;
    auto chain = chain_of(problem);
    if (!chain.ok()) return out;
    for (const Block& block : candidates(*chain, sm_count(device))) out.push_back(write(block));
    return out;
  }

  double predict_us(const Problem& problem, const Tactic& tactic, const DeviceInfo& device) const override {
    auto chain = chain_of(problem);
    if (!chain.ok()) return 1e12;
    auto plan = plan_of(*chain, read(tactic));
    return plan.ok() ? bottleneck::predict_us(*chain, *plan, sm_count(device)) : 1e12;
  }

  bool takes_strided(const Problem& problem, bool result, int index) const override {
    return result && kernel::pixels_lie_apart(problem.result_type(index));
  }

  // All constants but those that the last expression reads.
  bool packs(const Problem& problem, int operand) const override {
    auto chain = chain_of_any_size(problem);
    if (!chain.ok()) return false;
    for (const Access& access : chain->epilogue.inputs)
      if (access.index == operand) return false;
    return operand == chain->expand.weights || operand == chain->expand.bias || operand == chain->depthwise.weights ||
           operand == chain->depthwise.bias || operand == chain->project_weights;
  }

  Result<kernel::Blob> pack(const Problem& problem, const Tactic& tactic, const DeviceInfo&,
                            std::span<const ir::Tensor> constants) const override {
    PLANISH_ASSIGN_OR_RETURN(Chain chain, chain_of_any_size(problem));
    PLANISH_ASSIGN_OR_RETURN(BlockPlan plan, plan_of(chain, read(tactic)));
    kernel::Blob blob;
    blob.bytes.resize(size_t(plan.packed_bytes()));
    Packer(chain, plan, constants, blob.bytes.data()).run();
    return blob;
  }

  Result<EmittedStep> emit(const Problem& problem, const Tactic& tactic, const DeviceInfo&) const override {
    PLANISH_ASSIGN_OR_RETURN(Chain chain, chain_of(problem));
    PLANISH_ASSIGN_OR_RETURN(BlockPlan plan, plan_of(chain, read(tactic)));
    PLANISH_ASSIGN_OR_RETURN(Ends ends, ends_of(chain, plan));
    const Block& b = plan.block;
    EmittedKernel kernel;
    kernel.entry = cat("bottleneck_", ir::name_of(chain.type), "_c", chain.in_channels, "_", chain.mid_channels, "_",
                       chain.out_channels, "_s", chain.stride, "_", b.tile_height(), "x", b.tile_width(), "_r", b.rows, "_sm90");
    kernel.source = kernel_text(chain, plan, ends, kernel.entry);
    kernel.grid.x = uint32_t(chain.images * plan.tiles_x * plan.tiles_y);
    kernel.block.x = uint32_t(b.threads());
    kernel.dynamic_shared_bytes = plan.shared_bytes;
    kernel.args = {KernelArg::operand(chain.input), KernelArg::packed(), KernelArg::packed(plan.expand_bias()),
                   KernelArg::packed(plan.depthwise()), KernelArg::packed(plan.depthwise_bias()),
                   KernelArg::packed(plan.project())};
    const EpilogueText& end = ends.pairs ? *ends.pairs : *ends.last;
    kernel.args.insert(kernel.args.end(), end.args.begin(), end.args.end());
    kernel.programmatic_launch = true;
    EmittedStep step;
    step.kernels.push_back(std::move(kernel));
    return step;
  }
};

}  // namespace

void register_bottleneck(kernel::KernelRegistry& registry) {
  registry.add(std::make_unique<Bottleneck>());
  register_pair(registry);
}

}  // namespace planish::cuda
