#include "backend/cuda/emit/artifact.h"

#include <gtest/gtest.h>

#include <cstring>

#include "backend/cuda/emit/emitted_kernel_def.h"

namespace planish::cuda {
namespace {

Artifact sample() {
  Artifact artifact;
  artifact.generator = kGeneratorVersion;
  artifact.arch = "sm_90a";
  artifact.fingerprint = "f32[2]";
  artifact.workspace_bytes = 4096;
  EmittedKernel launch;
  launch.entry = "conv_f16";
  launch.grid = {132, 2, 1};
  launch.block = {384, 1, 1};
  launch.cluster = {2, 1, 1};
  launch.persistent = true;
  launch.dynamic_shared_bytes = 200 << 10;
  launch.programmatic_launch = true;
  TensorMapSpec map;
  map.mode = MapMode::kIm2col;
  map.dims = {64, 56, 56, 8};
  map.byte_strides = {128, 7168, 401408};
  map.element_strides = {1, 1, 1, 1};
  map.lower_corner = {-1, -1};
  map.upper_corner = {-1, -1};
  map.channels_per_pixel = 64;
  map.pixels_per_column = 128;
  launch.maps = {map};
  launch.args = {KernelArg::tensor_map(0), KernelArg::packed(256), KernelArg::result(0),
                 KernelArg::i32(-7), KernelArg::i64(1LL << 40), KernelArg::f32(0.5f),
                 KernelArg::outer_stride(BufferKind::kResult, 0, 512)};
  const std::string cubin = "not a cubin, but bytes";
  const auto bytes = std::as_bytes(std::span(cubin));
  artifact.kernels.push_back(
      {launch, std::make_shared<const std::vector<std::byte>>(bytes.begin(), bytes.end())});
  SizeVariant variant;
  variant.tactic.params = {{"team", 32}};
  variant.kernels.push_back(
      {{{1, 2}, {NumberType::kI32, NumberType::kF32}, {{7, 0}, {9, 1}}}, artifact.kernels[0].cubin});
  artifact.variants.push_back(variant);
  return artifact;
}

TEST(Artifact, ReadsBackWhatWasWritten) {
  const Artifact artifact = sample();
  auto back = decode(encode(artifact));
  ASSERT_TRUE(back.ok()) << back.status().to_string();
  EXPECT_EQ(back->generator, artifact.generator);
  EXPECT_EQ(back->arch, artifact.arch);
  EXPECT_EQ(back->fingerprint, artifact.fingerprint);
  EXPECT_EQ(back->workspace_bytes, artifact.workspace_bytes);
  ASSERT_EQ(back->kernels.size(), 1u);
  EXPECT_EQ(back->kernels[0].launch, artifact.kernels[0].launch);
  EXPECT_EQ(*back->kernels[0].cubin, *artifact.kernels[0].cubin);
  ASSERT_EQ(back->variants.size(), 1u);
  EXPECT_EQ(back->variants[0].tactic, artifact.variants[0].tactic);
  EXPECT_EQ(back->variants[0].kernels.at(0).pattern, artifact.variants[0].kernels[0].pattern);
  EXPECT_EQ(*back->variants[0].kernels[0].cubin, *artifact.kernels[0].cubin);
}

TEST(Artifact, OfAnotherGeneratorOnlyItsNumberIsRead) {
  Artifact artifact = sample();
  artifact.generator = kGeneratorVersion + 1;
  auto back = decode(encode(artifact));
  ASSERT_TRUE(back.ok()) << back.status().to_string();
  EXPECT_EQ(back->generator, kGeneratorVersion + 1);
  EXPECT_TRUE(back->kernels.empty());
}

TEST(Artifact, APatternOutOfRangeIsRefused) {
  Artifact artifact = sample();
  artifact.variants[0].kernels[0].pattern.slots.push_back({11, 2});
  auto got = decode(encode(artifact));
  ASSERT_FALSE(got.ok());
  EXPECT_NE(got.status().message().find("pattern"), std::string::npos);
}

TEST(Artifact, EveryPrefixIsRefused) {
  const std::vector<std::byte> bytes = encode(sample());
  for (size_t size = 0; size < bytes.size(); ++size) {
    auto got = decode(std::span(bytes).first(size));
    ASSERT_FALSE(got.ok()) << size;
    EXPECT_EQ(got.status().code(), Code::kDataLoss);
  }
}

TEST(Artifact, ChangedBytesNeverCrash) {
  const std::vector<std::byte> bytes = encode(sample());
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (const int value : {0x00, 0x7f, 0xff}) {
      std::vector<std::byte> changed = bytes;
      changed[i] = std::byte(value);
      auto got = decode(changed);
      if (!got.ok()) {
        EXPECT_EQ(got.status().code(), Code::kDataLoss);
      }
    }
  }
}

TEST(Artifact, LaunchDataOutOfRangeIsRefused) {
  Artifact artifact = sample();
  artifact.kernels[0].launch.args.push_back(KernelArg::tensor_map(5));
  auto got = decode(encode(artifact));
  ASSERT_FALSE(got.ok());
  EXPECT_NE(got.status().message().find("conv_f16"), std::string::npos);
}

}  // namespace
}  // namespace planish::cuda
