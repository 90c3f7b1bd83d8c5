#include "fake_world.h"

#include "backend/cpu/cpu_backend.h"
#include "backend/cuda/cuda_backend.h"
#include "compiler/compile.h"
#include "eval/reference_kernel.h"
#include "opdef/infer.h"
#include "ops/register_ops.h"

namespace planish::cuda_tests {
namespace {

// Before main(): the driver is loaded once, whoever asks first.
[[maybe_unused]] const bool kDriverIsSet = [] {
  setenv("PLANISH_CUDA_DRIVER", PLANISH_FAKE_CUDA, 1);
  return true;
}();

}  // namespace

World::World() {
  ops::register_all_ops(ops);
  const auto cuda_backend = cuda::make_cuda_backend();
  const auto cpu_backend = cpu::make_cpu_backend();
  cuda_backend->register_kernels(kernels);
  cpu_backend->register_kernels(kernels);
  kernels.add(eval::make_reference_kernel(ops));
  cpu = std::move(cpu_backend->device(0, 1)).value();
  cuda = std::move(cuda_backend->device(0, 0)).value();
}

World& world() {
  static World& the_world = *new World();
  return the_world;
}

Result<plan::Plan> compile_text(std::string_view text) {
  PLANISH_ASSIGN_OR_RETURN(auto graph, ir::parse(text));
  PLANISH_RETURN_IF_ERROR(opdef::infer_graph(world().ops, *graph));
  compiler::CompileOptions options;
  options.deterministic = true;
  const compiler::Environment environment{world().ops, world().kernels, *world().cuda, nullptr,
                                          world().cpu.get()};
  return compiler::compile(std::move(graph), options, environment);
}

Result<std::shared_ptr<runtime::Engine>> engine_on(std::shared_ptr<backend::Device> device,
                                                   plan::Plan plan) {
  runtime::EngineOptions options;
  options.host = world().cpu;
  return runtime::Engine::create(std::move(plan), std::move(device), world().kernels, options);
}

Result<std::shared_ptr<runtime::Engine>> engine_of(plan::Plan plan) {
  return engine_on(world().cuda, std::move(plan));
}

Result<std::shared_ptr<runtime::Engine>> engine_of(std::string_view text) {
  PLANISH_ASSIGN_OR_RETURN(plan::Plan plan, compile_text(text));
  return engine_of(std::move(plan));
}

}  // namespace planish::cuda_tests
