#include "base/thread_team.h"

#include <algorithm>
#include <cfenv>

#if defined(__linux__)
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace planish {
namespace {

constexpr int kSpins = 500;
constexpr uint32_t kClosed = 0x7fffffff;

thread_local bool inside_task = false;

void pause_briefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Denormals kept, round to nearest, exceptions masked; the former mode comes back at the end of the
// scope.
class FloatingPointScope {
 public:
#if defined(__x86_64__)
  FloatingPointScope() : old_(__builtin_ia32_stmxcsr()) { __builtin_ia32_ldmxcsr(0x1f80); }
  ~FloatingPointScope() { __builtin_ia32_ldmxcsr(old_); }

 private:
  unsigned old_;
#else
  FloatingPointScope() {
    std::fegetenv(&old_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~FloatingPointScope() { std::fesetenv(&old_); }

 private:
  std::fenv_t old_;
#endif
};

class TaskScope {
 public:
  TaskScope() { inside_task = true; }
  ~TaskScope() { inside_task = false; }

 private:
  FloatingPointScope floating_point_;
};

void sleep_while(std::atomic<uint32_t>& word, uint32_t old) {
#if defined(__linux__)
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAIT_PRIVATE, old, nullptr, nullptr,
          0);
#else
  word.wait(old);
#endif
}

void wake_all(std::atomic<uint32_t>& word) {
#if defined(__linux__)
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAKE_PRIVATE, 1 << 30, nullptr,
          nullptr, 0);
#else
  word.notify_all();
#endif
}

void name_this_thread(const std::string& name, int thread) {
#if defined(__linux__)
  if (!name.empty())
    pthread_setname_np(pthread_self(), (name.substr(0, 11) + "-" + std::to_string(thread)).c_str());
#else
  (void)name, (void)thread;
#endif
}

int64_t range_begin(int64_t count, int thread, int threads) {
  return count / threads * thread + count % threads * thread / threads;
}

}  // namespace

ThreadTeam::ThreadTeam(int threads, std::string name)
    : size_(std::max(threads, 1)), claims_(std::make_unique<Claims[]>(size_)) {
  threads_.reserve(size_ - 1);
  for (int t = 1; t < size_; t++) threads_.emplace_back([this, t, name] { run_worker(t, name); });
}

ThreadTeam::ThreadTeam(const HostParallelFor& host)
    : size_(std::max(host.threads, 1)), host_(host), claims_(std::make_unique<Claims[]>(size_)) {}

ThreadTeam::~ThreadTeam() {
  stop_ = true;
  signal(current_);
  for (auto& t : threads_) t.join();
}

void ThreadTeam::parallel_for(int64_t count, RangeFn fn, int64_t grain) {
  if (count <= 0) return;
  if (inside_task) return fn(0, count, 0);
  Loop loop;
  loop.count = count;
  loop.fn = &fn;
  loop.grain = grain > 0 ? grain : std::max<int64_t>(1, count / (16 * size_));
  // A claim counts pieces in 31 bits.
  loop.grain = std::max(loop.grain, count / (kClosed / 2) + 1);
  std::unique_lock<std::mutex> lock(callers_, std::defer_lock);
  if (size_ == 1 || count <= loop.grain) {
    TaskScope scope;
    // With one thread there is nobody to disturb; with more, thread 0 may be busy in another
    // caller's loop.
    if (size_ > 1) lock.lock();
    return fn(0, count, 0);
  }
  lock.lock();
  publish(loop);
  if (host_.run != nullptr) {
    run_on_host(loop);
    return;
  }
  const uint32_t number = current_.value.load(std::memory_order_relaxed);
  {
    TaskScope scope;
    work_on(loop, number, 0);
  }
  wait(finished_, number - 1);
}

// The counters are closed before the loop's description changes and opened after it: a late worker
// that mixes the descriptions of two loops can therefore claim nothing.
void ThreadTeam::publish(const Loop& loop) {
  const uint32_t number = current_.value.load(std::memory_order_relaxed) + 1;
  for (int t = 0; t < size_; t++)
    claims_[t].value.store(uint64_t{number} << 32 | kClosed, std::memory_order_release);
  done_.store(0, std::memory_order_relaxed);
  count_.store(loop.count, std::memory_order_release);
  grain_.store(loop.grain, std::memory_order_release);
  fn_.store(loop.fn, std::memory_order_release);
  for (int t = 0; t < size_; t++)
    claims_[t].value.store(uint64_t{number} << 32, std::memory_order_release);
  signal(current_);
}

bool ThreadTeam::claim(int victim, uint32_t number, int64_t pieces, int64_t* piece) {
  std::atomic<uint64_t>& next = claims_[victim].value;
  uint64_t v = next.load(std::memory_order_acquire);
  while (static_cast<uint32_t>(v >> 32) == number &&
         static_cast<int64_t>(v & 0xffffffff) < pieces) {
    if (next.compare_exchange_weak(v, v + 1, std::memory_order_acq_rel)) {
      *piece = static_cast<int64_t>(v & 0xffffffff);
      return true;
    }
  }
  return false;
}

void ThreadTeam::work_on(const Loop& loop, uint32_t number, int thread) {
  for (int i = 0; i < size_; i++) {
    const int victim = (thread + i) % size_;
    const int64_t begin = range_begin(loop.count, victim, size_),
                  end = range_begin(loop.count, victim + 1, size_);
    const int64_t pieces = std::min<int64_t>((end - begin + loop.grain - 1) / loop.grain, kClosed);
    for (int64_t piece; claim(victim, number, pieces, &piece);) {
      const int64_t from = begin + piece * loop.grain, to = std::min(from + loop.grain, end);
      (*loop.fn)(from, to, thread);
      // Whoever finishes the last task closes the loop.
      if (done_.fetch_add(to - from, std::memory_order_acq_rel) + (to - from) == loop.count)
        signal(finished_);
    }
  }
}

void ThreadTeam::run_on_host(const Loop& loop) {
  struct Context {
    ThreadTeam* team;
    const Loop* loop;
    uint32_t number;
  } context{this, &loop, current_.value.load(std::memory_order_relaxed)};
  host_.run(
      host_.context, size_,
      [](void* p, int64_t i) {
        auto& c = *static_cast<Context*>(p);
        TaskScope scope;
        c.team->work_on(*c.loop, c.number, static_cast<int>(i));
      },
      &context);
}

void ThreadTeam::run_worker(int thread, std::string name) {
  name_this_thread(name, thread);
  TaskScope scope;
  for (uint32_t seen = 0;;) {
    wait(current_, seen);
    if (stop_.load(std::memory_order_acquire)) return;
    seen = current_.value.load(std::memory_order_acquire);
    Loop loop;
    loop.fn = fn_.load(std::memory_order_acquire);
    loop.grain = grain_.load(std::memory_order_acquire);
    loop.count = count_.load(std::memory_order_acquire);
    work_on(loop, seen, thread);
  }
}

void ThreadTeam::signal(Word& word) {
  word.value.fetch_add(1, std::memory_order_seq_cst);
  if (sleepers_.load(std::memory_order_seq_cst) != 0) wake_all(word.value);
}

void ThreadTeam::wait(Word& word, uint32_t old) {
  for (int i = 0; i < kSpins; i++) {
    if (word.value.load(std::memory_order_acquire) != old) return;
    pause_briefly();
  }
  sleepers_.fetch_add(1, std::memory_order_seq_cst);
  while (word.value.load(std::memory_order_seq_cst) == old) sleep_while(word.value, old);
  sleepers_.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace planish
