#include "zip.h"

#include <gtest/gtest.h>

#include "npy.h"

namespace planish::cli {
namespace {

// numpy.savez_compressed(f, x=numpy.arange(5, dtype="i4"), y=numpy.ones((2, 2), "f4")), as hex.
constexpr std::string_view kCompressedNpz =
#include "zip_test_data.inc"
    ;

std::string unhex(std::string_view text) {
  std::string out;
  for (size_t i = 0; i + 1 < text.size(); i += 2)
    out += char(std::stoi(std::string(text.substr(i, 2)), nullptr, 16));
  return out;
}

TEST(Inflate, StoredAndFixedBlocks) {
  EXPECT_EQ(*inflate(std::string("\x01\x03\x00\xfc\xff" "abc", 8), 3), "abc");
  // "aaaaaaaaa" by a fixed Huffman block.
  EXPECT_EQ(*inflate(unhex("4b840100"), 9), std::string(9, 'a'));
}

TEST(Inflate, RefusesDamage) {
  const std::string good = unhex("4b840100");
  EXPECT_FALSE(inflate(good, 8).ok());
  EXPECT_FALSE(inflate(good, 10).ok());
  EXPECT_FALSE(inflate(std::string_view(good).substr(0, 2), 9).ok());
  EXPECT_FALSE(inflate("\xff\xff", 10).ok());
  EXPECT_FALSE(inflate("", 0).ok());
}

TEST(Npz, ReadsCompressedMembers) {
  const auto tensors = parse_npz(unhex(kCompressedNpz));
  ASSERT_TRUE(tensors.ok()) << tensors.status().to_string();
  ASSERT_EQ(tensors->size(), 2u);
  EXPECT_EQ((*tensors)[0].name, "x");
  EXPECT_EQ((*tensors)[0].tensor.as_double(4), 4);
  EXPECT_EQ((*tensors)[1].name, "y");
  EXPECT_EQ((*tensors)[1].tensor.dims(), (std::vector<int64_t>{2, 2}));
}

TEST(Npz, AnyPrefixAndAnyFlippedByteEndsInAStatus) {
  const std::string good = unhex(kCompressedNpz);
  for (size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(parse_npz(std::string_view(good).substr(0, size)).ok()) << size;
  for (size_t at = 0; at < good.size(); ++at) {
    for (const char flip : {'\x01', '\x80', '\xff'}) {
      std::string damaged = good;
      damaged[at] = char(damaged[at] ^ flip);
      (void)parse_npz(damaged);  // must end; may succeed where the byte does not matter
    }
  }
}

// Data of members lie between their headers and the directory: whatever is changed there is noticed.
TEST(Zip, ChecksTheSumOfEachMember) {
  std::string damaged = unhex(kCompressedNpz);
  const size_t directory = damaged.find("PK\x01\x02");
  ASSERT_NE(directory, std::string::npos);
  damaged[directory + 16] = char(damaged[directory + 16] ^ 1);
  const auto members = read_zip(damaged);
  ASSERT_FALSE(members.ok());
  EXPECT_NE(members.status().message().find("CRC-32"), std::string::npos);
}

TEST(Zip, RefusesAMemberThatClaimsTooMuch) {
  std::string bomb = unhex(kCompressedNpz);
  // The directory's uncompressed size of the first member becomes 4 GB.
  const size_t directory = bomb.find("PK\x01\x02");
  ASSERT_NE(directory, std::string::npos);
  for (size_t i = 0; i < 4; ++i) bomb[directory + 24 + i] = '\xf0';
  const auto members = read_zip(bomb);
  ASSERT_FALSE(members.ok());
  EXPECT_NE(members.status().message().find("cannot hold"), std::string::npos);
}

}  // namespace
}  // namespace planish::cli
