// The public Context over runtime::ExecutionContext.
//
// The host's callbacks may throw; what they throw is caught where they are called, ends the run with
// a Status, and never passes through the runtime.
#include "planish/context.h"

#include <atomic>
#include <thread>

#include "api/runtime/convert.h"
#include "api/runtime/engine_impl.h"
#include "base/text.h"
#include "kernel/launch_info.h"
#include "runtime/context.h"

namespace planish::v1 {
namespace {

// Runs a callback; the first thing thrown is remembered and asks the run to stop.
class CallbackGuard {
 public:
  template <class F>
  void call(const char* name, F&& f) noexcept {
    try {
      f();
    } catch (const std::exception& error) {
      remember(name, error.what());
    } catch (...) {
      remember(name, "something that is no std::exception");
    }
  }
  bool failed() const { return failed_; }
  Status status() const { return Status(Code::kInvalidArgument, message_); }
  void reset() { failed_ = false; }

 private:
  void remember(const char* name, const char* what) noexcept {
    if (failed_) return;
    failed_ = true;
    try {
      message_ = cat("the ", name, " threw: ", what);
    } catch (...) {  // no memory for the text: the code alone must do
    }
  }
  bool failed_ = false;
  std::string message_;
};

ir::MemorySpace from_public(MemorySpace space) {
  return space == MemorySpace::kDevice ? ir::MemorySpace::kDevice : ir::MemorySpace::kHost;
}

}  // namespace

struct Context::Impl {
  explicit Impl(const Engine& made_from) : engine(made_from) {}

  Status run(const RunOptions& options);

