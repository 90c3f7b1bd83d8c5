// What concerns a model as a whole: versions, inputs and their symbols, outputs, metadata.
#include <algorithm>

#include "base/text.h"
#include "frontend/onnx/graph_importer.h"
#include "base/quote.h"
#include "opdef/onnx_types.h"

namespace planish::frontend::onnx {

Status GraphImporter::read_opsets(const std::vector<OpsetDesc>& list, Opsets& opsets) const {
  for (const OpsetDesc& opset : list) {
    const bool standard = opset.domain.empty() || opset.domain == "ai.onnx";
    const std::string_view domain = standard ? std::string_view() : opset.domain;
    const std::string what = cat("opset ", opset.version, " of domain ",
                                 quoted(standard ? "ai.onnx" : opset.domain));
    if (opset.version < 1 || opset.version > 1 << 30)
      return invalid_argument(cat(what, " is no version, expected 1 or more"));
    if (standard && (opset.version < kOldestOpset || opset.version > kNewestOpset))
      return unsupported(cat(what, " is not supported, expected ", kOldestOpset, " to ",
                             kNewestOpset));
    const auto [at, fresh] = opsets.emplace(domain, opset.version);
    if (!fresh && at->second != opset.version)
      return invalid_argument(cat(what, " is imported beside opset ", at->second));
  }
  return ok_status();
}

Status GraphImporter::bind_named_dim(std::string_view param, int64_t value) {
  const auto [at, fresh] = named_dims_.emplace(param, value);
  if (!fresh && at->second != value)
    return invalid_argument(cat("the given shapes make dim ", quoted(param), " both ", at->second,
                                " and ", value));
  return ok_status();
}

// What the given shapes say about symbolic dims, before any input is made.
Status GraphImporter::bind_named_dims() {
  for (const ValueInfoDesc& input : model_.graph->inputs) {
    const auto given = options_.shapes.find(std::string(input.name));
    if (given == options_.shapes.end() || !input.type.has_shape) continue;
    if (given->second.size() != input.type.dims.size())
      return invalid_argument(cat("input ", quoted(input.name), " has rank ", input.type.dims.size(),
                                  ", but the given shape ", bracketed(given->second), " has rank ",
                                  given->second.size()));
    for (size_t axis = 0; axis < given->second.size(); ++axis) {
      const DimDesc& dim = input.type.dims[axis];
      if (dim.kind == DimDesc::Kind::kValue && dim.value != given->second[axis])
        return invalid_argument(cat("input ", quoted(input.name), " has dim ", axis, " fixed to ",
                                    dim.value, ", but the given shape ", bracketed(given->second),
                                    " asks for ", given->second[axis]));
      if (dim.kind == DimDesc::Kind::kParam)
        PLANISH_RETURN_IF_ERROR(bind_named_dim(dim.param, given->second[axis]));
    }
  }
  return ok_status();
}

Status GraphImporter::check_pinned_shapes() const {
  for (const auto& entry : options_.shapes) {
    const std::string& name = entry.first;
    const std::vector<int64_t>& shape = entry.second;
    const auto& inputs = model_.graph->inputs;
    const bool known = std::any_of(inputs.begin(), inputs.end(),
                                   [&](const ValueInfoDesc& input) { return input.name == name; });
    if (!known)
      return invalid_argument(cat("a shape is given for ", quoted(name),
                                  ", which is not an input of the model"));
    if (std::any_of(shape.begin(), shape.end(), [](int64_t dim) { return dim < 0; }))
      return invalid_argument(cat("the shape given for ", quoted(name), " is ", bracketed(shape),
                                  ", expected dims of 0 or more"));
  }
  return ok_status();
}

// Nullopt: refused, and noted.
Result<std::optional<ir::TensorType>> GraphImporter::input_type(const ValueInfoDesc& input,
                                                                ir::Graph& graph) {
  const std::string name(input.name);
  const auto refused = [&](const std::string& reason) {
    refusals_.add("input", reason, name);
    return std::optional<ir::TensorType>();
  };
  if (input.type.kind == TypeDesc::Kind::kNone)
    return invalid_argument(cat("input ", quoted(name), " has no type"));
  if (input.type.kind != TypeDesc::Kind::kTensor)
    return refused(cat("it is a ", name_of(input.type.kind), ", expected a tensor"));
  const auto dtype = opdef::data_type_from_onnx(input.type.elem_type);
  if (!dtype.ok() && dtype.status().code() == Code::kUnsupported)
    return refused(dtype.status().message());
  if (!dtype.ok()) return dtype.status().at(cat("input ", quoted(name)));
  ir::TensorType type{*dtype, {}};
  const auto given = options_.shapes.find(name);
  const bool is_given = given != options_.shapes.end();
  if (!input.type.has_shape && is_given) {
    type.shape = ir::to_shape(given->second);
    return std::optional(type);
  }
  if (!input.type.has_shape)
    return refused("its shape is open; give one to import it");
  for (size_t axis = 0; axis < input.type.dims.size(); ++axis) {
    const DimDesc& dim = input.type.dims[axis];
    if (dim.kind == DimDesc::Kind::kValue) {
      if (dim.value < 0)
        return invalid_argument(cat("input ", quoted(name), " has dim ", axis, " of ", dim.value,
                                    ", expected 0 or more"));
      type.shape.push_back(dim.value);
    } else if (is_given) {
      type.shape.push_back(given->second[axis]);
    } else if (dim.kind == DimDesc::Kind::kUnknown) {
      type.shape.push_back(graph.new_symbol(cat(name, '_', axis), {}));
    } else if (auto bound = named_dims_.find(dim.param); bound != named_dims_.end()) {
      type.shape.push_back(bound->second);
    } else {
      std::string symbol(dim.param);
      std::replace(symbol.begin(), symbol.end(), '`', '_');  // the text form's quote
      graph.symbols.emplace(symbol, ir::SymbolInfo{});
      type.shape.push_back(ir::Dim::symbol(symbol));
    }
  }
  return std::optional(type);
}

Status GraphImporter::add_inputs(Scope& scope) {
  std::unordered_set<std::string_view> initialized, seen;
  for (const TensorDesc& tensor : model_.graph->initializers) initialized.insert(tensor.name);
  for (const SparseTensorDesc& tensor : model_.graph->sparse_initializers)
    initialized.insert(tensor.values.name);
  // Names first: an unnamed dim must not take the symbol that a later input names.
  for (const ValueInfoDesc& input : model_.graph->inputs)
    for (const DimDesc& dim : input.type.dims)
      if (dim.kind == DimDesc::Kind::kParam && !named_dims_.count(dim.param)) {
        std::string symbol(dim.param);
        std::replace(symbol.begin(), symbol.end(), '`', '_');
        scope.graph->symbols.emplace(symbol, ir::SymbolInfo{});
      }
  for (const ValueInfoDesc& input : model_.graph->inputs) {
    if (!seen.insert(input.name).second)
      return invalid_argument(cat("two inputs are named ", quoted(input.name)));
    if (initialized.count(input.name)) {  // a constant with a default: checked when it is added
      scope.declared[input.name] = &input.type;
      continue;
    }
    PLANISH_ASSIGN_OR_RETURN(const std::optional<ir::TensorType> type,
                             input_type(input, *scope.graph));
    Binding binding{Binding::Kind::kRefused, nullptr};
    if (type) {
      binding = {Binding::Kind::kValue, scope.graph->add_input(std::string(input.name), *type)};
      scope.named->insert(binding.value);
    }
    PLANISH_RETURN_IF_ERROR(bind(scope, input.name, binding, "input"));
  }
  return ok_status();
}

Status GraphImporter::add_output(Scope& scope, std::string_view name) {
  const auto found = scope.names.find(name);
  if (found == scope.names.end())
    return invalid_argument(cat("output ", quoted(name), " is produced by nothing"));
  if (found->second.kind == Binding::Kind::kRefused) return ok_status();
  ir::Value* value = found->second.value;
  if (value->name != name) {
    // An importer handed on a value that has a name already: outputs keep theirs by a copy.
    PLANISH_CHECK(registry_.find("Identity"), "the operator Identity is not registered");
    opdef::ImportContext context(registry_, *scope.graph, std::string(name), 1);
    PLANISH_ASSIGN_OR_RETURN(value, context.add1("Identity", {value}));
    give_name(scope, value, name);
  }
  scope.graph->outputs.push_back(value);
  return ok_status();
}

Status GraphImporter::add_outputs(Scope& scope) {
  std::unordered_set<std::string_view> seen;
  for (const ValueInfoDesc& output : model_.graph->outputs) {
    if (!seen.insert(output.name).second)
      return invalid_argument(cat("two outputs are named ", quoted(output.name)));
    PLANISH_RETURN_IF_ERROR(add_output(scope, output.name));
  }
  for (const std::string& name : options_.extra_outputs) {
    if (!seen.insert(name).second) continue;
    if (!scope.names.count(name))
      return not_found(cat("value ", quoted(name), " is asked for as output, but the model has no "
                           "value of that name"));
    PLANISH_RETURN_IF_ERROR(add_output(scope, name));
    if (!scope.graph->outputs.empty()) scope.graph->outputs.back()->keep = true;
  }
  return ok_status();
}

void GraphImporter::add_metadata(ir::Graph& graph) const {
  const auto note = [&](const char* key, std::string_view value) {
    if (!value.empty()) graph.metadata[key] = std::string(value);
  };
  for (const auto& [key, value] : model_.metadata) graph.metadata[std::string(key)] = value;
  note("onnx.producer_name", model_.producer_name);
  note("onnx.producer_version", model_.producer_version);
  note("onnx.domain", model_.domain);
  note("onnx.doc", model_.doc);
  note("onnx.ir_version", cat(model_.ir_version));
  if (model_.model_version != 0) note("onnx.model_version", cat(model_.model_version));
  for (const auto& [domain, version] : opsets_)
    graph.metadata[cat("onnx.opset.", domain.empty() ? "ai.onnx" : domain)] = cat(version);
}

Result<std::unique_ptr<ir::Graph>> GraphImporter::import() {
  if (!model_.has_ir_version && !model_.graph)
    return data_loss("the bytes are not an ONNX model: they hold neither a version nor a graph");
  if (model_.ir_version < kOldestIrVersion || model_.ir_version > kNewestIrVersion) {
    const std::string what = cat("ir_version is ", model_.ir_version, ", expected ",
                                 kOldestIrVersion, " to ", kNewestIrVersion);
    return model_.ir_version <= 0 ? invalid_argument(what) : unsupported(what);
  }
  if (!model_.graph) return invalid_argument("the model has no graph");
  if (model_.opsets.empty()) return invalid_argument("the model imports no opset");
  PLANISH_RETURN_IF_ERROR(read_opsets(model_.opsets, opsets_));
  PLANISH_RETURN_IF_ERROR(index_functions());
  if (model_.graph->outputs.empty()) return invalid_argument("the graph has no outputs");
  PLANISH_RETURN_IF_ERROR(check_pinned_shapes());
  PLANISH_RETURN_IF_ERROR(bind_named_dims());

  auto graph = std::make_unique<ir::Graph>();
  graph->name = std::string(model_.graph->name);
  Values named;
  Scope scope;
  scope.graph = graph.get();
  scope.named = &named;
  scope.opsets = &opsets_;
  for (const ValueInfoDesc& info : model_.graph->value_infos)
    scope.declared.emplace(info.name, &info.type);
  for (const ValueInfoDesc& info : model_.graph->outputs) scope.declared[info.name] = &info.type;
  PLANISH_RETURN_IF_ERROR(add_inputs(scope));
  PLANISH_RETURN_IF_ERROR(add_initializers(*model_.graph, scope));
  PLANISH_RETURN_IF_ERROR(import_nodes(model_.graph->nodes, scope));
  PLANISH_RETURN_IF_ERROR(add_outputs(scope));
  PLANISH_RETURN_IF_ERROR(refusals_.to_status());
  add_metadata(*graph);
  return graph;
}

}  // namespace planish::frontend::onnx
