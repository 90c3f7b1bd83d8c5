#include "growth.h"

#include <cmath>

#include "operands.h"

namespace planish::tests {
namespace {

using Dims = std::vector<int64_t>;
using ir::Value;

class Grower {
 public:
  Grower(GraphWriter& writer, Random& random, Value* x)
      : writer_(writer), random_(random), x_(x), dims_(writer.dims(x)) {}

  bool convolution() {
    if (dims_.size() != 4) return false;
    const int64_t c = dims_[1];
    const bool depthwise = random_.chance(0.3);
    const int64_t k = random_.pick(std::vector<int64_t>{1, 1, 3, 3, 3, 5});
    if (dims_[2] < k || dims_[3] < k) return false;
    const int64_t out = depthwise ? c : random_.pick(std::vector<int64_t>{8, 12, 16, 32, 5, c});
    const int64_t per_group = depthwise ? 1 : c;
    const double scale = 1 / std::sqrt(double(per_group * k * k));
    std::vector<Value*> operands = {x_, weights({out, per_group, k, k}, scale)};
    if (random_.chance(0.6)) operands.push_back(weights({out}, 1));
    const int64_t stride = random_.pick(std::vector<int64_t>{1, 1, 1, 2}), pad = k / 2;
    return add("Conv", operands,
               {{"group", depthwise ? c : int64_t(1)},
                {"strides", Dims{stride, stride}},
                {"pads", Dims{pad, pad, pad, pad}}});
  }
  bool product() {
    if (dims_.size() < 2) return false;
    const int64_t k = dims_.back(), n = random_.pick(std::vector<int64_t>{4, 10, 16, 33, k});
    if (dims_.size() == 2 && random_.chance(0.5))
      return add("Gemm", {x_, weights({n, k}, 1 / std::sqrt(double(k))), weights({n}, 1)},
                 {{"transB", int64_t(1)}});
    return add("MatMul", {x_, weights({k, n}, 1 / std::sqrt(double(k)))});
  }
  // With another value of the same shape, a number per channel, or one number.
  bool pair() {
    static const std::vector<std::string> kOps = {"Add", "Add", "Mul", "Sub", "Max", "Min"};
    const std::string& op = random_.pick(kOps);
    Value* other = nullptr;
    if (random_.chance(0.6)) {
      other = pick_value(writer_, random_, [&](const Value* v) { return same_type(v); });
    } else if (random_.chance(0.5) && dims_.size() >= 2) {
      Dims channel(dims_.size() - 1, 1);
      channel[0] = dims_[1];
      other = weights(channel, 1);
    } else {
      other = weights({}, 1);
    }
    if (!other) return false;
    return random_.chance(0.5) ? add(op, {x_, other}) : add(op, {other, x_});
  }
  bool activation() {
    static const std::vector<std::string> kOps = {"Relu", "Sigmoid", "Tanh",     "HardSwish",
                                                  "Elu",  "Softplus", "LeakyRelu", "Gelu"};
    return add(random_.pick(kOps), {x_});
  }
  bool normalization() {
    if (dims_.size() < 2) return false;
    const int64_t c = dims_[1];
    if (random_.chance(0.5) && dims_.size() >= 3)
      return add("BatchNormalization", {x_, weights({c}, 1), weights({c}, 1), weights({c}, 0.5),
                                        positive({c})});
    const int64_t last = dims_.back();
    return add("LayerNormalization", {x_, weights({last}, 1), weights({last}, 1)},
               {{"axis", int64_t(-1)}, {"epsilon", 1e-2}});
  }
  bool pool() {
    if (dims_.size() != 4 || dims_[2] < 3 || dims_[3] < 3) return false;
    const int64_t k = random_.between(2, 3), stride = random_.between(1, 2);
    const int64_t pad = random_.between(0, 1);
    return add(random_.chance(0.5) ? "MaxPool" : "AveragePool", {x_},
               {{"kernel_shape", Dims{k, k}},
                {"strides", Dims{stride, stride}},
                {"pads", Dims{pad, pad, pad, pad}}});
  }
  bool concat() {
    if (dims_.empty()) return false;
    const int64_t axis = dims_.size() == 1 ? 0 : random_.between(0, int64_t(dims_.size()) - 1);
    std::vector<Value*> parts = {x_};
    for (int64_t more = random_.between(1, 2); more > 0; --more)
      if (Value* v = pick_value(writer_, random_, [&](const Value* o) { return same_type(o); }))
        parts.push_back(v);
    return add("Concat", parts, {{"axis", axis}});
  }
  bool split() {
    if (dims_.empty()) return false;
    const int64_t axis = random_.below(int64_t(dims_.size())), size = dims_[size_t(axis)];
    if (size < 2) return false;
    const int64_t first = random_.between(1, size - 1);
    return !writer_.add("Split", {x_, writer_.ints({first, size - first})}, {{"axis", axis}}, 2)
                .empty();
  }
  bool transpose() {
    Dims perm(dims_.size());
    for (size_t d = 0; d < perm.size(); ++d) perm[d] = int64_t(d);
    for (size_t d = perm.size(); d > 1; --d) std::swap(perm[d - 1], perm[size_t(random_.below(int64_t(d)))]);
    return add("Transpose", {x_}, {{"perm", perm}});
  }
  bool reduction() {
    if (dims_.empty()) return false;
    if (random_.chance(0.3)) return add("Softmax", {x_}, {{"axis", int64_t(-1)}});
    static const std::vector<std::string> kOps = {"ReduceMean", "ReduceSum", "ReduceMax"};
    const int64_t axis = random_.below(int64_t(dims_.size()));
    return add(random_.pick(kOps), {x_, writer_.ints({axis})},
               {{"keepdims", random_.between(0, 1)}});
  }
  bool part() {
    if (dims_.empty()) return false;
    const int64_t axis = random_.below(int64_t(dims_.size())), size = dims_[size_t(axis)];
    if (size < 2) return false;
    const int64_t begin = random_.below(size - 1);
    return add("Slice", {x_, writer_.ints({begin}), writer_.ints({random_.between(begin + 1, size)}),
                         writer_.ints({axis})});
  }
  bool flatten() {
    if (dims_.size() < 3) return false;
    return add("Reshape", {x_, writer_.ints({0, -1})});
  }

