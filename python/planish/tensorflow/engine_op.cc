// TensorFlow operators that run Planish engines: PlanishEngineOp in place of a segment of a graph,
// and PlanishEngineControl, CreatePlanishEngine and InitializePlanishEngine around it.
//
// Compiled against one minor version of TensorFlow (planish/tensorflow/_library.py does that); all
// engine code is behind the C API of libplanish, so nothing of TensorFlow's C++ world meets ours. An
// engine is found by its name, a hash of what it computes, in the device's resource manager: all
// nodes of that name share engines and statistics. What an engine cannot run is run by TensorFlow,
// through the function `native_segment`; it is counted, and the first times are logged with the
// reason.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "planish/c/engine_set.h"
#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/device.h"
#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/resource_mgr.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tensorflow/core/lib/core/threadpool.h"
#include "tensorflow/core/platform/mutex.h"

namespace planish_tensorflow {

using namespace tensorflow;  // NOLINT: the code of a TensorFlow kernel
using Clock = std::chrono::steady_clock;

constexpr char kContainer[] = "Planish";
constexpr int kWarnings = 5;  // fallbacks per engine that are logged

absl::Status to_status(planish_code code) {
  if (code == PLANISH_OK) return absl::OkStatus();
  return absl::Status(code == PLANISH_INVALID_ARGUMENT ? absl::StatusCode::kInvalidArgument
                                                       : absl::StatusCode::kInternal,
                      planish_error_message());
}

struct TypePair {
  DataType tensorflow;
  planish_dtype planish;
};
constexpr TypePair kTypes[] = {
    {DT_FLOAT, PLANISH_F32},  {DT_HALF, PLANISH_F16},  {DT_BFLOAT16, PLANISH_BF16},
    {DT_DOUBLE, PLANISH_F64}, {DT_INT8, PLANISH_I8},   {DT_UINT8, PLANISH_U8},
    {DT_INT16, PLANISH_I16},  {DT_UINT16, PLANISH_U16}, {DT_INT32, PLANISH_I32},
    {DT_INT64, PLANISH_I64},  {DT_UINT32, PLANISH_U32}, {DT_UINT64, PLANISH_U64},
    {DT_BOOL, PLANISH_BOOL}};

int planish_type(DataType type) {
  for (const TypePair& pair : kTypes)
    if (pair.tensorflow == type) return pair.planish;
  return -1;
}
DataType tensorflow_type(planish_dtype type) {
  for (const TypePair& pair : kTypes)
    if (pair.planish == type) return pair.tensorflow;
  return DT_INVALID;
}

std::string json_text(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20) {
      char code[8];
      std::snprintf(code, sizeof(code), "\\u%04x", c);
      out += code;
    } else {
      out += c;
    }
  }
  return out + '"';
}

// TensorFlow's intra-op threads as Planish's. The caller works too and waits for tasks that others
// have begun only, so that it cannot wait for itself on a pool that is full.
void run_on_pool(void* user, int64_t count, void (*task)(void*, int64_t), void* task_context) {
  struct State {
    std::atomic<int64_t> next{0}, done{0};
  };
  auto state = std::make_shared<State>();
  const auto work = [state, count, task, task_context] {
    for (int64_t i; (i = state->next.fetch_add(1)) < count;) {
      task(task_context, i);
      state->done.fetch_add(1, std::memory_order_release);
    }
  };
  for (int64_t i = 1; i < count; ++i) static_cast<thread::ThreadPool*>(user)->Schedule(work);
  work();
  for (int spins = 0; state->done.load(std::memory_order_acquire) < count; ++spins)
    if (spins > 1000) std::this_thread::yield();
}

// Engines of one name, shared by all nodes that bear it.
class EngineResource : public ResourceBase {
 public:
  ~EngineResource() override { planish_engine_set_free(set_); }
  std::string DebugString() const override { return "Planish engines"; }

