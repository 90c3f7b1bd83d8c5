// The cap on one step's scratch memory (CompileOptions::max_workspace): what an alternative takes is
// asked of the kernel itself, packed and bound as the runtime would do it, at the opt shapes and at
// each profile's maximal ones.
#pragma once
#include "compiler/lowering.h"

namespace planish::compiler {

// Drops the alternatives of `entry` that would take more than the cap, or that cannot be bound; what
// each would take is noted in entry.considered. Returns the least that a dropped one takes, in words;
// "" when none was.
std::string cap_workspace(LoweredNode& entry, const CompileOptions& options,
                   const Environment& environment);

// Ok when the reference code stays within the cap, too: it holds every stage's outputs beside the
// arena. kResourceExhausted gives the figures.
Status cap_reference(const LoweredNode& entry, const CompileOptions& options,
                     const std::string& least_of_others);

}  // namespace planish::compiler
