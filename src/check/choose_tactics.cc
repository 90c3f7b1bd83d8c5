#include "check/choose_tactics.h"

#include <optional>

#include "base/log.h"
#include "base/text.h"
#include "check/like_steps.h"

namespace planish::check {
namespace {

using compiler::NearTie;

std::string text_of(const kernel::KernelDef& kernel, const kernel::Tactic& tactic) {
  return cat(kernel.name(), " [", tactic.to_string(), "]");
}

std::string launches_of(const plan::Program& program) {
  std::vector<plan::Launch> launches;
  for (const plan::Step& step : program.steps) launches.push_back(step.launch);
  return describe_launches(launches);
}

class TacticChooser {
 public:
  TacticChooser(plan::Plan& plan, const compiler::NearTies& ties, std::shared_ptr<backend::Device> device,
                const kernel::KernelRegistry& kernels, const RaceOptions& options)
      : plan_(plan), ties_(ties), device_(device), kernels_(kernels),
        race_("tactics", plan.program, launches_of(plan.program), device, kernels, options) {}

  void run() {
    const auto kind = [&](int s) {
      const compiler::StepTies& ties = ties_[size_t(s)];
      if (ties.ties.empty()) return std::string();
      return cat(kind_of(plan_.program.steps[size_t(s)]), " ", kernel::fingerprint(ties.problem));
    };
    for (const std::vector<int>& group : heaviest_groups(plan_.program, kind))
      for (const NearTie& tie : ties_[size_t(group[0])].ties) attempt(group, tie);
    race_.end();
    compiler::note_tactics(plan_, ties_, race_.summary(), trials_);
  }

 private:
  // Times the plan with the group's steps as the tie says, which takes its place when it is faster.
  void attempt(const std::vector<int>& group, const NearTie& tie) {
    const plan::Step& first = plan_.program.steps[size_t(group[0])];
    compiler::TacticTrial trial{group, text_of(*tie.kernel, tie.tactic),
                                text_of(*kernels_.find(first.kernel), first.tactic)};
    std::optional<plan::Program> other;  // made when it is needed: what is known needs none
    std::shared_ptr<const runtime::Engine> engine;
    const auto make = [&]() -> Result<RunRace::Ways> {
      PLANISH_ASSIGN_OR_RETURN(other, exchanged(group, tie));
      if (!engine_) {
        PLANISH_ASSIGN_OR_RETURN(engine_, race_.engine_of(plan_.program));
      }
      PLANISH_ASSIGN_OR_RETURN(engine, race_.engine_of(*other));
      return RunRace::Ways{{engine_, {}}, {engine, {}}};
    };
    const std::string step = cat("steps ", join(group), " ", trial.tried, " v", tie.kernel->version());
    const auto outcome = race_.compare(cat(trial.tried, " in place of ", describe_group(plan_.program, group)),
                                       cat(taken_, step), make);
    if (!outcome) return;
    trial.us = outcome->other_us;
    trial.plain_us = outcome->current_us;
    trial.taken = outcome->taken;
    if (trial.taken && !other) {
      if (auto made = exchanged(group, tie); made.ok()) {
        other = std::move(*made);
      } else {
        PLANISH_LOG(kWarning, "tactics: ", trial.tried, " was faster and cannot be had: ", made.status().to_string());
        trial.taken = false;
      }
    }
    trials_.push_back(trial);
    if (!trial.taken) return;
    plan_.program = std::move(*other);
    engine_ = std::move(engine);
    taken_ += cat(step, ", ");
  }

  // The program with the group's steps as the tie says. The race has compiled the kernel, so a cache has it.
  Result<plan::Program> exchanged(const std::vector<int>& group, const NearTie& tie) const {
    PLANISH_ASSIGN_OR_RETURN(const kernel::Blob artifact, tie.kernel->compile(ties_[size_t(group[0])].problem,
                                                                              tie.tactic, device_->info()));
    plan::Program program = plan_.program;
    for (const int s : group) {
      plan::Step& step = program.steps[size_t(s)];
      step.kernel = tie.kernel->name();
      step.kernel_version = tie.kernel->version();
      step.tactic = tie.tactic;
      step.expected_us = tie.us;
      step.artifact.assign(artifact.bytes.begin(), artifact.bytes.end());
    }
    return program;
  }

  plan::Plan& plan_;
  const compiler::NearTies& ties_;
  const std::shared_ptr<backend::Device> device_;
  const kernel::KernelRegistry& kernels_;
  RunRace race_;
  std::string taken_;  // what was exchanged so far: what is timed next is timed with it
  std::vector<compiler::TacticTrial> trials_;
  std::shared_ptr<const runtime::Engine> engine_;  // of the plan as it is, once something was timed
};

}  // namespace

Status choose_tactics(plan::Plan& plan, const compiler::NearTies& ties,
                      std::shared_ptr<backend::Device> device, const kernel::KernelRegistry& kernels,
                      const RaceOptions& options) {
  if (ties.size() != plan.program.steps.size())
    return invalid_argument(cat("near ties of ", ties.size(), " steps, expected those of ",
                                plan.program.steps.size()));
  if (device->home() == ir::MemorySpace::kHost || plan.program.steps.size() < 2 ||
      !runs_on_device_alone(plan.program, *device))
    return ok_status();
  TacticChooser(plan, ties, std::move(device), kernels, options).run();
  return ok_status();
}

}  // namespace planish::check
