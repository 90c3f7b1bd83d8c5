// The fixed part of a plan file: header and section table. Little-endian, read and written with
// memcpy; the layout is documented in docs/plan_format.md.
#pragma once
#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "base/hash.h"

namespace planish::plan {

static_assert(std::endian::native == std::endian::little, "plan files are little-endian");

// Not text, and broken by any transfer that rewrites line ends.
inline constexpr std::string_view kMagic{"\x89PLN\r\n\x1a\n", 8};
inline constexpr int64_t kSectionAlignment = 64;
// Tensors up to this size stand in the metadata: less padding, and no mapped page decides anything.
inline constexpr int64_t kInlineBytes = 1024;

struct FileHeader {
  char magic[8];
  uint32_t major, minor;
  uint64_t file_bytes;
  uint64_t metadata_offset, metadata_bytes;
  uint64_t metadata_hash;
  uint64_t table_offset, section_count;
  uint64_t reserved[3];
  uint64_t header_hash;  // of the bytes before it and the section table
};
static_assert(sizeof(FileHeader) == 96);

struct SectionEntry {
  uint64_t offset, bytes;
  Hash128 hash;
};
static_assert(sizeof(SectionEntry) == 32);

inline uint64_t header_hash(const FileHeader& header, std::span<const SectionEntry> table) {
  Hasher hasher;
  hasher.add(std::as_bytes(std::span(&header, 1)).first(offsetof(FileHeader, header_hash)));
  hasher.add(std::as_bytes(table));
  return hasher.hash64();
}

inline uint64_t align_up(uint64_t offset) {
  return (offset + kSectionAlignment - 1) / kSectionAlignment * kSectionAlignment;
}

}  // namespace planish::plan
