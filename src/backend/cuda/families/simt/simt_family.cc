// The family "cuda.simt": products on the plain cores, for true fp32 (and fp64) and for shapes that
// tensor cores' families refuse.
#include <algorithm>
#include <cmath>

#include "backend/cuda/emit/emitted_kernel_def.h"
#include "backend/cuda/families/register_families.h"
#include "backend/cuda/families/simt/simt_kernel.h"
#include "kernel/cost.h"

namespace planish::cuda {
namespace {

using ir::Layout;
using kernel::DeviceInfo;
using kernel::LayoutChoice;
using kernel::Problem;
using kernel::Tactic;

constexpr SimtTile kTiles[] = {
    {.q = 128, .p = 128, .k = 8, .tq = 8, .tp = 8},
    {.q = 64, .p = 64, .k = 16, .tq = 4, .tp = 4},
    {.q = 32, .p = 64, .k = 16, .tq = 4, .tp = 4},
    {.q = 16, .p = 32, .k = 32, .tq = 2, .tp = 2},
};
constexpr int64_t kLargestGrid = 65535;  // of y and z

class SimtFamily : public EmittedKernelDef {
 public:
  std::string name() const override { return "cuda.simt"; }

  Status supports(const Problem& problem, const DeviceInfo&) const override {
    PLANISH_ASSIGN_OR_RETURN(ProductView view, product_view(problem));
    if (ProductView::count(view.batch) > kLargestGrid)
      return unsupported("more than 65535 products");
    const int64_t q = ProductView::count(view.columns_inner ? view.rows : view.columns);
    if (q / kTiles[std::size(kTiles) - 1].q >= kLargestGrid) return unsupported("too many rows");
    if (ProductView::count(view.rows) * ProductView::count(view.columns) *
            ProductView::count(view.batch) ==
        0)
      return unsupported("an empty result");
    return ok_status();
  }

  std::vector<LayoutChoice> layouts(const Problem& problem,
                                    const DeviceInfo& device) const override {
    std::vector<LayoutChoice> out = KernelDef::layouts(problem, device);
    const std::string_view op = problem.root_op();
    const int rank = problem.result_type(0).rank();
    if ((op != "Conv" && op != "ConvTranspose") || rank < 3 || rank > 5) return out;
    LayoutChoice last = out[0];
    for (size_t i = 0; i < last.operands.size(); ++i)
      if (problem.operands[i].present && !problem.operands[i].constant &&
          problem.operands[i].type.rank() == rank)
        last.operands[i] = Layout::channels_last(rank);
    for (Layout& layout : last.results) layout = Layout::channels_last(rank);
    out.push_back(std::move(last));
    return out;
  }

  std::vector<Tactic> tactics(const Problem& problem, const DeviceInfo& device) const override {
    std::vector<Tactic> out;
    for (size_t i = 0; i < std::size(kTiles); ++i) out.push_back({{{"tile", int64_t(i)}}});
    std::stable_sort(out.begin(), out.end(), [&](const Tactic& a, const Tactic& b) {
      return predict_us(problem, a, device) < predict_us(problem, b, device);
    });
    return out;
  }

  // Waves of tiles at the share of the peak that each tile reaches alone on a multiprocessor.
  double predict_us(const Problem& problem, const Tactic& tactic,
                    const DeviceInfo& device) const override {
    auto view = product_view(problem);
    if (!view.ok()) return 1e12;
    constexpr double kShare[] = {0.45, 0.3, 0.22, 0.1};
    const size_t number = size_t(tactic.get("tile"));
    const SimtTile& tile = kTiles[number];
    const double rows = double(ProductView::count(view->rows)),
                 columns = double(ProductView::count(view->columns));
    const double q = view->columns_inner ? rows : columns, p = view->columns_inner ? columns : rows;
    const double depth = double(ProductView::count(view->depth));
    const double tiles =
        std::ceil(q / tile.q) * std::ceil(p / tile.p) * double(ProductView::count(view->batch));
    const double waves = std::max(1.0, tiles / sm_count(device));
    const double per_tile = 2.0 * tile.q * tile.p * depth /
                            (device.peak_gflops / sm_count(device) * kShare[number] * 1e3);
    return std::max(kLaunchUs + 1 + waves * per_tile,
                    memory_us(device, double(kernel::bytes_moved(problem))));
  }

  Result<EmittedStep> emit(const Problem& problem, const Tactic& tactic,
                           const DeviceInfo&) const override {
    PLANISH_ASSIGN_OR_RETURN(ProductView view, product_view(problem));
    const size_t tile = size_t(tactic.get("tile"));
    if (tile >= std::size(kTiles)) return invalid_argument("cuda.simt: no such tile");
    EmittedStep step;
    PLANISH_ASSIGN_OR_RETURN(EmittedKernel kernel, emit_simt(problem, view, kTiles[tile]));
    step.kernels.push_back(std::move(kernel));
    return step;
  }
};

}  // namespace

void register_simt(kernel::KernelRegistry& registry) {
  registry.add(std::make_unique<SimtFamily>());
}

}  // namespace planish::cuda
