#include "backend/cuda/families/recurrent/recurrent_view.h"

#include <algorithm>

#include "backend/cuda/emit/emitted_kernel_def.h"
#include "backend/cuda/emit/expr_text.h"
#include "backend/cuda/families/element/element_ops.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

// Attributes that change the cell, and may be there with their neutral value.
bool is_set(const kernel::Stage& stage, std::string_view key) {
  auto found = stage.attrs.find(key);
  if (found == stage.attrs.end()) return false;
  if (const auto* list = std::get_if<std::vector<std::string>>(&found->second))
    return !list->empty();
  if (const auto* list = std::get_if<std::vector<double>>(&found->second)) return !list->empty();
  if (const auto* value = std::get_if<double>(&found->second)) return *value != 0;
  return std::get<int64_t>(found->second) != 0;
}

}  // namespace

Result<RecurrentView> recurrent_view(const kernel::Problem& problem) {
  const std::string_view op = problem.root_op();
  if (op != "LSTM" && op != "GRU" && op != "RNN") return other_family();
  if (problem.stages.size() != 1) return unsupported("an epilogue");
  const kernel::Stage& stage = problem.stages[0];
  RecurrentView v;
  v.kind = op == "LSTM" ? CellKind::kLstm : op == "GRU" ? CellKind::kGru : CellKind::kRnn;
  const auto given = [&](size_t i) { return has_input(stage, i) ? stage.inputs[i] : -1; };
  const ir::DataType dtype = problem.type_of(stage.inputs[0]).dtype;
  if (!is_loadable(dtype) || dtype == ir::DataType::kF64)
    return unsupported(cat("elements of ", ir::name_of(dtype)));
  if (given(4) >= 0) return unsupported("sequence lengths");
  if (v.kind == CellKind::kLstm && given(7) >= 0) return unsupported("peepholes");
  v.w = given(1);
  v.r = given(2);
  v.b = given(3);
  v.h0 = given(5);
  v.c0 = v.kind == CellKind::kLstm ? given(6) : -1;
  for (int operand : {v.r, v.b})
    if (operand >= 0 && !problem.operands[size_t(operand)].constant)
      return unsupported("computed weights");
  for (std::string_view key :
       {"activations", "activation_alpha", "activation_beta", "clip", "layout", "input_forget"})
    if (is_set(stage, key)) return unsupported(cat("attribute '", key, "'"));
  v.linear_before_reset = v.kind == CellKind::kGru && is_set(stage, "linear_before_reset");
  const std::string direction = string_attr(stage, "direction", "forward");
  v.reverse = direction == "reverse";
  v.directions = direction == "bidirectional" ? 2 : 1;
  const std::vector<int64_t> x = dims_of(problem.type_of(stage.inputs[0]));
  v.steps = x[0];
  v.batch = x[1];
  v.input = x[2];
  v.hidden = dims_of(problem.type_of(v.r))[2];
  if (v.steps * v.batch * v.input * v.hidden == 0) return unsupported("empty operands");
  for (size_t o = 0; o < stage.outputs.size() && o < 3; ++o) {
    const int value = int(problem.operands.size() + o);
    auto found = std::find(problem.results.begin(), problem.results.end(), value);
    if (found != problem.results.end()) v.results[o] = int(found - problem.results.begin());
  }
  return v;
}

}  // namespace planish::cuda
