#include "frontend/tensorflow/units.h"

#include <algorithm>
#include <functional>
#include <map>
#include <numeric>
#include <set>
#include <unordered_set>

#include "base/text.h"
#include "frontend/tensorflow/order_by_name.h"

namespace planish::frontend::tensorflow {
namespace {

bool is_op(std::string_view op, std::string_view name) {
  return op == name || (op.substr(0, 3) == "Ref" && op.substr(3) == name);
}

std::vector<std::vector<int>> readers_of(const Source& source) {
  std::vector<std::vector<int>> out(source.nodes().size());
  for (size_t i = 0; i < out.size(); ++i)
    for (const Ref& ref : source.inputs(int(i)))
      if (ref.node >= 0) out[size_t(ref.node)].push_back(int(i));
  return out;
}

class Groups {
 public:
  explicit Groups(size_t count) : parents_(count), is_used_(count, false) {
    std::iota(parents_.begin(), parents_.end(), 0);
  }
  void unite(int a, int b) {
    is_used_[size_t(a)] = is_used_[size_t(b)] = true;
    parents_[size_t(find(b))] = find(a);
  }
  int find(int i) {
    while (parents_[size_t(i)] != i) i = parents_[size_t(i)] = parents_[size_t(parents_[size_t(i)])];
    return i;
  }
  bool is_used(int i) const { return is_used_[size_t(i)]; }

 private:
  std::vector<int> parents_;
  std::vector<bool> is_used_;
};

// Everything between a frame's Enter nodes and its Exit nodes.
void unite_frames(const Source& source, Groups& groups) {
  const std::vector<std::vector<int>> readers = readers_of(source);
  std::map<const Frame*, std::vector<int>> enters;
  for (size_t i = 0; i < source.nodes().size(); ++i)
    if (is_op(source.nodes()[i].op, "Enter"))
      if (const Frame* frame = source.frame_of_enter(int(i))) enters[frame].push_back(int(i));
  for (const auto& [frame, stack_of_enters] : enters) {
    std::vector<int> stack = stack_of_enters;
    std::unordered_set<int> seen(stack.begin(), stack.end());
    for (int enter : stack_of_enters) groups.unite(stack_of_enters[0], enter);
    while (!stack.empty()) {
      const int node = stack.back();
      stack.pop_back();
      if (source.frame_of_exit(node) == frame) continue;
      for (int reader : readers[size_t(node)]) {
        groups.unite(node, reader);
        if (seen.insert(reader).second) stack.push_back(reader);
      }
    }
  }
}

// Sides of conditions that a node runs under: predicate (node, port) and the Switch's port.
using Sides = std::set<std::tuple<int, int, int>>;

void unite_conditions(const Source& source, const std::vector<int>& order, Groups& groups) {
  std::vector<Sides> sides(source.nodes().size());
  for (int node : order) {
    if (groups.is_used(node)) continue;  // of a frame
    const bool is_merge = is_op(source.node(node).op, "Merge");
    bool is_first = true;
    for (const Ref& ref : source.inputs(node)) {
      if (ref.node < 0) continue;
      Sides from = sides[size_t(ref.node)];
      const auto& inputs = source.inputs(ref.node);
      const bool is_switch =
          is_op(source.node(ref.node).op, "Switch") && inputs.size() >= 2 && !groups.is_used(ref.node);
      if (is_switch && !ref.is_control) from.insert({inputs[1].node, inputs[1].port, ref.port});
      if (!is_merge || is_first) {
        sides[size_t(node)].insert(from.begin(), from.end());
      } else {
        Sides both;
        std::set_intersection(sides[size_t(node)].begin(), sides[size_t(node)].end(), from.begin(),
                              from.end(), std::inserter(both, both.end()));
        sides[size_t(node)] = std::move(both);
      }
      is_first = false;
    }
  }
  Groups found = groups;
  for (int node : order) {
    if (groups.is_used(node)) continue;
    for (const Ref& ref : source.inputs(node)) {
      if (ref.node < 0 || groups.is_used(ref.node)) continue;
      const bool is_switch = is_op(source.node(ref.node).op, "Switch") && !ref.is_control;
      if (is_switch || !sides[size_t(ref.node)].empty()) found.unite(ref.node, node);
    }
  }
  groups = std::move(found);
}

}  // namespace

Result<std::vector<int>> topological_order(const Source& source) {
  const auto is_back_edge = [&](int from, int to) {
    return is_op(source.node(from).op, "NextIteration") && is_op(source.node(to).op, "Merge");
  };
  std::vector<std::vector<int>> readers(source.nodes().size());
  std::vector<int> waiting(source.nodes().size(), 0);
  for (size_t i = 0; i < waiting.size(); ++i)
    for (const Ref& ref : source.inputs(int(i))) {
      if (ref.node < 0 || is_back_edge(ref.node, int(i))) continue;
      readers[size_t(ref.node)].push_back(int(i));
      ++waiting[i];
    }
  // A frame is left when it has run whole: an Exit stands behind all that enters, also where it depends
  // on it through a back edge alone.
  for (size_t i = 0; i < waiting.size(); ++i) {
    const Frame* frame = source.frame_of_exit(int(i));
    if (!frame) continue;
    std::vector<int> enters = frame->invariants;
    for (const Frame::Variable& variable : frame->variables) enters.push_back(variable.enter);
    for (int enter : enters) readers[size_t(enter)].push_back(int(i));
    waiting[i] += int(enters.size());
  }
  return order_by_name(
      readers, std::move(waiting),
      [&](int i) { return std::string_view(source.node(i).name); },
      [&](int i) { return describe(source.node(i)); });
}

Units find_units(const Source& source, const std::vector<int>& order) {
  Units out;
  Groups groups(source.nodes().size());
  unite_frames(source, groups);
  for (size_t i = 0; i < source.nodes().size(); ++i) out.is_in_frame.push_back(groups.is_used(int(i)));
  unite_conditions(source, order, groups);
  out.number.assign(source.nodes().size(), -1);
  std::map<int, int> numbers;
  for (int node : order)
    if (groups.is_used(node))
      out.number[size_t(node)] =
          numbers.emplace(groups.find(node), int(numbers.size())).first->second;
  return out;
}

}  // namespace planish::frontend::tensorflow
