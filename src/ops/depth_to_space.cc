// DepthToSpace and SpaceToDepth: blocks of the image plane exchanged with channels. Both are one
// strided copy over six dims; the mode says whether a channel's number counts blocks first (DCR) or
// depth first (CRD).
#include "base/text.h"
#include "ops/composer.h"
#include "ops/dims.h"
#include "ops/movement.h"

namespace planish::ops {
namespace {

Result<int64_t> block_of(const InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 4, 4));
  const std::string& mode = ctx.attr_string("mode");
  if (mode != "DCR" && mode != "CRD") return bad_attr("mode", mode, "DCR or CRD");
  const int64_t block = ctx.attr_int("blocksize");
  if (block < 1 || block > (1 << 30)) return bad_attr("blocksize", cat(block), "1 or more");
  return block;
}

Result<Dim> divided(const Dim& dim, int64_t by, std::string_view what) {
  if (std::optional<Dim> exact = exact_quotient(dim, Dim(by))) return *exact;
  if (!dim.is_constant()) return floordiv(dim, Dim(by));
  return invalid_argument(cat("input 0 (input): ", what, " is ", dim.value(),
                              ", expected a multiple of ", by));
}

Status infer_depth_to_space(InferContext& ctx) {
  PLANISH_ASSIGN_OR_RETURN(const int64_t block, block_of(ctx));
  const Shape& in = ctx.shape(0);
  PLANISH_ASSIGN_OR_RETURN(const Dim depth, divided(in[1], block * block, "the channel count"));
  return set_sized_output(ctx, 0, ctx.dtype(0),
                          {in[0], depth, in[2] * Dim(block), in[3] * Dim(block)});
}

Status infer_space_to_depth(InferContext& ctx) {
  PLANISH_ASSIGN_OR_RETURN(const int64_t block, block_of(ctx));
  const Shape& in = ctx.shape(0);
  PLANISH_ASSIGN_OR_RETURN(const Dim height, divided(in[2], block, "the height"));
  PLANISH_ASSIGN_OR_RETURN(const Dim width, divided(in[3], block, "the width"));
  return set_sized_output(ctx, 0, ctx.dtype(0),
                          {in[0], in[1] * Dim(block) * Dim(block), height, width});
}

// Strides over (n, depth, block row, block column, row, column) of the tensor with channels
// [depth * b * b] and of the one with the plane [rows * b, columns * b].
struct Views {
  std::vector<int64_t> dims;
  StridedView deep, wide;
};

Views views(const std::vector<int64_t>& deep, const std::vector<int64_t>& wide, int64_t b,
            bool depth_first) {
  const int64_t depth = wide[1], rows = deep[2], columns = deep[3];
  const int64_t plane = rows * columns;
  const int64_t per_depth = depth_first ? b * b * plane : plane;
  const int64_t per_block = depth_first ? plane : depth * plane;
  Views v;
  v.dims = {deep[0], depth, b, b, rows, columns};
  v.deep.strides = {deep[1] * plane, per_depth, b * per_block, per_block, columns, 1};
  const int64_t line = columns * b;
  v.wide.strides = {depth * rows * b * line, rows * b * line, line, 1, b * line, b};
  return v;
}

Status evaluate_depth_to_space(EvalContext& ctx) {
  const Tensor& in = ctx.input(0);
  Tensor& out = ctx.output(0);
  const Views v = views(in.dims(), out.dims(), ctx.attr_int("blocksize"),
                        ctx.attr_string("mode") == "CRD");
  copy_strided(in, v.deep, out, v.wide, v.dims);
  return ok_status();
}

Status evaluate_space_to_depth(EvalContext& ctx) {
  const Tensor& in = ctx.input(0);
  Tensor& out = ctx.output(0);
  const Views v = views(out.dims(), in.dims(), ctx.attr_int("blocksize"),
                        ctx.attr_string("mode") == "CRD");
  copy_strided(in, v.wide, out, v.deep, v.dims);
  return ok_status();
}

opdef::OpDef block_def(std::string name, std::string doc, Status (*infer)(InferContext&),
                       Status (*evaluate)(EvalContext&)) {
  opdef::OpDef def;
  def.name = std::move(name);
  def.doc = std::move(doc);
  def.inputs = {operand("input", opdef::kAnyType, "[N, C, H, W]")};
  def.outputs = {operand("output", opdef::kAnyType, "the same elements")};
  def.attrs = {opdef::required_attr("blocksize", opdef::AttrKind::kInt, "edge of a block"),
               opdef::string_attr("mode", "DCR",
                                  "channel order: DCR (block, depth) or CRD (depth, block)")};
  def.kind = opdef::FusionKind::kInjective;
  def.infer = infer;
  def.evaluate = evaluate;
  return def;
}

Status import_blocks(const opdef::NodeView& node, opdef::ImportContext& ctx) {
  Composer c(node, ctx);
  const int64_t block = c.attr_int("block_size", 0);
  const bool last = c.channels_last();
  ir::Value* x = last ? c.to_channels_first(c.in(0)) : c.in(0);
  ir::Value* y = c.op(node.op_type(), {x}, {{"blocksize", block}});
  return c.finish({last ? c.to_channels_last(y) : y});
}

// Block shape, and [n, 2] paddings or crops, of the four batch operators. Convolutions with holes over
// images of open size compute their edges when they run.
struct Blocks {
  std::vector<int64_t> block;
  std::optional<std::vector<int64_t>> known;
  ir::Value* edges = nullptr;

