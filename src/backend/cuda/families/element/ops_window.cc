// Element operators over sliding windows: pools, and convolutions in their plain form, which take
// whatever the fast families refuse.
#include <functional>

#include "backend/cuda/emit/expr_text.h"
#include "backend/cuda/families/element/element_ops.h"
#include "backend/cuda/families/reduction_text.h"
#include "base/text.h"
#include "kernel/window.h"

namespace planish::cuda {
namespace {

using kernel::Problem;
using kernel::Stage;
using kernel::Window;

constexpr int64_t kUnrolledTaps = 32;

bool is_global(const Stage& stage) { return stage.op.rfind("Global", 0) == 0; }

// The window with its pads resolved; a global pool's is the whole image.
Result<Window> window_over(const Problem& problem, const Stage& stage,
                           std::span<const int64_t> weights_kernel = {}) {
  const std::vector<int64_t> in = dims_of(problem.type_of(stage.inputs[0]));
  const std::span<const int64_t> spatial = std::span(in).subspan(2);
  Window window;
  if (is_global(stage)) {
    window.kernel.assign(spatial.begin(), spatial.end());
    window.strides.assign(spatial.size(), 1);
    window.dilations = window.strides;
    window.pads_begin.assign(spatial.size(), 0);
    window.pads_end = window.pads_begin;
    return window;
  }
  PLANISH_ASSIGN_OR_RETURN(window,
                           kernel::window_of(stage.attrs, int(spatial.size()), weights_kernel));
  kernel::resolve_pads(window, spatial);
  return window;
}

std::vector<int64_t> filter_dims(const Problem& problem, const Stage& stage) {
  const std::vector<int64_t> w = dims_of(problem.type_of(stage.inputs[1]));
  return {w.begin() + 2, w.end()};
}

// Walks the window of the result at `coords`: `body` is printed once, inside of the loops and of
// the test that the place exists; it gets the spatial coordinates of the input and of the kernel.
using WindowBody = std::function<void(const Coords& place, const Coords& tap)>;
void walk_window(ElementEmitter& e, const Window& window, std::span<const int64_t> in,
                 std::span<const int64_t> out, std::span<const Coord> coords,
                 const WindowBody& body) {
  Coords place, tap;
  std::vector<std::string> tests;
  int blocks = 0;
  for (size_t d = 0; d < window.kernel.size(); ++d) {
    const int64_t k = window.kernel[d], stride = window.strides[d], dilation = window.dilations[d];
    tap.push_back(coord(0));
    if (k > 1) {
      tap[d] = coord(e.fresh("k"));
      if (window.volume() <= kUnrolledTaps) e.line("#pragma unroll");
      e.open(cat("for (int ", tap[d].at, " = 0; ", tap[d].at, " < ", k, "; ++", tap[d].at, ')'));
      ++blocks;
    }
    const Coord first = shifted(coords[d], -window.pads_begin[d], stride);
    place.push_back(e.bind_coord(coord(sum_text(first.at, product_text(tap[d].at, dilation)))));
    const int64_t last = (out[d] - 1) * stride - window.pads_begin[d] + (k - 1) * dilation;
    if (window.pads_begin[d] > 0) tests.push_back(cat(place[d].at, " >= 0"));
    if (last >= in[d]) tests.push_back(cat(place[d].at, " < ", in[d]));
  }
  if (!tests.empty()) {
    e.open(cat("if (", join(tests, " && "), ")"));
    ++blocks;
  }
  body(place, tap);
  for (; blocks > 0; --blocks) e.close();
}

bool hangs_over(const Window& window, std::span<const int64_t> in, std::span<const int64_t> out) {
  for (size_t d = 0; d < window.kernel.size(); ++d) {
    const int64_t start = (out[d] - 1) * window.strides[d] - window.pads_begin[d];
    if (window.pads_begin[d] > 0 || start + window.extent(int(d)) > in[d]) return true;
  }
  return false;
}

Coords join_coords(const Coord& n, const Coord& c, const Coords& spatial) {
  Coords out = {n, c};
  out.insert(out.end(), spatial.begin(), spatial.end());
  return out;
}

bool spatial_moves(const Coords& coords) {
  return moves_by_lane(Coords(coords.begin() + 2, coords.end()));
}

// ---- pools

Status supports_pool(const Problem& problem, const Stage& stage) {
  return window_over(problem, stage).status();
}

// Elements of the window at the result's place that lie in the input or its declared padding.
std::string padded_count(ElementEmitter& e, const Window& window, std::span<const int64_t> in,
                         std::span<const Coord> coords) {
  std::string count = "1";
  for (size_t d = 0; d < window.kernel.size(); ++d) {
    const Coord start = shifted(coords[d], -window.pads_begin[d], window.strides[d]);
    const std::string room =
        e.bind_index(cat('(', in[d] + window.pads_end[d] + window.dilations[d] - 1, " - ", start.at,
                         ") / ", window.dilations[d]));
    count = e.bind_index(cat(count, " * (", room, " < ", window.kernel[d], " ? ", room, " : ",
                             window.kernel[d], ')'));
  }
  return count;
}

struct PoolPlan {
  Window window;
  std::vector<int64_t> in, out;  // spatial
};
PoolPlan pool_plan(ElementEmitter& e, const Stage& stage) {
  PoolPlan plan;
  plan.in = dims_of(e.type(stage.inputs[0]));
  plan.out = dims_of(stage.outputs[0]);
  plan.in.erase(plan.in.begin(), plan.in.begin() + 2);
  plan.out.erase(plan.out.begin(), plan.out.begin() + 2);
  auto window = window_over(e.problem(), stage);
  if (window.ok())
    plan.window = std::move(*window);
  else
    e.fail(window.status());
  return plan;
}

// Runs `update(lane, element)` for every element of the window.
using PoolUpdate = std::function<void(int lane, const std::string& x)>;
void walk_pool(ElementEmitter& e, const Stage& stage, const PoolPlan& plan, const Coords& coords,
               int lanes, const PoolUpdate& update, const std::string& count = "") {
  walk_window(e, plan.window, plan.in, plan.out, std::span(coords).subspan(2),
              [&](const Coords& place, const Coords&) {
                const Lanes x = e.value(stage.inputs[0], join_coords(coords[0], coords[1], place));
                for (int lane = 0; lane < lanes; ++lane) update(lane, x[lane]);
                if (!count.empty()) e.line(cat("++", count, ';'));
              });
}

std::vector<std::string> variables(ElementEmitter& e, std::string_view type,
                                   const std::string& first, int lanes) {
  std::vector<std::string> out;
  for (int lane = 0; lane < lanes; ++lane) out.push_back(e.variable(type, first));
  return out;
}

Lanes emit_max(ElementEmitter& e, const Stage& stage, const Coords& coords) {
  const PoolPlan plan = pool_plan(e, stage);
  const ir::DataType dtype = stage.outputs[0].dtype;
  const int lanes = moves_by_lane(coords) ? e.width() : 1;
  std::vector<std::string> best = variables(e, register_type(dtype), lowest_text(dtype), lanes);
  walk_pool(e, stage, plan, coords, lanes, [&](int lane, const std::string& x) {
    const std::string& b = best[size_t(lane)];
    e.line(ir::is_float(dtype) ? cat(b, " = max_nan(", b, ", ", x, ");")
                               : cat(b, " = ", x, " > ", b, " ? ", x, " : ", b, ';'));
  });
  return {best};
}

// Where the maximum stands: flat in the whole input, by rows or (storage_order) by columns.
Lanes emit_max_place(ElementEmitter& e, const Stage& stage, const Coords& coords) {
  const PoolPlan plan = pool_plan(e, stage);
  const std::vector<int64_t> in = dims_of(e.type(stage.inputs[0]));
  const ir::DataType dtype = e.type(stage.inputs[0]).dtype;
  const bool by_column = int_attr(stage, "storage_order", 0) == 1;
  const std::string best = e.variable(register_type(dtype), lowest_text(dtype));
  const std::string where = e.variable("i64", "-1");
  walk_window(
      e, plan.window, plan.in, plan.out, std::span(coords).subspan(2),
      [&](const Coords& place, const Coords&) {
        const std::string x = e.value(stage.inputs[0], join_coords(coords[0], coords[1], place))[0];
        std::string flat = "0";
        for (size_t i = 0; i < place.size(); ++i) {
          const size_t d = by_column ? place.size() - 1 - i : i;
          flat = sum_text(product_text(flat, plan.in[d]), place[d].at);
        }
        e.line(cat("if (", where, " < 0 || (", best, " == ", best, " && !(", x, " <= ", best,
                   "))) { ", best, " = ", x, "; ", where, " = ", flat, "; }"));
      });
  int64_t image = 1;
  for (int64_t d : plan.in) image *= d;
  return {{e.bind("i64", cat("((i64)", coords[0].at, " * ", in[1], " + ", coords[1].at, ") * ",
                             image, " + (", where, " < 0 ? 0 : ", where, ')'))}};
}

Lanes emit_max_pool(ElementEmitter& e, const Stage& stage, int output, const Coords& coords) {
  if (output == 1)
    return e.per_lane(coords, [&](const Coords& one) { return emit_max_place(e, stage, one)[0]; });
  if (!spatial_moves(coords)) return emit_max(e, stage, coords);
  return e.per_lane(coords, [&](const Coords& one) { return emit_max(e, stage, one)[0]; });
}

Lanes emit_average(ElementEmitter& e, const Stage& stage, const Coords& coords) {
  const PoolPlan plan = pool_plan(e, stage);
  const std::string_view type = sum_type(stage.outputs[0].dtype);
  const bool with_padding = int_attr(stage, "count_include_pad", 0) == 1;
  const bool counted = !with_padding && hangs_over(plan.window, plan.in, plan.out);
  const int lanes = moves_by_lane(coords) ? e.width() : 1;
  std::vector<std::string> sums = variables(e, type, "0", lanes);
  std::string count = counted ? e.variable("int", "0") : "";
  walk_pool(
      e, stage, plan, coords, lanes,
      [&](int lane, const std::string& x) { e.line(cat(sums[size_t(lane)], " += ", x, ';')); },
      count);
  if (with_padding)
    count = padded_count(e, plan.window, plan.in, std::span(coords).subspan(2));
  else if (!counted)
    count = cat(plan.window.volume());
  const std::string divisor = e.bind(type, cat('(', type, ')', count));
  Lanes out;
  for (const std::string& sum : sums)
    out.names.push_back(e.bind(type, cat(divisor, " > 0 ? ", sum, " / ", divisor, " : 0")));
  return out;
}

Lanes emit_average_pool(ElementEmitter& e, const Stage& stage, int, const Coords& coords) {
  if (!spatial_moves(coords)) return emit_average(e, stage, coords);
  return e.per_lane(coords, [&](const Coords& one) { return emit_average(e, stage, one)[0]; });
}

Lanes emit_lp_pool(ElementEmitter& e, const Stage& stage, int, const Coords& coords) {
  const PoolPlan plan = pool_plan(e, stage);
  const std::string_view type = sum_type(stage.outputs[0].dtype);
  const int64_t p = int_attr(stage, "p", 2);
  return e.per_lane(coords, [&](const Coords& one) {
    const std::string sum = e.variable(type, "0");
    walk_pool(e, stage, plan, one, 1, [&](int, const std::string& x) {
      e.line(cat(sum, " += ",
                 p == 1   ? cat("fabs(", x, ')')
                 : p == 2 ? cat(x, " * ", x)
                          : cat("pow(fabs(", x, "), (", type, ')', p, ')'),
                 ';'));
    });
    return e.bind(type, p == 1   ? sum
                        : p == 2 ? cat("sqrt(", sum, ')')
                                 : cat("pow(", sum, ", (", type, ")1 / ", p, ')'));
  });
}

// ---- convolutions

Status supports_conv(const Problem& problem, const Stage& stage) {
  const ir::TensorType& type = problem.type_of(stage.inputs[0]);
  if (!ir::is_float(type.dtype)) return unsupported("elements that are no floats");
  return window_over(problem, stage, filter_dims(problem, stage)).status();
}

Lanes emit_conv_lanes(ElementEmitter& e, const Stage& stage, const Coords& coords) {
  const ir::TensorType& x = e.type(stage.inputs[0]);
  const std::vector<int64_t> w = dims_of(e.type(stage.inputs[1]));
  auto window = window_over(e.problem(), stage, filter_dims(e.problem(), stage));
  if (!window.ok()) {
    e.fail(window.status());
    return {{"0"}};
  }
  const std::vector<int64_t> in = dims_of(x), out = dims_of(stage.outputs[0]);
  const int64_t groups = int_attr(stage, "group", 1), per_group = w[0] / groups;
  const std::string_view type = sum_type(x.dtype);
  const Coord oc = e.bind_coord(coords[1]);
  const int lanes = moves_by_lane(coords) ? e.width() : 1;
  std::vector<std::string> sums;
  for (int lane = 0; lane < lanes; ++lane)
    sums.push_back(e.variable(
        type, has_input(stage, 2) ? e.value(stage.inputs[2], {lane_of(oc, lane)})[0] : "0"));
  const Coord group = per_group == 1 ? oc
                      : groups == 1  ? Coord{}
                                     : coord(e.bind_index(cat(oc.at, " / ", per_group)));
  Coord ic = coord(0);
  if (w[1] > 1) {
    ic = coord(e.fresh("c"));
    e.open(cat("for (int ", ic.at, " = 0; ", ic.at, " < ", w[1], "; ++", ic.at, ')'));
  }
  const Coord base = shifted(group, 0, w[1]);
  const Coord channel = {sum_text(base.at, ic.at), base.lane_step, w[1] == 1 ? base.multiple : 1};
  walk_window(e, *window, std::span(in).subspan(2), std::span(out).subspan(2),
              std::span(coords).subspan(2), [&](const Coords& place, const Coords& tap) {
                const Lanes a = e.value(stage.inputs[0], join_coords(coords[0], channel, place));
                const Lanes b = e.value(stage.inputs[1], join_coords(oc, ic, tap));
                for (int lane = 0; lane < lanes; ++lane)
                  e.line(cat(sums[size_t(lane)], " = fma((", type, ')', a[lane], ", (", type, ')',
                             b[lane], ", ", sums[size_t(lane)], ");"));
              });
  if (w[1] > 1) e.close();
  return {sums};
}

Lanes emit_conv(ElementEmitter& e, const Stage& stage, int, const Coords& coords) {
  const int64_t groups = int_attr(stage, "group", 1);
  const int64_t per_group = dims_of(e.type(stage.inputs[1]))[0] / groups;
  // Lanes of one group share its input channels; of a depthwise convolution each has its own.
  const bool one_group = groups == 1 || per_group == 1 ||
                         (per_group % e.width() == 0 && coords[1].multiple % e.width() == 0);
  if (!spatial_moves(coords) && (one_group || !coords[1].lane_step))
    return emit_conv_lanes(e, stage, coords);
  return e.per_lane(coords, [&](const Coords& one) { return emit_conv_lanes(e, stage, one)[0]; });
}

Status supports_conv_transpose(const Problem& problem, const Stage& stage) {
  PLANISH_RETURN_IF_ERROR(supports_conv(problem, stage));
  PLANISH_ASSIGN_OR_RETURN(
      Window window, kernel::window_of(stage.attrs, problem.type_of(stage.inputs[0]).rank() - 2,
                                       filter_dims(problem, stage)));
  if (window.is_same() || stage.attrs.count("output_shape"))
    return unsupported("pads that follow from the output's shape");
  return ok_status();
}

// Every tap reads the input element, if there is one, whose kernel reaches this place by it.
Lanes emit_conv_transpose(ElementEmitter& e, const Stage& stage, int, const Coords& coords) {
  const ir::TensorType& x = e.type(stage.inputs[0]);
  const std::vector<int64_t> in = dims_of(x), w = dims_of(e.type(stage.inputs[1]));
  auto found = window_over(e.problem(), stage, filter_dims(e.problem(), stage));
  if (!found.ok()) {
    e.fail(found.status());
    return {{"0"}};
  }
  const Window& window = *found;
  const int64_t groups = int_attr(stage, "group", 1), channels = in[1] / groups;
  const std::string_view type = sum_type(x.dtype);
  return e.per_lane(coords, [&](const Coords& one) {
    const std::string sum =
        e.variable(type, has_input(stage, 2) ? e.value(stage.inputs[2], {one[1]})[0] : "0");
    const Coord group = groups == 1 ? Coord{} : coord(e.bind_index(cat(one[1].at, " / ", w[1])));
    const Coord oc = groups == 1 ? one[1] : coord(e.bind_index(cat(one[1].at, " % ", w[1])));
    Coords place, tap;
    int blocks = 0;
    for (size_t d = 0; d < window.kernel.size(); ++d) {
      tap.push_back(coord(0));
      if (window.kernel[d] > 1) {
        tap[d] = coord(e.fresh("k"));
        e.open(cat("for (int ", tap[d].at, " = 0; ", tap[d].at, " < ", window.kernel[d], "; ++",
                   tap[d].at, ')'));
        ++blocks;
      }
      const std::string from = e.bind_index(cat(shifted(one[d + 2], window.pads_begin[d]).at, " - ",
                                                tap[d].at, " * ", window.dilations[d]));
      place.push_back(coord(e.bind_index(cat(from, " / ", window.strides[d]))));
      e.open(cat("if (", from, " >= 0 && ", from, " % ", window.strides[d], " == 0 && ",
                 place[d].at, " < ", in[d + 2], ')'));
      ++blocks;
    }
    const Coord ic = coord(e.fresh("c"));
    e.open(cat("for (int ", ic.at, " = 0; ", ic.at, " < ", channels, "; ++", ic.at, ')'));
    const Coord from = coord(e.bind_index(sum_text(product_text(group.at, channels), ic.at)));
    const std::string a = e.value(stage.inputs[0], join_coords(one[0], from, place))[0];
    const std::string b = e.value(stage.inputs[1], join_coords(from, oc, tap))[0];
    e.line(cat(sum, " = fma((", type, ')', a, ", (", type, ')', b, ", ", sum, ");"));
    e.close();
    for (; blocks > 0; --blocks) e.close();
    return sum;
  });
}

constexpr ElementOp kOps[] = {
    {"AveragePool", supports_pool, emit_average_pool, true},
    {"Conv", supports_conv, emit_conv, true},
    {"ConvTranspose", supports_conv_transpose, emit_conv_transpose, true},
    {"GlobalAveragePool", supports_pool, emit_average_pool, true},
    {"GlobalLpPool", supports_pool, emit_lp_pool, true},
    {"GlobalMaxPool", supports_pool, emit_max_pool, true},
    {"LpPool", supports_pool, emit_lp_pool, true},
    {"MaxPool", supports_pool, emit_max_pool, true},
};

}  // namespace

std::span<const ElementOp> window_ops() { return kOps; }

}  // namespace planish::cuda
