// Members of a zip archive in memory, as .npz files are made: stored or deflated, with 64-bit sizes,
// not encrypted; zlib inflates. Names are data here, never paths. Sizes are checked before anything is
// allocated (deflate expands at most 1032 times), each member's CRC-32 afterwards.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "planish/status.h"

namespace planish::cli {

struct ZipMember {
  std::string name;
  std::string bytes;
};
Result<std::vector<ZipMember>> read_zip(std::string_view bytes);

// Raw deflate (RFC 1951) into exactly `size` bytes.
Result<std::string> inflate(std::string_view compressed, size_t size);

}  // namespace planish::cli
