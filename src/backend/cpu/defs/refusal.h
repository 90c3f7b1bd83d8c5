// How kernels of this folder say no. A problem of another family is kUnimplemented and stays out of
// the report; a problem of the family that this kernel cannot take is kUnsupported with the reason.
#pragma once
#include <string>

#include "base/status.h"

namespace planish::cpu {

inline Status other_family() { return Status(Code::kUnimplemented, "another family's problem"); }

}  // namespace planish::cpu
