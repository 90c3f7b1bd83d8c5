// Choosing: tactics by time, layouts over the whole graph by the sum of step and conversion times.
//
// Measuring comes first (alternatives of equal problems are measured once, the heaviest problems
// first, within the time budget). Then layouts: coordinate descent from several starting points over
// the choice of each node, where the cost of a choice is its own time plus the conversions its
// operands and readers need. Networks are nearly chains, where this finds the optimum.
#include <algorithm>

#include "base/text.h"
#include "compiler/lowering.h"
#include "kernel/library_kernel.h"
#include "tuner/compile_ahead.h"

namespace planish::compiler {
namespace {

// The tactic, and the layouts that candidates of one tactic differ in: of the first operand and the first
// result, where they are not row-major.
std::string described(const Alternative& a) {
  const auto& [operands, results] = a.layouts;
  const bool plain = (operands.empty() || operands[0].is_row_major()) &&
                     (results.empty() || results[0].is_row_major());
  if (plain || operands.empty() || results.empty()) return a.tactic.to_string();
  return cat(a.tactic.to_string(), " (", ir::to_string(operands[0]), " -> ",
             ir::to_string(results[0]), ")");
}

using ir::Layout;

constexpr size_t kMaxMeasured = 12;      // per problem
constexpr double kHopelessFactor = 6.0;  // predicted behind the best by this: not measured

// --- measuring -------------------------------------------------------------------------------

// Keeps, per layout choice, the alternatives worth measuring.
std::vector<int> worth_measuring(const LoweredNode& entry) {
  std::vector<int> order(entry.alternatives.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = int(i);
  const auto& alternatives = entry.alternatives;
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    return alternatives[size_t(a)].predicted_us < alternatives[size_t(b)].predicted_us;
  });
  std::vector<int> kept;
  size_t own = 0;
  const double best = alternatives[size_t(order[0])].predicted_us;
  for (int i : order) {
    const Alternative& a = alternatives[size_t(i)];
    if (a.predicted_us > kHopelessFactor * best + 5) continue;
    // A library's proposals are few and take nobody's place.
    const bool is_library = dynamic_cast<const kernel::LibraryKernel*>(a.kernel);
    if (!is_library && own++ >= kMaxMeasured) continue;
    kept.push_back(i);
  }
  return kept;
}

// Whether time may not suffice to compile what could be measured.
bool is_hurried(const CompileOptions& options, const Environment& environment) {
  return options.time_budget_s && environment.device.home() != ir::MemorySpace::kHost;
}

// Nodes of one problem, the alternatives of the first that are raced, and which of those can be.
struct Race {
  const Lowered* of = nullptr;
  double weight = 0;
  std::vector<int> nodes;
  std::vector<int> kept;
  size_t needed = 1;  // so many of the first are what the program would take by prediction
  std::vector<bool> ready;
  const Alternative& alternative(size_t rank) const {
    return of->nodes[size_t(nodes[0])].alternatives[size_t(kept[rank])];
  }
};

// The races of a program by their problems. `every`: also of nodes that have one alternative.
std::map<std::string, Race> races_of(const Lowered& lowered, bool every) {
  std::map<std::string, Race> races;
  for (size_t i = 0; i < lowered.nodes.size(); ++i) {
    const LoweredNode& entry = lowered.nodes[i];
    if (entry.kind != NodeKind::kCompute || entry.binds_symbols || entry.on_host ||
        entry.alternatives.size() < (every ? 1u : 2u))
      continue;
    races[kernel::fingerprint(entry.concrete)].nodes.push_back(int(i));
  }
  for (auto& [key, race] : races) {
    const LoweredNode& first = lowered.nodes[size_t(race.nodes[0])];
    double least = 1e300;
    for (const Alternative& a : first.alternatives) least = std::min(least, a.predicted_us);
    race.of = &lowered;
    race.weight = least * double(race.nodes.size());
    race.kept = worth_measuring(first);
    race.ready.assign(race.kept.size(), true);
  }
  return races;
}

// With little time only a few of a problem are raced, and what was measured wins over what was not,
// whatever conversions its layouts need: those that the program has by prediction come first.
void put_chosen_first(const Lowered& lowered, Race& race) {
  std::vector<int> order;
  for (const int n : race.nodes)
    if (const int chosen = lowered.nodes[size_t(n)].chosen;
        std::find(order.begin(), order.end(), chosen) == order.end())
      order.push_back(chosen);
  race.needed = order.size();
  for (const int i : race.kept)
    if (std::find(order.begin(), order.begin() + std::ptrdiff_t(race.needed), i) ==
        order.begin() + std::ptrdiff_t(race.needed))
      order.push_back(i);
  race.kept = std::move(order);
}

// Of the time that is left, what measuring may need; and what a compilation that has begun takes.
constexpr double kMeasureShare = 0.3, kCompileUs = 4e5;
constexpr double kNoDeadline = 1e300;

// A candidate to be compiled: of which race, and how many of it come first.
struct Entrant {
  Race* race;
  size_t rank;
};

// Kernels that will be measured, compiled on all cores: what the program would take by prediction first,
// since it needs one of each problem, then further ones, more of heavy problems. So whenever time runs
// out, what it was spent on is what mattered most.
void compile_candidates(std::vector<Race>& races, const tuner::Tuner& tuner,
                        const CompileOptions& options, const Environment& environment,
                        double deadline_us) {
  if (environment.device.home() == ir::MemorySpace::kHost) return;
  PhaseTimes::Scope phase(options.phases, "compile");
  std::vector<Entrant> entrants;
  for (Race& race : races)
    for (size_t rank = 0; rank < race.kept.size(); ++rank) {
      const Alternative& a = race.alternative(rank);
      if (!tuner.is_known({a.kernel, a.tactic, &a.problem, a.predicted_us, -1, ""}))
        entrants.push_back({&race, rank});
    }
  std::stable_sort(entrants.begin(), entrants.end(), [](const Entrant& a, const Entrant& b) {
    const bool a_needed = a.rank < a.race->needed, b_needed = b.rank < b.race->needed;
    if (a_needed != b_needed) return a_needed;
    return a.race->weight / double(a.rank + 1) > b.race->weight / double(b.rank + 1);
  });
  std::vector<tuner::CompileJob> jobs;
  for (const Entrant& e : entrants) {
    const Alternative& a = e.race->alternative(e.rank);
    jobs.push_back({a.kernel, &a.problem, &a.tactic});
  }
  const double begin = now_us(options);
  const double end = begin + (1 - kMeasureShare) * (deadline_us - begin) - kCompileUs;
  const auto made = tuner::compile_ahead(jobs, environment.device.info(),
                                         [&] { return now_us(options) > end; });
  for (size_t i = 0; i < jobs.size(); ++i)
    if (!made[i]) entrants[i].race->ready[entrants[i].rank] = false;
}

Status measure(Lowered& lowered, const CompileOptions& options, const Environment& environment,
               double deadline_us, bool every) {
  const bool hurried = is_hurried(options, environment);
  std::vector<Race> races;  // heaviest first
  for (auto& [key, race] : races_of(lowered, every)) {
    if (hurried) put_chosen_first(lowered, race);
    race.ready.assign(race.kept.size(), true);
    races.push_back(std::move(race));
  }
  std::stable_sort(races.begin(), races.end(),
                   [](const Race& a, const Race& b) { return a.weight > b.weight; });
  tuner::TunerOptions tuner_options;
  tuner_options.now_us = [&options] { return now_us(options); };
  // A device's samples are several launches each, and what is slow at batch 128 takes milliseconds.
  if (environment.device.home() != ir::MemorySpace::kHost) tuner_options.max_us_per_problem = 3e6;
  tuner_options.out_of_time = [&] { return now_us(options) > deadline_us; };
  tuner_options.warmth = environment.warmth;
  tuner::Tuner tuner(environment.device, environment.times, tuner_options);
  compile_candidates(races, tuner, options, environment, deadline_us);
  PhaseTimes::Scope phase(options.phases, "measure");
  int done = 0;
  for (const Race& race : races) {
    if (options.progress && !options.progress("tune", done++, int(races.size())))
      return Status(Code::kCancelled, "the build was cancelled");
    LoweredNode& first = lowered.nodes[size_t(race.nodes[0])];
    std::vector<tuner::Candidate> candidates;
    for (size_t k = 0; k < race.kept.size(); ++k) {
      Alternative& a = first.alternatives[size_t(race.kept[k])];
      if (race.ready[k]) candidates.push_back({a.kernel, a.tactic, &a.problem, a.predicted_us, -1, ""});
    }
    const bool late = now_us(options) > deadline_us;
    if (late && !environment.times) continue;
    if (late) {
      PLANISH_RETURN_IF_ERROR(tuner.look_up(candidates));  // known times still count
    } else {
      PLANISH_RETURN_IF_ERROR(tuner.measure(candidates, constants_of(*first.node)));
    }
    for (int n : race.nodes) {
      LoweredNode& entry = lowered.nodes[size_t(n)];
      size_t next = 0;
      for (size_t k = 0; k < race.kept.size(); ++k) {
        Alternative& a = entry.alternatives[size_t(race.kept[k])];
        const tuner::Candidate* candidate = race.ready[k] ? &candidates[next++] : nullptr;
        a.measured_us = candidate ? candidate->measured_us : -1;
        const std::string refused = candidate ? candidate->refused : "";
        entry.considered.push_back(
            {a.kernel->name(), described(a), a.predicted_us, a.measured_us, refused});
        if (!refused.empty()) a.predicted_us = 1e12;
      }
    }
  }
  return ok_status();
}

// A measured alternative beats every unmeasured one of its node: predictions are not compared with
// measurements.
void drop_unmeasured(LoweredNode& entry) {
  const bool any = std::any_of(entry.alternatives.begin(), entry.alternatives.end(),
                               [](const Alternative& a) { return a.measured_us >= 0; });
  if (any)
    std::erase_if(entry.alternatives, [](const Alternative& a) { return a.measured_us < 0; });
}

// Of alternatives with equal layouts only the fastest stays.
void keep_fastest(LoweredNode& entry) {
  std::vector<Alternative> kept;
  for (Alternative& a : entry.alternatives) {
    auto same = std::find_if(kept.begin(), kept.end(),
                             [&](const Alternative& k) { return k.layouts == a.layouts; });
    if (same == kept.end()) kept.push_back(std::move(a));
    else if (a.us() < same->us()) *same = std::move(a);
  }
  entry.alternatives = std::move(kept);
}

// --- layouts ---------------------------------------------------------------------------------

class LayoutSearch {
 public:
  LayoutSearch(Lowered& lowered, const backend::Device& device)
      : lowered_(lowered), device_(device), concrete_types_(types()) {}

