// The family "cuda.pool": max and average pools over two spatial dims with channels last, on patches of
// outputs (patch.h): a row of inputs is reduced along the window's width once for all the outputs that it
// lies under.
#include <algorithm>

#include "backend/cuda/emit/expr_text.h"
#include "backend/cuda/families/depthwise/patch.h"
#include "backend/cuda/families/element/element_ops.h"
#include "backend/cuda/families/register_families.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

using ir::DataType;
using kernel::DeviceInfo;
using kernel::Problem;
using kernel::Tactic;

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
  if (x.dtype != DataType::kF16 && x.dtype != DataType::kBF16 && x.dtype != DataType::kF32)
    return unsupported(cat("a pool of ", ir::name_of(x.dtype)));
  PoolView v;
  v.maximum = op == "MaxPool";
  v.counts_padding = int_attr(stage, "count_include_pad", 0) != 0;
  PLANISH_ASSIGN_OR_RETURN(v.geometry, patch_geometry(problem, *parts));
  const PatchGeometry& g = v.geometry;
  const int64_t in[] = {g.in_height, g.in_width}, out[] = {g.out_height, g.out_width};
  for (size_t d = 0; d < 2 && !v.maximum; ++d) {
    if (g.window.dilations[d] != 1) return unsupported("an average over a dilated window");
    const int64_t end = (out[d] - 1) * g.window.strides[d] - g.window.pads_begin[d] + g.window.kernel[d];
    if (end > in[d] + g.window.pads_end[d]) return unsupported("an average beyond the padding");
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

class Pool : public PatchDef {
 public:
  std::string name() const override { return "cuda.pool"; }
  Status supports(const Problem& problem, const DeviceInfo&) const override { return pool_view(problem).status(); }

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
