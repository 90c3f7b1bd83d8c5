#include "ops/color.h"

#include "base/text.h"
#include "ops/composer.h"

namespace planish::ops {
namespace {

// Three images of one channel each: red, green, blue, or hue, saturation, value, all from 0 to 1.
using Channels = Composer::Values;

Channels channels_of(Composer& c, ir::Value* x) {
  Channels out;
  for (int64_t i = 0; i < 3; ++i) out.push_back(c.slice(x, c.rank(x) - 1, i, i + 1));
  return out;
}

Channels to_hsv(Composer& c, const Channels& rgb) {
  const DataType type = c.dtype(rgb[0]);
  const auto number = [&](double value) { return c.scalar(value, type); };
  ir::Value *red = rgb[0], *green = rgb[1], *blue = rgb[2];
  ir::Value* value = c.op("Max", rgb);
  ir::Value* range = c.sub(value, c.op("Min", rgb));
  ir::Value *zero = number(0), *is_gray = c.op("LessOrEqual", {range, zero});
  ir::Value* saturation = c.where(c.op("Greater", {value, zero}), c.div(range, value), zero);
  ir::Value* sixth = c.mul(range, number(6));
  const auto sector = [&](ir::Value* a, ir::Value* b, double begin) {
    return c.add(c.div(c.sub(a, b), sixth), number(begin));
  };
  ir::Value* hue = c.where(c.op("Equal", {green, value}), sector(blue, red, 1.0 / 3),
                           sector(red, green, 2.0 / 3));
  hue = c.where(c.op("Equal", {red, value}), sector(green, blue, 0), hue);
  hue = c.where(is_gray, zero, hue);
  hue = c.where(c.op("Less", {hue, zero}), c.add(hue, number(1)), hue);
  return {hue, saturation, value};
}

Channels to_rgb(Composer& c, const Channels& hsv) {
  const DataType type = c.dtype(hsv[0]);
  const auto number = [&](double value) { return c.scalar(value, type); };
  ir::Value* hue = c.mul(hsv[0], number(6));
  // How much of a color the hue has: a trapezoid around its place.
  const auto share = [&](double center, double sign, double offset) {
    ir::Value* distance = c.op("Abs", {c.sub(hue, number(center))});
    ir::Value* height = c.add(c.mul(distance, number(sign)), number(offset));
    return c.op("Min", {c.op("Max", {height, number(0)}), number(1)});
  };
  Channels out;
  for (ir::Value* part : {share(3, 1, -1), share(2, -1, 2), share(4, -1, 2)})
    out.push_back(c.mul(c.add(c.sub(number(1), hsv[1]), c.mul(hsv[1], part)), hsv[2]));
  return out;
}

Status import_color(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value* x = c.in(0);
  if (!c.has_rank(x, 1, 8, "input 0") || c.need_dim(x, -1, "the channels") != 3) {
    c.fail(invalid_argument(cat("input 0 is ", ir::to_string(x->type), ", expected 3 channels")));
    return c.finish({});
  }
  const std::string_view op = node.op_type();
  Channels parts = channels_of(c, x);
  if (op != "HSVToRGB") parts = to_hsv(c, parts);
  if (op == "AdjustHue") {
    ir::Value* turned = c.add(parts[0], c.in(1));
    parts[0] = c.sub(turned, c.op("Floor", {turned}));
  } else if (op == "AdjustSaturation") {
    ir::Value* scaled = c.mul(parts[1], c.in(1));
    parts[1] = c.op("Min", {c.op("Max", {scaled, c.scalar_like(0, scaled)}), c.scalar_like(1, scaled)});
  }
  if (op != "RGBToHSV") parts = to_rgb(c, parts);
  return c.finish({c.concat(parts, c.rank(x) - 1)});
}

}  // namespace

std::vector<opdef::ImportRule> color_rules() {
  std::vector<opdef::ImportRule> out;
  for (const char* name : {"AdjustHue", "AdjustSaturation", "HSVToRGB", "RGBToHSV"})
    out.push_back(tensorflow(name, import_color));
  return out;
}

}  // namespace planish::ops
