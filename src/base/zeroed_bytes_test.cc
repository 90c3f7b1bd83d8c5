#include "base/zeroed_bytes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>

namespace planish {
namespace {

constexpr size_t kLarge = (size_t{5} << 20) + 3;  // two huge pages and a tail

bool all_zero(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte(0); });
}

TEST(ZeroedBytes, AreZeroAndAligned) {
  for (const size_t size : {size_t(0), size_t(1), size_t(63), size_t(4097), kLarge}) {
    for (int again = 0; again < 2; ++again) {  // memory that was used before is zero, too
      ZeroedBytes bytes(size);
      EXPECT_EQ(bytes.size(), size);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(bytes.data()) % 64, 0u);
      EXPECT_TRUE(all_zero(bytes)) << size;
      std::fill(bytes.begin(), bytes.end(), std::byte(7));
    }
  }
}

TEST(ZeroedBytes, ResizeKeepsWhatFits) {
  ZeroedBytes bytes(10);
  std::fill(bytes.begin(), bytes.end(), std::byte(7));
  bytes.resize(kLarge);
  EXPECT_EQ(std::count(bytes.begin(), bytes.end(), std::byte(7)), 10);
  EXPECT_EQ(bytes.end()[-1], std::byte(0));
  bytes.resize(5);
  EXPECT_EQ(std::count(bytes.begin(), bytes.end(), std::byte(7)), 5);
  bytes.resize(20);
  EXPECT_EQ(std::count(bytes.begin(), bytes.end(), std::byte(7)), 5);
}

TEST(ZeroedBytes, AppendCopiesMove) {
  const std::byte piece[3] = {std::byte(1), std::byte(2), std::byte(3)};
  ZeroedBytes bytes;
  bytes.append(piece);
  bytes.append(piece);
  const ZeroedBytes copy = bytes;
  const ZeroedBytes moved = std::move(bytes);
  EXPECT_TRUE(bytes.empty());
  ASSERT_EQ(moved.size(), 6u);
  EXPECT_EQ(moved.data()[5], std::byte(3));
  EXPECT_TRUE(std::equal(copy.begin(), copy.end(), moved.begin(), moved.end()));
}

}  // namespace
}  // namespace planish
