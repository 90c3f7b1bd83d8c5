#include "backend/cuda/emit/launcher.h"

#include <algorithm>

#include "backend/cuda/device/memory_share.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

// Largest parameter block that is taken (the driver's limit is 4 KB or more).
constexpr size_t kMaxArgs = 256;

Result<CUtensorMapDataType> map_type(const TensorMapSpec& map) {
  switch (map.dtype) {
    case ir::DataType::kF16: return CU_TENSOR_MAP_DATA_TYPE_FLOAT16;
    case ir::DataType::kBF16: return CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
    case ir::DataType::kF32:
      return map.tf32 ? CU_TENSOR_MAP_DATA_TYPE_TFLOAT32 : CU_TENSOR_MAP_DATA_TYPE_FLOAT32;
    case ir::DataType::kI8: case ir::DataType::kU8: case ir::DataType::kF8E4M3Fn:
    case ir::DataType::kF8E5M2: return CU_TENSOR_MAP_DATA_TYPE_UINT8;
    case ir::DataType::kI32: return CU_TENSOR_MAP_DATA_TYPE_INT32;
    default: return unsupported(cat("no tensor map of ", ir::name_of(map.dtype)));
  }
}

Result<CUtensorMap> encode_map(const Driver& driver, const TensorMapSpec& spec, void* address,
                               int64_t outer_stride) {
  PLANISH_ASSIGN_OR_RETURN(const CUtensorMapDataType type, map_type(spec));
  std::vector<cuuint64_t> dims(spec.dims.begin(), spec.dims.end());
  std::vector<cuuint64_t> strides(spec.byte_strides.begin(), spec.byte_strides.end());
  if (spec.outer_stride >= 0 && outer_stride) strides[size_t(spec.outer_stride)] = cuuint64_t(outer_stride);
  std::vector<cuuint32_t> steps(spec.element_strides.begin(), spec.element_strides.end());
  if (steps.empty()) steps.assign(dims.size(), 1);
  const auto swizzle = CUtensorMapSwizzle(int(spec.swizzle));
  const auto l2 = CUtensorMapL2promotion(int(spec.l2));
  CUtensorMap map{};
  if (spec.mode == MapMode::kTiled) {
    PLANISH_CUDA(driver.cuTensorMapEncodeTiled(
        &map, type, cuuint32_t(dims.size()), address, dims.data(), strides.data(), spec.box.data(),
        steps.data(), CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle, l2,
        CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE));
  } else {
    PLANISH_CUDA(driver.cuTensorMapEncodeIm2col(
        &map, type, cuuint32_t(dims.size()), address, dims.data(), strides.data(),
        spec.lower_corner.data(), spec.upper_corner.data(), spec.channels_per_pixel,
        spec.pixels_per_column, steps.data(), CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle, l2,
        CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE));
  }
  return map;
}

struct LoadedKernel {
  EmittedKernel launch;
  std::shared_ptr<const Module> module;
  CUfunction function = nullptr;
};

class Launcher : public kernel::DescribedLaunchable {
 public:
  Launcher(std::shared_ptr<Gpu> gpu, int64_t workspace_bytes, kernel::LaunchInfo info)
      : gpu_(std::move(gpu)), workspace_bytes_(workspace_bytes), info_(std::move(info)) {}

  Status load(Artifact artifact, std::span<const std::byte> packed,
              const std::shared_ptr<MemoryShare>& share) {
    PLANISH_RETURN_IF_ERROR(gpu_->make_current());
    if (!packed.empty()) {
      PLANISH_ASSIGN_OR_RETURN(packed_, gpu_->upload(packed, share));
    }
    for (ArtifactKernel& one : artifact.kernels) {
      LoadedKernel kernel{std::move(one.launch), nullptr, nullptr};
      auto module = gpu_->load_module(*one.cubin);
      if (!module.ok()) return module.status().at(kernel.launch.entry);
      kernel.module = std::move(*module);
      PLANISH_CUDA(gpu_->driver().cuModuleGetFunction(&kernel.function, kernel.module->handle(),
                                                      kernel.launch.entry.c_str()));
      if (Status s = prepare(kernel); !s.ok()) return s.at(kernel.launch.entry);
      kernels_.push_back(std::move(kernel));
    }
    return ok_status();
  }

  int64_t workspace_bytes() const override { return workspace_bytes_; }
  const kernel::LaunchInfo& launch_info() const override { return info_; }

  Status run(const kernel::RunArgs& args) const override { return run_all(args, true); }
  Status run_after_end(const kernel::RunArgs& args) const override { return run_all(args, false); }

 private:
  // `programmatic`: the first kernel may be launched so; those behind it follow kernels of ours.
  Status run_all(const kernel::RunArgs& args, bool programmatic) const {
    PLANISH_RETURN_IF_ERROR(gpu_->make_current());
    for (const LoadedKernel& kernel : kernels_) {
      if (Status s = launch(kernel, args, programmatic); !s.ok()) return s.at(kernel.launch.entry);
      programmatic = true;
    }
    return ok_status();
  }

