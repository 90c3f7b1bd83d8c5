// Machine as fibers on one thread of the host: runs a kernel block by block, a cluster at a time.
#pragma once
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "backend/cuda/testing/host/fiber.h"
#include "backend/cuda/testing/host/machine.h"
#include "backend/cuda/testing/host/matrix.h"
#include "backend/cuda/testing/host/memory.h"
#include "base/float_types.h"

namespace planish_host {

struct Launch {
  HostKernel kernel;
  void** args = nullptr;
  Place grid, block;
  uint32_t cluster = 1;       // along x
  size_t shared_bytes = 0;    // dynamic
  uint64_t seed = 0;          // of the order of threads and of late loads
  bool eager = false;         // loads and products at once instead of as late as they may be
  // Puts the step's inputs in place; called when a thread has waited for them. Empty: they are there.
  std::function<void()> inputs_arrive;
};

class Emulator final : public Machine {
 public:
  // "" or what went wrong.
  std::string run(const Launch& launch);

  float half_to_float(uint16_t h) const override { return planish::half_to_float(h); }
  uint16_t float_to_half(float f) const override { return planish::float_to_half(f); }
  [[noreturn]] void fail(const char* why) override;
  void sync_block() override { wait_as(Wait::kBlock); }
  void sync_named(uint32_t barrier, uint32_t threads) override;
  void meet_warp(uint32_t mask, void (*act)(void** slots), void* slot) override;
  void grid_wait() override;
  unsigned char* dynamic_shared() override { return shared_.dynamic(rank); }
  uint32_t shared_address(const void* p) override;
  unsigned char* shared_bytes(uint32_t address, uint32_t bytes) override;
  uint32_t address_of_rank(uint32_t address, uint32_t of) override { return SharedMemory::of_rank(address, of); }
  void cluster_arrive() override;
  void cluster_wait() override;
  void barrier_init(uint32_t at, uint32_t arrivals) override;
  void barrier_arrive(uint32_t at, uint32_t expected_bytes) override;
  void barrier_wait(uint32_t at, uint32_t parity) override;
  void load_box(uint32_t to, const void* map, uint32_t barrier, const int* at, uint32_t ranks) override;
  void load_pixels(uint32_t to, const void* map, uint32_t barrier, const int* at, uint32_t dx, uint32_t dy,
                   uint32_t ranks) override;
  void store_later(uint32_t to, const void* from, uint32_t bytes, uint32_t barrier) override;
  void load_bytes(uint32_t to, const void* from, uint32_t bytes, uint32_t barrier) override;
  void wgmma(const Wgmma& op, void* const* sums, const uint64_t* a, uint64_t b, bool add) override;
  void wgmma_commit() override;
  void wgmma_wait(uint32_t pending) override;
  void load_matrices(void* const* words, uint32_t address, int count, bool turned) override;
  void store_matrices(void* const* words, uint32_t address, int count) override;
  void mma(Element element, int depth, void* const* sums, void* const* a, void* const* b,
           void* const* c) override;
  void copy_later(uint32_t to, const void* from, uint32_t given) override;
  void copies_wait() override;

 private:
  enum class Wait : uint8_t { kNone, kBlock, kNamed, kWarp, kCluster, kBarrier, kGrid, kProducts };
  struct Product {  // a wgmma that one thread has started
    Wgmma op;
    std::vector<void*> sums;
    uint64_t a = 0, b = 0;
    uint32_t words[4] = {};
    bool add = false;
  };
  struct Copy {
    unsigned char* to = nullptr;
    const void* from = nullptr;
    uint32_t given = 0;
  };
  struct Thread {
    Place at;
    uint32_t rank = 0;
    bool done = false;
    Wait wait = Wait::kNone;
    uint32_t key = 0, count = 0;  // of a named barrier; address and parity; lanes; groups left pending
    void (*act)(void**) = nullptr;
    void* slot = nullptr;
    uint64_t cluster_phase = 0;
    std::vector<std::vector<Product>> groups;  // committed, oldest first
    std::vector<Product> open;
    std::vector<Copy> copies;  // asked for by cp.async
  };

  static void thread_main(void* self);
  Thread& self() { return threads_[fibers_.current()]; }
  void wait_as(Wait wait);
  void note(const std::string& why);
  std::string run_alone(const Launch& launch);
  void run_cluster(const Launch& launch, const Place& first);
  bool run_warp(const Place& first, size_t begin, size_t end, bool downwards);
  bool may_go_on(const Thread& t);
  bool meet();
  bool meet_all(size_t begin, size_t end, Wait wait);
  bool meet_lanes(size_t begin, size_t end);
  bool meet_named(size_t begin, size_t end);
  bool multiply(size_t begin);
  void run_products(size_t begin);
  bool land_one();
  bool open_grid();
  std::string waiting_text() const;
  void later(std::function<void()> load);
  void land(uint32_t own, uint32_t to, uint32_t barrier, const Brought& brought, int swizzle, uint32_t ranks);

  const Launch* launch_ = nullptr;
  Fibers fibers_;
  std::vector<Thread> threads_;
  size_t block_threads_ = 0;
  SharedMemory shared_;
  Barriers barriers_;
  std::vector<std::function<void()>> loads_;
  std::mt19937_64 random_;
  uint64_t cluster_phase_ = 0, cluster_arrived_ = 0;
  bool inputs_here_ = true, on_fiber_ = false;
  std::string error_;
};

}  // namespace planish_host
