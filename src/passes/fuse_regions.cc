// fuse_regions: the last pass. Every node is put into the region that it can be computed in:
//
// 1. A contraction (convolution, matrix product) takes the elementwise nodes behind it that work on
//    its own shape: bias, scale, residual, activation. It stops at a value that somebody else needs,
//    unless all its readers are inside (x * sigmoid(x)).
// 2. A reduction (softmax, normalization, pooling) does the same, and takes what stands before it
//    when it alone reads that and reads every element once.
// 3. What elementwise nodes are left form the largest convex groups of one shape, with several
//    inputs (broadcast where smaller) and several outputs.
// 4. With PassOptions::wide_regions an attention takes the Split of which it reads every part, a
//    reduction the rows of constant tables that are looked up for it, and a contraction what is made
//    for its epilogue alone and the moments of its result's rows (defer_layer_norm).
// 5. Expand -> depthwise -> project and depthwise -> pointwise chains become one region of several
//    roots, which split_region() takes apart again when no kernel wants it. With wide_regions so does a
//    1x1 convolution that widens with the one that narrows its result again, whoever else reads that, and a
//    convolution with the max pool that alone reads its result, and dense layers on few rows that follow
//    each other.
//
// Regions never hide a graph output or a kept value: those are outputs of the region.
#include <algorithm>
#include <unordered_map>

#include "passes/passes.h"
#include "passes/region.h"

namespace planish::passes {
namespace {

constexpr size_t kMaxNodes = 48;    // nodes of one region
constexpr size_t kMaxInputs = 24;   // operands of one region
constexpr size_t kMaxOutputs = 4;   // results of a pointwise region
// Dense layers that one kernel may take: beyond these a GPU's few SMs of one cluster are too few.
constexpr int64_t kStackRows = 32, kStackWeights = int64_t(1) << 22;

class Fuser {
 public:
  Fuser(Graph& graph, PassContext& context) : graph_(graph), context_(context) {
    int position = 0;
    for (const auto& node : graph.nodes()) {
      order_.push_back(node.get());
      position_[node.get()] = position++;
    }
    outputs_.insert(graph.outputs.begin(), graph.outputs.end());
  }

  Result<bool> run() {
    for (Node* node : order_)
      if (kind_of(*node) == opdef::FusionKind::kContraction && can_root(*node)) grow_root(node);
    for (Node* node : order_)
      if (kind_of(*node) == opdef::FusionKind::kReduction && can_root(*node)) grow_root(node);
    if (context_.options.wide_regions)
      for (Node* node : order_)
        if (node->op == "Split") join_parts(node);
    if (context_.options.multi_root_regions) join_roots();
    if (context_.options.multi_root_regions && context_.options.wide_regions) {
      join_stacks();
      join_pairs();
      join_pools();
    }
    group_pointwise();
    return make();
  }

 private:
  struct Group {
    std::vector<Node*> nodes;
    Node* root = nullptr;  // null: pointwise
    int depth = 0;         // of pointwise groups
    size_t inputs = 0;     // an upper bound of its operands
  };

  opdef::FusionKind kind_of(const Node& node) const {
    const opdef::OpDef* op = context_.op(node);
    return op ? op->kind : opdef::FusionKind::kOpaque;
  }
  bool is_free(const Node& node) const { return !group_of_.count(&node); }
  bool is_output(const Value* v) const { return v->keep || outputs_.count(v); }
  bool fusable(const Node& node) const {
    const Value* v = node.outputs[0];
    return is_elementwise(context_, node) && is_free(node) && (!v->uses.empty() || is_output(v));
  }
  static bool has_free_result(const Node& node) {
    for (size_t i = 1; i < node.outputs.size(); ++i)
      if (!node.outputs[i]->uses.empty() || node.outputs[i]->keep) return false;
    return true;
  }
  // One result in use, and no operand on the host whose value the body could not see.
  bool can_root(const Node& node) const {
    const opdef::OpDef* op = context_.op(node);
    if (!op || op->random || op->has_subgraphs || node.outputs.empty() || !has_free_result(node))
      return false;
    for (size_t i = 1; i < node.outputs.size(); ++i)
      if (outputs_.count(node.outputs[i])) return false;
    for (size_t i = 0; i < node.inputs.size() && i < 32; ++i)
      if (node.inputs[i] && (op->host_inputs >> i & 1)) return false;
    return !node.outputs[0]->content;
  }

