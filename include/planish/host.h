// What a host program may bring: its threads, its allocator, its log, plugins and a way to cancel.
//
// All of it is optional. By default Planish runs on a thread team of its own, allocates with the
// system's allocator and logs warnings to stderr. Part of libplanish_runtime.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "planish/config.h"
#include "planish/status.h"

namespace planish {
PLANISH_API_NAMESPACE {

// The host's threads instead of our own. `run` calls task(task_context, i) once for each i in
// [0, count), on any threads, in any order, and returns when all calls have returned. It may be
// called by several threads at once; tasks throw nothing.
struct HostParallelFor {
  int threads = 1;  // how many tasks may usefully run at the same time
  void* context = nullptr;
  void (*run)(void* context, int64_t count, void (*task)(void* task_context, int64_t i),
              void* task_context) = nullptr;
};

// The host's memory for arenas and context-owned outputs. `allocate` returns at least `bytes` bytes
// aligned to `alignment` (a power of two), or null when there are none, which ends the call with
// kResourceExhausted. Both may be called from several threads at once.
struct HostAllocator {
  void* (*allocate)(void* user, size_t bytes, size_t alignment) = nullptr;
  void (*deallocate)(void* user, void* memory, size_t bytes) = nullptr;
  void* user = nullptr;
};

// Asked to stop by any thread; looked at between steps and between phases of a build. Copies share
// one flag. A cancelled call returns kCancelled.
class CancelToken {
 public:
  CancelToken() : flag_(std::make_shared<std::atomic<bool>>(false)) {}
  void cancel() const { flag_->store(true, std::memory_order_relaxed); }
  bool cancelled() const { return flag_->load(std::memory_order_relaxed); }
  // The flag itself, alive as long as any copy of the token.
  const std::atomic<bool>* flag() const { return flag_.get(); }

 private:
  std::shared_ptr<std::atomic<bool>> flag_;
};

enum class LogLevel : int { kError = 0, kWarning = 1, kInfo = 2, kDebug = 3, kTrace = 4 };

// Messages up to `level` are passed on. The start value comes from the environment variable
// PLANISH_LOG (error, warning, info, debug, trace), else kWarning. Thread-safe.
PLANISH_API void set_log_level(LogLevel level);
PLANISH_API LogLevel log_level();
// Where messages go: one call per line, without the newline, one call at a time. An empty function
// brings stderr back. What the callback throws is dropped.
using LogCallback = std::function<void(LogLevel level, std::string_view message)>;
PLANISH_API void set_log_callback(LogCallback callback);

// Loads a plugin (a shared object, see planish/plugin.h) into this process: its operators and
// kernels are known to every network, build and engine made afterwards. Code runs: load plugins
// that you trust only. Loading the same plugin again does nothing. Thread-safe. Errors: kNotFound,
// kIncompatible (another ABI), kInvalidArgument (an operator that is already there).
PLANISH_API Status load_plugin(const std::string& path);
// Names and versions of the loaded plugins, "name 1.2", in loading order.
PLANISH_API std::vector<std::string> loaded_plugins();

// Devices that this machine offers ("cpu": what it is, which instruction sets), one line each, and
// kinds that are absent with the reason.
struct DeviceDesc {
  std::string kind;         // "cpu"
  std::string name;         // as the vendor writes it
  std::string isa;          // "avx512"
  int index = 0;            // among the devices of its kind
  int threads = 0;          // cores that a default context uses
  bool available = false;
  std::string reason;       // why not, when not available
};
PLANISH_API std::vector<DeviceDesc> devices();

}  // namespace v1
}  // namespace planish
