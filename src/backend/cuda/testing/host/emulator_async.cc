// What the emulated GPU does beside its threads: loads by TMA and products of tensor cores.
#include <algorithm>
#include <cstring>

#include "backend/cuda/testing/host/emulator.h"

namespace planish_host {

uint32_t Emulator::shared_address(const void* p) {
  const uint32_t address = shared_.address(rank, p);
  if (!address) fail("an address that is not in shared memory");
  return address;
}

unsigned char* Emulator::shared_bytes(uint32_t address, uint32_t bytes) {
  if (unsigned char* p = shared_.find(rank, address, bytes)) return p;
  fail("an access outside of shared memory");
}

void Emulator::barrier_init(uint32_t at, uint32_t arrivals) {
  if (at % 8) fail("an mbarrier that is not 8-byte aligned");
  std::memset(shared_bytes(at, 8), 0, 8);
  barriers_.init(SharedMemory::rank_of(rank, at), SharedMemory::offset_of(at), arrivals);
}

void Emulator::barrier_arrive(uint32_t at, uint32_t expected_bytes) {
  const std::string wrong =
      barriers_.arrive(SharedMemory::rank_of(rank, at), SharedMemory::offset_of(at), expected_bytes);
  if (!wrong.empty()) fail(wrong.c_str());
}

void Emulator::barrier_wait(uint32_t at, uint32_t parity) {
  const uint32_t of = SharedMemory::rank_of(rank, at), offset = SharedMemory::offset_of(at);
  if (!barriers_.known(of, offset)) fail("a wait for a barrier that was not made");
  if (barriers_.passed(of, offset, parity)) return;
  self().key = at;
  self().count = parity;
  wait_as(Wait::kBarrier);
}

void Emulator::later(std::function<void()> load) {
  if (launch_->eager) return load();
  loads_.push_back(std::move(load));
}

// One of the loads under way, whichever.
bool Emulator::land_one() {
  if (loads_.empty()) return false;
  const size_t i = random_() % loads_.size();
  const std::function<void()> load = std::move(loads_[i]);
  loads_.erase(loads_.begin() + std::ptrdiff_t(i));
  load();
  return true;
}

void Emulator::land(uint32_t own, uint32_t to, uint32_t barrier, const Brought& brought, int swizzle,
                    uint32_t ranks) {
  const uint32_t first = SharedMemory::rank_of(own, to);
  for (uint32_t r = 0; r < launch_->cluster; ++r) {
    if (ranks ? !(ranks >> r & 1) : r != first) continue;
    for (size_t i = 0; i < brought.bytes.size(); i += 16) {
      const size_t count = std::min<size_t>(16, brought.bytes.size() - i);
      unsigned char* p = shared_.find(r, SharedMemory::of_rank(swizzled(to + uint32_t(i), swizzle), r), count);
      if (!p) return note("a load that lands outside of shared memory");
      std::memcpy(p, brought.bytes.data() + i, count);
    }
    const std::string wrong =
        barriers_.complete_bytes(r, SharedMemory::offset_of(barrier), int64_t(brought.bytes.size()));
    if (!wrong.empty()) return note(wrong);
  }
}

namespace {
const MapView& view_of(const void* map) {
  const MapView* view = nullptr;  // the first word of a TensorMap is where its view is
  std::memcpy(&view, map, sizeof(view));
  return *view;
}
}  // namespace

void Emulator::load_box(uint32_t to, const void* map, uint32_t barrier, const int* at, uint32_t ranks) {
  const MapView& view = view_of(map);
  if (view.im2col || to % 128) fail("a box from a map of pixels, or to an address off 128");
  if (view.swizzle && view.box[0] * uint32_t(view.element_bytes) > 16u << view.swizzle)
    fail("a box wider than its swizzle");
  std::vector<int> place(at, at + view.rank);
  later([=, this, own = rank, &view, place = std::move(place)] {
    land(own, to, barrier, bring_box(view, place.data()), view.swizzle, ranks);
  });
}

void Emulator::load_pixels(uint32_t to, const void* map, uint32_t barrier, const int* at, uint32_t dx,
                           uint32_t dy, uint32_t ranks) {
  const MapView& view = view_of(map);
  if (!view.im2col || to % 128) fail("pixels from a tiled map, or to an address off 128");
  std::vector<int> place(at, at + 4);
  later([=, this, own = rank, &view, place = std::move(place)] {
    land(own, to, barrier, bring_pixels(view, place.data(), dx, dy), view.swizzle, ranks);
  });
}

void Emulator::store_later(uint32_t to, const void* from, uint32_t bytes, uint32_t barrier) {
  if (SharedMemory::rank_of(rank, to) != SharedMemory::rank_of(rank, barrier)) fail("st.async that counts in another block");
  if (to % bytes) fail("a misaligned st.async");
  Brought brought;
  const auto* p = static_cast<const unsigned char*>(from);
  brought.bytes.assign(p, p + bytes);
  later([=, this, own = rank] { land(own, to, barrier, brought, 0, 0); });
}

void Emulator::load_bytes(uint32_t to, const void* from, uint32_t bytes, uint32_t barrier) {
  if (bytes % 16 || to % 16 || reinterpret_cast<uintptr_t>(from) % 16) fail("a bulk copy that is not 16-byte aligned");
  later([=, this, own = rank] {
    Brought brought;
    const auto* p = static_cast<const unsigned char*>(from);
    brought.bytes.assign(p, p + bytes);
    brought.row_bytes = bytes;
    land(own, to, barrier, brought, 0, 0);
  });
}

void Emulator::wgmma(const Wgmma& op, void* const* sums, const uint64_t* a, uint64_t b, bool add) {
  Product product{op, {sums, sums + op.n / 2}, a[0], b, {}, add};
  if (op.a_in_registers)
    for (int i = 0; i < 4; ++i) product.words[i] = uint32_t(a[i]);
  self().open.push_back(std::move(product));
  if (launch_->eager) {  // at once, with the group's other threads
    self().groups.push_back(std::move(self().open));
    self().open.clear();
    self().count = 0;
    wait_as(Wait::kProducts);
  }
}

void Emulator::wgmma_commit() {
  self().groups.push_back(std::move(self().open));
  self().open.clear();
}

void Emulator::wgmma_wait(uint32_t pending) {
  self().count = pending;
  wait_as(Wait::kProducts);
}

// Carries out what the warpgroup at `begin` waits for.
bool Emulator::multiply(size_t begin) {
  const Thread& t = threads_[begin];
  for (size_t i = begin; i < begin + 128; ++i) {
    const Thread& other = threads_[i];
    if (other.done || other.wait != Wait::kProducts) return false;
    if (other.count != t.count || other.groups.size() != t.groups.size()) {
      note("a warpgroup whose threads wait for different products");
      return false;
    }
  }
  while (threads_[begin].groups.size() > t.count && error_.empty()) run_products(begin);
  for (size_t i = begin; i < begin + 128; ++i) threads_[i].wait = Wait::kNone;
  return true;
}

void Emulator::run_products(size_t begin) {
  const std::vector<Product>& first = threads_[begin].groups[0];
  for (size_t p = 0; p < first.size(); ++p) {
    WgmmaCall call;
    call.op = first[p].op;
    call.a = first[p].a;
    call.b = first[p].b;
    call.add = first[p].add;
    for (size_t i = 0; i < 128; ++i) {
      const std::vector<Product>& own = threads_[begin + i].groups[0];
      if (own.size() != first.size() || own[p].b != call.b || own[p].add != call.add ||
          (!call.op.a_in_registers && own[p].a != call.a))
        return note("a warpgroup whose threads ask for different products");
      call.sums[i] = own[p].sums.data();
      std::memcpy(call.a_words[i], own[p].words, sizeof(call.a_words[i]));
    }
    const uint32_t own = threads_[begin].rank;
    if (!run_wgmma(call, [&](uint32_t address, uint32_t bytes) { return shared_.find(own, address, bytes); }))
      return note("a wgmma that reads outside of shared memory");
  }
  for (size_t i = 0; i < 128; ++i) threads_[begin + i].groups.erase(threads_[begin + i].groups.begin());
}

void Emulator::load_matrices(void* const* words, uint32_t address, int count, bool turned) {
  if (address % 16) fail("ldmatrix from an address off 16");
  LoadLane lane{shared_bytes(address, 16), words, count, turned};
  meet_warp(~0u, run_load_matrices, &lane);
}

void Emulator::store_matrices(void* const* words, uint32_t address, int count) {
  if (address % 16) fail("stmatrix to an address off 16");
  StoreLane lane{shared_bytes(address, 16), words, count};
  meet_warp(~0u, run_store_matrices, &lane);
}

void Emulator::copy_later(uint32_t to, const void* from, uint32_t given) {
  if (to % 16 || reinterpret_cast<uintptr_t>(from) % 16) fail("cp.async between addresses off 16");
  if (given > 16) fail("cp.async of more than 16 bytes");
  self().copies.push_back({shared_bytes(to, 16), from, given});
}

void Emulator::copies_wait() {
  for (const Copy& copy : self().copies) {
    std::memset(copy.to, 0, 16);
    if (copy.given) std::memcpy(copy.to, copy.from, copy.given);
  }
  self().copies.clear();
}

void Emulator::mma(Element element, int depth, void* const* sums, void* const* a, void* const* b,
                   void* const* c) {
  MmaLane lane{element, depth, sums, a, b, c};
  meet_warp(~0u, run_mma, &lane);
}

}  // namespace planish_host
