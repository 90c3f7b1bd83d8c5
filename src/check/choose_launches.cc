#include "check/choose_launches.h"

#include "base/text.h"
#include "check/like_steps.h"
#include "compiler/launches.h"
#include "plan/step_order.h"

namespace planish::check {
namespace {

using Launches = std::vector<plan::Launch>;

class LaunchChooser {
 public:
  LaunchChooser(plan::Plan& plan, std::shared_ptr<backend::Device> device,
                const kernel::KernelRegistry& kernels, const RaceOptions& options)
      : plan_(plan), race_("launches", plan.program, "", std::move(device), kernels, options) {}

  Status run() {
    plan::Program& program = plan_.program;
    branches_ = compiler::find_branches(program);
    streams_.assign(program.steps.size(), 0);
    after_end_.assign(program.steps.size(), false);
    choose_streams();
    choose_programmatic();
    race_.end();
    const Launches chosen = launches();
    for (size_t s = 0; s < chosen.size(); ++s) program.steps[s].launch = chosen[s];
    compiler::note_launches(plan_, race_.summary());
    return ok_status();
  }

 private:
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
    for (const std::vector<int>& group : heaviest_groups(plan_.program, kind))
      attempt(cat(taken ? "in a row: " : "beside the rest: ", describe_group(plan_.program, group)), [&] {
        for (const int s : group)
          streams_[size_t(s)] = taken ? 0 : branches_.streams[size_t(s)];
      });
  }

  void choose_programmatic() {
    if (plan_.program.steps.size() < 2) return;
    attempt("no programmatic launch", [&] { after_end_.assign(after_end_.size(), true); });
    for (const std::vector<int>& group :
         heaviest_groups(plan_.program, [&](int s) { return kind_of(plan_.program.steps[size_t(s)]); }))
      attempt(cat("programmatic launch the other way: ", describe_group(plan_.program, group)), [&] {
        for (const int s : group) after_end_[size_t(s)] = !after_end_[size_t(s)];
      });
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
    if (other == current || !is_strict(other)) return false;
    const auto outcome = race_.compare(what, cat(describe_launches(current), " or ", describe_launches(other)),
                                       [&]() -> Result<RunRace::Ways> {
                                         PLANISH_RETURN_IF_ERROR(prepare());
                                         return RunRace::Ways{{engine_, current}, {engine_, other}};
                                       });
    return outcome && outcome->taken;
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
    plan::Program program = plan_.program;
    const Launches all = compiler::launches_on(program, branches_.streams);
    for (size_t s = 0; s < all.size(); ++s) program.steps[s].launch = all[s];
    PLANISH_ASSIGN_OR_RETURN(engine_, race_.engine_of(program));
    return ok_status();
  }

  plan::Plan& plan_;
  RunRace race_;
  compiler::Branches branches_;
  std::vector<int> streams_;      // as chosen so far, by step
  std::vector<bool> after_end_;
  std::shared_ptr<const runtime::Engine> engine_;
};

}  // namespace

Status choose_launches(plan::Plan& plan, std::shared_ptr<backend::Device> device,
                       const kernel::KernelRegistry& kernels, const RaceOptions& options) {
  if (device->home() == ir::MemorySpace::kHost || plan.program.steps.size() < 2 ||
      !runs_on_device_alone(plan.program, *device))
    return ok_status();
  return LaunchChooser(plan, std::move(device), kernels, options).run();
}

}  // namespace planish::check
