// Loads and runs the plan with libplanish_runtime alone, and checks the result.
#include <planish/context.h>
#include <planish/engine.h>

#include <cstdio>

int main(int argc, char** argv) {
  if (argc != 2) return 1;
  const auto engine = planish::Engine::load(argv[1]);
  if (!engine.ok()) {
    std::fprintf(stderr, "run_plan: %s\n", engine.status().to_string().c_str());
    return 1;
  }
  auto context = planish::Context::create(*engine);
  const float x[] = {1, 1, 1, 2, 0, 0};
  planish::Status status = context->set_input(0, x, {2, 3});
  if (status.ok()) status = context->run();
  if (!status.ok()) {
    std::fprintf(stderr, "run_plan: %s\n", status.to_string().c_str());
    return 1;
  }
  const auto y = context->output("y");
  const float expected[] = {9.5f, 0, 2.5f, 0};
  for (int i = 0; i < 4; ++i) {
    if (!(y->data_as<float>()[i] == expected[i])) {
      std::fprintf(stderr, "run_plan: y[%d] is %g, expected %g\n", i,
                   double(y->data_as<float>()[i]), double(expected[i]));
      return 1;
    }
  }
  std::puts("run_plan: all right");
  return 0;
}