  // Values of the group that somebody outside needs.
  size_t leaving(const std::vector<Node*>& nodes) const {
    const std::set<const Node*> inside(nodes.begin(), nodes.end());
    size_t count = 0;
    for (const Node* node : nodes)
      for (const Value* v : node->outputs)
        count += is_output(v) || std::any_of(v->uses.begin(), v->uses.end(), [&](const ir::Use& u) {
                   return !inside.count(u.node);
                 });
    return count;
  }

  // The elementwise nodes behind `root` on its shape, as far as they leave one result (and
  // max_extra_outputs more).
  void grow_root(Node* root) {
    const Shape& shape = root->outputs[0]->type.shape;
    std::vector<Node*> nodes = {root}, best = nodes;
    std::set<const Node*> inside = {root};
    const size_t limit = 1 + size_t(std::max(context_.options.max_extra_outputs, 0));
    std::set<std::pair<int, Node*>> next;
    const auto offer = [&](const Value* v) {
      // A value read by very many nodes is not hidden by any epilogue.
      if (v->uses.size() > 8) return;
      for (const ir::Use& use : v->uses)
        if (fusable(*use.node) && !inside.count(use.node) &&
            use.node->outputs[0]->type.shape == shape)
          next.insert({position_[use.node], use.node});
    };
    size_t operands = root->inputs.size();
    offer(root->outputs[0]);
    while (!next.empty() && nodes.size() < kMaxNodes) {
      Node* node = next.begin()->second;
      next.erase(next.begin());
      operands += node->inputs.size() - 1;
      if (operands > kMaxInputs || !acyclic_with(*root, *node, inside)) break;
      nodes.push_back(node);
      inside.insert(node);
      if (leaving(nodes) <= limit) best = nodes;
      offer(node->outputs[0]);
    }
    // With one result there is no way out and back; with more, operands must not depend on it.
    if (kind_of(*root) == opdef::FusionKind::kReduction) add_prologue(root, best);
    if (kind_of(*root) == opdef::FusionKind::kContraction && context_.options.wide_regions) {
      add_feeders(root, best);
      add_moments(best);
    }
    if (best.size() == 1 && kind_of(*root) != opdef::FusionKind::kContraction) return;
    std::sort(best.begin(), best.end(),
              [&](Node* a, Node* b) { return position_[a] < position_[b]; });
    const int group = int(groups_.size());
    for (Node* node : best) group_of_[node] = group;
    groups_.push_back({std::move(best), root, 0, operands});
  }

