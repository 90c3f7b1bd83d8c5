// Inline PTX as C++: what lets emitted kernels run on the host unchanged.
//
// Every `asm [volatile] ("template" : outputs : inputs : clobbers);` of a CUDA source becomes a block
// that binds the operands and calls one function of namespace ptx (ptx.inc) per instruction, named
// after its opcode:
//   asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];" : "=f"(a), "=f"(b) : "r"(at) : "memory");
//   { auto& a0 = a; auto& a1 = b; const auto a2 = (at); { void* const l0[] = {(void*)&a0, (void*)&a1};
//     ptx::ld_shared_v2_f32(l0, (unsigned long long)a2); } }
// Known besides: `.reg .pred`, predicated and plain `bra`, labels, %special registers, `_`.
#pragma once
#include <string>

#include "base/status.h"

namespace planish::cuda {

// The source with all inline assembly replaced; an error names what it does not know.
Result<std::string> without_assembly(const std::string& source);

}  // namespace planish::cuda
