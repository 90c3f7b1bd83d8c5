#include "case_problems.h"

#include <map>

#include "base/text.h"
#include "check/verify.h"
#include "eval/interpreter.h"
#include "opdef/infer.h"
#include "opdef/make_problem.h"
#include "ops/case_inputs.h"
#include "passes/pipeline.h"

namespace planish::gpu_tests {
namespace {

struct Built {
  std::unique_ptr<ir::Graph> graph;
  std::vector<ir::Tensor> inputs;
};

// `wrapped`: every floating output halved and shifted, for passes to fuse.
Result<Built> build(const opdef::OpRegistry& registry, const opdef::OpCase& c, bool wrapped) {
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
      operands.push_back(g.add_input(cat("x", i), t.type()));
      out.inputs.push_back(t);
    }
  }
  ir::Attributes attrs;
  for (const auto& [key, value] : c.attrs) attrs[key] = ir::clone(value);
  opdef::fill_defaults(*registry.find(c.op), attrs);
  ir::Node* node = g.add_node(c.op, operands, attrs,
                              std::vector<ir::TensorType>(size_t(c.output_count)));
  PLANISH_RETURN_IF_ERROR(opdef::infer_graph(registry, g));
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
  PLANISH_RETURN_IF_ERROR(opdef::infer_graph(registry, g));
  return out;
}

using Values = std::map<std::string, ir::Tensor>;

Result<Values> values_of(const opdef::OpRegistry& registry, const Built& built, bool wide) {
  Values values;
  eval::Options options;
  options.wide = wide;
  options.observer = [&](const ir::Value& v, const ir::Tensor& t) { values[v.name] = t; };
  PLANISH_RETURN_IF_ERROR(
      eval::interpret(registry, *built.graph, built.inputs, options).status());
  for (size_t i = 0; i < built.inputs.size(); ++i)
    values[built.graph->inputs[i]->name] = built.inputs[i];
  return values;
}

bool is_concrete(const ir::Node& node) {
  for (const ir::Value* v : node.outputs)
    if (!ir::is_constant(v->type.shape)) return false;
  return true;
}

Status add_problems(const opdef::OpRegistry& registry, const Built& built, const std::string& title,
                    std::vector<CaseProblem>& out) {
  PLANISH_ASSIGN_OR_RETURN(const Values plain, values_of(registry, built, false));
  // Ops on bits have no wide form: their results are exact.
  const auto widened = values_of(registry, built, true);
  const Values& wide = widened.ok() ? *widened : plain;
  for (const auto& node : built.graph->nodes()) {
    const opdef::OpDef* op = registry.find(node->op);
    if (!op || op->is_view || op->random || !is_concrete(*node)) continue;
    PLANISH_ASSIGN_OR_RETURN(kernel::Problem problem, opdef::make_problem(registry, *node));
    CaseProblem one;
    one.title = title;
    PLANISH_ASSIGN_OR_RETURN(one.problem, kernel::concrete(problem, [](std::string_view) {
                               return std::optional<int64_t>();
                             }));
    for (const ir::Value* v : node->inputs) {
      if (!v) one.operands.emplace_back();
      else one.operands.push_back(v->constant ? *v->constant : plain.at(v->name));
    }
    for (const ir::Value* v : node->outputs) {
      one.expected.push_back(plain.at(v->name));
      one.rounding.push_back(check::model_rounding(plain.at(v->name), wide.at(v->name)));
    }
    out.push_back(std::move(one));
  }
  return ok_status();
}

}  // namespace

Result<std::vector<CaseProblem>> case_problems(const opdef::OpRegistry& registry,
                                               const opdef::OpCase& c) {
  std::vector<CaseProblem> out;
  if (registry.find(c.op)->random) return out;
  const std::string title = cat(c.op, ".", c.name);
  PLANISH_ASSIGN_OR_RETURN(const Built alone, build(registry, c, false));
  PLANISH_RETURN_IF_ERROR(add_problems(registry, alone, title, out));
  PLANISH_ASSIGN_OR_RETURN(const Built fused, build(registry, c, true));
  passes::PassContext context(registry, {});
  PLANISH_RETURN_IF_ERROR(passes::optimize(*fused.graph, context));
  PLANISH_RETURN_IF_ERROR(add_problems(registry, fused, title + " fused", out));
  return out;
}

}  // namespace planish::gpu_tests
