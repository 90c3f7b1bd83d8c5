#include "npy.h"

#include <gtest/gtest.h>

#include <cstring>

namespace planish::cli {
namespace {

std::string npy(const std::string& dict, const std::string& data, char version = 1) {
  std::string out("\x93NUMPY", 6);
  out += version;
  out += '\0';
  out += char(dict.size() & 0xff);
  out += char(dict.size() >> 8);
  if (version > 1) out += std::string(2, '\0');
  return out + dict + data;
}

std::string bytes_of(std::vector<float> values) {
  return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
}

TEST(Npy, RoundTrip) {
  auto tensor = Tensor::create(DataType::kI32, {2, 3});
  ASSERT_TRUE(tensor.ok());
  for (int i = 0; i < 6; ++i) static_cast<int32_t*>(tensor->mutable_data())[i] = i * 1000 - 7;
  const std::string bytes = to_npy(*tensor);
  EXPECT_EQ((bytes.size() - 24) % 64, 0u);  // data at a multiple of 64
  const auto back = parse_npy(bytes);
  ASSERT_TRUE(back.ok()) << back.status().to_string();
  EXPECT_EQ(back->dtype(), DataType::kI32);
  EXPECT_EQ(back->dims(), tensor->dims());
  EXPECT_EQ(std::memcmp(back->data(), tensor->data(), 24), 0);
}

TEST(Npy, ScalarsAndEmptyArrays) {
  for (const std::vector<int64_t>& dims : {std::vector<int64_t>{}, {0}, {3, 0, 2}, {5}}) {
    const auto tensor = Tensor::create(DataType::kF32, dims);
    const auto back = parse_npy(to_npy(*tensor));
    ASSERT_TRUE(back.ok()) << back.status().to_string();
    EXPECT_EQ(back->dims(), dims);
  }
}

TEST(Npy, FortranOrder) {
  const auto tensor =
      parse_npy(npy("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }",
                    bytes_of({0, 3, 1, 4, 2, 5})));
  ASSERT_TRUE(tensor.ok()) << tensor.status().to_string();
  for (int i = 0; i < 6; ++i) EXPECT_EQ(tensor->as_double(i), i);
}

TEST(Npy, BigEndian) {
  const auto tensor = parse_npy(
      npy("{'descr': '>i2', 'fortran_order': False, 'shape': (2,), }", std::string("\1\2\0\3", 4), 2));
  ASSERT_TRUE(tensor.ok()) << tensor.status().to_string();
  EXPECT_EQ(tensor->as_double(0), 258);
  EXPECT_EQ(tensor->as_double(1), 3);
}

TEST(Npy, TypesThatNumPyLacksAreWidened) {
  const uint16_t one_bf16[] = {0x3f80, 0xc000};
  const auto tensor = Tensor::view(DataType::kBF16, {2}, one_bf16);
  const auto back = parse_npy(to_npy(*tensor));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->dtype(), DataType::kF32);
  EXPECT_EQ(back->as_double(0), 1);
  EXPECT_EQ(back->as_double(1), -2);
}

TEST(Npy, RefusesBrokenFiles) {
  const std::string good = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }",
                               bytes_of({1, 2}));
  ASSERT_TRUE(parse_npy(good).ok());
  for (size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(parse_npy(std::string_view(good).substr(0, size)).ok()) << size;
  const auto refused = [](const std::string& dict, const char* part) {
    const auto tensor = parse_npy(npy(dict, bytes_of({1, 2})));
    ASSERT_FALSE(tensor.ok()) << dict;
    EXPECT_NE(tensor.status().message().find(part), std::string::npos)
        << tensor.status().message();
  };
  refused("{'descr': '|O', 'fortran_order': False, 'shape': (2,), }", "'|O'");
  refused("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", "not supported");
  refused("{'descr': '<f4', 'fortran_order': False, 'shape': (4000000000, 4000000000), }",
          "overflows");
  refused("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", "takes 12 bytes");
  refused("{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }", "broken");
  refused("{'descr': '<f4'", "lacks");
  refused("", "lacks");
}

}  // namespace
}  // namespace planish::cli
