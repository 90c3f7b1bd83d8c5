#include "backend/cuda/families/stack/stack.h"

#include <algorithm>
#include <bit>

#include "backend/cuda/emit/emitted_kernel_def.h"
#include "base/text.h"

namespace planish::cuda::stack {
namespace {

using kernel::Problem;

constexpr int64_t kMaxStages = 12;

Status check(const Product& p, const Stack& stack) {
  if (p.type != stack.type || p.type == ir::DataType::kF32)
    return unsupported(cat("operands are ", ir::name_of(p.type), ", expected f16 or bf16 in all layers"));
  if (p.is_conv && (!p.conv.is_pointwise() || p.conv.out_height * p.conv.out_width != 1))
    return unsupported("a convolution of more than one pixel");
  if (p.batches != 1) return unsupported("a batch of products");
  if (!p.right_constant) return unsupported("computed weights");
  if (!p.left.depth_inner) return unsupported("a transposed input");
  if (p.rows != stack.rows) return unsupported("layers of different rows");
  return without_moments(p);
}

int64_t rounded(int64_t value, int64_t to) { return (value + to - 1) / to * to; }

}  // namespace

Result<Stack> stack_of(const Problem& problem) {
  const auto first = std::find_if(problem.stages.begin(), problem.stages.end(), [](const kernel::Stage& s) { return !s.is_expr(); });
  if (first == problem.stages.end() || !is_product(*first) || second_root(problem).stage == 0) return other_family();
  if (problem.results.size() != 1) return unsupported("more than one result");
  Stack out;
  Problem rest = problem;
  int left = -1;  // what the layer in front made
  while (true) {
    const RootPlace next = second_root(rest);
    const int mid = next.stage ? rest.stages[next.stage].inputs[0] : -1;
    if (next.stage && (!is_product(rest.stages[next.stage]) || mid < int(rest.operands.size())))
      return unsupported("products that are no chain");
    PLANISH_ASSIGN_OR_RETURN(Product p, product_of(next.stage ? stages_before(rest, next.stage, mid) : rest));
    if (out.layers.empty()) {
      out.type = p.type;
      out.rows = p.rows;
      out.input = p.left.value;
      if (out.input >= int(problem.operands.size())) return unsupported("an input computed inside");
    } else if (p.left.value != left) {
      return unsupported("products that are no chain");
    }
    PLANISH_RETURN_IF_ERROR(check(p, out));
    for (const Access& access : p.epilogue.inputs)
      if (access.index >= int(problem.operands.size())) return unsupported("an epilogue that reads another layer");
    if (p.epilogue.results.size() != 1) return unsupported("more than one result of a layer");
    if (next.stage && p.epilogue.results[0].type != p.type) return unsupported("layers of different types");
    p.epilogue.results[0].index = 0;
    out.layers.push_back(std::move(p));
    if (!next.stage) break;
    PLANISH_ASSIGN_OR_RETURN(Problem tail, stages_from(rest, next.stage, next.value, mid, rest.results[0]));
    left = int(rest.operands.size());
    rest = std::move(tail);
  }
  if (out.rows > kMaxRows) return unsupported(cat(out.rows, " rows, expected at most ", kMaxRows));
  return out;
}

kernel::Tactic write(const Tactic& tactic) { return {{{"c", tactic.cluster}}}; }
Tactic read(const kernel::Tactic& tactic) { return {int(tactic.get("c", 16))}; }

Result<Plan> plan_of(const Stack& stack, const Tactic& tactic) {
  if (tactic.cluster < 1 || tactic.cluster > 16 || !std::has_single_bit(unsigned(tactic.cluster)))
    return invalid_argument("no such cluster");
  Plan plan;
  plan.cluster = tactic.cluster;
  int64_t at = 0;
  for (const Product& layer : stack.layers) {
    LayerPlan l;
    l.tiles = int((layer.channels + 15) / 16);
    l.blocks = int((layer.depth + 31) / 32);
    l.per_cta = (l.tiles + plan.cluster - 1) / plan.cluster;
    const int wanted = std::max(1, kWarps / int(std::bit_ceil(unsigned(l.per_cta))));
    l.split = std::min(wanted, int(std::bit_floor(unsigned(l.blocks))));
    l.passes = (l.per_cta + l.at_once() - 1) / l.at_once();
    l.warp_blocks = (l.blocks + l.split - 1) / l.split;
    // 8 rows of 64 bytes each: two rows on all banks.
    l.pitch = l.blocks * 64 + (l.blocks % 2 ? 0 : 64);
    l.input_at = at;
    l.weights_at = plan.packed_bytes;
    plan.packed_bytes += l.cta_bytes() * plan.cluster;
    at += rounded(stack.rows * l.pitch, 128);
    plan.layers.push_back(l);
  }
  plan.sums_at = at;
  plan.sums_bytes = kWarps * stack.rows * 64;
  plan.ring_at = at + 2 * plan.sums_bytes;
  const int64_t barriers = 8 * (2 * kMaxStages + int64_t(stack.layers.size()));
  const int64_t room = kMaxSharedBytes - plan.ring_at - barriers;
  if (room < 2 * kStageBytes) return unsupported(cat("rows of ", at, " bytes in all layers, more than shared memory"));
  int64_t used = 0;  // of a CTA
  for (const LayerPlan& l : plan.layers) used += l.cta_bytes() / kStageBytes;
  plan.stages = int(std::min({kMaxStages, room / kStageBytes, std::max<int64_t>(2, used)}));
  plan.shared_bytes = int(plan.ring_at + plan.stages * kStageBytes + barriers);
  return plan;
}

double predict_us(const Stack& stack, const Plan& plan) {
  // From an H200: what an SM brings, and latencies, of which sums and epilogues of more rows are a part.
  constexpr double kBytesPerUs = 115e3, kStartUs = 1.2, kLayerUs = 0.55, kRowUs = 0.05;
  double bytes = 0;
  for (const LayerPlan& l : plan.layers) bytes += double(l.cta_bytes());
  return kStartUs + double(stack.layers.size()) * (kLayerUs + kRowUs * double(stack.rows - 1)) + bytes / kBytesPerUs;
}

}  // namespace planish::cuda::stack
