#include "ops/register_ops.h"

namespace planish::ops {

#define PLANISH_OP_FAMILY(family) void register_##family(opdef::OpRegistry& registry);
#include "ops/op_families.inc"
#undef PLANISH_OP_FAMILY

void register_all_ops(opdef::OpRegistry& registry) {
#define PLANISH_OP_FAMILY(family) register_##family(registry);
#include "ops/op_families.inc"
#undef PLANISH_OP_FAMILY
}

}  // namespace planish::ops
