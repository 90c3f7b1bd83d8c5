// Bodies of If, Loop and Scan: an engine each, a context each in every context that runs them, on the
// thread team of the step that holds them.
#include "base/text.h"
#include "kernel/control_kernel.h"
#include "runtime/context.h"

namespace planish::runtime {

Status Engine::prepare_bodies(const kernel::KernelRegistry& registry) {
  const plan::Program& p = plan_.program;
  bodies_.resize(p.steps.size());
  for (size_t s = 0; s < p.steps.size(); ++s) {
    const plan::Step& step = p.steps[s];
    const auto* control = dynamic_cast<const kernel::ControlKernel*>(kernels_[s]);
    const auto keys = control ? control->bodies(step.problem) : std::vector<std::string>();
    bool complete = keys.size() == step.bodies.size();
    for (size_t i = 0; complete && i < keys.size(); ++i)
      complete = step.bodies[i].attribute == keys[i];
    if (!complete)
      return data_loss(cat("step ", s, " has ", step.bodies.size(), " bodies, kernel ",
                           kernels_[s]->name(), " runs ", keys.size(), ": ", join(keys)));
    for (const plan::Body& body : step.bodies) {
      plan::Plan plan;
      plan.program = *body.program;
      EngineOptions options = options_;
      const bool on_host = options_.host && runs_on_host(int(s));
      options.host = nullptr;
      auto engine = create(std::move(plan), on_host ? options_.host : device_, registry, options);
      if (!engine.ok()) return engine.status().at(cat("step ", s, ", ", body.attribute));
      bodies_[s].push_back(std::move(*engine));
    }
  }
  return ok_status();
}

Result<std::vector<ir::Tensor>> ExecutionContext::run_body(int step, std::string_view key,
                                                           std::span<const ir::Tensor> inputs,
                                                           const RunOptions& options) {
  PLANISH_RETURN_IF_ERROR(options.interrupted());  // a body may have no step that would ask
  const auto& bodies = engine_->program().steps[size_t(step)].bodies;
  size_t number = 0;
  while (number < bodies.size() && bodies[number].attribute != key) ++number;
  if (number == bodies.size()) return data_loss(cat("the step has no body '", key, "'"));
  std::unique_ptr<ExecutionContext>& context = bodies_[{step, number}];
  if (!context) {
    PLANISH_ASSIGN_OR_RETURN(context, create_on(engine_->bodies(step)[number], team_));
  }
  const plan::Program& program = context->engine().program();
  if (inputs.size() != program.inputs.size())
    return data_loss(cat("the body takes ", program.inputs.size(), " inputs, got ",
                         inputs.size()));
  for (size_t i = 0; i < inputs.size(); ++i) {
    const plan::ProgramValue& input = program.values[size_t(program.inputs[i])];
    if (input.type.dtype != inputs[i].dtype())
      return data_loss(cat("input '", input.name, "' of the body is ",
                           ir::name_of(input.type.dtype), ", got ",
                           ir::name_of(inputs[i].dtype())));
    PLANISH_RETURN_IF_ERROR(context->set_input(int(i), inputs[i].data(), inputs[i].dims()));
  }
  RunOptions inner;
  inner.cancel = options.cancel;
  inner.deadline = options.deadline;
  PLANISH_RETURN_IF_ERROR(context->run(inner));
  std::vector<ir::Tensor> results;
  for (size_t i = 0; i < program.outputs.size(); ++i) {
    PLANISH_ASSIGN_OR_RETURN(const ir::Tensor view, context->output(int(i)));
    results.push_back(view.clone());  // the next iteration writes there again
  }
  return results;
}

}  // namespace planish::runtime
