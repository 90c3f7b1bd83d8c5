// Scan: a body run over the slices of its scanned inputs, with state carried from one slice to the
// next and, per slice, values stacked into outputs. ScanBatch is its form of opset 8: everything
// has a batch dim in front, and each sample may end earlier than the others.
#include <algorithm>

#include "base/text.h"
#include "ops/control_flow.h"
#include "ops/movement.h"

namespace planish::ops {
namespace {

std::vector<int64_t> list_attr(const ir::Attributes& attrs, std::string_view key, int count) {
  auto found = attrs.find(key);
  if (found != attrs.end()) {
    const auto& list = std::get<std::vector<int64_t>>(found->second);
    if (!list.empty()) return list;
  }
  return std::vector<int64_t>(size_t(count), 0);
}

// How many of each there are, and along which axes; inputs are state, scanned, captured.
struct Plan {
  int states = 0, scanned = 0, outputs = 0;  // outputs: scanned ones
  std::vector<int64_t> input_axes, input_directions, output_axes, output_directions;
};

Status check_directions(std::string_view key, const std::vector<int64_t>& list, int count) {
  const bool good = int(list.size()) == count &&
                    std::all_of(list.begin(), list.end(), [](int64_t d) { return d == 0 || d == 1; });
  if (good) return ok_status();
  return bad_attr(key, bracketed(list), cat(count, " numbers that are 0 or 1"));
}

// `inputs`: the node's, without sequence_lens.
Result<Plan> plan_of(const ir::Attributes& attrs, int inputs, int outputs) {
  const ir::Graph& body = body_of(attrs, "body");
  const int64_t scanned = std::get<int64_t>(attrs.find("num_scan_inputs")->second);
  const int64_t states = std::get<int64_t>(attrs.find("states")->second);
  if (scanned < 1 || states < 0 || states > inputs || scanned > inputs - states) {
    return bad_attr("num_scan_inputs", cat(scanned),
                    cat("1 to ", inputs, " minus ", states, " states"));
  }
  if (int(body.inputs.size()) != inputs) {
    return invalid_argument(
        cat("body: got ", body.inputs.size(), " inputs, expected ", inputs));
  }
  const int64_t stacked = int64_t(body.outputs.size()) - states;
  if (stacked < 0 || outputs > states + stacked) {
    return invalid_argument(cat("body: got ", body.outputs.size(), " outputs, expected ", outputs));
  }
  Plan plan{int(states), int(scanned), int(stacked), {}, {}, {}, {}};
  plan.input_axes = list_attr(attrs, "scan_input_axes", plan.scanned);
  plan.input_directions = list_attr(attrs, "scan_input_directions", plan.scanned);
  plan.output_axes = list_attr(attrs, "scan_output_axes", plan.outputs);
  plan.output_directions = list_attr(attrs, "scan_output_directions", plan.outputs);
  PLANISH_RETURN_IF_ERROR(
      check_directions("scan_input_directions", plan.input_directions, plan.scanned));
  PLANISH_RETURN_IF_ERROR(
      check_directions("scan_output_directions", plan.output_directions, plan.outputs));
  if (int(plan.input_axes.size()) != plan.scanned) {
    return bad_attr("scan_input_axes", bracketed(plan.input_axes), cat(scanned, " axes"));
  }
  if (int(plan.output_axes.size()) != plan.outputs) {
    return bad_attr("scan_output_axes", bracketed(plan.output_axes), cat(stacked, " axes"));
  }
  return plan;
}

// Output types of one sample's scan. `types` are the types of states, scanned and captured inputs.
Result<std::vector<TensorType>> infer_sample(InferContext& ctx, const Plan& plan,
                                             const std::vector<TensorType>& types) {
  std::vector<TensorType> body_inputs = types;
  std::optional<Dim> length;
  for (int i = 0; i < plan.scanned; ++i) {
    TensorType& type = body_inputs[size_t(plan.states + i)];
    PLANISH_ASSIGN_OR_RETURN(const int axis,
                             normalize_axis(cat("scanned input ", i),
                                            plan.input_axes[size_t(i)], type.rank()));
    const Dim dim = type.shape[size_t(axis)];
    if (length) {
      PLANISH_RETURN_IF_ERROR(check_same_dim(cat("length of scanned input ", i), dim, *length));
    }
    if (!length || dim.is_constant()) length = dim;
    type.shape.erase(type.shape.begin() + axis);
  }
  PLANISH_ASSIGN_OR_RETURN(std::vector<TensorType> outputs, ctx.infer_body("body", body_inputs));
  for (size_t i = 0; i < outputs.size(); ++i) {
    outputs[i] = outside_type(ctx, outputs[i], types, "scan");
    if (int(i) < plan.states) {
      const TensorType& state = types[i];
      const std::string what = cat("state ", i);
      if (!types_agree(state.dtype, outputs[i].dtype) || state.rank() != outputs[i].rank()) {
        return invalid_argument(cat("body: ", what, " is ", ir::to_string(state),
                                    " at first and ", ir::to_string(outputs[i]), " afterwards"));
      }
      for (int d = 0; d < state.rank(); ++d) {
        PLANISH_RETURN_IF_ERROR(check_same_dim(cat("body: ", what, ", dim ", d),
                                               outputs[i].shape[size_t(d)],
                                               state.shape[size_t(d)]));
      }
      outputs[i] = {state.dtype, state.shape};
      continue;
    }
    const size_t k = i - size_t(plan.states);
    PLANISH_ASSIGN_OR_RETURN(const int axis,
                             normalize_axis(cat("attribute 'scan_output_axes', output ", k),
                                            plan.output_axes[k], outputs[i].rank() + 1));
    outputs[i].shape.insert(outputs[i].shape.begin() + axis, *length);
  }
  return outputs;
}

// Slice t of a tensor along an axis, the axis dropped.
Tensor slice_of(const Tensor& in, int axis, int64_t t) {
  std::vector<int64_t> dims = in.dims();
  dims.erase(dims.begin() + axis);
  Tensor out(in.dtype(), std::move(dims));
  const int64_t inner = product(in.dims(), axis + 1, in.rank());
  const int64_t outer = product(in.dims(), 0, axis);
  ElementMover mover(in, out);
  for (int64_t o = 0; o < outer; ++o) {
    mover.copy(o * inner, (o * in.dim(axis) + t) * inner, inner);
  }
  return out;
}

// Runs `length` slices. `inputs`: states, scanned, captured. `types`: of the outputs asked for.
Result<std::vector<Tensor>> run_sample(const EvalContext& ctx, const Plan& plan,
                                       std::vector<Tensor> inputs, int64_t length,
                                       std::span<const TensorType> types) {
  std::vector<std::vector<Tensor>> stacks(size_t(plan.outputs));
  for (int64_t t = 0; t < length; ++t) {
    std::vector<Tensor> body_inputs = inputs;
    for (int i = 0; i < plan.scanned; ++i) {
      const Tensor& in = inputs[size_t(plan.states + i)];
      const int axis = wrap_axis(plan.input_axes[size_t(i)], in.rank());
      const int64_t at = plan.input_directions[size_t(i)] == 0 ? t : length - 1 - t;
      body_inputs[size_t(plan.states + i)] = slice_of(in, axis, at);
    }
    Result<std::vector<Tensor>> outputs = ctx.run_body("body", body_inputs);
    if (!outputs.ok()) return outputs.status().at(cat("slice ", t));
    for (int i = 0; i < plan.states; ++i) inputs[size_t(i)] = std::move((*outputs)[size_t(i)]);
    for (int i = 0; i < plan.outputs; ++i) {
      stacks[size_t(i)].push_back(std::move((*outputs)[size_t(plan.states + i)]));
    }
  }
  std::vector<Tensor> out(inputs.begin(), inputs.begin() + plan.states);
  for (int i = 0; plan.states + i < int(types.size()); ++i) {
    const TensorType& type = types[size_t(plan.states + i)];
    PLANISH_ASSIGN_OR_RETURN(
        Tensor stacked, stack(stacks[size_t(i)],
                              wrap_axis(plan.output_axes[size_t(i)], type.rank()),
                              plan.output_directions[size_t(i)] != 0, type));
    out.push_back(std::move(stacked));
  }
  return out;
}

int64_t scan_length(const Plan& plan, const std::vector<Tensor>& inputs) {
  const Tensor& first = inputs[size_t(plan.states)];
  return first.dim(wrap_axis(plan.input_axes[0], first.rank()));
}

// --- Scan ---

Status infer_scan(InferContext& ctx) {
  PLANISH_ASSIGN_OR_RETURN(const Plan plan,
                           plan_of(ctx.attrs(), ctx.input_count(), ctx.output_count()));
  PLANISH_ASSIGN_OR_RETURN(const std::vector<TensorType> types,
                           infer_sample(ctx, plan, input_types(ctx, 0)));
  for (int i = 0; i < ctx.output_count(); ++i) {
    PLANISH_RETURN_IF_ERROR(
        set_sized_output(ctx, i, types[size_t(i)].dtype, types[size_t(i)].shape));
  }
  return ok_status();
}

Status evaluate_scan(EvalContext& ctx) {
  PLANISH_ASSIGN_OR_RETURN(const Plan plan,
                           plan_of(ctx.attrs(), ctx.input_count(), ctx.output_count()));
  std::vector<Tensor> inputs;
  for (int i = 0; i < ctx.input_count(); ++i) inputs.push_back(ctx.input(i));
  std::vector<TensorType> types;
  for (int i = 0; i < ctx.output_count(); ++i) types.push_back(ctx.output_type(i));
  const int64_t length = scan_length(plan, inputs);
  PLANISH_ASSIGN_OR_RETURN(std::vector<Tensor> outputs,
                           run_sample(ctx, plan, std::move(inputs), length, types));
  for (size_t i = 0; i < outputs.size(); ++i) set_body_output(ctx, int(i), std::move(outputs[i]));
  return ok_status();
}

// --- ScanBatch ---

// Types of one sample: states and scanned inputs without their first dim.
Result<std::vector<TensorType>> sample_types(const InferContext& ctx, int batched) {
  std::vector<TensorType> types = input_types(ctx, 1);
  for (int i = 0; i < batched; ++i) {
    TensorType& type = types[size_t(i)];
    if (type.rank() < 1) return invalid_argument(cat("input ", i + 1, ": got rank 0"));
    PLANISH_RETURN_IF_ERROR(check_same_dim(cat("input ", i + 1, ", dim 0 (batch)"), type.shape[0],
                                           ctx.shape(1)[0]));
    type.shape.erase(type.shape.begin());
  }
  return types;
}

Status infer_scan_batch(InferContext& ctx) {
  if (ctx.input_count() < 2) return invalid_argument("got no scanned inputs");
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 1, 1));
  PLANISH_ASSIGN_OR_RETURN(const Plan plan,
                           plan_of(ctx.attrs(), ctx.input_count() - 1, ctx.output_count()));
  const Dim batch = ctx.shape(1)[0];
  if (ctx.has_input(0)) {
    PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 1, 1));
    PLANISH_RETURN_IF_ERROR(
        check_same_dim("length of input 0 (sequence_lens)", ctx.shape(0)[0], batch));
  }
  PLANISH_ASSIGN_OR_RETURN(const std::vector<TensorType> inputs,
                           sample_types(ctx, plan.states + plan.scanned));
  PLANISH_ASSIGN_OR_RETURN(std::vector<TensorType> types, infer_sample(ctx, plan, inputs));
  for (int i = 0; i < ctx.output_count(); ++i) {
    Shape& shape = types[size_t(i)].shape;
    shape.insert(shape.begin(), batch);
    PLANISH_RETURN_IF_ERROR(
        set_sized_output(ctx, i, types[size_t(i)].dtype, std::move(shape)));
  }
  return ok_status();
}

