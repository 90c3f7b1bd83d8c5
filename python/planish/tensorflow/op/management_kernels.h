// The kernels around PlanishEngineOp: what Python asks engines, and the resource that makes TensorFlow hand
// over the files of a SavedModel.
#pragma once
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "engine_resource.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/platform/env.h"

namespace planish_tensorflow {

using namespace tensorflow;  // NOLINT: the code of a TensorFlow kernel

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
        if (resource->release()) OP_REQUIRES_OK(ctx, replace(ctx, resource));
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
      else if (command_ == "embed") reply = {first_plan(resource)};
      else if (command_ == "write") OP_REQUIRES_OK(ctx, write(ctx, resource, argument, &reply));
      else ctx->SetStatus(absl::InvalidArgumentError("there is no command '" + command_ + "'"));
    }
    Tensor* output = nullptr;
    OP_REQUIRES_OK(ctx, ctx->allocate_output(0, TensorShape({int64_t(reply.size())}), &output));
    for (size_t i = 0; i < reply.size(); ++i) output->vec<tstring>()(i) = reply[i];
  }

 private:
  // By a resource that holds no engine, only where saved ones lie.
  absl::Status replace(OpKernelContext* ctx, EngineResource* gone) const {
    (void)ctx->resource_manager()->Delete<EngineResource>(kContainer, name_);
    if (!gone->has_files()) return absl::OkStatus();
    EngineResource* fresh = nullptr;
    TF_RETURN_IF_ERROR(resource_of(ctx, name_, &fresh));
    core::ScopedUnref unref(fresh);
    fresh->inherit_files(*gone);
    return absl::OkStatus();
  }

  using Records = std::unique_ptr<planish_engine_records, void (*)(planish_engine_records*)>;
  static Records records_of(EngineResource* resource) {
    return Records(resource->records(), planish_engine_records_free);
  }

  // Per engine: shapes and decisions.
  static std::vector<std::string> engines(EngineResource* resource) {
    std::vector<std::string> out;
    const Records records = records_of(resource);
    for (int i = 0; i < planish_engine_records_count(records.get()); ++i) {
      out.push_back(planish_engine_records_shapes_json(records.get(), i));
      out.push_back(planish_engine_records_decisions(records.get(), i));
    }
    return out;
  }
  // Empty: there is no engine, or it came from a file.
  static std::string first_plan(EngineResource* resource) {
    size_t bytes = 0;
    const Records records = records_of(resource);
    const void* plan = planish_engine_records_plan(records.get(), 0, &bytes);
    return plan ? std::string(static_cast<const char*>(plan), bytes) : std::string();
  }
  // "3 path": the plan of engine 3 into the file; replies nothing where the engine has no plan.
  static absl::Status write(OpKernelContext* ctx, EngineResource* resource, const std::string& argument,
                            std::vector<std::string>* reply) {
    const size_t space = argument.find(' ');
    if (space == std::string::npos)
      return absl::InvalidArgumentError("write: expected a number and a path, got '" + argument + "'");
    size_t bytes = 0;
    const Records records = records_of(resource);
    const int index = std::atoi(argument.c_str());
    const void* plan = planish_engine_records_plan(records.get(), index, &bytes);
    const std::string path = argument.substr(space + 1);
    if (!plan) {  // it was loaded from a file that may be there still
      const char* shapes = planish_engine_records_shapes_json(records.get(), index);
      const std::string file = shapes ? resource->saved_plan(shapes) : "";
      if (!file.empty() && ctx->env()->CopyFile(file, path).ok()) *reply = {path};
      return absl::OkStatus();
    }
    std::unique_ptr<WritableFile> file;
    TF_RETURN_IF_ERROR(ctx->env()->NewWritableFile(path, &file));
    TF_RETURN_IF_ERROR(file->Append(absl::string_view(static_cast<const char*>(plan), bytes)));
    TF_RETURN_IF_ERROR(file->Close());
    *reply = {path};
    return absl::OkStatus();
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

}  // namespace planish_tensorflow
