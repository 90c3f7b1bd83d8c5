#include "base/crc32c.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace planish {
namespace {

TEST(Crc32c, PublishedValues) {
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c(""), 0u);
  // RFC 3720, B.4: 32 bytes of zeros, of ones, ascending, descending.
  std::vector<std::byte> bytes(32);
  EXPECT_EQ(crc32c(bytes), 0x8a9136aau);
  for (auto& b : bytes) b = std::byte{0xff};
  EXPECT_EQ(crc32c(bytes), 0x62a8ab43u);
  for (size_t i = 0; i < 32; ++i) bytes[i] = std::byte(i);
  EXPECT_EQ(crc32c(bytes), 0x46dd794eu);
  for (size_t i = 0; i < 32; ++i) bytes[i] = std::byte(31 - i);
  EXPECT_EQ(crc32c(bytes), 0x113fdb5cu);
}

TEST(Crc32c, PortableAndInstructionAgreeAtEveryLengthAndCut) {
  if (!has_crc32c_sse42()) GTEST_SKIP() << "no SSE 4.2 here";
  std::mt19937 random(1);
  std::vector<std::byte> bytes(200);
  for (auto& b : bytes) b = std::byte(random());
  for (size_t n = 0; n <= bytes.size(); ++n) {
    const std::span<const std::byte> part(bytes.data(), n);
    const uint32_t whole = extend_crc32c_portable(0, part);
    EXPECT_EQ(extend_crc32c_sse42(0, part), whole);
    const size_t cut = n ? random() % n : 0;
    EXPECT_EQ(extend_crc32c_portable(extend_crc32c_sse42(0, part.first(cut)), part.subspan(cut)),
              whole);
  }
}

}  // namespace
}  // namespace planish
