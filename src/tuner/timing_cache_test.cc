#include "tuner/timing_cache.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "base/atomic_file.h"
#include "base/text.h"

namespace planish::tuner {
namespace {

namespace fs = std::filesystem;

class TimingCacheTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "planish_timings_XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    path_ = (folder_ / "new" / "timing.cache").string();
  }
  void TearDown() override { fs::remove_all(folder_); }
  static std::string content(const std::string& path) {
    std::ostringstream out;
    out << std::ifstream(path).rdbuf();
    return out.str();
  }
  TimingCache::Warn collect() {
    return [this](const std::string& text) { warnings_.push_back(text); };
  }
  fs::path folder_;
  std::string path_;
  std::vector<std::string> warnings_;
};

TEST_F(TimingCacheTest, FindsWhatWasPut) {
  TimingCache cache;
  EXPECT_EQ(cache.find("a"), std::nullopt);
  cache.put("a", 12.5, 0.25);
  EXPECT_EQ(cache.find("a"), 12.5);
  EXPECT_EQ(cache.find_timing("a")->spread_us, 0.25);
  EXPECT_GT(cache.find_timing("a")->date, 0);
  EXPECT_EQ(cache.find("b"), std::nullopt);
  EXPECT_EQ(cache.hits(), 3);
  EXPECT_EQ(cache.misses(), 2);
}

TEST_F(TimingCacheTest, RefusesTimesThatAreNone) {
  TimingCache cache;
  for (double us : {0.0, -1.0, std::nan(""), std::numeric_limits<double>::infinity()})
    cache.put("a", us, 0);
  cache.put("a", 1, std::nan(""));
  EXPECT_EQ(cache.size(), 0u);
}

TEST_F(TimingCacheTest, RoundTripsToTheBit) {
  TimingCache cache(collect());
  cache.put_timing("cpu.conv v1 [j=2] on cpu: x\ny", {0.1 + 0.2, 1e-300, 1700000000});
  cache.put_timing("other", {5e-324, 1.7e308, 0});
  ASSERT_TRUE(cache.save(path_).ok());
  TimingCache back(collect());
  ASSERT_TRUE(back.load(path_).ok());
  EXPECT_EQ(back.size(), 2u);
  EXPECT_EQ(back.find_timing("cpu.conv v1 [j=2] on cpu: x\ny"),
            (Timing{0.1 + 0.2, 1e-300, 1700000000}));
  EXPECT_EQ(back.find_timing("other"), (Timing{5e-324, 1.7e308, 0}));
  EXPECT_NE(content(path_).find("cpu.conv v1 [j=2]\n"), std::string::npos);
  EXPECT_TRUE(warnings_.empty());
  // The same entries give the same bytes.
  const std::string text = content(path_);
  ASSERT_TRUE(back.save(path_).ok());
  EXPECT_EQ(content(path_), text);
}

TEST_F(TimingCacheTest, MissingFileIsEmpty) {
  TimingCache cache(collect());
  EXPECT_TRUE(cache.load(path_).ok());
  EXPECT_EQ(cache.size(), 0u);
  EXPECT_FALSE(cache.load(folder_.string()).ok());
}

TEST_F(TimingCacheTest, SaveMergesAndTheNewerWins) {
  TimingCache a, b;
  a.put_timing("both", {10, 0, 100});
  a.put_timing("a", {1, 0, 100});
  b.put_timing("both", {20, 0, 200});
  b.put_timing("b", {2, 0, 100});
  ASSERT_TRUE(a.save(path_).ok());
  ASSERT_TRUE(b.save(path_).ok());
  ASSERT_TRUE(a.save(path_).ok());  // its older "both" does not come back
  TimingCache all;
  ASSERT_TRUE(all.load(path_).ok());
  EXPECT_EQ(all.find("both"), 20);
  EXPECT_EQ(all.find("a"), 1);
  EXPECT_EQ(all.find("b"), 2);
}

