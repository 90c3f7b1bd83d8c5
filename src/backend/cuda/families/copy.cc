// Copies that the driver does: "Transfer" between host and device, and "Copy" of a part of a value or
// into one, dense or with a distance of its own between slices of the outermost dim.
#include "backend/cuda/device/gpu.h"
#include "backend/cuda/emit/emitted_kernel_def.h"
#include "backend/cuda/families/register_families.h"
#include "base/text.h"
#include "kernel/cost.h"

namespace planish::cuda {
namespace {

using ir::MemorySpace;
using kernel::Problem;

// PCI Express 5 x16, what copies reach of it.
constexpr double kTransferGbps = 45;

class CopyLaunchable : public kernel::Launchable {
 public:
  CopyLaunchable(std::shared_ptr<Gpu> gpu, const ir::TensorType& from, const ir::TensorType& to)
      : gpu_(std::move(gpu)), from_space_(from.space), to_space_(to.space) {
    const std::vector<int64_t> dims = ir::to_dims(from.shape);
    bytes_ = ir::bytes_of(from.dtype, ir::physical_element_count(dims, from.layout));
    if (!dims.empty() && dims[0] > 0) slices_ = dims[0];
  }

  Status run(const kernel::RunArgs& args) const override {
    if (bytes_ == 0) return ok_status();
    const kernel::BufferRef& from = args.operands[0];
    const kernel::BufferRef& to = args.results[0];
    const auto stream = static_cast<CUstream>(args.stream);
    PLANISH_RETURN_IF_ERROR(gpu_->make_current());
    if (!from.outer_stride_bytes && !to.outer_stride_bytes) {
      PLANISH_CUDA(gpu_->driver().cuMemcpyAsync(reinterpret_cast<CUdeviceptr>(to.data),
                                                reinterpret_cast<CUdeviceptr>(from.data),
                                                size_t(bytes_), stream));
      return ok_status();
    }
    const size_t slice = size_t(bytes_ / slices_);
    CUDA_MEMCPY2D copy{};
    copy.WidthInBytes = slice;
    copy.Height = size_t(slices_);
    copy.srcPitch = from.outer_stride_bytes ? size_t(from.outer_stride_bytes) : slice;
    copy.dstPitch = to.outer_stride_bytes ? size_t(to.outer_stride_bytes) : slice;
    copy.srcMemoryType = memory_type(from_space_);
    copy.dstMemoryType = memory_type(to_space_);
    copy.srcHost = from.data;
    copy.dstHost = to.data;
    copy.srcDevice = reinterpret_cast<CUdeviceptr>(from.data);
    copy.dstDevice = reinterpret_cast<CUdeviceptr>(to.data);
    PLANISH_CUDA(gpu_->driver().cuMemcpy2DAsync(&copy, stream));
    return ok_status();
  }

 private:
  static CUmemorytype memory_type(MemorySpace space) {
    return space == MemorySpace::kDevice ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST;
  }
  std::shared_ptr<Gpu> gpu_;
  MemorySpace from_space_, to_space_;
  int64_t bytes_ = 0, slices_ = 1;
};

class Copy : public kernel::KernelDef {
 public:
  std::string name() const override { return "cuda.copy"; }
  std::string device_kind() const override { return "cuda"; }

  Status supports(const Problem& problem, const kernel::DeviceInfo&) const override {
    const std::string_view op = problem.root_op();
    if (op != "Copy" && op != "Transfer") return other_family();
    const ir::TensorType& from = problem.operands[0].type;
    if (!(from.layout == problem.result_type(0).layout))
      return unsupported(cat("a copy that changes the layout from ", ir::to_string(from.layout)));
    if (ir::bits_of(from.dtype) < 8 && op == "Copy")
      return unsupported("parts of values of less than a byte an element");
    return ok_status();
  }
  double predict_us(const Problem& problem, const kernel::Tactic&,
                    const kernel::DeviceInfo& device) const override {
    const double bytes = double(kernel::bytes_moved(problem));
    return problem.root_op() == "Copy" ? memory_us(device, bytes)
                                       : 10 + bytes / 2 / (kTransferGbps * 1e3);
  }
  bool takes_strided(const Problem&, bool, int) const override { return true; }

  Result<std::unique_ptr<kernel::Launchable>> bind(const kernel::BindArgs& args) const override {
    PLANISH_ASSIGN_OR_RETURN(std::shared_ptr<Gpu> gpu, gpu_of(*args.device));
    return std::unique_ptr<kernel::Launchable>(std::make_unique<CopyLaunchable>(
        std::move(gpu), args.problem->operands[0].type, args.problem->result_type(0)));
  }
};

}  // namespace

void register_copy(kernel::KernelRegistry& registry) { registry.add(std::make_unique<Copy>()); }

}  // namespace planish::cuda
