#include "passes/region.h"

#include <algorithm>

#include "base/text.h"

namespace planish::passes {
namespace {

// Opens nested Regions, so that `nodes` are plain.
Result<std::vector<Node*>> opened(Graph& graph, std::span<Node* const> nodes) {
  std::vector<Node*> plain;
  for (Node* node : nodes) {
    if (node->op != kRegion) {
      plain.push_back(node);
      continue;
    }
    PLANISH_ASSIGN_OR_RETURN(auto inner, dissolve_region(graph, node));
    plain.insert(plain.end(), inner.begin(), inner.end());
  }
  return plain;
}

bool read_on_host(const Node& node, size_t index, const PassContext& context) {
  const opdef::OpDef* op = context.op(node);
  return op && index < 32 && (op->host_inputs >> index & 1);
}

class RegionMaker {
 public:
  RegionMaker(Graph& graph, std::vector<Node*> nodes, PassContext& context)
      : graph_(graph), nodes_(std::move(nodes)), members_(nodes_.begin(), nodes_.end()),
        context_(context), body_(std::make_shared<Graph>()) {}

  Result<Node*> make() {
    // What a root reads is an operand of its problem, even when it has but one element.
    for (const Node* node : nodes_)
      if (!is_elementwise(context_, *node)) root_operands_.insert(node->inputs.begin(), node->inputs.end());
    for (const Node* node : nodes_) copy(*node);
    std::vector<Value*> results;
    std::vector<TensorType> types;
    for (const Node* node : nodes_) {
      for (Value* v : node->outputs) {
        if (!leaves(v)) continue;
        results.push_back(v);
        types.push_back(v->type);
        body_->outputs.push_back(twin_[v]);
      }
    }
    if (results.empty()) return internal_error("a region without results");
    keep_symbols();
    std::vector<std::string> sources;
    std::set<std::string> seen;
    for (const Node* node : nodes_)
      for (const std::string& name : node->sources)
        if (seen.insert(name).second) sources.push_back(name);
    Node* region = graph_.add_node(std::string(kRegion), inputs_, {{"body", ir::GraphPtr(body_)}},
                                   types, nodes_.back());
    region->sources = std::move(sources);
    take_over(region, results);
    return region;
  }

 private:
  bool leaves(const Value* v) const {
    return is_pinned(graph_, v) ||
           std::any_of(v->uses.begin(), v->uses.end(),
                       [&](const ir::Use& use) { return !members_.count(use.node); });
  }

  void copy(const Node& node) {
    std::vector<Value*> operands;
    for (size_t i = 0; i < node.inputs.size(); ++i)
      operands.push_back(node.inputs[i] ? inner(node.inputs[i], read_on_host(node, i, context_))
                                        : nullptr);
    Attributes attrs;
    for (const auto& [key, value] : node.attrs) attrs[key] = ir::clone(value);
    std::vector<TensorType> types;
    for (const Value* v : node.outputs) types.push_back(v->type);
    Node* twin = body_->add_node(node.op, std::move(operands), std::move(attrs), std::move(types));
    twin->sources = node.sources;
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      body_->rename(twin->outputs[i], node.outputs[i]->name);
      twin_[node.outputs[i]] = twin->outputs[i];
    }
  }

  Value* inner(Value* v, bool host) {
    auto found = twin_.find(v);
    if (found != twin_.end()) return found->second;
    Value* twin = nullptr;
    if (v->constant && (host || (v->constant->count() == 1 && !root_operands_.count(v)))) {
      twin = body_->add_constant(v->name, *v->constant);
    } else {
      twin = body_->add_input(v->name, v->type);
      twin->content = v->content;
      inputs_.push_back(v);
    }
    return twin_[v] = twin;
  }

  void keep_symbols() {
    for (const auto& [id, v] : body_->values())
      for (const Dim& d : v->type.shape) {
        if (d.is_constant()) continue;
        for (const std::string& name : d.symbols()) {
          auto found = graph_.symbols.find(name);
          if (found != graph_.symbols.end()) body_->symbols.insert(*found);
        }
      }
  }

