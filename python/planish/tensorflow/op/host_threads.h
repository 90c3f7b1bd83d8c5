// TensorFlow's threads behind Planish's parallel loops.
#pragma once
#include <atomic>
#include <memory>
#include <thread>

#include "tensorflow/core/lib/core/threadpool.h"

namespace planish_tensorflow {

using namespace tensorflow;  // NOLINT: the code of a TensorFlow kernel

// TensorFlow's intra-op threads as Planish's. The caller works too and waits for tasks that others
// have begun only, so that it cannot wait for itself on a pool that is full.
inline void run_on_pool(void* user, int64_t count, void (*task)(void*, int64_t), void* task_context) {
  struct State {
    std::atomic<int64_t> next{0}, done{0};
  };
  auto state = std::make_shared<State>();
  const auto work = [state, count, task, task_context] {
    for (int64_t i; (i = state->next.fetch_add(1)) < count;) {
      task(task_context, i);
      state->done.fetch_add(1, std::memory_order_release);
    }
  };
  for (int64_t i = 1; i < count; ++i) static_cast<thread::ThreadPool*>(user)->Schedule(work);
  work();
  for (int spins = 0; state->done.load(std::memory_order_acquire) < count; ++spins)
    if (spins > 1000) std::this_thread::yield();
}

}  // namespace planish_tensorflow
