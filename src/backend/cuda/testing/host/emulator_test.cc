// The emulated GPU itself, on kernels of a few lines: what it runs, and what it finds.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "backend/cuda/emit/prelude.h"
#include "backend/cuda/families/wgmma/device_text.h"
#include "backend/cuda/testing/host/host_run_testing.h"
#include "backend/cuda/testing/host/ptx_text.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

using testing::HasSubstr;

// Runs k(const float* in, float* out) with 64 threads in blocks of `block`.
struct Ran {
  Status status;
  std::vector<float> out;
};
Ran run(const std::string& body, uint32_t block = 64, uint32_t cluster = 1, bool late = false) {
  EmittedKernel kernel;
  kernel.entry = "k";
  kernel.source = cat(kPrelude, wgmma::async_text(), "extern \"C\" __global__ void k(const float* in, float* out) {\n", body, "\n}\n");
  kernel.grid.x = 64 / block;
  kernel.block.x = block;
  kernel.cluster.x = cluster;
  kernel.dynamic_shared_bytes = 1024;
  kernel.args = {KernelArg::operand(0), KernelArg::result(0)};
  kernel.programmatic_launch = late;
  EmittedStep step;
  step.kernels = {kernel};
  HostRunner runner;
  runner.add(step);
  Ran ran;
  ran.status = runner.build();
  alignas(256) float in[64];
  std::iota(in, in + 64, 1.0f);
  ran.out.assign(64, 0.0f);
  HostRun what;
  what.operands = {{reinterpret_cast<std::byte*>(in), sizeof(in), late}};
  what.results = {{reinterpret_cast<std::byte*>(ran.out.data()), sizeof(in), false}};
  if (ran.status.ok()) ran.status = runner.run(0, what);
  return ran;
}

const std::string kReverse = R"(
  __shared__ float s[64];
  s[threadIdx.x] = in[threadIdx.x];
  __syncthreads();
  out[threadIdx.x] = s[63 - threadIdx.x];)";

TEST(Emulator, BarriersOrderSharedMemory) {
  const Ran right = run(kReverse);
  ASSERT_TRUE(right.status.ok()) << right.status.to_string();
  for (int i = 0; i < 64; ++i) EXPECT_EQ(right.out[size_t(i)], float(64 - i));
  std::string wrong = kReverse;
  wrong.replace(wrong.find("__syncthreads"), 13, "__syncwarp");
  const Ran without = run(wrong);
  ASSERT_TRUE(without.status.ok()) << without.status.to_string();
  bool poisoned = false;
  for (const float v : without.out) poisoned |= std::isnan(v);
  EXPECT_TRUE(poisoned);
}

TEST(Emulator, LanesExchange) {
  const Ran ran = run(R"(
  float v = in[threadIdx.x];
  for (int i = 16; i > 0; i /= 2) v += __shfl_xor_sync(~0u, v, i);
  const u32 odd = __ballot_sync(~0u, threadIdx.x % 2);
  out[threadIdx.x] = v + (odd == 0xaaaaaaaau ? 0.5f : 0);)");
  ASSERT_TRUE(ran.status.ok()) << ran.status.to_string();
  EXPECT_EQ(ran.out[3], 528.5f);
  EXPECT_EQ(ran.out[40], 1552.5f);
}

TEST(Emulator, InputsComeWithTheGrid) {
  const Ran right = run("grid_wait(); out[threadIdx.x] = in[threadIdx.x];", 64, 1, true);
  ASSERT_TRUE(right.status.ok()) << right.status.to_string();
  EXPECT_EQ(right.out[5], 6.0f);
  const Ran early = run("const float v = in[threadIdx.x]; grid_wait(); __syncthreads(); out[threadIdx.x] = v;", 64, 1, true);
  ASSERT_TRUE(early.status.ok()) << early.status.to_string();
  EXPECT_TRUE(std::isnan(early.out[5]));
}

