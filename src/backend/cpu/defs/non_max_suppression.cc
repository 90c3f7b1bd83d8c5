// NonMaxSuppression and SuppressedScores: per image and class the boxes above the score's floor by
// descending score, those dropped that overlap a better one too much; as indices, or as scores with
// zeros elsewhere. Images and classes are shared out over the team.
#include <algorithm>
#include <cmath>

#include "backend/cpu/defs/refusal.h"
#include "backend/cpu/defs/register_kernels.h"
#include "backend/cpu/defs/score_order.h"
#include "base/text.h"
#include "base/thread_team.h"
#include "kernel/allocating_kernel.h"

namespace planish::cpu {
namespace {

using kernel::Problem;

struct Box {
  double y1, x1, y2, x2;
  double area() const { return (y2 - y1) * (x2 - x1); }
};

Box box_at(const float* b, bool centered) {
  const double v[4] = {b[0], b[1], b[2], b[3]};
  if (centered) return {v[1] - v[3] / 2, v[0] - v[2] / 2, v[1] + v[3] / 2, v[0] + v[2] / 2};
  return {std::min(v[0], v[2]), std::min(v[1], v[3]), std::max(v[0], v[2]), std::max(v[1], v[3])};
}

bool overlap_above(const Box& a, const Box& b, double threshold) {
  const double height = std::min(a.y2, b.y2) - std::max(a.y1, b.y1);
  const double width = std::min(a.x2, b.x2) - std::max(a.x1, b.x1);
  if (!(height > 0 && width > 0)) return false;
  const double shared = height * width, united = a.area() + b.area() - shared;
  return a.area() > 0 && b.area() > 0 && united > 0 && shared / united > threshold;
}

class Suppression : public kernel::Launchable {
 public:
  explicit Suppression(const Problem& problem)
      : inputs_(problem.stages[0].inputs),
        centered_(std::get<int64_t>(
                      problem.stages[0].attrs.find("center_point_box")->second) == 1) {
    const std::vector<int64_t> boxes = ir::to_dims(problem.type_of(inputs_[0]).shape);
    const std::vector<int64_t> scores = ir::to_dims(problem.type_of(inputs_[1]).shape);
    images_ = boxes[0];
    count_ = boxes[1];
    classes_ = scores[1];
  }

 protected:
  // The boxes that are kept, per image and class.
  Result<std::vector<std::vector<int64_t>>> select_all(const kernel::RunArgs& args) const {
    const auto* boxes = static_cast<const float*>(args.operands[size_t(inputs_[0])].data);
    const auto* scores = static_cast<const float*>(args.operands[size_t(inputs_[1])].data);
    const auto given = [&](size_t i) -> const void* {
      return i < inputs_.size() && inputs_[i] >= 0 ? args.operands[size_t(inputs_[i])].data
                                                   : nullptr;
    };
    const int64_t most = given(2) ? *static_cast<const int64_t*>(given(2)) : 0;
    const double iou = given(3) ? *static_cast<const float*>(given(3)) : 0.0;
    const float floor = given(4) ? *static_cast<const float*>(given(4)) : -INFINITY;
    if (!(iou >= 0 && iou <= 1))
      return invalid_argument(cat("input 3 (iou_threshold): got ", iou, ", expected 0 to 1"));
    if (floor != floor)
      return invalid_argument("input 4 (score_threshold): got NaN, expected a number");
    std::vector<std::vector<int64_t>> kept(size_t(images_ * classes_));
    args.team->parallel_for(images_ * classes_, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i)
        kept[size_t(i)] = select(boxes + i / classes_ * count_ * 4, scores + i * count_, most, iou,
                                 floor, given(4) != nullptr);
    });
    return kept;
  }

  std::vector<int> inputs_;
  bool centered_;
  int64_t images_ = 0, classes_ = 0, count_ = 0;

 private:
  std::vector<int64_t> select(const float* boxes, const float* scores, int64_t most, double iou,
                              float floor, bool has_floor) const {
    std::vector<uint64_t> order;
    for (int64_t i = 0; i < count_; ++i)
      if (scores[i] == scores[i] && (!has_floor || scores[i] > floor))
        order.push_back(descending(scores[i], uint32_t(i)));
    std::sort(order.begin(), order.end());
    std::vector<int64_t> out;
    std::vector<Box> better;
    for (uint64_t key : order) {
      if (int64_t(out.size()) >= most) break;
      const int64_t i = position(key);
      const Box box = box_at(boxes + i * 4, centered_);
      if (std::any_of(better.begin(), better.end(),
                      [&](const Box& b) { return overlap_above(b, box, iou); }))
        continue;
      better.push_back(box);
      out.push_back(i);
    }
    return out;
  }
};

