// The kernel of PlanishEngineOp: hands inputs to an engine and its outputs back, both without copies;
// TensorFlow runs the segment when no engine can.
#pragma once
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "engine_resource.h"
#include "host_threads.h"
#include "native_segment.h"
#include "planish/c/engine_set.h"
#include "tensorflow/core/framework/device.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensors.h"

namespace planish_tensorflow {

using namespace tensorflow;  // NOLINT: the code of a TensorFlow kernel

class EngineOp : public AsyncOpKernel {
 public:
  explicit EngineOp(OpKernelConstruction* ctx) : AsyncOpKernel(ctx) {
    OP_REQUIRES_OK(ctx, border_.read(ctx));
    OP_REQUIRES_OK(ctx, native_.read(ctx));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("engine_name", &name_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("serialized_engine", &serialized_engine_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("max_cached_engines_count", &max_engines_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("max_cached_engines_bytes", &max_bytes_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("workspace_size_bytes", &workspace_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("allow_build_at_runtime", &allow_build_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("share_batches", &share_batches_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("build_options", &build_));
  }
  ~EngineOp() override {
    if (resource_) resource_->Unref();
  }

  void ComputeAsync(OpKernelContext* ctx, DoneCallback done) override {
    EngineResource* resource = nullptr;
    OP_REQUIRES_OK_ASYNC(ctx, resource_for(ctx, &resource), done);
    std::vector<planish_tensor> inputs;
    std::vector<absl::InlinedVector<int64_t, 4>> dims;
    dims.reserve(border_.input_types.size());
    for (int i = 0; i < border_.input_count(); ++i) {
      const Tensor& tensor = ctx->input(i);
      dims.push_back(tensor.shape().dim_sizes());
      inputs.push_back({tensor.data(), planish_dtype(planish_type(tensor.dtype())),
                        int(dims.back().size()), reinterpret_cast<const int64_t*>(dims.back().data())});
    }
    if (resource->is_recording()) {
      resource->record(shapes_json(inputs));
      return native_.run(ctx, resource, false, std::move(done));
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
    native_.run(ctx, resource, true, std::move(done));
  }

 private:
  // One run's way back from C.
  struct Run {
    EngineOp* op;
    OpKernelContext* ctx;
    std::vector<Tensor> buffers;
    std::string graph;
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
    Run run{this, ctx, std::vector<Tensor>(border_.output_types.size())};
    planish_graph_source source{};
    source.struct_size = sizeof(source);
    source.user = &run;
    source.get = [](void* user, const void** data, size_t* bytes) {
      auto* run = static_cast<Run*>(user);
      EngineOp* op = run->op;
      if (!op->native_.write_graph(run->ctx, op->border_, op->name_, &run->graph)) return 1;
      *data = run->graph.data();
      *bytes = run->graph.size();
      return 0;
    };
    source.release = [](void* user) { std::string().swap(static_cast<Run*>(user)->graph); };
    planish_engine_set* set = resource->ready_set();
    if (!set) set = make_set(ctx, resource, source, reason);
    if (!set) return false;
    if (planish_engine_set_run(set, &source, inputs.data(), int(inputs.size()), allocate, take,
                               &run) != PLANISH_OK) {
      *reason = planish_error_message();
      return false;
    }
    *reason = "an output is not of the declared type";
    return !run.failed;
  }

  planish_engine_set* make_set(OpKernelContext* ctx, EngineResource* resource,
                               const planish_graph_source& source, std::string* reason) {
    planish_engine_set_options options;
    planish_engine_set_options_init(&options);
    std::vector<const char*> inputs, outputs;
    for (int i = 0; i < border_.input_count(); ++i)
      inputs.push_back(border_.input_names[size_t(i)].c_str());
    for (const std::string& name : border_.output_names) outputs.push_back(name.c_str());
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
    if (const auto* workers = ctx->device()->tensorflow_cpu_worker_threads()) {
      options.threads = workers->num_threads;
      pool.threads = workers->num_threads;
      pool.user = workers->workers;
      const char* threads = std::getenv("PLANISH_TF_THREADS");
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
    const DataType type = run->op->border_.output_types[size_t(output)];
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

  std::string name_, serialized_engine_, build_;
  SegmentBorder border_;
  NativeSegment native_;
  int64_t max_engines_ = 1, max_bytes_ = 0, workspace_ = 0;
  bool allow_build_ = true, share_batches_ = true;
  mutex mutex_;
  EngineResource* resource_ = nullptr;
};

}  // namespace planish_tensorflow
