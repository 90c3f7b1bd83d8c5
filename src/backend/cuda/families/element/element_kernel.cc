#include "backend/cuda/families/element/element_kernel.h"

#include <algorithm>

#include "backend/cuda/emit/emitted_kernel_def.h"
#include "backend/cuda/emit/expr_text.h"
#include "backend/cuda/emit/prelude.h"
#include "backend/cuda/emit/thread_text.h"
#include "backend/cuda/families/element/element_ops.h"
#include "base/text.h"
#include "kernel/strided.h"

namespace planish::cuda {
namespace {

using kernel::Problem;
using kernel::Stage;

constexpr int kThreads = 256;

int64_t count_of(const ir::TensorType& type) { return ir::element_count(type.shape).value(); }

Status check_type(const ir::TensorType& type) {
  if (!is_loadable(type.dtype)) return unsupported(cat("elements of ", ir::name_of(type.dtype)));
  if (type.layout.block_dim >= 0) return unsupported("a blocked layout");
  return ok_status();
}

bool reads_many(const Problem& problem, int value) {
  if (value < int(problem.operands.size())) return false;
  const Stage& stage = problem.stages[size_t(problem.stage_of(value).first)];
  if (stage.is_expr())
    return std::any_of(stage.inputs.begin(), stage.inputs.end(),
                       [&](int input) { return input >= 0 && reads_many(problem, input); });
  const ElementOp* op = find_element_op(stage.op);
  return !op || op->reads_many;
}

// The frame that threads walk: sizes in the order of the results' memory, innermost last.
struct Frame {
  std::vector<int64_t> sizes;
  std::vector<int> order;  // logical dim of each size; empty: the dims were merged
};

Frame frame_of(const ir::TensorType& type) {
  Frame frame;
  frame.order = memory_order(type);
  for (int d : frame.order) frame.sizes.push_back(type.shape[size_t(d)].value());
  return frame;
}

// Dims that every operand walks evenly become one, so that vectors reach over them.
struct Merged {
  std::vector<int64_t> sizes;
  std::vector<std::vector<int64_t>> steps;  // per input of the expression
};
Merged merge_dims(const Problem& problem) {
  const Stage& stage = problem.stages[0];
  const Frame frame = frame_of(stage.outputs[0]);
  Merged out;
  std::vector<std::vector<int64_t>> all;
  for (int input : stage.inputs) {
    const ir::TensorType& type = problem.type_of(input);
    const std::vector<int64_t> own = memory_steps(type);
    const int skip = int(frame.sizes.size()) - type.rank();
    std::vector<int64_t> steps;
    for (int d : frame.order)
      steps.push_back(
          d < skip || type.shape[size_t(d - skip)] == ir::Dim(1) ? 0 : own[size_t(d - skip)]);
    all.push_back(std::move(steps));
  }
  out.steps.resize(all.size());
  for (size_t d = 0; d < frame.sizes.size(); ++d) {
    const int64_t size = frame.sizes[d];
    if (size == 1) continue;
    bool joins = !out.sizes.empty();
    for (size_t i = 0; i < all.size() && joins; ++i)
      joins = out.steps[i].back() == all[i][d] * size;
    if (joins)
      out.sizes.back() *= size;
    else
      out.sizes.push_back(size);
    for (size_t i = 0; i < all.size(); ++i) {
      if (joins)
        out.steps[i].back() = all[i][d];
      else
        out.steps[i].push_back(all[i][d]);
    }
  }
  return out;
}

bool merges(const Problem& problem) {
  return problem.stages.size() == 1 && problem.stages[0].is_expr() &&
         std::all_of(problem.stages[0].outputs.begin(), problem.stages[0].outputs.end(),
                     [&](const ir::TensorType& type) {
                       return type.shape == problem.stages[0].outputs[0].shape &&
                              type.layout == problem.stages[0].outputs[0].layout;
                     });
}

std::string name_of(const Problem& problem, int width) {
  std::string what = "pointwise";
  for (const Stage& stage : problem.stages)
    if (!stage.is_expr()) what = stage.op;
  return cat("element_", what, '_', ir::name_of(problem.result_type(0).dtype), "_v", width);
}

class KernelBuilder {
 public:
  KernelBuilder(const Problem& problem, std::vector<int> results, int width)
      : problem_(problem),
        results_(std::move(results)),
        type_(problem.result_type(results_[0])),
        frame_(frame_of(type_)),
        merged_(merges(problem)) {
    if (merged_) {
      merge_ = merge_dims(problem);
      frame_ = {merge_.sizes, {}};
    }
    const int64_t inner = frame_.sizes.empty() ? 1 : frame_.sizes.back();
    while (width > 1 && inner % width != 0) width /= 2;
    width_ = width;
  }

