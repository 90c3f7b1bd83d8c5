// Nodes that have no operator of their own: constants, placeholders, variables, calls, and those that
// hand on what they read.
#include "base/quote.h"
#include "base/text.h"
#include "frontend/tensorflow/graph_importer.h"
#include "frontend/tensorflow/tensor_proto.h"

namespace planish::frontend::tensorflow {

const std::unordered_map<std::string_view, GraphImporter::Structural>& GraphImporter::structural() {
  using G = GraphImporter;
  static const std::unordered_map<std::string_view, Structural> kRows = {
      {"Assert", &G::import_nothing},
      {"Case", &G::import_case},
      {"CheckNumerics", &G::import_alias},
      {"CheckNumericsV2", &G::import_alias},
      {"Const", &G::import_const},
      {"Copy", &G::import_alias},
      {"CopyHost", &G::import_alias},
      {"DebugGradientIdentity", &G::import_alias},
      {"DebugIdentity", &G::import_alias},
      {"DebugIdentityV2", &G::import_alias},
      {"DebugIdentityV3", &G::import_alias},
      {"DecodeWav", &G::import_decode_wav},
      {"DeepCopy", &G::import_alias},
      {"EnsureShape", &G::import_alias},
      {"Enter", &G::import_alias},
      {"GuaranteeConst", &G::import_alias},
      {"Identity", &G::import_alias},
      {"IdentityN", &G::import_alias},
      {"If", &G::import_if},
      {"LoopCond", &G::import_alias},
      {"Merge", &G::import_merge},
      {"NoOp", &G::import_nothing},
      {"PartitionedCall", &G::import_call},
      {"Placeholder", &G::import_placeholder},
      {"PlaceholderV2", &G::import_placeholder},
      {"PlaceholderWithDefault", &G::import_default},
      {"PlanishEngineOp", &G::import_call},
      {"PreventGradient", &G::import_alias},
      {"Print", &G::import_alias},
      {"PrintV2", &G::import_nothing},
      {"ReadVariableOp", &G::import_read},
      {"RefEnter", &G::import_alias},
      {"RefMerge", &G::import_merge},
      {"RefSwitch", &G::import_switch},
      {"ResourceGather", &G::import_resource_gather},
      {"ResourceGatherNd", &G::import_resource_gather},
      {"Snapshot", &G::import_alias},
      {"StatefulPartitionedCall", &G::import_call},
      {"StatelessCase", &G::import_case},
      {"StatelessIf", &G::import_if},
      {"StatelessWhile", &G::import_while},
      {"StopGradient", &G::import_alias},
      {"Switch", &G::import_switch},
      {"VarHandleOp", &G::import_variable},
      {"VarIsInitializedOp", &G::import_read},
      {"Variable", &G::import_variable},
      {"VariableV2", &G::import_variable},
      {"While", &G::import_while},
      {"_CopyFromGpuToHost", &G::import_alias},
      {"_CopyFromHostToGpu", &G::import_alias},
  };
  return kRows;
}

Status GraphImporter::import_const(Scope& scope, int node) {
  const NodeDesc& desc = scope.source->node(node);
  const AttrDesc* value = desc.attr("value");
  if (!value || !value->tensor) return invalid_argument("attribute 'value' is missing");
  Binding out;
  if (value->tensor->dtype == kString) {
    out.kind = Binding::Kind::kText;
    auto texts = to_strings(*value->tensor, options_.limits);
    if (texts.ok() && texts->size() == 1) out.text = (*texts)[0];
  } else if (value->tensor->dtype == kComplex64) {
    PLANISH_ASSIGN_OR_RETURN(
        out, complex_constant(*scope.graph, *value->tensor, source_name(scope, desc)));
  } else {
    PLANISH_ASSIGN_OR_RETURN(ir::Tensor tensor, to_tensor(*value->tensor, options_.limits));
    out = Binding::of(scope.graph->add_constant(scope.graph->unique_name(source_name(scope, desc)),
                                                std::move(tensor)));
  }
  set_outputs(scope, node, {out});
  return ok_status();
}

Status GraphImporter::import_placeholder(Scope& scope, int node) {
  if (signature_ || !options_.inputs.empty())
    return invalid_argument("an output depends on it, but it is none of the inputs");
  if (scope.source->node(node).attr_int("dtype", 0) == kString) return import_nothing(scope, node);
  return invalid_argument("a placeholder inside of a function");
}

// Its default, unless it is an input of the model.
Status GraphImporter::import_default(Scope& scope, int node) { return import_alias(scope, node); }

Status GraphImporter::import_variable(Scope& scope, int node) {
  Binding out;
  out.kind = Binding::Kind::kVariable;
  out.text = variable_name(scope.source->node(node));
  set_outputs(scope, node, {out});
  return ok_status();
}

Result<ir::Value*> GraphImporter::variable_value(ir::Graph& graph, const std::string& name) {
  ir::Value*& value = variable_values_[{&graph, name}];
  if (value) return value;
  read_variables_.insert(name);
  auto found = variable_tensors_.find(name);
  if (found == variable_tensors_.end()) {
    PLANISH_ASSIGN_OR_RETURN(ir::Tensor tensor, variables_.value(name));
    found = variable_tensors_.emplace(name, std::move(tensor)).first;
  }
  value = graph.add_constant(graph.unique_name(name), found->second);
  return value;
}

Status GraphImporter::import_read(Scope& scope, int node) {
  const auto& inputs = scope.source->inputs(node);
  if (inputs.empty()) return invalid_argument("it reads nothing");
  PLANISH_ASSIGN_OR_RETURN(const Binding input, binding(scope, inputs[0]));
  if (input.kind == Binding::Kind::kRefused || input.kind == Binding::Kind::kDead) {
    set_outputs(scope, node, {input});
    return ok_status();
  }
  if (scope.source->node(node).op == "VarIsInitializedOp") {
    ir::Tensor yes(ir::DataType::kBool, {});
    yes.set_i64(0, 1);
    set_outputs(scope, node, {Binding::of(scope.graph->add_constant(
                                  scope.graph->unique_name("initialized"), std::move(yes)))});
    return ok_status();
  }
  if (input.kind != Binding::Kind::kVariable) return unsupported("it reads no variable");
  PLANISH_ASSIGN_OR_RETURN(ir::Value * value, variable_value(*scope.graph, input.text));
  set_outputs(scope, node, {Binding::of(value)});
  return ok_status();
}

Status GraphImporter::import_resource_gather(Scope& scope, int node) {
  const auto& inputs = scope.source->inputs(node);
  if (inputs.size() < 2) return invalid_argument("expected a variable and indices");
  PLANISH_ASSIGN_OR_RETURN(const Binding table, binding(scope, inputs[0]));
  PLANISH_ASSIGN_OR_RETURN(const Binding indices, binding(scope, inputs[1]));
  if (indices.kind == Binding::Kind::kRefused) return refuse_outputs(scope, node), ok_status();
  if (table.kind != Binding::Kind::kVariable || indices.kind != Binding::Kind::kValue)
    return unsupported("it gathers from something else than a variable");
  PLANISH_ASSIGN_OR_RETURN(ir::Value * value, variable_value(*scope.graph, table.text));
  const NodeDesc& desc = scope.source->node(node);
  std::vector<ir::Value*> operands = {value, indices.value};
  const bool is_nd = desc.op == "ResourceGatherNd";
  if (!is_nd)
    operands.push_back(scope.graph->add_constant(
        scope.graph->unique_name("axis"), ir::Tensor::scalar_i64(desc.attr_int("batch_dims", 0))));
  PLANISH_ASSIGN_OR_RETURN(
      const auto out, apply_rule(scope, node, is_nd ? "GatherNd" : "GatherV2", std::move(operands), 1));
  set_outputs(scope, node, {Binding::of(out[0])});
  return ok_status();
}

Status GraphImporter::import_alias(Scope& scope, int node) {
  Bindings out;
  for (const Ref& ref : scope.source->inputs(node)) {
    if (ref.is_control) continue;
    PLANISH_ASSIGN_OR_RETURN(Binding one, binding(scope, ref));
    out.push_back(std::move(one));
  }
  if (out.empty()) return invalid_argument("it reads nothing");
  set_outputs(scope, node, std::move(out));
  return ok_status();
}

Status GraphImporter::import_nothing(Scope& scope, int node) {
  set_outputs(scope, node, {});
  return ok_status();
}

// The sound file stays outside: its samples become an input of the model.
Status GraphImporter::import_decode_wav(Scope& scope, int node) {
  const NodeDesc& desc = scope.source->node(node);
  if (!calls_.empty() || body_depth_ > 0) return unsupported("it stands inside of a function");
  const std::string name = source_name(scope, desc);
  ir::TensorType type{ir::DataType::kF32, {}};
  const char* keys[] = {"desired_samples", "desired_channels"};
  const auto given = options_.shapes.find(name);
  for (int i = 0; i < 2; ++i) {
    const int64_t dim = desc.attr_int(keys[i], -1);
    if (dim >= 0) type.shape.push_back(dim);
    else if (given != options_.shapes.end() && given->second.size() == 2)
      type.shape.push_back(given->second[size_t(i)]);
    else type.shape.push_back(scope.graph->new_symbol(i ? "channels" : "samples", {}));
  }
  Bindings out = {Binding::of(scope.graph->add_input(name, type))};
  if (scope.source->port_count(node) > 1) {
    const std::string rate = name + ":1";
    const ir::TensorType scalar{ir::DataType::kI32, {}};
    if (options_.values.count(rate)) {
      PLANISH_ASSIGN_OR_RETURN(ir::Value * value, fixed_value(*scope.graph, rate, scalar));
      out.push_back(Binding::of(value));
    } else {
      out.push_back(Binding::of(scope.graph->add_input(rate, scalar)));
    }
  }
  set_outputs(scope, node, std::move(out));
  return ok_status();
}

Result<const Source*> GraphImporter::function_of(const NodeDesc& node, std::string_view attr) const {
  std::string_view name = node.op;
  if (const AttrDesc* found = node.attr(attr)) {
    if (!found->function) return invalid_argument(cat("attribute '", attr, "' is no function"));
    name = found->function->name;
  } else if (!attr.empty() && !functions_.count(node.op)) {
    return invalid_argument(cat("attribute '", attr, "' is missing"));
  }
  const auto found = functions_.find(name);
  if (found == functions_.end())
    return invalid_argument(cat("function ", quoted(name), " is not in the library"));
  return found->second;
}

Result<GraphImporter::Bindings> GraphImporter::call(Scope& scope, const Source& function,
                                                    const Bindings& args, const std::string& name) {
  const FunctionDesc& desc = *function.function();
  for (const Source* active : calls_)
    if (active == &function)
      return invalid_argument(cat("function ", quoted(desc.name), " calls itself"));
  if (int64_t(calls_.size()) >= options_.limits.max_call_depth)
    return resource_exhausted(cat("calls are nested deeper than the limit max_call_depth (",
                                  options_.limits.max_call_depth, ")"));
  if (args.size() != desc.inputs.size())
    return invalid_argument(cat("function ", quoted(desc.name), " takes ", desc.inputs.size(),
                                " arguments, got ", args.size()));
  if (std::set<std::string> seen; calls_.empty()) note_writes(function, args, seen);
  Scope inner;
  inner.source = &function;
  inner.graph = scope.graph;
  inner.prefix = name;
  for (size_t i = 0; i < args.size(); ++i) inner.args[desc.inputs[i].name] = args[i];
  std::vector<Ref> results;
  for (const ArgDesc& output : desc.outputs) {
    const auto found = desc.returns.find(output.name);
    if (found == desc.returns.end())
      return invalid_argument(cat("function ", quoted(desc.name), " does not return ",
                                  quoted(output.name)));
    PLANISH_ASSIGN_OR_RETURN(const Ref ref, function.parse(found->second));
    results.push_back(ref);
  }
  calls_.push_back(&function);
  auto out = require(inner, results);
  calls_.pop_back();
  return out;
}

Status GraphImporter::import_call(Scope& scope, int node) {
  const NodeDesc& desc = scope.source->node(node);
  // A converted model is read as what its engines stand for.
  const char* key = desc.op == "PlanishEngineOp" ? "native_segment" : "f";
  PLANISH_ASSIGN_OR_RETURN(const Source* function, function_of(desc, key));
  Bindings args;
  for (const Ref& ref : scope.source->inputs(node)) {
    if (ref.is_control) continue;
    PLANISH_ASSIGN_OR_RETURN(Binding one, binding(scope, ref));
    args.push_back(std::move(one));
  }
  // Names of TensorFlow 2's functions are whole already; a call within would only repeat itself.
  PLANISH_ASSIGN_OR_RETURN(Bindings out, call(scope, *function, args, scope.prefix));
  set_outputs(scope, node, std::move(out));
  return ok_status();
}

}  // namespace planish::frontend::tensorflow
