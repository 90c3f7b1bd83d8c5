// Tensors made of one value or of steps: ConstantOfShape and Range.
#include <cstring>

#include "backend/cpu/defs/refusal.h"
#include "backend/cpu/defs/register_kernels.h"
#include "base/text.h"
#include "base/thread_team.h"

namespace planish::cpu {
namespace {

using kernel::Problem;

int64_t count_of(const Problem& problem) {
  return ir::element_count(std::span<const int64_t>(ir::to_dims(problem.result_type(0).shape)));
}

class FillLaunchable : public kernel::Launchable {
 public:
  FillLaunchable(int64_t count, ir::Tensor element) : count_(count), element_(std::move(element)) {}
  Status run(const kernel::RunArgs& args) const override {
    auto* to = static_cast<std::byte*>(args.results[0].data);
    const auto* from = static_cast<const std::byte*>(element_.data());
    const int64_t size = element_.bytes();
    const auto body = [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) std::memcpy(to + i * size, from, size_t(size));
    };
    if (count_ * size < 65536) body(0, count_, 0);
    else args.team->parallel_for(count_, body);
    return ok_status();
  }

 private:
  int64_t count_;
  ir::Tensor element_;  // one
};

class FillKernel : public kernel::KernelDef {
 public:
  std::string name() const override { return "cpu.fill"; }
  std::string device_kind() const override { return "cpu"; }
  Status supports(const Problem& problem, const kernel::DeviceInfo&) const override {
    if (problem.root_op() != "ConstantOfShape") return other_family();
    if (problem.stages.size() != 1) return unsupported("an epilogue");
    if (ir::bits_of(problem.result_type(0).dtype) < 8)
      return unsupported("elements of less than a byte");
    return ok_status();
  }
  double predict_us(const Problem& problem, const kernel::Tactic&,
                    const kernel::DeviceInfo& device) const override {
    return 0.5 + double(ir::bytes_of(problem.result_type(0).dtype, count_of(problem))) /
                     (device.memory_gbps * 1e3);
  }
  Result<std::unique_ptr<kernel::Launchable>> bind(const kernel::BindArgs& args) const override {
    const ir::TensorType& type = args.problem->result_type(0);
    ir::Tensor element(type.dtype, {1});  // zero where the attribute is absent
    const auto& attrs = args.problem->stages[0].attrs;
    if (auto value = attrs.find("value"); value != attrs.end())
      if (const auto* given = std::get_if<ir::Tensor>(&value->second))
        element = given->converted(type.dtype);
    return std::unique_ptr<kernel::Launchable>(
        std::make_unique<FillLaunchable>(count_of(*args.problem), std::move(element)));
  }
};

// start + i delta, as the type's arithmetic has it; f32 in double, as the definition does.
class RangeLaunchable : public kernel::Launchable {
 public:
  RangeLaunchable(const Problem& problem)
      : count_(count_of(problem)), dtype_(problem.result_type(0).dtype),
        start_(problem.stages[0].inputs[0]), delta_(problem.stages[0].inputs[2]) {}
  Status run(const kernel::RunArgs& args) const override {
    if (dtype_ == ir::DataType::kI64) fill<int64_t, uint64_t>(args);
    else if (dtype_ == ir::DataType::kI32) fill<int32_t, uint32_t>(args);
    else fill<float, double>(args);
    return ok_status();
  }

 private:
  template <class T, class Wide>
  void fill(const kernel::RunArgs& args) const {
    const Wide start = Wide(*static_cast<const T*>(args.operands[size_t(start_)].data));
    const Wide delta = Wide(*static_cast<const T*>(args.operands[size_t(delta_)].data));
    auto* to = static_cast<T*>(args.results[0].data);
    for (int64_t i = 0; i < count_; ++i) to[i] = T(start + Wide(i) * delta);
  }
  int64_t count_;
  ir::DataType dtype_;
  int start_, delta_;
};

class RangeKernel : public kernel::KernelDef {
 public:
  std::string name() const override { return "cpu.range"; }
  std::string device_kind() const override { return "cpu"; }
  Status supports(const Problem& problem, const kernel::DeviceInfo&) const override {
    if (problem.root_op() != "Range") return other_family();
    if (problem.stages.size() != 1) return unsupported("an epilogue");
    const ir::DataType type = problem.result_type(0).dtype;
    if (type != ir::DataType::kI64 && type != ir::DataType::kI32 && type != ir::DataType::kF32)
      return unsupported(cat("elements are ", ir::name_of(type), ", expected i64, i32 or f32"));
    return ok_status();
  }
  double predict_us(const Problem& problem, const kernel::Tactic&,
                    const kernel::DeviceInfo&) const override {
    return 0.5 + double(count_of(problem)) * 1e-3;
  }
  Result<std::unique_ptr<kernel::Launchable>> bind(const kernel::BindArgs& args) const override {
    return std::unique_ptr<kernel::Launchable>(std::make_unique<RangeLaunchable>(*args.problem));
  }
};

}  // namespace

void register_fill_kernels(kernel::KernelRegistry& registry) {
  registry.add(std::make_unique<FillKernel>());
  registry.add(std::make_unique<RangeKernel>());
}

}  // namespace planish::cpu
