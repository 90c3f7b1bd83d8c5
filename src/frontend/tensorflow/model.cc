// What concerns a model as a whole: which tensors are its inputs and outputs, their names and types.
#include <algorithm>

#include "base/quote.h"
#include "base/text.h"
#include "frontend/tensorflow/graph_importer.h"
#include "frontend/tensorflow/tensor_proto.h"

namespace planish::frontend::tensorflow {
namespace {

// Shapes of placeholders meant nothing before this producer version: {} stood for "unknown".
constexpr int64_t kFirstProducerWithShapes = 24;

std::string names_of(const std::vector<std::string>& names) {
  std::string out;
  for (size_t i = 0; i < names.size() && i < 10; ++i) out += cat(i ? ", " : "", quoted(names[i]));
  return names.size() > 10 ? out + ", ..." : out;
}

}  // namespace

bool is_effect(std::string_view op) {
  static const std::unordered_set<std::string_view> kEffects = {
      "Assert", "AssignVariableOp", "Assign", "AssignAdd", "AssignSub", "AssignAddVariableOp",
      "Const", "MergeV2Checkpoints", "NoOp", "Placeholder", "RestoreV2", "SaveV2", "VarHandleOp",
      "VarIsInitializedOp", "VariableV2", "HashTableV2", "MergeSummary", "ScalarSummary",
      "HistogramSummary", "NextIteration", "LoopCond", "ShardedFilename", "DecodeWav"};
  return kEffects.count(op) > 0 || op.substr(0, 5) == "Apply" || op.substr(0, 13) == "ResourceApply";
}

Result<std::vector<GraphImporter::Port>> GraphImporter::model_inputs(Source& source) const {
  std::vector<Port> out;
  const auto add = [&](std::string_view name, std::string_view tensor,
                       const TensorInfoDesc* info) -> Status {
    auto ref = source.parse(tensor);
    if (!ref.ok()) return ref.status().at(cat("input ", quoted(name)));
    source.use(*ref);
    out.push_back({std::string(name), *ref, info});
    return ok_status();
  };
  if (!options_.inputs.empty()) {
    for (const std::string& name : options_.inputs)
      PLANISH_RETURN_IF_ERROR(add(name, name, nullptr));
    return out;
  }
  if (!signature_) return out;  // placeholders, when they are met
  for (const auto& [name, info] : signature_->inputs) {
    if (info.name.empty())
      return unsupported(cat("input ", quoted(name), " is a sparse or composite tensor"));
    PLANISH_RETURN_IF_ERROR(add(name, info.name, &info));
  }
  return out;
}

Result<std::vector<GraphImporter::Port>> GraphImporter::model_outputs(
    Source& source, const std::vector<Port>& inputs) const {
  std::vector<Port> out;
  const auto add = [&](std::string_view name, std::string_view tensor) -> Status {
    auto ref = source.parse(tensor);
    if (!ref.ok()) return ref.status().at(cat("output ", quoted(name)));
    source.use(*ref);
    out.push_back({std::string(name), *ref, nullptr});
    return ok_status();
  };
  for (const std::string& name : options_.outputs) PLANISH_RETURN_IF_ERROR(add(name, name));
  if (!out.empty()) return out;
  if (signature_) {
    for (const auto& [name, info] : signature_->outputs) {
      if (info.name.empty())
        return unsupported(cat("output ", quoted(name), " is a sparse or composite tensor"));
      PLANISH_RETURN_IF_ERROR(add(name, info.name));
    }
    return out;
  }
  std::vector<bool> is_read(source.nodes().size(), false);
  for (size_t i = 0; i < source.nodes().size(); ++i)
    for (const Ref& ref : source.inputs(int(i)))
      if (ref.node >= 0 && !ref.is_control) is_read[size_t(ref.node)] = true;
  for (const Port& input : inputs)
    if (input.ref.node >= 0) is_read[size_t(input.ref.node)] = true;
  for (size_t i = 0; i < source.nodes().size(); ++i) {
    const NodeDesc& node = source.nodes()[i];
    if (!is_read[i] && !is_effect(node.op)) out.push_back({std::string(node.name), {int(i), 0, {}, false}, nullptr});
  }
  return out;
}

// Nullopt: refused, and noted.
Result<std::optional<ir::TensorType>> GraphImporter::input_type(const Port& port,
                                                                const Source& source,
                                                                ir::Graph& graph) {
  const auto refused = [&](const std::string& reason) {
    refusals_.add("input", reason, port.name);
    return std::optional<ir::TensorType>();
  };
  const NodeDesc& node = source.node(port.ref.node);
  int64_t dtype = port.info ? port.info->dtype : 0;
  for (const char* key : {"dtype", "T"})
    if (dtype == 0) dtype = node.attr_int(key, 0);
  if (dtype == 0) dtype = 1;  // a cut behind a node that names no type computes in floats
  const auto element = data_type(dtype);
  if (!element.ok()) return refused(element.status().message());
  ir::TensorType type{*element, {}};

  std::optional<ShapeDesc> shape;
  if (port.info && port.info->shape) shape = port.info->shape;
  const AttrDesc* declared = node.attr("shape");
  if (!shape && declared && declared->kind == AttrDesc::Kind::kShape &&
      (!declared->shape.dims.empty() || graph_.producer >= kFirstProducerWithShapes))
    shape = declared->shape;
  if (shape && shape->unknown_rank) shape.reset();
  if (!shape && options_.values.count(port.name)) shape.emplace();  // a single number
  const auto given = options_.shapes.find(port.name);
  const bool is_given = given != options_.shapes.end();
  if (!shape && !is_given)
    return refused("its shape is open; give one to import it");
  if (is_given) {
    const std::vector<int64_t>& dims = given->second;
    bool fits = !shape || shape->dims.size() == dims.size();
    for (size_t i = 0; fits && i < dims.size(); ++i)
      fits = dims[i] >= 0 && (!shape || shape->dims[i] < 0 || shape->dims[i] == dims[i]);
    if (!fits)
      return invalid_argument(cat("input ", quoted(port.name), " is declared ",
                                  shape ? bracketed(shape->dims) : std::string("of any shape"),
                                  ", but the given shape is ", bracketed(dims)));
    type.shape = ir::to_shape(dims);
    return std::optional(type);
  }
  for (size_t axis = 0; axis < shape->dims.size(); ++axis) {
    const int64_t dim = shape->dims[axis];
    if (dim >= 0) type.shape.push_back(dim);
    else if (axis == 0) type.shape.push_back(ir::Dim::symbol("N"));  // see add_inputs
    else type.shape.push_back(graph.new_symbol(cat(port.name, '_', axis), {}));
  }
  return std::optional(type);
}

Result<ir::Value*> GraphImporter::fixed_value(ir::Graph& graph, const std::string& name,
                                              const ir::TensorType& type) const {
  if (!ir::is_constant(type.shape))
    return invalid_argument(cat("input ", quoted(name), " is fixed to a value, but its shape ",
                                ir::to_string(type), " is open; give one"));
  PLANISH_RETURN_IF_ERROR(checked_count({false, ir::to_dims(type.shape)}, options_.limits).status());
  const double value = options_.values.at(name);
  ir::Tensor tensor(type.dtype, ir::to_dims(type.shape));
  for (int64_t i = 0; i < tensor.count(); ++i)
    ir::is_float(type.dtype) ? tensor.set_f64(i, value) : tensor.set_i64(i, int64_t(value));
  return graph.add_constant(graph.unique_name(name), std::move(tensor));
}

// An unknown first dim is the batch, N, of every input that has one.
Status GraphImporter::add_inputs(Scope& scope, const std::vector<Port>& inputs) {
  const auto check = [&](const std::string& name, std::string_view what) -> Status {
    for (const Port& port : inputs)
      if (port.name == name) return ok_status();
    // Decoded sounds become inputs too, when the walk meets them.
    const int node = scope.source->find(name.substr(0, name.find(':')));
    if (node >= 0 && scope.source->node(node).op == "DecodeWav") return ok_status();
    return invalid_argument(cat("a ", what, " is given for ", quoted(name),
                                ", which is not an input of the model"));
  };
  for (const auto& [name, dims] : options_.shapes) PLANISH_RETURN_IF_ERROR(check(name, "shape"));
  for (const auto& [name, value] : options_.values) PLANISH_RETURN_IF_ERROR(check(name, "value"));
  for (const Port& port : inputs) {
    PLANISH_ASSIGN_OR_RETURN(const std::optional<ir::TensorType> type,
                             input_type(port, *scope.source, *scope.graph));
    Binding binding = Binding::refused();
    if (type && options_.values.count(port.name)) {
      PLANISH_ASSIGN_OR_RETURN(ir::Value * value, fixed_value(*scope.graph, port.name, *type));
      binding = Binding::of(value);
    } else if (type) {
      for (const ir::Dim& dim : type->shape)
        if (!dim.is_constant()) scope.graph->symbols.try_emplace(dim.symbol_name());
      if (scope.graph->find(port.name))
        return invalid_argument(cat("two inputs are named ", quoted(port.name)));
      binding = Binding::of(scope.graph->add_input(port.name, *type));
    }
    Bindings& outputs = scope.done[port.ref.node];
    outputs.resize(std::max(outputs.size(), size_t(port.ref.port) + 1));
    outputs[size_t(port.ref.port)] = binding;
  }
  return ok_status();
}

Status GraphImporter::add_outputs(Scope& scope, const std::vector<Port>& outputs) {
  std::vector<Ref> refs;
  for (const Port& port : outputs) refs.push_back(port.ref);
  PLANISH_ASSIGN_OR_RETURN(const Bindings bindings, require(scope, refs));
  std::unordered_set<const ir::Value*> seen;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const std::string& name = outputs[i].name;
    Binding one = bindings[i];
    if (one.kind == Binding::Kind::kRefused) continue;
    if (one.kind == Binding::Kind::kVariable) {
      PLANISH_ASSIGN_OR_RETURN(ir::Value * value, variable_value(*scope.graph, one.text));
      one = Binding::of(value);
    }
    const bool is_named = signature_ || !options_.outputs.empty();
    if (!is_named && (one.kind == Binding::Kind::kNone || one.kind == Binding::Kind::kList)) continue;
    if (one.kind != Binding::Kind::kValue) {
      refusals_.add("output", "it is no tensor of numbers", name);
      continue;
    }
    ir::Value* value = one.value;
    if (!value->producer || !seen.insert(value).second) {
      opdef::ImportContext context(registry_, *scope.graph, name, 1);
      PLANISH_ASSIGN_OR_RETURN(value, context.add1("Identity", {value}));
    }
    if (ir::Value* squatter = scope.graph->find(name); squatter && squatter != value && squatter->producer)
      scope.graph->rename(squatter, scope.graph->unique_name(name + "_inner"));
    if (value->name != name) scope.graph->rename(value, scope.graph->unique_name(name));
    named_.insert(value);
    scope.graph->outputs.push_back(value);
  }
  return ok_status();
}

