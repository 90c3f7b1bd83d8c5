#include "ir/graph.h"

#include <algorithm>
#include <queue>
#include <set>

#include "base/text.h"

namespace planish::ir {
namespace {

template <class T>
const T& typed(const Node& node, std::string_view key) {
  auto found = node.attrs.find(key);
  PLANISH_CHECK(found != node.attrs.end(),
                cat("node of op ", node.op, " has no attribute '", key, "'"));
  const T* value = std::get_if<T>(&found->second);
  PLANISH_CHECK(value, cat("attribute '", key, "' of op ", node.op, " has another type"));
  return *value;
}

}  // namespace

int64_t Node::attr_int(std::string_view key) const { return typed<int64_t>(*this, key); }
double Node::attr_float(std::string_view key) const { return typed<double>(*this, key); }
const std::string& Node::attr_string(std::string_view key) const {
  return typed<std::string>(*this, key);
}
const std::vector<int64_t>& Node::attr_ints(std::string_view key) const {
  return typed<std::vector<int64_t>>(*this, key);
}
const std::vector<double>& Node::attr_floats(std::string_view key) const {
  return typed<std::vector<double>>(*this, key);
}
const Tensor& Node::attr_tensor(std::string_view key) const { return typed<Tensor>(*this, key); }
const GraphPtr& Node::attr_graph(std::string_view key) const {
  return typed<GraphPtr>(*this, key);
}
DataType Node::attr_type(std::string_view key) const { return typed<DataType>(*this, key); }

Value* Graph::new_value(std::string wanted, TensorType type) {
  auto value = std::make_unique<Value>();
  value->id = next_id_++;
  value->name = unique_name(wanted);
  value->type = std::move(type);
  Value* raw = value.get();
  by_name_[raw->name] = raw;
  values_[raw->id] = std::move(value);
  return raw;
}

std::string Graph::unique_name(std::string_view wanted) const {
  if (!wanted.empty() && !by_name_.count(wanted)) return std::string(wanted);
  const std::string stem = wanted.empty() ? "v" : std::string(wanted);
  for (int64_t k = wanted.empty() ? next_id_ : 1;; ++k) {
    std::string name = cat(stem, "_", k);
    if (!by_name_.count(name)) return name;
    if (k > 16) k = std::max<int64_t>(k, next_id_);  // ids are fresh: no quadratic search
  }
}

Value* Graph::add_input(std::string wanted, TensorType type) {
  Value* v = new_value(std::move(wanted), std::move(type));
  inputs.push_back(v);
  return v;
}

Value* Graph::add_constant(std::string wanted, Tensor tensor) {
  Value* v = new_value(std::move(wanted), tensor.type());
  v->constant = std::move(tensor);
  return v;
}

Node* Graph::add_node(std::string op, std::vector<Value*> node_inputs, Attributes attrs,
                      std::vector<TensorType> output_types, Node* before) {
  auto node = std::make_unique<Node>();
  Node* raw = node.get();
  raw->id = next_id_++;
  raw->op = std::move(op);
  raw->inputs = std::move(node_inputs);
  raw->attrs = std::move(attrs);
  raw->graph = this;
  for (size_t i = 0; i < raw->inputs.size(); ++i)
    if (raw->inputs[i]) raw->inputs[i]->uses.push_back({raw, int(i)});
  for (size_t i = 0; i < output_types.size(); ++i) {
    Value* v = new_value("", std::move(output_types[i]));
    v->producer = raw;
    v->output_index = int(i);
    raw->outputs.push_back(v);
  }
  raw->position = nodes_.insert(before ? before->position : nodes_.end(), std::move(node));
  return raw;
}

namespace {
void drop_use(Value* value, const Use& use) {
  auto& uses = value->uses;
  auto at = std::find(uses.begin(), uses.end(), use);
  PLANISH_CHECK(at != uses.end(), "use list out of step");
  uses.erase(at);
}
}  // namespace

void Graph::replace_uses(Value* from, Value* to) {
  if (from == to) return;
  for (const Use& use : from->uses) {
    use.node->inputs[size_t(use.index)] = to;
    to->uses.push_back(use);
  }
  from->uses.clear();
  for (Value*& output : outputs)
    if (output == from) output = to;
}

void Graph::set_input(Node* node, int index, Value* value) {
  Value*& slot = node->inputs[size_t(index)];
  if (slot) drop_use(slot, {node, index});
  slot = value;
  if (value) value->uses.push_back({node, index});
}

void Graph::add_operand(Node* node, Value* value) {
  node->inputs.push_back(value);
  if (value) value->uses.push_back({node, int(node->inputs.size()) - 1});
}

void Graph::erase(Node* node) {
  for (size_t i = 0; i < node->inputs.size(); ++i)
    if (node->inputs[i]) drop_use(node->inputs[i], {node, int(i)});
  for (Value* output : node->outputs) {
    PLANISH_CHECK(output->uses.empty() && !is_output(output),
                  cat("erasing a node whose output '", output->name, "' is in use"));
    by_name_.erase(output->name);
    values_.erase(output->id);
  }
  nodes_.erase(node->position);
}

void Graph::erase_value(Value* value) {
  PLANISH_CHECK(!value->producer && value->uses.empty() && !is_output(value),
                cat("erasing value '", value->name, "' that is in use"));
  std::erase(inputs, value);
  by_name_.erase(value->name);
  values_.erase(value->id);
}

void Graph::move_before(Node* node, Node* before) {
  nodes_.splice(before->position, nodes_, node->position);
}

bool Graph::sort() {
  std::map<Node*, int> waiting;
  std::map<Node*, int64_t> order;
  int64_t k = 0;
  for (const auto& node : nodes_) {
    order[node.get()] = k++;
    int count = 0;
    for (Value* v : node->inputs) count += v && v->producer;
    waiting[node.get()] = count;
  }
  using Entry = std::pair<int64_t, Node*>;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> ready;
  for (auto& [node, count] : waiting)
    if (count == 0) ready.push({order[node], node});
  std::vector<Node*> sorted;
  while (!ready.empty()) {
    Node* node = ready.top().second;
    ready.pop();
    sorted.push_back(node);
    for (Value* v : node->outputs)
      for (const Use& use : v->uses)
        if (--waiting[use.node] == 0) ready.push({order[use.node], use.node});
  }
  if (sorted.size() != nodes_.size()) return false;
  for (Node* node : sorted) nodes_.splice(nodes_.end(), nodes_, node->position);
  return true;
}

Value* Graph::find(std::string_view wanted) const {
  auto found = by_name_.find(wanted);
  return found == by_name_.end() ? nullptr : found->second;
}

void Graph::rename(Value* value, std::string wanted) {
  if (value->name == wanted) return;
  by_name_.erase(value->name);
  value->name = unique_name(wanted);
  by_name_[value->name] = value;
}

Dim Graph::new_symbol(std::string_view hint, SymbolInfo symbol_info) {
  std::string symbol(hint);
  std::replace(symbol.begin(), symbol.end(), '`', '_');
  const std::string stem = symbol;
  for (int64_t k = 0; symbols.count(symbol); ++k) symbol = cat(stem, "_", k);
  symbols[symbol] = std::move(symbol_info);
  return Dim::symbol(symbol);
}

bool Graph::is_output(const Value* value) const {
  return std::find(outputs.begin(), outputs.end(), value) != outputs.end();
}

Attribute clone(const Attribute& attribute) {
  if (const GraphPtr* graph = std::get_if<GraphPtr>(&attribute))
    return *graph ? GraphPtr((*graph)->clone()) : GraphPtr();
  return attribute;
}

std::unique_ptr<Graph> Graph::clone() const {
  auto copy = std::make_unique<Graph>();
  copy->name = name;
  copy->symbols = symbols;
  copy->metadata = metadata;
  copy->next_id_ = next_id_;
  std::map<const Value*, Value*> twin;
  for (const auto& [id, value] : values_) {
    auto v = std::make_unique<Value>(*value);
    v->producer = nullptr;
    v->uses.clear();
    Value* raw = v.get();
    twin[value.get()] = raw;
    copy->by_name_[raw->name] = raw;
    copy->values_[id] = std::move(v);
  }
  for (const auto& node : nodes_) {
    auto n = std::make_unique<Node>();
    n->id = node->id;
    n->op = node->op;
    n->sources = node->sources;
    n->graph = copy.get();
    for (const auto& [key, value] : node->attrs) n->attrs[key] = ir::clone(value);
    for (size_t i = 0; i < node->inputs.size(); ++i) {
      Value* v = node->inputs[i] ? twin[node->inputs[i]] : nullptr;
      n->inputs.push_back(v);
      if (v) v->uses.push_back({n.get(), int(i)});
    }
    for (Value* v : node->outputs) {
      n->outputs.push_back(twin[v]);
      twin[v]->producer = n.get();
    }
    Node* raw = n.get();
    raw->position = copy->nodes_.insert(copy->nodes_.end(), std::move(n));
  }
  for (Value* v : inputs) copy->inputs.push_back(twin[v]);
  for (Value* v : outputs) copy->outputs.push_back(twin[v]);
  return copy;
}

}  // namespace planish::ir
