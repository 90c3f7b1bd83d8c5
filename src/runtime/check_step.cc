#include "runtime/check_step.h"

#include <algorithm>

#include "base/text.h"
#include "kernel/allocating_kernel.h"
#include "kernel/control_kernel.h"
#include "kernel/supported.h"

namespace planish::runtime {
namespace {

// Layouts that stand for nothing (absent operands, past the end of the choice) are row-major.
bool gives_layouts(const kernel::LayoutChoice& choice, const kernel::Problem& problem) {
  const auto chosen = [](const std::vector<ir::Layout>& layouts, size_t i) {
    return i < layouts.size() ? layouts[i] : ir::Layout{};
  };
  for (size_t i = 0; i < problem.operands.size(); ++i)
    if (problem.operands[i].present &&
        !(problem.operands[i].type.layout == chosen(choice.operands, i)))
      return false;
  for (size_t i = 0; i < problem.results.size(); ++i)
    if (!(problem.result_type(int(i)).layout == chosen(choice.results, i))) return false;
  return true;
}

std::string layouts_of(const kernel::Problem& problem) {
  std::vector<std::string> names;
  for (const kernel::Operand& operand : problem.operands)
    names.push_back(operand.present ? ir::to_string(operand.type.layout) : "-");
  names.push_back("->");
  for (size_t i = 0; i < problem.results.size(); ++i)
    names.push_back(ir::to_string(problem.result_type(int(i)).layout));
  return join(names, " ");
}

}  // namespace

Status check_step(const plan::Step& step, const kernel::KernelDef& kernel,
                  const kernel::Problem& problem, const kernel::DeviceInfo& device,
                  const ProblemCheck& check) {
  PLANISH_RETURN_IF_ERROR(plan::verify(problem));
  if (check) PLANISH_RETURN_IF_ERROR(check(problem));
  // The others ask for concrete dims.
  const bool allocates =
      kernel.is_reference() || dynamic_cast<const ::planish::kernel::AllocatingKernel*>(&kernel) ||
      dynamic_cast<const ::planish::kernel::ControlKernel*>(&kernel);
  if (step.binds_symbols && !allocates)
    return data_loss(cat("the step's result dims are left to kernel ", kernel.name(),
                         ", which cannot decide them"));
  PLANISH_RETURN_IF_ERROR(kernel::supported(kernel, problem, device));
  const std::vector<kernel::LayoutChoice> choices = kernel.layouts(problem, device);
  if (std::none_of(choices.begin(), choices.end(),
                   [&](const auto& choice) { return gives_layouts(choice, problem); }))
    return data_loss(cat("has layouts that kernel ", kernel.name(), " does not take: ",
                         layouts_of(problem)));
  return ok_status();
}

}  // namespace planish::runtime
