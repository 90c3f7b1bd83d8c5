// Backend, Device, Memory, Stream: what the runtime and the tuner need of a place that computes.
//
// A Backend is a kind of device ("cpu", "cuda") and registers its kernels once; it may be absent on
// a machine, and then says why. A Device is one processor: it allocates memory, copies between
// memory spaces, makes streams and knows how to time a launch. The CPU device computes in host
// memory on the caller's thread with a ThreadTeam; its streams are trivial.
// Devices are thread-safe; a Stream belongs to one thread at a time.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "kernel/kernel_def.h"

namespace planish::backend {

// Owns one allocation in one memory space; freed on destruction. 64-byte aligned (device: 256).
class Memory {
 public:
  virtual ~Memory() = default;
  virtual std::byte* data() const = 0;  // an address of its space, not always the host's
  virtual int64_t bytes() const = 0;
};

// A recorded run of launches that can be replayed (CUDA graph).
class CapturedGraph {
 public:
  virtual ~CapturedGraph() = default;
  virtual Status launch(void* stream) = 0;
};

// A point in a stream's work.
class Event {
 public:
  virtual ~Event() = default;
  // Microseconds on the device's clock between two recorded events; waits for this one.
  virtual Result<double> us_since(const Event&) const {
    return unsupported("this device has no events");
  }
};

class Stream {
 public:
  virtual ~Stream() = default;
  virtual void* handle() const { return nullptr; }  // goes into RunArgs::stream
  virtual Status synchronize() { return ok_status(); }
  virtual bool can_capture() const { return false; }
  virtual Status begin_capture() { return unsupported("this stream does not capture"); }
  virtual Result<std::unique_ptr<CapturedGraph>> end_capture() {
    return unsupported("this stream does not capture");
  }
  virtual Status record(Event&) { return unsupported("this device has no events"); }
  // What comes next on this stream begins behind what the event was recorded behind, on any stream; while
  // that one is captured, this one is captured with it.
  virtual Status wait(Event&) { return unsupported("this device has no events"); }
};

// Clocks and power of a device at one moment; 0 for what it does not tell.
struct DeviceState {
  double clock_mhz = 0, memory_clock_mhz = 0;
  double power_watts = 0, temperature_c = 0;
};

// Where a device's memory comes from for somebody who brings his own, or wants no more than a share.
struct MemorySource {
  // 256-byte aligned memory of the device; null: there is none. Unset: the device's own.
  std::function<void*(int64_t bytes)> allocate;
  std::function<void(void* data, int64_t bytes)> release;
  int64_t max_bytes = 0;  // at once, of all that is asked for; 0: no cap
};

class Device {
 public:
  virtual ~Device() = default;
  virtual const kernel::DeviceInfo& info() const = 0;
  // kResourceExhausted with the bytes asked for when there is no room.
  virtual Result<std::unique_ptr<Memory>> allocate(int64_t bytes, ir::MemorySpace space) = 0;
  virtual Result<std::unique_ptr<Stream>> create_stream() = 0;
  // A stream of the host's, borrowed for the Stream's life.
  virtual Result<std::unique_ptr<Stream>> wrap_stream(void* /*handle*/) {
    return unsupported(info().kind + ": the device takes no streams of the host");
  }
  virtual Result<std::unique_ptr<Event>> create_event() {
    return unsupported(info().kind + ": the device has no events");
  }
  // Asynchronous on `stream` where the device can; ordered with its launches.
  virtual Status copy(Stream& stream, void* to, ir::MemorySpace to_space, const void* from,
                      ir::MemorySpace from_space, int64_t bytes) = 0;
  // Where values live that this device's kernels compute.
  virtual ir::MemorySpace home() const { return ir::MemorySpace::kHost; }
  // Microseconds of one launch: `rounds` samples after warm-up, each over enough repeats to be
  // measurable. `args` holds several buffer sets to rotate through, so that caches do not flatter.
  virtual Result<std::vector<double>> time_us(const kernel::Launchable& launchable,
                                              std::span<const kernel::RunArgs> args,
                                              int rounds) = 0;
  // Microseconds that one step more costs a run beyond what time_us() says of it; the price of a launch
  // where programs of different numbers of steps are compared. 0: none is known.
  virtual double step_us() const { return 0; }
  virtual Result<DeviceState> state() const {
    return unsupported(info().kind + ": the device does not tell its clocks and power");
  }
  // The same processor with its memory (arenas, constants, packed weights, staging) from `source`.
  virtual Result<std::shared_ptr<Device>> with_memory(const MemorySource&) {
    return unsupported(info().kind + ": the device has no memory of its own");
  }
  // kInvalidArgument when `address` is known not to lie in that space of this device.
  virtual Status check_address(const void* /*address*/, ir::MemorySpace space) const {
    return space == ir::MemorySpace::kDevice && home() == ir::MemorySpace::kHost
               ? invalid_argument("device memory for device '" + info().kind +
                                  "', which computes in the host's")
               : ok_status();
  }
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string kind() const = 0;
  // Ok, or why no device of this kind can be had (driver missing, too old...).
  virtual Status available() const = 0;
  virtual void register_kernels(kernel::KernelRegistry& registry) const = 0;
  // `threads`: CPU team size, 0 for all cores. Devices are shared by (index, threads).
  virtual Result<std::shared_ptr<Device>> device(int index, int threads) = 0;
};

}  // namespace planish::backend
