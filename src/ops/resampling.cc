#include "ops/resampling.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "ops/composer.h"

namespace planish::ops {
namespace {

// A filter by its distance from the center in pixels, zero beyond its radius.
struct Kernel {
  const char* name;
  double radius;
  double (*weight)(double x, double radius);
};

double lanczos(double x, double radius) {
  constexpr double kPi = 3.14159265358979323846;
  if (x > radius) return 0;
  if (x <= 1e-3) return 1;
  return radius * std::sin(kPi * x) * std::sin(kPi * x / radius) / (kPi * kPi * x * x);
}
double gaussian(double x, double radius) {
  const double sigma = radius / 3;
  return x >= radius ? 0 : std::exp(-x * x / (2 * sigma * sigma));
}
double box(double x, double) { return x < 0.5 ? 1 : x == 0.5 ? 0.5 : 0; }
double triangle(double x, double) { return x < 1 ? 1 - x : 0; }
double keys_cubic(double x, double) {
  if (x >= 2) return 0;
  return x >= 1 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : (1.5 * x - 2.5) * x * x + 1;
}
double mitchell_cubic(double x, double) {
  if (x >= 2) return 0;
  return x >= 1 ? ((-7.0 / 18 * x + 2) * x - 10.0 / 3) * x + 16.0 / 9
                : (7.0 / 6 * x - 2) * x * x + 8.0 / 9;
}

constexpr Kernel kKernels[] = {
    {"lanczos1", 1, lanczos},         {"lanczos3", 3, lanczos},
    {"lanczos5", 5, lanczos},         {"gaussian", 1.5, gaussian},
    {"box", 1, box},                  {"triangle", 1, triangle},
    {"keyscubic", 2, keys_cubic},     {"mitchellcubic", 2, mitchell_cubic},
};

// [output, input]: what each pixel of a line counts in each pixel of the resized line. The float
// arithmetic of positions is TensorFlow's (scale_and_translate_op.cc).
std::vector<double> weights(const Kernel& kernel, int64_t input, int64_t output, float scale,
                            float translation, bool antialias) {
  std::vector<double> out(size_t(input * output), 0);
  const float inverse = 1.0f / scale, shift = -inverse * translation;
  const float width = antialias ? std::max(inverse, 1.0f) : 1.0f;
  const float reach = float(kernel.radius) * width;
  for (int64_t row = 0; row < output; ++row) {
    const float center = (float(row) + 0.5f) * inverse + shift;
    if (center < 0 || center > float(input)) continue;
    const int64_t first = std::clamp<int64_t>(int64_t(std::ceil(center - reach - 0.5f)), 0, input - 1);
    const int64_t last = std::clamp<int64_t>(int64_t(std::floor(center + reach - 0.5f)), 0, input - 1);
    double sum = 0;
    double* line = &out[size_t(row * input)];
    for (int64_t i = first; i <= last; ++i) {
      line[i] = kernel.weight(std::fabs(double(float(i) + 0.5f - center)) / double(width), kernel.radius);
      sum += line[i];
    }
    if (std::fabs(sum) < 1e-35) continue;
    for (int64_t i = first; i <= last; ++i) line[i] /= sum;
  }
  return out;
}

// What a line's pixel covers, in parts of the resized pixel (ResizeArea).
std::vector<double> areas(int64_t input, int64_t output, bool align_corners) {
  std::vector<double> out(size_t(input * output), 0);
  const bool is_aligned = align_corners && output > 1;
  const float scale = is_aligned ? float(input - 1) / float(output - 1) : float(input) / float(output);
  for (int64_t row = 0; row < output; ++row) {
    const float begin = float(row) * scale, end = float(row + 1) * scale;
    for (int64_t i = int64_t(std::floor(begin)); float(i) < end; ++i) {
      const double part = std::min(double(end), double(i) + 1) - std::max(double(begin), double(i));
      out[size_t(row * input + std::clamp<int64_t>(i, 0, input - 1))] += part / double(scale);
    }
  }
  return out;
}

// x of [N, H, W, C] times a matrix over rows and one over columns.
ir::Value* resampled(Composer& c, ir::Value* x, const std::vector<int64_t>& from,
                     const std::vector<int64_t>& to, const std::vector<double>& rows,
                     const std::vector<double>& columns) {
  const auto matrix = [&](const std::vector<double>& values, size_t i) {
    return c.constant(Tensor::from_f64(DataType::kF32, {to[i], from[i]}, values));
  };
  x = c.transpose(c.cast(x, DataType::kF32), {0, 3, 1, 2});
  x = c.op("MatMul", {matrix(rows, 0), x});
  x = c.op("MatMul", {x, c.transpose(matrix(columns, 1), {1, 0})});
  return c.transpose(x, {0, 2, 3, 1});
}

Status import_resampling(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value* x = c.in(0);
  if (!c.has_rank(x, 4, 4, "input 0")) return c.finish({});
  const std::vector<int64_t> from = {c.need_dim(x, 1, "the height"), c.need_dim(x, 2, "the width")};
  const std::vector<int64_t> to = c.need(1, "size");
  if (c.ok() && (to.size() != 2 || to[0] < 1 || to[1] < 1 || from[0] < 1 || from[1] < 1))
    c.fail(invalid_argument(cat("resizes to ", bracketed(to))));
  if (node.op_type() == "ResizeArea") {
    const bool align = c.attr_int("align_corners", 0) != 0;
    if (!c.ok()) return c.finish({});
    return c.finish({resampled(c, x, from, to, areas(from[0], to[0], align), areas(from[1], to[1], align))});
  }
  const std::vector<double> scale = c.need_floats(2, "scale"), shift = c.need_floats(3, "translation");
  const std::string name = c.attr_string("kernel_type", "lanczos3");
  const bool antialias = c.attr_int("antialias", 1) != 0;
  const Kernel* kernel = nullptr;
  for (const Kernel& one : kKernels)
    if (name == one.name) kernel = &one;
  if (!kernel) c.fail(unsupported(cat("attribute 'kernel_type' is '", name, "'")));
  if (c.ok() && (scale.size() != 2 || shift.size() != 2 || !(scale[0] > 0) || !(scale[1] > 0)))
    c.fail(invalid_argument("expected two scales above 0 and two translations"));
  if (!c.ok()) return c.finish({});
  const auto line = [&](size_t i) {
    return weights(*kernel, from[i], to[i], float(scale[i]), float(shift[i]), antialias);
  };
  return c.finish({resampled(c, x, from, to, line(0), line(1))});
}

}  // namespace

std::vector<opdef::ImportRule> resampling_rules() {
  return {tensorflow("ResizeArea", import_resampling), tensorflow("ScaleAndTranslate", import_resampling)};
}

}  // namespace planish::ops
