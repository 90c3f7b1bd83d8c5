// What stands behind a public Engine.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "api/runtime/registry.h"
#include "planish/engine.h"
#include "runtime/engine.h"

namespace planish::v1 {

struct Engine::Impl {
  std::shared_ptr<const api::Registry> registry;  // outlives the engine
  std::shared_ptr<runtime::Engine> engine;
  std::vector<TensorDesc> inputs, outputs;
  std::map<std::string, std::string> metadata;
  std::vector<StepDesc> steps;
};

}  // namespace planish::v1

namespace planish::api {

// An engine of a plan in memory, on the device that the options or the plan name.
v1::Result<v1::Engine> make_engine(plan::Plan plan, const v1::EngineOptions& options);

// Dims to try a program with: fixed ones, those of a profile (opt of the first unless asked for
// others), else 1 for leading dims and 64 for the others, inside the symbols' bounds.
std::vector<std::vector<int64_t>> example_dims(
    const plan::Program& program, size_t profile = 0,
    std::vector<int64_t> plan::ProfileInput::*which = &plan::ProfileInput::opt);

// Everything about an engine as JSON text (Engine::describe_json).
planish::Result<std::string> describe_json(const runtime::Engine& engine,
                                           const std::vector<std::vector<int64_t>>& input_dims);

}  // namespace planish::api
