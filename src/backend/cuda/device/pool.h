// Pool: device or pinned memory in blocks that are kept for reuse, for the driver's allocation calls
// take long and wait for the device. Blocks are rounded up to sizes an eighth apart, so that a run
// with other shapes finds one that fits; what is kept is given back when the driver has no room.
#pragma once
#include <map>
#include <memory>
#include <mutex>

#include "backend/cuda/driver/driver.h"
#include "ir/type.h"

namespace planish::cuda {

class Pool {
 public:
  Pool(const Driver& driver, ir::MemorySpace space) : driver_(driver), space_(space) {}

  // 256-byte aligned. kResourceExhausted says what was asked for and what is free. The caller has
  // made the context current.
  Result<void*> allocate(int64_t bytes);
  void release(void* data, int64_t bytes);
  // Gives unused blocks back to the driver; returns their bytes.
  int64_t trim();
  static int64_t rounded(int64_t bytes);

 private:
  CUresult allocate_block(void** data, int64_t bytes);
  void free_block(void* data);

  const Driver& driver_;
  const ir::MemorySpace space_;
  std::mutex mutex_;
  std::multimap<int64_t, void*> free_;
};

class Gpu;
class MemoryShare;

// Owns memory of a Gpu, from its pools or from a share of device memory.
class DeviceBytes {
 public:
  DeviceBytes(std::shared_ptr<Gpu> gpu, ir::MemorySpace space, void* data, int64_t bytes,
              std::shared_ptr<MemoryShare> share = nullptr)
      : gpu_(std::move(gpu)), share_(std::move(share)), space_(space), data_(data), bytes_(bytes) {}
  ~DeviceBytes();
  DeviceBytes(const DeviceBytes&) = delete;
  DeviceBytes& operator=(const DeviceBytes&) = delete;
  void* data() const { return data_; }
  int64_t bytes() const { return bytes_; }

 private:
  std::shared_ptr<Gpu> gpu_;
  std::shared_ptr<MemoryShare> share_;
  ir::MemorySpace space_;
  void* data_;
  int64_t bytes_;
};

}  // namespace planish::cuda
