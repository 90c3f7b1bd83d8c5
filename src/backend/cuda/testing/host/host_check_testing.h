// Kernels against what they should give, on the host: operands go into the layouts that a kernel asked
// for, results come guarded and filled with NaN, and every element is compared.
#pragma once
#include <string>
#include <vector>

#include "backend/cuda/emit/emitted_kernel_def.h"
#include "backend/cuda/testing/host/host_run_testing.h"

namespace planish::cuda {

// One way to carry out a problem. The tensors stay the caller's.
struct HostCase {
  std::string title;
  kernel::Problem problem;  // with the layouts set
  const std::vector<ir::Tensor>* operands = nullptr;  // empty tensors where absent
  const std::vector<ir::Tensor>* expected = nullptr;  // in double where the type is a float
  EmittedStep step;
  kernel::Blob packed;
};

// The problem laid out as `layouts` says.
kernel::Problem with_layouts(kernel::Problem problem, const kernel::LayoutChoice& layouts);

// Emits and packs; the title names kernel, tactic and result layouts.
Result<HostCase> host_case(const std::string& title, const EmittedKernelDef& def, kernel::Problem problem,
                           const kernel::Tactic& tactic, const kernel::DeviceInfo& device,
                           const std::vector<ir::Tensor>& operands, const std::vector<ir::Tensor>& expected);

// Compiles all of them and runs each; what went wrong, one line per case (and its source after it).
std::vector<std::string> run_on_host(const std::vector<HostCase>& cases);

}  // namespace planish::cuda
