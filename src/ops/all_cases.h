// The test cases of every operator, for conformance, fuzz and bench targets.
#pragma once
#include "opdef/op_case.h"

namespace planish::ops {

// Cases of every family, in the list's order; names are unique within an op.
opdef::CaseList all_cases();

}  // namespace planish::ops
