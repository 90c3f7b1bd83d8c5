// Moving elements between tensors without looking at their values: any element type, packed ones
// included, is copied as bits. Every op that only moves elements (Transpose, Slice, Expand, Concat,
// Gather...) is a strided copy or a loop over ElementMover.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "ir/tensor.h"

namespace planish::ops {

using ir::Tensor;

// Copies elements from one tensor to another of the same type, addressed by flat row-major index.
class ElementMover {
 public:
  ElementMover(const Tensor& from, Tensor& to);
  // `count` consecutive elements; the ranges must not overlap when the tensors are one.
  void copy(int64_t to, int64_t from, int64_t count = 1);
  // `count` elements with steps.
  void copy(int64_t to, int64_t to_step, int64_t from, int64_t from_step, int64_t count);

 private:
  void copy_packed(int64_t to, int64_t to_step, int64_t from, int64_t from_step, int64_t count);

  const uint8_t* from_;
  uint8_t* to_;
  int bits_;
};

// to[to_offset + sum i*to_strides] = from[from_offset + sum i*from_strides] for every index i of
// `dims`. Strides are in elements and may be zero or negative.
struct StridedView {
  int64_t offset = 0;
  std::vector<int64_t> strides;
};
void copy_strided(const Tensor& from, const StridedView& from_view, Tensor& to,
                  const StridedView& to_view, std::span<const int64_t> dims);
// Into all of `to`, in row-major order.
void copy_strided(const Tensor& from, const StridedView& from_view, Tensor& to);

// Every element of `to` becomes element `index` of `from`.
void fill(Tensor& to, const Tensor& from, int64_t index = 0);

// Calls visit(index) for every index of `dims` in row-major order; not at all when a dim is 0.
template <class Visit>
void for_each_index(std::span<const int64_t> dims, Visit visit) {
  for (int64_t d : dims) {
    if (d <= 0) return;
  }
  std::vector<int64_t> index(dims.size(), 0);
  for (;;) {
    visit(std::span<const int64_t>(index));
    size_t axis = dims.size();
    while (axis > 0 && ++index[axis - 1] == dims[axis - 1]) index[--axis] = 0;
    if (axis == 0) return;
  }
}

}  // namespace planish::ops
