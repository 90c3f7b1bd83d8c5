// Convolutions by cuDNN's graph interface (with bias, residual, ReLU), as a KernelDef that takes part
// where --allow-libraries was asked for.
#include <cstring>

#include "backend/cuda/device/ceiling.h"
#include "backend/cuda/emit/emitted_kernel_def.h"
#include "backend/cuda/families/contraction/contraction_def.h"
#include "backend/cuda/families/cudnn/conv_graph.h"
#include "backend/cuda/families/register_families.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

using cudnn::Configuration;
using cudnn::ConvGraph;
using kernel::DeviceInfo;
using kernel::Problem;
using kernel::Tactic;

Result<FusedProduct> convolution_of(const Problem& problem) {
  PLANISH_ASSIGN_OR_RETURN(FusedProduct fused, fused_product_of(problem));
  if (!fused.product.is_conv) return other_family();
  return fused;
}

bool may_round(const FusedProduct& fused, const DeviceInfo& device) {
  return fused.product.type == ir::DataType::kF32 && takes_tf32(device);
}

class CudnnLaunchable : public kernel::DescribedLaunchable {
 public:
  CudnnLaunchable(std::shared_ptr<Gpu> gpu, const Cudnn& library, ConvGraph graph, ConvGraph::Plan plan,
                  FusedProduct fused, std::shared_ptr<const DeviceBytes> weights, kernel::LaunchInfo info)
      : gpu_(std::move(gpu)), library_(library), graph_(std::move(graph)), plan_(std::move(plan)),
        fused_(std::move(fused)), weights_(std::move(weights)), info_(std::move(info)) {}
  int64_t workspace_bytes() const override { return scratch_bytes(plan_.workspace_bytes); }
  const kernel::LaunchInfo& launch_info() const override { return info_; }
  Status run(const kernel::RunArgs& args) const override {
    PLANISH_ASSIGN_OR_RETURN(const CudnnHandle handle, CudnnHandle::take(library_, *gpu_));
    const void* weights =
        weights_ ? weights_->data() : args.operands[size_t(fused_.product.right.value)].data;
    return ConvGraph::run(library_, handle.get(), plan_, fused_, args, weights,
                          scratch_in(args.workspace, plan_.workspace_bytes));
  }

 private:
  std::shared_ptr<Gpu> gpu_;
  const Cudnn& library_;
  ConvGraph graph_;  // the plan refers to its parts
  ConvGraph::Plan plan_;
  FusedProduct fused_;
  std::shared_ptr<const DeviceBytes> weights_;  // null: computed by another step
  kernel::LaunchInfo info_;
};

class CudnnFamily : public LibraryKernelDef {
 public:
  std::string name() const override { return "cuda.cudnn_conv"; }

  std::vector<Tactic> tactics(const Problem& problem, const DeviceInfo& device) const override {
    std::vector<Tactic> out;
    const auto here = library();
    const auto found = proposals(problem, device);
    if (!found.ok() || !here.ok()) return out;
    for (const Configuration& configuration : *found) {
      Tactic tactic = cudnn::write(configuration);
      tactic.params.emplace("version", here->major * 100 + here->minor);
      out.push_back(std::move(tactic));
    }
    return out;
  }

  // Filters as [filter][tap][depth].
  bool packs(const Problem& problem, int operand) const override { return packs_right_operand(problem, operand); }
  Result<kernel::Blob> pack(const Problem& problem, const Tactic&, const DeviceInfo&,
                            std::span<const ir::Tensor> constants) const override {
    PLANISH_ASSIGN_OR_RETURN(const Product p, product_of_any_size(problem));
    kernel::Blob blob;
    if (!packs_right_operand(problem, p.right.value)) return blob;
    const ir::Tensor& weights = constants[size_t(p.right.value)];
    const auto* from = static_cast<const std::byte*>(weights.data());
    const size_t size = size_t(ir::bits_of(p.type) / 8);
    blob.bytes.resize(size_t(weights.count()) * size);
    std::byte* to = blob.bytes.data();
    for (int64_t b = 0; b < p.batches; ++b)
      for (int64_t channel = 0; channel < p.channels; ++channel)
        for (int64_t tap = 0; tap < p.taps(); ++tap)
          for (int64_t depth = 0; depth < p.depth; ++depth, to += size)
            std::memcpy(to, from + size_t(right_element(p, b, channel, tap, depth)) * size, size);
    return blob;
  }

