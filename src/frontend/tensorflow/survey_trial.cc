// Nodes that read tensors of unknown shape are tried alone, and the work of nodes is counted.
#include <algorithm>
#include <utility>

#include "base/text.h"
#include "frontend/tensorflow/survey_walk.h"
#include "frontend/tensorflow/tensor_proto.h"

namespace planish::frontend::tensorflow {
namespace {

constexpr int kRanks[] = {4, 2, 3, 1, 0, 5};
constexpr int kMaxTrials = 80;

}  // namespace

std::string GraphSurvey::try_alone(int node) {
  std::vector<Tensor> open;
  for (const Ref& ref : source_->inputs(node)) {
    const Tensor tensor{ref.node, ref.port};
    if (ref.is_control || !unknown_.count(tensor)) continue;
    if (std::find(open.begin(), open.end(), tensor) == open.end()) open.push_back(tensor);
  }
  return try_types(node, open);
}

// Every type of element that is not known is tried, then every rank; where more than one input is open,
// also two ranks together.
std::string GraphSurvey::try_types(int node, const std::vector<Tensor>& open) {
  bool has_open_shape = false, has_open_type = false;
  for (const Tensor& tensor : open) {
    has_open_shape = has_open_shape || !unknown_[tensor].shape;
    has_open_type = has_open_type || !unknown_[tensor].dtype;
  }
  std::vector<ir::DataType> types = likely_types(node);
  if (!has_open_type) types.resize(1);
  Trials trials;
  for (ir::DataType type : types) {
    for (int rank : kRanks) {
      std::vector<int> ranks(open.size(), rank);
      if (!attempt(node, open, type, ranks, false, trials))
        attempt(node, open, type, ranks, true, trials);
      if (!has_open_shape) break;
    }
    for (int first : kRanks)
      for (int other : kRanks) {
        if (!trials.accepted.empty() || open.size() < 2 || first == other) continue;
        std::vector<int> ranks(open.size(), other);
        ranks[0] = first;
        attempt(node, open, type, ranks, false, trials);
      }
    if (trials.accepted.empty()) continue;
    adopt(node, open, type, trials);
    return "";
  }
  return trials.first_reason;
}

std::vector<ir::DataType> GraphSurvey::likely_types(int node) const {
  std::vector<ir::DataType> out;
  const auto add = [&](ir::DataType type) {
    if (std::find(out.begin(), out.end(), type) == out.end()) out.push_back(type);
  };
  for (const char* key : {"T", "dtype", "SrcT", "Tparams"})
    if (const auto type = data_type(source_->node(node).attr_int(key, 0)); type.ok()) add(*type);
  for (ir::DataType type :
       {ir::DataType::kF32, ir::DataType::kI32, ir::DataType::kI64, ir::DataType::kBool})
    add(type);
  return out;
}

// The depth of a constant that the node reads besides: a convolution's filter, a matrix.
int64_t GraphSurvey::depth_of_constant(int node) const {
  for (const Ref& ref : source_->inputs(node)) {
    if (ref.is_control) continue;
    const Binding& binding = scope_.done.at(ref.node).at(size_t(ref.port));
    if (binding.kind != Binding::Kind::kValue || !binding.value->constant) continue;
    const ir::Tensor& constant = *binding.value->constant;
    if (constant.rank() >= 2) return constant.dim(constant.rank() - 2);
  }
  return -1;
}

// `with_depth`: the last dim of open shapes is that of a constant beside them.
bool GraphSurvey::attempt(int node, const std::vector<Tensor>& open, ir::DataType type,
                          const std::vector<int>& ranks, bool with_depth, Trials& trials) {
  const int64_t depth = with_depth ? depth_of_constant(node) : -1;
  if ((with_depth && depth < 0) || ++trials.count > kMaxTrials) return false;
  std::map<Tensor, Unknown> guesses;
  for (size_t i = 0; i < open.size(); ++i) {
    Unknown guess = unknown_[open[i]];
    if (!guess.dtype) guess.dtype = type;
    if (!guess.shape) {
      guess.shape = std::vector<int64_t>(size_t(ranks[i]), -1);
      if (with_depth && ranks[i] > 0) guess.shape->back() = depth;
    }
    guesses[open[i]] = std::move(guess);
  }
  auto graph = std::make_shared<ir::Graph>();
  importer_.bodies_.push_back(graph);
  Scope scope;
  scope.source = source_;
  scope.graph = graph.get();
  std::string reason;
  if (!give_inputs(scope, node, guesses)) reason = "it reads a list beside a tensor of unknown shape";
  const size_t inputs_before = graph->inputs.size();
  if (reason.empty()) reason = ask(scope, node);
  if (reason.empty()) reason = effect_reason(scope, node, inputs_before, nullptr);
  if (!reason.empty()) {
    if (trials.first_reason.empty()) trials.first_reason = std::move(reason);
    return false;
  }
  const NodeWork counted = out(node).work;
  count_work(node, *graph, nullptr);
  if (!trials.accepted.empty()) out(node).work = counted;  // of the likeliest rank
  out(node).work.is_known = false;
  Trial trial;
  for (const Binding& binding : scope.done[node])
    trial.outputs.push_back(binding.kind == Binding::Kind::kValue
                                ? std::optional(binding.value->type) : std::nullopt);
  for (const Tensor& tensor : open) trial.shapes.push_back(*guesses[tensor].shape);
  trials.accepted.push_back(std::move(trial));
  return true;
}

// What all accepted trials have in common becomes known.
void GraphSurvey::adopt(int node, const std::vector<Tensor>& open, ir::DataType type,
                        const Trials& trials) {
  const auto common = [&](const auto& shape_of) -> std::optional<std::vector<int64_t>> {
    std::optional<std::vector<int64_t>> out;
    if (open.size() != 1) return out;  // other pairs of ranks were not tried
    for (const Trial& trial : trials.accepted) {
      const std::optional<std::vector<int64_t>> one = shape_of(trial);
      if (!one || (out && out->size() != one->size())) return std::nullopt;
      if (!out) out = one;
      for (size_t i = 0; i < one->size(); ++i)
        if ((*out)[i] != (*one)[i]) (*out)[i] = -1;
    }
    return out;
  };
  for (size_t i = 0; i < open.size(); ++i) {
    Unknown& to = unknown_[open[i]];
    if (!to.dtype) to.dtype = type;
    if (!to.shape) to.shape = common([&](const Trial& trial) { return std::optional(trial.shapes[i]); });
    SurveyedPort& port = out(open[i].first).outputs[size_t(open[i].second)];
    port.dtype = to.dtype;
    port.shape = to.shape;
  }
  Bindings outputs(size_t(source_->port_count(node)), Binding::refused());
  for (int port = 0; port < int(outputs.size()); ++port) {
    const auto type_of = [&](const Trial& trial) -> std::optional<ir::TensorType> {
      return size_t(port) < trial.outputs.size() ? trial.outputs[size_t(port)] : std::nullopt;
    };
    const std::optional<ir::TensorType> first = type_of(trials.accepted[0]);
    Unknown known;
    if (first) known.dtype = first->dtype;
    known.shape = common([&](const Trial& trial) -> std::optional<std::vector<int64_t>> {
      const std::optional<ir::TensorType> one = type_of(trial);
      return one ? std::optional(plain_dims(one->shape)) : std::nullopt;
    });
    if (known.dtype && known.shape) {
      const std::string name = ir_->unique_name(cat(source_->node(node).name, ':', port));
      outputs[size_t(port)] = Binding::of(add_input(*ir_, name, *known.dtype, *known.shape, false));
    } else {
      unknown_[{node, port}] = std::move(known);
    }
  }
  scope_.done[node] = std::move(outputs);
}

// Binds all that the node reads in a graph of its own; false when something cannot be moved there.
bool GraphSurvey::give_inputs(Scope& scope, int node, const std::map<Tensor, Unknown>& guesses) {
  ir::Graph& graph = *scope.graph;
  for (const Ref& ref : source_->inputs(node)) {
    if (ref.is_control) continue;
    const Binding& from = scope_.done.at(ref.node).at(size_t(ref.port));
    Binding to = from;
    const auto guess = guesses.find({ref.node, ref.port});
    const std::string name = graph.unique_name(cat(source_->node(ref.node).name, ':', ref.port));
    if (guess != guesses.end()) {
      to = Binding::of(add_input(graph, name, *guess->second.dtype, *guess->second.shape, false));
    } else if (from.kind == Binding::Kind::kValue && from.value->is_constant()) {
      to = Binding::of(graph.add_constant(name, *from.value->constant));
    } else if (from.kind == Binding::Kind::kValue) {
      importer_.declare_symbols(from.value->type, *scope_.graph, graph);
      to = Binding::of(graph.add_input(name, from.value->type));
      if (from.value->content) {
        importer_.declare_symbols({ir::DataType::kI64, *from.value->content}, *scope_.graph, graph);
        to.value->content = from.value->content;
      }
    } else if (from.kind == Binding::Kind::kList) {
      return false;
    }
    Bindings& outputs = scope.done[ref.node];
    outputs.resize(std::max(outputs.size(), size_t(ref.port) + 1));
    outputs[size_t(ref.port)] = std::move(to);
  }
  return true;
}

std::optional<double> GraphSurvey::count_of(const ir::Shape& shape) const {
  double count = 1;
  for (const ir::Dim& dim : shape) {
    const auto value = dim.evaluate([&](std::string_view symbol) -> std::optional<int64_t> {
      return batch_symbols_.count(symbol) ? std::optional(options_.assumed_batch) : std::nullopt;
    });
    if (!value) return std::nullopt;
    count *= double(*value);
  }
  return count;
}

// With numbers for dims that are not known: a leading one is a batch.
double GraphSurvey::assumed_count(const ir::Shape& shape, bool& is_known) const {
  if (const std::optional<double> count = count_of(shape)) return *count;
  is_known = false;
  double count = 1;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    const bool is_batch = axis == 0 && shape.size() > 1 && !shape[0].symbol_name().empty();
    const auto value = shape[axis].evaluate([&](std::string_view symbol) -> std::optional<int64_t> {
      return is_batch || batch_symbols_.count(symbol) ? options_.assumed_batch : options_.assumed_dim;
    });
    count *= std::max(1.0, double(value.value_or(options_.assumed_dim)));
  }
  return count;
}

