#include "eval/reference_kernel.h"

#include <cstring>

#include "base/text.h"
#include "eval/interpreter.h"

namespace planish::eval {
namespace {

using ir::Tensor;
using kernel::Problem;

class ReferenceLaunchable : public kernel::Launchable {
 public:
  ReferenceLaunchable(const opdef::OpRegistry& registry, Problem problem)
      : registry_(registry), problem_(std::move(problem)) {}

  Status run(const kernel::RunArgs& args) const override {
    PLANISH_ASSIGN_OR_RETURN(std::vector<Tensor> results, run_allocating(args));
    return copy_results(problem_, results, args.results);
  }

  Result<std::vector<Tensor>> run_allocating(const kernel::RunArgs& args) const override {
    const std::vector<Tensor> tensors = operand_views(problem_, args.operands);
    std::vector<const Tensor*> pointers(problem_.operands.size(), nullptr);
    for (size_t i = 0; i < problem_.operands.size(); ++i)
      if (problem_.operands[i].present) pointers[i] = &tensors[i];
    return evaluate_problem(registry_, problem_, pointers);
  }

 private:
  const opdef::OpRegistry& registry_;
  Problem problem_;
};

class ReferenceKernel : public kernel::KernelDef {
 public:
  explicit ReferenceKernel(const opdef::OpRegistry& registry) : registry_(registry) {}
  std::string name() const override { return "ref"; }
  std::string device_kind() const override { return "cpu"; }
  bool is_reference() const override { return true; }

  Status supports(const Problem& problem, const kernel::DeviceInfo&) const override {
    for (const kernel::Stage& stage : problem.stages)
      if (!stage.is_expr() && !registry_.find(stage.op))
        return unsupported(cat("op ", stage.op, " has no reference code"));
    return ok_status();
  }
  double predict_us(const Problem& problem, const kernel::Tactic&,
                    const kernel::DeviceInfo&) const override {
    double elements = 0;
    for (const kernel::Stage& stage : problem.stages)
      for (const ir::TensorType& type : stage.outputs)
        if (ir::is_constant(type.shape))
          elements += double(ir::element_count(std::span<const int64_t>(ir::to_dims(type.shape))));
    for (const kernel::Operand& operand : problem.operands)
      if (operand.present && ir::is_constant(operand.type.shape))
        elements +=
            double(ir::element_count(std::span<const int64_t>(ir::to_dims(operand.type.shape))));
    return 5 + elements * 0.05;  // about 50 ns an element
  }
  Result<std::unique_ptr<kernel::Launchable>> bind(const kernel::BindArgs& args) const override {
    return std::unique_ptr<kernel::Launchable>(
        std::make_unique<ReferenceLaunchable>(registry_, *args.problem));
  }

 private:
  const opdef::OpRegistry& registry_;
};

}  // namespace

std::unique_ptr<kernel::KernelDef> make_reference_kernel(const opdef::OpRegistry& registry) {
  return std::make_unique<ReferenceKernel>(registry);
}

std::vector<Tensor> operand_views(const Problem& problem,
                                  std::span<const kernel::BufferRef> operands) {
  std::vector<Tensor> tensors(problem.operands.size());
  for (size_t i = 0; i < problem.operands.size(); ++i) {
    const ir::TensorType& type = problem.operands[i].type;
    if (problem.operands[i].present)
      tensors[i] = Tensor::view(type.dtype, ir::to_dims(type.shape), operands[i].data, nullptr);
  }
  return tensors;
}

Status copy_results(const Problem& problem, std::span<const Tensor> results,
                    std::span<const kernel::BufferRef> to) {
  for (size_t i = 0; i < results.size(); ++i) {
    const ir::TensorType& type = problem.result_type(int(i));
    if (results[i].type() != ir::TensorType{type.dtype, type.shape})
      return data_loss(cat("reference result ", i, " is ", ir::to_string(results[i].type()),
                           ", planned ", ir::to_string(type)));
    std::memcpy(to[i].data, results[i].data(), size_t(results[i].bytes()));
  }
  return ok_status();
}

Result<std::vector<Tensor>> evaluate_problem(const opdef::OpRegistry& registry,
                                             const Problem& problem,
                                             std::span<const Tensor* const> operands, bool wide) {
  std::vector<Tensor> computed;  // stage outputs in order
  const auto value = [&](int number) -> const Tensor* {
    if (number < 0) return nullptr;
    if (number < int(operands.size())) return operands[size_t(number)];
    return &computed[size_t(number) - operands.size()];
  };
  for (const kernel::Stage& stage : problem.stages) {
    std::vector<const Tensor*> inputs;
    for (int number : stage.inputs) inputs.push_back(value(number));
    std::vector<Tensor> outputs;
    if (stage.is_expr()) {
      // The planned dims may hold symbols that data decided: broadcast what is here.
      const size_t rank = stage.outputs[0].shape.size();
      std::vector<int64_t> dims(rank, 1);
      for (size_t d = 0; d < rank; ++d)
        if (stage.outputs[0].shape[d].is_constant()) dims[d] = stage.outputs[0].shape[d].value();
      for (const Tensor* t : inputs) {
        const size_t skip = rank - size_t(t->rank());
        for (int d = 0; d < t->rank(); ++d)
          if (t->dim(d) != 1) dims[skip + size_t(d)] = t->dim(d);
      }
      outputs = evaluate_expr(*stage.expr, inputs, dims, wide);
    } else {
      const opdef::OpDef* op = registry.find(stage.op);
      if (!op) return unsupported(cat("op ", stage.op, " has no reference code"));
      Options options;
      options.wide = wide;
      PLANISH_ASSIGN_OR_RETURN(outputs, evaluate_op(registry, *op, stage.attrs, inputs,
                                                    int(stage.outputs.size()), options));
    }
    for (Tensor& t : outputs) computed.push_back(std::move(t));
  }
  std::vector<Tensor> results;
  for (int number : problem.results) results.push_back(*value(number));
  return results;
}

}  // namespace planish::eval
