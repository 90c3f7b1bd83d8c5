// Partition: a region that some kernel takes may still be slower than its parts, with the kernels and
// layouts that those can have. So a region is priced twice, whole and in its next finer parts, each as a
// program of its own at the opt shapes (kernels, layouts and inner conversions, boundaries left out),
// and the cheaper way stays. Parts that are regions are asked again.
//
// Predictions come first and settle it in a deterministic build. Else both ways are measured where the
// prediction leaves it open: regions of several roots when the parts are predicted to take at most twice
// as long, of one root when they are predicted to take no longer. Only sums of measured times are
// compared with each other; when time runs out, predictions decide. Each step has the device's price of
// one more on top (Device::step_us()).
#include <algorithm>
#include <iterator>
#include <new>
#include <nlohmann/json.hpp>

#include "base/build_team.h"
#include "base/text.h"
#include "compiler/lowering.h"
#include "opdef/infer.h"
#include "opdef/make_problem.h"
#include "passes/region.h"

namespace planish::compiler {
namespace {

constexpr double kOpenFactor = 2;     // parts of several roots: predicted at most so much slower
constexpr double kWholeFactor = 0.98; // what times differ by without meaning it: fewer steps are better
// Compiling the candidates of a region and of its parts on 16 cores, and timing them.
constexpr double kRegionUs = 1.5e6;

class Partitioner {
 public:
  Partitioner(ir::Graph& graph, const CompileOptions& options, const Environment& environment,
              double deadline_us)
      : graph_(graph), options_(options), environment_(environment), deadline_us_(deadline_us),
        context_(environment.ops) {
    frame_.opt_binding = opt_binding(graph, options.profiles);
    decisions_ = nlohmann::json::parse(options.decisions, nullptr, /*allow_exceptions=*/false);
  }

  Status run() {
    std::vector<ir::Node*> open;
    for (const auto& node : graph_.nodes())
      if (node->op == passes::kRegion) open.push_back(node.get());
    ask_ahead(distinct_of(open));
    bool changed = false;
    while (!open.empty()) {
      ir::Node* region = open.back();
      open.pop_back();
      PLANISH_ASSIGN_OR_RETURN(const Choice choice, choose(*region));
      if (!choice.split) {
        note(node_key(*region), choice);
        continue;
      }
      changed = true;
      PLANISH_ASSIGN_OR_RETURN(auto parts, passes::split_region(graph_, region, context_));
      for (ir::Node* part : parts) {
        note(node_key(*part), choice);
        if (part->op == passes::kRegion) open.push_back(part);
      }
    }
    if (changed && !graph_.sort()) return internal_error("a cycle after choosing a partition");
    return ok_status();
  }

  PartitionNotes take_notes() { return std::move(notes_); }

 private:
  struct Choice {
    bool split = false;
    std::optional<plan::Considered> other;  // the way not taken, and why not
  };

  void note(const std::string& key, const Choice& choice) {
    if (choice.other) notes_[key].push_back(*choice.other);
  }

  Result<Choice> choose(const ir::Node& region) {
    PLANISH_ASSIGN_OR_RETURN(const kernel::Problem problem,
                             opdef::make_problem(environment_.ops, region));
    const auto concrete = frame_.at_opt(problem);
    if (!concrete || !agrees(environment_.ops, region, *concrete, frame_.lookup())) return Choice();
    auto whole = alone(region, *concrete);
    auto parts = whole->clone();
    PLANISH_ASSIGN_OR_RETURN(
        const auto made,
        passes::split_region(*parts, parts->nodes().front().get(), context_));
    if (const auto steps = decisions_.is_object() ? decisions_.find("steps") : decisions_.end();
        steps != decisions_.end() && steps->is_object()) {
      // A part that is split again leaves one of its own parts under its name. The whole region has one name:
      // of its last part, or of the first that hands out a result.
      Choice given;
      given.split = std::all_of(made.begin(), made.end(),
                                [&](const ir::Node* part) { return steps->contains(node_key(*part)); });
      return given;
    }
    const std::string key = kernel::fingerprint(*concrete);
    if (auto known = known_.find(key); known != known_.end()) return known->second;
    PLANISH_ASSIGN_OR_RETURN(Choice choice, price(*whole, *parts, has_several_roots(region)));
    return known_[key] = std::move(choice);
  }

  // Regions that ask the same, once.
  struct Asked {
    const ir::Node* region;
    kernel::Problem problem;  // at the opt shapes
  };
  std::vector<Asked> distinct_of(const std::vector<ir::Node*>& regions) const {
    if (!asks_in_parallel(options_, environment_)) return {};  // the other way is to ask each in its turn
    std::map<std::string, Asked> found;
    for (const ir::Node* region : regions) {
      const auto problem = opdef::make_problem(environment_.ops, *region);
      if (!problem.ok()) continue;
      auto concrete = frame_.at_opt(*problem);
      if (!concrete || !agrees(environment_.ops, *region, *concrete, frame_.lookup())) continue;
      std::string key = kernel::fingerprint(*concrete);
      found.emplace(std::move(key), Asked{region, std::move(*concrete)});
    }
    std::vector<Asked> out;
    for (auto& [key, asked] : found) out.push_back(std::move(asked));
    return out;
  }

