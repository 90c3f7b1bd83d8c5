#include "backend/cuda/families/contraction/epilogue.h"

#include <algorithm>

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
    const ir::TensorType& type = problem_.type_of(value);
    PLANISH_ASSIGN_OR_RETURN(auto strides, logical_strides(type));
    return argument(value, ir::to_dims(type.shape), std::move(strides));
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

  Result<Epilogue> make(const kernel::RootAndEpilogue& parts, const RootTerms& terms) {
    PLANISH_ASSIGN_OR_RETURN(int sum, root(terms));
    std::vector<int> outputs = {sum};
    if (parts.epilogue) {
      std::vector<int> args;
      for (int value : parts.epilogue_inputs) {
        if (value == parts.root_output) {
          args.push_back(sum);
        } else if (value >= int(problem_.operands.size())) {
          return unsupported("an epilogue that reads the root's other results");
        } else {
          PLANISH_ASSIGN_OR_RETURN(int arg, argument(value));
          args.push_back(arg);
        }
      }
      outputs = builder_.inline_expr(*parts.epilogue, args);
    }
    const int first = parts.root_output + (parts.epilogue ? int(parts.root->outputs.size()) : 0);
    std::vector<int> used;
    for (size_t i = 0; i < problem_.results.size(); ++i) {
      const int output = problem_.results[i] - first;
      if (output < 0 || output >= int(outputs.size()))
        return unsupported("a result that is not the root's first");
      PLANISH_RETURN_IF_ERROR(result(int(i)));
      used.push_back(outputs[size_t(output)]);
    }
    const int arg_count = int(epilogue_.inputs.size()) + 1;
    epilogue_.expr = builder_.finish(std::move(used), arg_count);
    PLANISH_RETURN_IF_ERROR(can_print(epilogue_.expr));
    return std::move(epilogue_);
  }

 private:
  const Problem& problem_;
  std::vector<int64_t> out_;
  int axis_;
  Epilogue epilogue_;
  ExprBuilder builder_;
};

}  // namespace

int64_t Epilogue::rows() const {
  return ir::element_count(std::span<const int64_t>(row_dims));
}

Result<Epilogue> make_epilogue(const Problem& problem, const kernel::RootAndEpilogue& parts,
                               int channel_axis, const RootTerms& terms) {
  Maker maker(problem, ir::to_dims(parts.root->outputs[0].shape), channel_axis);
  return maker.make(parts, terms);
}

}  // namespace planish::cuda
