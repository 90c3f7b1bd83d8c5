// What ptxas says of the kernels of one source (-Xptxas=-v).
#pragma once
#include <cstdint>
#include <string>

namespace planish::cuda {

struct PtxasReport {
  int32_t registers = 0;     // of the first kernel
  int32_t stack_bytes = 0;   // spills included
  int32_t spill_bytes = 0;   // stores and loads
  int32_t serialized = 0;    // 1: "wgmma ... serialized": accumulators could not stay in flight
  friend bool operator==(const PtxasReport&, const PtxasReport&) = default;
};
PtxasReport read_ptxas(const std::string& log);

}  // namespace planish::cuda
