// LibraryKernelDef: a KernelDef whose launches are calls of cuBLASLt or cuDNN.
//
// A family says what it takes, lists tactics (the library's own proposals) and writes down the choice as
// bytes; the rest is here: the artifact that names library and version, the check at load, and the
// kernel of our own that stands in when the library is absent or of another version and NVRTC is at
// hand. Never linked: a machine without the library has these kernels, too, and they say why not.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "backend/cuda/device/gpu.h"
#include "backend/cuda/device/memory_share.h"
#include "kernel/launch_info.h"
#include "kernel/library_kernel.h"

namespace planish::cuda {

struct LibraryVersion {
  std::string name;  // "cuDNN"
  int major = 0, minor = 0;
  std::string text() const;  // "cuDNN 9.19"
  friend bool operator==(const LibraryVersion&, const LibraryVersion&) = default;
};

// How many proposals of a library race, unless the device's property kLibraryPlansProperty says
// otherwise (the comparison with the best of all of them does).
inline constexpr int kLibraryPlans = 6;
inline constexpr std::string_view kLibraryPlansProperty = "library_plans";
int library_plans(const kernel::DeviceInfo& device);

// Scratch memory as the libraries want it, within what a step is given: the bytes to ask for, and the
// first aligned one (nullptr where none are wanted).
int64_t scratch_bytes(int64_t wanted);
void* scratch_in(void* workspace, int64_t wanted);

// What a library proposes for a problem on a GPU, asked for once: it does not change while the process
// runs. Any thread.
template <typename Proposal>
class Proposals {
 public:
  Result<std::vector<Proposal>> get(const std::string& key, const std::function<Result<std::vector<Proposal>>()>& ask) {
    {
      std::lock_guard lock(mutex_);
      if (const auto found = known_.find(key); found != known_.end()) return found->second;
    }
    PLANISH_ASSIGN_OR_RETURN(std::vector<Proposal> found, ask());
    std::lock_guard lock(mutex_);
    known_.emplace(key, found);
    return found;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::vector<Proposal>> known_;
};

// All that a library's proposals depend on.
std::string proposals_key(const LibraryVersion& version, const Gpu& gpu, const kernel::Problem& problem,
                          const kernel::DeviceInfo& device);

class LibraryKernelDef : public kernel::KernelDef, public kernel::LibraryKernel {
 public:
  std::string device_kind() const final { return "cuda"; }
  Status supports(const kernel::Problem& problem, const kernel::DeviceInfo& device) const final;
  std::vector<kernel::LayoutChoice> layouts(const kernel::Problem& problem,
                                            const kernel::DeviceInfo& device) const final;
  double predict_us(const kernel::Problem& problem, const kernel::Tactic& tactic,
                    const kernel::DeviceInfo& device) const final;
  Result<kernel::Blob> compile(const kernel::Problem& problem, const kernel::Tactic& tactic,
                               const kernel::DeviceInfo& device) const final;
  Result<std::unique_ptr<kernel::Launchable>> bind(const kernel::BindArgs& args) const final;
  Result<std::string> requirement(std::span<const std::byte> artifact) const final;
  Status check_library(std::span<const std::byte> artifact) const final;

 protected:
  // The library that is here, or why there is none.
  virtual Result<LibraryVersion> library() const = 0;
  // May this problem be put to the library at all? Asks nothing of the library itself.
  virtual Status takes(const kernel::Problem& problem, const kernel::DeviceInfo& device) const = 0;
  // What a plan must hold of a tactic besides the tactic.
  virtual Result<std::vector<std::byte>> choose(const kernel::Problem& problem, const kernel::Tactic& tactic,
                                                const kernel::DeviceInfo& device) const = 0;
  virtual Result<std::unique_ptr<kernel::Launchable>> launchable(
      const kernel::BindArgs& args, std::span<const std::byte> choice) const = 0;

 private:
  Result<std::unique_ptr<kernel::Launchable>> bind_own(const kernel::BindArgs& args) const;
};

}  // namespace planish::cuda
