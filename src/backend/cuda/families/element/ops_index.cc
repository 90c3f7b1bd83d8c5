// Element operators that find their place by numbers: indices read from an operand (Gather and its
// kin), or by the position itself (Range, Trilu, OneHot, EyeLike). An index that is out of range is
// brought into it: a kernel never reads beyond its operand, and has no way to report.
#include <algorithm>

#include "backend/cuda/emit/expr_text.h"
#include "backend/cuda/families/element/element_ops.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

using kernel::Problem;
using kernel::Stage;

Status always(const Problem&, const Stage&) { return ok_status(); }

// The index that a name of any integer type holds, counted from the front and kept in 0..size-1.
Coord index_coord(ElementEmitter& e, const std::string& name, int64_t size) {
  const std::string wrapped =
      e.bind("i64", cat("(i64)", name, " + ((i64)", name, " < 0 ? ", size, " : 0)"));
  return coord(e.bind_index(cat('(', e.index_type(), ")(", wrapped, " < 0 ? 0 : ", wrapped, " >= ",
                                size, " ? ", std::max<int64_t>(size - 1, 0), " : ", wrapped, ')')));
}

Lanes emit_gather(ElementEmitter& e, const Stage& stage, int output, const Coords& coords) {
  const std::vector<int64_t> data = dims_of(e.type(stage.inputs[0]));
  const size_t axis = axis_attr(stage, data.size());
  const size_t rank = size_t(e.type(stage.inputs[1]).rank());
  const Coords at(coords.begin() + long(axis), coords.begin() + long(axis + rank));
  if (moves_by_lane(at))
    return e.per_lane(coords,
                      [&](const Coords& one) { return emit_gather(e, stage, output, one)[0]; });
  Coords from(coords.begin(), coords.begin() + long(axis));
  from.push_back(index_coord(e, e.value(stage.inputs[1], at)[0], data[axis]));
  from.insert(from.end(), coords.begin() + long(axis + rank), coords.end());
  return e.value(stage.inputs[0], from);
}

Lanes emit_gather_elements(ElementEmitter& e, const Stage& stage, int, const Coords& coords) {
  const std::vector<int64_t> data = dims_of(e.type(stage.inputs[0]));
  const size_t axis = axis_attr(stage, data.size());
  return e.per_lane(coords, [&](const Coords& one) {
    Coords from = one;
    from[axis] = index_coord(e, e.value(stage.inputs[1], one)[0], data[axis]);
    return e.value(stage.inputs[0], from)[0];
  });
}

Lanes emit_gather_nd(ElementEmitter& e, const Stage& stage, int output, const Coords& coords) {
  const std::vector<int64_t> data = dims_of(e.type(stage.inputs[0]));
  const std::vector<int64_t> indices = dims_of(e.type(stage.inputs[1]));
  const size_t batch = size_t(int_attr(stage, "batch_dims", 0)), depth = size_t(indices.back());
  const size_t rows = indices.size() - 1;
  Coords at(coords.begin(), coords.begin() + long(rows));
  if (moves_by_lane(at))
    return e.per_lane(coords,
                      [&](const Coords& one) { return emit_gather_nd(e, stage, output, one)[0]; });
  Coords from(at.begin(), at.begin() + long(batch));
  at.emplace_back();
  for (size_t k = 0; k < depth; ++k) {
    at.back() = coord(int64_t(k));
    from.push_back(index_coord(e, e.value(stage.inputs[1], at)[0], data[batch + k]));
  }
  from.insert(from.end(), coords.begin() + long(rows), coords.end());
  return e.value(stage.inputs[0], from);
}

