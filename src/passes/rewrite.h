// The small vocabulary that passes are written in: reading operands and constants, adding typed
// nodes, replacing values without losing the names that the user knows, inlining bodies.
#pragma once
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "passes/pass.h"

namespace planish::passes {

using ir::Attributes;
using ir::DataType;
using ir::Dim;
using ir::Graph;
using ir::Node;
using ir::Shape;
using ir::Tensor;
using ir::TensorType;
using ir::Value;

// ---- reading
// Input i, null when absent or beyond the list.
inline Value* input(const Node& node, int i) {
  return i < int(node.inputs.size()) ? node.inputs[size_t(i)] : nullptr;
}
// The constant that input i is, else null.
const Tensor* constant_input(const Node& node, int i);
// Elements of an integer constant input, nullopt when it is none.
std::optional<std::vector<int64_t>> ints_input(const Node& node, int i);
// The single element of a constant (of any rank), as double.
std::optional<double> scalar_of(const Value* value);
// Producer when it is a node of this op, else null.
Node* producer_of(const Value* value, std::string_view op);
int64_t int_attr(const Node& node, std::string_view key, int64_t fallback);
double float_attr(const Node& node, std::string_view key, double fallback);
std::string string_attr(const Node& node, std::string_view key, std::string_view fallback);
std::vector<int64_t> ints_attr(const Node& node, std::string_view key);

// Asked for by the user: a graph output or kept. Its name must survive.
bool is_pinned(const Graph& graph, const Value* value);
// Exactly one use, by a node, and not pinned.
bool used_once(const Graph& graph, const Value* value);
// Elementwise with an expression and one output, neither random nor shape arithmetic on the host.
bool is_elementwise(const PassContext& context, const Node& node);
// Rank 0, or every dim 1.
bool is_single_element(const TensorType& type);

// ---- writing
// Adds op `name` before `anchor`, absent attributes filled, output types inferred, sources taken
// from `anchor`. An error means that the pass built an invalid node.
Result<Node*> add_node(Graph& graph, PassContext& context, std::string name,
                       std::vector<Value*> inputs, Attributes attrs, Node* anchor,
                       int output_count = 1);
Result<Value*> add_op(Graph& graph, PassContext& context, std::string name,
                      std::vector<Value*> inputs, Attributes attrs, Node* anchor);
Value* add_ints(Graph& graph, const std::vector<int64_t>& values, std::string_view hint);
// One element of rank 0.
Value* add_scalar(Graph& graph, double value, DataType dtype, std::string_view hint);
void add_sources(Node& into, const Node& from);

// Whether `to` can stand for `from`: always, unless `from` is pinned and `to` cannot take its name.
bool can_replace(const Graph& graph, const Value* from, const Value* to);
// Every use of `from` becomes one of `to`, which inherits the name of `from`, unless it is pinned
// itself, and keep.
// Precondition: can_replace().
void replace(Graph& graph, Value* from, Value* to);
// Erases `node` if nobody needs its outputs, then producers and constants that became unused.
void erase_unused(Graph& graph, Node* node);

// Puts the body's nodes in place of `node`: body inputs become `operands` by position, its outputs
// the node's outputs. Returns the new nodes in order. `node` is erased.
// Fails (nothing done) when a pinned output cannot be replaced. With `own_symbols`, symbols that the
// body made up are renamed where the graph uses their names; else equal names mean equal dims.
Result<std::vector<Node*>> inline_body(Graph& graph, Node* node, const Graph& body,
                                       std::span<Value* const> operands, bool own_symbols);

}  // namespace planish::passes
