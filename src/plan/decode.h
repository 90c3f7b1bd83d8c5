// From the metadata of a file, verified as FlatBuffers but otherwise hostile, to a Plan.
#pragma once
#include "base/status.h"
#include "plan/program.h"
#include "plan/sections.h"

namespace planish::plan {
namespace wire {
struct Plan;
}

// `metadata_bytes` bounds the memory of the result: offsets may be shared, so that a small file can
// spell a huge plan. Names, numbers and sizes are checked here, the program's rules by verify().
Result<Plan> decode(const wire::Plan& from, size_t metadata_bytes, Sections& sections);

}  // namespace planish::plan
