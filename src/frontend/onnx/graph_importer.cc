#include "frontend/onnx/graph_importer.h"

#include <new>

#include "base/build_team.h"
#include "base/quote.h"
#include "base/text.h"
#include "frontend/onnx/tensor_proto.h"
#include "opdef/onnx_types.h"

namespace planish::frontend::onnx {
namespace {

bool is_refusal(const Status& status) {
  return status.code() == Code::kUnsupported || status.code() == Code::kUnimplemented;
}

}  // namespace

Status GraphImporter::bind(Scope& scope, std::string_view name, Binding binding,
                           std::string_view what) {
  if (!scope.names.emplace(name, binding).second)
    return invalid_argument(cat(what, ' ', quoted(name),
                                ": another value of the graph has this name already"));
  return ok_status();
}

void GraphImporter::give_name(Scope& scope, ir::Value* value, std::string_view name) {
  if (!scope.named->insert(value).second) return;
  const std::string wanted = cat(scope.prefix, name);
  // A name of the file is exact; whoever was given it by chance takes another.
  ir::Value* squatter = scope.graph->find(wanted);
  if (squatter && squatter != value && !scope.is_inlined) {
    const std::string other = scope.graph->unique_name(wanted);
    scope.graph->rename(squatter, other);
  }
  scope.graph->rename(value, wanted);
}

Status GraphImporter::add_constant(Scope& scope, std::string_view name, Result<ir::Tensor> tensor) {
  const std::string what = cat("initializer ", quoted(name));
  if (!tensor.ok()) {
    if (!is_refusal(tensor.status())) return tensor.status().at(what);
    refusals_.add("initializer", tensor.status().message(), std::string(name));
    return bind(scope, name, {Binding::Kind::kRefused, nullptr}, "initializer");
  }
  ir::Value* value = scope.graph->add_constant(cat(scope.prefix, name), std::move(tensor).value());
  scope.named->insert(value);
  PLANISH_RETURN_IF_ERROR(bind(scope, name, {Binding::Kind::kValue, value}, "initializer"));
  return check_declared(scope, name, *value);
}

namespace {

// Copies of the initializers' raw data, by several threads where it is much; nothing for those that lie
// in other files or are refused, which are read in their turn.
std::vector<std::optional<ir::Tensor>> copy_ahead(const GraphDesc& desc, ExternalData& external,
                                                  const Limits& limits) {
  constexpr size_t kWorthThreads = size_t(8) << 20;
  std::vector<std::optional<ir::Tensor>> copies(desc.initializers.size());
  size_t bytes = 0;
  for (const TensorDesc& tensor : desc.initializers) bytes += tensor.raw ? tensor.raw->size() : 0;
  if (bytes < kWorthThreads) return copies;
  build_team().parallel_for(int64_t(copies.size()), [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const TensorDesc& desc_of_one = desc.initializers[size_t(i)];
      if (!desc_of_one.raw || desc_of_one.is_external) continue;
      try {
        if (auto tensor = to_tensor(desc_of_one, external, limits); tensor.ok())
          copies[size_t(i)] = std::move(*tensor);
      } catch (const std::bad_alloc&) {  // said when its turn comes
      }
    }
  }, 1);
  return copies;
}

}  // namespace

Status GraphImporter::add_initializers(const GraphDesc& desc, Scope& scope) {
  auto copies = copy_ahead(desc, external_, options_.limits);
  for (size_t i = 0; i < desc.initializers.size(); ++i) {
    const TensorDesc& tensor = desc.initializers[i];
    // Before the data is read, so that a repeated name costs nothing.
    if (scope.names.count(tensor.name))
      return invalid_argument(cat("two initializers are named ", quoted(tensor.name)));
    Result<ir::Tensor> data = copies[i] ? Result<ir::Tensor>(std::move(*copies[i]))
                                        : to_tensor(tensor, external_, options_.limits);
    PLANISH_RETURN_IF_ERROR(add_constant(scope, tensor.name, std::move(data)));
  }
  for (const SparseTensorDesc& tensor : desc.sparse_initializers) {
    const std::string_view name = tensor.values.name;
    if (scope.names.count(name))
      return invalid_argument(cat("two initializers are named ", quoted(name)));
    PLANISH_RETURN_IF_ERROR(add_constant(scope, name, to_tensor(tensor, external_, options_.limits)));
  }
  return ok_status();
}

