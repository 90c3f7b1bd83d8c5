#include "graph_writer.h"

#include <cmath>

#include "base/text.h"
#include "eval/interpreter.h"
#include "opdef/infer.h"

namespace planish::tests {
namespace {

// Noise per computed value, in units of the type's roundoff and of the value's largest element.
constexpr double kNoiseUnits = 1024, kNarrowNoiseUnits = 4;
// Noise may grow to so many times what one value gets.
constexpr double kMaxGrowth = 4;
// Sums of magnitudes may be so many times the sums.
constexpr double kMaxCancellation = 32;
constexpr double kLargest = 1e4, kLargestNarrow = 256;
constexpr int64_t kLargestInteger = 1 << 20;
constexpr int64_t kMostElements = 16384;

bool is_narrow(ir::DataType type) { return ir::is_float(type) && ir::bits_of(type) <= 16; }

double noise_of(ir::DataType type) {
  return (is_narrow(type) ? kNarrowNoiseUnits : kNoiseUnits) *
         ir::unit_roundoff(type == ir::DataType::kF64 ? ir::DataType::kF32 : type);
}

// Largest magnitude; infinite when an element is not finite.
double largest_of(const ir::Tensor& t) {
  double largest = 0;
  for (int64_t i = 0; i < t.count(); ++i) {
    const double v = std::fabs(t.f64(i));
    if (!std::isfinite(v)) return INFINITY;
    largest = std::max(largest, v);
  }
  return largest;
}

bool is_usable(const ir::Tensor& t) {
  if (t.count() == 0 || t.count() > kMostElements || ir::bits_of(t.dtype()) < 8) return false;
  if (!ir::is_float(t.dtype())) {
    for (int64_t v : t.i64_values())
      if (v > kLargestInteger || v < -kLargestInteger) return false;
    return true;
  }
  return largest_of(t) <= (is_narrow(t.dtype()) ? kLargestNarrow : kLargest);
}

// The noise has not grown beyond kMaxGrowth, and changed no integer.
bool is_steady(const ir::Tensor& plain, const ir::Tensor& noisy, double noise) {
  if (plain.dims() != noisy.dims()) return false;
  if (!ir::is_float(plain.dtype())) return plain.same_bytes(noisy);
  if (plain.same_bytes(noisy)) return true;
  double worst = 0;
  for (int64_t i = 0; i < plain.count(); ++i)
    worst = std::max(worst, std::fabs(plain.f64(i) - noisy.f64(i)));
  return worst <= kMaxGrowth * noise * largest_of(plain);  // false for infinities and NaN
}

// The sums of the operands' magnitudes are not far above the sums themselves.
bool is_free_of_cancellation(const opdef::OpRegistry& registry, const opdef::OpDef& op,
                             const ir::Attributes& attrs,
                             const std::vector<const ir::Tensor*>& operands,
                             const std::vector<ir::Tensor>& results) {
  if (op.kind != opdef::FusionKind::kReduction && op.kind != opdef::FusionKind::kContraction)
    return true;
  std::vector<ir::Tensor> magnitudes(operands.size());
  std::vector<const ir::Tensor*> pointers;
  for (size_t i = 0; i < operands.size(); ++i) {
    pointers.push_back(operands[i] ? &magnitudes[i] : nullptr);
    if (!operands[i]) continue;
    magnitudes[i] = *operands[i];
    if (!ir::is_float(magnitudes[i].dtype())) continue;
    magnitudes[i] = magnitudes[i].clone();
    for (int64_t k = 0; k < magnitudes[i].count(); ++k)
      magnitudes[i].set_f64(k, std::fabs(magnitudes[i].f64(k)));
  }
  const auto sums = eval::evaluate_op(registry, op, attrs, pointers, int(results.size()));
  if (!sums.ok() || !ir::is_float(results[0].dtype())) return true;
  const double sum = largest_of((*sums)[0]);
  return !std::isfinite(sum) || sum <= kMaxCancellation * largest_of(results[0]);
}

}  // namespace

GraphWriter::GraphWriter(const opdef::OpRegistry& registry, Random& random)
    : registry_(registry), random_(random) {}

ir::Value* GraphWriter::input(const ir::Tensor& tensor) {
  ir::Value* value = graph_->add_input(cat("x", names_++), tensor.type());
  known_[value] = {tensor, tensor, 0, is_usable(tensor)};
  values_.push_back(value);
  return value;
}

ir::Value* GraphWriter::constant(const ir::Tensor& tensor) {
  ir::Value* value = graph_->add_constant(cat("c", names_++), tensor);
  known_[value] = {tensor, tensor, 0, is_usable(tensor)};
  values_.push_back(value);
  return value;
}

ir::Value* GraphWriter::ints(const std::vector<int64_t>& values) {
  return constant(ir::Tensor::vector_i64(values));
}

std::vector<ir::Value*> GraphWriter::add(std::string_view op,
                                         const std::vector<ir::Value*>& operands,
                                         ir::Attributes attrs, int output_count) {
  const opdef::OpDef* def = registry_.find(op);
  PLANISH_CHECK(def, cat("no operator is named ", op));
  opdef::fill_defaults(*def, attrs);
  ir::Node* node = graph_->add_node(std::string(op), operands, std::move(attrs),
                                    std::vector<ir::TensorType>(size_t(output_count)));
  node->sources = {cat("n", names_++)};
  if (!settle(node)) {
    graph_->erase(node);
    return {};
  }
  nodes_.push_back(node);
  return node->outputs;
}

bool GraphWriter::settle(ir::Node* node) {
  const opdef::OpDef& op = *registry_.find(node->op);
  if (!opdef::check_schema(op, *node).ok() || !opdef::infer_node(registry_, *node).ok())
    return false;
  std::vector<const ir::Tensor*> plain, noisy;
  double noise = 0;
  for (const ir::Value* v : node->inputs) {
    plain.push_back(v ? &at(v).plain : nullptr);
    noisy.push_back(v ? &at(v).noisy : nullptr);
    if (v) noise = std::max(noise, at(v).noise);
  }
  const int count = int(node->outputs.size());
  // Values of other nodes may ask for a tensor beyond any test: ConstantOfShape, Range, Expand.
  constexpr int64_t kMostElements = 1 << 20;
  const auto types = opdef::infer_concrete(registry_, op, node->attrs, plain, count);
  if (!types.ok()) return false;
  for (const ir::TensorType& type : *types) {
    if (!ir::is_constant(type.shape)) continue;
    const auto elements = ir::checked_element_count(ir::to_dims(type.shape));
    if (!elements || *elements > kMostElements) return false;
  }
  auto first = eval::evaluate_op(registry_, op, node->attrs, plain, count);
  if (!first.ok()) return false;
  if (!is_free_of_cancellation(registry_, op, node->attrs, plain, *first)) return false;
  auto second = noise == 0 ? first : eval::evaluate_op(registry_, op, node->attrs, noisy, count);
  if (!second.ok()) return false;
  std::vector<Known> outputs;
  for (int i = 0; i < count; ++i) {
    const ir::Tensor& got = (*first)[size_t(i)];
    const double level = std::max(noise, ir::is_float(got.dtype()) ? noise_of(got.dtype()) : 0);
    if (noise > 0 && !is_steady(got, (*second)[size_t(i)], level)) return false;
    outputs.push_back({got, (*second)[size_t(i)].clone(), level, is_usable(got)});
  }
  for (int i = 0; i < count; ++i) {
    add_noise(outputs[size_t(i)]);
    known_[node->outputs[size_t(i)]] = std::move(outputs[size_t(i)]);
  }
  return true;
}

void GraphWriter::add_noise(Known& known) {
  if (!ir::is_float(known.plain.dtype()) || !known.usable) return;
  // All of one sign: noise of both would vanish in a mean, where rounding of what is summed does not.
  const double size =
      (random_.chance(0.5) ? 1 : -1) * noise_of(known.plain.dtype()) * largest_of(known.plain);
  for (int64_t i = 0; i < known.noisy.count(); ++i)
    known.noisy.set_f64(i, known.noisy.f64(i) + size * (0.5 + 0.5 * random_.unit()));
}

void GraphWriter::undo(Mark mark) {
  while (nodes_.size() > mark.nodes) {
    for (const ir::Value* v : nodes_.back()->outputs) known_.erase(v);
    graph_->erase(nodes_.back());
    nodes_.pop_back();
  }
  while (values_.size() > mark.values) {
    known_.erase(values_.back());
    graph_->erase_value(values_.back());
    values_.pop_back();
  }
}

std::vector<ir::Tensor> GraphWriter::feeds() const {
  std::vector<ir::Tensor> feeds;
  for (const ir::Value* v : graph_->inputs) feeds.push_back(at(v).plain);
  return feeds;
}

}  // namespace planish::tests
