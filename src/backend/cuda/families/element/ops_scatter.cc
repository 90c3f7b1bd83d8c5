// Element operators that ask who writes them: ScatterND and ScatterElements, and a few that compute
// from one operand by position (BatchNormalization, Hardmax, ConstantOfShape).
//
// A scatter is turned around: each result element goes through the indices in their order and takes
// the updates that name it, so that repeated indices end as the operator says. That is for few
// indices.
#include <cmath>

#include "backend/cuda/emit/expr_text.h"
#include "backend/cuda/families/element/element_ops.h"
#include "backend/cuda/families/reduction_text.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

using kernel::Problem;
using kernel::Stage;

// Indices that one result element may go through.
constexpr int64_t kMostIndices = 4096;

int64_t product_of(const std::vector<int64_t>& dims, size_t begin, size_t end) {
  int64_t out = 1;
  for (size_t d = begin; d < end; ++d) out *= dims[d];
  return out;
}

Status check_count(int64_t count) {
  return count <= kMostIndices
             ? ok_status()
             : unsupported(cat(count, " indices for each element, more than ", kMostIndices));
}

Status supports_scatter_nd(const Problem& problem, const Stage& stage) {
  const std::vector<int64_t> indices = dims_of(problem.type_of(stage.inputs[1]));
  return check_count(product_of(indices, 0, indices.size() - 1));
}

Status supports_scatter_elements(const Problem& problem, const Stage& stage) {
  const std::vector<int64_t> indices = dims_of(problem.type_of(stage.inputs[1]));
  return check_count(indices[axis_attr(stage, indices.size())]);
}

// `value` becomes what `update` makes of it.
std::string combined(const Stage& stage, ir::DataType dtype, const std::string& value,
                     const std::string& update) {
  const std::string reduction = string_attr(stage, "reduction", "none");
  const bool is_bool = dtype == ir::DataType::kBool;
  if (reduction == "add") return is_bool ? cat(value, " || ", update) : cat(value, " + ", update);
  if (reduction == "mul") return is_bool ? cat(value, " && ", update) : cat(value, " * ", update);
  const bool most = reduction == "max";
  if (!most && reduction != "min") return update;
  if (ir::is_float(dtype)) return cat(most ? "max_nan(" : "min_nan(", value, ", ", update, ')');
  return cat(value, most ? " < " : " > ", update, " ? ", update, " : ", value);
}

// The index, counted from the front.
std::string wrapped(ElementEmitter& e, const std::string& index, int64_t size) {
  return e.bind("i64", cat("(i64)", index, " + ((i64)", index, " < 0 ? ", size, " : 0)"));
}

Lanes emit_scatter_nd(ElementEmitter& e, const Stage& stage, int, const Coords& coords) {
  const std::vector<int64_t> data = dims_of(e.type(stage.inputs[0])),
                             indices = dims_of(e.type(stage.inputs[1]));
  const size_t depth = size_t(indices.back());
  const ir::DataType dtype = stage.outputs[0].dtype;
  return e.per_lane(coords, [&](const Coords& one) {
    const std::string value = e.variable(register_type(dtype), e.value(stage.inputs[0], one)[0]);
    Coords row;
    for (size_t d = 0; d + 1 < indices.size(); ++d) {
      row.push_back(coord(e.fresh("r")));
      e.open(cat("for (", e.index_type(), ' ', row[d].at, " = 0; ", row[d].at, " < ", indices[d],
                 "; ++", row[d].at, ')'));
    }
    std::vector<std::string> tests;
    for (size_t k = 0; k < depth; ++k) {
      Coords at = row;
      at.push_back(coord(int64_t(k)));
      tests.push_back(cat(wrapped(e, e.value(stage.inputs[1], at)[0], data[k]), " == ", one[k].at));
    }
    e.open(cat("if (", join(tests, " && "), ')'));
    Coords from = row;
    from.insert(from.end(), one.begin() + long(depth), one.end());
    e.line(
        cat(value, " = ", combined(stage, dtype, value, e.value(stage.inputs[2], from)[0]), ';'));
    for (size_t d = 0; d < indices.size(); ++d) e.close();
    return value;
  });
}

