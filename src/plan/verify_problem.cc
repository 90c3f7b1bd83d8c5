// The rules of types and problems; see verify(Problem) in program.h.
#include <algorithm>

#include "base/text.h"
#include "plan/program.h"
#include "plan/verify_types.h"

namespace planish::plan {
namespace {

Status check_layout(const ir::Layout& layout, int rank) {
  if (!layout.perm.empty()) {
    std::vector<bool> seen(size_t(rank), false);
    if (int(layout.perm.size()) != rank)
      return data_loss(cat("the layout permutes ", layout.perm.size(), " dims, expected ", rank));
    for (int8_t p : layout.perm) {
      if (p < 0 || p >= rank || seen[size_t(p)]) return data_loss("the layout is no permutation");
      seen[size_t(p)] = true;
    }
  }
  if (layout.block_dim < -1 || layout.block_dim >= rank)
    return data_loss(cat("the layout blocks dim ", int(layout.block_dim), " of rank ", rank));
  if (layout.block < 1) return data_loss(cat("the layout's block is ", int(layout.block)));
  return ok_status();
}

// Does a dim of an input fit the output's by NumPy's rule? Symbols are given the benefit.
bool broadcasts(const ir::Dim& input, const ir::Dim& output) {
  if (!input.is_constant() || input == ir::Dim(1)) return true;
  return !output.is_constant() || input == output;
}

// One problem with its values' types laid out flat: type_of() searches, and hostile problems are
// long.
class ProblemVerifier {
 public:
  explicit ProblemVerifier(const kernel::Problem& problem) : problem_(problem) {}

  Status run() {
    for (size_t i = 0; i < problem_.operands.size(); ++i)
      if (Status s = operand(problem_.operands[i]); !s.ok()) return s.at(cat("operand ", i));
    if (problem_.stages.empty()) return data_loss("the problem has no stage");
    for (size_t i = 0; i < problem_.stages.size(); ++i)
      if (Status s = stage(problem_.stages[i]); !s.ok())
        return s.at(cat("stage ", i, " (", problem_.stages[i].op.substr(0, 80), ")"));
    if (problem_.results.empty()) return data_loss("the problem has no result");
    for (int result : problem_.results)
      if (result < int(problem_.operands.size()) || size_t(result) >= types_.size())
        return data_loss(cat("result ", result, " is no stage's output"));
    return ok_status();
  }

 private:
  Status operand(const kernel::Operand& o) {
    types_.push_back(o.present ? &o.type : nullptr);
    if (!o.present)
      return o.constant || o.value ? data_loss("is absent, yet constant") : ok_status();
    PLANISH_RETURN_IF_ERROR(check_type(o.type));
    if (!o.value) return ok_status();
    if (!o.constant) return data_loss("has a value, but is not constant");
    if (o.value->dtype() != o.type.dtype || ir::to_shape(o.value->dims()) != o.type.shape)
      return data_loss(
          cat("its value is ", to_string(o.value->type()), ", expected ", to_string(o.type)));
    return ok_status();
  }

  Status stage(const kernel::Stage& s) {
    if (s.op.empty()) return data_loss("has no op");
    if (s.is_expr() != (s.op == kernel::kExprStage))
      return data_loss("an expression belongs to Expr stages, and to them alone");
    if (s.outputs.empty()) return data_loss("has no output");
    for (int input : s.inputs) {
      if (input < -1 || input >= int(types_.size()))
        return data_loss(
            cat("reads value ", input, ", expected one of the ", types_.size(), " before it"));
      if (s.is_expr() && (input < 0 || !types_[size_t(input)]))
        return data_loss("an expression reads an absent operand");
    }
    for (const ir::TensorType& type : s.outputs) PLANISH_RETURN_IF_ERROR(check_type(type));
    if (s.is_expr()) PLANISH_RETURN_IF_ERROR(expression(s));
    for (const ir::TensorType& type : s.outputs) types_.push_back(&type);
    for (const auto& [key, value] : s.attrs)
      if (const auto* graph = std::get_if<ir::GraphPtr>(&value); graph && !*graph)
        return data_loss(cat("attribute '", key, "' holds no graph"));
    return ok_status();
  }

