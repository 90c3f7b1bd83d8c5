#include "base/activity.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/log.h"

namespace planish {
namespace {

using std::chrono::milliseconds;

// The lines of the log while it lives.
class Lines {
 public:
  Lines() {
    set_log_sink([this](LogLevel, std::string_view line) {
      std::lock_guard lock(mutex_);
      lines_.emplace_back(line);
      came_.notify_all();
    });
  }
  ~Lines() { set_log_sink({}); }
  std::vector<std::string> wait_for(size_t count) {
    std::unique_lock lock(mutex_);
    came_.wait_for(lock, std::chrono::seconds(30), [&] { return lines_.size() >= count; });
    return lines_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable came_;
  std::vector<std::string> lines_;
};

TEST(ActivityWatch, NamesWhatDoesNotEndAgainAndAgain) {
  Lines lines;
  ActivityWatch watch(milliseconds(10));
  Activity stuck([] { return std::string("compiling a kernel"); });
  const std::vector<std::string> said = lines.wait_for(2);
  ASSERT_GE(said.size(), 2u);
  for (const std::string& line : said) EXPECT_EQ(line, "compiling a kernel has taken 0 s and has not ended");
}

TEST(ActivityWatch, OfSeveralOneWarns) {
  Lines lines;
  ActivityWatch first(milliseconds(40)), second(milliseconds(40));
  const auto begin = std::chrono::steady_clock::now();
  Activity stuck([] { return std::string("timing"); });
  lines.wait_for(1);
  std::this_thread::sleep_for(milliseconds(30));
  const size_t count = lines.wait_for(1).size();
  // After 40 ms, 80 ms, 160 ms at the earliest.
  const auto lasted = std::chrono::steady_clock::now() - begin;
  size_t most = 0;
  for (auto at = milliseconds(40); at <= lasted; at *= 2) ++most;
  EXPECT_LE(count, most);
}

TEST(ActivityWatch, AsksForNoTextWhereNobodyWatches) {
  Activity alone([]() -> std::string {
    ADD_FAILURE() << "asked";
    return "";
  });
}

}  // namespace
}  // namespace planish
