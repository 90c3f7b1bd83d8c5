// eliminate_duplicates: equal constants become one, and of nodes with the same op, operands and
// attributes only the first stays. Random ops and nodes with bodies are left alone, and so are
// values whose types differ (data-dependent dims are symbols of their own node).
#include <unordered_map>

#include "base/text.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace planish::passes {
namespace {

// A value with more uses than this is not given any more, so that lists of uses stay short.
constexpr size_t kMaxUses = 1024;

void append_key(std::string& key, const ir::Attribute& attribute) {
  const auto bits = [&key](uint64_t v) { key.append(reinterpret_cast<const char*>(&v), 8); };
  key += char('A' + int(attribute.index()));
  if (const auto* i = std::get_if<int64_t>(&attribute)) {
    bits(uint64_t(*i));
  } else if (const auto* f = std::get_if<double>(&attribute)) {
    bits(__builtin_bit_cast(uint64_t, *f));
  } else if (const auto* s = std::get_if<std::string>(&attribute)) {
    bits(s->size());
    key += *s;
  } else if (const auto* ints = std::get_if<std::vector<int64_t>>(&attribute)) {
    bits(ints->size());
    for (int64_t v : *ints) bits(uint64_t(v));
  } else if (const auto* floats = std::get_if<std::vector<double>>(&attribute)) {
    bits(floats->size());
    for (double v : *floats) bits(__builtin_bit_cast(uint64_t, v));
  } else if (const auto* strings = std::get_if<std::vector<std::string>>(&attribute)) {
    bits(strings->size());
    for (const std::string& v : *strings) {
      bits(v.size());
      key += v;
    }
  } else if (const auto* type = std::get_if<DataType>(&attribute)) {
    key += char(*type);
  } else if (const auto* tensor = std::get_if<Tensor>(&attribute)) {
    key += cat(ir::name_of(tensor->dtype()), bracketed(tensor->dims()));
    key.append(tensor->data_as<char>(), size_t(tensor->bytes()));
  }
}

bool mergeable(const Node& node, const PassContext& context) {
  const opdef::OpDef* op = context.op(node);
  if (!op || op->random || op->has_subgraphs) return false;
  for (const auto& [key, attribute] : node.attrs)
    if (std::holds_alternative<ir::GraphPtr>(attribute)) return false;
  return true;
}

std::string key_of(const Node& node) {
  std::string key = cat(node.op, "(");
  for (const Value* v : node.inputs) {
    const int id = v ? v->id : -1;
    key.append(reinterpret_cast<const char*>(&id), sizeof(id));
  }
  key += cat(")", node.outputs.size());
  for (const auto& [name, attribute] : node.attrs) {
    key += name;
    key += '=';
    append_key(key, attribute);
  }
  return key;
}

bool can_replace_all(const Graph& graph, const Node& from, const Node& to) {
  for (size_t i = 0; i < from.outputs.size(); ++i)
    if (!(from.outputs[i]->type == to.outputs[i]->type) ||
        !can_replace(graph, from.outputs[i], to.outputs[i]) ||
        to.outputs[i]->uses.size() > kMaxUses)
      return false;
  return true;
}

// Type, dims and a few words of the content: equal constants have equal keys, and different weights
// hardly ever do, so that their bytes are not read.
std::string constant_key(const Tensor& t) {
  std::string key = cat(ir::name_of(t.dtype()), bracketed(t.dims()));
  const auto* bytes = t.data_as<char>();
  const int64_t size = t.bytes();
  if (size <= 64) return key.append(bytes, size_t(size));
  for (int64_t k = 0; k < 8; ++k) key.append(bytes + (size - 8) * k / 7, 8);
  return key;
}

bool merge_constants(Graph& graph, PassContext& context) {
  std::unordered_map<std::string, Value*> first;
  std::vector<std::pair<Value*, Value*>> equal;
  for (const auto& [id, v] : graph.values()) {
    if (!v->constant || v->keep) continue;
    auto [it, fresh] = first.emplace(constant_key(*v->constant), v.get());
    if (fresh) continue;
    if (!(it->second->type == v->type) || !it->second->constant->same_bytes(*v->constant)) continue;
    if (it->second->uses.size() > kMaxUses) it->second = v.get();
    else if (!graph.is_output(v.get())) equal.push_back({v.get(), it->second});
  }
  for (auto [from, to] : equal) {
    graph.replace_uses(from, to);
    graph.erase_value(from);
  }
  context.count("eliminate_duplicates/constant", int64_t(equal.size()));
  return !equal.empty();
}

}  // namespace

Result<bool> eliminate_duplicates(Graph& graph, PassContext& context) {
  bool changed = merge_constants(graph, context);
  std::unordered_map<std::string, Node*> first;
  std::vector<Node*> order;
  for (const auto& node : graph.nodes()) order.push_back(node.get());
  for (Node* node : order) {
    if (!mergeable(*node, context)) continue;
    auto [it, fresh] = first.emplace(key_of(*node), node);
    if (fresh) continue;
    if (!can_replace_all(graph, *node, *it->second)) continue;
    for (size_t i = 0; i < node->outputs.size(); ++i)
      replace(graph, node->outputs[i], it->second->outputs[i]);
    add_sources(*it->second, *node);
    graph.erase(node);
    context.count("eliminate_duplicates");
    changed = true;
  }
  return changed;
}

}  // namespace planish::passes
