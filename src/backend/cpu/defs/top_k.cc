// TopK of f32 along the last axis: the k best are found by selection, then sorted.
#include <algorithm>

#include "backend/cpu/defs/refusal.h"
#include "backend/cpu/defs/register_kernels.h"
#include "backend/cpu/defs/score_order.h"
#include "base/text.h"
#include "base/thread_team.h"

namespace planish::cpu {
namespace {

using kernel::Problem;

struct TopKView {
  int64_t lines = 1, length = 0, k = 0;
  bool largest = true;
};

Result<TopKView> top_k_view(const Problem& problem) {
  if (problem.root_op() != "TopK") return other_family();
  if (problem.stages.size() != 1) return unsupported("an epilogue");
  const kernel::Stage& stage = problem.stages[0];
  const ir::TensorType& x = problem.type_of(stage.inputs[0]);
  if (x.dtype != ir::DataType::kF32)
    return unsupported(cat("operand is ", ir::name_of(x.dtype), ", expected f32"));
  const std::vector<int64_t> dims = ir::to_dims(x.shape);
  const int64_t axis = std::get<int64_t>(stage.attrs.find("axis")->second);
  if (axis != -1 && axis != int64_t(dims.size()) - 1) return unsupported("not the last axis");
  TopKView view;
  for (size_t d = 0; d + 1 < dims.size(); ++d) view.lines *= dims[d];
  view.length = dims.back();
  view.k = ir::to_dims(stage.outputs[0].shape).back();
  view.largest = std::get<int64_t>(stage.attrs.find("largest")->second) != 0;
  if (view.k > view.length) return unsupported("more than there are");
  if (view.length > INT32_MAX) return unsupported("over 2^31 elements a line");
  return view;
}

class TopKLaunchable : public kernel::Launchable {
 public:
  TopKLaunchable(TopKView view, const Problem& problem)
      : view_(view), operand_(problem.stages[0].inputs[0]) {
    const int first = int(problem.operands.size());
    for (size_t i = 0; i < problem.results.size(); ++i)
      (problem.results[i] == first ? values_ : indices_) = int(i);
  }
  Status run(const kernel::RunArgs& args) const override {
    const auto* x = static_cast<const float*>(args.operands[size_t(operand_)].data);
    const auto at = [&](int result) {
      return result < 0 ? nullptr : args.results[size_t(result)].data;
    };
    auto* values = static_cast<float*>(at(values_));
    auto* indices = static_cast<int64_t*>(at(indices_));
    args.team->parallel_for(view_.lines, [&](int64_t begin, int64_t end, int) {
      std::vector<uint64_t> order(static_cast<size_t>(view_.length));
      for (int64_t l = begin; l < end; ++l) {
        const float* line = x + l * view_.length;
        for (int64_t i = 0; i < view_.length; ++i)
          order[size_t(i)] = view_.largest ? descending(line[i], uint32_t(i))
                                           : ascending(line[i], uint32_t(i));
        if (view_.k < view_.length)
          std::nth_element(order.begin(), order.begin() + view_.k, order.end());
        std::sort(order.begin(), order.begin() + view_.k);
        for (int64_t i = 0; i < view_.k; ++i) {
          const int64_t from = position(order[size_t(i)]);
          if (values) values[l * view_.k + i] = line[from];
          if (indices) indices[l * view_.k + i] = from;
        }
      }
    });
    return ok_status();
  }

 private:
  TopKView view_;
  int operand_;
  int values_ = -1, indices_ = -1;
};

class TopKKernel : public kernel::KernelDef {
 public:
  std::string name() const override { return "cpu.top_k_f32"; }
  std::string device_kind() const override { return "cpu"; }
  Status supports(const Problem& problem, const kernel::DeviceInfo&) const override {
    return top_k_view(problem).status();
  }
  double predict_us(const Problem& problem, const kernel::Tactic&,
                    const kernel::DeviceInfo&) const override {
    const auto view = top_k_view(problem);
    if (!view.ok()) return 1e12;
    return 1.5 + double(view->lines) * (double(view->length) * 2e-3 + double(view->k) * 1e-2);
  }
  Result<std::unique_ptr<kernel::Launchable>> bind(const kernel::BindArgs& args) const override {
    PLANISH_ASSIGN_OR_RETURN(const TopKView view, top_k_view(*args.problem));
    return std::unique_ptr<kernel::Launchable>(
        std::make_unique<TopKLaunchable>(view, *args.problem));
  }
};

}  // namespace

void register_top_k_kernel(kernel::KernelRegistry& registry) {
  registry.add(std::make_unique<TopKKernel>());
}

}  // namespace planish::cpu
