// Two 1x1 convolutions in one kernel (pair.h) as a KernelDef.
#include "backend/cuda/families/bottleneck/pair_def.h"

#include "backend/cuda/emit/emitted_kernel_def.h"
#include "backend/cuda/families/bottleneck/pair.h"
#include "backend/cuda/families/contraction/kept_epilogue.h"
#include "base/text.h"
#include "kernel/strided.h"

namespace planish::cuda {
namespace {

using ir::Layout;
using kernel::DeviceInfo;
using kernel::LayoutChoice;
using kernel::Problem;
using kernel::Tactic;
using pair::Pair;
using pair::Plan;

// Row `n` of packed filters: 4 lanes of 8 neighbouring channels, as wgmma's sums lie.
int64_t channel_of(int64_t n) { return n - n % 32 + 8 * (n % 8 / 2) + 2 * (n % 32 / 8) + n % 2; }

class PairDef : public EmittedKernelDef {
 public:
  std::string name() const override { return "cuda.pair_wgmma"; }

  Status supports(const Problem& problem, const DeviceInfo& device) const override {
    PLANISH_ASSIGN_OR_RETURN(Pair p, pair::pair_of(problem));
    if (sm_version(device) != 90) return unsupported(cat("the device is ", device.isa, ", expected sm_90a"));
    return pair::plan_of(p, {.groups = 2}).status();
  }

  std::vector<LayoutChoice> layouts(const Problem& problem, const DeviceInfo&) const override {
    LayoutChoice last;
    for (const kernel::Operand& operand : problem.operands)
      last.operands.push_back(operand.present && !operand.constant && operand.type.rank() == 4 ? Layout::channels_last(4) : Layout{});
    last.results.assign(problem.results.size(), Layout::channels_last(4));
    return {std::move(last)};
  }

  std::vector<Tactic> tactics(const Problem& problem, const DeviceInfo&) const override {
    std::vector<Tactic> out;
    auto p = pair::pair_of(problem);
    if (!p.ok()) return out;
    for (const int ring : {0, 2, 3})
      for (const int groups : {3, 2})
        if (const pair::Tactic tactic{groups, ring}; pair::plan_of(*p, tactic).ok()) out.push_back(pair::write(tactic));
    return out;
  }

  double predict_us(const Problem& problem, const Tactic& tactic, const DeviceInfo& device) const override {
    auto p = pair::pair_of(problem);
    if (!p.ok()) return 1e12;
    auto plan = pair::plan_of(*p, pair::read(tactic));
    return plan.ok() ? pair::predict_us(*p, *plan, sm_count(device)) : 1e12;
  }

  bool takes_strided(const Problem& problem, bool result, int index) const override {
    return result && kernel::pixels_lie_apart(problem.result_type(index));
  }

  bool packs(const Problem& problem, int operand) const override {
    auto p = pair::pair_of_any_size(problem);
    return p.ok() && (operand == p->first_weights || operand == p->second_weights);
  }

  // By chunk of the wide tensor: [16 deep][half of it][64 rows][8 deep] of the first filters, then of the
  // second, whose depth the chunk is.
  Result<kernel::Blob> pack(const Problem& problem, const Tactic&, const DeviceInfo&,
                            std::span<const ir::Tensor> constants) const override {
    PLANISH_ASSIGN_OR_RETURN(Pair p, pair::pair_of_any_size(problem));
    const int64_t first_bytes = pair::first_weight_bytes(p), bytes = first_bytes + pair::second_weight_bytes(p);
    const auto* first = static_cast<const uint16_t*>(constants[size_t(p.first_weights)].data());
    const auto* second = static_cast<const uint16_t*>(constants[size_t(p.second_weights)].data());
    kernel::Blob blob;
    blob.bytes.resize(size_t(bytes * p.mid_channels / pair::kChunk));
    for (int64_t chunk = 0; chunk < p.mid_channels / pair::kChunk; ++chunk) {
      auto* to = reinterpret_cast<uint16_t*>(blob.bytes.data() + chunk * bytes);
      const int64_t mid0 = chunk * pair::kChunk;
      for (int64_t n = 0; n < pair::kChunk; ++n)
        for (int64_t k = 0; k < p.in_channels; ++k)
          to[(k / 8 * pair::kChunk + n) * 8 + k % 8] = first[(mid0 + channel_of(n)) * p.in_channels + k];
      to += first_bytes / 2;
      for (int64_t n = 0; n < p.out_channels; ++n)
        for (int64_t k = 0; k < pair::kChunk; ++k)
          to[(k / 8 * p.out_channels + n) * 8 + k % 8] = second[channel_of(n) * p.mid_channels + mid0 + k];
    }
    return blob;
  }

  Result<EmittedStep> emit(const Problem& problem, const Tactic& tactic, const DeviceInfo&) const override {
    PLANISH_ASSIGN_OR_RETURN(Pair p, pair::pair_of(problem));
    PLANISH_ASSIGN_OR_RETURN(Plan plan, pair::plan_of(p, pair::read(tactic)));
    const auto style = [](int64_t channels) {
      return EpilogueStyle{.lanes = 8, .group_channels = channels, .channel_tail = false};
    };
    PLANISH_ASSIGN_OR_RETURN(EpilogueText first, print_kept_epilogue(p.first, style(p.mid_channels), p.stores_mid));
    PLANISH_ASSIGN_OR_RETURN(EpilogueText second, print_epilogue(p.second, style(p.out_channels)));
    EmittedKernel kernel;
    kernel.entry = cat("pair_", ir::name_of(p.type), "_", p.in_channels, "_", p.mid_channels, "_", p.out_channels, "_",
                       plan.row_tile(), plan.ring > 0 ? cat("_ring", plan.ring) : std::string(), "_sm90");
    kernel.source = pair::kernel_text(p, plan, first, second, kernel.entry);
    kernel.grid.x = uint32_t(plan.tiles);
    kernel.block.x = uint32_t(plan.threads());
    kernel.persistent = true;
    kernel.dynamic_shared_bytes = plan.shared_bytes;
    const auto rows_of = [&](int operand, int64_t channels) {
      TensorMapSpec map;
      map.place = {BufferKind::kOperand, operand, 0};
      map.dtype = p.type;
      map.dims = {uint64_t(channels), uint64_t(p.rows), 1};
      map.byte_strides = {uint64_t(channels) * 2, uint64_t(channels * p.rows) * 2};
      map.box = {64, 64, 1};
      return map;
    };
    kernel.maps = {rows_of(p.input, p.in_channels)};
    kernel.args = {KernelArg::tensor_map(0), KernelArg::packed()};
    if (plan.ring > 0) {
      kernel.maps.push_back(rows_of(p.first.inputs[*pair::residual_of(p)].index, p.mid_channels));
      kernel.args.insert(kernel.args.begin() + 1, KernelArg::tensor_map(1));
    }
    kernel.args.insert(kernel.args.end(), first.args.begin(), first.args.end());
    kernel.args.insert(kernel.args.end(), second.args.begin(), second.args.end());
    kernel.programmatic_launch = true;
    EmittedStep step;
    step.kernels.push_back(std::move(kernel));
    return step;
  }
};

}  // namespace

void register_pair(kernel::KernelRegistry& registry) { registry.add(std::make_unique<PairDef>()); }

}  // namespace planish::cuda