Status GraphImporter::import_nodes(std::span<const NodeDesc> nodes, Scope& scope) {
  PLANISH_ASSIGN_OR_RETURN(const std::vector<int> order, topological_order(nodes, free_names_));
  for (int i : order) PLANISH_RETURN_IF_ERROR(import_node(nodes[size_t(i)], scope));
  return ok_status();
}

std::string GraphImporter::what_of(const NodeDesc& node, const Scope& scope) const {
  const auto opset = scope.opsets->find(node.domain);
  const std::string domain = node.domain.empty() ? "ai.onnx" : std::string(node.domain);
  return cat(node.op_type, " (domain ", domain, ", opset ",
             opset == scope.opsets->end() ? std::string("?") : cat(opset->second), ")");
}

Status GraphImporter::refuse_outputs(const NodeDesc& node, Scope& scope) {
  for (std::string_view output : node.outputs) {
    if (output.empty()) continue;
    PLANISH_RETURN_IF_ERROR(bind(scope, output, {Binding::Kind::kRefused, nullptr}, "output")
                                .at(describe(node)));
  }
  return ok_status();
}

Status GraphImporter::refuse(const NodeDesc& node, Scope& scope, const std::string& reason) {
  refusals_.add(what_of(node, scope), reason, cat(scope.prefix, node_name(node)));
  return refuse_outputs(node, scope);
}

Status GraphImporter::import_node(const NodeDesc& node, Scope& scope) {
  if (++node_count_ > options_.limits.max_nodes)
    return resource_exhausted(cat("the model with its functions inlined has more nodes than the "
                                  "limit max_nodes (", options_.limits.max_nodes, ")"));
  const auto opset = scope.opsets->find(node.domain);
  if (opset == scope.opsets->end())
    return invalid_argument(cat("the model imports no opset of domain ",
                                quoted(node.domain.empty() ? "ai.onnx" : node.domain)))
        .at(describe(node));
  if (const FunctionDesc* function = find_function(node)) return inline_call(node, *function, scope);
  if (const GraphDesc* branch = known_branch(node, scope)) return inline_branch(node, *branch, scope);
  const opdef::OpRegistry::Rule rule =
      registry_.find_onnx(node.domain, node.op_type, int(opset->second));
  if (!rule.op) {
    const std::string_view reason = registry_.refusal_reason(node.domain, node.op_type);
    return refuse(node, scope,
                  reason.empty() ? "not an operator that Planish knows" : std::string(reason));
  }
  return import_by_rule(node, int(opset->second), rule, scope);
}

Status GraphImporter::import_by_rule(const NodeDesc& node, int opset, opdef::OpRegistry::Rule rule,
                                     Scope& scope) {
  const std::string source = cat(scope.prefix, node_name(node));
  OnnxNodeView view(node, source, opset);
  const auto located = [&](const Status& status) { return status.at(describe(node)); };
  if (node.outputs.empty())
    return located(invalid_argument("got no outputs, expected at least one"));
  auto known = resolve_inputs(node, scope, view.inputs);
  if (!known.ok()) return located(known.status());
  if (!*known) return refuse_outputs(node, scope);
  known = convert_attributes(node, scope, view);
  if (!known.ok()) return located(known.status());
  if (!*known) return refuse_outputs(node, scope);

  opdef::ImportContext context(registry_, *scope.graph, source, int(node.outputs.size()));
  const Status status = rule.rule->import ? rule.rule->import(view, context)
                                          : opdef::import_one_to_one(*rule.op, view, context);
  if (is_refusal(status)) return refuse(node, scope, status.message());
  if (!status.ok()) return located(status);
  for (size_t i = 0; i < node.outputs.size(); ++i)
    if (!node.outputs[i].empty() && !context.outputs()[i])
      return refuse(node, scope, cat("its output ", i, " is not provided"));
  return bind_outputs(node, scope, context.outputs()).at(describe(node));
}

// False: some input is a refused value.
Result<bool> GraphImporter::resolve_inputs(const NodeDesc& node, Scope& scope,
                                           std::vector<ir::Value*>& inputs) {
  bool known = true;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const std::string_view name = node.inputs[i];
    inputs.push_back(nullptr);
    if (name.empty()) continue;
    const auto found = scope.names.find(name);
    if (found == scope.names.end())
      return invalid_argument(cat("input ", i, " reads ", quoted(name), ", which nothing produces"));
    known = known && found->second.kind != Binding::Kind::kRefused;
    inputs.back() = found->second.value;
  }
  return known;
}

