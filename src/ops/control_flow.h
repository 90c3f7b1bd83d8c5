// What If, Loop, Scan and Region share. Their bodies are graphs whose inputs are the op's formal
// values followed by the captured outer values; the captures are the node's last inputs, so a body
// never looks outside. Shapes that a body makes up are symbols of the body: outside they are fresh
// symbols that only the data bind.
#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "opdef/import.h"
#include "ops/dims.h"

namespace planish::ops {

// The graph attribute; infer() has checked nothing more than that it is one.
const ir::Graph& body_of(const ir::Attributes& attrs, std::string_view key);

// Types of the node's inputs [first, count).
std::vector<TensorType> input_types(const InferContext& ctx, int first);

// The type as the outside sees it: symbols that none of `visible` mentions become fresh ones.
TensorType outside_type(InferContext& ctx, const TensorType& type,
                        std::span<const TensorType> visible, std::string_view hint);

// One type for values that are a or b: unequal dims become fresh symbols (bounded by the larger).
// An error when element type or rank differ; `what` names the value.
Result<TensorType> merged_type(InferContext& ctx, const TensorType& a, const TensorType& b,
                               std::string_view what);

// Equal element types, or f64 beside a narrower float: in wide evaluation values are f64 where the
// body declares what the model says.
bool types_agree(DataType a, DataType b);
// Sets the output, converted to the inferred element type where wide evaluation made it differ.
void set_body_output(EvalContext& ctx, int i, Tensor value);

// The foreign node's own inputs followed by the captures of its body.
Result<std::vector<ir::Value*>> inputs_with_captures(const opdef::NodeView& node,
                                                     std::string_view key);
// The body attribute, cloned so that two imports of one file do not share it.
Result<ir::GraphPtr> imported_body(const opdef::NodeView& node, std::string_view key);

// Adds the node and sets all outputs that the file declares.
Status add_with_all_outputs(std::string_view op, std::vector<ir::Value*> inputs,
                            ir::Attributes attrs, const opdef::NodeView& node,
                            opdef::ImportContext& context);

// Same-shape tensors stacked along a new dim `axis`; `reversed` puts the last one first.
Result<Tensor> stack(std::span<const Tensor> parts, int axis, bool reversed,
                     const TensorType& type);

}  // namespace planish::ops
