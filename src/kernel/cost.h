// Operations and bytes of a concrete problem: the two numbers every time is measured against.
#pragma once
#include "kernel/problem.h"

namespace planish::kernel {

// Multiply-adds count two; elementwise stages one per node and element. Roots that are neither
// contractions nor known reductions count one per output element.
double flop_count(const Problem& problem);
// Operands read once and results written once, in their layouts.
int64_t bytes_moved(const Problem& problem);

// Gemm-like reading of a contraction: output elements and accumulation length.
struct Contraction {
  double outputs = 0;
  double k = 0;
};
std::optional<Contraction> contraction_of(const Problem& problem, const Stage& stage);

}  // namespace planish::kernel
