// Row kernels, row-major: Softmax, LayerNormalization, RMSNormalization and reductions over trailing
// dims.
#include <functional>

#include "backend/cpu/defs/limits.h"
#include "backend/cpu/defs/refusal.h"
#include "backend/cpu/defs/register_kernels.h"
#include "backend/cpu/kernels/isa.h"
#include "backend/cpu/kernels/rows/rows.h"
#include "base/text.h"
#include "kernel/cost.h"

namespace planish::cpu {
namespace {

using kernel::Problem;
using kernel::RunArgs;

// What a problem comes down to, ready to run.
using RowFunction = std::function<void(const RunArgs&)>;

struct Rows {
  int64_t count = 1, length = 1;
};

// The dims before `axis` are rows, those from it on their elements.
Rows rows_from(const std::vector<int64_t>& dims, size_t axis) {
  Rows rows;
  for (size_t d = 0; d < dims.size(); ++d) (d < axis ? rows.count : rows.length) *= dims[d];
  return rows;
}

size_t axis_of(const kernel::Stage& stage, size_t rank) {
  const int64_t axis = std::get<int64_t>(stage.attrs.find("axis")->second);
  return size_t(axis < 0 ? axis + int64_t(rank) : axis);
}

const float* floats(const RunArgs& args, int operand) {
  return operand < 0 ? nullptr : static_cast<const float*>(args.operands[size_t(operand)].data);
}
float* result(const RunArgs& args) { return static_cast<float*>(args.results[0].data); }

Result<RowFunction> softmax_rows(const Problem& problem, const kernel::Stage& stage) {
  const std::vector<int64_t> dims = ir::to_dims(problem.operands[0].type.shape);
  if (dims.empty() || axis_of(stage, dims.size()) + 1 != dims.size())
    return unsupported("the axis is not the last");
  const Rows rows = rows_from(dims, dims.size() - 1);
  return RowFunction([rows](const RunArgs& args) {
    run_softmax(floats(args, 0), result(args), rows.count, rows.length, best_isa(), *args.team);
  });
}

Result<RowFunction> norm_rows(const Problem& problem, const kernel::Stage& stage) {
  if (stage.outputs.size() != 1) return unsupported("mean and deviation are asked for");
  const std::vector<int64_t> dims = ir::to_dims(problem.operands[0].type.shape);
  const Rows rows = rows_from(dims, axis_of(stage, dims.size()));
  const int scale = stage.inputs[1];
  const int bias = stage.inputs.size() > 2 ? stage.inputs[2] : -1;
  for (int operand : {scale, bias}) {
    if (operand < 0) continue;
    if (ir::element_count(std::span<const int64_t>(
            ir::to_dims(problem.operands[size_t(operand)].type.shape))) != rows.length)
      return unsupported("scale or bias broadcasts inside a row");
  }
  const float epsilon = float(std::get<double>(stage.attrs.find("epsilon")->second));
  const bool rms = stage.op == "RMSNormalization";
  return RowFunction([=](const RunArgs& args) {
    NormArgs norm;
    norm.input = floats(args, 0);
    norm.scale = floats(args, scale);
    norm.bias = floats(args, bias);
    norm.output = result(args);
    norm.rows = rows.count;
    norm.n = rows.length;
    norm.epsilon = epsilon;
    if (rms) run_rms_norm(norm, best_isa(), *args.team);
    else run_layer_norm(norm, best_isa(), *args.team);
  });
}

Result<RowFunction> reduce_rows(const Problem& problem, const kernel::Stage& stage) {
  Reduction kind;
  if (stage.op == "ReduceSum") kind = Reduction::kSum;
  else if (stage.op == "ReduceMean") kind = Reduction::kMean;
  else if (stage.op == "ReduceMax") kind = Reduction::kMax;
  else if (stage.op == "ReduceMin") kind = Reduction::kMin;
  else if (stage.op == "ReduceL1") kind = Reduction::kSumAbs;
  else if (stage.op == "ReduceSumSquare") kind = Reduction::kSumSquares;
  else return unsupported(cat(stage.op, " has no row kernel"));
  const std::vector<int64_t> dims = ir::to_dims(problem.operands[0].type.shape);
  std::vector<bool> reduced(dims.size(), false);
  if (stage.inputs.size() > 1 && stage.inputs[1] >= 0) {
    const auto& axes = problem.operands[size_t(stage.inputs[1])].value;
    if (!axes) return unsupported("the axes are computed");
    for (int64_t axis : axes->i64_values()) {
      const int64_t a = axis < 0 ? axis + int64_t(dims.size()) : axis;
      if (a < 0 || a >= int64_t(dims.size())) return unsupported("an axis out of range");
      reduced[size_t(a)] = true;
    }
    if (axes->count() == 0) reduced.assign(dims.size(), true);
  } else {
    reduced.assign(dims.size(), true);
  }
  if (std::get<int64_t>(stage.attrs.find("noop_with_empty_axes")->second) != 0)
    return unsupported("noop_with_empty_axes");
  size_t first = 0;
  while (first < dims.size() && !reduced[first]) ++first;
  for (size_t d = first; d < dims.size(); ++d)
    if (!reduced[d] && dims[d] != 1) return unsupported("the reduced dims are not the last ones");
  const Rows rows = rows_from(dims, first);
  if (rows.length == 0) return unsupported("nothing to reduce");
  return RowFunction([=](const RunArgs& args) {
    run_reduce(kind, floats(args, 0), result(args), rows.count, rows.length, best_isa(),
               *args.team);
  });
}

Result<RowFunction> row_function(const Problem& problem) {
  const std::string_view op = problem.root_op();
  const bool norm = op == "LayerNormalization" || op == "RMSNormalization";
  const bool reduce = op.rfind("Reduce", 0) == 0;
  if (op != "Softmax" && !norm && !reduce) return other_family();
  if (problem.stages.size() != 1) return unsupported("an epilogue");
  PLANISH_RETURN_IF_ERROR(reads_in_order(problem.stages[0]));
  if (problem.operands[0].type.dtype != ir::DataType::kF32)
    return unsupported(cat("input is ", ir::name_of(problem.operands[0].type.dtype),
                           ", expected f32"));
  if (op == "Softmax") return softmax_rows(problem, problem.stages[0]);
  return norm ? norm_rows(problem, problem.stages[0]) : reduce_rows(problem, problem.stages[0]);
}

class RowLaunchable : public kernel::Launchable {
 public:
  explicit RowLaunchable(RowFunction function) : function_(std::move(function)) {}
  Status run(const RunArgs& args) const override {
    function_(args);
    return ok_status();
  }

 private:
  RowFunction function_;
};

class RowKernel : public kernel::KernelDef {
 public:
  std::string name() const override { return "cpu.rows_f32"; }
  std::string device_kind() const override { return "cpu"; }
  Status supports(const Problem& problem, const kernel::DeviceInfo&) const override {
    return row_function(problem).status();
  }
  double predict_us(const Problem& problem, const kernel::Tactic&,
                    const kernel::DeviceInfo& device) const override {
    return 1.5 + double(kernel::bytes_moved(problem)) / (device.memory_gbps * 1e3);
  }
  bool in_place(const Problem& problem, int, int operand) const override {
    return operand == 0 && problem.root_op().rfind("Reduce", 0) != 0;
  }
  Result<std::unique_ptr<kernel::Launchable>> bind(const kernel::BindArgs& args) const override {
    PLANISH_ASSIGN_OR_RETURN(RowFunction function, row_function(*args.problem));
    return std::unique_ptr<kernel::Launchable>(
        std::make_unique<RowLaunchable>(std::move(function)));
  }
};

}  // namespace

void register_row_kernels(kernel::KernelRegistry& registry) {
  registry.add(std::make_unique<RowKernel>());
}

}  // namespace planish::cpu
