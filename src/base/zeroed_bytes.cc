#include "base/zeroed_bytes.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

// Under a sanitizer everything comes from malloc, which sees what is read behind the end.
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PLANISH_ADDRESS_SANITIZER 1
#endif
#endif
#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__) && !defined(PLANISH_ADDRESS_SANITIZER)
#include <sys/mman.h>
#define PLANISH_MAPS_PAGES 1
#else
#define PLANISH_MAPS_PAGES 0
#endif

namespace planish {
namespace {

constexpr size_t kLine = 64, kHugePage = size_t{1} << 21;

size_t rounded(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

bool maps_pages(size_t bytes) { return PLANISH_MAPS_PAGES && bytes >= kHugePage; }

#if PLANISH_MAPS_PAGES
constexpr size_t kPage = 4096;

// Begins on a huge page; what the alignment costs in address space goes back at once. The tail of a
// huge page's fraction stays in small pages.
std::byte* map_pages(size_t bytes) {
  const size_t wanted = rounded(bytes, kPage), mapped = wanted + kHugePage - kPage;
  void* p = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  auto* const begin = static_cast<std::byte*>(p);
  const size_t head = rounded(reinterpret_cast<uintptr_t>(begin), kHugePage) -
                      reinterpret_cast<uintptr_t>(begin);
  if (head > 0) munmap(begin, head);
  if (mapped > head + wanted) munmap(begin + head + wanted, mapped - head - wanted);
  madvise(begin + head, wanted, MADV_HUGEPAGE);
  return begin + head;
}
void unmap_pages(std::byte* data, size_t bytes) { munmap(data, rounded(bytes, kPage)); }
#else
std::byte* map_pages(size_t) { return nullptr; }
void unmap_pages(std::byte*, size_t) {}
#endif

}  // namespace

ZeroedBytes::ZeroedBytes(size_t size) : size_(size) {
  if (size == 0) return;
  if (size > SIZE_MAX / 2) throw std::bad_alloc();
  if (maps_pages(size)) {
    data_ = map_pages(size);
    return;
  }
  data_ = static_cast<std::byte*>(std::aligned_alloc(kLine, rounded(size, kLine)));
  if (!data_) throw std::bad_alloc();
  std::memset(data_, 0, size);
}

ZeroedBytes::ZeroedBytes(std::span<const std::byte> bytes) : ZeroedBytes(bytes.size()) {
  if (!bytes.empty()) std::memcpy(data_, bytes.data(), bytes.size());
}

ZeroedBytes::~ZeroedBytes() {
  if (maps_pages(size_)) unmap_pages(data_, size_);
  else std::free(data_);
}

void ZeroedBytes::resize(size_t size) {
  if (size == size_) return;
  ZeroedBytes other(size);
  if (const size_t kept = size < size_ ? size : size_) std::memcpy(other.data_, data_, kept);
  *this = std::move(other);
}

void ZeroedBytes::append(std::span<const std::byte> bytes) {
  const size_t before = size_;
  resize(before + bytes.size());
  if (!bytes.empty()) std::memcpy(data_ + before, bytes.data(), bytes.size());
}

}  // namespace planish
