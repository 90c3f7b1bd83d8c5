// The family "cuda.rows": softmax, normalizations, reductions and global pools, with what stands
// before and behind them.
#include <algorithm>

#include "backend/cuda/emit/any_size_tactics.h"
#include "backend/cuda/emit/emitted_kernel_def.h"
#include "backend/cuda/families/register_families.h"
#include "backend/cuda/families/rows/row_kernel.h"
#include "kernel/cost.h"

namespace planish::cuda {
namespace {

using ir::Layout;
using kernel::DeviceInfo;
using kernel::LayoutChoice;
using kernel::Problem;
using kernel::Tactic;

class RowsFamily : public EmittedKernelDef, public AnySizeTactics {
 public:
  std::string name() const override { return "cuda.rows"; }
  int version() const override { return 2; }

  Status supports(const Problem& problem, const DeviceInfo&) const override {
    return row_view(problem).status();
  }

  std::vector<LayoutChoice> layouts(const Problem& problem,
                                    const DeviceInfo& device) const override {
    std::vector<LayoutChoice> out = KernelDef::layouts(problem, device);
    const int rank = problem.result_type(0).rank();
    if (rank < 3 || rank > 5) return out;
    LayoutChoice last = out[0];
    for (size_t i = 0; i < last.operands.size(); ++i)
      if (problem.operands[i].present && !problem.operands[i].constant &&
          problem.operands[i].type.rank() == rank)
        last.operands[i] = Layout::channels_last(rank);
    for (size_t i = 0; i < last.results.size(); ++i)
      if (problem.result_type(int(i)).rank() == rank) last.results[i] = Layout::channels_last(rank);
    out.push_back(std::move(last));
    return out;
  }

  std::vector<Tactic> tactics(const Problem& problem, const DeviceInfo& device) const override {
    auto view = row_view(problem);
    std::vector<Tactic> out;
    if (!view.ok()) return out;
    const int width = row_width(problem, *view);
    const int64_t groups = view->strided ? view->length : view->length / width;
    const int most = view->strided ? 16 : 1024, least = view->strided ? 1 : 4;
    // About four vectors a thread, more threads where rows are few.
    const int64_t rows = view->strided ? view->rows / width : view->rows;
    int team = least;
    while (team < most && team * 4 < groups) team *= 2;
    while (team < most && team < groups && rows * team < int64_t(sm_count(device)) * 256) team *= 2;
    for (int t : {team, team * 2, team / 2, 32}) {
      const bool fits = t >= least && t <= most && (t <= 2 * groups || t == least);
      Tactic tactic{{{"team", t}, {"v", width}}};
      if (fits && std::find(out.begin(), out.end(), tactic) == out.end())
        out.push_back(std::move(tactic));
    }
    return out;
  }

  // Read from memory each time, an element at a time: a loop for rows of every length.
  std::vector<Tactic> any_size_tactics(const Problem& problem, const DeviceInfo&) const override {
    auto view = row_view(problem);
    if (!view.ok()) return {};
    return {{{{"held", 0}, {"team", view->strided ? 8 : 32}, {"v", 1}}}};
  }

  double predict_us(const Problem& problem, const Tactic&,
                    const DeviceInfo& device) const override {
    return 0.5 + memory_us(device, double(kernel::bytes_moved(problem)));
  }

  Result<EmittedStep> emit(const Problem& problem, const Tactic& tactic,
                           const DeviceInfo&) const override {
    PLANISH_ASSIGN_OR_RETURN(RowView view, row_view(problem));
    EmittedStep step;
    PLANISH_ASSIGN_OR_RETURN(
        EmittedKernel kernel,
        emit_rows(problem, view, {int(tactic.get("team", 32)), int(tactic.get("v", 1)),
                                      tactic.get("held", 1) != 0}));
    step.kernels.push_back(std::move(kernel));
    return step;
  }
};

}  // namespace

void register_rows(kernel::KernelRegistry& registry) {
  registry.add(std::make_unique<RowsFamily>());
}

}  // namespace planish::cuda
