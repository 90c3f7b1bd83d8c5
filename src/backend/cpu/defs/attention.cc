// Attention by the fused kernel: operands of rank 3 (heads inside the last dim) or 4, an additive f32
// mask or none.
#include <cmath>

#include "backend/cpu/defs/refusal.h"
#include "backend/cpu/defs/register_kernels.h"
#include "backend/cpu/kernels/attention/attention.h"
#include "base/text.h"
#include "base/thread_team.h"
#include "kernel/cost.h"

namespace planish::cpu {
namespace {

using kernel::Problem;

struct AttentionView {
  AttentionProblem attention;
  int q = 0, k = 1, v = 2, mask = -1;
};

template <class T>
T attr(const kernel::Stage& stage, std::string_view key, T fallback) {
  auto found = stage.attrs.find(key);
  return found == stage.attrs.end() ? fallback : std::get<T>(found->second);
}

// Strides of [b, h, s, d] in a dense tensor of rank 4, or of [b, s, h * d].
HeadStrides head_strides(const std::vector<int64_t>& dims, int64_t heads) {
  if (dims.size() == 4) return {dims[1] * dims[2] * dims[3], dims[2] * dims[3], dims[3]};
  return {dims[1] * dims[2], dims[2] / heads, dims[2]};
}

Result<AttentionView> attention_view(const Problem& problem) {
  if (problem.root_op() != "Attention") return other_family();
  if (problem.stages.size() != 1) return unsupported("an epilogue");
  const kernel::Stage& stage = problem.stages[0];
  if (stage.outputs.size() != 1) return unsupported("more outputs than the result");
  for (size_t i = 4; i < stage.inputs.size(); ++i)
    if (stage.inputs[i] >= 0) return unsupported("cached keys and values");
  for (std::string_view key : {"left_window_size", "right_window_size"})
    if (attr<int64_t>(stage, key, -1) != -1) return unsupported(cat("attribute '", key, "'"));
  if (attr<double>(stage, "softcap", 0.0) != 0) return unsupported("a soft cap");
  AttentionView view;
  view.q = stage.inputs[0];
  view.k = stage.inputs[1];
  view.v = stage.inputs[2];
  view.mask = stage.inputs.size() > 3 ? stage.inputs[3] : -1;
  for (int operand : {view.q, view.k, view.v, view.mask})
    if (operand >= 0 && problem.type_of(operand).dtype != ir::DataType::kF32)
      return unsupported(cat("an operand is ", ir::name_of(problem.type_of(operand).dtype),
                             ", expected f32"));
  const auto dims = [&](int operand) { return ir::to_dims(problem.type_of(operand).shape); };
  const std::vector<int64_t> q = dims(view.q), k = dims(view.k), v = dims(view.v);
  if (q.size() != k.size() || q.size() != v.size()) return unsupported("operands of mixed rank");
  AttentionProblem& p = view.attention;
  const bool flat = q.size() == 3;
  p.batch = q[0];
  p.heads = flat ? attr<int64_t>(stage, "q_num_heads", 1) : q[1];
  p.kv_heads = flat ? attr<int64_t>(stage, "kv_num_heads", 1) : k[1];
  if (p.heads < 1 || p.kv_heads < 1 || p.heads % p.kv_heads)
    return unsupported(cat(p.heads, " heads over ", p.kv_heads, " of keys and values"));
  p.queries = q[flat ? 1 : 2];
  p.keys = k[flat ? 1 : 2];
  p.head_size = flat ? q[2] / p.heads : q[3];
  p.value_size = flat ? v[2] / p.kv_heads : v[3];
  p.scale = float(attr<double>(stage, "scale", 1 / std::sqrt(double(p.head_size))));
  if (attr<int64_t>(stage, "is_causal", 0)) {
    if (p.keys != p.queries) return unsupported("causal with other keys than queries");
    p.causal = true;
  }
  p.q = head_strides(q, p.heads);
  p.k = head_strides(k, p.kv_heads);
  p.v = head_strides(v, p.kv_heads);
  p.output = head_strides(dims(problem.results[0]), p.heads);
  if (view.mask >= 0) {
    std::vector<int64_t> m = dims(view.mask);
    m.insert(m.begin(), 4 - std::min<size_t>(4, m.size()), 1);
    if (m.size() != 4 || m[3] != p.keys) return unsupported("a mask that broadcasts over the keys");
    if ((m[0] != 1 && m[0] != p.batch) || (m[1] != 1 && m[1] != p.heads) ||
        (m[2] != 1 && m[2] != p.queries))
      return unsupported("a mask that broadcasts otherwise than by ones");
    p.mask.row = m[2] == 1 ? 0 : m[3];
    p.mask.head = m[1] == 1 ? 0 : m[2] * m[3];
    p.mask.batch = m[0] == 1 ? 0 : m[1] * m[2] * m[3];
  }
  const std::string_view why = attention_refusal(p, best_isa());
  if (!why.empty()) return unsupported(std::string(why));
  return view;
}

class AttentionLaunchable : public kernel::Launchable {
 public:
  AttentionLaunchable(AttentionView view, int threads)
      : view_(view),
        workspace_(attention_workspace_bytes(view.attention, best_isa(), threads)) {}
  int64_t workspace_bytes() const override { return workspace_; }
  Status run(const kernel::RunArgs& args) const override {
    const auto floats = [&](int operand) {
      return operand < 0 ? nullptr
                         : static_cast<const float*>(args.operands[size_t(operand)].data);
    };
    AttentionArgs a;
    a.q = floats(view_.q);
    a.k = floats(view_.k);
    a.v = floats(view_.v);
    a.mask = floats(view_.mask);
    a.output = static_cast<float*>(args.results[0].data);
    a.workspace = args.workspace;
    run_attention(view_.attention, best_isa(), a, *args.team);
    return ok_status();
  }

 private:
  AttentionView view_;
  int64_t workspace_;
};

class AttentionKernel : public kernel::KernelDef {
 public:
  std::string name() const override { return "cpu.attention_f32"; }
  std::string device_kind() const override { return "cpu"; }
  Status supports(const Problem& problem, const kernel::DeviceInfo&) const override {
    return attention_view(problem).status();
  }
  double predict_us(const Problem& problem, const kernel::Tactic&,
                    const kernel::DeviceInfo& device) const override {
    auto view = attention_view(problem);
    if (!view.ok()) return 1e12;
    const AttentionProblem& p = view->attention;
    const double flops = 2.0 * double(p.batch * p.heads * p.queries * p.keys) *
                         double(p.head_size + p.value_size + 8);
    return 3 + flops / (device.peak_gflops * 0.5 * 1e3);
  }
  Result<std::unique_ptr<kernel::Launchable>> bind(const kernel::BindArgs& args) const override {
    PLANISH_ASSIGN_OR_RETURN(AttentionView view, attention_view(*args.problem));
    return std::unique_ptr<kernel::Launchable>(
        std::make_unique<AttentionLaunchable>(view, args.device->threads));
  }
};

}  // namespace

void register_attention_kernel(kernel::KernelRegistry& registry) {
  registry.add(std::make_unique<AttentionKernel>());
}

}  // namespace planish::cpu
