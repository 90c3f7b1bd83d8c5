#include "passes/convert_precision.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/build_team.h"
#include "base/float_types.h"
#include "base/text.h"
#include "opdef/infer.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace planish::passes {
namespace {

// f32 rounded to `type`, what is finite staying finite: the largest finite code stands in front of
// infinity's.
void round_range(const float* from, uint16_t* to, int64_t count, DataType type) {
  const bool half = type == DataType::kF16;
  if (half) floats_to_halves(from, to, count);
  else floats_to_bfloats16(from, to, count);
  constexpr uint32_t kExponent = 0x7f800000;
  const int infinity = half ? 0x7c00 : 0x7f80;
  for (int64_t i = 0; i < count; ++i) {
    const bool finite = (__builtin_bit_cast(uint32_t, from[i]) & kExponent) != kExponent;
    to[i] = uint16_t(to[i] - int(finite & ((to[i] & 0x7fff) == infinity)));
  }
}

bool keeps_f32(const opdef::OpDef& op) {
  return op.has_subgraphs || op.random || op.name.find("Quantize") != std::string::npos ||
         op.name.find("QLinear") != std::string::npos || op.name == "BitCast";
}

Result<Node*> add_cast(Graph& graph, const opdef::OpRegistry& registry, Value* from, DataType to,
                       Node* before) {
  Node* cast = graph.add_node("Cast", {from}, {{"to", to}}, {TensorType{}}, before);
  opdef::fill_defaults(*registry.find("Cast"), cast->attrs);
  if (from->producer) cast->sources = from->producer->sources;
  else if (before) cast->sources = before->sources;
  PLANISH_RETURN_IF_ERROR(opdef::infer_node(registry, *cast));
  return cast;
}

// The output `v` in another type; its name goes to the cast.
Status cast_output(Graph& graph, const opdef::OpRegistry& registry, Value* v, DataType to) {
  const std::string name = v->name;
  const bool keep = v->keep;
  PLANISH_ASSIGN_OR_RETURN(Node * cast, add_cast(graph, registry, v, to, nullptr));
  Value* result = cast->outputs[0];
  for (Value*& output : graph.outputs)
    if (output == v) output = result;
  if (v->producer) {
    graph.rename(v, graph.unique_name(cat(name, "@", ir::name_of(v->type.dtype))));
    graph.rename(result, name);
    v->keep = false;
  }
  result->keep = keep;
  return ok_status();
}

class Converter {
 public:
  Converter(Graph& graph, const opdef::OpRegistry& registry, DataType type)
      : graph_(graph), registry_(registry), type_(type) {
    for (const auto& [id, value] : graph.values())
      if (value->type.dtype == DataType::kF32) was_f32_.insert(value.get());
  }

  Result<bool> run() {
    std::vector<Node*> nodes;
    for (const auto& node : graph_.nodes()) nodes.push_back(node.get());
    for (Node* node : nodes) PLANISH_RETURN_IF_ERROR(convert(node));
    for (size_t i = 0; i < graph_.outputs.size(); ++i) {
      Value* v = graph_.outputs[i];
      if (was_f32_.count(v) && v->type.dtype != DataType::kF32)
        PLANISH_RETURN_IF_ERROR(cast_output(graph_, registry_, v, DataType::kF32));
    }
    drop_unread_constants();
    return changed_;
  }

 private:
  // `v` in the given one of the two types, made once.
  Result<Value*> as(Value* v, DataType type, Node* reader) {
    if (v->type.dtype == type) return v;
    Value*& known = cast_[{v, type}];
    if (known) return known;
    if (v->constant && v->type.dtype == DataType::kF32) {  // then `type` is the reduced one
      known = graph_.add_constant(graph_.unique_name(v->name), rounded(*v->constant));
      changed_ = true;
      return known;
    }
    // In front of the first reader: nodes are looked at in order, and all others come later.
    PLANISH_ASSIGN_OR_RETURN(Node * cast, add_cast(graph_, registry_, v, type, reader));
    changed_ = true;
    return known = cast->outputs[0];
  }

  // A constant in the reduced type.
  Tensor rounded(const Tensor& tensor) const {
    Tensor out(type_, tensor.dims());
    const float* from = tensor.data_as<float>();
    auto* to = out.mutable_data_as<uint16_t>();
    constexpr int64_t kBlock = 1 << 14, kWorthThreads = 1 << 17;
    const auto round = [&](int64_t begin, int64_t end, int) {
      round_range(from + begin, to + begin, end - begin, type_);
    };
    if (tensor.count() < kWorthThreads) round(0, tensor.count(), 0);
    else build_team().parallel_for(tensor.count(), round, kBlock);
    return out;
  }

