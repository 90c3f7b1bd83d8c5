#include "opdef/infer.h"

#include "base/limits.h"
#include "base/text.h"

namespace planish::opdef {
namespace {

std::string operand_name(const std::vector<ValueSpec>& specs, int i) {
  const ValueSpec& spec = specs[size_t(std::min(i, int(specs.size()) - 1))];
  return spec.variadic ? cat("input ", i, " ('", spec.name, "')")
                       : cat("input '", spec.name, "'");
}

Status check_attributes(const OpDef& op, const ir::Node& node) {
  for (const auto& [key, value] : node.attrs) {
    const AttrSpec* spec = op.find_attr(key);
    if (!spec)
      return invalid_argument(cat("attribute '", key, "' is not one of ", op.name, "'s"));
    if (spec->kind != kind_of(value))
      return invalid_argument(cat("attribute '", key, "' is of kind ", name_of(kind_of(value)),
                                  ", expected ", name_of(spec->kind)));
  }
  for (const AttrSpec& spec : op.attrs)
    if (spec.required && !node.has_attr(spec.name))
      return invalid_argument(cat("required attribute '", spec.name, "' is missing"));
  return ok_status();
}

InferContext make_context(const OpDef& op, const ir::Attributes& attrs,
                          std::vector<InferContext::Input> inputs, int output_count,
                          InferContext::NewSymbol new_symbol, const OpRegistry& registry,
                          const ir::Graph* outer) {
  return InferContext(op, attrs, std::move(inputs), output_count, std::move(new_symbol),
                      [&registry, outer](ir::Graph& body, std::span<const TensorType> types) {
                        if (outer) return infer_body(registry, body, types, outer);
                        // Evaluation only reads graphs: others may run them at the same time.
                        return infer_body(registry, *body.clone(), types, nullptr);
                      });
}

// The symbols that come in keep their meaning in the body; what its nodes make up is named afresh,
// so that no two things share a name.
void reserve_symbols(ir::Graph& body, const ir::Graph* outer) {
  std::map<std::string, ir::SymbolInfo, std::less<>> symbols;
  auto reserve = [&](const Dim& dim) {
    for (const std::string& name : dim.symbols()) {
      ir::SymbolInfo info;
      info.low = 0;
      if (auto found = body.symbols.find(name); found != body.symbols.end()) info = found->second;
      if (outer) {
        if (auto found = outer->symbols.find(name); found != outer->symbols.end())
          info = found->second;
      }
      symbols.emplace(name, std::move(info));
    }
  };
  for (const ir::Value* input : body.inputs) {
    for (const Dim& dim : input->type.shape) reserve(dim);
    if (!input->content) continue;
    for (const Dim& dim : *input->content) reserve(dim);
  }
  body.symbols = std::move(symbols);
}

Status check_outputs(const OpDef& op, InferContext& context) {
  for (int i = 0; i < context.output_count(); ++i) {
    const InferContext::Output& output = context.outputs()[size_t(i)];
    if (!output.is_set)
      return unsupported(cat(op.name, " has no output ", i, " (", context.output_count(),
                             " asked for)"));
    if (output.type.rank() > kDefaultLimits.max_rank)
      return resource_exhausted(cat("output ", i, " has ", output.type.rank(),
                                    " dims, more than the limit max_rank (",
                                    kDefaultLimits.max_rank, ")"));
    for (const Dim& d : output.type.shape) {
      if (!d.valid()) return invalid_argument(cat("output ", i, " has a dim beyond 64 bits"));
      if (d.is_constant() && d.value() < 0)
        return invalid_argument(
            cat("output ", i, " would have shape ", ir::to_string(output.type.shape)));
    }
  }
  return ok_status();
}

}  // namespace

std::string describe_node(const ir::Node& node) {
  const std::string name = node.sources.empty()    ? (node.outputs.empty() ? std::string("?")
                                                                           : node.outputs[0]->name)
                           : node.sources.size() == 1 ? node.sources[0]
                                                      : cat(node.sources[0], "+",
                                                            node.sources.size() - 1);
  return cat("node '", name, "' (", node.op, ")");
}

Status check_schema(const OpDef& op, const ir::Node& node) {
  PLANISH_RETURN_IF_ERROR(check_attributes(op, node));
  const int count = int(node.inputs.size());
  const bool variadic = !op.inputs.empty() && op.inputs.back().variadic;
  if (count > int(op.inputs.size()) && !variadic)
    return invalid_argument(
        cat("got ", count, " inputs, expected at most ", op.inputs.size()));
  std::map<std::string, std::pair<DataType, int>> bound;
  for (int i = 0; i < std::max(count, int(op.inputs.size())); ++i) {
    const ValueSpec& spec = op.inputs[size_t(std::min(i, int(op.inputs.size()) - 1))];
    const ir::Value* v = i < count ? node.inputs[size_t(i)] : nullptr;
    if (!v) {
      // What a body captures may be nothing; every other variadic operand has inputs, none absent.
      if (spec.optional || (spec.variadic && op.has_subgraphs && i >= count)) continue;
      return invalid_argument(cat(operand_name(op.inputs, i), " is missing"));
    }
    const DataType dtype = v->type.dtype;
    if (!spec.types.contains(dtype))
      return invalid_argument(cat(operand_name(op.inputs, i), " is ", ir::name_of(dtype),
                                  ", expected one of ", spec.types.to_string()));
    if (spec.type_var.empty() || (spec.variadic && op.has_subgraphs)) continue;
    auto [it, fresh] = bound.emplace(spec.type_var, std::pair(dtype, i));
    if (!fresh && it->second.first != dtype)
      return invalid_argument(cat(operand_name(op.inputs, i), " is ", ir::name_of(dtype),
                                  ", expected ", ir::name_of(it->second.first), " as ",
                                  operand_name(op.inputs, it->second.second)));
  }
  return ok_status();
}

void fill_defaults(const OpDef& op, ir::Attributes& attrs) {
  for (const AttrSpec& spec : op.attrs)
    if (spec.default_value) attrs.emplace(spec.name, *spec.default_value);
}

Status infer_node(const OpRegistry& registry, ir::Node& node) {
  const OpDef* op = registry.find(node.op);
  if (!op) return unsupported(cat("no operator is named '", node.op, "'"));
  PLANISH_RETURN_IF_ERROR(check_schema(*op, node));
  std::vector<InferContext::Input> inputs;
  for (const ir::Value* v : node.inputs) {
    InferContext::Input& input = inputs.emplace_back();
    if (!v) continue;
    input.present = true;
    input.type = v->type;
    if (v->constant) input.value = &*v->constant;
    if (v->content) input.content = &*v->content;
  }
  InferContext context = make_context(
      *op, node.attrs, std::move(inputs), int(node.outputs.size()),
      [&node](std::string_view hint, ir::SymbolInfo info) {
        return node.graph->new_symbol(hint, std::move(info));
      },
      registry, node.graph);
  context.set_symbol_bounds([&node](std::string_view name) -> Dim::Range {
    auto found = node.graph->symbols.find(name);
    if (found == node.graph->symbols.end()) return {0, std::nullopt};
    return {found->second.low, found->second.high};
  });
  PLANISH_RETURN_IF_ERROR(op->infer(context));
  PLANISH_RETURN_IF_ERROR(check_outputs(*op, context));
  // A re-inference of data-dependent dims keeps the symbols that are already spread.
  std::map<std::string, Dim> kept;
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    const Shape& fresh_shape = context.outputs()[i].type.shape;
    const Shape& old_shape = node.outputs[i]->type.shape;
    if (old_shape.size() != fresh_shape.size()) continue;
    for (size_t d = 0; d < fresh_shape.size(); ++d) {
      const std::string fresh = fresh_shape[d].symbol_name(), old = old_shape[d].symbol_name();
      if (fresh.empty() || old.empty() || fresh == old) continue;
      const auto& symbols = node.graph->symbols;
      auto fresh_info = symbols.find(fresh), old_info = symbols.find(old);
      if (fresh_info != symbols.end() && old_info != symbols.end() &&
          fresh_info->second.from_data && old_info->second.from_data)
        kept.emplace(fresh, old_shape[d]);
    }
  }
  for (const auto& [fresh, old] : kept) node.graph->symbols.erase(fresh);
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    InferContext::Output& output = context.outputs()[i];
    ir::Value* value = node.outputs[i];
    output.type.layout = value->type.layout;
    output.type.space = value->type.space;
    const auto replace = [&kept](std::string_view name) -> std::optional<Dim> {
      auto found = kept.find(std::string(name));
      return found == kept.end() ? std::nullopt : std::optional<Dim>(found->second);
    };
    if (!kept.empty()) {
      for (Dim& d : output.type.shape) d = d.substitute(replace);
      if (output.content)
        for (Dim& d : *output.content) d = d.substitute(replace);
    }
    value->type = std::move(output.type);
    value->content = std::move(output.content);
  }
  return ok_status();
}

