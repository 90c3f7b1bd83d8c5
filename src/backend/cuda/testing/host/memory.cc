#include "backend/cuda/testing/host/memory.h"

#include <algorithm>
#include <cstring>

namespace planish_host {
namespace {

constexpr unsigned char kPoison = 0xff;
constexpr size_t kGuard = 256;

// Nearest f32 with tf32's 10 bits of fraction.
void round_to_tf32(unsigned char* at) {
  uint32_t bits;
  std::memcpy(&bits, at, 4);
  if ((bits & 0x7f800000u) != 0x7f800000u) bits = (bits + 0x1000u) & ~0x1fffu;
  std::memcpy(at, &bits, 4);
}

// Copies `count` innermost elements that begin at `first`; zeros beyond the dim.
void copy_run(const MapView& map, const unsigned char* row, int first, uint32_t count, unsigned char* to) {
  for (uint32_t i = 0; i < count; ++i, to += map.element_bytes) {
    const int64_t at = int64_t(first) + i;
    if (!row || at < 0 || at >= int64_t(map.dims[0])) {
      std::memset(to, 0, size_t(map.element_bytes));
      continue;
    }
    std::memcpy(to, row + at * map.element_bytes, size_t(map.element_bytes));
    if (map.tf32) round_to_tf32(to);
  }
}

}  // namespace

void SharedMemory::prepare(size_t ranks, size_t bytes, void* static_begin, void* static_end) {
  ranks_ = ranks;
  size_ = kReserved + bytes;
  pitch_ = (size_ + kGuard + 1023) / 1024 * 1024;
  memory_.assign(ranks * pitch_ + 1024, kPoison);
  static_begin_ = static_cast<unsigned char*>(static_begin);
  static_end_ = static_cast<unsigned char*>(static_end);
  if (static_begin_) std::memset(static_begin_, kPoison, size_t(static_end_ - static_begin_));
}

uint32_t SharedMemory::address(uint32_t rank, const void* p) const {
  const auto* at = static_cast<const unsigned char*>(p);
  const unsigned char* own = bytes_of(rank);
  if (at >= own && at < own + size_) return uint32_t(at - own);
  if (static_begin_ && at >= static_begin_ && at < static_end_) return kStatic + uint32_t(at - static_begin_);
  return 0;
}

unsigned char* SharedMemory::find(uint32_t own, uint32_t address, size_t bytes) {
  const uint32_t rank = rank_of(own, address), offset = offset_of(address);
  if (rank >= ranks_) return nullptr;
  if (static_begin_ && offset >= kStatic) {
    if (offset - kStatic + bytes > size_t(static_end_ - static_begin_)) return nullptr;
    return static_begin_ + (offset - kStatic);
  }
  if (offset < kReserved || offset + bytes > size_) return nullptr;
  return bytes_of(rank) + offset;
}

bool SharedMemory::guards_hold() const {
  for (size_t r = 0; r < ranks_; ++r) {
    const unsigned char* guard = bytes_of(uint32_t(r)) + size_;
    if (!std::all_of(guard, guard + kGuard, [](unsigned char c) { return c == kPoison; })) return false;
  }
  return true;
}

void Barriers::init(uint32_t rank, uint32_t offset, uint32_t arrivals) {
  barriers_[{rank, offset}] = {arrivals, arrivals, 0, 0};
}

std::string Barriers::ended(Barrier& b) {
  if (b.missing == 0 && b.bytes == 0) {
    b.missing = b.arrivals;
    ++b.phase;
  }
  return "";
}

std::string Barriers::arrive(uint32_t rank, uint32_t offset, int64_t expected_bytes) {
  auto found = barriers_.find({rank, offset});
  if (found == barriers_.end()) return "an arrival at a barrier that was not made";
  Barrier& b = found->second;
  if (b.missing == 0) return "more arrivals than the barrier was made for";
  b.bytes += expected_bytes;
  --b.missing;
  return ended(b);
}

std::string Barriers::complete_bytes(uint32_t rank, uint32_t offset, int64_t bytes) {
  auto found = barriers_.find({rank, offset});
  if (found == barriers_.end()) return "bytes for a barrier that was not made";
  found->second.bytes -= bytes;
  return ended(found->second);
}

bool Barriers::passed(uint32_t rank, uint32_t offset, uint32_t parity) const {
  return (barriers_.at({rank, offset}).phase & 1) != parity;
}

Brought bring_box(const MapView& map, const int* at) {
  Brought out;
  out.row_bytes = size_t(map.box[0]) * size_t(map.element_bytes);
  size_t rows = 1;
  for (int d = 1; d < map.rank; ++d) rows *= map.box[d];
  out.bytes.resize(rows * out.row_bytes);
  for (size_t r = 0; r < rows; ++r) {
    const unsigned char* row = map.base;
    size_t rest = r;
    for (int d = 1; d < map.rank; ++d) {
      const int64_t i = at[d] + int64_t(rest % map.box[d]) * map.steps[d];
      rest /= map.box[d];
      if (i < 0 || i >= int64_t(map.dims[d])) row = nullptr;
      if (row) row += uint64_t(i) * map.byte_strides[d];
    }
    copy_run(map, row, at[0], map.box[0], out.bytes.data() + r * out.row_bytes);
  }
  return out;
}

Brought bring_pixels(const MapView& map, const int* at, uint32_t dx, uint32_t dy) {
  Brought out;
  out.row_bytes = size_t(map.channels) * size_t(map.element_bytes);
  out.bytes.resize(map.pixels * out.row_bytes);
  // The base walks over [lower, dim - 1 + upper] of each spatial dim, the innermost first.
  int w = at[1], h = at[2], n = at[3];
  const int last_w = int(map.dims[1]) - 1 + map.upper[0], last_h = int(map.dims[2]) - 1 + map.upper[1];
  for (uint32_t p = 0; p < map.pixels; ++p) {
    const int x = w + int(dx), y = h + int(dy);
    const bool inside = x >= 0 && x < int(map.dims[1]) && y >= 0 && y < int(map.dims[2]) && n >= 0 && n < int(map.dims[3]);
    const unsigned char* row = inside ? map.base + uint64_t(x) * map.byte_strides[1] +
                                            uint64_t(y) * map.byte_strides[2] + uint64_t(n) * map.byte_strides[3]
                                      : nullptr;
    copy_run(map, row, at[0], map.channels, out.bytes.data() + p * out.row_bytes);
    w += int(map.steps[1]);
    if (w > last_w) {
      w = map.lower[0];
      h += int(map.steps[2]);
    }
    if (h > last_h) {
      h = map.lower[1];
      ++n;
    }
  }
  return out;
}

uint32_t swizzled(uint32_t address, int swizzle) {
  if (swizzle == 0) return address;
  const uint32_t mask = (1u << swizzle) - 1;  // chunks of 16 bytes in the span
  return address ^ ((address >> 7 & mask) << 4);
}

}  // namespace planish_host
