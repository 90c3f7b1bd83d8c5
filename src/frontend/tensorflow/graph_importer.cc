#include "frontend/tensorflow/graph_importer.h"

#include <algorithm>

#include "base/quote.h"
#include "base/text.h"
#include "eval/interpreter.h"
#include "frontend/tensorflow/tensor_proto.h"
#include "opdef/infer.h"

namespace planish::frontend::tensorflow {
namespace {

// Elements of a node of constants that is folded during import; larger ones are the passes' affair.
constexpr int64_t kFoldedElements = 4096;

bool is_refusal(const Status& status) {
  return status.code() == Code::kUnsupported || status.code() == Code::kUnimplemented;
}

// The elements of sizes that are known although what they were taken from is not: of Shape and what is
// computed from it.
std::optional<ir::Tensor> known_content(const ir::Value& value) {
  if (!value.content || !ir::is_constant(value.type.shape)) return std::nullopt;
  std::vector<int64_t> elements;
  for (const ir::Dim& dim : *value.content) {
    const std::optional<int64_t> element = dim.constant();
    if (!element) return std::nullopt;
    elements.push_back(*element);
  }
  return ir::Tensor::from_i64(value.type.dtype, ir::to_dims(value.type.shape), elements);
}

}  // namespace

Status GraphImporter::index() {
  for (const FunctionDesc& function : graph_.functions) {
    auto source = Source::create(function.nodes, &function);
    if (!source.ok()) return source.status().at(cat("function ", quoted(function.name)));
    sources_.push_back(std::move(*source));
    if (!functions_.emplace(function.name, &sources_.back()).second)
      return invalid_argument(cat("two functions are named ", quoted(function.name)));
    for (const auto& [name, value] : function.returns) {
      auto ref = sources_.back().parse(value);
      if (!ref.ok()) return ref.status().at(cat("function ", quoted(function.name)));
      sources_.back().use(*ref);
    }
  }
  return ok_status();
}

std::string GraphImporter::source_name(const Scope& scope, const NodeDesc& node) const {
  return cat(scope.prefix, node.name);
}

opdef::ImportContext GraphImporter::context(Scope& scope, const std::string& source) const {
  return opdef::ImportContext(registry_, *scope.graph, source, 1);
}

void GraphImporter::give_name(ir::Graph& graph, ir::Value* value, const std::string& name) {
  if (value->producer && named_.insert(value).second && value->name != name)
    graph.rename(value, graph.unique_name(name));
}

void GraphImporter::set_outputs(Scope& scope, int node, Bindings outputs) {
  const size_t wanted = size_t(scope.source->port_count(node));
  if (outputs.size() < wanted) outputs.resize(wanted);
  scope.done[node] = std::move(outputs);
}

void GraphImporter::refuse_outputs(Scope& scope, int node) {
  set_outputs(scope, node,
              Bindings(size_t(scope.source->port_count(node)), Binding::refused()));
}

void GraphImporter::refuse(Scope& scope, int node, const std::string& reason) {
  const NodeDesc& desc = scope.source->node(node);
  refusals_.add(std::string(desc.op.substr(0, 200)), reason, source_name(scope, desc));
  refuse_outputs(scope, node);
}

Result<Binding> GraphImporter::binding(Scope& scope, const Ref& ref) const {
  if (ref.node < 0) {
    const auto found = scope.args.find(ref.arg);
    if (found == scope.args.end() || ref.port != 0)
      return invalid_argument(cat("reads the argument ", quoted(ref.arg), ", which is not given"));
    return found->second;
  }
  const auto found = scope.done.find(ref.node);
  PLANISH_CHECK(found != scope.done.end(), "a node is read before it is imported");
  if (size_t(ref.port) >= found->second.size())
    return invalid_argument(cat("reads output ", ref.port, " of ",
                                describe(scope.source->node(ref.node)), ", which has ",
                                found->second.size()));
  return found->second[size_t(ref.port)];
}

Result<GraphImporter::Bindings> GraphImporter::require(Scope& scope, const std::vector<Ref>& refs) {
  std::vector<int> roots;
  for (const Ref& ref : refs)
    if (ref.node >= 0) roots.push_back(ref.node);
  PLANISH_RETURN_IF_ERROR(walk(scope, roots));
  Bindings out;
  for (const Ref& ref : refs) {
    PLANISH_ASSIGN_OR_RETURN(Binding one, binding(scope, ref));
    out.push_back(std::move(one));
  }
  return out;
}

// Nodes to import before `node`. A Merge comes in two phases: first the condition, then, when that
// turned out to be known, only the side that is alive.
Result<std::vector<int>> GraphImporter::needs(Scope& scope, int node, int phase) {
  const Source& source = *scope.source;
  std::vector<int> out;
  const auto add = [&](const Ref& ref) {
    if (ref.node >= 0 && !ref.is_control) out.push_back(ref.node);
  };
  if (const Frame* frame = source.frame_of_exit(node)) {
    if (phase > 0) return out;
    for (const Frame::Variable& variable : frame->variables)
      for (const Ref& ref : source.inputs(variable.enter)) add(ref);
    for (int enter : frame->invariants)
      for (const Ref& ref : source.inputs(enter)) add(ref);
    return out;
  }
  const std::string_view op = source.node(node).op;
  if (op != "Merge" && op != "RefMerge") {
    if (phase == 0)
      for (const Ref& ref : source.inputs(node)) add(ref);
    return out;
  }
  const std::optional<Guard> guard = guard_of(scope, node);
  if (phase == 0 && guard) {
    add(guard->predicate);
    return out;
  }
  if (phase > 1 || (phase == 1 && !guard)) return out;
  std::optional<bool> known;
  if (guard) {
    PLANISH_ASSIGN_OR_RETURN(const Binding predicate, binding(scope, guard->predicate));
    known = known_bool(predicate);
  }
  for (int i = 0; i < int(source.inputs(node).size()); ++i)
    if (!known || (i == guard->true_input) == *known) add(source.inputs(node)[size_t(i)]);
  return out;
}

Status GraphImporter::walk(Scope& scope, const std::vector<int>& roots) {
  struct Visit {
    int node;
    int phase = 0;
    std::vector<int> needs = {};
    size_t next = 0;
    bool is_loaded = false;
  };
  std::vector<Visit> stack;
  std::unordered_set<int> open;
  for (int root : roots) {
    if (scope.done.count(root)) continue;
    stack.push_back({root});
    open.insert(root);
    while (!stack.empty()) {
      Visit& visit = stack.back();
      if (!visit.is_loaded) {
        PLANISH_ASSIGN_OR_RETURN(visit.needs, needs(scope, visit.node, visit.phase));
        visit.is_loaded = true;
        visit.next = 0;
      }
      if (visit.next < visit.needs.size()) {
        const int need = visit.needs[visit.next++];
        if (scope.done.count(need)) continue;
        if (!open.insert(need).second)
          return invalid_argument(cat("the graph has a cycle through ",
                                      describe(scope.source->node(need)), " and ",
                                      describe(scope.source->node(visit.node))));
        stack.push_back({need});
        continue;
      }
      if (visit.phase < 1) {
        ++visit.phase;
        visit.is_loaded = false;
        continue;
      }
      const int node = visit.node;
      stack.pop_back();
      open.erase(node);
      if (!scope.done.count(node)) PLANISH_RETURN_IF_ERROR(import_node(scope, node));
    }
  }
  return ok_status();
}

Status GraphImporter::import_node(Scope& scope, int node) {
  if (++node_count_ > options_.limits.max_nodes)
    return resource_exhausted(cat("the model with its functions inlined has more nodes than the "
                                  "limit max_nodes (", options_.limits.max_nodes, ")"));
  const NodeDesc& desc = scope.source->node(node);
  Status status;
  if (const Frame* frame = scope.source->frame_of_exit(node)) {
    status = import_frame(scope, *frame);
  } else if (const auto found = structural().find(desc.op); found != structural().end()) {
    status = (this->*found->second)(scope, node);
  } else if (desc.op.substr(0, 10) == "TensorList" || desc.op.substr(0, 11) == "TensorArray") {
    status = import_list_op(scope, node);
  } else if (functions_.count(desc.op)) {
    status = import_call(scope, node);
  } else {
    status = import_by_rule(scope, node);
  }
  if (is_refusal(status)) {
    refuse(scope, node, status.message());
    return ok_status();
  }
  if (!status.ok()) return status.at(describe(desc));
  PLANISH_CHECK(scope.done.count(node), "an imported node has no outputs");
  return ok_status();
}

Result<ir::Attributes> GraphImporter::convert_attributes(const NodeDesc& node) const {
  using Kind = AttrDesc::Kind;
  ir::Attributes out;
  for (const auto& [key, attr] : node.attrs) {
    const std::string name(key);
    switch (attr.kind) {
      case Kind::kString: out[name] = std::string(attr.s); break;
      case Kind::kInt:
      case Kind::kBool: out[name] = attr.i; break;
      case Kind::kFloat: out[name] = attr.f; break;
      case Kind::kType:
        if (auto type = data_type(attr.i); type.ok()) out[name] = *type;
        else out[name] = type_name(attr.i);
        break;
      case Kind::kShape:
        if (!attr.shape.unknown_rank) out[name] = attr.shape.dims;
        break;
      case Kind::kTensor: {
        auto tensor = to_tensor(*attr.tensor, options_.limits);
        if (!tensor.ok()) return tensor.status().at(cat("attribute ", quoted(key)));
        out[name] = std::move(*tensor);
        break;
      }
      case Kind::kList:
        if (!attr.strings.empty())
          out[name] = std::vector<std::string>(attr.strings.begin(), attr.strings.end());
        else if (!attr.floats.empty()) out[name] = attr.floats;
        else out[name] = attr.ints;
        break;
      default: break;  // functions and placeholders: no importer reads them
    }
  }
  return out;
}

// The node's data inputs, variables read where they stand; refused when something is no tensor.
Result<GraphImporter::Bindings> GraphImporter::rule_inputs(Scope& scope, int node) {
  Bindings out;
  for (const Ref& ref : scope.source->inputs(node)) {
    if (ref.is_control) continue;
    PLANISH_ASSIGN_OR_RETURN(Binding input, binding(scope, ref));
    if (input.kind == Binding::Kind::kVariable) {
      PLANISH_ASSIGN_OR_RETURN(ir::Value * value, variable_value(*scope.graph, input.text));
      input = Binding::of(value);
    }
    out.push_back(std::move(input));
  }
  return out;
}

Status GraphImporter::import_by_rule(Scope& scope, int node) {
  const NodeDesc& desc = scope.source->node(node);
  const int ports = scope.source->port_count(node);
  PLANISH_ASSIGN_OR_RETURN(const Bindings inputs, rule_inputs(scope, node));
  const auto has = [&](Binding::Kind kind) {
    return std::any_of(inputs.begin(), inputs.end(), [&](const Binding& b) { return b.kind == kind; });
  };
  const bool is_rule = registry_.find_tensorflow(desc.op).op || is_complex(desc, inputs);
  if (!is_rule) {
    const std::string_view reason = registry_.refusal_reason("tensorflow", desc.op);
    return unsupported(reason.empty() ? "not an operator that Planish knows" : std::string(reason));
  }
  if (has(Binding::Kind::kRefused)) return refuse_outputs(scope, node), ok_status();
  if (has(Binding::Kind::kText)) return unsupported("it computes with text");
  for (size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i].kind == Binding::Kind::kNone || inputs[i].kind == Binding::Kind::kList)
      return unsupported(cat("its input ", i, " is no tensor of numbers"));
  if (has(Binding::Kind::kDead)) {
    Binding dead;
    dead.kind = Binding::Kind::kDead;
    set_outputs(scope, node, Bindings(size_t(ports), dead));
    return ok_status();
  }
  if (is_complex(desc, inputs)) return import_complex(scope, node, inputs);
  std::vector<ir::Value*> values;
  for (const Binding& input : inputs) values.push_back(input.value);
  PLANISH_ASSIGN_OR_RETURN(const std::vector<ir::Value*> outputs,
                           apply_rule(scope, node, desc.op, std::move(values), ports));
  Bindings bindings;
  for (ir::Value* output : outputs) bindings.push_back(Binding::of(output));
  set_outputs(scope, node, std::move(bindings));
  return ok_status();
}

