#include "kernel/problem.h"

#include <cstring>

#include "base/text.h"

namespace planish::kernel {

int Problem::value_count() const {
  int count = int(operands.size());
  for (const Stage& s : stages) count += int(s.outputs.size());
  return count;
}

std::pair<int, int> Problem::stage_of(int value) const {
  int rest = value - int(operands.size());
  for (size_t i = 0; i < stages.size() && rest >= 0; ++i) {
    if (rest < int(stages[i].outputs.size())) return {int(i), rest};
    rest -= int(stages[i].outputs.size());
  }
  PLANISH_CHECK(false, cat("value ", value, " belongs to no stage"));
}

const ir::TensorType& Problem::type_of(int value) const {
  if (value < int(operands.size())) return operands[size_t(value)].type;
  const auto [stage, output] = stage_of(value);
  return stages[size_t(stage)].outputs[size_t(output)];
}

std::string_view Problem::root_op() const {
  for (const Stage& s : stages)
    if (!s.is_expr()) return s.op;
  return kExprStage;
}

std::optional<RootAndEpilogue> root_and_epilogue(const Problem& problem) {
  if (problem.stages.empty() || problem.stages.size() > 2) return std::nullopt;
  const Stage& root = problem.stages[0];
  if (root.is_expr()) return std::nullopt;
  for (int input : root.inputs)
    if (input >= int(problem.operands.size())) return std::nullopt;
  RootAndEpilogue view;
  view.root = &root;
  view.root_output = int(problem.operands.size());
  const int first_expr_value = view.root_output + int(root.outputs.size());
  if (problem.stages.size() == 2) {
    const Stage& stage = problem.stages[1];
    if (!stage.is_expr()) return std::nullopt;
    view.epilogue = &*stage.expr;
    view.epilogue_stage = &stage;
    view.epilogue_inputs = stage.inputs;
    for (int result : problem.results)
      if (result < first_expr_value) return std::nullopt;
  }
  return view;
}

namespace {

Status bind_type(ir::TensorType& type, const ir::Dim::Lookup& binding) {
  for (ir::Dim& d : type.shape) {
    if (d.is_constant()) continue;
    auto value = d.evaluate(binding);
    if (!value) return invalid_argument(cat("dim ", d.to_string(), " is not bound"));
    d = *value;
  }
  return ok_status();
}

void append_type(std::string& out, const ir::TensorType& type, bool with_dims) {
  out += ir::name_of(type.dtype);
  if (with_dims) out += ir::to_string(type.shape);
  else out += cat("r", type.rank());
  if (!type.layout.is_row_major()) out += ir::to_string(type.layout);
}

void append_tensor(std::string& out, const ir::Tensor& t) {
  append_type(out, t.type(), true);
  const int64_t shown = t.count() < 64 ? t.count() : 0;
  for (int64_t i = 0; i < shown; ++i)
    out += ir::is_float(t.dtype()) ? cat(' ', t.f64(i)) : cat(' ', t.i64(i));
  if (!shown && t.count()) {
    uint64_t hash = 1469598103934665603u;  // FNV-1a over the bytes
    for (int64_t i = 0; i < t.bytes(); ++i)
      hash = (hash ^ t.data_as<uint8_t>()[i]) * 1099511628211u;
    out += cat(" #", hash);
  }
}

void append_attribute(std::string& out, const ir::Attribute& attribute) {
  std::visit(
      [&](const auto& v) {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, ir::DataType>) out += ir::name_of(v);
        else if constexpr (std::is_same_v<T, ir::Tensor>) append_tensor(out, v);
        else if constexpr (std::is_same_v<T, ir::GraphPtr>)
          out += v ? ir::print(*v, {.full_constants = true}) : "null";
        else if constexpr (std::is_arithmetic_v<T>) out += cat(v);
        else if constexpr (std::is_same_v<T, std::string>) out += cat('"', v, '"');
        else out += bracketed(v);
      },
      attribute);
}

}  // namespace

Result<Problem> concrete(const Problem& problem, const ir::Dim::Lookup& binding) {
  Problem out = problem;
  for (Operand& operand : out.operands)
    if (operand.present) PLANISH_RETURN_IF_ERROR(bind_type(operand.type, binding));
  for (Stage& stage : out.stages) {
    for (ir::TensorType& type : stage.outputs) PLANISH_RETURN_IF_ERROR(bind_type(type, binding));
    auto exprs = stage.attrs.find(kDimExprs);
    if (exprs == stage.attrs.end()) continue;
    std::vector<int64_t> values;
    const auto* texts = std::get_if<std::vector<std::string>>(&exprs->second);
    if (!texts) return invalid_argument(cat("attribute '", kDimExprs, "' is no list of texts"));
    for (const std::string& text : *texts) {
      PLANISH_ASSIGN_OR_RETURN(ir::Dim d, ir::Dim::parse(text));
      auto value = d.evaluate(binding);
      if (!value) return invalid_argument(cat("dim ", text, " is not bound"));
      values.push_back(*value);
    }
    stage.attrs[std::string(kDimValues)] = std::move(values);
  }
  return out;
}

std::string fingerprint(const Problem& problem, bool with_dims) {
  std::string out;
  for (const Operand& operand : problem.operands) {
    if (!operand.present) {
      out += "absent;";
      continue;
    }
    append_type(out, operand.type, with_dims);
    if (operand.constant) out += "c";
    if (operand.value) {
      out += "=";
      append_tensor(out, *operand.value);
    }
    out += ";";
  }
  for (const Stage& stage : problem.stages) {
    out += cat("|", stage.op, "(", join(stage.inputs, ","), ")");
    for (const auto& [key, attribute] : stage.attrs) {
      out += cat(" ", key, "=");
      append_attribute(out, attribute);
    }
    if (stage.expr) out += cat("{", to_string(*stage.expr), "}");
    for (const ir::TensorType& type : stage.outputs) {
      out += "->";
      append_type(out, type, with_dims);
    }
  }
  out += cat("|", join(problem.results, ","));
  return out;
}

std::string describe(const Problem& problem) {
  std::vector<std::string> parts;
  for (const Stage& stage : problem.stages) {
    if (!stage.is_expr()) {
      std::string part = stage.op;
      auto kernel = stage.attrs.find("kernel_shape");
      if (kernel != stage.attrs.end())
        if (const auto* k = std::get_if<std::vector<int64_t>>(&kernel->second))
          part += cat(" ", join(*k, "x"));
      parts.push_back(std::move(part));
      continue;
    }
    std::vector<std::string_view> names;
    for (const ExprNode& n : stage.expr->nodes)
      if (n.op != ScalarOp::kArg && n.op != ScalarOp::kImm) names.push_back(info(n.op).name);
    if (names.size() > 6) names = {names[0], names[1], "...", names.back()};
    parts.push_back(cat("{", join(names, " "), "}"));
  }
  std::string out = join(parts, " + ");
  if (!problem.results.empty()) out += cat(" -> ", ir::to_string(problem.result_type(0)));
  return out;
}

}  // namespace planish::kernel
