// Average pools of one to three spatial dims; a task is one image's range of channels. Maxima are
// refused: oneDNN's pass over NaN and give -3.4e38 for a window of -infinity.
#include <algorithm>

#include "backend/cpu/defs/refusal.h"
#include "backend/onednn/onednn.h"
#include "backend/onednn/register_kernels.h"
#include "base/text.h"
#include "kernel/cost.h"
#include "kernel/window.h"

namespace planish::onednn {
namespace {

using kernel::DeviceInfo;
using kernel::Problem;

struct PoolView {
  kernel::Window window;
  std::vector<int64_t> in, out;
  bool with_padding = false;  // the divisor counts padding
  bool blocked = false;
};

Result<PoolView> pool_view(const Problem& problem) {
  const std::string_view op = problem.root_op();
  if (op == "MaxPool" || op == "GlobalMaxPool")
    return unsupported("oneDNN's maximum loses NaN");
  if (op != "AveragePool" && op != "GlobalAveragePool") return cpu::other_family();
  if (problem.stages.size() != 1) return unsupported("an epilogue");
  const kernel::Stage& root = problem.stages[0];
  const ir::TensorType& x = problem.operands[0].type;
  if (x.dtype != ir::DataType::kF32)
    return unsupported(cat("input is ", ir::name_of(x.dtype), ", expected f32"));
  if (x.rank() < 3 || x.rank() > 5)
    return unsupported(cat("input has rank ", x.rank(), ", expected 3 to 5"));
  PoolView view;
  view.in = ir::to_dims(x.shape);
  view.out = ir::to_dims(root.outputs[0].shape);
  view.blocked = x.layout.block_dim == 1;
  const size_t rank = size_t(x.rank()) - 2;
  kernel::Window& w = view.window;
  if (op == "GlobalAveragePool") {
    w.kernel.assign(view.in.begin() + 2, view.in.end());
    w.strides.assign(rank, 1);
    w.dilations.assign(rank, 1);
    w.pads_begin.assign(rank, 0);
    w.pads_end = w.pads_begin;
    return view;
  }
  PLANISH_ASSIGN_OR_RETURN(w, kernel::window_of(root.attrs, int(rank)));
  if (std::any_of(w.dilations.begin(), w.dilations.end(), [](int64_t d) { return d != 1; }))
    return unsupported("dilations");
  const auto include = root.attrs.find("count_include_pad");
  view.with_padding = include != root.attrs.end() && std::get<int64_t>(include->second) != 0;
  if (view.with_padding && w.ceil_mode) return unsupported("count_include_pad with ceil_mode");
  kernel::resolve_pads(w, std::span(view.in).subspan(2));
  // With ceil_mode the last window reaches beyond the padding; only what exists is divided by.
  for (size_t i = 0; i < rank; ++i)
    w.pads_end[i] = std::max(w.pads_end[i], (view.out[i + 2] - 1) * w.strides[i] + w.kernel[i] -
                                                view.in[i + 2] - w.pads_begin[i]);
  return view;
}

// The primitive of one image and `channels` of its channels.
Result<Piece> ask(const PoolView& view, int64_t channels, bool make) {
  Piece piece;
  piece.name = "an average pool";
  const Status status = guarded(piece.name, [&] {
    Dims in = view.in, out = view.out;
    in[0] = out[0] = 1;
    in[1] = out[1] = channels;
    piece.source = describe(in, view.blocked);
    piece.destination = describe(out, view.blocked);
    const dnnl::pooling_forward::desc description(
        dnnl::prop_kind::forward_inference,
        view.with_padding ? dnnl::algorithm::pooling_avg_include_padding
                          : dnnl::algorithm::pooling_avg_exclude_padding,
        piece.source, piece.destination, view.window.strides, view.window.kernel,
        view.window.pads_begin, view.window.pads_end);
    dnnl::primitive_attr attr;
    attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const dnnl::pooling_forward::primitive_desc chosen(description, attr, engine());
    piece.scratchpad = chosen.scratchpad_desc();
    if (make) piece.primitive = dnnl::pooling_forward(chosen);
    return not_a_reference(chosen.impl_info_str());
  });
  if (!status.ok()) return status;
  return piece;
}

class PoolLaunchable : public kernel::Launchable {
 public:
  PoolLaunchable(int64_t batch, int64_t parts, int threads, Piece piece)
      : batch_(batch), parts_(parts), threads_(threads), piece_(std::move(piece)) {}
  int64_t workspace_bytes() const override { return threads_ * piece_.scratchpad_bytes(); }
  Status run(const kernel::RunArgs& args) const override {
    const kernel::BufferRef &in = args.operands[0], &out = args.results[0];
    const int64_t in_part = int64_t(piece_.source.get_size()),
                  out_part = int64_t(piece_.destination.get_size());
    const int64_t in_image = in.outer_stride_bytes ? in.outer_stride_bytes : in_part * parts_;
    const int64_t out_image = out.outer_stride_bytes ? out.outer_stride_bytes : out_part * parts_;
    return run_tasks(*args.team, batch_ * parts_, [&](int64_t task, int thread) {
      const int64_t image = task / parts_, part = task % parts_;
      const auto* from = static_cast<const std::byte*>(in.data) + image * in_image + part * in_part;
      auto* to = static_cast<std::byte*>(out.data) + image * out_image + part * out_part;
      return piece_.execute(reinterpret_cast<const float*>(from), nullptr, nullptr,
                            reinterpret_cast<float*>(to),
                            args.workspace + thread * piece_.scratchpad_bytes());
    });
  }

