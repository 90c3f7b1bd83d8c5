#include "kernel/resize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "base/text.h"

namespace planish::kernel {
namespace {

using Mode = ResizeRule::Mode;
using Transform = ResizeRule::Transform;
using Nearest = ResizeRule::Nearest;

template <class Enum, size_t kCount>
Result<Enum> choice(const ir::Attributes& attrs, std::string_view key,
                    const std::array<std::pair<std::string_view, Enum>, kCount>& names) {
  const std::string& value = std::get<std::string>(attrs.at(std::string(key)));
  std::vector<std::string_view> all;
  for (const auto& [name, meaning] : names) {
    if (name == value) return meaning;
    all.push_back(name);
  }
  return invalid_argument(cat("attribute '", key, "': got '", value, "', expected ", join(all, " or ")));
}

constexpr std::array<std::pair<std::string_view, Mode>, 3> kModes = {
    {{"nearest", Mode::kNearest}, {"linear", Mode::kLinear}, {"cubic", Mode::kCubic}}};
constexpr std::array<std::pair<std::string_view, Transform>, 6> kTransforms = {{
    {"half_pixel", Transform::kHalfPixel},
    {"half_pixel_symmetric", Transform::kHalfPixelSymmetric},
    {"pytorch_half_pixel", Transform::kPytorchHalfPixel},
    {"align_corners", Transform::kAlignCorners},
    {"asymmetric", Transform::kAsymmetric},
    {"tf_crop_and_resize", Transform::kCropAndResize},
}};
constexpr std::array<std::pair<std::string_view, Nearest>, 4> kNearests = {{
    {"round_prefer_floor", Nearest::kPreferFloor},
    {"round_prefer_ceil", Nearest::kPreferCeil},
    {"floor", Nearest::kFloor},
    {"ceil", Nearest::kCeil},
}};

// Place of output element o in the input.
double source_of(Transform transform, const ResizeAxis& axis, int64_t o) {
  double x = double(o), in = double(axis.in), wide = axis.scale * in;
  switch (transform) {
    case Transform::kAlignCorners: return wide == 1 ? 0 : x * (in - 1) / (wide - 1);
    case Transform::kAsymmetric: return x / axis.scale;
    case Transform::kPytorchHalfPixel: return wide == 1 ? -0.5 : (x + 0.5) / axis.scale - 0.5;
    case Transform::kHalfPixelSymmetric:
      return in / 2 * (1 - double(axis.out) / wide) + (x + 0.5) / axis.scale - 0.5;
    case Transform::kCropAndResize: {
      double length = (axis.roi_end - axis.roi_begin) * (in - 1);
      double start = axis.roi_begin * (in - 1);
      return axis.out > 1 ? start + x * length / double(axis.out - 1) : start + length / 2;
    }
    default: return (x + 0.5) / axis.scale - 0.5;
  }
}

double nearest_of(Nearest rule, double x) {
  switch (rule) {
    case Nearest::kPreferFloor: return std::ceil(x - 0.5);
    case Nearest::kPreferCeil: return std::floor(x + 0.5);
    case Nearest::kFloor: return std::floor(x);
    default: return std::ceil(x);
  }
}

double weight_at(const ResizeRule& rule, double distance) {
  double x = std::fabs(distance), a = rule.cubic_a;
  if (rule.mode == Mode::kLinear) return x < 1 ? 1 - x : 0;
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

int64_t clamped(double index, int64_t size) {
  return int64_t(std::clamp(index, 0.0, double(size - 1)));
}

ResizeTaps taps_at(const ResizeRule& rule, const ResizeAxis& axis, double x) {
  ResizeTaps taps;
  if (rule.mode == Mode::kNearest) {
    taps.indices = {clamped(nearest_of(rule.nearest, x), axis.in)};
    taps.weights = {1};
    return taps;
  }
  // When shrinking with antialias the kernel is stretched over the elements that vanish.
  double shrink = rule.antialias ? std::min(axis.scale, 1.0) : 1.0;
  double reach = (rule.mode == Mode::kLinear ? 1 : 2) / shrink;
  double first = std::floor(x - reach) + 1, last = std::ceil(x + reach) - 1, sum = 0;
  for (double i = first; i <= last; ++i) {
    double weight = weight_at(rule, (i - x) * shrink);
    if (rule.exclude_outside && (i < 0 || i >= double(axis.in))) continue;
    taps.indices.push_back(clamped(i, axis.in));
    taps.weights.push_back(weight);
    sum += weight;
  }
  if (sum != 0 && (rule.antialias || rule.exclude_outside))
    for (double& weight : taps.weights) weight /= sum;
  return taps;
}

}  // namespace

Result<ResizeRule> resize_rule(const ir::Attributes& attrs) {
  ResizeRule rule;
  PLANISH_ASSIGN_OR_RETURN(rule.mode, choice(attrs, "mode", kModes));
  PLANISH_ASSIGN_OR_RETURN(rule.transform,
                           choice(attrs, "coordinate_transformation_mode", kTransforms));
  PLANISH_ASSIGN_OR_RETURN(rule.nearest, choice(attrs, "nearest_mode", kNearests));
  rule.antialias = std::get<int64_t>(attrs.at("antialias")) != 0;
  rule.exclude_outside = std::get<int64_t>(attrs.at("exclude_outside")) != 0;
  rule.cubic_a = std::get<double>(attrs.at("cubic_coeff_a"));
  rule.extrapolation = std::get<double>(attrs.at("extrapolation_value"));
  if (rule.antialias && rule.mode == Mode::kNearest)
    return invalid_argument("attribute 'antialias': got 1 with mode 'nearest', expected 0, or another mode");
  return rule;
}

bool ResizeAxis::is_identity(const ResizeRule& rule) const {
  bool whole = rule.transform != Transform::kCropAndResize || (roi_begin == 0 && roi_end == 1);
  return in == out && scale == 1 && whole;
}

Result<std::vector<ResizeTaps>> resize_taps(const ResizeRule& rule, const ResizeAxis& axis) {
  // An antialias kernel that covers more than the input many times over is a mistake.
  if (rule.antialias && axis.scale * double(axis.in) < 1.0 / 1024)
    return invalid_argument(cat("input 2 (scales): got ", axis.scale, " for a dim of ", axis.in,
                                ", expected a larger scale with antialias"));
  std::vector<ResizeTaps> out;
  for (int64_t o = 0; o < axis.out; ++o) {
    double x = source_of(rule.transform, axis, o);
    if (!std::isfinite(x))
      return invalid_argument(cat("input 1 (roi): got a position that is not finite"));
    bool cropped = rule.transform == Transform::kCropAndResize;
    if (cropped && !(x >= 0 && x <= double(axis.in - 1))) {
      out.push_back({{}, {}, true});
      continue;
    }
    // Far outside, every element is the edge: keep the arithmetic small.
    double limit = 8.0 * double(axis.in) + 1e6;
    out.push_back(taps_at(rule, axis, std::clamp(x, -limit, limit)));
  }
  return out;
}

}  // namespace planish::kernel
