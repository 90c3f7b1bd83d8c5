// Making and splitting regions: the one fused node that everything fusable becomes.
//
// A Region's attribute "body" is a small graph: body inputs match the node's inputs by position, body
// outputs its outputs. One-element constants that only elementwise nodes read, and what an op reads
// on the host, lie inside the body;
// every other constant is an input. A region carries the sources of all its nodes. It can be split
// again, one grain at a time, which is how the compiler prices its alternatives.
#pragma once
#include <span>
#include <vector>

#include "passes/rewrite.h"

namespace planish::passes {

inline constexpr std::string_view kRegion = "Region";

// Replaces `nodes` (in topological order, convex: no path leaves and comes back; Regions among them
// are opened) by one Region. The region stands where the last node stood; when another output of it
// is used before, the caller sorts the graph.
Result<Node*> make_region(Graph& graph, std::span<Node* const> nodes, PassContext& context);

// Contractions and reductions of a region, in order.
std::vector<const Node*> roots_of(const Node& region, const PassContext& context);

// Splits a region into its next finer parts and returns them in order, Regions where a part has
// several nodes:
// - several roots: one part per root with the elementwise nodes that need no later root;
// - one root with elementwise nodes in front of it: those, and the root with what follows;
// - one root with an epilogue: the root, and the epilogue;
// - elementwise nodes only: every node alone.
// The compiler splits again until kernels take the parts.
Result<std::vector<Node*>> split_region(Graph& graph, Node* region, PassContext& context);
// Down to single nodes at once.
Result<std::vector<Node*>> dissolve_region(Graph& graph, Node* region);

}  // namespace planish::passes
