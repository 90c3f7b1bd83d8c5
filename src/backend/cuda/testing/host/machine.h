// The GPU that emitted kernels see when they run on the host. Their sources are printed as C++ by
// host_run_testing.cc (inline PTX by ptx_text.h), compiled with the host's compiler and given a
// Machine, through which everything goes that a plain C++ thread has not: barriers, lanes of a warp,
// clusters, TMA, tensor cores.
//
// Threads are fibers that run one at a time and change only where they wait. Copies and products that
// the GPU does beside its threads are done at the worst moment that is allowed: a TMA load lands when
// nothing else can go on (in a drawn order), a wgmma runs when it is waited for. A kernel that reads
// too early reads poison (NaN); one that overwrites too early spoils its own operands.
//
// Shared addresses (32 bits) are offsets into the block's shared memory; the top byte says which block
// of the cluster, 0: the thread's own, r + 1: of rank r.
//
// This header is included by the generated code: standard headers only.
#pragma once
#include <cstddef>
#include <cstdint>

namespace planish_host {

struct Place {
  unsigned x = 1, y = 1, z = 1;
};

// A tensor that TMA reads, as its tensor map describes it; element sizes in bytes.
struct MapView {
  const unsigned char* base = nullptr;
  int rank = 0, element_bytes = 2;
  bool tf32 = false, im2col = false;
  uint64_t dims[5] = {}, byte_strides[5] = {};  // innermost first; byte_strides[0] is the element's
  uint32_t steps[5] = {1, 1, 1, 1, 1};          // element strides
  uint32_t box[5] = {};
  int32_t lower[3] = {}, upper[3] = {};
  uint32_t channels = 0, pixels = 0;
  int swizzle = 0;  // 0 none, 1: 32, 2: 64, 3: 128 bytes
};

enum class Element : uint8_t { kF16, kBF16, kTf32 };

// One wgmma.mma_async: m64n<n>, 32 bytes of depth.
struct Wgmma {
  Element element = Element::kF16;
  int n = 0;
  bool a_in_registers = false, a_transposed = false, b_transposed = false;
};

class Machine {
 public:
  // Conversions that not every compiler has; nearest, ties to even.
  virtual float half_to_float(uint16_t h) const = 0;
  virtual uint16_t float_to_half(float f) const = 0;

  // Of the running thread.
  Place thread, block, block_dim, grid_dim;
  uint32_t rank = 0;

  virtual ~Machine() = default;
  // Ends the run with an error; the thread does not go on.
  [[noreturn]] virtual void fail(const char* why) = 0;

  virtual void sync_block() = 0;
  virtual void sync_named(uint32_t barrier, uint32_t threads) = 0;
  // Waits for the lanes of `mask` (those that still run), then calls act once with what each brought;
  // lanes that did not come have null.
  virtual void meet_warp(uint32_t mask, void (*act)(void** slots), void* slot) = 0;
  // Before it returns the step's inputs are poison (emit/emitted_kernel.h).
  virtual void grid_wait() = 0;

  // ---- shared memory
  virtual unsigned char* dynamic_shared() = 0;
  virtual uint32_t shared_address(const void* p) = 0;
  virtual unsigned char* shared_bytes(uint32_t address, uint32_t bytes) = 0;

  // ---- clusters
  virtual uint32_t address_of_rank(uint32_t address, uint32_t rank) = 0;
  virtual void cluster_arrive() = 0;
  virtual void cluster_wait() = 0;

  // ---- mbarriers
  virtual void barrier_init(uint32_t at, uint32_t arrivals) = 0;
  virtual void barrier_arrive(uint32_t at, uint32_t expected_bytes) = 0;
  virtual void barrier_wait(uint32_t at, uint32_t parity) = 0;

  // ---- cp.async: 16 bytes of which the first `given` are copied, the others zeros; here when waited for.
  virtual void copy_later(uint32_t to, const void* from, uint32_t given) = 0;
  virtual void copies_wait() = 0;

  // ---- TMA. `ranks`: blocks of the cluster that get the bytes at the same place; 0: at `to` alone.
  virtual void load_box(uint32_t to, const void* map, uint32_t barrier, const int* at, uint32_t ranks) = 0;
  virtual void load_pixels(uint32_t to, const void* map, uint32_t barrier, const int* at, uint32_t dx,
                           uint32_t dy, uint32_t ranks) = 0;
  // st.async: bytes that land in a block of the cluster and count on a barrier there.
  virtual void store_later(uint32_t to, const void* from, uint32_t bytes, uint32_t barrier) = 0;
  virtual void load_bytes(uint32_t to, const void* from, uint32_t bytes, uint32_t barrier) = 0;

  // ---- tensor cores. `a`: a descriptor, or with a_in_registers four words.
  virtual void wgmma(const Wgmma& op, void* const* sums, const uint64_t* a, uint64_t b, bool add) = 0;
  virtual void wgmma_commit() = 0;
  virtual void wgmma_wait(uint32_t pending) = 0;
  // ldmatrix and stmatrix of `count` 8x8 matrices.
  virtual void load_matrices(void* const* words, uint32_t address, int count, bool turned) = 0;
  virtual void store_matrices(void* const* words, uint32_t address, int count) = 0;
  // mma.sync m16n8k<depth>: sums = a b + c
  virtual void mma(Element element, int depth, void* const* sums, void* const* a, void* const* b,
                   void* const* c) = 0;
};

// One kernel as the generated code offers it.
struct HostKernel {
  void (*body)(void** args);
  const unsigned* parameter_bytes;  // of each parameter; 0 ends the list
  void* shared_begin;  // its static shared memory; null where it has none
  void* shared_end;
  bool meets;          // threads wait for each other somewhere
};

}  // namespace planish_host
