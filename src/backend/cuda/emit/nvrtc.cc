#include "backend/cuda/emit/nvrtc.h"

#include <dlfcn.h>
#include <nvrtc.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <optional>
#include <set>

#include "backend/cuda/emit/emitted_kernel_def.h"
#include "backend/cuda/library/find_library.h"
#include "base/atomic_file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

namespace fs = std::filesystem;

constexpr char kMagic[8] = {'P', 'L', 'C', 'U', 'B', 'I', 'N', '2'};

struct Nvrtc {
  decltype(&nvrtcVersion) version = nullptr;
  decltype(&nvrtcCreateProgram) create = nullptr;
  decltype(&nvrtcDestroyProgram) destroy = nullptr;
  decltype(&nvrtcCompileProgram) compile = nullptr;
  decltype(&nvrtcGetProgramLogSize) log_size = nullptr;
  decltype(&nvrtcGetProgramLog) log = nullptr;
  decltype(&nvrtcGetCUBINSize) cubin_size = nullptr;
  decltype(&nvrtcGetCUBIN) cubin = nullptr;
  decltype(&nvrtcGetErrorString) error = nullptr;
  int major = 0, minor = 0;
  std::vector<int> architectures;  // 75, 80, ...; empty: not told
};

// NVRTC opens its builtins by their name alone. In a Python package they lie beside it, where the loader does
// not look: a library that is loaded already is found by its name.
void open_builtins(const Nvrtc& nvrtc) {
  Dl_info info{};
  if (!dladdr(reinterpret_cast<const void*>(nvrtc.version), &info) || !info.dli_fname) return;
  const fs::path beside = fs::path(info.dli_fname).parent_path() /
                          cat("libnvrtc-builtins.so.", nvrtc.major, ".", nvrtc.minor);
  std::error_code error;
  if (fs::exists(beside, error)) dlopen(beside.c_str(), RTLD_NOW | RTLD_LOCAL);
}

double ms_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
}

Result<Nvrtc> load() {
  const auto begin = std::chrono::steady_clock::now();
  static const LibrarySearch search = {
      "PLANISH_NVRTC", {"libnvrtc.so.13", "libnvrtc.so.12"}, {"cu13", "cuda_nvrtc"}};
  const auto found = open_library(search);
  if (!found.ok())
    return not_found(cat("no NVRTC, which compiles CUDA kernels: ", found.status().message(),
                         "; install a CUDA 12.4+ toolkit or the Python package nvidia-cuda-nvrtc"));
  void* const library = *found;
  Nvrtc nvrtc;
  std::string missing;
  const auto find = [&](auto& pointer, const char* name) {
    pointer = reinterpret_cast<std::remove_reference_t<decltype(pointer)>>(dlsym(library, name));
    if (!pointer) missing = name;
  };
  find(nvrtc.version, "nvrtcVersion");
  find(nvrtc.create, "nvrtcCreateProgram");
  find(nvrtc.destroy, "nvrtcDestroyProgram");
  find(nvrtc.compile, "nvrtcCompileProgram");
  find(nvrtc.log_size, "nvrtcGetProgramLogSize");
  find(nvrtc.log, "nvrtcGetProgramLog");
  find(nvrtc.cubin_size, "nvrtcGetCUBINSize");
  find(nvrtc.cubin, "nvrtcGetCUBIN");
  find(nvrtc.error, "nvrtcGetErrorString");
  if (!missing.empty())
    return Status(Code::kIncompatible, cat("the NVRTC library found lacks ", missing));
  nvrtc.version(&nvrtc.major, &nvrtc.minor);
  if (nvrtc.major * 100 + nvrtc.minor < 1204)
    return Status(Code::kIncompatible, cat("NVRTC is of version ", nvrtc.major, ".", nvrtc.minor,
                                           ", expected at least 12.4"));
  open_builtins(nvrtc);
  const auto count = reinterpret_cast<decltype(&nvrtcGetNumSupportedArchs)>(
      dlsym(library, "nvrtcGetNumSupportedArchs"));
  const auto list = reinterpret_cast<decltype(&nvrtcGetSupportedArchs)>(dlsym(library, "nvrtcGetSupportedArchs"));
  int number = 0;
  if (count && list && count(&number) == NVRTC_SUCCESS && number > 0) {
    nvrtc.architectures.resize(size_t(number));
    if (list(nvrtc.architectures.data()) != NVRTC_SUCCESS) nvrtc.architectures.clear();
  }
  PLANISH_LOG(kInfo, "NVRTC ", nvrtc.major, ".", nvrtc.minor, " loaded in ", ms_since(begin), " ms");
  return nvrtc;
}

