// Gather along one axis, row-major: pieces of neighbouring elements are copied whole. An index out of
// range ends the run in an error that names it; nothing outside of the operand is read.
#include <atomic>
#include <cstring>

#include "backend/cpu/defs/refusal.h"
#include "backend/cpu/defs/register_kernels.h"
#include "base/text.h"
#include "base/thread_team.h"
#include "kernel/cost.h"

namespace planish::cpu {
namespace {

using kernel::Problem;

struct GatherView {
  int64_t outer = 1, size = 1, piece_bytes = 1, count = 1;
  bool wide = true;  // int64 indices
};

Result<GatherView> gather_view(const Problem& problem) {
  if (problem.root_op() != "Gather") return other_family();
  if (problem.stages.size() != 1) return unsupported("an epilogue");
  const kernel::Stage& stage = problem.stages[0];
  const ir::TensorType& data = problem.type_of(stage.inputs[0]);
  const ir::TensorType& indices = problem.type_of(stage.inputs[1]);
  if (ir::bits_of(data.dtype) < 8) return unsupported("elements of less than a byte");
  if (indices.dtype != ir::DataType::kI64 && indices.dtype != ir::DataType::kI32)
    return unsupported(cat("indices are ", ir::name_of(indices.dtype)));
  const std::vector<int64_t> dims = ir::to_dims(data.shape);
  const int64_t a = std::get<int64_t>(stage.attrs.find("axis")->second);
  const size_t axis = size_t(a < 0 ? a + int64_t(dims.size()) : a);
  GatherView view;
  view.piece_bytes = ir::bits_of(data.dtype) / 8;
  for (size_t d = 0; d < dims.size(); ++d) {
    if (d < axis) view.outer *= dims[d];
    else if (d > axis) view.piece_bytes *= dims[d];
  }
  view.size = dims[axis];
  view.count = ir::element_count(std::span<const int64_t>(ir::to_dims(indices.shape)));
  view.wide = indices.dtype == ir::DataType::kI64;
  return view;
}

class GatherLaunchable : public kernel::Launchable {
 public:
  GatherLaunchable(GatherView view, int data, int indices)
      : view_(view), data_(data), indices_(indices) {}
  Status run(const kernel::RunArgs& args) const override {
    const auto* from = static_cast<const std::byte*>(args.operands[size_t(data_)].data);
    const void* indices = args.operands[size_t(indices_)].data;
    auto* to = static_cast<std::byte*>(args.results[0].data);
    std::atomic<int64_t> bad{-1};
    const auto body = [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t o = i / view_.count, k = i % view_.count;
        int64_t index = view_.wide ? static_cast<const int64_t*>(indices)[k]
                                   : static_cast<const int32_t*>(indices)[k];
        if (index < 0) index += view_.size;
        if (index < 0 || index >= view_.size) {
          bad = k;
          continue;
        }
        std::memcpy(to + i * view_.piece_bytes, from + (o * view_.size + index) * view_.piece_bytes,
                    size_t(view_.piece_bytes));
      }
    };
    const int64_t total = view_.outer * view_.count;
    if (total * view_.piece_bytes < 16384) body(0, total, 0);
    else args.team->parallel_for(total, body);
    if (const int64_t k = bad; k >= 0) {
      const int64_t got = view_.wide ? static_cast<const int64_t*>(indices)[k]
                                     : static_cast<const int32_t*>(indices)[k];
      return invalid_argument(cat("Gather: index ", k, " is ", got, ", expected ", -view_.size,
                                  " to ", view_.size - 1));
    }
    return ok_status();
  }

 private:
  GatherView view_;
  int data_, indices_;
};

class GatherKernel : public kernel::KernelDef {
 public:
  std::string name() const override { return "cpu.gather"; }
  std::string device_kind() const override { return "cpu"; }
  Status supports(const Problem& problem, const kernel::DeviceInfo&) const override {
    return gather_view(problem).status();
  }
  double predict_us(const Problem& problem, const kernel::Tactic&,
                    const kernel::DeviceInfo& device) const override {
    const ir::TensorType& type = problem.result_type(0);
    return 1 + 2 * double(ir::bytes_of(type.dtype, ir::element_count(std::span<const int64_t>(
                                                       ir::to_dims(type.shape))))) /
                   (device.memory_gbps * 1e3);
  }
  Result<std::unique_ptr<kernel::Launchable>> bind(const kernel::BindArgs& args) const override {
    PLANISH_ASSIGN_OR_RETURN(GatherView view, gather_view(*args.problem));
    const kernel::Stage& stage = args.problem->stages[0];
    return std::unique_ptr<kernel::Launchable>(
        std::make_unique<GatherLaunchable>(view, stage.inputs[0], stage.inputs[1]));
  }
};

}  // namespace

void register_gather_kernel(kernel::KernelRegistry& registry) {
  registry.add(std::make_unique<GatherKernel>());
}

}  // namespace planish::cpu
