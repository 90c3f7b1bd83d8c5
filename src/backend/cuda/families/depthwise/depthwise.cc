// The family "cuda.depthwise": depthwise convolutions over two spatial dims with channels last, on patches
// of outputs (patch.h). A thread reads its weights (packed channels last, as floats) once. Sums are fp32;
// whatever expression follows is printed on them.
#include <cstring>

#include "backend/cuda/emit/expr_text.h"
#include "backend/cuda/families/depthwise/patch.h"
#include "backend/cuda/families/element/element_ops.h"
#include "backend/cuda/families/register_families.h"
#include "base/text.h"
#include "kernel/stage_input.h"

namespace planish::cuda {
namespace {

using kernel::DeviceInfo;
using kernel::Problem;
using kernel::Stage;
using kernel::Tactic;

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
  v.weights = stage.inputs[1];
  v.bias = has_input(stage, 2) ? stage.inputs[2] : -1;
  if (x.dtype == ir::DataType::kF64) return unsupported("f64");
  if (!problem.operands[size_t(v.weights)].constant) return unsupported("computed weights");
  if (v.bias >= 0 && !problem.operands[size_t(v.bias)].constant)
    return unsupported("a computed bias");
  PLANISH_ASSIGN_OR_RETURN(v.geometry, patch_geometry(problem, *parts, std::span(w).subspan(2)));
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

class Depthwise : public PatchDef {
 public:
  std::string name() const override { return "cuda.depthwise"; }

  Status supports(const Problem& problem, const DeviceInfo&) const override {
    return depthwise_view(problem).status();
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
