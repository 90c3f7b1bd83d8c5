// Order of an ONNX graph's nodes, which files may hold in any order: what a subgraph reads from
// outside, and a stable topological sort that sees those reads as inputs of the node that holds the
// subgraph. Linear in the file for nodes that come sorted, as they nearly always do.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/status.h"
#include "frontend/onnx/wire.h"

namespace planish::frontend::onnx {

// "'conv1' (Conv)"; an unnamed node goes by its first output: "Conv:y".
std::string node_name(const NodeDesc& node);
std::string describe(const NodeDesc& node);

// Names that a graph and the graphs inside it read but do not define, in order of first reading.
// Recursion is bounded by the reader's nesting limit. Remembers every answer.
class FreeNames {
 public:
  const std::vector<std::string_view>& of(const GraphDesc& graph);

 private:
  std::unordered_map<const GraphDesc*, std::vector<std::string_view>> known_;
};

// Indices of `nodes` in an order that defines before it reads, the file's order where that serves.
// kInvalidArgument: two producers of one name, or a cycle.
Result<std::vector<int>> topological_order(std::span<const NodeDesc> nodes, FreeNames& free_names);

}  // namespace planish::frontend::onnx
