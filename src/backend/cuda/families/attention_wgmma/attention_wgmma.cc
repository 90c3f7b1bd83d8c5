// Attention on Hopper's tensor cores (sm_90a, f16 and bf16, heads of 64 or 128) as a KernelDef: a warpgroup
// takes 64 queries of one head. Keys and values come in tiles of 128 by TMA; scores stay in registers, the
// softmax runs along with the tiles, and the probabilities are the register operand of the second product,
// whose values lie as they came (depth outermost).
#include <algorithm>
#include <cmath>

#include "backend/cuda/emit/emitted_kernel_def.h"
#include "backend/cuda/families/attention_wgmma/kernel_text.h"
#include "backend/cuda/families/register_families.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

constexpr int64_t kMaxSharedBytes = 232448;  // of one CTA

using attention::Place;
using attention::Schedule;
using attention::View;
using attention::view_of;
using ir::DataType;
using kernel::DeviceInfo;
using kernel::Problem;
using kernel::Tactic;

TensorMapSpec map_of(const View& view, const Place& place, int64_t heads, int64_t rows, uint32_t box_rows) {
  TensorMapSpec map;
  map.place = {BufferKind::kOperand, place.operand, place.first_column * 2};
  map.dtype = view.type;
  const uint64_t inner = uint64_t(view.flat ? heads * view.size : view.size);
  const uint64_t pitch = place.pitch ? uint64_t(place.pitch) : inner;
  map.dims = {inner, uint64_t(rows), uint64_t(view.flat ? view.batch : view.batch * heads)};
  map.byte_strides = {pitch * 2, pitch * 2 * uint64_t(rows)};
  map.box = {uint32_t(attention::kSlab), box_rows, 1};
  return map;
}

