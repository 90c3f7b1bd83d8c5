// Bodies of If, Loop and Scan become programs of their own, chosen and emitted as the network's is: the
// passes have been over them already. A body that cannot be compiled leaves its step to the reference
// code, which interprets it.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/text.h"
#include "compiler/lowering.h"
#include "kernel/control_kernel.h"
#include "opdef/infer.h"

namespace planish::compiler {
namespace {

using nlohmann::json;
using Symbols = std::map<std::string, int64_t, std::less<>>;

const kernel::KernelDef* control_kernel(const LoweredNode& entry, const Environment& environment) {
  const kernel::DeviceInfo& host =
      environment.host ? environment.host->info() : environment.device.info();
  if (entry.problem.stages.size() != 1 || entry.problem.stages[0].op != entry.node->op)
    return nullptr;  // a region
  for (const auto& kernel : environment.kernels.all())
    if (dynamic_cast<const kernel::ControlKernel*>(kernel.get()) &&
        supports(*kernel, entry.concrete, entry.elsewhere, host).ok())
      return kernel.get();
  return nullptr;
}

// The inputs' dims must decide every symbol, since the body is bound by its inputs alone: expressions
// over symbols that no input has as a dim become symbols of their own. What data decided outside is
// given here.
void free_inputs(ir::Graph& body) {
  std::set<std::string> plain;
  for (const ir::Value* input : body.inputs)
    for (const ir::Dim& dim : input->type.shape)
      if (const std::string symbol = dim.symbol_name(); !symbol.empty()) plain.insert(symbol);
  for (ir::Value* input : body.inputs)
    for (ir::Dim& dim : input->type.shape) {
      const auto symbols = dim.symbols();
      const bool decided = std::all_of(symbols.begin(), symbols.end(), [&](const std::string& s) {
        return plain.count(s) > 0;
      });
      if (!decided) dim = body.new_symbol("size", {.low = 0, .high = {}, .from_data = false,
                                                   .upper_bound = {}});
    }
  for (const std::string& symbol : plain) {
    ir::SymbolInfo& info = body.symbols[symbol];
    info.from_data = false;
    info.upper_bound.reset();
  }
}

// The body's inputs under a binding of the outer graph; inputs whose dims it does not tell are left out.
std::map<std::string, std::vector<int64_t>> dims_under(const ir::Graph& outer_typed,
                                                       const Symbols& binding) {
  std::map<std::string, std::vector<int64_t>> out;
  for (const ir::Value* input : outer_typed.inputs) {
    std::vector<int64_t> dims;
    for (const ir::Dim& dim : input->type.shape) {
      const auto value = dim.evaluate([&](std::string_view name) -> std::optional<int64_t> {
        const auto found = binding.find(name);
        return found == binding.end() ? std::nullopt : std::optional<int64_t>(found->second);
      });
      if (!value || *value < 0) break;
      dims.push_back(*value);
    }
    if (dims.size() == input->type.shape.size() && !ir::is_constant(input->type.shape))
      out[input->name] = std::move(dims);
  }
  return out;
}

std::vector<Profile> profiles_of(const ir::Graph& body, const Lowered& outer) {
  Profile profile;
  profile.opt = dims_under(body, outer.opt_binding);
  if (profile.opt.empty()) return {};
  if (outer.max_bindings.empty()) return {profile};
  std::vector<Profile> out;
  for (const Symbols& largest : outer.max_bindings) {
    Profile& one = out.emplace_back(profile);
    for (auto& [input, dims] : dims_under(body, largest)) {
      const auto opt = one.opt.find(input);
      if (opt == one.opt.end()) continue;
      for (size_t d = 0; d < dims.size(); ++d) dims[d] = std::max(dims[d], opt->second[d]);
      one.max[input] = dims;
    }
  }
  return out;
}

// The results are still what the op was told that the body gives.
Status check_results(const ir::Graph& body, const ir::Graph& before) {
  for (size_t i = 0; i < body.outputs.size(); ++i) {
    const ir::TensorType& now = body.outputs[i]->type;
    const ir::TensorType& then = before.outputs[i]->type;
    bool same = now.dtype == then.dtype && now.rank() == then.rank();
    for (int d = 0; same && d < now.rank(); ++d) {
      const auto a = now.shape[size_t(d)].constant(), b = then.shape[size_t(d)].constant();
      same = !a || !b || *a == *b;
    }
    if (!same)
      return unsupported(cat("its result ", i, " is ", ir::to_string(now), ", outside ",
                             ir::to_string(then)));
  }
  return ok_status();
}

// What `decisions` say of one body; "" where they say nothing.
std::string decisions_of(const json& decisions, const std::string& node, const std::string& key) {
  const json* at = &decisions;
  for (const std::string& name : {std::string("bodies"), node, key}) {
    if (!at->is_object() || !at->contains(name)) return "";
    at = &(*at)[name];
  }
  return at->is_object() ? at->dump() : "";
}

Result<CompiledGraph> compile_body(const ir::Graph& body, const Lowered& outer,
                                   const CompileOptions& options, const Environment& environment,
                                   double deadline_us, int depth) {
  auto copy = body.clone();
  CompileOptions inner = options;
  inner.profiles = profiles_of(*copy, outer);
  free_inputs(*copy);
  PLANISH_RETURN_IF_ERROR(opdef::infer_graph(environment.ops, *copy));
  PLANISH_RETURN_IF_ERROR(check_results(*copy, body));
  PLANISH_ASSIGN_OR_RETURN(
      CompiledGraph compiled,
      compile_graph(std::move(copy), inner, environment, deadline_us, depth));
  // A body may give one value twice; nobody asks for its results by name.
  for (size_t i = 0; i < compiled.program.output_names.size(); ++i)
    compiled.program.output_names[i] = cat("result ", i);
  PLANISH_RETURN_IF_ERROR(plan::verify(compiled.program));
  return compiled;
}

// Elements of constants that may decide types: ops look into no larger ones.
constexpr int64_t kTellingElements = 256;

}  // namespace

ir::GraphPtr signature_of(const ir::Graph& body) {
  std::unique_ptr<ir::Graph> out = body.clone();
  std::vector<ir::Value*> weights;
  for (const auto& [id, value] : out->values())
    if (value->constant && value->constant->count() > kTellingElements)
      weights.push_back(value.get());
  ir::Node* first = out->nodes().empty() ? nullptr : out->nodes().front().get();
  for (ir::Value* weight : weights) {
    const ir::Tensor zero(weight->type.dtype, {1});
    ir::Value* dims = out->add_constant(
        out->unique_name("dims"), ir::Tensor::vector_i64(ir::to_dims(weight->type.shape)));
    ir::Node* node =
        out->add_node("ConstantOfShape", {dims}, {{"value", zero}}, {weight->type}, first);
    out->replace_uses(weight, node->outputs[0]);
    out->erase_value(weight);
  }
  for (const auto& node : out->nodes())
    for (auto& [key, attribute] : node->attrs)
      if (auto* inner = std::get_if<ir::GraphPtr>(&attribute)) *inner = signature_of(**inner);
  return out;
}

Status compile_bodies(Lowered& lowered, const CompileOptions& options,
                      const Environment& environment, double deadline_us, int depth) {
  if (options.reference_only || depth >= plan::kMaxBodyDepth) return ok_status();
  const json decisions = json::parse(options.decisions, nullptr, /*allow_exceptions=*/false);
  // Bodies of steps on the host are the host's.
  const Environment host{environment.ops,   environment.kernels,
                         environment.host ? *environment.host : environment.device,
                         environment.times, nullptr, environment.workspaces};
  for (LoweredNode& entry : lowered.nodes) {
    if (entry.kind != NodeKind::kCompute || entry.impossible) continue;
    const kernel::KernelDef* control = control_kernel(entry, environment);
    if (!control) continue;
    for (const auto& [key, attribute] : entry.node->attrs) {
      const auto* body = std::get_if<ir::GraphPtr>(&attribute);
      if (!body) continue;
      CompileOptions inner = options;
      inner.decisions = decisions_of(decisions, node_key(*entry.node), key);
      auto compiled = compile_body(**body, lowered, inner, host, deadline_us, depth + 1);
      if (compiled.ok()) {
        entry.bodies.push_back({key, std::make_shared<plan::Program>(std::move(compiled->program)),
                                std::move(compiled->decisions)});
        continue;
      }
      const Code code = compiled.status().code();
      // What was asked for and cannot be had is said, not worked around.
      const bool asked = (options.max_workspace >= 0 && code == Code::kResourceExhausted) ||
                         (!inner.decisions.empty() && code == Code::kInvalidArgument);
      const Status status =
          compiled.status().at(cat(opdef::describe_node(*entry.node), ", ", key));
      if (asked || code == Code::kCancelled) return status;
      entry.considered.push_back({control->name(), "", 0, -1, status.message()});
      entry.bodies.clear();
      break;
    }
    if (!entry.bodies.empty()) entry.control = control;
  }
  return ok_status();
}

}  // namespace planish::compiler
