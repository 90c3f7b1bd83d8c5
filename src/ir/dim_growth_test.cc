// Dims from hostile text: short texts that stand for huge expressions are refused, quickly.
#include <gtest/gtest.h>

#include <string>

#include "base/text.h"
#include "ir/dim.h"

namespace planish::ir {
namespace {

TEST(DimGrowth, SharedPartsDoNotDoubleForEver) {
  std::string text = "c";
  for (int i = 0; i < 30; ++i) text = cat("(a+b)*min(d,", text, ")");
  EXPECT_EQ(Dim::parse(text).status().code(), Code::kInvalidArgument);
}

TEST(DimGrowth, LongProductsAndSumsAreRefused) {
  std::string product = "N", sum = "N";
  for (int i = 0; i < 2000; ++i) product += "*N", sum += cat("+s", i);
  EXPECT_FALSE(Dim::parse(product).ok());
  EXPECT_FALSE(Dim::parse(sum).ok());
}

TEST(DimGrowth, OrdinaryExpressionsStay) {
  Dim h = Dim::symbol("H"), w = Dim::symbol("W");
  for (int i = 0; i < 12; ++i) {  // a deep network's strided convolutions
    h = floordiv(h + 2 - 3, 2) + 1;
    w = min(floordiv(w - 1, 2) + 1, 4096);
  }
  const Dim area = h * w * 64;
  EXPECT_TRUE(area.valid());
  EXPECT_TRUE(*Dim::parse(area.to_string()) == area);
}

}  // namespace
}  // namespace planish::ir
