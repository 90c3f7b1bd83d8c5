#include "backend/cuda/emit/emitted_kernel_def.h"

#include <algorithm>
#include <cstdlib>

#include "backend/cuda/device/ceiling.h"
#include "backend/cuda/device/gpu.h"
#include "backend/cuda/device/memory_share.h"
#include "backend/cuda/emit/any_size.h"
#include "backend/cuda/emit/artifact.h"
#include "backend/cuda/emit/cubin.h"
#include "backend/cuda/emit/launcher.h"
#include "backend/cuda/emit/nvrtc.h"
#include "base/log.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

// Places name buffers that the problem has.
Status check_places(const kernel::Problem& problem, const EmittedKernel& kernel) {
  const auto good = [&](const BufferPlace& place) {
    const int limit = place.kind == BufferKind::kOperand ? int(problem.operands.size())
                      : place.kind == BufferKind::kResult ? int(problem.results.size())
                                                          : 1;
    return place.index >= 0 && place.index < limit && place.offset_bytes >= 0;
  };
  for (const KernelArg& arg : kernel.args)
    if ((arg.kind == KernelArg::Kind::kPointer || arg.kind == KernelArg::Kind::kOuterStride) &&
        !good(arg.place))
      return data_loss(cat("kernel '", kernel.entry, "' takes a buffer that the step has not"));
  for (const TensorMapSpec& map : kernel.maps)
    if (!good(map.place))
      return data_loss(cat("kernel '", kernel.entry, "' maps a buffer that the step has not"));
  return ok_status();
}

// `may_spill`: whether a kernel that keeps registers in memory is taken.
Result<Artifact> make_artifact(const EmittedKernelDef& def, const kernel::Problem& problem,
                               const kernel::Tactic& tactic, const kernel::DeviceInfo& device,
                               bool may_spill) {
  PLANISH_ASSIGN_OR_RETURN(EmittedStep step, def.emit(problem, tactic, device));
  Artifact artifact;
  artifact.generator = kGeneratorVersion;
  artifact.arch = device.isa;
  artifact.fingerprint = kernel::fingerprint(problem);
  artifact.workspace_bytes = step.workspace_bytes;
  for (EmittedKernel& kernel : step.kernels) {
    auto compiled = compile_source(kernel.source, device.isa);
    if (!compiled.ok()) return compiled.status().at(cat(def.name(), " ", kernel.entry));
    if (compiled->report.spill_bytes > 0 && !may_spill)
      return unsupported(cat(def.name(), " ", kernel.entry, " spills registers: ",
                             compiled->report.spill_bytes, " bytes, expected none"));
    kernel.source.clear();
    artifact.kernels.push_back({std::move(kernel), compiled->cubin});
  }
  return artifact;
}

bool has_same_cubins(const Artifact& a, const Artifact& b) {
  bool same = a.kernels.size() == b.kernels.size();
  for (size_t i = 0; same && i < a.kernels.size(); ++i) same = *a.kernels[i].cubin == *b.kernels[i].cubin;
  return same;
}

constexpr char kOtherSizes[] = "it was made for other shapes";

// What keeps a stored artifact from being used here; "" when nothing does.
std::string difference(const Artifact& artifact, const kernel::Problem& problem,
                       const kernel::DeviceInfo& device) {
  if (artifact.generator != kGeneratorVersion)
    return cat("it was made by generator ", artifact.generator, ", this is ", kGeneratorVersion);
  if (artifact.arch != device.isa)
    return cat("it was made for ", artifact.arch, ", the device is ", device.isa);
  if (artifact.fingerprint != kernel::fingerprint(problem))
    return kOtherSizes;
  return "";
}

// What runs, and what it could reach. A cubin that does not read counts as one without tensor cores.
kernel::LaunchInfo describe(const Artifact& artifact, const kernel::Problem& problem,
                            const kernel::DeviceInfo& device) {
  kernel::LaunchInfo info;
  for (const ArtifactKernel& kernel : artifact.kernels) {
    info.kernels.push_back(kernel.launch.entry);
    const auto counts = count_instructions(*kernel.cubin);
    info.tensor_cores |= counts.ok() && counts->uses_tensor_cores();
  }
  const ir::DataType type =
      problem.operands.empty() ? problem.result_type(0).dtype : problem.operands[0].type.dtype;
  info.peak_flops = peak_flops(device, info.tensor_cores, type);
  info.peak_bytes_per_s = device.memory_gbps * 1e9;
  return info;
}

int64_t property(const kernel::DeviceInfo& device, const char* name, int64_t fallback) {
  auto found = device.properties.find(name);
  return found == device.properties.end() ? fallback : std::atoll(found->second.c_str());
}

}  // namespace

int sm_count(const kernel::DeviceInfo& device) { return int(property(device, "sm_count", 132)); }
int64_t shared_bytes_per_block(const kernel::DeviceInfo& device) {
  return property(device, "shared_bytes_per_block", 232448);
}
int sm_version(const kernel::DeviceInfo& device) {
  return device.isa.rfind("sm_", 0) == 0 ? std::atoi(device.isa.c_str() + 3) : 0;
}
double memory_us(const kernel::DeviceInfo& device, double bytes) {
  return kLaunchUs + 1.0 + bytes / (device.memory_gbps * 0.85 * 1e3);
}

