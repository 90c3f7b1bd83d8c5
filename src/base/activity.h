// Activities of long work that may wait for something outside of it, a compiler or a device, and a watch
// that says which of them does not end: a build that stands still must name what it stands at.
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

namespace planish {

// Under way while it lives. Thread-safe; costs nothing where nobody watches.
class Activity {
 public:
  struct Entry {
    std::string text;
    std::chrono::steady_clock::time_point begin, warn_at;
  };

  // `text()`: what it is, "timing cuda.rows [v=8]"; asked for when somebody watches.
  template <class Text>
  explicit Activity(const Text& text) {
    if (watches() > 0) begin(text());
  }
  ~Activity();
  Activity(const Activity&) = delete;
  Activity& operator=(const Activity&) = delete;

 private:
  static int watches();
  void begin(std::string text);

  bool under_way_ = false;
  std::list<Entry>::iterator entry_;
};

// Logs a warning for each activity of the process that began under a watch and lasts longer than
// `patience`, again whenever its time has doubled. Several watches at once warn once.
class ActivityWatch {
 public:
  explicit ActivityWatch(std::chrono::milliseconds patience = std::chrono::seconds(60));
  ~ActivityWatch();
  ActivityWatch(const ActivityWatch&) = delete;
  ActivityWatch& operator=(const ActivityWatch&) = delete;

 private:
  void watch();

  const std::chrono::milliseconds patience_;
  std::mutex mutex_;
  std::condition_variable ended_;
  bool is_over_ = false;
  std::thread thread_;
};

}  // namespace planish
