#include "zip.h"

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <optional>

namespace planish::cli {
namespace {

Status bad(std::string message) { return Status(Code::kDataLoss, "zip: " + std::move(message)); }

uint64_t little(std::string_view bytes, size_t at, size_t count) {
  uint64_t value = 0;
  for (size_t i = 0; i < count; ++i)
    value |= uint64_t(static_cast<unsigned char>(bytes[at + i])) << (8 * i);
  return value;
}

struct Directory {
  uint64_t offset = 0, count = 0;
};

// The end record is the last thing in the file but for a comment of up to 64 KiB.
std::optional<Directory> find_directory(std::string_view bytes) {
  constexpr size_t kEndBytes = 22, kLocatorBytes = 20, kEnd64Bytes = 56;
  if (bytes.size() < kEndBytes) return std::nullopt;
  const size_t lowest = bytes.size() - std::min<size_t>(bytes.size(), kEndBytes + 65535);
  for (size_t at = bytes.size() - kEndBytes + 1; at-- > lowest;) {
    if (little(bytes, at, 4) != 0x06054b50) continue;
    Directory directory{little(bytes, at + 16, 4), little(bytes, at + 10, 2)};
    if (at >= kLocatorBytes && little(bytes, at - kLocatorBytes, 4) == 0x07064b50) {
      const uint64_t end64 = little(bytes, at - kLocatorBytes + 8, 8);
      if (end64 > bytes.size() || bytes.size() - end64 < kEnd64Bytes ||
          little(bytes, end64, 4) != 0x06064b50)
        return std::nullopt;
      directory = {little(bytes, end64 + 48, 8), little(bytes, end64 + 32, 8)};
    }
    return directory;
  }
  return std::nullopt;
}

// 64-bit sizes and offset stand in an extra field when the 32-bit ones are full.
void read_zip64(std::string_view extra, uint64_t& size, uint64_t& packed, uint64_t& offset) {
  while (extra.size() >= 4) {
    const uint64_t id = little(extra, 0, 2), length = little(extra, 2, 2);
    if (length > extra.size() - 4) return;
    if (id == 1) {
      std::string_view field = extra.substr(4, length);
      for (uint64_t* value : {&size, &packed, &offset}) {
        if (*value != 0xffffffff || field.size() < 8) continue;
        *value = little(field, 0, 8);
        field.remove_prefix(8);
      }
    }
    extra.remove_prefix(4 + length);
  }
}

// A canonical Huffman code, decoded bit by bit over counts per length.
struct Huffman {
  std::array<uint16_t, 16> count{};
  std::array<uint16_t, 288> symbol{};

  // False for a code that is over-full.
  bool build(const uint8_t* lengths, int n) {
    count.fill(0);
    for (int i = 0; i < n; ++i) ++count[lengths[i]];
    count[0] = 0;
    int left = 1;
    for (int length = 1; length <= 15; ++length) {
      left = (left << 1) - count[size_t(length)];
      if (left < 0) return false;
    }
    std::array<uint16_t, 16> offset{};
    for (size_t length = 1; length < 15; ++length)
      offset[length + 1] = uint16_t(offset[length] + count[length]);
    for (int i = 0; i < n; ++i)
      if (lengths[i]) symbol[offset[lengths[i]]++] = uint16_t(i);
    return true;
  }
};

class Inflater {
 public:
  Inflater(std::string_view in, size_t size) : in_(in), size_(size) { out_.reserve(size); }

  bool run() {
    for (bool last = false; !last;) {
      last = bits(1) != 0;
      const int type = bits(2);
      const bool good = type == 0   ? stored()
                        : type == 1 ? fixed()
                        : type == 2 ? dynamic()
                                    : false;
      if (!good || overrun_) return false;
    }
    return out_.size() == size_;
  }
  std::string take() { return std::move(out_); }

