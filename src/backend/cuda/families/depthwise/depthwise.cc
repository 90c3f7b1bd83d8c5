// The family "cuda.depthwise": depthwise convolutions over two spatial dims with channels last.
//
// A thread takes a vector of channels and a strip of neighbouring outputs of one row: every input
// vector of the window is read once for the strip, the weights (packed channels last, as floats)
// once for the thread. Sums are fp32; whatever expression follows is printed on them.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "backend/cuda/emit/emitted_kernel_def.h"
#include "backend/cuda/emit/expr_text.h"
#include "backend/cuda/emit/prelude.h"
#include "backend/cuda/emit/thread_text.h"
#include "backend/cuda/families/element/element_ops.h"
#include "backend/cuda/families/register_families.h"
#include "base/text.h"
#include "kernel/cost.h"
#include "kernel/window.h"
#include "kernel/stage_input.h"

namespace planish::cuda {
namespace {

using ir::Layout;
using kernel::DeviceInfo;
using kernel::LayoutChoice;
using kernel::Problem;
using kernel::Stage;
using kernel::Tactic;

constexpr int kThreads = 128;
constexpr int64_t kMostTaps = 49;

struct DepthwiseView {
  kernel::Window window;
  int64_t batch = 1, channels = 1, in_height = 1, in_width = 1, out_height = 1, out_width = 1;
  int input = 0, weights = 1, bias = -1;
  int64_t taps() const { return window.volume(); }
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
  v.input = stage.inputs[0];
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
  PLANISH_ASSIGN_OR_RETURN(v.window, kernel::window_of(stage.attrs, 2, std::span(w).subspan(2)));
  kernel::resolve_pads(v.window, std::span(in).subspan(2));
  if (v.taps() > kMostTaps) return unsupported(cat("a window of ", v.taps(), " elements"));
  const std::vector<int64_t> out = dims_of(stage.outputs[0]);
  v.batch = in[0];
  v.channels = in[1];
  v.in_height = in[2];
  v.in_width = in[3];
  v.out_height = out[2];
  v.out_width = out[3];
  if (ir::element_count(out) == 0) return unsupported("an empty result");
  return v;
}

int widest(const Problem& problem, const DepthwiseView& v) {
  int width = std::min(8, 128 / ir::bits_of(problem.type_of(v.input).dtype));
  while (v.channels % width != 0) width /= 2;
  return width;
}

class DepthwiseBuilder {
 public:
  // `strip`: outputs of a row that a thread computes.
  DepthwiseBuilder(const Problem& problem, const DepthwiseView& v, int width, int strip)
      : problem_(problem), v_(v), width_(width), strip_(strip), e_(problem, width) {}

  Result<EmittedKernel> build() {
    const int64_t strips = (v_.out_width + strip_ - 1) / strip_;
    const int64_t threads = v_.batch * v_.out_height * strips * (v_.channels / width_);
    const std::string index = e_.index_type();
    e_.line(
        cat("const ", index, " number = (", index, ")blockIdx.x * ", kThreads, " + threadIdx.x;"));
    e_.line(cat("const ", index, " t = number < ", threads, " ? number : ", threads - 1, ";"));
    std::string text;
    const std::vector<int64_t> sizes = {v_.batch, v_.out_height, strips, v_.channels};
    place_ = split_number("t", sizes, width_, index, "d", text);
    for (const std::string& l : split(text, '\n'))
      if (!l.empty()) e_.line(l);
    const std::string c = e_.bind_index(place_[3].at);
    place_[3].at = c;
    load_floats("w", v_.taps(), cat("wp + ", c));
    if (v_.bias >= 0) load_floats("b", 1, cat("bp + ", c));
    // Weights are nobody's result: what comes next is.
    e_.line("grid_wait();");
    e_.line("grid_launch();");
    e_.line(cat("if (number >= ", threads, ") return;"));
    for (int s = 0; s < strip_; ++s)
      for (int l = 0; l < width_; ++l)
        e_.line(cat("float ", sum(s, l), " = ", v_.bias >= 0 ? cat("b0_", l) : "0", ';'));
    print_window();
    print_results();
    PLANISH_RETURN_IF_ERROR(e_.status());
    return finish(threads);
  }

 private:
  static std::string sum(int s, int l) { return cat("s", s, '_', l); }

  // name0_0.. : `count` vectors of floats, the channels apart.
  void load_floats(const std::string& name, int64_t count, const std::string& from) {
    for (int64_t i = 0; i < count; ++i) {
      const std::string p = e_.fresh("p");
      e_.line(cat("const Pack<float, ", width_, "> ", p, " = *(const Pack<float, ", width_, ">*)(",
                  from, " + ", i * v_.channels, ");"));
      for (int l = 0; l < width_; ++l)
        e_.line(cat("const float ", name, i, '_', l, " = ", p, ".v[", l, "];"));
    }
  }

