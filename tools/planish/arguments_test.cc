#include "arguments.h"

#include <gtest/gtest.h>

namespace planish::cli {
namespace {

TEST(Arguments, NamedNumbers) {
  const auto rate = parse_named_number("decoded:1=16000");
  ASSERT_TRUE(rate.ok());
  EXPECT_EQ(*rate, std::pair(std::string("decoded:1"), 16000.0));
  for (const char* text : {"rate", "=1", "rate=", "rate=1s", "rate=true"})
    EXPECT_FALSE(parse_named_number(text).ok()) << text;
}

TEST(NamedShape, SplitsAtTheLastColon) {
  const auto shape = parse_named_shape("serving:input:0:1x3x224x224");
  ASSERT_TRUE(shape.ok()) << shape.status().to_string();
  EXPECT_EQ(shape->name, "serving:input:0");
  EXPECT_EQ(shape->dims, (std::vector<int64_t>{1, 3, 224, 224}));
}

TEST(NamedShape, TakesScalarsAndZeros) {
  EXPECT_EQ(parse_named_shape("x:")->dims, std::vector<int64_t>{});
  EXPECT_EQ(parse_named_shape("x:0x4")->dims, (std::vector<int64_t>{0, 4}));
}

TEST(NamedShape, RefusesWhatIsNoShape) {
  for (const char* text : {"x", ":1x2", "x:1x", "x:x1", "x:1,2", "x:-1x2", "x:1xx2", "x:1x2 ",
                           "x:99999999999999999999", "x:0x10q"}) {
    const auto shape = parse_named_shape(text);
    EXPECT_FALSE(shape.ok()) << text;
    EXPECT_NE(shape.status().message().find(text), std::string::npos);
  }
}

TEST(NamedFile, SplitsAtTheFirstEquals) {
  EXPECT_EQ(parse_named_file("x=dir/a=b.npy").name, "x");
  EXPECT_EQ(parse_named_file("x=dir/a=b.npy").path, "dir/a=b.npy");
  EXPECT_EQ(parse_named_file("a.npy").name, "");
  EXPECT_EQ(parse_named_file("a.npy").path, "a.npy");
}

TEST(Bytes, TakeUnits) {
  EXPECT_EQ(*parse_bytes("1048576"), 1048576);
  EXPECT_EQ(*parse_bytes("64K"), 65536);
  EXPECT_EQ(*parse_bytes("2.5G"), int64_t(2.5 * (1 << 30)));
  EXPECT_EQ(*parse_bytes("100MiB"), 100 << 20);
  EXPECT_EQ(*parse_bytes("1kB"), 1024);
  EXPECT_EQ(*parse_bytes("7B"), 7);
  for (const char* text : {"", "K", "-1", "1X", "1KK", "nan", "inf", "1e30"})
    EXPECT_FALSE(parse_bytes(text).ok()) << text;
}

}  // namespace
}  // namespace planish::cli