Lanes emit_scatter_elements(ElementEmitter& e, const Stage& stage, int, const Coords& coords) {
  const std::vector<int64_t> data = dims_of(e.type(stage.inputs[0])),
                             indices = dims_of(e.type(stage.inputs[1]));
  const size_t axis = axis_attr(stage, data.size());
  const ir::DataType dtype = stage.outputs[0].dtype;
  return e.per_lane(coords, [&](const Coords& one) {
    const std::string value = e.variable(register_type(dtype), e.value(stage.inputs[0], one)[0]);
    std::vector<std::string> tests;
    for (size_t d = 0; d < data.size(); ++d)
      if (d != axis && indices[d] < data[d]) tests.push_back(cat(one[d].at, " < ", indices[d]));
    e.open(tests.empty() ? "" : cat("if (", join(tests, " && "), ')'));
    Coords at = one;
    at[axis] = coord(e.fresh("r"));
    const std::string& r = at[axis].at;
    e.open(cat("for (", e.index_type(), ' ', r, " = 0; ", r, " < ", indices[axis], "; ++", r, ')'));
    e.open(cat("if (", wrapped(e, e.value(stage.inputs[1], at)[0], data[axis]),
               " == ", one[axis].at, ')'));
    e.line(cat(value, " = ", combined(stage, dtype, value, e.value(stage.inputs[2], at)[0]), ';'));
    for (int i = 0; i < 3; ++i) e.close();
    return value;
  });
}

// ---- by position

Status supports_batch_norm(const Problem& problem, const Stage& stage) {
  if (stage.outputs.size() != 1 || int_attr(stage, "training_mode", 0) != 0)
    return unsupported("training");
  return ir::is_float(problem.type_of(stage.inputs[0]).dtype)
             ? ok_status()
             : unsupported("elements that are no floats");
}

// (x - mean) / sqrt(variance + epsilon) * scale + bias, all per channel.
Lanes emit_batch_norm(ElementEmitter& e, const Stage& stage, int, const Coords& coords) {
  const Coords channel = {coords.size() > 1 ? coords[1] : Coord{}};
  const Lanes x = e.value(stage.inputs[0], coords), scale = e.value(stage.inputs[1], channel);
  const Lanes bias = e.value(stage.inputs[2], channel), mean = e.value(stage.inputs[3], channel);
  const Lanes variance = e.value(stage.inputs[4], channel);
  const std::string_view type = sum_type(stage.outputs[0].dtype);
  const std::string epsilon = float_literal(float(float_attr(stage, "epsilon", 1e-5)));
  return e.map_lanes({&x, &scale, &bias, &mean, &variance}, [&](int lane) {
    return e.bind(
        type, cat('(', x[lane], " - ", mean[lane], ") / sqrt((", type, ')', variance[lane], " + ",
                  epsilon, ") * ", scale[lane], " + ", bias[lane]));
  });
}

Status always(const Problem&, const Stage&) { return ok_status(); }

// 1 where nothing along the axis beats the element, before it not even an equal.
Lanes emit_hardmax(ElementEmitter& e, const Stage& stage, int, const Coords& coords) {
  const std::vector<int64_t> dims = dims_of(stage.outputs[0]);
  const size_t axis = axis_attr(stage, dims.size(), "axis", -1);
  return e.per_lane(coords, [&](const Coords& one) {
    const std::string own = e.value(stage.inputs[0], one)[0], first = e.variable("bool", "true");
    Coords at = one;
    at[axis] = coord(e.fresh("r"));
    const std::string& r = at[axis].at;
    e.open(cat("for (", e.index_type(), ' ', r, " = 0; ", r, " < ", dims[axis], "; ++", r, ')'));
    const std::string x = e.value(stage.inputs[0], at)[0];
    e.line(cat("if (", x, " > ", own, " || (", x, " == ", own, " && ", r, " < ", one[axis].at,
               ")) ", first, " = false;"));
    e.close();
    return e.bind(register_type(stage.outputs[0].dtype), cat(first, " ? 1 : 0"));
  });
}

Lanes emit_constant_of_shape(ElementEmitter&, const Stage& stage, int, const Coords&) {
  const auto found = stage.attrs.find("value");
  const ir::Tensor* value =
      found == stage.attrs.end() ? nullptr : std::get_if<ir::Tensor>(&found->second);
  if (!value) return {{"0"}};
  if (!ir::is_float(value->dtype()))
    return {{cat("((", register_type(value->dtype()), ')', uint64_t(value->i64(0)), "ull)")}};
  if (value->dtype() != ir::DataType::kF64) return {{float_literal(float(value->f64(0)))}};
  return {{cat("__longlong_as_double(", __builtin_bit_cast(long long, value->f64(0)), "ll)")}};
}

constexpr ElementOp kOps[] = {
    {"BatchNormalization", supports_batch_norm, emit_batch_norm},
    {"ConstantOfShape", always, emit_constant_of_shape},
    {"Hardmax", always, emit_hardmax, true},
    {"ScatterElements", supports_scatter_elements, emit_scatter_elements, true},
    {"ScatterND", supports_scatter_nd, emit_scatter_nd, true},
};

}  // namespace

std::span<const ElementOp> scatter_ops() { return kOps; }

}  // namespace planish::cuda
