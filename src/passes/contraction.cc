#include "passes/contraction.h"

#include <algorithm>
#include <cmath>

namespace planish::passes {
namespace {

bool all_zero(const std::vector<int64_t>& list) {
  return std::all_of(list.begin(), list.end(), [](int64_t v) { return v == 0; });
}
bool all_zero(const std::vector<double>& list) {
  return std::all_of(list.begin(), list.end(), [](double v) { return v == 0; });
}

// Output and input channel of every weight, by flat index.
struct WeightIndex {
  int64_t output, input;
};
class WeightMap {
 public:
  WeightMap(const Contraction& c, const Tensor& w) : node_(*c.node) {
    const auto& dims = w.dims();
    if (node_.op == "Conv" || node_.op == "ConvTranspose") {
      second_ = dims[1];
      for (size_t i = 2; i < dims.size(); ++i) kernel_ *= dims[i];
      const int64_t group = int_attr(node_, "group", 1);
      per_group_ = std::max<int64_t>(dims[0] / std::max<int64_t>(group, 1), 1);
    } else {
      rows_ = dims[dims.size() - 2];
      columns_ = dims.back();
      transposed_ = node_.op == "Gemm" && int_attr(node_, "transB", 0) != 0;
    }
  }
  WeightIndex at(int64_t i) const {
    if (node_.op == "Conv" || node_.op == "ConvTranspose") {
      const int64_t first = i / (second_ * kernel_), inner = i / kernel_ % second_;
      const int64_t of_group = first / per_group_ * second_ + inner;
      return node_.op == "Conv" ? WeightIndex{first, of_group} : WeightIndex{of_group, first};
    }
    const int64_t row = i / columns_ % rows_, column = i % columns_;
    return transposed_ ? WeightIndex{row, column} : WeightIndex{column, row};
  }

