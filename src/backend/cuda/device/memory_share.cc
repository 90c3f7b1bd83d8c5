#include "backend/cuda/device/memory_share.h"

#include <cstdlib>
#include <map>

#include "backend/cuda/device/gpu.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

constexpr char kProperty[] = "memory_share";
constexpr uintptr_t kAlignment = 256;

struct Shares {
  std::mutex mutex;
  int64_t next = 1;
  std::map<int64_t, std::weak_ptr<MemoryShare>> known;
};
Shares& shares() {
  static Shares& the_shares = *new Shares();
  return the_shares;
}

}  // namespace

std::shared_ptr<MemoryShare> MemoryShare::create(std::shared_ptr<Gpu> gpu,
                                                 const backend::MemorySource& source) {
  std::lock_guard lock(shares().mutex);
  const int64_t number = shares().next++;
  std::shared_ptr<MemoryShare> share(new MemoryShare(std::move(gpu), source, number));
  std::erase_if(shares().known, [](const auto& entry) { return entry.second.expired(); });
  shares().known[number] = share;
  return share;
}

Result<void*> MemoryShare::allocate_from_source(int64_t bytes, int64_t used) {
  if (!source_.allocate) return gpu_->pool(ir::MemorySpace::kDevice).allocate(bytes);
  void* data = source_.allocate(bytes);
  if (!data)
    return resource_exhausted(cat("the host's allocator has no device memory for ", bytes,
                                  " bytes; ", used, " bytes of it are in use"));
  if (reinterpret_cast<uintptr_t>(data) % kAlignment == 0) return data;
  if (source_.release) source_.release(data, bytes);
  return invalid_argument(cat("the host's allocator gave device memory that is not aligned to ",
                              int64_t(kAlignment), " bytes"));
}

Result<void*> MemoryShare::allocate(int64_t bytes) {
  if (bytes < 0) return invalid_argument(cat("cannot allocate ", bytes, " bytes"));
  bytes = std::max<int64_t>(bytes, 1);
  int64_t used = 0;
  {
    std::lock_guard lock(mutex_);
    used = used_bytes_;
    if (source_.max_bytes > 0 && bytes > source_.max_bytes - used)
      return resource_exhausted(cat("device memory for ", bytes, " bytes: ", used,
                                    " are in use, the engine's cap is ", source_.max_bytes));
    used_bytes_ += bytes;
  }
  auto data = allocate_from_source(bytes, used);
  if (data.ok()) return data;
  std::lock_guard lock(mutex_);
  used_bytes_ -= bytes;
  return data;
}

void MemoryShare::release(void* data, int64_t bytes) {
  if (!data) return;
  bytes = std::max<int64_t>(bytes, 1);
  if (!source_.allocate) gpu_->pool(ir::MemorySpace::kDevice).release(data, bytes);
  else if (source_.release) source_.release(data, bytes);
  std::lock_guard lock(mutex_);
  used_bytes_ -= bytes;
}

Result<std::shared_ptr<MemoryShare>> share_of(const kernel::DeviceInfo& device) {
  const auto found = device.properties.find(kProperty);
  if (found == device.properties.end()) return std::shared_ptr<MemoryShare>();
  const int64_t number = std::atoll(found->second.c_str());
  std::lock_guard lock(shares().mutex);
  const auto known = shares().known.find(number);
  auto share = known == shares().known.end() ? nullptr : known->second.lock();
  if (!share) return failed_precondition(cat("memory share ", number, " of a device is gone"));
  return share;
}

kernel::DeviceInfo with_share(kernel::DeviceInfo info, const MemoryShare& share) {
  info.properties[kProperty] = std::to_string(share.number());
  return info;
}

}  // namespace planish::cuda
