// The table of element operators: ops whose every result element is a formula over elements of the
// operands. One row each; ElementEmitter prints them and the family asks them what they take.
#pragma once
#include <span>
#include <string_view>

#include "backend/cuda/families/element/element_emitter.h"

namespace planish::cuda {

struct ElementOp {
  std::string_view op;
  // Ok, or why not. The stage's inputs are operands or earlier stages of the problem.
  Status (*supports)(const kernel::Problem& problem, const kernel::Stage& stage);
  // Prints output `output` at `coords` (of that output's rank) and returns its names.
  Lanes (*emit)(ElementEmitter& e, const kernel::Stage& stage, int output, const Coords& coords);
  // Elements of input 0 that one result element reads: what computing it again would cost.
  bool reads_many = false;
};

const ElementOp* find_element_op(std::string_view op);

// One list per file of this folder.
std::span<const ElementOp> movement_ops();
std::span<const ElementOp> index_ops();
std::span<const ElementOp> window_ops();
std::span<const ElementOp> reduction_ops();
std::span<const ElementOp> resize_ops();
std::span<const ElementOp> scatter_ops();
std::span<const ElementOp> contraction_ops();

// ---- what the rows share

// The elements of a small constant input, when it is given and known.
std::optional<std::vector<int64_t>> known_ints(const kernel::Problem& problem,
                                               const kernel::Stage& stage, size_t input);
bool has_input(const kernel::Stage& stage, size_t input);
// Ok when the input is absent or known; else "NAME is computed".
Status require_known(const kernel::Problem& problem, const kernel::Stage& stage, size_t input,
                     std::string_view name);
int64_t int_attr(const kernel::Stage& stage, std::string_view key, int64_t fallback);
double float_attr(const kernel::Stage& stage, std::string_view key, double fallback);
std::string string_attr(const kernel::Stage& stage, std::string_view key,
                        std::string_view fallback);
// Attribute 'axis' (or another), counted from the front.
size_t axis_attr(const kernel::Stage& stage, size_t rank, std::string_view key = "axis",
                 int64_t fallback = 0);
std::vector<int64_t> dims_of(const ir::TensorType& type);

// The type that sums and products of a type are held in: float, double, or 64-bit unsigned.
std::string_view sum_type(ir::DataType dtype);

}  // namespace planish::cuda
