// The family "cuda.depthwise": depthwise convolutions over two spatial dims with channels last, on patches
// of outputs (patch.h). A thread reads its weights (packed channels last, as floats) once. Sums are fp32;
// whatever expression follows is printed on them.
#include <cstring>

#include "backend/cuda/emit/emitted_kernel_def.h"
#include "backend/cuda/emit/expr_text.h"
#include "backend/cuda/families/depthwise/patch.h"
#include "backend/cuda/families/element/element_ops.h"
#include "backend/cuda/families/register_families.h"
#include "base/text.h"
#include "kernel/window.h"
#include "kernel/stage_input.h"
#include "kernel/strided.h"

namespace planish::cuda {
namespace {

using ir::Layout;
using kernel::DeviceInfo;
using kernel::LayoutChoice;
using kernel::Problem;
using kernel::Stage;
using kernel::Tactic;

constexpr int64_t kMostTaps = 49;

struct DepthwiseView {
  PatchGeometry geometry;
  int weights = 1, bias = -1;
  int64_t taps() const { return geometry.window.volume(); }
};

Result<DepthwiseView> depthwise_view(const Problem& problem) {
  if (problem.root_op() != "Conv") return other_family();
  const auto parts = kernel::root_and_epilogue(problem);
  if (!parts) return unsupported("a region of more than a convolution and what follows it");
  const Stage& stage = *parts->root;
  const ir::TensorType& x = problem.type_of(stage.inputs[0]);
  const std::vector<int64_t> in = dims_of(x), w = dims_of(problem.type_of(stage.inputs[1]));
  DepthwiseView v;
  if (in.size() != 4 || int_attr(stage, "group", 1) != in[1] || w[0] != in[1] || w[1] != 1)
    return other_family();
  PatchGeometry& g = v.geometry;
  g.input = stage.inputs[0];
  v.weights = stage.inputs[1];
  v.bias = has_input(stage, 2) ? stage.inputs[2] : -1;
  for (const kernel::Operand& operand : problem.operands)
    if (operand.present && !is_loadable(operand.type.dtype))
      return unsupported(cat("an operand of ", ir::name_of(operand.type.dtype)));
  if (x.dtype == ir::DataType::kF64) return unsupported("f64");
  if (!problem.operands[size_t(v.weights)].constant) return unsupported("computed weights");
  if (v.bias >= 0 && !problem.operands[size_t(v.bias)].constant)
    return unsupported("a computed bias");
  if (parts->epilogue) PLANISH_RETURN_IF_ERROR(can_print(*parts->epilogue));
  for (size_t i = 0; i < problem.results.size(); ++i) {
    const ir::TensorType& type = problem.result_type(int(i));
    if (!is_loadable(type.dtype)) return unsupported(cat("a result of ", ir::name_of(type.dtype)));
    if (type.shape != stage.outputs[0].shape) return unsupported("a result of another shape");
  }
  PLANISH_ASSIGN_OR_RETURN(g.window, kernel::window_of(stage.attrs, 2, std::span(w).subspan(2)));
  kernel::resolve_pads(g.window, std::span(in).subspan(2));
  if (v.taps() > kMostTaps) return unsupported(cat("a window of ", v.taps(), " elements"));
  const std::vector<int64_t> out = dims_of(stage.outputs[0]);
  g.batch = in[0];
  g.channels = in[1];
  g.in_height = in[2];
  g.in_width = in[3];
  g.out_height = out[2];
  g.out_width = out[3];
  if (ir::element_count(out) == 0) return unsupported("an empty result");
  return v;
}

class DepthwiseBuilder {
 public:
  DepthwiseBuilder(const Problem& problem, const DepthwiseView& v, const Share& share)
      : v_(v), share_(share), e_(problem, share.width),
        patch_(e_, v_.geometry, share, "0") {}

  Result<EmittedKernel> build() {
    const kernel::Window& w = v_.geometry.window;
    patch_.locate();
    load_floats("w", v_.taps(), cat("wp + ", patch_.channel()));
    if (v_.bias >= 0) load_floats("b", 1, cat("bp + ", patch_.channel()));
    for (int m = 0; m < share_.rows; ++m)
      for (int s = 0; s < share_.strip; ++s)
        for (int l = 0; l < share_.width; ++l)
          e_.line(cat("float ", sum(m, s, l), " = ", v_.bias >= 0 ? cat("b0_", l) : "0", ';'));
    patch_.walk([&](int64_t row, const Patch::Feeds& rows) { add_row(row, rows); },
                [&](int m) { patch_.store(m, [&](int s, int l) { return sum(m, s, l); }); });
    PLANISH_RETURN_IF_ERROR(e_.status());
    return patch_.kernel(cat("depthwise_", ir::name_of(e_.type(v_.geometry.input).dtype), '_', w.kernel[0], 'x', w.kernel[1],
                             "_s", w.strides[0], "_v", share_.width, "_", share_.rows, "x", share_.strip),
                         {"const float* wp", "const float* bp"},
                         {KernelArg::packed(), KernelArg::packed(v_.taps() * v_.geometry.channels * 4)});
  }

