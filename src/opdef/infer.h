// Shape inference over whole graphs: runs each op's infer() on a node and records types and content.
// Also the one place that checks a node against its op's schema.
#pragma once
#include <span>

#include "base/status.h"
#include "ir/graph.h"
#include "opdef/op_def.h"

namespace planish::opdef {

// Checks operand count, element types and attributes of `node` against its op; errors name the
// attribute or operand, got and expected.
Status check_schema(const OpDef& op, const ir::Node& node);

// Fills absent attributes that have defaults.
void fill_defaults(const OpDef& op, ir::Attributes& attrs);

// Types and content of `node`'s outputs from its inputs, into its output values. New data-dependent
// dims become symbols of node.graph.
Status infer_node(const OpRegistry& registry, ir::Node& node);

// infer_node over all nodes in order, bodies included; errors carry the node's source names.
Status infer_graph(const OpRegistry& registry, ir::Graph& graph);

// Gives the body's inputs these types and infers it. `outer` (may be null) knows the bounds of the
// symbols that the types mention.
Result<std::vector<ir::TensorType>> infer_body(const OpRegistry& registry, ir::Graph& body,
                                               std::span<const ir::TensorType> inputs,
                                               const ir::Graph* outer);

// Output types for concrete inputs whose elements are all known (what evaluate() needs). Symbols
// stay only where the dims depend on data.
Result<std::vector<ir::TensorType>> infer_concrete(const OpRegistry& registry, const OpDef& op,
                                                   const ir::Attributes& attrs,
                                                   std::span<const ir::Tensor* const> inputs,
                                                   int output_count);

// "node 'conv1' (Conv)": how messages name a node.
std::string describe_node(const ir::Node& node);

// The expression of an elementwise op over inputs of these types (element types only); argument i
// is input i, absent inputs are left out of has_arg().
Result<kernel::Expr> expression_of(const OpDef& op, const ir::Attributes& attrs,
                                   std::span<const std::optional<DataType>> inputs,
                                   DataType output);

}  // namespace planish::opdef
