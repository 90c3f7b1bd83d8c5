#include "api/runtime/host_device.h"

#include "base/text.h"

namespace planish::api {
namespace {

constexpr size_t kAlignment = 64;

class LentMemory : public backend::Memory {
 public:
  LentMemory(const v1::HostAllocator& allocator, void* data, int64_t bytes)
      : allocator_(allocator), data_(data), bytes_(bytes) {}
  ~LentMemory() override {
    if (allocator_.deallocate) allocator_.deallocate(allocator_.user, data_, size_t(bytes_));
  }
  LentMemory(const LentMemory&) = delete;
  LentMemory& operator=(const LentMemory&) = delete;
  std::byte* data() const override { return static_cast<std::byte*>(data_); }
  int64_t bytes() const override { return bytes_; }

 private:
  v1::HostAllocator allocator_;
  void* data_;
  int64_t bytes_;
};

class HostMemoryDevice : public backend::Device {
 public:
  HostMemoryDevice(std::shared_ptr<backend::Device> device, const v1::HostAllocator& allocator)
      : device_(std::move(device)), allocator_(allocator) {}

  const kernel::DeviceInfo& info() const override { return device_->info(); }
  Result<std::unique_ptr<backend::Memory>> allocate(int64_t bytes,
                                                    ir::MemorySpace space) override {
    if (space != ir::MemorySpace::kHost) return device_->allocate(bytes, space);
    if (bytes < 0) return invalid_argument(cat("cannot allocate ", bytes, " bytes"));
    const size_t wanted = size_t(bytes ? bytes : 1);
    void* data = allocator_.allocate(allocator_.user, wanted, kAlignment);
    if (!data)
      return resource_exhausted(cat("the host's allocator has no room for ", bytes, " bytes"));
    if (reinterpret_cast<uintptr_t>(data) % kAlignment) {
      if (allocator_.deallocate) allocator_.deallocate(allocator_.user, data, wanted);
      return invalid_argument(cat("the host's allocator gave memory that is not aligned to ",
                                  int64_t(kAlignment), " bytes"));
    }
    return std::unique_ptr<backend::Memory>(
        std::make_unique<LentMemory>(allocator_, data, int64_t(wanted)));
  }
  Result<std::unique_ptr<backend::Stream>> create_stream() override {
    return device_->create_stream();
  }
  Result<std::unique_ptr<backend::Stream>> wrap_stream(void* handle) override {
    return device_->wrap_stream(handle);
  }
  Result<std::unique_ptr<backend::Event>> create_event() override {
    return device_->create_event();
  }
  Status copy(backend::Stream& stream, void* to, ir::MemorySpace to_space, const void* from,
              ir::MemorySpace from_space, int64_t bytes) override {
    return device_->copy(stream, to, to_space, from, from_space, bytes);
  }
  ir::MemorySpace home() const override { return device_->home(); }
  Result<std::vector<double>> time_us(const kernel::Launchable& launchable,
                                      std::span<const kernel::RunArgs> args, int rounds) override {
    return device_->time_us(launchable, args, rounds);
  }
  double step_us() const override { return device_->step_us(); }
  Result<backend::DeviceState> state() const override { return device_->state(); }
  Status check_address(const void* address, ir::MemorySpace space) const override {
    return device_->check_address(address, space);
  }

 private:
  std::shared_ptr<backend::Device> device_;
  v1::HostAllocator allocator_;
};

}  // namespace

std::shared_ptr<backend::Device> with_host_allocator(std::shared_ptr<backend::Device> device,
                                                     const v1::HostAllocator& allocator) {
  return std::make_shared<HostMemoryDevice>(std::move(device), allocator);
}

}  // namespace planish::api