  // The set, made on first use; null with the reason when that fails.
  planish_engine_set* set(const planish_engine_set_options& options,
                          const planish_graph_source& source, std::string* reason) {
    planish_engine_set* made = set_.load(std::memory_order_acquire);
    if (made && !has_pending_.load(std::memory_order_acquire)) return made;
    // Whoever comes first sets up and the others wait: they would only build what is being loaded.
    mutex_lock setup(setup_mutex_);
    if (!(made = set_)) {
      if (planish_engine_set_create(&options, &made) != PLANISH_OK) {
        *reason = planish_error_message();
        mutex_lock lock(mutex_);
        error_ = *reason;
        return nullptr;
      }
      set_.store(made, std::memory_order_release);
    }
    std::vector<Pending> pending;
    {
      mutex_lock lock(mutex_);
      pending.swap(pending_);
    }
    for (const Pending& one : pending) take_over(made, one, source, options.allow_build);
    mutex_lock lock(mutex_);
    has_pending_.store(!pending_.empty(), std::memory_order_release);
    return made;
  }

  void add_file(const std::string& path, const std::string& shapes) { add({path, "", shapes}); }
  void add_plan(const std::string& plan) { add({"", plan, ""}); }
  void add_range(const std::string& shapes) { add({"", "", shapes}); }
  bool is_recording() const { return recording_; }
  void record(const std::string& shapes) {
    mutex_lock lock(mutex_);
    recorded_.push_back(shapes);
  }
  void start_recording() {
    mutex_lock lock(mutex_);
    recording_ = true;
    recorded_.clear();
  }
  std::string stop_recording() {
    mutex_lock lock(mutex_);
    recording_ = false;
    std::string out = "[";
    for (const std::string& one : recorded_) out += (out.size() > 1 ? ", " : "") + one;
    return out + "]";
  }

  // Loaded models that have the engine; the last one to go takes it with it.
  void use() { users_.fetch_add(1); }
  bool release() { return users_.fetch_sub(1) <= 1; }

  // TensorFlow ran the segment, in place of an engine or (no count) while shapes were recorded.
  void note_native(double us, bool counts) {
    mutex_lock lock(mutex_);
    native_us_ += us;
    native_calls_ += counts;
  }
  bool should_warn() { return warnings_.fetch_add(1) < kWarnings; }

  std::string statistics() {
    mutex_lock lock(mutex_);
    std::string engine = "{}";
    char* text = nullptr;
    if (set_ && planish_engine_set_statistics_json(set_, &text) == PLANISH_OK) engine = text;
    planish_string_free(text);
    std::string notes;
    for (const std::string& note : notes_) notes += (notes.empty() ? "" : ", ") + json_text(note);
    return "{\"engine\": " + engine + ", \"native_calls\": " + std::to_string(native_calls_) +
           ", \"native_us\": " + std::to_string(native_us_) + ", \"error\": " + json_text(error_) +
           ", \"notes\": [" + notes + "]}";
  }
  planish_engine_records* records() {
    mutex_lock lock(mutex_);
    planish_engine_records* records = nullptr;
    if (set_) (void)planish_engine_set_records(set_, &records);
    return records;
  }

 private:
  struct Pending {
    std::string path, plan, shapes;  // a file, or bytes of a plan, or shapes to build for
  };

  void add(Pending pending) {
    mutex_lock lock(mutex_);
    pending_.push_back(std::move(pending));
    has_pending_.store(true, std::memory_order_release);
  }

  // Whatever was saved and does not fit this machine or version is built anew for the same shapes.
  void take_over(planish_engine_set* set, const Pending& one, const planish_graph_source& source,
                 bool allow_build) {
    planish_code code = PLANISH_OK;
    if (!one.path.empty()) code = planish_engine_set_add_file(set, &source, one.path.c_str());
    else if (!one.plan.empty())
      code = planish_engine_set_add_plan(set, one.plan.data(), one.plan.size());
    const bool is_range = one.path.empty() && one.plan.empty();
    if (code != PLANISH_OK) note(one.path, "an engine was not taken over: ");
    if ((is_range || (code != PLANISH_OK && allow_build)) && !one.shapes.empty() &&
        planish_engine_set_prepare(set, &source, one.shapes.c_str(), nullptr) != PLANISH_OK)
      note(one.path, "an engine was not built: ");
  }
  void note(const std::string& path, const char* what) {
    const std::string text = what + (path.empty() ? "" : path + ": ") + planish_error_message();
    LOG(WARNING) << "Planish: " << text;
    mutex_lock lock(mutex_);
    notes_.push_back(text);
  }

