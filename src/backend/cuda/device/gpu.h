// Gpu: one NVIDIA GPU of this process: its primary context, memory, and what is loaded on it once
// for everybody: modules and packed weights, shared by content.
//
// Gpus are made on first use and live for ever (engines of static life may outlast everything). All
// members are thread-safe. The primary context is the one that host frameworks use too.
#pragma once
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
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
  // Binds the context to the calling thread, and makes it before the first time, which takes 0.1 s and
  // more: a build asks for it beside other work. Says what lost it when an earlier error did.
  Status make_current() const;
  // A call's result as Status. Errors after which CUDA answers every call with an error (a kernel's
  // fault, a broken ECC cell) are remembered: the GPU is lost to this process then.
  Status check(CUresult result, std::string_view call) const;
  const std::string& pci_bus_id() const { return pci_bus_id_; }
  Pool& pool(ir::MemorySpace space) {
    return space == ir::MemorySpace::kDevice ? device_pool_ : pinned_pool_;
  }
  Result<std::shared_ptr<const Module>> load_module(std::span<const std::byte> cubin);
  // A device copy of bytes that never change; equal bytes are uploaded once, and once for each share.
  Result<std::shared_ptr<const DeviceBytes>> upload(std::span<const std::byte> bytes,
                                                    const std::shared_ptr<MemoryShare>& share);

 private:
  Gpu(const Driver& driver, CUdevice device);
  Result<CUcontext> context() const;
  Status describe(int ordinal);

  const Driver& driver_;
  CUdevice device_;
  mutable std::mutex context_mutex_;
  mutable std::atomic<CUcontext> context_{nullptr};
  kernel::DeviceInfo info_;
  std::string pci_bus_id_;
  int sm_count_ = 0;
  Pool device_pool_, pinned_pool_;
  std::mutex mutex_;
  std::map<Hash128, std::weak_ptr<const Module>> modules_;
  std::map<std::pair<int64_t, Hash128>, std::weak_ptr<const DeviceBytes>> uploads_;
  mutable std::mutex lost_mutex_;
  mutable std::atomic<bool> is_lost_{false};
  mutable Status lost_;  // guarded by lost_mutex_
};

// PLANISH_GPU(gpu, gpu.driver().cuGraphLaunch(...)): returns from the function when the call fails.
#define PLANISH_GPU(gpu, call)                                                              \
  do {                                                                                      \
    if (const CUresult planish_cuda_result = (call); planish_cuda_result != CUDA_SUCCESS)   \
      return (gpu).check(planish_cuda_result, #call);                                       \
  } while (false)

// The Gpu whose info() this is, or a copy of it.
Result<std::shared_ptr<Gpu>> gpu_of(const kernel::DeviceInfo& device);
// The Gpu of that number; the same object every time.
Result<std::shared_ptr<Gpu>> gpu(int ordinal);

}  // namespace planish::cuda
