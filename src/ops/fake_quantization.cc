#include "ops/fake_quantization.h"

#include <cmath>
#include <limits>

#include "base/text.h"
#include "ops/composer.h"

namespace planish::ops {
namespace {

// What numbers are rounded to: `count` steps of a scale above low, per tensor or per element of the
// axis (-1: per tensor). `zero` is the step that stands for 0.
struct Steps {
  std::vector<double> scale, zero;
  int64_t lowest, highest;
  int64_t axis;
  bool is_signed;
};

// The list as a scalar, or along the axis of x.
ir::Value* along_axis(Composer& c, const std::vector<double>& list, const Steps& steps, int rank) {
  std::vector<int64_t> dims;
  if (steps.axis >= 0) {
    dims.assign(size_t(rank), 1);
    dims[size_t(steps.axis)] = int64_t(list.size());
  }
  return c.constant(Tensor::from_f64(DataType::kF32, dims, list));
}

// Through 8-bit integers where they hold the steps; ends that they exceed are clipped before.
ir::Value* rounded_to(Composer& c, ir::Value* x, const Steps& steps) {
  const int64_t least = steps.is_signed ? -128 : 0, most = steps.is_signed ? 127 : 255;
  const int rank = c.rank(x);
  std::vector<double> low, high;
  for (size_t i = 0; i < steps.scale.size(); ++i) {
    low.push_back((double(steps.lowest) - steps.zero[i]) * steps.scale[i]);
    high.push_back((double(steps.highest) - steps.zero[i]) * steps.scale[i]);
  }
  const bool is_byte = steps.lowest >= least && steps.highest <= most;
  if (!is_byte || steps.lowest != least || steps.highest != most)
    x = c.op("Max", {c.op("Min", {x, along_axis(c, high, steps, rank)}), along_axis(c, low, steps, rank)});
  if (!is_byte) {
    ir::Value* scale = along_axis(c, steps.scale, steps, rank);
    return c.mul(c.op("Round", {c.div(x, scale)}), scale);
  }
  const std::vector<int64_t> dims = steps.axis < 0 ? std::vector<int64_t>()
                                                   : std::vector<int64_t>{int64_t(steps.scale.size())};
  const DataType type = steps.is_signed ? DataType::kI8 : DataType::kU8;
  ir::Value* scale = c.constant(Tensor::from_f64(DataType::kF32, dims, steps.scale));
  ir::Value* zero = c.constant(
      Tensor::from_i64(type, dims, std::vector<int64_t>(steps.zero.begin(), steps.zero.end())));
  const ir::Attributes attrs = {{"axis", std::max<int64_t>(steps.axis, 0)}};
  return c.op("DequantizeLinear", {c.op("QuantizeLinear", {x, scale, zero}, attrs), scale, zero}, attrs);
}

// FakeQuantWithMinMaxArgs, Vars and VarsPerChannel: the range is moved so that zero is a step.
Status import_fake_quant(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value* x = c.in(0);
  const int64_t bits = c.attr_int("num_bits", 8);
  if (bits < 2 || bits > 16) return invalid_argument(cat("num_bits is ", bits, ", expected 2 to 16"));
  std::vector<double> mins, maxs;
  if (node.op_type() == "FakeQuantWithMinMaxArgs") {
    mins = {c.attr_float("min", -6)};
    maxs = {c.attr_float("max", 6)};
  } else {
    mins = c.need_floats(1, "min");
    maxs = c.need_floats(2, "max");
  }
  if (!c.ok()) return c.finish({});
  if (mins.size() != maxs.size()) return invalid_argument("min and max have different lengths");
  Steps steps{{}, {}, c.attr_int("narrow_range", 0) ? 1 : 0, (int64_t(1) << bits) - 1, -1, false};
  if (node.op_type() == "FakeQuantWithMinMaxVarsPerChannel") steps.axis = c.rank(x) - 1;
  for (size_t i = 0; i < mins.size(); ++i) {
    if (!(mins[i] < maxs[i]))
      return invalid_argument(cat("the range ", mins[i], " to ", maxs[i], " is empty"));
    const double least = double(steps.lowest), most = double(steps.highest);
    const double scale = double(float((maxs[i] - mins[i]) / (most - least)));
    const double exact = least - mins[i] / scale;
    steps.scale.push_back(scale);
    steps.zero.push_back(exact < least ? least : exact > most ? most : std::round(exact));
  }
  return c.finish({rounded_to(c, x, steps)});
}

// QuantizeAndDequantizeV2 to V4: symmetric around zero (signed) or from zero; the range is given or
// the data's, of all elements or along an axis.
struct SymmetricRange {
  bool is_signed, is_narrow, is_given, rounds_up;
  int64_t bits, axis;
  double lowest() const { return !is_signed ? 0 : is_narrow ? -highest() : -highest() - 1; }
  double highest() const { return double((int64_t(1) << (is_signed ? bits - 1 : bits)) - 1); }
};

// The scale whose steps hold both ends of a range: the smaller of what both allow in steps per unit; an
// end on the wrong side of zero allows any.
double scale_of(const SymmetricRange& range, double low, double high) {
  const double kAny = HUGE_VAL;
  const double above = high > 0 ? range.highest() / high : kAny;
  const double below = range.is_signed && low < 0 ? range.lowest() / low : kAny;
  const double steps = std::fmin(above, below);
  return steps < kAny ? 1 / steps : 1;
}

// As scale_of(), in steps per unit and of ends that are only known at run time.
ir::Value* run_time_steps(Composer& c, const SymmetricRange& range, ir::Value* low, ir::Value* high) {
  const DataType type = c.dtype(high);
  ir::Value *zero = c.scalar(0, type), *any = c.scalar(double(std::numeric_limits<float>::max()), type);
  ir::Value* steps = c.where(c.op("Greater", {high, zero}), c.div(c.scalar(range.highest(), type), high), any);
  if (range.is_signed) {
    ir::Value* below = c.where(c.op("Less", {low, zero}), c.div(c.scalar(range.lowest(), type), low), any);
    steps = c.op("Min", {below, steps});
  }
  return c.where(c.op("Less", {steps, any}), steps, c.scalar(1, type));
}

Status import_quantize_and_dequantize(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value* x = c.in(0);
  const bool is_v3 = node.op_type() == "QuantizeAndDequantizeV3";
  SymmetricRange range;
  range.is_signed = c.attr_int("signed_input", 1) != 0;
  range.is_given = c.attr_int("range_given", is_v3 ? 1 : 0) != 0;
  range.is_narrow = c.attr_int("narrow_range", 0) != 0;
  range.rounds_up = c.attr_string("round_mode", "HALF_TO_EVEN") == "HALF_UP";
  range.bits = is_v3 ? c.need_one(3, "num_bits") : c.attr_int("num_bits", 8);
  range.axis = c.attr_int("axis", -1);
  if (!c.ok()) return c.finish({});
  if (range.bits < 2 || range.bits > 30)
    return invalid_argument(cat("num_bits is ", range.bits, ", expected 2 to 30"));
  if (range.axis < -1 || range.axis >= c.rank(x))
    return invalid_argument(cat("axis is ", range.axis, ", the input ", ir::to_string(x->type)));
  const DataType type = c.dtype(x);
  if (range.is_given && c.in(1)->constant && c.in(2)->constant && !range.rounds_up && range.bits == 8 &&
      type == DataType::kF32) {
    const std::vector<double> lows = c.need_floats(1, "input_min"), highs = c.need_floats(2, "input_max");
    if (lows.size() != highs.size()) return invalid_argument("the ends of the range have different lengths");
    Steps steps{{}, std::vector<double>(lows.size(), 0), int64_t(range.lowest()), int64_t(range.highest()),
                range.axis, range.is_signed};
    for (size_t i = 0; i < lows.size(); ++i) steps.scale.push_back(scale_of(range, lows[i], highs[i]));
    return c.finish({rounded_to(c, x, steps)});
  }
  std::vector<int64_t> others, dims(size_t(c.rank(x)), 1);
  for (int i = 0; i < c.rank(x); ++i)
    if (i != range.axis) others.push_back(i);
  const auto end = [&](int input, const char* reduction) {
    if (!range.is_given) return c.reduce(reduction, x, others, range.axis >= 0);
    if (range.axis < 0) return c.in(input);
    dims[size_t(range.axis)] = -1;
    return c.reshape(c.in(input), dims);
  };
  ir::Value *low = end(1, "ReduceMin"), *high = end(2, "ReduceMax");
  ir::Value* steps = run_time_steps(c, range, low, high);
  ir::Value* clipped = c.op("Max", {c.op("Min", {x, c.div(c.scalar(range.highest(), type), steps)}),
                                    c.div(c.scalar(range.lowest(), type), steps)});
  ir::Value* scaled = c.mul(clipped, steps);
  ir::Value* rounded = range.rounds_up ? c.op("Floor", {c.add(scaled, c.scalar(0.5, type))})
                                       : c.op("Round", {scaled});
  return c.finish({c.div(rounded, steps)});
}

// Dequantize: integers of a range as real numbers, in one of three ways to say where they lie.
Status import_dequantize(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value* x = c.in(0);
  const std::string mode = c.attr_string("mode", "MIN_COMBINED");
  const std::vector<double> lows = c.need_floats(1, "min_range"), highs = c.need_floats(2, "max_range");
  if (c.attr_int("axis", -1) != -1) return unsupported("a range per channel (axis)");
  if (!c.ok()) return c.finish({});
  const int bits = ir::bits_of(c.dtype(x));
  const bool is_signed = ir::is_signed_int(c.dtype(x));
  if (bits > 16 || ir::is_float(c.dtype(x)) || lows.size() != 1 || highs.size() != 1)
    return unsupported(cat("values of ", ir::to_string(x->type)));
  const double count = double((int64_t(1) << bits) - 1), least = is_signed ? -(count + 1) / 2 : 0;
  double scale = (highs[0] - lows[0]) / count, offset = lows[0] - least * scale;
  if (mode == "SCALED") {
    const double lowest = c.attr_int("narrow_range", 0) ? least + 1 : least, highest = least + count;
    scale = std::fmax(highs[0] / highest, is_signed ? lows[0] / lowest : 0);
    offset = 0;
  } else if (mode == "MIN_FIRST") {
    offset = std::round(lows[0] / scale) * scale - least * scale;
  } else if (mode != "MIN_COMBINED") {
    return unsupported(cat("attribute 'mode' is '", mode, "'"));
  }
  const auto scalar = [&](double value) { return c.scalar(value, DataType::kF32); };
  return c.finish({c.add(c.mul(c.cast(x, DataType::kF32), scalar(scale)), scalar(offset))});
}

// To the nearest integer, halves away from zero.
ir::Value* rounded_away(Composer& c, ir::Value* x) {
  ir::Value* whole = c.op("Floor", {c.add(c.op("Abs", {x}), c.scalar_like(0.5, x))});
  return c.mul(whole, c.op("Sign", {x}));
}

// QuantizeV2: integers of 8 or 16 bits over a range, which is widened until it holds zero, and the
// range's ends.
Status import_quantize(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value* x = c.in(0);
  const std::string mode = c.attr_string("mode", "MIN_COMBINED");
  // HALF_TO_EVEN does not do what it says in all of TensorFlow's kernels.
  if (c.attr_string("round_mode", "HALF_AWAY_FROM_ZERO") != "HALF_AWAY_FROM_ZERO")
    return unsupported("another attribute 'round_mode' than 'HALF_AWAY_FROM_ZERO'");
  const DataType type = c.attr_type("T", DataType::kU8);
  const std::vector<double> lows = c.need_floats(1, "min_range"), highs = c.need_floats(2, "max_range");
  if (c.attr_int("axis", -1) != -1) return unsupported("a range per channel (axis)");
  const int bits = ir::bits_of(type);
  if (c.ok() && (bits > 16 || ir::is_float(type) || lows.size() != 1 || highs.size() != 1))
    return unsupported(cat("values of ", ir::name_of(type)));
  if (!c.ok()) return c.finish({});
  const double count = double((int64_t(1) << bits) - 1);
  const double least = ir::is_signed_int(type) ? -(count + 1) / 2 : 0, most = least + count;
  double low = std::fmin(0, lows[0]);
  const double widest = std::fmax(1, std::fmax(std::fabs(lows[0]), std::fabs(highs[0])));
  double high = std::fmax(0, std::fmax(highs[0], low + widest * c.attr_float("ensure_minimum_range", 0.01)));
  const auto number = [&](double value) { return c.scalar(value, DataType::kF32); };
  ir::Value* steps = nullptr;
  if (mode == "SCALED") {
    const double lowest = c.attr_int("narrow_range", 0) ? least + 1 : least;
    double scale = lowest * low > 0 ? lowest / low : HUGE_VAL;
    if (most * high > 0) scale = std::fmin(scale, most / high);
    low = lowest / scale;
    high = most / scale;
    steps = c.mul(c.op("Clip", {x, number(low), number(high)}), number(scale));
    steps = rounded_away(c, steps);
  } else if (mode == "MIN_COMBINED") {
    const double scale = count / (high - low);
    steps = c.mul(c.sub(c.op("Clip", {x, number(low), number(high)}), number(low)), number(scale));
    if (least == 0) steps = c.op("Floor", {c.add(steps, number(0.5))});
    else steps = rounded_away(c, c.sub(steps, number((count + 1) / 2)));
  } else if (mode == "MIN_FIRST") {
    const double scale = count / (high - low);
    // Bytes without sign are counted from the range's begin, others from zero.
    steps = least == 0 ? rounded_away(c, c.mul(c.sub(x, number(low)), number(scale)))
                       : c.sub(rounded_away(c, c.mul(x, number(scale))),
                               number(std::round(low * scale) - least));
  } else {
    return unsupported(cat("attribute 'mode' is '", mode, "'"));
  }
  steps = c.op("Clip", {steps, number(least), number(most)});
  return c.finish({c.cast(steps, type), number(low), number(high)});
}

}  // namespace

std::vector<opdef::ImportRule> fake_quantization_rules() {
  return {tensorflow("QuantizeV2", import_quantize),
          tensorflow("FakeQuantWithMinMaxArgs", import_fake_quant),
          tensorflow("FakeQuantWithMinMaxVars", import_fake_quant),
          tensorflow("FakeQuantWithMinMaxVarsPerChannel", import_fake_quant),
          tensorflow("QuantizeAndDequantizeV2", import_quantize_and_dequantize),
          tensorflow("QuantizeAndDequantizeV3", import_quantize_and_dequantize),
          tensorflow("QuantizeAndDequantizeV4", import_quantize_and_dequantize)};
}
std::vector<opdef::ImportRule> dequantization_rules() {
  return {tensorflow("Dequantize", import_dequantize)};
}

}  // namespace planish::ops
