// Reshape: the same elements in the same order under other dims. The target is an input, so most
// of the work is shape arithmetic: 0 copies a dim, -1 takes what is left, and a target made of
// Shape, Gather and Concat arrives as dim expressions.
#include <algorithm>

#include "base/text.h"
#include "ops/composer.h"
#include "ops/content.h"
#include "ops/movement.h"

namespace planish::ops {
namespace {

// The target with 0 and -1 resolved.
Result<Shape> resolve(const InferContext& ctx, std::vector<Dim> target) {
  const Shape& in = ctx.shape(0);
  const bool allow_zero = ctx.attr_int("allowzero") != 0;
  int unknown = -1;
  bool has_zero = false;
  Dim known = 1;
  for (size_t i = 0; i < target.size(); ++i) {
    Dim& d = target[i];
    if (d == Dim(-1)) {
      if (unknown >= 0) return invalid_argument("input 1 (shape): got two -1, expected one");
      unknown = int(i);
      continue;
    }
    if (d.is_constant() && d.value() < -1) {
      return invalid_argument(cat("input 1 (shape): got ", d.value(), ", expected -1 or more"));
    }
    if (d == Dim(0) && !allow_zero) {
      if (i >= in.size()) {
        return invalid_argument(cat("input 1 (shape): 0 at position ", i,
                                    " copies a dim that shape ", ir::to_string(in), " has not"));
      }
      d = in[i];
    } else {
      has_zero |= d == Dim(0);
    }
    known = known * d;
  }
  if (unknown >= 0) {
    if (has_zero) {
      return invalid_argument("input 1 (shape): got both 0 and -1, which allowzero = 1 forbids");
    }
    const Dim total = ir::element_count(in);
    if (known == Dim(0)) {
      return invalid_argument(cat("input 1 (shape): -1 cannot be inferred for shape ",
                                  ir::to_string(in), ", another dim is 0"));
    }
    const std::optional<Dim> quotient = exact_quotient(total, known);
    if (!quotient && total.is_constant() && known.is_constant()) {
      return invalid_argument(cat("input 1 (shape): ", total.value(), " elements of ",
                                  ir::to_string(in), " do not divide by ", known.value()));
    }
    target[size_t(unknown)] = quotient ? *quotient : floordiv(total, known);
  }
  return target;
}

Status infer(InferContext& ctx) {
  const std::optional<std::vector<Dim>> target = small_content(ctx, 1);
  if (!target) {
    PLANISH_ASSIGN_OR_RETURN(const int64_t rank, list_length(ctx, 1));
    const Dim total = ir::element_count(ctx.shape(0));
    return set_sized_output(ctx, 0, ctx.dtype(0), data_shape(ctx, "reshape", rank, total));
  }
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 1, 1, 1));
  PLANISH_ASSIGN_OR_RETURN(Shape shape, resolve(ctx, *target));
  const Dim got = ir::element_count(ctx.shape(0)), wanted = ir::element_count(shape);
  if (got.is_constant() && wanted.is_constant() && !(got == wanted)) {
    return invalid_argument(cat("input 1 (shape): ", ir::to_string(ctx.shape(0)), " has ",
                                got.value(), " elements, the target ", ir::to_string(shape),
                                " has ", wanted.value()));
  }
  PLANISH_RETURN_IF_ERROR(set_sized_output(ctx, 0, ctx.dtype(0), std::move(shape)));
  set_moved_content(ctx, [](const Tensor& in, Tensor& out) {
    ElementMover(in, out).copy(0, 0, in.count());
  });
  return ok_status();
}

Status evaluate(EvalContext& ctx) {
  ctx.set_output(0, ctx.input(0).reshaped(ctx.output_dims(0)));
  return ok_status();
}

Status import_tensorflow_reshape(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value* dims = c.i64(c.in(1));
  const auto known = c.known(dims);
  const bool has_zero = known && std::count(known->begin(), known->end(), 0) > 0;
  return c.finish({c.op("Reshape", {c.in(0), dims}, {{"allowzero", int64_t(has_zero)}})});
}

}  // namespace

void register_reshape(opdef::OpRegistry& registry) {
  opdef::OpDef def;
  def.is_view = true;
  def.name = "Reshape";
  def.doc =
      "The elements of `data`, in order, under the dims that `shape` lists: -1 (once) stands for "
      "what is left, 0 copies the dim at its position unless allowzero is 1.";
  def.inputs = {operand("data", opdef::kAnyType, "tensor to reshape"),
                operand("shape", opdef::kInt64, "target dims, rank 1", "")};
  def.outputs = {operand("reshaped", opdef::kAnyType, "the same elements")};
  def.attrs = {opdef::int_attr("allowzero", 0, "1: a 0 in `shape` is a dim of no elements")};
  def.kind = opdef::FusionKind::kInjective;
  def.host_inputs = 0b10;
  def.infer = infer;
  def.evaluate = evaluate;
  def.tensorflow = {tensorflow("Reshape", import_tensorflow_reshape)};
  registry.add(std::move(def));
}

}  // namespace planish::ops