 private:
  int64_t batch_, parts_, threads_;
  Piece piece_;
};

class PoolKernel : public kernel::KernelDef {
 public:
  std::string name() const override { return "onednn.pool_f32"; }
  std::string device_kind() const override { return "cpu"; }
  int version() const override { return kernel_version(); }
  Status supports(const Problem& problem, const DeviceInfo& device) const override {
    PLANISH_ASSIGN_OR_RETURN(PoolView view, pool_view(problem));
    if (view.in[0] < 1) return unsupported("empty output");
    if (!layouts(problem, device).empty()) return ok_status();
    view.blocked = true;
    return ask(view, view.in[1], /*make=*/false).status();
  }
  std::vector<kernel::LayoutChoice> layouts(const Problem& problem,
                                            const DeviceInfo&) const override {
    auto view = pool_view(problem);
    std::vector<kernel::LayoutChoice> out;
    for (const bool blocked : {true, false}) {
      if (!view.ok()) break;
      view->blocked = blocked;
      const ir::Layout layout = blocked ? blocked_layout() : ir::Layout{};
      if (ask(*view, view->in[1], /*make=*/false).ok()) out.push_back({{layout}, {layout}});
    }
    return out;
  }
  double predict_us(const Problem& problem, const kernel::Tactic&,
                    const DeviceInfo& device) const override {
    return 4 + double(kernel::bytes_moved(problem)) / (device.memory_gbps * 0.8e3);
  }
  bool takes_strided(const Problem&, bool, int) const override { return true; }
  Result<std::unique_ptr<kernel::Launchable>> bind(const kernel::BindArgs& args) const override {
    PLANISH_ASSIGN_OR_RETURN(const PoolView view, pool_view(*args.problem));
    const int64_t block = view.blocked ? lanes() : 1, channels = view.in[1];
    const int64_t parts =
        channels % block ? 1 : parts_of(channels / block, int64_t(args.device->threads) * 4);
    PLANISH_ASSIGN_OR_RETURN(Piece piece, ask(view, channels / parts, /*make=*/true));
    return std::unique_ptr<kernel::Launchable>(std::make_unique<PoolLaunchable>(
        view.in[0], parts, args.device->threads, std::move(piece)));
  }
};

}  // namespace

void register_pool_kernel(kernel::KernelRegistry& registry) {
  registry.add(std::make_unique<PoolKernel>());
}

}  // namespace planish::onednn
