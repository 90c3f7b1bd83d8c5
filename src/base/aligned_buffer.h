// Zeroed memory aligned to a cache line, for operands of vector kernels.
//
// Buffers of half a megabyte and more are aligned to 2 MiB and offered to the kernel as huge pages:
// with 4 KiB pages the speed of a convolution depends on which physical pages it happened to get
// (up to 25 % measured on large layers), because pages of one colour share the same sets of the
// second-level cache.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <type_traits>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace planish {

template <class T>
class AlignedBuffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(size_t count) : count_(count), data_(allocate(count)) {}
  AlignedBuffer(AlignedBuffer&& other) noexcept
      : count_(std::exchange(other.count_, 0)), data_(std::exchange(other.data_, nullptr)) {}
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    std::swap(count_, other.count_);
    std::swap(data_, other.data_);
    return *this;
  }
  ~AlignedBuffer() { std::free(data_); }

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return count_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  T* begin() { return data_; }
  T* end() { return data_ + count_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + count_; }

 private:
  static constexpr size_t kCacheLine = 64;
  static constexpr size_t kHugePage = size_t{1} << 21;

  // Throws std::bad_alloc when there is no memory or the size overflows.
  static T* allocate(size_t count) {
    if (count > (SIZE_MAX - kHugePage) / sizeof(T)) throw std::bad_alloc();
    const size_t bytes = count * sizeof(T);
    const size_t unit = bytes >= kHugePage / 4 ? kHugePage : kCacheLine;
    const size_t rounded = bytes == 0 ? unit : (bytes + unit - 1) / unit * unit;
    void* p = std::aligned_alloc(unit, rounded);
    if (p == nullptr) throw std::bad_alloc();
#if defined(__linux__)
    if (unit == kHugePage) madvise(p, rounded, MADV_HUGEPAGE);
#endif
    std::memset(p, 0, rounded);
    return static_cast<T*>(p);
  }

  size_t count_ = 0;
  T* data_ = nullptr;
};

}  // namespace planish
