// What users write behind options: shapes, inputs, byte counts.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "planish/status.h"

namespace planish::cli {

// "NAME:1x3x224x224", split at the last ':' because names may hold some; "NAME:" is a scalar.
struct NamedShape {
  std::string name;
  std::vector<int64_t> dims;
};
Result<NamedShape> parse_named_shape(const std::string& text);
// "is_training=0".
Result<std::pair<std::string, double>> parse_named_number(const std::string& text);

// "NAME=FILE", split at the first '='; without one the name is empty.
struct NamedFile {
  std::string name;
  std::string path;
};
NamedFile parse_named_file(const std::string& text);

// "1048576", "64K", "2.5G", "100MiB". Powers of 1024.
Result<int64_t> parse_bytes(const std::string& text);

}  // namespace planish::cli
