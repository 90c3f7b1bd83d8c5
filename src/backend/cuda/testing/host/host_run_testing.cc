#include "backend/cuda/testing/host/host_run_testing.h"

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>

#include "backend/cuda/testing/host/emulator.h"
#include "backend/cuda/testing/host/host_source.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

constexpr size_t kStepsPerLibrary = 96;
// Blocks (or clusters) of a persistent kernel: fewer than its tiles, so that its loop is walked.
constexpr uint32_t kResident = 2;

std::string unique_name(size_t step, size_t kernel) { return cat("k", step, "_", kernel); }

planish_host::MapView view_of(const TensorMapSpec& spec, const std::byte* base) {
  planish_host::MapView view;
  view.base = reinterpret_cast<const unsigned char*>(base);
  view.rank = int(spec.dims.size());
  view.element_bytes = ir::bits_of(spec.dtype) / 8;
  view.tf32 = spec.tf32;
  view.im2col = spec.mode == MapMode::kIm2col;
  view.byte_strides[0] = uint64_t(view.element_bytes);
  std::copy(spec.dims.begin(), spec.dims.end(), view.dims);
  std::copy(spec.byte_strides.begin(), spec.byte_strides.end(), view.byte_strides + 1);
  std::copy(spec.element_strides.begin(), spec.element_strides.end(), view.steps);
  std::copy(spec.box.begin(), spec.box.end(), view.box);
  std::copy(spec.lower_corner.begin(), spec.lower_corner.end(), view.lower);
  std::copy(spec.upper_corner.begin(), spec.upper_corner.end(), view.upper);
  view.channels = spec.channels_per_pixel;
  view.pixels = spec.pixels_per_column;
  view.swizzle = int(spec.swizzle);
  return view;
}

// What a driver demands of a map (cuTensorMapEncodeTiled, cuTensorMapEncodeIm2col).
Status check_map(const TensorMapSpec& spec, const std::byte* base) {
  if (reinterpret_cast<uintptr_t>(base) % 16) return internal_error("a mapped address off 16");
  for (const uint64_t stride : spec.byte_strides)
    if (stride % 16 || stride >= uint64_t(1) << 40) return internal_error(cat("a map's stride of ", stride));
  for (const uint64_t dim : spec.dims)
    if (dim == 0 || dim > uint64_t(1) << 32) return internal_error(cat("a map's dim of ", dim));
  for (const uint32_t box : spec.box)
    if (box == 0 || box > 256) return internal_error(cat("a box of ", box));
  for (const uint32_t step : spec.element_strides)
    if (step == 0 || step > 8) return internal_error(cat("an element stride of ", step));
  if (spec.mode == MapMode::kIm2col && (spec.channels_per_pixel > 256 || spec.pixels_per_column > 1024))
    return internal_error("a column of pixels too large");
  return ok_status();
}

// A kernel's arguments as cuLaunchKernel takes them.
struct Arguments {
  std::vector<planish_host::MapView> views;
  std::vector<std::vector<uint64_t>> slots;
  std::vector<void*> pointers;
};

// Operands that come late, put aside.
class LateInputs {
 public:
  explicit LateInputs(const std::vector<HostBuffer>& operands) {
    for (const HostBuffer& b : operands)
      if (b.late && b.data && b.bytes) {
        saved_.push_back({b, {b.data, b.data + b.bytes}});
        std::memset(b.data, 0xff, size_t(b.bytes));
      }
  }
  ~LateInputs() { arrive(); }
  void arrive() {
    for (auto& [buffer, bytes] : saved_) std::copy(bytes.begin(), bytes.end(), buffer.data);
    saved_.clear();
  }

 private:
  std::vector<std::pair<HostBuffer, std::vector<std::byte>>> saved_;
};

}  // namespace

HostRunner::HostRunner() : emulator_(std::make_unique<planish_host::Emulator>()) {}
HostRunner::~HostRunner() {
  for (void* library : libraries_) dlclose(library);
}

int HostRunner::add(EmittedStep step) {
  steps_.push_back(std::move(step));
  return int(steps_.size()) - 1;
}

