// The family "cuda.pool": max and average pools over two spatial dims with channels last, on patches of
// outputs (patch.h): a row of inputs is reduced along the window's width once for all the outputs that it
// lies under.
#include <algorithm>

#include "backend/cuda/emit/emitted_kernel_def.h"
#include "backend/cuda/emit/expr_text.h"
#include "backend/cuda/families/depthwise/patch.h"
#include "backend/cuda/families/element/element_ops.h"
#include "backend/cuda/families/register_families.h"
#include "base/text.h"
#include "kernel/strided.h"

namespace planish::cuda {
namespace {

using ir::DataType;
using ir::Layout;
using kernel::DeviceInfo;
using kernel::LayoutChoice;
using kernel::Problem;
using kernel::Tactic;

constexpr int64_t kMostTaps = 49;

struct PoolView {
  PatchGeometry geometry;
  bool maximum = false;
  bool counts_padding = false;  // averages divide by the whole window
};

Result<PoolView> pool_view(const Problem& problem) {
  const std::string_view op = problem.root_op();
  if (op != "MaxPool" && op != "AveragePool") return other_family();
  const auto parts = kernel::root_and_epilogue(problem);
  if (!parts) return unsupported("a region of more than a pool and what follows it");
  const kernel::Stage& stage = *parts->root;
  const ir::TensorType& x = problem.type_of(stage.inputs[0]);
  if (stage.outputs.size() != 1) return unsupported("indices of the largest elements");
  const std::vector<int64_t> in = dims_of(x), out = dims_of(stage.outputs[0]);
  if (in.size() != 4) return unsupported(cat("an input of rank ", in.size(), ", expected 4"));
  if (x.dtype != DataType::kF16 && x.dtype != DataType::kBF16 && x.dtype != DataType::kF32)
    return unsupported(cat("a pool of ", ir::name_of(x.dtype)));
  for (const kernel::Operand& operand : problem.operands)
    if (operand.present && !is_loadable(operand.type.dtype))
      return unsupported(cat("an operand of ", ir::name_of(operand.type.dtype)));
  if (parts->epilogue) PLANISH_RETURN_IF_ERROR(can_print(*parts->epilogue));
  for (size_t i = 0; i < problem.results.size(); ++i) {
    const ir::TensorType& type = problem.result_type(int(i));
    if (!is_loadable(type.dtype)) return unsupported(cat("a result of ", ir::name_of(type.dtype)));
    if (type.shape != stage.outputs[0].shape) return unsupported("a result of another shape");
  }
  PoolView v;
  v.maximum = op == "MaxPool";
  v.counts_padding = int_attr(stage, "count_include_pad", 0) != 0;
  PatchGeometry& g = v.geometry;
  g.input = stage.inputs[0];
  PLANISH_ASSIGN_OR_RETURN(g.window, kernel::window_of(stage.attrs, 2));
  kernel::resolve_pads(g.window, std::span(in).subspan(2));
  if (g.window.volume() > kMostTaps) return unsupported(cat("a window of ", g.window.volume(), " elements"));
  g.batch = in[0];
  g.channels = in[1];
  g.in_height = in[2];
  g.in_width = in[3];
  g.out_height = out[2];
  g.out_width = out[3];
  if (ir::element_count(out) == 0) return unsupported("an empty result");
  for (size_t d = 0; d < 2 && !v.maximum; ++d) {
    if (g.window.dilations[d] != 1) return unsupported("an average over a dilated window");
    const int64_t end = (out[2 + d] - 1) * g.window.strides[d] - g.window.pads_begin[d] + g.window.kernel[d];
    if (end > in[2 + d] + g.window.pads_end[d]) return unsupported("an average beyond the padding");
  }
  return v;
}

class PoolBuilder {
 public:
  PoolBuilder(const Problem& problem, const PoolView& v, const Share& share)
      : v_(v), share_(share), e_(problem, share.width),
        patch_(e_, v_.geometry, share, v.maximum ? least(problem.type_of(v.geometry.input).dtype) : "0") {}

  Result<EmittedKernel> build() {
    const kernel::Window& w = v_.geometry.window;
    patch_.locate();
    for (int m = 0; m < share_.rows; ++m)
      for (int s = 0; s < share_.strip; ++s)
        for (int l = 0; l < share_.width; ++l)
          e_.line(cat("float ", result(m, s, l), " = ", v_.maximum ? "__uint_as_float(0xff800000u)" : "0", ';'));
    patch_.walk([&](int64_t row, const Patch::Feeds& rows) { add_row(row, rows); }, [&](int m) { finish(m); });
    PLANISH_RETURN_IF_ERROR(e_.status());
    return patch_.kernel(cat(v_.maximum ? "max" : "average", "_pool_", ir::name_of(e_.type(v_.geometry.input).dtype), '_',
                             w.kernel[0], 'x', w.kernel[1], "_s", w.strides[0], "_v", share_.width, "_", share_.rows, "x", share_.strip),
                         {}, {});
  }

