#include "backend/cuda/families/contraction/epilogue.h"

#include <algorithm>
#include <map>

#include "backend/cuda/emit/expr_text.h"
#include "base/text.h"
#include "kernel/strided.h"

namespace planish::cuda {
namespace {

using ir::DataType;
using kernel::ExprBuilder;
using kernel::Problem;
using kernel::ScalarOp;

// Element strides of the logical dims.
Result<std::vector<int64_t>> logical_strides(const ir::TensorType& type) {
  if (type.layout.block_dim >= 0)
    return unsupported(cat("a tensor laid out ", ir::to_string(type.layout), ", expected no blocks"));
  const std::vector<int64_t> dims = ir::to_dims(type.shape);
  std::vector<int64_t> strides(dims.size());
  int64_t step = 1;
  for (size_t i = dims.size(); i-- > 0;) {
    const size_t d = type.layout.perm.empty() ? i : size_t(type.layout.perm[i]);
    strides[d] = step;
    step *= dims[d];
  }
  return strides;
}

// Epilogues are computed in f32: what would only be rounded on its way stays as it is.
kernel::Expr without_roundings(kernel::Expr expr) {
  std::vector<int32_t> now(expr.nodes.size());
  for (size_t i = 0; i < expr.nodes.size(); ++i) {
    kernel::ExprNode& n = expr.nodes[i];
    now[i] = int32_t(i);
    if (n.op == ScalarOp::kArg) continue;
    for (int32_t* operand : {&n.a, &n.b, &n.c})
      if (*operand >= 0) *operand = now[size_t(*operand)];
    const bool narrow = n.dtype == DataType::kF16 || n.dtype == DataType::kBF16;
    if (n.op == ScalarOp::kCast && narrow && expr.nodes[size_t(n.a)].dtype == DataType::kF32) now[i] = n.a;
  }
  for (int32_t& output : expr.outputs) output = now[size_t(output)];
  return expr;
}

class Maker {
 public:
  Maker(const Problem& problem, std::vector<int64_t> out, int channel_axis)
      : problem_(problem), out_(std::move(out)), axis_(channel_axis) {
    for (int d = 0; d < int(out_.size()); ++d)
      if (d != axis_) epilogue_.row_dims.push_back(out_[size_t(d)]);
    if (axis_ >= 0) epilogue_.channels = out_[size_t(axis_)];
  }

  // `dims`: how the value broadcasts against the output, right-aligned; same element order as its own.
  Status place(Access& access, std::vector<int64_t> dims, std::vector<int64_t> strides) const {
    if (dims.size() > out_.size())
      return unsupported(cat("an epilogue operand of rank ", dims.size(), ", expected at most ",
                             out_.size()));
    dims.insert(dims.begin(), out_.size() - dims.size(), 1);
    strides.insert(strides.begin(), out_.size() - strides.size(), 0);
    access.row_steps.clear();
    for (int d = 0; d < int(out_.size()); ++d) {
      const int64_t n = dims[size_t(d)], want = out_[size_t(d)];
      if (n != 1 && n != want)
        return unsupported(cat("an epilogue operand of size ", n, " beside ", want));
      const int64_t step = n == 1 ? 0 : strides[size_t(d)];
      if (d == axis_) access.channel_step = step;
      else access.row_steps.push_back(step);
    }
    return ok_status();
  }

  Result<int> argument(int value, std::vector<int64_t> dims, std::vector<int64_t> strides) {
    Access access;
    access.index = value;
    access.type = problem_.type_of(value).dtype;
    access.constant = problem_.operands[size_t(value)].constant;
    if (!is_loadable(access.type))
      return unsupported(cat("an epilogue operand is ", ir::name_of(access.type)));
    PLANISH_RETURN_IF_ERROR(place(access, std::move(dims), std::move(strides)));
    epilogue_.inputs.push_back(std::move(access));
    return builder_.arg(int(epilogue_.inputs.size()), epilogue_.inputs.back().type);
  }

