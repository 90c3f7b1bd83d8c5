// A plugin's kernels as KernelDefs.
#include <cstring>

#include "api/runtime/plugin_host.h"
#include "api/runtime/plugin_view.h"
#include "base/text.h"
#include "base/thread_team.h"

namespace planish::api {
namespace {

using kernel::Problem;

// The C form of a concrete problem. `data`: bytes of constant operands, where known.
class PluginProblem {
 public:
  PluginProblem(const Problem& problem, const kernel::RootAndEpilogue& parts,
                std::span<const ir::Tensor> constants)
      : inputs_(operands(problem, *parts.root, constants)),
        node_(parts.root->op, parts.root->attrs, inputs_, int(parts.root->outputs.size())) {
    for (const ir::TensorType& type : parts.root->outputs) outputs_.add(&type, nullptr);
    if (parts.epilogue) epilogue_ = kernel::to_string(*parts.epilogue);
    problem_ = {sizeof(problem_), node_.get(), outputs_.pointers(),
                parts.epilogue ? epilogue_.c_str() : nullptr};
  }
  PluginProblem(const PluginProblem&) = delete;
  PluginProblem& operator=(const PluginProblem&) = delete;
  const planish_plugin_problem* get() const { return &problem_; }

 private:
  static PluginTensors operands(const Problem& problem, const kernel::Stage& root,
                                std::span<const ir::Tensor> constants) {
    PluginTensors tensors;
    for (const int input : root.inputs) {
      if (input < 0 || input >= int(problem.operands.size())) {
        tensors.add(nullptr, nullptr);
        continue;
      }
      const kernel::Operand& operand = problem.operands[size_t(input)];
      const void* data = nullptr;
      if (operand.constant && size_t(input) < constants.size())
        data = constants[size_t(input)].data();
      else if (operand.value)
        data = operand.value->data();
      tensors.add(operand.present ? &operand.type : nullptr, data);
    }
    return tensors;
  }

  PluginTensors inputs_, outputs_;
  PluginNode node_;
  std::string epilogue_;
  planish_plugin_problem problem_{};
};

void parallel_for(void* host, int64_t count, void (*task)(void* context, int64_t i),
                  void* context) {
  const auto run = [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) task(context, i);
  };
  if (auto* team = static_cast<ThreadTeam*>(host)) {
    team->parallel_for(count, run);
  } else {
    run(0, count, 0);
  }
}

class PluginLaunchable : public kernel::Launchable {
 public:
  PluginLaunchable(const planish_plugin_kernel* kernel, Problem problem,
                   std::vector<std::byte> artifact, std::vector<ir::Tensor> constants)
      : kernel_(kernel),
        problem_(std::move(problem)),
        artifact_(std::move(artifact)),
        constants_(std::move(constants)),
        parts_(*kernel::root_and_epilogue(problem_)),
        view_(problem_, parts_, constants_) {
    if (PLANISH_PLUGIN_HAS(kernel_, workspace_bytes) && kernel_->workspace_bytes)
      workspace_bytes_ = kernel_->workspace_bytes(kernel_->self, view_.get());
  }
  int64_t workspace_bytes() const override { return workspace_bytes_; }

  Status run(const kernel::RunArgs& args) const override {
    std::vector<const void*> inputs;
    for (const int input : parts_.root->inputs) {
      const void* data = input < 0 ? nullptr : args.operands[size_t(input)].data;
      if (!data && input >= 0 && problem_.operands[size_t(input)].constant)
        data = constants_[size_t(input)].data();
      inputs.push_back(data);
    }
    std::vector<void*> outputs;
    for (const kernel::BufferRef& result : args.results) outputs.push_back(result.data);
    planish_plugin_run run{};
    run.struct_size = sizeof(run);
    run.problem = view_.get();
    run.inputs = inputs.data();
    run.outputs = outputs.data();
    run.workspace = args.workspace;
    run.artifact = artifact_.data();
    run.artifact_bytes = artifact_.size();
    run.threads = args.team ? args.team->size() : 1;
    run.host = args.team;
    run.parallel_for = parallel_for;
    PluginMessage message;
    return message.status(kernel_->run(kernel_->self, &run, message.get()),
                          cat("plugin kernel '", kernel_->name, "'"));
  }

