#include "backend/cuda/emit/any_size.h"

#include <algorithm>
#include <map>
#include <set>

#include "backend/cuda/emit/any_size_source.h"
#include "backend/cuda/emit/any_size_tactics.h"
#include "backend/cuda/emit/nvrtc.h"
#include "backend/cuda/emit/prelude.h"
#include "base/log.h"
#include "base/text.h"
#include "kernel/supported.h"

namespace planish::cuda {
namespace {

using kernel::Problem;
using kernel::Tactic;

constexpr size_t kMaxVariants = 8;     // of a step
constexpr size_t kMaxTactics = 10;     // looked at
constexpr size_t kMaxParameters = 96;  // of a kernel

using Tokens = std::vector<Token>;

std::optional<Tokens> tokens_behind_prelude(const std::string& source) {
  const std::string_view text = source, prelude = kPrelude;
  if (!text.starts_with(prelude)) return std::nullopt;
  return tokens_of(text.substr(prelude.size()));
}

// The problem printed at one size.
struct Printed {
  const Problem* problem = nullptr;
  EmittedStep step;  // owns the texts
  std::vector<Tokens> texts;
};

std::optional<Printed> print(const EmittedKernelDef& def, const Problem& problem,
                             const Tactic& tactic, const kernel::DeviceInfo& device) {
  auto step = def.emit(problem, tactic, device);
  if (!step.ok()) return std::nullopt;
  Printed out;
  out.problem = &problem;
  out.step = std::move(*step);
  for (const EmittedKernel& kernel : out.step.kernels) {
    auto tokens = tokens_behind_prelude(kernel.source);
    if (!tokens) return std::nullopt;
    out.texts.push_back(std::move(*tokens));
  }
  return out;
}

// Printed sizes that share all kernels' patterns.
using Group = std::vector<const Printed*>;

std::vector<Tokens> texts_of(const Group& group, size_t kernel) {
  std::vector<Tokens> out;
  for (const Printed* one : group) out.push_back(one->texts[kernel]);
  return out;
}

// Parts of the group that agree in the given slots of each kernel.
std::vector<Group> split(const Group& group, const std::vector<std::vector<NumberSlot>>& slots) {
  std::map<std::vector<std::string_view>, Group> parts;
  for (const Printed* one : group) {
    std::vector<std::string_view> key;
    for (size_t k = 0; k < slots.size(); ++k)
      for (const NumberSlot& slot : slots[k]) key.push_back(one->texts[k][slot.token].text);
    parts[key].push_back(one);
  }
  std::vector<Group> out;
  for (auto& [key, part] : parts) out.push_back(std::move(part));
  return out;
}

// Groups whose varying numbers may be parameters.
std::vector<Group> group_by_pattern(const std::vector<Printed>& printed) {
  std::map<std::vector<Hash128>, Group> by_shape;
  for (const Printed& one : printed) {
    std::vector<Hash128> key;
    for (const Tokens& text : one.texts) key.push_back(shape_of(text));
    by_shape[key].push_back(&one);
  }
  std::vector<Group> out;
  for (const auto& [key, same] : by_shape) {
    std::vector<std::vector<NumberSlot>> fixed;
    for (size_t k = 0; k < key.size(); ++k) {
      const auto pattern = pattern_of(texts_of(same, k));
      if (pattern.ok()) fixed.push_back(fixed_numbers(same[0]->texts[k], *pattern));
    }
    if (fixed.size() != key.size()) continue;
    for (Group& part : split(same, fixed)) out.push_back(std::move(part));
  }
  return out;
}

Result<SizeVariant> compile(const Group& group, const Tactic& tactic,
                            const kernel::DeviceInfo& device) {
  SizeVariant variant;
  variant.tactic = tactic;
  for (size_t k = 0; k < group[0]->texts.size(); ++k) {
    PLANISH_ASSIGN_OR_RETURN(SizePattern pattern, pattern_of(texts_of(group, k)));
    if (pattern.parameters.size() > kMaxParameters)
      return unsupported(cat(pattern.parameters.size(), " sizes in a kernel"));
    PLANISH_ASSIGN_OR_RETURN(const std::string source,
                             any_size_source(group[0]->texts[k], pattern));
    PLANISH_ASSIGN_OR_RETURN(CompiledSource compiled, compile_source(source, device.isa));
    variant.kernels.push_back({std::move(pattern), std::move(compiled.cubin)});
  }
  return variant;
}

std::vector<Tactic> legal_tactics(const EmittedKernelDef& def, const Problem& problem,
                                  const kernel::DeviceInfo& device) {
  std::vector<Tactic> out = def.tactics(problem, device);
  if (const auto* more = dynamic_cast<const AnySizeTactics*>(&def))
    for (Tactic& tactic : more->any_size_tactics(problem, device)) out.push_back(std::move(tactic));
  return out;
}

// Sizes by the tactics that are legal for them: the planned tactic first, then those of most sizes.
std::vector<std::pair<Tactic, std::vector<const Problem*>>> by_tactic(
    const EmittedKernelDef& def, std::span<const Problem> problems, const Tactic& planned,
    const kernel::DeviceInfo& device) {
  std::map<std::string, std::pair<Tactic, std::vector<const Problem*>>> found;
  for (const Problem& problem : problems) {
    if (!kernel::supported(def, problem, device).ok()) continue;
    for (const Tactic& tactic : legal_tactics(def, problem, device)) {
      auto& entry = found[tactic.to_string()];
      entry.first = tactic;
      entry.second.push_back(&problem);
    }
  }
  std::vector<std::pair<Tactic, std::vector<const Problem*>>> out;
  for (auto& [name, entry] : found) out.push_back(std::move(entry));
  std::stable_sort(out.begin(), out.end(), [&](const auto& a, const auto& b) {
    const bool first = a.first == planned, second = b.first == planned;
    return first != second ? first : a.second.size() > b.second.size();
  });
  if (out.size() > kMaxTactics) out.resize(kMaxTactics);
  return out;
}

// A group of a tactic, and how many sizes it would add to those that have a kernel.
struct Choice {
  size_t tactic = 0;
  Group group;
  size_t added = 0;
};

}  // namespace

std::vector<SizeVariant> compile_variants(const EmittedKernelDef& def,
                                          std::span<const Problem> others, const Tactic& planned,
                                          const kernel::DeviceInfo& device) {
  const auto tactics = by_tactic(def, others, planned, device);
  std::vector<std::vector<Printed>> printed(tactics.size());
  std::vector<Choice> choices;
  for (size_t t = 0; t < tactics.size(); ++t) {
    for (const Problem* problem : tactics[t].second)
      if (auto one = print(def, *problem, tactics[t].first, device))
        printed[t].push_back(std::move(*one));
    for (Group& group : group_by_pattern(printed[t])) choices.push_back({t, std::move(group)});
  }
  std::set<const Problem*> covered;
  std::vector<SizeVariant> out;
  for (size_t tries = 0; tries < 2 * kMaxVariants && out.size() < kMaxVariants; ++tries) {
    for (Choice& choice : choices)
      choice.added = size_t(std::count_if(
          choice.group.begin(), choice.group.end(),
          [&](const Printed* one) { return !covered.count(one->problem); }));
    const auto best = std::max_element(
        choices.begin(), choices.end(),
        [](const Choice& a, const Choice& b) { return a.added < b.added; });  // the first of equals
    if (best == choices.end() || best->added == 0) break;
    auto variant = compile(best->group, tactics[best->tactic].first, device);
    if (variant.ok()) {
      out.push_back(std::move(*variant));
      for (const Printed* one : best->group) covered.insert(one->problem);
    } else {
      PLANISH_LOG(kInfo, def.name(), ": no kernel of any size for ", best->group.size(), " of ",
                  others.size(), " sizes: ", variant.status().message());
    }
    choices.erase(best);
  }
  // A run takes the first that fits: the planned tactic was the best where it was measured.
  std::stable_partition(out.begin(), out.end(), [&](const SizeVariant& variant) {
    return variant.tactic == planned;
  });
  PLANISH_LOG(kDebug, def.name(), ": ", out.size(), " kernels of any size for ", covered.size(),
              " of ", others.size(), " sizes");
  return out;
}

std::optional<Fitting> fit(const EmittedKernelDef& def, const Artifact& artifact,
                           const Problem& problem, const kernel::DeviceInfo& device) {
  const std::vector<Tactic> legal = legal_tactics(def, problem, device);
  std::optional<Printed> printed;
  const Tactic* of = nullptr;
  for (const SizeVariant& variant : artifact.variants) {
    if (std::find(legal.begin(), legal.end(), variant.tactic) == legal.end()) continue;
    if (!of || !(*of == variant.tactic)) {
      printed = print(def, problem, variant.tactic, device);
      of = &variant.tactic;
    }
    if (!printed || printed->texts.size() != variant.kernels.size()) continue;
    Fitting fitting;
    fitting.tactic = variant.tactic;
    fitting.artifact.workspace_bytes = printed->step.workspace_bytes;
    for (size_t k = 0; k < variant.kernels.size(); ++k) {
      auto args = match(variant.kernels[k].pattern, printed->texts[k]);
      if (!args) break;
      EmittedKernel launch = printed->step.kernels[k];
      launch.source.clear();
      launch.args.insert(launch.args.end(), args->begin(), args->end());
      fitting.artifact.kernels.push_back({std::move(launch), variant.kernels[k].cubin});
    }
    if (fitting.artifact.kernels.size() == variant.kernels.size()) return fitting;
  }
  return std::nullopt;
}

}  // namespace planish::cuda
