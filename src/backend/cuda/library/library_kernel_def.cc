#include "backend/cuda/library/library_kernel_def.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "backend/cuda/device/ceiling.h"
#include "backend/cuda/emit/emitted_kernel_def.h"
#include "backend/cuda/emit/nvrtc.h"
#include "backend/cuda/families/contraction/product.h"
#include "backend/cuda/families/register_families.h"
#include "base/log.h"
#include "base/text.h"
#include "kernel/cost.h"
#include "kernel/supported.h"

namespace planish::cuda {
namespace {

using kernel::DeviceInfo;
using kernel::Problem;
using kernel::Tactic;

constexpr uint32_t kMagic = 0x314C4350;  // "PCL1"
constexpr size_t kMostText = 1 << 12;
constexpr int64_t kScratchAlignment = 256;

// Which library made the choice, of which problem.
struct LibraryArtifact {
  LibraryVersion version;
  std::string fingerprint;
  std::vector<std::byte> choice;
};

void put(std::vector<std::byte>& out, const void* data, size_t bytes) {
  const auto* from = static_cast<const std::byte*>(data);
  out.insert(out.end(), from, from + bytes);
}
void put_text(std::vector<std::byte>& out, const void* data, size_t bytes) {
  const uint64_t size = bytes;
  put(out, &size, sizeof(size));
  put(out, data, bytes);
}

kernel::Blob encode(const LibraryArtifact& artifact) {
  std::vector<std::byte> out;
  const int32_t numbers[] = {artifact.version.major, artifact.version.minor};
  put(out, &kMagic, sizeof(kMagic));
  put(out, numbers, sizeof(numbers));
  put_text(out, artifact.version.name.data(), artifact.version.name.size());
  put_text(out, artifact.fingerprint.data(), artifact.fingerprint.size());
  put_text(out, artifact.choice.data(), artifact.choice.size());
  return {ZeroedBytes(std::span<const std::byte>(out))};
}

Result<LibraryArtifact> decode(std::span<const std::byte> bytes) {
  const auto damaged = [&] {
    return data_loss(cat("the artifact of a library's kernel, ", bytes.size(), " bytes, does not read"));
  };
  size_t at = 0;
  const auto take = [&](void* to, size_t count) {
    if (count > bytes.size() - at) return false;
    std::memcpy(to, bytes.data() + at, count);
    at += count;
    return true;
  };
  const auto take_text = [&](auto& to) {
    uint64_t size = 0;
    if (!take(&size, sizeof(size)) || size > bytes.size() - at) return false;
    to.resize(size_t(size));
    return take(to.data(), size_t(size));
  };
  LibraryArtifact artifact;
  uint32_t magic = 0;
  int32_t numbers[2] = {};
  if (!take(&magic, sizeof(magic)) || magic != kMagic || !take(numbers, sizeof(numbers)) ||
      !take_text(artifact.version.name) || !take_text(artifact.fingerprint) ||
      !take_text(artifact.choice) || at != bytes.size() || artifact.version.name.size() > kMostText)
    return damaged();
  artifact.version.major = numbers[0];
  artifact.version.minor = numbers[1];
  return artifact;
}

// Why the library that is here does not do for the artifact; "" when it does.
std::string difference(const LibraryArtifact& artifact, const Result<LibraryVersion>& found) {
  if (!found.ok()) return cat("the plan wants ", artifact.version.text(), ", found none: ", found.status().message());
  if (*found == artifact.version) return "";
  return cat("the plan wants ", artifact.version.text(), ", found ", found->text());
}

// Our own families alone, for what stands in.
const kernel::KernelRegistry& own_kernels() {
  static const kernel::KernelRegistry& registry = *[] {
    auto* made = new kernel::KernelRegistry();
    register_families(*made);
    return made;
  }();
  return registry;
}

// A kernel reads an operand from memory unless it packs it; what a plan's kernel packs is not there.
bool operands_suffice(const kernel::KernelDef& own, const kernel::KernelDef& planned, const Problem& problem) {
  for (int i = 0; i < int(problem.operands.size()); ++i)
    if (planned.packs(problem, i) && !own.packs(problem, i)) return false;
  return true;
}

bool takes_layouts(const kernel::KernelDef& def, const Problem& problem, const DeviceInfo& device) {
  for (const kernel::LayoutChoice& choice : def.layouts(problem, device)) {
    bool same = true;
    for (size_t i = 0; i < choice.operands.size() && i < problem.operands.size(); ++i)
      same &= !problem.operands[i].present || problem.operands[i].constant ||
              problem.operands[i].type.layout == choice.operands[i];
    for (size_t i = 0; i < choice.results.size() && i < problem.results.size(); ++i)
      same &= problem.result_type(int(i)).layout == choice.results[i];
    if (same) return true;
  }
  return false;
}

}  // namespace

std::string LibraryVersion::text() const { return cat(name, " ", major, ".", minor); }

int library_plans(const DeviceInfo& device) {
  const auto found = device.properties.find(std::string(kLibraryPlansProperty));
  return found == device.properties.end() ? kLibraryPlans : std::max(1, std::atoi(found->second.c_str()));
}

Status LibraryKernelDef::supports(const Problem& problem, const DeviceInfo& device) const {
  const std::string use = kernel::libraries_use(device);
  if (use.empty()) return other_family();
  PLANISH_RETURN_IF_ERROR(takes(problem, device));
  if (use == kernel::kLibrariesLoad) return ok_status();
  const Result<LibraryVersion> here = library();
  if (!here.ok()) return unsupported(here.status().message());
  return tactics(problem, device).empty() ? unsupported(cat(here->text(), " proposes nothing for it"))
                                          : ok_status();
}

int64_t scratch_bytes(int64_t wanted) { return wanted ? wanted + kScratchAlignment : 0; }

void* scratch_in(void* workspace, int64_t wanted) {
  const auto at = (reinterpret_cast<uintptr_t>(workspace) + kScratchAlignment - 1) / kScratchAlignment *
                  kScratchAlignment;
  return wanted ? reinterpret_cast<void*>(at) : nullptr;
}

std::string proposals_key(const LibraryVersion& version, const Gpu& gpu, const Problem& problem,
                          const DeviceInfo& device) {
  return cat(version.text(), " ", gpu.info().properties.at("ordinal"), " ", takes_tf32(device), " ",
             library_plans(device), " ", kernel::fingerprint(problem));
}

std::vector<kernel::LayoutChoice> LibraryKernelDef::layouts(const Problem& problem, const DeviceInfo&) const {
  const auto product = product_of(problem);
  if (!product.ok()) return {};
  return {product_layouts(problem, *product)};
}

// Twice what the chip's ceilings ask for: near enough to be timed, too slow to be taken untimed.
double LibraryKernelDef::predict_us(const Problem& problem, const Tactic&, const DeviceInfo& device) const {
  const ir::DataType type = problem.operands.empty() ? ir::DataType::kF32 : problem.operands[0].type.dtype;
  const bool tensor_cores = type != ir::DataType::kF32 || device.properties.count("tf32");
  const double flops = std::max(peak_flops(device, tensor_cores, type), 1e12);
  return 2 * std::max(kernel::flop_count(problem) / flops * 1e6,
                      memory_us(device, double(kernel::bytes_moved(problem))));
}

Result<kernel::Blob> LibraryKernelDef::compile(const Problem& problem, const Tactic& tactic,
                                               const DeviceInfo& device) const {
  LibraryArtifact artifact;
  PLANISH_ASSIGN_OR_RETURN(artifact.version, library());
  artifact.fingerprint = kernel::fingerprint(problem);
  PLANISH_ASSIGN_OR_RETURN(artifact.choice, choose(problem, tactic, device));
  return encode(artifact);
}

Result<std::string> LibraryKernelDef::requirement(std::span<const std::byte> bytes) const {
  PLANISH_ASSIGN_OR_RETURN(const LibraryArtifact artifact, decode(bytes));
  return artifact.version.text();
}

Status LibraryKernelDef::check_library(std::span<const std::byte> bytes) const {
  PLANISH_ASSIGN_OR_RETURN(const LibraryArtifact artifact, decode(bytes));
  const std::string why = difference(artifact, library());
  if (why.empty() || nvrtc_available().ok()) return ok_status();
  return Status(Code::kIncompatible, cat(name(), ": ", why, "; no kernel of our own can be made in its place: ",
                                         nvrtc_available().message()));
}

Result<std::unique_ptr<kernel::Launchable>> LibraryKernelDef::bind(const kernel::BindArgs& args) const {
  PLANISH_ASSIGN_OR_RETURN(LibraryArtifact artifact, decode(args.artifact));
  PLANISH_RETURN_IF_ERROR(check_library(args.artifact));
  std::string why = difference(artifact, library());
  if (why.empty()) {
    if (artifact.fingerprint != kernel::fingerprint(*args.problem)) {  // shapes that only this run knows
      PLANISH_RETURN_IF_ERROR(takes(*args.problem, *args.device));
      const std::vector<Tactic> legal = tactics(*args.problem, *args.device);
      auto choice = legal.empty() ? Result<std::vector<std::byte>>(unsupported("it proposes nothing"))
                                  : choose(*args.problem, legal[0], *args.device);
      if (choice.ok()) artifact.choice = std::move(*choice);
      else why = choice.status().message();
    }
    if (why.empty()) {
      auto made = launchable(args, artifact.choice);
      if (made.ok() || made.status().code() == Code::kResourceExhausted) return made;
      why = cat(artifact.version.text(), " refuses the plan's choice: ", made.status().message());
    }
  }
  PLANISH_LOG(kWarning, name(), ": ", why, "; a kernel of our own is made in its place");
  return bind_own(args);
}

Result<std::unique_ptr<kernel::Launchable>> LibraryKernelDef::bind_own(const kernel::BindArgs& args) const {
  DeviceInfo device = *args.device;
  device.properties.erase(std::string(kernel::kLibrariesProperty));
  const kernel::KernelDef* best = nullptr;
  Tactic tactic;
  double best_us = 0;
  for (const auto& own : own_kernels().all()) {
    if (!kernel::supported(*own, *args.problem, device).ok() || !takes_layouts(*own, *args.problem, device) ||
        !operands_suffice(*own, *this, *args.problem))
      continue;
    const Tactic first = own->tactics(*args.problem, device).at(0);
    const double us = own->predict_us(*args.problem, first, device);
    if (best && us >= best_us) continue;
    best = own.get();
    best_us = us;
    tactic = first;
  }
  if (!best) return unsupported(cat(name(), ": no kernel of our own takes the step"));
  kernel::BindArgs own = args;
  own.tactic = &tactic;
  own.device = &device;
  PLANISH_ASSIGN_OR_RETURN(const kernel::Blob artifact, best->compile(*args.problem, tactic, device));
  PLANISH_ASSIGN_OR_RETURN(const kernel::Blob packed,
                           best->pack(*args.problem, tactic, device, args.constants));
  own.artifact = artifact.bytes;
  own.packed = packed.bytes;
  return best->bind(own);
}

}  // namespace planish::cuda