Result<std::unique_ptr<ir::Graph>> GraphImporter::import() {
  PLANISH_RETURN_IF_ERROR(index());
  PLANISH_ASSIGN_OR_RETURN(Source created, Source::create(graph_.nodes, nullptr));
  sources_.push_back(std::move(created));
  Source& source = sources_.back();
  variables_.collect(source, functions_, graph_.captures);
  PLANISH_ASSIGN_OR_RETURN(std::vector<Port> inputs, model_inputs(source));
  PLANISH_ASSIGN_OR_RETURN(const std::vector<Port> outputs, model_outputs(source, inputs));
  if (outputs.empty()) return invalid_argument("the model has no outputs");

  auto graph = std::make_unique<ir::Graph>();
  Scope scope;
  scope.source = &source;
  scope.graph = graph.get();
  if (!signature_ && options_.inputs.empty()) {
    // The placeholders that the outputs depend on, in the file's order.
    std::vector<int> stack;
    std::vector<bool> seen(source.nodes().size(), false);
    const auto visit = [&](const Ref& ref) {
      if (ref.node < 0 || seen[size_t(ref.node)]) return;
      seen[size_t(ref.node)] = true;
      stack.push_back(ref.node);
    };
    for (const Port& port : outputs) visit(port.ref);
    while (!stack.empty()) {
      const int node = stack.back();
      stack.pop_back();
      for (const Ref& ref : source.inputs(node))
        if (!ref.is_control) visit(ref);
    }
    for (size_t i = 0; i < source.nodes().size(); ++i) {
      const NodeDesc& node = source.nodes()[i];
      if (seen[i] && (node.op == "Placeholder" || node.op == "PlaceholderV2") &&
          node.attr_int("dtype", 0) != kString)
        inputs.push_back({std::string(node.name), {int(i), 0, {}, false}, nullptr});
    }
  }
  PLANISH_RETURN_IF_ERROR(add_inputs(scope, inputs));
  PLANISH_RETURN_IF_ERROR(add_outputs(scope, outputs));
  refuse_writes();
  if (const Status refused = refusals_.to_status(); !refused.ok()) {
    std::vector<std::string> names;
    for (const Port& port : outputs) names.push_back(port.name);
    if (signature_ || !options_.outputs.empty() || names.size() < 2) return refused;
    return Status(refused.code(), cat(refused.message(), "\n  the outputs, as nobody reads them: ",
                                      names_of(names), "; others can be asked for"));
  }
  if (graph->outputs.empty()) return invalid_argument("the model has no outputs");
  graph->metadata["tensorflow.producer"] = cat(graph_.producer);
  return graph;
}

}  // namespace planish::frontend::tensorflow
