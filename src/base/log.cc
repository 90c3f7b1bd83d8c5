#include "base/log.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>

namespace planish {
namespace {

constexpr std::string_view kNames[] = {"error", "warning", "info", "debug", "trace"};

int level_from_environment() {
  const char* text = std::getenv("PLANISH_LOG");
  if (!text || !*text) return int(LogLevel::kWarning);
  if (const auto level = parse_log_level(text)) return int(*level);
  std::fprintf(stderr,
               "planish: warning: PLANISH_LOG is '%s'; expected error, warning, info, debug or "
               "trace\n",
               text);
  return int(LogLevel::kWarning);
}

std::atomic<int>& level_cell() {
  static std::atomic<int> level{level_from_environment()};
  return level;
}

struct Sink {
  std::mutex mutex;
  LogSink function;
};

// Never destroyed: other static objects may still log when the process ends.
Sink& sink() {
  static Sink& the_sink = *new Sink();
  return the_sink;
}

std::string escaped(std::string_view message) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  out.reserve(message.size());
  for (const char c : message) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else {
      out += "\\x";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out;
}

}  // namespace

std::string_view name_of(LogLevel level) { return kNames[int(level)]; }

std::optional<LogLevel> parse_log_level(std::string_view name) {
  for (int i = 0; i < int(std::size(kNames)); ++i) {
    if (kNames[i] == name) return LogLevel(i);
  }
  return std::nullopt;
}

void set_log_level(LogLevel level) { level_cell().store(int(level), std::memory_order_relaxed); }
LogLevel log_level() { return LogLevel(level_cell().load(std::memory_order_relaxed)); }

void set_log_sink(LogSink function) {
  std::lock_guard lock(sink().mutex);
  sink().function = std::move(function);
}

void log(LogLevel level, std::string_view message) {
  if (!log_enabled(level)) return;
  const std::string line = escaped(message);
  std::lock_guard lock(sink().mutex);
  if (!sink().function) {
    std::fprintf(stderr, "planish: %s: %s\n", name_of(level).data(), line.c_str());
    return;
  }
  try {
    sink().function(level, line);
  } catch (...) {  // a host's logger must not end a run
  }
}

}  // namespace planish
