// Content hashes (XXH3, 64 and 128 bits): the names of things that are the same when their bytes
// are. They find damage and equal content; they are no signature against somebody who forges both.
#pragma once
#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace planish {

struct Hash128 {
  uint64_t low = 0, high = 0;
  friend bool operator==(const Hash128&, const Hash128&) = default;
  friend auto operator<=>(const Hash128&, const Hash128&) = default;
};
// 32 hexadecimal digits, high half first.
std::string to_string(const Hash128& hash);

uint64_t hash64(std::span<const std::byte> bytes);
uint64_t hash64(std::string_view text);
Hash128 hash128(std::span<const std::byte> bytes);
Hash128 hash128(std::string_view text);

// The same hashes of bytes that come in pieces.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;
  void add(std::span<const std::byte> bytes);
  // The text's length goes in first, so that neighbours cannot trade characters.
  void add_text(std::string_view text);
  void add_number(uint64_t number);
  uint64_t hash64() const;
  Hash128 hash128() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace planish
