#include "backend/cuda/families/wgmma/device_text.h"

#include "base/text.h"

namespace planish::cuda::wgmma {

std::string_view async_text() {
  return R"CUDA(
DEV u32 shared_address(const void* p) { return (u32)__cvta_generic_to_shared(p); }

// ---- barriers in shared memory: a phase ends when all arrivals and announced bytes are in
DEV void barrier_init(u32 barrier, u32 arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals));
}
DEV void barrier_init_fence() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }
DEV void barrier_expect(u32 barrier, u32 bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
}
DEV void barrier_arrive(u32 barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}
DEV u32 of_rank(u32 address, u32 rank) {
  u32 out;
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(out) : "r"(address), "r"(rank));
  return out;
}
DEV void barrier_arrive_at(u32 barrier, u32 rank) {
  asm volatile("mbarrier.arrive.shared::cluster.b64 _, [%0];" ::"r"(of_rank(barrier, rank)) : "memory");
}
// Waits for the end of the phase of that parity; right only while at most one phase ahead.
DEV void barrier_wait(u32 barrier, u32 parity) {
#ifdef TRAP_ON_HANG
  for (int i = 0; i < 200; ++i) {
    u32 done;
    asm volatile("{.reg .pred q; mbarrier.try_wait.parity.shared::cta.b64 q, [%1], %2, 0x989680; selp.u32 %0, 1, 0, q;}"
                 : "=r"(done) : "r"(barrier), "r"(parity) : "memory");
    if (done) return;
  }
  __trap();
#else
  asm volatile(
      "{.reg .pred q; W%=: mbarrier.try_wait.parity.shared::cta.b64 q, [%0], %1, 0x989680; @q bra D%=; bra W%=; D%=:}"
      ::"r"(barrier), "r"(parity) : "memory");
#endif
}

// ---- clusters
DEV u32 cluster_rank() {
  u32 rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}
DEV void cluster_arrive() { asm volatile("barrier.cluster.arrive.release;" ::: "memory"); }
DEV void cluster_wait() { asm volatile("barrier.cluster.wait.acquire;" ::: "memory"); }
DEV void cluster_sync() { cluster_arrive(); cluster_wait(); }

// ---- TMA: a box of a tensor into shared memory, its bytes counted on a barrier
DEV void prefetch_map(const TensorMap* map) { asm volatile("prefetch.tensormap [%0];" ::"l"(map)); }
DEV void load_box(u32 to, const TensorMap* map, u32 barrier, int x, int y, int z) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], [%2];"
      ::"r"(to), "l"(map), "r"(barrier), "r"(x), "r"(y), "r"(z) : "memory");
}
DEV void load_box_multicast(u32 to, const TensorMap* map, u32 barrier, int x, int y, int z, u16 ranks) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1, {%3, %4, %5}], [%2], %6;"
      ::"r"(to), "l"(map), "r"(barrier), "r"(x), "r"(y), "r"(z), "h"(ranks) : "memory");
}
// Consecutive output pixels seen through one filter tap.
DEV void load_pixels(u32 to, const TensorMap* map, u32 barrier, int c, int w, int h, int n, u16 dw, u16 dh) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5, %6}], [%2], {%7, %8};"
      ::"r"(to), "l"(map), "r"(barrier), "r"(c), "r"(w), "r"(h), "r"(n), "h"(dw), "h"(dh) : "memory");
}
DEV void load_pixels_multicast(u32 to, const TensorMap* map, u32 barrier, int c, int w, int h, int n, u16 dw,
                                  u16 dh, u16 ranks) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1, {%3, %4, %5, %6}], [%2], {%7, %8}, %9;"
      ::"r"(to), "l"(map), "r"(barrier), "r"(c), "r"(w), "r"(h), "r"(n), "h"(dw), "h"(dh), "h"(ranks) : "memory");
}
// Plain bytes, multiples of 16.
DEV void load_bytes(u32 to, const void* from, u32 bytes, u32 barrier) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];"
               ::"r"(to), "l"(from), "r"(bytes), "r"(barrier) : "memory");
}

// ---- wgmma
// Descriptor of a tile in shared memory. Swizzle 1: 128-byte rows, 2: 64-byte rows, 0: none. K-major
// tiles: `next_rows` is the distance of 8-row groups, `leading` that of 16-byte chunks of depth (no
// swizzle only). MN-major tiles: `next_rows` is the distance of 8 deep, `leading` of 64 elements.
DEV u64 matrix(u32 address, u32 swizzle, u32 leading, u32 next_rows) {
  return (u64)((address & 0x3ffff) >> 4) | ((u64)(leading >> 4) << 16) | ((u64)(next_rows >> 4) << 32) |
         ((u64)swizzle << 62);
}
DEV void wgmma_begin() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
DEV void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int kPending> DEV void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}
template <int kCount> DEV void more_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kCount));
}
template <int kCount> DEV void fewer_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kCount));
}
// Orders ordinary accesses of shared memory before what TMA or wgmma do next.
DEV void async_fence() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
)CUDA";
}

std::string instruction_text(std::string_view name, ir::DataType type, int n, Operand a,
                             bool b_mn_major) {
  using ir::DataType;
  const bool half = type == DataType::kF16 || type == DataType::kBF16;
  const std::string_view types = type == DataType::kF16    ? "k16.f32.f16.f16"
                                 : type == DataType::kBF16 ? "k16.f32.bf16.bf16"
                                                           : "k8.f32.tf32.tf32";
  const bool registers = a == Operand::kRegisters;
  const int sums = n / 2, b = sums + (registers ? 4 : 1);
  std::string out = cat("DEV void ", name, "(float (&sum)[", sums, "], ",
                        registers ? "const u32 (&a)[4]" : "u64 a",
                        ", u64 b, bool add) {\n  asm volatile(\"{.reg .pred p; setp.ne.b32 p, %", b + 1,
                        ", 0; wgmma.mma_async.sync.aligned.m64n", n, types, " {");
  for (int i = 0; i < sums; ++i) out += cat(i ? ", %" : "%", i);
  out += "}, ";
  if (registers) out += cat("{%", sums, ", %", sums + 1, ", %", sums + 2, ", %", sums + 3, "}");
  else out += cat("%", sums);
  out += cat(", %", b, ", p, 1, 1");
  if (half && !registers) out += a == Operand::kSharedMnMajor ? ", 1" : ", 0";
  if (half) out += b_mn_major ? ", 1" : ", 0";
  out += ";}\"\n      : ";
  for (int i = 0; i < sums; ++i) out += cat(i ? ", \"+f\"(sum[" : "\"+f\"(sum[", i, "])");
  out += "\n      : ";
  if (registers) out += "\"r\"(a[0]), \"r\"(a[1]), \"r\"(a[2]), \"r\"(a[3])";
  else out += "\"l\"(a)";
  out += ", \"l\"(b), \"r\"((int)add));\n}\n";
  return out;
}

}  // namespace planish::cuda::wgmma
