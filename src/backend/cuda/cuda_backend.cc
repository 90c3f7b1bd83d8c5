#include "backend/cuda/cuda_backend.h"

#include "backend/cuda/device/cuda_device.h"
#include "backend/cuda/driver/driver.h"
#include "backend/cuda/families/register_families.h"

namespace planish::cuda {
namespace {

class CudaBackend : public backend::Backend {
 public:
  std::string kind() const override { return "cuda"; }
  Status available() const override {
    if (!driver().ok()) return driver().status();
    int count = 0;
    PLANISH_CUDA(driver()->cuDeviceGetCount(&count));
    return count > 0 ? ok_status() : not_found("the CUDA driver has no device");
  }
  void register_kernels(kernel::KernelRegistry& registry) const override {
    register_families(registry);
  }
  Result<std::shared_ptr<backend::Device>> device(int index, int) override {
    return make_cuda_device(index);
  }
};

}  // namespace

std::unique_ptr<backend::Backend> make_cuda_backend() { return std::make_unique<CudaBackend>(); }

}  // namespace planish::cuda