 private:
  int bits(int count) {
    while (held_ < count) {
      if (at_ >= in_.size()) {
        overrun_ = true;
        return 0;
      }
      buffer_ |= uint32_t(static_cast<unsigned char>(in_[at_++])) << held_;
      held_ += 8;
    }
    const int value = int(buffer_ & ((1u << count) - 1));
    buffer_ >>= count;
    held_ -= count;
    return value;
  }

  int decode(const Huffman& code) {
    int value = 0, first = 0, index = 0;
    for (size_t length = 1; length <= 15 && !overrun_; ++length) {
      value |= bits(1);
      const int count = code.count[length];
      if (value - count < first) return code.symbol[size_t(index + value - first)];
      index += count;
      first = (first + count) << 1;
      value <<= 1;
    }
    return -1;
  }

  bool stored() {
    buffer_ = 0;
    held_ = 0;
    if (in_.size() - at_ < 4) return false;
    const size_t length = size_t(little(in_, at_, 2));
    if ((length ^ 0xffff) != little(in_, at_ + 2, 2)) return false;
    at_ += 4;
    if (length > in_.size() - at_ || length > size_ - out_.size()) return false;
    out_.append(in_.substr(at_, length));
    at_ += length;
    return true;
  }

  bool fixed() {
    std::array<uint8_t, 288> lengths{};
    for (size_t i = 0; i < 288; ++i) lengths[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
    std::array<uint8_t, 30> distances{};
    distances.fill(5);
    Huffman literal, distance;
    return literal.build(lengths.data(), 288) && distance.build(distances.data(), 30) &&
           codes(literal, distance);
  }

  bool dynamic() {
    static constexpr uint8_t kOrder[19] = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                           11, 4,  12, 3, 13, 2, 14, 1, 15};
    const int literals = bits(5) + 257, distances = bits(5) + 1, lengths = bits(4) + 4;
    if (literals > 286 || distances > 30) return false;
    std::array<uint8_t, 320> length{};
    for (int i = 0; i < lengths; ++i) length[kOrder[i]] = uint8_t(bits(3));
    Huffman code;
    if (!code.build(length.data(), 19)) return false;
    length.fill(0);
    for (int i = 0; i < literals + distances;) {
      const int symbol = decode(code);
      if (symbol < 0 || overrun_) return false;
      if (symbol < 16) {
        length[size_t(i++)] = uint8_t(symbol);
        continue;
      }
      if (symbol == 16 && i == 0) return false;
      const uint8_t value = symbol == 16 ? length[size_t(i - 1)] : 0;
      int repeat = symbol == 16 ? 3 + bits(2) : symbol == 17 ? 3 + bits(3) : 11 + bits(7);
      if (i + repeat > literals + distances) return false;
      while (repeat--) length[size_t(i++)] = value;
    }
    Huffman literal, distance;
    return literal.build(length.data(), literals) &&
           distance.build(length.data() + literals, distances) && codes(literal, distance);
  }

  bool codes(const Huffman& literal, const Huffman& distance) {
    static constexpr uint16_t kLength[29] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,
                                             15, 17, 19, 23, 27, 31, 35, 43, 51,  59,
                                             67, 83, 99, 115, 131, 163, 195, 227, 258};
    static constexpr uint8_t kLengthBits[29] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                                2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
    static constexpr uint16_t kDistance[30] = {1,   2,   3,   4,   5,   7,    9,    13,   17,   25,
                                               33,  49,  65,  97,  129, 193,  257,  385,  513,  769,
                                               1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289,
                                               16385, 24577};
    static constexpr uint8_t kDistanceBits[30] = {0, 0, 0, 0, 1, 1, 2, 2,  3,  3,  4,  4,  5,  5,  6,
                                                  6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13};
    for (;;) {
      int symbol = decode(literal);
      if (symbol < 0 || overrun_) return false;
      if (symbol == 256) return true;
      if (symbol < 256) {
        if (out_.size() >= size_) return false;
        out_ += char(symbol);
        continue;
      }
      symbol -= 257;
      if (symbol >= 29) return false;
      const size_t length = size_t(kLength[symbol] + bits(kLengthBits[symbol]));
      const int code = decode(distance);
      if (code < 0 || code >= 30 || overrun_) return false;
      const size_t back = size_t(kDistance[code] + bits(kDistanceBits[code]));
      if (back > out_.size() || length > size_ - out_.size()) return false;
      for (size_t i = 0; i < length; ++i) out_ += out_[out_.size() - back];
    }
  }

