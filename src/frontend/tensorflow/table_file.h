// The sorted string table that a checkpoint's index is: LevelDB's file format with Snappy blocks.
// LevelDB's own reader walks it; underneath, every block is checked against its CRC-32C and against
// the size that it would unpack to before LevelDB sees it.
#pragma once
#include <map>
#include <string>

#include "base/limits.h"
#include "base/status.h"

namespace planish::frontend::tensorflow {

// All entries of the table in `path`. kNotFound, kDataLoss (with what is wrong), kResourceExhausted.
Result<std::map<std::string, std::string, std::less<>>> read_table(const std::string& path,
                                                                   const Limits& limits);

// The form in which checksums are stored, so that a checksum of data with checksums is none itself.
uint32_t unmasked_crc32c(uint32_t masked);

}  // namespace planish::frontend::tensorflow
