// Matrix products by cuBLASLt (plain, batched, pointwise convolutions; with bias, residual and ReLU), as a
// KernelDef that takes part where --allow-libraries was asked for.
#include <cstring>

#include "backend/cuda/device/ceiling.h"
#include "backend/cuda/emit/emitted_kernel_def.h"
#include "backend/cuda/families/cublaslt/matmul.h"
#include "backend/cuda/families/register_families.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

using cublaslt::Algo;
using cublaslt::Matmul;
using cublaslt::Proposal;
using kernel::DeviceInfo;
using kernel::Problem;
using kernel::Tactic;

// The product on a GPU, ready to be asked.
Result<Matmul> matmul_on(const Gpu& gpu, const Problem& problem, const DeviceInfo& device) {
  PLANISH_ASSIGN_OR_RETURN(cublaslt::Shape shape, cublaslt::shape_of(problem));
  PLANISH_ASSIGN_OR_RETURN(const CublasLt* library, cublaslt_library());
  PLANISH_ASSIGN_OR_RETURN(cublaslt::Handle handle, cublaslt_handle(*library, gpu));
  const bool tf32 = shape.fused.product.type == ir::DataType::kF32 && takes_tf32(device);
  return Matmul::make(*library, handle, std::move(shape), tf32);
}

class CublasLtLaunchable : public kernel::DescribedLaunchable {
 public:
  CublasLtLaunchable(std::shared_ptr<Gpu> gpu, Matmul matmul, const Algo& algo, int64_t workspace,
                     kernel::LaunchInfo info)
      : gpu_(std::move(gpu)), matmul_(std::move(matmul)), algo_(algo), workspace_(workspace),
        info_(std::move(info)) {}
  int64_t workspace_bytes() const override { return scratch_bytes(workspace_); }
  const kernel::LaunchInfo& launch_info() const override { return info_; }
  Status run(const kernel::RunArgs& args) const override {
    PLANISH_RETURN_IF_ERROR(gpu_->make_current());
    return matmul_.run(algo_, args, scratch_in(args.workspace, workspace_), size_t(workspace_));
  }

 private:
  std::shared_ptr<Gpu> gpu_;
  Matmul matmul_;
  Algo algo_;
  int64_t workspace_;
  kernel::LaunchInfo info_;
};

class CublasLtFamily : public LibraryKernelDef {
 public:
  std::string name() const override { return "cuda.cublaslt"; }

  std::vector<Tactic> tactics(const Problem& problem, const DeviceInfo& device) const override {
    std::vector<Tactic> out;
    const auto here = library();
    const auto found = proposals(problem, device);
    if (!found.ok() || !here.ok()) return out;
    for (size_t i = 0; i < found->size(); ++i) {
      Tactic tactic;
      tactic.params.emplace("algo", int64_t(i));
      tactic.params.emplace("version", here->major * 100 + here->minor);
      out.push_back(std::move(tactic));
    }
    return out;
  }

 protected:
  Result<LibraryVersion> library() const override {
    PLANISH_ASSIGN_OR_RETURN(const CublasLt* library, cublaslt_library());
    return library->version();
  }

  Status takes(const Problem& problem, const DeviceInfo&) const override {
    return cublaslt::shape_of(problem).status();
  }

  Result<std::vector<std::byte>> choose(const Problem& problem, const Tactic& tactic,
                                        const DeviceInfo& device) const override {
    PLANISH_ASSIGN_OR_RETURN(const std::vector<Proposal> found, proposals(problem, device));
    const int64_t index = tactic.get("algo", -1);
    if (index < 0 || index >= int64_t(found.size()))
      return unsupported(cat("algorithm ", index, " of the ", found.size(), " that cuBLASLt proposes"));
    const auto* bytes = reinterpret_cast<const std::byte*>(&found[size_t(index)].algo);
    return std::vector<std::byte>(bytes, bytes + sizeof(Algo));
  }

  Result<std::unique_ptr<kernel::Launchable>> launchable(const kernel::BindArgs& args,
                                                         std::span<const std::byte> choice) const override {
    if (choice.size() != sizeof(Algo)) return data_loss(cat("an algorithm of ", choice.size(), " bytes"));
    Algo algo;
    std::memcpy(&algo, choice.data(), sizeof(algo));
    PLANISH_ASSIGN_OR_RETURN(std::shared_ptr<Gpu> gpu, gpu_of(*args.device));
    PLANISH_ASSIGN_OR_RETURN(Matmul matmul, matmul_on(*gpu, *args.problem, *args.device));
    PLANISH_ASSIGN_OR_RETURN(const int64_t workspace, matmul.workspace_bytes(algo));
    kernel::LaunchInfo info;
    PLANISH_ASSIGN_OR_RETURN(info.tensor_cores, matmul.uses_tensor_cores(algo));
    PLANISH_ASSIGN_OR_RETURN(const LibraryVersion version, library());
    info.kernels = {cat(version.text(), " ", args.tactic->to_string())};
    info.peak_flops = peak_flops(*args.device, info.tensor_cores, args.problem->operands[0].type.dtype);
    info.peak_bytes_per_s = args.device->memory_gbps * 1e9;
    return std::unique_ptr<kernel::Launchable>(std::make_unique<CublasLtLaunchable>(
        std::move(gpu), std::move(matmul), algo, workspace, std::move(info)));
  }

 private:
  Result<std::vector<Proposal>> proposals(const Problem& problem, const DeviceInfo& device) const {
    static auto& known = *new Proposals<Proposal>();
    PLANISH_ASSIGN_OR_RETURN(std::shared_ptr<Gpu> gpu, gpu_of(device));
    PLANISH_ASSIGN_OR_RETURN(const LibraryVersion version, library());
    return known.get(proposals_key(version, *gpu, problem, device), [&]() -> Result<std::vector<Proposal>> {
      PLANISH_ASSIGN_OR_RETURN(const Matmul matmul, matmul_on(*gpu, problem, device));
      return matmul.proposals(library_plans(device));
    });
  }
};

}  // namespace

void register_cublaslt(kernel::KernelRegistry& registry) { registry.add(std::make_unique<CublasLtFamily>()); }

}  // namespace planish::cuda
