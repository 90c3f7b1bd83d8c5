#include "opdef/check_problem.h"

#include "base/text.h"
#include "opdef/infer.h"

namespace planish::opdef {
namespace {

// Attributes that have defaults are filled in by importers, and everybody reads them unasked.
Status check_filled(const OpRegistry& registry, std::string_view name,
                    const ir::Attributes& attrs) {
  const OpDef* op = registry.find(name);
  if (!op) return unsupported(cat("no operator is named '", name, "'"));
  for (const AttrSpec& spec : op->attrs)
    if (spec.default_value && !attrs.count(spec.name))
      return invalid_argument(cat("attribute '", spec.name, "' is missing"));
  for (const auto& [key, value] : attrs) {
    const auto* body = std::get_if<ir::GraphPtr>(&value);
    if (!body) continue;
    if (!*body) return invalid_argument(cat("attribute '", key, "' holds no graph"));
    for (const auto& node : (*body)->nodes())
      if (Status s = check_filled(registry, node->op, node->attrs); !s.ok())
        return s.at(describe_node(*node)).at(cat("attribute '", key, "'"));
  }
  return ok_status();
}

// The problem's stages as nodes of a graph, so that the one checker of nodes looks at them.
class ProblemChecker {
 public:
  ProblemChecker(const OpRegistry& registry, const kernel::Problem& problem)
      : registry_(registry), problem_(problem) {}

  Status run() {
    for (const kernel::Operand& operand : problem_.operands) {
      if (!operand.present) values_.push_back(nullptr);
      else if (operand.value) values_.push_back(graph_.add_constant(next_name(), *operand.value));
      else values_.push_back(graph_.add_input(next_name(), plain(operand.type)));
    }
    for (size_t i = 0; i < problem_.stages.size(); ++i) {
      const kernel::Stage& stage = problem_.stages[i];
      // An expression was checked with the problem; "Content" has no operands and its own kernel.
      const bool is_root = !stage.is_expr() && stage.op != kernel::kContentStage;
      Status s = is_root ? root(stage) : ok_status();
      if (!s.ok()) return s.at(cat("stage ", i, " (", stage.op.substr(0, 80), ")"));
      for (const ir::TensorType& type : stage.outputs)
        values_.push_back(graph_.add_input(next_name(), plain(type)));
    }
    return ok_status();
  }

 private:
  std::string next_name() const { return cat("v", values_.size()); }
  static ir::TensorType plain(const ir::TensorType& type) { return {type.dtype, type.shape}; }

  Status root(const kernel::Stage& stage) {
    PLANISH_RETURN_IF_ERROR(check_filled(registry_, stage.op, stage.attrs));
    std::vector<ir::Value*> inputs;
    for (int number : stage.inputs)
      inputs.push_back(number < 0 ? nullptr : values_[size_t(number)]);
    ir::Attributes attrs;
    for (const auto& [key, value] : stage.attrs) attrs.emplace(key, ir::clone(value));
    std::vector<ir::TensorType> types;
    for (const ir::TensorType& type : stage.outputs) types.push_back(plain(type));
    ir::Node* node = graph_.add_node(stage.op, std::move(inputs), std::move(attrs), types);
    PLANISH_RETURN_IF_ERROR(infer_node(registry_, *node));
    for (size_t i = 0; i < types.size(); ++i)
      if (!agree(types[i], node->outputs[i]->type))
        return invalid_argument(cat("output ", i, " is ", ir::to_string(types[i]), ", expected ",
                                    ir::to_string(plain(node->outputs[i]->type))));
    return ok_status();
  }

  static bool agree(const ir::TensorType& stated, const ir::TensorType& inferred) {
    if (stated.dtype != inferred.dtype || stated.rank() != inferred.rank()) return false;
    for (size_t d = 0; d < stated.shape.size(); ++d)
      if (stated.shape[d].is_constant() && inferred.shape[d].is_constant() &&
          stated.shape[d] != inferred.shape[d])
        return false;
    return true;
  }

  const OpRegistry& registry_;
  const kernel::Problem& problem_;
  ir::Graph graph_;
  std::vector<ir::Value*> values_;  // by value number; null: absent
};

}  // namespace

Status check_problem(const OpRegistry& registry, const kernel::Problem& problem) {
  return ProblemChecker(registry, problem).run();
}

}  // namespace planish::opdef
