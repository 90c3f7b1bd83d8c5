#include "passes/norm_match.h"

#include <algorithm>

namespace planish::passes {
namespace {

// v = t * t or t ^ 2.
Value* squared(const Value* v) {
  if (Node* mul = producer_of(v, "Mul"); mul && mul->inputs[0] == mul->inputs[1])
    return mul->inputs[0];
  if (Node* pow = producer_of(v, "Pow"); pow && scalar_of(input(*pow, 1)) == 2.0)
    return pow->inputs[0];
  return nullptr;
}

// v = mean + epsilon over a mean of squares.
std::optional<RootMeanSquare> shifted_mean(const Value* v) {
  Node* add = producer_of(v, "Add");
  if (!add) return std::nullopt;
  for (int i = 0; i < 2; ++i) {
    const auto epsilon = scalar_of(input(*add, i));
    Node* mean = producer_of(input(*add, 1 - i), "ReduceMean");
    if (!epsilon || !mean || *epsilon < 0) continue;
    const auto axis = trailing_axes(*mean);
    Value* d = squared(input(*mean, 0));
    if (axis && d) return RootMeanSquare{d, *epsilon, *axis};
  }
  return std::nullopt;
}

// v = sqrt(e): Sqrt or Pow 0.5.
const Value* root_of(const Value* v) {
  if (Node* sqrt = producer_of(v, "Sqrt")) return sqrt->inputs[0];
  if (Node* pow = producer_of(v, "Pow"); pow && scalar_of(input(*pow, 1)) == 0.5)
    return pow->inputs[0];
  return nullptr;
}

// v = 1 / sqrt(e).
const Value* reciprocal_root_of(const Value* v) {
  if (Node* reciprocal = producer_of(v, "Reciprocal")) return root_of(reciprocal->inputs[0]);
  if (Node* div = producer_of(v, "Div"); div && scalar_of(input(*div, 0)) == 1.0)
    return root_of(input(*div, 1));
  if (Node* pow = producer_of(v, "Pow"); pow && scalar_of(input(*pow, 1)) == -0.5)
    return pow->inputs[0];
  return nullptr;
}

std::vector<int64_t> trailing_dims(const Shape& shape, int64_t axis) {
  std::vector<int64_t> dims;
  for (size_t i = size_t(axis); i < shape.size(); ++i) {
    if (!shape[i].is_constant()) return {};
    dims.push_back(shape[i].value());
  }
  return dims;
}

}  // namespace

std::optional<int64_t> trailing_axes(const Node& mean) {
  const int64_t rank = mean.inputs[0]->type.rank();
  auto axes = ints_input(mean, 1);
  if (!axes || axes->empty() || int_attr(mean, "keepdims", 1) == 0) return std::nullopt;
  for (int64_t& a : *axes) a = a < 0 ? a + rank : a;
  std::sort(axes->begin(), axes->end());
  for (size_t i = 0; i < axes->size(); ++i)
    if ((*axes)[i] != rank - int64_t(axes->size() - i)) return std::nullopt;
  return axes->front();
}

std::optional<RootMeanSquare> match_root_mean_square(Node* node) {
  if (node->inputs.size() != 2) return std::nullopt;
  const auto with = [](const Value* e, const Value* d) -> std::optional<RootMeanSquare> {
    auto match = e ? shifted_mean(e) : std::nullopt;
    return match && match->d == d ? match : std::nullopt;
  };
  if (node->op == "Div") return with(root_of(node->inputs[1]), node->inputs[0]);
  if (node->op != "Mul") return std::nullopt;
  if (auto match = with(reciprocal_root_of(node->inputs[1]), node->inputs[0])) return match;
  return with(reciprocal_root_of(node->inputs[0]), node->inputs[1]);
}

Value* trailing_constant(Graph& graph, const Value* v, const Shape& shape, int64_t axis) {
  const std::vector<int64_t> dims = trailing_dims(shape, axis);
  if (!v || !v->constant || dims.empty() || !ir::is_float(v->type.dtype)) return nullptr;
  const Tensor& t = *v->constant;
  const int64_t count = ir::element_count(dims);
  if (count < 1 || count > int64_t(1) << 24) return nullptr;
  if (t.count() == 1) {
    const std::vector<double> spread(size_t(count), t.f64(0));
    return graph.add_constant(v->name, Tensor::from_f64(t.dtype(), dims, spread));
  }
  // Its own dims are those of the shape's end, with ones in front.
  for (int i = 0; i < t.rank(); ++i) {
    const int64_t at = int64_t(dims.size()) - t.rank() + i;
    if (t.dim(i) != (at < 0 ? 1 : dims[size_t(at)])) return nullptr;
  }
  if (t.count() != count) return nullptr;
  return graph.add_constant(v->name, t.reshaped(dims));
}

Value* trailing_ones(Graph& graph, DataType dtype, const Shape& shape, int64_t axis) {
  const std::vector<int64_t> dims = trailing_dims(shape, axis);
  if (dims.empty() || ir::element_count(dims) > int64_t(1) << 24) return nullptr;
  const std::vector<double> ones(size_t(ir::element_count(dims)), 1.0);
  return graph.add_constant("ones", Tensor::from_f64(dtype, dims, ones));
}

}  // namespace planish::passes
