// Resize as an element operator. Sizes are known when a kernel is printed, so what each place of an axis
// is made of is too: indices and weights become tables, or a division where nearest elements repeat
// evenly, and an element is the weighted sum over the taps of every resized axis.
#include <algorithm>

#include "backend/cuda/emit/expr_text.h"
#include "backend/cuda/families/element/element_ops.h"
#include "base/text.h"
#include "kernel/resize.h"

namespace planish::cuda {
namespace {

using kernel::Problem;
using kernel::ResizeTaps;
using kernel::Stage;

constexpr size_t kMostTaps = 16;        // of one axis
constexpr size_t kMostEntries = 16384;  // of all tables

struct AxisPlan {
  size_t axis = 0;
  size_t taps = 1;                     // of every place; missing ones weigh nothing
  std::vector<int64_t> indices;        // [place][tap]
  std::vector<double> weights;
  int64_t repeats = 0;                 // n: place p is element p / n; 0: look into the table
  std::string index_table, weight_table;
};
struct ResizePlan {
  std::vector<AxisPlan> axes;
  bool picks = true;  // one element each, unweighted
};

std::vector<size_t> resized_axes(const Stage& stage, size_t rank) {
  std::vector<size_t> out;
  auto found = stage.attrs.find("axes");
  if (found == stage.attrs.end() || std::get<std::vector<int64_t>>(found->second).empty()) {
    for (size_t i = 0; i < rank; ++i) out.push_back(i);
    return out;
  }
  for (const int64_t axis : std::get<std::vector<int64_t>>(found->second))
    out.push_back(size_t(axis < 0 ? axis + int64_t(rank) : axis));
  return out;
}

Result<AxisPlan> axis_plan(const kernel::ResizeRule& rule, size_t number, const kernel::ResizeAxis& axis) {
  PLANISH_ASSIGN_OR_RETURN(const std::vector<ResizeTaps> taps, kernel::resize_taps(rule, axis));
  AxisPlan plan;
  plan.axis = number;
  for (const ResizeTaps& place : taps) {
    if (place.outside) return unsupported("places outside of the input");
    plan.taps = std::max(plan.taps, place.indices.size());
  }
  if (plan.taps > kMostTaps)
    return unsupported(cat(plan.taps, " elements under one, expected at most ", kMostTaps));
  for (const ResizeTaps& place : taps)
    for (size_t t = 0; t < plan.taps; ++t) {
      plan.indices.push_back(t < place.indices.size() ? place.indices[t] : 0);
      plan.weights.push_back(t < place.indices.size() ? place.weights[t] : 0);
    }
  const int64_t repeats = axis.out % axis.in == 0 ? axis.out / axis.in : 0;
  bool even = repeats > 0 && plan.taps == 1;
  for (size_t p = 0; p < plan.indices.size() && even; ++p) even = plan.indices[p] == int64_t(p) / repeats;
  if (even) plan.repeats = repeats;
  return plan;
}

Result<ResizePlan> resize_plan(const Problem& problem, const Stage& stage) {
  const ir::TensorType& x = problem.type_of(stage.inputs[0]);
  const std::vector<int64_t> in = dims_of(x), out = dims_of(stage.outputs[0]);
  PLANISH_ASSIGN_OR_RETURN(const kernel::ResizeRule rule, kernel::resize_rule(stage.attrs));
  if (rule.transform == kernel::ResizeRule::Transform::kCropAndResize) return unsupported("cropping");
  if (string_attr(stage, "keep_aspect_ratio_policy", "stretch") != "stretch")
    return unsupported("a kept aspect ratio");
  const std::vector<size_t> axes = resized_axes(stage, in.size());
  std::vector<double> scales;
  if (has_input(stage, 2)) {
    const auto& value = problem.operands[size_t(stage.inputs[2])].value;
    if (!value || value->count() != int64_t(axes.size())) return unsupported("computed scales");
    scales = value->f64_values();
  }
  ResizePlan plan;
  plan.picks = rule.mode == kernel::ResizeRule::Mode::kNearest;
  if (!plan.picks && (!ir::is_float(x.dtype) || x.dtype == ir::DataType::kF64))
    return unsupported(cat("means of ", ir::name_of(x.dtype)));
  size_t entries = 0;
  for (size_t i = 0; i < axes.size(); ++i) {
    kernel::ResizeAxis axis;
    axis.in = in[axes[i]];
    axis.out = out[axes[i]];
    if (axis.in == 0 || axis.out == 0) return unsupported("an empty tensor");
    axis.scale = scales.empty() ? double(axis.out) / double(axis.in) : double(float(scales[i]));
    if (axis.is_identity(rule)) continue;
    PLANISH_ASSIGN_OR_RETURN(AxisPlan one, axis_plan(rule, axes[i], axis));
    if (!one.repeats) entries += one.indices.size();
    plan.axes.push_back(std::move(one));
  }
  if (entries > kMostEntries) return unsupported(cat(entries, " places, expected at most ", kMostEntries));
  return plan;
}

Status supports_resize(const Problem& problem, const Stage& stage) {
  return resize_plan(problem, stage).status();
}

// A table's initializer may call nothing, so float_literal() will not do; weights are finite.
std::string weight_literal(double weight) {
  char text[32];
  std::snprintf(text, sizeof(text), "%af", double(float(weight)));
  return text;
}

void print_tables(ElementEmitter& e, ResizePlan& plan) {
  const bool wide = e.index_type() != "int";
  for (AxisPlan& axis : plan.axes) {
    if (axis.repeats) continue;
    std::vector<std::string> indices, weights;
    for (const int64_t i : axis.indices) indices.push_back(cat(i));
    for (const double w : axis.weights) weights.push_back(weight_literal(w));
    axis.index_table = e.table(wide ? "i64" : "int", indices);
    if (!plan.picks) axis.weight_table = e.table("float", weights);
  }
}

Coord picked(ElementEmitter& e, const AxisPlan& axis, const Coord& place) {
  if (axis.repeats == 1) return place;
  if (axis.repeats) return coord(e.bind_index(cat('(', place.at, ") / ", axis.repeats)));
  return coord(e.bind_index(cat(axis.index_table, '[', place.at, ']')));
}

// The weighted sum at places that do not move along a resized axis.
Lanes weighted(ElementEmitter& e, const Stage& stage, const ResizePlan& plan, const Coords& coords) {
  const std::string_view type = sum_type(stage.outputs[0].dtype);
  std::vector<std::string> sums(moves_by_lane(coords) ? size_t(e.width()) : 1);
  for (std::string& sum : sums) sum = e.variable(type, "0");
  Coords from = coords;
  std::string weight;
  for (const AxisPlan& axis : plan.axes) {
    const std::string t = e.fresh("t");
    e.line("#pragma unroll");
    e.open(cat("for (int ", t, " = 0; ", t, " < ", axis.taps, "; ++", t, ')'));
    const std::string at = e.bind_index(
        cat('(', coords[axis.axis].at, ") * ", axis.taps, " + ", t));
    from[axis.axis] = coord(e.bind_index(axis.repeats ? cat(at, " / ", axis.repeats) : cat(axis.index_table, '[', at, ']')));
    const std::string own = axis.repeats ? std::string("1.0f") : cat(axis.weight_table, '[', at, ']');
    weight = weight.empty() ? own : e.bind("float", cat(weight, " * ", own));
  }
  const Lanes value = e.value(stage.inputs[0], from);
  for (size_t l = 0; l < sums.size(); ++l)
    e.line(cat(sums[l], " += ", weight.empty() ? "1.0f" : weight, " * ", value[int(l)], ';'));
  for (size_t i = 0; i < plan.axes.size(); ++i) e.close();
  Lanes out;
  for (const std::string& sum : sums)
    out.names.push_back(e.bind(register_type(stage.outputs[0].dtype), sum));
  return out;
}

Lanes emit_resize(ElementEmitter& e, const Stage& stage, int, const Coords& coords) {
  auto plan = resize_plan(e.problem(), stage);
  if (!plan.ok()) {
    e.fail(plan.status());
    return {{"0"}};
  }
  print_tables(e, *plan);
  const auto at = [&](const Coords& places) {
    if (!plan->picks) return weighted(e, stage, *plan, places);
    Coords from = places;
    for (const AxisPlan& axis : plan->axes) from[axis.axis] = picked(e, axis, places[axis.axis]);
    return e.value(stage.inputs[0], from);
  };
  const bool moves = std::any_of(plan->axes.begin(), plan->axes.end(),
                                 [&](const AxisPlan& axis) { return coords[axis.axis].lane_step != 0; });
  if (!moves) return at(coords);
  return e.per_lane(coords, [&](const Coords& one) { return at(one)[0]; });
}

constexpr ElementOp kOps[] = {{"Resize", supports_resize, emit_resize, true}};

}  // namespace

std::span<const ElementOp> resize_ops() { return kOps; }

}  // namespace planish::cuda