 private:
  const Node& node_;
  int64_t second_ = 1, kernel_ = 1, per_group_ = 1;
  int64_t rows_ = 1, columns_ = 1;
  bool transposed_ = false;
};

// The bias as one value per output channel; nullopt when it is something else.
std::optional<std::vector<double>> bias_of(const Contraction& c) {
  const Tensor* bias = constant_input(*c.node, 2);
  std::vector<double> out(size_t(c.outputs), 0.0);
  if (!bias) return out;
  const bool row = bias->rank() >= 1 && bias->count() == c.outputs &&
                   bias->dim(bias->rank() - 1) == c.outputs;
  if (!row && bias->count() != 1) return std::nullopt;
  for (size_t i = 0; i < out.size(); ++i) out[i] = bias->f64(row ? int64_t(i) : 0);
  return out;
}

// A tensor of the rounded values; nullopt when one is not finite in the type.
std::optional<Tensor> rounded(DataType dtype, std::vector<int64_t> dims,
                              const std::vector<double>& values) {
  for (double v : values)
    if (!std::isfinite(ir::round_to(dtype, v))) return std::nullopt;
  return Tensor::from_f64(dtype, std::move(dims), values);
}

bool put(Graph& graph, const Contraction& c, const std::vector<double>& weights,
         const std::vector<double>& bias) {
  Node& node = *c.node;
  const Tensor& old = *node.inputs[1]->constant;
  auto w = rounded(old.dtype(), old.dims(), weights);
  if (!w) return false;
  std::optional<Tensor> b;
  const bool has_bias = input(node, 2) || !all_zero(bias);
  if (has_bias) {
    if (!c.takes_bias) return false;
    b = rounded(old.dtype(), {c.outputs}, bias);
    if (!b) return false;
  }
  const auto set = [&](int index, Tensor tensor, const std::string& name) {
    Value* before = input(node, index);
    Value* v = graph.add_constant(name, std::move(tensor));
    if (index < int(node.inputs.size())) graph.set_input(&node, index, v);
    else graph.add_operand(&node, v);
    if (before && before->uses.empty() && !is_pinned(graph, before)) graph.erase_value(before);
  };
  set(1, std::move(*w), node.inputs[1]->name);
  if (b) set(2, std::move(*b), input(node, 2) ? node.inputs[2]->name : node.inputs[1]->name + "_bias");
  if (node.op == "Gemm") node.attrs["beta"] = 1.0;
  return true;
}

std::vector<double> scaled(const Contraction& c, const std::vector<double>& a, bool by_output) {
  const Tensor& w = *c.node->inputs[1]->constant;
  const WeightMap map(c, w);
  std::vector<double> values = w.f64_values();
  for (size_t i = 0; i < values.size(); ++i) {
    const WeightIndex at = map.at(int64_t(i));
    values[i] *= a[size_t(by_output ? at.output : at.input)];
  }
  return values;
}

}  // namespace

std::optional<Contraction> contraction_of(Node* node) {
  if (!node) return std::nullopt;
  const bool conv = node->op == "Conv" || node->op == "ConvTranspose";
  if (!conv && node->op != "Gemm" && node->op != "MatMul") return std::nullopt;
  const Tensor* w = constant_input(*node, 1);
  if (!w || !ir::is_float(w->dtype()) || w->count() == 0 || w->rank() < 2) return std::nullopt;
  if (input(*node, 2) && !constant_input(*node, 2)) return std::nullopt;
  // A large weight that others read, too, would be stored twice.
  if (node->inputs[1]->uses.size() > 1 && w->count() > 65536) return std::nullopt;
  Contraction c;
  c.node = node;
  if (conv) {
    const int64_t group = int_attr(*node, "group", 1);
    c.outputs = node->op == "Conv" ? w->dim(0) : w->dim(1) * group;
    c.inputs = node->op == "Conv" ? w->dim(1) * group : w->dim(0);
    c.output_axis = c.input_axis = 1;
    const std::string auto_pad = string_attr(*node, "auto_pad", "NOTSET");
    c.takes_input_shift = node->op == "Conv" && all_zero(ints_attr(*node, "pads")) &&
                          (auto_pad == "NOTSET" || auto_pad == "VALID");
    return c;
  }
  const bool transposed = node->op == "Gemm" && int_attr(*node, "transB", 0) != 0;
  if (node->op == "Gemm") {
    if (w->rank() != 2 || float_attr(*node, "alpha", 1) != 1 ||
        int_attr(*node, "transA", 0) != 0 ||
        (input(*node, 2) && float_attr(*node, "beta", 1) != 1))
      return std::nullopt;
  } else {
    c.takes_bias = c.takes_input_shift = false;
    if (node->inputs[0]->type.rank() < 2) return std::nullopt;
  }
  c.outputs = w->dim(w->rank() - (transposed ? 2 : 1));
  c.inputs = w->dim(w->rank() - (transposed ? 1 : 2));
  c.output_axis = node->outputs[0]->type.rank() - 1;
  c.input_axis = node->inputs[0]->type.rank() - 1;
  return c;
}

std::optional<std::vector<double>> per_channel(const Value* constant, const Shape& shape, int axis,
                                               int64_t channels) {
  if (!constant || !constant->constant) return std::nullopt;
  const Tensor& t = *constant->constant;
  const int skip = int(shape.size()) - t.rank();
  if (skip < 0 || !ir::is_float(t.dtype())) return std::nullopt;
  for (int i = 0; i < t.rank(); ++i)
    if (t.dim(i) != 1 && (i + skip != axis || t.dim(i) != channels)) return std::nullopt;
  std::vector<double> out(static_cast<size_t>(channels));
  for (size_t i = 0; i < out.size(); ++i) out[i] = t.f64(t.count() == 1 ? 0 : int64_t(i));
  return out;
}

bool scale_outputs(Graph& graph, const Contraction& c, const std::vector<double>& a,
                   const std::vector<double>& b) {
  auto bias = bias_of(c);
  if (!bias) return false;
  for (size_t i = 0; i < bias->size(); ++i) (*bias)[i] = (*bias)[i] * a[i] + b[i];
  return put(graph, c, scaled(c, a, true), *bias);
}

bool scale_inputs(Graph& graph, const Contraction& c, const std::vector<double>& a,
                  const std::vector<double>& b) {
  if (!all_zero(b) && !c.takes_input_shift) return false;
  auto bias = bias_of(c);
  if (!bias) return false;
  const Tensor& w = *c.node->inputs[1]->constant;
  const WeightMap map(c, w);
  if (!all_zero(b))
    for (int64_t i = 0; i < w.count(); ++i) {
      const WeightIndex at = map.at(i);
      (*bias)[size_t(at.output)] += w.f64(i) * b[size_t(at.input)];
    }
  return put(graph, c, scaled(c, a, false), *bias);
}

}  // namespace planish::passes
