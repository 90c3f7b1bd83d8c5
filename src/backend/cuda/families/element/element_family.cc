// The family "cuda.element": pointwise regions of any broadcasting, element movement, pools,
// reductions along other than innermost axes, and plain forms of convolutions and products.
#include <algorithm>

#include "backend/cuda/emit/emitted_kernel_def.h"
#include "backend/cuda/families/element/element_kernel.h"
#include "backend/cuda/families/element/element_ops.h"
#include "backend/cuda/families/register_families.h"
#include "kernel/cost.h"

namespace planish::cuda {
namespace {

using ir::Layout;
using kernel::DeviceInfo;
using kernel::LayoutChoice;
using kernel::Problem;
using kernel::Tactic;

// Threads below this number leave multiprocessors idle.
constexpr int64_t kFewThreads = 132 * 512;

// Every activation of the results' rank with channels last, the others as they are.
std::optional<LayoutChoice> channels_last(const Problem& problem) {
  const int rank = problem.result_type(0).rank();
  if (rank < 3 || rank > 5) return std::nullopt;
  const Layout last = Layout::channels_last(rank);
  LayoutChoice choice;
  for (const kernel::Operand& operand : problem.operands) {
    const bool moves = operand.present && !operand.constant && operand.type.rank() == rank;
    choice.operands.push_back(moves ? last : Layout{});
  }
  for (size_t i = 0; i < problem.results.size(); ++i)
    choice.results.push_back(problem.result_type(int(i)).rank() == rank ? last : Layout{});
  return choice;
}

class ElementFamily : public EmittedKernelDef {
 public:
  std::string name() const override { return "cuda.element"; }

  Status supports(const Problem& problem, const DeviceInfo&) const override {
    return supports_elements(problem);
  }

  std::vector<LayoutChoice> layouts(const Problem& problem,
                                    const DeviceInfo& device) const override {
    // A conversion's layouts are its question.
    if (problem.root_op() == "LayoutConvert" &&
        problem.operands[0].type.layout.block_dim < 0 && problem.result_type(0).layout.block_dim < 0)
      return {{{problem.operands[0].type.layout}, {problem.result_type(0).layout}}};
    std::vector<LayoutChoice> out = KernelDef::layouts(problem, device);
    const LayoutChoice plain = out[0];
    auto last = channels_last(problem);
    if (!last) return out;
    out.push_back(*last);
    // A movement may bring its result, or take its operand, in the other order.
    if (movement_only(problem)) {
      out.push_back({last->operands, plain.results});
      out.push_back({plain.operands, last->results});
    }
    return out;
  }

  std::vector<Tactic> tactics(const Problem& problem, const DeviceInfo&) const override {
    const int64_t count = ir::element_count(problem.result_type(0).shape).value();
    std::vector<Tactic> out;
    for (int width = widest_vector(problem); width >= 1; width /= 2) {
      if (width > 1) {
        auto step = emit_elements(problem, width);
        if (!step.ok() || step->split_lanes) continue;
      }
      Tactic tactic{{{"v", width}}};
      // The widest that keeps all multiprocessors busy comes first.
      const bool good = count / width >= kFewThreads;
      out.insert(good ? out.end() : out.begin(), std::move(tactic));
    }
    std::stable_partition(out.begin(), out.end(),
                          [&](const Tactic& t) { return count / t.get("v", 1) >= kFewThreads; });
    return out;
  }

  double predict_us(const Problem& problem, const Tactic& tactic,
                    const DeviceInfo& device) const override {
    const double bytes = double(kernel::bytes_moved(problem));
    // Scalar accesses reach about half of what vectors do.
    const double factor = 1 + 1.0 / double(tactic.get("v", 1));
    const double compute = kernel::flop_count(problem) / (device.peak_gflops * 0.03 * 1e3);
    return std::max(memory_us(device, bytes * factor), kLaunchUs + compute);
  }

  bool takes_strided(const Problem& problem, bool result, int index) const override {
    return result && stores_pixels(problem, index);
  }

  bool in_place(const Problem& problem, int, int operand) const override {
    return problem.is_pointwise() && problem.results.size() == 1 &&
           problem.operands[size_t(operand)].type == problem.result_type(0);
  }

  Result<EmittedStep> emit(const Problem& problem, const Tactic& tactic,
                           const DeviceInfo&) const override {
    PLANISH_ASSIGN_OR_RETURN(ElementStep step, emit_elements(problem, int(tactic.get("v", 1))));
    return std::move(step.step);
  }

 private:
  static bool movement_only(const Problem& problem) {
    return problem.stages.size() == 1 && !problem.stages[0].is_expr() &&
           std::any_of(movement_ops().begin(), movement_ops().end(),
                       [&](const ElementOp& op) { return op.op == problem.stages[0].op; });
  }
};

}  // namespace

void register_elements(kernel::KernelRegistry& registry) {
  registry.add(std::make_unique<ElementFamily>());
}

}  // namespace planish::cuda
