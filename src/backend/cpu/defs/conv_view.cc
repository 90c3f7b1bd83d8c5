#include "backend/cpu/defs/conv_view.h"

#include "backend/cpu/defs/refusal.h"
#include "base/text.h"

namespace planish::cpu {
using kernel::Problem;

ConvProblem convolution_of(kernel::Window window, const std::vector<int64_t>& in) {
  kernel::resolve_pads(window, std::span(in).subspan(2));
  ConvProblem c;
  c.batch = in[0];
  c.in_channels = c.out_channels = in[1];
  const bool one_d = in.size() == 3;
  const size_t w = one_d ? 0 : 1;
  c.in_width = in[2 + w];
  c.kernel_width = window.kernel[w];
  c.stride_width = window.strides[w];
  c.dilation_width = window.dilations[w];
  c.pad_left = window.pads_begin[w];
  c.pad_right = window.pads_end[w];
  c.in_height = 1;
  if (one_d) return c;
  c.in_height = in[2];
  c.kernel_height = window.kernel[0];
  c.stride_height = window.strides[0];
  c.dilation_height = window.dilations[0];
  c.pad_top = window.pads_begin[0];
  c.pad_bottom = window.pads_end[0];
  return c;
}

Result<ConvView> conv_view(const Problem& problem) {
  if (problem.root_op() != "Conv") return other_family();
  const auto split = kernel::root_and_epilogue(problem);
  if (!split) return unsupported("more than one root with an epilogue");
  const kernel::Stage& root = *split->root;
  ConvView view;
  view.input = root.inputs[0];
  view.weights = root.inputs[1];
  view.bias = root.inputs.size() > 2 ? root.inputs[2] : -1;
  const ir::TensorType& x = problem.type_of(view.input);
  const ir::TensorType& w = problem.type_of(view.weights);
  if (x.dtype != ir::DataType::kF32) return unsupported(cat("input is ", name_of(x.dtype), ", expected f32"));
  if (x.rank() != 4 && x.rank() != 3)
    return unsupported(cat("input has rank ", x.rank(), ", expected 3 or 4"));
  const std::vector<int64_t> in = ir::to_dims(x.shape), filter = ir::to_dims(w.shape);
  PLANISH_ASSIGN_OR_RETURN(
      kernel::Window window,
      kernel::window_of(root.attrs, x.rank() - 2, std::span(filter).subspan(2)));
  view.conv = convolution_of(window, in);
  view.conv.out_channels = filter[0];
  view.conv.groups = std::get<int64_t>(root.attrs.find("group")->second);
  // Weights are packed before the dims of the input are known.
  view.conv.in_channels = filter[1] * view.conv.groups;
  view.parts = *split;
  return view;
}

Status check_channels(const Problem& problem, const ConvView& view) {
  const ir::Shape& in = problem.type_of(view.input).shape;
  if (in[1].value() == view.conv.in_channels) return ok_status();
  return invalid_argument(cat("input is ", ir::to_string(in), ", expected ",
                              view.conv.in_channels, " channels, as the weights have"));
}

}  // namespace planish::cpu
