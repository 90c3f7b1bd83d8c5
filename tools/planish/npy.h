// NumPy's array files: .npy in and out, members of .npz in.
//
// Versions 1 to 3 of the format, little- and big-endian, C and Fortran order; booleans, integers and
// floats. Python objects and structured types are refused: reading runs no code. Any bytes end in an
// array or a Status.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "planish/status.h"
#include "planish/types.h"

namespace planish::cli {

Result<Tensor> parse_npy(std::string_view bytes);
// Types that NumPy does not have (bf16, f8, i4) come out as the next wider one that it has.
std::string to_npy(const Tensor& tensor);

// Arrays of an .npz by name ("x.npy" is "x"); stored and deflated members.
Result<std::vector<NamedTensor>> parse_npz(std::string_view bytes);

}  // namespace planish::cli
