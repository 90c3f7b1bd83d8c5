#include "text.h"

#include <fmt/format.h>

#include <algorithm>

namespace planish::cli {
namespace {

// Columns on screen: continuation bytes of UTF-8 take none.
size_t width_of(const std::string& text) {
  return size_t(std::count_if(text.begin(), text.end(),
                              [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

}  // namespace

std::string format_bytes(int64_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  static constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB"};
  double value = double(bytes) / 1024;
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string format_us(double us) {
  if (us < 1) return fmt::format("{:.0f} ns", us * 1e3);
  if (us < 1e3) return fmt::format("{:.1f} us", us);
  if (us < 1e6) return fmt::format("{:.2f} ms", us / 1e3);
  return fmt::format("{:.2f} s", us / 1e6);
}

std::string format_dims(const std::vector<int64_t>& dims) {
  return dims.empty() ? "scalar" : fmt::format("{}", fmt::join(dims, "x"));
}

std::string shorten(const std::string& text, size_t width) {
  if (text.size() <= width || width < 4) return text;
  size_t keep = width - 3;
  while (keep > 0 && (static_cast<unsigned char>(text[keep]) & 0xc0) == 0x80) --keep;
  return text.substr(0, keep) + "...";
}

std::string printable(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out;
}

std::string Table::to_string(const std::string& indent) const {
  std::vector<size_t> widths;
  for (const Column& column : columns_) widths.push_back(width_of(column.title));
  for (const auto& row : rows_)
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  std::string out;
  const auto add_row = [&](const auto& cell) {
    std::string line = indent;
    for (size_t i = 0; i < columns_.size(); ++i) {
      const std::string text = cell(i);
      const std::string padding(widths[i] - std::min(widths[i], width_of(text)), ' ');
      if (i) line += "  ";
      line += columns_[i].right ? padding + text : text + padding;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  };
  add_row([&](size_t i) { return columns_[i].title; });
  for (const auto& row : rows_)
    add_row([&](size_t i) { return i < row.size() ? row[i] : std::string(); });
  return out;
}

}  // namespace planish::cli