class NmsLaunchable : public Suppression {
 public:
  using Suppression::Suppression;
  Status run(const kernel::RunArgs&) const override {
    return internal_error("NonMaxSuppression: the number of results is not known before it ran");
  }
  Result<std::vector<ir::Tensor>> run_allocating(const kernel::RunArgs& args) const override {
    PLANISH_ASSIGN_OR_RETURN(const auto kept, select_all(args));
    std::vector<int64_t> selected;
    for (int64_t i = 0; i < images_ * classes_; ++i)
      for (int64_t box : kept[size_t(i)])
        selected.insert(selected.end(), {i / classes_, i % classes_, box});
    return std::vector<ir::Tensor>{
        ir::Tensor::from_i64(ir::DataType::kI64, {int64_t(selected.size()) / 3, 3}, selected)};
  }
};

class SuppressedScoresLaunchable : public Suppression {
 public:
  using Suppression::Suppression;
  Status run(const kernel::RunArgs& args) const override {
    PLANISH_ASSIGN_OR_RETURN(const auto kept, select_all(args));
    const auto* scores = static_cast<const float*>(args.operands[size_t(inputs_[1])].data);
    auto* out = static_cast<float*>(args.results[0].data);
    std::fill(out, out + images_ * classes_ * count_, 0.0f);
    for (int64_t i = 0; i < images_ * classes_; ++i)
      for (int64_t box : kept[size_t(i)]) out[i * count_ + box] = scores[i * count_ + box];
    return ok_status();
  }
};

Status supports_suppression(const Problem& problem, std::string_view op) {
  if (problem.root_op() != op) return other_family();
  if (problem.stages.size() != 1) return unsupported("an epilogue");
  const ir::Dim& count = problem.type_of(problem.stages[0].inputs[0]).shape[1];
  if (count.is_constant() && count.value() > INT32_MAX) return unsupported("over 2^31 boxes");
  return ok_status();
}

double suppression_us(const Problem& problem, const kernel::DeviceInfo& device) {
  const auto dims = ir::to_dims(problem.type_of(problem.stages[0].inputs[1]).shape);
  return 2 + double(ir::element_count(std::span<const int64_t>(dims))) * 2e-3 / device.threads;
}

class NmsKernel : public kernel::AllocatingKernel {
 public:
  std::string name() const override { return "cpu.non_max_suppression"; }
  std::string device_kind() const override { return "cpu"; }
  Status supports(const Problem& problem, const kernel::DeviceInfo&) const override {
    return supports_suppression(problem, "NonMaxSuppression");
  }
  double predict_us(const Problem& problem, const kernel::Tactic&,
                    const kernel::DeviceInfo& device) const override {
    return suppression_us(problem, device);
  }
  Result<std::unique_ptr<kernel::Launchable>> bind(const kernel::BindArgs& args) const override {
    return std::unique_ptr<kernel::Launchable>(std::make_unique<NmsLaunchable>(*args.problem));
  }
};

class SuppressedScoresKernel : public kernel::KernelDef {
 public:
  std::string name() const override { return "cpu.suppressed_scores"; }
  std::string device_kind() const override { return "cpu"; }
  Status supports(const Problem& problem, const kernel::DeviceInfo&) const override {
    return supports_suppression(problem, "SuppressedScores");
  }
  double predict_us(const Problem& problem, const kernel::Tactic&,
                    const kernel::DeviceInfo& device) const override {
    return suppression_us(problem, device);
  }
  Result<std::unique_ptr<kernel::Launchable>> bind(const kernel::BindArgs& args) const override {
    return std::unique_ptr<kernel::Launchable>(
        std::make_unique<SuppressedScoresLaunchable>(*args.problem));
  }
};

}  // namespace

void register_non_max_suppression_kernel(kernel::KernelRegistry& registry) {
  registry.add(std::make_unique<NmsKernel>());
  registry.add(std::make_unique<SuppressedScoresKernel>());
}

}  // namespace planish::cpu
