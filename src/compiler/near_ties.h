// Near ties: what the steps of a program raced and hardly lost to, at the same layouts. Alone they take about
// the same time, so a whole run may take less with them: check/choose_tactics.h times that
// (docs/decisions/0034).
#pragma once
#include <string>
#include <vector>

#include "compiler/launches.h"
#include "kernel/kernel_def.h"
#include "plan/program.h"

namespace planish::compiler {

struct LoweredNode;

struct NearTie {
  const kernel::KernelDef* kernel = nullptr;
  kernel::Tactic tactic;
  double us = 0;  // of the step alone, as measured
};

struct StepTies {
  std::string node;           // as decisions name it
  kernel::Problem problem;    // that kernels are compiled for: concrete, layouts set
  std::vector<NearTie> ties;  // the fastest first
};
// One for each step of a program.
using NearTies = std::vector<StepTies>;

// Those of a node, few; none where something about it is symbolic, for such a step's artifact is made for
// other shapes, too, or where it was not measured.
StepTies near_ties_of(const LoweredNode& entry);

// Another way to carry steps out, compared with the one that they had.
struct TacticTrial {
  std::vector<int> steps;
  std::string tried, had;       // kernel and tactic
  double us = 0, plain_us = 0;  // of a run
  bool taken = false;
};
// Writes the steps' kernels and tactics into the plan's decisions, what was tried into its report.
void note_tactics(plan::Plan& plan, const NearTies& ties, const RaceOfRuns& race,
                  const std::vector<TacticTrial>& trials);

}  // namespace planish::compiler
