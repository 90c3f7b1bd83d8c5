#include "backend/cuda/device/cuda_device.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>

#include "backend/cuda/device/gpu.h"
#include "backend/cuda/device/memory_share.h"
#include "backend/cuda/device/nvml.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

using ir::MemorySpace;

CUdeviceptr address(const void* p) { return reinterpret_cast<CUdeviceptr>(p); }

class GpuMemory : public backend::Memory {
 public:
  GpuMemory(std::shared_ptr<Gpu> gpu, MemorySpace space, void* data, int64_t bytes,
            std::shared_ptr<MemoryShare> share = nullptr)
      : bytes_(std::move(gpu), space, data, bytes, std::move(share)) {}
  std::byte* data() const override { return static_cast<std::byte*>(bytes_.data()); }
  int64_t bytes() const override { return bytes_.bytes(); }

 private:
  DeviceBytes bytes_;
};

class GpuGraph : public backend::CapturedGraph {
 public:
  GpuGraph(std::shared_ptr<Gpu> gpu, CUgraphExec graph) : gpu_(std::move(gpu)), graph_(graph) {}
  ~GpuGraph() override {
    if (gpu_->make_current().ok()) gpu_->driver().cuGraphExecDestroy(graph_);
  }
  Status launch(void* stream) override {
    PLANISH_RETURN_IF_ERROR(gpu_->make_current());
    PLANISH_GPU(*gpu_, gpu_->driver().cuGraphLaunch(graph_, static_cast<CUstream>(stream)));
    return ok_status();
  }

 private:
  std::shared_ptr<Gpu> gpu_;
  CUgraphExec graph_;
};

class GpuEvent : public backend::Event {
 public:
  GpuEvent(std::shared_ptr<Gpu> gpu, CUevent event) : gpu_(std::move(gpu)), event_(event) {}
  ~GpuEvent() override {
    if (gpu_->make_current().ok()) gpu_->driver().cuEventDestroy(event_);
  }
  CUevent handle() const { return event_; }
  Result<double> us_since(const backend::Event& earlier) const override {
    float ms = 0;
    PLANISH_GPU(*gpu_, gpu_->driver().cuEventSynchronize(event_));
    PLANISH_GPU(*gpu_, gpu_->driver().cuEventElapsedTime(
        &ms, static_cast<const GpuEvent&>(earlier).event_, event_));
    return double(ms) * 1e3;
  }

 private:
  std::shared_ptr<Gpu> gpu_;
  CUevent event_;
};