  // Prices the regions by predictions on all cores, so that what kernels say is known when each has its
  // turn; what fails, fails again then. What regions left open will race is compiled at once: one
  // region after the other leaves most cores without work at the end of each.
  void ask_ahead(const std::vector<Asked>& regions) const {
    const bool races = !options_.deterministic && !options_.time_budget_s && !decisions_.is_object();
    std::vector<std::vector<Lowered>> open(regions.size());
    build_team().parallel_for(int64_t(regions.size()), [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        try {
          const Asked& asked = regions[size_t(i)];
          auto whole = alone(*asked.region, asked.problem);
          auto parts = whole->clone();
          if (!split(*parts)) continue;
          const auto predicted = predict(*whole, *parts);
          if (!races || !predicted.ok() || !*predicted || !is_open(**predicted, has_several_roots(*asked.region)))
            continue;
          for (const ir::Graph* graph : {whole.get(), parts.get()})
            if (auto lowered = alternatives_of(*graph, options_of(/*predict=*/true)); lowered.ok())
              open[size_t(i)].push_back(std::move(*lowered));
        } catch (const std::bad_alloc&) {  // said when its turn comes
        }
      }
    }, 1);
    std::vector<Lowered> programs;
    for (std::vector<Lowered>& both : open) std::move(both.begin(), both.end(), std::back_inserter(programs));
    compile_races(programs, options_, environment_);
  }

  // The only region of a graph into its next finer parts.
  bool split(ir::Graph& graph) const {
    passes::PassContext context(environment_.ops);
    return passes::split_region(graph, graph.nodes().front().get(), context).ok();
  }
  bool has_several_roots(const ir::Node& region) const {
    const passes::PassContext context(environment_.ops);
    return passes::roots_of(region, context).size() > 1;
  }

  // The time until which the two ways of a region are measured: none where what is left would not do
  // to compile the candidates of both, and known times alone count.
  double deadline_of_one_us() const {
    const double now = now_us(options_);
    const bool compiles = environment_.device.home() != ir::MemorySpace::kHost;
    return compiles && deadline_us_ - now < kRegionUs ? now : deadline_us_;
  }

  // What both ways are predicted to cost; nothing where there is no choice: no kernel takes the region
  // whole, or only one of the ways stays within the caps.
  struct Predicted {
    Cost one, many;
  };
  Result<std::optional<Predicted>> predict(const ir::Graph& whole, const ir::Graph& parts) const {
    const auto one = cost_of(whole, /*predict=*/true);
    const auto many = cost_of(parts, /*predict=*/true);
    for (const auto* cost : {&one, &many})
      if (!cost->ok() && cost->status().code() != Code::kResourceExhausted) return cost->status();
    std::optional<Predicted> none;
    if (!one.ok() || !many.ok() || one->steps != 1 || many->host_steps > one->host_steps) return none;
    return std::optional(Predicted{*one, *many});
  }
  // Whether the prediction leaves it open, and times decide.
  static bool is_open(const Predicted& predicted, bool several) {
    return predicted.many.predicted_us <= (several ? kOpenFactor : kWholeFactor) * predicted.one.predicted_us;
  }

  Result<Choice> price(const ir::Graph& whole, const ir::Graph& parts, bool several) {
    PLANISH_ASSIGN_OR_RETURN(const std::optional<Predicted> predicted, predict(whole, parts));
    if (!predicted) return Choice();
    const auto& [one, many] = *predicted;
    if (options_.deterministic) return compared(one, many, false);
    if (!is_open(*predicted, several)) return Choice();
    const double deadline_us = deadline_of_one_us();
    PLANISH_ASSIGN_OR_RETURN(Cost measured_one, cost_of(whole, /*predict=*/false, deadline_us));
    PLANISH_ASSIGN_OR_RETURN(Cost measured_many, cost_of(parts, /*predict=*/false, deadline_us));
    if (!measured_one.measured || !measured_many.measured) return compared(one, many, false);
    return compared(measured_one, measured_many, true);
  }

  static Choice compared(const Cost& one, const Cost& many, bool measured) {
    Choice choice;
    choice.split = many.us < kWholeFactor * one.us;
    const std::string parts = cat(many.steps, " parts");
    const auto us = [](double v) { return int64_t(v * 100) / 100.0; };
    const Cost& other = choice.split ? one : many;
    choice.other = plan::Considered{choice.split ? "one step" : parts, "", other.predicted_us,
                                    measured ? other.us : -1, ""};
    choice.other->refused =
        cat(measured ? "measured " : "predicted ", us(other.us), " us, against ",
            us(choice.split ? many.us : one.us), " us as ", choice.split ? parts : "one step");
    return choice;
  }

