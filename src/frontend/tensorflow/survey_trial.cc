// Nodes that read tensors of unknown shape are tried alone, and the work of nodes is counted.
#include <algorithm>

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

// Element types that are not known are tried in turn, then ranks: first one for all inputs, then all
// combinations of two inputs.
std::string GraphSurvey::try_types(int node, const std::vector<Tensor>& open) {
  const NodeDesc& desc = source_->node(node);
  std::vector<ir::DataType> types;
  for (const char* key : {"T", "dtype", "SrcT", "Tparams"})
    if (const auto type = data_type(desc.attr_int(key, 0)); type.ok()) types.push_back(*type);
  for (ir::DataType type : {ir::DataType::kF32, ir::DataType::kI32, ir::DataType::kI64, ir::DataType::kBool})
    if (std::find(types.begin(), types.end(), type) == types.end()) types.push_back(type);
  bool has_open_type = false;
  for (const Tensor& tensor : open) has_open_type = has_open_type || !unknown_[tensor].dtype;
  if (!has_open_type) types.resize(1);

  std::string first_reason;
  int trials = 0;
  const auto attempt = [&](ir::DataType type, const std::vector<int>& ranks) {
    std::map<Tensor, Unknown> guesses;
    for (size_t i = 0; i < open.size(); ++i) {
      Unknown guess = unknown_[open[i]];
      if (!guess.dtype) guess.dtype = type;
      if (!guess.shape) guess.shape = std::vector<int64_t>(size_t(ranks[i]), -1);
      guesses[open[i]] = std::move(guess);
    }
    auto graph = std::make_shared<ir::Graph>();
    importer_.bodies_.push_back(graph);
    Scope scope;
    scope.source = source_;
    scope.graph = graph.get();
    if (!give_inputs(scope, node, guesses)) {
      first_reason = "it reads a list beside a tensor of unknown shape";
      trials = kMaxTrials;
      return false;
    }
    const size_t inputs_before = graph->inputs.size();
    ++trials;
    std::string reason = ask(scope, node);
    if (reason.empty()) reason = effect_reason(scope, node, inputs_before);
    if (!reason.empty()) {
      if (first_reason.empty()) first_reason = reason;
      return false;
    }
    for (const auto& [tensor, guess] : guesses) {
      unknown_[tensor].dtype = guess.dtype;
      SurveyedPort& port = out(tensor.first).outputs[size_t(tensor.second)];
      if (!port.dtype) port.dtype = guess.dtype;
    }
    count_work(node, *graph, nullptr);
    out(node).work = {};
    Bindings outputs = scope.done[node];
    for (int port = 0; port < int(outputs.size()); ++port) {
      Binding& one = outputs[size_t(port)];
      if (one.kind != Binding::Kind::kValue) continue;
      unknown_[{node, port}].dtype = one.value->type.dtype;
      one = Binding::refused();
    }
    scope_.done[node] = std::move(outputs);
    return true;
  };

  for (ir::DataType type : types) {
    for (int rank : kRanks)
      if (trials < kMaxTrials && attempt(type, std::vector<int>(open.size(), rank))) return "";
    if (open.size() < 2 || out(node).calls_functions) continue;
    for (int first : kRanks)
      for (int other : kRanks) {
        if (first == other || trials >= kMaxTrials) continue;
        std::vector<int> ranks(open.size(), other);
        ranks[0] = first;
        if (attempt(type, ranks)) return "";
      }
  }
  return first_reason;
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
      if (symbol == "N") return options_.assumed_batch;
      return std::nullopt;
    });
    if (!value) return std::nullopt;
    count *= double(*value);
  }
  return count;
}

void GraphSurvey::count_work(int node, const ir::Graph& graph, const ir::Node* before) {
  SurveyedNode& to = out(node);
  NodeWork work;
  work.is_known = true;
  auto at = graph.nodes().begin();
  if (before) at = std::next(before->position);
  for (; at != graph.nodes().end(); ++at) {
    const ir::Node& made = **at;
    ++to.made_nodes;
    const opdef::OpDef* op = registry_.find(made.op);
    if (op->random) to.reason = "it draws random numbers";
    for (const auto& [key, attr] : made.attrs)
      if (const auto* body = std::get_if<ir::GraphPtr>(&attr)) to.made_nodes += (*body)->node_count();
    double inputs = 0, outputs = 0;
    const auto add = [&](const ir::Value* value, double& sum) {
      const std::optional<double> count = value ? count_of(value->type.shape) : 0.0;
      if (!count) work.is_known = false;
      else sum += *count;
    };
    for (const ir::Value* value : made.inputs) add(value, inputs);
    for (const ir::Value* value : made.outputs) add(value, outputs);
    if (op->has_subgraphs) work.is_known = false;
    switch (op->kind) {
      case opdef::FusionKind::kContraction:
        work.contraction_flops += 2 * outputs * double(op->accumulation ? op->accumulation(made) : 1);
        break;
      case opdef::FusionKind::kInjective: break;
      case opdef::FusionKind::kElementwise: work.other_flops += outputs; break;
      default: work.other_flops += std::max(inputs, outputs);
    }
  }
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
  to.work = work;
}

}  // namespace planish::frontend::tensorflow