  void print_window() {
    const int64_t kh = v_.window.kernel[0], kw = v_.window.kernel[1];
    const int64_t sw = v_.window.strides[1], dw = v_.window.dilations[1];
    const Coord row0 =
        e_.bind_coord(shifted(place_[1], -v_.window.pads_begin[0], v_.window.strides[0]));
    const Coord column0 =
        e_.bind_coord(shifted(place_[2], -v_.window.pads_begin[1], v_.window.strides[1] * strip_));
    const int64_t columns = (strip_ - 1) * sw + (kw - 1) * dw + 1;
    for (int64_t r = 0; r < kh; ++r) {
      const Coord row = e_.bind_coord(shifted(row0, r * v_.window.dilations[0]));
      e_.open(cat("if (", row.at, " >= 0 && ", row.at, " < ", v_.in_height, ')'));
      for (int64_t j = 0; j < columns; ++j) {
        // Which taps of which outputs this column feeds.
        std::vector<std::pair<int, int64_t>> feeds;
        for (int s = 0; s < strip_; ++s)
          for (int64_t k = 0; k < kw; ++k)
            if (s * sw + k * dw == j) feeds.push_back({s, k});
        if (feeds.empty()) continue;
        const Coord column = e_.bind_coord(shifted(column0, j));
        e_.open(cat("if (", column.at, " >= 0 && ", column.at, " < ", v_.in_width, ')'));
        const Lanes in = e_.value(v_.input, {place_[0], place_[3], row, column});
        for (const auto& [s, k] : feeds)
          for (int l = 0; l < width_; ++l)
            e_.line(cat(sum(s, l), " = fmaf(", in[l], ", w", r * kw + k, '_', l, ", ", sum(s, l),
                        ");"));
        e_.close();
      }
      e_.close();
    }
  }

  void print_results() {
    for (int s = 0; s < strip_; ++s) {
      const Coord column = e_.bind_coord(shifted(place_[2], s, strip_));
      const bool whole = v_.out_width % strip_ == 0;
      e_.open(whole ? "" : cat("if (", column.at, " < ", v_.out_width, ')'));
      const Coords at = {place_[0], place_[3], place_[1], column};
      Lanes root;
      for (int l = 0; l < width_; ++l) root.names.push_back(sum(s, l));
      e_.define(int(problem_.operands.size()), std::move(root));
      for (size_t i = 0; i < problem_.results.size(); ++i)
        e_.store(int(i), offset_of(problem_.result_type(int(i)), at),
                 e_.value(problem_.results[i], at));
      e_.close();
    }
  }

  EmittedKernel finish(int64_t threads) {
    EmittedKernel kernel;
    std::vector<std::string> parameters = {"const float* wp", "const float* bp"};
    kernel.args = {KernelArg::packed(), KernelArg::packed(v_.taps() * v_.channels * 4)};
    for (int i : e_.loaded()) {
      parameters.push_back(cat("const ", memory_type(e_.type(i).dtype), "* x", i));
      kernel.args.push_back(KernelArg::operand(i));
    }
    for (int i = 0; i < int(problem_.results.size()); ++i) {
      parameters.push_back(cat(memory_type(problem_.result_type(i).dtype), "* y", i));
      kernel.args.push_back(KernelArg::result(i));
    }
    kernel.entry =
        cat("depthwise_", ir::name_of(e_.type(v_.input).dtype), '_', v_.window.kernel[0], 'x',
            v_.window.kernel[1], "_s", v_.window.strides[0], "_v", width_, "_w", strip_);
    kernel.block.x = kThreads;
    kernel.grid.x = uint32_t((threads + kThreads - 1) / kThreads);
    kernel.programmatic_launch = true;
    kernel.source =
        cat(kPrelude, kPackText, e_.tables(), "extern \"C\" __global__ void __launch_bounds__(",
            kThreads, ") ", kernel.entry, '(', join(parameters), ") {\n", e_.body(), "}\n");
    return kernel;
  }

  const Problem& problem_;
  const DepthwiseView& v_;
  const int width_, strip_;
  ElementEmitter e_;
  Coords place_;  // n, row, strip, channel
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
    std::vector<Tactic> out;
    auto v = depthwise_view(problem);
    if (!v.ok()) return out;
    // Registers hold the weights and the sums of a thread.
    const int most = widest(problem, *v);
    for (int width = most; width >= 1 && width >= most / 4; width /= 2)
      for (int strip : {1, 2, 4})
        if ((v->taps() + strip) * width <= 160 && strip <= v->out_width)
          out.push_back({{{"strip", strip}, {"v", width}}});
    if (out.empty()) out.push_back({{{"strip", 1}, {"v", 1}}});
    std::stable_sort(out.begin(), out.end(), [&](const Tactic& a, const Tactic& b) {
      return predict_us(problem, a, device) < predict_us(problem, b, device);
    });
    if (out.size() > 5) out.resize(5);
    return out;
  }

  double predict_us(const Problem& problem, const Tactic& tactic,
                    const DeviceInfo& device) const override {
    auto v = depthwise_view(problem);
    if (!v.ok()) return 1e12;
    const double width = double(tactic.get("v", 1)), strip = double(tactic.get("strip", 1));
    const double threads = double(v->batch * v->out_height * v->channels) / width *
                           std::ceil(double(v->out_width) / strip);
    const double kh = double(v->window.kernel[0]), kw = double(v->window.kernel[1]);
    const double columns = (strip - 1) * double(v->window.strides[1]) + kw;
    // Clocks of one thread: loads and their addresses, multiply-adds, weights, the end.
    const double clocks =
        kh * columns * (8 + width) + kh * kw * strip * width + kh * kw * width / 2 + 20 * strip;
    const double waves = std::max(1.0, threads / (sm_count(device) * 512.0));
    const double compute = threads * clocks / (sm_count(device) * 128.0 * 1.7e3);
    return kLaunchUs + std::max({compute, waves * 1.0,
                                 memory_us(device, double(kernel::bytes_moved(problem)))});
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
        DepthwiseBuilder(problem, v, int(tactic.get("v", 1)), int(tactic.get("strip", 1))).build());
    step.kernels.push_back(std::move(kernel));
    return step;
  }
};

}  // namespace

void register_depthwise(kernel::KernelRegistry& registry) {
  registry.add(std::make_unique<Depthwise>());
}

}  // namespace planish::cuda
