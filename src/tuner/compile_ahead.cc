#include "tuner/compile_ahead.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <new>
#include <thread>

#include "base/activity.h"
#include "base/text.h"

namespace planish::tuner {

std::vector<std::optional<Result<kernel::Blob>>> compile_ahead(const std::vector<CompileJob>& jobs,
                                                               const kernel::DeviceInfo& device,
                                                               const std::function<bool()>& stop) {
  std::vector<std::optional<Result<kernel::Blob>>> made(jobs.size());
  constexpr size_t kMostThreads = 16;
  const size_t cores = std::max(1u, std::thread::hardware_concurrency());
  std::atomic<size_t> next{0};
  std::mutex mutex;  // `stop` is the caller's and may expect one thread
  const auto stopped = [&] {
    if (!stop) return false;
    std::lock_guard lock(mutex);
    return stop();
  };
  const auto work = [&] {
    for (size_t i; (i = next++) < jobs.size() && !stopped();) {
      try {
        const Activity compiling([&] {
          return cat("compiling ", jobs[i].kernel->name(), " [", jobs[i].tactic->to_string(), "] of ",
                     kernel::describe(*jobs[i].problem));
        });
        made[i] = jobs[i].kernel->compile(*jobs[i].problem, *jobs[i].tactic, device);
      } catch (const std::bad_alloc&) {  // must not leave a thread
        made[i] = resource_exhausted(cat("no memory to compile ", jobs[i].kernel->name()));
      }
    }
  };
  std::vector<std::thread> threads;
  for (size_t i = 1; i < std::min({cores, kMostThreads, jobs.size()}); ++i)
    threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  return made;
}

}  // namespace planish::tuner
