// Whole files in and out, with errors that say what went wrong.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "planish/status.h"

namespace planish::cli {

// Regular files only, at most `max_bytes` (kResourceExhausted with both figures).
Result<std::string> read_file(const std::string& path, int64_t max_bytes);
// Written beside and renamed, so that nobody sees half a file. "-" is standard output.
Status write_file(const std::string& path, std::string_view bytes);

// Whether a file can be written there, as far as can be told without writing. Empty and "-" can.
Status check_writable(const std::string& path);

}  // namespace planish::cli
