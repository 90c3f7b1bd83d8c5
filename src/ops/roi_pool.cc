// Pools over regions of interest: RoiAlign samples each region at fractional places, MaxRoiPool
// takes the maximum over its cells.
#include <cmath>
#include <limits>

#include "base/text.h"
#include "ops/composer.h"
#include "ops/dims.h"
#include "opdef/import.h"

namespace planish::ops {
namespace {

using opdef::AttrKind;
using opdef::EvalContext;
using opdef::kFloats;

// A region longer than this in samples per output cell is a mistake.
constexpr int64_t kMaxSamples = 1 << 12;

Status infer_roi_align(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 4, 4));
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 1, 2, 2));
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 2, 1, 1));
  PLANISH_RETURN_IF_ERROR(check_same_dim("input 1 (rois): dim 1", ctx.shape(1)[1], 4));
  PLANISH_RETURN_IF_ERROR(
      check_same_dim("input 2 (batch_indices): length", ctx.shape(2)[0], ctx.shape(1)[0]));
  const std::string& mode = ctx.attr_string("mode");
  if (mode != "avg" && mode != "max")
    return bad_attr("mode", cat("'", mode, "'"), "'avg' or 'max'");
  const std::string& transform = ctx.attr_string("coordinate_transformation_mode");
  if (transform != "half_pixel" && transform != "output_half_pixel")
    return bad_attr("coordinate_transformation_mode", cat("'", transform, "'"),
                    "'half_pixel' or 'output_half_pixel'");
  for (const char* key : {"output_height", "output_width"})
    if (int64_t v = ctx.attr_int(key); v < 1) return bad_attr(key, cat(v), "at least 1");
  int64_t ratio = ctx.attr_int("sampling_ratio");
  if (ratio < 0 || ratio > kMaxSamples)
    return bad_attr("sampling_ratio", cat(ratio), cat("0 to ", kMaxSamples));
  return set_sized_output(ctx, 0, ctx.dtype(0),
                          {ctx.shape(1)[0], ctx.shape(0)[1], Dim(ctx.attr_int("output_height")),
                           Dim(ctx.attr_int("output_width"))});
}

// A sample: four elements and their weights. Places outside by more than one element weigh nothing.
struct Sample {
  int64_t at[4] = {};
  double weight[4] = {};
};