// False: some attribute holds a body with refused nodes.
Result<bool> GraphImporter::convert_attributes(const NodeDesc& node, Scope& scope,
                                               OnnxNodeView& view) {
  bool known = true;
  std::set<std::string_view> seen;
  const auto convert = [&](const AttributeDesc& attribute) -> Status {
    PLANISH_ASSIGN_OR_RETURN(ConvertedAttribute converted,
                             convert_attribute(attribute, node, scope, &view));
    if (converted.kind == ConvertedAttribute::Kind::kRefused) known = false;
    if (converted.kind != ConvertedAttribute::Kind::kValue) return ok_status();
    std::string key(attribute.name);
    if (attribute.g) view.captured[key] = std::move(converted.captures);
    view.attributes.emplace(std::move(key), std::move(converted.value));
    return ok_status();
  };
  // Graphs last: how a body's inputs are typed can depend on the other attributes.
  for (const bool graphs : {false, true})
    for (const AttributeDesc& attribute : node.attributes) {
      if ((attribute.g != nullptr) != graphs) continue;
      if (!seen.insert(attribute.name).second)
        return invalid_argument(cat("attribute ", quoted(attribute.name), " is given twice"));
      PLANISH_RETURN_IF_ERROR(convert(attribute).at(cat("attribute ", quoted(attribute.name))));
    }
  return known;
}

namespace {

// The type an attribute declares; older files leave it to the field that is there.
Result<AttrType> type_of(const AttributeDesc& attribute) {
  AttrType type = attribute.type;
  if (type == AttrType::kUndefined)
    for (int k = 1; k <= int(AttrType::kTypes); ++k) {
      if (!attribute.has(AttrType(k))) continue;
      if (type != AttrType::kUndefined)
        return invalid_argument("has no type and values of more than one");
      type = AttrType(k);
    }
  if (type == AttrType::kUndefined) return invalid_argument("has neither type nor value");
  // A number or string that is not there is zero or empty: writers may leave such values out.
  const bool needs_value = type == AttrType::kTensor || type == AttrType::kGraph ||
                           type == AttrType::kSparseTensor || type == AttrType::kType;
  if (!attribute.has(type) && (attribute.present != 0 || needs_value)) {
    std::string got = "nothing";
    for (int k = 1; k <= int(AttrType::kTypes); ++k)
      if (attribute.has(AttrType(k))) got = cat("a value of type ", name_of(AttrType(k)));
    return invalid_argument(cat("is declared ", name_of(type), " but holds ", got));
  }
  return type;
}

}  // namespace