// One operator that runs `times` times, with what it holds.
void GraphSurvey::count_step(const ir::Node& made, double times, NodeWork& work) const {
  const opdef::OpDef* op = registry_.find(made.op);
  work.steps += times;
  if (op->has_subgraphs) work.is_known = false;
  const double inside = times * (made.op == "If" ? 1.0 : double(options_.assumed_iterations));
  for (const auto& [key, attr] : made.attrs)
    if (const auto* body = std::get_if<ir::GraphPtr>(&attr))
      for (const auto& one : (*body)->nodes()) count_step(*one, inside, work);
  double inputs = 0, outputs = 0, constants = 0;
  for (const ir::Value* value : made.inputs) {
    if (!value) continue;
    const double count = assumed_count(value->type.shape, work.is_known);
    inputs += count;
    if (value->is_constant()) constants += count * double(ir::bits_of(value->type.dtype)) / 8;
  }
  for (const ir::Value* value : made.outputs)
    if (value) outputs += assumed_count(value->type.shape, work.is_known);
  switch (op->kind) {
    case opdef::FusionKind::kContraction:
      work.contractions += times;
      work.contraction_flops += 2 * times * outputs * double(op->accumulation ? op->accumulation(made) : 1);
      work.weight_bytes += times * constants;
      break;
    case opdef::FusionKind::kInjective: break;
    case opdef::FusionKind::kElementwise: work.other_flops += times * outputs; break;
    default: work.other_flops += times * std::max(inputs, outputs);
  }
}

