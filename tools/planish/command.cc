#include "command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>

#include "text.h"

namespace planish::cli {
namespace {

const std::atomic<bool>* interrupted_flag = nullptr;

extern "C" void on_interrupt(int signal) {
  auto* flag = const_cast<std::atomic<bool>*>(interrupted_flag);
  if (flag->exchange(true)) ::_exit(128 + signal);
}

// A message may have lines of its own (a list of what is refused), each of them indented; nothing else
// in it moves the cursor.
std::string printable_lines(const std::string& text) {
  std::string out;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    if (at > 0) out += text.substr(at, 2) == "  " ? "\n" : "\n  ";
    out += printable(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

}  // namespace

ExitCode exit_code_of(const Status& status) {
  switch (status.code()) {
    case Code::kOk:
      return kGood;
    case Code::kInvalidArgument:
    case Code::kNotFound:
    case Code::kResourceExhausted:
    case Code::kFailedPrecondition:
    case Code::kDataLoss:
    case Code::kIncompatible:
      return kBadInput;
    case Code::kUnsupported:
    case Code::kUnimplemented:
      return kUnsupportedModel;
    case Code::kVerificationFailed:
      return kVerificationFailed;
    case Code::kCancelled:
      return kInterrupted;
    case Code::kDeadlineExceeded:
    case Code::kDeviceError:
    case Code::kInternal:
      return kInternalError;
  }
  return kInternalError;
}

int fail(const Status& status) {
  std::fflush(stdout);
  fmt::print(stderr, "planish: {}\n", printable_lines(status.to_string()));
  return exit_code_of(status);
}

int fail_usage(const std::string& message) {
  std::fflush(stdout);
  fmt::print(stderr, "planish: {}\n", printable(message));
  return kUsage;
}

int fail_options(const Status& status) {
  return status.code() == Code::kInvalidArgument ? fail_usage(status.message()) : fail(status);
}

const CancelToken& interrupt() {
  static const CancelToken token;
  return token;
}

void catch_interrupts() {
  interrupted_flag = interrupt().flag();
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

}  // namespace planish::cli
