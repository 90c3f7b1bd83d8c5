// EmittedKernelDef: a KernelDef whose kernels are printed as CUDA C, one per problem and tactic.
//
// A family says what it supports, its layouts, tactics and costs, how weights are packed, and emits
// an EmittedStep. The rest is here: compile() runs NVRTC (or finds the cubin in the cache) and puts
// cubins and launch data into the plan's artifact (a tactic that spills registers and is not the best
// guess is refused there); bind() loads them, uploads packed weights once per
// device and process, and launches. For sizes that the artifact's exact kernels are not for, one of its
// kernels of any size is launched where one fits (any_size.h). An artifact that is missing, made for
// another architecture or generator, or fits no way, is emitted and compiled anew when NVRTC is at hand,
// and refused by name of the difference when it is not.
//
// `problem` in emit() is concrete with layouts set; constants reach kernels through pack() or as
// ordinary device operands. emit() must be a pure function: equal text is compiled once.
#pragma once
#include <string>

#include "backend/cuda/emit/emitted_kernel.h"
#include "kernel/any_size_kernel.h"
#include "kernel/kernel_def.h"

namespace planish::cuda {

// Raised when the launcher or the prelude change so that saved artifacts are void.
inline constexpr int kGeneratorVersion = 2;

class EmittedKernelDef : public kernel::KernelDef, public kernel::AnySizeKernel {
 public:
  std::string device_kind() const final { return "cuda"; }
  std::string compiler() const final;  // NVRTC
  virtual Result<EmittedStep> emit(const kernel::Problem& problem, const kernel::Tactic& tactic,
                                   const kernel::DeviceInfo& device) const = 0;

  Result<kernel::Blob> compile(const kernel::Problem& problem, const kernel::Tactic& tactic,
                               const kernel::DeviceInfo& device) const final;
  Result<kernel::Blob> compile_any_size(const kernel::Problem& problem,
                                        std::span<const kernel::Problem> others,
                                        const kernel::Tactic& tactic,
                                        const kernel::DeviceInfo& device) const final;
  Result<std::unique_ptr<kernel::Launchable>> bind(const kernel::BindArgs& args) const final;
};

// How families say no: another family's problem stays out of the report; a problem of the family
// that this kernel cannot take is unsupported(reason).
inline Status other_family() { return Status(Code::kUnimplemented, "another family's problem"); }

// Figures that families ask of a device, with an H200's where it does not say.
int sm_count(const kernel::DeviceInfo& device);
// 90 for "sm_90a".
int sm_version(const kernel::DeviceInfo& device);
// Bytes of shared memory that one block may take.
int64_t shared_bytes_per_block(const kernel::DeviceInfo& device);
// Device memory GB/s times a fraction that kernels reach; us for `bytes` plus the launch's gap.
double memory_us(const kernel::DeviceInfo& device, double bytes);
// What one more step of a captured graph costs.
inline constexpr double kLaunchUs = 0.7;

}  // namespace planish::cuda
