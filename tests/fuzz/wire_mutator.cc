#include "wire_mutator.h"

#include <cstring>
#include <iterator>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace planish::fuzz {
namespace {

constexpr int kMaxDepth = 24;

struct Field {
  uint64_t key = 0;  // tag << 3 | wire type
  uint64_t number = 0;
  std::string bytes;             // fixed and length-delimited
  std::vector<Field> children;   // of a length-delimited field that reads as a message
  bool is_message = false;
};

std::optional<uint64_t> read_varint(std::string_view& text) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64 && !text.empty(); shift += 7) {
    const uint8_t b = uint8_t(text.front());
    text.remove_prefix(1);
    value |= uint64_t(b & 127) << shift;
    if (b < 128) return value;
  }
  return std::nullopt;
}

void write_varint(std::string& out, uint64_t value) {
  for (; value >= 128; value >>= 7) out += char(value | 128);
  out += char(value);
}

bool parse(std::string_view text, int depth, std::vector<Field>& fields) {
  while (!text.empty()) {
    Field field;
    const auto key = read_varint(text);
    if (!key || *key >> 3 == 0 || *key >> 3 > 64) return false;
    field.key = *key;
    size_t length = 0;
    switch (*key & 7) {
      case 0: {
        const auto number = read_varint(text);
        if (!number) return false;
        field.number = *number;
        break;
      }
      case 1: length = 8; break;
      case 5: length = 4; break;
      case 2: {
        const auto bytes = read_varint(text);
        if (!bytes || *bytes > text.size()) return false;
        length = size_t(*bytes);
        break;
      }
      default: return false;
    }
    if (length > text.size()) return false;
    field.bytes = std::string(text.substr(0, length));
    text.remove_prefix(length);
    if ((*key & 7) == 2 && length > 1 && depth < kMaxDepth) {
      field.is_message = parse(field.bytes, depth + 1, field.children);
      if (!field.is_message) field.children.clear();
    }
    fields.push_back(std::move(field));
  }
  return true;
}

void write(const std::vector<Field>& fields, std::string& out) {
  for (const Field& field : fields) {
    write_varint(out, field.key);
    if ((field.key & 7) == 0) {
      write_varint(out, field.number);
    } else if ((field.key & 7) != 2) {
      out += field.bytes;
    } else {
      std::string inner = field.bytes;
      if (field.is_message) {
        inner.clear();
        write(field.children, inner);
      }
      write_varint(out, inner.size());
      out += inner;
    }
  }
}

struct Place {
  std::vector<Field>* list;
  size_t index;
};

void collect(std::vector<Field>& fields, std::vector<Place>& places) {
  for (size_t i = 0; i < fields.size(); ++i) {
    places.push_back({&fields, i});
    collect(fields[i].children, places);
  }
}

constexpr uint64_t kNumbers[] = {
    0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 32, 63, 64, 127, 128, 255, 256, 32767, 32768, 65535, 65536,
    2147483647, 2147483648, 4294967295, 4294967296, uint64_t(1) << 61, uint64_t(1) << 62,
    INT64_MAX, uint64_t(INT64_MIN), uint64_t(-1), uint64_t(-2), uint64_t(-128), uint64_t(-32768),
    uint64_t(INT32_MIN)};
constexpr std::string_view kTexts[] = {"", "x", "y", "../x", "/etc/passwd", "If", "Loop", "Scan",
                                       "Reshape", "Concat", "Constant", "axis", "axes", "body",
                                       "\xff", "ai.onnx"};
constexpr uint32_t kFloats[] = {0, 0x80000000, 0x7fc00000, 0x7f800000, 0xff800000, 1, 0x3f800000};

void change_value(Field& field, std::mt19937& random) {
  const auto pick = [&](const auto& list) { return list[random() % std::size(list)]; };
  switch (field.key & 7) {
    case 0:
      field.number = random() % 4 ? pick(kNumbers) : field.number + (random() % 2 ? 1 : -1);
      break;
    case 5: {
      const uint32_t bits = pick(kFloats);
      std::memcpy(field.bytes.data(), &bits, 4);
      break;
    }
    case 2:
      if (field.is_message && random() % 4) {
        field.children.clear();
      } else if (random() % 2) {
        field.is_message = false;
        field.bytes = std::string(pick(kTexts));
      } else {
        field.is_message = false;
        field.bytes.resize(random() % 40, 'a');
      }
      break;
    default: break;
  }
}

}  // namespace

size_t mutate_message(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  std::vector<Field> fields;
  if (!parse({reinterpret_cast<const char*>(data), size}, 0, fields)) return 0;
  std::mt19937 random(seed);
  for (unsigned rounds = 1 + random() % 3; rounds > 0; --rounds) {
    std::vector<Place> places;
    collect(fields, places);
    if (places.empty()) return 0;
    auto [list, index] = places[random() % places.size()];
    const auto at = list->begin() + ptrdiff_t(index);
    switch (random() % 8) {
      case 0: list->erase(at); break;
      case 1: {
        const Field copy = *at;
        list->insert(at, copy);
        break;
      }
      case 2: {
        const Place from = places[random() % places.size()];
        const Field copy = (*from.list)[from.index];
        if (random() % 2) *at = copy;
        else list->push_back(copy);
        break;
      }
      case 3: {
        // Another field of the same kind lends its value: names get crossed, types exchanged.
        const Place from = places[random() % places.size()];
        Field copy = (*from.list)[from.index];
        if ((copy.key & 7) != (at->key & 7)) break;
        copy.key = at->key;
        *at = copy;
        break;
      }
      default: change_value(*at, random);
    }
  }
  std::string out;
  write(fields, out);
  if (out.empty() || out.size() > max_size) return 0;
  std::memcpy(data, out.data(), out.size());
  return out.size();
}

}  // namespace planish::fuzz
