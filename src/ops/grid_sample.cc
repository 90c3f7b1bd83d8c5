// GridSample: reads an image at given places, by nearest, linear or cubic interpolation, for two or
// more spatial dims; and AffineGrid, which makes such places from affine maps.
#include <cmath>

#include "base/text.h"
#include "ops/dims.h"
#include "ops/spatial.h"
#include "opdef/import.h"

namespace planish::ops {
namespace {

using opdef::EvalContext;
using opdef::ImportContext;
using opdef::kFloats;
using opdef::NodeView;

enum class Padding { kZeros, kBorder, kReflection };
enum class Mode { kNearest, kLinear, kCubic };

Result<Mode> mode_of(const std::string& name) {
  if (name == "nearest") return Mode::kNearest;
  if (name == "linear") return Mode::kLinear;
  if (name == "cubic") return Mode::kCubic;
  return bad_attr("mode", cat("'", name, "'"), "'nearest', 'linear' or 'cubic'");
}
Result<Padding> padding_of(const std::string& name) {
  if (name == "zeros") return Padding::kZeros;
  if (name == "border") return Padding::kBorder;
  if (name == "reflection") return Padding::kReflection;
  return bad_attr("padding_mode", cat("'", name, "'"), "'zeros', 'border' or 'reflection'");
}

Status infer_grid_sample(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 3, 2 + kMaxSpatialRank));
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 1, ctx.rank(0), ctx.rank(0)));
  PLANISH_RETURN_IF_ERROR(mode_of(ctx.attr_string("mode")).status());
  PLANISH_RETURN_IF_ERROR(padding_of(ctx.attr_string("padding_mode")).status());
  const Shape &x = ctx.shape(0), &grid = ctx.shape(1);
  PLANISH_RETURN_IF_ERROR(check_same_dim("input 1 (grid): dim 0", grid[0], x[0]));
  PLANISH_RETURN_IF_ERROR(check_same_dim("input 1 (grid): last dim", grid.back(),
                                         int64_t(x.size()) - 2));
  Shape out = {x[0], x[1]};
  out.insert(out.end(), grid.begin() + 1, grid.end() - 1);
  bool empty = false;
  for (const Dim& d : out) empty |= d == Dim(0);
  for (size_t i = 2; i < x.size(); ++i)
    if (x[i] == Dim(0) && !empty)
      return invalid_argument(cat("input 0 (X): got an empty dim ", i, ", expected elements"));
  ctx.set_output(0, ctx.dtype(0), std::move(out));
  return ok_status();
}

// One axis of the image.
struct Axis {
  int64_t size = 1;
  double low = 0, high = 0;  // borders that reflection turns at
  Padding padding = Padding::kZeros;
};

double reflected(double x, double low, double high) {
  double length = high - low;
  if (!(length > 0)) return low;
  double distance = std::fabs(x - low), turns = std::floor(distance / length);
  double rest = distance - turns * length;
  return std::fmod(turns, 2) == 0 ? low + rest : high - rest;
}

// The element at an integral place, or -1 for a zero.
int64_t element_at(const Axis& axis, double place) {
  if (axis.padding == Padding::kReflection && (place < axis.low || place > axis.high))
    place = std::trunc(reflected(place, axis.low, axis.high));
  double last = double(axis.size - 1);
  if (axis.padding == Padding::kZeros) return place >= 0 && place <= last ? int64_t(place) : -1;
  return int64_t(std::min(std::max(place, 0.0), last));
}

// Elements and weights that one coordinate reads along one axis.
struct Taps {
  int count = 0;
  int64_t elements[4];
  double weights[4];
};

Taps taps_of(const Axis& axis, Mode mode, double x) {
  // Beyond this nothing but padding is read; NaN counts as far outside too.
  constexpr double kFar = 1e9;
  x = std::isnan(x) ? -kFar : std::min(std::max(x, -kFar), kFar);
  if (mode == Mode::kNearest) x = std::nearbyint(x);
  if (x < axis.low || x > axis.high) {
    if (axis.padding == Padding::kBorder) x = std::min(std::max(x, 0.0), double(axis.size - 1));
    if (axis.padding == Padding::kReflection) x = reflected(x, axis.low, axis.high);
  }
  Taps taps;
  auto add = [&](double place, double weight) {
    taps.elements[taps.count] = element_at(axis, place);
    taps.weights[taps.count++] = weight;
  };
  double base = std::floor(x), t = x - base;
  if (mode == Mode::kNearest) {
    add(std::trunc(x), 1);
  } else if (mode == Mode::kLinear) {
    add(base, 1 - t);
    add(base + 1, t);
  } else {
    constexpr double a = -0.75;
    auto outer = [](double d) { return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a; };
    auto inner = [](double d) { return ((a + 2) * d - (a + 3)) * d * d + 1; };
    add(base - 1, outer(t + 1));
    add(base, inner(t));
    add(base + 1, inner(1 - t));
    add(base + 2, outer(2 - t));
  }
  return taps;
}

