// One plan of every release stays here: a runtime reads every minor of its major, for ever. A file,
// once released, is never written again; PLANISH_WRITE_GOLDEN=1 adds the one of this version.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "base/text.h"
#include "plan/plan_file.h"
#include "plan/sample_testing.h"

namespace planish::plan {
namespace {

namespace fs = std::filesystem;

const fs::path kFolder = "tests/golden";

fs::path current() { return kFolder / cat("rich_", kFormatMajor, "_", kFormatMinor, ".plan"); }

TEST(GoldenPlan, ThisVersionHasOne) {
  if (std::getenv("PLANISH_WRITE_GOLDEN") && !fs::exists(current())) {
    ASSERT_TRUE(write_plan(rich_plan(), current().string()).ok());
  }
  EXPECT_TRUE(fs::exists(current()))
      << "to make it: PLANISH_WRITE_GOLDEN=1 ctest -R golden_plan_test";
}

TEST(GoldenPlan, EveryReleaseIsReadAsItWasWritten) {
  const auto expected = serialize(rich_plan());
  ASSERT_TRUE(expected.ok());
  int seen = 0;
  for (const auto& entry : fs::directory_iterator(kFolder)) {
    if (entry.path().extension() != ".plan") continue;
    ++seen;
    auto plan = read_plan(entry.path().string());
    ASSERT_TRUE(plan.ok()) << plan.status().to_string();
    auto again = serialize(*plan);
    ASSERT_TRUE(again.ok()) << again.status().to_string();
    EXPECT_EQ(*again, *expected) << entry.path();
  }
  EXPECT_GE(seen, 1);
}

}  // namespace
}  // namespace planish::plan