  // What is made for members alone and costs no further full-sized operand: broadcasts, a residual
  // that is scaled on its way, the joined moments of its rows.
  void add_feeders(const Node* root, std::vector<Node*>& nodes) {
    std::set<const Node*> inside(nodes.begin(), nodes.end());
    const Shape& shape = root->outputs[0]->type.shape;
    for (size_t i = 0; i < nodes.size() && nodes.size() < kMaxNodes; ++i)
      for (const Value* v : nodes[i]->inputs) {
        Node* feeder = v && nodes[i] != root ? v->producer : nullptr;
        if (!feeder || inside.count(feeder) || !is_free(*feeder) || !feeds_only(*feeder, inside)) continue;
        const bool taken = feeder->op == "JoinMoments" ||
                           (fusable(*feeder) && v->type.shape == shape && reads_one(*feeder, shape));
        if (!taken) continue;
        nodes.push_back(feeder);
        inside.insert(feeder);
      }
  }
  bool feeds_only(const Node& node, const std::set<const Node*>& inside) const {
    return std::all_of(node.outputs.begin(), node.outputs.end(), [&](const Value* v) {
      return !is_output(v) && v->uses.size() <= 8 &&
             std::all_of(v->uses.begin(), v->uses.end(),
                         [&](const ir::Use& use) { return inside.count(use.node) > 0; });
    });
  }
  // At most one operand of the shape is computed, and not by a root that this node could follow.
  bool reads_one(const Node& node, const Shape& shape) const {
    const Value* full = nullptr;
    for (const Value* v : node.inputs) {
      if (!v || v->constant || !(v->type.shape == shape) || v == full) continue;
      if (full) return false;
      full = v;
    }
    return !full || !full->producer || full->uses.size() > 1 || is_elementwise(context_, *full->producer);
  }
  // The partial moments of a value of the region.
  void add_moments(std::vector<Node*>& nodes) {
    for (size_t i = 0; i < nodes.size(); ++i)
      for (const ir::Use& use : nodes[i]->outputs[0]->uses)
        if (use.node->op == "PartialMoments" && is_free(*use.node)) {
          nodes.push_back(use.node);
          return;
        }
  }

  // Several results: an operand computed behind the root may depend on one of them.
  bool acyclic_with(const Node& root, const Node& node, const std::set<const Node*>& inside) const {
    if (context_.options.max_extra_outputs <= 0) return true;
    const int start = position_.at(&root);
    for (const Value* v : node.inputs)
      if (v && v->producer && !inside.count(v->producer) && position_.at(v->producer) > start)
        return false;
    return true;
  }

  // Elementwise nodes on operand 0 that only this root reads; windows that overlap would compute
  // them more than once.
  void add_prologue(Node* root, std::vector<Node*>& nodes) {
    if (root->has_attr("kernel_shape") || root->inputs.empty() || !root->inputs[0]) return;
    if (context_.options.wide_regions) return add_tree(root, nodes);
    const Value* v = root->inputs[0];
    const Shape& shape = v->type.shape;
    for (size_t k = 0; k < 8; ++k) {
      Node* before = v->producer;
      if (!before || is_output(v) || v->uses.size() != 1 || !fusable(*before)) return;
      nodes.push_back(before);
      // Up the one operand of full shape that is computed; more than one ends the chain.
      const Value* next = nullptr;
      for (const Value* operand : before->inputs) {
        if (!operand || !(operand->type.shape == shape)) continue;
        if (next && next != operand) return;
        next = operand;
      }
      if (!next) return;
      v = next;
    }
  }
  // Everything that is made for this root alone, element by element or by looking rows up.
  void add_tree(Node* root, std::vector<Node*>& nodes) {
    const Shape& shape = root->inputs[0]->type.shape;
    std::vector<const Value*> open = {root->inputs[0]};
    for (size_t k = 0; k < open.size() && k < 8; ++k) {
      const Value* v = open[k];
      Node* before = v->producer;
      if (!before || is_output(v) || v->uses.size() != 1 || !(v->type.shape == shape)) continue;
      const bool lookup = is_lookup(*before);
      if (!lookup && !fusable(*before)) continue;
      nodes.push_back(before);
      if (!lookup) open.insert(open.end(), before->inputs.begin(), before->inputs.end());
      std::erase(open, nullptr);
    }
  }
  bool is_lookup(const Node& node) const {
    return node.op == "Gather" && is_free(node) && node.inputs[0]->constant &&
           int_attr(node, "axis", 0) == 0;
  }

