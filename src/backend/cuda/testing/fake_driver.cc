// A CUDA driver without a GPU, as a shared object for tests: memory is the host's, copies happen,
// streams and graphs keep order. Kernels that the fake NVRTC compiled run on an emulated GPU, others are
// launched and do nothing (fake_kernels.h). What goes wrong on real
// machines is asked for by $FAKE_CUDA, a list of settings parted by ';':
//   version=12000      the driver's version
//   devices=0          how many GPUs there are
//   capability=80      major and minor of the GPU
//   memory=1048576     bytes of device memory
//   order=2            graphs run their nodes in an order of this number that their edges allow: 0 as captured,
//                      1 the latest first, others at random
//   cta_ns=100         a kernel takes so much longer for each of its thread blocks
//   NAME=missing       the driver lacks function NAME
//   NAME=RESULT@CALL   the call numbered CALL (from 1) of function NAME, and all later ones, give
//                      CUresult RESULT; behind it #N: only while device N is current
// It is NVML as well (PLANISH_NVML): every GPU runs at 1,755 MHz and takes 350 W.
#include <cuda.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <vector>

#include "backend/cuda/testing/fake_kernels.h"

namespace {

struct Settings {
  std::map<std::string, long> numbers;
  struct Failure {
    int result, from_call, device;  // device -1: any
  };
  std::map<std::string, Failure> failures;  // by function
};

Settings read_settings() {
  Settings settings;
  std::istringstream in(std::getenv("FAKE_CUDA") ? std::getenv("FAKE_CUDA") : "");
  for (std::string item; std::getline(in, item, ';');) {
    const size_t eq = item.find('='), at = item.find('@');
    if (eq == std::string::npos) continue;
    const std::string key = item.substr(0, eq);
    if (at == std::string::npos) settings.numbers[key] = std::atol(item.c_str() + eq + 1);
    else {
      const size_t device = item.find('#');
      settings.failures[key] = {std::atoi(item.c_str() + eq + 1), std::atoi(item.c_str() + at + 1),
                                device == std::string::npos ? -1 : std::atoi(item.c_str() + device + 1)};
    }
  }
  return settings;
}

std::mutex mutex;
std::map<std::string, int> calls;
struct Block {
  size_t size;
  int device;
};
std::map<void*, Block> device_blocks;
std::map<void*, size_t> pinned_blocks;
thread_local int current_device = 0;
size_t device_bytes = 0;

long setting(const char* name, long fallback) {
  const Settings settings = read_settings();
  auto found = settings.numbers.find(name);
  return found == settings.numbers.end() ? fallback : found->second;
}

// The result that $FAKE_CUDA asks of this call.
CUresult planted(const char* name) {
  const Settings settings = read_settings();
  std::lock_guard lock(mutex);
  const int call = ++calls[name];
  auto found = settings.failures.find(name);
  if (found == settings.failures.end() || call < found->second.from_call) return CUDA_SUCCESS;
  if (found->second.device >= 0 && found->second.device != current_device) return CUDA_SUCCESS;
  return CUresult(found->second.result);
}
#define PLANTED(name) \
  if (const CUresult planted_result = planted(#name)) return planted_result

using Work = std::function<void()>;
struct Node {
  Work work;
  std::vector<size_t> behind;  // nodes
  double us;                   // that it takes
};
struct Graph {
  std::vector<Node> nodes;
};
struct Capture : Graph {
  struct Stream* origin = nullptr;
  std::vector<Stream*> joined;
};
struct Stream {
  Capture* capture = nullptr;  // owned by its origin
  std::vector<size_t> ends;    // nodes that the next one is behind
};
// While captured, what it is behind. Time goes by launches: kernels and copies take 10 us each, those of a
// graph that are not behind each other at once.
struct Event {
  Capture* capture = nullptr;
  std::vector<size_t> ends;
  double us = 0;
};
constexpr double kWorkUs = 10;
std::atomic<double> clock_us{0};

Stream& stream_of(CUstream stream) {
  static Stream null_stream;
  return stream ? *reinterpret_cast<Stream*>(stream) : null_stream;
}
Event& event_of(CUevent event) { return *reinterpret_cast<Event*>(event); }

void pass_time(double us) {
  for (double now = clock_us; !clock_us.compare_exchange_weak(now, now + us);) {}
}

CUresult enqueue(CUstream stream, Work work, double us = kWorkUs) {
  Stream& s = stream_of(stream);
  if (s.capture) {
    s.capture->nodes.push_back({std::move(work), s.ends, us});
    s.ends = {s.capture->nodes.size() - 1};
    return CUDA_SUCCESS;
  }
  work();
  pass_time(us);
  return CUDA_SUCCESS;
}

void run_nodes(const Graph& graph, uint64_t order) {
  std::vector<double> ended(graph.nodes.size(), -1);  // us since the launch
  uint64_t random = order * 0x9e3779b97f4a7c15u + 1;
  double longest = 0;
  for (size_t done = 0; done < graph.nodes.size(); ++done) {
    std::vector<size_t> ready;
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
      bool now = ended[i] < 0;
      for (const size_t a : graph.nodes[i].behind) now &= ended[a] >= 0;
      if (now) ready.push_back(i);
    }
    random ^= random << 13, random ^= random >> 7, random ^= random << 17;
    const size_t i = order == 0 ? ready.front() : order == 1 ? ready.back() : ready[random % ready.size()];
    double begin = 0;
    for (const size_t a : graph.nodes[i].behind) begin = std::max(begin, ended[a]);
    graph.nodes[i].work();
    ended[i] = begin + graph.nodes[i].us;
    longest = std::max(longest, ended[i]);
  }
  pass_time(longest);
}

// Every node stands in front of one of these, or is one.
bool all_joined(const Graph& graph, const std::vector<size_t>& ends) {
  std::vector<bool> seen(graph.nodes.size(), false);
  std::vector<size_t> left = ends;
  while (!left.empty()) {
    const size_t i = left.back();
    left.pop_back();
    if (seen[i]) continue;
    seen[i] = true;
    left.insert(left.end(), graph.nodes[i].behind.begin(), graph.nodes[i].behind.end());
  }
  return std::find(seen.begin(), seen.end(), false) == seen.end();
}

CUresult fake_cuInit(unsigned) {
  PLANTED(cuInit);
  return setting("devices", 1) ? CUDA_SUCCESS : CUDA_ERROR_NO_DEVICE;
}
CUresult fake_cuGetErrorName(CUresult, const char** name) { return *name = "FAKE", CUDA_SUCCESS; }
CUresult fake_cuGetErrorString(CUresult, const char** text) {
  return *text = "planted by the fake driver", CUDA_SUCCESS;
}
CUresult fake_cuDeviceGet(CUdevice* device, int i) { return *device = i, CUDA_SUCCESS; }
CUresult fake_cuDeviceGetCount(int* count) {
  return *count = int(setting("devices", 1)), CUDA_SUCCESS;
}
CUresult fake_cuDeviceGetName(char* name, int size, CUdevice) {
  std::strncpy(name, "Fake GPU", size_t(size));
  return CUDA_SUCCESS;
}
// As NVIDIA's tables of compute capabilities say.
int shared_bytes_per_block() {
  const long capability = setting("capability", 90);
  if (capability < 75) return 98304;
  if (capability < 80) return 65536;
  if (capability == 80 || capability == 87) return 166912;
  return capability == 90 || capability / 10 == 10 ? 232448 : 101376;
}
CUresult fake_cuDeviceGetAttribute(int* value, CUdevice_attribute which, CUdevice) {
  const long capability = setting("capability", 90);
  switch (which) {
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: *value = int(capability / 10); break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: *value = int(capability % 10); break;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: *value = 132; break;
    case CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE: *value = 60 << 20; break;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN: *value = shared_bytes_per_block(); break;
    case CU_DEVICE_ATTRIBUTE_CLOCK_RATE: *value = 1980000; break;
    case CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE: *value = 3201000; break;
    case CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH: *value = 6016; break;
    default: return CUDA_ERROR_INVALID_VALUE;
  }
  return CUDA_SUCCESS;
}
size_t memory_size() { return size_t(setting("memory", 1L << 34)); }
CUresult fake_cuDeviceTotalMem(size_t* bytes, CUdevice) {
  return *bytes = memory_size(), CUDA_SUCCESS;
}
CUresult fake_cuDeviceGetPCIBusId(char* text, int size, CUdevice device) {
  std::snprintf(text, size_t(size), "0000:%02x:00.0", device + 1);
  return CUDA_SUCCESS;
}
CUresult fake_cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
  PLANTED(cuDevicePrimaryCtxRetain);
  return *context = reinterpret_cast<CUcontext>(uintptr_t(device) + 1), CUDA_SUCCESS;
}
CUresult fake_cuCtxSetCurrent(CUcontext context) {
  current_device = int(reinterpret_cast<uintptr_t>(context)) - 1;
  return CUDA_SUCCESS;
}
// Of an address that the driver does not know: zeros.
CUresult fake_cuPointerGetAttributes(unsigned count, CUpointer_attribute* asked, void** values, CUdeviceptr address) {
  std::lock_guard lock(mutex);
  const auto inside = [&](const auto& blocks, const auto& size_of) {
    auto found = blocks.upper_bound(reinterpret_cast<void*>(address));
    if (found == blocks.begin()) return blocks.end();
    --found;
    const auto begin = reinterpret_cast<CUdeviceptr>(found->first);
    return address < begin + size_of(found->second) ? found : blocks.end();
  };
  const auto block = inside(device_blocks, [](const Block& b) { return b.size; });
  const bool on_device = block != device_blocks.end();
  const bool pinned = inside(pinned_blocks, [](size_t size) { return size; }) != pinned_blocks.end();
  for (unsigned i = 0; i < count; ++i) switch (asked[i]) {
      case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
        *static_cast<unsigned*>(values[i]) = on_device ? CU_MEMORYTYPE_DEVICE : pinned ? CU_MEMORYTYPE_HOST : 0;
        break;
      case CU_POINTER_ATTRIBUTE_IS_MANAGED: *static_cast<unsigned*>(values[i]) = 0; break;
      case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
        *static_cast<int*>(values[i]) = on_device ? block->second.device : 0;
        break;
      default: return CUDA_ERROR_INVALID_VALUE;
    }
  return CUDA_SUCCESS;
}
CUresult fake_cuMemGetInfo(size_t* free_bytes, size_t* total) {
  *total = memory_size();
  *free_bytes = *total - device_bytes;
  return CUDA_SUCCESS;
}
CUresult fake_cuMemAlloc(CUdeviceptr* out, size_t size) {
  PLANTED(cuMemAlloc);
  std::lock_guard lock(mutex);
  if (device_bytes + size > memory_size()) return CUDA_ERROR_OUT_OF_MEMORY;
  void* data = std::aligned_alloc(512, (size + 511) / 512 * 512);
  std::memset(data, 0xff, size);  // floats are NaN
  device_blocks[data] = {size, current_device};
  device_bytes += size;
  *out = reinterpret_cast<CUdeviceptr>(data);
  return CUDA_SUCCESS;
}
CUresult fake_cuMemFree(CUdeviceptr address) {
  std::lock_guard lock(mutex);
  auto found = device_blocks.find(reinterpret_cast<void*>(address));
  if (found == device_blocks.end()) return CUDA_ERROR_INVALID_VALUE;
  device_bytes -= found->second.size;
  std::free(found->first);
  device_blocks.erase(found);
  return CUDA_SUCCESS;
}
CUresult fake_cuMemHostAlloc(void** out, size_t size, unsigned) {
  PLANTED(cuMemHostAlloc);
  std::lock_guard lock(mutex);
  *out = std::aligned_alloc(512, (size + 511) / 512 * 512);
  pinned_blocks[*out] = size;
  return CUDA_SUCCESS;
}
CUresult fake_cuMemFreeHost(void* data) {
  std::lock_guard lock(mutex);
  pinned_blocks.erase(data);
  return std::free(data), CUDA_SUCCESS;
}
CUresult fake_cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, size_t size, CUstream stream) {
  PLANTED(cuMemcpyAsync);
  return enqueue(stream, [=] {
    std::memcpy(reinterpret_cast<void*>(to), reinterpret_cast<void*>(from), size);
  });
}
CUresult fake_cuMemcpy2DAsync(const CUDA_MEMCPY2D* given, CUstream stream) {
  const CUDA_MEMCPY2D copy = *given;
  return enqueue(stream, [copy] {
    for (size_t row = 0; row < copy.Height; ++row)
      std::memcpy(static_cast<char*>(const_cast<void*>(static_cast<const void*>(copy.dstHost))) +
                      row * copy.dstPitch,
                  static_cast<const char*>(copy.srcHost) + row * copy.srcPitch, copy.WidthInBytes);
  });
}
CUresult fake_cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t size, CUstream stream) {
  return enqueue(stream, [=] { std::memset(reinterpret_cast<void*>(to), value, size); });
}
CUresult fake_cuModuleLoadData(CUmodule* module, const void* image) {
  PLANTED(cuModuleLoadData);
  if (std::memcmp(image, "\177ELF", 4) != 0) return CUDA_ERROR_INVALID_IMAGE;
  return *module = reinterpret_cast<CUmodule>(planish_fake::load(image)), CUDA_SUCCESS;
}
CUresult fake_cuModuleUnload(CUmodule module) {
  planish_fake::unload(reinterpret_cast<planish_fake::Module*>(module));
  return CUDA_SUCCESS;
}
CUresult fake_cuModuleGetFunction(CUfunction* function, CUmodule module, const char* name) {
  auto* found = planish_fake::find(reinterpret_cast<planish_fake::Module*>(module), name);
  *function = reinterpret_cast<CUfunction>(found);
  return found ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}
