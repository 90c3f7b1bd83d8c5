// verify(): how far an engine's results are from the reference interpreter's, value by value.
//
// Both run on the same inputs; every output and every value that survived fusion is compared element
// by element, so that a NaN on one side only fails. The bound is derived from the unit roundoff u:
// max(16 |interp_f32 - interp_f64|, 64 u max|ref|); atol and rtol override it. Part of libplanish.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "planish/config.h"
#include "planish/engine.h"
#include "planish/network.h"
#include "planish/status.h"
#include "planish/types.h"

namespace planish {
PLANISH_API_NAMESPACE {

struct VerifyOptions {
  // In the network's input order; empty: random inputs of `seed`, the same on every machine.
  std::vector<Tensor> inputs;
  // Expected outputs in order (a test_data_set folder), compared as well; empty: none.
  std::vector<Tensor> expected;
  uint64_t seed = 1;
  // Given: |got - ref| <= atol + rtol |ref| replaces the derived bound.
  std::optional<double> atol, rtol;
  bool layers = true;  // compare values between steps too
  CancelToken cancel;
};

// One compared value.
struct VerifyRow {
  std::string name;              // the value's name
  std::string step;              // kernel of the step that made it; empty for a given expectation
  std::vector<std::string> sources;
  int64_t count = 0;             // elements
  double worst_error = 0;        // largest |got - ref|; infinity for a NaN on one side
  double bound = 0;              // at the element nearest to, or beyond, its bound
  double ratio = 0;              // worst |got - ref| / bound; above 1 fails
  int64_t index = 0;             // of that element
  double got = 0, expected = 0;  // there
  bool good = false;
};

struct VerifyReport {
  std::vector<VerifyRow> outputs;   // engine against interpreter
  std::vector<VerifyRow> expected;  // engine against VerifyOptions::expected
  std::vector<VerifyRow> layers;    // in execution order
  int first_drift = -1;             // index into layers of the first that fails; -1: none
  bool good = false;                // all outputs and expectations within their bounds
};

// The engine must have been built from this network. A report with good == false is no error.
PLANISH_API Result<VerifyReport> verify(const Network& network, const Engine& engine,
                                        const VerifyOptions& options = {});

// Inputs as verify() makes them: floats in [-1, 1), small integers, dims from the engine.
PLANISH_API Result<std::vector<Tensor>> random_inputs(const Engine& engine, uint64_t seed);

}  // namespace v1
}  // namespace planish
