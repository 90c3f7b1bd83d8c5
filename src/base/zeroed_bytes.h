// ZeroedBytes: a buffer of zeros for weights and what is packed from them.
//
// Large ones are pages fresh from the system, huge where it has them: they are zero already, so
// nobody writes them twice, and the first touch of a page of 4 KB costs more than filling it (packing
// ResNet-50's weights into plain vectors spent two thirds of its time there).
#pragma once

#include <cstddef>
#include <span>
#include <utility>

namespace planish {

class ZeroedBytes {
 public:
  ZeroedBytes() = default;
  // At least 64-byte aligned. Throws std::bad_alloc.
  explicit ZeroedBytes(size_t size);
  // A copy.
  explicit ZeroedBytes(std::span<const std::byte> bytes);
  ZeroedBytes(const ZeroedBytes& other) : ZeroedBytes(std::span<const std::byte>(other)) {}
  ZeroedBytes(ZeroedBytes&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  ZeroedBytes& operator=(ZeroedBytes other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~ZeroedBytes();

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::byte* begin() { return data_; }
  std::byte* end() { return data_ + size_; }
  const std::byte* begin() const { return data_; }
  const std::byte* end() const { return data_ + size_; }

  // Keeps what fits; what is new is zero. Copies each time: not for growing byte by byte.
  void resize(size_t size);
  void append(std::span<const std::byte> bytes);

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace planish
