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
  BoundContext(const Engine& engine, int threads) : engine_(engine), context_(make(engine, threads)) {
    memory_.resize(engine.outputs().size());
    check(context_.set_output_allocator([this](int output, int64_t bytes) {
      return allocate(size_t(output), bytes);
    }));
  }

  // `out`: an array, or None, per output; an array is written to and given back.
  nb::list run(const nb::typed<nb::list, nb::object>& inputs,
               const nb::typed<nb::list, nb::object>& out, bool numpy,
               std::optional<double> timeout_s, const CancelToken& cancel) {
    const auto& wanted = engine_.inputs();
    const auto& results = engine_.outputs();
    std::vector<Tensor> tensors;
    for (size_t i = 0; i < wanted.size(); ++i) tensors.push_back(input_tensor(wanted[i], inputs[i]));
    std::vector<std::optional<OutputArray>> bound(results.size());
    for (size_t i = 0; i < out.size(); ++i)
      if (!out[i].is_none()) bound[i] = output_array(results[i], out[i]);
    std::vector<Tensor> outputs;
    {
      nb::gil_scoped_release release;
      outputs = run(tensors, bound, timeout_s, cancel);
    }
    nb::list made;
    for (size_t i = 0; i < results.size(); ++i) {
      if (i < out.size() && !out[i].is_none()) {
        made.append(out[i]);
      } else if (numpy) {
        made.append(to_numpy("output '" + results[i].name + "'", outputs[i]));
      } else {
        made.append(nb::cast(outputs[i]));
      }
    }
    return made;
  }

  int64_t arena_bytes() const { return context_.arena_bytes(); }

 private:
  static Context make(const Engine& engine, int threads) {
    nb::gil_scoped_release release;
    ContextOptions options;
    options.threads = threads;
    return take(Context::create(engine, options));
  }

  void* allocate(size_t output, int64_t bytes) {
    auto& kept = memory_[output];
    const bool free = kept && kept.use_count() == 1 && kept->bytes() >= bytes;
    // Pairs with the release of the last result's reference, on whatever thread that was.
    std::atomic_thread_fence(std::memory_order_acquire);
    if (!free) kept = ResultMemory::allocate(bytes);
    return kept ? kept->data() : nullptr;
  }

  std::vector<Tensor> run(const std::vector<Tensor>& inputs, const std::vector<std::optional<OutputArray>>& bound,
                          std::optional<double> timeout_s, const CancelToken& cancel) {
    for (size_t i = 0; i < inputs.size(); ++i)
      check(context_.set_input(int(i), inputs[i].data(), inputs[i].dims()));
    for (size_t i = 0; i < bound.size(); ++i)
      check(context_.bind_output(int(i), bound[i] ? bound[i]->data : nullptr,
                                 bound[i] ? bound[i]->bytes : 0));
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
    if (!memory_[i] || memory_[i]->data() != view.data())
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
};

}  // namespace

void register_context(nb::module_& module) {
  nb::class_<BoundContext>(module, "Context")
      .def(nb::init<const Engine&, int>(), "engine"_a, "threads"_a)
      .def("run", nb::overload_cast<const nb::typed<nb::list, nb::object>&,
                                    const nb::typed<nb::list, nb::object>&, bool,
                                    std::optional<double>, const CancelToken&>(&BoundContext::run),
           "inputs"_a, "out"_a, "numpy"_a, "timeout_s"_a.none(), "cancel"_a,
           nb::sig("def run(self, inputs: list[object], out: list[object], numpy: bool, "
                   "timeout_s: float | None, cancel: CancelToken) -> list[typing.Any]"))
      .def("arena_bytes", &BoundContext::arena_bytes);
}

}  // namespace planish::python