CUresult fake_cuFuncGetAttribute(int* value, CUfunction_attribute, CUfunction) {
  return *value = 0, CUDA_SUCCESS;
}
CUresult fake_cuFuncSetAttribute(CUfunction, CUfunction_attribute which, int value) {
  return which == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES && value > shared_bytes_per_block()
             ? CUDA_ERROR_INVALID_VALUE
             : CUDA_SUCCESS;
}
CUresult fake_cuOccupancyMaxActiveBlocksPerMultiprocessor(int* count, CUfunction, int, size_t) {
  return *count = 2, CUDA_SUCCESS;
}
CUresult fake_cuOccupancyMaxActiveClusters(int* count, CUfunction, const CUlaunchConfig*) {
  return *count = 66, CUDA_SUCCESS;
}
std::atomic<uint64_t> broken{0};  // a bit per device: a kernel failed there, the context is lost
CUresult fake_cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction function, void** parameters, void**) {
  PLANTED(cuLaunchKernelEx);
  auto run = planish_fake::launch(*config, reinterpret_cast<planish_fake::Function*>(function), parameters);
  const double ctas = double(config->gridDimX) * config->gridDimY * config->gridDimZ;
  const auto work = [run = std::move(run), device = current_device] {
    if (!run()) broken |= uint64_t(1) << device;
  };
  return enqueue(config->hStream, work, kWorkUs + double(setting("cta_ns", 0)) * ctas / 1e3);
}
CUresult fake_cuLaunchHostFunc(CUstream stream, CUhostFn function, void* data) {
  return enqueue(stream, [=] { function(data); });
}
CUresult fake_cuStreamCreate(CUstream* stream, unsigned) {
  return *stream = reinterpret_cast<CUstream>(new Stream()), CUDA_SUCCESS;
}
CUresult fake_cuStreamDestroy(CUstream stream) {
  delete reinterpret_cast<Stream*>(stream);
  return CUDA_SUCCESS;
}
CUresult fake_cuStreamSynchronize(CUstream stream) {
  PLANTED(cuStreamSynchronize);
  if (broken >> current_device & 1) return CUDA_ERROR_LAUNCH_FAILED;
  return stream_of(stream).capture ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : CUDA_SUCCESS;
}
CUresult fake_cuStreamBeginCapture(CUstream stream, CUstreamCaptureMode) {
  PLANTED(cuStreamBeginCapture);
  Stream& s = stream_of(stream);
  if (!stream || s.capture) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  s.capture = new Capture();
  s.capture->origin = &s;
  s.ends.clear();
  return CUDA_SUCCESS;
}
CUresult fake_cuStreamEndCapture(CUstream stream, CUgraph* graph) {
  Stream& s = stream_of(stream);
  if (!s.capture || s.capture->origin != &s) return CUDA_ERROR_ILLEGAL_STATE;
  const std::unique_ptr<Capture> capture(s.capture);
  for (Stream* one : capture->joined) one->capture = nullptr;
  s.capture = nullptr;
  if (!all_joined(*capture, s.ends)) return CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
  *graph = reinterpret_cast<CUgraph>(new Graph{std::move(capture->nodes)});
  return CUDA_SUCCESS;
}
CUresult fake_cuGraphInstantiateWithFlags(CUgraphExec* executable, CUgraph graph, unsigned long long) {
  PLANTED(cuGraphInstantiateWithFlags);
  *executable = reinterpret_cast<CUgraphExec>(new Graph(*reinterpret_cast<Graph*>(graph)));
  return CUDA_SUCCESS;
}
CUresult fake_cuGraphLaunch(CUgraphExec executable, CUstream) {
  PLANTED(cuGraphLaunch);
  run_nodes(*reinterpret_cast<Graph*>(executable), uint64_t(setting("order", 0)));
  return CUDA_SUCCESS;
}
CUresult fake_cuGraphDestroy(CUgraph graph) {
  delete reinterpret_cast<Graph*>(graph);
  return CUDA_SUCCESS;
}
CUresult fake_cuGraphExecDestroy(CUgraphExec executable) {
  delete reinterpret_cast<Graph*>(executable);
  return CUDA_SUCCESS;
}
CUresult fake_cuEventCreate(CUevent* event, unsigned) {
  return *event = reinterpret_cast<CUevent>(new Event()), CUDA_SUCCESS;
}
CUresult fake_cuEventDestroy(CUevent event) {
  delete reinterpret_cast<Event*>(event);
  return CUDA_SUCCESS;
}
CUresult fake_cuEventRecord(CUevent event, CUstream stream) {
  const Stream& s = stream_of(stream);
  event_of(event) = {s.capture, s.ends, clock_us};
  return CUDA_SUCCESS;
}
CUresult fake_cuStreamWaitEvent(CUstream stream, CUevent event, unsigned) {
  PLANTED(cuStreamWaitEvent);
  Stream& s = stream_of(stream);
  const Event& e = event_of(event);
  if (!s.capture && !e.capture) return CUDA_SUCCESS;  // what was enqueued has been done
  if (s.capture && s.capture != e.capture) return CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
  if (!s.capture) {
    s.capture = e.capture;
    s.ends.clear();
    e.capture->joined.push_back(&s);
  }
  s.ends.insert(s.ends.end(), e.ends.begin(), e.ends.end());
  return CUDA_SUCCESS;
}
CUresult fake_cuEventSynchronize(CUevent) {
  PLANTED(cuEventSynchronize);
  return CUDA_SUCCESS;
}
CUresult fake_cuEventElapsedTime(float* ms, CUevent begin, CUevent end) {
  return *ms = float(std::max(event_of(end).us - event_of(begin).us, kWorkUs) / 1e3), CUDA_SUCCESS;
}
CUresult fake_cuTensorMapEncodeTiled(CUtensorMap* map, CUtensorMapDataType type, cuuint32_t rank, void* address,
                                     const cuuint64_t* dims, const cuuint64_t* strides, const cuuint32_t* box,
                                     const cuuint32_t* steps, CUtensorMapInterleave, CUtensorMapSwizzle swizzle,
                                     CUtensorMapL2promotion, CUtensorMapFloatOOBfill) {
  return planish_fake::encode(map, {type, rank, address, dims, strides, steps, swizzle, box});
}
CUresult fake_cuTensorMapEncodeIm2col(CUtensorMap* map, CUtensorMapDataType type, cuuint32_t rank, void* address,
                                      const cuuint64_t* dims, const cuuint64_t* strides, const int* lower,
                                      const int* upper, cuuint32_t channels, cuuint32_t pixels,
                                      const cuuint32_t* steps, CUtensorMapInterleave,
                                      CUtensorMapSwizzle swizzle, CUtensorMapL2promotion,
                                      CUtensorMapFloatOOBfill) {
  return planish_fake::encode(map, {type, rank, address, dims, strides, steps, swizzle, nullptr, lower, upper,
                                    channels, pixels});
}

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default"))) CUresult

