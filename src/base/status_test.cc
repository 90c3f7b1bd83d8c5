// Status, Result and the small text tools.
#include "base/status.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <limits>

#include "base/text.h"

namespace planish {
namespace {

TEST(Status, OkIsEmpty) {
  const Status ok;
  EXPECT_TRUE(ok.ok());
  EXPECT_EQ(ok.code(), Code::kOk);
  EXPECT_EQ(ok.message(), "");
  EXPECT_TRUE(ok.at("anywhere").ok());
}

TEST(Status, ContextStandsInFront) {
  const Status s = invalid_argument("axis 4, expected -2 to 1").at("node 'a'").at("model.onnx");
  EXPECT_EQ(s.code(), Code::kInvalidArgument);
  EXPECT_EQ(s.message(), "model.onnx: node 'a': axis 4, expected -2 to 1");
  EXPECT_EQ(s.to_string(), "invalid argument: model.onnx: node 'a': axis 4, expected -2 to 1");
}

TEST(Status, EveryCodeHasAName) {
  for (int code = 0; code <= int(Code::kInternal); ++code)
    EXPECT_FALSE(code_name(Code(code)).empty());
}

Result<int> half(int v) {
  if (v % 2) return invalid_argument(cat("got ", v, ", expected an even number"));
  return v / 2;
}
Result<int> quarter(int v) {
  PLANISH_ASSIGN_OR_RETURN(int h, half(v));
  PLANISH_ASSIGN_OR_RETURN(int q, half(h));
  return q;
}
Status both(int v) {
  PLANISH_RETURN_IF_ERROR(half(v).status());
  return quarter(v).status();
}

TEST(Result, CarriesValuesAndErrors) {
  EXPECT_EQ(*quarter(12), 3);
  EXPECT_TRUE(bool(quarter(12)));
  EXPECT_EQ(quarter(6).status().message(), "got 3, expected an even number");
  EXPECT_TRUE(both(4).ok());
  EXPECT_FALSE(both(2).ok());
  Result<std::string> text = std::string("abc");
  EXPECT_EQ(text->size(), 3u);
  EXPECT_EQ(std::move(text).value(), "abc");
}

TEST(ResultDeathTest, ValueOfAnErrorStops) {
  EXPECT_DEATH(half(1).value(), "expected an even number");
  EXPECT_DEATH(PLANISH_CHECK(1 == 2, "numbers differ"), "numbers differ");
}

TEST(Text, JoinsPieces) {
  EXPECT_EQ(cat("a", 1, 'b', 2.5, true, int8_t(-3)), "a1b2.5true-3");
  EXPECT_EQ(join(std::vector<int>{1, 2, 3}), "1, 2, 3");
  EXPECT_EQ(bracketed(std::vector<std::string>{}), "[]");
  EXPECT_EQ(split("a,,b", ',').size(), 3u);
  EXPECT_EQ(split("", ',').size(), 1u);
}

TEST(Text, DoublesReadBack) {
  for (double v : {0.1, 1.0 / 3, 1e300, 5e-324, -0.0, 1234567890123456789.0})
    EXPECT_EQ(std::strtod(to_text(v).c_str(), nullptr), v);
  EXPECT_EQ(to_text(std::numeric_limits<double>::infinity()), "inf");
  EXPECT_EQ(to_text(0.5), "0.5");
}

}  // namespace
}  // namespace planish
