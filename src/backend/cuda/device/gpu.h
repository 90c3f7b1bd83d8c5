// Gpu: one NVIDIA GPU of this process: its primary context, memory, and what is loaded on it once
// for everybody: modules and packed weights, shared by content.
//
// Gpus are made on first use and live for ever (engines of static life may outlast everything). All
// members are thread-safe. The primary context is the one that host frameworks use too.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "backend/cuda/device/pool.h"
#include "backend/cuda/driver/driver.h"
#include "base/hash.h"
#include "kernel/kernel_def.h"

namespace planish::cuda {

// A loaded cubin; unloaded with its last user.
class Module {
 public:
  Module(const Driver& driver, CUmodule module) : driver_(driver), module_(module) {}
  ~Module() { driver_.cuModuleUnload(module_); }
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;
  CUmodule handle() const { return module_; }

 private:
  const Driver& driver_;
  CUmodule module_;
};

class Gpu : public std::enable_shared_from_this<Gpu> {
 public:
  static Result<std::shared_ptr<Gpu>> open(int ordinal);

  const Driver& driver() const { return driver_; }
  const kernel::DeviceInfo& info() const { return info_; }
  int sm_count() const { return sm_count_; }
  // Binds the context to the calling thread.
  Status make_current() const;
  Pool& pool(ir::MemorySpace space) {
    return space == ir::MemorySpace::kDevice ? device_pool_ : pinned_pool_;
  }
  Result<std::shared_ptr<const Module>> load_module(std::span<const std::byte> cubin);
  // A device copy of bytes that never change; equal bytes are uploaded once.
  Result<std::shared_ptr<const DeviceBytes>> upload(std::span<const std::byte> bytes);

 private:
  Gpu(const Driver& driver, CUdevice device, CUcontext context);
  Status describe(int ordinal);

  const Driver& driver_;
  CUdevice device_;
  CUcontext context_;
  kernel::DeviceInfo info_;
  int sm_count_ = 0;
  Pool device_pool_, pinned_pool_;
  std::mutex mutex_;
  std::map<Hash128, std::weak_ptr<const Module>> modules_;
  std::map<Hash128, std::weak_ptr<const DeviceBytes>> uploads_;
};

// The Gpu whose info() this is, or a copy of it.
Result<std::shared_ptr<Gpu>> gpu_of(const kernel::DeviceInfo& device);
// The Gpu of that number; the same object every time.
Result<std::shared_ptr<Gpu>> gpu(int ordinal);

}  // namespace planish::cuda
