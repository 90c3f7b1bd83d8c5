// Pointwise regions over contiguous data: every operand has the result's shape and layout, or is one
// element. A thread takes `vectors` pieces of up to 16 bytes, a block apart, so that a warp's loads
// are whole lines; the region's arithmetic is one device function of scalars.
#include <algorithm>

#include "backend/cuda/emit/emitted_kernel_def.h"
#include "backend/cuda/emit/expr_text.h"
#include "backend/cuda/emit/prelude.h"
#include "backend/cuda/families/register_families.h"
#include "base/text.h"
#include "kernel/cost.h"

namespace planish::cuda {
namespace {

using kernel::DeviceInfo;
using kernel::LayoutChoice;
using kernel::Problem;
using kernel::Tactic;

constexpr int kThreads = 256;

int64_t count_of(const ir::TensorType& type) {
  return ir::element_count(std::span<const int64_t>(ir::to_dims(type.shape)));
}

// Elements per vector: as many as 16 bytes of the widest type hold.
int vector_width(const Problem& problem) {
  int widest = 8;
  for (const kernel::Operand& operand : problem.operands)
    widest = std::max(widest, ir::bits_of(operand.type.dtype));
  for (size_t i = 0; i < problem.results.size(); ++i)
    widest = std::max(widest, ir::bits_of(problem.result_type(int(i)).dtype));
  return std::min(8, 128 / widest);
}

class PointwiseSource {
 public:
  PointwiseSource(const Problem& problem, int vectors)
      : problem_(problem), stage_(problem.stages[0]), vectors_(vectors),
        width_(vector_width(problem)), count_(count_of(stage_.outputs[0])) {}

  Result<EmittedStep> emit() const {
    PLANISH_ASSIGN_OR_RETURN(std::string compute, compute_function());
    EmittedKernel kernel;
    kernel.entry = cat("pointwise_v", width_, "x", vectors_);
    kernel.source = cat(kPrelude, vector_types(), compute, body(kernel.entry));
    kernel.block.x = kThreads;
    kernel.grid.x = uint32_t(std::max<int64_t>(1, (count_ + per_block() - 1) / per_block()));
    for (int value : stage_.inputs) kernel.args.push_back(KernelArg::operand(value));
    for (size_t i = 0; i < stage_.outputs.size(); ++i)
      kernel.args.push_back(KernelArg::result(int(i)));
    kernel.programmatic_launch = true;
    EmittedStep step;
    step.kernels.push_back(std::move(kernel));
    return step;
  }

 private:
  int64_t per_block() const { return int64_t(kThreads) * width_ * vectors_; }
  ir::DataType input_type(size_t i) const { return problem_.type_of(stage_.inputs[i]).dtype; }
  bool is_single(size_t i) const { return count_of(problem_.type_of(stage_.inputs[i])) == 1; }

  std::string vector_types() const {
    std::string out;
    const auto add = [&](std::string_view name, size_t i, ir::DataType dtype) {
      out += cat("struct alignas(", width_ * std::max(1, ir::bits_of(dtype) / 8), ") ", name, i,
                 " { ", memory_type(dtype), " v[", width_, "]; };\n");
    };
    for (size_t i = 0; i < stage_.inputs.size(); ++i) add("In", i, input_type(i));
    for (size_t i = 0; i < stage_.outputs.size(); ++i) add("Out", i, stage_.outputs[i].dtype);
    return out;
  }

  // DEV void compute(float x0, ..., u16& y0, ...): one element of every operand and result.
  Result<std::string> compute_function() const {
    std::vector<std::string> parameters, args;
    for (size_t i = 0; i < stage_.inputs.size(); ++i) {
      parameters.push_back(cat(memory_type(input_type(i)), " m", i));
      args.push_back(load_text(input_type(i), cat("m", i)));
    }
    for (size_t i = 0; i < stage_.outputs.size(); ++i)
      parameters.push_back(cat(memory_type(stage_.outputs[i].dtype), "& y", i));
    PLANISH_ASSIGN_OR_RETURN(ExprText text, print_expr(*stage_.expr, args, "e"));
    std::string out = cat("DEV void compute(", join(parameters), ") {\n", text.body);
    for (size_t i = 0; i < stage_.outputs.size(); ++i)
      out += cat("y", i, " = ", store_text(stage_.outputs[i].dtype, text.outputs[i]), ";\n");
    return out + "}\n";
  }

  // A call of compute() for element `j` of vectors, or for element `at` of memory.
  std::string call(bool vector) const {
    std::vector<std::string> args;
    for (size_t i = 0; i < stage_.inputs.size(); ++i)
      args.push_back(is_single(i) ? cat("s", i) : vector ? cat("x", i, ".v[j]") : cat("p", i, "[at]"));
    for (size_t i = 0; i < stage_.outputs.size(); ++i)
      args.push_back(vector ? cat("y", i, ".v[j]") : cat("q", i, "[at]"));
    return cat("compute(", join(args), ");");
  }

