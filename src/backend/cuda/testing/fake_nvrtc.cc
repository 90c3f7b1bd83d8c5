// An NVRTC for tests that compiles kernels for the host: its "cubins" are shared objects that the fake
// driver runs on the emulated GPU. With both in place (PLANISH_NVRTC, PLANISH_CUDA_DRIVER) whole engines
// run: arena, launches, tensor maps, graphs. Its version is one that no NVRTC has, so that no cache
// takes one for the other.
#include <nvrtc.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "backend/cuda/testing/host/host_source.h"

struct _nvrtcProgram {
  std::string source, log, binary;
};

namespace {

planish::Status compile(_nvrtcProgram& program) {
  constexpr std::string_view kKernel = "extern \"C\" __global__";
  // The entry is the word in front of the parameters: behind __launch_bounds__(...) where there is one.
  const size_t at = program.source.find(kKernel);
  if (at == std::string::npos) return planish::internal_error("a source without a kernel");
  size_t open = program.source.find('(', at);
  if (program.source.compare(open - 17, 17, "__launch_bounds__") == 0)
    open = program.source.find('(', program.source.find(')', open));
  const size_t begin = program.source.find_last_of(" \n", open) + 1;
  const std::string entry = program.source.substr(begin, open - begin);
  char folder[] = "/tmp/planish_fake_nvrtc.XXXXXX";
  if (!mkdtemp(folder)) return planish::internal_error("no temporary folder");
  const std::string base = std::string(folder) + "/kernel";
  planish::Status status;
  {
    std::ofstream out(base + ".cc");
    status = planish::cuda::write_host_prelude(out);
    if (status.ok()) status = planish::cuda::write_host_kernel(out, program.source, entry, entry);
  }
  if (status.ok()) status = planish::cuda::compile_on_host(base);
  if (status.ok()) {
    std::ifstream in(base + ".so", std::ios::binary);
    program.binary.assign(std::istreambuf_iterator<char>(in), {});
  }
  std::filesystem::remove_all(folder);
  return status;
}

// An ELF header of nothing, and the source, which makes it a content of its own.
planish::Status compile_to_stub(_nvrtcProgram& program) {
  program.binary.assign(64, '\0');
  program.binary.replace(0, 4, "\177ELF");
  program.binary += program.source;
  return {};
}

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT nvrtcResult nvrtcVersion(int* major, int* minor) { return *major = 99, *minor = 0, NVRTC_SUCCESS; }
EXPORT nvrtcResult nvrtcCreateProgram(nvrtcProgram* program, const char* source, const char*, int,
                                      const char* const*, const char* const*) {
  *program = new _nvrtcProgram{source, "", ""};
  return NVRTC_SUCCESS;
}
EXPORT nvrtcResult nvrtcDestroyProgram(nvrtcProgram* program) { return delete *program, NVRTC_SUCCESS; }
// $FAKE_NVRTC=refuse: no text compiles any more. $FAKE_NVRTC=stub: every text does, at once, to a "cubin"
// that the fake driver launches and that does nothing.
EXPORT nvrtcResult nvrtcCompileProgram(nvrtcProgram program, int, const char* const*) {
  const char* setting = std::getenv("FAKE_NVRTC");
  const auto asked_to = [&](const char* what) { return setting && std::strcmp(setting, what) == 0; };
  const planish::Status status =
      asked_to("refuse") ? planish::internal_error("the fake NVRTC was told to refuse")
      : asked_to("stub") ? compile_to_stub(*program)
                         : compile(*program);
  program->log = status.message();
  return status.ok() ? NVRTC_SUCCESS : NVRTC_ERROR_COMPILATION;
}
EXPORT nvrtcResult nvrtcGetProgramLogSize(nvrtcProgram program, size_t* size) {
  return *size = program->log.size() + 1, NVRTC_SUCCESS;
}
EXPORT nvrtcResult nvrtcGetProgramLog(nvrtcProgram program, char* log) {
  std::memcpy(log, program->log.c_str(), program->log.size() + 1);
  return NVRTC_SUCCESS;
}
EXPORT nvrtcResult nvrtcGetCUBINSize(nvrtcProgram program, size_t* size) {
  return *size = program->binary.size(), NVRTC_SUCCESS;
}
EXPORT nvrtcResult nvrtcGetCUBIN(nvrtcProgram program, char* cubin) {
  std::memcpy(cubin, program->binary.data(), program->binary.size());
  return NVRTC_SUCCESS;
}
EXPORT const char* nvrtcGetErrorString(nvrtcResult) { return "the fake NVRTC"; }