const Result<Nvrtc>& nvrtc() {
  static const Result<Nvrtc>& the_nvrtc = *new Result<Nvrtc>(load());
  return the_nvrtc;
}

Result<CompiledSource> compile(const Nvrtc& nvrtc, const std::string& source,
                               std::span<const char* const> options) {
  nvrtcProgram program = nullptr;
  if (nvrtc.create(&program, source.c_str(), "kernel.cu", 0, nullptr, nullptr) != NVRTC_SUCCESS)
    return internal_error("NVRTC makes no program");
  const nvrtcResult result = nvrtc.compile(program, int(options.size()), options.data());
  CompiledSource out;
  size_t size = 0;
  if (nvrtc.log_size(program, &size) == NVRTC_SUCCESS && size > 1) {
    out.log.resize(size);
    nvrtc.log(program, out.log.data());
    out.log.resize(std::strlen(out.log.c_str()));
  }
  auto bytes = std::make_shared<std::vector<std::byte>>();
  if (result == NVRTC_SUCCESS && nvrtc.cubin_size(program, &size) == NVRTC_SUCCESS) {
    bytes->resize(size);
    nvrtc.cubin(program, reinterpret_cast<char*>(bytes->data()));
  }
  nvrtc.destroy(&program);
  if (bytes->empty())
    return internal_error(cat("NVRTC: ", nvrtc.error(result), "\n", out.log.substr(0, 4000)));
  out.cubin = std::move(bytes);
  out.report = read_ptxas(out.log);
  return out;
}

// File: magic, hash of what follows, report, cubin.
std::optional<CompiledSource> read_cached(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  char magic[8] = {};
  Hash128 hash;
  if (!in.read(magic, 8) || std::memcmp(magic, kMagic, 8) != 0) return std::nullopt;
  if (!in.read(reinterpret_cast<char*>(&hash), sizeof(hash))) return std::nullopt;
  std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const auto span = std::as_bytes(std::span(bytes));
  CompiledSource out;
  if (bytes.size() <= sizeof(out.report) || hash128(span) != hash) {
    PLANISH_LOG(kWarning, "cubin cache: ", path.string(), " is damaged; compiling anew");
    return std::nullopt;
  }
  std::memcpy(&out.report, bytes.data(), sizeof(out.report));
  out.cubin = std::make_shared<const std::vector<std::byte>>(span.begin() + sizeof(out.report), span.end());
  return out;
}

void write_cached(const fs::path& path, const CompiledSource& compiled) {
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  std::string content(reinterpret_cast<const char*>(&compiled.report), sizeof(compiled.report));
  content.append(reinterpret_cast<const char*>(compiled.cubin->data()), compiled.cubin->size());
  const Hash128 hash = hash128(content);
  std::string bytes(kMagic, 8);
  bytes.append(reinterpret_cast<const char*>(&hash), sizeof(hash));
  bytes += content;
  if (const Status s = write_file_atomically(path.string(), bytes, /*flush=*/false); !s.ok())
    PLANISH_LOG(kInfo, "cubin cache: ", s.message());
}

