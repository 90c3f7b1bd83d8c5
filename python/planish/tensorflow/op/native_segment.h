// The function that an engine stands for: run by TensorFlow in the engine's place, and written out as
// a graph for building the engine.
#pragma once
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine_resource.h"
#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/platform/mutex.h"

namespace planish_tensorflow {

using namespace tensorflow;  // NOLINT: the code of a TensorFlow kernel

// Attributes that TensorFlow's optimizers leave for each other, shapes with symbols among them.
inline void drop_hints(NodeDef* node) {
  auto& attributes = *node->mutable_attr();
  for (auto it = attributes.begin(); it != attributes.end();) {
    if (it->first[0] == '_') it = attributes.erase(it);
    else ++it;
  }
}

// What goes in and out of a segment, and under which names libplanish knows it.
struct SegmentBorder {
  int weight_count = 0;  // the last inputs: what an engine is built with, not what it is run on
  std::vector<DataType> input_types, output_types;
  std::vector<PartialTensorShape> input_shapes;
  std::vector<std::string> input_names, output_names;

  absl::Status read(OpKernelConstruction* ctx) {
    TF_RETURN_IF_ERROR(ctx->GetAttr("weight_inputs", &weight_count));
    TF_RETURN_IF_ERROR(ctx->GetAttr("InT", &input_types));
    TF_RETURN_IF_ERROR(ctx->GetAttr("OutT", &output_types));
    TF_RETURN_IF_ERROR(ctx->GetAttr("input_shapes", &input_shapes));
    for (size_t i = 0; i < input_types.size(); ++i)
      input_names.push_back("input_" + std::to_string(i));
    for (size_t i = 0; i < output_types.size(); ++i)
      output_names.push_back("segment:" + std::to_string(i));
    if (input_shapes.size() != input_types.size())
      return absl::InvalidArgumentError("input_shapes: one per input is expected");
    if (weight_count < 0 || size_t(weight_count) > input_types.size())
      return absl::InvalidArgumentError("weight_inputs: at most one per input is expected");
    return absl::OkStatus();
  }
  // Inputs of engines.
  int input_count() const { return int(input_types.size()) - weight_count; }
};

class NativeSegment {
 public:
  absl::Status read(OpKernelConstruction* ctx) { return ctx->GetAttr("native_segment", &function_); }

  // `counts`: an engine should have done it.
  void run(OpKernelContext* ctx, EngineResource* resource, bool counts,
           AsyncOpKernel::DoneCallback done) {
    FunctionLibraryRuntime* library = ctx->function_library();
    FunctionLibraryRuntime::Handle handle;
    OP_REQUIRES_OK_ASYNC(ctx, instantiate(library, &handle), done);
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
    const auto begin = std::chrono::steady_clock::now();
    resource->Ref();
    library->Run(options, handle, inputs, results.get(),
                 [=, done = std::move(done)](const absl::Status& status) {
                   const std::chrono::duration<double, std::micro> time =
                       std::chrono::steady_clock::now() - begin;
                   resource->note_native(time.count(), counts);
                   resource->Unref();
                   if (!status.ok()) ctx->SetStatus(status);
                   else
                     for (size_t i = 0; i < results->size(); ++i)
                       ctx->set_output(int(i), (*results)[i]);
                   done();
                 });
  }

  // As a GraphDef: placeholders, weights as they are now, and one call of the function. PLANISH_TF_DUMP
  // names a folder for a copy of it.
  bool write_graph(OpKernelContext* ctx, const SegmentBorder& border, const std::string& name,
                   std::string* bytes) const {
    GraphDef graph;
    for (size_t i = 0; i < border.input_names.size(); ++i) {
      NodeDef* node = graph.add_node();
      node->set_name(border.input_names[i]);
      (*node->mutable_attr())["dtype"].set_type(border.input_types[i]);
      if (int(i) >= border.input_count()) {
        node->set_op("Const");
        ctx->input(int(i)).AsProtoTensorContent((*node->mutable_attr())["value"].mutable_tensor());
        continue;
      }
      node->set_op("Placeholder");
      border.input_shapes[i].AsProto((*node->mutable_attr())["shape"].mutable_shape());
    }
    NodeDef* call = graph.add_node();
    call->set_name("segment");
    call->set_op("PartitionedCall");
    auto& attributes = *call->mutable_attr();
    *attributes["f"].mutable_func() = function_;
    for (const std::string& input : border.input_names) call->add_input(input);
    for (const DataType type : border.input_types) attributes["Tin"].mutable_list()->add_type(type);
    for (const DataType type : border.output_types)
      attributes["Tout"].mutable_list()->add_type(type);
    *graph.mutable_library() = ctx->function_library()
                                   ->GetFunctionLibraryDefinition()
                                   ->ReachableDefinitions(graph)
                                   .ToProto();
    for (FunctionDef& function : *graph.mutable_library()->mutable_function()) {
      function.clear_arg_attr();
      for (NodeDef& node : *function.mutable_node_def()) drop_hints(&node);
    }
    if (const char* folder = std::getenv("PLANISH_TF_DUMP"))
      (void)WriteBinaryProto(ctx->env(), std::string(folder) + "/" + name + ".pb", graph);
    return graph.SerializeToString(bytes);
  }

 private:
  absl::Status instantiate(FunctionLibraryRuntime* library, FunctionLibraryRuntime::Handle* handle) {
    mutex_lock lock(mutex_);
    auto found = handles_.find(library);
    if (found == handles_.end()) {
      TF_RETURN_IF_ERROR(
          library->Instantiate(function_.name(), AttrSlice(&function_.attr()), {}, handle));
      found = handles_.emplace(library, *handle).first;
    }
    *handle = found->second;
    return absl::OkStatus();
  }

  NameAttrList function_;
  mutex mutex_;
  std::unordered_map<FunctionLibraryRuntime*, FunctionLibraryRuntime::Handle> handles_;
};

}  // namespace planish_tensorflow