  // The edges of one side, as a list over the blocks.
  ir::Value* side(Composer& c, int64_t index) const { return c.gather(edges, index, 1); }
};
Blocks blocks_of(Composer& c) {
  Blocks out;
  const bool is_square = c.node().has_attr("block_size");
  if (is_square) out.block = {c.attr_int("block_size", 1), c.attr_int("block_size", 1)};
  else out.block = c.need(1, "block_shape");
  out.edges = c.i64(c.in(is_square ? 1 : 2));
  out.known = c.known(out.edges);
  const ir::Shape expected = {int64_t(out.block.size()), 2};
  if (out.edges->type.shape != expected)
    c.fail(invalid_argument(cat("the paddings or crops are ", ir::to_string(out.edges->type),
                                ", expected shape ", ir::to_string(expected))));
  for (int64_t b : out.block)
    if (b < 1) c.fail(invalid_argument(cat("got the block size ", b, ", expected 1 or more")));
  if (c.rank(c.in(0)) < int(out.block.size()) + 1) c.fail(invalid_argument("too few dims"));
  return out;
}
// Blocks of the plane become batches: the batch's offsets in the block come first.
Status import_space_to_batch(const opdef::NodeView& node, opdef::ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value* x = c.in(0);
  const Blocks blocks = blocks_of(c);
  if (!c.ok()) return c.finish({});
  const int64_t n = int64_t(blocks.block.size()), rank = c.rank(x);
  std::vector<int64_t> axes;
  for (int64_t i = 0; i < n; ++i) axes.push_back(1 + i);
  x = c.op("Pad", {x, c.concat({blocks.side(c, 0), blocks.side(c, 1)}, 0), c.scalar_like(0, x),
                   c.ints(axes)});
  Composer::Values cut = {c.dim_of(x, 0)}, whole;
  std::vector<int64_t> perm;
  int64_t batches = 1;
  for (int64_t i = 0; i < n; ++i) {
    ir::Value* size = c.ints({blocks.block[size_t(i)]});
    cut.push_back(c.div(c.dim_of(x, 1 + i), size));
    cut.push_back(size);
    perm.push_back(2 + 2 * i);
    batches *= blocks.block[size_t(i)];
  }
  perm.push_back(0);
  whole.push_back(c.mul(c.dim_of(x, 0), c.ints({batches})));
  for (int64_t i = 0; i < n; ++i) {
    perm.push_back(1 + 2 * i);
    whole.push_back(cut[size_t(1 + 2 * i)]);
  }
  for (int64_t i = 1 + n; i < rank; ++i) {
    perm.push_back(i + n);
    cut.push_back(c.dim_of(x, i));
    whole.push_back(c.dim_of(x, i));
  }
  ir::Value* y = c.transpose(c.op("Reshape", {x, c.concat(cut, 0)}), perm);
  return c.finish({c.op("Reshape", {y, c.concat(whole, 0)})});
}
Status import_batch_to_space(const opdef::NodeView& node, opdef::ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value* x = c.in(0);
  const Blocks blocks = blocks_of(c);
  if (!c.ok()) return c.finish({});
  const int64_t n = int64_t(blocks.block.size()), rank = c.rank(x);
  int64_t batches = 1;
  Composer::Values cut, whole;
  for (int64_t b : blocks.block) {
    cut.push_back(c.ints({b}));
    batches *= b;
  }
  ir::Value* batch = c.div(c.dim_of(x, 0), c.ints({batches}));
  cut.push_back(batch);
  whole.push_back(batch);
  std::vector<int64_t> perm = {n};
  for (int64_t i = 1; i < rank; ++i) cut.push_back(c.dim_of(x, i));
  for (int64_t i = 0; i < n; ++i) {
    perm.push_back(n + 1 + i);
    perm.push_back(i);
    whole.push_back(c.mul(c.dim_of(x, 1 + i), c.ints({blocks.block[size_t(i)]})));
  }
  for (int64_t i = 1 + n; i < rank; ++i) {
    perm.push_back(n + i);
    whole.push_back(c.dim_of(x, i));
  }
  ir::Value* y = c.transpose(c.op("Reshape", {x, c.concat(cut, 0)}), perm);
  y = c.op("Reshape", {y, c.concat(whole, 0)});
  if (!blocks.known) {
    std::vector<int64_t> axes;
    Composer::Values dims;
    for (int64_t i = 0; i < n; ++i) {
      axes.push_back(1 + i);
      dims.push_back(c.dim_of(y, 1 + i));
    }
    ir::Value* end = c.sub(c.concat(dims, 0), blocks.side(c, 1));
    return c.finish({c.op("Slice", {y, blocks.side(c, 0), end, c.ints(axes)})});
  }
  for (int64_t i = 0; i < n; ++i) {
    const int64_t begin = (*blocks.known)[size_t(2 * i)], end = (*blocks.known)[size_t(2 * i + 1)];
    if (begin || end) y = c.slice(y, 1 + i, begin, end ? -end : INT64_MAX);
  }
  return c.finish({y});
}

}  // namespace

void register_depth_to_space(opdef::OpRegistry& registry) {
  opdef::OpDef def = block_def("DepthToSpace",
                         "Groups of blocksize^2 channels become blocks of the image plane.",
                         infer_depth_to_space, evaluate_depth_to_space);
  def.tensorflow = {tensorflow("DepthToSpace", import_blocks),
                    tensorflow("BatchToSpace", import_batch_to_space),
                    tensorflow("BatchToSpaceND", import_batch_to_space)};
  registry.add(std::move(def));
  def = block_def("SpaceToDepth", "Blocks of the image plane become channels.",
                         infer_space_to_depth, evaluate_space_to_depth);
  def.tensorflow = {tensorflow("SpaceToDepth", import_blocks),
                    tensorflow("SpaceToBatch", import_space_to_batch),
                    tensorflow("SpaceToBatchND", import_space_to_batch)};
  registry.add(std::move(def));
}

}  // namespace planish::ops
