// Random valid graphs: 8 to 40 nodes, branches, mixed types, symbolic dims. Everything follows from
// the seed and from what the project already says of its operators: their cases (operand types,
// shapes, ranges, attributes), so that a new operator needs no line here. See docs of the three
// sources a node comes from: the cases, growth.h and triggers.h.
#pragma once
#include <memory>

#include "graph_writer.h"
#include "opdef/op_case.h"

namespace planish::tests {

struct RandomGraph {
  std::unique_ptr<ir::Graph> graph;
  std::vector<ir::Tensor> feeds;  // in input order
  // Made of continuous functions only, so that it may be rounded to half precision.
  bool smooth = false;
  // With symbolic leading dims, other feeds of another size; empty when the graph takes none.
  std::vector<ir::Tensor> resized_feeds;
};

// Operators with their cases that are small enough, sorted by name.
struct CasesOfOp {
  const opdef::OpDef* op;
  std::vector<opdef::OpCase> cases;
};
std::vector<CasesOfOp> cases_by_op(const opdef::OpRegistry& registry);

RandomGraph make_random_graph(const opdef::OpRegistry& registry,
                              const std::vector<CasesOfOp>& cases, uint64_t seed);

}  // namespace planish::tests
