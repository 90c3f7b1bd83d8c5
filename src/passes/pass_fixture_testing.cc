#include "passes/pass_fixture_testing.h"

#include <cmath>
#include <map>
#include <random>

#include "base/text.h"
#include "eval/interpreter.h"
#include "opdef/infer.h"
#include "ops/register_ops.h"

namespace planish::passes {

const opdef::OpRegistry& test_registry() {
  static const auto* registry = [] {
    auto* made = new opdef::OpRegistry;
    ops::register_all_ops(*made);
    return made;
  }();
  return *registry;
}

std::unique_ptr<ir::Graph> graph_of(std::string_view text) {
  auto parsed = ir::parse(text);
  PLANISH_CHECK(parsed.ok(), parsed.status().to_string());
  for (const auto& node : (*parsed)->nodes())
    if (const opdef::OpDef* op = test_registry().find(node->op))
      opdef::fill_defaults(*op, node->attrs);
  const Status typed = opdef::infer_graph(test_registry(), **parsed);
  PLANISH_CHECK(typed.ok(), typed.to_string());
  const Status valid = ir::verify(**parsed);
  PLANISH_CHECK(valid.ok(), valid.to_string());
  return std::move(*parsed);
}

namespace {

std::unique_ptr<ir::Graph> renamed_copy(const ir::Graph& graph) {
  auto out = std::make_unique<ir::Graph>();
  out->symbols = graph.symbols;
  std::map<const ir::Value*, ir::Value*> twin;
  for (const ir::Value* v : graph.inputs) twin[v] = out->add_input(v->name, v->type);
  int constants = 0, computed = 0;
  const auto inner = [&](const ir::Value* v) -> ir::Value* {
    if (!v) return nullptr;
    auto found = twin.find(v);
    if (found != twin.end()) return found->second;
    return twin[v] = out->add_constant(cat("c", constants++), *v->constant);
  };
  for (const auto& node : graph.nodes()) {
    std::vector<ir::Value*> operands;
    for (const ir::Value* v : node->inputs) operands.push_back(inner(v));
    ir::Attributes attrs;
    for (const auto& [key, value] : node->attrs) {
      const auto* body = std::get_if<ir::GraphPtr>(&value);
      attrs[key] = body ? ir::Attribute(ir::GraphPtr(renamed_copy(**body))) : value;
    }
    std::vector<ir::TensorType> types;
    for (const ir::Value* v : node->outputs) types.push_back(v->type);
    ir::Node* copy = out->add_node(node->op, operands, attrs, types);
    for (size_t i = 0; i < node->outputs.size(); ++i) {
      const ir::Value* v = node->outputs[i];
      out->rename(copy->outputs[i],
                  graph.is_output(v) || v->keep ? v->name : cat("t", computed++));
      copy->outputs[i]->keep = v->keep;
      twin[v] = copy->outputs[i];
    }
  }
  for (const ir::Value* v : graph.outputs) out->outputs.push_back(inner(v));
  return out;
}

}  // namespace

std::string canonical(const ir::Graph& graph) {
  ir::PrintOptions options;
  options.full_constants = true;
  options.inline_elements = 64;
  return ir::print(*renamed_copy(graph), options);
}

std::vector<ir::Tensor> random_inputs(const ir::Graph& graph, uint32_t seed) {
  std::mt19937 random(seed);
  std::map<std::string, int64_t, std::less<>> bound;
  std::vector<ir::Tensor> out;
  for (const ir::Value* v : graph.inputs) {
    std::vector<int64_t> dims;
    for (const ir::Dim& d : v->type.shape) {
      for (const std::string& name : d.symbols())
        bound.emplace(name, 2 + int64_t(bound.size()) % 3);
      dims.push_back(*d.evaluate([&](std::string_view name) -> std::optional<int64_t> {
        return bound.find(name)->second;
      }));
    }
    ir::Tensor t(v->type.dtype, dims);
    std::uniform_real_distribution<double> real(-2, 2);
    for (int64_t i = 0; i < t.count(); ++i) {
      if (ir::is_float(t.dtype())) t.set_f64(i, real(random));
      else t.set_i64(i, int64_t(random() % 2));
    }
    out.push_back(std::move(t));
  }
  return out;
}

void expect_same_values(const ir::Graph& reference, const ir::Graph& graph, uint32_t seed) {
  ASSERT_EQ(reference.outputs.size(), graph.outputs.size());
  for (size_t i = 0; i < graph.outputs.size(); ++i)
    EXPECT_EQ(reference.outputs[i]->name, graph.outputs[i]->name);
  const std::vector<ir::Tensor> inputs = random_inputs(reference, seed);
  eval::Options wide_options;
  wide_options.wide = true;
  auto plain = eval::interpret(test_registry(), reference, inputs);
  auto wide = eval::interpret(test_registry(), reference, inputs, wide_options);
  auto got = eval::interpret(test_registry(), graph, inputs);
  ASSERT_TRUE(plain.ok()) << plain.status().to_string();
  ASSERT_TRUE(wide.ok()) << wide.status().to_string();
  ASSERT_TRUE(got.ok()) << got.status().to_string();
  for (size_t o = 0; o < got->size(); ++o) {
    ASSERT_EQ((*got)[o].dims(), (*plain)[o].dims());
    ASSERT_EQ((*got)[o].dtype(), (*plain)[o].dtype());
    double largest = 0;
    for (int64_t i = 0; i < (*wide)[o].count(); ++i)
      largest = std::max(largest, std::fabs((*wide)[o].f64(i)));
    const double u = ir::unit_roundoff((*plain)[o].dtype());
    for (int64_t i = 0; i < (*got)[o].count(); ++i) {
      const double expected = (*wide)[o].f64(i), value = (*got)[o].f64(i);
      const double bound =
          std::max(16 * std::fabs((*plain)[o].f64(i) - expected), 64 * u * largest);
      ASSERT_TRUE(std::fabs(value - expected) <= bound)
          << "output " << o << " element " << i << ": got " << value << ", expected " << expected
          << " within " << bound << ", seed " << seed << "\n" << ir::print(graph);
    }
  }
}

Rewritten rewritten(PassFunction pass, std::string_view text, PassOptions options) {
  Rewritten out;
  const auto before = graph_of(text);
  out.graph = before->clone();
  PassContext context(test_registry(), std::move(options));
  Result<bool> changed = pass(*out.graph, context);
  EXPECT_TRUE(changed.ok()) << changed.status().to_string();
  out.changed = changed.ok() && *changed;
  out.fired = context.fired;
  EXPECT_TRUE(ir::verify(*out.graph).ok()) << ir::verify(*out.graph).to_string();
  const std::string typed = ir::print(*out.graph);
  const Status inferred = opdef::infer_graph(test_registry(), *out.graph);
  EXPECT_TRUE(inferred.ok()) << inferred.to_string();
  EXPECT_EQ(ir::print(*out.graph), typed) << "the pass left other types than inference finds";
  if (inferred.ok())
    for (uint32_t seed : {1u, 2u}) expect_same_values(*before, *out.graph, seed);
  return out;
}

void expect_rewrite(PassFunction pass, std::string_view before, std::string_view after,
                    PassOptions options) {
  const Rewritten result = rewritten(pass, before, std::move(options));
  EXPECT_TRUE(result.changed);
  EXPECT_EQ(canonical(*result.graph), canonical(*graph_of(after)));
  int64_t fired = 0;
  for (const auto& [rule, times] : result.fired) fired += times;
  EXPECT_GT(fired, 0);
}

void expect_unchanged(PassFunction pass, std::string_view text, PassOptions options) {
  const Rewritten result = rewritten(pass, text, std::move(options));
  EXPECT_FALSE(result.changed);
  EXPECT_EQ(canonical(*result.graph), canonical(*graph_of(text)));
}

int count_nodes(const ir::Graph& graph, std::string_view op) {
  int count = 0;
  for (const auto& node : graph.nodes()) count += node->op == op;
  return count;
}

}  // namespace planish::passes
