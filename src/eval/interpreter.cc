#include "eval/interpreter.h"

#include <cmath>
#include <map>

#include "base/text.h"
#include "opdef/infer.h"

namespace planish::eval {
namespace {

using ir::DataType;
using ir::Tensor;
using ir::Value;
using opdef::OpDef;

bool is_narrow_float(DataType t) {
  return t == DataType::kF32 || t == DataType::kF16 || t == DataType::kBF16;
}
DataType widened(DataType t) { return is_narrow_float(t) ? DataType::kF64 : t; }

Result<std::vector<Tensor>> evaluate_elementwise(const OpDef& op, const ir::Attributes& attrs,
                                                 std::span<const Tensor* const> inputs,
                                                 const ir::TensorType& output, bool wide) {
  std::vector<std::optional<DataType>> types;
  for (const Tensor* t : inputs)
    types.push_back(t ? std::optional<DataType>(t->dtype()) : std::nullopt);
  PLANISH_ASSIGN_OR_RETURN(kernel::Expr expr,
                           opdef::expression_of(op, attrs, types, output.dtype));
  return evaluate_expr(expr, inputs, ir::to_dims(output.shape), wide);
}

// Binds the symbols of declared input shapes to the given dims, so that contradictions show.
Status bind_inputs(const ir::Graph& graph, std::span<const Tensor> inputs) {
  if (inputs.size() != graph.inputs.size())
    return invalid_argument(
        cat("got ", inputs.size(), " inputs, expected ", graph.inputs.size()));
  std::map<std::string, std::pair<int64_t, std::string>> bound;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Value& declared = *graph.inputs[i];
    const auto wrong = [&] {
      return invalid_argument(cat("input '", declared.name, "': got ",
                                  ir::to_string(inputs[i].type()), ", expected ",
                                  ir::to_string(declared.type)));
    };
    if (inputs[i].rank() != declared.type.rank()) return wrong();
    if (widened(inputs[i].dtype()) != widened(declared.type.dtype)) return wrong();
    for (int d = 0; d < inputs[i].rank(); ++d) {
      const ir::Dim& dim = declared.type.shape[size_t(d)];
      const int64_t got = inputs[i].dim(d);
      if (dim.is_constant() && dim.value() != got) return wrong();
      const std::string symbol = dim.symbol_name();
      if (symbol.empty()) continue;
      auto [it, fresh] = bound.emplace(symbol, std::pair(got, declared.name));
      if (!fresh && it->second.first != got)
        return invalid_argument(cat("input '", declared.name, "': dim ", d, " is ", got, ", but ",
                                    symbol, " is ", it->second.first, " by input '",
                                    it->second.second, "'"));
    }
  }
  return ok_status();
}

// Puts on every element of a contraction the error of a running sum of K products in f32: the root of
// the sum of the squared partial sums, each rounded with an error of u / sqrt(3). Partial sums of
// products p_i that have no common sign grow as sqrt(k mean p^2), those of a common sign as k / K of the
// result R, so the squares add up to K Q / 2 + K R^2 / 3 with Q the sum of p^2: the op of the operands'
// squares. Signs alternate without a pattern.
void round_sums(const opdef::OpRegistry& registry, const OpDef& op, const ir::Node& node,
                std::span<const Tensor* const> inputs, std::vector<Tensor>& outputs) {
  if (!is_narrow_float(outputs[0].dtype())) return;
  std::vector<Tensor> squares(inputs.size());
  std::vector<const Tensor*> pointers;
  ir::Graph alone;  // the node with the dims of this run
  std::vector<Value*> operands;
  for (size_t i = 0; i < inputs.size(); ++i) {
    pointers.push_back(inputs[i] ? &squares[i] : nullptr);
    operands.push_back(inputs[i] ? alone.add_input(cat("x", i), inputs[i]->type()) : nullptr);
    if (!inputs[i]) continue;
    squares[i] = *inputs[i];
    if (!is_narrow_float(squares[i].dtype())) continue;
    std::vector<double> values = squares[i].f64_values();
    for (double& v : values) v *= v;
    squares[i] = Tensor::from_f64(DataType::kF64, inputs[i]->dims(), values);
  }
  Options wide;
  wide.wide = true;
  const auto sums = evaluate_op(registry, op, node.attrs, pointers, int(outputs.size()), wide);
  if (!sums.ok() || (*sums)[0].count() != outputs[0].count()) return;
  const double k = double(op.accumulation(
      *alone.add_node(node.op, operands, node.attrs, {outputs[0].type()})));
  const double u = ir::unit_roundoff(DataType::kF32) / std::sqrt(3.0);
  Tensor rounded = outputs[0].clone();
  uint64_t state = 1;
  for (int64_t i = 0; i < rounded.count(); ++i) {
    const double r = rounded.f64(i);
    const double error = u * std::sqrt(k * (std::fabs((*sums)[0].f64(i)) / 2 + r * r / 3));
    state = state * 0x5851f42d4c957f2du + 0x14057b7ef767814fu;
    rounded.set_f64(i, r + (state >> 63 ? error : -error));
  }
  outputs[0] = std::move(rounded);
}

class Run {
 public:
  Run(const opdef::OpRegistry& registry, const ir::Graph& graph, const Options& options)
      : registry_(registry), graph_(graph), options_(options) {
    for (const auto& [id, value] : graph.values()) uses_left_[id] = int(value->uses.size());
    for (const Value* v : graph.outputs) ++uses_left_[v->id];
  }