  Engine engine;
  std::unique_ptr<runtime::ExecutionContext> context;
  OutputAllocator allocator;
  CallbackGuard guard;
  std::atomic<bool> busy{false};
  std::thread worker;
};

Status Context::Impl::run(const RunOptions& options) {
  guard.reset();
  runtime::RunOptions inner;
  const bool has_callbacks = options.profiler || options.observer;
  inner.cancel = options.cancel.flag();
  inner.deadline = options.deadline;
  runtime::RunTimes times;
  if (options.times) inner.times = &times;
  inner.compute_repeats = options.compute_repeats;
  inner.wait = options.wait;
  if (options.profiler) {
    inner.profiler = [&](const runtime::StepTime& time) {
      if (guard.failed()) return;
      guard.call("profiler", [&] {
        options.profiler({time.step, time.start_us, time.duration_us});
      });
    };
  }
  if (options.observer) {
    const plan::Program& program = engine.impl()->engine->program();
    inner.observer = [&](int value, const ir::Tensor& tensor) {
      if (guard.failed()) return;
      guard.call("observer", [&] {
        options.observer(program.values[size_t(value)].name, api::to_public(tensor));
      });
    };
  }
  Status status = api::guarded([&] { return api::to_public(context->run(inner)); });
  if (options.times)
    *options.times = {times.h2d_us, times.compute_us, times.d2h_us, times.enqueue_us};
  if (has_callbacks && guard.failed()) return guard.status();
  if (guard.failed() && status.ok()) return guard.status();
  return status;
}

Context::Context(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Context::Context(Context&&) noexcept = default;
Context& Context::operator=(Context&& other) noexcept {
  if (impl_ && impl_->worker.joinable()) impl_->worker.join();
  impl_ = std::move(other.impl_);
  return *this;
}
Context::~Context() {
  if (impl_ && impl_->worker.joinable()) impl_->worker.join();
}

Result<Context> Context::create(const Engine& engine, const ContextOptions& options) {
  return api::guarded([&]() -> Result<Context> {
    if (options.threads < 0 || options.threads > 4096) {
      return Status(Code::kInvalidArgument, cat("threads: got ", options.threads,
                                                ", expected 0 (as the engine) to 4096"));
    }
    auto impl = std::make_unique<Impl>(engine);
    runtime::ContextOptions inner;
    inner.threads = options.threads;
    inner.stream = options.stream;
    planish::HostParallelFor host;
    if (options.parallel_for) {
      if (!options.parallel_for->run || options.parallel_for->threads < 1)
        return Status(Code::kInvalidArgument,
                      "the host's parallel_for has no run function or no threads");
      host.threads = options.parallel_for->threads;
      host.context = options.parallel_for->context;
      host.run = options.parallel_for->run;
      inner.host = &host;
    }
    PLANISH_API_ASSIGN_OR_RETURN(
        impl->context, runtime::ExecutionContext::create(engine.impl()->engine, inner));
    return Context(std::move(impl));
  });
}

Status Context::set_input(int index, const void* data, std::vector<int64_t> dims,
                          MemorySpace space) {
  return api::guarded([&] {
    return api::to_public(
        impl_->context->set_input(index, data, std::move(dims), from_public(space)));
  });
}

Status Context::set_input(const std::string& name, const Tensor& tensor) {
  const int index = impl_->engine.input_index(name);
  if (index < 0) {
    std::vector<std::string> names;
    for (const TensorDesc& desc : impl_->engine.inputs()) names.push_back(desc.name);
    return Status(Code::kInvalidArgument, cat("no input '", name, "'; there is: ", join(names)));
  }
  const DataType wanted = impl_->engine.inputs()[size_t(index)].dtype;
  if (tensor.dtype() != wanted) {
    return Status(Code::kInvalidArgument, cat("input '", name, "': got ", name_of(tensor.dtype()),
                                              ", expected ", name_of(wanted)));
  }
  return set_input(index, tensor.data(), tensor.dims());
}

Status Context::bind_output(int index, void* data, int64_t bytes, MemorySpace space) {
  return api::guarded([&] {
    return api::to_public(impl_->context->bind_output(index, data, bytes, from_public(space)));
  });
}

Status Context::set_output_allocator(OutputAllocator allocator, MemorySpace space) {
  if (impl_->busy) return Status(Code::kFailedPrecondition, "the context is running");
  impl_->allocator = std::move(allocator);
  if (!impl_->allocator) {
    impl_->context->set_output_allocator(nullptr);
    return {};
  }
  impl_->context->set_output_allocator([impl = impl_.get()](int output, int64_t bytes) {
    void* memory = nullptr;
    impl->guard.call("output allocator", [&] { memory = impl->allocator(output, bytes); });
    return memory;
  }, from_public(space));
  return {};
}

Status Context::run(const RunOptions& options) {
  if (impl_->busy.exchange(true))
    return Status(Code::kFailedPrecondition, "the context is running; use one context per thread");
  Status status = impl_->run(options);
  impl_->busy = false;
  return status;
}

std::future<Status> Context::run_async(RunOptions options) {
  std::promise<Status> promise;
  std::future<Status> future = promise.get_future();
  if (impl_->busy.exchange(true)) {
    promise.set_value(Status(Code::kFailedPrecondition,
                             "the context is running; use one context per thread"));
    return future;
  }
  if (impl_->worker.joinable()) impl_->worker.join();
  const auto body = [impl = impl_.get(), options = std::move(options)](
                        std::promise<Status> outcome) {
    Status status = impl->run(options);
    impl->busy = false;
    outcome.set_value(std::move(status));
  };
  try {
    impl_->worker = std::thread(body, std::move(promise));
  } catch (const std::exception& error) {
    impl_->busy = false;
    std::promise<Status> failed;
    failed.set_value(Status(Code::kResourceExhausted, cat("no thread to run on: ", error.what())));
    return failed.get_future();
  }
  return future;
}

Result<Tensor> Context::output(int index) const {
  return api::guarded([&]() -> Result<Tensor> {
    if (impl_->busy) return Status(Code::kFailedPrecondition, "the context is running");
    PLANISH_API_ASSIGN_OR_RETURN(ir::Tensor tensor, impl_->context->output(index));
    return Tensor::view(api::to_public(tensor.dtype()), tensor.dims(), tensor.data());
  });
}

Result<Tensor> Context::output(const std::string& name) const {
  const int index = impl_->engine.output_index(name);
  if (index < 0) return Status(Code::kInvalidArgument, cat("no output '", name, "'"));
  return output(index);
}

void* Context::stream() const { return impl_->context->stream(); }

int64_t Context::arena_bytes() const { return impl_->context->arena_bytes(); }

std::vector<StepCost> Context::step_costs() const {
  std::vector<StepCost> costs;
  const runtime::Instance* instance = impl_->context->instance();
  if (!instance) return costs;
  costs.resize(impl_->engine.steps().size());
  const runtime::Phase& phase = instance->first_phase();
  for (size_t i = 0; i < phase.steps.size(); ++i) {
    StepCost& cost = costs[size_t(phase.first_step) + i];
    cost.flops = phase.steps[i].flops;
    cost.bytes_moved = phase.steps[i].bytes_moved;
    const auto* described =
        dynamic_cast<const kernel::DescribedLaunchable*>(phase.steps[i].launchable.get());
    if (!described) continue;
    const kernel::LaunchInfo& info = described->launch_info();
    cost.device_kernels = info.kernels;
    cost.tensor_cores = info.tensor_cores;
    cost.any_size = info.any_size;
    cost.peak_flops = info.peak_flops;
    cost.peak_bytes_per_s = info.peak_bytes_per_s;
  }
  return costs;
}

}  // namespace planish::v1
