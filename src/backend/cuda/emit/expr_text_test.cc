#include "backend/cuda/emit/expr_text.h"

#include <gtest/gtest.h>

#include "backend/cuda/emit/nvrtc.h"
#include "backend/cuda/emit/prelude.h"
#include "backend/cuda/testing/compile_testing.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

using ir::DataType;
using kernel::Expr;
using kernel::ExprBuilder;
using kernel::ScalarOp;

TEST(ExprText, PrintsReluOfASum) {
  ExprBuilder b;
  const int x = b.arg(0, DataType::kF32), y = b.arg(1, DataType::kF32), sum = b.add(x, y);
  const Expr expr = b.finish({b.max(sum, b.imm(0, DataType::kF32))}, 2);
  const std::vector<std::string> args = {"x", "y"};
  auto text = print_expr(expr, args, "e");
  ASSERT_TRUE(text.ok()) << text.status().to_string();
  EXPECT_EQ(text->body,
            "const float e0 = (float)(x);\n"
            "const float e1 = (float)(y);\n"
            "const float e2 = (float)(e0 + e1);\n"
            "const float e3 = (float)(__uint_as_float(0x00000000u));\n"
            "const float e4 = (float)(max_nan(e2, e3));\n");
  EXPECT_EQ(text->outputs, std::vector<std::string>{"e4"});
}

TEST(ExprText, CastsToHalfRound) {
  ExprBuilder b;
  const Expr expr = b.finish({b.cast(b.arg(0, DataType::kF32), DataType::kF16)}, 1);
  const std::vector<std::string> args = {"x"};
  auto text = print_expr(expr, args, "e");
  ASSERT_TRUE(text.ok());
  EXPECT_NE(text->body.find("f16_to_f32(f32_to_f16("), std::string::npos) << text->body;
  EXPECT_EQ(store_text(DataType::kF16, "e1"), "f32_to_f16(e1)");
  EXPECT_EQ(load_text(DataType::kBF16, "p[i]"), "bf16_to_f32(p[i])");
}

TEST(ExprText, RefusesWhatItCannotPrint) {
  ExprBuilder b;
  const Expr expr = b.finish({b.unary(ScalarOp::kExp, b.arg(0, DataType::kI32))}, 1);
  const Status status = can_print(expr);
  EXPECT_EQ(status.code(), Code::kUnsupported);
  EXPECT_NE(status.message().find("exp of i32"), std::string::npos) << status.message();
}

// One kernel that computes every operation of a type.
std::string kernel_of_all_operations(DataType dtype, int* printed) {
  std::string out = cat(kPrelude, "extern \"C\" __global__ void all(const ", memory_type(dtype),
                        "* p, double* q) {\n");
  const std::vector<std::string> args = {load_text(dtype, "p[threadIdx.x]"), load_text(dtype, "p[1]"),
                                         load_text(dtype, "p[2]")};
  for (int i = int(ScalarOp::kCast); i < kernel::kScalarOpCount; ++i) {
    const auto op = ScalarOp(i);
    ExprBuilder b;
    const int x = b.arg(0, dtype), y = b.arg(1, dtype);
    int result = -1;
    if (op == ScalarOp::kCast) result = b.cast(x, DataType::kF16);
    else if (op == ScalarOp::kSelect) result = b.select(b.less(x, y), x, y);
    else if (op == ScalarOp::kFma) continue;  // made by nobody but passes over f32
    else if (kernel::info(op).arity == 1) result = b.unary(op, x);
    else result = b.binary(op, x, y);
    auto text = print_expr(b.finish({result}, 3), args, cat("e", i, "_"));
    if (!text.ok()) continue;
    out += cat(text->body, "q[", i, "] = (double)", text->outputs[0], ";\n");
    ++*printed;
  }
  return out + "}\n";
}

TEST(ExprText, EveryOperationCompiles) {
  PLANISH_NEEDS_NVRTC();
  const std::pair<DataType, int> cases[] = {
      {DataType::kF32, 48}, {DataType::kF16, 48}, {DataType::kF64, 48}, {DataType::kI8, 25},
      {DataType::kU8, 25},  {DataType::kI32, 25}, {DataType::kI64, 25}, {DataType::kU64, 25},
      {DataType::kBool, 10}};
  for (const auto& [dtype, at_least] : cases) {
    int printed = 0;
    const std::string source = kernel_of_all_operations(dtype, &printed);
    EXPECT_GE(printed, at_least) << ir::name_of(dtype);
    auto compiled = compile_source(source, "sm_90a");
    EXPECT_TRUE(compiled.ok()) << ir::name_of(dtype) << ": " << compiled.status().to_string();
  }
}

}  // namespace
}  // namespace planish::cuda
