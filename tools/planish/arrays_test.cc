#include "arrays.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "files.h"
#include "npy.h"

namespace planish::cli {
namespace {

Tensor f32(std::vector<int64_t> dims) { return *Tensor::create(DataType::kF32, std::move(dims)); }

TEST(FileNames, AreSafeAndDifferent) {
  std::vector<std::string> taken;
  EXPECT_EQ(file_name_for("layer1/out:0", taken), "layer1_out_0");
  EXPECT_EQ(file_name_for("layer1_out_0", taken), "layer1_out_0_1");
  EXPECT_EQ(file_name_for("LAYER1/OUT:0", taken), "LAYER1_OUT_0_2");  // case may not count
  EXPECT_EQ(file_name_for("..", taken), "_..");
  EXPECT_EQ(file_name_for("", taken), "_");
  EXPECT_EQ(file_name_for("a\nb", taken), "a_b");
  EXPECT_LE(file_name_for(std::string(5000, 'x'), taken).size(), 200u);
}

TEST(MatchInputs, OrdersAndNamesMistakes) {
  const std::vector<TensorDesc> inputs = {{"a", DataType::kF32, {1}}, {"b", DataType::kF32, {2}}};
  const auto matched = match_inputs(inputs, {{"b", f32({2})}, {"a", f32({1})}});
  ASSERT_TRUE(matched.ok());
  EXPECT_EQ((*matched)[0].dims(), std::vector<int64_t>{1});

  const auto missing = match_inputs(inputs, {{"a", f32({1})}});
  EXPECT_NE(missing.status().message().find("'b' is missing"), std::string::npos);
  const auto extra = match_inputs(inputs, {{"a", f32({1})}, {"b", f32({2})}, {"c", f32({3})}});
  EXPECT_NE(extra.status().message().find("no input 'c'"), std::string::npos);
  const auto type =
      match_inputs(inputs, {{"a", *Tensor::create(DataType::kI64, {1})}, {"b", f32({2})}});
  EXPECT_NE(type.status().message().find("got i64, expected f32"), std::string::npos);
}

TEST(MatchInputs, OneNamelessArrayIsTheOneInput) {
  const std::vector<TensorDesc> inputs = {{"a", DataType::kF32, {1}}};
  EXPECT_TRUE(match_inputs(inputs, {{"", f32({1})}}).ok());
  EXPECT_FALSE(match_inputs(inputs, {{"z", f32({1})}}).ok());
}

TEST(WriteOutputs, MapsNamesInAManifest) {
  const std::string folder = testing::TempDir() + "/planish_outputs";
  std::filesystem::remove_all(folder);
  const Status status =
      write_outputs(folder, {{"a/b", f32({2})}, {"a_b", f32({3})}}, OutputFormat::kNpy);
  ASSERT_TRUE(status.ok()) << status.to_string();
  const auto manifest = read_file(folder + "/manifest.json", 1 << 20);
  ASSERT_TRUE(manifest.ok());
  EXPECT_NE(manifest->find("\"a_b.npy\""), std::string::npos);
  EXPECT_NE(manifest->find("\"a_b_1.npy\""), std::string::npos);
  const auto tensors = read_tensors(folder + "/a_b_1.npy");
  ASSERT_TRUE(tensors.ok());
  EXPECT_EQ((*tensors)[0].tensor.dims(), std::vector<int64_t>{3});
  std::filesystem::remove_all(folder);
}

TEST(ReadTensors, NamesTheFile) {
  EXPECT_EQ(read_tensors("/nowhere/x.npy").status().code(), Code::kNotFound);
  EXPECT_NE(read_tensors("/dev/null").status().message().find("/dev/null"), std::string::npos);
}

}  // namespace
}  // namespace planish::cli