std::string EmittedKernelDef::compiler() const { return cat("NVRTC ", nvrtc_version()); }

Result<kernel::Blob> EmittedKernelDef::compile(const kernel::Problem& problem,
                                               const kernel::Tactic& tactic,
                                               const kernel::DeviceInfo& device) const {
  // The best guess must be had, whatever it costs; of the others only good ones are worth a race.
  const std::vector<kernel::Tactic> legal = tactics(problem, device);
  const bool first = legal.empty() || legal.front() == tactic;
  PLANISH_ASSIGN_OR_RETURN(Artifact artifact, make_artifact(*this, problem, tactic, device, first));
  return kernel::Blob{ZeroedBytes(std::span<const std::byte>(encode(artifact)))};
}

Result<kernel::Blob> EmittedKernelDef::compile_any_size(const kernel::Problem& problem,
                                                        std::span<const kernel::Problem> others,
                                                        const kernel::Tactic& tactic,
                                                        const kernel::DeviceInfo& device) const {
  PLANISH_ASSIGN_OR_RETURN(const kernel::Blob exact, compile(problem, tactic, device));
  PLANISH_ASSIGN_OR_RETURN(Artifact artifact, decode(exact.bytes));
  artifact.variants = compile_variants(*this, others, tactic, device);
  return kernel::Blob{ZeroedBytes(std::span<const std::byte>(encode(artifact)))};
}

Result<std::unique_ptr<kernel::Launchable>> EmittedKernelDef::bind(
    const kernel::BindArgs& args) const {
  Artifact artifact;
  std::string why = "the plan holds none";
  if (!args.artifact.empty()) {
    PLANISH_ASSIGN_OR_RETURN(artifact, decode(args.artifact));
    why = difference(artifact, *args.problem, *args.device);
  }
  std::span<const std::byte> packed = args.packed;
  kernel::Blob repacked;
  kernel::Tactic tactic = *args.tactic;
  bool any_size = false;
  if (why == kOtherSizes) {
    if (auto fitting = fit(*this, artifact, *args.problem, *args.device)) {
      if (!(fitting->tactic == *args.tactic)) {
        PLANISH_ASSIGN_OR_RETURN(
            repacked, pack(*args.problem, fitting->tactic, *args.device, args.constants));
        packed = repacked.bytes;
      }
      tactic = fitting->tactic;
      artifact = std::move(fitting->artifact);
      any_size = true;
      why.clear();
    } else if (!artifact.variants.empty()) {
      why += cat(", and none of its ", artifact.variants.size(), " kernels of any size fits");
    }
  }
  const bool is_planned = why.empty();
  if (!is_planned) {
    if (const Status s = nvrtc_available(); !s.ok())
      return Status(Code::kIncompatible, cat("the compiled kernel does not fit (", why,
                                             ") and cannot be made anew: ", s.message()));
    PLANISH_RETURN_IF_ERROR(supports(*args.problem, *args.device));
    PLANISH_LOG(kInfo, name(), ": compiling at run time: ", why);
    // The plan's tactic where it is legal for these shapes, else the best guess, weights and all.
    const std::vector<kernel::Tactic> legal = tactics(*args.problem, *args.device);
    if (std::find(legal.begin(), legal.end(), tactic) == legal.end()) {
      tactic = legal.at(0);
      PLANISH_ASSIGN_OR_RETURN(repacked,
                               pack(*args.problem, tactic, *args.device, args.constants));
      packed = repacked.bytes;
    }
    PLANISH_ASSIGN_OR_RETURN(artifact,
                             make_artifact(*this, *args.problem, tactic, *args.device, true));
  }
  for (const ArtifactKernel& kernel : artifact.kernels)
    PLANISH_RETURN_IF_ERROR(check_places(*args.problem, kernel.launch));
  PLANISH_ASSIGN_OR_RETURN(std::shared_ptr<Gpu> gpu, gpu_of(*args.device));
  PLANISH_ASSIGN_OR_RETURN(const auto share, share_of(*args.device));
  kernel::LaunchInfo info = describe(artifact, *args.problem, *args.device);
  info.any_size = any_size;
  auto made = make_launcher(gpu, artifact, packed, share, info);
  if (made.status().code() != Code::kIncompatible || !is_planned || !nvrtc_available().ok()) return made;
  // Made by a newer compiler than the driver knows: the one that is installed here may know better.
  auto here = make_artifact(*this, *args.problem, tactic, *args.device, true);
  if (!here.ok() || has_same_cubins(*here, artifact)) return made;
  PLANISH_LOG(kWarning, name(), ": ", made.status().message(), "; compiled anew");
  return make_launcher(std::move(gpu), std::move(*here), packed, share, std::move(info));
}

}  // namespace planish::cuda
