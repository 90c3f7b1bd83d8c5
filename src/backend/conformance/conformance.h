// Conformance: what a device's kernels compute, against the interpreter. Every kernel that takes a
// problem is run in every layout and with every tactic it offers; each element of each result is
// compared, results are filled with NaN before and guarded at both ends, and what a layout pads must
// be zero.
//
// The bound of an element of a contraction or reduction is 4 u sqrt(K) S + 2 u_out |ref|, where K is
// the accumulation length and S what the op gives for the operands' magnitudes (16 times that where
// the kernel says that it rounds differently); of anything else it is verify's,
// max(16 |plain - wide|, 64 u max|ref|). Problems come from the operators' cases: any backend's tests
// ask for the same ones.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "backend/api/backend.h"
#include "kernel/kernel_def.h"
#include "opdef/op_def.h"

namespace planish::conformance {

// A concrete problem with its operands' elements (empty tensors where absent).
struct Subject {
  std::string name;  // "Conv.3x3_same + epilogue"
  kernel::Problem problem;
  std::vector<ir::Tensor> operands;
};

struct Report {
  std::vector<std::string> failures;
  std::map<std::string, int64_t> runs;                  // by kernel: layouts x tactics that ran
  std::map<std::string, std::string> refusals;          // by kernel: why it takes it not
  bool device_lost = false;  // a device error: nothing runs on it any more in this process
};

// The node of `graph`, whose inputs and constants are its operands, as a subject. `inputs` are the
// graph's, in order. Result dims that the data of a loop or branch decide stay symbols.
Result<Subject> subject_of(const opdef::OpRegistry& registry, const ir::Node& node,
                           const std::vector<ir::Tensor>& inputs, std::string name);

// One way to carry a subject out.
struct Attempt {
  const kernel::KernelDef* kernel = nullptr;
  kernel::LayoutChoice layouts;
  kernel::Problem problem;  // with the layouts set
  kernel::Tactic tactic;
};
// Every kernel that takes the subject, in every layout, with at most `tactics` of each, evenly
// chosen; 0: all. `refusals` (may be null): by kernel, why it takes it not.
std::vector<Attempt> attempts_of(const kernel::KernelRegistry& kernels,
                                 const kernel::DeviceInfo& device, const Subject& subject,
                                 int tactics, std::map<std::string, std::string>* refusals);

// Carries out attempts_of().
Report check(const opdef::OpRegistry& registry, const kernel::KernelRegistry& kernels,
             backend::Device& device, const Subject& subject, int tactics = 0);

}  // namespace planish::conformance
