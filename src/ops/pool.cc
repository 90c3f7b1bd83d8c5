// Pools over a sliding window: maximum (with positions), average and p-norm, and their global forms,
// whose window is the whole image.
#include <cmath>
#include <limits>

#include "base/text.h"
#include "ops/composer.h"
#include "ops/spatial.h"
#include "opdef/import.h"

namespace planish::ops {
namespace {

using opdef::AttrKind;
using opdef::EvalContext;
using opdef::ImportContext;
using opdef::int_attr;
using opdef::kFloats;
using opdef::NodeView;
using opdef::TypeSet;

Status check_flag(const InferContext& ctx, std::string_view key) {
  int64_t value = ctx.attr_int(key);
  return value == 0 || value == 1 ? ok_status() : bad_attr(key, cat(value), "0 or 1");
}

Status infer_pool(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 3, 2 + kMaxSpatialRank));
  const Shape& x = ctx.shape(0);
  PLANISH_ASSIGN_OR_RETURN(Window window, kernel::window_of(ctx.attrs(), ctx.rank(0) - 2));
  Shape out = {x[0], x[1]};
  PLANISH_RETURN_IF_ERROR(add_output_dims(window, Shape(x.begin() + 2, x.end()), out));
  ctx.set_output(0, ctx.dtype(0), out);
  return ok_status();
}

Status infer_max_pool(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_flag(ctx, "storage_order"));
  PLANISH_RETURN_IF_ERROR(infer_pool(ctx));
  ctx.set_output(1, DataType::kI64, ctx.outputs()[0].type.shape);
  return ok_status();
}

Status infer_average_pool(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_flag(ctx, "count_include_pad"));
  return infer_pool(ctx);
}

Status check_p(const InferContext& ctx) {
  int64_t p = ctx.attr_int("p");
  return p >= 1 ? ok_status() : bad_attr("p", cat(p), "at least 1");
}

Status infer_lp_pool(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_p(ctx));
  return infer_pool(ctx);
}

Status infer_global_pool(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 3));
  const Shape& x = ctx.shape(0);
  Shape out(x.size(), Dim(1));
  out[0] = x[0];
  out[1] = x[1];
  ctx.set_output(0, ctx.dtype(0), std::move(out));
  return ok_status();
}

Status infer_global_lp_pool(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_p(ctx));
  return infer_global_pool(ctx);
}

struct PoolShape {
  Window window;  // pads resolved
  Spatial3 spatial;
  int64_t images;  // N times C
};

Result<PoolShape> pool_shape(EvalContext& ctx) {
  const Tensor& x = ctx.input(0);
  std::vector<int64_t> dims = ctx.output_dims(0);
  std::span<const int64_t> in = std::span(x.dims()).subspan(2);
  PLANISH_ASSIGN_OR_RETURN(Window window, kernel::window_of(ctx.attrs(), x.rank() - 2));
  kernel::resolve_pads(window, in);
  Spatial3 s = spatial3(window, in, std::span(dims).subspan(2));
  return PoolShape{std::move(window), s, x.dim(0) * x.dim(1)};
}

// Calls start(o), then visit(i) for every input element of the window, then finish(o), for every
// output element o of one image.
template <class Start, class Visit, class Finish>
void for_each_window(const Spatial3& s, Start start, Visit visit, Finish finish) {
  for (int64_t o = 0; o < s.out_count(); ++o) {
    int64_t ow = o % s.out[2], oh = o / s.out[2] % s.out[1], od = o / s.out[2] / s.out[1];
    start(o);
    Spatial3::Range rd = s.inside(0, od), rh = s.inside(1, oh), rw = s.inside(2, ow);
    for (int64_t kd = rd.first; kd < rd.last; ++kd)
      for (int64_t kh = rh.first; kh < rh.last; ++kh) {
        int64_t row = (s.input_at(0, od, kd) * s.in[1] + s.input_at(1, oh, kh)) * s.in[2];
        for (int64_t kw = rw.first; kw < rw.last; ++kw) visit(row + s.input_at(2, ow, kw));
      }
    finish(o);
  }
}

// The position of flat index i, counted with the first spatial dim fastest.
int64_t column_major(const Spatial3& s, int64_t i) {
  int64_t w = i % s.in[2], h = i / s.in[2] % s.in[1], d = i / s.in[2] / s.in[1];
  return d + s.in[0] * (h + s.in[1] * w);
}

