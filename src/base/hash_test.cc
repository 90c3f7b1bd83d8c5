#include "base/hash.h"

#include <gtest/gtest.h>

#include <string>

namespace planish {
namespace {

// XXH3 as published (xxHash 0.8, seed 0): these values are in files, and must never change.
TEST(Hash, KnownValues) {
  EXPECT_EQ(hash64(""), 0x2d06800538d394c2u);
  EXPECT_EQ(to_string(hash128("")), "99aa06d3014798d86001c324468d497f");
}

TEST(Hash, PiecesGiveTheHashOfTheWhole) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += char('a' + i % 23);
  const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
  for (size_t step : {1, 7, 64, 255, 256, 257, 1024, 4999}) {
    Hasher hasher;
    for (size_t at = 0; at < bytes.size(); at += step)
      hasher.add(bytes.subspan(at, std::min(step, bytes.size() - at)));
    EXPECT_EQ(hasher.hash64(), hash64(text));
    EXPECT_EQ(hasher.hash128(), hash128(text));
  }
}

TEST(Hash, NeighbouringTextsDoNotMix) {
  Hasher a, b;
  a.add_text("ab"), a.add_text("c");
  b.add_text("a"), b.add_text("bc");
  EXPECT_NE(a.hash64(), b.hash64());
}

}  // namespace
}  // namespace planish