// The first `length` slices along dim 0.
Tensor head(const Tensor& in, int64_t length) {
  std::vector<int64_t> dims = in.dims();
  dims[0] = length;
  Tensor out(in.dtype(), std::move(dims));
  ElementMover(in, out).copy(0, 0, out.count());
  return out;
}

Status evaluate_scan_batch(EvalContext& ctx) {
  PLANISH_ASSIGN_OR_RETURN(const Plan plan,
                           plan_of(ctx.attrs(), ctx.input_count() - 1, ctx.output_count()));
  const int64_t batch = ctx.input(1).dim(0);
  const int64_t longest = ctx.input(1 + plan.states).dim(1);
  std::vector<TensorType> types;
  for (int i = 0; i < ctx.output_count(); ++i) {
    types.push_back(ctx.output_type(i));
    types.back().shape.erase(types.back().shape.begin());
  }
  for (int64_t b = 0; b < batch; ++b) {
    const int64_t length = ctx.has_input(0) ? ctx.input(0).i64(b) : longest;
    if (length < 0 || length > longest) {
      return invalid_argument(cat("input 0 (sequence_lens): element ", b, " is ", length,
                                  ", expected 0 to ", longest));
    }
    std::vector<Tensor> inputs;
    for (int i = 1; i < ctx.input_count(); ++i) {
      const int k = i - 1 - plan.states;
      if (k >= plan.scanned) {
        inputs.push_back(ctx.input(i));
        continue;
      }
      inputs.push_back(slice_of(ctx.input(i), 0, b));
      if (k >= 0) inputs.back() = head(inputs.back(), length);
    }
    PLANISH_ASSIGN_OR_RETURN(const std::vector<Tensor> outputs,
                             run_sample(ctx, plan, std::move(inputs), length, types));
    // Steps past the sample's end stay zero.
    for (int i = 0; i < ctx.output_count(); ++i) {
      Tensor& out = ctx.output(i);
      const int64_t size = out.count() / batch;
      const Tensor sample = outputs[size_t(i)].converted(out.dtype());
      ElementMover(sample, out).copy(b * size, 0, sample.count());
    }
  }
  return ok_status();
}

