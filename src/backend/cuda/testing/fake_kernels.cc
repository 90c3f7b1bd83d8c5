#include "backend/cuda/testing/fake_kernels.h"

#include <dlfcn.h>
#include <elf.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <list>
#include <mutex>
#include <string>
#include <vector>

#include "backend/cuda/testing/host/emulator.h"

namespace planish_fake {
namespace {

std::mutex mutex;  // there is one emulated GPU

planish_host::Emulator& emulator() {
  static planish_host::Emulator& one = *new planish_host::Emulator();
  return one;
}

// Bytes of an ELF file whose section headers end it, as linkers write them.
size_t size_of(const void* image) {
  Elf64_Ehdr header;
  std::memcpy(&header, image, sizeof(header));
  return size_t(header.e_shoff) + size_t(header.e_shnum) * header.e_shentsize;
}

bool is_for_host(const void* image) {
  Elf64_Ehdr header;
  std::memcpy(&header, image, sizeof(header));
  return header.e_machine != EM_CUDA && header.e_type == ET_DYN;
}

}  // namespace

struct Function {
  bool runs = false;
  planish_host::HostKernel kernel = {};
};
struct Module {
  void* library = nullptr;
  std::list<Function> functions;
};

Module* load(const void* image) {
  auto* module = new Module();
  if (!is_for_host(image)) return module;
  char path[] = "/tmp/planish_fake_module.XXXXXX";
  const int file = mkstemp(path);
  const size_t size = size_of(image);
  if (file >= 0 && write(file, image, size) == ssize_t(size)) module->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!module->library) std::fprintf(stderr, "fake driver: %s\n", dlerror());
  close(file);
  unlink(path);
  if (module->library)
    reinterpret_cast<void (*)(planish_host::Machine*)>(dlsym(module->library, "planish_set_machine"))(&emulator());
  return module;
}

void unload(Module* module) {
  if (module->library) dlclose(module->library);
  delete module;
}

Function* find(Module* module, const char* name) {
  Function& function = module->functions.emplace_back();
  if (!module->library) return &function;
  using Get = planish_host::HostKernel (*)();
  const auto get = reinterpret_cast<Get>(dlsym(module->library, (std::string("get_") + name).c_str()));
  if (!get) return nullptr;
  function = {true, get()};
  return &function;
}

std::function<bool()> launch(const CUlaunchConfig& config, const Function* function, void** parameters) {
  if (!function->runs) return [] { return true; };
  std::vector<std::vector<uint64_t>> values;
  for (const unsigned* bytes = function->kernel.parameter_bytes; *bytes; ++bytes) {
    values.emplace_back((*bytes + 7) / 8);
    std::memcpy(values.back().data(), parameters[values.size() - 1], *bytes);
  }
  planish_host::Launch what;
  what.kernel = function->kernel;
  what.grid = {config.gridDimX, config.gridDimY, config.gridDimZ};
  what.block = {config.blockDimX, config.blockDimY, config.blockDimZ};
  what.shared_bytes = config.sharedMemBytes;
  for (unsigned i = 0; i < config.numAttrs; ++i)
    if (config.attrs[i].id == CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION) what.cluster = config.attrs[i].value.clusterDim.x;
  return [what, values]() mutable {
    std::vector<void*> arguments;
    for (auto& value : values) arguments.push_back(value.data());
    planish_host::Launch now = what;
    now.args = arguments.data();
    std::lock_guard lock(mutex);
    const std::string wrong = emulator().run(now);
    if (!wrong.empty()) std::fprintf(stderr, "fake driver: %s\n", wrong.c_str());
    return wrong.empty();
  };
}

CUresult encode(CUtensorMap* map, const MapRequest& r) {
  static std::list<planish_host::MapView>& views = *new std::list<planish_host::MapView>();
  if (reinterpret_cast<uintptr_t>(r.address) % 16 || r.rank < 1 || r.rank > 5) return CUDA_ERROR_INVALID_VALUE;
  planish_host::MapView view;
  view.base = static_cast<const unsigned char*>(r.address);
  view.rank = int(r.rank);
  switch (r.type) {
    case CU_TENSOR_MAP_DATA_TYPE_UINT8: view.element_bytes = 1; break;
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT16:
    case CU_TENSOR_MAP_DATA_TYPE_BFLOAT16: view.element_bytes = 2; break;
    default: view.element_bytes = 4; break;
  }
  view.tf32 = r.type == CU_TENSOR_MAP_DATA_TYPE_TFLOAT32;
  view.byte_strides[0] = uint64_t(view.element_bytes);
  for (cuuint32_t d = 0; d < r.rank; ++d) {
    view.dims[d] = r.dims[d];
    view.steps[d] = r.steps[d];
    if (d > 0) view.byte_strides[d] = r.strides[d - 1];
    if (r.box) view.box[d] = r.box[d];
    if (!r.box && d + 2 < r.rank) {
      view.lower[d] = r.lower[d];
      view.upper[d] = r.upper[d];
    }
  }
  view.im2col = !r.box;
  view.channels = r.channels;
  view.pixels = r.pixels;
  view.swizzle = int(r.swizzle);
  std::lock_guard lock(mutex);
  views.push_back(view);  // maps are copied about and never given back
  const planish_host::MapView* where = &views.back();
  std::memset(map, 0, sizeof(*map));
  std::memcpy(map, &where, sizeof(where));
  return CUDA_SUCCESS;
}

}  // namespace planish_fake
