/* The whole C API: planish/c/runtime.h (libplanish_runtime), planish/c/build.h and
   planish/c/engine_set.h (libplanish). */
#ifndef PLANISH_C_PLANISH_H_
#define PLANISH_C_PLANISH_H_

#include "planish/c/build.h"
#include "planish/c/engine_set.h"
#include "planish/c/runtime.h"

#endif /* PLANISH_C_PLANISH_H_ */