  std::string body(const std::string& entry) const {
    std::vector<std::string> parameters;
    std::string singles, loads, stores;
    for (size_t i = 0; i < stage_.inputs.size(); ++i) {
      parameters.push_back(cat("const ", memory_type(input_type(i)), "* p", i));
      if (is_single(i)) singles += cat("  const ", memory_type(input_type(i)), " s", i, " = *p", i, ";\n");
      else loads += cat("      const In", i, " x", i, " = *(const In", i, "*)(p", i, " + at);\n");
    }
    for (size_t i = 0; i < stage_.outputs.size(); ++i) {
      parameters.push_back(cat(memory_type(stage_.outputs[i].dtype), "* q", i));
      loads += cat("      Out", i, " y", i, ";\n");
      stores += cat("      *(Out", i, "*)(q", i, " + at) = y", i, ";\n");
    }
    return cat("extern \"C\" __global__ void __launch_bounds__(", kThreads, ") ", entry, "(",
               join(parameters), ") {\n  grid_wait();\n", singles,
               "  i64 at = blockIdx.x * ", per_block(), "ll + threadIdx.x * ", width_, ";\n",
               "  #pragma unroll\n  for (int k = 0; k < ", vectors_, "; ++k, at += ",
               kThreads * width_, ") {\n    if (at + ", width_, " <= ", count_, "ll) {\n", loads,
               "      #pragma unroll\n      for (int j = 0; j < ", width_, "; ++j) ", call(true), "\n",
               stores, "    } else {\n      for (; at < ", count_, "ll; ++at) ", call(false),
               "\n      break;\n    }\n  }\n  grid_launch();\n}\n");
  }

  const Problem& problem_;
  const kernel::Stage& stage_;
  const int vectors_, width_;
  const int64_t count_;
};

class Pointwise : public EmittedKernelDef {
 public:
  std::string name() const override { return "cuda.pointwise"; }

  Status supports(const Problem& problem, const DeviceInfo&) const override {
    if (!problem.is_pointwise() || problem.stages.empty()) return other_family();
    if (problem.stages.size() != 1) return unsupported("more than one expression");
    const kernel::Stage& stage = problem.stages[0];
    const ir::Shape& shape = stage.outputs[0].shape;
    for (const ir::TensorType& type : stage.outputs) {
      if (!is_loadable(type.dtype)) return unsupported(cat("a result of ", ir::name_of(type.dtype)));
      if (type.shape != shape) return unsupported("results of different shapes");
    }
    for (int value : stage.inputs) {
      const ir::TensorType& type = problem.type_of(value);
      if (!is_loadable(type.dtype)) return unsupported(cat("an operand of ", ir::name_of(type.dtype)));
      if (type.shape != shape && count_of(type) != 1)
        return unsupported(cat("operand ", ir::to_string(type), " broadcasts against ",
                               ir::to_string(shape)));
    }
    return can_print(*stage.expr);
  }

  std::vector<LayoutChoice> layouts(const Problem& problem, const DeviceInfo& device) const override {
    std::vector<LayoutChoice> out = KernelDef::layouts(problem, device);
    const ir::TensorType& result = problem.result_type(0);
    if (result.rank() < 3) return out;
    LayoutChoice last = out[0];
    for (size_t i = 0; i < last.operands.size(); ++i)
      if (problem.operands[i].type.shape == result.shape && !problem.operands[i].constant)
        last.operands[i] = ir::Layout::channels_last(result.rank());
      else if (count_of(problem.operands[i].type) != 1)
        return out;
    for (ir::Layout& layout : last.results) layout = ir::Layout::channels_last(result.rank());
    out.push_back(std::move(last));
    return out;
  }

  std::vector<Tactic> tactics(const Problem&, const DeviceInfo&) const override {
    return {{{{"vectors", 2}}}, {{{"vectors", 1}}}, {{{"vectors", 4}}}};
  }

  double predict_us(const Problem& problem, const Tactic&, const DeviceInfo& device) const override {
    return memory_us(device, double(kernel::bytes_moved(problem)));
  }

  bool in_place(const Problem& problem, int result, int operand) const override {
    const ir::TensorType& to = problem.result_type(result);
    return problem.results.size() == 1 && problem.operands[size_t(operand)].type == to;
  }

  Result<EmittedStep> emit(const Problem& problem, const Tactic& tactic,
                           const DeviceInfo&) const override {
    return PointwiseSource(problem, int(tactic.get("vectors", 1))).emit();
  }
};

}  // namespace

void register_pointwise(kernel::KernelRegistry& registry) {
  registry.add(std::make_unique<Pointwise>());
}

}  // namespace planish::cuda
