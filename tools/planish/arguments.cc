#include "arguments.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

namespace planish::cli {
namespace {

Status usage(std::string message) { return Status(Code::kInvalidArgument, std::move(message)); }

}  // namespace

Result<NamedShape> parse_named_shape(const std::string& text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0)
    return usage(fmt::format("shape '{}': expected NAME:1x3x224x224", text));
  NamedShape out{text.substr(0, colon), {}};
  const char* at = text.data() + colon + 1;
  const char* const end = text.data() + text.size();
  while (at != end) {
    int64_t dim = -1;
    const auto parsed = std::from_chars(at, end, dim);
    const bool last = parsed.ptr == end;
    if (parsed.ec != std::errc() || dim < 0 || (!last && *parsed.ptr != 'x') ||
        (!last && parsed.ptr + 1 == end)) {
      return usage(fmt::format("shape '{}': expected numbers of 0 or more with 'x' between them, "
                               "as in NAME:1x3x224x224",
                               text));
    }
    out.dims.push_back(dim);
    at = last ? end : parsed.ptr + 1;
  }
  return out;
}

Result<std::pair<std::string, double>> parse_named_number(const std::string& text) {
  const size_t equals = text.rfind('=');
  double value = 0;
  const char* const end = text.data() + text.size();
  if (equals != std::string::npos && equals > 0) {
    const auto parsed = std::from_chars(text.data() + equals + 1, end, value);
    if (parsed.ec == std::errc() && parsed.ptr == end) return std::pair(text.substr(0, equals), value);
  }
  return usage(fmt::format("value '{}': expected INPUT=NUMBER, as in is_training=0", text));
}

NamedFile parse_named_file(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos) return {"", text};
  return {text.substr(0, equals), text.substr(equals + 1)};
}

Result<int64_t> parse_bytes(const std::string& text) {
  double value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  std::string unit(parsed.ptr, text.data() + text.size());
  const auto refuse = [&] {
    return usage(fmt::format("'{}': expected a number of bytes such as 1048576, 64K, 2.5G", text));
  };
  if (parsed.ec != std::errc() || !(value >= 0)) return refuse();
  if (unit == "B" || unit.empty()) {
    unit = "";
  } else if (unit.ends_with("iB")) {
    unit.resize(unit.size() - 2);
  } else if (unit.ends_with("B")) {
    unit.pop_back();
  }
  static constexpr std::string_view kUnits = "KMGT";
  if (unit.size() > 1) return refuse();
  if (!unit.empty()) {
    const size_t power = kUnits.find(char(std::toupper(static_cast<unsigned char>(unit[0]))));
    if (power == std::string_view::npos) return refuse();
    value *= std::pow(1024.0, double(power + 1));
  }
  if (!(value < 9e18)) return refuse();
  return int64_t(value);
}

}  // namespace planish::cli
