// Random tensors: uniform, normal, Bernoulli, multinomial. The generator is counter-based, so that
// an element depends on nothing but the seed and its number: element i of stream s is a 64-bit mix
// (two rounds of multiply and xor-shift) of seed, s and i. Runs repeat bit by bit, in any order and
// on any number of threads. A node without a seed gets one from its name at import; ONNX asks for
// the distributions only, not for any particular numbers.
#include <cmath>
#include <numbers>

#include "base/text.h"
#include "ops/composer.h"
#include "ops/dims.h"
#include "opdef/import.h"
#include "opdef/onnx_types.h"

namespace planish::ops {
namespace {

using opdef::AttrKind;

uint64_t mix(uint64_t x) {
  x ^= x >> 30;
  x *= 0xbf58476d1ce4e5b9u;
  x ^= x >> 27;
  x *= 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

class Generator {
 public:
  explicit Generator(double seed) : key_(mix(__builtin_bit_cast(uint64_t, seed) + kStep)) {}
  // Uniform in (0, 1), never 0 or 1: 52 random bits and a half.
  double uniform(uint64_t stream, uint64_t i) const {
    const uint64_t bits = mix(mix(key_ + stream * kStep) + (i + 1) * kStep);
    return (double(bits >> 12) + 0.5) * 0x1p-52;
  }
  // Standard normal by Box and Muller's transform, one of the pair.
  double normal(uint64_t i) const {
    const double radius = std::sqrt(-2 * std::log(uniform(0, i)));
    return radius * std::cos(2 * std::numbers::pi * uniform(1, i));
  }

 private:
  static constexpr uint64_t kStep = 0x9e3779b97f4a7c15u;  // 2^64 divided by the golden ratio
  uint64_t key_;
};

Generator generator(const EvalContext& ctx) { return Generator(ctx.attr_float("seed")); }

DataType type_or(const ir::Attributes& attrs, DataType fallback) {
  auto found = attrs.find("dtype");
  return found == attrs.end() ? fallback : std::get<DataType>(found->second);
}

Status check_range(const InferContext& ctx) {
  for (const char* key : {"low", "high", "mean", "scale"}) {
    if (ctx.has_attr(key) && !std::isfinite(ctx.attr_float(key))) {
      return bad_attr(key, cat(ctx.attr_float(key)), "a finite number");
    }
  }
  return ok_status();
}

Status check_float(DataType dtype) {
  if (opdef::kFloats.contains(dtype)) return ok_status();
  return bad_attr("dtype", std::string(ir::name_of(dtype)), opdef::kFloats.to_string());
}

Status infer_shape_attr(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_range(ctx));
  const DataType dtype = type_or(ctx.attrs(), DataType::kF32);
  PLANISH_RETURN_IF_ERROR(check_float(dtype));
  return set_sized_output(ctx, 0, dtype, ir::to_shape(ctx.attr_ints("shape")));
}

Status infer_like(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_range(ctx));
  const DataType dtype = type_or(ctx.attrs(), ctx.dtype(0));
  PLANISH_RETURN_IF_ERROR(check_float(dtype));
  ctx.set_output(0, dtype, ctx.shape(0));
  return ok_status();
}

Status evaluate_uniform(EvalContext& ctx) {
  Tensor& out = ctx.output(0);
  const Generator random = generator(ctx);
  const double low = ctx.attr_float("low"), high = ctx.attr_float("high");
  for (int64_t i = 0; i < out.count(); ++i) {
    out.set_f64(i, low + (high - low) * random.uniform(0, uint64_t(i)));
  }
  return ok_status();
}

Status evaluate_normal(EvalContext& ctx) {
  Tensor& out = ctx.output(0);
  const Generator random = generator(ctx);
  const double mean = ctx.attr_float("mean"), scale = ctx.attr_float("scale");
  for (int64_t i = 0; i < out.count(); ++i) {
    out.set_f64(i, mean + scale * random.normal(uint64_t(i)));
  }
  return ok_status();
}

// --- Bernoulli ---

Status infer_bernoulli(InferContext& ctx) {
  ctx.set_output(0, type_or(ctx.attrs(), ctx.dtype(0)), ctx.shape(0));
  return ok_status();
}

Status evaluate_bernoulli(EvalContext& ctx) {
  const Tensor& p = ctx.input(0);
  Tensor& out = ctx.output(0);
  const Generator random = generator(ctx);
  for (int64_t i = 0; i < p.count(); ++i) {
    const bool one = random.uniform(0, uint64_t(i)) < p.f64(i);
    ir::is_float(out.dtype()) ? out.set_f64(i, one) : out.set_i64(i, one);
  }
  return ok_status();
}

// --- Multinomial ---

Status infer_multinomial(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 2, 2));
  const int64_t samples = ctx.attr_int("sample_size");
  if (samples < 0) return bad_attr("sample_size", cat(samples), "0 or more");
  const DataType dtype = type_or(ctx.attrs(), DataType::kI32);
  if (!opdef::kIndices.contains(dtype)) {
    return bad_attr("dtype", std::string(ir::name_of(dtype)), opdef::kIndices.to_string());
  }
  return set_sized_output(ctx, 0, dtype, {ctx.shape(0)[0], samples});
}