Lanes emit_one_hot(ElementEmitter& e, const Stage& stage, int, const Coords& coords) {
  const size_t axis = axis_attr(stage, coords.size(), "axis", -1);
  const int64_t depth = dims_of(stage.outputs[0])[axis];
  const bool real = ir::is_float(e.type(stage.inputs[0]).dtype);
  const std::string off = e.value(stage.inputs[2], {coord(0)})[0];
  const std::string on = e.value(stage.inputs[2], {coord(1)})[0];
  return e.per_lane(coords, [&](const Coords& one) {
    Coords at = one;
    at.erase(at.begin() + long(axis));
    const std::string index = e.value(stage.inputs[0], at)[0];
    const std::string cut =
        e.bind("i64", real ? cat("trunc_i64(", index, ')') : cat("(i64)", index));
    const std::string place = e.bind("i64", cat(cut, " + (", cut, " < 0 ? ", depth, " : 0)"));
    return e.bind(register_type(stage.outputs[0].dtype),
                  cat(place, " == ", one[axis].at, " ? ", on, " : ", off));
  });
}

Lanes emit_range(ElementEmitter& e, const Stage& stage, int, const Coords& coords) {
  const ir::DataType dtype = stage.outputs[0].dtype;
  const bool real = ir::is_float(dtype);
  const std::string_view wide = real ? "double" : "u64";
  const std::string start = e.value(stage.inputs[0], Coords(1))[0];
  const std::string delta = e.value(stage.inputs[2], Coords(1))[0];
  return e.per_lane(coords, [&](const Coords& one) {
    return e.bind(register_type(dtype),
                  cat('(', register_type(dtype), ")((", wide, ')', start, " + (", wide, ")(",
                      one[0].at, ") * (", wide, ')', delta, ')'));
  });
}

Status supports_trilu(const Problem& problem, const Stage& stage) {
  return require_known(problem, stage, 1, "k");
}

Lanes emit_trilu(ElementEmitter& e, const Stage& stage, int, const Coords& coords) {
  const std::vector<int64_t> dims = dims_of(stage.outputs[0]);
  const size_t row = dims.size() - 2, column = dims.size() - 1;
  const auto given = known_ints(e.problem(), stage, 1);
  const int64_t k = std::clamp(given ? given->front() : 0, -dims[row] - 1, dims[column] + 1);
  const bool upper = int_attr(stage, "upper", 1) != 0;
  return e.per_lane(coords, [&](const Coords& one) {
    const std::string place = sum_text(one[row].at, cat(k));
    return e.bind(register_type(stage.outputs[0].dtype),
                  cat(one[column].at, upper ? " >= " : " <= ", place, " ? ",
                      e.value(stage.inputs[0], one)[0], " : 0"));
  });
}

Lanes emit_eye_like(ElementEmitter& e, const Stage& stage, int, const Coords& coords) {
  const int64_t k = int_attr(stage, "k", 0);
  return e.per_lane(coords, [&](const Coords& one) {
    return e.bind(register_type(stage.outputs[0].dtype),
                  cat(one[1].at, " == ", sum_text(one[0].at, cat(k)), " ? 1 : 0"));
  });
}

Lanes emit_reverse_sequence(ElementEmitter& e, const Stage& stage, int, const Coords& coords) {
  const size_t batch = size_t(int_attr(stage, "batch_axis", 1)), time = 1 - batch;
  return e.per_lane(coords, [&](const Coords& one) {
    const std::string length = e.value(stage.inputs[1], {one[batch]})[0];
    Coords from = one;
    const std::string_view index = e.index_type();
    from[time] = coord(e.bind_index(cat(one[time].at, " < ", length, " ? (", index, ')', length,
                                        " - 1 - ", one[time].at, " : ", one[time].at)));
    return e.value(stage.inputs[0], from)[0];
  });
}

constexpr ElementOp kOps[] = {
    {"EyeLike", always, emit_eye_like},
    {"Gather", always, emit_gather},
    {"GatherElements", always, emit_gather_elements},
    {"GatherND", always, emit_gather_nd},
    {"OneHot", always, emit_one_hot},
    {"Range", always, emit_range},
    {"ReverseSequence", always, emit_reverse_sequence},
    {"Trilu", supports_trilu, emit_trilu},
};

}  // namespace

std::span<const ElementOp> index_ops() { return kOps; }

}  // namespace planish::cuda