  // A Split into equal parts that one attention reads, all of them, joins its region. The sizes are
  // then a number of parts, for a region's roots have no operands on the host.
  void join_parts(Node* node) {
    if (!is_free(*node) || node->inputs[0]->type.rank() != 3) return;
    const Node* reader = nullptr;
    for (const Value* v : node->outputs) {
      if (is_output(v) || v->uses.size() != 1 || v->uses[0].node->op != "Attention" ||
          v->uses[0].index > 2 || (reader && reader != v->uses[0].node) ||
          !(v->type.shape == node->outputs[0]->type.shape) || !v->type.shape[2].is_constant())
        return;
      reader = v->uses[0].node;
    }
    auto group = reader ? group_of_.find(reader) : group_of_.end();
    if (group == group_of_.end() || groups_[size_t(group->second)].root != reader) return;
    if (node->inputs.size() > 1 && node->inputs[1]) {
      graph_.set_input(node, 1, nullptr);
      node->attrs["num_outputs"] = int64_t(node->outputs.size());
    }
    groups_[size_t(group->second)].nodes.insert(groups_[size_t(group->second)].nodes.begin(), node);
    group_of_[node] = group->second;
    context_.count("fuse_regions/parts");
  }

  // ---- regions of several roots
  static bool is_conv(const Node* node) { return node && node->op == "Conv"; }
  static bool is_depthwise(const Node* node) {
    if (!is_conv(node) || node->inputs[1]->type.shape.size() != 4) return false;
    const int64_t group = int_attr(*node, "group", 1);
    return group > 1 && node->inputs[0]->type.shape[1] == Dim(group) &&
           node->inputs[1]->type.shape[0] == Dim(group);
  }
  static bool is_pointwise_conv(const Node* node) {
    if (!is_conv(node) || int_attr(*node, "group", 1) != 1) return false;
    const Shape& w = node->inputs[1]->type.shape;
    if (w.size() != 4 || !(w[2] == Dim(1)) || !(w[3] == Dim(1))) return false;
    for (int64_t s : ints_attr(*node, "strides"))
      if (s != 1) return false;
    for (int64_t p : ints_attr(*node, "pads"))
      if (p != 0) return false;
    return string_attr(*node, "auto_pad", "NOTSET") != "SAME_UPPER";
  }
  // The group whose root alone reads this group's one result as its operand 0; -1 when there is
  // none.
  int follower(int g) const {
    const Group& group = groups_[size_t(g)];
    if (group.nodes.empty()) return -1;
    const std::set<const Node*> inside(group.nodes.begin(), group.nodes.end());
    const Node* reader = nullptr;
    for (const Node* node : group.nodes)
      for (const Value* v : node->outputs) {
        if (is_output(v)) return -1;
        for (const ir::Use& use : v->uses) {
          if (inside.count(use.node)) continue;
          if (reader || use.index != 0) return -1;
          reader = use.node;
        }
      }
    auto found = reader ? group_of_.find(reader) : group_of_.end();
    if (found == group_of_.end() || groups_[size_t(found->second)].root != reader) return -1;
    return found->second;
  }
  void join(int into, int from) {
    Group& a = groups_[size_t(into)];
    Group& b = groups_[size_t(from)];
    for (Node* node : b.nodes) group_of_[node] = into;
    a.nodes.insert(a.nodes.end(), b.nodes.begin(), b.nodes.end());
    std::sort(a.nodes.begin(), a.nodes.end(),
              [&](Node* x, Node* y) { return position_[x] < position_[y]; });
    a.inputs += b.inputs;
    b.nodes.clear();
  }
  void join_roots() {
    const int count = int(groups_.size());
    for (int g = 0; g < count; ++g) {
      if (groups_[size_t(g)].nodes.empty() || !is_depthwise(groups_[size_t(g)].root)) continue;
      const int project = follower(g);
      if (project < 0 || !is_pointwise_conv(groups_[size_t(project)].root)) continue;
      const Value* x = groups_[size_t(g)].root->inputs[0];
      auto before = x->producer ? group_of_.find(x->producer) : group_of_.end();
      const int expand = before == group_of_.end() ? -1 : before->second;
      const bool whole = expand >= 0 && is_pointwise_conv(groups_[size_t(expand)].root) &&
                         follower(expand) == g && groups_[size_t(expand)].nodes.size() < kMaxNodes;
      join(g, project);
      if (whole) join(g, expand);
      context_.count(whole ? "fuse_regions/inverted_bottleneck" : "fuse_regions/separable");
    }
  }

