// From a graph node to the Problem that kernels see: an elementwise node becomes one Expr stage, a
// Region's body becomes roots and Expr stages, every other node is one root stage.
#pragma once
#include "base/status.h"
#include "ir/graph.h"
#include "kernel/problem.h"
#include "opdef/op_def.h"

namespace planish::opdef {

// Operands follow node.inputs. One-element constants that an expression reads become immediates.
// Elementwise body nodes between two roots merge into one Expr stage per output shape.
Result<kernel::Problem> make_problem(const OpRegistry& registry, const ir::Node& node);

}  // namespace planish::opdef
