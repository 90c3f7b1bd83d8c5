#include "passes/contraction.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>

#include "base/build_team.h"

namespace planish::passes {
namespace {

bool all_zero(const std::vector<int64_t>& list) {
  return std::all_of(list.begin(), list.end(), [](int64_t v) { return v == 0; });
}
bool all_zero(const std::vector<double>& list) {
  return std::all_of(list.begin(), list.end(), [](double v) { return v == 0; });
}

// Calls visit(begin, count, output, input) for runs of weights that share both channels.
template <class Visit>
void for_each_run(const Contraction& c, const Tensor& w, Visit visit) {
  const auto& dims = w.dims();
  if (c.node->op == "Conv" || c.node->op == "ConvTranspose") {
    const bool forward = c.node->op == "Conv";
    int64_t kernel = 1;
    for (size_t i = 2; i < dims.size(); ++i) kernel *= dims[i];
    const int64_t group = std::max<int64_t>(int_attr(*c.node, "group", 1), 1);
    const int64_t per_group = std::max<int64_t>(dims[0] / group, 1);
    for (int64_t first = 0; first < dims[0]; ++first)
      for (int64_t second = 0; second < dims[1]; ++second) {
        const int64_t of_group = first / per_group * dims[1] + second;
        visit((first * dims[1] + second) * kernel, kernel, forward ? first : of_group,
              forward ? of_group : first);
      }
    return;
  }
  const bool transposed = c.node->op == "Gemm" && int_attr(*c.node, "transB", 0) != 0;
  const int64_t columns = dims.back(), rows = dims[dims.size() - 2];
  for (int64_t begin = 0, row = 0; begin < w.count(); begin += columns, row = (row + 1) % rows)
    for (int64_t column = 0; column < columns; ++column)
      visit(begin + column, int64_t(1), transposed ? row : column, transposed ? column : row);
}

// Calls visit(begin, count, channel) for runs of weights that share an output (or input) channel, as
// long as the order of the weights lets them be; by several threads where that is worth it.
template <class Visit>
void for_each_channel_run(const Contraction& c, const Tensor& w, bool by_output, Visit visit) {
  const bool rows_are_outputs =
      c.node->op == "Conv" || (c.node->op == "Gemm" && int_attr(*c.node, "transB", 0) != 0);
  if (by_output && rows_are_outputs) {
    const int64_t outputs = w.dim(0), count = w.count() / std::max<int64_t>(outputs, 1);
    const auto visit_rows = [&](int64_t begin, int64_t end, int) {
      for (int64_t output = begin; output < end; ++output) visit(output * count, count, output);
    };
    constexpr int64_t kBlock = 1 << 14, kWorthThreads = 1 << 17;
    if (w.count() < kWorthThreads) visit_rows(0, outputs, 0);
    else build_team().parallel_for(outputs, visit_rows, std::max<int64_t>(1, kBlock / std::max<int64_t>(count, 1)));
    return;
  }
  for_each_run(c, w, [&](int64_t begin, int64_t count, int64_t output, int64_t input) {
    visit(begin, count, by_output ? output : input);
  });
}

// to = from * factor, rounded once; false when one of them is not finite.
bool scale_run(const float* from, float* to, int64_t count, double factor) {
  constexpr uint32_t kExponent = 0x7f800000;
  uint32_t not_finite = 0;
  for (int64_t i = 0; i < count; ++i) {
    to[i] = float(double(from[i]) * factor);
    not_finite |= uint32_t((std::bit_cast<uint32_t>(to[i]) & kExponent) == kExponent);
  }
  return not_finite == 0;
}

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

// The weights times a factor per output or input channel; nullopt when one leaves the type's range.
std::optional<Tensor> scaled(const Contraction& c, const std::vector<double>& a, bool by_output) {
  const Tensor& w = *c.node->inputs[1]->constant;
  if (std::all_of(a.begin(), a.end(), [](double v) { return v == 1; })) return w;
  std::atomic<bool> finite{true};
  Tensor out;
  if (w.dtype() == DataType::kF32) {
    out = Tensor(w.dtype(), w.dims());
    auto* data = out.mutable_data_as<float>();
    const float* from = w.data_as<float>();
    for_each_channel_run(c, w, by_output, [&](int64_t begin, int64_t count, int64_t channel) {
      if (!scale_run(from + begin, data + begin, count, a[size_t(channel)])) finite = false;
    });
  } else {
    out = Tensor(w.dtype(), w.dims());
    for_each_channel_run(c, w, by_output, [&](int64_t begin, int64_t count, int64_t channel) {
      const double factor = a[size_t(channel)];
      for (int64_t i = begin; i < begin + count; ++i) {
        out.set_f64(i, w.f64(i) * factor);
        if (!std::isfinite(out.f64(i))) finite = false;
      }
    });
  }
  if (!finite) return std::nullopt;
  return out;
}

bool put(Graph& graph, const Contraction& c, std::optional<Tensor> weights,
         const std::vector<double>& bias) {
  if (!weights) return false;
  Node& node = *c.node;
  const Tensor& old = *node.inputs[1]->constant;
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
  const std::string name = node.inputs[1]->name;
  const std::string bias_name = input(node, 2) ? node.inputs[2]->name : name + "_bias";
  if (weights->data() != old.data()) set(1, std::move(*weights), name);
  if (b) set(2, std::move(*b), bias_name);
  if (node.op == "Gemm") node.attrs["beta"] = 1.0;
  return true;
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
  if (!all_zero(b))
    for_each_run(c, w, [&](int64_t begin, int64_t count, int64_t output, int64_t input) {
      double sum = 0;
      for (int64_t i = begin; i < begin + count; ++i) sum += w.f64(i);
      (*bias)[size_t(output)] += sum * b[size_t(input)];
    });
  return put(graph, c, scaled(c, a, false), *bias);
}

}  // namespace planish::passes
