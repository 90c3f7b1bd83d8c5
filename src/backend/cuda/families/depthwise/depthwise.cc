// The family "cuda.depthwise": depthwise convolutions over two spatial dims with channels last.
//
// A thread takes a vector of channels and a patch of neighbouring outputs: every input vector under it
// is read once, row by row, the weights (packed channels last, as floats) once for the thread. Sums are
// fp32; whatever expression follows is printed on them.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

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

// What a thread computes: `strip` outputs of each of `rows` neighbouring rows, `width` channels of them.
struct Share {
  int width = 1, strip = 1, rows = 1;
};

Share read(const Tactic& t) {
  return {int(t.get("v", 1)), int(t.get("strip", 1)), int(t.get("rows", 1))};
}
Tactic write(const Share& s) { return {{{"rows", s.rows}, {"strip", s.strip}, {"v", s.width}}}; }

// Input rows and columns under a share.
int64_t taken(const kernel::Window& w, int axis, int outputs) {
  return (outputs - 1) * w.strides[size_t(axis)] + (w.kernel[size_t(axis)] - 1) * w.dilations[size_t(axis)] + 1;
}

class DepthwiseBuilder {
 public:
  DepthwiseBuilder(const Problem& problem, const DepthwiseView& v, const Share& share)
      : problem_(problem), v_(v), width_(share.width), strip_(share.strip), rows_(share.rows),
        e_(problem, share.width) {}

  Result<EmittedKernel> build() {
    const int64_t strips = (v_.out_width + strip_ - 1) / strip_;
    const int64_t bands = (v_.out_height + rows_ - 1) / rows_;
    const int64_t threads = v_.batch * bands * strips * (v_.channels / width_);
    const std::string index = e_.index_type();
    e_.line(
        cat("const ", index, " number = (", index, ")blockIdx.x * ", kThreads, " + threadIdx.x;"));
    e_.line(cat("const ", index, " t = number < ", threads, " ? number : ", threads - 1, ";"));
    std::string text;
    const std::vector<int64_t> sizes = {v_.batch, bands, strips, v_.channels};
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
    print_windows();
    PLANISH_RETURN_IF_ERROR(e_.status());
    return finish(threads);
  }

 private:
  static std::string sum(int row, int s, int l) { return cat("s", row, '_', s, '_', l); }
  static std::string input(int64_t row, int64_t column) { return cat("in", row, '_', column); }

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

  // Rows of the input one after the other, the next one's loads in front of this one's products: each
  // serves every row of outputs it lies under, and a row of outputs is stored when it is complete.
  void print_windows() {
    const kernel::Window& w = v_.window;
    top_ = e_.bind_coord(shifted(place_[1], -w.pads_begin[0], w.strides[0] * rows_));
    left_ = e_.bind_coord(shifted(place_[2], -w.pads_begin[1], w.strides[1] * strip_));
    for (int64_t j = 0; j < taken(w, 1, strip_); ++j)
      e_.line(cat("const bool c", j, " = (unsigned)(", left_.at, " + ", j, ") < ", v_.in_width, "u;"));
    const Coords corner = {place_[0], place_[3], top_, left_};
    base_ = e_.bind_index(offset_of(e_.type(v_.input), corner).at);
    for (int m = 0; m < rows_; ++m)
      for (int s = 0; s < strip_; ++s)
        for (int l = 0; l < width_; ++l)
          e_.line(cat("float ", sum(m, s, l), " = ", v_.bias >= 0 ? cat("b0_", l) : "0", ';'));
    const int64_t last = taken(w, 0, rows_) - 1;
    load_row(0);
    for (int64_t r = 0; r <= last; ++r) {
      if (r < last) load_row(r + 1);
      add_row(r);
      const int64_t above = r - (w.kernel[0] - 1) * w.dilations[0];
      if (above >= 0 && above % w.strides[0] == 0) print_results(int(above / w.strides[0]));
    }
  }

