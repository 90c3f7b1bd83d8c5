// Builds a small network by hand, y = relu(x * w + b), and saves its plan.
#include <planish/planish.h>

#include <cstdio>
#include <vector>

namespace {

int fail(const planish::Status& status) {
  std::fprintf(stderr, "build_plan: %s\n", status.to_string().c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 1;
  using planish::DataType;
  auto network = planish::Network::create("outside");
  const std::vector<float> w = {1, 2, 3, -4, 5, 6}, b = {0.5f, -100};
  const auto weights = planish::Tensor::view(DataType::kF32, {3, 2}, w.data());
  const auto bias = planish::Tensor::view(DataType::kF32, {2}, b.data());
  const auto x = network.add_input("x", DataType::kF32, {"N", 3});
  const auto product = network.add_op("MatMul", {*x, *network.add_constant("w", *weights)});
  const auto sum = network.add_op("Add", {*product, *network.add_constant("b", *bias)});
  const auto y = network.add_op("Relu", {*sum}, {}, "y");
  if (!y.ok()) return fail(y.status());
  if (const auto status = network.mark_output(*y); !status.ok()) return fail(status);
  planish::BuildOptions options;
  options.deterministic = true;
  const auto plan = planish::build(network, options);
  if (!plan.ok()) return fail(plan.status());
  if (const auto status = plan->save(argv[1]); !status.ok()) return fail(status);
  std::printf("saved %zu bytes with Planish %s\n", plan->bytes(), planish::version());
  return 0;
}
