#include "opdef/make_problem.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/text.h"
#include "opdef/infer.h"

namespace planish::opdef {
namespace {

using kernel::Problem;
using kernel::Stage;

constexpr int64_t kSmallConstant = 64;  // elements that travel inside a Problem

// Turns the nodes of one body (or one node alone) into stages.
class StageBuilder {
 public:
  StageBuilder(const OpRegistry& registry, Problem& problem)
      : registry_(registry), problem_(problem), next_value_(int(problem.operands.size())) {}

  void name_operand(const ir::Value* value, int number) { numbers_[value] = number; }

  Status add(const std::vector<const ir::Node*>& nodes, const std::vector<ir::Value*>& results) {
    assign_levels(nodes);
    for (int level = 0; level <= top_level_; ++level) {
      PLANISH_RETURN_IF_ERROR(add_expressions(nodes, results, level));
      for (const ir::Node* node : nodes)
        if (!is_elementwise(*node) && level_[node] == level)
          PLANISH_RETURN_IF_ERROR(add_root(*node));
    }
    for (const ir::Value* v : results) {
      auto found = numbers_.find(v);
      if (found == numbers_.end())
        return internal_error(cat("result '", v->name, "' is not computed by the region"));
      problem_.results.push_back(found->second);
    }
    return ok_status();
  }

 private:
  bool is_elementwise(const ir::Node& node) const {
    const OpDef* op = registry_.find(node.op);
    return op && op->expression;
  }

  // Level: the number of roots that must have run before. A root at level L feeds level L + 1.
  void assign_levels(const std::vector<const ir::Node*>& nodes) {
    std::map<const ir::Value*, int> value_level;
    int last_root = -1;
    for (const ir::Node* node : nodes) {
      int level = 0;
      for (const ir::Value* v : node->inputs) {
        auto found = v ? value_level.find(v) : value_level.end();
        if (found != value_level.end()) level = std::max(level, found->second);
      }
      const bool root = !is_elementwise(*node);
      if (root) {
        level = std::max(level, last_root + 1);  // one root a level
        last_root = level;
      }
      level_[node] = level;
      top_level_ = std::max(top_level_, root ? level + 1 : level);
      for (const ir::Value* v : node->outputs) value_level[v] = root ? level + 1 : level;
    }
  }

  Status add_root(const ir::Node& node) {
    Stage stage;
    stage.op = node.op;
    stage.attrs = node.attrs;
    for (const ir::Value* v : node.inputs) {
      if (!v) {
        stage.inputs.push_back(-1);
        continue;
      }
      PLANISH_ASSIGN_OR_RETURN(int number, number_of(v));
      stage.inputs.push_back(number);
    }
    for (const ir::Value* v : node.outputs) {
      stage.outputs.push_back(v->type);
      numbers_[v] = next_value_++;
    }
    problem_.stages.push_back(std::move(stage));
    return ok_status();
  }

  Result<int> number_of(const ir::Value* v) {
    auto found = numbers_.find(v);
    if (found != numbers_.end()) return found->second;
    return internal_error(cat("region value '", v->name, "' is neither operand nor computed"));
  }

  // Values of this level's expressions that somebody outside of the level reads, by shape.
  Status add_expressions(const std::vector<const ir::Node*>& nodes,
                         const std::vector<ir::Value*>& results, int level) {
    std::vector<std::pair<ir::Shape, std::vector<const ir::Value*>>> groups;
    for (const ir::Node* node : nodes) {
      if (!is_elementwise(*node) || level_[node] != level) continue;
      const ir::Value* v = node->outputs[0];
      bool leaves = std::find(results.begin(), results.end(), v) != results.end();
      for (const ir::Use& use : v->uses) {
        auto at = level_.find(use.node);
        if (at != level_.end() && (at->second != level || !is_elementwise(*use.node)))
          leaves = true;
      }
      if (!leaves) continue;
      auto same = std::find_if(groups.begin(), groups.end(),
                               [&](const auto& g) { return g.first == v->type.shape; });
      if (same == groups.end()) groups.push_back({v->type.shape, {v}});
      else same->second.push_back(v);
    }
    // In the order in which they leave the region: kernels write their results so.
    const auto place = [&](const ir::Value* v) {
      return std::find(results.begin(), results.end(), v) - results.begin();
    };
    for (auto& [shape, values] : groups) {
      std::stable_sort(values.begin(), values.end(), [&](const ir::Value* a, const ir::Value* b) {
        return place(a) < place(b);
      });
      PLANISH_RETURN_IF_ERROR(add_expression(nodes, values, level));
    }
    return ok_status();
  }

