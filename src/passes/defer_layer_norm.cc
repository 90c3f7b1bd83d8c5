// defer_layer_norm: a LayerNormalization between products becomes part of them. What makes its rows
// leaves their PartialMoments; each reader joins these to mean m and scale r of a row:
//
//   LN(x) W + b            = r (x (gamma W) - m c) + d,   c = sum of gamma W, d = beta W + b
//   z + LN(x)              = z + (x - m) r gamma + beta
//
// so that x is read as it was made and the normalization takes no step of its own. Only for 16-bit
// values whose maker is a product with constant weights and whose readers are products with constant
// weights, or additions behind one. Whether it pays is the compiler's affair: it prices both graphs.
#include <algorithm>
#include <cmath>

#include "base/build_team.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace planish::passes {
namespace {

bool is_product(const Node& node) {
  const Tensor* w = constant_input(node, 1);
  return node.op == "MatMul" && w && w->rank() == 2 && node.inputs[1]->uses.size() == 1;
}

// A product stands behind `v` with up to `depth` elementwise nodes of one shape between them.
bool is_made_by_product(const PassContext& context, const Value* v, int depth = 4) {
  const Node* node = v->producer;
  if (!node || is_product(*node)) return node != nullptr;
  if (depth == 0 || !is_elementwise(context, *node)) return false;
  return std::any_of(node->inputs.begin(), node->inputs.end(), [&](const Value* operand) {
    return operand && operand->type.shape == v->type.shape &&
           is_made_by_product(context, operand, depth - 1);
  });
}

// Elements of a part of a row of `size`: tiles of kernels are multiples of it. 0: the row has none.
int64_t part_width(int64_t size) {
  for (int64_t width : {48, 32})
    if (size % width == 0) return width;
  return 0;
}

struct Match {
  Node* norm;
  Value* x;
  std::vector<double> gamma, beta;
  int64_t width;
  double epsilon;
};

std::optional<Match> match(const Graph& graph, const PassContext& context, Node* norm) {
  Value *x = norm->inputs[0], *y = norm->outputs[0];
  const int rank = x->type.rank();
  const int64_t axis = int_attr(*norm, "axis", -1);
  const bool narrow = x->type.dtype == DataType::kF16 || x->type.dtype == DataType::kBF16;
  const Tensor *gamma = constant_input(*norm, 1), *beta = constant_input(*norm, 2);
  if (!narrow || rank < 2 || (axis != -1 && axis != rank - 1) || !gamma || is_pinned(graph, y) ||
      y->uses.empty() || (input(*norm, 2) && !beta))
    return std::nullopt;
  for (size_t i = 1; i < norm->outputs.size(); ++i)
    if (!norm->outputs[i]->uses.empty() || is_pinned(graph, norm->outputs[i])) return std::nullopt;
  const auto size = x->type.shape.back().constant();
  if (!size || gamma->count() != *size || (beta && beta->count() != *size)) return std::nullopt;
  Match m{norm, x, gamma->f64_values(), {}, part_width(*size), float_attr(*norm, "epsilon", 1e-5)};
  m.beta = beta ? beta->f64_values() : std::vector<double>(size_t(*size), 0.0);
  if (m.width == 0 || !is_made_by_product(context, x)) return std::nullopt;
  for (const ir::Use& use : y->uses) {
    const bool product = is_product(*use.node) && use.index == 0;
    const bool sum = use.node->op == "Add" && use.node->inputs[0] != use.node->inputs[1] &&
                     use.node->outputs[0]->type.shape == y->type.shape &&
                     is_made_by_product(context, use.node->outputs[0]);
    if (!product && !sum) return std::nullopt;
  }
  return m;
}

// Writes the readers anew, each with statistics of its own to join.
class Writer {
 public:
  Writer(Graph& graph, PassContext& context, const Match& m) : graph_(graph), context_(context), m_(m) {}

  Status write() {
    PLANISH_ASSIGN_OR_RETURN(partial_, add_op(graph_, context_, "PartialMoments", {m_.x},
                                              {{"width", m_.width}}, m_.norm));
    const std::vector<ir::Use> uses = m_.norm->outputs[0]->uses;
    for (const ir::Use& use : uses) {
      anchor_ = use.node;
      PLANISH_ASSIGN_OR_RETURN(Node * join, add_node(graph_, context_, "JoinMoments", {partial_},
                                                     {{"width", m_.width}, {"epsilon", m_.epsilon}},
                                                     anchor_, 2));
      mean_ = join->outputs[0];
      scale_ = join->outputs[1];
      PLANISH_RETURN_IF_ERROR(use.node->op == "Add" ? write_sum(use) : write_product(use.node));
    }
    // With its last reader, a product, it is gone already.
    const auto is_norm = [&](const auto& node) { return node.get() == m_.norm; };
    if (std::any_of(graph_.nodes().begin(), graph_.nodes().end(), is_norm))
      erase_unused(graph_, m_.norm);
    return ok_status();
  }