Status infer_graph(const OpRegistry& registry, ir::Graph& graph) {
  for (const auto& node : graph.nodes())
    if (Status s = infer_node(registry, *node); !s.ok()) return s.at(describe_node(*node));
  return ok_status();
}

Result<std::vector<TensorType>> infer_body(const OpRegistry& registry, ir::Graph& body,
                                           std::span<const TensorType> inputs,
                                           const ir::Graph* outer) {
  if (inputs.size() != body.inputs.size())
    return invalid_argument(cat("body takes ", body.inputs.size(), " inputs, got ", inputs.size()));
  for (size_t i = 0; i < inputs.size(); ++i) {
    ir::Value& input = *body.inputs[i];
    const DataType declared = input.type.dtype;
    // In wide evaluation the values are f64, whatever narrower type the body declares.
    const bool widened = inputs[i].dtype == DataType::kF64 && ir::is_float(declared);
    if (declared != inputs[i].dtype && !widened && !input.type.shape.empty())
      return invalid_argument(cat("body input '", input.name, "' is declared ",
                                  ir::name_of(declared), ", got ",
                                  ir::name_of(inputs[i].dtype)));
    input.type = inputs[i];
    if (widened) input.type.dtype = declared;
  }
  reserve_symbols(body, outer);
  PLANISH_RETURN_IF_ERROR(infer_graph(registry, body));
  std::vector<TensorType> out;
  for (const ir::Value* v : body.outputs) out.push_back(v->type);
  return out;
}