 private:
  static std::string sum(int row, int s, int l) { return cat("s", row, '_', s, '_', l); }

  // name0_0.. : `count` vectors of floats, the channels apart.
  void load_floats(const std::string& name, int64_t count, const std::string& from) {
    for (int64_t i = 0; i < count; ++i) {
      const std::string p = e_.fresh("p");
      e_.line(cat("const Pack<float, ", share_.width, "> ", p, " = *(const Pack<float, ", share_.width, ">*)(",
                  from, " + ", i * v_.geometry.channels, ");"));
      for (int l = 0; l < share_.width; ++l)
        e_.line(cat("const float ", name, i, '_', l, " = ", p, ".v[", l, "];"));
    }
  }

  void add_row(int64_t row, const Patch::Feeds& rows) {
    for (int64_t j = 0; j < patch_.columns(); ++j) {
      const Patch::Feeds columns = patch_.column_feeds(j);
      for (int l = 0; !columns.empty() && l < share_.width; ++l) {
        const std::string x = patch_.value(row, j, l);
        for (const auto& [m, ky] : rows)
          for (const auto& [s, kx] : columns) {
            const std::string to = sum(m, s, l);
            e_.line(cat(to, " = fmaf(", x, ", w", ky * v_.geometry.window.kernel[1] + kx, '_', l, ", ", to, ");"));
          }
      }
    }
  }

  const DepthwiseView& v_;
  const Share share_;
  ElementEmitter e_;
  Patch patch_;
};

class Depthwise : public EmittedKernelDef {
 public:
  std::string name() const override { return "cuda.depthwise"; }

  Status supports(const Problem& problem, const DeviceInfo&) const override {
    return depthwise_view(problem).status();
  }

  std::vector<LayoutChoice> layouts(const Problem& problem,
                                    const DeviceInfo& device) const override {
    LayoutChoice last = KernelDef::layouts(problem, device)[0];
    for (size_t i = 0; i < last.operands.size(); ++i)
      if (problem.operands[i].present && !problem.operands[i].constant &&
          problem.operands[i].type.rank() == 4)
        last.operands[i] = Layout::channels_last(4);
    for (Layout& layout : last.results) layout = Layout::channels_last(4);
    return {std::move(last)};
  }

  std::vector<Tactic> tactics(const Problem& problem, const DeviceInfo& device) const override {
    auto v = depthwise_view(problem);
    if (!v.ok()) return {};
    return share_tactics(problem, v->geometry, device, double(v->taps()), double(v->taps()));
  }

  double predict_us(const Problem& problem, const Tactic& tactic,
                    const DeviceInfo& device) const override {
    auto v = depthwise_view(problem);
    if (!v.ok()) return 1e12;
    return predict_share_us(problem, v->geometry, read_share(tactic), device, double(v->taps()), double(v->taps()));
  }

  bool takes_strided(const Problem& problem, bool result, int index) const override {
    return result && kernel::pixels_lie_apart(problem.result_type(index));
  }

  bool packs(const Problem& problem, int operand) const override {
    const Stage& stage = problem.stages[0];
    return kernel::is_input(stage, 1, operand) || kernel::is_input(stage, 2, operand);
  }

  // Weights as floats [taps, channels], the bias behind them.
  Result<kernel::Blob> pack(const Problem& problem, const Tactic&, const DeviceInfo&,
                            std::span<const ir::Tensor> constants) const override {
    const Stage& stage = problem.stages[0];
    const ir::Tensor& w = constants[size_t(stage.inputs[1])];
    const int64_t channels = w.dim(0), taps = w.count() / channels;
    std::vector<float> floats(size_t((taps + 1) * channels), 0.0f);
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t t = 0; t < taps; ++t)
        floats[size_t(t * channels + c)] = float(w.f64(c * taps + t));
      if (has_input(stage, 2))
        floats[size_t(taps * channels + c)] = float(constants[size_t(stage.inputs[2])].f64(c));
    }
    kernel::Blob blob;
    blob.bytes.resize(floats.size() * sizeof(float));
    std::memcpy(blob.bytes.data(), floats.data(), blob.bytes.size());
    return blob;
  }

  Result<EmittedStep> emit(const Problem& problem, const Tactic& tactic,
                           const DeviceInfo&) const override {
    PLANISH_ASSIGN_OR_RETURN(DepthwiseView v, depthwise_view(problem));
    EmittedStep step;
    PLANISH_ASSIGN_OR_RETURN(
        EmittedKernel kernel,
        DepthwiseBuilder(problem, v, read_share(tactic)).build());
    step.kernels.push_back(std::move(kernel));
    return step;
  }
};

}  // namespace

void register_depthwise(kernel::KernelRegistry& registry) {
  registry.add(std::make_unique<Depthwise>());
}

}  // namespace planish::cuda
