// What is read from compiled kernels: tensor cores by their instructions, spills by the compiler's word.
#include "backend/cuda/emit/cubin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backend/cuda/emit/emitted_kernel_def.h"
#include "backend/cuda/emit/nvrtc.h"
#include "backend/cuda/emit/prelude.h"
#include "backend/cuda/families/wgmma/device_text.h"
#include "backend/cuda/testing/compile_testing.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

using testing::HasSubstr;

std::string kernel_of(const std::string& functions, const std::string& body) {
  return cat(kPrelude, functions, "extern \"C\" __global__ void k(float* p) {\n", body, "\n}\n");
}

CubinCounts counts_of(const std::string& source, const std::string& isa = "sm_90a") {
  auto compiled = compile_source(source, isa);
  EXPECT_TRUE(compiled.ok()) << compiled.status().to_string();
  if (!compiled.ok()) return {};
  auto counts = count_instructions(*compiled->cubin);
  EXPECT_TRUE(counts.ok()) << counts.status().to_string();
  return counts.ok() ? *counts : CubinCounts{};
}

const std::string kMma = kernel_of("", R"(
  float d[4] = {p[0], p[1], p[2], p[3]};
  const u32 a = __float_as_uint(p[4]), b = __float_as_uint(p[5]);
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%4,%4,%4}, {%5,%5}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a), "r"(b));
  p[0] = d[0] + d[1] + d[2] + d[3];)");

TEST(Cubin, TensorCoresAreSeenInTheCode) {
  PLANISH_NEEDS_NVRTC();
  const CubinCounts plain = counts_of(kernel_of("", "p[threadIdx.x] += p[threadIdx.x + 1] * 3;"));
  EXPECT_GT(plain.instructions, 8);
  EXPECT_FALSE(plain.uses_tensor_cores());
  for (const char* isa : {"sm_90a", "sm_80"}) EXPECT_EQ(counts_of(kMma, isa).mma, 1) << isa;
  const std::string functions =
      cat(wgmma::async_text(), wgmma::instruction_text("multiply", ir::DataType::kF16, 16, wgmma::Operand::kSharedKMajor, false));
  const CubinCounts wide = counts_of(kernel_of(functions, R"(
  float sum[8];
  wgmma_begin();
  multiply(sum, matrix(1024, 1, 16, 1024), matrix(9216, 1, 16, 1024), false);
  wgmma_commit();
  wgmma_wait<0>();
  for (int i = 0; i < 8; ++i) p[threadIdx.x * 8 + i] = sum[i];)"));
  EXPECT_EQ(wide.wgmma, 1);
  EXPECT_EQ(wide.mma, 0);
}

TEST(Cubin, DamagedOnesAreRefused) {
  EXPECT_EQ(count_instructions({}).status().code(), Code::kDataLoss);
  PLANISH_NEEDS_NVRTC();
  auto compiled = compile_source(kMma, "sm_90a");
  ASSERT_TRUE(compiled.ok());
  const std::span<const std::byte> whole = *compiled->cubin;
  for (size_t size = 0; size + 64 < whole.size(); size += 37) {
    const std::vector<std::byte> cut(whole.begin(), whole.begin() + std::ptrdiff_t(size));
    const auto counts = count_instructions(cut);  // what lies behind the code may be missing
    if (size < whole.size() / 4) {
      EXPECT_EQ(counts.status().code(), Code::kDataLoss) << size;
    }
  }
  for (size_t at = 0; at < 64; ++at) {  // any header: an answer or a refusal, no read beyond the end
    std::vector<std::byte> damaged(whole.begin(), whole.end());
    damaged[at] ^= std::byte{0xff};
    (void)count_instructions(damaged);
  }
}

// Each tactic holds 96 values over a barrier with 32 registers to hold them.
class Spilling : public EmittedKernelDef {
 public:
  std::string name() const override { return "test.spilling"; }
  Status supports(const kernel::Problem&, const kernel::DeviceInfo&) const override { return ok_status(); }
  std::vector<kernel::Tactic> tactics(const kernel::Problem&, const kernel::DeviceInfo&) const override {
    return {{{{"n", 0}}}, {{{"n", 1}}}};
  }
  double predict_us(const kernel::Problem&, const kernel::Tactic&, const kernel::DeviceInfo&) const override { return 1; }
  Result<EmittedStep> emit(const kernel::Problem&, const kernel::Tactic& tactic, const kernel::DeviceInfo&) const override {
    EmittedKernel kernel;
    kernel.entry = cat("spilling_", tactic.get("n"));
    kernel.source = cat(kPrelude, "extern \"C\" __global__ void __launch_bounds__(1024, 2) ", kernel.entry, R"((float* p) {
  float v[96];
#pragma unroll
  for (int i = 0; i < 96; ++i) v[i] = p[i * 1024 + threadIdx.x];
  __syncthreads();
#pragma unroll
  for (int i = 0; i < 96; ++i) p[i * 1024 + threadIdx.x] = v[i] * v[95 - i];
})");
    kernel.block.x = 1024;
    EmittedStep step;
    step.kernels.push_back(std::move(kernel));
    return step;
  }
};

TEST(Cubin, TacticsThatSpillAreRefusedButTheFirst) {
  PLANISH_NEEDS_NVRTC();
  const Spilling def;
  kernel::ExprBuilder b;
  const ir::TensorType type{ir::DataType::kF32, ir::to_shape(std::vector<int64_t>{4})};
  const kernel::Problem problem = pointwise_problem({type}, b.finish({b.arg(0, ir::DataType::kF32)}, 1), {type});
  for (int time = 0; time < 2; ++time) {  // compiled, and known
    EXPECT_TRUE(def.compile(problem, {{{"n", 0}}}, testing_device()).ok());
    const Status status = def.compile(problem, {{{"n", 1}}}, testing_device()).status();
    EXPECT_EQ(status.code(), Code::kUnsupported) << status.to_string();
    EXPECT_THAT(status.message(), HasSubstr("spilling_1 spills registers"));
  }
}

}  // namespace
}  // namespace planish::cuda