Status evaluate_grid_sample(EvalContext& ctx) {
  const Tensor &x = ctx.input(0), &grid = ctx.input(1);
  PLANISH_ASSIGN_OR_RETURN(Mode mode, mode_of(ctx.attr_string("mode")));
  PLANISH_ASSIGN_OR_RETURN(Padding padding, padding_of(ctx.attr_string("padding_mode")));
  bool corners = ctx.attr_int("align_corners") != 0;
  int rank = x.rank() - 2;
  Axis axes[3];
  for (int i = 0; i < rank; ++i) {
    Axis& axis = axes[3 - rank + i];
    axis.size = x.dim(i + 2);
    axis.low = corners ? 0 : -0.5;
    axis.high = double(axis.size) - (corners ? 1 : 0.5);
    axis.padding = padding;
  }
  std::vector<int64_t> dims = ctx.output_dims(0);
  int64_t channels = dims[1], places = product(dims, 2, int(dims.size()));
  int64_t image = axes[0].size * axes[1].size * axes[2].size;
  std::vector<double> values = x.f64_values(), where = grid.f64_values();
  std::vector<double> y(size_t(ir::element_count(dims)));
  if (y.empty()) return ok_status();
  for (int64_t n = 0; n < dims[0]; ++n)
    for (int64_t p = 0; p < places; ++p) {
      Taps taps[3];
      taps[0].count = taps[1].count = 1;
      for (Taps& one : taps) one.elements[0] = 0, one.weights[0] = 1;
      for (int i = 0; i < rank; ++i) {
        // The grid has the last dim's coordinate first.
        double g = where[size_t((n * places + p) * rank + rank - 1 - i)];
        const Axis& axis = axes[3 - rank + i];
        double size = double(axis.size);
        double at = corners ? (g + 1) / 2 * (size - 1) : ((g + 1) * size - 1) / 2;
        taps[3 - rank + i] = taps_of(axis, mode, at);
      }
      for (int64_t c = 0; c < channels; ++c) {
        const double* from = values.data() + (n * channels + c) * image;
        double sum = 0;
        for (int a = 0; a < taps[0].count; ++a)
          for (int b = 0; b < taps[1].count; ++b)
            for (int d = 0; d < taps[2].count; ++d) {
              int64_t i = taps[0].elements[a], j = taps[1].elements[b], k = taps[2].elements[d];
              if (i < 0 || j < 0 || k < 0) continue;
              sum += taps[0].weights[a] * taps[1].weights[b] * taps[2].weights[d] *
                     from[(i * axes[1].size + j) * axes[2].size + k];
            }
        y[size_t((n * channels + c) * places + p)] = sum;
      }
    }
  ctx.output(0).assign_f64(y);
  return ok_status();
}

// Opset 16 names the modes after two dims.
Status import_grid_sample_16(const NodeView& node, ImportContext& ctx) {
  ir::Attributes attrs;
  for (const std::string& key : node.attr_names()) attrs[key] = *node.attr(key);
  PLANISH_ASSIGN_OR_RETURN(std::string mode, node.attr_string("mode", "bilinear"));
  if (mode == "bilinear") mode = "linear";
  if (mode == "bicubic") mode = "cubic";
  attrs["mode"] = mode;
  std::vector<ir::Value*> inputs;
  for (int i = 0; i < node.input_count(); ++i) inputs.push_back(node.input(i));
  PLANISH_ASSIGN_OR_RETURN(ir::Value * y, ctx.add1("GridSample", inputs, std::move(attrs)));
  ctx.set_output(0, y);
  return ok_status();
}

