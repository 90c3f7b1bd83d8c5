// Registers every operator that Planish knows. One function per operator or family; what an
// operator is stands in its own file; the list itself is op_families.inc.
#pragma once
#include "opdef/op_def.h"

namespace planish::ops {

// Adds every operator to an empty registry.
void register_all_ops(opdef::OpRegistry& registry);

}  // namespace planish::ops
