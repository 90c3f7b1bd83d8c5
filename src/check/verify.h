// verify(): an engine's values against the reference interpreter's, element by element.
//
// The interpreter runs plain (every value rounded to its type), which gives the reference, wide (all in
// double) and, where that does not settle it, with sums rounded as in f32. The bound of a value is
//   max(16 max|rounded - wide|, 64 u max|plain|),   u: unit roundoff of the value's type,
// first with plain in the place of rounded, which is the tighter one; 2 and 16 times these terms when the
// engine sums by Winograd's transforms (docs/decisions/0012),
// so that integers and bools must be equal unless the model's own rounding reaches them. The
// comparison is written so that NaN fails: a NaN on one side only, or infinities of different sign,
// are an infinite error.
#pragma once
#include <atomic>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "ir/graph.h"
#include "opdef/op_def.h"
#include "runtime/engine.h"

namespace planish::check {

struct VerifyOptions {
  // Given: atol + rtol |ref| per element in place of the derived bound.
  std::optional<double> atol, rtol;
  bool layers = true;
  const std::atomic<bool>* cancel = nullptr;
  int threads = 0;  // of the engine's context; 0: as the device
  double roundoff_factor = 1;  // on the derived bound
  bool transforms = false;     // the engine has Winograd steps; verify() sees to it
};

struct Comparison {
  std::string name;
  int step = -1;            // the engine's step that made the value
  int64_t count = 0;
  double worst_error = 0;   // largest |got - ref|
  double bound = 0;         // at `index`
  double ratio = 0;         // largest |got - ref| / bound; above 1 fails
  int64_t index = 0;        // where the ratio is largest
  double got = 0, expected = 0;
  bool good = true;
};

// Largest finite |plain - wide|: what rounding the model itself causes. 0 when the shapes differ.
double model_rounding(const ir::Tensor& plain, const ir::Tensor& wide);

// kInvalidArgument when element types differ; another shape is a failed comparison of infinite
// ratio.
Result<Comparison> compare(const std::string& name, const ir::Tensor& got,
                           const ir::Tensor& reference, double rounding,
                           const VerifyOptions& options);

struct VerifyResult {
  std::vector<Comparison> outputs;   // in the network's order
  std::vector<Comparison> expected;  // against given outputs, when there are any
  std::vector<Comparison> layers;    // in execution order
  int first_drift = -1;
  bool good = true;
};

// `inputs` in the network's order. `expected` may be empty.
Result<VerifyResult> verify(const opdef::OpRegistry& registry, const ir::Graph& graph,
                            std::shared_ptr<const runtime::Engine> engine,
                            std::span<const ir::Tensor> inputs,
                            std::span<const ir::Tensor> expected, const VerifyOptions& options);

// Random inputs for these dims, the same for the same seed on every machine: floats in [-1, 1),
// integers 0 or 1 (they may be indices), bools.
std::vector<ir::Tensor> random_inputs(const plan::Program& program,
                                      const std::vector<std::vector<int64_t>>& dims, uint64_t seed);

}  // namespace planish::check
