#include "backend/cuda/testing/pair_testing.h"

namespace planish::cuda {

kernel::Problem pair_problem(const PairCase& c, ir::DataType type) {
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
  const int input = operand({c.n, c.in, c.h, c.w}, false);
  const int weights[] = {operand({c.mid, c.in, 1, 1}, true), operand({c.out, c.mid, 1, 1}, true)};
  const int biases[] = {operand({c.mid}, true), operand({c.out}, true)};
  const int residual = c.residual ? operand({c.n, c.mid, c.h, c.w}, false) : -1;
  int value = input, next = int(problem.operands.size());
  for (int i = 0; i < 2; ++i) {
    kernel::Stage conv;
    conv.op = "Conv";
    conv.inputs = {value, weights[i], biases[i]};
    conv.attrs["group"] = int64_t(1);
    conv.attrs["strides"] = std::vector<int64_t>{1, 1};
    conv.attrs["dilations"] = std::vector<int64_t>{1, 1};
    conv.attrs["pads"] = std::vector<int64_t>{0, 0, 0, 0};
    conv.attrs["kernel_shape"] = std::vector<int64_t>{1, 1};
    conv.outputs = {typed({c.n, i ? c.out : c.mid, c.h, c.w})};
    problem.stages.push_back(conv);
    kernel::Stage stage;
    stage.op = std::string(kernel::kExprStage);
    stage.inputs = {next++};
    kernel::ExprBuilder b;
    int x = b.arg(0, type);
    if (i == 0 && residual >= 0) {
      stage.inputs.push_back(residual);
      x = b.add(x, b.arg(1, type));
    }
    x = b.max(x, b.imm(0, type));
    stage.outputs = conv.outputs;
    stage.expr = b.finish({x}, int(stage.inputs.size()));
    problem.stages.push_back(std::move(stage));
    value = next++;
    if (i == 0 && c.stores_mid) problem.results.push_back(value);
  }
  problem.results.push_back(value);
  return problem;
}

}  // namespace planish::cuda
