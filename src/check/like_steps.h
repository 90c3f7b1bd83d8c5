// Steps of a program that are alike: the same kernel, tactic and problem. What whole runs decide of one such
// step they decide of all.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "backend/api/backend.h"
#include "plan/program.h"

namespace planish::check {

// What steps that are alike have in common.
std::string kind_of(const plan::Step& step);

// Steps by `key` of each ("": in no group), the heaviest groups first; at most kMostGroups.
inline constexpr size_t kMostGroups = 8;
std::vector<std::vector<int>> heaviest_groups(const plan::Program& program,
                                              const std::function<std::string(int step)>& key);

// "12 steps as KERNEL [TACTIC] of SOURCES".
std::string describe_group(const plan::Program& program, const std::vector<int>& steps);

// Every step is the device's and reads and writes its memory alone; data decide no dims.
bool runs_on_device_alone(const plan::Program& program, const backend::Device& device);

}  // namespace planish::check
