// Small text tools of the command line: quantities with units, tables, dims.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "planish/types.h"

namespace planish::cli {

// "512 B", "1.5 KiB", "97.8 MiB".
std::string format_bytes(int64_t bytes);
// "831 ns", "12.3 us", "4.56 ms", "1.20 s".
std::string format_us(double us);
// "1x3x224x224"; "scalar" for rank 0.
std::string format_dims(const std::vector<int64_t>& dims);
// At most `width` characters, the end replaced by "..." where it does not fit.
std::string shorten(const std::string& text, size_t width);
// Control characters escaped, so that a name in a model cannot move the cursor.
std::string printable(const std::string& text);

// Columns aligned by the widest cell; numbers (right = true) to the right.
class Table {
 public:
  struct Column {
    std::string title;
    bool right = false;
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  bool empty() const { return rows_.empty(); }
  std::string to_string(const std::string& indent = "  ") const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace planish::cli
