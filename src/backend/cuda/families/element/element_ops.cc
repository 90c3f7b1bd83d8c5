#include "backend/cuda/families/element/element_ops.h"

#include <array>

#include "base/text.h"

namespace planish::cuda {
namespace {

template <class T>
const T* attr(const kernel::Stage& stage, std::string_view key) {
  auto found = stage.attrs.find(key);
  return found == stage.attrs.end() ? nullptr : std::get_if<T>(&found->second);
}

}  // namespace

const ElementOp* find_element_op(std::string_view op) {
  for (const auto& list : {movement_ops(), index_ops(), window_ops(), reduction_ops(),
                           resize_ops(), scatter_ops(), contraction_ops()})
    for (const ElementOp& row : list)
      if (row.op == op) return &row;
  return nullptr;
}

bool has_input(const kernel::Stage& stage, size_t input) {
  return input < stage.inputs.size() && stage.inputs[input] >= 0;
}

std::optional<std::vector<int64_t>> known_ints(const kernel::Problem& problem,
                                               const kernel::Stage& stage, size_t input) {
  if (!has_input(stage, input)) return std::nullopt;
  const int number = stage.inputs[input];
  if (number >= int(problem.operands.size())) return std::nullopt;
  const auto& value = problem.operands[size_t(number)].value;
  return value ? std::optional(value->i64_values()) : std::nullopt;
}

Status require_known(const kernel::Problem& problem, const kernel::Stage& stage, size_t input,
                     std::string_view name) {
  if (!has_input(stage, input) || known_ints(problem, stage, input)) return ok_status();
  return unsupported(cat("computed ", name));
}

int64_t int_attr(const kernel::Stage& stage, std::string_view key, int64_t fallback) {
  const auto* value = attr<int64_t>(stage, key);
  return value ? *value : fallback;
}

double float_attr(const kernel::Stage& stage, std::string_view key, double fallback) {
  const auto* value = attr<double>(stage, key);
  return value ? *value : fallback;
}

std::string string_attr(const kernel::Stage& stage, std::string_view key,
                        std::string_view fallback) {
  const auto* value = attr<std::string>(stage, key);
  return value ? *value : std::string(fallback);
}

size_t axis_attr(const kernel::Stage& stage, size_t rank, std::string_view key, int64_t fallback) {
  const int64_t axis = int_attr(stage, key, fallback);
  return size_t(axis < 0 ? axis + int64_t(rank) : axis);
}

std::vector<int64_t> dims_of(const ir::TensorType& type) { return ir::to_dims(type.shape); }

std::string_view sum_type(ir::DataType dtype) {
  if (dtype == ir::DataType::kF64) return "double";
  return ir::is_float(dtype) ? "float" : "u64";
}

}  // namespace planish::cuda
