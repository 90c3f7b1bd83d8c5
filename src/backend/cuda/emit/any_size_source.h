// Emitted text whose varying numbers are parameters of the kernel.
#pragma once
#include <string>
#include <vector>

#include "backend/cuda/emit/size_pattern.h"

namespace planish::cuda {

// Slots whose number C++ must know when it compiles: lengths of arrays, arguments of templates, launch
// bounds, structs, and constants that any of those are made of. Texts that differ there cannot share a
// kernel. A use that is overlooked ends in a refusal of the compiler, never in a wrong kernel.
std::vector<NumberSlot> fixed_numbers(const std::vector<Token>& text, const SizePattern& pattern);

// The text, prelude included, with the pattern's numbers as additional parameters of its kernel, behind
// its own. Constants made of them become members of a struct that functions using them get as their
// first argument. kUnsupported says what cannot be rewritten.
Result<std::string> any_size_source(const std::vector<Token>& text, const SizePattern& pattern);

}  // namespace planish::cuda
