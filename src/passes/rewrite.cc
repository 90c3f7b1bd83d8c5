#include "passes/rewrite.h"

#include <algorithm>

#include "base/text.h"
#include "opdef/infer.h"

namespace planish::passes {

const Tensor* constant_input(const Node& node, int i) {
  const Value* v = input(node, i);
  return v && v->constant ? &*v->constant : nullptr;
}

std::optional<std::vector<int64_t>> ints_input(const Node& node, int i) {
  const Tensor* t = constant_input(node, i);
  if (!t || ir::is_float(t->dtype()) || t->count() > 4096) return std::nullopt;
  return t->i64_values();
}

std::optional<double> scalar_of(const Value* value) {
  if (!value || !value->constant || value->constant->count() != 1) return std::nullopt;
  return value->constant->f64(0);
}

Node* producer_of(const Value* value, std::string_view op) {
  return value && value->producer && value->producer->op == op ? value->producer : nullptr;
}

int64_t int_attr(const Node& node, std::string_view key, int64_t fallback) {
  return node.has_attr(key) ? node.attr_int(key) : fallback;
}
double float_attr(const Node& node, std::string_view key, double fallback) {
  return node.has_attr(key) ? node.attr_float(key) : fallback;
}
std::string string_attr(const Node& node, std::string_view key, std::string_view fallback) {
  return node.has_attr(key) ? node.attr_string(key) : std::string(fallback);
}
std::vector<int64_t> ints_attr(const Node& node, std::string_view key) {
  return node.has_attr(key) ? node.attr_ints(key) : std::vector<int64_t>();
}

bool is_pinned(const Graph& graph, const Value* value) {
  return value->keep || graph.is_output(value);
}

bool used_once(const Graph& graph, const Value* value) {
  return value->uses.size() == 1 && !is_pinned(graph, value);
}

bool is_elementwise(const PassContext& context, const Node& node) {
  const opdef::OpDef* op = context.op(node);
  return op && op->expression && !op->random && node.outputs.size() == 1 &&
         !node.outputs[0]->content;
}

bool is_single_element(const TensorType& type) {
  return std::all_of(type.shape.begin(), type.shape.end(), [](const Dim& d) { return d == Dim(1); });
}

Result<Node*> add_node(Graph& graph, PassContext& context, std::string name,
                       std::vector<Value*> inputs, Attributes attrs, Node* anchor,
                       int output_count) {
  const opdef::OpDef* op = context.registry.find(name);
  if (!op) return internal_error(cat("no operator is named '", name, "'"));
  opdef::fill_defaults(*op, attrs);
  Node* node = graph.add_node(std::move(name), std::move(inputs), std::move(attrs),
                              std::vector<TensorType>(size_t(output_count)), anchor);
  node->sources = anchor->sources;
  if (Status s = opdef::infer_node(context.registry, *node); !s.ok()) {
    const Status told = s.at(opdef::describe_node(*node));
    graph.erase(node);
    return told;
  }
  return node;
}

Result<Value*> add_op(Graph& graph, PassContext& context, std::string name,
                      std::vector<Value*> inputs, Attributes attrs, Node* anchor) {
  PLANISH_ASSIGN_OR_RETURN(Node * node, add_node(graph, context, std::move(name),
                                                 std::move(inputs), std::move(attrs), anchor));
  return node->outputs[0];
}

Value* add_ints(Graph& graph, const std::vector<int64_t>& values, std::string_view hint) {
  return graph.add_constant(std::string(hint), Tensor::vector_i64(values));
}

Value* add_scalar(Graph& graph, double value, DataType dtype, std::string_view hint) {
  return graph.add_constant(std::string(hint),
                            Tensor::from_f64(dtype, {}, std::span<const double>(&value, 1)));
}

void add_sources(Node& into, const Node& from) {
  // The lists are short (a fused node's origins); order tells how the source ran.
  for (const std::string& name : from.sources)
    if (std::find(into.sources.begin(), into.sources.end(), name) == into.sources.end())
      into.sources.push_back(name);
}

bool can_replace(const Graph& graph, const Value* from, const Value* to) {
  if (!is_pinned(graph, from)) return true;
  return to->producer && !is_pinned(graph, to);
}

void replace(Graph& graph, Value* from, Value* to) {
  if (from == to) return;
  const bool pinned = is_pinned(graph, from);
  PLANISH_CHECK(can_replace(graph, from, to), cat("value '", from->name, "' has to keep its name"));
  // A rewrite may have changed what `to` stands for (a convolution that took in what followed it):
  // its old name would then lie in reports and comparisons.
  if (pinned || (to->producer && !is_pinned(graph, to))) {
    std::string name = from->name;
    graph.rename(from, cat(name, " (replaced)"));
    graph.rename(to, std::move(name));
    to->keep |= from->keep;
    from->keep = false;
  }
  graph.replace_uses(from, to);
}

void erase_unused(Graph& graph, Node* start) {
  std::vector<Node*> open = {start};
  std::set<Node*> queued = {start};
  while (!open.empty()) {
    Node* node = open.back();
    open.pop_back();
    queued.erase(node);
    const bool needed = std::any_of(
        node->outputs.begin(), node->outputs.end(),
        [&](const Value* v) { return !v->uses.empty() || is_pinned(graph, v); });
    if (needed) continue;
    std::vector<Value*> operands = node->inputs;
    std::sort(operands.begin(), operands.end());
    operands.erase(std::unique(operands.begin(), operands.end()), operands.end());
    graph.erase(node);
    for (Value* v : operands) {
      if (!v || !v->uses.empty()) continue;
      if (v->producer) {
        if (queued.insert(v->producer).second) open.push_back(v->producer);
      } else if (v->constant && !is_pinned(graph, v)) {
        graph.erase_value(v);
      }
    }
  }
}

namespace {

// New names for the symbols of `body` that none of its inputs mentions and the graph has, too.
std::map<std::string, Dim, std::less<>> renamed_symbols(Graph& graph, const Graph& body) {
  std::set<std::string> from_outside;
  for (const Value* v : body.inputs)
    for (const Dim& d : v->type.shape)
      for (const std::string& name : d.symbols()) from_outside.insert(name);
  std::map<std::string, Dim, std::less<>> renamed;
  for (const auto& [name, info] : body.symbols)
    if (!from_outside.count(name) && graph.symbols.count(name))
      renamed.emplace(name, graph.new_symbol(name, info));
  return renamed;
}

}  // namespace

Result<std::vector<Node*>> inline_body(Graph& graph, Node* node, const Graph& body,
                                       std::span<Value* const> operands, bool own_symbols) {
  PLANISH_CHECK(body.inputs.size() == operands.size() &&
                    body.outputs.size() == node->outputs.size(),
                cat("body of ", node->op, " does not fit its node"));
  std::map<const Value*, Value*> twin;
  for (size_t i = 0; i < body.inputs.size(); ++i) twin[body.inputs[i]] = operands[i];
  // A pinned output needs a computed value of its own to take its name.
  std::set<const Value*> named;
  for (size_t i = 0; i < body.outputs.size(); ++i) {
    if (!is_pinned(graph, node->outputs[i])) continue;
    if (!body.outputs[i]->producer || !named.insert(body.outputs[i]).second)
      return failed_precondition(
          cat("output '", node->outputs[i]->name, "' would lose its name by inlining"));
  }
  std::map<std::string, Dim, std::less<>> renamed;
  if (own_symbols) renamed = renamed_symbols(graph, body);
  const auto rename = [&](std::string_view name) -> std::optional<Dim> {
    auto found = renamed.find(name);
    return found == renamed.end() ? std::nullopt : std::optional<Dim>(found->second);
  };
  const auto outside = [&](std::vector<Dim>& dims) {
    if (!renamed.empty())
      for (Dim& d : dims) d = d.substitute(rename);
  };
  for (const auto& [name, info] : body.symbols)
    if (!renamed.count(name)) graph.symbols.emplace(name, info);
  for (const auto& [id, v] : body.values())
    if (v->constant && !v->uses.empty()) twin[v.get()] = graph.add_constant(v->name, *v->constant);
  for (const Value* v : body.outputs)
    if (v->constant && !twin.count(v)) twin[v] = graph.add_constant(v->name, *v->constant);
  std::vector<Node*> added;
  for (const auto& inner : body.nodes()) {
    std::vector<Value*> inputs;
    for (const Value* v : inner->inputs) inputs.push_back(v ? twin[v] : nullptr);
    Attributes attrs;
    for (const auto& [key, value] : inner->attrs) attrs[key] = ir::clone(value);
    std::vector<TensorType> types;
    for (const Value* v : inner->outputs) {
      types.push_back(v->type);
      outside(types.back().shape);
    }
    Node* copy = graph.add_node(inner->op, std::move(inputs), std::move(attrs), std::move(types),
                                node);
    copy->sources = inner->sources.empty() ? node->sources : inner->sources;
    for (size_t i = 0; i < inner->outputs.size(); ++i) {
      Value* to = copy->outputs[i];
      twin[inner->outputs[i]] = to;
      to->content = inner->outputs[i]->content;
      if (to->content) outside(*to->content);
      graph.rename(to, inner->outputs[i]->name);
    }
    added.push_back(copy);
  }
  for (size_t i = 0; i < body.outputs.size(); ++i)
    replace(graph, node->outputs[i], twin[body.outputs[i]]);
  graph.erase(node);
  return added;
}

}  // namespace planish::passes
