// A plugin's operators as OpDefs. OpDef holds plain function pointers, so one pair of functions
// serves every plugin operator and finds the right one by its name.
#include <map>
#include <mutex>
#include <shared_mutex>

#include "api/runtime/plugin_host.h"
#include "api/runtime/plugin_view.h"
#include "base/text.h"

namespace planish::api {
namespace {

struct OpTable {
  std::shared_mutex mutex;
  std::map<std::string, const planish_plugin_op*, std::less<>> ops;
};
OpTable& op_table() {
  static OpTable& table = *new OpTable();
  return table;
}

const planish_plugin_op* find_plugin_op(std::string_view name) {
  std::shared_lock lock(op_table().mutex);
  const auto found = op_table().ops.find(name);
  PLANISH_CHECK(found != op_table().ops.end(), cat("plugin operator ", name, " is not loaded"));
  return found->second;
}

struct ShapeSink {
  opdef::InferContext& context;
  Status status;
  std::vector<bool> is_set;
};

planish_plugin_code set_output(void* host, int32_t index, int32_t dtype, int32_t rank,
                               const char* const* dim_texts) {
  auto& sink = *static_cast<ShapeSink*>(host);
  const auto refuse = [&](std::string message) {
    sink.status = invalid_argument(std::move(message));
    return PLANISH_PLUGIN_INVALID_ARGUMENT;
  };
  if (index < 0 || index >= sink.context.output_count())
    return refuse(cat("output ", index, " of ", sink.context.output_count()));
  if (dtype < 0 || dtype >= ir::kDataTypeCount) return refuse(cat("element type number ", dtype));
  if (rank < 0 || rank > 64 || (rank && !dim_texts)) return refuse(cat("rank ", rank));
  ir::Shape shape;
  for (int32_t i = 0; i < rank; ++i) {
    auto dim = ir::Dim::parse(dim_texts[i] ? dim_texts[i] : "");
    if (!dim.ok()) {
      return refuse(cat("output ", index, ", dim ", i, ": ", dim.status().message()));
    }
    shape.push_back(std::move(dim).value());
  }
  sink.context.set_output(index, ir::DataType(dtype), std::move(shape));
  sink.is_set[size_t(index)] = true;
  return PLANISH_PLUGIN_OK;
}

Status infer_plugin_op(opdef::InferContext& context) {
  const planish_plugin_op* op = find_plugin_op(context.op().name);
  PluginTensors inputs;
  for (int i = 0; i < context.input_count(); ++i) {
    const ir::Tensor* value = context.value(i);
    inputs.add(context.has_input(i) ? &context.type(i) : nullptr, value ? value->data() : nullptr);
  }
  const PluginNode node(context.op().name, context.attrs(), inputs, context.output_count());
  ShapeSink sink{context, ok_status(), std::vector<bool>(size_t(context.output_count()))};
  const planish_plugin_shapes shapes{sizeof(shapes), &sink, set_output};
  PluginMessage message;
  const planish_plugin_code code = op->infer(op->self, node.get(), &shapes, message.get());
  PLANISH_RETURN_IF_ERROR(sink.status.at("plugin's shapes"));
  PLANISH_RETURN_IF_ERROR(message.status(code, "plugin's shapes"));
  for (size_t i = 0; i < sink.is_set.size(); ++i)
    if (!sink.is_set[i]) return invalid_argument(cat("the plugin gave no shape for output ", i));
  return ok_status();
}

Status evaluate_plugin_op(opdef::EvalContext& context) {
  const std::string& name = context.op().name;
  const planish_plugin_op* op = find_plugin_op(name);
  PluginTensors inputs, outputs;
  for (int i = 0; i < context.input_count(); ++i) {
    if (!context.has_input(i)) {
      inputs.add(nullptr, nullptr);
      continue;
    }
    const ir::TensorType type = context.input(i).type();
    inputs.add(&type, context.input(i).data());
  }
  for (int i = 0; i < context.output_count(); ++i) {
    ir::Tensor& output = context.output(i);
    const ir::TensorType type = output.type();
    outputs.add(&type, output.mutable_data());
  }
  const PluginNode node(name, context.attrs(), inputs, context.output_count());
  PluginMessage message;
  return message.status(
      op->evaluate(op->self, node.get(), outputs.mutable_pointers(), message.get()),
      "plugin's reference code");
}

opdef::TypeSet type_set(uint64_t bits) {
  opdef::TypeSet set;
  for (int i = 0; i < ir::kDataTypeCount; ++i)
    if (bits >> i & 1) set = set | opdef::TypeSet{ir::DataType(i)};
  return set;
}

opdef::ValueSpec value_spec(const planish_plugin_value_spec& from) {
  opdef::ValueSpec spec;
  spec.name = from.name;
  spec.types = type_set(from.types);
  spec.doc = from.doc ? from.doc : "";
  spec.optional = from.optional != 0;
  spec.type_var = from.type_var ? from.type_var : "";
  return spec;
}

opdef::AttrSpec attr_spec(const planish_plugin_attribute& from) {
  opdef::AttrSpec spec;
  spec.name = from.name;
  spec.doc = from.doc ? from.doc : "";
  spec.required = from.required != 0;
  ir::Attribute value;
  switch (from.kind) {
    case PLANISH_PLUGIN_INT:
      spec.kind = opdef::AttrKind::kInt;
      value = from.int_value;
      break;
    case PLANISH_PLUGIN_FLOAT:
      spec.kind = opdef::AttrKind::kFloat;
      value = from.float_value;
      break;
    case PLANISH_PLUGIN_STRING:
      spec.kind = opdef::AttrKind::kString;
      value = std::string(from.string_value ? from.string_value : "");
      break;
    case PLANISH_PLUGIN_INTS:
      spec.kind = opdef::AttrKind::kInts;
      value = std::vector<int64_t>(from.ints, from.ints + from.count);
      break;
    default:
      spec.kind = opdef::AttrKind::kFloats;
      value = std::vector<double>(from.floats, from.floats + from.count);
      break;
  }
  if (!spec.required) spec.default_value = std::move(value);
  return spec;
}

opdef::FusionKind fusion_kind(int32_t kind) {
  switch (kind) {
    case PLANISH_PLUGIN_REDUCTION:
      return opdef::FusionKind::kReduction;
    case PLANISH_PLUGIN_CONTRACTION:
      return opdef::FusionKind::kContraction;
    default:
      return opdef::FusionKind::kOpaque;
  }
}

}  // namespace

Status register_plugin_ops(const LoadedPlugin& plugin, opdef::OpRegistry& registry) {
  for (int i = 0; i < plugin.description->op_count; ++i) {
    const planish_plugin_op& from = *plugin.description->ops[i];
    if (registry.find(from.name)) {
      return invalid_argument(cat("plugin ", plugin.path, ": operator '", from.name,
                                  "' is there already"));
    }
    opdef::OpDef op;
    op.name = from.name;
    op.doc = from.doc ? from.doc : "";
    for (int k = 0; k < from.input_count; ++k) op.inputs.push_back(value_spec(*from.inputs[k]));
    for (int k = 0; k < from.output_count; ++k) op.outputs.push_back(value_spec(*from.outputs[k]));
    for (int k = 0; k < from.attribute_count; ++k)
      op.attrs.push_back(attr_spec(*from.attributes[k]));
    op.kind = fusion_kind(from.fusion);
    op.infer = infer_plugin_op;
    op.evaluate = evaluate_plugin_op;
    opdef::ImportRule rule;
    rule.op_type = from.name;
    rule.domain = from.domain ? from.domain : "";
    op.onnx.push_back(std::move(rule));
    {
      std::unique_lock lock(op_table().mutex);
      op_table().ops[from.name] = &from;
    }
    registry.add(std::move(op));
  }
  return ok_status();
}

}  // namespace planish::api
