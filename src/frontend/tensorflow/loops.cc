// Loops: While functions of TF2 and the frames of TF1. A loop whose condition is known in every
// iteration is unrolled, up to a limit, so that recurrent layers over a known number of steps become
// plain operators; others become a Loop with a body.
#include "base/quote.h"
#include "base/text.h"
#include "frontend/tensorflow/graph_importer.h"

namespace planish::frontend::tensorflow {
namespace {

constexpr int kMaxUnrolled = 128;
constexpr int kMaxUnrolledNodes = 20000;

// Through Identity nodes to the tensor that is handed on.
Ref handed_on(const Source& source, Ref ref) {
  for (int steps = 0; steps < 16 && ref.node >= 0; ++steps) {
    const std::string_view op = source.node(ref.node).op;
    if (op != "Identity" || source.inputs(ref.node).empty()) break;
    ref = source.inputs(ref.node)[0];
  }
  return ref;
}

}  // namespace

struct GraphImporter::LoopBody {
  ir::GraphPtr graph;
  std::vector<ir::Value*> captured;
  bool refused = false;
};

Status GraphImporter::import_while(Scope& scope, int node) {
  const NodeDesc& desc = scope.source->node(node);
  PLANISH_ASSIGN_OR_RETURN(const Source* condition, function_of(desc, "cond"));
  PLANISH_ASSIGN_OR_RETURN(const Source* body, function_of(desc, "body"));
  Loop loop;
  loop.name = source_name(scope, desc);
  PLANISH_ASSIGN_OR_RETURN(loop.initial, arguments(scope, node));
  const FunctionDesc& function = *body->function();
  if (function.inputs.size() != loop.initial.size() || function.outputs.size() != loop.initial.size())
    return invalid_argument(cat("its body takes ", function.inputs.size(), " and returns ",
                                function.outputs.size(), " values, expected ",
                                loop.initial.size()));
  for (size_t i = 0; i < loop.initial.size(); ++i) {
    const auto returned = function.returns.find(function.outputs[i].name);
    if (returned == function.returns.end())
      return invalid_argument(cat("its body does not return ", quoted(function.outputs[i].name)));
    PLANISH_ASSIGN_OR_RETURN(Ref ref, body->parse(returned->second));
    ref = handed_on(*body, ref);
    loop.is_invariant.push_back(ref.node < 0 && ref.arg == function.inputs[i].name);
  }
  loop.condition = [&](ir::Graph& graph, const Bindings& values) -> Result<Binding> {
    Scope inner;
    inner.graph = &graph;
    PLANISH_ASSIGN_OR_RETURN(const Bindings out, call(inner, *condition, values, scope.prefix));
    if (out.empty()) return invalid_argument("its condition returns nothing");
    return out[0];
  };
  loop.body = [&](ir::Graph& graph, const Bindings& values) {
    Scope inner;
    inner.graph = &graph;
    return call(inner, *body, values, scope.prefix);
  };
  PLANISH_ASSIGN_OR_RETURN(Bindings out, import_loop(*scope.graph, loop));
  set_outputs(scope, node, std::move(out));
  return ok_status();
}

Status GraphImporter::import_frame(Scope& scope, const Frame& frame) {
  const Source& source = *scope.source;
  Loop loop;
  loop.name = source_name(scope, source.node(frame.condition));
  std::vector<int> enters;
  for (const Frame::Variable& variable : frame.variables) enters.push_back(variable.enter);
  enters.insert(enters.end(), frame.invariants.begin(), frame.invariants.end());
  for (size_t i = 0; i < enters.size(); ++i) {
    if (source.inputs(enters[i]).empty()) return invalid_argument("an Enter reads nothing");
    PLANISH_ASSIGN_OR_RETURN(Binding one, binding(scope, source.inputs(enters[i])[0]));
    loop.initial.push_back(std::move(one));
    bool is_invariant = i >= frame.variables.size();
    if (!is_invariant) {
      const Frame::Variable& variable = frame.variables[i];
      if (source.inputs(variable.next_iteration).empty())
        return invalid_argument("a NextIteration reads nothing");
      const Ref next = handed_on(source, source.inputs(variable.next_iteration)[0]);
      is_invariant = next.node == variable.loop_switch && next.port == 1;
    }
    loop.is_invariant.push_back(is_invariant);
  }
  const auto inside = [&](ir::Graph& graph, const Bindings& values) {
    Scope inner;
    inner.source = &source;
    inner.graph = &graph;
    inner.prefix = scope.prefix;
    for (size_t i = 0; i < enters.size(); ++i) {
      inner.done[enters[i]] = {values[i]};
      if (i >= frame.variables.size()) continue;
      inner.done[frame.variables[i].merge] = {values[i], Binding()};
      inner.done[frame.variables[i].loop_switch] = {values[i], values[i]};
    }
    return inner;
  };
  loop.condition = [&](ir::Graph& graph, const Bindings& values) -> Result<Binding> {
    Scope inner = inside(graph, values);
    PLANISH_ASSIGN_OR_RETURN(const Bindings out, require(inner, {source.inputs(frame.condition)[0]}));
    return out[0];
  };
  loop.body = [&](ir::Graph& graph, const Bindings& values) -> Result<Bindings> {
    Scope inner = inside(graph, values);
    std::vector<Ref> refs;
    for (const Frame::Variable& variable : frame.variables)
      refs.push_back(source.inputs(variable.next_iteration)[0]);
    PLANISH_ASSIGN_OR_RETURN(Bindings out, require(inner, refs));
    out.insert(out.end(), values.begin() + std::ptrdiff_t(frame.variables.size()), values.end());
    return out;
  };
  PLANISH_ASSIGN_OR_RETURN(const Bindings out, import_loop(*scope.graph, loop));
  for (size_t i = 0; i < frame.variables.size(); ++i)
    if (frame.variables[i].exit >= 0) set_outputs(scope, frame.variables[i].exit, {out[i]});
  return ok_status();
}

Result<GraphImporter::Bindings> GraphImporter::import_loop(ir::Graph& graph, Loop& loop) {
  for (const Binding& one : loop.initial)
    if (one.kind == Binding::Kind::kRefused)
      return Bindings(loop.initial.size(), Binding::refused());
  if (body_depth_ >= options_.limits.max_nesting)
    return resource_exhausted(cat("graphs are nested deeper than the limit max_nesting (",
                                  options_.limits.max_nesting, ")"));
  PLANISH_ASSIGN_OR_RETURN(std::optional<Bindings> unrolled, unroll(graph, loop));
  if (unrolled) return std::move(*unrolled);
  PLANISH_RETURN_IF_ERROR(find_elements(graph, loop));
  // Lists are carried whole.
  for (Binding& one : loop.initial) {
    if (one.kind != Binding::Kind::kList) continue;
    PLANISH_ASSIGN_OR_RETURN(ir::Value * all, dense(graph, *one.list));
    PLANISH_ASSIGN_OR_RETURN(one, list_of(graph, all, one.list.get()));
  }
  PLANISH_ASSIGN_OR_RETURN(const Binding condition, loop.condition(graph, loop.initial));
  if (condition.kind == Binding::Kind::kRefused)
    return Bindings(loop.initial.size(), Binding::refused());
  if (condition.kind != Binding::Kind::kValue) return unsupported("its condition is no tensor");
  return add_loop(graph, loop, condition.value);
}

// Nullopt: an iteration's condition is not known, or there are too many.
Result<std::optional<GraphImporter::Bindings>> GraphImporter::unroll(ir::Graph& graph,
                                                                     const Loop& loop) {
  Bindings values = loop.initial;
  const int nodes = graph.node_count();
  for (int iteration = 0;; ++iteration) {
    PLANISH_ASSIGN_OR_RETURN(const Binding condition, loop.condition(graph, values));
    if (condition.kind == Binding::Kind::kRefused)
      return std::optional(Bindings(values.size(), Binding::refused()));
    const std::optional<bool> known = known_bool(condition);
    if (known && !*known) return std::optional(std::move(values));
    if (!known || iteration >= kMaxUnrolled || graph.node_count() - nodes > kMaxUnrolledNodes)
      return std::optional<Bindings>();
    PLANISH_ASSIGN_OR_RETURN(Bindings next, loop.body(graph, values));
    for (size_t i = 0; i < next.size(); ++i) {
      if (loop.is_invariant[i]) continue;
      if (next[i].kind == Binding::Kind::kRefused)
        return std::optional(Bindings(values.size(), Binding::refused()));
      values[i] = next[i];
    }
  }
}

// What the elements of lists look like that the loop itself fills first: the body is tried once.
Status GraphImporter::find_elements(ir::Graph& graph, Loop& loop) {
  bool is_needed = false;
  for (const Binding& one : loop.initial)
    is_needed = is_needed || (one.kind == Binding::Kind::kList && !one.list->element);
  if (!is_needed) return ok_status();
  auto trial = std::make_shared<ir::Graph>();
  bodies_.push_back(trial);
  std::vector<ir::Value*> captured;
  Bindings values;
  for (const Binding& one : loop.initial) {
    Binding inner = one;
    if (one.kind == Binding::Kind::kList && !one.list->element) {
      inner.list = std::make_shared<ListDesc>(*one.list);
      inner.list->length = nullptr;
    } else {
      PLANISH_ASSIGN_OR_RETURN(inner, into_body(graph, *trial, one, captured));
      // Constants that the loop changes must not look like constants.
      if (inner.kind == Binding::Kind::kValue && inner.value->is_constant() &&
          !loop.is_invariant[values.size()])
        inner.value = trial->add_input(trial->unique_name("carried"), inner.value->type);
    }
    values.push_back(std::move(inner));
  }
  ++body_depth_;
  const auto results = loop.body(*trial, values);
  --body_depth_;
  if (!results.ok()) return results.status();
  for (size_t i = 0; i < loop.initial.size(); ++i) {
    const Binding& before = loop.initial[i];
    if (before.kind != Binding::Kind::kList || before.list->element) continue;
    if ((*results)[i].kind != Binding::Kind::kList || !(*results)[i].list->element)
      return unsupported("the loop carries a list whose elements' shape is not known");
    auto list = std::make_shared<ListDesc>(*before.list);
    list->element = (*results)[i].list->element;
    loop.initial[i].list = std::move(list);
  }
  return ok_status();
}

Result<GraphImporter::LoopBody> GraphImporter::import_body(ir::Graph& graph, const Loop& loop,
                                                           const std::vector<ir::TensorType>& types,
                                                           const std::set<std::string>& symbols) {
  LoopBody body;
  body.graph = std::make_shared<ir::Graph>();
  bodies_.push_back(body.graph);
  ir::Graph& inner = *body.graph;
  for (const std::string& symbol : symbols) inner.symbols[symbol].low = 0;
  inner.add_input("iteration", {ir::DataType::kI64, {}});
  inner.add_input("condition", {ir::DataType::kBool, {}});
  Bindings values = loop.initial;
  for (size_t i = 0; i < values.size(); ++i) {
    if (loop.is_invariant[i] || values[i].kind == Binding::Kind::kVariable) continue;
    declare_symbols(types[i], graph, inner);
    ir::Value* input = inner.add_input(inner.unique_name(cat("carried_", i)), types[i]);
    if (values[i].kind == Binding::Kind::kList) {
      PLANISH_ASSIGN_OR_RETURN(values[i], list_of(inner, input, values[i].list.get()));
    } else {
      values[i] = Binding::of(input);
    }
  }
  for (size_t i = 0; i < values.size(); ++i) {
    if (!loop.is_invariant[i]) continue;
    PLANISH_ASSIGN_OR_RETURN(values[i], into_body(graph, inner, loop.initial[i], body.captured));
  }
  ++body_depth_;
  auto results = loop.body(inner, values);
  Result<Binding> condition = results.ok() ? Result<Binding>(Binding()) : results.status();
  if (results.ok()) {
    for (size_t i = 0; i < values.size(); ++i)
      if (loop.is_invariant[i]) (*results)[i] = values[i];
    condition = loop.condition(inner, *results);
  }
  --body_depth_;
  if (!results.ok()) return results.status();
  if (!condition.ok()) return condition.status();
  results->insert(results->begin(), *condition);
  for (size_t i = 0; i < results->size(); ++i) {
    Binding one = (*results)[i];
    if (i > 0 && (loop.is_invariant[i - 1] || one.kind == Binding::Kind::kVariable)) continue;
    if (one.kind == Binding::Kind::kList) {
      PLANISH_ASSIGN_OR_RETURN(ir::Value * all, dense(inner, *one.list));
      one = Binding::of(all);
    }
    if (one.kind == Binding::Kind::kRefused) {
      body.refused = true;
      return body;
    }
    if (one.kind != Binding::Kind::kValue)
      return unsupported("the loop carries something that is no tensor of numbers");
    // An output of its own, also where the body hands an input or a constant on.
    opdef::ImportContext context(registry_, inner, loop.name, 1);
    PLANISH_ASSIGN_OR_RETURN(ir::Value * value, context.add1("Identity", {one.value}));
    inner.outputs.push_back(value);
  }
  return body;
}

Result<GraphImporter::Bindings> GraphImporter::add_loop(ir::Graph& graph, const Loop& loop,
                                                        ir::Value* condition) {
  std::vector<ir::TensorType> types(loop.initial.size());
  std::vector<size_t> carried;
  std::vector<ir::Value*> inputs = {nullptr, condition};
  for (size_t i = 0; i < loop.initial.size(); ++i) {
    const Binding& one = loop.initial[i];
    if (loop.is_invariant[i] || one.kind == Binding::Kind::kVariable) continue;
    if (one.kind != Binding::Kind::kValue && one.kind != Binding::Kind::kList)
      return unsupported("the loop carries something that is no tensor of numbers");
    ir::Value* value = one.kind == Binding::Kind::kList ? one.list->dense : one.value;
    types[i] = value->type;
    carried.push_back(i);
    inputs.push_back(value);
  }
  // Dims that the body does not hand back unchanged become symbols; every round but the last makes
  // at least one.
  std::set<std::string> symbols;
  for (int round = 0;; ++round) {
    if (round == 16) return invalid_argument("the shapes that the loop carries do not settle");
    PLANISH_ASSIGN_OR_RETURN(LoopBody body, import_body(graph, loop, types, symbols));
    if (body.refused) return Bindings(loop.initial.size(), Binding::refused());
    bool is_settled = true;
    for (size_t k = 0; k < carried.size(); ++k) {
      ir::TensorType& before = types[carried[k]];
      const ir::TensorType& after = body.graph->outputs[k + 1]->type;
      if (before.dtype != after.dtype || before.rank() != after.rank())
        return unsupported(cat("a value enters an iteration as ", ir::to_string(before),
                               " and leaves it as ", ir::to_string(after)));
      for (size_t axis = 0; axis < before.shape.size(); ++axis) {
        if (before.shape[axis] == after.shape[axis]) continue;
        if (symbols.count(before.shape[axis].symbol_name())) continue;
        before.shape[axis] = ir::Dim::symbol(cat("carried_", symbol_count_++));
        symbols.insert(before.shape[axis].symbol_name());
        is_settled = false;
      }
    }
    if (!is_settled) continue;
    opdef::ImportContext context(registry_, graph, loop.name, 1);
    inputs.insert(inputs.end(), body.captured.begin(), body.captured.end());
    PLANISH_ASSIGN_OR_RETURN(
        const std::vector<ir::Value*> outputs,
        context.add("Loop", std::move(inputs),
                    {{"body", body.graph}, {"carried", int64_t(carried.size())}},
                    int(carried.size())));
    Bindings out = loop.initial;
    for (size_t k = 0; k < carried.size(); ++k) {
      if (out[carried[k]].kind == Binding::Kind::kList) {
        PLANISH_ASSIGN_OR_RETURN(out[carried[k]],
                                 list_of(graph, outputs[k], out[carried[k]].list.get()));
      } else {
        out[carried[k]] = Binding::of(outputs[k]);
      }
    }
    return out;
  }
}

}  // namespace planish::frontend::tensorflow
