// TensorFlow operators that run Planish engines: PlanishEngineOp in place of a segment of a graph,
// and PlanishEngineControl, CreatePlanishEngine and InitializePlanishEngine around it.
//
// Compiled against one minor version of TensorFlow (planish/tensorflow/_library.py does that), as one
// unit with the headers beside it; all engine code is behind the C API of libplanish, so nothing of
// TensorFlow's C++ world meets ours. An engine is found by its name, a hash of what it computes, in
// the device's resource manager: all nodes of that name share engines and statistics. What an engine
// cannot run is run by TensorFlow, through the function `native_segment`; it is counted, and the first
// times are logged with the reason.
#include "engine_kernel.h"
#include "management_kernels.h"
#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace planish_tensorflow {

using namespace tensorflow;  // NOLINT: the code of a TensorFlow kernel

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
    .Attr("weight_inputs: int = 0")
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
