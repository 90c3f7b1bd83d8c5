// From an optimized graph to nodes with problems: which are steps, which are views, which fold to
// dim expressions.
#include <algorithm>

#include "base/text.h"
#include "compiler/lowering.h"
#include "opdef/infer.h"
#include "opdef/make_problem.h"
#include "passes/region.h"

namespace planish::compiler {
namespace {

using ir::Dim;

bool is_symbol_known(const Dim& dim, const std::set<std::string>& known) {
  for (const std::string& symbol : dim.symbols())
    if (!known.count(symbol)) return false;
  return true;
}

// Every output's elements are known as dim expressions.
bool has_known_content(const ir::Node& node) {
  return !node.outputs.empty() &&
         std::all_of(node.outputs.begin(), node.outputs.end(), [](const ir::Value* v) {
           return v->content.has_value() && !ir::is_float(v->type.dtype);
         });
}

std::set<std::string> input_symbols(const ir::Graph& graph) {
  std::set<std::string> out;
  for (const ir::Value* input : graph.inputs)
    for (const Dim& d : input->type.shape)
      for (std::string& symbol : d.symbols()) out.insert(std::move(symbol));
  return out;
}

// Views and known contents no longer read their shape operands. `bound`: the symbols that inputs decide.
void free_shape_operands(ir::Graph& graph, const Environment& environment,
                         std::set<std::string> bound) {
  std::set<std::string> plain;
  for (const auto& [symbol, info] : graph.symbols)
    if (!info.from_data) plain.insert(symbol);
  for (const auto& node : graph.nodes()) {
    const opdef::OpDef* op = environment.ops.find(node->op);
    // Elements that the node itself draws from its operands are not known before it runs.
    const bool content = has_known_content(*node) &&
                         std::all_of(node->outputs.begin(), node->outputs.end(),
                                     [&](const ir::Value* v) {
                                       return std::all_of(
                                           v->content->begin(), v->content->end(),
                                           [&](const Dim& d) { return is_symbol_known(d, bound); });
                                     });
    const auto is_dim_known = [&](const Dim& d) {
      std::set<std::string> decided = plain;
      for (const Dim& in : node->inputs[0]->type.shape)
        for (std::string& symbol : in.symbols()) decided.insert(std::move(symbol));
      return is_symbol_known(d, decided);
    };
    const bool view_dims_known = op && op->is_view &&
                                 std::all_of(node->outputs[0]->type.shape.begin(),
                                             node->outputs[0]->type.shape.end(), is_dim_known);
    for (const ir::Value* v : node->outputs)
      for (const Dim& d : v->type.shape)
        for (std::string& symbol : d.symbols()) bound.insert(std::move(symbol));
    if (!content && !view_dims_known) continue;
    for (size_t i = content ? 0 : 1; i < node->inputs.size(); ++i)
      if (node->inputs[i]) graph.set_input(node.get(), int(i), nullptr);
  }
}

// Which node binds each symbol that no input decides: the first one that has it in a result's dims.
std::map<std::string, const ir::Node*> binders_of(const ir::Graph& graph,
                                                  const std::set<std::string>& of_inputs) {
  std::map<std::string, const ir::Node*> out;
  for (const auto& node : graph.nodes())
    for (const ir::Value* v : node->outputs)
      for (const Dim& d : v->type.shape)
        for (std::string& symbol : d.symbols())
          if (!of_inputs.count(symbol)) out.emplace(std::move(symbol), node.get());
  return out;
}

// Calls visit(symbol) for each one that the node's dims and known elements mention.
template <class Visit>
void for_each_symbol(const ir::Node& node, Visit visit) {
  const auto look = [&](const std::vector<Dim>& dims) {
    for (const Dim& d : dims)
      for (const std::string& symbol : d.symbols()) visit(symbol);
  };
  for (const ir::Value* v : node.inputs)
    if (v) look(v->type.shape);
  for (const ir::Value* v : node.outputs) {
    look(v->type.shape);
    if (v->content) look(*v->content);
  }
}

// A node whose value nobody needs once shapes are dims: the shape input of a view. What binds a symbol
// that others mention stays, though nobody reads its elements.
void drop_dead_nodes(ir::Graph& graph, const std::map<std::string, const ir::Node*>& binders) {
  std::vector<ir::Node*> order;
  for (const auto& node : graph.nodes()) order.push_back(node.get());
  std::set<const ir::Node*> binding;
  for (size_t i = order.size(); i-- > 0;) {
    const bool dead = !binding.count(order[i]) &&
                      std::all_of(order[i]->outputs.begin(), order[i]->outputs.end(),
                                  [&](const ir::Value* v) {
                                    return v->uses.empty() && !graph.is_output(v);
                                  });
    if (dead) {
      graph.erase(order[i]);
      continue;
    }
    for_each_symbol(*order[i], [&](const std::string& symbol) {
      if (auto found = binders.find(symbol); found != binders.end()) binding.insert(found->second);
    });
  }
}

// Every part is one dense piece that begins at an address a device kernel takes.
bool is_aligned_part(const ir::Node& node, const SliceInfo& info) {
  const ir::TensorType& whole = node.inputs[0]->type;
  Dim inner = ir::bits_of(whole.dtype) / 8;
  for (size_t d = size_t(info.axis) + 1; d < whole.shape.size(); ++d) inner = inner * whole.shape[d];
  for (int d = 0; d < info.axis; ++d)
    if (!(whole.shape[size_t(d)] == Dim(1))) return false;
  return std::all_of(info.begins.begin(), info.begins.end(), [&](const Dim& begin) {
    const Dim offset = begin * inner;
    return offset.is_constant() && offset.value() % kDeviceAlignment == 0;
  });
}

kernel::Problem content_problem(const ir::Node& node) {
  kernel::Problem problem;
  for (const ir::Value* v : node.outputs) {
    kernel::Stage stage;
    stage.op = kernel::kContentStage;
    std::vector<std::string> exprs;
    for (const Dim& d : *v->content) exprs.push_back(d.to_string());
    stage.attrs[std::string(kernel::kDimExprs)] = std::move(exprs);
    stage.outputs = {v->type};
    problem.results.push_back(int(problem.stages.size()));
    problem.stages.push_back(std::move(stage));
  }
  return problem;
}

bool some_kernel_takes(const kernel::Problem& concrete,
                       std::span<const kernel::Problem> elsewhere,
                       const Environment& environment, const CompileOptions& options) {
  for (const auto& kernel : environment.kernels.all()) {
    if (kernel->device_kind() != environment.device.info().kind) continue;
    if (kernel->is_reference() || (options.fp32_exact && kernel->rounds_differently())) continue;
    if (supports(*kernel, concrete, elsewhere, environment.device.info()).ok()) return true;
  }
  return false;
}

// Some kernel takes the region with no more scratch memory than the cap; what the others would take
// goes to `said`.
bool some_kernel_fits(const Lowered& lowered, ir::Node& region, const kernel::Problem& problem,
                      const CompileOptions& options, const Environment& environment,
                      std::vector<plan::Considered>& said) {
  if (options.max_workspace < 0) return true;
  LoweredNode entry;
  entry.node = &region;
  entry.problem = problem;
  entry.concrete = *lowered.at_opt(problem);
  entry.elsewhere = lowered.elsewhere(environment.ops, region, problem);
  entry.largest = lowered.largest(problem);
  const Status status = add_kernels(entry, options, environment);
  if (status.ok() && !entry.on_host && !entry.choice().kernel->is_reference()) return true;
  said = std::move(entry.considered);
  return false;
}

// Why each kernel that knows the region's ops would not take it.
std::vector<plan::Considered> refusals(const kernel::Problem& concrete,
                                       std::span<const kernel::Problem> elsewhere,
                                       const Environment& environment) {
  std::vector<plan::Considered> out;
  for (const auto& kernel : environment.kernels.all()) {
    if (kernel->device_kind() != environment.device.info().kind || kernel->is_reference()) continue;
    const Status status = supports(*kernel, concrete, elsewhere, environment.device.info());
    if (status.ok() || status.code() == Code::kUnimplemented) continue;
    out.push_back({kernel->name(), "", 0, -1,
                   cat("as ", kernel::describe(concrete), ": ", status.message())});
  }
  return out;
}

// Regions that no kernel takes come apart, one grain at a time.
Status split_refused_regions(Lowered& lowered, const CompileOptions& options,
                             const Environment& environment) {
  ir::Graph& g = *lowered.graph;
  passes::PassContext context(environment.ops);
  std::vector<ir::Node*> open;
  for (const auto& node : g.nodes())
    if (node->op == passes::kRegion) open.push_back(node.get());
  bool changed = false;
  while (!open.empty()) {
    ir::Node* node = open.back();
    open.pop_back();
    PLANISH_ASSIGN_OR_RETURN(kernel::Problem problem,
                             opdef::make_problem(environment.ops, *node));
    const auto concrete = lowered.at_opt(problem);
    const auto elsewhere = lowered.elsewhere(environment.ops, *node, problem);
    std::vector<plan::Considered> said;
    if (!options.reference_only && concrete &&
        some_kernel_takes(*concrete, elsewhere, environment, options) &&
        some_kernel_fits(lowered, *node, problem, options, environment, said))
      continue;
    changed = true;
    if (auto before = lowered.refused_regions.extract(node))
      said.insert(said.begin(), before.mapped().begin(), before.mapped().end());
    if (concrete && !options.reference_only)
      for (plan::Considered& one : refusals(*concrete, elsewhere, environment)) said.push_back(std::move(one));
    PLANISH_ASSIGN_OR_RETURN(auto parts, passes::split_region(g, node, context));
    if (!said.empty() && !parts.empty()) lowered.refused_regions[parts[0]] = std::move(said);
    for (ir::Node* part : parts)
      if (part->op == passes::kRegion) open.push_back(part);
  }
  if (changed && !g.sort()) return internal_error("a cycle after splitting regions");
  return ok_status();
}

// A concat whose first inputs are all the inputs of an earlier concat (DenseNet's way of writing its
// features) takes that concat's output instead: each member then lies in one buffer only.
Status nest_concats(ir::Graph& graph, const Environment& environment) {
  struct Known {
    ir::Value* output;
    std::vector<ir::Value*> members;  // as the model wrote them
  };
  std::map<std::pair<const ir::Value*, int64_t>, std::vector<Known>> by_first;
  std::vector<ir::Node*> concats;
  for (const auto& node : graph.nodes())
    if (node->op == "Concat" && node->inputs.size() > 1) concats.push_back(node.get());
  for (ir::Node* node : concats) {
    std::vector<Known>& earlier = by_first[{node->inputs[0], node->attr_int("axis")}];
    const Known* prefix = nullptr;
    for (const Known& k : earlier)
      if (k.members.size() < node->inputs.size() &&
          (!prefix || k.members.size() > prefix->members.size()) &&
          std::equal(k.members.begin(), k.members.end(), node->inputs.begin()))
        prefix = &k;
    Known mine{node->outputs[0], node->inputs};
    if (prefix) {
      std::vector<ir::Value*> inputs = {prefix->output};
      inputs.insert(inputs.end(), node->inputs.begin() + long(prefix->members.size()),
                    node->inputs.end());
      ir::Node* nested = graph.add_node("Concat", std::move(inputs), node->attrs,
                                        {node->outputs[0]->type}, node);
      nested->sources = node->sources;
      PLANISH_RETURN_IF_ERROR(opdef::infer_node(environment.ops, *nested));
      const std::string name = node->outputs[0]->name;
      graph.replace_uses(node->outputs[0], nested->outputs[0]);
      for (auto& [key, list] : by_first)
        for (Known& k : list)
          for (ir::Value*& v : k.members)
            if (v == node->outputs[0]) v = nested->outputs[0];
      graph.erase(node);
      graph.rename(nested->outputs[0], name);
      mine.output = nested->outputs[0];
    }
    earlier.push_back(std::move(mine));
  }
  return ok_status();
}

}  // namespace

std::string node_key(const ir::Node& node) {
  return node.outputs.empty() ? cat(node.op, " ", node.id) : node.outputs[0]->name;
}

std::optional<SliceInfo> slice_info(const ir::Node& node) {
  SliceInfo info;
  const ir::Value* input = node.inputs.empty() ? nullptr : node.inputs[0];
  if (!input) return std::nullopt;
  const auto ints = [&](size_t i) -> std::optional<std::vector<int64_t>> {
    if (i >= node.inputs.size() || !node.inputs[i] || !node.inputs[i]->constant)
      return std::nullopt;
    return node.inputs[i]->constant->i64_values();
  };
  const int rank = input->type.rank();
  if (node.op == "Split") {
    auto axis = node.attrs.find("axis");
    const int64_t a = axis == node.attrs.end() ? 0 : std::get<int64_t>(axis->second);
    info.axis = int(a < 0 ? a + rank : a);
    Dim at = 0;
    for (const ir::Value* v : node.outputs) {
      info.begins.push_back(at);
      at = at + v->type.shape[size_t(info.axis)];
    }
    return info;
  }
  if (node.op != "Slice") return std::nullopt;
  const auto starts = ints(1), axes = ints(3);
  const auto steps = ints(4);
  if (!starts || starts->size() != 1) return std::nullopt;
  if (node.inputs.size() > 3 && node.inputs[3] && !axes) return std::nullopt;
  if (node.inputs.size() > 4 && node.inputs[4] && (!steps || (*steps)[0] != 1)) return std::nullopt;
  const int64_t a = axes ? (*axes)[0] : 0;
  info.axis = int(a < 0 ? a + rank : a);
  const Dim& size = input->type.shape[size_t(info.axis)];
  Dim begin = (*starts)[0];
  if ((*starts)[0] < 0) begin = size + Dim((*starts)[0]);
  // A start that may be clamped cannot be a view unless the size is known.
  if (size.is_constant()) begin = std::clamp<int64_t>(begin.value(), 0, size.value());
  else if ((*starts)[0] != 0) return std::nullopt;
  info.begins = {begin};
  return info;
}

Result<Lowered> lower(std::unique_ptr<ir::Graph> graph, const CompileOptions& options,
                      const Environment& environment) {
  Lowered lowered;
  lowered.graph = std::move(graph);
  ir::Graph& g = *lowered.graph;
  lowered.opt_binding = opt_binding(g, options.profiles);
  for (const Profile& profile : options.profiles)
    lowered.max_bindings.push_back(max_binding(g, profile));
  const kernel::DeviceInfo& device = environment.device.info();
  PLANISH_RETURN_IF_ERROR(split_refused_regions(lowered, options, environment));
  if (!options.reference_only) PLANISH_RETURN_IF_ERROR(nest_concats(g, environment));
  const std::set<std::string> of_inputs = input_symbols(g);
  const auto binders = binders_of(g, of_inputs);
  free_shape_operands(g, environment, of_inputs);
  drop_dead_nodes(g, binders);
  std::set<std::string> known = of_inputs;
  for (const auto& node : g.nodes()) {
    LoweredNode entry;
    entry.node = node.get();
    if (auto said = lowered.refused_regions.find(node.get()); said != lowered.refused_regions.end())
      entry.considered = said->second;
    const opdef::OpDef* op = environment.ops.find(node->op);
    if (!op) return unsupported(cat("no operator is named '", node->op, "'"));
    for (const ir::Value* v : node->outputs)
      for (const Dim& d : v->type.shape)
        for (const std::string& s : d.symbols())
          if (!known.count(s)) {
            entry.binds_symbols = true;
            known.insert(s);
          }
    if (has_known_content(*node) && !entry.binds_symbols &&
        std::all_of(node->outputs.begin(), node->outputs.end(), [&](const ir::Value* v) {
          return std::all_of(v->content->begin(), v->content->end(),
                             [&](const Dim& d) { return is_symbol_known(d, known); });
        })) {
      entry.kind = NodeKind::kContent;
      entry.problem = content_problem(*node);
    } else {
      auto problem = opdef::make_problem(environment.ops, *node);
      if (!problem.ok()) return problem.status().at(opdef::describe_node(*node));
      entry.problem = std::move(problem).value();
      if (!entry.binds_symbols && !options.reference_only) {
        if ((op->is_view && node->inputs[0]) || (device.kind != "cpu" && moved_channels(*node)))
          entry.kind = NodeKind::kView;
        else if (node->op == "Concat" && device.kind == "cpu") entry.kind = NodeKind::kConcat;
        else if (auto info = slice_info(*node);
                 info && (device.kind == "cpu" || is_aligned_part(*node, *info))) {
          entry.kind = NodeKind::kSlice;
          entry.slice = std::move(*info);
        }
      }
    }
    auto concrete = lowered.at_opt(entry.problem);
    entry.impossible =
        !concrete || (entry.kind == NodeKind::kCompute && !entry.binds_symbols &&
                      !agrees(environment.ops, *entry.node, *concrete, lowered.lookup()));
    entry.concrete = concrete ? std::move(*concrete) : entry.problem;
    if (entry.kind != NodeKind::kContent)  // whose problem has none of the node's operands
      entry.elsewhere = lowered.elsewhere(environment.ops, *node, entry.problem);
    entry.largest = lowered.largest(entry.problem);
    lowered.index[node.get()] = int(lowered.nodes.size());
    lowered.nodes.push_back(std::move(entry));
  }
  return lowered;
}

}  // namespace planish::compiler