 private:
  // Minus infinity as it lies in memory.
  static std::string_view least(DataType type) {
    return type == DataType::kF16 ? "0xfc00" : type == DataType::kBF16 ? "0xff80" : "__uint_as_float(0xff800000u)";
  }
  static std::string result(int m, int s, int l) { return cat("s", m, '_', s, '_', l); }
  std::string joined(const std::string& a, const std::string& b) const {
    return v_.maximum ? cat("max_nan(", a, ", ", b, ")") : cat(a, " + ", b);
  }

  void add_row(int64_t row, const Patch::Feeds& rows) {
    for (int l = 0; l < share_.width; ++l) {
      std::vector<std::string> across(size_t(share_.strip));  // the window's width, of each output
      for (int64_t j = 0; j < patch_.columns(); ++j) {
        const Patch::Feeds columns = patch_.column_feeds(j);
        if (columns.empty()) continue;
        const std::string x = patch_.value(row, j, l);
        for (const auto& [s, k] : columns) {
          std::string& sum = across[size_t(s)];
          sum = sum.empty() ? x : e_.bind("float", joined(sum, x));
        }
      }
      for (const auto& [m, k] : rows)
        for (int s = 0; s < share_.strip; ++s)
          e_.line(cat(result(m, s, l), " = ", joined(result(m, s, l), across[size_t(s)]), ';'));
    }
  }

  // Elements of a window along one axis that lie in the image.
  std::string count(const Coord& output, int axis, int64_t size) {
    const kernel::Window& w = v_.geometry.window;
    const std::string first = e_.bind_index(shifted(output, -w.pads_begin[size_t(axis)], w.strides[size_t(axis)]).at);
    return cat("(min((int)", first, " + ", w.kernel[size_t(axis)], ", ", size, ") - max((int)", first, ", 0))");
  }

  void finish(int m) {
    if (!v_.maximum) {
      const PatchGeometry& g = v_.geometry;
      const std::string rows = v_.counts_padding ? "" : e_.bind("int", count(patch_.row(m), 0, g.in_height));
      for (int s = 0; s < share_.strip; ++s) {
        const std::string factor =
            v_.counts_padding ? float_literal(1.0f / float(g.window.volume()))
                              : e_.bind("float", cat("1.0f / (float)(", rows, " * ", count(patch_.column(s), 1, g.in_width), ")"));
        for (int l = 0; l < share_.width; ++l) e_.line(cat(result(m, s, l), " *= ", factor, ';'));
      }
    }
    patch_.store(m, [&](int s, int l) { return result(m, s, l); });
  }

  const PoolView& v_;
  const Share share_;
  ElementEmitter e_;
  Patch patch_;
};

class Pool : public EmittedKernelDef {
 public:
  std::string name() const override { return "cuda.pool"; }
  Status supports(const Problem& problem, const DeviceInfo&) const override { return pool_view(problem).status(); }

  std::vector<LayoutChoice> layouts(const Problem& problem, const DeviceInfo& device) const override {
    LayoutChoice last = KernelDef::layouts(problem, device)[0];
    for (size_t i = 0; i < last.operands.size(); ++i)
      if (problem.operands[i].present && !problem.operands[i].constant && problem.operands[i].type.rank() == 4)
        last.operands[i] = Layout::channels_last(4);
    for (Layout& layout : last.results) layout = Layout::channels_last(4);
    return {std::move(last)};
  }

  std::vector<Tactic> tactics(const Problem& problem, const DeviceInfo& device) const override {
    auto v = pool_view(problem);
    if (!v.ok()) return {};
    return share_tactics(problem, v->geometry, device, 0, work(*v));
  }

  double predict_us(const Problem& problem, const Tactic& tactic, const DeviceInfo& device) const override {
    auto v = pool_view(problem);
    if (!v.ok()) return 1e12;
    return predict_share_us(problem, v->geometry, read_share(tactic), device, 0, work(*v));
  }

  bool takes_strided(const Problem& problem, bool result, int index) const override {
    return result && kernel::pixels_lie_apart(problem.result_type(index));
  }

  Result<EmittedStep> emit(const Problem& problem, const Tactic& tactic, const DeviceInfo&) const override {
    PLANISH_ASSIGN_OR_RETURN(PoolView v, pool_view(problem));
    EmittedStep step;
    PLANISH_ASSIGN_OR_RETURN(EmittedKernel kernel, PoolBuilder(problem, v, read_share(tactic)).build());
    step.kernels.push_back(std::move(kernel));
    return step;
  }

 private:
  // Operations of an output: the window's height, and a share of its width.
  static double work(const PoolView& v) { return double(v.geometry.window.kernel[0] + v.geometry.window.kernel[1]); }
};

}  // namespace

void register_pool(kernel::KernelRegistry& registry) { registry.add(std::make_unique<Pool>()); }

}  // namespace planish::cuda
