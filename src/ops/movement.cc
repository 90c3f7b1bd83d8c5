#include "ops/movement.h"

#include <cstring>

#include "base/status.h"

namespace planish::ops {

namespace {

template <class T>
void copy_steps(uint8_t* to, int64_t to_index, int64_t to_step, const uint8_t* from,
                int64_t from_index, int64_t from_step, int64_t count) {
  T* out = reinterpret_cast<T*>(to);
  const T* in = reinterpret_cast<const T*>(from);
  for (int64_t i = 0; i < count; ++i) out[to_index + i * to_step] = in[from_index + i * from_step];
}

}  // namespace

ElementMover::ElementMover(const Tensor& from, Tensor& to)
    : from_(static_cast<const uint8_t*>(from.data())),
      to_(static_cast<uint8_t*>(to.mutable_data())),
      bits_(ir::bits_of(from.dtype())) {
  PLANISH_CHECK(ir::bits_of(to.dtype()) == bits_, "elements of equal width");
}

void ElementMover::copy(int64_t to, int64_t from, int64_t count) {
  if (count <= 0) return;
  if (bits_ < 8) return copy_packed(to, 1, from, 1, count);
  const int64_t bytes = bits_ / 8;
  std::memcpy(to_ + to * bytes, from_ + from * bytes, size_t(count * bytes));
}

void ElementMover::copy(int64_t to, int64_t to_step, int64_t from, int64_t from_step,
                        int64_t count) {
  if (to_step == 1 && from_step == 1) return copy(to, from, count);
  switch (bits_) {
    case 8: return copy_steps<uint8_t>(to_, to, to_step, from_, from, from_step, count);
    case 16: return copy_steps<uint16_t>(to_, to, to_step, from_, from, from_step, count);
    case 32: return copy_steps<uint32_t>(to_, to, to_step, from_, from, from_step, count);
    case 64: return copy_steps<uint64_t>(to_, to, to_step, from_, from, from_step, count);
    default: return copy_packed(to, to_step, from, from_step, count);
  }
}

void ElementMover::copy_packed(int64_t to, int64_t to_step, int64_t from, int64_t from_step,
                               int64_t count) {
  const int per_byte = 8 / bits_;
  const unsigned mask = (1u << bits_) - 1;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t f = from + i * from_step, t = to + i * to_step;
    const unsigned value = (from_[f / per_byte] >> (f % per_byte * bits_)) & mask;
    const int shift = int(t % per_byte) * bits_;
    uint8_t& byte = to_[t / per_byte];
    byte = uint8_t((byte & ~(mask << shift)) | (value << shift));
  }
}

void copy_strided(const Tensor& from, const StridedView& from_view, Tensor& to,
                  const StridedView& to_view, std::span<const int64_t> dims) {
  PLANISH_CHECK(from_view.strides.size() == dims.size() && to_view.strides.size() == dims.size(),
                "one stride per dim");
  ElementMover mover(from, to);
  if (dims.empty()) return mover.copy(to_view.offset, from_view.offset);
  const size_t last = dims.size() - 1;
  if (dims[last] <= 0) return;
  for_each_index(dims.first(last), [&](std::span<const int64_t> index) {
    int64_t f = from_view.offset, t = to_view.offset;
    for (size_t i = 0; i < last; ++i) {
      f += index[i] * from_view.strides[i];
      t += index[i] * to_view.strides[i];
    }
    mover.copy(t, to_view.strides[last], f, from_view.strides[last], dims[last]);
  });
}

void copy_strided(const Tensor& from, const StridedView& from_view, Tensor& to) {
  copy_strided(from, from_view, to, {0, ir::strides_of(to.dims())}, to.dims());
}

void fill(Tensor& to, const Tensor& from, int64_t index) {
  ElementMover(from, to).copy(0, 1, index, 0, to.count());
}

}  // namespace planish::ops
