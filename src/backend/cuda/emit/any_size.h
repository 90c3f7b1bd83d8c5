// Kernels for sizes that only a run knows, beside the exact ones of a step's artifact.
//
// At build, the problem is printed at many sizes, texts of one pattern share a kernel whose numbers are
// parameters (size_pattern.h), and the patterns that stand for most sizes are compiled. At run, the
// problem is printed at the sizes at hand, which takes no compiler, and the kernel whose pattern the text
// fits is launched with the text's numbers; grid, tensor maps and arguments are those of the text.
#pragma once
#include <optional>
#include <span>
#include <vector>

#include "backend/cuda/emit/artifact.h"
#include "backend/cuda/emit/emitted_kernel_def.h"

namespace planish::cuda {

// `others`: the problem at sizes that stand for all. Patterns that do not compile are left out.
std::vector<SizeVariant> compile_variants(const EmittedKernelDef& def,
                                          std::span<const kernel::Problem> others,
                                          const kernel::Tactic& tactic,
                                          const kernel::DeviceInfo& device);

// What to launch for `problem`, as an artifact without variants, and the tactic that it is of; nothing
// when no variant fits.
struct Fitting {
  Artifact artifact;
  kernel::Tactic tactic;
};
std::optional<Fitting> fit(const EmittedKernelDef& def, const Artifact& artifact,
                           const kernel::Problem& problem, const kernel::DeviceInfo& device);

}  // namespace planish::cuda
