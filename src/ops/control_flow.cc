#include "ops/control_flow.h"

#include <algorithm>
#include <set>

#include "base/text.h"
#include "ops/movement.h"

namespace planish::ops {

const ir::Graph& body_of(const ir::Attributes& attrs, std::string_view key) {
  return *std::get<ir::GraphPtr>(attrs.find(key)->second);
}

std::vector<TensorType> input_types(const InferContext& ctx, int first) {
  std::vector<TensorType> types;
  for (int i = first; i < ctx.input_count(); ++i) types.push_back(ctx.type(i));
  return types;
}

TensorType outside_type(InferContext& ctx, const TensorType& type,
                        std::span<const TensorType> visible, std::string_view hint) {
  std::set<std::string> known;
  for (const TensorType& t : visible) {
    for (const Dim& d : t.shape) {
      for (std::string& s : d.symbols()) known.insert(std::move(s));
    }
  }
  TensorType out{type.dtype, type.shape};
  for (Dim& d : out.shape) {
    for (const std::string& s : d.symbols()) {
      if (known.count(s)) continue;
      d = data_dim(ctx, hint);
      break;
    }
  }
  return out;
}

Result<TensorType> merged_type(InferContext& ctx, const TensorType& a, const TensorType& b,
                               std::string_view what) {
  if (a.dtype != b.dtype) {
    return invalid_argument(cat(what, ": got types ", ir::name_of(a.dtype), " and ",
                                ir::name_of(b.dtype), ", expected one"));
  }
  if (a.rank() != b.rank()) {
    return unsupported(cat(what, ": got shapes ", ir::to_string(a.shape), " and ",
                           ir::to_string(b.shape), " of different rank"));
  }
  TensorType out{a.dtype, a.shape};
  for (size_t i = 0; i < out.shape.size(); ++i) {
    const Dim &x = a.shape[i], &y = b.shape[i];
    if (x == y) continue;
    out.shape[i] = data_dim(ctx, "merged", max(x, y));
  }
  return out;
}

bool types_agree(DataType a, DataType b) {
  if (a == b) return true;
  return ir::is_float(a) && ir::is_float(b) && (a == DataType::kF64 || b == DataType::kF64);
}

void set_body_output(EvalContext& ctx, int i, Tensor value) {
  if (i >= ctx.output_count()) return;
  const DataType dtype = ctx.output_dtype(i);
  ctx.set_output(i, value.dtype() == dtype ? std::move(value) : value.converted(dtype));
}

Result<std::vector<ir::Value*>> inputs_with_captures(const opdef::NodeView& node,
                                                     std::string_view key) {
  std::vector<ir::Value*> inputs;
  for (int i = 0; i < node.input_count(); ++i) inputs.push_back(node.input(i));
  const std::vector<ir::Value*> captured = node.captures(key);
  inputs.insert(inputs.end(), captured.begin(), captured.end());
  return inputs;
}

Result<ir::GraphPtr> imported_body(const opdef::NodeView& node, std::string_view key) {
  const ir::Attribute* attribute = node.attr(key);
  if (!attribute) return invalid_argument(cat("attribute '", key, "' is missing"));
  const ir::GraphPtr* graph = std::get_if<ir::GraphPtr>(attribute);
  if (!graph || !*graph) return invalid_argument(cat("attribute '", key, "' is not a graph"));
  return *graph;
}

Status add_with_all_outputs(std::string_view op, std::vector<ir::Value*> inputs,
                            ir::Attributes attrs, const opdef::NodeView& node,
                            opdef::ImportContext& context) {
  const int count = node.output_count();
  PLANISH_ASSIGN_OR_RETURN(const std::vector<ir::Value*> outputs,
                           context.add(op, std::move(inputs), std::move(attrs), count));
  for (int i = 0; i < count; ++i) context.set_output(i, outputs[size_t(i)]);
  return ok_status();
}

Result<Tensor> stack(std::span<const Tensor> parts, int axis, bool reversed,
                     const TensorType& type) {
  // Without a part the dims come from the inferred type; unknown ones are empty as well.
  std::vector<int64_t> dims;
  if (parts.empty()) {
    for (int d = 0; d < type.rank(); ++d) {
      if (d != axis) dims.push_back(type.shape[size_t(d)].constant().value_or(0));
    }
  } else {
    dims = parts[0].dims();
  }
  for (const Tensor& part : parts) {
    if (part.dims() != dims) {
      return invalid_argument(cat("a scanned output has shape ", bracketed(part.dims()),
                                  " in one iteration and ", bracketed(dims), " in the first"));
    }
  }
  const int64_t count = int64_t(parts.size());
  const int64_t outer = product(dims, 0, axis);
  const int64_t inner = product(dims, axis, int(dims.size()));
  dims.insert(dims.begin() + axis, count);
  PLANISH_RETURN_IF_ERROR(check_size(dims, "scanned output"));
  Tensor out(parts.empty() ? type.dtype : parts[0].dtype(), dims);
  for (int64_t i = 0; i < count; ++i) {
    ElementMover mover(parts[size_t(reversed ? count - 1 - i : i)], out);
    for (int64_t o = 0; o < outer; ++o) mover.copy((o * count + i) * inner, o * inner, inner);
  }
  return out;
}

}  // namespace planish::ops
