// Symbolic inference of the movement operators: sizes stay exact expressions of the network's
// symbols, shape arithmetic folds, and what only data decide becomes a bounded symbol.
#include "base/text.h"
#include "ops/op_test.h"

namespace planish::ops {
namespace {

const Dim kN = Dim::symbol("N"), kS = Dim::symbol("S");

TEST(ShapeArithmetic, FlattenByShapeGatherConcat) {
  GraphBuilder g;
  ir::Value* x = g.input("x", {kN, 3, 4, 5});
  ir::Value* batch = g.add("Gather", {g.add("Shape", {x}), g.scalar_int(0)}, {{"axis", int64_t(0)}});
  ir::Value* target = g.add("Concat", {g.add("Unsqueeze", {batch, g.ints({0})}), g.ints({-1})},
                            {{"axis", int64_t(0)}});
  EXPECT_EQ(shape_text(g.add("Reshape", {x, target})), "[N, 60]");
}

TEST(ShapeArithmetic, SplitHeads) {
  GraphBuilder g;
  ir::Value* x = g.input("x", {kN, kS, 768});
  ir::Value* heads = g.add("Reshape", {x, g.ints({0, -1, 12, 64})});
  EXPECT_EQ(shape_text(heads), "[N, S, 12, 64]");
  ir::Value* swapped =
      g.add("Transpose", {heads}, {{"perm", std::vector<int64_t>{0, 2, 1, 3}}});
  EXPECT_EQ(shape_text(swapped), "[N, 12, S, 64]");
}

TEST(ShapeArithmetic, MergeBatchAndSequence) {
  GraphBuilder g;
  ir::Value* x = g.input("x", {kN, kS, 768});
  EXPECT_EQ(shape_text(g.add("Reshape", {x, g.ints({-1, 768})})), "[N*S, 768]");
}

TEST(ShapeArithmetic, ArithmeticOnDims) {
  GraphBuilder g;
  ir::Value* x = g.input("x", {kN, 8, kS});
  ir::Value* dims = g.add("Shape", {x}, {{"start", int64_t(2)}});
  ir::Value* half = g.add("Div", {dims, g.ints({2})});
  ir::Value* target = g.add("Concat", {g.ints({1}), g.add("Add", {half, g.ints({1})})},
                            {{"axis", int64_t(0)}});
  EXPECT_EQ(shape_text(g.add("ConstantOfShape", {target})), "[1, floordiv(S, 2) + 1]");
}

TEST(ShapeArithmetic, ExpandByWhereEqual) {
  // What PyTorch writes for x.expand(-1, S): Where(shape == -1, ones, shape).
  GraphBuilder g;
  ir::Value* x = g.input("x", {kN, 1});
  ir::Value* y = g.input("y", {7, kS});
  ir::Value* size = g.add("Shape", {y}, {{"start", int64_t(1)}});
  ir::Value* wanted = g.add("Concat", {g.ints({-1}), size}, {{"axis", int64_t(0)}});
  ir::Value* is_kept = g.add("Equal", {wanted, g.ints({-1, -1})});
  ir::Value* target = g.add("Where", {is_kept, g.ints({1, 1}), wanted});
  EXPECT_EQ(shape_text(g.add("Expand", {x, target})), "[N, S]");
}

TEST(ShapeArithmetic, SliceOfSymbol) {
  GraphBuilder g;
  ir::Value* x = g.input("x", {kN, kS});
  auto slice = [&](int64_t start, int64_t end, int64_t step) {
    return shape_text(
        g.add("Slice", {x, g.ints({start}), g.ints({end}), g.ints({1}), g.ints({step})}));
  };
  EXPECT_EQ(slice(0, INT64_MAX, 1), "[N, S]");
  EXPECT_EQ(slice(1, INT64_MAX, 1), "[N, S - 1]");
  EXPECT_EQ(slice(-1, INT64_MAX, 1), "[N, 1]");
  EXPECT_EQ(slice(0, -1, 1), "[N, S - 1]");
  EXPECT_EQ(slice(0, 1, 1), "[N, 1]");
  EXPECT_EQ(slice(0, 7, 1), "[N, min(S, 7)]");
  EXPECT_EQ(slice(0, INT64_MAX, 2), "[N, -floordiv(-S, 2)]");
  EXPECT_EQ(slice(-1, INT64_MIN, -1), "[N, S]");
}

TEST(ShapeArithmetic, RangeOfDim) {
  GraphBuilder g;
  ir::Value* x = g.input("x", {kN, kS});
  ir::Value* length = g.add("Gather", {g.add("Shape", {x}), g.scalar_int(1)},
                            {{"axis", int64_t(0)}});
  EXPECT_EQ(shape_text(g.add("Range", {g.scalar_int(0), length, g.scalar_int(1)})), "[S]");
}

TEST(ShapeArithmetic, SplitPadTile) {
  GraphBuilder g;
  ir::Value* x = g.input("x", {kN, 6});
  EXPECT_EQ(shape_text(g.add("Pad", {x, g.ints({1, 0, 2, -1})})), "[N + 3, 5]");
  EXPECT_EQ(shape_text(g.add("Tile", {x, g.ints({2, 3})})), "[2*N, 18]");
  auto parts = g.context().add("Split", {x}, {{"axis", int64_t(1)}, {"num_outputs", int64_t(4)}}, 4);
  ASSERT_TRUE(parts.ok()) << parts.status().to_string();
  EXPECT_EQ(shape_text((*parts)[0]), "[N, 2]");
  EXPECT_EQ(shape_text((*parts)[3]), "[N, 0]");
}

TEST(ShapeArithmetic, DataDecide) {
  GraphBuilder g;
  ir::Value* x = g.input("x", {kN, 6});
  ir::Value* found = g.add("NonZero", {x});
  const std::string symbol = found->type.shape[1].symbol_name();
  ASSERT_FALSE(symbol.empty());
  const ir::SymbolInfo& info = g.graph().symbols.at(symbol);
  EXPECT_TRUE(info.from_data);
  EXPECT_EQ(info.low, 0);
  ASSERT_TRUE(info.upper_bound);
  EXPECT_EQ(info.upper_bound->to_string(), "6*N");
  // Downstream shapes speak of the same symbol.
  ir::Value* turned = g.add("Transpose", {found}, {{"perm", std::vector<int64_t>{1, 0}}});
  EXPECT_EQ(shape_text(turned), cat("[", symbol, ", 2]"));
  // It may be 0, so that one row less is not a plain subtraction.
  ir::Value* rest = g.add("Slice", {turned, g.ints({1}), g.ints({INT64_MAX}), g.ints({0})});
  EXPECT_NE(shape_text(rest), cat("[", symbol, " - 1, 2]"));
}

TEST(ShapeArithmetic, ComputedTargets) {
  GraphBuilder g;
  ir::Value* x = g.input("x", {4, 6});
  ir::Value* target = g.input("target", {3}, DataType::kI64);
  ir::Value* y = g.add("Reshape", {x, target});
  ASSERT_EQ(y->type.rank(), 3);
  EXPECT_TRUE(g.graph().symbols.at(y->type.shape[0].symbol_name()).from_data);
  ir::Value* axes = g.input("axes", {1}, DataType::kI64);
  EXPECT_EQ(g.add("Unsqueeze", {x, axes})->type.rank(), 3);
}

}  // namespace
}  // namespace planish::ops
