// Loop: a body run until its trip count or its condition ends it, with carried values and, per
// iteration, values that are stacked into outputs. A carried value whose shape changes from one
// iteration to the next has a symbol for the dim that changes: inference widens the carried types
// until the body maps them to themselves.
#include <set>

#include "base/limits.h"
#include "base/text.h"
#include "ops/content.h"
#include "ops/control_flow.h"

namespace planish::ops {
namespace {

// Inputs: M, cond, carried values, captures. Body: iteration, condition, carried, captures ->
// condition, carried, scanned.
struct Parts {
  int carried, scanned;
};

Result<Parts> parts_of(const InferContext& ctx) {
  const ir::Graph& body = body_of(ctx.attrs(), "body");
  const int64_t carried = ctx.attr_int("carried");
  const int inputs = ctx.input_count() - 2;
  if (carried < 0 || carried > inputs) {
    return bad_attr("carried", cat(carried), cat("0 to ", inputs));
  }
  if (int(body.inputs.size()) != inputs + 2) {
    return invalid_argument(cat("body: got ", body.inputs.size(), " inputs, expected ",
                                inputs + 2, " (iteration, condition, carried and captured)"));
  }
  const int scanned = int(body.outputs.size()) - 1 - int(carried);
  if (scanned < 0 || ctx.output_count() > int(carried) + scanned) {
    return invalid_argument(cat("body: got ", body.outputs.size(), " outputs, expected ",
                                ctx.output_count() + 1, " (condition, carried and scanned)"));
  }
  return Parts{int(carried), scanned};
}

// The carried types that hold in every iteration, as the first `carried` of `types`.
Result<std::vector<TensorType>> stable_body_types(InferContext& ctx, int carried,
                                                  std::vector<TensorType>& types) {
  std::vector<TensorType> inputs = {{DataType::kI64, {}}, {DataType::kBool, {}}};
  inputs.insert(inputs.end(), types.begin(), types.end());
  std::set<std::pair<int, size_t>> freed;
  // Every round turns at least one dim into a symbol for good.
  for (;;) {
    PLANISH_ASSIGN_OR_RETURN(std::vector<TensorType> outputs, ctx.infer_body("body", inputs));
    bool stable = true;
    for (int i = 0; i < carried; ++i) {
      TensorType& in = inputs[size_t(i) + 2];
      const TensorType& out = outputs[size_t(i) + 1];
      const std::string what = cat("carried value ", i);
      if (!types_agree(in.dtype, out.dtype)) {
        return invalid_argument(cat("body: ", what, " is ", ir::name_of(in.dtype),
                                    " at first and ", ir::name_of(out.dtype), " afterwards"));
      }
      if (in.rank() != out.rank()) {
        return unsupported(cat("body: ", what, " changes its rank from ", in.rank(), " to ",
                               out.rank()));
      }
      if (in.shape == out.shape) continue;
      for (size_t d = 0; d < in.shape.size(); ++d) {
        if (in.shape[d] == out.shape[d] || !freed.emplace(i, d).second) continue;
        in.shape[d] = data_dim(ctx, "carried");
        stable = false;
      }
    }
    if (!stable) continue;
    for (int i = 0; i < carried; ++i) types[size_t(i)] = inputs[size_t(i) + 2];
    return outputs;
  }
}

// Does the condition stay true (so that only the trip count ends the loop)?
bool runs_to_trip_count(const InferContext& ctx) {
  const ir::Graph& body = body_of(ctx.attrs(), "body");
  if (ctx.has_input(1)) {
    const std::optional<std::vector<int64_t>> initial = ctx.ints(1);
    if (!initial || initial->size() != 1 || (*initial)[0] == 0) return false;
  }
  const ir::Value* condition = body.outputs[0];
  while (condition->producer && condition->producer->op == "Identity") {
    condition = condition->producer->inputs[0];
  }
  if (condition == body.inputs[1]) return true;
  return condition->is_constant() && condition->constant->count() == 1 &&
         condition->constant->i64(0) != 0;
}

Dim trip_count(InferContext& ctx) {
  const std::optional<std::vector<Dim>> content = small_content(ctx, 0);
  if (!content || content->size() != 1) return data_dim(ctx, "trips");
  const Dim& limit = (*content)[0];
  const Dim trips = at_least(ctx, limit, 0) ? limit : max(limit, Dim(0));
  return runs_to_trip_count(ctx) ? trips : data_dim(ctx, "trips", trips);
}

Status infer(InferContext& ctx) {
  if (ctx.input_count() < 2) return invalid_argument("inputs M and cond need a place each");
  for (int i = 0; i < 2; ++i) {
    if (ctx.has_input(i)) PLANISH_RETURN_IF_ERROR(check_single(ctx, i));
  }
  PLANISH_ASSIGN_OR_RETURN(const Parts parts, parts_of(ctx));
  const std::vector<TensorType> initial = input_types(ctx, 2);
  std::vector<TensorType> types = initial;
  PLANISH_ASSIGN_OR_RETURN(const std::vector<TensorType> body,
                           stable_body_types(ctx, parts.carried, types));
  const Dim trips = trip_count(ctx);
  for (int i = 0; i < ctx.output_count(); ++i) {
    if (i < parts.carried) {
      // A loop that does not run at all gives the initial value.
      ctx.set_output(i, types[size_t(i)].dtype, types[size_t(i)].shape);
      continue;
    }
    // A carried dim that changes is the last one outside, and any iteration's within the body.
    const TensorType element = outside_type(ctx, body[size_t(i) + 1], initial, "scanned");
    Shape shape = element.shape;
    shape.insert(shape.begin(), trips);
    PLANISH_RETURN_IF_ERROR(set_sized_output(ctx, i, element.dtype, std::move(shape)));
  }
  return ok_status();
}

Status evaluate(EvalContext& ctx) {
  const ir::Graph& body = body_of(ctx.attrs(), "body");
  const size_t carried = size_t(ctx.attr_int("carried"));
  const size_t scanned = body.outputs.size() - 1 - carried;
  const int64_t limit = ctx.has_input(0) ? ctx.input(0).i64(0) : INT64_MAX;
  bool condition = !ctx.has_input(1) || ctx.input(1).i64(0) != 0;
  std::vector<Tensor> values;
  for (int i = 2; i < ctx.input_count(); ++i) values.push_back(ctx.input(i));
  std::vector<std::vector<Tensor>> stacks(scanned);
  std::vector<int64_t> elements(scanned, 0);
  for (int64_t iteration = 0; condition && iteration < limit; ++iteration) {
    if (iteration >= kDefaultLimits.max_loop_iterations) {
      return resource_exhausted(cat("the loop did not end within max_loop_iterations = ",
                                    kDefaultLimits.max_loop_iterations));
    }
    Tensor flag(DataType::kBool, {});
    flag.set_i64(0, 1);
    std::vector<Tensor> inputs = {Tensor::scalar_i64(iteration), flag};
    inputs.insert(inputs.end(), values.begin(), values.end());
    Result<std::vector<Tensor>> outputs = ctx.run_body("body", inputs);
    if (!outputs.ok()) return outputs.status().at(cat("iteration ", iteration));
    const Tensor& next = (*outputs)[0];
    if (next.count() != 1) {
      return invalid_argument(cat("body: the condition has ", next.count(), " elements"));
    }
    condition = next.i64(0) != 0;
    for (size_t i = 0; i < carried; ++i) values[i] = std::move((*outputs)[i + 1]);
    for (size_t i = 0; i < scanned; ++i) {
      stacks[i].push_back(std::move((*outputs)[i + 1 + carried]));
      elements[i] += std::max<int64_t>(1, stacks[i].back().count());
      if (elements[i] > kDefaultLimits.max_tensor_elements) {
        return resource_exhausted(cat("scanned output ", i, " has more elements than the limit ",
                                      "max_tensor_elements = ",
                                      kDefaultLimits.max_tensor_elements));
      }
    }
  }
  for (int i = 0; i < ctx.output_count(); ++i) {
    if (size_t(i) < carried) {
      set_body_output(ctx, i, values[size_t(i)]);
      continue;
    }
    PLANISH_ASSIGN_OR_RETURN(
        Tensor out, stack(stacks[size_t(i) - carried], 0, false, ctx.output_type(i)));
    set_body_output(ctx, i, std::move(out));
  }
  return ok_status();
}

Status import_loop(const opdef::NodeView& node, opdef::ImportContext& context) {
  PLANISH_ASSIGN_OR_RETURN(ir::GraphPtr body, imported_body(node, "body"));
  // Trailing absent inputs may be left out of the file.
  std::vector<ir::Value*> inputs;
  for (int i = 0; i < std::max(2, node.input_count()); ++i) {
    inputs.push_back(i < node.input_count() ? node.input(i) : nullptr);
    if (i >= 2 && !inputs.back()) return invalid_argument(cat("input ", i, " is missing"));
  }
  const int64_t carried = int64_t(inputs.size()) - 2;
  const std::vector<ir::Value*> captured = node.captures("body");
  inputs.insert(inputs.end(), captured.begin(), captured.end());
  return add_with_all_outputs("Loop", std::move(inputs),
                              {{"body", std::move(body)}, {"carried", carried}}, node, context);
}

}  // namespace

void register_loop(opdef::OpRegistry& registry) {
  opdef::OpDef def;
  def.name = "Loop";
  def.doc =
      "Runs `body` while its condition holds, at most M times. Outputs: the carried values after "
      "the last iteration, then the scanned values of all iterations stacked along a new first "
      "dim.";
  def.inputs = {optional_operand("M", opdef::kInt64, "most iterations; absent: no limit", ""),
                optional_operand("cond", opdef::kBools, "run at all? absent: true", ""),
                variadic_operand("values", opdef::kAnyType,
                                 "initial carried values, then captured outer values", "")};
  def.outputs = {variadic_operand("outputs", opdef::kAnyType, "carried, then scanned", "")};
  def.attrs = {opdef::required_attr(
                   "body", opdef::AttrKind::kGraph,
                   "(iteration, condition, carried, captured) -> (condition, carried, scanned)"),
               opdef::int_attr("carried", 0, "number of carried values")};
  def.has_subgraphs = true;
  def.host_inputs = 0b11;
  def.infer = infer;
  def.evaluate = evaluate;
  def.onnx = {{"Loop", "", 1, 1 << 30, import_loop}};
  registry.add(std::move(def));
}

}  // namespace planish::ops
