// Long work that Ctrl-C can end.
//
// Python handles a signal on its main thread only, between its own instructions: C++ that runs there
// for minutes would hold it back. So the work gets a thread of its own, without Python's lock, while
// the calling thread waits and lets Python look for signals. A signal handler that raises cancels the
// work, waits for its end, and is raised then: nothing runs on behind the caller's back.
#pragma once
#include <nanobind/nanobind.h>

#include <chrono>
#include <exception>
#include <future>
#include <utility>

#include "planish/host.h"

namespace planish::python {

// The value of work(), or what it or a signal handler threw. Called with Python's lock held; `work`
// runs without it and must end soon after `cancel` is set.
template <class Work>
auto run_interruptibly(const CancelToken& cancel, Work&& work) {
  auto outcome = std::async(std::launch::async, std::forward<Work>(work));
  constexpr std::chrono::milliseconds kBetweenLooks(50);
  std::exception_ptr interrupt;
  for (bool done = false; !done;) {
    {
      nanobind::gil_scoped_release release;
      done = outcome.wait_for(kBetweenLooks) == std::future_status::ready;
    }
    if (done || interrupt || PyErr_CheckSignals() == 0) continue;
    interrupt = std::make_exception_ptr(nanobind::python_error());
    cancel.cancel();
  }
  if (interrupt) std::rethrow_exception(interrupt);
  return outcome.get();
}

}  // namespace planish::python
