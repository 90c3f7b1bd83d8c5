// The C API of libplanish_runtime over the C++ API.
#include <cstdlib>
#include <cstring>

#include "api/runtime/c_support.h"
#include "base/text.h"

namespace api = planish::api;
namespace v1 = planish::v1;

namespace planish::api {
namespace {

std::string& last_error() {
  thread_local std::string text;
  return text;
}

}  // namespace

planish_code fail(const v1::Status& status) {
  try {
    last_error() = status.to_string();
  } catch (...) {  // no memory for the text: the code alone must do
    last_error().clear();
  }
  return planish_code(status.code());
}

planish_code fail(v1::Code code, std::string message) {
  return fail(v1::Status(code, std::move(message)));
}

v1::Status null_argument(const char* name) {
  return v1::Status(v1::Code::kInvalidArgument, cat("argument '", name, "' is null"));
}

char* copy_text(const std::string& text) {
  char* copy = static_cast<char*>(std::malloc(text.size() + 1));
  if (copy) std::memcpy(copy, text.c_str(), text.size() + 1);
  return copy;
}

v1::EngineOptions engine_options(const planish_engine_options* from) {
  v1::EngineOptions options;
  if (!from) return options;
  if (PLANISH_C_HAS(from, device) && from->device) options.device = from->device;
  if (PLANISH_C_HAS(from, threads)) options.threads = from->threads;
  if (PLANISH_C_HAS(from, instance_cache) && from->instance_cache)
    options.instance_cache = from->instance_cache;
  if (PLANISH_C_HAS(from, max_memory_bytes)) options.max_memory_bytes = from->max_memory_bytes;
  if (PLANISH_C_HAS(from, allocator) && from->allocator) {
    options.allocator = v1::HostAllocator{from->allocator->allocate, from->allocator->deallocate,
                                          from->allocator->user};
  }
  if (PLANISH_C_HAS(from, max_plan_bytes)) options.max_plan_bytes = from->max_plan_bytes;
  if (PLANISH_C_HAS(from, device_allocator) && from->device_allocator) {
    options.device_allocator =
        v1::HostAllocator{from->device_allocator->allocate, from->device_allocator->deallocate,
                          from->device_allocator->user};
  }
  if (PLANISH_C_HAS(from, max_device_memory_bytes))
    options.max_device_memory_bytes = from->max_device_memory_bytes;
  return options;
}

planish_engine* make_handle(v1::Engine engine) {
  auto handle = std::make_unique<planish_engine>(planish_engine{std::move(engine), {}, {}, {}});
  const auto texts = [](const std::vector<v1::TensorDesc>& descs) {
    std::vector<std::vector<std::string>> out;
    for (const v1::TensorDesc& desc : descs) {
      auto& dims = out.emplace_back();
      for (const v1::Dim& dim : desc.shape) dims.push_back(dim.to_string());
    }
    return out;
  };
  handle->input_dims = texts(handle->engine.inputs());
  handle->output_dims = texts(handle->engine.outputs());
  for (const auto& entry : handle->engine.metadata()) handle->metadata.push_back(entry);
  return handle.release();
}

}  // namespace planish::api

struct planish_context {
  v1::Context context;
  std::vector<v1::Tensor> outputs;  // what planish_context_output handed out
};

struct planish_run {
  std::future<v1::Status> future;
};

namespace {

// The description of one input or output; null when there is none of that index.
const v1::TensorDesc* desc_of(const std::vector<v1::TensorDesc>& descs, int index) {
  return index >= 0 && index < int(descs.size()) ? &descs[size_t(index)] : nullptr;
}

int64_t dim_of(const v1::TensorDesc* desc, int axis) {
  if (!desc || axis < 0 || axis >= int(desc->shape.size())) return -1;
  return desc->shape[size_t(axis)].value;
}

const char* dim_text_of(const std::vector<std::vector<std::string>>& texts, int index, int axis) {
  if (index < 0 || index >= int(texts.size())) return nullptr;
  const auto& dims = texts[size_t(index)];
  return axis >= 0 && axis < int(dims.size()) ? dims[size_t(axis)].c_str() : nullptr;
}

v1::RunOptions run_options(const planish_run_options* from) {
  v1::RunOptions options;
  if (!from) return options;
  if (PLANISH_C_HAS(from, cancel) && from->cancel) options.cancel = from->cancel->token;
  if (PLANISH_C_HAS(from, timeout_ms) && from->timeout_ms > 0) {
    // A week is for ever, and keeps the clock's arithmetic from overflowing.
    const double ms = std::min(from->timeout_ms, 7 * 24 * 3600e3);
    options.deadline = std::chrono::steady_clock::now() +
                       std::chrono::microseconds(int64_t(ms * 1000));
  }
  if (PLANISH_C_HAS(from, enqueue_only)) options.wait = !from->enqueue_only;
  if (PLANISH_C_HAS(from, user) && from->profiler) {
    options.profiler = [profiler = from->profiler, user = from->user](const v1::StepTiming& t) {
      profiler(user, t.step, t.start_us, t.duration_us);
    };
  }
  return options;
}

}  // namespace

