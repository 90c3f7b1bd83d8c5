// One log for the whole process: a level, and a place where lines go.
//
// The start level comes from PLANISH_LOG (error, warning, info, debug, trace), else warnings. A host
// program may take the lines over. Messages are built only when somebody listens: use the macro.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/text.h"

namespace planish {

enum class LogLevel : int { kError = 0, kWarning = 1, kInfo = 2, kDebug = 3, kTrace = 4 };

std::string_view name_of(LogLevel level);
std::optional<LogLevel> parse_log_level(std::string_view name);

void set_log_level(LogLevel level);
LogLevel log_level();
inline bool log_enabled(LogLevel level) { return int(level) <= int(log_level()); }

// One line without newline, one call at a time; an empty function brings stderr back. What the
// callback throws is dropped.
using LogSink = std::function<void(LogLevel, std::string_view)>;
void set_log_sink(LogSink sink);

// Control characters in `message` (a model's names may hold any) come out escaped, so that a name
// cannot forge a line.
void log(LogLevel level, std::string_view message);

}  // namespace planish

// PLANISH_LOG(kInfo, "packed ", count, " constants");
#define PLANISH_LOG(level, ...)                                              \
  do {                                                                       \
    if (::planish::log_enabled(::planish::LogLevel::level))                  \
      ::planish::log(::planish::LogLevel::level, ::planish::cat(__VA_ARGS__)); \
  } while (false)
