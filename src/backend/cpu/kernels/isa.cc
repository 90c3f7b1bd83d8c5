#include "backend/cpu/kernels/isa.h"

#include <cstdlib>
#include <cstring>
#include <initializer_list>

namespace planish::cpu {

bool machine_has(Isa isa) {
#if defined(__x86_64__)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (isa == Isa::kAvx2) return avx2;
  if (isa == Isa::kAvx512) {
    return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  }
#endif
  return isa == Isa::kPortable;
}

const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::kPortable:
      return "portable";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
  }
  return "unknown";
}

static Isa find_best_isa() {
  const char* cap = std::getenv("PLANISH_ISA");
  for (Isa isa : {Isa::kAvx512, Isa::kAvx2}) {
    if (cap != nullptr && std::strcmp(cap, isa_name(isa)) == 0) cap = nullptr;
    if (cap == nullptr && machine_has(isa)) return isa;
  }
  return Isa::kPortable;
}

Isa best_isa() {
  static const Isa isa = find_best_isa();
  return isa;
}

}  // namespace planish::cpu