  Result<std::vector<Tensor>> run(std::span<const Tensor> inputs) {
    PLANISH_RETURN_IF_ERROR(bind_inputs(graph_, inputs));
    for (size_t i = 0; i < inputs.size(); ++i)
      known_[graph_.inputs[i]->id] = adapted(inputs[i]);
    for (const auto& node : graph_.nodes()) {
      if (options_.cancel && options_.cancel->load(std::memory_order_relaxed))
        return Status(Code::kCancelled, "interpretation was cancelled");
      if (Status s = step(*node); !s.ok()) return s.at(opdef::describe_node(*node));
    }
    std::vector<Tensor> outputs;
    for (const Value* v : graph_.outputs) outputs.push_back(value_of(v));
    return outputs;
  }

 private:
  Tensor adapted(const Tensor& t) const {
    return options_.wide && is_narrow_float(t.dtype()) ? t.converted(DataType::kF64) : t;
  }
  const Tensor& value_of(const Value* v) {
    auto found = known_.find(v->id);
    if (found != known_.end()) return found->second;
    PLANISH_CHECK(v->constant, cat("value '", v->name, "' was not computed"));
    return known_[v->id] = adapted(*v->constant);
  }
  Status step(const ir::Node& node) {
    const OpDef* op = registry_.find(node.op);
    if (!op) return unsupported(cat("no operator is named '", node.op, "'"));
    std::vector<const Tensor*> inputs;
    for (const Value* v : node.inputs) inputs.push_back(v ? &value_of(v) : nullptr);
    auto evaluated = evaluate_op(registry_, *op, node.attrs, inputs, int(node.outputs.size()),
                                 inner_options());
    if (!evaluated.ok() && options_.wide) evaluated = narrow_step(*op, node);
    PLANISH_ASSIGN_OR_RETURN(auto outputs, std::move(evaluated));
    if (options_.rounded_sums && op->kind == opdef::FusionKind::kContraction && op->accumulation)
      round_sums(registry_, *op, node, inputs, outputs);
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (options_.observer) options_.observer(*node.outputs[i], outputs[i]);
      if (uses_left_[node.outputs[i]->id] > 0)
        known_[node.outputs[i]->id] = std::move(outputs[i]);
    }
    for (const Value* v : node.inputs)
      if (v && --uses_left_[v->id] == 0) known_.erase(v->id);
    return ok_status();
  }
  // An op that means something else by wider operands (BitCast), or takes none, is computed in the
  // declared types.
  Result<std::vector<Tensor>> narrow_step(const OpDef& op, const ir::Node& node) {
    std::vector<Tensor> narrow(node.inputs.size());
    std::vector<const Tensor*> inputs;
    for (size_t i = 0; i < narrow.size(); ++i) {
      if (const Value* v = node.inputs[i]) narrow[i] = value_of(v).converted(v->type.dtype);
      inputs.push_back(node.inputs[i] ? &narrow[i] : nullptr);
    }
    Options options = inner_options();
    options.wide = false;
    PLANISH_ASSIGN_OR_RETURN(
        auto outputs,
        evaluate_op(registry_, op, node.attrs, inputs, int(node.outputs.size()), options));
    for (Tensor& t : outputs) t = adapted(t);
    return outputs;
  }
  Options inner_options() const {
    Options inner = options_;
    inner.observer = nullptr;
    return inner;
  }

