// Element operators that move elements by rules known at build: Transpose, Slice, Concat, Pad and
// their kin. Each turns the result's coordinates into its operand's.
#include <algorithm>
#include <numeric>

#include "backend/cuda/emit/expr_text.h"
#include "backend/cuda/families/element/element_ops.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

using kernel::Problem;
using kernel::Stage;

Status always(const Problem&, const Stage&) { return ok_status(); }

// LayoutConvert, Identity; Expand, whose operand broadcasts by itself.
Lanes emit_same(ElementEmitter& e, const Stage& stage, int, const Coords& coords) {
  return e.value(stage.inputs[0], coords);
}

Lanes emit_transpose(ElementEmitter& e, const Stage& stage, int, const Coords& coords) {
  const auto& perm = std::get<std::vector<int64_t>>(stage.attrs.find("perm")->second);
  Coords from(coords.size());
  for (size_t d = 0; d < perm.size(); ++d) from[size_t(perm[d])] = coords[d];
  return e.value(stage.inputs[0], from);
}

// Views: the flat position stays.
Lanes emit_view(ElementEmitter& e, const Stage& stage, int output, const Coords& coords) {
  const std::vector<int64_t> to = dims_of(stage.outputs[size_t(output)]);
  const std::vector<int64_t> from = dims_of(e.type(stage.inputs[0]));
  return e.per_lane(coords, [&](const Coords& one) {
    std::string flat = "0";
    for (size_t d = 0; d < to.size(); ++d) flat = sum_text(product_text(flat, to[d]), one[d].at);
    flat = e.bind_index(flat);
    Coords own(from.size());
    for (size_t d = from.size(); d-- > 0;) {
      if (from[d] == 1) continue;
      own[d] = coord(d ? e.bind_index(cat(flat, " % ", from[d])) : flat);
      if (d) flat = e.bind_index(cat(flat, " / ", from[d]));
    }
    return e.value(stage.inputs[0], own)[0];
  });
}

// ---- Slice, Split

Status supports_slice(const Problem& problem, const Stage& stage) {
  constexpr std::string_view kNames[] = {"", "starts", "ends", "axes", "steps"};
  for (size_t i : {1, 3, 4}) PLANISH_RETURN_IF_ERROR(require_known(problem, stage, i, kNames[i]));
  return ok_status();
}

Lanes emit_slice(ElementEmitter& e, const Stage& stage, int, const Coords& coords) {
  const std::vector<int64_t> in = dims_of(e.type(stage.inputs[0]));
  const auto starts = known_ints(e.problem(), stage, 1), axes = known_ints(e.problem(), stage, 3);
  const auto steps = known_ints(e.problem(), stage, 4);
  Coords from = coords;
  for (size_t i = 0; i < starts->size(); ++i) {
    const int64_t a = axes ? (*axes)[i] : int64_t(i), step = steps ? (*steps)[i] : 1;
    const size_t d = size_t(a < 0 ? a + int64_t(in.size()) : a);
    int64_t start = (*starts)[i] < 0 ? (*starts)[i] + in[d] : (*starts)[i];
    start = std::clamp<int64_t>(start, 0, step > 0 ? in[d] : in[d] - 1);
    // One element is taken whatever the step, which may be near the end of 64 bits.
    const bool single = stage.outputs[0].shape[d] == ir::Dim(1);
    from[d] = single ? coord(start) : shifted(coords[d], start, step);
  }
  return e.value(stage.inputs[0], from);
}

Lanes emit_split(ElementEmitter& e, const Stage& stage, int output, const Coords& coords) {
  const size_t axis = axis_attr(stage, coords.size());
  int64_t begin = 0;
  for (int i = 0; i < output; ++i) begin += dims_of(stage.outputs[size_t(i)])[axis];
  Coords from = coords;
  from[axis] = shifted(coords[axis], begin);
  return e.value(stage.inputs[0], from);
}

// ---- Concat

