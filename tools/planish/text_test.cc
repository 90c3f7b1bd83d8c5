#include "text.h"

#include <gtest/gtest.h>

#include "bench_result.h"

namespace planish::cli {
namespace {

TEST(Text, Quantities) {
  EXPECT_EQ(format_bytes(512), "512 B");
  EXPECT_EQ(format_bytes(1536), "1.5 KiB");
  EXPECT_EQ(format_us(0.25), "250 ns");
  EXPECT_EQ(format_us(12.34), "12.3 us");
  EXPECT_EQ(format_us(4560), "4.56 ms");
  EXPECT_EQ(format_dims({1, 3, 224}), "1x3x224");
  EXPECT_EQ(format_dims({}), "scalar");
}

TEST(Text, ShortensBetweenCharacters) {
  EXPECT_EQ(shorten("abcdefgh", 6), "abc...");
  EXPECT_EQ(shorten("abc", 6), "abc");
  EXPECT_EQ(shorten("ab\xc3\xa9" "defgh", 6), "ab...");
}

TEST(Text, EscapesControlCharacters) { EXPECT_EQ(printable("a\x1b[2J\n"), "a\\x1b[2J\\x0a"); }

TEST(Text, TablesAlign) {
  Table table({{"name"}, {"n", true}});
  table.add({"a", "10"});
  table.add({"long", "5"});
  EXPECT_EQ(table.to_string(""), "name   n\na     10\nlong   5\n");
}

TEST(Latency, NearestRank) {
  std::vector<double> samples;
  for (int i = 100; i >= 1; --i) samples.push_back(i);
  const LatencyStats stats = latency_stats(samples);
  EXPECT_EQ(stats.min, 1);
  EXPECT_EQ(stats.max, 100);
  EXPECT_EQ(stats.median, 50.5);
  EXPECT_EQ(stats.mean, 50.5);
  EXPECT_EQ(stats.p90, 90);
  EXPECT_EQ(stats.p99, 99);
  EXPECT_EQ(latency_stats({}).median, 0);
  EXPECT_EQ(latency_stats({7}).p99, 7);
}

}  // namespace
}  // namespace planish::cli