 private:
  const planish_plugin_kernel* kernel_;
  Problem problem_;
  std::vector<std::byte> artifact_;
  std::vector<ir::Tensor> constants_;
  kernel::RootAndEpilogue parts_;  // points into problem_
  PluginProblem view_;
  int64_t workspace_bytes_ = 0;
};

class PluginKernel : public kernel::KernelDef {
 public:
  explicit PluginKernel(const planish_plugin_kernel* kernel) : kernel_(kernel) {}
  std::string name() const override { return kernel_->name; }
  std::string device_kind() const override { return kernel_->device; }
  int version() const override { return kernel_->version; }

  Status supports(const Problem& problem, const kernel::DeviceInfo&) const override {
    if (problem.root_op() != kernel_->op)
      return unimplemented(cat("it computes ", kernel_->op, ", got ", problem.root_op()));
    const auto parts = kernel::root_and_epilogue(problem);
    if (!parts) return unsupported("the region has more than one root or several expressions");
    if (!parts->epilogue && problem.results.size() != parts->root->outputs.size())
      return unsupported("not all of the operator's outputs are asked for");
    const PluginProblem view(problem, *parts, {});
    PluginMessage message;
    return message.status(kernel_->supports(kernel_->self, view.get(), message.get()),
                          cat("plugin kernel '", kernel_->name, "'"));
  }

  double predict_us(const Problem& problem, const kernel::Tactic&,
                    const kernel::DeviceInfo&) const override {
    const auto parts = kernel::root_and_epilogue(problem);
    PLANISH_CHECK(parts, "predict_us of an unsupported problem");
    const PluginProblem view(problem, *parts, {});
    return kernel_->predict_us(kernel_->self, view.get());
  }

  Result<kernel::Blob> compile(const Problem& problem, const kernel::Tactic&,
                               const kernel::DeviceInfo&) const override {
    kernel::Blob blob;
    if (!kernel_->compile) return blob;
    const auto parts = kernel::root_and_epilogue(problem);
    PLANISH_CHECK(parts, "compile of an unsupported problem");
    const PluginProblem view(problem, *parts, {});
    const planish_plugin_sink sink{sizeof(sink), &blob,
                                   [](void* host, const void* data, size_t bytes) {
                                     static_cast<kernel::Blob*>(host)->bytes.append(
                                         {static_cast<const std::byte*>(data), bytes});
                                   }};
    PluginMessage message;
    PLANISH_RETURN_IF_ERROR(
        message.status(kernel_->compile(kernel_->self, view.get(), &sink, message.get()),
                       cat("plugin kernel '", kernel_->name, "'")));
    return blob;
  }

  Result<std::unique_ptr<kernel::Launchable>> bind(const kernel::BindArgs& args) const override {
    auto launchable = std::make_unique<PluginLaunchable>(
        kernel_, *args.problem, std::vector<std::byte>(args.artifact.begin(), args.artifact.end()),
        std::vector<ir::Tensor>(args.constants.begin(), args.constants.end()));
    if (launchable->workspace_bytes() < 0)
      return invalid_argument(cat("plugin kernel '", kernel_->name, "': workspace of ",
                                  launchable->workspace_bytes(), " bytes"));
    return std::unique_ptr<kernel::Launchable>(std::move(launchable));
  }

 private:
  const planish_plugin_kernel* kernel_;
};

}  // namespace

Status register_plugin_kernels(const LoadedPlugin& plugin, kernel::KernelRegistry& registry) {
  for (int i = 0; i < plugin.description->kernel_count; ++i) {
    const planish_plugin_kernel* kernel = plugin.description->kernels[i];
    if (registry.find(kernel->name)) {
      return invalid_argument(
          cat("plugin ", plugin.path, ": kernel '", kernel->name, "' is there already"));
    }
    registry.add(std::make_unique<PluginKernel>(kernel));
  }
  return ok_status();
}

}  // namespace planish::api
