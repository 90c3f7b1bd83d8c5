// How a finished program's steps are launched: branches on streams of their own, and which steps start
// before the one in front has ended (docs/decisions/0034). What is best only whole runs can tell:
// check/choose_launches.h times them.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "plan/program.h"

namespace planish::compiler {

// Streams for a program's steps. A branch is a run of steps on a stream other than 0.
struct Branches {
  std::vector<int> streams;        // per step
  std::vector<int> branch_of;      // per step; -1: on stream 0
  int count = 0;
};

// Of the steps that follow one, the one with the longest way to the end goes on on its stream; each other
// begins a branch on a stream that is free. No branches where a step runs elsewhere than on the device.
Branches find_branches(const plan::Program& program);

// Launches on these streams with the fewest waits that keep every dependence; all programmatic.
std::vector<plan::Launch> launches_on(const plan::Program& program, std::span<const int> streams);

// What decisions say about launches; the program's steps are those that they were made for.
bool names_launches(const std::string& decisions);
// kInvalidArgument when they do not fit the program.
Status apply_launches(plan::Program& program, const std::string& decisions);

// What timing whole runs of a plan has told.
struct RaceOfRuns {
  double us = 0, plain_us = 0;  // of a run: as chosen, and as it was
  int tried = 0;                // ways compared with another
};
// Writes the program's launches into the plan's decisions, and the race into its report.
void note_launches(plan::Plan& plan, const RaceOfRuns& race);

}  // namespace planish::compiler