// --- importers ---

Status import_scan(const opdef::NodeView& node, opdef::ImportContext& context) {
  PLANISH_ASSIGN_OR_RETURN(ir::GraphPtr body, imported_body(node, "body"));
  PLANISH_ASSIGN_OR_RETURN(const int64_t scanned, node.attr_int("num_scan_inputs", 0));
  const bool batched = node.opset() < 9;
  const int64_t states = node.input_count() - int64_t(batched) - scanned;
  if (scanned < 1 || states < 0) {
    return bad_attr("num_scan_inputs", cat(scanned), cat("1 to ", node.input_count()));
  }
  ir::Attributes attrs = {{"body", std::move(body)}, {"num_scan_inputs", scanned},
                          {"states", states}};
  for (const char* key : {"scan_input_axes", "scan_input_directions", "scan_output_axes",
                          "scan_output_directions"}) {
    if (batched || !node.has_attr(key)) continue;
    PLANISH_ASSIGN_OR_RETURN(std::vector<int64_t> list, node.attr_ints(key, {}));
    attrs[key] = std::move(list);
  }
  if (batched && node.has_attr("directions")) {
    PLANISH_ASSIGN_OR_RETURN(std::vector<int64_t> list, node.attr_ints("directions", {}));
    attrs["scan_input_directions"] = std::move(list);
  }
  PLANISH_ASSIGN_OR_RETURN(std::vector<ir::Value*> inputs, inputs_with_captures(node, "body"));
  for (size_t i = batched ? 1 : 0; i < inputs.size(); ++i) {
    if (!inputs[i]) return invalid_argument(cat("input ", i, " is missing"));
  }
  return add_with_all_outputs(batched ? "ScanBatch" : "Scan", std::move(inputs), std::move(attrs),
                              node, context);
}

