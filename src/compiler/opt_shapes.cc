// The shapes that kernels are asked about, and tuned at, when dims are symbolic: the opt binding, and
// others that keep a kernel from being chosen for what is special about the first.
#include <algorithm>

#include "base/text.h"
#include "compiler/lowering.h"
#include "kernel/supported.h"
#include "opdef/infer.h"

namespace planish::compiler {
namespace {

using ir::Dim;

using Binding = std::map<std::string, int64_t, std::less<>>;

constexpr int64_t kDefaultOptDim = 64;

ir::Dim::Lookup lookup_in(const Binding& binding) {
  return [&binding](std::string_view name) -> std::optional<int64_t> {
    auto found = binding.find(name);
    return found == binding.end() ? std::nullopt : std::optional<int64_t>(found->second);
  };
}

// Operand and stage output types.
template <class Visit>
void for_each_type(const kernel::Problem& problem, Visit visit) {
  for (const kernel::Operand& operand : problem.operands)
    if (operand.present) visit(operand.type);
  for (const kernel::Stage& stage : problem.stages)
    for (const ir::TensorType& type : stage.outputs) visit(type);
}

// The problem under the binding; nullopt when a dim has no value there or a negative one.
std::optional<kernel::Problem> possible(const kernel::Problem& problem,
                                        const Dim::Lookup& binding) {
  auto concrete = kernel::concrete(problem, binding);
  if (!concrete.ok()) return std::nullopt;
  bool good = true;
  for_each_type(*concrete, [&](const ir::TensorType& type) {
    for (const Dim& d : type.shape) good &= d.is_constant() && d.value() >= 0;
  });
  return good ? std::optional(std::move(concrete).value()) : std::nullopt;
}

}  // namespace

bool is_symbolic(const kernel::Problem& problem) {
  bool symbolic = false;
  for_each_type(problem, [&](const ir::TensorType& t) { symbolic |= !ir::is_constant(t.shape); });
  return symbolic;
}

ir::Dim::Lookup Lowered::lookup() const { return lookup_in(opt_binding); }

std::optional<kernel::Problem> Lowered::at_opt(const kernel::Problem& problem) const {
  return possible(problem, lookup());
}

std::optional<kernel::Problem> Lowered::at(const kernel::Problem& problem, const Binding& binding) const {
  return possible(problem, lookup_in(binding));
}

std::vector<kernel::Problem> Lowered::elsewhere(const opdef::OpRegistry& ops, const ir::Node& node,
                                                const kernel::Problem& problem) const {
  std::vector<kernel::Problem> out;
  if (!is_symbolic(problem)) return out;
  Binding beside, smallest;
  for (const auto& [symbol, value] : opt_binding) {
    int64_t moved = value + 1 + int64_t(beside.size()), low = 1;
    if (auto info = graph->symbols.find(symbol); info != graph->symbols.end()) {
      low = std::max(low, info->second.low);
      if (info->second.high && moved > *info->second.high) moved = std::max(info->second.low, value - 1);
    }
    beside[symbol] = moved;
    smallest[symbol] = low;
  }
  if (auto concrete = at(problem, beside)) out.push_back(std::move(*concrete));
  const auto add = [&](const Binding& binding) {
    auto concrete = at(problem, binding);
    if (concrete && !kernel::is_empty(*concrete) && agrees(ops, node, *concrete, lookup_in(binding)))
      out.push_back(std::move(*concrete));
  };
  add(smallest);
  for (const Binding& binding : max_bindings) add(binding);
  return out;
}

std::vector<kernel::Problem> Lowered::largest(const kernel::Problem& problem) const {
  std::vector<kernel::Problem> out;
  if (!is_symbolic(problem)) return out;
  for (const auto& binding : max_bindings)
    if (auto concrete = at(problem, binding)) out.push_back(std::move(*concrete));
  return out;
}

Status supports(const kernel::KernelDef& kernel, const kernel::Problem& concrete,
                std::span<const kernel::Problem> elsewhere, const kernel::DeviceInfo& device) {
  PLANISH_RETURN_IF_ERROR(kernel::supported(kernel, concrete, device));
  for (const kernel::Problem& other : elsewhere)
    PLANISH_RETURN_IF_ERROR(kernel::supported(kernel, other, device).at("at other shapes than those tuned for"));
  return ok_status();
}

std::map<std::string, int64_t, std::less<>> opt_binding(const ir::Graph& graph,
                                                        const std::vector<Profile>& profiles) {
  std::map<std::string, int64_t, std::less<>> binding;
  const auto clamp = [&](const std::string& symbol, int64_t value) {
    auto found = graph.symbols.find(symbol);
    if (found == graph.symbols.end()) return value;
    value = std::max(value, found->second.low);
    return found->second.high ? std::min(value, *found->second.high) : value;
  };
  for (const ir::Value* input : graph.inputs) {
    const std::vector<int64_t>* opt = nullptr;
    for (const Profile& profile : profiles) {
      auto found = profile.opt.find(input->name);
      if (found != profile.opt.end() && found->second.size() == input->type.shape.size())
        opt = opt ? opt : &found->second;
    }
    for (size_t d = 0; d < input->type.shape.size(); ++d) {
      const std::string symbol = input->type.shape[d].symbol_name();
      if (symbol.empty()) continue;
      if (opt) binding[symbol] = (*opt)[d];
      else binding.emplace(symbol, clamp(symbol, d == 0 ? 1 : kDefaultOptDim));
    }
  }
  // Data-dependent symbols: their upper bound, or a middling guess.
  for (const auto& [symbol, info] : graph.symbols) {
    if (binding.count(symbol)) continue;
    std::optional<int64_t> bound = info.high;
    if (info.upper_bound)
      bound = info.upper_bound->evaluate([&](std::string_view name) -> std::optional<int64_t> {
        auto found = binding.find(name);
        return found == binding.end() ? std::nullopt : std::optional<int64_t>(found->second);
      });
    binding[symbol] = bound ? std::clamp<int64_t>(*bound, 0, 4096) : kDefaultOptDim;
  }
  return binding;
}

std::map<std::string, int64_t, std::less<>> max_binding(const ir::Graph& graph,
                                                        const Profile& profile) {
  Profile largest = profile;
  for (const auto& [input, dims] : profile.max) largest.opt[input] = dims;
  return opt_binding(graph, {largest});
}

bool agrees(const opdef::OpRegistry& ops, const ir::Node& node, const kernel::Problem& concrete,
            const Dim::Lookup& binding) {
  if (std::all_of(node.inputs.begin(), node.inputs.end(), [](const ir::Value* v) {
        return !v || v->constant || ir::is_constant(v->type.shape);
      }))
    return true;
  ir::Graph alone;
  std::vector<ir::Value*> operands;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const ir::Value* v = node.inputs[i];
    if (!v) {
      operands.push_back(nullptr);
    } else if (v->constant) {
      operands.push_back(alone.add_constant(cat("c", i), *v->constant));
    } else {
      operands.push_back(alone.add_input(cat("x", i), concrete.operands[i].type));
      if (!v->content) continue;
      operands.back()->content = *v->content;
      for (Dim& d : *operands.back()->content)
        if (const auto value = d.evaluate(binding)) d = *value;
    }
  }
  ir::Attributes attrs;
  for (const auto& [key, value] : node.attrs) attrs[key] = ir::clone(value);
  ir::Node* copy = alone.add_node(node.op, operands, std::move(attrs),
                                  std::vector<ir::TensorType>(node.outputs.size()));
  if (!opdef::infer_node(ops, *copy).ok()) return false;
  for (size_t i = 0; i < copy->outputs.size(); ++i) {
    const ir::Shape& got = copy->outputs[i]->type.shape;
    const ir::Shape& planned = concrete.result_type(int(i)).shape;
    if (got.size() != planned.size()) return false;
    for (size_t d = 0; d < got.size(); ++d)
      if (got[d].is_constant() && !(got[d] == planned[d])) return false;
  }
  return true;
}

}  // namespace planish::compiler
