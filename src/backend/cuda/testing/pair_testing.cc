#include "backend/cuda/testing/pair_testing.h"

namespace planish::cuda {
namespace {

using Dims = std::vector<int64_t>;

// A problem whose stages follow each other.
class Chain {
 public:
  explicit Chain(ir::DataType type) : type_(type) {}

  int operand(Dims dims, bool constant) {
    kernel::Operand o;
    o.type = typed(dims);
    o.constant = constant;
    problem.operands.push_back(std::move(o));
    return int(problem.operands.size()) - 1;
  }
  // All operands stand in front of the first stage. Each returns its value.
  int conv(std::vector<int> inputs, const Dims& result) {
    return stage("Conv", std::move(inputs), result,
                 {{"group", int64_t(1)}, {"strides", Dims{1, 1}}, {"dilations", Dims{1, 1}}, {"pads", Dims{0, 0, 0, 0}},
                  {"kernel_shape", Dims{1, 1}}});
  }
  int gemm(std::vector<int> inputs, const Dims& result) {
    return stage("Gemm", std::move(inputs), result,
                 {{"alpha", 1.0}, {"beta", 1.0}, {"transA", int64_t(0)}, {"transB", int64_t(0)}});
  }
  // ReLU of the value, of its sum with `added` where there is one.
  int relu(int value, int added, const Dims& result) {
    const bool sum = added >= 0;
    const int made = stage(kernel::kExprStage, sum ? std::vector<int>{value, added} : std::vector<int>{value}, result, {});
    kernel::ExprBuilder b;
    int x = b.arg(0, type_);
    if (sum) x = b.add(x, b.arg(1, type_));
    problem.stages.back().expr = b.finish({b.max(x, b.imm(0, type_))}, sum ? 2 : 1);
    return made;
  }

  kernel::Problem problem;

 private:
  ir::TensorType typed(const Dims& dims) const {
    ir::TensorType t;
    t.dtype = type_;
    t.shape = ir::to_shape(dims);
    return t;
  }
  int stage(std::string_view op, std::vector<int> inputs, const Dims& result, ir::Attributes attrs) {
    kernel::Stage stage;
    stage.op = std::string(op);
    stage.attrs = std::move(attrs);
    stage.inputs = std::move(inputs);
    stage.outputs = {typed(result)};
    problem.stages.push_back(std::move(stage));
    return int(problem.operands.size() + problem.stages.size()) - 1;
  }

  ir::DataType type_;
};

}  // namespace

kernel::Problem pair_problem(const PairCase& c, ir::DataType type) {
  Chain chain(type);
  const Dims wide = {c.n, c.mid, c.h, c.w}, narrow = {c.n, c.out, c.h, c.w};
  const int input = chain.operand({c.n, c.in, c.h, c.w}, false);
  const int first = chain.operand({c.mid, c.in, 1, 1}, true), second = chain.operand({c.out, c.mid, 1, 1}, true);
  const int first_bias = chain.operand({c.mid}, true), second_bias = chain.operand({c.out}, true);
  const int residual = c.residual ? chain.operand(wide, false) : -1;
  const int mid = chain.relu(chain.conv({input, first, first_bias}, wide), residual, wide);
  if (c.stores_mid) chain.problem.results.push_back(mid);
  chain.problem.results.push_back(chain.relu(chain.conv({mid, second, second_bias}, narrow), -1, narrow));
  return std::move(chain.problem);
}

kernel::Problem stack_problem(const StackCase& c, ir::DataType type) {
  Chain chain(type);
  const auto values = [&](int64_t width) { return c.conv ? Dims{c.rows, width, 1, 1} : Dims{c.rows, width}; };
  const size_t layers = c.widths.size() - 1;
  int value = chain.operand(values(c.widths[0]), false);
  std::vector<std::pair<int, int>> weights;  // and biases
  for (size_t i = 0; i < layers; ++i) {
    const int64_t in = c.widths[i], out = c.widths[i + 1];
    const int w = chain.operand(c.conv ? Dims{out, in, 1, 1} : Dims{in, out}, true);
    weights.emplace_back(w, chain.operand({out}, true));
  }
  const int residual = c.residual ? chain.operand(values(c.widths[1]), false) : -1;
  for (size_t i = 0; i < layers; ++i) {
    const Dims result = values(c.widths[i + 1]);
    const std::vector<int> inputs = {value, weights[i].first, weights[i].second};
    value = c.conv ? chain.conv(inputs, result) : chain.gemm(inputs, result);
    if (i + 1 < layers) value = chain.relu(value, i == 0 ? residual : -1, result);
  }
  chain.problem.results = {value};
  return std::move(chain.problem);
}

}  // namespace planish::cuda
