// Expr: the language of elementwise computation. Epilogues, pointwise regions and the reference of
// every elementwise op are written in it; the CPU backend interprets it block by block, the CUDA
// backend prints it as source, the interpreter runs it in double.
//
// An Expr is a DAG in SSA order over numbered arguments, with one or more outputs. Each node has a
// DataType: arithmetic happens in that type (f16/bf16 compute in f32 and round at a node of their
// type; integers wrap). Arguments broadcast against the result by NumPy's rule; how is the user's
// affair (shapes are not part of an Expr).
//
// Example, y = relu(x + bias):  %0 = arg 0; %1 = arg 1; %2 = add %0 %1; %3 = imm 0; %4 = max %2 %3
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "ir/data_type.h"

namespace planish::kernel {

using ir::DataType;

// The primitive scalar operations. Comparisons and logic yield bool; select is (bool, a, b).
enum class ScalarOp : uint8_t {
  kArg, kImm, kCast,
  // unary
  kNeg, kAbs, kSign, kCeil, kFloor, kRound, kTrunc, kSqrt, kRsqrt, kReciprocal, kExp, kExpm1, kLog,
  kLog1p, kSin, kCos, kTan, kAsin, kAcos, kAtan, kSinh, kCosh, kTanh, kAsinh, kAcosh, kAtanh, kErf,
  kSigmoid, kSoftplus, kIsNan, kIsInf, kNot, kBitNot,
  // binary
  kAdd, kSub, kMul, kDiv, kPow, kMin, kMax, kMod, kFmod, kAtan2, kEqual, kLess, kLessEqual, kAnd,
  kOr, kXor, kBitAnd, kBitOr, kBitXor, kShiftLeft, kShiftRight,
  // ternary
  kSelect, kFma,
};
inline constexpr int kScalarOpCount = int(ScalarOp::kFma) + 1;
// kRound is to nearest even. kDiv on integers truncates. kMod is Python's (sign of the divisor),
// kFmod C's. kMin and kMax propagate NaN, as ONNX Max and Relu do.

struct ScalarOpInfo {
  std::string_view name;
  int arity;
};
const ScalarOpInfo& info(ScalarOp op);
Result<ScalarOp> parse_scalar_op(std::string_view name);

struct ExprNode {
  ScalarOp op = ScalarOp::kArg;
  DataType dtype = DataType::kF32;
  int32_t a = -1, b = -1, c = -1;  // operand node indices; kArg: a is the argument's number
  double imm = 0;                  // kImm of floating and small integer types
  int64_t imm_int = 0;             // kImm of integer types, exact
  friend bool operator==(const ExprNode&, const ExprNode&) = default;
};

struct Expr {
  std::vector<ExprNode> nodes;
  std::vector<int32_t> outputs;
  int arg_count = 0;

  friend bool operator==(const Expr&, const Expr&) = default;
};

// Builds an Expr with common subexpressions shared and constants folded where exact.
class ExprBuilder {
 public:
  int arg(int number, DataType dtype);
  int imm(double value, DataType dtype);
  int imm_int(int64_t value, DataType dtype);
  int cast(int x, DataType dtype);
  // The result has `dtype`; kInvalid types pick the first operand's (bool for comparisons).
  int unary(ScalarOp op, int x);
  int binary(ScalarOp op, int x, int y);
  int select(int condition, int x, int y);
  int add(int x, int y) { return binary(ScalarOp::kAdd, x, y); }
  int sub(int x, int y) { return binary(ScalarOp::kSub, x, y); }
  int mul(int x, int y) { return binary(ScalarOp::kMul, x, y); }
  int div(int x, int y) { return binary(ScalarOp::kDiv, x, y); }
  int min(int x, int y) { return binary(ScalarOp::kMin, x, y); }
  int max(int x, int y) { return binary(ScalarOp::kMax, x, y); }
  int less(int x, int y) { return binary(ScalarOp::kLess, x, y); }
  // Copies `other` into this expression; args[i] is the node standing for its argument i.
  // Returns the nodes of its outputs.
  std::vector<int> inline_expr(const Expr& other, std::span<const int> args);
  DataType dtype(int node) const { return expr_.nodes[size_t(node)].dtype; }
  Expr finish(std::vector<int> outputs, int arg_count);

 private:
  int add_node(ExprNode node);
  Expr expr_;
};

// One element in double (floats) or int64 (integers, bool): the definition of every ScalarOp.
// `args` in the same form. With `wide`, floating nodes are not rounded to their dtype.
struct ScalarValue {
  double f = 0;
  int64_t i = 0;
};
void evaluate(const Expr& expr, std::span<const ScalarValue> args, std::span<ScalarValue> outputs,
              bool wide);

// Argument numbers that some output depends on; nodes no output needs are dropped.
Expr simplified(const Expr& expr);
std::string to_string(const Expr& expr);
Status verify(const Expr& expr);

}  // namespace planish::kernel
