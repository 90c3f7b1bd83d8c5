// Pointwise regions by the block interpreter, row-major or with blocked channels.
#include <algorithm>

#include "backend/cpu/defs/epilogue.h"
#include "backend/cpu/defs/refusal.h"
#include "backend/cpu/defs/register_kernels.h"
#include "backend/cpu/kernels/conv_problem.h"
#include "backend/cpu/kernels/pointwise/pointwise.h"
#include "base/text.h"
#include "base/thread_team.h"
#include "kernel/cost.h"

namespace planish::cpu {
namespace {

using ir::Layout;
using kernel::BufferRef;
using kernel::DeviceInfo;
using kernel::LayoutChoice;
using kernel::Problem;

std::vector<int64_t> dims_of(const Problem& problem, int value) {
  return ir::to_dims(problem.type_of(value).shape);
}

// Operand dims padded with leading ones to the result's rank.
std::vector<int64_t> aligned_dims(const Problem& problem, int value, size_t rank) {
  std::vector<int64_t> dims = dims_of(problem, value);
  dims.insert(dims.begin(), rank - dims.size(), 1);
  return dims;
}

class PointwiseLaunchable : public kernel::Launchable {
 public:
  PointwiseLaunchable(const Problem& problem, bool blocked, Isa isa)
      : stage_inputs_(problem.stages[0].inputs), dims_(dims_of(problem, problem.results[0])) {
    const kernel::Stage& stage = problem.stages[0];
    for (int value : stage.inputs) {
      arg_types_.push_back(problem.type_of(value).dtype);
      const auto dims = aligned_dims(problem, value, dims_.size());
      arg_has_outer_.push_back(!dims_.empty() && dims[0] == dims_[0] && dims_[0] != 1);
    }
    for (const ir::TensorType& type : stage.outputs) output_types_.push_back(type.dtype);
    const int width = vector_width(isa);
    whole_ = std::make_unique<PointwiseProgram>(*stage.expr, arg_types_, output_types_,
                                                pointwise_shape(problem, stage.inputs, dims_, blocked, width), isa);
    if (!dims_.empty()) {
      PointwiseShape slice = pointwise_shape(problem, stage.inputs, dims_, blocked, width);
      slice.sizes[0] = 1;
      for (auto& steps : slice.arg_steps) steps[0] = 0;
      slice_ = std::make_unique<PointwiseProgram>(*stage.expr, arg_types_, output_types_, slice, isa);
    }
    if (blocked && dims_[1] % width) {
      tail_lanes_ = int(dims_[1] % width);
      width_ = width;
    }
  }

  Status run(const kernel::RunArgs& args) const override {
    const void* inputs[64];
    void* outputs[64];
    bool strided = false;
    for (size_t i = 0; i < stage_inputs_.size(); ++i) {
      const BufferRef& ref = args.operands[size_t(stage_inputs_[i])];
      inputs[i] = ref.data;
      strided |= ref.outer_stride_bytes != 0;
    }
    for (size_t i = 0; i < output_types_.size(); ++i) {
      outputs[i] = args.results[i].data;
      strided |= args.results[i].outer_stride_bytes != 0;
    }
    const std::span<const void* const> in(inputs, stage_inputs_.size());
    const std::span<void* const> out(outputs, output_types_.size());
    if (!strided) {
      whole_->run(in, out, *args.team);
      for (size_t i = 0; i < output_types_.size(); ++i) clear_tail(outputs[i], dims_.empty() ? 1 : dims_[0]);
      return ok_status();
    }
    for (int64_t n = 0; n < dims_[0]; ++n) {
      for (size_t i = 0; i < stage_inputs_.size(); ++i) {
        const BufferRef& ref = args.operands[size_t(stage_inputs_[i])];
        int64_t step = 0;
        if (arg_has_outer_[i])
          step = ref.outer_stride_bytes ? ref.outer_stride_bytes : dense_step(int(i));
        inputs[i] = static_cast<const std::byte*>(ref.data) + n * step;
      }
      for (size_t i = 0; i < output_types_.size(); ++i) {
        const BufferRef& ref = args.results[i];
        const int64_t step = ref.outer_stride_bytes
                                 ? ref.outer_stride_bytes
                                 : slice_->count() * ir::bits_of(output_types_[i]) / 8;
        outputs[i] = static_cast<std::byte*>(ref.data) + n * step;
      }
      slice_->run(in, out, *args.team);
      for (size_t i = 0; i < output_types_.size(); ++i) clear_tail(outputs[i], 1);
    }
    return ok_status();
  }
  void set_dense_steps(std::vector<int64_t> steps) { dense_steps_ = std::move(steps); }

 private:
  int64_t dense_step(int arg) const { return dense_steps_[size_t(arg)]; }