  std::string_view in_;
  size_t at_ = 0, size_;
  std::string out_;
  uint32_t buffer_ = 0;
  int held_ = 0;
  bool overrun_ = false;
};

Result<std::string> unpack(std::string_view packed, uint64_t size, uint64_t method) {
  constexpr uint64_t kMostExpansion = 1032;
  if (method == 0) {
    if (packed.size() != size) return bad("a stored member's two sizes differ");
    return std::string(packed);
  }
  if (method != 8)
    return Status(Code::kUnsupported, fmt::format("zip: compression method {}", method));
  if (size / kMostExpansion > packed.size())
    return bad(fmt::format("{} packed bytes cannot hold {}", packed.size(), size));
  return inflate(packed, size_t(size));
}

}  // namespace

Result<std::string> inflate(std::string_view compressed, size_t size) {
  Inflater inflater(compressed, size);
  if (!inflater.run()) return bad("the compressed data is damaged");
  return inflater.take();
}

Result<std::vector<ZipMember>> read_zip(std::string_view bytes) {
  constexpr size_t kCentralBytes = 46, kLocalBytes = 30;
  const auto directory = find_directory(bytes);
  if (!directory) return bad("no directory of members");
  std::vector<ZipMember> members;
  uint64_t at = directory->offset;
  for (uint64_t i = 0; i < directory->count; ++i) {
    if (at > bytes.size() || bytes.size() - at < kCentralBytes ||
        little(bytes, at, 4) != 0x02014b50)
      return bad("the directory of members is damaged");
    const uint64_t flags = little(bytes, at + 8, 2), method = little(bytes, at + 10, 2);
    uint64_t packed = little(bytes, at + 20, 4), size = little(bytes, at + 24, 4);
    const uint64_t name_bytes = little(bytes, at + 28, 2), extra_bytes = little(bytes, at + 30, 2);
    const uint64_t comment_bytes = little(bytes, at + 32, 2);
    uint64_t offset = little(bytes, at + 42, 4);
    if (name_bytes + extra_bytes + comment_bytes > bytes.size() - at - kCentralBytes)
      return bad("the directory of members is damaged");
    ZipMember member{std::string(bytes.substr(at + kCentralBytes, name_bytes)), ""};
    read_zip64(bytes.substr(at + kCentralBytes + name_bytes, extra_bytes), size, packed, offset);
    at += kCentralBytes + name_bytes + extra_bytes + comment_bytes;
    if (flags & 1)
      return Status(Code::kUnsupported, fmt::format("zip: member '{}' is encrypted", member.name));
    if (offset > bytes.size() || bytes.size() - offset < kLocalBytes ||
        little(bytes, offset, 4) != 0x04034b50)
      return bad(fmt::format("member '{}' has no header", member.name));
    const uint64_t begin =
        offset + kLocalBytes + little(bytes, offset + 26, 2) + little(bytes, offset + 28, 2);
    if (begin > bytes.size() || packed > bytes.size() - begin)
      return bad(fmt::format("member '{}' is cut off", member.name));
    auto data = unpack(bytes.substr(begin, packed), size, method);
    if (!data.ok()) return data.status().at(fmt::format("member '{}'", member.name));
    member.bytes = std::move(*data);
    members.push_back(std::move(member));
  }
  return members;
}

}  // namespace planish::cli