 protected:
  Result<LibraryVersion> library() const override {
    PLANISH_ASSIGN_OR_RETURN(const Cudnn* library, cudnn_library());
    return library->version();
  }

  Status takes(const Problem& problem, const DeviceInfo&) const override { return convolution_of(problem).status(); }

  Result<std::vector<std::byte>> choose(const Problem&, const Tactic& tactic, const DeviceInfo&) const override {
    const std::string text = cudnn::write(cudnn::read(tactic)).to_string();
    const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
    return std::vector<std::byte>(bytes, bytes + text.size());
  }

  Result<std::unique_ptr<kernel::Launchable>> launchable(const kernel::BindArgs& args,
                                                         std::span<const std::byte> choice) const override {
    const std::string_view text(reinterpret_cast<const char*>(choice.data()), choice.size());
    PLANISH_ASSIGN_OR_RETURN(const Tactic chosen, Tactic::parse(text));
    PLANISH_ASSIGN_OR_RETURN(FusedProduct fused, convolution_of(*args.problem));
    PLANISH_ASSIGN_OR_RETURN(std::shared_ptr<Gpu> gpu, gpu_of(*args.device));
    PLANISH_ASSIGN_OR_RETURN(const auto share, share_of(*args.device));
    PLANISH_ASSIGN_OR_RETURN(const Cudnn* library, cudnn_library());
    PLANISH_ASSIGN_OR_RETURN(const CudnnHandle handle, CudnnHandle::take(*library, *gpu));
    PLANISH_ASSIGN_OR_RETURN(ConvGraph graph, ConvGraph::make(*library, handle.get(), fused, may_round(fused, *args.device)));
    PLANISH_ASSIGN_OR_RETURN(ConvGraph::Plan plan, graph.plan(handle.get(), cudnn::read(chosen)));
    std::shared_ptr<const DeviceBytes> weights;
    if (!args.packed.empty()) {
      PLANISH_ASSIGN_OR_RETURN(weights, gpu->upload(args.packed, share));
    } else if (packs_right_operand(*args.problem, fused.product.right.value)) {
      return data_loss("packed filters are missing");
    }
    kernel::LaunchInfo info;
    info.tensor_cores = plan.tensor_cores;
    info.kernels = {cat(library->version().text(), " ", text)};
    info.peak_flops = peak_flops(*args.device, info.tensor_cores, fused.product.type);
    info.peak_bytes_per_s = args.device->memory_gbps * 1e9;
    return std::unique_ptr<kernel::Launchable>(
        std::make_unique<CudnnLaunchable>(std::move(gpu), *library, std::move(graph), std::move(plan),
                                          std::move(fused), std::move(weights), std::move(info)));
  }

 private:
  Result<std::vector<Configuration>> proposals(const Problem& problem, const DeviceInfo& device) const {
    static auto& known = *new Proposals<Configuration>();
    PLANISH_ASSIGN_OR_RETURN(std::shared_ptr<Gpu> gpu, gpu_of(device));
    PLANISH_ASSIGN_OR_RETURN(const Cudnn* library, cudnn_library());
    const std::string key = proposals_key(library->version(), *gpu, problem, device);
    return known.get(key, [&]() -> Result<std::vector<Configuration>> {
      PLANISH_ASSIGN_OR_RETURN(const FusedProduct fused, convolution_of(problem));
      PLANISH_ASSIGN_OR_RETURN(const CudnnHandle handle, CudnnHandle::take(*library, *gpu));
      PLANISH_ASSIGN_OR_RETURN(ConvGraph graph,
                               ConvGraph::make(*library, handle.get(), fused, may_round(fused, device)));
      return graph.proposals(handle.get(), library_plans(device));
    });
  }
};

}  // namespace

void register_cudnn(kernel::KernelRegistry& registry) { registry.add(std::make_unique<CudnnFamily>()); }

}  // namespace planish::cuda