  void run() {
    std::vector<int> best;
    double best_cost = 1e300;
    for (int start = 0; start < 3; ++start) {
      begin_from(start);
      for (int sweep = 0; sweep < 8 && improve(); ++sweep) {}
      const double cost = total();
      if (cost < best_cost * (1 - 1e-9)) {
        best_cost = cost;
        best = choices();
      }
    }
    for (size_t i = 0; i < best.size(); ++i) lowered_.nodes[i].chosen = best[i];
  }

 private:
  std::map<const ir::Value*, ir::TensorType> types() const {
    std::map<const ir::Value*, ir::TensorType> out;
    for (const auto& [id, value] : lowered_.graph->values()) {
      ir::TensorType type = value->type;
      for (ir::Dim& d : type.shape) {
        auto known = d.evaluate(lowered_.lookup());
        d = known ? *known : 1;
      }
      out[value.get()] = std::move(type);
    }
    return out;
  }

  // Start 0: each node's fastest. 1: row-major wherever possible. 2: blocked wherever possible.
  void begin_from(int start) {
    for (LoweredNode& entry : lowered_.nodes) {
      const auto rank = [&](const Alternative& a) {
        const bool row = a.layouts.results.empty() || a.layouts.results[0].is_row_major();
        return (start == 1 && !row) || (start == 2 && row) ? 1e9 + a.us() : a.us();
      };
      entry.chosen = 0;
      for (size_t i = 1; i < entry.alternatives.size(); ++i)
        if (rank(entry.alternatives[i]) < rank(entry.choice())) entry.chosen = int(i);
    }
  }

