#include "backend/cuda/testing/stack_testing.h"

namespace planish::cuda {

kernel::Problem stack_problem(const StackCase& c, ir::DataType type) {
  kernel::Problem problem;
  const auto typed = [&](std::vector<int64_t> dims) {
    ir::TensorType t;
    t.dtype = type;
    t.shape = ir::to_shape(dims);
    return t;
  };
  const auto operand = [&](std::vector<int64_t> dims, bool constant) {
    kernel::Operand o;
    o.type = typed(std::move(dims));
    o.constant = constant;
    problem.operands.push_back(std::move(o));
    return int(problem.operands.size()) - 1;
  };
  const auto values = [&](int64_t width) {
    return c.conv ? std::vector<int64_t>{c.rows, width, 1, 1} : std::vector<int64_t>{c.rows, width};
  };
  const size_t layers = c.widths.size() - 1;
  int value = operand(values(c.widths[0]), false);
  std::vector<int> weights, biases;
  for (size_t i = 0; i < layers; ++i) {
    const int64_t in = c.widths[i], out = c.widths[i + 1];
    weights.push_back(operand(c.conv ? std::vector<int64_t>{out, in, 1, 1} : std::vector<int64_t>{in, out}, true));
    biases.push_back(operand({out}, true));
  }
  const int residual = c.residual ? operand(values(c.widths[1]), false) : -1;
  int next = int(problem.operands.size());
  for (size_t i = 0; i < layers; ++i) {
    kernel::Stage dense;
    dense.op = c.conv ? "Conv" : "Gemm";
    dense.inputs = {value, weights[i], biases[i]};
    if (!c.conv)
      dense.attrs = {{"alpha", 1.0}, {"beta", 1.0}, {"transA", int64_t(0)}, {"transB", int64_t(0)}};
    else
      dense.attrs = {{"group", int64_t(1)}, {"strides", std::vector<int64_t>{1, 1}}, {"dilations", std::vector<int64_t>{1, 1}},
                     {"pads", std::vector<int64_t>{0, 0, 0, 0}}, {"kernel_shape", std::vector<int64_t>{1, 1}}};
    dense.outputs = {typed(values(c.widths[i + 1]))};
    problem.stages.push_back(dense);
    value = next++;
    if (i + 1 == layers) break;
    kernel::Stage stage;
    stage.op = std::string(kernel::kExprStage);
    stage.inputs = {value};
    kernel::ExprBuilder b;
    int x = b.arg(0, type);
    if (i == 0 && residual >= 0) {
      stage.inputs.push_back(residual);
      x = b.add(x, b.arg(1, type));
    }
    x = b.max(x, b.imm(0, type));
    stage.outputs = dense.outputs;
    stage.expr = b.finish({x}, int(stage.inputs.size()));
    problem.stages.push_back(std::move(stage));
    value = next++;
  }
  problem.results = {value};
  return problem;
}

}  // namespace planish::cuda