Status evaluate_max_pool(EvalContext& ctx) {
  PLANISH_ASSIGN_OR_RETURN(PoolShape shape, pool_shape(ctx));
  const Spatial3& s = shape.spatial;
  bool by_column = ctx.attr_int("storage_order") == 1;
  DataType dtype = ctx.output_dtype(0);
  double lowest = ir::is_float(dtype)           ? -std::numeric_limits<double>::infinity()
                  : ir::is_unsigned_int(dtype) ? 0.0
                                                : -128.0;
  std::vector<double> x = ctx.input(0).f64_values();
  std::vector<double> y(size_t(shape.images * s.out_count()));
  std::vector<int64_t> indices(ctx.output_count() > 1 ? y.size() : 0);
  for (int64_t image = 0; image < shape.images; ++image) {
    const double* from = x.data() + image * s.in_count();
    double best = 0;
    int64_t where = -1;
    for_each_window(
        s,
        [&](int64_t) {
          best = lowest;
          where = -1;
        },
        [&](int64_t i) {
          if (!(from[i] <= best) || where < 0) {
            if (std::isnan(best) && where >= 0) return;
            best = from[i];
            where = i;
          }
        },
        [&](int64_t o) {
          size_t at = size_t(image * s.out_count() + o);
          y[at] = best;
          if (indices.empty()) return;
          int64_t position = where < 0 ? 0 : by_column ? column_major(s, where) : where;
          indices[at] = image * s.in_count() + position;
        });
  }
  ctx.output(0).assign_f64(y);
  if (!indices.empty()) ctx.output(1).assign_i64(indices);
  return ok_status();
}

// Elements of the window at output o that lie in the input or its declared padding.
int64_t padded_count(const PoolShape& shape, int64_t o) {
  const Spatial3& s = shape.spatial;
  int64_t at[3] = {o / s.out[2] / s.out[1], o / s.out[2] % s.out[1], o % s.out[2]};
  int64_t count = 1;
  for (int d = 0; d < 3; ++d) {
    size_t i = size_t(d);
    int axis = d - (3 - shape.window.rank());
    int64_t behind = axis < 0 ? 0 : shape.window.pads_end[size_t(axis)];
    int64_t room = s.in[i] + behind - s.input_at(d, at[d], 0);
    count *= std::min(s.kernel[i], (room + s.dilation[i] - 1) / s.dilation[i]);
  }
  return count;
}

Status evaluate_average_pool(EvalContext& ctx) {
  PLANISH_ASSIGN_OR_RETURN(PoolShape shape, pool_shape(ctx));
  const Spatial3& s = shape.spatial;
  bool with_padding = ctx.attr_int("count_include_pad") == 1;
  std::vector<double> x = ctx.input(0).f64_values();
  std::vector<double> y(size_t(shape.images * s.out_count()));
  for (int64_t image = 0; image < shape.images; ++image) {
    const double* from = x.data() + image * s.in_count();
    double sum = 0;
    int64_t count = 0;
    for_each_window(
        s, [&](int64_t) { sum = 0, count = 0; },
        [&](int64_t i) { sum += from[i], ++count; },
        [&](int64_t o) {
          int64_t divisor = with_padding ? padded_count(shape, o) : count;
          y[size_t(image * s.out_count() + o)] = divisor > 0 ? sum / double(divisor) : 0.0;
        });
  }
  ctx.output(0).assign_f64(y);
  return ok_status();
}

Status evaluate_lp_pool(EvalContext& ctx) {
  PLANISH_ASSIGN_OR_RETURN(PoolShape shape, pool_shape(ctx));
  const Spatial3& s = shape.spatial;
  double p = double(ctx.attr_int("p"));
  std::vector<double> x = ctx.input(0).f64_values();
  std::vector<double> y(size_t(shape.images * s.out_count()));
  for (int64_t image = 0; image < shape.images; ++image) {
    const double* from = x.data() + image * s.in_count();
    double sum = 0;
    for_each_window(
        s, [&](int64_t) { sum = 0; },
        [&](int64_t i) { sum += std::pow(std::fabs(from[i]), p); },
        [&](int64_t o) { y[size_t(image * s.out_count() + o)] = std::pow(sum, 1 / p); });
  }
  ctx.output(0).assign_f64(y);
  return ok_status();
}

// One result per image: combine(sum, x) over its elements from `first`, then close(sum, count).
template <class Combine, class Close>
Status evaluate_global(EvalContext& ctx, double first, Combine combine, Close close) {
  const Tensor& x = ctx.input(0);
  int64_t images = x.dim(0) * x.dim(1), size = product(x.dims(), 2, x.rank());
  std::vector<double> values = x.f64_values(), y;
  y.reserve(size_t(images));
  for (int64_t image = 0; image < images; ++image) {
    double sum = first;
    for (int64_t i = 0; i < size; ++i) sum = combine(sum, values[size_t(image * size + i)]);
    y.push_back(close(sum, double(size)));
  }
  ctx.output(0).assign_f64(y);
  return ok_status();
}

