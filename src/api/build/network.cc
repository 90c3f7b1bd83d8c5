// The public Network over ir::Graph.
#include "planish/network.h"

#include <set>

#include "api/build/network_impl.h"
#include "api/runtime/convert.h"
#include "base/text.h"
#include "eval/interpreter.h"
#include "frontend/onnx/onnx_import.h"
#include "frontend/tensorflow/tensorflow_import.h"
#include "opdef/import.h"
#include "opdef/infer.h"

namespace planish::v1 {
namespace {

Limits import_limits(const ImportOptions& from) {
  Limits limits;
  const auto take = [](int64_t value, auto& limit) {
    if (value > 0) limit = std::remove_reference_t<decltype(limit)>(value);
  };
  take(from.limits.max_file_bytes, limits.max_file_bytes);
  take(from.limits.max_file_bytes, limits.max_external_bytes);
  take(from.limits.max_nodes, limits.max_nodes);
  take(from.limits.max_nesting, limits.max_nesting);
  take(from.limits.max_tensor_elements, limits.max_tensor_elements);
  take(from.limits.max_metadata_bytes, limits.max_metadata_bytes);
  return limits;
}

frontend::ImportOptions import_options(const ImportOptions& from) {
  frontend::ImportOptions options;
  options.name = from.name;
  options.base_folder = from.base_folder;
  options.shapes = from.shapes;
  options.limits = import_limits(from);
  return options;
}

frontend::TensorflowOptions import_options(const TensorflowOptions& choice,
                                           const ImportOptions& options) {
  frontend::TensorflowOptions wanted;
  wanted.limits = import_limits(options);
  wanted.signature = choice.signature;
  wanted.tags = choice.tags;
  wanted.inputs = choice.inputs;
  wanted.outputs = choice.outputs;
  wanted.checkpoint = choice.checkpoint;
  wanted.values = choice.values;
  wanted.shapes = options.shapes;
  return wanted;
}

Result<Network> wrap(planish::Result<std::unique_ptr<ir::Graph>> graph,
                     std::shared_ptr<const api::Registry> registry, std::string source) {
  if (!graph.ok()) return api::to_public(graph.status());
  auto impl = std::make_unique<Network::Impl>();
  impl->registry = std::move(registry);
  impl->graph = std::move(graph).value();
  impl->source = std::move(source);
  return Network(std::move(impl));
}

ir::Value* value_of(const Network::Impl& impl, Value value) {
  const auto found = impl.graph->values().find(value.id);
  return found == impl.graph->values().end() ? nullptr : found->second.get();
}

Status no_value(Value value) {
  return Status(Code::kInvalidArgument, cat("value ", value.id, " is not of this network"));
}

Status check_free(const Network::Impl& impl, const std::string& name) {
  if (!name.empty() && impl.graph->find(name))
    return Status(Code::kInvalidArgument, cat("the name '", name, "' is taken"));
  return {};
}

Result<ir::Attribute> convert(const Attribute& from) {
  return std::visit(
      [](const auto& value) -> Result<ir::Attribute> {
        using T = std::remove_cvref_t<decltype(value)>;
        if constexpr (std::is_same_v<T, DataType>) {
          return ir::Attribute(api::from_public(value));
        } else if constexpr (std::is_same_v<T, Tensor>) {
          return ir::Attribute(api::from_public(value));
        } else if constexpr (std::is_same_v<T, std::shared_ptr<Network>>) {
          if (!value) return Status(Code::kInvalidArgument, "a graph attribute is null");
          return ir::Attribute(ir::GraphPtr(value->impl().graph->clone()));
        } else {
          return ir::Attribute(value);
        }
      },
      from);
}

}  // namespace

Network::Network(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Network::Network(Network&&) noexcept = default;
Network& Network::operator=(Network&&) noexcept = default;
Network::~Network() = default;

Result<Network> Network::load_onnx(const std::string& path, const ImportOptions& options) {
  return api::guarded([&] {
    std::shared_ptr<const api::Registry> registry;
    auto graph = frontend::import_onnx_file(path, import_options(options), [&]() -> const opdef::OpRegistry& {
      return (registry = api::current_registry())->ops;
    });
    return wrap(std::move(graph), registry, path);
  });
}

Result<Network> Network::load_tensorflow(const std::string& path, const TensorflowOptions& choice,
                                         const ImportOptions& options) {
  return api::guarded([&] {
    auto registry = api::current_registry();
    return wrap(frontend::import_tensorflow(path, import_options(choice, options), registry->ops),
                registry, path);
  });
}

Result<Network> Network::load_tensorflow(const void* data, size_t bytes,
                                         const TensorflowOptions& choice,
                                         const ImportOptions& options) {
  return api::guarded([&]() -> Result<Network> {
    if (!data && bytes) return Status(Code::kInvalidArgument, "the graph's data is null");
    auto registry = api::current_registry();
    const std::string_view graph(static_cast<const char*>(data), bytes);
    return wrap(frontend::import_graph_def(graph, import_options(choice, options), registry->ops),
                registry, options.name);
  });
}

Result<Network> Network::load(const std::string& path, const TensorflowOptions& choice,
                              const ImportOptions& options) {
  return frontend::is_tensorflow_path(path) ? load_tensorflow(path, choice, options)
                                            : load_onnx(path, options);
}

Result<Network> Network::load_onnx(const void* data, size_t bytes, const ImportOptions& options) {
  return api::guarded([&]() -> Result<Network> {
    if (!data && bytes) return Status(Code::kInvalidArgument, "the model's data is null");
    auto registry = api::current_registry();
    auto graph = frontend::import_onnx(std::span(static_cast<const std::byte*>(data), bytes),
                                       import_options(options), registry->ops);
    return wrap(std::move(graph), registry, options.name);
  });
}

Result<Network> Network::parse(std::string_view text) {
  return api::guarded([&]() -> Result<Network> {
    auto registry = api::current_registry();
    auto graph = ir::parse(text);
    if (graph.ok()) PLANISH_API_RETURN_IF_ERROR(opdef::infer_graph(registry->ops, **graph));
    return wrap(std::move(graph), registry, "");
  });
}

Network Network::create(std::string name) {
  auto impl = std::make_unique<Impl>();
  impl->registry = api::current_registry();
  impl->graph = std::make_unique<ir::Graph>();
  impl->graph->name = std::move(name);
  return Network(std::move(impl));
}

Network Network::clone() const {
  auto impl = std::make_unique<Impl>();
  impl->registry = impl_->registry;
  impl->graph = impl_->graph->clone();
  impl->source = impl_->source;
  return Network(std::move(impl));
}

Result<Value> Network::add_input(std::string name, DataType dtype, std::vector<Dim> shape) {
  return api::guarded([&]() -> Result<Value> {
    if (name.empty()) return Status(Code::kInvalidArgument, "an input needs a name");
    if (Status status = check_free(*impl_, name); !status.ok()) return status;
    if (!bits_of(dtype)) return Status(Code::kInvalidArgument, cat("input '", name, "': unknown type"));
    auto converted = api::from_public(shape);
    if (!converted.ok()) return api::to_public(converted.status()).at(cat("input '", name, "'"));
    for (const ir::Dim& dim : *converted)
      for (const std::string& symbol : dim.symbols()) impl_->graph->symbols.try_emplace(symbol);
    return Value{impl_->graph
                     ->add_input(std::move(name), {api::from_public(dtype), std::move(*converted)})
                     ->id};
  });
}

Result<Value> Network::add_constant(std::string name, const Tensor& tensor) {
  return api::guarded([&]() -> Result<Value> {
    if (Status status = check_free(*impl_, name); !status.ok()) return status;
    return Value{impl_->graph->add_constant(std::move(name), api::from_public(tensor))->id};
  });
}

Result<Value> Network::add_op(std::string_view op, std::vector<Value> inputs,
                              Attributes attributes, std::string name) {
  auto outputs = add_op(op, std::move(inputs), std::move(attributes), 1, std::move(name));
  if (!outputs.ok()) return outputs.status();
  return (*outputs)[0];
}

Result<std::vector<Value>> Network::add_op(std::string_view op_name, std::vector<Value> inputs,
                                           Attributes attributes, int output_count,
                                           std::string name) {
  return api::guarded([&]() -> Result<std::vector<Value>> {
    const opdef::OpDef* op = impl_->registry->ops.find(op_name);
    if (!op) {
      std::vector<std::string> names;
      for (const opdef::OpDef* known : impl_->registry->ops.all()) names.push_back(known->name);
      return Status(Code::kUnsupported, cat("there is no op '", op_name, "'",
                                            api::near_names(std::string(op_name), names)));
    }
    if (output_count < 1 || output_count > 4096)
      return Status(Code::kInvalidArgument, cat(op_name, ": output_count is ", output_count));
    if (Status status = check_free(*impl_, name); !status.ok()) return status;
    std::vector<ir::Value*> values;
    for (const Value& input : inputs) {
      ir::Value* value = input.id < 0 ? nullptr : value_of(*impl_, input);
      if (input.id >= 0 && !value) return no_value(input).at(std::string(op_name));
      values.push_back(value);
    }
    ir::Attributes converted;
    for (const auto& [key, attribute] : attributes) {
      if (!op->find_attr(key)) {
        std::vector<std::string> keys;
        for (const auto& spec : op->attrs) keys.push_back(spec.name);
        return Status(Code::kInvalidArgument,
                      cat(op_name, ": there is no attribute '", key, "'; attributes are ",
                          keys.empty() ? std::string("none") : join(keys)));
      }
      auto one = convert(attribute);
      if (!one.ok()) return one.status().at(cat(op_name, ": attribute '", key, "'"));
      converted[key] = std::move(*one);
    }
    const std::string source =
        name.empty() ? impl_->graph->unique_name(cat(op_name, "_", impl_->graph->node_count()))
                     : name;
    opdef::ImportContext context(impl_->registry->ops, *impl_->graph, source, output_count);
    auto made = context.add(op_name, std::move(values), std::move(converted), output_count);
    if (!made.ok()) return api::to_public(made.status().at(cat("op '", source, "' (", op_name, ")")));
    std::vector<Value> outputs;
    for (int i = 0; i < output_count; ++i) {
      ir::Value* value = (*made)[size_t(i)];
      impl_->graph->rename(value, impl_->graph->unique_name(i ? cat(source, "_", i) : source));
      outputs.push_back({value->id});
    }
    return outputs;
  });
}

Status Network::mark_output(Value handle, std::string name) {
  return api::guarded([&]() -> Status {
    ir::Value* value = value_of(*impl_, handle);
    if (!value) return no_value(handle);
    ir::Graph& graph = *impl_->graph;
    if (name.empty()) name = value->name;
    if (name != value->name) {
      if (Status status = check_free(*impl_, name); !status.ok()) return status;
      if (value->producer && !graph.is_output(value)) {
        graph.rename(value, name);
      } else {
        // Its own name is what others know it by: the output becomes a value of its own.
        opdef::ImportContext context(impl_->registry->ops, graph, name, 1);
        PLANISH_API_ASSIGN_OR_RETURN(ir::Value * copy, context.add1("Identity", {value}));
        graph.rename(copy, name);
        value = copy;
      }
    }
    value->keep = true;
    if (!graph.is_output(value)) graph.outputs.push_back(value);
    return {};
  });
}

Status Network::mark_output(const std::string& value_name) {
  auto value = find(value_name);
  return value.ok() ? mark_output(*value) : value.status();
}

void Network::set_metadata(std::string key, std::string value) {
  impl_->graph->metadata[std::move(key)] = std::move(value);
}

std::string Network::name() const { return impl_->graph->name; }

std::vector<TensorDesc> Network::inputs() const {
  std::vector<TensorDesc> out;
  for (const ir::Value* v : impl_->graph->inputs) out.push_back(api::describe(v->name, v->type));
  return out;
}

std::vector<TensorDesc> Network::outputs() const {
  std::vector<TensorDesc> out;
  for (const ir::Value* v : impl_->graph->outputs) out.push_back(api::describe(v->name, v->type));
  return out;
}

std::map<std::string, std::string> Network::metadata() const { return impl_->graph->metadata; }
int Network::node_count() const { return impl_->graph->node_count(); }

std::vector<NodeDesc> Network::nodes() const {
  std::vector<NodeDesc> out;
  for (const auto& node : impl_->graph->nodes()) {
    NodeDesc desc{node->op, join(node->sources, "+"), {}, {}};
    for (const ir::Value* v : node->inputs) desc.inputs.push_back(v ? v->name : "");
    for (const ir::Value* v : node->outputs) desc.outputs.push_back(v->name);
    out.push_back(std::move(desc));
  }
  return out;
}

Result<Value> Network::find(const std::string& value_name) const {
  if (const ir::Value* value = impl_->graph->find(value_name)) return Value{value->id};
  std::vector<std::string> names;
  for (const auto& [id, value] : impl_->graph->values()) names.push_back(value->name);
  return Status(Code::kNotFound, cat("there is no value '", value_name, "'",
                                     api::near_names(value_name, names)));
}

Result<TensorDesc> Network::describe(Value handle) const {
  const ir::Value* value = value_of(*impl_, handle);
  if (!value) return no_value(handle);
  return api::describe(value->name, value->type);
}

int64_t Network::weight_bytes() const {
  int64_t bytes = 0;
  for (const auto& [id, value] : impl_->graph->values())
    if (value->constant) bytes += value->constant->bytes();
  return bytes;
}

std::string Network::to_text(bool full_constants) const {
  ir::PrintOptions options;
  options.full_constants = full_constants;
  return ir::print(*impl_->graph, options);
}

Result<std::vector<Tensor>> Network::interpret(const std::vector<Tensor>& inputs) const {
  return api::guarded([&]() -> Result<std::vector<Tensor>> {
    std::vector<ir::Tensor> borrowed;
    for (const Tensor& input : inputs) borrowed.push_back(api::borrow(input));
    PLANISH_API_ASSIGN_OR_RETURN(
        auto outputs, eval::interpret(impl_->registry->ops, *impl_->graph, borrowed));
    std::vector<Tensor> out;
    for (const ir::Tensor& output : outputs) out.push_back(api::to_public(output));
    return out;
  });
}

}  // namespace planish::v1
