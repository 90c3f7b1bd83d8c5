// flatten_channels_last: where images lie channels last (PassOptions::channels_last), flattening one in front
// of a dense layer copies it, for its elements are asked for channel by channel. The weights can be asked for
// pixel by pixel instead:
//
//   MatMul(Reshape(x, [n, c h w]), w)  ->  MatMul(Reshape(Transpose(x, n h w c), [n, h w c]), w')
//
// with the rows of w' in the order of the pixels; the Transpose is then a matter of layouts and costs nothing.
// Done for what a convolution or a pool makes, elementwise nodes between, when nothing but such layers reads
// the flat value.
#include <cstring>
#include <map>

#include "base/build_team.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace planish::passes {
namespace {

constexpr int kMostBetween = 8;  // elementwise nodes behind the convolution

bool is_made_channels_last(const PassContext& context, const Value* v) {
  for (int i = 0; i <= kMostBetween; ++i) {
    const Node* node = v->producer;
    if (!node) return false;
    if (node->op == "Conv" || node->op == "MaxPool" || node->op == "AveragePool") return true;
    if (!is_elementwise(context, *node)) return false;
    const Value* next = nullptr;
    for (const Value* operand : node->inputs)
      if (operand && !operand->constant && operand->type.shape == v->type.shape) next = operand;
    if (!next) return false;
    v = next;
  }
  return false;
}

struct Image {
  int64_t channels, pixels;
};
// Of a node that makes [n, c h w] of [n, c, h, w], more than one channel and pixel.
std::optional<Image> flattened(const Node& node) {
  if ((node.op != "Reshape" && node.op != "Flatten") || !node.inputs[0]) return std::nullopt;
  const Shape &from = node.inputs[0]->type.shape, &to = node.outputs[0]->type.shape;
  if (from.size() != 4 || to.size() != 2 || !(from[0] == to[0]) || !to[1].is_constant()) return std::nullopt;
  for (size_t d = 1; d < 4; ++d)
    if (!from[d].is_constant()) return std::nullopt;
  const Image image = {from[1].value(), from[2].value() * from[3].value()};
  if (image.channels < 2 || image.pixels < 2 || image.channels * image.pixels != to[1].value()) return std::nullopt;
  return image;
}

// The side of a dense layer's constant weights that the depth lies along; nullopt: no such layer.
std::optional<int> depth_axis(const Node& node, const Value* flat) {
  const Tensor* weights = constant_input(node, 1);
  if ((node.op != "MatMul" && node.op != "Gemm") || node.inputs[0] != flat || !weights || weights->rank() != 2 ||
      !ir::is_float(weights->dtype()) || int_attr(node, "transA", 0) != 0 || input(node, 2) == flat)
    return std::nullopt;
  return int_attr(node, "transB", 0) != 0 ? 1 : 0;
}

// From channel by channel to pixel by pixel along `axis`.
Tensor by_pixels(const Tensor& from, int axis, const Image& image) {
  Tensor out(from.dtype(), from.dims());
  const int64_t depth = image.channels * image.pixels, size = ir::bits_of(from.dtype()) / 8;
  const int64_t outer = axis == 0 ? 1 : from.dim(0), inner = (axis == 0 ? from.dim(1) : 1) * size;
  const auto* source = static_cast<const std::byte*>(from.data());
  auto* target = static_cast<std::byte*>(out.mutable_data());
  build_team().parallel_for(outer * image.pixels, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = i / image.pixels * depth, pixel = i % image.pixels;
      for (int64_t c = 0; c < image.channels; ++c)
        std::memcpy(target + (row + pixel * image.channels + c) * inner, source + (row + c * image.pixels + pixel) * inner,
                    size_t(inner));
    }
  }, 1);
  return out;
}

Result<bool> rewrite(Graph& graph, Node* node, const Image& image, PassContext& context) {
  Value* flat = node->outputs[0];
  PLANISH_ASSIGN_OR_RETURN(Value * turned, add_op(graph, context, "Transpose", {node->inputs[0]},
                                                  {{"perm", std::vector<int64_t>{0, 2, 3, 1}}}, node));
  std::vector<Value*> inputs = node->inputs;
  inputs[0] = turned;
  PLANISH_ASSIGN_OR_RETURN(Value * pixels, add_op(graph, context, node->op, std::move(inputs), node->attrs, node));
  std::map<std::pair<const Value*, int>, Value*> made;  // weights that several layers share
  while (!flat->uses.empty()) {
    Node* reader = flat->uses[0].node;
    const int axis = *depth_axis(*reader, flat);
    Value* weights = reader->inputs[1];
    Value*& other = made[{weights, axis}];
    if (!other) other = graph.add_constant(weights->name + "_by_pixels", by_pixels(*weights->constant, axis, image));
    graph.set_input(reader, 0, pixels);
    graph.set_input(reader, 1, other);
  }
  erase_unused(graph, node);
  context.count("flatten_channels_last");
  return true;
}

}  // namespace

Result<bool> flatten_channels_last(Graph& graph, PassContext& context) {
  if (!context.options.channels_last) return false;
  std::vector<std::pair<Node*, Image>> found;
  for (const auto& node : graph.nodes()) {
    const auto image = flattened(*node);
    const Value* flat = image ? node->outputs[0] : nullptr;
    if (!flat || flat->uses.empty() || is_pinned(graph, flat) || !is_made_channels_last(context, node->inputs[0])) continue;
    const bool dense = std::all_of(flat->uses.begin(), flat->uses.end(), [&](const ir::Use& use) {
      return use.index == 0 && depth_axis(*use.node, flat).has_value();
    });
    if (dense) found.push_back({node.get(), *image});
  }
  for (const auto& [node, image] : found) PLANISH_RETURN_IF_ERROR(rewrite(graph, node, image, context).status());
  return !found.empty();
}

}  // namespace planish::passes
