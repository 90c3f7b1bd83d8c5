#include "frontend/onnx/topology.h"

#include <numeric>
#include <queue>
#include <unordered_set>

#include "base/text.h"
#include "base/quote.h"

namespace planish::frontend::onnx {

std::string node_name(const NodeDesc& node) {
  if (!node.name.empty()) return std::string(node.name);
  for (std::string_view output : node.outputs)
    if (!output.empty()) return cat(node.op_type, ':', output);
  return std::string(node.op_type);
}

std::string describe(const NodeDesc& node) {
  std::string op(node.op_type);
  if (!node.domain.empty()) op = cat(node.domain, '.', op);
  if (op.size() > 200) op.resize(200);
  return cat("node ", quoted(node_name(node)), " (", op, ')');
}

const std::vector<std::string_view>& FreeNames::of(const GraphDesc& graph) {
  if (auto found = known_.find(&graph); found != known_.end()) return found->second;
  std::unordered_set<std::string_view> settled = {std::string_view()};  // defined, or listed already
  for (const ValueInfoDesc& input : graph.inputs) settled.insert(input.name);
  for (const TensorDesc& tensor : graph.initializers) settled.insert(tensor.name);
  for (const SparseTensorDesc& tensor : graph.sparse_initializers)
    settled.insert(tensor.values.name);
  for (const NodeDesc& node : graph.nodes) settled.insert(node.outputs.begin(), node.outputs.end());
  std::vector<std::string_view> free;
  const auto read = [&](std::string_view name) {
    if (settled.insert(name).second) free.push_back(name);
  };
  for (const NodeDesc& node : graph.nodes) {
    for (std::string_view name : node.inputs) read(name);
    for (const AttributeDesc& attribute : node.attributes)
      if (attribute.g)
        for (std::string_view name : of(*attribute.g)) read(name);
  }
  for (const ValueInfoDesc& output : graph.outputs) read(output.name);
  return known_[&graph] = std::move(free);
}

namespace {

using Producers = std::unordered_map<std::string_view, int>;

Result<Producers> find_producers(std::span<const NodeDesc> nodes) {
  Producers producers;
  producers.reserve(nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i)
    for (std::string_view output : nodes[i].outputs) {
      if (output.empty()) continue;
      const auto [at, fresh] = producers.emplace(output, int(i));
      if (!fresh)
        return invalid_argument(cat("value ", quoted(output), " is produced by ",
                                    describe(nodes[size_t(at->second)]), " and by ",
                                    describe(nodes[i])));
    }
  return producers;
}

// Names nodes of a cycle: from any node left over, producers that are left over lead into one.
Status cycle_error(std::span<const NodeDesc> nodes, const std::vector<std::vector<int>>& needs,
                   const std::vector<int>& waiting) {
  int at = 0;
  while (waiting[size_t(at)] == 0) ++at;
  std::vector<int> seen_at(nodes.size(), -1), walk;
  while (seen_at[size_t(at)] < 0) {
    seen_at[size_t(at)] = int(walk.size());
    walk.push_back(at);
    for (int need : needs[size_t(at)])
      if (waiting[size_t(need)] > 0) {
        at = need;
        break;
      }
  }
  std::string names;
  for (size_t i = size_t(seen_at[size_t(at)]); i < walk.size(); ++i) {
    if (!names.empty()) names += ", ";
    if (i - size_t(seen_at[size_t(at)]) == 8) {
      names += "...";
      break;
    }
    names += describe(nodes[size_t(walk[i])]);
  }
  return invalid_argument(cat("the graph has a cycle through ", names));
}

}  // namespace

Result<std::vector<int>> topological_order(std::span<const NodeDesc> nodes, FreeNames& free_names) {
  PLANISH_ASSIGN_OR_RETURN(const Producers producers, find_producers(nodes));
  std::vector<std::vector<int>> needs(nodes.size());
  bool sorted = true;
  for (size_t i = 0; i < nodes.size(); ++i) {
    const auto need = [&](std::string_view name) {
      const auto found = producers.find(name);
      if (found == producers.end()) return;
      needs[i].push_back(found->second);
      if (found->second >= int(i)) sorted = false;
    };
    for (std::string_view name : nodes[i].inputs) need(name);
    for (const AttributeDesc& attribute : nodes[i].attributes)
      if (attribute.g)
        for (std::string_view name : free_names.of(*attribute.g)) need(name);
  }
  std::vector<int> order(nodes.size());
  std::iota(order.begin(), order.end(), 0);
  if (sorted) return order;

  std::vector<int> waiting(nodes.size());
  std::vector<std::vector<int>> readers(nodes.size());
  std::priority_queue<int, std::vector<int>, std::greater<>> ready;
  for (size_t i = 0; i < nodes.size(); ++i) {
    waiting[i] = int(needs[i].size());
    for (int producer : needs[i]) readers[size_t(producer)].push_back(int(i));
    if (waiting[i] == 0) ready.push(int(i));
  }
  order.clear();
  while (!ready.empty()) {
    const int at = ready.top();
    ready.pop();
    order.push_back(at);
    for (int reader : readers[size_t(at)])
      if (--waiting[size_t(reader)] == 0) ready.push(reader);
  }
  if (order.size() != nodes.size()) return cycle_error(nodes, needs, waiting);
  return order;
}

}  // namespace planish::frontend::onnx