Lanes emit_concat(ElementEmitter& e, const Stage& stage, int output, const Coords& coords) {
  const ir::TensorType& type = stage.outputs[size_t(output)];
  const size_t axis = axis_attr(stage, coords.size());
  std::vector<int64_t> ends;
  int64_t end = 0, grain = coords[axis].multiple;
  for (int input : stage.inputs) {
    end += dims_of(e.type(input))[axis];
    ends.push_back(end);
    grain = std::gcd(grain, end);
  }
  const Coord& along = coords[axis];
  // A vector of lanes lies within one member when every border is a multiple of the width.
  const bool whole = along.lane_step == 0 || (along.lane_step == 1 && grain % e.width() == 0);
  if (!whole)
    return e.per_lane(coords,
                      [&](const Coords& one) { return emit_concat(e, stage, output, one)[0]; });
  const std::string_view reg = register_type(type.dtype);
  Lanes out;
  for (int lane = 0; lane < (moves_by_lane(coords) ? e.width() : 1); ++lane)
    out.names.push_back(e.variable(reg, "0"));
  const Coord at = e.bind_coord(along);
  int64_t begin = 0;
  for (size_t i = 0; i < stage.inputs.size(); ++i) {
    if (ends[i] != begin) {
      std::string test = i + 1 < ends.size() ? cat("if (", at.at, " < ", ends[i], ")") : "";
      e.open(begin ? cat("else ", test) : test);
      Coords from = coords;
      from[axis] = shifted(at, -begin);
      const Lanes member = e.value(stage.inputs[i], from);
      for (size_t lane = 0; lane < out.names.size(); ++lane)
        e.line(cat(out.names[lane], " = ", member[int(lane)], ';'));
      e.close();
    }
    begin = ends[i];
  }
  return out;
}

// ---- Pad

struct Pads {
  std::vector<int64_t> begin, end;
};
Pads pads_of(const Problem& problem, const Stage& stage, size_t rank) {
  Pads pads{std::vector<int64_t>(rank, 0), std::vector<int64_t>(rank, 0)};
  const auto given = known_ints(problem, stage, 1), axes = known_ints(problem, stage, 3);
  const size_t count = given->size() / 2;
  for (size_t i = 0; i < count; ++i) {
    const int64_t a = axes ? (*axes)[i] : int64_t(i);
    const size_t d = size_t(a < 0 ? a + int64_t(rank) : a);
    pads.begin[d] = (*given)[i];
    pads.end[d] = (*given)[i + count];
  }
  return pads;
}

Status supports_pad(const Problem& problem, const Stage& stage) {
  PLANISH_RETURN_IF_ERROR(require_known(problem, stage, 1, "pads"));
  return require_known(problem, stage, 3, "axes");
}

// The operand's coordinate, and in `inside` a test that it exists (constant mode).
Coord pad_source(ElementEmitter& e, const Coord& c, int64_t dim, int64_t begin, int64_t end,
                 const std::string& mode, std::string& inside) {
  const int64_t low = std::max<int64_t>(0, -begin);
  const int64_t kept = dim + std::min<int64_t>(begin, 0) + std::min<int64_t>(end, 0);
  if (begin <= 0 && end <= 0) return shifted(c, low);
  Coord at = e.bind_coord(shifted(c, -std::max<int64_t>(begin, 0)));
  if (mode == "constant") {
    inside = cat(at.at, " >= 0 && ", at.at, " < ", kept);
    return shifted(at, low);
  }
  const std::string x = at.at;
  if (mode == "edge")
    at.at = cat("(", x, " < 0 ? 0 : ", x, " >= ", kept, " ? ", kept - 1, " : ", x, ")");
  if (mode == "reflect")
    at.at = cat("(", x, " < 0 ? -", x, " : ", x, " >= ", kept, " ? ", 2 * (kept - 1), " - ", x,
                " : ", x, ")");
  if (mode == "wrap") at.at = cat("((", x, " % ", kept, " + ", kept, ") % ", kept, ")");
  at.multiple = 1;
  return shifted(e.bind_coord(at), low);
}

Lanes emit_pad(ElementEmitter& e, const Stage& stage, int output, const Coords& coords) {
  const std::vector<int64_t> in = dims_of(e.type(stage.inputs[0]));
  const Pads pads = pads_of(e.problem(), stage, in.size());
  const std::string mode = string_attr(stage, "mode", "constant");
  for (size_t d = 0; d < in.size(); ++d)
    if (coords[d].lane_step && (pads.begin[d] > 0 || pads.end[d] > 0))
      return e.per_lane(coords,
                        [&](const Coords& one) { return emit_pad(e, stage, output, one)[0]; });
  Coords from(in.size());
  std::vector<std::string> tests;
  for (size_t d = 0; d < in.size(); ++d) {
    std::string inside;
    from[d] = pad_source(e, coords[d], in[d], pads.begin[d], pads.end[d], mode, inside);
    if (!inside.empty()) tests.push_back(inside);
  }
  if (tests.empty()) return e.value(stage.inputs[0], from);
  const std::string fill = has_input(stage, 2) ? e.value(stage.inputs[2], Coords(1))[0] : "0";
  const std::string_view reg = register_type(stage.outputs[0].dtype);
  Lanes out;
  for (int lane = 0; lane < (moves_by_lane(coords) ? e.width() : 1); ++lane)
    out.names.push_back(e.variable(reg, fill));
  e.open(cat("if (", join(tests, " && "), ")"));
  const Lanes data = e.value(stage.inputs[0], from);
  for (size_t lane = 0; lane < out.names.size(); ++lane)
    e.line(cat(out.names[lane], " = ", data[int(lane)], ';'));
  e.close();
  return out;
}

