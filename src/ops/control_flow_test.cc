// If, Loop and Scan by hand-made bodies: types over symbols, captured values, shapes that change
// from one iteration to the next. Their values are checked by ONNX's node cases.
#include "ops/op_test.h"

namespace planish::ops {
namespace {

const Dim kN = Dim::symbol("N");

// A body whose nodes are added through the context.
struct Body {
  ir::GraphPtr graph = std::make_shared<ir::Graph>();
  opdef::ImportContext context{test_registry(), *graph, "body", 1};

  ir::Value* input(std::string name, DataType dtype, Shape shape) {
    return graph->add_input(std::move(name), {dtype, std::move(shape)});
  }
  ir::Value* add(std::string_view op, std::vector<ir::Value*> inputs, ir::Attributes attrs = {}) {
    Result<ir::Value*> out = context.add1(op, std::move(inputs), std::move(attrs));
    EXPECT_TRUE(out.ok()) << out.status().to_string();
    return *out;
  }
};

ir::GraphPtr one_node_body(std::string_view op, Shape shape, ir::Attributes attrs = {}) {
  Body body;
  ir::Value* x = body.input("x", DataType::kF32, std::move(shape));
  body.graph->outputs = {body.add(op, {x}, std::move(attrs))};
  return body.graph;
}

TEST(If, MergesShapes) {
  GraphBuilder g;
  ir::Value* condition = g.input("c", {}, DataType::kBool);
  ir::Value* x = g.input("x", {kN, 4});
  const ir::Attributes flip = {{"perm", std::vector<int64_t>{1, 0}}};
  ir::Value* y = g.add("If", {condition, x, x},
                       {{"then_branch", one_node_body("Relu", {kN, 4})},
                        {"else_branch", one_node_body("Transpose", {kN, 4}, flip)}});
  ASSERT_EQ(y->type.rank(), 2);
  const ir::SymbolInfo& info = g.graph().symbols.at(y->type.shape[0].symbol_name());
  EXPECT_TRUE(info.from_data);
  EXPECT_EQ(info.upper_bound->to_string(), "max(N, 4)");
}

TEST(If, KnownConditionDecidesTheRank) {
  GraphBuilder g;
  ir::Value* x = g.input("x", {kN, 1});
  // "Is the last dim 1?", as exporters ask before they squeeze.
  ir::Value* dim = g.add("Gather", {g.add("Shape", {x}), g.scalar_int(1)}, {{"axis", int64_t(0)}});
  ir::Value* is_one = g.add("Equal", {dim, g.scalar_int(1)});
  Body squeeze;
  ir::Value* inner = squeeze.input("x", DataType::kF32, {kN, 1});
  squeeze.graph->outputs = {
      squeeze.add("Squeeze", {inner, squeeze.context.constant_i64({1})})};
  ir::Value* y = g.add("If", {is_one, x, x},
                       {{"then_branch", squeeze.graph},
                        {"else_branch", one_node_body("Relu", {kN, 1})}});
  EXPECT_EQ(shape_text(y), "[N]");
}

TEST(If, DifferentRanksAreRefused) {
  GraphBuilder g;
  ir::Value* condition = g.input("c", {}, DataType::kBool);
  ir::Value* x = g.input("x", {2, 3});
  Body flat;
  ir::Value* inner = flat.input("x", DataType::kF32, {2, 3});
  flat.graph->outputs = {flat.add("Reshape", {inner, flat.context.constant_i64({6})})};
  auto y = g.context().add1("If", {condition, x, x},
                            {{"then_branch", flat.graph},
                             {"else_branch", one_node_body("Relu", {2, 3})}});
  ASSERT_FALSE(y.ok());
  EXPECT_EQ(y.status().code(), Code::kUnsupported);
}

// The body appends the captured row to the carried rows and scans the carried rows' first element.
ir::GraphPtr growing_body() {
  Body body;
  body.input("i", DataType::kI64, {});
  ir::Value* condition = body.input("c", DataType::kBool, {});
  ir::Value* rows = body.input("rows", DataType::kF32, {1, 3});
  ir::Value* row = body.input("row", DataType::kF32, {1, 3});
  ir::Value* more = body.add("Concat", {rows, row}, {{"axis", int64_t(0)}});
  body.graph->outputs = {condition, more, row};
  return body.graph;
}

TEST(Loop, CarriedDimThatGrows) {
  GraphBuilder g;
  ir::Value* trips = g.input("m", {}, DataType::kI64);
  ir::Value* row = g.input("row", {1, 3});
  auto outputs = g.context().add("Loop", {trips, nullptr, row, row},
                                 {{"body", growing_body()}, {"carried", int64_t(1)}}, 2);
  ASSERT_TRUE(outputs.ok()) << outputs.status().to_string();
  const Shape& rows = (*outputs)[0]->type.shape;
  EXPECT_TRUE(g.graph().symbols.at(rows[0].symbol_name()).from_data);
  EXPECT_EQ(rows[1], Dim(3));
  EXPECT_EQ((*outputs)[1]->type.rank(), 3);
}

TEST(Loop, ConstantTripCount) {
  GraphBuilder g;
  ir::Value* row = g.input("row", {1, 3});
  auto outputs = g.context().add("Loop", {g.scalar_int(5), nullptr, row, row},
                                 {{"body", growing_body()}, {"carried", int64_t(1)}}, 2);
  ASSERT_TRUE(outputs.ok()) << outputs.status().to_string();
  EXPECT_EQ(shape_text((*outputs)[1]), "[5, 1, 3]");
}

TEST(Loop, BodyInputsMustFit) {
  GraphBuilder g;
  ir::Value* row = g.input("row", {1, 3});
  auto outputs = g.context().add("Loop", {g.scalar_int(5), nullptr, row},
                                 {{"body", growing_body()}, {"carried", int64_t(1)}}, 2);
  ASSERT_FALSE(outputs.ok());
  EXPECT_EQ(outputs.status().code(), Code::kInvalidArgument);
}

TEST(Scan, SymbolicLength) {
  GraphBuilder g;
  Body body;
  ir::Value* sum = body.input("sum", DataType::kF32, {3});
  ir::Value* x = body.input("x", DataType::kF32, {3});
  ir::Value* next = body.add("Add", {sum, x});
  body.graph->outputs = {next, next};
  ir::Value* start = g.input("start", {3});
  ir::Value* values = g.input("values", {kN, 3});
  auto outputs = g.context().add(
      "Scan", {start, values},
      {{"body", body.graph}, {"num_scan_inputs", int64_t(1)}, {"states", int64_t(1)}}, 2);
  ASSERT_TRUE(outputs.ok()) << outputs.status().to_string();
  EXPECT_EQ(shape_text((*outputs)[0]), "[3]");
  EXPECT_EQ(shape_text((*outputs)[1]), "[N, 3]");
}

TEST(Body, OwnSymbolsStayInside) {
  GraphBuilder g;
  ir::Value* x = g.input("x", {4, 4});
  ir::Value* outer = g.add("NonZero", {x});
  Body body;
  ir::Value* inner = body.input("x", DataType::kF32, {4, 4});
  body.graph->outputs = {body.add("NonZero", {inner})};
  ir::Value* region = g.add("Region", {x}, {{"body", body.graph}});
  // Two counts of non-zeros, two symbols, though both bodies would call it the same.
  EXPECT_NE(outer->type.shape[1], region->type.shape[1]);
}

}  // namespace
}  // namespace planish::ops
