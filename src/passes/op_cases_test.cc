// The pipeline over every operator's cases: each node alone and between neighbours that passes like to
// fuse and fold gives the values that it gives untouched.
#include <cmath>

#include "base/text.h"
#include "eval/interpreter.h"
#include "opdef/infer.h"
#include "ops/all_cases.h"
#include "ops/case_inputs.h"
#include "passes/pass_fixture_testing.h"
#include "passes/pipeline.h"

namespace planish::passes {
namespace {

using opdef::OpCase;

struct Built {
  std::unique_ptr<ir::Graph> graph;
  std::vector<ir::Tensor> inputs;
};

// The case's node behind Identity nodes; `wrapped`: every floating output halved and shifted.
Result<Built> build(const OpCase& c, bool wrapped) {
  Built out;
  out.graph = std::make_unique<ir::Graph>();
  ir::Graph& g = *out.graph;
  std::vector<ir::Value*> operands;
  for (size_t i = 0; i < c.inputs.size(); ++i) {
    const ir::Tensor t = ops::make_input(c.inputs[i], i + 1);
    if (c.inputs[i].absent) {
      operands.push_back(nullptr);
    } else if (c.inputs[i].constant) {
      operands.push_back(g.add_constant(cat("c", i), t));
    } else {
      ir::Value* x = g.add_input(cat("x", i), t.type());
      out.inputs.push_back(t);
      operands.push_back(g.add_node("Identity", {x}, {}, {t.type()})->outputs[0]);
    }
  }
  ir::Attributes attrs;
  for (const auto& [key, value] : c.attrs) attrs[key] = ir::clone(value);
  opdef::fill_defaults(*test_registry().find(c.op), attrs);
  ir::Node* node = g.add_node(c.op, operands, attrs,
                              std::vector<ir::TensorType>(size_t(c.output_count)));
  PLANISH_RETURN_IF_ERROR(opdef::infer_graph(test_registry(), g));
  for (ir::Value* v : node->outputs) {
    if (wrapped && ir::is_float(v->type.dtype) && ir::bits_of(v->type.dtype) >= 16) {
      const double half = 0.5, one = 1;
      const auto scalar = [&](const double& value) {
        return g.add_constant("s", ir::Tensor::from_f64(v->type.dtype, {}, std::span(&value, 1)));
      };
      v = g.add_node("Mul", {v, scalar(half)}, {}, {v->type})->outputs[0];
      v = g.add_node("Add", {v, scalar(one)}, {}, {v->type})->outputs[0];
    }
    g.outputs.push_back(v);
  }
  PLANISH_RETURN_IF_ERROR(opdef::infer_graph(test_registry(), g));
  return out;
}

void expect_equal(const std::vector<ir::Tensor>& got, const std::vector<ir::Tensor>& expected,
                  const std::string& title) {
  ASSERT_EQ(got.size(), expected.size()) << title;
  for (size_t o = 0; o < got.size(); ++o) {
    ASSERT_EQ(got[o].dims(), expected[o].dims()) << title;
    ASSERT_EQ(got[o].dtype(), expected[o].dtype()) << title;
    double largest = 0;
    for (int64_t i = 0; i < expected[o].count(); ++i)
      if (std::isfinite(expected[o].f64(i)))
        largest = std::max(largest, std::fabs(expected[o].f64(i)));
    const double bound = 64 * ir::unit_roundoff(expected[o].dtype()) * largest;
    for (int64_t i = 0; i < got[o].count(); ++i) {
      const double a = got[o].f64(i), b = expected[o].f64(i);
      // Cases with infinities and NaN are about exactly those.
      const bool same = a == b || (std::isnan(a) && std::isnan(b)) || std::fabs(a - b) <= bound;
      ASSERT_TRUE(same) << title << " output " << o << "[" << i << "]: got " << a << ", expected "
                        << b << " within " << bound;
    }
  }
}

void check(const OpCase& c, bool wrapped) {
  const std::string title = cat(c.op, ".", c.name, wrapped ? " wrapped" : "");
  auto built = build(c, wrapped);
  ASSERT_TRUE(built.ok()) << title << ": " << built.status().to_string();
  auto expected = eval::interpret(test_registry(), *built->graph, built->inputs);
  ASSERT_TRUE(expected.ok()) << title << ": " << expected.status().to_string();
  PassOptions options;
  options.verify = true;
  options.merge_siblings = options.channels_last = true;
  PassContext context(test_registry(), options);
  std::vector<std::string> names;
  for (const ir::Value* v : built->graph->outputs) names.push_back(v->name);
  const Status status = optimize(*built->graph, context);
  ASSERT_TRUE(status.ok()) << title << ": " << status.to_string();
  for (size_t o = 0; o < names.size(); ++o)
    EXPECT_EQ(built->graph->outputs[o]->name, names[o]) << title;
  auto got = eval::interpret(test_registry(), *built->graph, built->inputs);
  ASSERT_TRUE(got.ok()) << title << ": " << got.status().to_string() << ir::print(*built->graph);
  expect_equal(*got, *expected, title);
}

TEST(OpCases, SurviveThePipeline) {
  const opdef::CaseList cases = ops::all_cases();
  int checked = 0;
  for (const OpCase& c : cases) {
    if (test_registry().find(c.op)->random) continue;
    for (bool wrapped : {false, true}) check(c, wrapped);
    ++checked;
  }
  EXPECT_GT(checked, 500);
}

}  // namespace
}  // namespace planish::passes