Sample sample_at(double y, double x, int64_t height, int64_t width) {
  Sample s;
  if (!(y >= -1 && y <= double(height) && x >= -1 && x <= double(width))) return s;
  auto split = [](double v, int64_t size, int64_t& low, int64_t& high) {
    v = std::max(v, 0.0);
    low = std::min(int64_t(v), size - 1);
    high = std::min(low + 1, size - 1);
    return low == size - 1 ? 0.0 : v - double(low);
  };
  int64_t y0, y1, x0, x1;
  double fy = split(y, height, y0, y1), fx = split(x, width, x0, x1);
  int64_t at[4] = {y0 * width + x0, y0 * width + x1, y1 * width + x0, y1 * width + x1};
  double weight[4] = {(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx};
  for (int i = 0; i < 4; ++i) s.at[i] = at[i], s.weight[i] = weight[i];
  return s;
}

struct Region {
  double start_y, start_x, cell_h, cell_w;
  int64_t samples_y, samples_x;
};

Result<Region> region_of(EvalContext& ctx, const double* roi, int64_t out_h, int64_t out_w) {
  bool half_pixel = ctx.attr_string("coordinate_transformation_mode") == "half_pixel";
  double scale = ctx.attr_float("spatial_scale"), offset = half_pixel ? 0.5 : 0;
  Region r;
  r.start_x = roi[0] * scale - offset;
  r.start_y = roi[1] * scale - offset;
  double width = roi[2] * scale - offset - r.start_x;
  double height = roi[3] * scale - offset - r.start_y;
  if (!half_pixel) width = std::max(width, 1.0), height = std::max(height, 1.0);
  r.cell_h = height / double(out_h);
  r.cell_w = width / double(out_w);
  int64_t ratio = ctx.attr_int("sampling_ratio");
  double samples_y = ratio > 0 ? double(ratio) : std::ceil(r.cell_h);
  double samples_x = ratio > 0 ? double(ratio) : std::ceil(r.cell_w);
  if (!(samples_y <= double(kMaxSamples) && samples_x <= double(kMaxSamples)))
    return invalid_argument(cat("input 1 (rois): got a region of ", height, " x ", width,
                                " elements, expected at most ", kMaxSamples, " per output cell"));
  r.samples_y = int64_t(std::max(samples_y, 0.0));
  r.samples_x = int64_t(std::max(samples_x, 0.0));
  return r;
}

// One cell of one channel. "max" is over the weighted corners, as ONNX defines it.
double pooled(const std::vector<Sample>& samples, const double* image, bool mean) {
  double result = 0;
  bool first = true;
  for (const Sample& s : samples) {
    double sum = 0, top = s.weight[0] * image[s.at[0]];
    for (int i = 0; i < 4; ++i) {
      double term = s.weight[i] * image[s.at[i]];
      sum += term;
      top = std::max(top, term);
    }
    result = mean ? result + sum : first ? top : std::max(result, top);
    first = false;
  }
  return mean && !samples.empty() ? result / double(samples.size()) : result;
}

Status evaluate_roi_align(EvalContext& ctx) {
  const Tensor& x = ctx.input(0);
  std::vector<int64_t> dims = ctx.output_dims(0), batch = ctx.input(2).i64_values();
  std::vector<double> values = x.f64_values(), rois = ctx.input(1).f64_values();
  int64_t channels = x.dim(1), height = x.dim(2), width = x.dim(3);
  bool mean = ctx.attr_string("mode") == "avg";
  std::vector<double> y(size_t(ir::element_count(dims)));
  if (y.empty()) return ok_status();
  if (height == 0 || width == 0)
    return invalid_argument("input 0 (X): got an empty image, expected elements");
  std::vector<Sample> samples;
  for (int64_t n = 0; n < dims[0]; ++n) {
    int64_t image = batch[size_t(n)];
    if (image < 0 || image >= x.dim(0))
      return invalid_argument(cat("input 2 (batch_indices): got ", image, ", expected 0 to ",
                                  x.dim(0) - 1));
    PLANISH_ASSIGN_OR_RETURN(Region r, region_of(ctx, &rois[size_t(4 * n)], dims[2], dims[3]));
    for (int64_t oh = 0; oh < dims[2]; ++oh)
      for (int64_t ow = 0; ow < dims[3]; ++ow) {
        samples.clear();
        for (int64_t i = 0; i < r.samples_y; ++i)
          for (int64_t j = 0; j < r.samples_x; ++j) {
            double py = r.start_y + r.cell_h * (double(oh) + (double(i) + 0.5) / double(r.samples_y));
            double px = r.start_x + r.cell_w * (double(ow) + (double(j) + 0.5) / double(r.samples_x));
            samples.push_back(sample_at(py, px, height, width));
          }
        for (int64_t c = 0; c < channels; ++c)
          y[size_t(((n * channels + c) * dims[2] + oh) * dims[3] + ow)] =
              pooled(samples, values.data() + (image * channels + c) * height * width, mean);
      }
  }
  ctx.output(0).assign_f64(y);
  return ok_status();
}

Status infer_max_roi_pool(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 4, 4));
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 1, 2, 2));
  PLANISH_RETURN_IF_ERROR(check_same_dim("input 1 (rois): dim 1", ctx.shape(1)[1], 5));
  const std::vector<int64_t>& pooled_shape = ctx.attr_ints("pooled_shape");
  if (pooled_shape.size() != 2 || pooled_shape[0] < 1 || pooled_shape[1] < 1)
    return bad_attr("pooled_shape", bracketed(pooled_shape), "two values of at least 1");
  return set_sized_output(ctx, 0, ctx.dtype(0), {ctx.shape(1)[0], ctx.shape(0)[1],
                                                 Dim(pooled_shape[0]), Dim(pooled_shape[1])});
}

// Cells [first, last) of one output position along one axis.
struct Cells {
  int64_t first, last;
};
Cells cells_of(double start, double end, int64_t out, int64_t o, int64_t size) {
  double cell = std::max(end - start + 1, 1.0) / double(out), limit = double(size);
  double first = start + std::floor(double(o) * cell), last = start + std::ceil(double(o + 1) * cell);
  return {int64_t(std::min(std::max(first, 0.0), limit)),
          int64_t(std::min(std::max(last, 0.0), limit))};
}