Status evaluate_multinomial(EvalContext& ctx) {
  const Tensor& logits = ctx.input(0);
  Tensor& out = ctx.output(0);
  const Generator random = generator(ctx);
  const int64_t classes = logits.dim(1), samples = out.dim(1);
  for (int64_t b = 0; b < logits.dim(0); ++b) {
    // Inputs are unnormalized log-probabilities; the largest is taken out for the exponential.
    double largest = -INFINITY;
    for (int64_t k = 0; k < classes; ++k) largest = std::fmax(largest, logits.f64(b * classes + k));
    std::vector<double> below(size_t(classes), 0);
    double sum = 0;
    for (int64_t k = 0; k < classes; ++k) {
      sum += std::exp(logits.f64(b * classes + k) - largest);
      below[size_t(k)] = sum;
    }
    if (samples > 0 && !(sum > 0 && std::isfinite(sum))) {
      return invalid_argument(cat("input 0 (input): row ", b, " is no distribution"));
    }
    for (int64_t s = 0; s < samples; ++s) {
      const double at = sum * random.uniform(0, uint64_t(b * samples + s));
      int64_t k = 0;
      while (k + 1 < classes && below[size_t(k)] <= at) ++k;
      out.set_i64(b * samples + s, k);
    }
  }
  return ok_status();
}

// A number that depends on nothing but the text (FNV-1a), small enough to be exact in a float.
double seed_of(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (char c : name) hash = (hash ^ uint8_t(c)) * 0x100000001b3u;
  return double(hash >> 40);
}

Status import_random(const opdef::NodeView& node, opdef::ImportContext& context) {
  ir::Attributes attrs;
  for (const std::string& key : node.attr_names()) {
    if (key != "dtype") attrs[key] = *node.attr(key);
  }
  if (node.has_attr("dtype")) {
    PLANISH_ASSIGN_OR_RETURN(const int64_t code, node.attr_int("dtype", 1));
    Result<DataType> dtype = opdef::data_type_from_onnx(code);
    if (!dtype.ok()) return dtype.status().at("attribute 'dtype'");
    attrs["dtype"] = *dtype;
  }
  if (!node.has_attr("seed")) attrs["seed"] = seed_of(node.name());
  std::vector<ir::Value*> inputs;
  for (int i = 0; i < node.input_count(); ++i) inputs.push_back(node.input(i));
  PLANISH_ASSIGN_OR_RETURN(ir::Value* out,
                           context.add1(node.op_type(), std::move(inputs), std::move(attrs)));
  context.set_output(0, out);
  return ok_status();
}

opdef::OpDef random_def(std::string name, std::string doc, Status (*infer)(InferContext&),
                        Status (*evaluate)(EvalContext&)) {
  opdef::OpDef def;
  def.doc = std::move(doc);
  def.outputs = {operand("output", opdef::kNumbers | opdef::kBools, "random tensor", "")};
  def.attrs = {opdef::optional_attr("dtype", AttrKind::kType, "element type of the output"),
               opdef::float_attr("seed", 0, "seed of the generator")};
  def.random = true;
  def.infer = infer;
  def.evaluate = evaluate;
  def.onnx = {{name, "", 1, 1 << 30, import_random}};
  def.name = std::move(name);
  return def;
}

void add_uniform_attrs(opdef::OpDef& def) {
  def.attrs.push_back(opdef::float_attr("low", 0, "lower bound"));
  def.attrs.push_back(opdef::float_attr("high", 1, "upper bound"));
}
void add_normal_attrs(opdef::OpDef& def) {
  def.attrs.push_back(opdef::float_attr("mean", 0, "mean"));
  def.attrs.push_back(opdef::float_attr("scale", 1, "standard deviation"));
}

// The shape is an operand.
template <bool kNormal>
Status import_tensorflow(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value* like = c.filled(c.i64(c.in(0)), 0, c.attr_type("dtype", DataType::kF32));
  return c.finish({c.op(kNormal ? "RandomNormalLike" : "RandomUniformLike", {like})});
}

}  // namespace

void register_random(opdef::OpRegistry& registry) {
  const opdef::AttrSpec shape =
      opdef::required_attr("shape", AttrKind::kInts, "dims of the output");
  const opdef::ValueSpec like = operand("input", opdef::kAnyType, "tensor, only its type", "");
  opdef::OpDef uniform =
      random_def("RandomUniform", "Uniform in (low, high).", infer_shape_attr, evaluate_uniform);
  uniform.attrs.push_back(shape);
  add_uniform_attrs(uniform);
  registry.add(std::move(uniform));
  opdef::OpDef normal = random_def("RandomNormal", "Normal with the given mean and deviation.",
                                   infer_shape_attr, evaluate_normal);
  normal.attrs.push_back(shape);
  add_normal_attrs(normal);
  registry.add(std::move(normal));
  opdef::OpDef uniform_like = random_def(
      "RandomUniformLike", "RandomUniform in the input's shape.", infer_like, evaluate_uniform);
  uniform_like.inputs = {like};
  add_uniform_attrs(uniform_like);
  uniform_like.tensorflow = {tensorflow("RandomUniform", import_tensorflow<false>)};
  registry.add(std::move(uniform_like));
  opdef::OpDef normal_like = random_def(
      "RandomNormalLike", "RandomNormal in the input's shape.", infer_like, evaluate_normal);
  normal_like.inputs = {like};
  add_normal_attrs(normal_like);
  normal_like.tensorflow = {tensorflow("RandomStandardNormal", import_tensorflow<true>)};
  registry.add(std::move(normal_like));

  opdef::OpDef bernoulli =
      random_def("Bernoulli", "1 with the probability that the input names, else 0.",
                 infer_bernoulli, evaluate_bernoulli);
  bernoulli.inputs = {operand("input", opdef::kFloats, "probabilities", "")};
  registry.add(std::move(bernoulli));
  opdef::OpDef multinomial = random_def(
      "Multinomial", "Classes drawn from the unnormalized log-probabilities of each row.",
      infer_multinomial, evaluate_multinomial);
  multinomial.inputs = {operand("input", opdef::kFloats, "[batch, classes]", "")};
  multinomial.attrs.push_back(opdef::int_attr("sample_size", 1, "draws per row"));
  registry.add(std::move(multinomial));
}

}  // namespace planish::ops
