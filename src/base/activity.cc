#include "base/activity.h"

#include <algorithm>
#include <system_error>
#include <vector>

#include "base/log.h"

namespace planish {
namespace {

using Clock = std::chrono::steady_clock;

struct Activities {
  std::atomic<int> watches{0};
  std::mutex mutex;
  std::list<Activity::Entry> under_way;
};
Activities& activities() {
  static Activities& all = *new Activities();  // outlives every thread
  return all;
}

}  // namespace

int Activity::watches() { return activities().watches.load(std::memory_order_relaxed); }

void Activity::begin(std::string text) {
  const Clock::time_point now = Clock::now();
  std::lock_guard lock(activities().mutex);
  activities().under_way.push_front({std::move(text), now, {}});
  entry_ = activities().under_way.begin();
  under_way_ = true;
}

Activity::~Activity() {
  if (!under_way_) return;
  std::lock_guard lock(activities().mutex);
  activities().under_way.erase(entry_);
}

ActivityWatch::ActivityWatch(std::chrono::milliseconds patience)
    : patience_(std::max(patience, std::chrono::milliseconds(1))) {
  try {
    thread_ = std::thread([this] { watch(); });
  } catch (const std::system_error&) {  // no thread to be had: what it watches goes on
    return;
  }
  ++activities().watches;
}

ActivityWatch::~ActivityWatch() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    is_over_ = true;
  }
  ended_.notify_all();
  thread_.join();
  --activities().watches;
}

void ActivityWatch::watch() {
  for (std::unique_lock lock(mutex_); !ended_.wait_for(lock, patience_ / 2, [this] { return is_over_; });) {
    std::vector<std::string> lines;  // logged without the lock: a sink may take its time
    {
      std::lock_guard all(activities().mutex);
      const Clock::time_point now = Clock::now();
      for (Activity::Entry& entry : activities().under_way) {
        const auto lasted = now - entry.begin;
        if (lasted < patience_ || now < entry.warn_at) continue;
        entry.warn_at = now + lasted;
        const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(lasted).count();
        lines.push_back(cat(entry.text, " has taken ", seconds, " s and has not ended"));
      }
    }
    for (const std::string& line : lines) log(LogLevel::kWarning, line);
  }
}

}  // namespace planish