  // Output columns and taps that an input column feeds.
  std::vector<std::pair<int, int64_t>> feeds(int axis, int64_t at, int outputs) const {
    std::vector<std::pair<int, int64_t>> out;
    for (int s = 0; s < outputs; ++s)
      for (int64_t k = 0; k < v_.window.kernel[size_t(axis)]; ++k)
        if (s * v_.window.strides[size_t(axis)] + k * v_.window.dilations[size_t(axis)] == at)
          out.push_back({s, k});
    return out;
  }

  // Zeros beyond the image.
  void load_row(int64_t r) {
    if (feeds(0, r, rows_).empty()) return;
    const std::string type = cat("Pack<", memory_type(e_.type(v_.input).dtype), ", ", width_, ">");
    const std::string inside = e_.fresh("r");
    e_.line(cat("const bool ", inside, " = (unsigned)(", top_.at, " + ", r, ") < ", v_.in_height, "u;"));
    for (int64_t j = 0; j < taken(v_.window, 1, strip_); ++j) {
      if (feeds(1, j, strip_).empty()) continue;
      e_.line(cat(type, ' ', input(r, j), " = {}; if (", inside, " && c", j, ") ", input(r, j), " = *(const ", type,
                  "*)(x", v_.input, " + ", base_, " + ", (r * v_.in_width + j) * v_.channels, ");"));
    }
  }

  void add_row(int64_t r) {
    const auto rows = feeds(0, r, rows_);
    const ir::DataType dtype = e_.type(v_.input).dtype;
    for (int64_t j = 0; !rows.empty() && j < taken(v_.window, 1, strip_); ++j) {
      const auto columns = feeds(1, j, strip_);
      if (columns.empty()) continue;
      for (int l = 0; l < width_; ++l) {
        const std::string x = e_.bind("float", load_text(dtype, cat(input(r, j), ".v[", l, "]")));
        for (const auto& [m, ky] : rows)
          for (const auto& [s, kx] : columns) {
            const std::string to = sum(m, s, l);
            e_.line(cat(to, " = fmaf(", x, ", w", ky * v_.window.kernel[1] + kx, '_', l, ", ", to, ");"));
          }
      }
    }
  }

  void print_results(int m) {
    const Coord row = e_.bind_coord(shifted(place_[1], m, rows_));
    if (v_.out_height % rows_ != 0) e_.open(cat("if (", row.at, " < ", v_.out_height, ')'));
    for (int s = 0; s < strip_; ++s) {
      const Coord column = e_.bind_coord(shifted(place_[2], s, strip_));
      const bool whole = v_.out_width % strip_ == 0;
      e_.open(whole ? "" : cat("if (", column.at, " < ", v_.out_width, ')'));
      const Coords at = {place_[0], place_[3], row, column};
      Lanes root;
      for (int l = 0; l < width_; ++l) root.names.push_back(sum(m, s, l));
      e_.define(int(problem_.operands.size()), std::move(root));
      for (size_t i = 0; i < problem_.results.size(); ++i)
        e_.store(int(i), offset_of(problem_.result_type(int(i)), at),
                 e_.value(problem_.results[i], at));
      e_.close();
    }
    if (v_.out_height % rows_ != 0) e_.close();
  }

