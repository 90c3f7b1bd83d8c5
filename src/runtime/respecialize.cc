#include "runtime/respecialize.h"

#include <algorithm>
#include <map>
#include <optional>

#include "base/text.h"
#include "kernel/library_kernel.h"
#include "kernel/supported.h"

namespace planish::runtime {
namespace {

using kernel::KernelDef;
using kernel::LayoutChoice;
using kernel::Problem;
using plan::ProgramValue;
using plan::Step;

ir::Layout chosen(const std::vector<ir::Layout>& layouts, size_t i) {
  return i < layouts.size() ? layouts[i] : ir::Layout{};  // what is not named is row-major
}

class Respecializer {
 public:
  Respecializer(plan::Program& program, const kernel::KernelRegistry& registry,
                const kernel::DeviceInfo& device, const ProblemCheck& check,
                const std::vector<std::vector<int64_t>>& input_dims)
      : p_(program), registry_(registry), device_(device), check_(check) {
    for (size_t i = 0; i < p_.inputs.size() && i < input_dims.size(); ++i) {
      const ir::Shape& shape = p_.values[size_t(p_.inputs[i])].type.shape;
      for (size_t d = 0; d < shape.size() && d < input_dims[i].size(); ++d)
        if (const std::string symbol = shape[d].symbol_name(); !symbol.empty())
          binding_.emplace(symbol, input_dims[i][d]);
    }
  }

  Result<std::string> run() {
    std::vector<Step> steps = std::move(p_.steps);
    p_.steps.clear();
    int changed = 0;
    bool split_any = false;
    std::string first_why;
    for (size_t i = 0; i < steps.size(); ++i) {
      Step& step = steps[i];
      PLANISH_ASSIGN_OR_RETURN(const std::string why, reason(step));
      if (why.empty()) {
        p_.steps.push_back(std::move(step));
        continue;
      }
      if (++changed == 1) first_why = why;
      const size_t before = p_.steps.size();
      if (!replace(step) && !split(step))
        return Status(Code::kIncompatible,
                      cat("step ", i, " (", step.kernel, ") from '", join(step.sources), "': ", why,
                          "; the plan was made for ", p_.isa, ", the device is ", device_.isa,
                          ", and no kernel here takes ", kernel::describe(step.problem)));
      split_any |= p_.steps.size() != before + 1;
    }
    if (!changed) return std::string();
    // Waits name steps by their numbers, and were timed with other kernels.
    for (Step& step : p_.steps) step.launch = {};
    return cat("the plan was made for ", p_.isa, ", the device is ", device_.isa, ": ", changed, " of ",
               steps.size(), " steps have other kernels", split_any ? ", regions in parts" : "", " (",
               first_why, ")");
  }

 private:
  ir::Dim::Lookup lookup() const {
    return [this](std::string_view name) -> std::optional<int64_t> {
      if (const auto found = binding_.find(name); found != binding_.end()) return found->second;
      const auto info = p_.symbols.find(name);
      return info == p_.symbols.end() ? 1 : std::max<int64_t>(1, info->second.low);
    };
  }

  // Why the step's kernel cannot run it here; "" when it can, or is another's affair: the host's, a
  // library's, a plugin's.
  Result<std::string> reason(const Step& step) const {
    const KernelDef* kernel = registry_.find(step.kernel);
    if (step.binds_symbols || !step.bodies.empty() || dynamic_cast<const kernel::LibraryKernel*>(kernel))
      return std::string();
    if (!kernel) return cat("there is no kernel '", step.kernel, "'");
    if (kernel->device_kind() != p_.device_kind) return std::string();
    if (kernel->version() != step.kernel_version)
      return cat(step.kernel, " is of version ", kernel->version(), ", the plan's of ", step.kernel_version);
    if (p_.isa == device_.isa) return std::string();
    PLANISH_ASSIGN_OR_RETURN(const Problem problem, kernel::concrete(step.problem, lookup()));
    PLANISH_RETURN_IF_ERROR(plan::verify(problem));
    if (check_) PLANISH_RETURN_IF_ERROR(check_(problem));
    if (kernel::is_empty(problem)) return std::string();
    const Status status = kernel::supported(*kernel, problem, device_);
    return status.ok() ? std::string() : std::string(status.message());
  }

  // The kernel for `problem` that promises most, with layouts that `fits` allows.
  struct Found {
    const KernelDef* kernel = nullptr;
    LayoutChoice layouts;
    kernel::Tactic tactic;
    double us = 0;
  };
  template <class Fits>
  Found best(const Problem& problem, const Fits& fits) const {
    Found found;
    for (const auto& one : registry_.all()) {
      if (one->device_kind() != p_.device_kind || one->is_reference() ||
          dynamic_cast<const kernel::LibraryKernel*>(one.get()) ||
          !kernel::supported(*one, problem, device_).ok())
        continue;
      for (const LayoutChoice& layouts : one->layouts(problem, device_)) {
        Problem laid = problem;
        for (size_t i = 0; i < laid.operands.size(); ++i)
          laid.operands[i].type.layout = chosen(layouts.operands, i);
        for (size_t i = 0; i < laid.results.size(); ++i) {
          const auto [stage, output] = laid.stage_of(laid.results[i]);
          laid.stages[size_t(stage)].outputs[size_t(output)].layout = chosen(layouts.results, i);
        }
        if (!fits(*one, laid, layouts)) continue;
        const std::vector<kernel::Tactic> tactics = one->tactics(laid, device_);
        if (tactics.empty()) continue;
        const double us = one->predict_us(laid, tactics[0], device_);
        if (!found.kernel || us < found.us) found = {one.get(), layouts, tactics[0], us};
      }
    }
    return found;
  }

