// Editing graphs: uses, names, order, copies; and what the verifier says of broken ones.
#include "ir/graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace planish::ir {
namespace {

using ::testing::HasSubstr;

const TensorType kType{DataType::kF32, {2}};

Node* add(Graph& g, std::string op, std::vector<Value*> inputs) {
  return g.add_node(std::move(op), std::move(inputs), {}, {kType});
}

std::vector<std::string> ops_of(const Graph& g) {
  std::vector<std::string> out;
  for (const auto& node : g.nodes()) out.push_back(node->op);
  return out;
}

TEST(Graph, TracksUses) {
  Graph g;
  Value* x = g.add_input("x", kType);
  Node* a = add(g, "A", {x, nullptr, x});
  Node* b = add(g, "B", {a->outputs[0]});
  g.outputs = {b->outputs[0], a->outputs[0]};
  EXPECT_EQ(x->uses, (std::vector<Use>{{a, 0}, {a, 2}}));
  ASSERT_TRUE(verify(g).ok());

  Value* c = g.add_constant("c", Tensor::from_f64(DataType::kF32, {2}, std::vector<double>{1, 2}));
  g.set_input(a, 2, c);
  g.set_input(a, 1, c);
  g.add_operand(b, x);
  EXPECT_EQ(c->uses.size(), 2u);
  EXPECT_EQ(x->uses, (std::vector<Use>{{a, 0}, {b, 1}}));
  ASSERT_TRUE(verify(g).ok());

  g.replace_uses(a->outputs[0], x);
  EXPECT_EQ(b->inputs[0], x);
  EXPECT_EQ(g.outputs[1], x);
  EXPECT_TRUE(a->outputs[0]->uses.empty());
  g.erase(a);
  EXPECT_TRUE(c->uses.empty());
  g.erase_value(c);
  EXPECT_EQ(g.find("c"), nullptr);
  ASSERT_TRUE(verify(g).ok());
}

TEST(GraphDeathTest, RefusesToEraseWhatIsUsed) {
  Graph g;
  Value* x = g.add_input("x", kType);
  Node* a = add(g, "A", {x});
  g.outputs = {a->outputs[0]};
  EXPECT_DEATH(g.erase(a), "in use");
  EXPECT_DEATH(g.erase_value(x), "in use");
}

TEST(Graph, NamesStayUnique) {
  Graph g;
  Value* a = g.add_input("x", kType);
  Value* b = g.add_input("x", kType);
  EXPECT_NE(a->name, b->name);
  EXPECT_EQ(g.find("x"), a);
  g.rename(b, "x");
  EXPECT_NE(b->name, "x");
  g.rename(a, "y");
  g.rename(b, "x");
  EXPECT_EQ(b->name, "x");
  EXPECT_EQ(g.find("y"), a);
  for (int i = 0; i < 1000; ++i) g.add_constant("x", Tensor::scalar_i64(i));
  EXPECT_TRUE(verify(g).ok());
}

TEST(Graph, SortsStablyAndFindsCycles) {
  Graph g;
  Value* x = g.add_input("x", kType);
  Node* a = add(g, "A", {x});
  Node* b = add(g, "B", {x});
  Node* c = add(g, "C", {a->outputs[0], b->outputs[0]});
  Node* d = add(g, "D", {x});
  g.set_input(a, 0, d->outputs[0]);  // now D has to stand before A
  EXPECT_FALSE(verify(g).ok());
  ASSERT_TRUE(g.sort());
  EXPECT_EQ(ops_of(g), (std::vector<std::string>{"B", "D", "A", "C"}));
  EXPECT_TRUE(verify(g).ok());
  g.move_before(d, b);
  EXPECT_EQ(ops_of(g), (std::vector<std::string>{"D", "B", "A", "C"}));
  g.set_input(d, 0, c->outputs[0]);
  EXPECT_FALSE(g.sort());
}

TEST(Graph, ClonesDeeply) {
  Graph g;
  g.symbols["N"] = {};
  g.metadata["k"] = "v";
  Value* x = g.add_input("x", kType);
  auto body = std::make_shared<Graph>();
  Value* p = body->add_input("p", kType);
  body->outputs = {add(*body, "Inner", {p})->outputs[0]};
  Node* a = g.add_node("If", {x}, {{"body", GraphPtr(body)}, {"axis", int64_t(3)}}, {kType});
  a->sources = {"s"};
  a->outputs[0]->keep = true;
  g.outputs = {a->outputs[0]};
  const auto copy = g.clone();
  EXPECT_EQ(print(*copy), print(g));
  EXPECT_TRUE(verify(*copy).ok());
  // The copy has a life of its own, bodies included.
  copy->nodes().front()->attrs["axis"] = int64_t(4);
  copy->nodes().front()->attr_graph("body")->nodes().front()->op = "Changed";
  EXPECT_EQ(a->attr_int("axis"), 3);
  EXPECT_EQ(body->nodes().front()->op, "Inner");
  Node* fresh = add(*copy, "Fresh", {});
  EXPECT_EQ(g.find(fresh->outputs[0]->name), nullptr);
}

TEST(Graph, MakesFreshSymbols) {
  Graph g;
  g.symbols["n"] = {};
  const Dim a = g.new_symbol("n", {0, 5, true, std::nullopt});
  const Dim b = g.new_symbol("n", {});
  EXPECT_FALSE(a == b);
  EXPECT_EQ(g.symbols.size(), 3u);
  EXPECT_TRUE(g.symbols[a.symbol_name()].from_data);
}

TEST(GraphDeathTest, AttributesAreTyped) {
  Graph g;
  Node* a = g.add_node("A", {}, {{"axis", int64_t(3)}}, {kType});
  EXPECT_EQ(a->attr_int("axis"), 3);
  EXPECT_DEATH(a->attr_float("axis"), "has another type");
  EXPECT_DEATH(a->attr_int("none"), "no attribute 'none'");
}

// ---- the verifier

std::string fault(const Graph& g) {
  const Status s = verify(g);
  return s.ok() ? "valid" : s.message();
}

TEST(Verify, FindsBrokenGraphs) {
  Graph g;
  Value* x = g.add_input("x", kType);
  Node* a = add(g, "A", {x});
  Node* b = add(g, "B", {a->outputs[0]});
  g.outputs = {b->outputs[0]};
  ASSERT_EQ(fault(g), "valid");

  g.move_before(b, a);
  EXPECT_THAT(fault(g), HasSubstr("not defined before its use"));
  g.move_before(a, b);

  x->uses.push_back({a, 0});
  EXPECT_THAT(fault(g), HasSubstr("use"));
  x->uses.pop_back();

  x->uses.push_back({b, 0});
  EXPECT_THAT(fault(g), HasSubstr("stale use"));
  x->uses.pop_back();

  const Use use = x->uses[0];
  x->uses.clear();
  EXPECT_THAT(fault(g), HasSubstr("use"));
  x->uses.push_back(use);

  a->outputs[0]->output_index = 1;
  EXPECT_THAT(fault(g), HasSubstr("does not point back"));
  a->outputs[0]->output_index = 0;

  a->op.clear();
  EXPECT_THAT(fault(g), HasSubstr("has no op"));
  a->op = "A";

  x->type.shape = {Dim::invalid()};
  EXPECT_THAT(fault(g), HasSubstr("invalid dim"));
  x->type = kType;

  Value* c = g.add_constant("c", Tensor::scalar_i64(1));
  c->type = kType;
  EXPECT_THAT(fault(g), HasSubstr("constant 'c' of type i64[] is declared f32[2]"));
  c->type = {DataType::kI64, {}};

  g.outputs.push_back(nullptr);
  EXPECT_THAT(fault(g), HasSubstr("output"));
  g.outputs.pop_back();
  g.inputs.push_back(a->outputs[0]);
  EXPECT_THAT(fault(g), HasSubstr("input"));
  g.inputs.pop_back();

  a->attrs["body"] = GraphPtr();
  EXPECT_THAT(fault(g), HasSubstr("holds no graph"));
  a->attrs.clear();
  EXPECT_EQ(fault(g), "valid");
}

// One constant that very many nodes read costs no quadratic check.
TEST(Verify, TakesManyUsesOfOneValue) {
  Graph g;
  Value* x = g.add_input("x", kType);
  for (int i = 0; i < 100000; ++i) g.outputs = {add(g, "A", {x})->outputs[0]};
  EXPECT_EQ(fault(g), "valid");
}

}  // namespace
}  // namespace planish::ir
