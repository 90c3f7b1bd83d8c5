#include "check/choose_launches.h"

#include <algorithm>
#include <chrono>
#include <map>

#include "base/hash.h"
#include "base/log.h"
#include "base/text.h"
#include "check/verify.h"
#include "compiler/launches.h"
#include "plan/step_order.h"
#include "runtime/context.h"
#include "tuner/measure.h"

namespace planish::check {
namespace {

constexpr double kGain = 0.995;       // a way must be faster by this to be taken
constexpr double kSampleUs = 2000;    // runs in a row that make a sample
constexpr size_t kMostGroups = 8;     // of steps that are alike, tried one by one

using Launches = std::vector<plan::Launch>;

// What steps that are alike have in common.
std::string kind_of(const plan::Step& step) {
  return cat(step.kernel, " v", step.kernel_version, " [", step.tactic.to_string(), "] ",
             kernel::fingerprint(step.problem));
}

std::string text_of(const Launches& launches) {
  std::string out;
  for (const plan::Launch& launch : launches)
    out += cat(launch.stream, launch.programmatic ? "" : "!", launch.waits.empty() ? "" : "<",
               join(launch.waits), ";");
  return out;
}

// Sets of steps, the heaviest first: `key` of a step, "" for those that are in none.
template <class Key>
std::vector<std::vector<int>> grouped(const plan::Program& program, const Key& key) {
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

class LaunchChooser {
 public:
  LaunchChooser(plan::Plan& plan, std::shared_ptr<backend::Device> device,
                const kernel::KernelRegistry& kernels, const LaunchOptions& options)
      : plan_(plan), device_(std::move(device)), kernels_(kernels), options_(options),
        begin_(std::chrono::steady_clock::now()) {}

  Status run() {
    plan::Program& program = plan_.program;
    branches_ = compiler::find_branches(program);
    streams_.assign(program.steps.size(), 0);
    after_end_.assign(program.steps.size(), false);
    describe();
    const std::string ended = cat(program_, "ended");
    ended_ = options_.times && options_.times->find(ended);
    choose_streams();
    choose_programmatic();
    // What this build had no time for, the next one does not begin either: it would choose otherwise.
    const bool cut_short = failed_ || (options_.out_of_time && options_.out_of_time());
    if (options_.times && !ended_ && !cut_short) options_.times->put(ended, 1, 0);
    const Launches chosen = launches();
    for (size_t s = 0; s < chosen.size(); ++s) program.steps[s].launch = chosen[s];
    compiler::note_launches(plan_, race_);
    return ok_status();
  }

 private:
  // Everything that decides a time but the launches.
  void describe() {
    const kernel::DeviceInfo& info = device_->info();
    std::string text = cat(info.kind, " ", info.name, " ", info.isa, ": ");
    for (const plan::Step& step : plan_.program.steps)
      text += cat(kind_of(step), " ", bracketed(step.operands), bracketed(step.results), "\n");
    for (const auto& dims : options_.input_dims) text += bracketed(dims);
    Hasher hasher;
    hasher.add_text(text);
    program_ = cat("launches of ", plan_.program.steps.size(), " steps ", hasher.hash64(), ": ");
  }

  Launches launches() const {
    Launches out = compiler::launches_on(plan_.program, streams_);
    for (size_t s = 0; s < out.size(); ++s) out[s].programmatic = !after_end_[s];
    return out;
  }

  void choose_streams() {
    if (branches_.count == 0) return;
    const bool taken = attempt(cat(branches_.count, " branches beside the rest"),
                               [&] { streams_ = branches_.streams; });
    // Branches that are alike go the other way together.
    std::vector<std::string> kinds(size_t(branches_.count));
    for (size_t s = 0; s < streams_.size(); ++s)
      if (const int branch = branches_.branch_of[s]; branch >= 0)
        kinds[size_t(branch)] += kind_of(plan_.program.steps[s]) + "\n";
    const auto kind = [&](int s) {
      const int branch = branches_.branch_of[size_t(s)];
      return branch < 0 ? std::string() : kinds[size_t(branch)];
    };
    for (const std::vector<int>& group : grouped(plan_.program, kind))
      attempt(cat(taken ? "in a row: " : "beside the rest: ", described(group)), [&] {
        for (const int s : group)
          streams_[size_t(s)] = taken ? 0 : branches_.streams[size_t(s)];
      });
  }

  void choose_programmatic() {
    if (plan_.program.steps.size() < 2) return;
    attempt("no programmatic launch", [&] { after_end_.assign(after_end_.size(), true); });
    for (const std::vector<int>& group :
         grouped(plan_.program, [&](int s) { return kind_of(plan_.program.steps[size_t(s)]); }))
      attempt(cat("programmatic launch the other way: ", described(group)), [&] {
        for (const int s : group) after_end_[size_t(s)] = !after_end_[size_t(s)];
      });
  }

  std::string described(const std::vector<int>& steps) const {
    const plan::Step& first = plan_.program.steps[size_t(steps[0])];
    return cat(steps.size(), " steps as ", first.kernel, " [", first.tactic.to_string(), "] of ",
               join(first.sources));
  }

  // Makes the change, and takes it back unless it gains.
  template <class Change>
  bool attempt(const std::string& what, const Change& change) {
    const Launches before = launches();
    const auto streams = streams_;
    const auto after_end = after_end_;
    change();
    if (is_faster(what, launches(), before)) return true;
    streams_ = streams;
    after_end_ = after_end;
    return false;
  }

  bool is_faster(const std::string& what, const Launches& other, const Launches& current) {
    if (other == current) return false;
    const std::string key = cat(program_, text_of(current), " or ", text_of(other));
    std::optional<double> current_us, other_us;
    if (options_.times) {
      current_us = options_.times->find(cat(key, " first"));
      other_us = options_.times->find(cat(key, " second"));
    }
    if (!current_us || !other_us) {
      if (ended_ || late() || !is_strict(other)) return false;
      const Launches* const both[] = {&current, &other};
      const auto measured = race(both);
      if (!measured) return false;
      std::tie(current_us, other_us) = *measured;
      if (options_.times) {
        options_.times->put(cat(key, " first"), *current_us, 0);
        options_.times->put(cat(key, " second"), *other_us, 0);
      }
    }
    if (race_.tried++ == 0) race_.plain_us = race_.us = *current_us;
    const bool faster = *other_us < *current_us * kGain;
    PLANISH_LOG(kInfo, "launches: ", what, ": ", *other_us, " us against ", *current_us,
                faster ? ", taken" : "");
    if (faster) race_.us *= *other_us / *current_us;
    return faster;
  }

  bool late() const {
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin_;
    return failed_ || spent.count() > options_.seconds || (options_.out_of_time && options_.out_of_time());
  }

  // The engine's memory is planned for all branches at once: no other steps may run beside each other.
  bool is_strict(const Launches& other) const {
    const auto order_of = [&](const Launches& launches) {
      plan::Program steps;
      for (const plan::Launch& launch : launches) steps.steps.emplace_back().launch = launch;
      return plan::StepOrder(steps);
    };
    const plan::StepOrder all = order_of(compiler::launches_on(plan_.program, branches_.streams));
    const plan::StepOrder order = order_of(other);
    for (int b = 0; b < int(other.size()); ++b)
      for (int a = 0; a < b; ++a)
        if (all.ends_before(a, b) && !order.ends_before(a, b)) return false;
    return true;
  }

  Status prepare() {
    if (engine_) return ok_status();
    plan::Plan copy;
    copy.program = plan_.program;
    const Launches all = compiler::launches_on(copy.program, branches_.streams);
    for (size_t s = 0; s < all.size(); ++s) copy.program.steps[s].launch = all[s];
    runtime::EngineOptions options;
    options.host = options_.host;
    PLANISH_ASSIGN_OR_RETURN(engine_,
                             runtime::Engine::create(std::move(copy), device_, kernels_, options));
    PLANISH_ASSIGN_OR_RETURN(auto stream, device_->create_stream());
    for (const ir::Tensor& input : random_inputs(engine_->program(), options_.input_dims, 1)) {
      PLANISH_ASSIGN_OR_RETURN(auto memory, device_->allocate(input.bytes(), device_->home()));
      PLANISH_RETURN_IF_ERROR(device_->copy(*stream, memory->data(), device_->home(), input.data(),
                                            ir::MemorySpace::kHost, input.bytes()));
      PLANISH_RETURN_IF_ERROR(stream->synchronize());
      inputs_.push_back(std::move(memory));
    }
    return ok_status();
  }

  Result<std::unique_ptr<runtime::ExecutionContext>> context_of(const Launches& launches) {
    runtime::ContextOptions options;
    options.launches = launches;
    PLANISH_ASSIGN_OR_RETURN(auto context, runtime::ExecutionContext::create(engine_, options));
    for (size_t i = 0; i < inputs_.size(); ++i)
      PLANISH_RETURN_IF_ERROR(context->set_input(int(i), inputs_[i]->data(), options_.input_dims[i],
                                                 device_->home()));
    return context;
  }

  // Microseconds of a run in either way, sampled in turns; nullopt when one cannot run.
  std::optional<std::pair<double, double>> race(std::span<const Launches* const> ways) {
    Status status = prepare();
    std::vector<std::unique_ptr<runtime::ExecutionContext>> contexts;
    for (const Launches* way : ways) {
      if (!status.ok()) break;
      auto context = context_of(*way);
      status = context.status();
      if (status.ok()) contexts.push_back(std::move(*context));
    }
    runtime::RunTimes times;
    runtime::RunOptions options;
    options.times = &times;
    for (const auto& context : contexts)
      if (status.ok()) status = context->run(options);  // captures
    if (!status.ok()) {
      PLANISH_LOG(kInfo, "launches were not timed: ", status.to_string());
      failed_ = true;
      return std::nullopt;
    }
    options.compute_repeats = int(std::clamp(kSampleUs / std::max(times.compute_us, 1.0), 1.0, 200.0));
    const auto sample = [&](size_t way) -> Result<double> {
      PLANISH_RETURN_IF_ERROR(contexts[way]->run(options));
      return times.compute_us;
    };
    tuner::MeasureOptions rounds;
    rounds.out_of_time = [this] { return late(); };
    const auto measured = tuner::measure_rounds(ways.size(), sample, rounds);
    for (const tuner::Measurement& m : measured)
      if (m.samples == 0) return std::nullopt;
    return std::pair(measured[0].us, measured[1].us);
  }

  plan::Plan& plan_;
  const std::shared_ptr<backend::Device> device_;
  const kernel::KernelRegistry& kernels_;
  const LaunchOptions& options_;
  const std::chrono::steady_clock::time_point begin_;
  compiler::Branches branches_;
  compiler::LaunchRace race_;
  std::string program_;
  std::vector<int> streams_;      // as chosen so far, by step
  std::vector<bool> after_end_;
  bool failed_ = false;
  bool ended_ = false;  // an earlier build timed all that it wanted
  std::shared_ptr<const runtime::Engine> engine_;
  std::vector<std::unique_ptr<backend::Memory>> inputs_;
};

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

}  // namespace

Status choose_launches(plan::Plan& plan, std::shared_ptr<backend::Device> device,
                       const kernel::KernelRegistry& kernels, const LaunchOptions& options) {
  if (device->home() == ir::MemorySpace::kHost || plan.program.steps.size() < 2 ||
      !runs_on_device_alone(plan.program, *device))
    return ok_status();
  return LaunchChooser(plan, std::move(device), kernels, options).run();
}

}  // namespace planish::check