Status infer_affine_grid(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 3, 3));
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 1, 1, 1));
  const Shape& theta = ctx.shape(0);
  auto rank = theta[1].constant();
  auto length = ctx.shape(1)[0].constant();
  if (!rank && length) rank = *length - 2;
  if (!rank || (*rank != 2 && *rank != 3))
    return invalid_argument(cat("input 0 (theta): got ", ir::to_string(theta),
                                ", expected [N, 2, 3] or [N, 3, 4]"));
  PLANISH_RETURN_IF_ERROR(check_same_dim("input 0 (theta): dim 2", theta[2], *rank + 1));
  PLANISH_RETURN_IF_ERROR(check_same_dim("input 1 (size): length", ctx.shape(1)[0], *rank + 2));
  std::optional<std::vector<Dim>> size = ctx.content(1);
  bool known = size && int64_t(size->size()) == *rank + 2;
  Shape out = {theta[0]};
  if (known) PLANISH_RETURN_IF_ERROR(check_same_dim("input 1 (size): batch", (*size)[0], theta[0]));
  for (int64_t i = 0; i < *rank; ++i)
    out.push_back(known ? (*size)[size_t(i + 2)] : data_dim(ctx, "grid"));
  out.push_back(Dim(*rank));
  return set_sized_output(ctx, 0, ctx.dtype(0), std::move(out));
}

Status evaluate_affine_grid(EvalContext& ctx) {
  std::vector<int64_t> dims = ctx.output_dims(0);
  int64_t rank = dims.back(), places = product(dims, 1, int(dims.size()) - 1);
  bool corners = ctx.attr_int("align_corners") != 0;
  std::vector<double> theta = ctx.input(0).f64_values();
  std::vector<double> y(size_t(ir::element_count(dims)));
  for (int64_t n = 0; n < dims[0]; ++n)
    for (int64_t p = 0; p < places; ++p) {
      double at[4] = {};  // x, y, (z), 1
      int64_t rest = p;
      for (int64_t i = 0; i < rank; ++i) {
        int64_t size = dims[size_t(rank - i)], index = rest % size;
        rest /= size;
        at[i] = corners ? (size > 1 ? -1 + 2.0 * double(index) / double(size - 1) : 0)
                        : (2 * double(index) + 1) / double(size) - 1;
      }
      at[rank] = 1;
      for (int64_t i = 0; i < rank; ++i) {
        double sum = 0;
        for (int64_t j = 0; j <= rank; ++j)
          sum += theta[size_t((n * rank + i) * (rank + 1) + j)] * at[j];
        y[size_t((n * places + p) * rank + i)] = sum;
      }
    }
  ctx.output(0).assign_f64(y);
  return ok_status();
}

}  // namespace

void register_grid_sample(opdef::OpRegistry& registry) {
  using opdef::int_attr;
  using opdef::string_attr;
  opdef::OpDef def;
  def.name = "GridSample";
  def.doc = "X read at the places of the grid, whose coordinates run from -1 to 1 over the image.";
  constexpr opdef::TypeSet kTypes = opdef::kNumbers | opdef::kBools;
  def.inputs = {operand("X", kTypes, "N C spatial", "T1"),
                operand("grid", kFloats, "N out_spatial rank: x, y, (z)", "T2")};
  def.outputs = {operand("Y", kTypes, "N C out_spatial", "T1")};
  def.attrs = {int_attr("align_corners", 0, "1: -1 and 1 are the centres of the corner elements"),
               string_attr("mode", "linear", "'nearest', 'linear' or 'cubic'"),
               string_attr("padding_mode", "zeros", "'zeros', 'border' or 'reflection'")};
  def.infer = infer_grid_sample;
  def.evaluate = evaluate_grid_sample;
  def.onnx = {{"GridSample", "", 16, 19, import_grid_sample_16},
              {"GridSample", "", 20, 1 << 30, nullptr}};
  registry.add(std::move(def));

  def = {};
  def.name = "AffineGrid";
  def.doc = "The grid that GridSample needs to apply an affine map to an image of the given size.";
  def.inputs = {operand("theta", kFloats, "N 2 3 or N 3 4", "T1"),
                operand("size", opdef::kInt64, "N C spatial of the result", "T2")};
  def.outputs = {operand("grid", kFloats, "N spatial rank", "T1")};
  def.attrs = {int_attr("align_corners", 0, "as of GridSample")};
  def.host_inputs = 1u << 1;
  def.infer = infer_affine_grid;
  def.evaluate = evaluate_affine_grid;
  registry.add(std::move(def));
}

}  // namespace planish::ops