void GraphSurvey::count_work(int node, const ir::Graph& graph, const ir::Node* before) {
  SurveyedNode& to = out(node);
  NodeWork work;
  work.is_known = true;
  to.made_nodes = 0;
  to.is_view = true;
  auto at = graph.nodes().begin();
  if (before) at = std::next(before->position);
  for (; at != graph.nodes().end(); ++at) {
    const ir::Node& made = **at;
    ++to.made_nodes;
    to.is_view = to.is_view && registry_.find(made.op)->is_view;
    for (const auto& [key, attr] : made.attrs)
      if (const auto* body = std::get_if<ir::GraphPtr>(&attr)) to.made_nodes += (*body)->node_count();
    count_step(made, 1, work);
  }
  // A node of TensorFlow is one step of it, whatever Planish makes of it; functions and loops are many.
  const bool holds_many = to.calls_functions || to.unit >= 0;
  if (!holds_many) work.steps = 1;
  const double weights_of_steps = std::exchange(work.weight_bytes, 0);
  for (const SurveyedInput& input : to.inputs) {
    if (input.is_control) continue;
    const SurveyedPort& port = out(input.node).outputs[size_t(input.port)];
    (port.value ? work.weight_bytes : work.read_bytes) += port.bytes;
  }
  const auto found = scope_.done.find(node);
  if (found != scope_.done.end())
    for (const Binding& binding : found->second)
      if (binding.kind == Binding::Kind::kValue)
        work.written_bytes += count_of(binding.value->type.shape).value_or(0) *
                              double(ir::bits_of(binding.value->type.dtype)) / 8;
  if (holds_many) work.weight_bytes = std::max(work.weight_bytes, weights_of_steps);
  to.work = work;
}

}  // namespace planish::frontend::tensorflow