  bool may_reduce(const opdef::OpDef& op, int i) const {
    if (op.inputs.empty() || (i < 32 && (op.host_inputs >> i & 1))) return false;
    const auto& spec = op.inputs[size_t(std::min(i, int(op.inputs.size()) - 1))];
    return spec.types.contains(type_);
  }

  Status convert(Node* node) {
    const opdef::OpDef* op = registry_.find(node->op);
    if (!op) return unsupported(cat("no operator is named '", node->op, "'"));
    const std::vector<Value*> before = node->inputs;
    if (!keeps_f32(*op) && try_reduced(node, *op)) return ok_status();
    // What became reduced is widened again for this node.
    for (size_t i = 0; i < before.size(); ++i) {
      Value* v = before[i];
      if (v && was_f32_.count(v) && v->type.dtype == type_) {
        PLANISH_ASSIGN_OR_RETURN(v, as(v, DataType::kF32, node));
      }
      graph_.set_input(node, int(i), v);
    }
    return opdef::infer_node(registry_, *node);
  }

  // True when the node runs on the reduced type (or has no f32 operand to reduce).
  bool try_reduced(Node* node, const opdef::OpDef& op) {
    if (node->op == "Cast") {
      auto to = node->attrs.find("to");
      if (to != node->attrs.end() && std::get<DataType>(to->second) == DataType::kF32 &&
          !graph_.is_output(node->outputs[0])) {
        to->second = type_;
        changed_ = true;
      }
      return opdef::infer_node(registry_, *node).ok();
    }
    bool any = false;
    for (size_t i = 0; i < node->inputs.size(); ++i) {
      Value* v = node->inputs[i];
      if (!v || v->type.dtype != DataType::kF32 || !may_reduce(op, int(i))) continue;
      auto reduced = as(v, type_, node);
      if (!reduced.ok()) return false;
      graph_.set_input(node, int(i), *reduced);
      any = true;
    }
    if (!opdef::infer_node(registry_, *node).ok()) return false;
    changed_ |= any;
    return true;
  }

  void drop_unread_constants() {
    std::vector<Value*> unread;
    for (const auto& [id, value] : graph_.values())
      if (value->constant && value->uses.empty() && !graph_.is_output(value.get()))
        unread.push_back(value.get());
    for (Value* v : unread) graph_.erase_value(v);
  }

  Graph& graph_;
  const opdef::OpRegistry& registry_;
  const DataType type_;
  std::set<const Value*> was_f32_;
  std::map<std::pair<Value*, DataType>, Value*> cast_;
  bool changed_ = false;
};

}  // namespace

Result<bool> convert_precision(ir::Graph& graph, const opdef::OpRegistry& registry, DataType type) {
  if (type == DataType::kF32 || graph.nodes().empty()) return false;
  if (type != DataType::kF16 && type != DataType::kBF16)
    return invalid_argument(cat("precision ", ir::name_of(type), ": expected f16 or bf16"));
  return Converter(graph, registry, type).run();
}

Status convert_io(ir::Graph& graph, const opdef::OpRegistry& registry, DataType type) {
  for (Value* v : graph.inputs) {
    if (v->type.dtype != DataType::kF32) continue;
    v->type.dtype = type;
    if (v->uses.empty()) continue;
    const std::vector<ir::Use> uses = v->uses;
    PLANISH_ASSIGN_OR_RETURN(
        Node * cast, add_cast(graph, registry, v, DataType::kF32, graph.nodes().front().get()));
    for (const ir::Use& use : uses) graph.set_input(use.node, use.index, cast->outputs[0]);
  }
  for (size_t i = 0; i < graph.outputs.size(); ++i)
    if (graph.outputs[i]->type.dtype == DataType::kF32)
      PLANISH_RETURN_IF_ERROR(cast_output(graph, registry, graph.outputs[i], type));
  return ok_status();
}

Result<bool> convert_precision(ir::Graph& graph, PassContext& context) {
  PLANISH_ASSIGN_OR_RETURN(const bool changed, convert_precision(graph, context.registry,
                                                                 context.options.precision));
  if (changed) context.count("convert_precision");
  return changed;
}

}  // namespace planish::passes
