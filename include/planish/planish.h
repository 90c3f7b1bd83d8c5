// The whole public C++ API of Planish.
//
// Two libraries: libplanish_runtime loads and runs plans (engine.h, context.h, host.h); libplanish
// makes them (network.h, build.h, partition.h, engine_set.h, verify.h) and brings the runtime along.
// C programs and bindings use planish/c/planish.h; authors of operators use planish/plugin.h.
#pragma once
#include "planish/build.h"
#include "planish/config.h"
#include "planish/context.h"
#include "planish/engine.h"
#include "planish/engine_set.h"
#include "planish/host.h"
#include "planish/network.h"
#include "planish/partition.h"
#include "planish/status.h"
#include "planish/types.h"
#include "planish/verify.h"