 private:
  Result<Value*> op(std::string name, std::vector<Value*> inputs, Attributes attrs = {}) {
    return add_op(graph_, context_, std::move(name), std::move(inputs), std::move(attrs), anchor_);
  }
  Result<Value*> cast(Value* v, DataType to) { return op("Cast", {v}, {{"to", to}}); }
  Value* vector(const std::vector<double>& values, std::string_view hint, DataType dtype) {
    return graph_.add_constant(std::string(hint),
                               Tensor::from_f64(dtype, {int64_t(values.size())}, values));
  }

  Status write_sum(const ir::Use& use) {
    const DataType type = m_.x->type.dtype;
    PLANISH_ASSIGN_OR_RETURN(Value * v, cast(m_.x, DataType::kF32));
    PLANISH_ASSIGN_OR_RETURN(v, op("Sub", {v, mean_}));
    PLANISH_ASSIGN_OR_RETURN(v, op("Mul", {v, scale_}));
    PLANISH_ASSIGN_OR_RETURN(v, cast(v, type));
    PLANISH_ASSIGN_OR_RETURN(v, op("Mul", {v, vector(m_.gamma, "gamma", type)}));
    PLANISH_ASSIGN_OR_RETURN(v, op("Add", {v, vector(m_.beta, "beta", type)}));
    graph_.set_input(use.node, use.index, v);
    return ok_status();
  }

  Status write_product(Node* product) {
    const Tensor& w = *product->inputs[1]->constant;
    const DataType type = w.dtype();
    const int64_t depth = w.dim(0), channels = w.dim(1);
    Node* last = product;
    std::vector<double> shift(static_cast<size_t>(channels), 0.0), sums = shift;
    if (Node* add = bias_behind(product, channels)) {
      last = add;
      const int at = add->inputs[0] == product->outputs[0] ? 1 : 0;
      shift = constant_input(*add, at)->f64_values();
    }
    Tensor scaled(type, w.dims());
    // Columns by several threads, each summed in the order of its rows.
    build_team().parallel_for(channels, [&](int64_t begin, int64_t end, int) {
      for (int64_t k = 0; k < depth; ++k)
        for (int64_t n = begin; n < end; ++n) {
          const int64_t i = k * channels + n;
          const double value = w.f64(i);
          shift[size_t(n)] += m_.beta[size_t(k)] * value;
          scaled.set_f64(i, value * m_.gamma[size_t(k)]);
          sums[size_t(n)] += scaled.f64(i);  // as it was rounded
        }
    }, 64);
    Value* weights = graph_.add_constant(product->inputs[1]->name, scaled);
    PLANISH_ASSIGN_OR_RETURN(Value * v, op("MatMul", {m_.x, weights}));
    PLANISH_ASSIGN_OR_RETURN(v, cast(v, DataType::kF32));
    PLANISH_ASSIGN_OR_RETURN(Value * shifted,
                             op("Mul", {mean_, vector(sums, "weight_sums", DataType::kF32)}));
    PLANISH_ASSIGN_OR_RETURN(v, op("Sub", {v, shifted}));
    PLANISH_ASSIGN_OR_RETURN(v, op("Mul", {v, scale_}));
    PLANISH_ASSIGN_OR_RETURN(v, op("Add", {v, vector(shift, "shift", DataType::kF32)}));
    PLANISH_ASSIGN_OR_RETURN(v, cast(v, type));
    add_sources(*v->producer, *last);
    replace(graph_, last->outputs[0], v);
    erase_unused(graph_, last);
    return ok_status();
  }

  Node* bias_behind(Node* product, int64_t channels) const {
    const Value* y = product->outputs[0];
    if (!used_once(graph_, y) || y->uses[0].node->op != "Add") return nullptr;
    const Tensor* bias = constant_input(*y->uses[0].node, 1 - y->uses[0].index);
    return bias && bias->rank() == 1 && bias->count() == channels ? y->uses[0].node : nullptr;
  }

  Graph& graph_;
  PassContext& context_;
  const Match& m_;
  Node* anchor_ = nullptr;
  Value *partial_ = nullptr, *mean_ = nullptr, *scale_ = nullptr;
};

}  // namespace

Result<bool> defer_layer_norm(Graph& graph, PassContext& context) {
  std::vector<Node*> norms;
  for (const auto& node : graph.nodes())
    if (node->op == "LayerNormalization") norms.push_back(node.get());
  bool changed = false;
  for (Node* norm : norms) {
    const auto m = match(graph, context, norm);
    if (!m) continue;
    PLANISH_RETURN_IF_ERROR(Writer(graph, context, *m).write());
    context.count("defer_layer_norm");
    changed = true;
  }
  if (changed && !graph.sort()) return internal_error("deferring a normalization made a cycle");
  return changed;
}

}  // namespace planish::passes