extern "C" {

const char* planish_version(void) { return v1::version(); }
const char* planish_error_message(void) { return api::last_error().c_str(); }
const char* planish_code_name(planish_code code) { return v1::code_name(v1::Code(code)); }
const char* planish_dtype_name(planish_dtype dtype) {
  return v1::bits_of(v1::DataType(dtype)) ? v1::name_of(v1::DataType(dtype)).data() : "";
}
int planish_dtype_bits(planish_dtype dtype) { return v1::bits_of(v1::DataType(dtype)); }

void planish_set_log_level(int level) {
  v1::set_log_level(v1::LogLevel(std::max(0, std::min(level, int(v1::LogLevel::kTrace)))));
}

void planish_set_log_callback(planish_log_callback callback, void* user) {
  if (!callback) {
    v1::set_log_callback(nullptr);
    return;
  }
  v1::set_log_callback([callback, user](v1::LogLevel level, std::string_view message) {
    callback(user, int(level), std::string(message).c_str());
  });
}

planish_code planish_load_plugin(const char* path) {
  return api::c_call([&] { return path ? v1::load_plugin(path) : api::null_argument("path"); });
}

planish_code planish_engine_load(const char* path, const planish_engine_options* options,
                                 planish_engine** engine) {
  return api::c_call([&]() -> v1::Status {
    if (!path) return api::null_argument("path");
    if (!engine) return api::null_argument("engine");
    auto loaded = v1::Engine::load(path, api::engine_options(options));
    if (!loaded.ok()) return loaded.status();
    *engine = api::make_handle(std::move(*loaded));
    return {};
  });
}

planish_code planish_engine_load_memory(const void* data, size_t bytes,
                                        const planish_engine_options* options,
                                        planish_engine** engine) {
  return api::c_call([&]() -> v1::Status {
    if (!engine) return api::null_argument("engine");
    auto loaded = v1::Engine::load(data, bytes, api::engine_options(options));
    if (!loaded.ok()) return loaded.status();
    *engine = api::make_handle(std::move(*loaded));
    return {};
  });
}

void planish_engine_free(planish_engine* engine) { delete engine; }

int planish_engine_input_count(const planish_engine* engine) {
  return engine ? int(engine->engine.inputs().size()) : 0;
}
int planish_engine_output_count(const planish_engine* engine) {
  return engine ? int(engine->engine.outputs().size()) : 0;
}
const char* planish_engine_input_name(const planish_engine* engine, int index) {
  const auto* desc = engine ? desc_of(engine->engine.inputs(), index) : nullptr;
  return desc ? desc->name.c_str() : nullptr;
}
const char* planish_engine_output_name(const planish_engine* engine, int index) {
  const auto* desc = engine ? desc_of(engine->engine.outputs(), index) : nullptr;
  return desc ? desc->name.c_str() : nullptr;
}
int planish_engine_input_dtype(const planish_engine* engine, int index) {
  const auto* desc = engine ? desc_of(engine->engine.inputs(), index) : nullptr;
  return desc ? int(desc->dtype) : -1;
}
int planish_engine_output_dtype(const planish_engine* engine, int index) {
  const auto* desc = engine ? desc_of(engine->engine.outputs(), index) : nullptr;
  return desc ? int(desc->dtype) : -1;
}
int planish_engine_input_rank(const planish_engine* engine, int index) {
  const auto* desc = engine ? desc_of(engine->engine.inputs(), index) : nullptr;
  return desc ? int(desc->shape.size()) : -1;
}
int planish_engine_output_rank(const planish_engine* engine, int index) {
  const auto* desc = engine ? desc_of(engine->engine.outputs(), index) : nullptr;
  return desc ? int(desc->shape.size()) : -1;
}
int64_t planish_engine_input_dim(const planish_engine* engine, int index, int axis) {
  return engine ? dim_of(desc_of(engine->engine.inputs(), index), axis) : -1;
}
int64_t planish_engine_output_dim(const planish_engine* engine, int index, int axis) {
  return engine ? dim_of(desc_of(engine->engine.outputs(), index), axis) : -1;
}
const char* planish_engine_input_dim_text(const planish_engine* engine, int index, int axis) {
  return engine ? dim_text_of(engine->input_dims, index, axis) : nullptr;
}
const char* planish_engine_output_dim_text(const planish_engine* engine, int index, int axis) {
  return engine ? dim_text_of(engine->output_dims, index, axis) : nullptr;
}

int planish_engine_metadata_count(const planish_engine* engine) {
  return engine ? int(engine->metadata.size()) : 0;
}
const char* planish_engine_metadata_key(const planish_engine* engine, int index) {
  if (!engine || index < 0 || index >= int(engine->metadata.size())) return nullptr;
  return engine->metadata[size_t(index)].first.c_str();
}
const char* planish_engine_metadata_value(const planish_engine* engine, int index) {
  if (!engine || index < 0 || index >= int(engine->metadata.size())) return nullptr;
  return engine->metadata[size_t(index)].second.c_str();
}

planish_code planish_engine_describe_json(const planish_engine* engine, char** text) {
  return api::c_call([&]() -> v1::Status {
    if (!engine) return api::null_argument("engine");
    if (!text) return api::null_argument("text");
    auto json = engine->engine.describe_json();
    if (!json.ok()) return json.status();
    *text = api::copy_text(*json);
    return *text ? v1::Status() : v1::Status(v1::Code::kResourceExhausted, "out of memory");
  });
}

void planish_string_free(char* text) { std::free(text); }

planish_code planish_engine_memory(const planish_engine* engine, const int64_t* const* dims,
                                   planish_memory* memory) {
  return api::c_call([&]() -> v1::Status {
    if (!engine) return api::null_argument("engine");
    if (!memory) return api::null_argument("memory");
    const auto& inputs = engine->engine.inputs();
    if (!dims && !inputs.empty()) return api::null_argument("dims");
    std::vector<std::vector<int64_t>> all;
    for (size_t i = 0; i < inputs.size(); ++i) {
      const size_t rank = inputs[i].shape.size();
      if (!dims[i] && rank) return api::null_argument("dims[i]");
      all.emplace_back(dims[i], dims[i] + rank);
    }
    const auto report = engine->engine.memory(all);
    if (!report.ok()) return report.status();
    if (!PLANISH_C_HAS(memory, lower_bound_bytes))
      return v1::Status(v1::Code::kInvalidArgument, "memory->struct_size is not set");
    memory->weight_bytes = report->weight_bytes;
    memory->packed_bytes = report->packed_bytes;
    memory->arena_bytes = report->arena_bytes;
    memory->sum_bytes = report->sum_bytes;
    memory->lower_bound_bytes = report->lower_bound_bytes;
    return {};
  });
}

planish_code planish_context_create(const planish_engine* engine,
                                    const planish_context_options* options,
                                    planish_context** context) {
  return api::c_call([&]() -> v1::Status {
    if (!engine) return api::null_argument("engine");
    if (!context) return api::null_argument("context");
    v1::ContextOptions inner;
    if (options && PLANISH_C_HAS(options, threads)) inner.threads = options->threads;
    if (options && PLANISH_C_HAS(options, parallel_for) && options->parallel_for) {
      inner.parallel_for = v1::HostParallelFor{options->parallel_for->threads,
                                               options->parallel_for->user,
                                               options->parallel_for->run};
    }
    if (options && PLANISH_C_HAS(options, stream)) inner.stream = options->stream;
    auto made = v1::Context::create(engine->engine, inner);
    if (!made.ok()) return made.status();
    *context = new planish_context{std::move(*made), {}};
    (*context)->outputs.resize(engine->engine.outputs().size());
    return {};
  });
}

void planish_context_free(planish_context* context) { delete context; }

planish_code planish_context_set_input(planish_context* context, int index, const void* data,
                                       const int64_t* dims, int rank) {
  return api::c_call([&]() -> v1::Status {
    if (!context) return api::null_argument("context");
    if (rank < 0 || (rank && !dims)) return api::null_argument("dims");
    return context->context.set_input(index, data, std::vector<int64_t>(dims, dims + rank));
  });
}

planish_code planish_context_bind_output(planish_context* context, int index, void* data,
                                         int64_t bytes) {
  return api::c_call([&] {
    return context ? context->context.bind_output(index, data, bytes)
                   : api::null_argument("context");
  });
}

planish_code planish_context_set_device_input(planish_context* context, int index,
                                              const void* data, const int64_t* dims, int rank) {
  return api::c_call([&]() -> v1::Status {
    if (!context) return api::null_argument("context");
    if (rank < 0 || (rank && !dims)) return api::null_argument("dims");
    return context->context.set_input(index, data, std::vector<int64_t>(dims, dims + rank),
                                      v1::MemorySpace::kDevice);
  });
}

planish_code planish_context_bind_device_output(planish_context* context, int index, void* data,
                                                int64_t bytes) {
  return api::c_call([&] {
    return context ? context->context.bind_output(index, data, bytes, v1::MemorySpace::kDevice)
                   : api::null_argument("context");
  });
}

void* planish_context_stream(const planish_context* context) {
  return context ? context->context.stream() : nullptr;
}

planish_code planish_context_set_output_allocator(planish_context* context,
                                                  planish_output_allocator allocator,
                                                  void* user) {
  return api::c_call([&]() -> v1::Status {
    if (!context) return api::null_argument("context");
    if (!allocator) return context->context.set_output_allocator(nullptr);
    return context->context.set_output_allocator(
        [allocator, user](int output, int64_t bytes) { return allocator(user, output, bytes); });
  });
}

planish_code planish_context_run(planish_context* context, const planish_run_options* options) {
  return api::c_call([&] {
    return context ? context->context.run(run_options(options)) : api::null_argument("context");
  });
}

planish_code planish_context_run_async(planish_context* context,
                                       const planish_run_options* options, planish_run** run) {
  return api::c_call([&]() -> v1::Status {
    if (!context) return api::null_argument("context");
    if (!run) return api::null_argument("run");
    auto handle = std::make_unique<planish_run>();
    handle->future = context->context.run_async(run_options(options));
    *run = handle.release();
    return {};
  });
}

int planish_run_done(const planish_run* run) {
  return !run || run->future.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
}

planish_code planish_run_wait(planish_run* run) {
  return api::c_call([&]() -> v1::Status {
    if (!run) return api::null_argument("run");
    std::unique_ptr<planish_run> owned(run);
    return owned->future.get();
  });
}

planish_code planish_context_output(const planish_context* context, int index, const void** data,
                                    int64_t* bytes, const int64_t** dims, int* rank) {
  return api::c_call([&]() -> v1::Status {
    if (!context) return api::null_argument("context");
    auto tensor = context->context.output(index);
    if (!tensor.ok()) return tensor.status();
    // The handle keeps the dims alive; one caller at a time uses a context.
    auto& kept = const_cast<planish_context*>(context)->outputs[size_t(index)];
    kept = std::move(*tensor);
    if (data) *data = kept.data();
    if (bytes) *bytes = kept.bytes();
    if (dims) *dims = kept.dims().data();
    if (rank) *rank = int(kept.dims().size());
    return {};
  });
}

int64_t planish_context_arena_bytes(const planish_context* context) {
  return context ? context->context.arena_bytes() : 0;
}

planish_code planish_cancel_create(planish_cancel** cancel) {
  return api::c_call([&]() -> v1::Status {
    if (!cancel) return api::null_argument("cancel");
    *cancel = new planish_cancel();
    return {};
  });
}
void planish_cancel_raise(const planish_cancel* cancel) {
  if (cancel) cancel->token.cancel();
}
void planish_cancel_free(planish_cancel* cancel) { delete cancel; }

}  // extern "C"