  mutex setup_mutex_;  // taken before mutex_
  std::atomic<planish_engine_set*> set_{nullptr};
  std::atomic<bool> has_pending_{false};
  mutex mutex_;  // of what follows
  std::string error_;
  std::vector<Pending> pending_;
  std::vector<std::string> notes_, recorded_;
  std::atomic<bool> recording_{false};
  std::atomic<int> warnings_{0}, users_{0};
  int64_t native_calls_ = 0;
  double native_us_ = 0;
};

absl::Status resource_of(OpKernelContext* ctx, const std::string& name, EngineResource** resource) {
  return ctx->resource_manager()->LookupOrCreate<EngineResource>(
      kContainer, name, resource, [](EngineResource** made) {
        *made = new EngineResource();
        return absl::OkStatus();
      });
}

std::string shapes_json(const std::vector<planish_tensor>& tensors) {
  std::string out = "[";
  for (const planish_tensor& tensor : tensors) {
    out += out.size() > 1 ? ", [" : "[";
    for (int i = 0; i < tensor.rank; ++i)
      out += (i ? ", " : "") + std::to_string(tensor.dims[i]);
    out += "]";
  }
  return out + "]";
}

// Attributes that TensorFlow's optimizers leave for each other, shapes with symbols among them.
void drop_hints(NodeDef* node) {
  auto& attributes = *node->mutable_attr();
  for (auto it = attributes.begin(); it != attributes.end();) {
    if (it->first[0] == '_') it = attributes.erase(it);
    else ++it;
  }
}

