// "Content": writes integer tensors whose elements are dim expressions, evaluated when the instance
// was bound.
#include "backend/cpu/defs/refusal.h"
#include "backend/cpu/defs/register_kernels.h"
#include "base/text.h"

namespace planish::cpu {
namespace {

class ContentLaunchable : public kernel::Launchable {
 public:
  explicit ContentLaunchable(std::vector<ir::Tensor> tensors) : tensors_(std::move(tensors)) {}
  Status run(const kernel::RunArgs& args) const override {
    for (size_t i = 0; i < tensors_.size(); ++i)
      __builtin_memcpy(args.results[i].data, tensors_[i].data(), size_t(tensors_[i].bytes()));
    return ok_status();
  }

 private:
  std::vector<ir::Tensor> tensors_;
};

class ContentKernel : public kernel::KernelDef {
 public:
  std::string name() const override { return "cpu.content"; }
  std::string device_kind() const override { return "cpu"; }
  Status supports(const kernel::Problem& problem, const kernel::DeviceInfo&) const override {
    for (const kernel::Stage& stage : problem.stages)
      if (stage.op != kernel::kContentStage) return other_family();
    return ok_status();
  }
  double predict_us(const kernel::Problem&, const kernel::Tactic&,
                    const kernel::DeviceInfo&) const override {
    return 0.1;
  }
  Result<std::unique_ptr<kernel::Launchable>> bind(const kernel::BindArgs& args) const override {
    std::vector<ir::Tensor> tensors;
    for (const kernel::Stage& stage : args.problem->stages) {
      auto values = stage.attrs.find(kernel::kDimValues);
      if (values == stage.attrs.end()) return data_loss("content without values");
      const auto* list = std::get_if<std::vector<int64_t>>(&values->second);
      if (!list || stage.outputs.size() != 1 || ir::is_float(stage.outputs[0].dtype))
        return data_loss("content that is no list of integers for one integer tensor");
      const std::vector<int64_t>& elements = *list;
      const std::vector<int64_t> dims = ir::to_dims(stage.outputs[0].shape);
      if (ir::element_count(dims) != int64_t(elements.size()))
        return data_loss(cat("content of ", elements.size(), " elements for shape ",
                             bracketed(dims)));
      tensors.push_back(ir::Tensor::from_i64(stage.outputs[0].dtype, dims, elements));
    }
    return std::unique_ptr<kernel::Launchable>(
        std::make_unique<ContentLaunchable>(std::move(tensors)));
  }
};

}  // namespace

void register_content_kernel(kernel::KernelRegistry& registry) {
  registry.add(std::make_unique<ContentKernel>());
}

}  // namespace planish::cpu
