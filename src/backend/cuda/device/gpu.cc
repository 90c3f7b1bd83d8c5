#include "backend/cuda/device/gpu.h"

#include <chrono>
#include <cstdlib>

#include "backend/cuda/device/memory_share.h"
#include "base/log.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

// Kernels of one architecture's own instructions ("a") exist from 9.0 on.
std::string isa_of(int major, int minor) {
  return cat("sm_", major, minor, major >= 9 ? "a" : "");
}

// What ends a context, and with it the process's use of the GPU ("sticky" errors).
bool loses_context(CUresult result) {
  switch (result) {
    case CUDA_ERROR_ECC_UNCORRECTABLE:
    case CUDA_ERROR_ILLEGAL_ADDRESS:
    case CUDA_ERROR_LAUNCH_TIMEOUT:
    case CUDA_ERROR_CONTEXT_IS_DESTROYED:
    case CUDA_ERROR_ASSERT:
    case CUDA_ERROR_HARDWARE_STACK_ERROR:
    case CUDA_ERROR_ILLEGAL_INSTRUCTION:
    case CUDA_ERROR_MISALIGNED_ADDRESS:
    case CUDA_ERROR_INVALID_ADDRESS_SPACE:
    case CUDA_ERROR_INVALID_PC:
    case CUDA_ERROR_LAUNCH_FAILED: return true;
    default: return false;
  }
}

}  // namespace

Gpu::Gpu(const Driver& driver, CUdevice device)
    : driver_(driver), device_(device),
      device_pool_(driver, ir::MemorySpace::kDevice), pinned_pool_(driver, ir::MemorySpace::kPinned) {}

Result<std::shared_ptr<Gpu>> Gpu::open(int ordinal) {
  if (!cuda::driver().ok()) return cuda::driver().status();
  const Driver& driver = *cuda::driver();
  int count = 0;
  PLANISH_CUDA(driver.cuDeviceGetCount(&count));
  if (ordinal < 0 || ordinal >= count)
    return not_found(cat("CUDA device ", ordinal, ": the driver has ", count, " (0 to ", count - 1, ")"));
  CUdevice device = 0;
  PLANISH_CUDA(driver.cuDeviceGet(&device, ordinal));
  std::shared_ptr<Gpu> gpu(new Gpu(driver, device));
  PLANISH_RETURN_IF_ERROR(gpu->describe(ordinal));
  return gpu;
}

Status Gpu::describe(int ordinal) {
  const auto attribute = [&](CUdevice_attribute which, int64_t fallback) -> int64_t {
    int value = 0;
    return driver_.cuDeviceGetAttribute(&value, which, device_) == CUDA_SUCCESS ? value : fallback;
  };
  char name[256] = {};
  PLANISH_CUDA(driver_.cuDeviceGetName(name, sizeof(name) - 1, device_));
  size_t memory = 0;
  PLANISH_CUDA(driver_.cuDeviceTotalMem(&memory, device_));
  const int major = int(attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 0));
  const int minor = int(attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 0));
  if (major < 7)
    return unsupported(cat("GPU '", name, "' has compute capability ", major, ".", minor,
                           ", expected at least 7.0"));
  char bus[64] = {};
  if (driver_.cuDeviceGetPCIBusId(bus, sizeof(bus) - 1, device_) == CUDA_SUCCESS) pci_bus_id_ = bus;
  sm_count_ = int(attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 1));
  const double clock_khz = double(attribute(CU_DEVICE_ATTRIBUTE_CLOCK_RATE, 1700000));
  const double memory_khz = double(attribute(CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE, 0));
  const double bus_bits = double(attribute(CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH, 0));
  info_.kind = "cuda";
  info_.name = name;
  info_.isa = isa_of(major, minor);
  info_.threads = 1;
  info_.l1_bytes = attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR, 100 << 10);
  info_.l2_bytes = attribute(CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE, 4 << 20);
  info_.l3_bytes = 0;
  info_.peak_gflops = sm_count_ * 128 * 2 * clock_khz * 1e-6;
  info_.memory_gbps = memory_khz > 0 && bus_bits > 0 ? memory_khz * 2 * bus_bits / 8 * 1e-6 : 1000;
  info_.properties["ordinal"] = std::to_string(ordinal);
  info_.properties["sm_count"] = std::to_string(sm_count_);
  info_.properties["memory_bytes"] = std::to_string(memory);
  info_.properties["driver"] = version_text(driver_.version);
  info_.properties["shared_bytes_per_block"] = std::to_string(
      attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, 48 << 10));
  info_.properties["clock_mhz"] = std::to_string(int64_t(clock_khz / 1000));
  return ok_status();
}

