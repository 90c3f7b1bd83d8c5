#include "forge.h"

#include "base/text.h"

namespace planish::plan {

int64_t Forger::hostile() {
  static constexpr int64_t kNumbers[] = {0,         1,         2,         3,         4,
                                         5,         7,         16,        17,        64,
                                         -1,        -2,        -3,        -17,       1000,
                                         INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, int64_t(1) << 32,
                                         int64_t(1) << 61};
  return kNumbers[below(std::size(kNumbers))];
}

Step* Forger::any_step(Program& p) { return p.steps.empty() ? nullptr : &p.steps[below(p.steps.size())]; }

kernel::Stage* Forger::any_stage(Program& p) {
  Step* step = any_step(p);
  return step ? &step->problem.stages[below(step->problem.stages.size())] : nullptr;
}

void Forger::set_type(Program& p, int value, const ir::TensorType& type) {
  ProgramValue& v = p.values[size_t(value)];
  v.type = type;
  if (v.constant >= 0) {
    Constant& c = p.constants[size_t(v.constant)];
    if (ir::is_constant(type.shape)) c.tensor = ir::Tensor(type.dtype, ir::to_dims(type.shape));
    c.hash = content_hash(c.tensor);
  }
  for (Step& step : p.steps) {
    for (size_t i = 0; i < step.operands.size(); ++i) {
      if (step.operands[i] != value) continue;
      kernel::Operand& o = step.problem.operands[i];
      o.type = type;
      if (o.value && v.constant >= 0) o.value = p.constants[size_t(v.constant)].tensor;
      else o.value.reset();
    }
    for (size_t i = 0; i < step.results.size(); ++i) {
      const int number = step.problem.results[i];
      if (step.results[i] != value || number < int(step.operands.size())) continue;
      const auto [stage, output] = step.problem.stage_of(number);
      step.problem.stages[size_t(stage)].outputs[size_t(output)] = type;
    }
  }
}

std::string Forger::attribute(Program& p) {
  kernel::Stage* stage = any_stage(p);
  if (!stage || stage->attrs.empty()) return "";
  auto at = stage->attrs.begin();
  std::advance(at, below(stage->attrs.size()));
  const std::string name = cat("attribute ", stage->op, ".", at->first, " ");
  switch (below(5)) {
    case 0: stage->attrs.erase(at); return name + "gone";
    case 1: at->second = hostile(); return name + "int";
    case 2: at->second = std::string("reverse"); return name + "text";
    case 3: stage->attrs["no_such_attribute"] = hostile(); return name + "beside another";
    default: break;
  }
  if (auto* number = std::get_if<int64_t>(&at->second)) {
    *number = hostile();
  } else if (auto* real = std::get_if<double>(&at->second)) {
    const double reals[] = {0, -1, 1e300, -1e300, __builtin_nan(""), __builtin_inf()};
    *real = reals[below(std::size(reals))];
  } else if (auto* list = std::get_if<std::vector<int64_t>>(&at->second)) {
    const size_t kind = below(3);
    if (kind == 0 || list->empty()) list->push_back(hostile());
    else if (kind == 1) list->pop_back();
    else (*list)[below(list->size())] = hostile();
  } else if (auto* text = std::get_if<std::string>(&at->second)) {
    const char* texts[] = {"", "bidirectional", "reverse", "SAME_UPPER", "VALID", "edge", "wrap"};
    *text = texts[below(std::size(texts))];
  } else if (auto* type = std::get_if<ir::DataType>(&at->second)) {
    *type = ir::DataType(below(ir::kDataTypeCount));
  } else {
    at->second = hostile();
  }
  return name + "hostile";
}

std::string Forger::dim(Program& p) {
  const int v = int(below(p.values.size()));
  ir::TensorType type = p.values[size_t(v)].type;
  const size_t kind = below(4);
  if (kind == 0 || type.shape.empty()) type.shape.insert(type.shape.begin(), ir::Dim(1));
  else if (kind == 1) type.shape.erase(type.shape.begin());
  else if (kind == 2 && p.values[size_t(v)].constant < 0) {
    p.symbols["forged"] = {};
    type.shape[below(type.shape.size())] = ir::Dim::symbol("forged");
  } else {
    type.shape[below(type.shape.size())] = ir::Dim(int64_t(below(20)));
  }
  if (!type.layout.perm.empty() || type.layout.block_dim >= type.rank()) type.layout = {};
  set_type(p, v, type);
  return cat("value ", v, " is ", ir::to_string(type));
}

std::string Forger::dtype(Program& p) {
  const int v = int(below(p.values.size()));
  ir::TensorType type = p.values[size_t(v)].type;
  if (!ir::is_constant(type.shape) && p.values[size_t(v)].constant >= 0) return "";
  type.dtype = ir::DataType(below(ir::kDataTypeCount));
  set_type(p, v, type);
  return cat("value ", v, " is ", ir::to_string(type));
}

std::string Forger::layout(Program& p) {
  const int v = int(below(p.values.size()));
  ir::TensorType type = p.values[size_t(v)].type;
  const int rank = type.rank();
  if (rank == 0) return "";
  const size_t kind = below(5);
  if (kind == 4) type.space = ir::MemorySpace(below(3));
  else if (kind == 0) type.layout = {};
  else if (kind == 1) type.layout = ir::Layout::blocked(int(below(size_t(rank))), 16);
  else if (kind == 2) type.layout = ir::Layout::blocked(int(below(size_t(rank))), 8);
  else if (rank >= 3) type.layout = ir::Layout::channels_last(rank);
  set_type(p, v, type);
  return cat("value ", v, " is ", ir::to_string(type));
}

std::string Forger::wiring(Program& p) {
  Step* step = any_step(p);
  if (!step) return "";
  kernel::Problem& problem = step->problem;
  kernel::Stage& stage = problem.stages[below(problem.stages.size())];
  switch (below(7)) {
    case 0:
      if (stage.inputs.empty()) return "";
      stage.inputs[below(stage.inputs.size())] = int(below(problem.operands.size() + 2)) - 1;
      return "stage input";
    case 1: stage.inputs.push_back(int(below(problem.operands.size() + 1)) - 1); return "more inputs";
    case 2:
      if (stage.inputs.empty()) return "";
      stage.inputs.pop_back();
      return "fewer inputs";
    case 3:
      if (problem.results.size() < 2) return "";
      std::swap(problem.results.front(), problem.results.back());
      std::swap(step->results.front(), step->results.back());
      return "results swapped";
    case 4: stage.outputs.push_back(stage.outputs[0]); return "more outputs";
    case 5: step->binds_symbols = !step->binds_symbols; return "binds symbols or not";
    default:
      if (p.steps.size() < 2) return "";
      problem.stages.front().op = p.steps[below(p.steps.size())].problem.stages.front().op;
      return "another op";
  }
}

std::string Forger::tactic(Program& p) {
  Step* step = any_step(p);
  if (!step) return "";
  const char* names[] = {"j",    "band",  "chunks", "ic",     "copy", "tile",
                         "rows", "split", "tiles",  "pieces", "mid",  "channels"};
  std::string key = names[below(std::size(names))];
  if (!step->tactic.params.empty() && below(4)) {
    auto at = step->tactic.params.begin();
    std::advance(at, below(step->tactic.params.size()));
    key = at->first;
  }
  if (below(8) == 0) {
    step->tactic.params.erase(key);
    return cat("tactic without ", key);
  }
  step->tactic.params[key] = hostile();
  return cat("tactic ", step->tactic.to_string());
}

std::string Forger::kernel(Program& p) {
  Step* step = any_step(p);
  if (!step) return "";
  const auto& other = kernels_.all()[below(kernels_.all().size())];
  step->kernel = other->name();
  step->kernel_version = other->version();
  return cat("kernel ", step->kernel);
}

std::string Forger::constant(Program& p) {
  std::vector<int> values;
  for (size_t v = 0; v < p.values.size(); ++v)
    if (p.values[v].constant >= 0) values.push_back(int(v));
  if (values.empty()) return "";
  const int v = values[below(values.size())];
  Constant& c = p.constants[size_t(p.values[size_t(v)].constant)];
  ir::Tensor tensor = c.tensor.clone();
  if (tensor.count() == 0) return "";
  const int64_t at = int64_t(below(size_t(tensor.count())));
  if (ir::is_float(tensor.dtype())) tensor.set_f64(at, below(2) ? __builtin_nan("") : -1e30);
  else tensor.set_i64(at, hostile());
  c.tensor = tensor;
  c.hash = content_hash(tensor);
  for (Step& step : p.steps)
    for (size_t i = 0; i < step.operands.size(); ++i)
      if (step.operands[i] == v && step.problem.operands[i].value)
        step.problem.operands[i].value = tensor;
  return cat("constant of value ", v, " at ", at);
}

std::string Forger::blob(Program& p) {
  Step* step = any_step(p);
  if (!step) return "";
  step->packed.assign(below(3) * 64 + 4, std::byte(below(256)));
  return cat("packed weights of ", step->packed.size(), " bytes");
}

std::string Forger::view(Program& p) {
  ProgramValue& v = p.values[below(p.values.size())];
  if (v.kind != ValueKind::kTemporary) return "";
  switch (below(3)) {
    case 0: v.parent = int(below(p.values.size() + 1)) - 1; break;
    case 1: v.offset = ir::Dim(int64_t(below(40))); break;
    default: v.strided = !v.strided;
  }
  return cat("view in ", v.parent, " at ", v.offset.to_string(), v.strided ? " strided" : "");
}

std::string Forger::expression(Program& p) {
  kernel::Stage* stage = any_stage(p);
  if (!stage || !stage->expr || stage->expr->nodes.empty()) return "";
  const size_t at = below(stage->expr->nodes.size());
  kernel::ExprNode& node = stage->expr->nodes[at];
  switch (below(4)) {
    case 0: node.op = kernel::ScalarOp(below(kernel::kScalarOpCount)); break;
    case 1: node.a = int32_t(below(stage->expr->nodes.size() + 1)) - 1; break;
    case 2: node.b = int32_t(below(stage->expr->nodes.size() + 1)) - 1; break;
    default: node.imm_int = hostile(); node.imm = double(hostile());
  }
  return cat("expression node ", at, ": ", kernel::to_string(*stage->expr));
}

// Inside of a body, or the list of bodies itself.
std::string Forger::body(Program& p) {
  for (size_t i = 0; i < p.steps.size(); ++i) {
    Step& step = p.steps[i];
    if (step.bodies.empty()) continue;
    const size_t at = below(step.bodies.size());
    switch (below(8)) {
      case 0: return step.bodies.pop_back(), cat("step ", i, " loses a body");
      case 1:
        std::swap(step.bodies[at].program, step.bodies[below(step.bodies.size())].program);
        return cat("step ", i, " swaps bodies");
      default: break;
    }
    auto inner = std::make_shared<Program>(*step.bodies[at].program);
    const std::string what = forge(*inner);
    step.bodies[at].program = inner;
    return cat("body ", at, " of step ", i, ": ", what);
  }
  return "";
}

std::string Forger::forge(Program& p) {
  if (p.values.empty()) return "";
  if (below(2) == 0)
    if (std::string what = body(p); !what.empty()) return what;
  switch (below(12)) {
    case 0: case 1: return attribute(p);
    case 2: return dim(p);
    case 3: return dtype(p);
    case 4: return layout(p);
    case 5: return wiring(p);
    case 6: return tactic(p);
    case 7: return kernel(p);
    case 8: return constant(p);
    case 9: return blob(p);
    case 10: return view(p);
    default: return expression(p);
  }
}

}  // namespace planish::plan
