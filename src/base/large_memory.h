// Uninitialized memory for weights and files: huge pages where the system has them.
//
// A network's weights are written once and read often; in pages of 4 KB the first touch of each costs
// more than the write (a build of ResNet-50 spent a third of its time in page faults).
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace planish {

// At least 64-byte aligned; goes back by std::free. Throws std::bad_alloc.
inline void* allocate_large(size_t bytes) {
  constexpr size_t kLine = 64, kHugePage = size_t{1} << 21;
  const size_t unit = bytes >= kHugePage ? kHugePage : kLine;
  // Only the alignment is huge: a tail of a page's fraction stays in small pages.
  void* p = nullptr;
  if (posix_memalign(&p, unit, std::max(bytes, kLine)) != 0) throw std::bad_alloc();
#if defined(__linux__)
  if (unit == kHugePage) madvise(p, bytes, MADV_HUGEPAGE);
#endif
  return p;
}

}  // namespace planish
