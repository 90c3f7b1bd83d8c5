#include "compiler/near_ties.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "compiler/lowering.h"

namespace planish::compiler {
namespace {

using nlohmann::json;

// Behind the taken one by no more than either.
constexpr double kNearFactor = 1.05, kNearUs = 0.1;
constexpr size_t kMostTies = 2;  // of a step

// The steps around were emitted for what `taken` can read and write.
bool fits_in(const kernel::KernelDef& other, const Alternative& taken) {
  const kernel::Problem& problem = taken.problem;
  if (other.is_reference()) return false;
  const auto takes = [&](bool result, size_t i) {
    return other.takes_strided(problem, result, int(i)) || !taken.kernel->takes_strided(problem, result, int(i));
  };
  for (size_t i = 0; i < problem.operands.size(); ++i)
    if (!takes(false, i)) return false;
  for (size_t i = 0; i < problem.results.size(); ++i)
    if (!takes(true, i)) return false;
  return true;
}

}  // namespace

StepTies near_ties_of(const LoweredNode& entry) {
  if (entry.kind != NodeKind::kCompute || entry.binds_symbols || entry.on_host || !entry.bodies.empty() ||
      is_symbolic(entry.problem) || entry.choice().measured_us < 0)
    return {};
  const Alternative& taken = entry.choice();
  const double most_us = std::max(taken.measured_us * kNearFactor, taken.measured_us + kNearUs);
  StepTies out;
  for (const Raced& one : entry.raced) {
    const bool is_taken = one.kernel == taken.kernel && one.tactic == taken.tactic;
    if (is_taken || one.us > most_us || !(one.layouts == taken.layouts) || !fits_in(*one.kernel, taken)) continue;
    out.ties.push_back({one.kernel, one.tactic, one.us});
  }
  if (out.ties.empty()) return {};
  std::stable_sort(out.ties.begin(), out.ties.end(), [](const NearTie& a, const NearTie& b) { return a.us < b.us; });
  if (out.ties.size() > kMostTies) out.ties.resize(kMostTies);
  out.node = node_key(*entry.node);
  out.problem = taken.problem;
  return out;
}

void note_tactics(plan::Plan& plan, const NearTies& ties, const RaceOfRuns& race,
                  const std::vector<TacticTrial>& trials) {
  json decisions = json::parse(plan.decisions, nullptr, /*allow_exceptions=*/false);
  if (decisions.is_object() && decisions.contains("steps")) {
    json& steps = decisions["steps"];
    for (size_t s = 0; s < ties.size(); ++s) {
      if (ties[s].ties.empty() || !steps.contains(ties[s].node)) continue;
      json& one = steps[ties[s].node];
      one["kernel"] = plan.program.steps[s].kernel;
      one["tactic"] = plan.program.steps[s].tactic.to_string();
    }
    plan.decisions = decisions.dump(1);
  }
  json described = json::array();
  size_t exchanged = 0;
  for (const TacticTrial& trial : trials) {
    if (trial.taken) exchanged += trial.steps.size();
    described.push_back({{"steps", trial.steps},
                         {"tried", trial.tried},
                         {"had", trial.had},
                         {"us", trial.us},
                         {"plain_us", trial.plain_us},
                         {"taken", trial.taken}});
  }
  json report = json::parse(plan.report, nullptr, /*allow_exceptions=*/false);
  if (!report.is_object()) report = json::object();
  report["tactics"] = {{"us", race.us},
                       {"plain_us", race.plain_us},
                       {"tried", race.tried},
                       {"exchanged", exchanged},
                       {"trials", described}};
  plan.report = report.dump(1);
}

}  // namespace planish::compiler
