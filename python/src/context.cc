// Contexts: running an engine on Python's arrays.
#include "planish/context.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "arrays.h"
#include "bindings.h"
#include "errors.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace planish::python {
namespace {

// Memory that a result owns. The context keeps one per output and hands it out again when nobody
// but itself holds it: results that are dropped before the next run cost no fresh pages.
class ResultMemory {
 public:
  static std::shared_ptr<ResultMemory> allocate(int64_t bytes) {
    constexpr size_t kAlignment = 64;
    const size_t rounded = (size_t(bytes) + kAlignment) / kAlignment * kAlignment;
    void* data = std::aligned_alloc(kAlignment, rounded);
    if (!data) return nullptr;
    return std::shared_ptr<ResultMemory>(new ResultMemory(data, bytes));
  }
  ~ResultMemory() { std::free(data_); }
  ResultMemory(const ResultMemory&) = delete;
  ResultMemory& operator=(const ResultMemory&) = delete;
  void* data() const { return data_; }
  int64_t bytes() const { return bytes_; }

 private:
  ResultMemory(void* data, int64_t bytes) : data_(data), bytes_(bytes) {}
  void* data_;
  int64_t bytes_;
};

// The context with the memory of its results. One call at a time: the package holds a lock.
class BoundContext {
 public:
  BoundContext(const Engine& engine, int threads, uintptr_t stream)
      : engine_(engine), context_(make(engine, threads, stream)) {
    memory_.resize(engine.outputs().size());
    device_memory_.resize(engine.outputs().size());
    const DeviceDesc device = engine.device();
    if (device.kind != "cpu") place_ = {device.index, context_.stream()};
    set_results_on_device(false);
  }

  // `out`: an array, or None, per output; an array is written to and given back. `on_device`: the other
  // results stay in the GPU's memory.
  nb::list run(const nb::typed<nb::list, nb::object>& inputs,
               const nb::typed<nb::list, nb::object>& out, bool numpy, bool on_device,
               std::optional<double> timeout_s, const CancelToken& cancel) {
    const auto& wanted = engine_.inputs();
    const auto& results = engine_.outputs();
    if (on_device && place_.gpu < 0)
      refuse("on_device: the engine computes on device '" + engine_.device().kind +
             "', which has no memory of its own");
    set_results_on_device(on_device);
    std::vector<InputArray> tensors;
    for (size_t i = 0; i < wanted.size(); ++i)
      tensors.push_back(input_array(wanted[i], inputs[i], place_));
    std::vector<std::optional<OutputArray>> bound(results.size());
    for (size_t i = 0; i < out.size(); ++i)
      if (!out[i].is_none()) bound[i] = output_array(results[i], out[i], place_);
    std::vector<Tensor> outputs;
    {
      nb::gil_scoped_release release;
      outputs = run(tensors, bound, timeout_s, cancel);
    }
    nb::list made;
    for (size_t i = 0; i < results.size(); ++i) {
      if (i < out.size() && !out[i].is_none()) {
        made.append(out[i]);
      } else if (on_device) {
        made.append(nb::cast(DeviceTensor{outputs[i].dtype(), outputs[i].dims(),
                                          std::exchange(device_memory_[i], nullptr), place_.gpu}));
      } else if (numpy) {
        made.append(to_numpy("output '" + results[i].name + "'", outputs[i]));
      } else {
        made.append(nb::cast(outputs[i]));
      }
    }
    return made;
  }

  int64_t arena_bytes() const { return context_.arena_bytes(); }
  uintptr_t stream() const { return reinterpret_cast<uintptr_t>(context_.stream()); }

 private:
  static Context make(const Engine& engine, int threads, uintptr_t stream) {
    nb::gil_scoped_release release;
    ContextOptions options;
    options.threads = threads;
    options.stream = reinterpret_cast<void*>(stream);
    return take(Context::create(engine, options));
  }

  void set_results_on_device(bool on_device) {
    if (results_on_device_ == on_device) return;
    const MemorySpace space = on_device ? MemorySpace::kDevice : MemorySpace::kHost;
    check(context_.set_output_allocator([this](int output, int64_t bytes) {
      return allocate(size_t(output), bytes);
    }, space));
    results_on_device_ = on_device;
  }

