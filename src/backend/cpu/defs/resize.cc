// Resize of f32 along one or two axes, row-major: which elements one is made of says kernel/resize.h. A
// line of the outer axis is summed up first, over whole rows, then the inner axis within it.
#include <algorithm>

#include "backend/cpu/defs/refusal.h"
#include "backend/cpu/defs/register_kernels.h"
#include "base/text.h"
#include "base/thread_team.h"
#include "kernel/resize.h"

namespace planish::cpu {
namespace {

using kernel::Problem;
using kernel::ResizeTaps;

constexpr double kUsPerProduct = 6e-4;  // of one thread
constexpr int64_t kParallelProducts = 16384;

// The taps of one axis side by side: those of place p are [begins[p], begins[p + 1]).
struct AxisTaps {
  int64_t in = 1, out = 1;
  std::vector<int64_t> begins = {0, 1}, indices = {0};
  std::vector<float> weights = {1};

  int64_t products() const { return int64_t(weights.size()); }
};

// [outer, a, middle, b, inner], where a and b are resized.
struct ResizeView {
  int64_t outer = 1, middle = 1, inner = 1;
  AxisTaps a, b;

  int64_t row_in() const { return middle * b.in * inner; }
  int64_t row_out() const { return middle * b.out * inner; }
  double products() const {
    return double(outer) * (double(a.products()) * double(row_in()) +
                            double(a.out * middle * inner) * double(b.products()));
  }
};

Result<AxisTaps> axis_taps(const kernel::ResizeRule& rule, const kernel::ResizeAxis& axis) {
  PLANISH_ASSIGN_OR_RETURN(const std::vector<ResizeTaps> taps, kernel::resize_taps(rule, axis));
  AxisTaps out{axis.in, axis.out, {0}, {}, {}};
  for (const ResizeTaps& place : taps) {
    if (place.outside) return unsupported("places outside of the input");
    out.indices.insert(out.indices.end(), place.indices.begin(), place.indices.end());
    for (const double weight : place.weights) out.weights.push_back(float(weight));
    out.begins.push_back(int64_t(out.indices.size()));
  }
  return out;
}

std::vector<size_t> resized_axes(const kernel::Stage& stage, size_t rank) {
  std::vector<size_t> out;
  const auto found = stage.attrs.find("axes");
  if (found != stage.attrs.end())
    for (const int64_t axis : std::get<std::vector<int64_t>>(found->second))
      out.push_back(size_t(axis < 0 ? axis + int64_t(rank) : axis));
  for (size_t i = 0; out.size() < rank && found == stage.attrs.end() && i < rank; ++i) out.push_back(i);
  return out;
}

// Of the axes that change, in ascending order.
Result<std::vector<std::pair<size_t, AxisTaps>>> changed_axes(const Problem& problem) {
  const kernel::Stage& stage = problem.stages[0];
  const std::vector<int64_t> in = ir::to_dims(problem.type_of(stage.inputs[0]).shape);
  const std::vector<int64_t> out = ir::to_dims(stage.outputs[0].shape);
  PLANISH_ASSIGN_OR_RETURN(const kernel::ResizeRule rule, kernel::resize_rule(stage.attrs));
  if (rule.transform == kernel::ResizeRule::Transform::kCropAndResize) return unsupported("cropping");
  if (std::get<std::string>(stage.attrs.find("keep_aspect_ratio_policy")->second) != "stretch")
    return unsupported("a kept aspect ratio");
  const std::vector<size_t> axes = resized_axes(stage, in.size());
  std::vector<double> scales;
  if (stage.inputs.size() > 2 && stage.inputs[2] >= 0) {
    const auto& value = problem.operands[size_t(stage.inputs[2])].value;
    if (!value || value->count() != int64_t(axes.size())) return unsupported("computed scales");
    scales = value->f64_values();
  }
  std::vector<std::pair<size_t, AxisTaps>> changed;
  for (size_t i = 0; i < axes.size(); ++i) {
    kernel::ResizeAxis axis;
    axis.in = in[axes[i]];
    axis.out = out[axes[i]];
    if (axis.in == 0 || axis.out == 0) return unsupported("an empty tensor");
    axis.scale = scales.empty() ? double(axis.out) / double(axis.in) : double(float(scales[i]));
    if (axis.is_identity(rule)) continue;
    PLANISH_ASSIGN_OR_RETURN(AxisTaps taps, axis_taps(rule, axis));
    changed.emplace_back(axes[i], std::move(taps));
  }
  std::sort(changed.begin(), changed.end(), [](const auto& x, const auto& y) { return x.first < y.first; });
  return changed;
}

Result<ResizeView> resize_view(const Problem& problem) {
  if (problem.root_op() != "Resize") return other_family();
  if (problem.stages.size() != 1) return unsupported("an epilogue");
  const ir::TensorType& x = problem.type_of(problem.stages[0].inputs[0]);
  if (x.dtype != ir::DataType::kF32)
    return unsupported(cat("operand is ", ir::name_of(x.dtype), ", expected f32"));
  const std::vector<int64_t> dims = ir::to_dims(x.shape);
  if (std::count(dims.begin(), dims.end(), 0) > 0) return unsupported("an empty tensor");
  PLANISH_ASSIGN_OR_RETURN(auto changed, changed_axes(problem));
  if (changed.empty() || changed.size() > 2)
    return unsupported(cat(changed.size(), " axes change, expected one or two"));
  ResizeView view;
  view.b = std::move(changed.back().second);
  const size_t b = changed.back().first, a = changed.size() == 2 ? changed[0].first : b;
  if (changed.size() == 2) view.a = std::move(changed[0].second);
  for (size_t d = 0; d < dims.size(); ++d) {
    if (d < a) view.outer *= dims[d];
    else if (d > a && d < b) view.middle *= dims[d];
    else if (d > b) view.inner *= dims[d];
  }
  return view;
}

class ResizeLaunchable : public kernel::Launchable {
 public:
  ResizeLaunchable(ResizeView view, int operand) : view_(std::move(view)), operand_(operand) {}
  Status run(const kernel::RunArgs& args) const override {
    const auto* x = static_cast<const float*>(args.operands[size_t(operand_)].data);
    auto* y = static_cast<float*>(args.results[0].data);
    const auto body = [&](int64_t begin, int64_t end, int) {
      std::vector<float> row(static_cast<size_t>(view_.row_in()));
      for (int64_t i = begin; i < end; ++i) {
        const int64_t place = i % view_.a.out;
        sum_rows(x + i / view_.a.out * view_.a.in * view_.row_in(), place, row.data());
        sum_within(row.data(), y + i * view_.row_out());
      }
    };
    const int64_t count = view_.outer * view_.a.out;
    if (view_.products() < kParallelProducts) body(0, count, 0);
    else args.team->parallel_for(count, body);
    return ok_status();
  }