  // Attributes that shared memory and clusters need; the grid of persistent kernels.
  Status prepare(LoadedKernel& kernel) {
    const Driver& driver = gpu_->driver();
    EmittedKernel& launch = kernel.launch;
    if (launch.dynamic_shared_bytes > 48 << 10)
      PLANISH_CUDA(driver.cuFuncSetAttribute(kernel.function,
                                             CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                             int(launch.dynamic_shared_bytes)));
    if (launch.cluster.count() > 8)
      PLANISH_CUDA(driver.cuFuncSetAttribute(
          kernel.function, CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED, 1));
    if (!launch.persistent) return ok_status();
    int resident = 0;
    const uint32_t cluster = uint32_t(launch.cluster.count());
    if (cluster == 1) {
      PLANISH_CUDA(driver.cuOccupancyMaxActiveBlocksPerMultiprocessor(
          &resident, kernel.function, int(launch.block.count()), size_t(launch.dynamic_shared_bytes)));
      resident *= gpu_->sm_count();
    } else {
      CUlaunchAttribute attributes[2];
      CUlaunchConfig config = configure(launch, nullptr, launch.programmatic_launch, attributes);
      PLANISH_CUDA(driver.cuOccupancyMaxActiveClusters(&resident, kernel.function, &config));
      resident *= int(cluster);
    }
    if (resident <= 0) return unsupported("no block of this kernel fits on the device");
    launch.grid.x = std::min(launch.grid.x, uint32_t(resident));
    return ok_status();
  }

  static CUlaunchConfig configure(const EmittedKernel& launch, void* stream, bool programmatic,
                                  CUlaunchAttribute (&attributes)[2]) {
    CUlaunchConfig config{};
    config.gridDimX = launch.grid.x;
    config.gridDimY = launch.grid.y;
    config.gridDimZ = launch.grid.z;
    config.blockDimX = launch.block.x;
    config.blockDimY = launch.block.y;
    config.blockDimZ = launch.block.z;
    config.sharedMemBytes = unsigned(launch.dynamic_shared_bytes);
    config.hStream = static_cast<CUstream>(stream);
    config.attrs = attributes;
    if (launch.cluster.count() > 1) {
      attributes[config.numAttrs].id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
      attributes[config.numAttrs++].value.clusterDim = {launch.cluster.x, launch.cluster.y,
                                                        launch.cluster.z};
    }
    if (programmatic) {
      attributes[config.numAttrs].id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION;
      attributes[config.numAttrs++].value.programmaticStreamSerializationAllowed = 1;
    }
    return config;
  }

  kernel::BufferRef buffer(const BufferPlace& place, const kernel::RunArgs& args) const {
    switch (place.kind) {
      case BufferKind::kOperand: return args.operands[size_t(place.index)];
      case BufferKind::kResult: return args.results[size_t(place.index)];
      case BufferKind::kPacked: return {packed_ ? packed_->data() : nullptr, 0};
      case BufferKind::kWorkspace: return {args.workspace, 0};
    }
    return {};
  }
  std::byte* address(const BufferPlace& place, const kernel::RunArgs& args) const {
    return static_cast<std::byte*>(buffer(place, args).data) + place.offset_bytes;
  }

  Status launch(const LoadedKernel& kernel, const kernel::RunArgs& args, bool programmatic) const {
    const EmittedKernel& launch = kernel.launch;
    CUtensorMap maps[32];
    for (size_t i = 0; i < launch.maps.size(); ++i) {
      const TensorMapSpec& spec = launch.maps[i];
      auto map = encode_map(gpu_->driver(), spec, address(spec.place, args),
                            buffer(spec.place, args).outer_stride_bytes);
      if (!map.ok()) return map.status().at(cat("tensor map ", i));
      maps[i] = *map;
    }
    union Value {
      void* pointer;
      int64_t i64;
      int32_t i32;
      float f32;
    } values[kMaxArgs];
    void* parameters[kMaxArgs];
    for (size_t i = 0; i < launch.args.size(); ++i) {
      const KernelArg& arg = launch.args[i];
      parameters[i] = &values[i];
      switch (arg.kind) {
        case KernelArg::Kind::kPointer: values[i].pointer = address(arg.place, args); break;
        case KernelArg::Kind::kOuterStride: {
          const int64_t stride = buffer(arg.place, args).outer_stride_bytes;
          values[i].i64 = stride ? stride : arg.integer;
          break;
        }
        case KernelArg::Kind::kTensorMap: parameters[i] = &maps[arg.map]; break;
        case KernelArg::Kind::kI32: values[i].i32 = int32_t(arg.integer); break;
        case KernelArg::Kind::kI64: values[i].i64 = arg.integer; break;
        case KernelArg::Kind::kF32: values[i].f32 = arg.real; break;
      }
    }
    CUlaunchAttribute attributes[2];
    const CUlaunchConfig config =
        configure(launch, args.stream, launch.programmatic_launch && programmatic, attributes);
    PLANISH_GPU(*gpu_, gpu_->driver().cuLaunchKernelEx(&config, kernel.function, parameters, nullptr));
    return ok_status();
  }

  std::shared_ptr<Gpu> gpu_;
  int64_t workspace_bytes_;
  kernel::LaunchInfo info_;
  std::shared_ptr<const DeviceBytes> packed_;
  std::vector<LoadedKernel> kernels_;
};

}  // namespace

Result<std::unique_ptr<kernel::Launchable>> make_launcher(
    std::shared_ptr<Gpu> gpu, Artifact artifact, std::span<const std::byte> packed,
    const std::shared_ptr<MemoryShare>& share, kernel::LaunchInfo info) {
  auto launcher =
      std::make_unique<Launcher>(std::move(gpu), artifact.workspace_bytes, std::move(info));
  PLANISH_RETURN_IF_ERROR(launcher->load(std::move(artifact), packed, share));
  return std::unique_ptr<kernel::Launchable>(std::move(launcher));
}

}  // namespace planish::cuda
