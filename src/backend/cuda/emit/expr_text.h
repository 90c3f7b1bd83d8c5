// kernel::Expr as CUDA C: the one printer of epilogues and pointwise regions.
//
// Floating nodes of f32, f16 and bf16 are computed in float registers; a cast down to f16 or bf16
// rounds, other nodes of those types keep the register's precision until they are stored. f64 is
// double. Integers have their own C type and wrap as the language defines. The text relies on
// kPrelude.
//
//   PLANISH_ASSIGN_OR_RETURN(ExprText text, print_expr(expr, {"x0", "x1"}, "e"));
//   source += text.body;                                    // float e0 = ...; float e1 = ...;
//   source += store_text(DataType::kF16, text.outputs[0]);  // "f32_to_f16(e1)"
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "kernel/expr.h"

namespace planish::cuda {

struct ExprText {
  std::string body;                  // declarations, one per line
  std::vector<std::string> outputs;  // C expressions in register types
};

// Ok, or which node or type cannot be printed.
Status can_print(const kernel::Expr& expr);
// `args[i]`: a C expression of argument i's register type. Names in the body start with `prefix`, so
// that a body can be printed several times in one scope.
Result<ExprText> print_expr(const kernel::Expr& expr, std::span<const std::string> args,
                            std::string_view prefix);

// Types that kernels load and store: whole-byte floats up to f64, integers, bool.
bool is_loadable(ir::DataType dtype);
// "float" for f32, f16 and bf16; "double"; "signed char", ..., "bool".
std::string_view register_type(ir::DataType dtype);
// As it lies in memory: "u16" for f16 and bf16, "u8" for bool, else the register type.
std::string_view memory_type(ir::DataType dtype);
// A memory value as a register value, and back: load_text(kF16, "p[i]") = "f16_to_f32(p[i])".
std::string load_text(ir::DataType dtype, std::string_view memory_value);
std::string store_text(ir::DataType dtype, std::string_view register_value);
// A literal with exactly these bits.
std::string float_literal(float value);

}  // namespace planish::cuda