  // The padding lanes of the last channel block hold zeros whatever the expression makes of them.
  void clear_tail(void* data, int64_t images) const {
    if (!tail_lanes_) return;
    int64_t pixels = 1;
    for (size_t d = 2; d < dims_.size(); ++d) pixels *= dims_[d];
    const int64_t blocks = ceil_div(dims_[1], width_);
    auto* p = static_cast<float*>(data);
    for (int64_t n = 0; n < images; ++n) {
      float* last = p + (n * blocks + blocks - 1) * pixels * width_;
      for (int64_t i = 0; i < pixels; ++i)
        std::fill(last + i * width_ + tail_lanes_, last + (i + 1) * width_, 0.0f);
    }
  }

  std::vector<int> stage_inputs_;
  std::vector<int64_t> dims_;
  std::vector<ir::DataType> arg_types_, output_types_;
  std::vector<bool> arg_has_outer_;
  std::vector<int64_t> dense_steps_;
  std::unique_ptr<PointwiseProgram> whole_, slice_;
  int tail_lanes_ = 0, width_ = 1;
};

class PointwiseKernel : public kernel::KernelDef {
 public:
  std::string name() const override { return "cpu.pointwise"; }
  std::string device_kind() const override { return "cpu"; }

  Status supports(const Problem& problem, const DeviceInfo&) const override {
    if (!problem.is_pointwise() || problem.stages.empty()) return other_family();
    if (problem.stages.size() != 1) return unsupported("more than one expression");
    const kernel::Stage& stage = problem.stages[0];
    std::vector<ir::DataType> args, outputs;
    const std::vector<int64_t> out = ir::to_dims(stage.outputs[0].shape);
    if (out.size() >= kMaxPointwiseAxes) return unsupported(cat("rank ", out.size()));
    for (int value : stage.inputs) {
      args.push_back(problem.type_of(value).dtype);
      if (problem.type_of(value).rank() > int(out.size()))
        return unsupported("an operand of more dims than the result");
    }
    for (const ir::TensorType& type : stage.outputs) {
      outputs.push_back(type.dtype);
      if (ir::to_dims(type.shape) != out) return unsupported("results of different shapes");
    }
    if (args.size() > 60 || outputs.size() > 60) return unsupported("more than 60 operands");
    const std::string_view why = pointwise_refusal(*stage.expr, args, outputs);
    return why.empty() ? ok_status() : unsupported(std::string(why));
  }

  std::vector<LayoutChoice> layouts(const Problem& problem, const DeviceInfo& device) const override {
    std::vector<LayoutChoice> out = KernelDef::layouts(problem, device);
    const int width = vector_width(best_isa());
    const kernel::Stage& stage = problem.stages[0];
    const std::vector<int64_t> dims = ir::to_dims(stage.outputs[0].shape);
    if (dims.size() < 3 || dims.size() > 5) return out;
    for (const ir::TensorType& type : stage.outputs)
      if (type.dtype != ir::DataType::kF32) return out;
    auto operands = blocked_operands(problem, stage.inputs, dims, width);
    if (!operands) return out;
    LayoutChoice blocked;
    blocked.operands = std::move(*operands);
    blocked.results.assign(problem.results.size(), Layout::blocked(1, width));
    out.push_back(std::move(blocked));
    return out;
  }

  double predict_us(const Problem& problem, const kernel::Tactic&,
                    const DeviceInfo& device) const override {
    const double memory = double(kernel::bytes_moved(problem)) / (device.memory_gbps * 1e3);
    const double compute = kernel::flop_count(problem) / (device.peak_gflops * 0.02 * 1e3);
    return 1 + std::max(memory, compute);
  }

  bool takes_strided(const Problem& problem, bool result, int index) const override {
    const std::vector<int64_t> out = dims_of(problem, problem.results[0]);
    if (out.empty()) return false;
    if (result) return true;
    const ir::TensorType& type = problem.operands[size_t(index)].type;
    return type.rank() == int(out.size()) && ir::to_dims(type.shape)[0] == out[0];
  }

  bool in_place(const Problem& problem, int result, int operand) const override {
    const ir::TensorType& to = problem.result_type(result);
    const ir::TensorType& from = problem.operands[size_t(operand)].type;
    return problem.results.size() == 1 && to.dtype == from.dtype && to.layout == from.layout &&
           to.shape == from.shape;
  }

  Result<std::unique_ptr<kernel::Launchable>> bind(const kernel::BindArgs& args) const override {
    const Problem& problem = *args.problem;
    const bool blocked = problem.result_type(0).layout.block_dim == 1;
    auto launchable = std::make_unique<PointwiseLaunchable>(problem, blocked, best_isa());
    std::vector<int64_t> steps;
    for (int value : problem.stages[0].inputs) {
      const ir::TensorType& type = problem.type_of(value);
      const std::vector<int64_t> dims = ir::to_dims(type.shape);
      const int64_t count = ir::physical_element_count(dims, type.layout);
      steps.push_back(dims.empty() || !dims[0] ? 0
                                               : ir::bytes_of(type.dtype, count / dims[0]));
    }
    launchable->set_dense_steps(std::move(steps));
    return std::unique_ptr<kernel::Launchable>(std::move(launchable));
  }
};

}  // namespace

void register_pointwise_kernel(kernel::KernelRegistry& registry) {
  registry.add(std::make_unique<PointwiseKernel>());
}

}  // namespace planish::cpu
