#include "backend/cuda/testing/host_run_testing.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "backend/cuda/emit/prelude.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

constexpr size_t kStepsPerLibrary = 256;

bool has_barriers(const std::string& source) {
  return source.find("__sync") != std::string::npos || source.find("_sync(") != std::string::npos;
}

// One kernel as a namespace of its own with an entry of a unique name.
Status write_kernel(std::ostream& out, const EmittedKernel& kernel, const std::string& unique) {
  const std::string_view prelude = kPrelude;
  if (kernel.source.rfind(prelude, 0) != 0)
    return internal_error(cat(kernel.entry, ": the source does not start with the prelude"));
  std::string source = kernel.source.substr(prelude.size());
  const size_t at = source.find(kernel.entry + "(");
  if (at == std::string::npos) return internal_error(cat(kernel.entry, " is not in its source"));
  source.replace(at, kernel.entry.size(), unique);
  out << "namespace n_" << unique << " {\n"
      << source << "\n}\n"
      << "extern \"C\" void run_" << unique << "(void** args, const unsigned* shape) {\n"
      << "  run_grid([](void** a) { call(n_" << unique << "::" << unique << ", a); }, args, shape, "
      << (has_barriers(source) ? "true" : "false") << ");\n}\n";
  return ok_status();
}

std::string unique_name(size_t step, size_t kernel) { return cat("k", step, "_", kernel); }

}  // namespace

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
  for (size_t begin = 0; begin < steps_.size() && status.ok(); begin += kStepsPerLibrary) {
    const std::string base = cat(folder, "/part", begin);
    std::ofstream out(base + ".cc");
    out << "#include \"" PLANISH_HOST_CUDA "\"\n";
    for (size_t s = begin; s < std::min(steps_.size(), begin + kStepsPerLibrary); ++s)
      for (size_t k = 0; k < steps_[s].kernels.size() && status.ok(); ++k)
        status = write_kernel(out, steps_[s].kernels[k], unique_name(s, k));
    out.close();
    const std::string command =
        cat(PLANISH_HOST_COMPILER " -std=c++17 -O0 -w -fno-strict-aliasing -shared -fPIC -o ", base,
            ".so ", base, ".cc 2> ", base, ".log");
    if (status.ok() && std::system(command.c_str()) != 0) {
      std::ifstream log(base + ".log");
      status =
          internal_error(cat("the host's compiler refuses: ",
                             std::string(std::istreambuf_iterator<char>(log), {}).substr(0, 3000)));
    }
    if (!status.ok()) break;
    void* library = dlopen((base + ".so").c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library)
      status = internal_error(dlerror());
    else
      libraries_.push_back(library);
  }
  if (!std::getenv("PLANISH_KEEP_HOST_RUN")) std::filesystem::remove_all(folder);
  return status;
}

Status HostRunner::run(int number, std::span<void* const> operands, std::span<void* const> results,
                       const void* packed) const {
  const EmittedStep& step = steps_[size_t(number)];
  std::vector<std::byte> workspace(size_t(step.workspace_bytes) + 256, std::byte{0x7f});
  auto* aligned = reinterpret_cast<std::byte*>(
      (reinterpret_cast<uintptr_t>(workspace.data()) + 255) & ~uintptr_t(255));
  void* library = libraries_[size_t(number) / kStepsPerLibrary];
  for (size_t k = 0; k < step.kernels.size(); ++k) {
    const EmittedKernel& kernel = step.kernels[k];
    struct Slot {
      uint64_t bits = 0;
    };
    std::vector<Slot> slots(kernel.args.size());
    std::vector<void*> pointers;
    for (size_t i = 0; i < kernel.args.size(); ++i) {
      const KernelArg& arg = kernel.args[i];
      if (arg.kind == KernelArg::Kind::kPointer) {
        const std::byte* base = nullptr;
        switch (arg.place.kind) {
          case BufferKind::kOperand:
            base = static_cast<const std::byte*>(operands[size_t(arg.place.index)]);
            break;
          case BufferKind::kResult:
            base = static_cast<const std::byte*>(results[size_t(arg.place.index)]);
            break;
          case BufferKind::kPacked:
            base = static_cast<const std::byte*>(packed);
            break;
          case BufferKind::kWorkspace:
            base = aligned;
            break;
        }
        if (!base) return internal_error(cat(kernel.entry, ": argument ", i, " has no buffer"));
        slots[i].bits = reinterpret_cast<uint64_t>(base + arg.place.offset_bytes);
      } else if (arg.kind == KernelArg::Kind::kF32) {
        std::memcpy(&slots[i].bits, &arg.real, 4);
      } else if (arg.kind == KernelArg::Kind::kTensorMap) {
        return unsupported("a kernel with TMA descriptions");
      } else {
        slots[i].bits = uint64_t(arg.integer);
      }
      pointers.push_back(&slots[i].bits);
    }
    using Run = void (*)(void**, const unsigned*);
    const std::string name = cat("run_", unique_name(size_t(number), k));
    auto* run = reinterpret_cast<Run>(dlsym(library, name.c_str()));
    if (!run) return internal_error(cat(name, " is not in the library"));
    const unsigned shape[] = {kernel.grid.x,  kernel.grid.y,  kernel.grid.z,
                              kernel.block.x, kernel.block.y, kernel.block.z};
    run(pointers.data(), shape);
  }
  return ok_status();
}

}  // namespace planish::cuda
