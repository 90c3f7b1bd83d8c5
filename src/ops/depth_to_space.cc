// DepthToSpace and SpaceToDepth: blocks of the image plane exchanged with channels. Both are one
// strided copy over six dims; the mode says whether a channel's number counts blocks first (DCR) or
// depth first (CRD).
#include "base/text.h"
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

}  // namespace

void register_depth_to_space(opdef::OpRegistry& registry) {
  registry.add(block_def("DepthToSpace",
                         "Groups of blocksize^2 channels become blocks of the image plane.",
                         infer_depth_to_space, evaluate_depth_to_space));
  registry.add(block_def("SpaceToDepth", "Blocks of the image plane become channels.",
                         infer_space_to_depth, evaluate_space_to_depth));
}

}  // namespace planish::ops
