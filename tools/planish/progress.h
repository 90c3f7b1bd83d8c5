// How a build shows that it is alive: a bar with the remaining time on a terminal, one line per
// phase elsewhere. Everything goes to stderr; results go to stdout.
#pragma once
#include <chrono>
#include <string>

#include "planish/build.h"

namespace planish::cli {

class Progress {
 public:
  explicit Progress(bool quiet);
  ~Progress() { finish(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void show(const BuildProgress& progress);
  // Wipes the bar, or ends the last phase's line.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  void show_bar(const BuildProgress& progress);
  void show_line(const BuildProgress& progress);

  bool quiet_, terminal_;
  Clock::time_point begin_ = Clock::now(), phase_begin_ = begin_, drawn_{};
  std::string phase_;
  bool open_ = false;
};

}  // namespace planish::cli
