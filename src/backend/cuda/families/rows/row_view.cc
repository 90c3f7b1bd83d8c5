#include "backend/cuda/families/rows/row_view.h"

#include <algorithm>

#include "backend/cuda/emit/emitted_kernel_def.h"
#include "backend/cuda/emit/expr_text.h"
#include "backend/cuda/emit/index_text.h"
#include "backend/cuda/families/element/element_ops.h"
#include "backend/cuda/families/reduction_text.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

using kernel::Problem;
using kernel::Stage;

bool is_row_op(std::string_view op) {
  constexpr std::string_view kOps[] = {
      "GlobalAveragePool",  "GlobalMaxPool", "GroupNormalization", "InstanceNormalization",
      "LayerNormalization", "LogSoftmax",    "LpNormalization",    "MeanVarianceNormalization",
      "RMSNormalization",   "Softmax"};
  return std::find(std::begin(kOps), std::end(kOps), op) != std::end(kOps) ||
         (op.rfind("Reduce", 0) == 0 && op != "ReduceLogSumExp");
}

// Which dims of the operand make up a row's elements.
Result<std::vector<bool>> row_dims(const Problem& problem, const Stage& stage, size_t rank) {
  std::vector<bool> reduced(rank, false);
  if (stage.op.rfind("Reduce", 0) == 0) {
    PLANISH_RETURN_IF_ERROR(require_known(problem, stage, 1, "axes"));
    return reduced_axes(problem, stage);
  }
  if (stage.op == "MeanVarianceNormalization") {
    for (int64_t a : std::get<std::vector<int64_t>>(stage.attrs.find("axes")->second))
      reduced[size_t(a < 0 ? a + int64_t(rank) : a)] = true;
    return reduced;
  }
  if (stage.op == "Softmax" || stage.op == "LogSoftmax" || stage.op == "LpNormalization") {
    reduced[axis_attr(stage, rank, "axis", -1)] = true;
    return reduced;
  }
  const bool trailing = stage.op == "LayerNormalization" || stage.op == "RMSNormalization";
  const size_t first = trailing ? axis_attr(stage, rank, "axis", -1) : 2;
  for (size_t d = first; d < rank; ++d) reduced[d] = true;
  return reduced;
}

Status check_type(const ir::TensorType& type) {
  if (!is_loadable(type.dtype)) return unsupported(cat("elements of ", ir::name_of(type.dtype)));
  return type.layout.block_dim >= 0 ? unsupported("a blocked layout") : ok_status();
}

// One row root; all else are expressions and cheap element operators.
Status check_stages(const Problem& problem, int& root) {
  root = -1;
  for (size_t i = 0; i < problem.stages.size(); ++i) {
    const Stage& stage = problem.stages[i];
    if (stage.is_expr() || !is_row_op(stage.op)) continue;
    if (root >= 0) return unsupported("more than one reduction");
    root = int(i);
  }
  if (root < 0) return other_family();
  for (size_t i = 0; i < problem.stages.size(); ++i) {
    const Stage& stage = problem.stages[i];
    for (const ir::TensorType& type : stage.outputs) PLANISH_RETURN_IF_ERROR(check_type(type));
    if (stage.is_expr()) {
      PLANISH_RETURN_IF_ERROR(can_print(*stage.expr));
    } else if (int(i) != root) {
      const ElementOp* op = find_element_op(stage.op);
      if (!op || op->reads_many) return unsupported(cat("a region with ", stage.op));
      PLANISH_RETURN_IF_ERROR(op->supports(problem, stage));
    }
  }
  return ok_status();
}

}  // namespace

std::vector<int64_t> RowView::sizes(bool reduced) const {
  std::vector<int64_t> out;
  for (const RowAxis& axis : axes)
    if (axis.reduced == reduced) out.push_back(axis.size);
  return out;
}

Result<RowView> row_view(const Problem& problem) {
  RowView view;
  PLANISH_RETURN_IF_ERROR(check_stages(problem, view.root));
  const Stage& stage = problem.stages[size_t(view.root)];
  if (stage.outputs.size() != 1) return unsupported("mean and deviation are asked for");
  for (const kernel::Operand& operand : problem.operands)
    if (operand.present && !operand.value) PLANISH_RETURN_IF_ERROR(check_type(operand.type));
  const ir::TensorType& in = problem.type_of(stage.inputs[0]);
  const std::vector<int64_t> dims = dims_of(in);
  PLANISH_ASSIGN_OR_RETURN(const std::vector<bool> reduced, row_dims(problem, stage, dims.size()));
  view.reduces = stage.op.rfind("Reduce", 0) == 0 || stage.op.rfind("Global", 0) == 0;
  view.keeps_dims = !view.reduces || int_attr(stage, "keepdims", 1) != 0;
  const int64_t groups = stage.op == "GroupNormalization" ? int_attr(stage, "num_groups", 1) : 0;
  for (int d : memory_order(in)) {
    const int64_t size = dims[size_t(d)];
    if (groups && d == 1) {
      view.axes.push_back({d, groups, size / groups, false});
      view.axes.push_back({d, size / groups, 1, true});
    } else {
      view.axes.push_back({d, size, 1, bool(reduced[size_t(d)])});
    }
  }
  for (const RowAxis& axis : view.axes) {
    (axis.reduced ? view.length : view.rows) *= axis.size;
    if (axis.size == 1) continue;
    view.strided = !axis.reduced;
    view.inner = axis.size;
  }
  if (view.length == 0 || view.rows == 0) return unsupported("nothing to reduce");
  const std::vector<int64_t> result = dims_of(problem.result_type(0));
  for (size_t i = 0; i < problem.results.size(); ++i)
    if (dims_of(problem.result_type(int(i))) != dims_of(stage.outputs[0]))
      return unsupported("a result of another shape");
  return view;
}

}  // namespace planish::cuda