Result<std::vector<TensorType>> infer_concrete(const OpRegistry& registry, const OpDef& op,
                                               const ir::Attributes& attrs,
                                               std::span<const ir::Tensor* const> inputs,
                                               int output_count) {
  std::vector<InferContext::Input> known;
  for (const ir::Tensor* t : inputs) {
    InferContext::Input& input = known.emplace_back();
    if (!t) continue;
    input.present = true;
    input.type = t->type();
    input.value = t;
  }
  int next = 0;
  InferContext context = make_context(
      op, attrs, std::move(known), output_count,
      [&next](std::string_view hint, ir::SymbolInfo) {
        return Dim::symbol(cat(hint, "_", next++));
      },
      registry, nullptr);
  PLANISH_RETURN_IF_ERROR(op.infer(context));
  PLANISH_RETURN_IF_ERROR(check_outputs(op, context));
  std::vector<TensorType> out;
  for (InferContext::Output& output : context.outputs()) out.push_back(std::move(output.type));
  return out;
}

Result<kernel::Expr> expression_of(const OpDef& op, const ir::Attributes& attrs,
                                   std::span<const std::optional<DataType>> inputs,
                                   DataType output) {
  PLANISH_CHECK(op.expression, cat("op ", op.name, " has no expression"));
  kernel::ExprBuilder builder;
  std::vector<int> args;
  for (size_t i = 0; i < inputs.size(); ++i)
    args.push_back(inputs[i] ? builder.arg(int(i), *inputs[i]) : -1);
  ExpressionContext context(builder, attrs, std::move(args), output);
  PLANISH_RETURN_IF_ERROR(op.expression(context));
  PLANISH_CHECK(context.result() >= 0, cat("op ", op.name, " set no result"));
  PLANISH_CHECK(builder.dtype(context.result()) == output,
                cat("op ", op.name, " computes ", ir::name_of(builder.dtype(context.result())),
                    ", inferred ", ir::name_of(output)));
  return builder.finish({context.result()}, int(inputs.size()));
}

}  // namespace planish::opdef
