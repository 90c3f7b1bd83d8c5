#include "compiler/launches.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "plan/step_order.h"

namespace planish::compiler {
namespace {

using nlohmann::json;

// More branches than this at once never paid, and each has its own fork and join.
constexpr int kStreams = 4;

bool runs_on_device(const plan::Program& program) {
  const auto on_device = [&](int v) {
    return v < 0 || program.values[size_t(v)].type.space == ir::MemorySpace::kDevice;
  };
  return std::all_of(program.steps.begin(), program.steps.end(), [&](const plan::Step& step) {
    return !step.binds_symbols && step.bodies.empty() &&
           std::all_of(step.operands.begin(), step.operands.end(), on_device) &&
           std::all_of(step.results.begin(), step.results.end(), on_device);
  });
}

std::vector<std::vector<int>> dependences(const plan::Program& program) {
  std::vector<std::vector<int>> out;
  plan::for_each_dependence(program, [&](int, std::span<const int> in_front) {
    out.emplace_back(in_front.begin(), in_front.end());
  });
  return out;
}

class BranchFinder {
 public:
  explicit BranchFinder(const plan::Program& program)
      : needed_(dependences(program)), heirs_(needed_.size(), -1) {
    const int count = int(needed_.size());
    std::vector<double> way(needed_.size());  // from the step's begin to the end, us
    for (int s = count - 1; s >= 0; --s) {
      way[size_t(s)] += std::max(program.steps[size_t(s)].expected_us, 0.1);
      for (const int in_front : needed_[size_t(s)]) {
        double& longest = way[size_t(in_front)];  // of its heir's, until its own turn
        if (way[size_t(s)] < longest) continue;
        longest = way[size_t(s)];
        heirs_[size_t(in_front)] = s;
      }
    }
  }

  Branches run() {
    const int count = int(needed_.size());
    out_.streams.assign(needed_.size(), 0);
    out_.branch_of.assign(needed_.size(), -1);
    ended_.assign(needed_.size(), std::vector<int>(kStreams, -1));
    for (int s = 0; s < count; ++s) place(s);
    return std::move(out_);
  }

 private:
  void place(int s) {
    std::vector<int>& ended = ended_[size_t(s)];
    for (const int a : needed_[size_t(s)]) follow(ended, a);
    const int stream = stream_for(s, ended);
    const int last = last_[stream];
    if (stream == 0) {
    } else if (last >= 0 && heirs_[size_t(last)] == s) {
      out_.branch_of[size_t(s)] = out_.branch_of[size_t(last)];
    } else {
      out_.branch_of[size_t(s)] = out_.count++;
    }
    if (last >= 0) follow(ended, last);
    out_.streams[size_t(s)] = stream;
    last_[stream] = s;
  }

  void follow(std::vector<int>& ended, int a) const {
    for (int k = 0; k < kStreams; ++k)
      ended[size_t(k)] = std::max(ended[size_t(k)], ended_[size_t(a)][size_t(k)]);
    int& own = ended[size_t(out_.streams[size_t(a)])];
    own = std::max(own, a);
  }

  int stream_for(int s, const std::vector<int>& ended) const {
    // Behind the step whose heir this is; stream 0 first.
    for (int k = 0; k < kStreams; ++k)
      if (last_[k] >= 0 && heirs_[size_t(last_[k])] == s) return k;
    // One whose steps have all ended, and on which nobody is still to go on.
    for (int k = 0; k < kStreams; ++k)
      if (last_[k] < 0 || (last_[k] <= ended[size_t(k)] && heirs_[size_t(last_[k])] < s)) return k;
    return 0;
  }

