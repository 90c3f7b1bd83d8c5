// A persistent team of threads for short parallel loops, on machines that also do other things.
//
// A loop gives each thread a range of its own (locality, no shared writes while all goes well); a
// thread that is through takes pieces of the others' ranges. A loop ends when its tasks are done,
// not when all threads have arrived: a thread that was preempted between tasks holds nobody up, it
// finds the loop closed and skips to the current one. Waiting is a short spin, then sleep: a waiter
// gives its core back. Measured on two cores with a busy neighbour, spinning for ever made a 5 ms
// network take 220 ms at times; this costs at most one time slice.
//
// Between the loops of one network the workers are still spinning, so a sequence of parallel_for
// calls without long serial gaps pays no wake-ups: that is the "resident run", and it needs no call
// of its own. A host that owns its threads can stand behind the same interface (HostParallelFor).
//
// Floating-point mode: every task runs with denormals kept, round to nearest and exceptions masked,
// whatever the caller's mode; the caller's mode is back when parallel_for returns.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace planish {

// A borrowed callable: no allocation, must not outlive what it refers to.
template <class Signature>
class FunctionRef;

template <class Result, class... Args>
class FunctionRef<Result(Args...)> {
 public:
  template <class F, class = std::enable_if_t<!std::is_same_v<std::decay_t<F>, FunctionRef>>>
  FunctionRef(
      F&& f)  // NOLINT: implicit on purpose, a lambda is passed where a FunctionRef is taken
      : object_(const_cast<void*>(static_cast<const void*>(&f))),
        call_([](void* object, Args... args) -> Result {
          return (*static_cast<std::remove_reference_t<F>*>(object))(std::forward<Args>(args)...);
        }) {}

  Result operator()(Args... args) const { return call_(object_, std::forward<Args>(args)...); }

 private:
  void* object_;
  Result (*call_)(void*, Args...);
};

// How a host lends its threads. run must call task(task_context, i) once for every i in [0, count),
// on any threads, in any order, at the same time or one after another, and return when all calls
// have returned.
struct HostParallelFor {
  int threads = 1;  // how many calls of task may usefully run at the same time
  void* context = nullptr;
  void (*run)(void* context, int64_t count, void (*task)(void* task_context, int64_t i),
              void* task_context) = nullptr;
};

class ThreadTeam {
 public:
  using RangeFn = FunctionRef<void(int64_t begin, int64_t end, int thread)>;

  // The caller of parallel_for is thread 0, so threads - 1 are started; named name-1, name-2, ...
  // if name is not empty.
  explicit ThreadTeam(int threads, std::string name = "planish");
  explicit ThreadTeam(const HostParallelFor& host);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  int size() const { return size_; }

  // Calls fn on disjoint ranges that cover [0, count); returns when all are done, and their writes
  // are visible. thread is in [0, size()) and no two calls that run at the same time have the same
  // one. A range is at most grain long (0: chosen so that each thread gets about 16). Called from
  // inside a task of any team it runs serially as thread 0; called by several host threads the
  // loops run one after another. fn must not throw.
  void parallel_for(int64_t count, RangeFn fn, int64_t grain = 0);

 private:
  struct Loop {
    int64_t count = 0, grain = 1;
    const RangeFn* fn = nullptr;
  };
  // High half: loop number. Low half: next piece of the owner's range.
  struct alignas(64) Claims {
    std::atomic<uint64_t> value{0};
  };
  struct alignas(64) Word {
    std::atomic<uint32_t> value{0};
  };

  void run_worker(int thread, std::string name);
  void work_on(const Loop& loop, uint32_t number, int thread);
  bool claim(int victim, uint32_t number, int64_t pieces, int64_t* piece);
  void publish(const Loop& loop);
  void signal(Word& word);
  void wait(Word& word, uint32_t old);
  void run_on_host(const Loop& loop);

  const int size_;
  HostParallelFor host_{};
  std::mutex callers_;
  std::unique_ptr<Claims[]> claims_;
  Word current_;   // number of the newest loop
  Word finished_;  // number of the newest loop whose tasks are all done
  alignas(64) std::atomic<int64_t> done_{0};
  alignas(64) std::atomic<int64_t> count_{0};
  std::atomic<int64_t> grain_{1};
  std::atomic<const RangeFn*> fn_{nullptr};
  alignas(64) std::atomic<int> sleepers_{0};
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
};

}  // namespace planish