  std::vector<int> choices() const {
    std::vector<int> out;
    for (const LoweredNode& entry : lowered_.nodes) out.push_back(entry.chosen);
    return out;
  }

  Layout produced(const ir::Value* v) const {
    if (!v->producer) return {};
    const LoweredNode& entry = lowered_.nodes[size_t(lowered_.index.at(v->producer))];
    return entry.choice().layouts.results[size_t(v->output_index)];
  }

  double conversion(const ir::Value* v, const Layout& from, const Layout& to) const {
    if (from == to || same_bytes(v->type.shape, from, to)) return 0;
    return conversion_us(concrete_types_.at(v), from, to, device_);
  }

  // Conversions around value v when it is produced in `from`: one per distinct layout asked for.
  double reader_cost(const ir::Value* v, const Layout& from) const {
    std::vector<Layout> wanted;
    const auto want = [&](const Layout& layout) {
      if (!(layout == from) && std::find(wanted.begin(), wanted.end(), layout) == wanted.end())
        wanted.push_back(layout);
    };
    for (const ir::Use& use : v->uses) {
      const LoweredNode& reader = lowered_.nodes[size_t(lowered_.index.at(use.node))];
      want(reader.choice().layouts.operands[size_t(use.index)]);
    }
    if (lowered_.graph->is_output(v)) want({});
    double cost = 0;
    for (const Layout& layout : wanted) cost += conversion(v, from, layout);
    return cost;
  }