Status evaluate_max_roi_pool(EvalContext& ctx) {
  const Tensor& x = ctx.input(0);
  std::vector<int64_t> dims = ctx.output_dims(0);
  std::vector<double> values = x.f64_values(), rois = ctx.input(1).f64_values();
  double scale = ctx.attr_float("spatial_scale");
  int64_t channels = x.dim(1), height = x.dim(2), width = x.dim(3);
  std::vector<double> y(size_t(ir::element_count(dims)), 0.0);
  for (int64_t n = 0; n < dims[0]; ++n) {
    double box[5];
    for (int i = 0; i < 5; ++i) {
      box[i] = rois[size_t(5 * n + i)];
      if (i > 0) box[i] = std::round(box[i] * scale);
      if (!std::isfinite(box[i])) return invalid_argument("input 1 (rois): got a value that is not finite");
    }
    if (!(box[0] >= 0 && box[0] < double(x.dim(0))))
      return invalid_argument(cat("input 1 (rois): got batch ", box[0], ", expected 0 to ",
                                  x.dim(0) - 1));
    for (int64_t c = 0; c < channels; ++c) {
      const double* image = values.data() + (int64_t(box[0]) * channels + c) * height * width;
      for (int64_t oh = 0; oh < dims[2]; ++oh)
        for (int64_t ow = 0; ow < dims[3]; ++ow) {
          Cells rows = cells_of(box[2], box[4], dims[2], oh, height);
          Cells columns = cells_of(box[1], box[3], dims[3], ow, width);
          bool empty = rows.first >= rows.last || columns.first >= columns.last;
          double top = empty ? 0 : -std::numeric_limits<double>::infinity();
          for (int64_t i = rows.first; i < rows.last; ++i)
            for (int64_t j = columns.first; j < columns.last; ++j)
              top = std::max(top, image[i * width + j]);
          y[size_t(((n * channels + c) * dims[2] + oh) * dims[3] + ow)] = top;
        }
    }
  }
  ctx.output(0).assign_f64(y);
  return ok_status();
}

// Opset 10 knows no shift by half an element.
Status import_roi_align_10(const opdef::NodeView& node, opdef::ImportContext& ctx) {
  ir::Attributes attrs;
  for (const std::string& key : node.attr_names()) attrs[key] = *node.attr(key);
  attrs["coordinate_transformation_mode"] = std::string("output_half_pixel");
  std::vector<ir::Value*> inputs;
  for (int i = 0; i < node.input_count(); ++i) inputs.push_back(node.input(i));
  PLANISH_ASSIGN_OR_RETURN(ir::Value * y, ctx.add1("RoiAlign", inputs, std::move(attrs)));
  ctx.set_output(0, y);
  return ok_status();
}

// Boxes of images, y1 x1 y2 x2 as parts of the image's extent less one, sampled at evenly spaced places
// from corner to corner. Places outside of the image have the value extrapolation_value.
Status import_crop_and_resize(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value *images = c.cast(c.in(0), DataType::kF32), *boxes = c.in(1), *image = c.i64(c.in(2));
  const std::vector<int64_t> size = c.need(3, "crop_size");
  const std::string method = c.attr_string("method", "bilinear");
  if (!c.has_rank(images, 4, 4, "input 0 (image)") || !c.has_rank(boxes, 2, 2, "input 1 (boxes)"))
    return c.finish({});
  if (size.size() != 2 || size[0] < 1 || size[1] < 1)
    return invalid_argument("input 3 (crop_size): expected two sizes of at least 1");
  const auto pair = [&](double y, double x) {
    return c.constant(Tensor::from_f64(DataType::kF32, {2}, std::vector<double>{y, x}));
  };
  const double rows = double(size[0]), columns = double(size[1]);
  ir::Value* extent = c.cast(c.op("Shape", {images}, {{"start", int64_t(1)}, {"end", int64_t(3)}}),
                             DataType::kF32);
  ir::Value* last = c.sub(extent, c.scalar(1, DataType::kF32));
  ir::Value *low = c.slice(boxes, 1, 0, 2), *high = c.slice(boxes, 1, 2, 4);
  ir::Value* step = c.div(c.mul(c.sub(high, low), last),
                          pair(std::max(rows - 1, 1.0), std::max(columns - 1, 1.0)));
  // A crop of one place has it in the middle of the box.
  ir::Value* middle = c.mul(c.mul(c.add(low, high), c.scalar(0.5, DataType::kF32)), last);
  ir::Value* first = c.where(c.constant(Tensor::from_i64(DataType::kBool, {2}, std::vector<int64_t>{
                                 size[0] == 1, size[1] == 1})), middle, c.mul(low, last));
  // Places and whether they are inside, [boxes, size] along an axis.
  const auto places = [&](int64_t axis) {
    std::vector<double> steps;
    for (int64_t i = 0; i < size[size_t(axis)]; ++i) steps.push_back(double(i));
    ir::Value* count = c.constant(Tensor::from_f64(DataType::kF32, {1, int64_t(steps.size())}, steps));
    return c.add(c.slice(first, 1, axis, axis + 1), c.mul(c.slice(step, 1, axis, axis + 1), count));
  };
  ir::Value *at_y = places(0), *at_x = places(1);
  const auto inside = [&](ir::Value* at, int64_t axis) {
    ir::Value* above = c.op("GreaterOrEqual", {at, c.scalar(0, DataType::kF32)});
    return c.op("And", {above, c.op("LessOrEqual", {at, c.slice(last, 0, axis, axis + 1)})});
  };
  ir::Value* is_inside = c.op("And", {c.unsqueeze(inside(at_y, 0), {2, 3}), c.unsqueeze(inside(at_x, 1), {1, 3})});
  ir::Value* y = nullptr;
  if (method == "nearest") {
    const auto index = [&](ir::Value* at, int64_t axis) {
      ir::Value* nearest = c.op("Floor", {c.add(at, c.scalar(0.5, DataType::kF32))});
      nearest = c.op("Min", {nearest, c.slice(last, 0, axis, axis + 1)});
      return c.i64(c.op("Max", {nearest, c.scalar(0, DataType::kF32)}));
    };
    ir::Value* dims = c.concat({c.op("Shape", {image}), c.ints({size[0], size[1], 1})}, 0);
    const auto spread = [&](ir::Value* part) { return c.op("Expand", {part, dims}); };
    y = c.op("GatherND", {images, c.concat({spread(c.unsqueeze(image, {1, 2, 3})),
                                            spread(c.unsqueeze(index(at_y, 0), {2, 3})),
                                            spread(c.unsqueeze(index(at_x, 1), {1, 3}))}, -1)});
  } else if (method == "bilinear") {
    // RoiAlign takes one sample in the middle of each cell, half an element off.
    ir::Value* margin = c.mul(step, c.scalar(0.5, DataType::kF32));
    ir::Value* start = c.add(c.sub(first, margin), c.scalar(0.5, DataType::kF32));
    ir::Value* end = c.add(start, c.mul(step, pair(rows, columns)));
    ir::Value* rois = c.concat({c.slice(start, 1, 1, 2), c.slice(start, 1, 0, 1),
                                c.slice(end, 1, 1, 2), c.slice(end, 1, 0, 1)}, 1);
    y = c.to_channels_last(c.op("RoiAlign", {c.to_channels_first(images), rois, image},
                                {{"output_height", size[0]}, {"output_width", size[1]},
                                 {"sampling_ratio", int64_t(1)}}));
  } else {
    return unsupported(cat("attribute 'method' is '", method, "'"));
  }
  return c.finish({c.where(is_inside, y, c.scalar(c.attr_float("extrapolation_value", 0), DataType::kF32))});
}

}  // namespace

