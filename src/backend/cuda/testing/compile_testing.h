// Tests of emitted kernels without a GPU: every kernel compiles for its architecture, without spills
// and without a stack, and where it should use tensor cores says so in its SASS.
#pragma once
#include <string>
#include <vector>

#include "backend/cuda/emit/emitted_kernel_def.h"
#include "backend/cuda/emit/ptxas_report.h"

namespace planish::cuda {

// An H200 as Gpu describes it; `isa` for others ("sm_80"), whose blocks have less shared memory.
kernel::DeviceInfo testing_device(const std::string& isa = "sm_90a");

// Compiles every kernel of the step and fails the running test when one does not compile, spills, uses
// a stack, or has none of the tensor cores' instructions that its name promises. `may_use_stack` for kernels
// that call functions with local arrays (sinf, powf...). Returns the reports.
std::vector<PtxasReport> expect_compiles(const EmittedStep& step, const std::string& isa = "sm_90a",
                                         bool may_use_stack = false);

// The kernel `name` that `add` registers; it lives as long as the process.
const EmittedKernelDef& registered(void (*add)(kernel::KernelRegistry&), std::string_view name);

// A problem of one stage that reads all operands (not constant) in order; all its outputs are results.
kernel::Problem stage_problem(std::string op, ir::Attributes attrs, std::vector<ir::TensorType> operands,
                              std::vector<ir::TensorType> results);

// A problem of one Expr stage over operands of these types (dims as given; all not constant).
kernel::Problem pointwise_problem(std::vector<ir::TensorType> operands, kernel::Expr expr,
                                  std::vector<ir::TensorType> results);

}  // namespace planish::cuda

// Skips the test, with the reason, where NVRTC is not installed.
#define PLANISH_NEEDS_NVRTC()                                                     \
  do {                                                                            \
    if (const ::planish::Status needs = ::planish::cuda::nvrtc_available(); !needs.ok()) \
      GTEST_SKIP() << needs.message();                                            \
  } while (false)
