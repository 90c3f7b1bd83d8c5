// Pools on blocked activations: MaxPool, AveragePool and their global forms.
#include "backend/cpu/defs/conv_view.h"
#include "backend/cpu/defs/limits.h"
#include "backend/cpu/defs/refusal.h"
#include "backend/cpu/defs/register_kernels.h"
#include "backend/cpu/kernels/pool/pool.h"
#include "base/text.h"
#include "kernel/cost.h"

namespace planish::cpu {
namespace {

using ir::Layout;
using kernel::Problem;

struct PoolView {
  PoolProblem pool;
  bool global_average = false;
};

bool is_pool(std::string_view op) {
  return op == "MaxPool" || op == "AveragePool" || op == "GlobalMaxPool" ||
         op == "GlobalAveragePool";
}

Result<PoolView> pool_view(const Problem& problem) {
  if (!is_pool(problem.root_op())) return other_family();
  if (problem.stages.size() != 1) return unsupported("an epilogue");
  const kernel::Stage& root = problem.stages[0];
  if (root.outputs.size() != 1) return unsupported("the indices are asked for");
  PLANISH_RETURN_IF_ERROR(reads_in_order(root));
  const ir::TensorType& x = problem.operands[0].type;
  if (x.dtype != ir::DataType::kF32)
    return unsupported(cat("input is ", ir::name_of(x.dtype), ", expected f32"));
  if (x.rank() != 3 && x.rank() != 4)
    return unsupported(cat("input has rank ", x.rank(), ", expected 3 or 4"));
  const std::vector<int64_t> in = ir::to_dims(x.shape), out = ir::to_dims(root.outputs[0].shape);
  PoolView view;
  const bool global = root.op.rfind("Global", 0) == 0;
  kernel::Window window;
  if (global) {
    for (size_t d = 2; d < in.size(); ++d) {
      window.kernel.push_back(in[d]);
      window.strides.push_back(1);
      window.dilations.push_back(1);
      window.pads_begin.push_back(0);
      window.pads_end.push_back(0);
    }
  } else {
    PLANISH_ASSIGN_OR_RETURN(window, kernel::window_of(root.attrs, x.rank() - 2));
  }
  view.pool.window = convolution_of(window, in);
  view.pool.out_height = in.size() == 3 ? 1 : out[2];
  view.pool.out_width = out.back();
  const bool average = root.op == "AveragePool" || root.op == "GlobalAveragePool";
  if (average) {
    auto include = root.attrs.find("count_include_pad");
    const bool with_pad = include != root.attrs.end() && std::get<int64_t>(include->second) != 0;
    if (with_pad && window.ceil_mode) return unsupported("count_include_pad with ceil_mode");
    view.pool.kind = with_pad ? PoolKind::kAverage : PoolKind::kAverageExcludePadding;
  }
  view.global_average = root.op == "GlobalAveragePool";
  const std::string_view why = pool_refusal(view.pool, best_isa());
  if (!view.global_average && !why.empty()) return unsupported(std::string(why));
  return view;
}

class PoolLaunchable : public kernel::Launchable {
 public:
  PoolLaunchable(PoolView view, Isa isa) : view_(view), isa_(isa) {}
  Status run(const kernel::RunArgs& args) const override {
    ConvArgs a;
    a.input = static_cast<const float*>(args.operands[0].data);
    a.input_batch_stride = args.operands[0].outer_stride_bytes / int64_t(sizeof(float));
    a.output = static_cast<float*>(args.results[0].data);
    a.output_batch_stride = args.results[0].outer_stride_bytes / int64_t(sizeof(float));
    const ConvProblem& w = view_.pool.window;
    if (view_.global_average)
      run_global_average(w.batch, w.in_channels, w.in_height * w.in_width, a.input, a.output, isa_,
                         *args.team);
    else run_pool(view_.pool, isa_, a, *args.team);
    return ok_status();
  }

 private:
  PoolView view_;
  Isa isa_;
};

class PoolKernel : public kernel::KernelDef {
 public:
  std::string name() const override { return "cpu.pool_f32"; }
  std::string device_kind() const override { return "cpu"; }
  Status supports(const Problem& problem, const kernel::DeviceInfo&) const override {
    return pool_view(problem).status();
  }
  std::vector<kernel::LayoutChoice> layouts(const Problem&,
                                            const kernel::DeviceInfo&) const override {
    const Layout blocked = Layout::blocked(1, vector_width(best_isa()));
    return {{{blocked}, {blocked}}};
  }
  double predict_us(const Problem& problem, const kernel::Tactic&,
                    const kernel::DeviceInfo& device) const override {
    return 1.5 + double(kernel::bytes_moved(problem)) / (device.memory_gbps * 1e3);
  }
  bool takes_strided(const Problem& problem, bool, int) const override {
    return problem.root_op() != "GlobalAveragePool";
  }
  Result<std::unique_ptr<kernel::Launchable>> bind(const kernel::BindArgs& args) const override {
    PLANISH_ASSIGN_OR_RETURN(PoolView view, pool_view(*args.problem));
    return std::unique_ptr<kernel::Launchable>(std::make_unique<PoolLaunchable>(view, best_isa()));
  }
};

}  // namespace

void register_pool_kernels(kernel::KernelRegistry& registry) {
  registry.add(std::make_unique<PoolKernel>());
}

}  // namespace planish::cpu