// What this process compiled or read, so that a build that asks twice pays once, and who asks while
// another thread compiles waits for it. Forgotten whole when it is many.
class Compiled {
 public:
  static Compiled& instance() {
    static Compiled& compiled = *new Compiled();
    return compiled;
  }
  // What is known; else nothing, and the caller must make it and end().
  std::optional<CompiledSource> begin(const Hash128& key) {
    std::unique_lock lock(mutex_);
    under_way_ended_.wait(lock, [&] { return !under_way_.count(key); });
    if (auto found = known_.find(key); found != known_.end()) return found->second;
    under_way_.insert(key);
    return std::nullopt;
  }
  void end(const Hash128& key, const CompiledSource* made) {
    std::lock_guard lock(mutex_);
    under_way_.erase(key);
    if (known_.size() >= kMost) known_.clear();
    if (made) known_[key] = *made;
    under_way_ended_.notify_all();
  }

 private:
  static constexpr size_t kMost = 4096;
  std::mutex mutex_;
  std::condition_variable under_way_ended_;
  std::map<Hash128, CompiledSource> known_;
  std::set<Hash128> under_way_;
};

// From the folder, or compiled and put there.
Result<CompiledSource> cached_or_compiled(const fs::path& path, const std::string& source,
                                          std::span<const char* const> options) {
  if (auto cached = read_cached(path)) return std::move(*cached);
  PLANISH_ASSIGN_OR_RETURN(CompiledSource made, compile(*nvrtc(), source, options));
  write_cached(path, made);
  return made;
}

}  // namespace

Status nvrtc_available() { return nvrtc().status(); }

Status compiles_for(const std::string& arch) {
  if (!nvrtc().ok()) return nvrtc().status();
  const std::vector<int>& known = nvrtc()->architectures;
  const int number = arch.rfind("sm_", 0) == 0 ? std::atoi(arch.c_str() + 3) : 0;
  if (known.empty() || std::find(known.begin(), known.end(), number) != known.end()) return ok_status();
  return unsupported(cat("NVRTC ", nvrtc_version(), " does not compile for ", arch, ", expected one of sm_",
                         join(known, ", sm_")));
}

std::string nvrtc_version() {
  return nvrtc().ok() ? cat(nvrtc()->major, ".", nvrtc()->minor) : "";
}

std::string cubin_cache_folder() {
  const auto absolute = [](const char* name, std::string_view tail) {
    const char* value = std::getenv(name);
    return value && value[0] == '/' ? cat(value, tail) : std::string();
  };
  if (const char* own = std::getenv("PLANISH_CUDA_CACHE")) return own[0] == '/' ? own : "";
  if (std::string folder = absolute("XDG_CACHE_HOME", "/planish/cuda"); !folder.empty())
    return folder;
  return absolute("HOME", "/.cache/planish/cuda");
}

Result<CompiledSource> compile_source(const std::string& source, const std::string& arch) {
  PLANISH_RETURN_IF_ERROR(compiles_for(arch));
  const std::string architecture = cat("--gpu-architecture=", arch);
  // The stack limit is the process's; leave it alone. Kernels are cached here, not by NVRTC.
  std::vector<const char*> options = {architecture.c_str(), "--std=c++17", "--minimal",
                                      "--modify-stack-limit=false", "-Xptxas=-v", "-diag-suppress=177"};
  if (nvrtc()->major * 100 + nvrtc()->minor >= 1209) options.push_back("--no-cache");
  Hasher key;
  key.add_number(kGeneratorVersion);
  key.add_text(nvrtc_version());
  for (const char* option : options) key.add_text(option);
  key.add_text(source);
  const std::string folder = cubin_cache_folder();
  if (folder.empty()) return compile(*nvrtc(), source, options);
  const Hash128 hash = key.hash128();
  if (auto known = Compiled::instance().begin(hash)) return std::move(*known);
  auto made = cached_or_compiled(fs::path(folder) / cat(to_string(hash), ".cubin"), source, options);
  Compiled::instance().end(hash, made.ok() ? &*made : nullptr);
  return made;
}

}  // namespace planish::cuda
