// Runs a plan that needs a plugin, with libplanish_runtime alone: two points against three.
// Usage: plugin_runner PLAN [PLUGIN]; without the plugin the plan must be refused by name.
#include <cstdio>

#include "planish/context.h"
#include "planish/engine.h"
#include "planish/host.h"

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  if (argc == 3) {
    if (const auto status = planish::load_plugin(argv[2]); !status.ok()) {
      std::fprintf(stderr, "%s\n", status.to_string().c_str());
      return 1;
    }
  }
  const auto engine = planish::Engine::load(argv[1]);
  if (!engine.ok()) {
    std::fprintf(stderr, "%s\n", engine.status().to_string().c_str());
    return int(engine.status().code());
  }
  auto context = planish::Context::create(*engine);
  const float a[] = {0, 0, 3, 4}, b[] = {0, 0, 0, 4, 1, 0};
  planish::Status status = context->set_input(0, a, {2, 2});
  if (status.ok()) status = context->set_input(1, b, {3, 2});
  if (status.ok()) status = context->run();
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", status.to_string().c_str());
    return 1;
  }
  const float* y = context->output(0)->data_as<float>();
  for (int i = 0; i < 6; ++i) std::printf("%g ", double(y[i]));
  std::printf("\n");
  return 0;
}