class AttentionWgmma : public EmittedKernelDef {
 public:
  std::string name() const override { return "cuda.attention_wgmma"; }
  Status supports(const Problem& problem, const DeviceInfo& device) const override {
    PLANISH_ASSIGN_OR_RETURN(View view, view_of(problem));
    if (sm_version(device) != 90) return unsupported(cat("the device is ", device.isa, ", expected sm_90a"));
    if (view.items(1) > INT32_MAX) return unsupported("too many tiles");
    return ok_status();
  }
  std::vector<Tactic> tactics(const Problem& problem, const DeviceInfo& device) const override {
    // One group with registers to spare, with as many CTAs as shared memory holds, two groups, and CTAs
    // that stay where each has several heads to walk over: two teams with rings of two or, where they need
    // not wait for their mask, one with a ring of four.
    std::vector<Tactic> out = {{{{"g", 1}}}};
    auto view = view_of(problem);
    if (!view.ok()) return out;
    if (view->size == 64 && view->key_tiles() == 1) {
      out.push_back({{{"g", 1}, {"occ", 4}}});
      if (view->mask < 0) out.push_back({{{"g", 1}, {"occ", 5}}});
    }
    const int groups = view->queries > 64 ? 2 : 1;
    if (groups > 1) out.push_back({{{"g", 2}}});
    // Two teams have no registers for sums beside the next tile's scores, heads of 128 none for a mask.
    const bool two_teams = view->size == 64 && view->key_tiles() == 1;
    const Tactic ring{{{"g", groups}, {"occ", 1}, {"ring", view->size == 64 && !two_teams ? 4 : 2}, {"teams", two_teams ? 2 : 1}}};
    std::vector<Tactic> carriers = out;
    if (view->items(groups) * view->key_tiles() > 3 * int64_t(sm_count(device))) {
      if (view->size == 64 || view->mask < 0) out.push_back(ring);
      carriers.push_back(ring);
      if (two_teams && groups == 2) carriers.push_back({{{"g", 2}, {"occ", 1}, {"ring", 4}, {"teams", 1}}});
    }
    if (!attention::can_carry_mask(problem, *view)) return out;
    for (Tactic& tactic : carriers) {
      tactic.params["mask"] = 1;
      out.push_back(std::move(tactic));
    }
    return out;
  }
  double predict_us(const Problem& problem, const Tactic& tactic, const DeviceInfo& device) const override {
    auto view = view_of(problem);
    if (!view.ok()) return 1e12;
    const View& v = *view;
    const int64_t groups = tactic.get("g", 1);
    const double tiles = double(v.items(int(groups)));
    const double per_tile = double(v.key_tiles()) * (1100 + 300.0 * double(v.slabs())) * (v.causal ? 0.6 : 1);
    const double waves = std::ceil(tiles / (sm_count(device) * (groups == 1 ? 3.0 : 1.5)));
    const double bytes = 2.0 * double(v.batch * v.size) * double(2 * v.heads * v.queries + 2 * v.kv_heads * v.keys);
    // How often the time of a copy large operands take: several CTAs per SM, or rings; less where no group
    // waits for its mask.
    const double streaming = (tactic.get("teams", 1) > 1 ? 1.4 : 1.6) - 0.2 * double(tactic.get("mask"));
    return std::max((1200 + waves * per_tile) / 1700, (memory_us(device, bytes) - kLaunchUs) * streaming) + kLaunchUs;
  }
  static Schedule schedule_of(const View& view, const Tactic& tactic) {
    Schedule out;
    out.groups = int(tactic.get("g", 1));
    out.ring = int(tactic.get("ring"));
    out.teams = int(tactic.get("teams", 1));
    out.carries_mask = tactic.get("mask") != 0;
    out.residents = int(tactic.get("occ", out.groups > 1 ? 1 : view.size == 64 ? 3 : 2));
    return out;
  }
  Result<EmittedStep> emit(const Problem& problem, const Tactic& tactic, const DeviceInfo&) const override {
    PLANISH_ASSIGN_OR_RETURN(View view, view_of(problem));
    const Schedule schedule = schedule_of(view, tactic);
    if (schedule.carries_mask && !attention::can_carry_mask(problem, view))
      return unsupported("a mask that cannot come with the keys");
    if (attention::shared_bytes(view, schedule) > kMaxSharedBytes)
      return unsupported("more than the shared memory of an SM");
    EmittedKernel kernel;
    kernel.entry = cat("attention_", ir::name_of(view.type), "_d", view.size, "_q", 64 * schedule.groups, "_k128",
                       schedule.ring ? cat("_", schedule.teams, "x", schedule.ring) : std::string(),
                       schedule.carries_mask ? "_mask" : "", "_sm90");
    kernel.source = attention::kernel_text(problem, view, schedule, kernel.entry);
    kernel.grid.x = uint32_t((view.items(schedule.groups) + schedule.teams - 1) / schedule.teams);
    kernel.block.x = uint32_t(schedule.threads());
    kernel.persistent = schedule.ring > 0;
    kernel.dynamic_shared_bytes = attention::shared_bytes(view, schedule);
    kernel.maps = {map_of(view, view.q, view.heads, view.queries, 64),
                   map_of(view, view.k, view.kv_heads, view.keys, uint32_t(attention::kKeyTile)),
                   map_of(view, view.v, view.kv_heads, view.keys, uint32_t(attention::kKeyTile))};
    kernel.args = {KernelArg::tensor_map(0), KernelArg::tensor_map(1), KernelArg::tensor_map(2)};
    if (view.mask >= 0) kernel.args.push_back(KernelArg::operand(view.mask));
    kernel.args.push_back(KernelArg::result(0));
    kernel.programmatic_launch = true;
    EmittedStep step;
    step.kernels.push_back(std::move(kernel));
    return step;
  }
};

}  // namespace

void register_attention_wgmma(kernel::KernelRegistry& registry) {
  registry.add(std::make_unique<AttentionWgmma>());
}

}  // namespace planish::cuda