  Result<int> argument(int value) {
    if (auto known = nodes_.find(value); known != nodes_.end()) return known->second;
    const ir::TensorType& type = problem_.type_of(value);
    PLANISH_ASSIGN_OR_RETURN(auto strides, logical_strides(type));
    PLANISH_ASSIGN_OR_RETURN(int node, argument(value, ir::to_dims(type.shape), std::move(strides)));
    nodes_[value] = node;
    return node;
  }

  // Mean and scale of every row, from an operand's partial moments.
  Status join_moments(const kernel::Stage& stage, int first_value) {
    RowMoments moments;
    moments.index = stage.inputs[0];
    moments.width = std::get<int64_t>(stage.attrs.find("width")->second);
    moments.epsilon = std::get<double>(stage.attrs.find("epsilon")->second);
    PLANISH_RETURN_IF_ERROR(check_moments(problem_.type_of(moments.index), moments));
    epilogue_.moments.push_back(moments);
    for (int i = 0; i < 2; ++i) {
      Access access;
      access.index = moments.index;
      access.row_steps.assign(epilogue_.row_dims.size(), 0);
      access.moments = int(epilogue_.moments.size()) - 1;
      access.is_scale = i == 1;
      epilogue_.inputs.push_back(std::move(access));
      nodes_[first_value + i] = builder_.arg(int(epilogue_.inputs.size()), DataType::kF32);
    }
    return ok_status();
  }
  // [rows of the product][parts][2].
  Status check_moments(const ir::TensorType& type, RowMoments& moments) const {
    std::vector<int64_t> dims = ir::to_dims(type.shape), rows(out_.begin(), out_.end() - 1);
    if (axis_ != int(out_.size()) - 1 || dims.size() != out_.size() + 1 ||
        !std::equal(rows.begin(), rows.end(), dims.begin()) || !type.layout.is_row_major())
      return unsupported("moments of other rows than the product's");
    moments.parts = dims[dims.size() - 2];
    return ok_status();
  }
  Status expression(const kernel::Stage& stage, int first_value) {
    std::vector<int> args;
    for (int value : stage.inputs) {
      if (value >= int(problem_.operands.size()) && !nodes_.count(value))
        return unsupported("an epilogue that reads the root's other results");
      PLANISH_ASSIGN_OR_RETURN(int arg, argument(value));
      args.push_back(arg);
    }
    const std::vector<int> outputs = builder_.inline_expr(*stage.expr, args);
    for (size_t i = 0; i < outputs.size(); ++i) nodes_[first_value + int(i)] = outputs[i];
    return ok_status();
  }

  Result<int> root(const RootTerms& terms) {
    int sum = builder_.arg(0, DataType::kF32);
    if (terms.scale != 1) sum = builder_.mul(sum, builder_.imm(terms.scale, DataType::kF32));
    if (terms.bias < 0) return sum;
    const std::vector<int64_t> strides = ir::strides_of(terms.bias_dims);
    PLANISH_ASSIGN_OR_RETURN(int bias, argument(terms.bias, terms.bias_dims, strides));
    bias = builder_.cast(bias, DataType::kF32);
    if (terms.bias_scale != 1)
      bias = builder_.mul(bias, builder_.imm(terms.bias_scale, DataType::kF32));
    return builder_.add(sum, bias);
  }

  Status result(int index) {
    Access access;
    access.index = index;
    const ir::TensorType& type = problem_.result_type(index);
    access.type = type.dtype;
    if (!is_loadable(access.type))
      return unsupported(cat("a result is ", ir::name_of(access.type)));
    if (ir::to_dims(type.shape) != out_) return unsupported("a result of another shape than the root's");
    PLANISH_ASSIGN_OR_RETURN(auto strides, logical_strides(type));
    PLANISH_RETURN_IF_ERROR(place(access, out_, std::move(strides)));
    access.pitched = axis_ == 1 && kernel::pixels_lie_apart(type);
    epilogue_.results.push_back(std::move(access));
    return ok_status();
  }