class EngineOp : public AsyncOpKernel {
 public:
  explicit EngineOp(OpKernelConstruction* ctx) : AsyncOpKernel(ctx) {
    OP_REQUIRES_OK(ctx, ctx->GetAttr("engine_name", &name_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("native_segment", &native_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("InT", &input_types_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("OutT", &output_types_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("input_shapes", &input_shapes_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("serialized_engine", &serialized_engine_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("max_cached_engines_count", &max_engines_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("max_cached_engines_bytes", &max_bytes_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("workspace_size_bytes", &workspace_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("allow_build_at_runtime", &allow_build_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("share_batches", &share_batches_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("build_options", &build_));
    for (size_t i = 0; i < input_types_.size(); ++i) input_names_.push_back("input_" + std::to_string(i));
    for (size_t i = 0; i < output_types_.size(); ++i)
      output_names_.push_back("segment:" + std::to_string(i));
    OP_REQUIRES(ctx, input_shapes_.size() == input_types_.size(),
                absl::InvalidArgumentError("input_shapes: one per input is expected"));
  }
  ~EngineOp() override {
    if (resource_) resource_->Unref();
  }

  void ComputeAsync(OpKernelContext* ctx, DoneCallback done) override {
    EngineResource* resource = nullptr;
    OP_REQUIRES_OK_ASYNC(ctx, resource_for(ctx, &resource), done);
    std::vector<planish_tensor> inputs;
    std::vector<absl::InlinedVector<int64_t, 4>> dims;
    dims.reserve(input_types_.size());
    for (int i = 0; i < ctx->num_inputs(); ++i) {
      const Tensor& tensor = ctx->input(i);
      dims.push_back(tensor.shape().dim_sizes());
      inputs.push_back({tensor.data(), planish_dtype(planish_type(tensor.dtype())),
                        int(dims.back().size()), reinterpret_cast<const int64_t*>(dims.back().data())});
    }
    if (resource->is_recording()) {
      resource->record(shapes_json(inputs));
      return run_native(ctx, resource, false, std::move(done));
    }
    std::string reason;
    if (run_engine(ctx, resource, inputs, &reason)) return done();
    OP_REQUIRES_OK_ASYNC(ctx, ctx->status(), done);
    const char* allowed = std::getenv("PLANISH_TF_ALLOW_NATIVE_SEGMENT");
    OP_REQUIRES_ASYNC(
        ctx, !allowed || std::string(allowed) != "0",
        absl::AbortedError(name_ + ": the engine cannot run and TensorFlow may not: " + reason), done);
    if (resource->should_warn())
      LOG(WARNING) << "Planish: " << name_ << " is run by TensorFlow: " << reason;
    run_native(ctx, resource, true, std::move(done));
  }

 private:
  // One run's way back from C.
  struct Run {
    EngineOp* op;
    OpKernelContext* ctx;
    std::vector<Tensor> buffers;
    bool failed = false;
  };

  absl::Status resource_for(OpKernelContext* ctx, EngineResource** resource) {
    mutex_lock lock(mutex_);
    if (!resource_) {
      TF_RETURN_IF_ERROR(resource_of(ctx, name_, &resource_));
      if (!serialized_engine_.empty()) resource_->add_plan(serialized_engine_);
      serialized_engine_.clear();
    }
    *resource = resource_;
    return absl::OkStatus();
  }

  bool run_engine(OpKernelContext* ctx, EngineResource* resource,
                  const std::vector<planish_tensor>& inputs, std::string* reason) {
    struct Graph {
      EngineOp* op;
      OpKernelContext* ctx;
      std::string bytes;
    } graph{this, ctx, ""};
    planish_graph_source source{};
    source.struct_size = sizeof(source);
    source.user = &graph;
    source.get = [](void* user, const void** data, size_t* bytes) {
      auto* graph = static_cast<Graph*>(user);
      if (!graph->op->write_graph(graph->ctx, &graph->bytes)) return 1;
      *data = graph->bytes.data();
      *bytes = graph->bytes.size();
      return 0;
    };
    source.release = [](void* user) { std::string().swap(static_cast<Graph*>(user)->bytes); };

    planish_engine_set* set = set_of(ctx, resource, source, reason);
    if (!set) return false;
    Run run{this, ctx, std::vector<Tensor>(output_types_.size())};
    if (planish_engine_set_run(set, &source, inputs.data(), int(inputs.size()), allocate, take,
                               &run) != PLANISH_OK) {
      *reason = planish_error_message();
      return false;
    }
    *reason = "an output is not of the declared type";
    return !run.failed;
  }

  planish_engine_set* set_of(OpKernelContext* ctx, EngineResource* resource,
                             const planish_graph_source& source, std::string* reason) {
    const DeviceBase::CpuWorkerThreads* workers = ctx->device()->tensorflow_cpu_worker_threads();
    planish_engine_set_options options;
    planish_engine_set_options_init(&options);
    std::vector<const char*> inputs, outputs;
    for (const std::string& name : input_names_) inputs.push_back(name.c_str());
    for (const std::string& name : output_names_) outputs.push_back(name.c_str());
    options.inputs = inputs.data();
    options.input_count = int(inputs.size());
    options.outputs = outputs.data();
    options.output_count = int(outputs.size());
    options.max_engines = int(max_engines_);
    options.max_bytes = max_bytes_;
    options.allow_build = allow_build_;
    options.share_batches = share_batches_;
    options.max_workspace_bytes = workspace_;
    options.build = build_.c_str();
    planish_parallel_for pool{sizeof(pool), 1, nullptr, run_on_pool};
    const char* threads = std::getenv("PLANISH_TF_THREADS");
    if (workers) {
      options.threads = workers->num_threads;
      pool.threads = workers->num_threads;
      pool.user = workers->workers;
      if (threads && std::string(threads) == "tensorflow") options.parallel_for = &pool;
    }
    return resource->set(options, source, reason);
  }

  static void* allocate(void* user, int output, int64_t bytes) {
    auto* run = static_cast<Run*>(user);
    Tensor& buffer = run->buffers[size_t(output)];
    if (bytes <= 0 || !run->ctx->allocate_temp(DT_UINT8, TensorShape({bytes}), &buffer).ok())
      return nullptr;
    return buffer.data();
  }

  // The engine has written into a buffer of TensorFlow's, which becomes the output; else a copy does.
  static void take(void* user, int output, const planish_tensor* tensor) {
    auto* run = static_cast<Run*>(user);
    const DataType type = run->op->output_types_[size_t(output)];
    TensorShape shape;
    for (int i = 0; i < tensor->rank; ++i) shape.AddDim(tensor->dims[i]);
    if (tensorflow_type(tensor->dtype) != type) {
      run->failed = true;
      return;
    }
    const Tensor& buffer = run->buffers[size_t(output)];
    const int64_t bytes = shape.num_elements() * DataTypeSize(type);
    if (bytes > 0 && buffer.data() == tensor->data && buffer.NumElements() == bytes) {
      Tensor result;
      if (result.BitcastFrom(buffer, type, shape).ok())
        return run->ctx->set_output(output, result);
    }
    Tensor* result = nullptr;
    const absl::Status status = run->ctx->allocate_output(output, shape, &result);
    if (!status.ok()) return run->ctx->SetStatus(status);
    if (bytes > 0) std::memcpy(result->data(), tensor->data, size_t(bytes));
  }

  // The segment as a graph of its own: placeholders and one call of the native function.
  bool write_graph(OpKernelContext* ctx, std::string* bytes) {
    const FunctionLibraryDefinition* library =
        ctx->function_library()->GetFunctionLibraryDefinition();
    GraphDef graph;
    NodeDef* call = nullptr;
    for (size_t i = 0; i < input_names_.size(); ++i) {
      NodeDef* node = graph.add_node();
      node->set_name(input_names_[i]);
      node->set_op("Placeholder");
      (*node->mutable_attr())["dtype"].set_type(input_types_[i]);
      input_shapes_[i].AsProto((*node->mutable_attr())["shape"].mutable_shape());
    }
    call = graph.add_node();
    call->set_name("segment");
    call->set_op("PartitionedCall");
    *(*call->mutable_attr())["f"].mutable_func() = native_;
    for (const std::string& name : input_names_) call->add_input(name);
    for (const DataType type : input_types_) (*call->mutable_attr())["Tin"].mutable_list()->add_type(type);
    for (const DataType type : output_types_)
      (*call->mutable_attr())["Tout"].mutable_list()->add_type(type);
    *graph.mutable_library() = library->ReachableDefinitions(graph).ToProto();
    for (FunctionDef& function : *graph.mutable_library()->mutable_function()) {
      function.clear_arg_attr();
      for (NodeDef& node : *function.mutable_node_def()) drop_hints(&node);
    }
    if (const char* folder = std::getenv("PLANISH_TF_DUMP")) {
      (void)WriteBinaryProto(ctx->env(), std::string(folder) + "/" + name_ + ".pb", graph);
    }
    return graph.SerializeToString(bytes);
  }

  void run_native(OpKernelContext* ctx, EngineResource* resource, bool counts, DoneCallback done) {
    FunctionLibraryRuntime* library = ctx->function_library();
    FunctionLibraryRuntime::Handle handle;
    {
      mutex_lock lock(mutex_);
      auto found = handles_.find(library);
      if (found == handles_.end()) {
        OP_REQUIRES_OK_ASYNC(ctx, library->Instantiate(native_.name(), AttrSlice(&native_.attr()),
                                                       {}, &handle), done);
        found = handles_.emplace(library, handle).first;
      }
      handle = found->second;
    }
    FunctionLibraryRuntime::Options options(ctx->step_id());
    options.rendezvous = ctx->rendezvous();
    options.cancellation_manager = ctx->cancellation_manager();
    options.collective_executor = ctx->collective_executor();
    options.step_container = ctx->step_container();
    options.runner = ctx->runner();
    options.stats_collector = ctx->stats_collector();
    std::vector<Tensor> inputs;
    for (int i = 0; i < ctx->num_inputs(); ++i) inputs.push_back(ctx->input(i));
    auto results = std::make_shared<std::vector<Tensor>>();
    const Clock::time_point begin = Clock::now();
    resource->Ref();
    library->Run(options, handle, inputs, results.get(),
                 [=, done = std::move(done)](const absl::Status& status) {
                   resource->note_native(
                       std::chrono::duration<double, std::micro>(Clock::now() - begin).count(),
                       counts);
                   resource->Unref();
                   if (!status.ok()) ctx->SetStatus(status);
                   else
                     for (size_t i = 0; i < results->size(); ++i)
                       ctx->set_output(int(i), (*results)[i]);
                   done();
                 });
  }

  std::string name_, serialized_engine_, build_;
  NameAttrList native_;
  std::vector<DataType> input_types_, output_types_;
  std::vector<PartialTensorShape> input_shapes_;
  std::vector<std::string> input_names_, output_names_;
  int64_t max_engines_ = 1, max_bytes_ = 0, workspace_ = 0;
  bool allow_build_ = true, share_batches_ = true;
  mutex mutex_;
  EngineResource* resource_ = nullptr;
  std::unordered_map<FunctionLibraryRuntime*, FunctionLibraryRuntime::Handle> handles_;
};

// What Python asks engines: statistics, records for saving, shapes.
class ControlOp : public OpKernel {
 public:
  explicit ControlOp(OpKernelConstruction* ctx) : OpKernel(ctx) {
    OP_REQUIRES_OK(ctx, ctx->GetAttr("engine_name", &name_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("command", &command_));
  }
  void Compute(OpKernelContext* ctx) override {
    std::vector<std::string> reply;
    if (command_ == "forget") {
      EngineResource* resource = nullptr;
      if (ctx->resource_manager()->Lookup(kContainer, name_, &resource).ok()) {
        core::ScopedUnref unref(resource);
        if (resource->release())
          (void)ctx->resource_manager()->Delete<EngineResource>(kContainer, name_);
      }
    } else {
      EngineResource* resource = nullptr;
      OP_REQUIRES_OK(ctx, resource_of(ctx, name_, &resource));
      core::ScopedUnref unref(resource);
      const std::string argument = ctx->input(0).scalar<tstring>()();
      if (command_ == "statistics") reply = {resource->statistics()};
      else if (command_ == "record") resource->start_recording();
      else if (command_ == "recorded") reply = {resource->stop_recording()};
      else if (command_ == "prepare") resource->add_range(argument);
      else if (command_ == "engines") reply = engines(resource);
      else ctx->SetStatus(absl::InvalidArgumentError("there is no command '" + command_ + "'"));
    }
    Tensor* output = nullptr;
    OP_REQUIRES_OK(ctx, ctx->allocate_output(0, TensorShape({int64_t(reply.size())}), &output));
    for (size_t i = 0; i < reply.size(); ++i) output->vec<tstring>()(i) = reply[i];
  }

 private:
  // Per engine: shapes, decisions, plan ("" when it came from a file).
  static std::vector<std::string> engines(EngineResource* resource) {
    std::vector<std::string> out;
    planish_engine_records* records = resource->records();
    for (int i = 0; i < planish_engine_records_count(records); ++i) {
      size_t bytes = 0;
      const void* plan = planish_engine_records_plan(records, i, &bytes);
      out.push_back(planish_engine_records_shapes_json(records, i));
      out.push_back(planish_engine_records_decisions(records, i));
      out.emplace_back(static_cast<const char*>(plan), bytes);
    }
    planish_engine_records_free(records);
    return out;
  }
  std::string name_, command_;
};

class CreateOp : public OpKernel {
 public:
  explicit CreateOp(OpKernelConstruction* ctx) : OpKernel(ctx) {
    OP_REQUIRES_OK(ctx, ctx->GetAttr("engine_name", &name_));
  }
  void Compute(OpKernelContext* ctx) override {
    EngineResource* resource = nullptr;
    OP_REQUIRES_OK(ctx, resource_of(ctx, name_, &resource));
    resource->use();
    resource->Unref();
    Tensor* output = nullptr;
    OP_REQUIRES_OK(ctx, ctx->allocate_output(0, TensorShape({}), &output));
    output->scalar<ResourceHandle>()() =
        MakeResourceHandle<EngineResource>(ctx, kContainer, name_);
  }

 private:
  std::string name_;
};

class InitializeOp : public OpKernel {
 public:
  explicit InitializeOp(OpKernelConstruction* ctx) : OpKernel(ctx) {
    OP_REQUIRES_OK(ctx, ctx->GetAttr("shapes", &shapes_));
  }
  void Compute(OpKernelContext* ctx) override {
    EngineResource* resource = nullptr;
    OP_REQUIRES_OK(ctx, LookupResource(ctx, HandleFromInput(ctx, 0), &resource));
    core::ScopedUnref unref(resource);
    for (int i = 1; i < ctx->num_inputs(); ++i)
      resource->add_file(ctx->input(i).scalar<tstring>()(),
                         size_t(i - 1) < shapes_.size() ? shapes_[size_t(i - 1)] : "");
  }

 private:
  std::vector<std::string> shapes_;
};

absl::Status engine_shapes(shape_inference::InferenceContext* c) {
  std::vector<PartialTensorShape> shapes;
  TF_RETURN_IF_ERROR(c->GetAttr("output_shapes", &shapes));
  for (int i = 0; i < c->num_outputs(); ++i) {
    shape_inference::ShapeHandle shape = c->UnknownShape();
    if (size_t(i) < shapes.size())
      TF_RETURN_IF_ERROR(c->MakeShapeFromPartialTensorShape(shapes[size_t(i)], &shape));
    c->set_output(i, shape);
  }
  return absl::OkStatus();
}

REGISTER_OP("PlanishEngineOp")
    .Input("in_tensor: InT")
    .Output("out_tensor: OutT")
    .Attr("InT: list(type) >= 0")
    .Attr("OutT: list(type) >= 1")
    .Attr("engine_name: string")
    .Attr("native_segment: func")
    .Attr("input_shapes: list(shape) = []")
    .Attr("output_shapes: list(shape) = []")
    .Attr("serialized_engine: string = ''")
    .Attr("max_cached_engines_count: int = 1")
    .Attr("max_cached_engines_bytes: int = 0")
    .Attr("workspace_size_bytes: int = 0")
    .Attr("precision_mode: string = 'FP32'")
    .Attr("allow_build_at_runtime: bool = true")
    .Attr("share_batches: bool = true")
    .Attr("build_options: string = '{}'")
    .SetIsStateful()
    .SetShapeFn(engine_shapes);
REGISTER_OP("PlanishEngineControl")
    .Input("argument: string")
    .Output("reply: string")
    .Attr("engine_name: string")
    .Attr("command: string")
    .SetIsStateful()
    .SetShapeFn([](shape_inference::InferenceContext* c) {
      c->set_output(0, c->Vector(c->UnknownDim()));
      return absl::OkStatus();
    });
REGISTER_OP("CreatePlanishEngine")
    .Output("handle: resource")
    .Attr("engine_name: string")
    .SetIsStateful()
    .SetShapeFn(shape_inference::ScalarShape);
REGISTER_OP("InitializePlanishEngine")
    .Input("handle: resource")
    .Input("files: count * string")
    .Attr("count: int >= 0")
    .Attr("shapes: list(string) = []")
    .SetIsStateful()
    .SetShapeFn(shape_inference::NoOutputs);

REGISTER_KERNEL_BUILDER(Name("PlanishEngineOp").Device(DEVICE_CPU), EngineOp);
REGISTER_KERNEL_BUILDER(Name("PlanishEngineControl").Device(DEVICE_CPU), ControlOp);
REGISTER_KERNEL_BUILDER(Name("CreatePlanishEngine").Device(DEVICE_CPU), CreateOp);
REGISTER_KERNEL_BUILDER(Name("InitializePlanishEngine").Device(DEVICE_CPU), InitializeOp);

}  // namespace planish_tensorflow
