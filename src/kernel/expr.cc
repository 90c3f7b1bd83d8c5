#include "kernel/expr.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/text.h"
#include "ir/tensor.h"

namespace planish::kernel {
namespace {

constexpr std::array<ScalarOpInfo, kScalarOpCount> kOps = {{
    {"arg", 0},      {"imm", 0},       {"cast", 1},   {"neg", 1},      {"abs", 1},
    {"sign", 1},     {"ceil", 1},      {"floor", 1},  {"round", 1},    {"trunc", 1},
    {"sqrt", 1},     {"rsqrt", 1},     {"reciprocal", 1}, {"exp", 1},  {"expm1", 1},
    {"log", 1},      {"log1p", 1},     {"sin", 1},    {"cos", 1},      {"tan", 1},
    {"asin", 1},     {"acos", 1},      {"atan", 1},   {"sinh", 1},     {"cosh", 1},
    {"tanh", 1},     {"asinh", 1},     {"acosh", 1},  {"atanh", 1},    {"erf", 1},
    {"sigmoid", 1},  {"softplus", 1},  {"isnan", 1},  {"isinf", 1},    {"not", 1},
    {"bitnot", 1},   {"add", 2},       {"sub", 2},    {"mul", 2},      {"div", 2},
    {"pow", 2},      {"min", 2},       {"max", 2},    {"mod", 2},      {"fmod", 2},
    {"atan2", 2},    {"equal", 2},     {"less", 2},   {"less_equal", 2}, {"and", 2},
    {"or", 2},       {"xor", 2},       {"bitand", 2}, {"bitor", 2},    {"bitxor", 2},
    {"shift_left", 2}, {"shift_right", 2}, {"select", 3}, {"fma", 3},
}};

bool yields_bool(ScalarOp op) {
  switch (op) {
    case ScalarOp::kEqual: case ScalarOp::kLess: case ScalarOp::kLessEqual: case ScalarOp::kIsNan:
    case ScalarOp::kIsInf: case ScalarOp::kNot: case ScalarOp::kAnd: case ScalarOp::kOr:
    case ScalarOp::kXor: return true;
    default: return false;
  }
}

// The type of what `op` gives where its operands (of select: the second and third) have `operand`.
DataType result_type(ScalarOp op, DataType operand) {
  return yields_bool(op) ? DataType::kBool : operand;
}

}  // namespace

const ScalarOpInfo& info(ScalarOp op) { return kOps[size_t(op)]; }

Result<ScalarOp> parse_scalar_op(std::string_view name) {
  for (int i = 0; i < kScalarOpCount; ++i)
    if (kOps[size_t(i)].name == name) return ScalarOp(i);
  return invalid_argument(cat("no scalar operation is named '", name, "'"));
}

int ExprBuilder::add_node(ExprNode node) {
  // Bit comparison of imm keeps -0 and NaN apart.
  for (size_t i = 0; i < expr_.nodes.size(); ++i) {
    ExprNode other = expr_.nodes[i], wanted = node;
    if (__builtin_bit_cast(uint64_t, other.imm) != __builtin_bit_cast(uint64_t, wanted.imm)) continue;
    other.imm = wanted.imm = 0;
    if (other == wanted) return int(i);
  }
  expr_.nodes.push_back(node);
  return int(expr_.nodes.size()) - 1;
}

int ExprBuilder::arg(int number, DataType dtype) {
  return add_node({.op = ScalarOp::kArg, .dtype = dtype, .a = number});
}
int ExprBuilder::imm(double value, DataType dtype) {
  if (!ir::is_float(dtype)) return imm_int(int64_t(value), dtype);
  return add_node({.op = ScalarOp::kImm, .dtype = dtype, .imm = ir::round_to(dtype, value)});
}
int ExprBuilder::imm_int(int64_t value, DataType dtype) {
  if (ir::is_float(dtype)) return imm(double(value), dtype);
  return add_node({.op = ScalarOp::kImm, .dtype = dtype, .imm = double(value), .imm_int = value});
}
int ExprBuilder::cast(int x, DataType dtype) {
  if (this->dtype(x) == dtype) return x;
  return add_node({.op = ScalarOp::kCast, .dtype = dtype, .a = x});
}
int ExprBuilder::unary(ScalarOp op, int x) {
  PLANISH_CHECK(info(op).arity == 1, cat(info(op).name, " is not unary"));
  return add_node({.op = op, .dtype = result_type(op, dtype(x)), .a = x});
}
int ExprBuilder::binary(ScalarOp op, int x, int y) {
  PLANISH_CHECK(info(op).arity == 2, cat(info(op).name, " is not binary"));
  PLANISH_CHECK(dtype(x) == dtype(y), cat(info(op).name, " of ", name_of(dtype(x)), " and ",
                                          name_of(dtype(y))));
  return add_node({.op = op, .dtype = result_type(op, dtype(x)), .a = x, .b = y});
}
int ExprBuilder::select(int condition, int x, int y) {
  PLANISH_CHECK(dtype(condition) == DataType::kBool && dtype(x) == dtype(y),
                "select takes (bool, a, b) with a and b of one type");
  return add_node({.op = ScalarOp::kSelect, .dtype = dtype(x), .a = condition, .b = x, .c = y});
}

std::vector<int> ExprBuilder::inline_expr(const Expr& other, std::span<const int> args) {
  std::vector<int> at(other.nodes.size());
  for (size_t i = 0; i < other.nodes.size(); ++i) {
    ExprNode node = other.nodes[i];
    if (node.op == ScalarOp::kArg) {
      at[i] = args[size_t(node.a)];
      continue;
    }
    if (node.a >= 0) node.a = at[size_t(node.a)];
    if (node.b >= 0) node.b = at[size_t(node.b)];
    if (node.c >= 0) node.c = at[size_t(node.c)];
    at[i] = add_node(node);
  }
  std::vector<int> out;
  for (int32_t o : other.outputs) out.push_back(at[size_t(o)]);
  return out;
}

Expr ExprBuilder::finish(std::vector<int> outputs, int arg_count) {
  expr_.outputs.assign(outputs.begin(), outputs.end());
  expr_.arg_count = arg_count;
  return simplified(expr_);
}

Expr simplified(const Expr& expr) {
  std::vector<char> live(expr.nodes.size());
  for (int32_t o : expr.outputs) live[size_t(o)] = 1;
  for (size_t i = expr.nodes.size(); i-- > 0;) {
    const ExprNode& n = expr.nodes[i];
    if (!live[i] || n.op == ScalarOp::kArg) continue;
    for (int32_t operand : {n.a, n.b, n.c})
      if (operand >= 0) live[size_t(operand)] = 1;
  }
  Expr out;
  out.arg_count = expr.arg_count;
  std::vector<int32_t> at(expr.nodes.size(), -1);
  for (size_t i = 0; i < expr.nodes.size(); ++i) {
    if (!live[i]) continue;
    ExprNode n = expr.nodes[i];
    if (n.op != ScalarOp::kArg) {
      if (n.a >= 0) n.a = at[size_t(n.a)];
      if (n.b >= 0) n.b = at[size_t(n.b)];
      if (n.c >= 0) n.c = at[size_t(n.c)];
    }
    at[i] = int32_t(out.nodes.size());
    out.nodes.push_back(n);
  }
  for (int32_t o : expr.outputs) out.outputs.push_back(at[size_t(o)]);
  return out;
}

std::string to_string(const Expr& expr) {
  std::vector<std::string> lines;
  for (size_t i = 0; i < expr.nodes.size(); ++i) {
    const ExprNode& n = expr.nodes[i];
    std::string line = cat("%", i, " = ", info(n.op).name, " ", ir::name_of(n.dtype));
    if (n.op == ScalarOp::kArg) line += cat(" ", n.a);
    else if (n.op == ScalarOp::kImm)
      line += ir::is_float(n.dtype) ? cat(" ", n.imm) : cat(" ", n.imm_int);
    else
      for (int32_t operand : {n.a, n.b, n.c})
        if (operand >= 0) line += cat(" %", operand);
    lines.push_back(std::move(line));
  }
  lines.push_back(cat("-> ", join(expr.outputs)));
  return join(lines, "; ");
}

namespace {

// A node's operands are earlier nodes of the types that its operation takes: select a bool and two of
// its own type, a cast anything, all others operands of one type.
Status verify_operands(const Expr& expr, size_t i) {
  const auto fault = [i](std::string_view what) {
    return data_loss(cat("expression node ", i, ": ", what));
  };
  const ExprNode& n = expr.nodes[i];
  const int32_t operands[] = {n.a, n.b, n.c};
  const int arity = info(n.op).arity;
  for (int k = 0; k < 3; ++k) {
    if (k < arity && (operands[k] < 0 || operands[k] >= int32_t(i)))
      return fault("operand is not an earlier node");
    if (k >= arity && operands[k] >= 0) return fault("has an operand too many");
  }
  if (n.op == ScalarOp::kImm || n.op == ScalarOp::kCast) return ok_status();
  const auto type = [&](int k) { return expr.nodes[size_t(operands[k])].dtype; };
  const int first = n.op == ScalarOp::kSelect;
  if (first && type(0) != DataType::kBool)
    return fault(cat("select by ", name_of(type(0)), ", expected bool"));
  for (int k = first + 1; k < arity; ++k)
    if (type(k) != type(first))
      return fault(cat(info(n.op).name, " of ", name_of(type(first)), " and ", name_of(type(k))));
  if (const DataType wanted = result_type(n.op, type(first)); n.dtype != wanted)
    return fault(cat(info(n.op).name, " gives ", name_of(n.dtype), ", expected ", name_of(wanted)));
  return ok_status();
}

}  // namespace

Status verify(const Expr& expr) {
  const auto fault = [](size_t i, std::string_view what) {
    return data_loss(cat("expression node ", i, ": ", what));
  };
  for (size_t i = 0; i < expr.nodes.size(); ++i) {
    const ExprNode& n = expr.nodes[i];
    if (int(n.op) >= kScalarOpCount) return fault(i, "unknown operation");
    if (int(n.dtype) >= ir::kDataTypeCount) return fault(i, "unknown type");
    if (n.op == ScalarOp::kArg) {
      if (n.a < 0 || n.a >= expr.arg_count) return fault(i, "argument number out of range");
      continue;
    }
    PLANISH_RETURN_IF_ERROR(verify_operands(expr, i));
  }
  if (expr.outputs.empty()) return data_loss("expression has no output");
  for (int32_t o : expr.outputs)
    if (o < 0 || size_t(o) >= expr.nodes.size())
      return data_loss("expression output is not a node");
  return ok_status();
}

}  // namespace planish::kernel
