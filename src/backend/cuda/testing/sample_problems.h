// A fixed set of problems of every family: those whose tactics compile in tests, and whose text is stored.
#pragma once
#include <ostream>
#include <string>
#include <vector>

#include "backend/cuda/emit/emitted_kernel_def.h"

namespace planish::cuda {

// Which of the tensor cores' instructions every kernel has: IGMMA's families would name kWgmma, too.
enum class TensorCores { kNone, kMma, kWgmma };

struct SampleProblem {
  std::string family, title;  // letters, digits and underscores
  kernel::Problem problem;
  TensorCores expected = TensorCores::kNone;
  std::string isa = "sm_90a";
  int layout = 0;     // of the family's choices
  bool tf32 = false;  // f32 may be rounded
  // Tactics that spill with some compiler ("rows=2,v=8"); a plan is made without them.
  std::vector<std::string> may_spill = {};
};

std::ostream& operator<<(std::ostream& out, const SampleProblem& sample);

// Problems as networks have them: each family's tactics for them stand for all that it offers.
std::vector<SampleProblem> sample_problems();

}  // namespace planish::cuda