  Result<EmittedKernel> build(bool& split_lanes) {
    ElementEmitter e(problem_, width_);
    EmittedKernel kernel;
    std::vector<std::string> parameters;
    set_walks(e);
    std::string split;
    Coords frame = split_number("t", frame_.sizes, width_, e.index_type(), "d", split);
    Coords coords = frame;
    for (size_t i = 0; i < frame_.order.size(); ++i) coords[size_t(frame_.order[i])] = frame[i];
    store_results(e, kernel, parameters, coords);
    add_operands(e, kernel, parameters);
    PLANISH_RETURN_IF_ERROR(e.status());
    split_lanes |= e.split_lanes();
    const int64_t threads = count_of(type_) / width_;
    kernel.entry = name_of(problem_, width_);
    kernel.block.x = kThreads;
    kernel.grid.x = uint32_t((threads + kThreads - 1) / kThreads);
    kernel.programmatic_launch = true;
    kernel.source =
        cat(kPrelude, kPackText, e.tables(), "extern \"C\" __global__ void __launch_bounds__(",
            kThreads, ") ", kernel.entry, '(', join(parameters),
            ") {\n  grid_wait();\n  grid_launch();\n  const ", e.index_type(), " t = (",
            e.index_type(), ")blockIdx.x * ", kThreads, " + threadIdx.x;\n  if (t >= ", threads,
            ") return;\n", split, e.body(), "}\n");
    return kernel;
  }

 private:
  // How operands are walked where their types do not say it.
  void set_walks(ElementEmitter& e) {
    if (!merged_) return;
    e.set_merged();
    for (size_t i = 0; i < merge_.steps.size(); ++i)
      e.set_steps(problem_.stages[0].inputs[i], merge_.steps[i]);
  }

  void add_operands(const ElementEmitter& e, EmittedKernel& kernel,
                    std::vector<std::string>& parameters) {
    for (int i : e.loaded()) {
      const ir::TensorType& type = problem_.operands[size_t(i)].type;
      parameters.push_back(cat("const ", memory_type(type.dtype), "* x", i));
      kernel.args.push_back(KernelArg::operand(i));
    }
  }

  void store_results(ElementEmitter& e, EmittedKernel& kernel, std::vector<std::string>& parameters,
                     const Coords& coords) {
    std::vector<Lanes> values;
    for (int r : results_) values.push_back(e.value(problem_.results[size_t(r)], coords));
    for (size_t i = 0; i < results_.size(); ++i) {
      const ir::TensorType& type = problem_.result_type(results_[i]);
      const std::string to = cat('y', results_[i]);
      parameters.push_back(cat(memory_type(type.dtype), "* ", to));
      kernel.args.push_back(KernelArg::result(results_[i]));
      if (stores_pixels(problem_, results_[i])) {
        const int64_t size = ir::bits_of(type.dtype) / 8;
        parameters.push_back(cat("i64 ", to, "_pitch"));
        kernel.args.push_back(KernelArg::outer_stride(BufferKind::kResult, results_[i],
                                                      type.shape[1].value() * size));
        e.store(results_[i], pixel_offset(type, coords, cat('(', to, "_pitch / ", size, ')')), values[i]);
        continue;
      }
      const Coord at =
          merged_ ? offset_by(coords, ir::strides_of(merge_.sizes)) : offset_of(type, coords);
      e.store(results_[i], at, values[i]);
    }
  }