// ---- Tile, DepthToSpace, SpaceToDepth

Lanes emit_tile(ElementEmitter& e, const Stage& stage, int output, const Coords& coords) {
  const std::vector<int64_t> in = dims_of(e.type(stage.inputs[0]));
  const std::vector<int64_t> out = dims_of(stage.outputs[size_t(output)]);
  Coords from(in.size());
  for (size_t d = 0; d < in.size(); ++d) {
    const Coord& c = coords[d];
    const bool together =
        c.lane_step == 0 || (c.lane_step == 1 && std::gcd(c.multiple, in[d]) % e.width() == 0);
    if (in[d] != out[d] && !together)
      return e.per_lane(coords,
                        [&](const Coords& one) { return emit_tile(e, stage, output, one)[0]; });
    from[d] = c;
    if (in[d] == out[d]) continue;
    from[d].at = e.bind_index(cat(c.at, " % ", in[d]));
    from[d].multiple = std::gcd(c.multiple, in[d]);
  }
  return e.value(stage.inputs[0], from);
}

Status supports_blocks(const Problem& problem, const Stage& stage) {
  return problem.type_of(stage.inputs[0]).rank() == 4 ? ok_status()
                                                      : unsupported("rank other than 4");
}

// Result (n, c, y, x) of blocks of b: channel (i b + j) C + c (DCR) or (c b + i) b + j (CRD).
Lanes emit_depth_to_space(ElementEmitter& e, const Stage& stage, int output, const Coords& coords) {
  if (coords[2].lane_step || coords[3].lane_step)
    return e.per_lane(
        coords, [&](const Coords& one) { return emit_depth_to_space(e, stage, output, one)[0]; });
  const int64_t b = int_attr(stage, "blocksize", 1);
  const int64_t channels = dims_of(stage.outputs[0])[1];
  const std::string place =
      e.bind_index(cat(coords[2].at, " % ", b, " * ", b, " + ", coords[3].at, " % ", b));
  Coord c = coords[1];
  if (string_attr(stage, "mode", "DCR") == "DCR") {
    c.at = sum_text(product_text(place, channels), c.at);
    c.multiple = std::gcd(channels, c.multiple);
  } else {
    c = {sum_text(product_text(c.at, b * b), place), c.lane_step * b * b, 1};
  }
  return e.value(stage.inputs[0],
                 {coords[0], e.bind_coord(c), coord(e.bind_index(cat(coords[2].at, " / ", b))),
                  coord(e.bind_index(cat(coords[3].at, " / ", b)))});
}

Lanes emit_space_to_depth(ElementEmitter& e, const Stage& stage, int, const Coords& coords) {
  const int64_t b = int_attr(stage, "blocksize", 1);
  const int64_t channels = dims_of(e.type(stage.inputs[0]))[1];
  const bool depth_first = string_attr(stage, "mode", "DCR") == "CRD";
  const int64_t inner = depth_first ? b * b : channels;
  return e.per_lane(coords, [&](const Coords& one) {
    std::string block = e.bind_index(cat(one[1].at, " / ", inner));
    Coord c = coord(e.bind_index(cat(one[1].at, " % ", inner)));
    if (depth_first) std::swap(block, c.at);
    const Coord y = coord(e.bind_index(cat(one[2].at, " * ", b, " + ", block, " / ", b)));
    const Coord x = coord(e.bind_index(cat(one[3].at, " * ", b, " + ", block, " % ", b)));
    return e.value(stage.inputs[0], {one[0], c, y, x})[0];
  });
}

constexpr ElementOp kOps[] = {
    {"Concat", always, emit_concat},       {"DepthToSpace", supports_blocks, emit_depth_to_space},
    {"Expand", always, emit_same},         {"Flatten", always, emit_view},
    {"Identity", always, emit_same},       {"LayoutConvert", always, emit_same},
    {"Pad", supports_pad, emit_pad},       {"Reshape", always, emit_view},
    {"Slice", supports_slice, emit_slice}, {"SpaceToDepth", supports_blocks, emit_space_to_depth},
    {"Split", always, emit_split},         {"Squeeze", always, emit_view},
    {"Tile", always, emit_tile},           {"Transpose", always, emit_transpose},
    {"Unsqueeze", always, emit_view},
};

}  // namespace

std::span<const ElementOp> movement_ops() { return kOps; }

}  // namespace planish::cuda
