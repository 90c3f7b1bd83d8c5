#include "backend/cuda/emit/size_pattern.h"

#include <bit>
#include <cerrno>
#include <cstdlib>
#include <limits>
#include <map>

#include "base/text.h"

namespace planish::cuda {
namespace {

// A number as its type and its bits.
struct Number {
  NumberType type;
  uint64_t bits;
  friend auto operator<=>(const Number&, const Number&) = default;
};

std::optional<Number> integer(const std::string& text, const char* suffix, uint64_t value) {
  std::string ending;
  for (; *suffix; ++suffix) ending += char(std::tolower(*suffix));
  const bool hex = text.size() > 1 && (text[1] == 'x' || text[1] == 'X');
  if (ending.empty() && value <= uint64_t(std::numeric_limits<int32_t>::max()))
    return Number{NumberType::kI32, value};
  if (ending == "u" && value <= std::numeric_limits<uint32_t>::max())
    return Number{NumberType::kU32, value};
  if (ending == "ll" && value <= uint64_t(std::numeric_limits<int64_t>::max()) && !hex)
    return Number{NumberType::kI64, value};
  if (ending == "ull") return Number{NumberType::kU64, value};
  return std::nullopt;
}

std::optional<Number> read(const Token& token) {
  if (token.kind != Token::Kind::kNumber) return std::nullopt;
  const std::string text(token.text);
  const char* begin = text.c_str();
  char* end = nullptr;
  errno = 0;
  if (text.find_first_of(".pP") == std::string::npos &&
      (text.find_first_of("xX") != std::string::npos || text.find_first_of("eE") == std::string::npos)) {
    const uint64_t value = std::strtoull(begin, &end, 0);
    if (end == begin || errno) return std::nullopt;
    return integer(text, end, value);
  }
  const double value = std::strtod(begin, &end);
  if (end == begin) return std::nullopt;
  const std::string_view suffix = end;
  if (suffix.empty()) return Number{NumberType::kF64, std::bit_cast<uint64_t>(value)};
  if (suffix != "f" && suffix != "F") return std::nullopt;
  return Number{NumberType::kF32, std::bit_cast<uint32_t>(std::strtof(begin, &end))};
}

void add(Hasher& hash, const Token& token, bool varies) {
  hash.add_number(uint64_t(token.kind));
  if (!varies) {
    hash.add_text(token.text);
    return;
  }
  const auto type = number_type(token);
  hash.add_number(type ? uint64_t(*type) + 1 : 0);
}

}  // namespace

std::string_view c_type(NumberType type) {
  constexpr std::string_view kNames[] = {"int", "u32", "i64", "u64", "float", "double"};
  return kNames[size_t(type)];
}

std::optional<NumberType> number_type(const Token& token) {
  const auto number = read(token);
  return number ? std::optional(number->type) : std::nullopt;
}

Hash128 shape_of(const std::vector<Token>& text) {
  Hasher hash;
  for (const Token& token : text) {
    const auto type = number_type(token);
    hash.add_number(uint64_t(token.kind));
    if (type) hash.add_number(uint64_t(*type) + 1);
    else hash.add_text(token.text);
  }
  return hash.hash128();
}

Result<SizePattern> pattern_of(const std::vector<std::vector<Token>>& texts) {
  SizePattern pattern;
  std::map<std::vector<Number>, uint32_t> known;  // values over all texts -> parameter
  Hasher hash;
  for (size_t t = 0; t < texts[0].size(); ++t) {
    bool varies = false;
    for (const std::vector<Token>& text : texts) varies |= text[t].text != texts[0][t].text;
    add(hash, texts[0][t], varies);
    if (!varies) continue;
    std::vector<Number> values;
    for (const std::vector<Token>& text : texts) {
      const auto number = read(text[t]);
      if (!number || (!values.empty() && values[0].type != number->type))
        return unsupported(cat("texts differ in '", texts[0][t].text, "' and '", text[t].text, "'"));
      values.push_back(*number);
    }
    const auto [it, fresh] = known.emplace(values, uint32_t(pattern.parameters.size()));
    if (fresh) pattern.parameters.push_back(values[0].type);
    pattern.slots.push_back({uint32_t(t), it->second});
  }
  pattern.common = hash.hash128();
  return pattern;
}

std::optional<std::vector<KernelArg>> match(const SizePattern& pattern,
                                            const std::vector<Token>& text) {
  Hasher hash;
  std::vector<std::optional<uint64_t>> values(pattern.parameters.size());
  auto slot = pattern.slots.begin();
  for (size_t t = 0; t < text.size(); ++t) {
    const bool varies = slot != pattern.slots.end() && slot->token == t;
    add(hash, text[t], varies);
    if (!varies) continue;
    const auto number = read(text[t]);
    if (!number || slot->parameter >= values.size() ||
        number->type != pattern.parameters[slot->parameter])
      return std::nullopt;
    auto& value = values[slot->parameter];
    if (value && *value != number->bits) return std::nullopt;  // they are not one number after all
    value = number->bits;
    ++slot;
  }
  if (slot != pattern.slots.end() || hash.hash128() != pattern.common) return std::nullopt;
  std::vector<KernelArg> args;
  for (size_t i = 0; i < values.size(); ++i) {
    if (!values[i]) return std::nullopt;
    switch (pattern.parameters[i]) {
      case NumberType::kI32: case NumberType::kU32:
        args.push_back(KernelArg::i32(int32_t(uint32_t(*values[i]))));
        break;
      case NumberType::kF32:
        args.push_back(KernelArg::f32(std::bit_cast<float>(uint32_t(*values[i]))));
        break;
      default: args.push_back(KernelArg::i64(int64_t(*values[i])));
    }
  }
  return args;
}

}  // namespace planish::cuda