TEST(Emulator, ClustersShareMemory) {
  const Ran ran = run(R"(
  extern __shared__ __align__(1024) unsigned char shared[];
  float* mine = (float*)shared;
  mine[threadIdx.x] = in[blockIdx.x * 32 + threadIdx.x];
  cluster_sync();
  const u32 peer = of_rank(shared_address(shared), cluster_rank() ^ 1);
  float x[2] = {float(threadIdx.x), 7};
  asm volatile("st.shared::cluster.v2.f32 [%0], {%1, %2};" ::"r"(peer + 512 + 8 * threadIdx.x % 64), "f"(x[0]), "f"(x[1]) : "memory");
  cluster_sync();
  out[blockIdx.x * 32 + threadIdx.x] = mine[threadIdx.x] + mine[129];)", 32, 2);
  ASSERT_TRUE(ran.status.ok()) << ran.status.to_string();
  EXPECT_EQ(ran.out[3], 11.0f);
  EXPECT_EQ(ran.out[35], 43.0f);
}

TEST(Emulator, BytesCountOnBarriers) {
  const std::string load = R"(
  extern __shared__ __align__(1024) unsigned char shared[];
  const u32 at = shared_address(shared);
  if (threadIdx.x == 0) { barrier_init(at + 512, 1); barrier_init_fence(); }
  __syncthreads();
  if (threadIdx.x == 0) { barrier_expect(at + 512, 256); load_bytes(at, in, 256, at + 512); }
  )";
  const std::string use = "out[threadIdx.x] = ((const float*)shared)[threadIdx.x];";
  const Ran right = run(load + "barrier_wait(at + 512, 0);" + use);
  ASSERT_TRUE(right.status.ok()) << right.status.to_string();
  EXPECT_EQ(right.out[63], 64.0f);
  const Ran early = run(load + use);
  ASSERT_TRUE(early.status.ok()) << early.status.to_string();
  EXPECT_TRUE(std::isnan(early.out[63]));
  const Ran never = run(load + "barrier_wait(at + 512, 0); barrier_wait(at + 512, 1);" + use);
  EXPECT_THAT(never.status.message(), HasSubstr("wait for each other: 64 for an mbarrier"));
}

TEST(Emulator, FaultsHaveNames) {
  EXPECT_THAT(run("if (threadIdx.x < 32) { extern __shared__ unsigned char shared[]; barrier_wait(shared_address(shared), 0); }").status.message(),
              HasSubstr("a barrier that was not made"));
  EXPECT_THAT(run("__syncthreads(); __trap();").status.message(), HasSubstr("__trap()"));
  EXPECT_THAT(run("__syncwarp(); put_off(in);").status.message(), HasSubstr("the host's compiler refuses"));
  EXPECT_THAT(run(R"(__syncwarp(); u32 v; asm("ld.global.nc.u32 %0, [%1];" : "=r"(v) : "l"((const char*)in + 2)); out[0] = v;)").status.message(),
              HasSubstr("misaligned"));
}

TEST(PtxText, InstructionsBecomeCalls) {
  const auto text = without_assembly(R"(if (x) asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];" : "=f"(a), "=f"(b[1]) : "r"(at + 4 * (i)) : "memory"); else y();)");
  ASSERT_TRUE(text.ok()) << text.status().to_string();
  EXPECT_EQ(*text, "if (x) { auto& a0 = a; auto& a1 = b[1]; const auto a2 = (at + 4 * (i)); { "
                   "{ void* const l0[] = {(void*)&a0, (void*)&a1, }; ptx::ld_shared_v2_f32(l0, (unsigned long long)a2); } } } else y();");
  const auto loop = without_assembly(R"(asm("{.reg .pred q; W%=: test.x q, [%0]; @q bra D%=; bra W%=; D%=:}" :: "r"(b));)");
  ASSERT_TRUE(loop.ok()) << loop.status().to_string();
  EXPECT_THAT(*loop, HasSubstr("__label__ W_0; __label__ D_0; bool q = false; W_0: ; "));
  EXPECT_THAT(*loop, HasSubstr("if (q) goto D_0; goto W_0; D_0: ; "));
  EXPECT_FALSE(without_assembly(R"(asm("add.f32 %0, %1, 0f3F!;" : "=f"(a) : "f"(b));)").ok());
  EXPECT_FALSE(without_assembly("asm volatile(x);").ok());
}

}  // namespace
}  // namespace planish::cuda
