#include "backend/cuda/library/fused_product.h"

#include <algorithm>
#include <optional>

#include "base/text.h"
#include "kernel/set_layouts.h"

namespace planish::cuda {
namespace {

using kernel::Expr;
using kernel::ExprNode;
using kernel::ScalarOp;

// Reads the one expression of an epilogue from its result down to the sum.
class Reader {
 public:
  explicit Reader(FusedProduct& out) : out_(out), expr_(out.product.epilogue.expr) {}

  Status read() {
    if (expr_.outputs.size() != 1) return unsupported("an epilogue with several results");
    const ExprNode* node = &plain(expr_.outputs[0]);
    if (node->op == ScalarOp::kMin)
      if (const auto high = immediate_of(*node)) {
        out_.high = *high;
        node = &other_than_immediate(*node);
      }
    if (node->op == ScalarOp::kMax)
      if (const auto low = immediate_of(*node); low && *low == 0) {
        out_.relu = true;
        node = &other_than_immediate(*node);
      }
    if (out_.high != std::numeric_limits<double>::infinity() && !(out_.relu && out_.high > 0))
      return unsupported("a minimum without a ReLU below it");
    return summand(*node, 0);
  }

 private:
  static bool is_float_cast(const ExprNode& n) { return n.op == ScalarOp::kCast && ir::is_float(n.dtype); }
  const ExprNode& plain(int32_t at) const {
    const ExprNode* n = &expr_.nodes[size_t(at)];
    while (is_float_cast(*n)) n = &expr_.nodes[size_t(n->a)];
    return *n;
  }
  std::optional<double> immediate_of(const ExprNode& n) const {
    for (const int32_t side : {n.a, n.b})
      if (const ExprNode& one = plain(side); one.op == ScalarOp::kImm) return one.imm;
    return std::nullopt;
  }
  const ExprNode& other_than_immediate(const ExprNode& n) const {
    return plain(n.a).op == ScalarOp::kImm ? plain(n.b) : plain(n.a);
  }

  Status summand(const ExprNode& n, int depth) {
    if (depth > 8) return unsupported("an epilogue of too many terms");
    switch (n.op) {
      case ScalarOp::kAdd:
        PLANISH_RETURN_IF_ERROR(summand(plain(n.a), depth + 1));
        return summand(plain(n.b), depth + 1);
      case ScalarOp::kMul:
        if (const auto factor = immediate_of(n))
          if (const ExprNode& sum = other_than_immediate(n); sum.op == ScalarOp::kArg && sum.a == 0) {
            out_.scale = *factor;
            return ok_status();
          }
        return unsupported("a factor of something else than the sum");
      case ScalarOp::kArg: return n.a == 0 ? ok_status() : operand(out_.product.epilogue.inputs[size_t(n.a - 1)]);
      default: return unsupported(cat("an epilogue with ", kernel::info(n.op).name));
    }
  }

  Status operand(const Access& access) {
    const Access& result = out_.product.epilogue.results[0];
    const bool no_rows = std::all_of(access.row_steps.begin(), access.row_steps.end(),
                                     [](int64_t step) { return step == 0; });
    if (no_rows && access.channel_step == 1 && out_.bias < 0) {
      out_.bias = access.index;
      return ok_status();
    }
    if (access.row_steps == result.row_steps && access.channel_step == result.channel_step &&
        access.type == result.type && out_.residual < 0) {
      out_.residual = access.index;
      return ok_status();
    }
    return unsupported(cat("an epilogue operand that is neither the one bias per channel nor the one tensor "
                           "like the result (operand ", access.index, ")"));
  }

  FusedProduct& out_;
  const Expr& expr_;
};

}  // namespace

Result<FusedProduct> fused_product_of(kernel::Problem problem) {
  FusedProduct out;
  PLANISH_ASSIGN_OR_RETURN(out.product, product_of(problem));
  kernel::set_layouts(problem, product_layouts(problem, out.product));
  PLANISH_ASSIGN_OR_RETURN(out.product, product_of(problem));
  PLANISH_RETURN_IF_ERROR(without_moments(out.product));
  if (out.product.epilogue.results.size() != 1) return unsupported("several results");
  PLANISH_RETURN_IF_ERROR(Reader(out).read());
  if (out.product.epilogue.results[0].type != out.product.type)
    return unsupported(cat("a result of ", ir::name_of(out.product.epilogue.results[0].type), ", operands of ",
                           ir::name_of(out.product.type)));
  if (out.bias >= 0 && problem.type_of(out.bias).dtype != out.product.type)
    return unsupported("a bias of another type than the operands");
  return out;
}

}  // namespace planish::cuda