  // The one value that others need of a group; null when there are several.
  const Value* result_of(int g) const {
    const Group& group = groups_[size_t(g)];
    if (leaving(group.nodes) != 1) return nullptr;
    for (const Node* node : group.nodes)
      for (const Value* v : node->outputs)
        if (is_output(v) || std::any_of(v->uses.begin(), v->uses.end(), [&](const ir::Use& use) {
              auto found = group_of_.find(use.node);
              return found == group_of_.end() || found->second != g;
            }))
          return v;
    return nullptr;
  }
  // Reads nothing computed but `v` and what is made inside.
  bool reads_only(int g, const Value* v) const {
    for (const Node* node : groups_[size_t(g)].nodes)
      for (const Value* operand : node->inputs) {
        if (!operand || operand == v || operand->constant) continue;
        auto found = operand->producer ? group_of_.find(operand->producer) : group_of_.end();
        if (found == group_of_.end() || found->second != g) return false;
      }
    return true;
  }
  // Less to read and write when the middle is the widest by far.
  static bool widens_and_narrows(const Node& first, const Node& second) {
    const Shape &a = first.inputs[1]->type.shape, &b = second.inputs[1]->type.shape;
    if (!a[0].is_constant() || !a[1].is_constant() || !b[0].is_constant()) return false;
    return a[0].value() >= 2 * a[1].value() && a[0].value() >= 2 * b[0].value();
  }
  void join_pairs() {
    const int count = int(groups_.size());
    for (int g = 0; g < count; ++g) {
      const Group& group = groups_[size_t(g)];
      if (group.nodes.empty() || !is_pointwise_conv(group.root) || roots_in(group) != 1) continue;
      const Value* wide = result_of(g);
      if (!wide || wide->uses.size() > 8) continue;
      for (const ir::Use& use : wide->uses) {
        auto found = group_of_.find(use.node);
        if (use.index != 0 || found == group_of_.end() || found->second == g) continue;
        const int next = found->second;
        if (groups_[size_t(next)].root != use.node || !is_pointwise_conv(use.node) ||
            roots_in(groups_[size_t(next)]) != 1 || !widens_and_narrows(*group.root, *use.node) || !reads_only(next, wide) ||
            group.nodes.size() + groups_[size_t(next)].nodes.size() > kMaxNodes)
          continue;
        join(g, next);
        context_.count("fuse_regions/pair");
        break;
      }
    }
  }

  // Constant weights on at most kStackRows rows: a matrix product, or a 1x1 convolution of single pixels.
  // The number of weights; 0: something else.
  int64_t dense_weights(const Node* node) const {
    const bool product = node && (node->op == "MatMul" || node->op == "Gemm");
    if (!product && !is_pointwise_conv(node)) return 0;
    const Value *weights = node->inputs[1], *result = node->outputs[0];
    if (!weights || !weights->constant || int_attr(*node, "transA", 0) != 0) return 0;
    int64_t rows = 1, count = 1;
    const size_t channel = product ? size_t(result->type.rank()) - 1 : 1;
    for (size_t d = 0; d < size_t(result->type.rank()); ++d) {
      if (!result->type.shape[d].is_constant()) return 0;
      if (d != channel) rows *= result->type.shape[d].value();
    }
    if (rows < 1 || rows > kStackRows || (product && weights->type.rank() != 2)) return 0;
    if (!product && rows != result->type.shape[0].value()) return 0;
    for (const Dim& d : weights->type.shape) count *= d.value();
    return count;
  }
  void join_stacks() {
    const int count = int(groups_.size());
    const auto weights_of = [&](int g) {
      const Group& group = groups_[size_t(g)];
      return group.nodes.empty() || !group.root || roots_in(group) != 1 ? 0 : dense_weights(group.root);
    };
    for (int g = 0; g < count; ++g) {
      int64_t weights = weights_of(g);
      if (weights == 0) continue;
      bool joined = false;
      for (int next = follower(g); next >= 0; next = follower(g)) {
        const int64_t more = weights_of(next);
        if (more == 0 || weights + more > kStackWeights ||
            groups_[size_t(g)].nodes.size() + groups_[size_t(next)].nodes.size() > kMaxNodes ||
            groups_[size_t(g)].inputs + groups_[size_t(next)].inputs > kMaxInputs)
          break;
        join(g, next);
        weights += more;
        joined = true;
      }
      if (joined) context_.count("fuse_regions/stack");
    }
  }

