// A device that describes itself differently: all else is the device's own.
#pragma once
#include <memory>
#include <string_view>
#include <utility>

#include "backend/api/backend.h"
#include "kernel/library_kernel.h"

namespace planish::backend {

class DeviceWithInfo : public Device {
 public:
  DeviceWithInfo(std::shared_ptr<Device> device, kernel::DeviceInfo info)
      : device_(std::move(device)), info_(std::move(info)) {}
  const kernel::DeviceInfo& info() const override { return info_; }
  Result<std::unique_ptr<Memory>> allocate(int64_t bytes, ir::MemorySpace space) override {
    return device_->allocate(bytes, space);
  }
  Result<std::unique_ptr<Stream>> create_stream() override { return device_->create_stream(); }
  Result<std::unique_ptr<Stream>> wrap_stream(void* handle) override {
    return device_->wrap_stream(handle);
  }
  Result<std::unique_ptr<Event>> create_event() override { return device_->create_event(); }
  Status copy(Stream& stream, void* to, ir::MemorySpace to_space, const void* from,
              ir::MemorySpace from_space, int64_t bytes) override {
    return device_->copy(stream, to, to_space, from, from_space, bytes);
  }
  ir::MemorySpace home() const override { return device_->home(); }
  Result<std::vector<double>> time_us(const kernel::Launchable& launchable,
                                      std::span<const kernel::RunArgs> args, int rounds) override {
    return device_->time_us(launchable, args, rounds);
  }
  double step_us() const override { return device_->step_us(); }
  Result<DeviceState> state() const override { return device_->state(); }
  Status check_address(const void* address, ir::MemorySpace space) const override {
    return device_->check_address(address, space);
  }

 private:
  std::shared_ptr<Device> device_;
  kernel::DeviceInfo info_;
};

// The device for a plan of this precision: kernels ask it whether f32 products may round their
// operands to tf32. Builds and loads both go through here, so that a plan finds its kernels again.
inline std::shared_ptr<Device> with_precision(std::shared_ptr<Device> device,
                                              std::string_view precision) {
  if (precision != "tf32") return device;
  kernel::DeviceInfo info = device->info();
  info.properties.emplace("tf32", "1");
  return std::make_shared<DeviceWithInfo>(std::move(device), std::move(info));
}

// The device for a build that libraries may take part in, or for loading a plan that they may have taken
// part in (kernel/library_kernel.h).
inline std::shared_ptr<Device> with_libraries(std::shared_ptr<Device> device, std::string_view use) {
  kernel::DeviceInfo info = device->info();
  info.properties.erase(std::string(kernel::kLibrariesProperty));
  info.properties.emplace(kernel::kLibrariesProperty, use);
  return std::make_shared<DeviceWithInfo>(std::move(device), std::move(info));
}

}  // namespace planish::backend