  Status expression(const kernel::Stage& s) const {
    const kernel::Expr& expr = *s.expr;
    PLANISH_RETURN_IF_ERROR(kernel::verify(expr));
    if (expr.arg_count != int(s.inputs.size()))
      return data_loss(
          cat("the expression takes ", expr.arg_count, " arguments, got ", s.inputs.size()));
    if (expr.outputs.size() != s.outputs.size())
      return data_loss(cat("the expression gives ", expr.outputs.size(), " results, expected ",
                           s.outputs.size()));
    for (const kernel::ExprNode& node : expr.nodes) {
      if (node.op != kernel::ScalarOp::kArg) continue;
      const ir::DataType got = types_[size_t(s.inputs[size_t(node.a)])]->dtype;
      if (got != node.dtype)
        return data_loss(cat("the expression's argument ", node.a, " is ", name_of(got),
                             ", expected ", name_of(node.dtype)));
    }
    for (size_t i = 0; i < s.outputs.size(); ++i) {
      const ir::DataType got = expr.nodes[size_t(expr.outputs[i])].dtype;
      if (got != s.outputs[i].dtype)
        return data_loss(cat("the expression's result ", i, " is ", name_of(got), ", expected ",
                             name_of(s.outputs[i].dtype)));
    }
    return shapes(s);
  }

  // Every input broadcasts to every output, which all have one shape.
  Status shapes(const kernel::Stage& s) const {
    const ir::Shape& out = s.outputs[0].shape;
    for (const ir::TensorType& type : s.outputs)
      if (type.shape != out)
        return data_loss(cat("the expression's results have shapes ", to_string(out), " and ",
                             to_string(type.shape)));
    for (int input : s.inputs) {
      const ir::Shape& in = types_[size_t(input)]->shape;
      bool fits = in.size() <= out.size();
      for (size_t i = 0; fits && i < in.size(); ++i)
        fits = broadcasts(in[in.size() - 1 - i], out[out.size() - 1 - i]);
      if (!fits)
        return data_loss(cat("value ", input, " of shape ", to_string(in),
                             " does not broadcast to ", to_string(out)));
    }
    return ok_status();
  }

  const kernel::Problem& problem_;
  std::vector<const ir::TensorType*> types_;  // by value number; null: absent
};

}  // namespace

std::optional<int64_t> checked_physical_count(ir::DataType dtype, std::span<const int64_t> dims,
                                              const ir::Layout& layout) {
  std::vector<int64_t> padded(dims.begin(), dims.end());
  if (layout.block_dim >= 0) {
    int64_t& d = padded[size_t(layout.block_dim)];
    if (d < 0 || d > INT64_MAX - layout.block) return std::nullopt;
    d = (d + layout.block - 1) / layout.block * layout.block;
  }
  const auto count = ir::checked_element_count(padded);
  if (!count || *count > kMaxValueBytes / 8 || ir::bytes_of(dtype, *count) > kMaxValueBytes)
    return std::nullopt;
  return count;
}

Status check_type(const ir::TensorType& type) {
  if (int(type.dtype) >= ir::kDataTypeCount) return data_loss("has an unknown element type");
  if (type.rank() > kMaxRank)
    return data_loss(cat("has rank ", type.rank(), ", at most ", kMaxRank));
  PLANISH_RETURN_IF_ERROR(check_layout(type.layout, type.rank()));
  for (const ir::Dim& d : type.shape) {
    if (!d.valid()) return data_loss("has an invalid dim");
    if (d.is_constant() && d.value() < 0) return data_loss(cat("has dim ", d.value()));
  }
  if (ir::is_constant(type.shape) &&
      !checked_physical_count(type.dtype, ir::to_dims(type.shape), type.layout))
    return data_loss(cat("has a size beyond 64 bits: ", to_string(type)));
  return ok_status();
}

Status verify(const kernel::Problem& problem) { return ProblemVerifier(problem).run(); }

}  // namespace planish::plan
