#include "base/quote.h"

#include <cstdint>

#include "base/text.h"

namespace planish {
namespace {

// Length of the well-formed UTF-8 sequence at the start of `text` (Unicode, table 3-7); 0: none.
size_t sequence_length(std::string_view text) {
  const auto byte = [&](size_t i) { return uint8_t(text[i]); };
  const auto tail = [&](size_t i, uint8_t low = 0x80, uint8_t high = 0xBF) {
    return i < text.size() && byte(i) >= low && byte(i) <= high;
  };
  const uint8_t b = byte(0);
  if (b < 0x80) return 1;
  if (b >= 0xC2 && b <= 0xDF) return tail(1) ? 2 : 0;
  if (b >= 0xE0 && b <= 0xEF) {
    const uint8_t low = b == 0xE0 ? 0xA0 : 0x80, high = b == 0xED ? 0x9F : 0xBF;
    return tail(1, low, high) && tail(2) ? 3 : 0;
  }
  if (b >= 0xF0 && b <= 0xF4) {
    const uint8_t low = b == 0xF0 ? 0x90 : 0x80, high = b == 0xF4 ? 0x8F : 0xBF;
    return tail(1, low, high) && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

bool is_control(char c) { return uint8_t(c) < 0x20 || uint8_t(c) == 0x7F; }

std::string escaped(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  while (!text.empty()) {
    const size_t length = sequence_length(text);
    if (length == 0 || (length == 1 && is_control(text[0]))) {
      out += cat("\\x", kHex[uint8_t(text[0]) >> 4], kHex[uint8_t(text[0]) & 15]);
      text.remove_prefix(1);
    } else {
      out += text.substr(0, length);
      text.remove_prefix(length);
    }
  }
  return out;
}

}  // namespace

bool is_clean_text(std::string_view text) {
  while (!text.empty()) {
    const size_t length = sequence_length(text);
    if (length == 0 || (length == 1 && is_control(text[0]))) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string quoted(std::string_view name) {
  constexpr size_t kEnd = 60;
  if (name.size() <= 2 * kEnd + 20) return cat('\'', escaped(name), '\'');
  return cat('\'', escaped(name.substr(0, kEnd)), "...", escaped(name.substr(name.size() - kEnd)),
             "' (", name.size(), " bytes)");
}

}  // namespace planish
