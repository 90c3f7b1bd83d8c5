// Walking a tensor along one axis: the elements that differ only in that coordinate form a line.
#pragma once
#include <cstdint>
#include <span>

namespace planish::ops {

struct Lines {
  int64_t outer = 1, length = 1, inner = 1;

  int64_t count() const { return outer * inner; }
  // Flat index of element i of line `line`; step() further per i.
  int64_t start(int64_t line) const { return line / inner * length * inner + line % inner; }
  int64_t step() const { return inner; }
};

inline Lines lines_of(std::span<const int64_t> dims, int axis) {
  Lines lines;
  for (int i = 0; i < int(dims.size()); ++i) {
    int64_t d = dims[size_t(i)];
    (i < axis ? lines.outer : i == axis ? lines.length : lines.inner) *= d;
  }
  return lines;
}

}  // namespace planish::ops