Status evaluate_global_average(EvalContext& ctx) {
  return evaluate_global(
      ctx, 0, [](double sum, double x) { return sum + x; },
      [](double sum, double count) { return sum / count; });
}

Status evaluate_global_max(EvalContext& ctx) {
  return evaluate_global(
      ctx, -std::numeric_limits<double>::infinity(),
      [](double best, double x) { return std::isnan(best) || x <= best ? best : x; },
      [](double best, double) { return best; });
}

Status evaluate_global_lp(EvalContext& ctx) {
  double p = double(ctx.attr_int("p"));
  return evaluate_global(
      ctx, 0, [p](double sum, double x) { return sum + std::pow(std::fabs(x), p); },
      [p](double sum, double) { return std::pow(sum, 1 / p); });
}

int64_t window_volume(const ir::Node& node) {
  auto found = node.attrs.find("kernel_shape");
  if (found == node.attrs.end()) return 1;
  Window window;
  window.kernel = std::get<std::vector<int64_t>>(found->second);
  return std::max<int64_t>(window.volume(), 1);
}

int64_t image_size(const ir::Node& node) {
  const Shape& x = node.inputs[0]->type.shape;
  return std::max<int64_t>(product(x, 2, int(x.size())).constant().value_or(1), 1);
}

// Every attribute written out, SAME as pads where the spatial dims are known.
Status import_pool(const NodeView& node, ImportContext& ctx) {
  ir::Attributes attrs;
  for (const std::string& key : node.attr_names()) attrs[key] = *node.attr(key);
  if (!node.has_input(0)) return invalid_argument("input 0 (X) is missing");
  const Shape& x = node.input(0)->type.shape;
  if (x.size() >= 3) {
    Shape spatial(x.begin() + 2, x.end());
    PLANISH_ASSIGN_OR_RETURN(Window window, kernel::window_of(attrs, int(spatial.size())));
    bool known = ir::is_constant(spatial);
    if (window.auto_pad == kernel::AutoPad::kValid || (window.is_same() && known)) {
      kernel::resolve_pads(window, known ? ir::to_dims(spatial) : std::vector<int64_t>());
      if (attrs.count("ceil_mode")) attrs["ceil_mode"] = int64_t(0);
    }
    attrs["strides"] = window.strides;
    attrs["dilations"] = window.dilations;
    if (!window.is_same()) {
      attrs["pads"] = kernel::pads_attr(window);
      attrs["auto_pad"] = std::string("NOTSET");
    }
  }
  int wanted = node.output_count() > 1 && node.output_used(1) ? 2 : 1;
  PLANISH_ASSIGN_OR_RETURN(auto outputs,
                           ctx.add(node.op_type(), {node.input(0)}, std::move(attrs), wanted));
  for (int i = 0; i < wanted; ++i) ctx.set_output(i, outputs[size_t(i)]);
  return ok_status();
}

opdef::OpDef pool_def(std::string name, std::string doc, TypeSet types) {
  opdef::OpDef def;
  def.name = std::move(name);
  def.doc = std::move(doc);
  def.inputs = {operand("X", types, "N C spatial")};
  def.outputs = {operand("Y", types, "N C spatial")};
  def.kind = opdef::FusionKind::kReduction;
  return def;
}

opdef::OpDef window_pool_def(std::string name, std::string doc, TypeSet types) {
  opdef::OpDef def = pool_def(name, std::move(doc), types);
  def.attrs = window_attrs();
  def.attrs.push_back(int_attr("ceil_mode", 0, "1: a last window may hang over the end"));
  def.accumulation = window_volume;
  def.onnx = {{std::move(name), "", 1, 1 << 30, import_pool}};
  return def;
}