  const opdef::OpRegistry& registry_;
  const ir::Graph& graph_;
  const Options& options_;
  std::map<int, Tensor> known_;
  std::map<int, int> uses_left_;
};

}  // namespace

Result<std::vector<Tensor>> interpret(const opdef::OpRegistry& registry, const ir::Graph& graph,
                                      std::span<const Tensor> inputs, const Options& options) {
  return Run(registry, graph, options).run(inputs);
}

Result<std::vector<Tensor>> evaluate_op(const opdef::OpRegistry& registry, const OpDef& op,
                                        const ir::Attributes& attrs,
                                        std::span<const Tensor* const> inputs, int output_count,
                                        const Options& options) {
  PLANISH_ASSIGN_OR_RETURN(auto types,
                           opdef::infer_concrete(registry, op, attrs, inputs, output_count));
  for (ir::TensorType& type : types) {
    if (options.wide) type.dtype = widened(type.dtype);
    if (!ir::is_constant(type.shape)) continue;
    const auto count = ir::checked_element_count(ir::to_dims(type.shape));
    if (!count || *count > kDefaultLimits.max_tensor_elements)
      return resource_exhausted(cat("output of type ", ir::to_string(type),
                                    " exceeds max_tensor_elements = ",
                                    kDefaultLimits.max_tensor_elements));
  }
  if (op.expression) return evaluate_elementwise(op, attrs, inputs, types[0], options.wide);
  opdef::EvalContext context(
      op, attrs, inputs, std::move(types),
      [&](const ir::Graph& body, std::span<const Tensor> body_inputs) {
        if (options.run_body) return options.run_body(body, body_inputs);
        return interpret(registry, body, body_inputs, options);
      });
  PLANISH_RETURN_IF_ERROR(op.evaluate(context));
  return context.take_outputs();
}

std::vector<Tensor> evaluate_expr(const kernel::Expr& expr, std::span<const Tensor* const> args,
                                  const std::vector<int64_t>& dims, bool wide) {
  const size_t rank = dims.size();
  const int64_t count = ir::element_count(dims);
  std::vector<Tensor> outputs;
  for (int32_t o : expr.outputs) {
    const DataType t = expr.nodes[size_t(o)].dtype;
    outputs.emplace_back(wide ? widened(t) : t, dims);
  }
  // Per argument and axis: the step of its flat index, 0 where it broadcasts.
  std::vector<std::vector<int64_t>> steps(args.size(), std::vector<int64_t>(rank, 0));
  for (size_t a = 0; a < args.size(); ++a) {
    if (!args[a]) continue;
    const std::vector<int64_t> strides = ir::strides_of(args[a]->dims());
    const size_t skip = rank - strides.size();
    for (size_t d = 0; d < strides.size(); ++d)
      steps[a][skip + d] = args[a]->dim(int(d)) == 1 ? 0 : strides[d];
  }
  std::vector<int64_t> index(rank, 0), at(args.size(), 0);
  std::vector<kernel::ScalarValue> values(args.size()), results(outputs.size());
  for (int64_t i = 0; i < count; ++i) {
    for (size_t a = 0; a < args.size(); ++a) {
      if (!args[a]) continue;
      if (ir::is_float(args[a]->dtype())) values[a].f = args[a]->f64(at[a]);
      else values[a].i = args[a]->i64(at[a]);
    }
    kernel::evaluate(expr, values, results, wide);
    for (size_t o = 0; o < outputs.size(); ++o) {
      if (ir::is_float(outputs[o].dtype())) outputs[o].set_f64(i, results[o].f);
      else outputs[o].set_i64(i, results[o].i);
    }
    for (size_t d = rank; d-- > 0;) {
      ++index[d];
      for (size_t a = 0; a < args.size(); ++a) at[a] += steps[a][d];
      if (index[d] < dims[d]) break;
      for (size_t a = 0; a < args.size(); ++a) at[a] -= steps[a][d] * dims[d];
      index[d] = 0;
    }
  }
  return outputs;
}

}  // namespace planish::eval
