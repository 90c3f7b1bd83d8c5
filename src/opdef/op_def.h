// OpDef: everything the project knows about one operator, in one place.
//
// An op's file fills an OpDef: documentation, inputs, outputs, attributes with defaults, symbolic
// shape inference, reference evaluation, fusion kind, and importers. `register_x(OpRegistry&)`
// adds it; ops/register_ops.cc lists those functions. Ops follow the newest ONNX opset's meaning
// (NCHW order, axes as attributes or inputs as ONNX has them); an importer brings older opsets and
// other frameworks to that form.
//
// Reference evaluation is plain loops in double (Tensor::f64_values): infer() is run first with all
// input values known, so evaluate() finds its outputs allocated with their final types. Only ops
// whose output dims depend on data (infer made fresh symbols) call ctx.set_output.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "ir/graph.h"
#include "kernel/expr.h"
#include "opdef/attr_spec.h"

namespace planish::opdef {

using ir::Dim;
using ir::DataType;
using ir::Shape;
using ir::Tensor;
using ir::TensorType;

class InferContext;
class EvalContext;
class ExpressionContext;
class ImportContext;
class NodeView;

enum class FusionKind {
  kElementwise,   // has an expression(); broadcasts by NumPy's rule
  kInjective,     // moves elements: each output element copies one input element (or a constant)
  kReduction,     // softmax, normalization, reduce, pooling
  kContraction,   // conv, matmul: sum of products over K
  kOpaque,        // no fusion
};

struct ValueSpec {
  std::string name;
  TypeSet types;            // allowed element types
  std::string doc;
  bool optional = false;
  bool variadic = false;    // the last one only
  // Inputs that share a letter must have one element type ("T"); empty: free.
  std::string type_var = "T";
};

// An importer turns one foreign node into IR nodes: it reads the NodeView, adds nodes through the
// ImportContext and sets the outputs. nullptr: one to one under the op's own names.
using Importer = Status (*)(const NodeView& node, ImportContext& context);
struct ImportRule {
  std::string op_type;
  std::string domain;       // ONNX domain; empty is ai.onnx. Unused for TensorFlow
  int since = 1, until = 1 << 30;  // opset versions, inclusive
  Importer import = nullptr;
};

struct OpDef {
  std::string name;
  std::string doc;
  std::vector<ValueSpec> inputs;
  std::vector<ValueSpec> outputs;
  std::vector<AttrSpec> attrs;
  FusionKind kind = FusionKind::kOpaque;
  bool random = false;      // never folded, never merged
  bool has_subgraphs = false;
  // Output 0 holds input 0's elements in the same row-major order: a view, never a step.
  bool is_view = false;
  // Number of inputs (from the front) that only matter as values at compile time when constant:
  // shapes, axes, pads. Small integer tensors; kept on the host. Bit i: input i.
  uint32_t host_inputs = 0;

  // Sets every output's type (and content of small integer outputs). Called on symbolic types and,
  // before evaluate(), on concrete ones with every input's value known.
  Status (*infer)(InferContext&) = nullptr;
  Status (*evaluate)(EvalContext&) = nullptr;
  // Elementwise ops: the expression of the one output over the inputs, in place of evaluate.
  Status (*expression)(ExpressionContext&) = nullptr;
  // Length of the sums that one output element accumulates (K of habits' error bound); null: 1.
  int64_t (*accumulation)(const ir::Node&) = nullptr;

  std::vector<ImportRule> onnx;        // empty: {name, "", 1..} one to one
  std::vector<ImportRule> tensorflow;

  const AttrSpec* find_attr(std::string_view key) const;
};

class OpRegistry {
 public:
  // PLANISH_CHECKs that the definition is complete and the name new.
  void add(OpDef def);
  const OpDef* find(std::string_view name) const;
  struct Rule {
    const OpDef* op;
    const ImportRule* rule;
  };
  // The rule for (domain, op_type) at that opset; null op when there is none.
  Rule find_onnx(std::string_view domain, std::string_view op_type, int opset) const;
  Rule find_tensorflow(std::string_view op_type) const;
  // Why an operator that is known is not taken: the words that the user reads. An empty op_type
  // stands for the whole domain.
  void add_refusal(std::string domain, std::string op_type, std::string reason);
  // Empty when nothing is known of the operator.
  std::string_view refusal_reason(std::string_view domain, std::string_view op_type) const;
  // Sorted by name.
  std::vector<const OpDef*> all() const;

 private:
  std::map<std::string, std::unique_ptr<OpDef>, std::less<>> ops_;
  std::multimap<std::pair<std::string, std::string>, Rule> onnx_;
  std::map<std::string, Rule, std::less<>> tensorflow_;
  std::map<std::pair<std::string, std::string>, std::string> refusals_;
};

// Shape inference of one node. Input values are visible when constant.
class InferContext {
 public:
  // `fresh` makes symbols for data-dependent dims: Dim(hint, info).
  using NewSymbol = std::function<Dim(std::string_view, ir::SymbolInfo)>;
  // Types of a body's outputs for given input types (If, Loop, Scan, regions).
  using InferBody = std::function<Result<std::vector<TensorType>>(
      ir::Graph& body, std::span<const TensorType> inputs)>;
  struct Input {
    bool present = false;
    TensorType type;
    const Tensor* value = nullptr;                  // known elements
    const std::vector<Dim>* content = nullptr;      // elements as dim expressions
  };
  struct Output {
    TensorType type;
    std::optional<std::vector<Dim>> content;
    bool is_set = false;
  };
  InferContext(const OpDef& op, const ir::Attributes& attrs, std::vector<Input> inputs,
               int output_count, NewSymbol new_symbol, InferBody infer_body);