Result<std::vector<ir::Value*>> GraphImporter::apply_rule(Scope& scope, int node, std::string_view name,
                                                          std::vector<ir::Value*> inputs, int ports,
                                                          std::string_view suffix) {
  const NodeDesc& desc = scope.source->node(node);
  const opdef::OpRegistry::Rule rule = registry_.find_tensorflow(name);
  PLANISH_CHECK(rule.op, "a node is imported without a rule");
  const std::string source = source_name(scope, desc);
  TensorflowNodeView view(desc, source, ports, int(graph_.producer));
  view.inputs = std::move(inputs);
  PLANISH_ASSIGN_OR_RETURN(view.attributes, convert_attributes(desc));
  const ir::Node* before =
      scope.graph->nodes().empty() ? nullptr : scope.graph->nodes().back().get();
  opdef::ImportContext context(registry_, *scope.graph, source, ports);
  if (rule.rule->import) {
    PLANISH_RETURN_IF_ERROR(rule.rule->import(view, context));
  } else {
    // The same operands in the same order; attributes by name where the operator has them.
    ir::Attributes attrs;
    for (const opdef::AttrSpec& spec : rule.op->attrs)
      if (const ir::Attribute* given = view.attr(spec.name)) attrs[spec.name] = *given;
    PLANISH_ASSIGN_OR_RETURN(
        const auto outputs, context.add(rule.op->name, view.inputs, std::move(attrs), ports));
    for (size_t i = 0; i < outputs.size(); ++i) context.set_output(int(i), outputs[i]);
  }
  std::vector<ir::Value*> outputs = context.outputs();
  PLANISH_RETURN_IF_ERROR(fold_new_nodes(*scope.graph, before, outputs));
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!outputs[i]) return unsupported(cat("its output ", i, " is not provided"));
    give_name(*scope.graph, outputs[i], cat(source, suffix, i == 0 ? std::string() : cat(':', i)));
  }
  return outputs;
}