  // The region as the only node of a graph of concrete shapes.
  static std::unique_ptr<ir::Graph> alone(const ir::Node& region, const kernel::Problem& concrete) {
    auto graph = std::make_unique<ir::Graph>();
    std::vector<ir::Value*> operands;
    for (size_t i = 0; i < region.inputs.size(); ++i) {
      const ir::Value* v = region.inputs[i];
      if (!v) operands.push_back(nullptr);
      else if (ir::Value* same = graph->find(v->name)) operands.push_back(same);
      else if (v->constant) operands.push_back(graph->add_constant(v->name, *v->constant));
      else operands.push_back(graph->add_input(v->name, concrete.operands[i].type));
    }
    ir::Attributes attrs;
    for (const auto& [key, value] : region.attrs) attrs[key] = ir::clone(value);
    std::vector<ir::TensorType> types;
    for (size_t i = 0; i < region.outputs.size(); ++i)
      types.push_back(concrete.result_type(int(i)));
    ir::Node* node = graph->add_node(region.op, operands, std::move(attrs), types);
    for (size_t i = 0; i < region.outputs.size(); ++i)
      graph->rename(node->outputs[i], region.outputs[i]->name);
    graph->outputs = node->outputs;
    return graph;
  }

  CompileOptions options_of(bool predict) const {
    CompileOptions options = options_;
    options.deterministic = predict;
    options.profiles.clear();
    options.decisions.clear();
    options.progress = nullptr;
    if (predict) options.phases = nullptr;  // several threads may be here
    return options;
  }

  Result<Lowered> alternatives_of(const ir::Graph& graph, const CompileOptions& options) const {
    auto copy = graph.clone();
    PLANISH_RETURN_IF_ERROR(opdef::infer_graph(environment_.ops, *copy));
    PLANISH_ASSIGN_OR_RETURN(Lowered lowered, lower(std::move(copy), options, environment_));
    PLANISH_RETURN_IF_ERROR(enumerate_alternatives(lowered, options, environment_));
    return lowered;
  }

  Result<Cost> cost_of(const ir::Graph& graph, bool predict, double deadline_us = 0) const {
    const CompileOptions options = options_of(predict);
    PLANISH_ASSIGN_OR_RETURN(Lowered lowered, alternatives_of(graph, options));
    PLANISH_RETURN_IF_ERROR(select(lowered, options, environment_, deadline_us, /*every=*/true));
    return compiler::cost_of(lowered, environment_);
  }

  ir::Graph& graph_;
  const CompileOptions& options_;
  const Environment& environment_;
  const double deadline_us_;
  passes::PassContext context_;
  Lowered frame_;  // the opt binding only
  nlohmann::json decisions_;
  std::map<std::string, Choice> known_;
  PartitionNotes notes_;
};

}  // namespace

namespace {

// Of a value for its readers, each layout once.
double conversions_us(const Lowered& lowered, const ir::Value& v, const ir::Layout& made,
                      const backend::Device& device) {
  if (std::any_of(v.type.shape.begin(), v.type.shape.end(), [](const ir::Dim& d) { return !d.is_constant(); }))
    return 0;  // as in every graph that this one is compared with
  std::vector<ir::Layout> wanted;
  for (const ir::Use& use : v.uses) {
    const LoweredNode& reader = lowered.nodes[size_t(lowered.index.at(use.node))];
    const ir::Layout& layout = reader.choice().layouts.operands[size_t(use.index)];
    if (std::find(wanted.begin(), wanted.end(), layout) == wanted.end()) wanted.push_back(layout);
  }
  double us = 0;
  for (const ir::Layout& layout : wanted)
    if (!same_bytes(v.type.shape, made, layout)) us += conversion_us(v.type, made, layout, device);
  return us;
}

}  // namespace

Cost cost_of(const Lowered& lowered, const Environment& environment) {
  Cost cost;
  const double step_us = environment.device.step_us();
  for (const LoweredNode& entry : lowered.nodes) {
    const Alternative& a = entry.choice();
    cost.us += a.us();
    cost.predicted_us += a.predicted_us;
    if (a.kernel) {
      cost.measured &= a.measured_us >= 0;
      cost.us += step_us;
      cost.predicted_us += step_us;
      ++cost.steps;
      cost.host_steps += entry.on_host;
    }
    for (const ir::Value* v : entry.node->outputs) {
      const double us = conversions_us(lowered, *v, a.layouts.results[size_t(v->output_index)],
                                       environment.device);
      cost.us += us;
      cost.predicted_us += us;
    }
  }
  return cost;
}

Result<PartitionNotes> choose_partition(ir::Graph& graph, const CompileOptions& options,
                                        const Environment& environment, double deadline_us) {
  Partitioner partitioner(graph, options, environment, deadline_us);
  PLANISH_RETURN_IF_ERROR(partitioner.run());
  return partitioner.take_notes();
}

}  // namespace planish::compiler
