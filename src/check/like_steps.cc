#include "check/like_steps.h"

#include <algorithm>
#include <map>

#include "base/text.h"

namespace planish::check {

std::string kind_of(const plan::Step& step) {
  return cat(step.kernel, " v", step.kernel_version, " [", step.tactic.to_string(), "] ",
             kernel::fingerprint(step.problem));
}

std::vector<std::vector<int>> heaviest_groups(const plan::Program& program,
                                              const std::function<std::string(int step)>& key) {
  std::map<std::string, std::pair<double, std::vector<int>>> groups;
  for (size_t s = 0; s < program.steps.size(); ++s) {
    const std::string name = key(int(s));
    if (name.empty()) continue;
    auto& [us, steps] = groups[name];
    us += program.steps[s].expected_us;
    steps.push_back(int(s));
  }
  std::vector<std::pair<double, std::vector<int>>> sorted;
  for (auto& [name, group] : groups) sorted.push_back(std::move(group));
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<std::vector<int>> out;
  for (auto& group : sorted)
    if (out.size() < kMostGroups) out.push_back(std::move(group.second));
  return out;
}

std::string describe_group(const plan::Program& program, const std::vector<int>& steps) {
  const plan::Step& first = program.steps[size_t(steps[0])];
  return cat(steps.size(), " steps as ", first.kernel, " [", first.tactic.to_string(), "] of ",
             join(first.sources));
}

bool runs_on_device_alone(const plan::Program& program, const backend::Device& device) {
  const auto elsewhere = [&](int v) {
    return v >= 0 && program.values[size_t(v)].type.space != device.home();
  };
  for (const plan::Step& step : program.steps)
    if (step.binds_symbols || !step.bodies.empty() ||
        std::any_of(step.operands.begin(), step.operands.end(), elsewhere) ||
        std::any_of(step.results.begin(), step.results.end(), elsewhere))
      return false;
  return true;
}

}  // namespace planish::check