  Status add_expression(const std::vector<const ir::Node*>& nodes,
                        const std::vector<const ir::Value*>& outputs, int level) {
    std::set<const ir::Node*> needed;
    std::vector<const ir::Node*> open;
    for (const ir::Value* v : outputs) open.push_back(v->producer);
    while (!open.empty()) {
      const ir::Node* node = open.back();
      open.pop_back();
      if (!needed.insert(node).second) continue;
      for (const ir::Value* v : node->inputs) {
        auto at = v && v->producer ? level_.find(v->producer) : level_.end();
        if (at != level_.end() && at->second == level && is_elementwise(*v->producer))
          open.push_back(v->producer);
      }
    }
    Stage stage;
    stage.op = kernel::kExprStage;
    kernel::ExprBuilder builder;
    std::map<const ir::Value*, int> at;  // value -> expression node
    for (const ir::Node* node : nodes) {
      if (!needed.count(node)) continue;
      const OpDef* op = registry_.find(node->op);
      std::vector<std::optional<DataType>> types;
      std::vector<int> args;
      for (const ir::Value* v : node->inputs) {
        types.push_back(v ? std::optional<DataType>(v->type.dtype) : std::nullopt);
        if (!v) {
          args.push_back(-1);
          continue;
        }
        auto known = at.find(v);
        if (known == at.end()) {
          PLANISH_ASSIGN_OR_RETURN(int expr_node, operand_node(v, builder, stage));
          known = at.emplace(v, expr_node).first;
        }
        args.push_back(known->second);
      }
      PLANISH_ASSIGN_OR_RETURN(
          kernel::Expr expr,
          expression_of(*op, node->attrs, types, node->outputs[0]->type.dtype));
      at[node->outputs[0]] = builder.inline_expr(expr, args)[0];
    }
    std::vector<int> result_nodes;
    for (const ir::Value* v : outputs) {
      result_nodes.push_back(at[v]);
      stage.outputs.push_back(v->type);
      numbers_[v] = next_value_++;
    }
    stage.expr = builder.finish(std::move(result_nodes), int(stage.inputs.size()));
    problem_.stages.push_back(std::move(stage));
    return ok_status();
  }

  Result<int> operand_node(const ir::Value* v, kernel::ExprBuilder& builder, Stage& stage) {
    const ir::Tensor* scalar = v->constant && v->constant->count() == 1 ? &*v->constant : nullptr;
    if (!scalar && numbers_.count(v) && numbers_[v] < int(problem_.operands.size())) {
      const auto& value = problem_.operands[size_t(numbers_[v])].value;
      if (value && value->count() == 1) scalar = &*value;
    }
    if (scalar)
      return ir::is_float(scalar->dtype()) ? builder.imm(scalar->f64(0), scalar->dtype())
                                           : builder.imm_int(scalar->i64(0), scalar->dtype());
    PLANISH_ASSIGN_OR_RETURN(int number, number_of(v));
    stage.inputs.push_back(number);
    return builder.arg(int(stage.inputs.size()) - 1, v->type.dtype);
  }

  const OpRegistry& registry_;
  Problem& problem_;
  int next_value_;
  int top_level_ = 0;
  std::map<const ir::Value*, int> numbers_;
  std::map<const ir::Node*, int> level_;
};

kernel::Operand make_operand(const ir::Value* v, bool host) {
  kernel::Operand operand;
  if (!v) {
    operand.present = false;
    return operand;
  }
  operand.type = v->type;
  operand.constant = v->is_constant();
  if (v->constant && (v->constant->count() <= kSmallConstant || host)) operand.value = v->constant;
  return operand;
}

// Operands that no stage reads any more (they became immediates) leave the problem.
void drop_unused_operands(Problem& problem) {
  std::vector<bool> used(problem.operands.size());
  for (const Stage& stage : problem.stages)
    for (int input : stage.inputs)
      if (input >= 0 && input < int(used.size())) used[size_t(input)] = true;
  for (int result : problem.results)
    if (result < int(used.size())) used[size_t(result)] = true;
  for (size_t i = 0; i < used.size(); ++i)
    if (!used[i]) problem.operands[i] = kernel::Operand{.type = {}, .present = false, .value = {}};
}

Result<Problem> build(const OpRegistry& registry, const ir::Node& node) {
  const OpDef* op = registry.find(node.op);
  if (!op) return unsupported(cat("no operator is named '", node.op, "'"));
  Problem problem;
  for (size_t i = 0; i < node.inputs.size(); ++i)
    problem.operands.push_back(
        make_operand(node.inputs[i], i < 32 && (op->host_inputs >> i & 1)));
  StageBuilder builder(registry, problem);
  if (node.op != "Region") {
    for (size_t i = 0; i < node.inputs.size(); ++i)
      if (node.inputs[i]) builder.name_operand(node.inputs[i], int(i));
    PLANISH_RETURN_IF_ERROR(builder.add({&node}, node.outputs));
    return problem;
  }
  const ir::Graph& body = *node.attr_graph("body");
  for (size_t i = 0; i < body.inputs.size(); ++i) builder.name_operand(body.inputs[i], int(i));
  std::vector<const ir::Node*> nodes;
  for (const auto& n : body.nodes()) nodes.push_back(n.get());
  PLANISH_RETURN_IF_ERROR(builder.add(nodes, body.outputs));
  return problem;
}

}  // namespace

Result<Problem> make_problem(const OpRegistry& registry, const ir::Node& node) {
  PLANISH_ASSIGN_OR_RETURN(Problem problem, build(registry, node));
  drop_unused_operands(problem);
  return problem;
}

}  // namespace planish::opdef