  const OpDef& op() const { return op_; }
  int input_count() const { return int(inputs_.size()); }
  int output_count() const { return int(outputs_.size()); }
  bool has_input(int i) const { return i < input_count() && inputs_[size_t(i)].present; }
  const TensorType& type(int i) const;   // PLANISH_CHECKs has_input(i)
  const Shape& shape(int i) const { return type(i).shape; }
  DataType dtype(int i) const { return type(i).dtype; }
  int rank(int i) const { return type(i).rank(); }
  const Tensor* value(int i) const { return has_input(i) ? inputs_[size_t(i)].value : nullptr; }
  // Elements of an integer input as dims: from its value or its content; null when not known.
  std::optional<std::vector<Dim>> content(int i) const;
  // Elements as plain integers; nullopt when not known or symbolic.
  std::optional<std::vector<int64_t>> ints(int i) const;

  int64_t attr_int(std::string_view key) const;
  double attr_float(std::string_view key) const;
  const std::string& attr_string(std::string_view key) const;
  const std::vector<int64_t>& attr_ints(std::string_view key) const;
  bool has_attr(std::string_view key) const;
  const ir::Attributes& attrs() const { return attrs_; }
  // "axis" style: maps -rank..rank-1 to 0..rank-1 or an error that names the attribute.
  Result<int> axis(std::string_view key, int rank) const;

  void set_output(int i, DataType dtype, Shape shape);
  void set_content(int i, std::vector<Dim> content);
  Dim new_symbol(std::string_view hint, ir::SymbolInfo info) { return new_symbol_(hint, info); }
  // Bounds of symbols, for whoever knows the graph; without them a symbol is at least 0.
  using SymbolBounds = std::function<Dim::Range(std::string_view)>;
  void set_symbol_bounds(SymbolBounds bounds) { symbol_bounds_ = std::move(bounds); }
  Dim::Range range(const Dim& dim) const {
    return dim.range([this](std::string_view name) {
      return symbol_bounds_ ? symbol_bounds_(name) : Dim::Range{0, std::nullopt};
    });
  }
  Result<std::vector<TensorType>> infer_body(std::string_view attr,
                                             std::span<const TensorType> inputs);
  std::span<Output> outputs() { return outputs_; }

 private:
  const OpDef& op_;
  const ir::Attributes& attrs_;
  std::vector<Input> inputs_;
  std::vector<Output> outputs_;
  NewSymbol new_symbol_;
  InferBody infer_body_;
  SymbolBounds symbol_bounds_;
};

// Reference evaluation of one node on concrete tensors.
class EvalContext {
 public:
  using RunBody = std::function<Result<std::vector<Tensor>>(const ir::Graph& body,
                                                            std::span<const Tensor> inputs)>;
  EvalContext(const OpDef& op, const ir::Attributes& attrs, std::span<const Tensor* const> inputs,
              std::vector<TensorType> output_types, RunBody run_body);

  const OpDef& op() const { return op_; }
  int input_count() const { return int(inputs_.size()); }
  int output_count() const { return int(types_.size()); }
  bool has_input(int i) const { return i < input_count() && inputs_[size_t(i)]; }
  const Tensor& input(int i) const;  // PLANISH_CHECKs has_input(i)
  // Zero-filled, allocated on first use with the inferred type.
  Tensor& output(int i);
  DataType output_dtype(int i) const { return types_[size_t(i)].dtype; }
  // May hold symbols that only the data bind; see set_output().
  const TensorType& output_type(int i) const { return types_[size_t(i)]; }
  // The inferred dims; PLANISH_CHECKs that they are concrete.
  std::vector<int64_t> output_dims(int i) const { return ir::to_dims(types_[size_t(i)].shape); }
  // For dims that infer could not know; the dtype must be the inferred one.
  void set_output(int i, Tensor tensor);

  const ir::Attributes& attrs() const { return attrs_; }
  int64_t attr_int(std::string_view key) const;
  double attr_float(std::string_view key) const;
  const std::string& attr_string(std::string_view key) const;
  const std::vector<int64_t>& attr_ints(std::string_view key) const;
  bool has_attr(std::string_view key) const;
  Result<std::vector<Tensor>> run_body(std::string_view attr, std::span<const Tensor> inputs) const;
  Result<std::vector<Tensor>> take_outputs();

 private:
  const OpDef& op_;
  const ir::Attributes& attrs_;
  std::span<const Tensor* const> inputs_;
  std::vector<TensorType> types_;
  std::vector<Tensor> outputs_;
  std::vector<bool> is_set_;
  RunBody run_body_;
};

// Builds the expression of an elementwise node.
class ExpressionContext {
 public:
  ExpressionContext(kernel::ExprBuilder& builder, const ir::Attributes& attrs,
                    std::vector<int> args, DataType output)
      : builder_(builder), attrs_(attrs), args_(std::move(args)), output_(output) {}
  kernel::ExprBuilder& builder() { return builder_; }
  int arg_count() const { return int(args_.size()); }
  bool has_arg(int i) const { return i < arg_count() && args_[size_t(i)] >= 0; }
  int arg(int i) const { return args_[size_t(i)]; }  // expression node, -1 when absent
  DataType dtype(int i) const { return builder_.dtype(arg(i)); }
  DataType output_dtype() const { return output_; }
  double attr_float(std::string_view key) const;
  int64_t attr_int(std::string_view key) const;
  const std::string& attr_string(std::string_view key) const;
  bool has_attr(std::string_view key) const;
  void set_result(int node) { result_ = node; }
  int result() const { return result_; }

 private:
  kernel::ExprBuilder& builder_;
  const ir::Attributes& attrs_;
  std::vector<int> args_;
  DataType output_;
  int result_ = -1;
};

}  // namespace planish::opdef
