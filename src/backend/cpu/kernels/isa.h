// The instruction sets that the CPU kernels are compiled for, and the choice among them at run
// time.
//
// Every kernel family holds one table of function pointers per instruction set; the table for a
// given set is asked for by name, so that tests can run all sets that the machine has.
// PLANISH_ISA=portable|avx2|avx512 caps what best_isa() answers.
#pragma once

namespace planish::cpu {

enum class Isa { kPortable, kAvx2, kAvx512 };

// The best set that this machine has and PLANISH_ISA allows; read once.
Isa best_isa();

// True when the machine can run the set (PLANISH_ISA is not asked).
bool machine_has(Isa isa);

const char* isa_name(Isa isa);

// Floats per vector register, which is also the channel block V of the blocked layouts.
constexpr int vector_width(Isa isa) { return isa == Isa::kAvx512 ? 16 : 8; }

// The largest vector_width of all sets: sizes of small stack buffers.
constexpr int kMaxVectorWidth = 16;

}  // namespace planish::cpu