std::vector<opdef::AttrSpec> scan_attrs() {
  using opdef::AttrKind;
  return {opdef::required_attr("body", AttrKind::kGraph,
                               "(states, slices, captured) -> (states, elements)"),
          opdef::required_attr("num_scan_inputs", AttrKind::kInt, "number of scanned inputs"),
          opdef::int_attr("states", 0, "number of states"),
          opdef::optional_attr("scan_input_axes", AttrKind::kInts, "default 0"),
          opdef::optional_attr("scan_input_directions", AttrKind::kInts, "1: from the end"),
          opdef::optional_attr("scan_output_axes", AttrKind::kInts, "default 0"),
          opdef::optional_attr("scan_output_directions", AttrKind::kInts, "1: last one first")};
}

}  // namespace

void register_scan(opdef::OpRegistry& registry) {
  opdef::OpDef scan;
  scan.name = "Scan";
  scan.doc =
      "Runs `body` over the slices of the scanned inputs; outputs are the states at the end and "
      "the stacked elements.";
  scan.inputs = {variadic_operand("values", opdef::kAnyType,
                                  "initial states, scanned inputs, captured outer values", "")};
  scan.outputs = {variadic_operand("outputs", opdef::kAnyType, "states, then stacked", "")};
  scan.attrs = scan_attrs();
  scan.has_subgraphs = true;
  scan.infer = infer_scan;
  scan.evaluate = evaluate_scan;
  scan.onnx = {{"Scan", "", 9}};
  scan.onnx[0].import = import_scan;
  registry.add(std::move(scan));

  opdef::OpDef batch;
  batch.name = "ScanBatch";
  batch.doc =
      "Scan over each sample of a batch (dim 0), along dim 1, of which the first sequence_lens[b] "
      "steps count; outputs past them are 0.";
  batch.inputs = {
      optional_operand("sequence_lens", opdef::kInt64, "steps per sample; absent: all", ""),
      variadic_operand("values", opdef::kAnyType,
                       "initial states, scanned inputs, captured outer values", "")};
  batch.outputs = {variadic_operand("outputs", opdef::kAnyType, "states, then stacked", "")};
  batch.attrs = scan_attrs();
  batch.has_subgraphs = true;
  batch.infer = infer_scan_batch;
  batch.evaluate = evaluate_scan_batch;
  batch.onnx = {{"Scan", "", 8, 8, import_scan}};
  registry.add(std::move(batch));
}

}  // namespace planish::ops