class GpuStream : public backend::Stream {
 public:
  GpuStream(std::shared_ptr<Gpu> gpu, CUstream stream, bool owned)
      : gpu_(std::move(gpu)), stream_(stream), owned_(owned) {}
  ~GpuStream() override {
    if (owned_ && gpu_->make_current().ok()) gpu_->driver().cuStreamDestroy(stream_);
  }
  void* handle() const override { return stream_; }
  Status synchronize() override {
    PLANISH_RETURN_IF_ERROR(gpu_->make_current());
    PLANISH_GPU(*gpu_, gpu_->driver().cuStreamSynchronize(stream_));
    return ok_status();
  }
  // The legacy default stream cannot be captured, by whichever of its names.
  bool can_capture() const override { return stream_ != nullptr && stream_ != CU_STREAM_LEGACY; }
  Status begin_capture() override {
    PLANISH_RETURN_IF_ERROR(gpu_->make_current());
    PLANISH_GPU(*gpu_, gpu_->driver().cuStreamBeginCapture(stream_, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    return ok_status();
  }
  Result<std::unique_ptr<backend::CapturedGraph>> end_capture() override {
    const Driver& driver = gpu_->driver();
    CUgraph graph = nullptr;
    PLANISH_GPU(*gpu_, driver.cuStreamEndCapture(stream_, &graph));
    CUgraphExec executable = nullptr;
    const CUresult result = driver.cuGraphInstantiateWithFlags(&executable, graph, 0);
    driver.cuGraphDestroy(graph);
    PLANISH_RETURN_IF_ERROR(gpu_->check(result, "cuGraphInstantiateWithFlags"));
    return std::unique_ptr<backend::CapturedGraph>(std::make_unique<GpuGraph>(gpu_, executable));
  }
  Status record(backend::Event& event) override {
    PLANISH_GPU(*gpu_, gpu_->driver().cuEventRecord(static_cast<GpuEvent&>(event).handle(), stream_));
    return ok_status();
  }
  Status wait(backend::Event& event) override {
    PLANISH_GPU(*gpu_, gpu_->driver().cuStreamWaitEvent(
                           stream_, static_cast<GpuEvent&>(event).handle(), CU_EVENT_WAIT_DEFAULT));
    return ok_status();
  }

 private:
  std::shared_ptr<Gpu> gpu_;
  CUstream stream_;
  bool owned_;
};

class CudaDevice : public backend::Device {
 public:
  explicit CudaDevice(std::shared_ptr<Gpu> gpu) : gpu_(std::move(gpu)), info_(gpu_->info()) {}
  CudaDevice(std::shared_ptr<Gpu> gpu, std::shared_ptr<MemoryShare> share)
      : gpu_(std::move(gpu)), info_(with_share(gpu_->info(), *share)), share_(std::move(share)) {}
  const kernel::DeviceInfo& info() const override { return info_; }
  MemorySpace home() const override { return MemorySpace::kDevice; }

  Result<std::unique_ptr<backend::Memory>> allocate(int64_t bytes, MemorySpace space) override {
    PLANISH_RETURN_IF_ERROR(gpu_->make_current());
    if (share_ && space == MemorySpace::kDevice) {
      PLANISH_ASSIGN_OR_RETURN(void* lent, share_->allocate(bytes));
      return std::unique_ptr<backend::Memory>(
          std::make_unique<GpuMemory>(gpu_, space, lent, bytes, share_));
    }
    PLANISH_ASSIGN_OR_RETURN(void* data, gpu_->pool(space).allocate(bytes));
    return std::unique_ptr<backend::Memory>(
        std::make_unique<GpuMemory>(gpu_, space, data, bytes));
  }

  Result<std::unique_ptr<backend::Stream>> create_stream() override {
    PLANISH_RETURN_IF_ERROR(gpu_->make_current());
    CUstream stream = nullptr;
    PLANISH_GPU(*gpu_, gpu_->driver().cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    return std::unique_ptr<backend::Stream>(std::make_unique<GpuStream>(gpu_, stream, true));
  }
  Result<std::unique_ptr<backend::Stream>> wrap_stream(void* handle) override {
    return std::unique_ptr<backend::Stream>(
        std::make_unique<GpuStream>(gpu_, static_cast<CUstream>(handle), false));
  }
  Result<std::unique_ptr<backend::Event>> create_event() override {
    PLANISH_RETURN_IF_ERROR(gpu_->make_current());
    CUevent event = nullptr;
    PLANISH_GPU(*gpu_, gpu_->driver().cuEventCreate(&event, CU_EVENT_DEFAULT));
    return std::unique_ptr<backend::Event>(std::make_unique<GpuEvent>(gpu_, event));
  }

  Status copy(backend::Stream& stream, void* to, MemorySpace to_space, const void* from,
              MemorySpace from_space, int64_t bytes) override {
    if (to_space != MemorySpace::kDevice && from_space != MemorySpace::kDevice) {
      std::memcpy(to, from, size_t(bytes));
      return ok_status();
    }
    PLANISH_RETURN_IF_ERROR(gpu_->make_current());
    PLANISH_GPU(*gpu_, gpu_->driver().cuMemcpyAsync(address(to), address(from), size_t(bytes),
                                              static_cast<CUstream>(stream.handle())));
    return ok_status();
  }

  // Of a captured run (decision 0041).
  double step_us() const override { return 0.2; }

  Result<backend::DeviceState> state() const override { return nvml_state(gpu_->pci_bus_id()); }

  Result<std::shared_ptr<backend::Device>> with_memory(
      const backend::MemorySource& source) override {
    return std::shared_ptr<backend::Device>(
        std::make_shared<CudaDevice>(gpu_, MemoryShare::create(gpu_, source)));
  }

  // Memory that the driver did not make is the host's; pinned memory is, too. Asked for together, attributes
  // of an unknown address are zeros; asked for one by one they are an error, which tools like
  // compute-sanitizer report.
  Status check_address(const void* data, MemorySpace space) const override {
    PLANISH_RETURN_IF_ERROR(gpu_->make_current());
    unsigned type = 0, managed = 0;
    int ordinal = 0;
    CUpointer_attribute asked[] = {CU_POINTER_ATTRIBUTE_MEMORY_TYPE, CU_POINTER_ATTRIBUTE_IS_MANAGED,
                                   CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL};
    void* answers[] = {&type, &managed, &ordinal};
    const bool known = gpu_->driver().cuPointerGetAttributes(3, asked, answers, address(data)) == CUDA_SUCCESS;
    const bool on_device = known && type == CU_MEMORYTYPE_DEVICE;
    if (on_device && managed) return ok_status();  // the driver moves it
    if (on_device != (space == MemorySpace::kDevice))
      return invalid_argument(cat("the address lies in ", on_device ? "a GPU's" : "the host's",
                                  " memory, expected ", on_device ? "the host's" : "GPU memory"));
    const std::string& own = info_.properties.at("ordinal");
    if (on_device && std::to_string(ordinal) != own)
      return invalid_argument(cat("the address lies on GPU ", ordinal, ", expected GPU ", own));
    return ok_status();
  }

  Result<std::vector<double>> time_us(const kernel::Launchable& launchable,
                                      std::span<const kernel::RunArgs> args, int rounds) override {
    PLANISH_ASSIGN_OR_RETURN(auto stream, create_stream());
    PLANISH_ASSIGN_OR_RETURN(auto begin, create_event());
    PLANISH_ASSIGN_OR_RETURN(auto end, create_event());
    // One uncaptured launch, so that what a kernel does first is not in the graph; another says how
    // many make a sample: slow kernels need no more than one.
    PLANISH_RETURN_IF_ERROR(launch(launchable, args, *stream, 1));
    PLANISH_RETURN_IF_ERROR(stream->record(*begin));
    PLANISH_RETURN_IF_ERROR(launch(launchable, args, *stream, 1));
    PLANISH_RETURN_IF_ERROR(stream->record(*end));
    PLANISH_ASSIGN_OR_RETURN(const double once, end->us_since(*begin));
    const double most = std::max<double>(kLaunchesPerGraph, double(args.size()));
    const int per_graph = int(std::clamp(4 * kSampleUs / std::max(once, 1.0), 1.0, most));
    PLANISH_RETURN_IF_ERROR(stream->begin_capture());
    const Status launched = launch(launchable, args, *stream, per_graph);
    auto graph = stream->end_capture();
    PLANISH_RETURN_IF_ERROR(launched);
    if (!graph.ok()) return graph.status();
    const auto sample = [&](int replays) -> Result<double> {
      PLANISH_RETURN_IF_ERROR(stream->record(*begin));
      for (int i = 0; i < replays; ++i)
        PLANISH_RETURN_IF_ERROR((*graph)->launch(stream->handle()));
      PLANISH_RETURN_IF_ERROR(stream->record(*end));
      PLANISH_ASSIGN_OR_RETURN(const double us, end->us_since(*begin));
      return us / (double(replays) * per_graph);
    };
    PLANISH_ASSIGN_OR_RETURN(const double warm, sample(1));
    const int replays = int(std::clamp(kSampleUs / std::max(warm * per_graph, 1.0), 1.0, 100.0));
    std::vector<double> samples;
    for (int i = 0; i < rounds; ++i) {
      PLANISH_ASSIGN_OR_RETURN(const double us, sample(replays));
      samples.push_back(us);
    }
    return samples;
  }

 private:
  static constexpr int kLaunchesPerGraph = 10;
  static constexpr double kSampleUs = 300;  // an event's resolution of 0.5 us is well below a percent

  static Status launch(const kernel::Launchable& launchable, std::span<const kernel::RunArgs> args,
                       backend::Stream& stream, int count) {
    for (int i = 0; i < count; ++i) {
      kernel::RunArgs one = args[size_t(i) % args.size()];
      one.stream = stream.handle();
      PLANISH_RETURN_IF_ERROR(launchable.run(one));
    }
    return ok_status();
  }

  std::shared_ptr<Gpu> gpu_;
  const kernel::DeviceInfo info_;
  std::shared_ptr<MemoryShare> share_;  // null: the pool's
};

}  // namespace

Result<std::shared_ptr<backend::Device>> make_cuda_device(int ordinal) {
  // One Device per GPU: engines share constants by it.
  static std::mutex& mutex = *new std::mutex();
  static auto& devices = *new std::map<int, std::shared_ptr<backend::Device>>();
  PLANISH_ASSIGN_OR_RETURN(std::shared_ptr<Gpu> opened, gpu(ordinal));
  std::lock_guard lock(mutex);
  auto& device = devices[ordinal];
  if (!device) device = std::make_shared<CudaDevice>(std::move(opened));
  return device;
}

}  // namespace planish::cuda
