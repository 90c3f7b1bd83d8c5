// MemoryShare: device memory for one engine that brings its own allocator or may take only so much.
//
// What a Device with a share allocates, and what kernels upload for it, comes from the owner's
// functions, else from the Gpu's pool, and is counted while it lives. A DeviceInfo names its share by a
// number, so that whoever binds a kernel for it finds the memory to use. Thread-safe.
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>

#include "backend/api/backend.h"

namespace planish::cuda {

class Gpu;

class MemoryShare {
 public:
  // Known by number() from now on, as long as somebody holds it.
  static std::shared_ptr<MemoryShare> create(std::shared_ptr<Gpu> gpu,
                                             const backend::MemorySource& source);

  // kResourceExhausted gives what was asked for, what is in use and the cap. The caller has made the
  // context current.
  Result<void*> allocate(int64_t bytes);
  void release(void* data, int64_t bytes);
  int64_t number() const { return number_; }

 private:
  MemoryShare(std::shared_ptr<Gpu> gpu, const backend::MemorySource& source, int64_t number)
      : gpu_(std::move(gpu)), source_(source), number_(number) {}
  Result<void*> allocate_from_source(int64_t bytes, int64_t used);

  std::shared_ptr<Gpu> gpu_;
  const backend::MemorySource source_;
  const int64_t number_;
  std::mutex mutex_;
  int64_t used_bytes_ = 0;
};

// The share that the device's description names; null when it names none.
Result<std::shared_ptr<MemoryShare>> share_of(const kernel::DeviceInfo& device);
// The description of a device whose memory is the share's.
kernel::DeviceInfo with_share(kernel::DeviceInfo info, const MemoryShare& share);

}  // namespace planish::cuda
