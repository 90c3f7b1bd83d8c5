// A process whose CUDA driver is the fake one: memory, copies, streams and graphs work, kernels do
// nothing (backend/cuda/testing/fake_driver.cc).
#pragma once
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "opdef/op_def.h"
#include "runtime/context.h"

namespace planish::cuda_tests {

// Sets an environment variable for a scope.
class Setting {
 public:
  Setting(const char* name, const std::string& value) : name_(name) {
    setenv(name, value.c_str(), 1);
  }
  ~Setting() { unsetenv(name_); }
  Setting(const Setting&) = delete;
  Setting& operator=(const Setting&) = delete;

 private:
  const char* name_;
};
// $FAKE_CUDA for a scope.
struct Fake : Setting {
  explicit Fake(const std::string& value) : Setting("FAKE_CUDA", value) {}
};

struct World {
  opdef::OpRegistry ops;
  kernel::KernelRegistry kernels;
  std::shared_ptr<backend::Device> cuda, cpu;
  World();
};
World& world();

// Text to a plan for the fake GPU, nothing measured.
Result<plan::Plan> compile_text(std::string_view graph);
Result<std::shared_ptr<runtime::Engine>> engine_of(plan::Plan plan);
Result<std::shared_ptr<runtime::Engine>> engine_of(std::string_view graph);
// The same on another device than the world's.
Result<std::shared_ptr<runtime::Engine>> engine_on(std::shared_ptr<backend::Device> device,
                                                   plan::Plan plan);

}  // namespace planish::cuda_tests
