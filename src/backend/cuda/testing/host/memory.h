// Shared memory of the blocks of a cluster, its barriers, and what TMA writes into it.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "backend/cuda/testing/host/machine.h"

namespace planish_host {

// Bytes per rank, filled with NaN and guarded at the end.
class SharedMemory {
 public:
  void prepare(size_t ranks, size_t bytes, void* static_begin, void* static_end);
  unsigned char* dynamic(uint32_t rank) { return bytes_of(rank) + kReserved; }
  uint32_t address(uint32_t rank, const void* p) const;  // 0: p is not shared memory
  static uint32_t of_rank(uint32_t address, uint32_t rank) { return (address & kOffset) | (rank + 1) << 24; }
  // Null when the range is not inside; `own`: the rank of an address that names none.
  unsigned char* find(uint32_t own, uint32_t address, size_t bytes);
  static uint32_t rank_of(uint32_t own, uint32_t address) { return address >> 24 ? (address >> 24) - 1 : own; }
  static uint32_t offset_of(uint32_t address) { return address & kOffset; }
  bool guards_hold() const;

 private:
  static constexpr uint32_t kOffset = 0xffffff, kStatic = 0x800000, kReserved = 1024;
  unsigned char* bytes_of(uint32_t rank) {
    return reinterpret_cast<unsigned char*>((reinterpret_cast<uintptr_t>(memory_.data()) + 1023) / 1024 * 1024) +
           rank * pitch_;
  }
  const unsigned char* bytes_of(uint32_t rank) const { return const_cast<SharedMemory*>(this)->bytes_of(rank); }
  std::vector<unsigned char> memory_;
  size_t ranks_ = 0, size_ = 0, pitch_ = 0;
  unsigned char *static_begin_ = nullptr, *static_end_ = nullptr;
};

// mbarriers: a phase ends when all arrivals and all announced bytes are in.
class Barriers {
 public:
  void clear() { barriers_.clear(); }
  void init(uint32_t rank, uint32_t offset, uint32_t arrivals);
  // Each returns "" or what is wrong.
  std::string arrive(uint32_t rank, uint32_t offset, int64_t expected_bytes);
  std::string complete_bytes(uint32_t rank, uint32_t offset, int64_t bytes);
  // Whether the phase of that parity has ended.
  bool passed(uint32_t rank, uint32_t offset, uint32_t parity) const;
  bool known(uint32_t rank, uint32_t offset) const { return barriers_.count({rank, offset}) != 0; }

 private:
  struct Barrier {
    uint32_t arrivals = 1, missing = 1, phase = 0;
    int64_t bytes = 0;
  };
  std::string ended(Barrier& b);
  std::map<std::pair<uint32_t, uint32_t>, Barrier> barriers_;
};

// What one TMA load brings: rows of `row_bytes`, unswizzled.
struct Brought {
  std::vector<unsigned char> bytes;
  size_t row_bytes = 0;
};
Brought bring_box(const MapView& map, const int* at);
Brought bring_pixels(const MapView& map, const int* at, uint32_t dx, uint32_t dy);
// Address of a byte under a swizzle (0 none, 1: 32, 2: 64, 3: 128 bytes): 16-byte chunks change places.
uint32_t swizzled(uint32_t address, int swizzle);

}  // namespace planish_host