#undef cuDriverGetVersion
#undef cuGetProcAddress
EXPORT cuDriverGetVersion(int* version) {
  return *version = int(setting("version", 13000)), CUDA_SUCCESS;
}

#define NVML_EXPORT extern "C" __attribute__((visibility("default"))) int
NVML_EXPORT nvmlInit_v2() { return 0; }
NVML_EXPORT nvmlDeviceGetHandleByPciBusId_v2(const char* bus, void** device) {
  constexpr int kNotFound = 6;
  return *device = nullptr, std::strncmp(bus, "0000:", 5) == 0 ? 0 : kNotFound;
}
NVML_EXPORT nvmlDeviceGetClockInfo(void*, int clock, unsigned* mhz) {
  return *mhz = clock == 2 ? 3201 : 1755, 0;
}
NVML_EXPORT nvmlDeviceGetPowerUsage(void*, unsigned* milliwatts) { return *milliwatts = 350000, 0; }
NVML_EXPORT nvmlDeviceGetTemperature(void*, int, unsigned* celsius) { return *celsius = 41, 0; }

EXPORT cuGetProcAddress_v2(const char* name, void** function, int, cuuint64_t,
                           CUdriverProcAddressQueryResult* outcome) {
  static const std::map<std::string, void*> functions = {
#define FAKE(name) {#name, reinterpret_cast<void*>(&fake_##name)}
      FAKE(cuInit), FAKE(cuGetErrorName), FAKE(cuGetErrorString), FAKE(cuDeviceGet),
      FAKE(cuDeviceGetCount), FAKE(cuDeviceGetName), FAKE(cuDeviceGetAttribute),
      {"cuDeviceTotalMem", reinterpret_cast<void*>(&fake_cuDeviceTotalMem)},
      FAKE(cuDeviceGetPCIBusId), FAKE(cuPointerGetAttributes), FAKE(cuDevicePrimaryCtxRetain),
      FAKE(cuCtxSetCurrent), FAKE(cuModuleLoadData),
      FAKE(cuModuleUnload), FAKE(cuModuleGetFunction), FAKE(cuFuncGetAttribute),
      FAKE(cuFuncSetAttribute), FAKE(cuOccupancyMaxActiveBlocksPerMultiprocessor),
      FAKE(cuOccupancyMaxActiveClusters), FAKE(cuLaunchKernelEx), FAKE(cuStreamCreate),
      FAKE(cuStreamSynchronize), FAKE(cuStreamWaitEvent), FAKE(cuStreamEndCapture), FAKE(cuGraphLaunch),
      FAKE(cuGraphDestroy), FAKE(cuGraphExecDestroy), FAKE(cuEventCreate), FAKE(cuEventRecord),
      FAKE(cuEventSynchronize), FAKE(cuTensorMapEncodeTiled), FAKE(cuTensorMapEncodeIm2col),
      {"cuDriverGetVersion", reinterpret_cast<void*>(&cuDriverGetVersion)},
#undef FAKE
// cuda.h renames these by macros: their names are spelled out.
#define FAKE(text, function) {text, reinterpret_cast<void*>(&function)}
      FAKE("cuMemGetInfo", fake_cuMemGetInfo), FAKE("cuMemAlloc", fake_cuMemAlloc),
      FAKE("cuMemFree", fake_cuMemFree), FAKE("cuMemHostAlloc", fake_cuMemHostAlloc),
      FAKE("cuMemFreeHost", fake_cuMemFreeHost), FAKE("cuMemcpyAsync", fake_cuMemcpyAsync),
      FAKE("cuMemcpy2DAsync", fake_cuMemcpy2DAsync),
      FAKE("cuMemsetD8Async", fake_cuMemsetD8Async), FAKE("cuStreamDestroy", fake_cuStreamDestroy),
      FAKE("cuStreamBeginCapture", fake_cuStreamBeginCapture),
      FAKE("cuGraphInstantiateWithFlags", fake_cuGraphInstantiateWithFlags),
      FAKE("cuLaunchHostFunc", fake_cuLaunchHostFunc), FAKE("cuEventDestroy", fake_cuEventDestroy),
      FAKE("cuEventElapsedTime", fake_cuEventElapsedTime),
#undef FAKE
  };
  const char* settings = std::getenv("FAKE_CUDA");
  const bool missing =
      settings && std::strstr(settings, (std::string(name) + "=missing").c_str());
  auto found = missing ? functions.end() : functions.find(name);
  *function = found == functions.end() ? nullptr : found->second;
  if (outcome)
    *outcome = *function ? CU_GET_PROC_ADDRESS_SUCCESS : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
  return *function ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}
