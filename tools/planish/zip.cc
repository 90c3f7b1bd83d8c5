#include "zip.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
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
  constexpr size_t kMostAtOnce = size_t(1) << 30;  // zlib counts in 32 bits
  constexpr int kRawDeflate = -MAX_WBITS;
  z_stream stream{};
  if (inflateInit2(&stream, kRawDeflate) != Z_OK)
    return Status(Code::kResourceExhausted, "zip: zlib has no memory");
  std::string out(size, '\0');
  size_t read = 0, written = 0;
  int state = Z_OK;
  while (state == Z_OK) {
    const size_t in_bytes = std::min(compressed.size() - read, kMostAtOnce);
    const size_t out_bytes = std::min(size - written, kMostAtOnce);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(compressed.data() + read));
    stream.avail_in = uInt(in_bytes);
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + written);
    stream.avail_out = uInt(out_bytes);
    state = ::inflate(&stream, Z_NO_FLUSH);  // Z_BUF_ERROR where no step forward is possible
    read += in_bytes - stream.avail_in;
    written += out_bytes - stream.avail_out;
  }
  inflateEnd(&stream);
  if (state != Z_STREAM_END || written != size) return bad("the compressed data is damaged");
  return out;
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
    const uint64_t entry = at;
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
    if (const uint64_t sum = crc32_z(0, reinterpret_cast<const Bytef*>(data->data()), data->size());
        sum != little(bytes, entry + 16, 4))
      return bad(fmt::format("member '{}': CRC-32 {:08x}, the directory says {:08x}", member.name,
                             sum, little(bytes, entry + 16, 4)));
    member.bytes = std::move(*data);
    members.push_back(std::move(member));
  }
  return members;
}

}  // namespace planish::cli
