#include "progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "text.h"

namespace planish::cli {
namespace {

double seconds(std::chrono::steady_clock::duration time) {
  return std::chrono::duration<double>(time).count();
}

int terminal_columns() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

Progress::Progress(bool quiet) : quiet_(quiet), terminal_(isatty(STDERR_FILENO) != 0) {}

void Progress::show(const BuildProgress& progress) {
  if (quiet_) return;
  if (terminal_) {
    show_bar(progress);
  } else {
    show_line(progress);
  }
}

void Progress::show_bar(const BuildProgress& progress) {
  const auto now = Clock::now();
  if (open_ && now - drawn_ < std::chrono::milliseconds(50)) return;
  drawn_ = now;
  open_ = true;
  const double spent = seconds(now - begin_);
  // The first moments say nothing about the rest.
  std::string eta = "--:--";
  if (progress.fraction > 0.02 && spent > 0.3) {
    const int left = int(spent * (1 - progress.fraction) / progress.fraction + 0.5);
    eta = fmt::format("{:02}:{:02}", left / 60, left % 60);
  }
  constexpr int kWidth = 30;
  const int full = std::clamp(int(progress.fraction * kWidth), 0, kWidth);
  const std::string text =
      fmt::format("[{}{}] {:3.0f} %  ETA {}  {} {}", std::string(size_t(full), '#'),
                  std::string(size_t(kWidth - full), '.'), progress.fraction * 100, eta,
                  progress.phase, printable(std::string(progress.message)));
  fmt::print(stderr, "\r\x1b[K{}", shorten(text, size_t(std::max(20, terminal_columns() - 1))));
  std::fflush(stderr);
}

void Progress::show_line(const BuildProgress& progress) {
  if (progress.phase == phase_) return;
  finish();
  phase_ = progress.phase;
  phase_begin_ = Clock::now();
  open_ = true;
}

void Progress::finish() {
  if (!open_) return;
  open_ = false;
  if (terminal_) {
    fmt::print(stderr, "\r\x1b[K");
  } else {
    fmt::print(stderr, "{}: {}\n", phase_, format_us(seconds(Clock::now() - phase_begin_) * 1e6));
  }
  std::fflush(stderr);
}

}  // namespace planish::cli
