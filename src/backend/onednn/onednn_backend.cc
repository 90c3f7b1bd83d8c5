#include "backend/onednn/onednn_backend.h"

#include "backend/onednn/register_kernels.h"

namespace planish::onednn {
namespace {

class OnednnBackend : public backend::Backend {
 public:
  std::string kind() const override { return "onednn"; }
  Status available() const override { return ok_status(); }
  void register_kernels(kernel::KernelRegistry& registry) const override {
    register_conv_kernels(registry);
    register_matmul_kernel(registry);
    register_pool_kernel(registry);
  }
  Result<std::shared_ptr<backend::Device>> device(int, int) override {
    return unsupported("onednn has no device of its own: its kernels run on device 'cpu'");
  }
};

}  // namespace

std::unique_ptr<backend::Backend> make_onednn_backend() {
  return std::make_unique<OnednnBackend>();
}

}  // namespace planish::onednn
