#include "backend/cuda/families/bottleneck/pair.h"

#include <algorithm>
#include <cmath>

#include "backend/cuda/emit/emitted_kernel_def.h"
#include "base/text.h"

namespace planish::cuda::pair {
namespace {

using kernel::Problem;

constexpr int kMaxSharedBytes = 232448;  // of one CTA on sm_90

Status check(const Product& p, std::string_view which) {
  if (!p.is_conv || !p.conv.is_pointwise() || p.batches != 1) return unsupported(cat("a ", which, " step that is no 1x1 convolution"));
  if (p.type == ir::DataType::kF32) return unsupported("f32, expected f16 or bf16");
  if (!p.right_constant) return unsupported("computed weights");
  for (const Access& a : p.epilogue.results)
    if (a.type != p.type) return unsupported(cat("a result of ", ir::name_of(a.type), ", expected ", ir::name_of(p.type)));
  return ok_status();
}

}  // namespace

Result<Pair> pair_of(const Problem& problem) {
  const auto is_root = [](const kernel::Stage& stage) { return !stage.is_expr(); };
  const auto [second, second_value] = second_root(problem);
  if (std::count_if(problem.stages.begin(), problem.stages.end(), is_root) != 2 || problem.stages[0].op != "Conv" ||
      problem.stages[second].op != "Conv")
    return other_family();
  const int mid = problem.stages[second].inputs[0];
  if (mid < int(problem.operands.size())) return unsupported("convolutions that are no chain");
  Pair out;
  int mid_result = -1, last_result = -1;
  for (size_t i = 0; i < problem.results.size(); ++i) {
    int& of = problem.results[i] == mid ? mid_result : last_result;
    if (of >= 0 || (problem.results[i] != mid && problem.results[i] < second_value)) return unsupported("other results than the two");
    of = int(i);
  }
  if (last_result < 0) return unsupported("no result of the second product");
  PLANISH_ASSIGN_OR_RETURN(Product a, product_of(stages_before(problem, second, mid)));
  PLANISH_ASSIGN_OR_RETURN(const Problem tail, stages_from(problem, second, second_value, mid, problem.results[size_t(last_result)]));
  PLANISH_ASSIGN_OR_RETURN(Product b, product_of(tail));
  PLANISH_RETURN_IF_ERROR(check(a, "first"));
  PLANISH_RETURN_IF_ERROR(check(b, "second"));
  out.type = a.type;
  out.input = a.left.value;
  out.first_weights = a.right.value;
  out.second_weights = b.right.value;
  out.rows = a.rows;
  out.in_channels = a.depth;
  out.mid_channels = a.channels;
  out.out_channels = b.channels;
  out.first = std::move(a.epilogue);
  out.second = std::move(b.epilogue);
  for (const Access& access : out.second.inputs)
    if (access.index == int(problem.operands.size())) return unsupported("an epilogue that reads the wide tensor");
  if (out.first.results.size() != 1 || out.second.results.size() != 1) return unsupported("more than one result of a step");
  out.stores_mid = mid_result >= 0;
  out.first.results[0].index = std::max(mid_result, 0);
  out.second.results[0].index = last_result;
  if (out.in_channels % 8) return unsupported(cat(out.in_channels, " channels, expected a multiple of 8"));
  if (out.mid_channels % kChunk || out.out_channels % 32 || out.out_channels > 256)
    return unsupported(cat(out.mid_channels, " and ", out.out_channels, " channels, expected multiples of ", kChunk, " and of 32 up to 256"));
  return out;
}

Result<Pair> pair_of_any_size(const Problem& problem) {
  PLANISH_ASSIGN_OR_RETURN(Problem plain, kernel::concrete(problem, [](std::string_view) { return 64; }));
  return pair_of(plain);
}

std::optional<size_t> residual_of(const Pair& pair) {
  std::optional<size_t> found;
  for (size_t i = 0; i < pair.first.inputs.size(); ++i) {
    const Access& a = pair.first.inputs[i];
    if (a.moments >= 0) return std::nullopt;
    const bool by_row = std::any_of(a.row_steps.begin(), a.row_steps.end(), [](int64_t step) { return step != 0; });
    if (a.constant && !by_row) continue;
    if (found || a.type != pair.type || a.channel_step != 1) return std::nullopt;
    int64_t step = pair.mid_channels;
    for (size_t d = a.row_steps.size(); d-- > 0;) {
      if (pair.first.row_dims[d] != 1 && a.row_steps[d] != step) return std::nullopt;
      step *= pair.first.row_dims[d];
    }
    found = i;
  }
  return found;
}

kernel::Tactic write(const Tactic& tactic) {
  kernel::Tactic out{{{"g", tactic.groups}}};
  if (tactic.ring > 0) out.params["ring"] = tactic.ring;
  return out;
}

Tactic read(const kernel::Tactic& tactic) { return {int(tactic.get("g", 2)), int(tactic.get("ring", 0))}; }

int64_t first_weight_bytes(const Pair& pair) { return (pair.in_channels + 15) / 16 * kChunk * 32; }
int64_t second_weight_bytes(const Pair& pair) { return int64_t(kChunk / 16) * pair.out_channels * 32; }

Result<Plan> plan_of(const Pair& pair, const Tactic& tactic) {
  const int groups = tactic.groups;
  Plan plan;
  plan.groups = groups;
  plan.ring = tactic.ring;
  if (groups < 1 || groups > 3 || plan.ring < 0 || plan.ring > 4) return invalid_argument("no such tile");
  if (plan.ring > 0 && !residual_of(pair)) return unsupported("a ring for a residual without one that lies like the wide tensor");
  plan.first_steps = int((pair.in_channels + 15) / 16);
  plan.boxes = int((pair.in_channels + 63) / 64);
  plan.chunks = int(pair.mid_channels / kChunk);
  plan.tiles = (pair.rows + plan.row_tile() - 1) / plan.row_tile();
  plan.consumer_registers = groups == 3 ? 160 : 240;
  plan.producer_registers = groups == 3 ? 32 : 24;
  if (pair.out_channels / 2 + 32 + 80 > plan.consumer_registers) return unsupported("more sums than registers");
  const int64_t weights = (first_weight_bytes(pair) + second_weight_bytes(pair)) * plan.chunks;
  const int64_t inputs = int64_t(groups) * plan.input_bytes(), chunks = int64_t(groups) * (2 + plan.ring) * kChunkBytes;
  const int64_t room = kMaxSharedBytes - 1024 - chunks - weights;
  if (room < inputs) return unsupported(cat("filters of ", weights, " bytes, more than shared memory"));
  plan.input_stages = room >= 2 * inputs ? 2 : 1;
  plan.shared_bytes = int(plan.input_stages * inputs + chunks + weights + 16 * groups * (plan.input_stages + plan.ring) + 8);
  return plan;
}

double predict_us(const Pair& pair, const Plan& plan, int sm_count) {
  constexpr double kTensorRate = 0.65, kL2PerClock = 37;  // bytes
  double bytes = 2.0 * double(pair.rows) * double(pair.in_channels + (pair.stores_mid ? pair.mid_channels : 0) + pair.out_channels);
  for (const Epilogue* e : {&pair.first, &pair.second})
    for (const Access& a : e->inputs)
      if (!a.constant) bytes += double(pair.rows) * double(e->channels) * ir::bits_of(a.type) / 8;
  const double rows = plan.row_tile(), mid = double(pair.mid_channels);
  const double tensor = 2 * rows * mid * double(pair.in_channels + pair.out_channels) / 4096 / kTensorRate;
  const double traffic = bytes / double(plan.tiles) / kL2PerClock;
  const double waves = std::ceil(double(plan.tiles) / sm_count);
  const double compute = (2000 + waves * (std::max(tensor, traffic) + 700.0 * plan.chunks / plan.groups + 800)) / 1700;
  // From an H200 without a ring. With one nothing but memory should hold it up.
  return std::max(compute, bytes / (plan.ring > 0 ? 3.8e6 : 3.3e6)) + 0.5;
}

}  // namespace planish::cuda::pair