  // A max pool over two dims that takes windows of what one convolution gives to nobody else.
  void join_pools() {
    const int count = int(groups_.size());
    for (int g = 0; g < count; ++g) {
      Group& group = groups_[size_t(g)];
      if (group.nodes.empty() || !is_conv(group.root) || roots_in(group) != 1) continue;
      const Value* v = result_of(g);
      if (!v || is_output(v) || v->uses.size() != 1 || v->uses[0].index != 0 || v->type.rank() != 4) continue;
      Node* pool = v->uses[0].node;
      if (pool->op != "MaxPool" || !can_root(*pool)) continue;
      const auto found = group_of_.find(pool);
      const size_t added = found == group_of_.end() ? 1 : groups_[size_t(found->second)].nodes.size();
      if (group.nodes.size() + added > kMaxNodes) continue;
      if (found != group_of_.end()) {
        join(g, found->second);
      } else {
        group.nodes.push_back(pool);
        group_of_[pool] = g;
      }
      context_.count("fuse_regions/pool");
    }
  }
  size_t roots_in(const Group& group) const {
    return size_t(std::count_if(group.nodes.begin(), group.nodes.end(),
                                [&](const Node* node) { return !is_elementwise(context_, *node); }));
  }

  // ---- pointwise groups
  // Depth counts the nodes that are no free elementwise ones on the longest way to a value. Two
  // elementwise nodes of one shape and depth have nothing but such nodes between them (broadcasting
  // never shrinks), so a connected group of them is convex.
  void group_pointwise() {
    std::unordered_map<const Value*, int> depth;
    for (Node* node : order_) {
      int d = 0;
      for (const Value* v : node->inputs) {
        auto found = v ? depth.find(v) : depth.end();
        if (found != depth.end()) d = std::max(d, found->second);
      }
      if (!fusable(*node)) {
        auto found = group_of_.find(node);
        // All of a region counts as one node, at the depth of its deepest member.
        if (found != group_of_.end()) d = std::max(d, region_depth(found->second, depth));
        for (const Value* v : node->outputs) depth[v] = d + 1;
        continue;
      }
      depth[node->outputs[0]] = join_pointwise(node, d);
    }
    absorb_feeders();
  }
  int region_depth(int g, const std::unordered_map<const Value*, int>& depth) {
    int d = 0;
    for (const Node* node : groups_[size_t(g)].nodes)
      for (const Value* v : node->inputs) {
        auto found = v ? depth.find(v) : depth.end();
        if (found != depth.end()) d = std::max(d, found->second);
      }
    return d;
  }
  // Puts the node into the group of its producers at the same depth; returns its depth.
  int join_pointwise(Node* node, int d) {
    std::vector<int> near;
    size_t size = 1, operands = node->inputs.size();
    for (const Value* v : node->inputs) {
      auto found = v && v->producer ? group_of_.find(v->producer) : group_of_.end();
      if (found == group_of_.end()) continue;
      const Group& group = groups_[size_t(found->second)];
      if (group.root || group.depth != d || !(v->type.shape == node->outputs[0]->type.shape) ||
          std::find(near.begin(), near.end(), found->second) != near.end())
        continue;
      near.push_back(found->second);
      size += group.nodes.size();
      operands += group.inputs;
    }
    if (size > kMaxNodes || operands > kMaxInputs || !few_results(near, node)) {
      near.clear();
      ++d;  // a fresh level keeps whatever follows from closing a cycle
      operands = node->inputs.size();
    }
    int into = near.empty() ? int(groups_.size()) : near[0];
    if (near.empty()) groups_.push_back({{}, nullptr, d, 0});
    for (size_t i = 1; i < near.size(); ++i) join(into, near[i]);
    group_of_[node] = into;
    groups_[size_t(into)].nodes.push_back(node);
    groups_[size_t(into)].inputs = operands;
    return d;
  }
  // Results that could never end inside: read by something that is no elementwise node of the shape.
  bool few_results(const std::vector<int>& near, const Node* node) const {
    size_t results = 0;
    const auto counts = [&](const Node* member) {
      const Value* v = member->outputs[0];
      return is_output(v) || v->uses.size() > 64 || std::any_of(v->uses.begin(), v->uses.end(), [&](const ir::Use& use) {
               return !fusable_at(*use.node, v->type.shape);
             });
    };
    for (int g : near)
      for (const Node* member : groups_[size_t(g)].nodes) results += counts(member);
    return results + counts(node) <= kMaxOutputs;
  }
  bool fusable_at(const Node& node, const Shape& shape) const {
    return is_elementwise(context_, node) && node.outputs[0]->type.shape == shape &&
           (is_free(node) || !groups_[size_t(group_of_.at(&node))].root);
  }
  // A group whose every reader is in one other pointwise group of its shape joins it, whatever the
  // depths: nothing of it goes anywhere else.
  void absorb_feeders() {
    for (size_t i = groups_.size(); i-- > 0;) {
      Group& group = groups_[i];
      if (group.root || group.nodes.empty()) continue;
      int reader = -1;
      bool one = true;
      for (const Node* node : group.nodes) {
        const Value* v = node->outputs[0];
        one &= !is_output(v) && v->uses.size() <= 64;
        for (const ir::Use& use : v->uses) {
          if (!one) break;
          auto found = group_of_.find(use.node);
          if (found == group_of_.end()) {
            one = false;
          } else if (found->second != int(i)) {
            one = reader < 0 || reader == found->second;
            reader = found->second;
          }
        }
        if (!one) break;
      }
      if (!one || reader < 0) continue;
      const Group& target = groups_[size_t(reader)];
      if (target.root || !(target.nodes[0]->outputs[0]->type.shape ==
                           group.nodes[0]->outputs[0]->type.shape))
        continue;
      if (target.nodes.size() + group.nodes.size() > kMaxNodes ||
          target.inputs + group.inputs > kMaxInputs)
        continue;
      join(reader, int(i));
    }
  }

  Result<bool> make() {
    bool changed = false;
    for (Group& group : groups_) {
      if (group.nodes.size() < 2) continue;
      const char* rule = !group.root ? "fuse_regions/pointwise"
                         : kind_of(*group.root) == opdef::FusionKind::kContraction
                             ? "fuse_regions/contraction"
                             : "fuse_regions/reduction";
      PLANISH_ASSIGN_OR_RETURN(Node * region, make_region(graph_, group.nodes, context_));
      (void)region;
      context_.count("fuse_regions");
      context_.count(rule);
      changed = true;
    }
    if (changed && !graph_.sort()) return internal_error("fusion made a cycle");
    return changed;
  }

  Graph& graph_;
  PassContext& context_;
  std::vector<Node*> order_;
  std::unordered_map<const Node*, int> position_;
  std::set<const Value*> outputs_;
  std::vector<Group> groups_;
  std::unordered_map<const Node*, int> group_of_;
};

}  // namespace

Result<bool> fuse_regions(Graph& graph, PassContext& context) { return Fuser(graph, context).run(); }

}  // namespace planish::passes
