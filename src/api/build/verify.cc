// The public verify() over check::verify.
#include "planish/verify.h"

#include "api/build/network_impl.h"
#include "api/runtime/convert.h"
#include "api/runtime/engine_impl.h"
#include "base/text.h"
#include "check/verify.h"

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
        check::VerifyResult result,
        check::verify(network.impl().registry->ops, *network.impl().graph, engine.impl()->engine,
                      inputs, expected, inner));
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