  double local_cost(LoweredNode& entry, int alternative) {
    const int before = entry.chosen;
    entry.chosen = alternative;
    const Alternative& a = entry.choice();
    double cost = a.us();
    std::vector<const ir::Value*> seen;
    for (const ir::Value* v : entry.node->inputs) {
      if (!v || v->constant || std::find(seen.begin(), seen.end(), v) != seen.end()) continue;
      seen.push_back(v);
      cost += reader_cost(v, produced(v));
    }
    for (const ir::Value* v : entry.node->outputs)
      cost += reader_cost(v, a.layouts.results[size_t(v->output_index)]);
    entry.chosen = before;
    return cost;
  }

  bool improve() {
    bool changed = false;
    for (LoweredNode& entry : lowered_.nodes) {
      if (entry.alternatives.size() < 2) continue;
      int best = entry.chosen;
      double best_cost = local_cost(entry, best);
      const Layout from = entry.node->inputs.empty() || !entry.node->inputs[0]
                              ? Layout{}
                              : produced(entry.node->inputs[0]);
      for (int i = 0; i < int(entry.alternatives.size()); ++i) {
        if (i == entry.chosen) continue;
        const double cost = local_cost(entry, i);
        const auto& operands = entry.alternatives[size_t(i)].layouts.operands;
        // At equal cost, follow the producer: conversions drift to where they vanish.
        const bool follows = !operands.empty() && operands[0] == from &&
                             !(entry.alternatives[size_t(best)].layouts.operands[0] == from);
        if (cost < best_cost * (1 - 1e-6) || (follows && cost <= best_cost * (1 + 1e-6))) {
          best = i;
          best_cost = cost;
        }
      }
      changed |= best != entry.chosen;
      entry.chosen = best;
    }
    return changed;
  }

  double total() const {
    double cost = 0;
    for (const LoweredNode& entry : lowered_.nodes) {
      cost += entry.choice().us();
      for (const ir::Value* v : entry.node->outputs)
        cost += reader_cost(v, entry.choice().layouts.results[size_t(v->output_index)]);
    }
    for (const ir::Value* v : lowered_.graph->inputs) cost += reader_cost(v, {});
    return cost;
  }

  Lowered& lowered_;
  const backend::Device& device_;
  std::map<const ir::Value*, ir::TensorType> concrete_types_;
};

}  // namespace

void compile_races(std::span<const Lowered> programs, const CompileOptions& options,
                   const Environment& environment) {
  std::map<std::string, Race> races;  // those of a problem are the same in each program
  for (const Lowered& lowered : programs) races.merge(races_of(lowered, /*every=*/true));
  std::vector<Race> all;
  for (auto& [key, race] : races) all.push_back(std::move(race));
  const tuner::Tuner tuner(environment.device, environment.times, {});
  compile_candidates(all, tuner, options, environment, kNoDeadline);
}

std::vector<ir::Tensor> constants_of(const ir::Node& node) {
  std::vector<ir::Tensor> out(node.inputs.size());
  for (size_t i = 0; i < node.inputs.size(); ++i)
    if (node.inputs[i] && node.inputs[i]->constant) out[i] = *node.inputs[i]->constant;
  return out;
}

double conversion_us(const ir::TensorType& concrete, const ir::Layout& from, const ir::Layout& to,
                     const backend::Device& device) {
  const std::vector<int64_t> dims = ir::to_dims(concrete.shape);
  const double bytes =
      double(ir::bytes_of(concrete.dtype, ir::physical_element_count(dims, from) +
                                              ir::physical_element_count(dims, to)));
  return 1.5 + device.step_us() + bytes / (device.info().memory_gbps * 1e3);
}

Status select(Lowered& lowered, const CompileOptions& options, const Environment& environment,
              double deadline_us, bool every) {
  if (!options.decisions.empty())
    PLANISH_RETURN_IF_ERROR(apply_decisions(lowered, options.decisions));
  if (!options.deterministic && is_hurried(options, environment))
    LayoutSearch(lowered, environment.device).run();  // by predictions
  if (!options.deterministic)
    PLANISH_RETURN_IF_ERROR(measure(lowered, options, environment, deadline_us, every));
  for (LoweredNode& entry : lowered.nodes) {
    drop_unmeasured(entry);
    entry.raced.clear();
    for (const Alternative& a : entry.alternatives)
      if (a.measured_us >= 0) entry.raced.push_back({a.kernel, a.layouts, a.tactic, a.measured_us});
    keep_fastest(entry);
  }
  LayoutSearch(lowered, environment.device).run();
  return ok_status();
}

}  // namespace planish::compiler