TEST_F(TimingCacheTest, ProcessesThatSaveAtOnceLoseNothing) {
  constexpr int kProcesses = 6, kEach = 20;
  std::vector<pid_t> children;
  for (int p = 0; p < kProcesses; ++p) {
    const pid_t child = ::fork();
    if (child == 0) {
      bool ok = true;
      for (int i = 0; i < kEach; ++i) {
        TimingCache cache;
        cache.put(cat("process ", p, " entry ", i), 1 + i, 0);
        ok = ok && cache.save(path_).ok();
      }
      ::_exit(ok ? 0 : 1);
    }
    children.push_back(child);
  }
  for (pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  TimingCache all;
  ASSERT_TRUE(all.load(path_).ok());
  EXPECT_EQ(all.size(), size_t(kProcesses * kEach));
}

TEST_F(TimingCacheTest, H143_DamagedEntriesArePassedOverWithOneWarning) {
  TimingCache cache;
  for (int i = 0; i < 10; ++i) cache.put_timing(cat("key ", i), {double(i + 1), 0, 5});
  ASSERT_TRUE(cache.save(path_).ok());
  std::string text = content(path_);
  const size_t line3 = text.find("\n", text.find("\n", text.find("\n") + 1) + 1) + 1;
  text[line3 + 60] ^= 1;
  text += "a line of nonsense\n\n00000000 " + std::string(40, 'f') + "\n";
  ASSERT_TRUE(write_file_atomically(path_, text).ok());
  TimingCache back(collect());
  ASSERT_TRUE(back.load(path_).ok());
  EXPECT_EQ(back.size(), 9u);
  ASSERT_EQ(warnings_.size(), 1u);
  EXPECT_NE(warnings_[0].find("4 damaged lines"), std::string::npos) << warnings_[0];
}

TEST_F(TimingCacheTest, H143_EveryPrefixAndFlipOnlyCostsTime) {
  TimingCache cache;
  for (int i = 0; i < 3; ++i) cache.put_timing(cat("key ", i), {double(i + 1), 0.5, 5});
  ASSERT_TRUE(cache.save(path_).ok());
  const std::string good = content(path_);
  const auto check = [&](const std::string& text) {
    ASSERT_TRUE(write_file_atomically(path_, text).ok());
    TimingCache back;
    ASSERT_TRUE(back.load(path_).ok());
    ASSERT_LE(back.size(), 3u);
    for (int i = 0; i < 3; ++i) {
      const auto us = back.find(cat("key ", i));
      ASSERT_TRUE(!us || *us == i + 1);
    }
  };
  for (size_t n = 0; n < good.size(); n += 5) check(good.substr(0, n));
  for (size_t i = 0; i < good.size(); i += 3) {
    std::string text = good;
    text[i] = char(text[i] ^ (i % 2 ? 0x04 : 0x80));
    check(text);
  }
}

TEST_F(TimingCacheTest, H143_FileOfAnotherKindIsPassedOver) {
  ASSERT_TRUE(write_file_atomically((folder_ / "x").string(), std::string(5000, '\0')).ok());
  TimingCache cache(collect());
  EXPECT_TRUE(cache.load((folder_ / "x").string()).ok());
  EXPECT_EQ(cache.size(), 0u);
  EXPECT_EQ(warnings_.size(), 1u);
}

TEST_F(TimingCacheTest, ThreadsShareOne) {
  TimingCache cache;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) {
        cache.put(cat("key ", i), 1 + i, 0);
        EXPECT_TRUE(cache.find(cat("key ", i)).has_value());
        if (i % 100 == t) {
          EXPECT_TRUE(cache.save(path_).ok());
        }
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(cache.size(), 500u);
}

TEST_F(TimingCacheTest, DefaultPathFollowsTheEnvironment) {
  const char* const before = std::getenv("XDG_CACHE_HOME");
  const std::string kept = before ? before : "";
  ::setenv("XDG_CACHE_HOME", "/some/where", 1);
  EXPECT_EQ(TimingCache::default_path(), "/some/where/planish/timing.cache");
  ::setenv("XDG_CACHE_HOME", "not/absolute", 1);
  ::setenv("HOME", "/home/me", 1);
  EXPECT_EQ(TimingCache::default_path(), "/home/me/.cache/planish/timing.cache");
  if (before)
    ::setenv("XDG_CACHE_HOME", kept.c_str(), 1);
  else
    ::unsetenv("XDG_CACHE_HOME");
}

}  // namespace
}  // namespace planish::tuner
