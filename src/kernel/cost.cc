#include "kernel/cost.h"

#include <algorithm>

namespace planish::kernel {
namespace {

std::vector<int64_t> dims_of(const ir::TensorType& type) {
  return ir::is_constant(type.shape) ? ir::to_dims(type.shape) : std::vector<int64_t>{};
}

double elements(const ir::TensorType& type) {
  double product = 1;
  for (const ir::Dim& d : type.shape) product *= d.is_constant() ? double(d.value()) : 1;
  return product;
}

}  // namespace

std::optional<Contraction> contraction_of(const Problem& problem, const Stage& stage) {
  if (stage.inputs.size() < 2 || stage.inputs[0] < 0 || stage.inputs[1] < 0 ||
      stage.outputs.empty())
    return std::nullopt;
  const std::vector<int64_t> a = dims_of(problem.type_of(stage.inputs[0]));
  const std::vector<int64_t> b = dims_of(problem.type_of(stage.inputs[1]));
  const double outputs = elements(stage.outputs[0]);
  if (stage.op == "Conv" && b.size() >= 3) {
    double k = 1;
    for (size_t i = 1; i < b.size(); ++i) k *= double(b[i]);
    return Contraction{outputs, k};
  }
  if (stage.op == "ConvTranspose" && b.size() >= 3 && a.size() == b.size()) {
    double taps = double(b[1]);
    for (size_t i = 2; i < b.size(); ++i) taps *= double(b[i]);
    return Contraction{elements(problem.type_of(stage.inputs[0])), taps};
  }
  if (stage.op == "MatMul" && !a.empty()) return Contraction{outputs, double(a.back())};
  if (stage.op == "Gemm" && a.size() == 2) {
    auto flag = stage.attrs.find("transA");
    const bool trans = flag != stage.attrs.end() && std::get<int64_t>(flag->second) != 0;
    return Contraction{outputs, double(a[trans ? 0 : 1])};
  }
  return std::nullopt;
}

double flop_count(const Problem& problem) {
  double total = 0;
  for (const Stage& stage : problem.stages) {
    if (stage.outputs.empty()) continue;
    const double out = elements(stage.outputs[0]);
    if (stage.is_expr()) {
      double ops = 0;
      for (const ExprNode& n : stage.expr->nodes)
        ops += n.op != ScalarOp::kArg && n.op != ScalarOp::kImm && n.op != ScalarOp::kCast;
      total += ops * out;
    } else if (auto c = contraction_of(problem, stage)) {
      total += 2 * c->outputs * c->k;
    } else {
      double largest = out;
      for (int input : stage.inputs)
        if (input >= 0) largest = std::max(largest, elements(problem.type_of(input)));
      total += largest;
    }
  }
  return total;
}

int64_t bytes_moved(const Problem& problem) {
  int64_t total = 0;
  const auto add = [&](const ir::TensorType& type) {
    if (!ir::is_constant(type.shape)) return;
    total += ir::bytes_of(type.dtype, ir::physical_element_count(ir::to_dims(type.shape),
                                                                 type.layout));
  };
  for (const Operand& operand : problem.operands)
    if (operand.present) add(operand.type);
  for (int result : problem.results) add(problem.type_of(result));
  return total;
}

}  // namespace planish::kernel
