// Bodies of If, Loop and Scan: graphs of their own whose inputs are the formal ones, then what they
// read from outside. ONNX lets a body leave the types of its inputs open; they follow from the node
// that holds it. A value that a loop carries keeps only those dims that the body hands back
// unchanged; the others become symbols, for which the body is imported again.
#include <algorithm>

#include "base/text.h"
#include "frontend/onnx/graph_importer.h"
#include "base/quote.h"

namespace planish::frontend::onnx {
namespace {

using ir::TensorType;
using Types = std::vector<std::optional<TensorType>>;

// Types of a body's formal inputs as far as the node tells, and which of them the body hands on:
// formal input first_carried + k comes back as output first_output + k.
struct Formals {
  Types types;
  size_t first_carried = 0, carried = 0, first_output = 0;
  std::vector<std::string> symbols;  // of dims that change from iteration to iteration
};

std::vector<int64_t> ints_or_empty(const OnnxNodeView& view, std::string_view key) {
  auto ints = view.attr_ints(key, {});
  return ints.ok() ? *ints : std::vector<int64_t>();
}

Formals loop_formals(const OnnxNodeView& view) {
  Formals formals;
  formals.types.push_back(TensorType{ir::DataType::kI64, {}});
  formals.types.push_back(TensorType{ir::DataType::kBool, {}});
  for (size_t i = 2; i < view.inputs.size(); ++i)
    formals.types.push_back(view.inputs[i] ? std::optional(view.inputs[i]->type) : std::nullopt);
  formals.first_carried = 2;
  formals.carried = formals.types.size() - 2;
  formals.first_output = 1;
  return formals;
}

Formals scan_formals(const OnnxNodeView& view) {
  Formals formals;
  const bool batched = view.opset() < 9;  // opset 8: sequence_lens first, a batch dim everywhere
  const size_t skip = batched ? 1 : 0;
  const auto scan_count = view.attr_int("num_scan_inputs", 0);
  const std::vector<int64_t> axes = ints_or_empty(view, "scan_input_axes");
  const int64_t total = int64_t(view.inputs.size()) - int64_t(skip);
  if (!scan_count.ok() || *scan_count < 0 || *scan_count > total) return formals;
  formals.carried = size_t(total - *scan_count);
  for (int64_t i = 0; i < total; ++i) {
    const ir::Value* value = view.inputs[size_t(i) + skip];
    std::optional<TensorType> type;
    if (value) type = TensorType{value->type.dtype, value->type.shape};
    if (type && batched && type->rank() > 0) type->shape.erase(type->shape.begin());
    const int64_t k = i - int64_t(formals.carried);
    if (type && k >= 0) {
      int64_t axis = !batched && k < int64_t(axes.size()) ? axes[size_t(k)] : 0;
      if (axis < 0) axis += type->rank();
      if (axis >= 0 && axis < type->rank()) type->shape.erase(type->shape.begin() + axis);
    }
    formals.types.push_back(std::move(type));
  }
  return formals;
}

// Makes symbols of the carried dims that change; false when nothing had to change.
Result<bool> generalize(Formals& formals, const ir::Graph& body, int64_t& next_symbol) {
  bool changed = false;
  for (size_t k = 0; k < formals.carried; ++k) {
    const size_t in = formals.first_carried + k, out = formals.first_output + k;
    if (out >= body.outputs.size() || in >= formals.types.size()) break;
    const TensorType& before = body.inputs[in]->type;
    const TensorType& after = body.outputs[out]->type;
    if (before.dtype != after.dtype)
      return invalid_argument(cat("value ", quoted(body.inputs[in]->name), " enters an iteration as ",
                                  ir::to_string(before), " and leaves it as ",
                                  ir::to_string(after)));
    if (before.rank() != after.rank())
      return unsupported(cat("the rank of ", quoted(body.inputs[in]->name),
                             " changes from iteration to iteration"));
    TensorType general = before;
    for (size_t axis = 0; axis < general.shape.size(); ++axis) {
      if (before.shape[axis] == after.shape[axis]) continue;
      const std::string symbol = before.shape[axis].symbol_name();
      if (std::count(formals.symbols.begin(), formals.symbols.end(), symbol)) continue;
      general.shape[axis] = ir::Dim::symbol(cat("carried_", next_symbol++));
      formals.symbols.push_back(general.shape[axis].symbol_name());
      changed = true;
    }
    formals.types[in] = std::move(general);
  }
  return changed;
}

void declare_symbols(const TensorType& type, const ir::Graph& from, ir::Graph& to) {
  for (const ir::Dim& dim : type.shape)
    for (const std::string& symbol : dim.symbols()) {
      const auto found = from.symbols.find(symbol);
      ir::SymbolInfo info;
      if (found != from.symbols.end()) info = found->second;
      to.symbols.emplace(symbol, info);
    }
}

}  // namespace

void GraphImporter::capture(std::string_view name, Scope& outer, Scope& inner, Body& body) {
  const auto found = outer.names.find(name);
  if (found == outer.names.end()) return;  // the node that reads it will say so
  Binding binding = found->second;
  if (binding.kind == Binding::Kind::kValue) {
    ir::Value* value = binding.value;
    if (value->is_constant()) {
      binding.value = inner.graph->add_constant(std::string(name), *value->constant);
    } else {
      declare_symbols(value->type, *outer.graph, *inner.graph);
      binding.value = inner.graph->add_input(std::string(name), value->type);
      binding.value->content = value->content;
      if (value->content)
        declare_symbols({ir::DataType::kI64, *value->content}, *outer.graph, *inner.graph);
      body.captures.push_back(value);
    }
    inner.named->insert(binding.value);
  }
  inner.names.emplace(name, binding);
}

Result<GraphImporter::Body> GraphImporter::import_body_once(const GraphDesc& desc, Scope& outer,
                                                            const Types& given,
                                                            std::span<const std::string> carried) {
  Body body;
  body.graph = std::make_shared<ir::Graph>();
  ir::Graph& graph = *body.graph;
  graph.name = std::string(desc.name);
  for (const std::string& symbol : carried) graph.symbols[symbol].low = 0;
  Values named;
  Scope scope;
  scope.graph = &graph;
  scope.named = &named;
  scope.opsets = outer.opsets;
  scope.outer = &outer;
  scope.function_attributes = outer.function_attributes;
  for (const ValueInfoDesc& info : desc.value_infos) scope.declared.emplace(info.name, &info.type);
  for (const ValueInfoDesc& info : desc.outputs) scope.declared.emplace(info.name, &info.type);

  for (size_t i = 0; i < desc.inputs.size(); ++i) {
    const ValueInfoDesc& input = desc.inputs[i];
    std::optional<TensorType> type = i < given.size() ? given[i] : std::nullopt;
    if (type) {
      declare_symbols(*type, *outer.graph, graph);
    } else {
      PLANISH_ASSIGN_OR_RETURN(type, input_type(input, graph));
    }
    Binding binding{Binding::Kind::kRefused, nullptr};
    if (type) binding = {Binding::Kind::kValue, graph.add_input(std::string(input.name), *type)};
    if (!type) body.refused = true;
    if (binding.value) named.insert(binding.value);
    PLANISH_RETURN_IF_ERROR(bind(scope, input.name, binding, "body input"));
  }
  PLANISH_RETURN_IF_ERROR(add_initializers(desc, scope));
  for (std::string_view name : free_names_.of(desc)) capture(name, outer, scope, body);
  PLANISH_RETURN_IF_ERROR(import_nodes(desc.nodes, scope));
  for (const ValueInfoDesc& output : desc.outputs) {
    const auto found = scope.names.find(output.name);
    if (found == scope.names.end() || found->second.kind == Binding::Kind::kAbsent)
      return invalid_argument(cat("body output ", quoted(output.name), " is produced by nothing"));
    if (found->second.kind == Binding::Kind::kRefused) body.refused = true;
    if (found->second.value) graph.outputs.push_back(found->second.value);
  }
  return body;
}

Result<GraphImporter::Body> GraphImporter::import_body(const GraphDesc& desc, const NodeDesc& node,
                                                       Scope& outer, const OnnxNodeView& view) {
  // Calls of functions can nest bodies deeper than the file does.
  if (body_depth_ >= options_.limits.max_nesting)
    return resource_exhausted(cat("graphs are nested deeper than the limit max_nesting (",
                                  options_.limits.max_nesting, ")"));
  Formals formals;
  if (node.domain.empty() && node.op_type == "Loop") formals = loop_formals(view);
  if (node.domain.empty() && node.op_type == "Scan") formals = scan_formals(view);
  if (!formals.types.empty() && desc.inputs.size() != formals.types.size())
    return invalid_argument(cat("the body takes ", desc.inputs.size(), " inputs, but ",
                                node.op_type, " hands it ", formals.types.size()));
  ++body_depth_;
  struct Leave {
    int64_t& depth;
    ~Leave() { --depth; }
  } leave{body_depth_};
  // Every round but the last turns at least one dim into a symbol; a few rounds settle all.
  for (int round = 0;; ++round) {
    PLANISH_ASSIGN_OR_RETURN(Body body, import_body_once(desc, outer, formals.types, formals.symbols));
    if (body.refused || formals.carried == 0) return body;
    auto changed = generalize(formals, *body.graph, carried_count_);
    if (!changed.ok() && changed.status().code() == Code::kUnsupported) {
      refusals_.add(what_of(node, outer), changed.status().message(),
                    cat(outer.prefix, node_name(node)));
      body.refused = true;
      return body;
    }
    if (!changed.ok()) return changed.status();
    if (!*changed) return body;
    if (round == 16) return invalid_argument("the shapes that the loop carries do not settle");
  }
}

}  // namespace planish::frontend::onnx