Result<CUcontext> Gpu::context() const {
  if (CUcontext known = context_.load(std::memory_order_acquire)) return known;
  std::lock_guard lock(context_mutex_);
  if (CUcontext known = context_.load(std::memory_order_acquire)) return known;
  const auto begin = std::chrono::steady_clock::now();
  CUcontext made = nullptr;
  PLANISH_CUDA(driver_.cuDevicePrimaryCtxRetain(&made, device_));
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
  PLANISH_LOG(kInfo, "a context of GPU ", info_.properties.at("ordinal"), " was made in ", took.count(), " ms");
  context_.store(made, std::memory_order_release);
  return made;
}

Status Gpu::make_current() const {
  if (is_lost_.load(std::memory_order_acquire)) {
    std::lock_guard lock(lost_mutex_);
    return lost_;
  }
  PLANISH_ASSIGN_OR_RETURN(const CUcontext made, context());
  return check(driver_.cuCtxSetCurrent(made), "cuCtxSetCurrent");
}

Status Gpu::check(CUresult result, std::string_view call) const {
  const Status status = driver_status(result, call);
  if (!loses_context(result)) return status;
  std::lock_guard lock(lost_mutex_);
  if (!is_lost_.exchange(true, std::memory_order_acq_rel))
    lost_ = Status(Code::kDeviceError,
                   cat("GPU ", info_.properties.at("ordinal"), " (", info_.name,
                       ") was lost to this process by an earlier error, and CUDA gives it back to a "
                       "new process only: ", status.message()));
  return status;
}

Result<std::shared_ptr<const Module>> Gpu::load_module(std::span<const std::byte> cubin) {
  const Hash128 key = hash128(cubin);
  std::lock_guard lock(mutex_);
  if (auto known = modules_[key].lock()) return known;
  PLANISH_RETURN_IF_ERROR(make_current());
  CUmodule module = nullptr;
  const Status status = check(driver_.cuModuleLoadData(&module, cubin.data()), "cuModuleLoadData");
  if (status.code() == Code::kIncompatible)
    return Status(status.code(), cat(status.message(), "; the driver, of version ", version_text(driver_.version),
                                     ", does not take this kernel for ", info_.isa));
  PLANISH_RETURN_IF_ERROR(status);
  auto loaded = std::make_shared<const Module>(driver_, module);
  std::erase_if(modules_, [](const auto& entry) { return entry.second.expired(); });
  modules_[key] = loaded;
  return loaded;
}

Result<std::shared_ptr<const DeviceBytes>> Gpu::upload(std::span<const std::byte> bytes,
                                                       const std::shared_ptr<MemoryShare>& share) {
  const std::pair key(share ? share->number() : 0, hash128(bytes));
  std::lock_guard lock(mutex_);
  if (auto known = uploads_[key].lock()) return known;
  PLANISH_RETURN_IF_ERROR(make_current());
  const int64_t size = int64_t(bytes.size());
  PLANISH_ASSIGN_OR_RETURN(void* data, share ? share->allocate(size) : device_pool_.allocate(size));
  auto made = std::make_shared<const DeviceBytes>(shared_from_this(), ir::MemorySpace::kDevice, data,
                                                  size, share);
  // Pageable memory: the call returns when the bytes are on their way from a copy of them, and the
  // synchronization makes them visible to every stream.
  PLANISH_GPU(*this, driver_.cuMemcpyAsync(reinterpret_cast<CUdeviceptr>(data),
                                           reinterpret_cast<CUdeviceptr>(bytes.data()),
                                           bytes.size(), nullptr));
  PLANISH_GPU(*this, driver_.cuStreamSynchronize(nullptr));
  std::erase_if(uploads_, [](const auto& entry) { return entry.second.expired(); });
  uploads_[key] = made;
  return made;
}

Result<std::shared_ptr<Gpu>> gpu(int ordinal) {
  static std::mutex& mutex = *new std::mutex();
  static auto& gpus = *new std::map<int, std::shared_ptr<Gpu>>();
  std::lock_guard lock(mutex);
  if (auto found = gpus.find(ordinal); found != gpus.end()) return found->second;
  PLANISH_ASSIGN_OR_RETURN(std::shared_ptr<Gpu> opened, Gpu::open(ordinal));
  return gpus[ordinal] = std::move(opened);
}

Result<std::shared_ptr<Gpu>> gpu_of(const kernel::DeviceInfo& device) {
  auto ordinal = device.properties.find("ordinal");
  if (device.kind != "cuda" || ordinal == device.properties.end())
    return invalid_argument(cat("device '", device.name, "' is no CUDA device of this process"));
  return gpu(std::atoi(ordinal->second.c_str()));
}

}  // namespace planish::cuda
