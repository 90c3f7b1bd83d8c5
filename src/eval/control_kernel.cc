#include "eval/control_kernel.h"

#include "base/text.h"
#include "eval/interpreter.h"
#include "eval/reference_kernel.h"

namespace planish::eval {
namespace {

using ir::Tensor;
using kernel::Problem;

// What a body gave is what its graph says it gives: a program of a plan is not trusted.
Status check_body_outputs(const ir::Graph& body, const std::vector<Tensor>& outputs) {
  if (outputs.size() != body.outputs.size())
    return data_loss(cat("the body gave ", outputs.size(), " results, expected ",
                         body.outputs.size()));
  for (size_t i = 0; i < outputs.size(); ++i) {
    const ir::TensorType& wanted = body.outputs[i]->type;
    bool fits = outputs[i].dtype() == wanted.dtype && outputs[i].rank() == wanted.rank();
    for (int d = 0; fits && d < wanted.rank(); ++d)
      fits = wanted.shape[size_t(d)].constant().value_or(outputs[i].dim(d)) == outputs[i].dim(d);
    if (!fits)
      return data_loss(cat("result ", i, " of the body is ", ir::to_string(outputs[i].type()),
                           ", expected ", ir::to_string(wanted)));
  }
  return ok_status();
}

class ControlRun : public kernel::ControlLaunchable {
 public:
  ControlRun(const opdef::OpRegistry& registry, Problem problem)
      : registry_(registry), problem_(std::move(problem)) {}

  Status run_bodies(const kernel::RunArgs& args,
                    const kernel::BodyRunner& run_body) const override {
    PLANISH_ASSIGN_OR_RETURN(const std::vector<Tensor> results,
                             run_bodies_allocating(args, run_body));
    return copy_results(problem_, results, args.results);
  }

  Result<std::vector<Tensor>> run_bodies_allocating(
      const kernel::RunArgs& args, const kernel::BodyRunner& run_body) const override {
    const kernel::Stage& stage = problem_.stages[0];
    const std::vector<Tensor> operands = operand_views(problem_, args.operands);
    std::vector<const Tensor*> inputs;
    for (const int number : stage.inputs) {
      const bool present = number >= 0 && problem_.operands[size_t(number)].present;
      inputs.push_back(present ? &operands[size_t(number)] : nullptr);
    }
    Options options;
    options.run_body = [&](const ir::Graph& body, std::span<const Tensor> body_inputs) {
      return run_one(body, body_inputs, run_body);
    };
    PLANISH_ASSIGN_OR_RETURN(
        std::vector<Tensor> outputs,
        evaluate_op(registry_, *registry_.find(stage.op), stage.attrs, inputs,
                    int(stage.outputs.size()), options));
    std::vector<Tensor> results;
    for (const int number : problem_.results)
      results.push_back(outputs[size_t(number) - problem_.operands.size()]);
    return results;
  }

 private:
  Result<std::vector<Tensor>> run_one(const ir::Graph& body, std::span<const Tensor> inputs,
                                      const kernel::BodyRunner& run_body) const {
    for (const auto& [key, attribute] : problem_.stages[0].attrs) {
      const auto* graph = std::get_if<ir::GraphPtr>(&attribute);
      if (!graph || graph->get() != &body) continue;
      auto outputs = run_body(key, inputs);
      if (!outputs.ok()) return outputs.status().at(key);
      if (Status s = check_body_outputs(body, *outputs); !s.ok()) return s.at(key);
      return outputs;
    }
    return internal_error("the op ran a graph that is none of its bodies");
  }

  const opdef::OpRegistry& registry_;
  Problem problem_;
};

class Control : public kernel::ControlKernel {
 public:
  explicit Control(const opdef::OpRegistry& registry) : registry_(registry) {}
  std::string name() const override { return "control"; }
  std::string device_kind() const override { return "cpu"; }

  Status supports(const Problem& problem, const kernel::DeviceInfo&) const override {
    const kernel::Stage* stage = problem.stages.size() == 1 ? &problem.stages[0] : nullptr;
    const opdef::OpDef* op = stage && !stage->is_expr() ? registry_.find(stage->op) : nullptr;
    if (!op || !op->has_subgraphs || bodies(problem).empty())
      return unimplemented("no op that holds bodies");
    return ok_status();
  }
  // Of one pass through the control flow, without the bodies.
  double predict_us(const Problem&, const kernel::Tactic&,
                    const kernel::DeviceInfo&) const override {
    return 5;
  }
  std::vector<std::string> bodies(const Problem& problem) const override {
    std::vector<std::string> keys;
    if (problem.stages.size() != 1) return keys;
    for (const auto& [key, attribute] : problem.stages[0].attrs)
      if (std::holds_alternative<ir::GraphPtr>(attribute)) keys.push_back(key);
    return keys;
  }
  Result<std::unique_ptr<kernel::Launchable>> bind(const kernel::BindArgs& args) const override {
    PLANISH_RETURN_IF_ERROR(supports(*args.problem, *args.device));
    return std::unique_ptr<kernel::Launchable>(
        std::make_unique<ControlRun>(registry_, *args.problem));
  }

 private:
  const opdef::OpRegistry& registry_;
};

}  // namespace

std::unique_ptr<kernel::ControlKernel> make_control_kernel(const opdef::OpRegistry& registry) {
  return std::make_unique<Control>(registry);
}

}  // namespace planish::eval