// ksize, strides and padding per dim of the data format.
Status import_tensorflow_pool(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  const std::string type(node.op_type());
  const bool is_3d = type.find("3D") != std::string::npos;
  const bool last = c.channels_last(is_3d ? "NDHWC" : "NHWC");
  ir::Value* x = c.in(0);
  if (!c.has_rank(x, is_3d ? 5 : 4, is_3d ? 5 : 4, "input 0")) return c.finish({});
  const bool as_inputs = type == "MaxPoolV2";
  const std::vector<int64_t> ksize = as_inputs ? c.need(1, "ksize") : c.attr_ints("ksize", {});
  const std::vector<int64_t> strides = as_inputs ? c.need(2, "strides") : c.attr_ints("strides", {});
  const std::string padding = c.attr_string("padding", "VALID");
  if (padding == "EXPLICIT") return unsupported("padding EXPLICIT");
  if (last) x = c.to_channels_first(x);
  ir::Attributes attrs;
  attrs["kernel_shape"] = c.spatial(ksize, last, "ksize");
  attrs["strides"] = c.spatial(strides, last, "strides");
  attrs["auto_pad"] = std::string(padding == "SAME" ? "SAME_UPPER" : "VALID");
  if (!c.ok()) return c.finish({});
  const Shape spatial(x->type.shape.begin() + 2, x->type.shape.end());
  PLANISH_ASSIGN_OR_RETURN(Window window, kernel::window_of(attrs, int(spatial.size())));
  const bool known = ir::is_constant(spatial);
  if (window.auto_pad == kernel::AutoPad::kValid || known) {
    kernel::resolve_pads(window, known ? ir::to_dims(spatial) : std::vector<int64_t>());
    attrs["pads"] = kernel::pads_attr(window);
    attrs["auto_pad"] = std::string("NOTSET");
  }
  const bool is_max = type.substr(0, 3) == "Max";
  if (type != "MaxPoolWithArgmax") {
    ir::Value* y = c.op(is_max ? "MaxPool" : "AveragePool", {x}, attrs);
    return c.finish({last ? c.to_channels_last(y) : y});
  }
  const auto found = c.ops("MaxPool", {x}, attrs, 2);
  // From positions in N C (H W) to positions in H W C, of each image or of the batch.
  const int64_t channels = c.need_dim(x, 1, "input 0");
  const int64_t area = c.need_dim(x, 2, "input 0") * c.need_dim(x, 3, "input 0");
  const auto number = [&](int64_t value) { return c.constant(Tensor::scalar_i64(value)); };
  ir::Value* at = found[1];
  ir::Value* place = c.op("Mod", {at, number(area)});
  ir::Value* channel = c.op("Mod", {c.div(at, number(area)), number(channels)});
  ir::Value* index = c.add(c.mul(place, number(channels)), channel);
  if (c.attr_int("include_batch_in_index", 0)) {
    ir::Value* image = c.div(at, number(area * channels));
    index = c.add(index, c.mul(image, number(area * channels)));
  }
  index = c.cast(c.to_channels_last(index), c.attr_type("Targmax", DataType::kI64));
  return c.finish({c.to_channels_last(found[0]), index});
}

}  // namespace

void register_pool(opdef::OpRegistry& registry) {
  opdef::OpDef def = window_pool_def("AveragePool", "mean of every window", kFloats);
  def.attrs.push_back(int_attr("count_include_pad", 0, "1: padding counts as zeros"));
  def.infer = infer_average_pool;
  def.evaluate = evaluate_average_pool;
  def.tensorflow = {tensorflow("AvgPool", import_tensorflow_pool),
                    tensorflow("AvgPool3D", import_tensorflow_pool)};
  registry.add(std::move(def));

  def = window_pool_def("LpPool", "p-norm of every window", kFloats);
  def.attrs.push_back(int_attr("p", 2, "the norm's exponent"));
  def.infer = infer_lp_pool;
  def.evaluate = evaluate_lp_pool;
  registry.add(std::move(def));

  def = window_pool_def("MaxPool", "maximum of every window, and where it was found",
                        kFloats | TypeSet{DataType::kI8, DataType::kU8});
  def.attrs.push_back(int_attr("storage_order", 0, "of Indices; 1: the first spatial dim fastest"));
  def.outputs.push_back(optional_operand("Indices", opdef::kInt64,
                                         "flat position of the maximum in X", "I"));
  def.infer = infer_max_pool;
  def.evaluate = evaluate_max_pool;
  for (const char* tf : {"MaxPool", "MaxPool3D", "MaxPoolV2", "MaxPoolWithArgmax"})
    def.tensorflow.push_back(tensorflow(tf, import_tensorflow_pool));
  def.accumulation = nullptr;
  registry.add(std::move(def));

  def = pool_def("GlobalAveragePool", "mean of every image", kFloats);
  def.infer = infer_global_pool;
  def.evaluate = evaluate_global_average;
  def.accumulation = image_size;
  registry.add(std::move(def));

  def = pool_def("GlobalLpPool", "p-norm of every image", kFloats);
  def.attrs = {int_attr("p", 2, "the norm's exponent")};
  def.infer = infer_global_lp_pool;
  def.evaluate = evaluate_global_lp;
  def.accumulation = image_size;
  registry.add(std::move(def));

  def = pool_def("GlobalMaxPool", "maximum of every image", kFloats);
  def.infer = infer_global_pool;
  def.evaluate = evaluate_global_max;
  registry.add(std::move(def));
}

}  // namespace planish::ops
