// Views: values that lie inside others. Checks that every chain of parents ends and that every view
// whose dims are known stays inside its parent.
#pragma once
#include <span>

#include "plan/program.h"

namespace planish::plan {

// Views nest no deeper than this, so that walks along parents stay short.
inline constexpr int kMaxViewDepth = 64;

// With all types already checked. Constant dims and offsets only.
Status verify_views(const Program& program);

// verify_bound for some values (and those they lie in) alone.
Status verify_bound(const Program& program, const ir::Dim::Lookup& binding,
                    std::span<const int> values);

}  // namespace planish::plan
