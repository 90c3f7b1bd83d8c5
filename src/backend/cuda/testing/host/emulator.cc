#include "backend/cuda/testing/host/emulator.h"

#include <algorithm>

namespace planish_host {

std::string Emulator::run(const Launch& launch) {
  launch_ = &launch;
  error_.clear();
  random_.seed(launch.seed);
  inputs_here_ = !launch.inputs_arrive;
  block_dim = launch.block;
  grid_dim = launch.grid;
  if (!launch.kernel.meets) return run_alone(launch);
  for (unsigned z = 0; z < launch.grid.z; ++z)
    for (unsigned y = 0; y < launch.grid.y; ++y)
      for (unsigned x = 0; x < launch.grid.x && error_.empty(); x += launch.cluster)
        run_cluster(launch, {x, y, z});
  return error_;
}

// Threads that wait for nobody run after each other, without stacks of their own.
std::string Emulator::run_alone(const Launch& launch) {
  const Place &g = launch.grid, &b = launch.block;
  rank = 0;
  shared_.prepare(1, launch.shared_bytes, nullptr, nullptr);
  for (block = {0, 0, 0}; block.z < g.z; ++block.z)
    for (block.y = 0; block.y < g.y; ++block.y)
      for (block.x = 0; block.x < g.x; ++block.x)
        for (thread = {0, 0, 0}; thread.z < b.z; ++thread.z)
          for (thread.y = 0; thread.y < b.y; ++thread.y)
            for (thread.x = 0; thread.x < b.x; ++thread.x) launch.kernel.body(launch.args);
  return error_;
}

void Emulator::thread_main(void* self) {
  auto& machine = *static_cast<Emulator*>(self);
  machine.launch_->kernel.body(machine.launch_->args);
}

void Emulator::run_cluster(const Launch& launch, const Place& first) {
  const Place& b = launch.block;
  block_threads_ = size_t(b.x) * b.y * b.z;
  const size_t count = block_threads_ * launch.cluster;
  threads_.assign(count, {});
  for (size_t i = 0; i < count; ++i) {
    const auto t = unsigned(i % block_threads_);
    threads_[i].rank = uint32_t(i / block_threads_);
    threads_[i].at = {t % b.x, t / b.x % b.y, t / (b.x * b.y)};
  }
  shared_.prepare(launch.cluster, launch.shared_bytes, launch.kernel.shared_begin, launch.kernel.shared_end);
  barriers_.clear();
  loads_.clear();
  cluster_phase_ = cluster_arrived_ = 0;
  fibers_.prepare(count, thread_main, this);
  // Warps upwards, downwards or in any order; each goes as far as it can before the next one.
  std::vector<size_t> warps;
  for (size_t begin = 0; begin < count; begin += block_threads_)
    for (size_t w = begin; w < begin + block_threads_; w += 32) warps.push_back(w);
  const uint64_t kind = random_() % 3;
  if (kind == 1) std::reverse(warps.begin(), warps.end());
  if (kind == 2) std::shuffle(warps.begin(), warps.end(), random_);
  for (;;) {
    bool ran = false;
    for (const size_t w : warps) {
      const size_t end = std::min(w + 32, w / block_threads_ * block_threads_ + block_threads_);
      do {
        ran |= run_warp(first, w, end, kind == 1);
        if (!error_.empty()) return;
      } while (meet_lanes(w, end));
    }
    const bool left = std::any_of(threads_.begin(), threads_.end(), [](const Thread& t) { return !t.done; });
    if (!left) break;
    if (ran || meet()) continue;
    if (!error_.empty()) return;
    if (land_one() || open_grid()) continue;
    return note("threads wait for each other: " + waiting_text());
  }
  while (land_one()) {
  }
  if (!shared_.guards_hold()) note("written beyond shared memory");
}

// Runs the threads of a warp that may go on, until each waits or ends.
bool Emulator::run_warp(const Place& first, size_t begin, size_t end, bool downwards) {
  bool ran = false;
  for (size_t n = begin; n < end; ++n) {
    const size_t i = downwards ? begin + end - 1 - n : n;
    Thread& t = threads_[i];
    if (t.done || !may_go_on(t)) continue;
    ran = true;
    t.wait = Wait::kNone;
    thread = t.at;
    rank = t.rank;
    block = {first.x + t.rank, first.y, first.z};
    on_fiber_ = true;
    t.done = !fibers_.resume(i);
    on_fiber_ = false;
    if (t.done && fibers_.overflowed(i)) note("a thread ran out of stack");
    if (!error_.empty()) break;
  }
  return ran;
}

void Emulator::wait_as(Wait wait) {
  self().wait = wait;
  fibers_.wait();
}

bool Emulator::may_go_on(const Thread& t) {
  switch (t.wait) {
    case Wait::kNone: return true;
    case Wait::kBarrier:
      return barriers_.passed(SharedMemory::rank_of(t.rank, t.key), SharedMemory::offset_of(t.key), t.count);
    case Wait::kCluster: return cluster_phase_ > t.cluster_phase;
    case Wait::kGrid: return inputs_here_;
    default: return false;
  }
}

// Lets threads go on whose meeting is complete.
bool Emulator::meet() {
  bool some = false;
  for (size_t begin = 0; begin < threads_.size(); begin += block_threads_) {
    const size_t end = begin + block_threads_;
    for (size_t g = begin; g + 128 <= end; g += 128) some |= multiply(g);
    some |= meet_named(begin, end);
    some |= meet_all(begin, end, Wait::kBlock);
  }
  return some;
}

bool Emulator::meet_all(size_t begin, size_t end, Wait wait) {
  bool some = false;
  for (size_t i = begin; i < end; ++i) {
    if (threads_[i].done) continue;
    if (threads_[i].wait != wait) return false;
    some = true;
  }
  for (size_t i = begin; i < end; ++i)
    if (!threads_[i].done) threads_[i].wait = Wait::kNone;
  return some;
}

bool Emulator::meet_named(size_t begin, size_t end) {
  for (size_t first = begin; first < end; ++first) {
    const Thread& t = threads_[first];
    if (t.done || t.wait != Wait::kNamed) continue;
    std::vector<size_t> met;
    for (size_t i = first; i < end; ++i)
      if (!threads_[i].done && threads_[i].wait == Wait::kNamed && threads_[i].key == t.key) met.push_back(i);
    if (met.size() < t.count) continue;
    for (const size_t i : met) threads_[i].wait = Wait::kNone;
    return true;
  }
  return false;
}

bool Emulator::meet_lanes(size_t begin, size_t end) {
  for (size_t first = begin; first < end; ++first) {
    const Thread& t = threads_[first];
    if (t.done || t.wait != Wait::kWarp) continue;
    void* slots[32] = {};
    bool all = true;
    for (size_t i = begin; i < end && all; ++i) {
      if (threads_[i].done || !(t.key >> (i - begin) & 1)) continue;
      all = threads_[i].wait == Wait::kWarp && threads_[i].key == t.key && threads_[i].act == t.act;
      slots[i - begin] = threads_[i].slot;
    }
    if (!all) continue;
    if (t.act) t.act(slots);
    const uint32_t mask = t.key;
    for (size_t i = begin; i < end; ++i)
      if (!threads_[i].done && mask >> (i - begin) & 1) threads_[i].wait = Wait::kNone;
    return true;
  }
  return false;
}

bool Emulator::open_grid() {
  if (inputs_here_) return false;
  const bool wanted = std::any_of(threads_.begin(), threads_.end(),
                                  [](const Thread& t) { return !t.done && t.wait == Wait::kGrid; });
  if (!wanted) return false;
  launch_->inputs_arrive();
  inputs_here_ = true;
  return true;
}

void Emulator::fail(const char* why) {
  note(why);
  for (;;) fibers_.wait();
}

void Emulator::note(const std::string& why) {
  if (error_.empty())
    error_ = why + " (block " + std::to_string(block.x) + " " + std::to_string(block.y) + " " +
             std::to_string(block.z) + ", thread " + std::to_string(thread.x) + ")";
}

std::string Emulator::waiting_text() const {
  static constexpr const char* kNames[] = {"nothing", "__syncthreads", "a named barrier", "their warp",
                                           "the cluster", "an mbarrier", "the grid", "products"};
  size_t counts[8] = {};
  for (const Thread& t : threads_)
    if (!t.done) ++counts[size_t(t.wait)];
  std::string out;
  for (size_t i = 0; i < 8; ++i)
    if (counts[i]) out += (out.empty() ? "" : ", ") + std::to_string(counts[i]) + " for " + kNames[i];
  return out;
}

void Emulator::sync_named(uint32_t barrier, uint32_t threads) {
  self().key = barrier;
  self().count = threads;
  wait_as(Wait::kNamed);
}

void Emulator::meet_warp(uint32_t mask, void (*act)(void** slots), void* slot) {
  Thread& t = self();
  t.key = mask;
  t.act = act;
  t.slot = slot;
  wait_as(Wait::kWarp);
}

void Emulator::grid_wait() {
  if (inputs_here_) return;
  if (on_fiber_) return wait_as(Wait::kGrid);
  launch_->inputs_arrive();
  inputs_here_ = true;
}

void Emulator::cluster_arrive() {
  self().cluster_phase = cluster_phase_;
  const auto left = size_t(std::count_if(threads_.begin(), threads_.end(), [](const Thread& t) { return !t.done; }));
  if (++cluster_arrived_ < left) return;
  cluster_arrived_ = 0;
  ++cluster_phase_;
}

void Emulator::cluster_wait() {
  if (cluster_phase_ <= self().cluster_phase) wait_as(Wait::kCluster);
}

}  // namespace planish_host
