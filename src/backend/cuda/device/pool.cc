#include "backend/cuda/device/pool.h"

#include <bit>

#include "backend/cuda/device/gpu.h"
#include "backend/cuda/device/memory_share.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

constexpr int64_t kSmallest = 512;

}  // namespace

int64_t Pool::rounded(int64_t bytes) {
  if (bytes <= kSmallest) return kSmallest;
  const int64_t step = std::max<int64_t>(kSmallest, int64_t(std::bit_floor(uint64_t(bytes))) / 8);
  return (bytes + step - 1) / step * step;
}

CUresult Pool::allocate_block(void** data, int64_t bytes) {
  if (space_ != ir::MemorySpace::kDevice)
    return driver_.cuMemHostAlloc(data, size_t(bytes), CU_MEMHOSTALLOC_PORTABLE);
  CUdeviceptr address = 0;
  const CUresult result = driver_.cuMemAlloc(&address, size_t(bytes));
  *data = reinterpret_cast<void*>(address);
  return result;
}

void Pool::free_block(void* data) {
  if (space_ == ir::MemorySpace::kDevice) driver_.cuMemFree(reinterpret_cast<CUdeviceptr>(data));
  else driver_.cuMemFreeHost(data);
}

Result<void*> Pool::allocate(int64_t bytes) {
  if (bytes < 0) return invalid_argument(cat("cannot allocate ", bytes, " bytes"));
  if (bytes > (int64_t(1) << 46)) return resource_exhausted(cat(bytes, " bytes are beyond any device"));
  const int64_t size = rounded(bytes);
  {
    std::lock_guard lock(mutex_);
    if (auto found = free_.find(size); found != free_.end()) {
      void* data = found->second;
      free_.erase(found);
      return data;
    }
  }
  void* data = nullptr;
  CUresult result = allocate_block(&data, size);
  if (result == CUDA_ERROR_OUT_OF_MEMORY && trim() > 0) result = allocate_block(&data, size);
  if (result == CUDA_SUCCESS) return data;
  if (result != CUDA_ERROR_OUT_OF_MEMORY) return driver_status(result, "allocating memory");
  size_t free_bytes = 0, total = 0;
  driver_.cuMemGetInfo(&free_bytes, &total);
  return resource_exhausted(cat("no ", space_ == ir::MemorySpace::kDevice ? "device" : "pinned",
                                " memory for ", bytes, " bytes; the device has ", int64_t(free_bytes),
                                " of ", int64_t(total), " bytes free"));
}

void Pool::release(void* data, int64_t bytes) {
  if (!data) return;
  std::lock_guard lock(mutex_);
  free_.emplace(rounded(bytes), data);
}

int64_t Pool::trim() {
  std::multimap<int64_t, void*> blocks;
  {
    std::lock_guard lock(mutex_);
    blocks.swap(free_);
  }
  int64_t bytes = 0;
  for (const auto& [size, data] : blocks) {
    free_block(data);
    bytes += size;
  }
  return bytes;
}

DeviceBytes::~DeviceBytes() {
  const bool lives = gpu_->make_current().ok();  // else the context is gone, and its memory with it
  if (share_) share_->release(data_, bytes_);    // its owner counts
  else if (lives) gpu_->pool(space_).release(data_, bytes_);
}

}  // namespace planish::cuda