  const std::vector<std::vector<int>> needed_;
  std::vector<int> heirs_;  // of each step the follower that goes on on its stream, -1: none
  std::vector<std::vector<int>> ended_;
  int last_[kStreams] = {-1, -1, -1, -1};
  Branches out_;
};

}  // namespace

Branches find_branches(const plan::Program& program) {
  if (!runs_on_device(program)) {
    const size_t count = program.steps.size();
    return {std::vector<int>(count, 0), std::vector<int>(count, -1), 0};
  }
  return BranchFinder(program).run();
}

std::vector<plan::Launch> launches_on(const plan::Program& program, std::span<const int> streams) {
  std::vector<plan::Launch> out(streams.size());
  std::vector<std::vector<int>> ended(streams.size(), std::vector<int>(plan::kMaxStreams, -1));
  std::vector<int> last(plan::kMaxStreams, -1);
  plan::for_each_dependence(program, [&](int s, std::span<const int> in_front) {
    const int stream = out[size_t(s)].stream = streams[size_t(s)];
    std::vector<int>& own = ended[size_t(s)];
    const auto follow = [&](int a) {
      for (size_t k = 0; k < own.size(); ++k) own[k] = std::max(own[k], ended[size_t(a)][k]);
      int& of_stream = own[size_t(streams[size_t(a)])];
      of_stream = std::max(of_stream, a);
    };
    if (last[size_t(stream)] >= 0) follow(last[size_t(stream)]);
    // The latest first: what it waited for needs no wait of this step.
    for (auto a = in_front.rbegin(); a != in_front.rend(); ++a) {
      if (*a <= own[size_t(streams[size_t(*a)])]) continue;
      out[size_t(s)].waits.push_back(*a);
      follow(*a);
    }
    std::sort(out[size_t(s)].waits.begin(), out[size_t(s)].waits.end());
    last[size_t(stream)] = s;
  });
  return out;
}

bool names_launches(const std::string& decisions) {
  const json root = json::parse(decisions, nullptr, /*allow_exceptions=*/false);
  return root.is_object() && root.contains("launches");
}

Status apply_launches(plan::Program& program, const std::string& decisions) {
  const auto fault = [](std::string what) { return invalid_argument("decisions: launches: " + what); };
  const json root = json::parse(decisions, nullptr, /*allow_exceptions=*/false);
  const json& launches = root.at("launches");
  if (!launches.is_object() || launches.value("steps", json(-1)) != json(program.steps.size()))
    return fault(cat("they are not for a program of ", program.steps.size(), " steps"));
  for (plan::Step& step : program.steps) step.launch = {};
  const json others = launches.value("others", json::array());
  for (const json& one : others) {
    const json index = one.is_object() ? one.value("step", json(-1)) : json(-1);
    if (!index.is_number_unsigned() || index.get<uint64_t>() >= program.steps.size())
      return fault(cat("there is no step ", index.dump()));
    plan::Launch& launch = program.steps[index.get<size_t>()].launch;
    const json stream = one.value("stream", json(0)), waits = one.value("waits", json::array());
    if (!stream.is_number_integer() || !waits.is_array()) return fault("expected numbers");
    launch.stream = stream.get<int>();
    for (const json& wait : waits) {
      if (!wait.is_number_integer()) return fault("expected numbers of steps");
      launch.waits.push_back(wait.get<int>());
    }
    launch.programmatic = one.value("programmatic", json(true)) == json(true);
  }
  if (Status fits = plan::verify_launches(program); !fits.ok()) return fault(fits.message());
  return ok_status();
}

void note_launches(plan::Plan& plan, const RaceOfRuns& race) {
  json others = json::array();
  int beside = 0, after_end = 0, streams = 1;
  for (size_t s = 0; s < plan.program.steps.size(); ++s) {
    const plan::Launch& launch = plan.program.steps[s].launch;
    beside += launch.stream != 0;
    after_end += !launch.programmatic;
    streams = std::max(streams, launch.stream + 1);
    if (launch == plan::Launch{}) continue;
    others.push_back({{"step", s},
                      {"stream", launch.stream},
                      {"waits", launch.waits},
                      {"programmatic", launch.programmatic}});
  }
  json decisions = json::parse(plan.decisions, nullptr, /*allow_exceptions=*/false);
  if (!decisions.is_object()) decisions = json::object();
  decisions["launches"] = {{"steps", plan.program.steps.size()}, {"others", others}};
  plan.decisions = decisions.dump(1);
  json report = json::parse(plan.report, nullptr, /*allow_exceptions=*/false);
  if (!report.is_object()) report = json::object();
  report["launches"] = {{"us", race.us},         {"plain_us", race.plain_us},
                        {"tried", race.tried},   {"streams", streams},
                        {"beside", beside},      {"after_end", after_end}};
  plan.report = report.dump(1);
}

}  // namespace planish::compiler