void register_roi_pool(opdef::OpRegistry& registry) {
  using opdef::int_attr;
  using opdef::string_attr;
  opdef::OpDef def;
  def.name = "RoiAlign";
  def.doc = "Pools regions of an image, sampled by linear interpolation.";
  def.inputs = {operand("X", kFloats, "N C H W", "T1"),
                operand("rois", kFloats, "regions 4: x1 y1 x2 y2", "T1"),
                operand("batch_indices", opdef::kInt64, "image of every region", "T2")};
  def.outputs = {operand("Y", kFloats, "regions C output_height output_width", "T1")};
  def.attrs = {string_attr("coordinate_transformation_mode", "half_pixel",
                           "'half_pixel', or 'output_half_pixel' for no shift"),
               string_attr("mode", "avg", "'avg' or 'max'"),
               int_attr("output_height", 1, "rows per region"),
               int_attr("output_width", 1, "columns per region"),
               int_attr("sampling_ratio", 0, "samples per cell and axis; 0: as many as elements"),
               opdef::float_attr("spatial_scale", 1, "from region coordinates to elements")};
  def.infer = infer_roi_align;
  def.evaluate = evaluate_roi_align;
  def.onnx = {{"RoiAlign", "", 10, 15, import_roi_align_10},
              {"RoiAlign", "", 16, 1 << 30, nullptr}};
  def.tensorflow = {tensorflow("CropAndResize", import_crop_and_resize)};
  registry.add(std::move(def));

  def = {};
  def.name = "MaxRoiPool";
  def.doc = "Maximum over the cells of regions of an image.";
  def.inputs = {operand("X", kFloats, "N C H W"), operand("rois", kFloats, "regions 5: n x1 y1 x2 y2")};
  def.outputs = {operand("Y", kFloats, "regions C pooled_shape")};
  def.attrs = {opdef::required_attr("pooled_shape", AttrKind::kInts, "rows and columns per region"),
               opdef::float_attr("spatial_scale", 1, "from region coordinates to elements")};
  def.infer = infer_max_roi_pool;
  def.evaluate = evaluate_max_roi_pool;
  registry.add(std::move(def));
}

}  // namespace planish::ops