Status GraphImporter::fold_new_nodes(ir::Graph& graph, const ir::Node* before,
                                     std::vector<ir::Value*>& outputs) {
  auto at = graph.nodes().begin();
  if (before) {
    at = before->position;
    ++at;
  }
  while (at != graph.nodes().end()) {
    ir::Node* node = at->get();
    ++at;
    const opdef::OpDef* op = registry_.find(node->op);
    if (!op || op->random || op->has_subgraphs || node->inputs.empty()) continue;
    std::vector<const ir::Tensor*> inputs;
    std::deque<ir::Tensor> contents;
    int64_t elements = 0;
    bool foldable = true;
    for (const ir::Value* input : node->inputs) {
      const ir::Tensor* known = input && input->constant ? &*input->constant : nullptr;
      if (input && !known)
        if (auto content = known_content(*input)) known = &contents.emplace_back(std::move(*content));
      inputs.push_back(known);
      foldable = foldable && (!input || (known && known->count() <= kFoldedElements));
    }
    for (const ir::Value* output : node->outputs) {
      if (!ir::is_constant(output->type.shape)) {
        foldable = false;
        break;
      }
      elements += ir::element_count(ir::to_dims(output->type.shape));
    }
    if (!foldable || elements > kFoldedElements) continue;
    auto results = eval::evaluate_op(registry_, *op, node->attrs, inputs, int(node->outputs.size()));
    if (!results.ok()) continue;  // it will fail when it runs, and say so
    for (size_t i = 0; i < results->size(); ++i) {
      ir::Value* constant = graph.add_constant(node->outputs[i]->name, std::move((*results)[i]));
      graph.replace_uses(node->outputs[i], constant);
      for (ir::Value*& output : outputs)
        if (output == node->outputs[i]) output = constant;
    }
    graph.erase(node);
  }
  return ok_status();
}

}  // namespace planish::frontend::tensorflow
