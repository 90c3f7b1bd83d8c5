// Col2Im: adds column blocks back to the image places they were taken from. Any number of dims.
#include "base/text.h"
#include "kernel/window.h"
#include "ops/dims.h"
#include "ops/movement.h"
#include "ops/numeric.h"

namespace planish::ops {
namespace {

using kernel::Window;
using opdef::EvalContext;

Result<Window> block_window(const ir::Attributes& attrs, std::span<const int64_t> block) {
  Result<Window> window = kernel::window_of(attrs, int(block.size()), block);
  return window;
}

Status infer_col2im(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 3, 3));
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 1, 1, 1));
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 2, 1, 1));
  PLANISH_ASSIGN_OR_RETURN(int64_t rank, list_length(ctx, 1));
  PLANISH_RETURN_IF_ERROR(check_same_dim("input 2 (block_shape): length", ctx.shape(2)[0], rank));
  if (rank < 1 || rank > 8)
    return invalid_argument(cat("input 1 (image_shape): got ", rank, " dims, expected 1 to 8"));
  const Shape& x = ctx.shape(0);
  std::optional<std::vector<Dim>> image = ctx.content(1);
  std::optional<std::vector<int64_t>> block = ctx.ints(2);
  Shape out = {x[0]};
  if (block) {
    PLANISH_ASSIGN_OR_RETURN(Window window, block_window(ctx.attrs(), *block));
    int64_t volume = window.volume();
    if (auto c = x[1].constant(); c && *c % volume != 0)
      return invalid_argument(cat("input 0 (input): got dim 1 of ", *c,
                                  ", expected a multiple of the block's ", volume, " elements"));
    out.push_back(floordiv(x[1], volume));
    Dim blocks = 1;
    for (int i = 0; image && i < int(rank); ++i) {
      Dim along = kernel::output_size(window, i, (*image)[size_t(i)]);
      if (along.is_constant() && along.value() < 1)
        return invalid_argument(cat("input 2 (block_shape): got ", bracketed(*block),
                                    ", expected a block within the padded image"));
      blocks = blocks * along;
    }
    if (image) PLANISH_RETURN_IF_ERROR(check_same_dim("input 0 (input): dim 2", x[2], blocks));
  } else {
    out.push_back(data_dim(ctx, "channels", x[1]));
  }
  for (int64_t i = 0; i < rank; ++i)
    out.push_back(image ? (*image)[size_t(i)] : data_dim(ctx, "image"));
  return set_sized_output(ctx, 0, ctx.dtype(0), std::move(out));
}

Status evaluate_col2im(EvalContext& ctx) {
  const Tensor& x = ctx.input(0);
  std::vector<int64_t> image = ctx.input(1).i64_values(), block = ctx.input(2).i64_values();
  std::vector<int64_t> dims = ctx.output_dims(0);
  PLANISH_ASSIGN_OR_RETURN(Window window, block_window(ctx.attrs(), block));
  std::vector<int64_t> blocks;
  for (size_t i = 0; i < image.size(); ++i)
    blocks.push_back(kernel::output_size(window, int(i), image[i]).value());
  std::vector<int64_t> strides = ir::strides_of(image);
  int64_t size = ir::element_count(image), images = dims[0] * dims[1];
  with_values(x, [&](const auto& values) {
    std::vector<typename std::decay_t<decltype(values)>::value_type> y(size_t(images * size));
    size_t from = 0;
    for (int64_t n = 0; n < images && !values.empty(); ++n)
      for_each_index(block, [&](std::span<const int64_t> k) {
        for_each_index(blocks, [&](std::span<const int64_t> b) {
          int64_t at = n * size;
          bool inside = true;
          for (size_t i = 0; i < image.size(); ++i) {
            int64_t p = b[i] * window.strides[i] - window.pads_begin[i] + k[i] * window.dilations[i];
            inside = inside && p >= 0 && p < image[i];
            at += p * strides[i];
          }
          auto value = values[from++];
          if (inside) y[size_t(at)] = wrapping_add(y[size_t(at)], value);
        });
      });
    assign(ctx.output(0), y);
  });
  return ok_status();
}

}  // namespace

void register_col2im(opdef::OpRegistry& registry) {
  using opdef::AttrKind;
  using opdef::optional_attr;
  opdef::OpDef def;
  def.name = "Col2Im";
  def.doc = "Sums column blocks into the image that they were cut from.";
  def.inputs = {operand("input", opdef::kNumbers, "N (C block) blocks"),
                operand("image_shape", opdef::kInt64, "spatial dims of the image", ""),
                operand("block_shape", opdef::kInt64, "spatial dims of a block", "")};
  def.outputs = {operand("output", opdef::kNumbers, "N C image_shape")};
  def.attrs = {optional_attr("dilations", AttrKind::kInts, "distance of block elements"),
               optional_attr("pads", AttrKind::kInts, "around the image, fronts then backs"),
               optional_attr("strides", AttrKind::kInts, "step from block to block")};
  def.host_inputs = 1u << 1 | 1u << 2;
  def.infer = infer_col2im;
  def.evaluate = evaluate_col2im;
  registry.add(std::move(def));
}

}  // namespace planish::ops
