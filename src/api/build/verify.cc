// The public verify() over check::verify.
#include "planish/verify.h"

#include "api/build/network_impl.h"
#include "api/runtime/convert.h"
#include "api/runtime/engine_impl.h"
#include "base/text.h"
#include "check/verify.h"
#include "passes/convert_precision.h"

namespace planish::v1 {
namespace {

VerifyRow to_row(const check::Comparison& from, const Engine& engine) {
  VerifyRow row;
  row.name = from.name;
  if (from.step >= 0) {
    row.step = engine.steps()[size_t(from.step)].kernel;
    row.sources = engine.steps()[size_t(from.step)].sources;
  }
  row.count = from.count;
  row.worst_error = from.worst_error;
  row.bound = from.bound;
  row.ratio = from.ratio;
  row.index = from.index;
  row.got = from.got;
  row.expected = from.expected;
  row.good = from.good;
  return row;
}

// The graph that a plan of reduced precision is held against: its values rounded as the build's were.
planish::Result<std::unique_ptr<ir::Graph>> reference_graph(const Network::Impl& network,
                                                            const plan::Plan& plan,
                                                            check::VerifyOptions& options) {
  auto graph = network.graph->clone();
  const auto option = [&](const char* name) {
    auto found = plan.options.find(name);
    return found == plan.options.end() ? std::string() : found->second;
  };
  const auto type = [](const std::string& name) {
    return name == "fp16" ? ir::DataType::kF16 : name == "bf16" ? ir::DataType::kBF16
                                                                : ir::DataType::kF32;
  };
  if (const ir::DataType io = type(option("io_precision")); io != ir::DataType::kF32)
    PLANISH_RETURN_IF_ERROR(passes::convert_io(*graph, network.registry->ops, io));
  PLANISH_RETURN_IF_ERROR(passes::convert_precision(*graph, network.registry->ops,
                                                    type(option("precision")))
                              .status());
  // Products of operands of 11 bits where the derived bound thinks of 24.
  if (option("precision") == "tf32") options.roundoff_factor = 0x1p13;
  return graph;
}

}  // namespace

Result<std::vector<Tensor>> random_inputs(const Engine& engine, uint64_t seed) {
  return api::guarded([&]() -> Result<std::vector<Tensor>> {
    std::vector<Tensor> out;
    for (const ir::Tensor& tensor : check::random_inputs(engine.impl()->engine->program(),
                                                         engine.example_dims(), seed))
      out.push_back(api::to_public(tensor));
    return out;
  });
}

Result<VerifyReport> verify(const Network& network, const Engine& engine,
                            const VerifyOptions& options) {
  return api::guarded([&]() -> Result<VerifyReport> {
    std::vector<ir::Tensor> inputs, expected;
    if (options.inputs.empty() && !engine.inputs().empty()) {
      inputs = check::random_inputs(engine.impl()->engine->program(), engine.example_dims(),
                                    options.seed);
    } else {
      for (const Tensor& tensor : options.inputs) inputs.push_back(api::borrow(tensor));
    }
    for (const Tensor& tensor : options.expected) expected.push_back(api::borrow(tensor));
    check::VerifyOptions inner;
    inner.atol = options.atol;
    inner.rtol = options.rtol;
    inner.layers = options.layers;
    inner.cancel = options.cancel.flag();
    PLANISH_API_ASSIGN_OR_RETURN(
        const auto graph, reference_graph(network.impl(), engine.impl()->engine->plan(), inner));
    PLANISH_API_ASSIGN_OR_RETURN(
        check::VerifyResult result,
        check::verify(network.impl().registry->ops, *graph, engine.impl()->engine, inputs, expected,
                      inner));
    VerifyReport report;
    for (const auto& row : result.outputs) report.outputs.push_back(to_row(row, engine));
    for (const auto& row : result.expected) report.expected.push_back(to_row(row, engine));
    for (const auto& row : result.layers) report.layers.push_back(to_row(row, engine));
    report.first_drift = result.first_drift;
    report.good = result.good;
    return report;
  });
}

}  // namespace planish::v1