  const Problem& problem_;
  std::vector<int> results_;
  const ir::TensorType& type_;
  Frame frame_;
  bool merged_;
  Merged merge_;
  int width_ = 1;
};

// Operands that only say which rows others look up are not read as vectors.
bool only_looks_up(const Problem& problem, int operand) {
  for (const kernel::Stage& stage : problem.stages)
    for (size_t i = 0; i < stage.inputs.size(); ++i)
      if (stage.inputs[i] == operand && (stage.op != "Gather" || i != 1)) return false;
  return true;
}

}  // namespace

Status supports_elements(const Problem& problem) {
  for (const Stage& stage : problem.stages)
    if (!stage.is_expr() && !find_element_op(stage.op))
      return Status(Code::kUnimplemented, "another family's problem");
  for (const kernel::Operand& operand : problem.operands) {
    if (!operand.present || operand.value) continue;
    PLANISH_RETURN_IF_ERROR(check_type(operand.type));
  }
  for (const Stage& stage : problem.stages) {
    for (const ir::TensorType& type : stage.outputs) PLANISH_RETURN_IF_ERROR(check_type(type));
    if (stage.is_expr()) {
      PLANISH_RETURN_IF_ERROR(can_print(*stage.expr));
      continue;
    }
    const ElementOp& op = *find_element_op(stage.op);
    PLANISH_RETURN_IF_ERROR(op.supports(problem, stage));
    for (int input : stage.inputs)
      if (op.reads_many && input >= 0 && reads_many(problem, input))
        return unsupported("a chain of roots, whose first would be computed many times");
  }
  return ok_status();
}

Coord pixel_offset(const ir::TensorType& type, const Coords& coords, const std::string& pitch) {
  std::vector<int64_t> steps = memory_steps(type);
  for (int64_t& step : steps) step /= type.shape[1].value();
  Coords pixel = coords;
  pixel[1] = Coord{};
  Coord out = coords[1];
  out.at = sum_text(cat("(i64)(", offset_by(pixel, steps).at, ") * ", pitch), out.at);
  return out;
}

bool stores_pixels(const Problem& problem, int result) {
  return !merges(problem) && kernel::pixels_lie_apart(problem.result_type(result));
}

int widest_vector(const Problem& problem) {
  int bits = 8;
  for (size_t i = 0; i < problem.operands.size(); ++i) {
    const kernel::Operand& operand = problem.operands[i];
    if (operand.present && count_of(operand.type) > 1 && !only_looks_up(problem, int(i)))
      bits = std::max(bits, ir::bits_of(operand.type.dtype));
  }
  for (size_t i = 0; i < problem.results.size(); ++i)
    bits = std::max(bits, ir::bits_of(problem.result_type(int(i)).dtype));
  return std::min(8, 128 / bits);
}

Result<ElementStep> emit_elements(const Problem& problem, int width) {
  ElementStep out;
  std::vector<std::vector<int>> groups;
  for (int r = 0; r < int(problem.results.size()); ++r) {
    const ir::TensorType& type = problem.result_type(r);
    auto same = std::find_if(groups.begin(), groups.end(), [&](const std::vector<int>& group) {
      const ir::TensorType& other = problem.result_type(group[0]);
      return other.shape == type.shape && other.layout == type.layout;
    });
    if (same == groups.end())
      groups.push_back({r});
    else
      same->push_back(r);
  }
  for (std::vector<int>& group : groups) {
    if (count_of(problem.result_type(group[0])) == 0) continue;
    PLANISH_ASSIGN_OR_RETURN(
        EmittedKernel kernel,
        KernelBuilder(problem, std::move(group), width).build(out.split_lanes));
    out.step.kernels.push_back(std::move(kernel));
  }
  return out;
}

}  // namespace planish::cuda
