#include "frontend/tensorflow/freezer.h"

#include <algorithm>

#include "base/quote.h"
#include "base/text.h"
#include "frontend/tensorflow/tensor_proto.h"
#include "frontend/tensorflow/units.h"

namespace planish::frontend::tensorflow {

Result<std::string> Freezer::freeze(std::vector<std::pair<std::string, std::string>>& outputs) {
  for (const FunctionDesc& function : graph_.functions) {
    auto source = Source::create(function.nodes, &function);
    if (!source.ok()) return source.status().at(cat("function ", quoted(function.name)));
    sources_.push_back(std::move(*source));
    functions_.emplace(function.name, &sources_.back());
  }
  PLANISH_ASSIGN_OR_RETURN(Source created, Source::create(graph_.nodes, nullptr));
  sources_.push_back(std::move(created));
  Scope scope;
  scope.source = &sources_.back();
  variables_.collect(*scope.source, functions_, graph_.captures);
  std::vector<Ref> wanted;
  for (const auto& [tensor, flat] : outputs) {
    auto ref = scope.source->parse(tensor);
    if (!ref.ok()) return ref.status().at(cat("output ", quoted(tensor)));
    wanted.push_back(*ref);
  }
  PLANISH_RETURN_IF_ERROR(write(scope, wanted));
  for (size_t i = 0; i < outputs.size(); ++i) {
    PLANISH_ASSIGN_OR_RETURN(outputs[i].second, tensor_of(scope, wanted[i]));
  }
  return writer_.finish(graph_.library, graph_.versions);
}

std::string Freezer::free_name(const std::string& wanted) {
  std::string name = wanted;
  for (int number = 1; !names_.insert(name).second; ++number) name = cat(wanted, '_', number);
  return name;
}

// Everything that the wanted tensors depend on, in topological order.
Status Freezer::write(Scope& scope, const std::vector<Ref>& wanted) {
  PLANISH_ASSIGN_OR_RETURN(const std::vector<int> order, topological_order(*scope.source));
  std::vector<bool> is_wanted(scope.source->nodes().size(), false);
  std::vector<int> stack;
  const auto want = [&](const Ref& ref) {
    if (ref.node < 0 || is_wanted[size_t(ref.node)]) return;
    is_wanted[size_t(ref.node)] = true;
    stack.push_back(ref.node);
  };
  for (const Ref& ref : wanted) want(ref);
  while (!stack.empty()) {
    const int node = stack.back();
    stack.pop_back();
    for (const Ref& ref : scope.source->inputs(node)) want(ref);
  }
  for (int node : order) {
    if (!is_wanted[size_t(node)]) continue;
    if (++node_count_ > limits_.max_nodes)
      return resource_exhausted(cat("the model with its functions inlined has more nodes than the "
                                    "limit max_nodes (", limits_.max_nodes, ")"));
    if (Status status = write_node(scope, node); !status.ok())
      return status.at(describe(scope.source->node(node)));
  }
  return ok_status();
}

Result<Freezer::Flat> Freezer::flat(const Scope& scope, const Ref& ref) const {
  if (ref.node < 0) {
    const auto found = scope.args.find(ref.arg);
    if (found == scope.args.end() || ref.port != 0)
      return invalid_argument(cat("reads the argument ", quoted(ref.arg), ", which is not given"));
    return found->second;
  }
  if (const auto found = scope.done.find({ref.node, ref.port}); found != scope.done.end())
    return found->second;
  // A back edge of a while frame: the node is written later, under the name it will have.
  return Flat{cat(scope.prefix, scope.source->node(ref.node).name, ':', ref.port), ""};
}

Result<std::string> Freezer::constant_of(const std::string& variable) {
  std::string& name = constants_[variable];
  if (!name.empty()) return name + ":0";
  PLANISH_ASSIGN_OR_RETURN(const ir::Tensor value, variables_.value(variable));
  name = free_name(cat(variable, "/frozen"));
  writer_.add_constant(name, value);
  return name + ":0";
}

Result<std::string> Freezer::tensor_of(Scope& scope, const Ref& ref) {
  PLANISH_ASSIGN_OR_RETURN(const Flat one, flat(scope, ref));
  return one.variable.empty() ? Result<std::string>(one.tensor) : constant_of(one.variable);
}

Status Freezer::write_node(Scope& scope, int node) {
  const Source& source = *scope.source;
  const NodeDesc& desc = source.node(node);
  const std::vector<Ref>& inputs = source.inputs(node);
  const bool hands_on = desc.op == "Identity" || desc.op == "ReadVariableOp" || desc.op == "Enter" ||
                        desc.op == "RefEnter" || desc.op == "Switch" || desc.op == "RefSwitch";
  if (is_variable_op(desc.op)) {
    scope.done[{node, 0}] = {"", variable_name(desc)};
    return ok_status();
  }
  if (hands_on && !inputs.empty() && !inputs[0].is_control) {
    PLANISH_ASSIGN_OR_RETURN(const Flat from, flat(scope, inputs[0]));
    if (!from.variable.empty()) {  // a variable, or what is read from it
      for (int port = 0; port < source.port_count(node); ++port) scope.done[{node, port}] = from;
      return ok_status();
    }
  }
  std::string_view called = desc.op;
  if (desc.op == "PartitionedCall" || desc.op == "StatefulPartitionedCall")
    if (const AttrDesc* f = desc.attr("f"); f && f->function) called = f->function->name;
  if (const auto found = functions_.find(called); found != functions_.end())
    return write_call(scope, node, *found->second);
  if (desc.op == "ResourceGather") return write_gather(scope, node);

  std::vector<std::string> data, control;
  for (const Ref& ref : inputs) {
    if (!ref.is_control) {
      PLANISH_ASSIGN_OR_RETURN(const std::string tensor, tensor_of(scope, ref));
      data.push_back(tensor.ends_with(":0") ? tensor.substr(0, tensor.size() - 2) : tensor);
    } else if (ref.node >= 0) {
      // Calls and variables are no nodes any more.
      const auto found = scope.done.find({ref.node, -1});
      if (found != scope.done.end()) control.push_back(cat('^', found->second.tensor));
    }
  }
  data.insert(data.end(), control.begin(), control.end());
  const std::string name = free_name(cat(scope.prefix, desc.name));
  writer_.add_copy(desc, name, data);
  scope.done[{node, -1}] = {name, ""};
  for (int port = 0; port < source.port_count(node); ++port)
    scope.done[{node, port}] = {cat(name, ':', port), ""};
  return ok_status();
}

Status Freezer::write_call(Scope& scope, int node, const Source& function) {
  const NodeDesc& desc = scope.source->node(node);
  const FunctionDesc& called = *function.function();
  if (std::find(calls_.begin(), calls_.end(), &function) != calls_.end())
    return invalid_argument(cat("function ", quoted(called.name), " calls itself"));
  if (int64_t(calls_.size()) >= limits_.max_call_depth)
    return resource_exhausted(cat("calls are nested deeper than the limit max_call_depth (",
                                  limits_.max_call_depth, ")"));
  Scope inner;
  inner.source = &function;
  inner.prefix = cat(scope.prefix, desc.name, '/');
  size_t count = 0;
  for (const Ref& ref : scope.source->inputs(node)) {
    if (ref.is_control) continue;
    PLANISH_ASSIGN_OR_RETURN(Flat one, flat(scope, ref));
    if (count < called.inputs.size()) inner.args[called.inputs[count].name] = std::move(one);
    ++count;
  }
  if (count != called.inputs.size())
    return invalid_argument(cat("function ", quoted(called.name), " takes ", called.inputs.size(),
                                " arguments, got ", count));
  std::vector<Ref> results;
  for (const ArgDesc& output : called.outputs) {
    const auto found = called.returns.find(output.name);
    if (found == called.returns.end())
      return invalid_argument(cat("function ", quoted(called.name), " does not return ",
                                  quoted(output.name)));
    PLANISH_ASSIGN_OR_RETURN(const Ref ref, function.parse(found->second));
    results.push_back(ref);
  }
  calls_.push_back(&function);
  const Status status = write(inner, results);
  calls_.pop_back();
  PLANISH_RETURN_IF_ERROR(status);
  for (size_t port = 0; port < results.size(); ++port) {
    const std::pair<int, int> tensor{node, int(port)};
    PLANISH_ASSIGN_OR_RETURN(scope.done[tensor], flat(inner, results[port]));
  }
  return ok_status();
}

// Rows of a variable: of the constant that it is now.
Status Freezer::write_gather(Scope& scope, int node) {
  const NodeDesc& desc = scope.source->node(node);
  const std::vector<Ref>& inputs = scope.source->inputs(node);
  if (inputs.size() < 2 || desc.attr_int("batch_dims", 0) != 0)
    return unsupported("expected a variable, indices and no batch dims");
  PLANISH_ASSIGN_OR_RETURN(const std::string table, tensor_of(scope, inputs[0]));
  PLANISH_ASSIGN_OR_RETURN(const std::string indices, tensor_of(scope, inputs[1]));
  PLANISH_ASSIGN_OR_RETURN(const ir::DataType dtype, data_type(desc.attr_int("dtype", 0)));
  PLANISH_ASSIGN_OR_RETURN(const ir::DataType index_type, data_type(desc.attr_int("Tindices", 0)));
  const std::string name = free_name(cat(scope.prefix, desc.name));
  const std::string axis = free_name(cat(name, "/axis"));
  writer_.add_constant(axis, ir::Tensor::from_i64(ir::DataType::kI32, {}, std::vector<int64_t>{0}));
  writer_.add_node(name, "GatherV2", {table, indices, axis},
                   {{"Tparams", dtype}, {"Tindices", index_type}, {"Taxis", ir::DataType::kI32}});
  scope.done[{node, -1}] = {name, ""};
  scope.done[{node, 0}] = {name + ":0", ""};
  return ok_status();
}

}  // namespace planish::frontend::tensorflow