  Result<Epilogue> make(const ContractionStages& stages, const RootTerms& terms) {
    int value = int(problem_.operands.size());
    const kernel::Stage* partial = nullptr;
    int partial_value = -1;
    for (const kernel::Stage& stage : problem_.stages) {
      if (&stage - problem_.stages.data() < stages.first) {
        value += int(stage.outputs.size());
        continue;
      }
      if (&stage == stages.root) {
        PLANISH_ASSIGN_OR_RETURN(nodes_[value], root(terms));
      } else if (stage.op == "JoinMoments") {
        PLANISH_RETURN_IF_ERROR(join_moments(stage, value));
      } else if (stage.is_expr()) {
        PLANISH_RETURN_IF_ERROR(expression(stage, value));
      } else {
        partial = &stage;
        partial_value = value;
      }
      value += int(stage.outputs.size());
    }
    std::vector<int> used;
    for (size_t i = 0; i < problem_.results.size(); ++i) {
      const int result_value = problem_.results[i];
      if (partial && result_value == partial_value) {
        RowMoments moments{int(i), 0, std::get<int64_t>(partial->attrs.find("width")->second), 0};
        PLANISH_RETURN_IF_ERROR(check_moments(partial->outputs[0], moments));
        epilogue_.result_moments = moments;
        continue;
      }
      if (result_value < int(problem_.operands.size()) || !nodes_.count(result_value))
        return unsupported("a result that is not the root's first");
      PLANISH_RETURN_IF_ERROR(result(int(i)));
      used.push_back(nodes_[result_value]);
    }
    if (partial && (!epilogue_.result_moments || used.size() != 1 ||
                    nodes_.find(partial->inputs[0]) == nodes_.end() || nodes_[partial->inputs[0]] != used[0]))
      return unsupported("moments of something else than the one result");
    const int arg_count = int(epilogue_.inputs.size()) + 1;
    epilogue_.expr = kernel::simplified(without_roundings(builder_.finish(std::move(used), arg_count)));
    PLANISH_RETURN_IF_ERROR(can_print(epilogue_.expr));
    return std::move(epilogue_);
  }

 private:
  const Problem& problem_;
  std::vector<int64_t> out_;
  int axis_;
  Epilogue epilogue_;
  ExprBuilder builder_;
  std::map<int, int> nodes_;  // value number -> node of the expression
};

}  // namespace

int64_t Epilogue::rows() const {
  return ir::element_count(std::span<const int64_t>(row_dims));
}

std::optional<ContractionStages> contraction_stages(const Problem& problem) {
  ContractionStages out;
  const int operands = int(problem.operands.size());
  int value = operands, partials = 0;
  for (const kernel::Stage& stage : problem.stages) {
    const bool reads_operand = !stage.inputs.empty() && stage.inputs[0] >= 0 && stage.inputs[0] < operands;
    if (stage.op == "PartialMoments") {
      if (reads_operand || ++partials > 1) return std::nullopt;
    } else if (stage.op == "JoinMoments") {
      if (!reads_operand) return std::nullopt;
    } else if (!stage.is_expr()) {
      if (out.root) return std::nullopt;
      for (int input : stage.inputs)
        if (input >= operands) return std::nullopt;
      out.root = &stage;
      out.root_output = value;
    }
    value += int(stage.outputs.size());
  }
  return out.root ? std::optional(out) : std::nullopt;
}

Result<Epilogue> make_epilogue(const Problem& problem, const ContractionStages& stages,
                               int channel_axis, const RootTerms& terms) {
  Maker maker(problem, ir::to_dims(stages.root->outputs[0].shape), channel_axis);
  return maker.make(stages, terms);
}

}  // namespace planish::cuda