 private:
  void sum_rows(const float* from, int64_t place, float* row) const {
    const int64_t width = view_.row_in();
    std::fill(row, row + width, 0.0f);
    for (int64_t t = view_.a.begins[size_t(place)]; t < view_.a.begins[size_t(place) + 1]; ++t) {
      const float weight = view_.a.weights[size_t(t)];
      const float* line = from + view_.a.indices[size_t(t)] * width;
      for (int64_t i = 0; i < width; ++i) row[i] += weight * line[i];
    }
  }
  void sum_within(const float* row, float* to) const {
    for (int64_t m = 0; m < view_.middle; ++m, row += view_.b.in * view_.inner)
      for (int64_t p = 0; p < view_.b.out; ++p, to += view_.inner)
        sum_place(row, view_.b.begins[size_t(p)], view_.b.begins[size_t(p) + 1], to);
  }
  void sum_place(const float* row, int64_t begin, int64_t end, float* to) const {
    const int64_t inner = view_.inner;
    if (inner == 1) {
      float sum = 0;
      for (int64_t t = begin; t < end; ++t)
        sum += view_.b.weights[size_t(t)] * row[view_.b.indices[size_t(t)]];
      *to = sum;
      return;
    }
    std::fill(to, to + inner, 0.0f);
    for (int64_t t = begin; t < end; ++t) {
      const float weight = view_.b.weights[size_t(t)];
      const float* from = row + view_.b.indices[size_t(t)] * inner;
      for (int64_t i = 0; i < inner; ++i) to[i] += weight * from[i];
    }
  }

  ResizeView view_;
  int operand_;
};

class ResizeKernel : public kernel::KernelDef {
 public:
  std::string name() const override { return "cpu.resize_f32"; }
  std::string device_kind() const override { return "cpu"; }
  Status supports(const Problem& problem, const kernel::DeviceInfo&) const override {
    return resize_view(problem).status();
  }
  double predict_us(const Problem& problem, const kernel::Tactic&,
                    const kernel::DeviceInfo&) const override {
    const auto view = resize_view(problem);
    return view.ok() ? 1.5 + view->products() * kUsPerProduct : 1e12;
  }
  Result<std::unique_ptr<kernel::Launchable>> bind(const kernel::BindArgs& args) const override {
    PLANISH_ASSIGN_OR_RETURN(ResizeView view, resize_view(*args.problem));
    return std::unique_ptr<kernel::Launchable>(
        std::make_unique<ResizeLaunchable>(std::move(view), args.problem->stages[0].inputs[0]));
  }
};

}  // namespace

void register_resize_kernel(kernel::KernelRegistry& registry) {
  registry.add(std::make_unique<ResizeKernel>());
}

}  // namespace planish::cpu
