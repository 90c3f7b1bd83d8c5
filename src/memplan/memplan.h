// Arena planning: given the lifetimes and sizes of buffers, offsets such that no two buffers alive
// at once overlap, in an arena close to the lower bound.
//
// The compiler and the runtime both use it: sizes are concrete, so an instance plans when its shapes
// are known. Aliases (views, in-place results) are resolved by the caller into one request each.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace planish::memplan {

struct Request {
  int64_t bytes;
  int first_step;  // the step that writes it (or reads it first)
  int last_step;   // the last step that reads it, inclusive
};

struct ArenaPlan {
  std::vector<int64_t> offsets;  // per request, multiples of `alignment`
  int64_t arena_bytes = 0;
  int64_t sum_bytes = 0;          // without reuse
  int64_t lower_bound_bytes = 0;  // the largest set alive at one step
};

// Deterministic. Sizes are rounded up to `alignment` in all three figures.
ArenaPlan plan_arena(std::span<const Request> requests, int64_t alignment = 64);

}  // namespace planish::memplan