  // Layouts as they are, and distances between slices where values have them.
  bool keeps(const KernelDef& kernel, const Problem& problem, const Problem& laid,
             const std::vector<int>& operands, const std::vector<int>& results) const {
    const auto is_strided = [&](int v) { return v >= 0 && p_.values[size_t(v)].strided; };
    for (size_t i = 0; i < operands.size(); ++i) {
      if (!problem.operands[i].present) continue;
      if (laid.operands[i].type.layout != problem.operands[i].type.layout) return false;
      if (is_strided(operands[i]) && !kernel.takes_strided(laid, false, int(i))) return false;
    }
    for (size_t i = 0; i < results.size(); ++i) {
      if (results[i] < 0) continue;  // free
      if (laid.result_type(int(i)).layout != problem.result_type(int(i)).layout) return false;
      if (is_strided(results[i]) && !kernel.takes_strided(laid, true, int(i))) return false;
    }
    return true;
  }

  bool replace(const Step& step) {
    auto problem = kernel::concrete(step.problem, lookup());
    if (!problem.ok() || kernel::is_empty(*problem)) return false;
    const Found found = best(*problem, [&](const KernelDef& kernel, const Problem& laid, const LayoutChoice&) {
      return keeps(kernel, *problem, laid, step.operands, step.results);
    });
    if (!found.kernel) return false;
    add(step, step.problem, found, step.operands, step.results);
    return true;
  }

  // One step for each stage. Nothing is added when one of them has no kernel.
  bool split(const Step& step) {
    if (step.problem.stages.size() < 2) return false;
    const size_t steps_before = p_.steps.size(), values_before = p_.values.size();
    std::vector<int> values = step.operands;  // of the program, by the problem's numbers
    for (size_t s = 0; s < step.problem.stages.size(); ++s) {
      if (add_stage(step, s, values)) continue;
      p_.steps.resize(steps_before);
      p_.values.resize(values_before);
      return false;
    }
    return true;
  }

  bool add_stage(const Step& step, size_t s, std::vector<int>& values) {
    const Problem& whole = step.problem;
    Problem part;
    part.stages = {whole.stages[s]};
    kernel::Stage& stage = part.stages[0];
    std::vector<int> operands;
    for (int& input : stage.inputs) {
      if (input < 0) continue;
      kernel::Operand operand;
      if (input < int(whole.operands.size())) operand = whole.operands[size_t(input)];
      else operand.type = p_.values[size_t(values[size_t(input)])].type;
      operands.push_back(values[size_t(input)]);
      part.operands.push_back(std::move(operand));
      input = int(part.operands.size()) - 1;
    }
    std::vector<int> results;  // of the program; -1: a value between
    for (size_t o = 0; o < stage.outputs.size(); ++o) {
      const int number = int(values.size() + o);
      const auto leaves = std::find(whole.results.begin(), whole.results.end(), number);
      results.push_back(leaves == whole.results.end() ? -1
                                                      : step.results[size_t(leaves - whole.results.begin())]);
      part.results.push_back(int(part.operands.size() + o));
    }
    auto problem = kernel::concrete(part, lookup());
    if (!problem.ok() || (check_ && !check_(*problem).ok())) return false;
    const Found found = best(*problem, [&](const KernelDef& kernel, const Problem& laid, const LayoutChoice&) {
      return keeps(kernel, *problem, laid, operands, results);
    });
    if (!found.kernel) return false;
    for (size_t o = 0; o < results.size(); ++o) {
      ir::TensorType& type = stage.outputs[o];
      if (results[o] < 0) {
        type.layout = chosen(found.layouts.results, o);
        ProgramValue& between = p_.values.emplace_back();
        between.name = cat(p_.values[size_t(step.results[0])].name, "@", s, ".", o, "@", p_.values.size());
        between.type = type;
        between.type.space = p_.values[size_t(step.results[0])].type.space;
        results[o] = int(p_.values.size()) - 1;
      }
      values.push_back(results[o]);
    }
    add(step, std::move(part), found, operands, results);
    return true;
  }

  void add(const Step& from, Problem problem, const Found& found, const std::vector<int>& operands,
           const std::vector<int>& results) {
    Step step;
    step.kernel = found.kernel->name();
    step.kernel_version = found.kernel->version();
    step.problem = std::move(problem);
    step.tactic = found.tactic;
    step.operands = operands;
    step.results = results;
    step.sources = from.sources;
    step.expected_us = found.us;
    p_.steps.push_back(std::move(step));
  }

  plan::Program& p_;
  const kernel::KernelRegistry& registry_;
  const kernel::DeviceInfo& device_;
  const ProblemCheck& check_;
  std::map<std::string, int64_t, std::less<>> binding_;
};

}  // namespace

Result<std::string> respecialize(plan::Program& program, const kernel::KernelRegistry& registry,
                                 const kernel::DeviceInfo& device, const ProblemCheck& check,
                                 const std::vector<std::vector<int64_t>>& input_dims) {
  if (program.device_kind == "cpu") return std::string();
  PLANISH_ASSIGN_OR_RETURN(const std::string changes,
                           Respecializer(program, registry, device, check, input_dims).run());
  if (!changes.empty()) PLANISH_RETURN_IF_ERROR(plan::verify(program));
  return changes;
}

}  // namespace planish::runtime
