#include "partition/device_name.h"

#include <algorithm>

#include "base/text.h"

namespace planish::partition {
namespace {

std::string upper(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? char(c - 'a' + 'A') : c; });
  return out;
}

std::optional<std::string> part(std::string_view text) {
  return text.empty() || text == "*" ? std::nullopt : std::optional<std::string>(text);
}

}  // namespace

std::optional<DeviceName> DeviceName::parse(std::string_view text) {
  DeviceName out;
  for (const std::string& piece : split(text, '/')) {
    if (piece.empty()) continue;
    const std::vector<std::string> words = split(piece, ':');
    if (words[0] == "device" && (words.size() == 2 || words.size() == 3)) {
      out.type = part(upper(words[1]));
      if (words.size() == 3) out.index = part(words[2]);
    } else if (words.size() == 2 && words[0] == "job") {
      out.job = part(words[1]);
    } else if (words.size() == 2 && words[0] == "replica") {
      out.replica = part(words[1]);
    } else if (words.size() == 2 && words[0] == "task") {
      out.task = part(words[1]);
    } else if (words.size() == 2 && (upper(words[0]) == "CPU" || upper(words[0]) == "GPU")) {
      out.type = upper(words[0]);  // the short form, "/gpu:0"
      out.index = part(words[1]);
    } else {
      return std::nullopt;
    }
  }
  return out;
}

std::optional<DeviceName> DeviceName::merge(const DeviceName& a, const DeviceName& b) {
  DeviceName out;
  for (auto member : {&DeviceName::job, &DeviceName::replica, &DeviceName::task, &DeviceName::type,
                      &DeviceName::index}) {
    if (a.*member && b.*member && a.*member != b.*member) return std::nullopt;
    out.*member = a.*member ? a.*member : b.*member;
  }
  return out;
}

std::string DeviceName::to_string() const {
  std::string out;
  if (job) out += cat("/job:", *job);
  if (replica) out += cat("/replica:", *replica);
  if (task) out += cat("/task:", *task);
  if (type) out += cat("/device:", *type, ':', index.value_or("*"));
  return out;
}

}  // namespace planish::partition