  void* allocate(size_t output, int64_t bytes) {
    if (*results_on_device_) {
      auto memory = engine_.allocate(bytes, MemorySpace::kDevice);
      if (!memory.ok()) return nullptr;
      device_memory_[output] = std::move(*memory);
      return device_memory_[output].get();
    }
    auto& kept = memory_[output];
    const bool free = kept && kept.use_count() == 1 && kept->bytes() >= bytes;
    // Pairs with the release of the last result's reference, on whatever thread that was.
    std::atomic_thread_fence(std::memory_order_acquire);
    if (!free) kept = ResultMemory::allocate(bytes);
    return kept ? kept->data() : nullptr;
  }

  std::vector<Tensor> run(const std::vector<InputArray>& inputs, const std::vector<std::optional<OutputArray>>& bound,
                          std::optional<double> timeout_s, const CancelToken& cancel) {
    for (size_t i = 0; i < inputs.size(); ++i)
      check(context_.set_input(int(i), inputs[i].data, inputs[i].dims, inputs[i].space));
    for (size_t i = 0; i < bound.size(); ++i)
      check(context_.bind_output(int(i), bound[i] ? bound[i]->data : nullptr,
                                 bound[i] ? bound[i]->bytes : 0,
                                 bound[i] ? bound[i]->space : MemorySpace::kHost));
    RunOptions options;
    options.cancel = cancel;
    if (timeout_s)
      options.deadline = std::chrono::steady_clock::now() +
                         std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                             std::chrono::duration<double>(*timeout_s));
    check(context_.run(options));
    std::vector<Tensor> outputs;
    for (size_t i = 0; i < bound.size(); ++i) outputs.push_back(result(i, bound[i]));
    return outputs;
  }

  // The result in memory that it keeps alive.
  Tensor result(size_t i, const std::optional<OutputArray>& bound) {
    Tensor view = take(context_.output(int(i)));
    if (bound) {
      if (view.dims() != bound->dims)
        refuse("out '" + engine_.outputs()[i].name + "': got an array of " + text(bound->dims) +
               ", expected " + text(view.dims()));
      return view;
    }
    if (*results_on_device_ && device_memory_[i] && device_memory_[i].get() == view.data())
      return view;
    if (*results_on_device_ || !memory_[i] || memory_[i]->data() != view.data())
      throw StatusError(Status(Code::kResourceExhausted,
                               "no memory for output '" + engine_.outputs()[i].name + "'"));
    return take(Tensor::view(view.dtype(), view.dims(), view.data(), memory_[i]));
  }

  static std::string text(const std::vector<int64_t>& dims) {
    std::string out;
    for (int64_t dim : dims) out += (out.empty() ? "" : ", ") + std::to_string(dim);
    return "[" + out + "]";
  }

  Engine engine_;
  Context context_;
  std::vector<std::shared_ptr<ResultMemory>> memory_;
  std::vector<std::shared_ptr<void>> device_memory_;
  Place place_;
  std::optional<bool> results_on_device_;
};

}  // namespace

void register_context(nb::module_& module) {
  nb::class_<BoundContext>(module, "Context")
      .def(nb::init<const Engine&, int, uintptr_t>(), "engine"_a, "threads"_a, "stream"_a)
      .def("run", nb::overload_cast<const nb::typed<nb::list, nb::object>&,
                                    const nb::typed<nb::list, nb::object>&, bool, bool,
                                    std::optional<double>, const CancelToken&>(&BoundContext::run),
           "inputs"_a, "out"_a, "numpy"_a, "on_device"_a, "timeout_s"_a.none(), "cancel"_a,
           nb::sig("def run(self, inputs: list[object], out: list[object], numpy: bool, "
                   "on_device: bool, timeout_s: float | None, cancel: CancelToken) -> list[typing.Any]"))
      .def("arena_bytes", &BoundContext::arena_bytes)
      .def("stream", &BoundContext::stream);
}

}  // namespace planish::python