  EmittedKernel finish(int64_t threads) {
    EmittedKernel kernel;
    std::vector<std::string> parameters = {"const float* wp", "const float* bp"};
    kernel.args = {KernelArg::packed(), KernelArg::packed(v_.taps() * v_.channels * 4)};
    std::set<int> read = e_.loaded();
    read.insert(v_.input);
    for (int i : read) {
      parameters.push_back(cat("const ", memory_type(e_.type(i).dtype), "* x", i));
      kernel.args.push_back(KernelArg::operand(i));
    }
    for (int i = 0; i < int(problem_.results.size()); ++i) {
      parameters.push_back(cat(memory_type(problem_.result_type(i).dtype), "* y", i));
      kernel.args.push_back(KernelArg::result(i));
    }
    kernel.entry =
        cat("depthwise_", ir::name_of(e_.type(v_.input).dtype), '_', v_.window.kernel[0], 'x',
            v_.window.kernel[1], "_s", v_.window.strides[0], "_v", width_, "_", rows_, "x", strip_);
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
  const int width_, strip_, rows_;
  ElementEmitter e_;
  Coords place_;      // n, band of rows, strip, channel
  Coord top_, left_;  // of the input under the share
  std::string base_;  // position of that corner, outside of the image perhaps
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
    // Registers hold the weights, two rows of inputs and the sums that are not complete.
    const int most = widest(problem, *v);
    const kernel::Window& w = v->window;
    const int64_t open = (w.kernel[0] - 1) * w.dilations[0] / w.strides[0] + 1;
    for (int width = most; width >= 1 && width >= most / 4; width /= 2)
      for (int strip : {1, 2, 4})
        for (int rows : {1, 2, 4, 7}) {
          const Share share{width, strip, rows};
          const int64_t held = v->taps() + std::min<int64_t>(rows, open) * strip + taken(w, 1, strip);
          if (held * width > 160 || strip > v->out_width || rows > v->out_height) continue;
          if (rows * strip * v->taps() * width > 1200) continue;  // source beyond measure
          out.push_back(write(share));
        }
    if (out.empty()) out.push_back(write({}));
    std::stable_sort(out.begin(), out.end(), [&](const Tactic& a, const Tactic& b) {
      return predict_us(problem, a, device) < predict_us(problem, b, device);
    });
    if (out.size() > 8) out.resize(8);
    return out;
  }

  double predict_us(const Problem& problem, const Tactic& tactic,
                    const DeviceInfo& device) const override {
    auto v = depthwise_view(problem);
    if (!v.ok()) return 1e12;
    const Share share = read(tactic);
    const double width = share.width, strip = share.strip, rows = share.rows;
    const double threads = double(v->batch * v->channels) / width * std::ceil(double(v->out_height) / rows) *
                           std::ceil(double(v->out_width) / strip);
    const double loads = double(taken(v->window, 0, share.rows) * taken(v->window, 1, share.strip));
    const double taps = double(v->taps());
    // Clocks of one thread: loads and their addresses, conversions and multiply-adds, weights, the end.
    const double clocks = loads * (5 + width) + taps * strip * rows * width + taps * width / 2 + (12 + 2 * width) * strip * rows;
    const double compute = threads * clocks / (sm_count(device) * 128.0 * 1.7e3);
    // Every vector of the input is read by several threads, from the first level of cache mostly.
    const double cache = threads * loads * width * ir::bits_of(problem.type_of(v->input).dtype) / 8 / (sm_count(device) * 64 * 1.7e3);
    // Warps that registers leave room for; some twenty of them keep the memory busy.
    const kernel::Window& w = v->window;
    const double open = double((w.kernel[0] - 1) * w.dilations[0] / w.strides[0] + 1);
    const double held = 30 + width * (taps + std::min(rows, open) * strip + double(taken(w, 1, share.strip)));
    const double warps = std::min(48.0, 2048 / held);
    const double waves = std::max(1.0, threads / 32 / (sm_count(device) * warps));
    const double latency = waves * (0.6 + 0.25 * double(taken(w, 0, share.rows)));
    const double memory = memory_us(device, double(kernel::bytes_moved(problem))) * std::max(1.0, 20 / warps);
    return kLaunchUs + std::max({compute * 1.3, latency, cache, memory}) + 0.1 * (compute + cache);
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
        DepthwiseBuilder(problem, v, read(tactic)).build());
    step.kernels.push_back(std::move(kernel));
    return step;
  }
};

}  // namespace

void register_depthwise(kernel::KernelRegistry& registry) {
  registry.add(std::make_unique<Depthwise>());
}

}  // namespace planish::cuda
