#include "api/build/whole_runs.h"

#include "api/build/check_caps.h"
#include "api/runtime/engine_impl.h"
#include "check/choose_launches.h"
#include "check/choose_tactics.h"
#include "compiler/launches.h"

namespace planish::api {
namespace {

constexpr double kTacticSeconds = 1.0;  // for timing, at most

check::RaceOptions race_options(const plan::Plan& plan, const WholeRuns& runs) {
  check::RaceOptions options;
  options.host = runs.host;
  options.input_dims = example_dims(plan.program, 0, &plan::ProfileInput::opt);
  options.times = &runs.times;
  options.out_of_time = [&runs] {
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - runs.begin;
    return runs.options.cancel.cancelled() ||
           (runs.options.time_budget_s && spent.count() > *runs.options.time_budget_s);
  };
  return options;
}

// Branches beside each other take memory at once: they go where the caps do not leave it.
planish::Status keep_caps(plan::Plan& plan, const WholeRuns& runs) {
  const Caps caps{runs.options.max_workspace_bytes, runs.options.max_memory_bytes};
  const planish::Status fits = check_caps(plan, caps, runs.device, runs.host, runs.kernels);
  bool beside = false;
  for (const plan::Step& step : plan.program.steps) beside |= step.launch.stream != 0;
  if (fits.ok() || !beside) return fits;
  for (plan::Step& step : plan.program.steps) step.launch = {};
  compiler::note_launches(plan, {});
  return check_caps(plan, caps, runs.device, runs.host, runs.kernels);
}

}  // namespace

planish::Status decide_by_whole_runs(plan::Plan& plan, const compiler::NearTies& ties, const WholeRuns& runs,
                                     PhaseTimes& phases) {
  const v1::BuildOptions& options = runs.options;
  {
    PhaseTimes::Scope phase(&phases, "launches");
    if (!options.deterministic && !compiler::names_launches(options.decisions))
      PLANISH_RETURN_IF_ERROR(
          check::choose_launches(plan, runs.device, runs.kernels, race_options(plan, runs)));
    PLANISH_RETURN_IF_ERROR(keep_caps(plan, runs));
  }
  PhaseTimes::Scope phase(&phases, "tactics");
  // Other tactics may take more memory than what was found to keep the cap.
  if (options.deterministic || !options.decisions.empty() || options.max_memory_bytes > 0) return ok_status();
  check::RaceOptions race = race_options(plan, runs);
  race.seconds = kTacticSeconds;
  return check::choose_tactics(plan, ties, runs.device, runs.kernels, race);
}

}  // namespace planish::api
