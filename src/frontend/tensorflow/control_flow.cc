// Branches: If and Case functions, and the Switch and Merge pairs of TF1. A condition that is known
// takes its branch alone; an unknown one becomes an If with two bodies, or, for Switch and Merge,
// a choice between two results that are both computed (nothing here has effects).
#include "base/quote.h"
#include "base/text.h"
#include "frontend/tensorflow/graph_importer.h"

namespace planish::frontend::tensorflow {

std::optional<bool> GraphImporter::known_bool(const Binding& binding) const {
  if (binding.kind != Binding::Kind::kValue) return std::nullopt;
  const ir::Value& value = *binding.value;
  if (value.constant && value.constant->count() == 1) return value.constant->f64(0) != 0;
  if (value.content && value.content->size() == 1 && (*value.content)[0].is_constant())
    return (*value.content)[0].value() != 0;
  return std::nullopt;
}

void GraphImporter::declare_symbols(const ir::TensorType& type, const ir::Graph& from,
                                    ir::Graph& to) const {
  for (const ir::Dim& dim : type.shape)
    for (const std::string& symbol : dim.symbols()) {
      const auto found = from.symbols.find(symbol);
      to.symbols.emplace(symbol, found == from.symbols.end() ? ir::SymbolInfo{} : found->second);
    }
}

Result<GraphImporter::Bindings> GraphImporter::arguments(Scope& scope, int node) {
  Bindings out;
  for (const Ref& ref : scope.source->inputs(node)) {
    if (ref.is_control) continue;
    PLANISH_ASSIGN_OR_RETURN(Binding one, binding(scope, ref));
    out.push_back(std::move(one));
  }
  return out;
}

// The binding as a body sees it: a constant's copy, or a further input.
Result<Binding> GraphImporter::into_body(ir::Graph& outer, ir::Graph& body, const Binding& binding,
                                         std::vector<ir::Value*>& captured) {
  Binding out = binding;
  if (binding.kind == Binding::Kind::kList) {
    PLANISH_ASSIGN_OR_RETURN(ir::Value * all, dense(outer, *binding.list));
    PLANISH_ASSIGN_OR_RETURN(const Binding inner,
                             into_body(outer, body, Binding::of(all), captured));
    return list_of(body, inner.value, binding.list.get());
  }
  if (binding.kind != Binding::Kind::kValue) return out;
  ir::Value* value = binding.value;
  if (value->is_constant()) {
    out.value = body.add_constant(body.unique_name(value->name), *value->constant);
    return out;
  }
  declare_symbols(value->type, outer, body);
  out.value = body.add_input(body.unique_name(value->name), value->type);
  if (value->content) {
    declare_symbols({ir::DataType::kI64, *value->content}, outer, body);
    out.value->content = value->content;
  }
  captured.push_back(value);
  return out;
}

Result<ir::GraphPtr> GraphImporter::import_branch(Scope& scope, const Source& function,
                                                  const Bindings& args,
                                                  std::vector<ir::Value*>& captured,
                                                  bool& refused) {
  return import_branch(scope, args, captured, refused, [&](Scope& inner, const Bindings& given) {
    return call(inner, function, given, "");
  });
}

Result<ir::GraphPtr> GraphImporter::import_branch(Scope& scope, const Bindings& args,
                                                  std::vector<ir::Value*>& captured,
                                                  bool& refused, const Fill& fill) {
  if (body_depth_ >= options_.limits.max_nesting)
    return resource_exhausted(cat("graphs are nested deeper than the limit max_nesting (",
                                  options_.limits.max_nesting, ")"));
  auto graph = std::make_shared<ir::Graph>();
  bodies_.push_back(graph);
  Scope inner;
  inner.graph = graph.get();
  Bindings given;
  for (const Binding& arg : args) {
    PLANISH_ASSIGN_OR_RETURN(Binding one, into_body(*scope.graph, *graph, arg, captured));
    given.push_back(std::move(one));
  }
  ++body_depth_;
  auto results = fill(inner, std::move(given));
  --body_depth_;
  if (!results.ok()) return results.status();
  for (Binding& result : *results) {
    if (result.kind == Binding::Kind::kList) {
      PLANISH_ASSIGN_OR_RETURN(ir::Value * all, dense(*graph, *result.list));
      result = Binding::of(all);
    }
    refused = refused || result.kind != Binding::Kind::kValue;
    graph->outputs.push_back(result.value);
  }
  return graph;
}

Status GraphImporter::import_if(Scope& scope, int node) {
  const NodeDesc& desc = scope.source->node(node);
  PLANISH_ASSIGN_OR_RETURN(Bindings args, arguments(scope, node));
  if (args.empty()) return invalid_argument("it has no condition");
  const Binding condition = args[0];
  args.erase(args.begin());
  if (condition.kind == Binding::Kind::kRefused) return refuse_outputs(scope, node), ok_status();
  if (condition.kind != Binding::Kind::kValue) return unsupported("its condition is no tensor");
  PLANISH_ASSIGN_OR_RETURN(const Source* then_branch, function_of(desc, "then_branch"));
  PLANISH_ASSIGN_OR_RETURN(const Source* else_branch, function_of(desc, "else_branch"));
  if (const std::optional<bool> known = known_bool(condition)) {
    PLANISH_ASSIGN_OR_RETURN(
        Bindings out, call(scope, *known ? *then_branch : *else_branch, args, scope.prefix));
    set_outputs(scope, node, std::move(out));
    return ok_status();
  }
  const std::string source = source_name(scope, desc);
  opdef::ImportContext context = this->context(scope, source);
  ir::Value* flag = condition.value;
  if (flag->type.dtype != ir::DataType::kBool) {
    PLANISH_ASSIGN_OR_RETURN(flag, context.add1("Cast", {flag}, {{"to", ir::DataType::kBool}}));
  }
  bool refused = false;
  std::vector<ir::Value*> inputs = {flag};
  PLANISH_ASSIGN_OR_RETURN(ir::GraphPtr first,
                           import_branch(scope, *then_branch, args, inputs, refused));
  PLANISH_ASSIGN_OR_RETURN(ir::GraphPtr second,
                           import_branch(scope, *else_branch, args, inputs, refused));
  if (refused && !refusals_.empty()) return refuse_outputs(scope, node), ok_status();
  if (refused) return unsupported("a branch gives something that is no tensor of numbers");
  const int count = int(first->outputs.size());
  PLANISH_ASSIGN_OR_RETURN(
      const std::vector<ir::Value*> outputs,
      context.add("If", std::move(inputs), {{"then_branch", first}, {"else_branch", second}}, count));
  Bindings out;
  for (ir::Value* value : outputs) {
    give_name(*scope.graph, value, source);
    out.push_back(Binding::of(value));
  }
  set_outputs(scope, node, std::move(out));
  return ok_status();
}

// The last branch stands for every index outside of the list.
Status GraphImporter::import_case(Scope& scope, int node) {
  const NodeDesc& desc = scope.source->node(node);
  PLANISH_ASSIGN_OR_RETURN(Bindings args, arguments(scope, node));
  const AttrDesc* branches = desc.attr("branches");
  if (args.empty() || !branches || branches->functions.empty())
    return invalid_argument("it has no index or no branches");
  const Binding index = args[0];
  args.erase(args.begin());
  if (index.kind == Binding::Kind::kRefused) return refuse_outputs(scope, node), ok_status();
  if (index.kind != Binding::Kind::kValue) return unsupported("its index is no tensor");
  std::vector<const Source*> functions;
  for (const auto& branch : branches->functions) {
    const auto found = functions_.find(branch.name);
    if (found == functions_.end()) return invalid_argument("a branch is not in the library");
    functions.push_back(found->second);
  }
  Bindings out;
  if (index.value->constant) {
    const size_t chosen = std::min(size_t(index.value->constant->i64(0)), functions.size() - 1);
    PLANISH_ASSIGN_OR_RETURN(out, call(scope, *functions[chosen], args, scope.prefix));
  } else {
    args.insert(args.begin(), index);
    const std::string source = source_name(scope, desc);
    PLANISH_ASSIGN_OR_RETURN(out, import_branches(scope, functions, args, source));
    if (out.empty() && refusals_.empty())
      return unsupported("a branch gives something that is no tensor of numbers");
    if (out.empty()) return refuse_outputs(scope, node), ok_status();
    for (const Binding& one : out) give_name(*scope.graph, one.value, source);
  }
  set_outputs(scope, node, std::move(out));
  return ok_status();
}

// An If that asks for the first branch and holds the others; `args` begin with the index. Nothing when a
// branch is refused.
Result<GraphImporter::Bindings> GraphImporter::import_branches(
    Scope& scope, std::span<const Source* const> functions, const Bindings& args,
    const std::string& name) {
  if (functions.size() == 1)
    return call(scope, *functions[0], {args.begin() + 1, args.end()}, scope.prefix);
  opdef::ImportContext context = this->context(scope, name);
  ir::Tensor first_index(args[0].value->type.dtype, {});
  first_index.set_i64(0, 0);
  PLANISH_ASSIGN_OR_RETURN(
      ir::Value * flag, context.add1("Equal", {args[0].value, context.constant(std::move(first_index))}));
  std::vector<ir::Value*> inputs = {flag};
  bool refused = false;
  PLANISH_ASSIGN_OR_RETURN(
      ir::GraphPtr first,
      import_branch(scope, *functions[0], {args.begin() + 1, args.end()}, inputs, refused));
  if (refused) return Bindings();
  PLANISH_ASSIGN_OR_RETURN(
      ir::GraphPtr rest,
      import_branch(scope, args, inputs, refused, [&](Scope& inner, Bindings given) -> Result<Bindings> {
        opdef::ImportContext inside = this->context(inner, name);
        ir::Tensor one(given[0].value->type.dtype, {});
        one.set_i64(0, 1);
        PLANISH_ASSIGN_OR_RETURN(given[0].value,
                                 inside.add1("Sub", {given[0].value, inside.constant(std::move(one))}));
        return import_branches(inner, functions.subspan(1), given, name);
      }));
  if (refused) return Bindings();
  if (rest->outputs.size() != first->outputs.size()) return Bindings();
  const int count = int(first->outputs.size());
  PLANISH_ASSIGN_OR_RETURN(
      const std::vector<ir::Value*> outputs,
      context.add("If", std::move(inputs), {{"then_branch", first}, {"else_branch", rest}}, count));
  Bindings out;
  for (ir::Value* value : outputs) out.push_back(Binding::of(value));
  return out;
}

Status GraphImporter::import_switch(Scope& scope, int node) {
  PLANISH_ASSIGN_OR_RETURN(const Bindings inputs, arguments(scope, node));
  if (inputs.size() != 2) return invalid_argument("expected a value and a condition");
  Bindings out = {inputs[0], inputs[0]};
  if (const std::optional<bool> known = known_bool(inputs[1])) {
    Binding dead;
    dead.kind = Binding::Kind::kDead;
    out[*known ? 0 : 1] = dead;
  }
  set_outputs(scope, node, std::move(out));
  return ok_status();
}

namespace {

// Conditions of the Switch nodes that a Merge's input comes through, with the ports taken as bits.
using Ports = std::map<std::pair<int, int>, int>;

Ports ports_behind(const Source& source, Ref from) {
  Ports out;
  std::unordered_set<int> seen;
  std::vector<Ref> stack = {from};
  while (!stack.empty()) {
    const Ref ref = stack.back();
    stack.pop_back();
    if (ref.node < 0) continue;
    const std::string_view op = source.node(ref.node).op;
    const bool is_switch = op == "Switch" || op == "RefSwitch";
    if (is_switch && !ref.is_control && source.inputs(ref.node).size() >= 2) {
      const Ref& predicate = source.inputs(ref.node)[1];
      out[{predicate.node, predicate.port}] |= 1 << (ref.port ? 1 : 0);
    }
    if (!seen.insert(ref.node).second) continue;
    for (const Ref& input : source.inputs(ref.node)) {
      // What an iteration handed on came through branches of its own.
      const std::string_view from_op = input.node < 0 ? "" : source.node(input.node).op;
      if (from_op != "NextIteration" && from_op != "RefNextIteration") stack.push_back(input);
    }
  }
  return out;
}

}  // namespace

// The condition whose sides meet in a Merge: one input comes through its Switches' false ports alone,
// the other through the true ones.
std::optional<GraphImporter::Guard> GraphImporter::guard_of(const Scope& scope, int merge) const {
  const Source& source = *scope.source;
  std::vector<Ref> inputs;
  for (const Ref& ref : source.inputs(merge))
    if (!ref.is_control) inputs.push_back(ref);
  if (inputs.size() != 2) return std::nullopt;
  const Ports first = ports_behind(source, inputs[0]), second = ports_behind(source, inputs[1]);
  for (const auto& [predicate, ports] : first) {
    const auto other = second.find(predicate);
    if (other == second.end() || ports == 3 || ports + other->second != 3) continue;
    Guard guard;
    guard.predicate = Ref{predicate.first, predicate.second, {}, false};
    guard.true_input = ports == 2 ? 0 : 1;
    return guard;
  }
  return std::nullopt;
}

Status GraphImporter::import_merge(Scope& scope, int node) {
  const std::optional<Guard> guard = guard_of(scope, node);
  const auto& inputs = scope.source->inputs(node);
  const auto finish = [&](Binding out, ir::Value* place) {
    Bindings outputs = {std::move(out)};
    if (place) outputs.push_back(Binding::of(place));
    set_outputs(scope, node, std::move(outputs));
    return ok_status();
  };
  const auto index = [&](int64_t value) {
    ir::Tensor tensor(ir::DataType::kI32, {});
    tensor.set_i64(0, value);
    return scope.graph->add_constant(scope.graph->unique_name("branch"), std::move(tensor));
  };
  if (!guard) return unsupported("the condition that its inputs depend on is not found");
  PLANISH_ASSIGN_OR_RETURN(const Binding condition, binding(scope, guard->predicate));
  if (const std::optional<bool> known = known_bool(condition)) {
    const int chosen = *known ? guard->true_input : 1 - guard->true_input;
    PLANISH_ASSIGN_OR_RETURN(Binding out, binding(scope, inputs[size_t(chosen)]));
    return finish(std::move(out), scope.source->port_count(node) > 1 ? index(chosen) : nullptr);
  }
  PLANISH_ASSIGN_OR_RETURN(const Binding yes, binding(scope, inputs[size_t(guard->true_input)]));
  PLANISH_ASSIGN_OR_RETURN(const Binding no, binding(scope, inputs[size_t(1 - guard->true_input)]));
  for (const Binding& one : {condition, yes, no}) {
    if (one.kind == Binding::Kind::kRefused) return refuse_outputs(scope, node), ok_status();
    if (one.kind != Binding::Kind::kValue) return unsupported("it merges something that is no tensor");
  }
  if (yes.value->type.shape != no.value->type.shape)
    return unsupported(cat("its branches give ", ir::to_string(yes.value->type), " and ",
                           ir::to_string(no.value->type), ", expected one shape"));
  const std::string source = source_name(scope, scope.source->node(node));
  opdef::ImportContext context = this->context(scope, source);
  PLANISH_ASSIGN_OR_RETURN(ir::Value * out,
                           context.add1("Where", {condition.value, yes.value, no.value}));
  give_name(*scope.graph, out, source);
  ir::Value* place = nullptr;
  if (scope.source->port_count(node) > 1) {
    PLANISH_ASSIGN_OR_RETURN(place, context.add1("Where", {condition.value, index(guard->true_input),
                                                           index(1 - guard->true_input)}));
  }
  return finish(Binding::of(out), place);
}

}  // namespace planish::frontend::tensorflow
