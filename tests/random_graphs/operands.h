// Operands for a node from what a graph already computes: brought to the type, dims and range that
// the node wants by Cast, Slice, Tile, Reshape and Clip, or made afresh as a case says.
#pragma once
#include "graph_writer.h"
#include "opdef/op_case.h"

namespace planish::tests {

// A value that nodes may compute from, of one of the last ones with preference; null when there is
// none that `accept` takes.
ir::Value* pick_value(GraphWriter& writer, Random& random,
                      const std::function<bool(const ir::Value*)>& accept);

// Some computed value as `wanted` has it; null when no way leads there.
ir::Value* adapted_operand(GraphWriter& writer, Random& random, const opdef::InputCase& wanted);

// The case's own operand: a graph input, or (`constant`, or when the case says so) a constant.
ir::Value* fresh_operand(GraphWriter& writer, Random& random, const opdef::InputCase& wanted,
                         bool constant);

}  // namespace planish::tests