  // The region's outputs take the place and, once the nodes are gone, the names of the results.
  void take_over(Node* region, const std::vector<Value*>& results) {
    std::vector<std::string> names;
    std::vector<bool> kept;
    for (size_t i = 0; i < results.size(); ++i) {
      names.push_back(results[i]->name);
      kept.push_back(results[i]->keep);
      results[i]->keep = false;
      graph_.replace_uses(results[i], region->outputs[i]);
    }
    for (size_t i = nodes_.size(); i-- > 0;) graph_.erase(nodes_[i]);
    for (size_t i = 0; i < names.size(); ++i) {
      graph_.rename(region->outputs[i], names[i]);
      region->outputs[i]->keep = kept[i];
    }
  }

  Graph& graph_;
  std::vector<Node*> nodes_;
  std::set<const Node*> members_;
  PassContext& context_;
  std::shared_ptr<Graph> body_;
  std::map<const Value*, Value*> twin_;
  std::vector<Value*> inputs_;
  std::set<const Value*> root_operands_;
};

bool is_root(const Node& node, const PassContext& context) {
  return !is_elementwise(context, node);
}

// A number per node: the part it belongs to when `nodes` are cut at their roots.
std::vector<int> parts_by_root(const std::vector<Node*>& nodes, const PassContext& context) {
  std::map<const Node*, int> part;  // index of the last root that the node needs; -1: none
  int root = -1;
  std::vector<int> out;
  for (const Node* node : nodes) {
    int p = -1;
    for (const Value* v : node->inputs) {
      auto found = v && v->producer ? part.find(v->producer) : part.end();
      if (found != part.end()) p = std::max(p, found->second);
    }
    if (is_root(*node, context)) p = ++root;
    part[node] = p;
    out.push_back(p);
  }
  return out;
}

}  // namespace

Result<Node*> make_region(Graph& graph, std::span<Node* const> nodes, PassContext& context) {
  PLANISH_ASSIGN_OR_RETURN(std::vector<Node*> plain, opened(graph, nodes));
  return RegionMaker(graph, std::move(plain), context).make();
}

std::vector<const Node*> roots_of(const Node& region, const PassContext& context) {
  std::vector<const Node*> roots;
  for (const auto& node : region.attr_graph("body")->nodes())
    if (is_root(*node, context)) roots.push_back(node.get());
  return roots;
}

Result<std::vector<Node*>> dissolve_region(Graph& graph, Node* region) {
  const ir::GraphPtr body = region->attr_graph("body");
  const std::vector<Value*> operands = region->inputs;
  return inline_body(graph, region, *body, operands, false);
}

Result<std::vector<Node*>> split_region(Graph& graph, Node* region, PassContext& context) {
  PLANISH_ASSIGN_OR_RETURN(std::vector<Node*> nodes, dissolve_region(graph, region));
  std::vector<int> part = parts_by_root(nodes, context);
  const int roots = part.empty() ? 0 : *std::max_element(part.begin(), part.end()) + 1;
  const bool has_prologue = std::count(part.begin(), part.end(), -1) > 0;
  if (roots == 0) return nodes;
  if (roots == 1 && !has_prologue)  // the root alone, then its epilogue
    for (size_t i = 0; i < nodes.size(); ++i)
      if (!is_root(*nodes[i], context)) part[i] = 1;
  std::vector<Node*> out;
  const int last = *std::max_element(part.begin(), part.end());
  for (int p = -1; p <= last; ++p) {
    std::vector<Node*> members;
    for (size_t i = 0; i < nodes.size(); ++i)
      if (part[i] == p) members.push_back(nodes[i]);
    if (members.empty()) continue;
    if (members.size() == 1) {
      out.push_back(members[0]);
      continue;
    }
    PLANISH_ASSIGN_OR_RETURN(Node * made, make_region(graph, members, context));
    out.push_back(made);
  }
  // A part stands where its last node stood, which may be behind a reader of another result.
  if (!graph.sort()) return internal_error("splitting a region made a cycle");
  return out;
}

}  // namespace planish::passes