Status HostRunner::build() {
  char folder[] = "/tmp/planish_host_run.XXXXXX";
  if (!mkdtemp(folder)) return internal_error("no temporary folder");
  Status status;
  std::vector<std::string> bases;
  for (size_t begin = 0; begin < steps_.size() && status.ok(); begin += kStepsPerLibrary) {
    bases.push_back(cat(folder, "/part", begin));
    std::ofstream out(bases.back() + ".cc");
    status = write_host_prelude(out);
    for (size_t s = begin; s < std::min(steps_.size(), begin + kStepsPerLibrary); ++s)
      for (size_t k = 0; k < steps_[s].kernels.size() && status.ok(); ++k)
        status = write_host_kernel(out, steps_[s].kernels[k].source, steps_[s].kernels[k].entry, unique_name(s, k));
  }
  for (size_t i = 0; i < bases.size() && status.ok(); i += 2) {  // two compilers at a time
    std::future<Status> other;
    if (i + 1 < bases.size()) other = std::async(std::launch::async, compile_on_host, bases[i + 1]);
    status = compile_on_host(bases[i]);
    if (other.valid()) {
      const Status second = other.get();
      if (status.ok()) status = second;
    }
  }
  for (size_t i = 0; i < bases.size() && status.ok(); ++i) {
    void* library = dlopen((bases[i] + ".so").c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) {
      status = internal_error(dlerror());
      break;
    }
    libraries_.push_back(library);
    using Set = void (*)(planish_host::Machine*);
    reinterpret_cast<Set>(dlsym(library, "planish_set_machine"))(emulator_.get());
  }
  if (!std::getenv("PLANISH_KEEP_HOST_RUN")) std::filesystem::remove_all(folder);
  return status;
}

Status HostRunner::run(int number, const HostRun& run) {
  const EmittedStep& step = steps_[size_t(number)];
  std::vector<std::byte> workspace(size_t(step.workspace_bytes) + 256, std::byte{0xff});
  auto* aligned = reinterpret_cast<std::byte*>((reinterpret_cast<uintptr_t>(workspace.data()) + 255) & ~uintptr_t(255));
  void* library = libraries_[size_t(number) / kStepsPerLibrary];
  const auto address = [&](const BufferPlace& place) -> std::byte* {
    std::byte* base = nullptr;
    switch (place.kind) {
      case BufferKind::kOperand: base = run.operands[size_t(place.index)].data; break;
      case BufferKind::kResult: base = run.results[size_t(place.index)].data; break;
      case BufferKind::kPacked: base = const_cast<std::byte*>(static_cast<const std::byte*>(run.packed)); break;
      case BufferKind::kWorkspace: base = aligned; break;
    }
    return base ? base + place.offset_bytes : nullptr;
  };
  for (size_t k = 0; k < step.kernels.size(); ++k) {
    const EmittedKernel& kernel = step.kernels[k];
    Arguments a;
    for (const TensorMapSpec& spec : kernel.maps) {
      const std::byte* base = address(spec.place);
      if (Status s = check_map(spec, base); !s.ok()) return s.at(kernel.entry);
      a.views.push_back(view_of(spec, base));
    }
    a.slots.resize(kernel.args.size());
    for (size_t i = 0; i < kernel.args.size(); ++i) {
      const KernelArg& arg = kernel.args[i];
      a.slots[i].assign(16, 0);
      uint64_t& first = a.slots[i][0];
      if (arg.kind == KernelArg::Kind::kPointer) {
        first = reinterpret_cast<uint64_t>(address(arg.place));
        if (!first) return internal_error(cat(kernel.entry, ": argument ", i, " has no buffer"));
      } else if (arg.kind == KernelArg::Kind::kF32) {
        std::memcpy(&first, &arg.real, 4);
      } else if (arg.kind == KernelArg::Kind::kTensorMap) {
        first = reinterpret_cast<uint64_t>(&a.views[size_t(arg.map)]);
      } else {
        first = uint64_t(arg.integer);
      }
      a.pointers.push_back(a.slots[i].data());
    }
    using Get = planish_host::HostKernel (*)();
    const std::string name = cat("get_", unique_name(size_t(number), k));
    auto* get = reinterpret_cast<Get>(dlsym(library, name.c_str()));
    if (!get) return internal_error(cat(name, " is not in the library"));
    planish_host::Launch launch;
    launch.kernel = get();
    launch.args = a.pointers.data();
    launch.grid = {kernel.grid.x, kernel.grid.y, kernel.grid.z};
    launch.block = {kernel.block.x, kernel.block.y, kernel.block.z};
    launch.cluster = kernel.cluster.x;
    if (kernel.persistent) launch.grid.x = std::min(launch.grid.x, kResident * launch.cluster);
    launch.shared_bytes = size_t(kernel.dynamic_shared_bytes);
    launch.seed = run.seed;
    launch.eager = run.eager;
    std::unique_ptr<LateInputs> late;
    if (k == 0 && kernel.programmatic_launch) {
      late = std::make_unique<LateInputs>(run.operands);
      launch.inputs_arrive = [&] { late->arrive(); };
    }
    const std::string wrong = emulator_->run(launch);
    if (!wrong.empty()) return internal_error(cat(kernel.entry, ": ", wrong));
  }
  return ok_status();
}

}  // namespace planish::cuda