 private:
  bool same_type(const Value* v) const {
    return v->type.dtype == x_->type.dtype && writer_.dims(v) == dims_ && v != x_;
  }
  Value* weights(const Dims& dims, double scale) { return uniform(dims, -1.7 * scale, 1.7 * scale); }
  Value* positive(const Dims& dims) { return uniform(dims, 0.5, 2); }
  Value* uniform(const Dims& dims, double low, double high) {
    opdef::InputCase wanted;
    wanted.dtype = x_->type.dtype;
    wanted.dims = dims;
    wanted.low = low;
    wanted.high = high;
    return fresh_operand(writer_, random_, wanted, true);
  }
  bool add(std::string_view op, const std::vector<Value*>& operands, ir::Attributes attrs = {}) {
    return !writer_.add(op, operands, std::move(attrs)).empty();
  }

  GraphWriter& writer_;
  Random& random_;
  Value* x_;
  const Dims dims_;
};

}  // namespace

bool grow(GraphWriter& writer, Random& random) {
  using Piece = bool (Grower::*)();
  static const std::vector<Piece> kPieces = {
      &Grower::convolution, &Grower::convolution,   &Grower::convolution, &Grower::product,
      &Grower::product,     &Grower::pair,          &Grower::pair,        &Grower::pair,
      &Grower::activation,  &Grower::activation,    &Grower::activation,  &Grower::normalization,
      &Grower::pool,        &Grower::concat,        &Grower::concat,      &Grower::split,
      &Grower::transpose,   &Grower::reduction,     &Grower::part,        &Grower::flatten};
  Value* x = pick_value(writer, random, [](const Value* v) {
    return ir::is_float(v->type.dtype) && ir::bits_of(v->type.dtype) >= 16;
  });
  const GraphWriter::Mark mark = writer.mark();
  if (x && (Grower(writer, random, x).*random.pick(kPieces))()) return true;
  writer.undo(mark);
  return false;
}

}  // namespace planish::tests
