// For tests of the runtime: the CPU's kernels over all operators, graphs made node by node, engines of
// them compiled without measuring, and a comparison with the interpreter.
#pragma once
#include <gtest/gtest.h>

#include <cmath>

#include "backend/cpu/cpu_backend.h"
#include "compiler/compile.h"
#include "eval/control_kernel.h"
#include "eval/interpreter.h"
#include "eval/reference_kernel.h"
#include "opdef/infer.h"
#include "ops/register_ops.h"
#include "runtime/context.h"

namespace planish::runtime {

using ir::DataType;
using ir::Tensor;

struct World {
  opdef::OpRegistry ops;
  kernel::KernelRegistry kernels;
  std::shared_ptr<backend::Device> device;
  World() {
    ops::register_all_ops(ops);
    auto backend = cpu::make_cpu_backend();
    backend->register_kernels(kernels);
    kernels.add(eval::make_reference_kernel(ops));
    kernels.add(eval::make_control_kernel(ops));
    device = std::move(backend->device(0, 2)).value();
  }
};
inline World& world() {
  static World w;
  return w;
}

inline Tensor filled(std::vector<int64_t> dims, uint64_t seed) {
  Tensor t(DataType::kF32, std::move(dims));
  uint64_t state = seed * 2654435761u + 17;
  for (int64_t i = 0; i < t.count(); ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    t.set_f64(i, double(int64_t(state >> 40) - (1 << 23)) * 0x1p-23);
  }
  return t;
}

// Adds nodes with their defaults filled in.
struct Builder {
  std::unique_ptr<ir::Graph> graph = std::make_unique<ir::Graph>();
  ir::Value* add(std::string op, std::vector<ir::Value*> inputs, ir::Attributes attrs = {}) {
    opdef::fill_defaults(*world().ops.find(op), attrs);
    ir::Node* node = graph->add_node(op, std::move(inputs), std::move(attrs), {ir::TensorType{}});
    node->sources = {op};
    const Status s = opdef::infer_node(world().ops, *node);
    EXPECT_TRUE(s.ok()) << s.to_string();
    return node->outputs[0];
  }
};

inline plan::Plan make_plan(std::unique_ptr<ir::Graph> graph) {
  compiler::CompileOptions options;
  options.deterministic = true;
  options.fp32_exact = true;
  auto plan = compiler::compile(std::move(graph), options,
                                {world().ops, world().kernels, *world().device, nullptr});
  EXPECT_TRUE(plan.ok()) << plan.status().to_string();
  return std::move(*plan);
}

inline std::shared_ptr<Engine> make_engine(std::unique_ptr<ir::Graph> graph, int instance_cache) {
  EngineOptions options;
  options.instance_cache = instance_cache;
  auto engine =
      Engine::create(make_plan(std::move(graph)), world().device, world().kernels, options);
  EXPECT_TRUE(engine.ok()) << engine.status().to_string();
  return *engine;
}

inline void expect_close(const Tensor& got, const Tensor& want) {
  ASSERT_EQ(got.dims(), want.dims());
  for (int64_t i = 0; i < got.count(); ++i) {
    const double bound = 1e-5 * (1 + std::fabs(want.f64(i)));
    ASSERT_TRUE(std::fabs(got.f64(i) - want.f64(i)) <= bound)
        << "element " << i << ": got " << got.f64(i) << ", expected " << want.f64(i);
  }
}

// The graph through an engine and through the interpreter.
inline void expect_same(std::unique_ptr<ir::Graph> graph, const std::vector<Tensor>& inputs) {
  const auto expected = eval::interpret(world().ops, *graph, inputs);
  ASSERT_TRUE(expected.ok()) << expected.status().to_string();
  auto context = std::move(ExecutionContext::create(make_engine(std::move(graph), 2))).value();
  for (size_t i = 0; i < inputs.size(); ++i)
    ASSERT_TRUE(context->set_input(int(i), inputs[i].data(), inputs[i].dims()).ok());
  const Status status = context->run();
  ASSERT_TRUE(status.ok()) << status.to_string();
  for (size_t o = 0; o < expected->size(); ++o)
    expect_close(*context->output(int(o)), (*expected)[o]);
}

}  // namespace planish::runtime