Result<GraphImporter::ConvertedAttribute> GraphImporter::convert_attribute(
    const AttributeDesc& attribute, const NodeDesc& node, Scope& scope, const OnnxNodeView* view) {
  using Kind = ConvertedAttribute::Kind;
  const auto value = [](auto v) {
    return ConvertedAttribute{Kind::kValue, ir::Attribute(std::move(v)), {}};
  };
  if (!attribute.ref.empty()) {
    if (!scope.function_attributes)
      return invalid_argument(cat("refers to ", quoted(attribute.ref),
                                  ", but only attributes inside a function may"));
    const auto found = scope.function_attributes->find(attribute.ref);
    if (found == scope.function_attributes->end()) return ConvertedAttribute{Kind::kAbsent, {}, {}};
    return ConvertedAttribute{Kind::kValue, found->second, {}};
  }
  const auto refused = [&](const std::string& reason) {
    refusals_.add(what_of(node, scope), cat("attribute ", quoted(attribute.name), ' ', reason),
                  cat(scope.prefix, node_name(node)));
    return ConvertedAttribute{Kind::kRefused, {}, {}};
  };
  const auto tensor = [&](Result<ir::Tensor> t) -> Result<ConvertedAttribute> {
    if (t.ok()) return value(std::move(t).value());
    if (is_refusal(t.status())) return refused(cat("is refused: ", t.status().message()));
    return t.status();
  };
  PLANISH_ASSIGN_OR_RETURN(const AttrType type, type_of(attribute));
  switch (type) {
    case AttrType::kFloat: return value(double(attribute.f));
    case AttrType::kInt: return value(attribute.i);
    case AttrType::kString: return value(std::string(attribute.s));
    case AttrType::kTensor: return tensor(to_tensor(*attribute.t, external_, options_.limits));
    case AttrType::kSparseTensor:
      return tensor(to_tensor(*attribute.sparse, external_, options_.limits));
    case AttrType::kFloats: {
      PLANISH_ASSIGN_OR_RETURN(const std::vector<float> floats, decode_floats(attribute.floats));
      return value(std::vector<double>(floats.begin(), floats.end()));
    }
    case AttrType::kInts: {
      PLANISH_ASSIGN_OR_RETURN(std::vector<int64_t> ints, decode_ints(attribute.ints));
      return value(std::move(ints));
    }
    case AttrType::kStrings:
      return value(std::vector<std::string>(attribute.strings.begin(), attribute.strings.end()));
    case AttrType::kType: {
      if (attribute.tp->kind != TypeDesc::Kind::kTensor)
        return refused(cat("is the type of a ", name_of(attribute.tp->kind)));
      auto dtype = opdef::data_type_from_onnx(attribute.tp->elem_type);
      if (dtype.ok()) return value(*dtype);
      if (is_refusal(dtype.status())) return refused(dtype.status().message());
      return dtype.status();
    }
    case AttrType::kGraph: {
      if (!view) return refused("is a graph handed to a function");
      PLANISH_ASSIGN_OR_RETURN(Body body, import_body(*attribute.g, node, scope, *view));
      if (body.refused) return ConvertedAttribute{Kind::kRefused, {}, {}};
      return ConvertedAttribute{Kind::kValue, std::move(body.graph), std::move(body.captures)};
    }
    default: return refused(cat("is of type ", name_of(type), ", which no operator here takes"));
  }
}

Status GraphImporter::bind_outputs(const NodeDesc& node, Scope& scope,
                                   const std::vector<ir::Value*>& outputs) {
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    const std::string_view name = node.outputs[i];
    if (name.empty()) continue;
    for (const Scope* around = scope.outer; around; around = around->outer)
      if (around->names.count(name))
        return invalid_argument(cat("output ", quoted(name),
                                    " has the name of a value of the graph around this one"));
    PLANISH_RETURN_IF_ERROR(bind(scope, name, {Binding::Kind::kValue, outputs[i]}, "output"));
    PLANISH_RETURN_IF_ERROR(check_declared(scope, name, *outputs[i]));
    give_name(scope, outputs[i], name);
  }
  return ok_status();
}

Status GraphImporter::check_declared(const Scope& scope, std::string_view name,
                                     const ir::Value& value) const {
  const auto found = scope.declared.find(name);
  if (found == scope.declared.end() || found->second->kind == TypeDesc::Kind::kNone)
    return ok_status();
  const TypeDesc& declared = *found->second;
  const auto contradicts = [&](const std::string& what) {
    return invalid_argument(cat("value ", quoted(name), " is ", ir::to_string(value.type),
                                ", but the file declares ", what));
  };
  if (declared.kind != TypeDesc::Kind::kTensor)
    return contradicts(cat("a ", name_of(declared.kind)));
  if (declared.elem_type != 0 && declared.elem_type != opdef::onnx_type_code(value.type.dtype)) {
    const std::string_view type = opdef::onnx_type_name(declared.elem_type);
    return contradicts(cat("element type ", type.empty() ? cat(declared.elem_type) : type));
  }
  if (!declared.has_shape) return ok_status();
  if (declared.dims.size() != value.type.shape.size())
    return contradicts(cat("rank ", declared.dims.size()));
  // Shapes given by the user overrule the dims that were written down for others.
  if (!options_.shapes.empty()) return ok_status();
  for (size_t axis = 0; axis < declared.dims.size(); ++axis) {
    const DimDesc& dim = declared.dims[axis];
    const std::optional<int64_t> inferred = value.type.shape[axis].constant();
    if (dim.kind == DimDesc::Kind::kValue && dim.value >= 0 && inferred && *inferred != dim.value)
      return contradicts(cat("dim ", axis, " as ", dim.value));
  }
  return ok_status();
}

}  // namespace planish::frontend::onnx
