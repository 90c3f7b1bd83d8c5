#include "base/log.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <vector>

namespace planish {
namespace {

class LogTest : public testing::Test {
 protected:
  void SetUp() override {
    set_log_sink([this](LogLevel level, std::string_view text) {
      lines_.push_back(cat(name_of(level), ": ", text));
    });
  }
  void TearDown() override {
    set_log_sink(nullptr);
    set_log_level(LogLevel::kWarning);
  }
  std::vector<std::string> lines_;
};

TEST_F(LogTest, PassesOnUpToTheLevel) {
  set_log_level(LogLevel::kInfo);
  PLANISH_LOG(kInfo, "packed ", 3, " constants");
  PLANISH_LOG(kDebug, "not heard");
  EXPECT_EQ(lines_, std::vector<std::string>{"info: packed 3 constants"});
}

TEST_F(LogTest, NamesCannotForgeLines) {
  log(LogLevel::kError, "node 'a\nerror: all is well\x1b[0m'");
  EXPECT_EQ(lines_, std::vector<std::string>{"error: node 'a\\nerror: all is well\\x1b[0m'"});
}

TEST_F(LogTest, SurvivesAThrowingSink) {
  set_log_sink([](LogLevel, std::string_view) { throw std::runtime_error("no"); });
  log(LogLevel::kError, "one");
}

TEST_F(LogTest, ParsesNames) {
  EXPECT_EQ(parse_log_level("trace"), LogLevel::kTrace);
  EXPECT_FALSE(parse_log_level("loud").has_value());
}

}  // namespace
}  // namespace planish
