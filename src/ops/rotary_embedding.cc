// RotaryEmbedding: rotates pairs of elements of every head by angles that follow from the position.
#include "base/text.h"
#include "ops/shape_rules.h"

namespace planish::ops {
namespace {

using opdef::AttrKind;
using opdef::EvalContext;
using opdef::TypeSet;

constexpr TypeSet kRotaryTypes = opdef::kFloats;

// The size of a head: of a 4-D operand its last dim, else the hidden size over num_heads.
Result<Dim> head_size(const InferContext& ctx) {
  const Shape& x = ctx.shape(0);
  if (x.size() == 4) return x[3];
  if (!ctx.has_attr("num_heads") || ctx.attr_int("num_heads") < 1)
    return bad_attr("num_heads",
                    ctx.has_attr("num_heads") ? cat(ctx.attr_int("num_heads")) : "nothing",
                    "a count of heads for a 3-D input");
  int64_t heads = ctx.attr_int("num_heads");
  if (auto hidden = x[2].constant(); hidden && *hidden % heads != 0)
    return bad_attr("num_heads", cat(heads), cat("a divisor of the ", *hidden, " elements of X"));
  return floordiv(x[2], heads);
}

Status infer_rotary(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 3, 4));
  PLANISH_ASSIGN_OR_RETURN(Dim size, head_size(ctx));
  int64_t rotated = ctx.attr_int("rotary_embedding_dim");
  if (rotated < 0 || rotated % 2 != 0 ||
      (size.is_constant() && rotated > size.value()))
    return bad_attr("rotary_embedding_dim", cat(rotated),
                    cat("an even value from 0 to the head size ", size.to_string()));
  if (rotated == 0 && size.is_constant() && size.value() % 2 != 0)
    return invalid_argument(cat("input 0 (X): got a head size of ", size.to_string(),
                                ", expected an even one"));
  Dim half = rotated > 0 ? Dim(rotated / 2) : floordiv(size, 2);
  const Shape& x = ctx.shape(0);
  const Dim sequence = x.size() == 4 ? x[2] : x[1];
  bool has_positions = ctx.has_input(3);
  if (has_positions) {
    PLANISH_RETURN_IF_ERROR(check_rank(ctx, 3, 2, 2));
    PLANISH_RETURN_IF_ERROR(check_same_dim("input 3 (position_ids): dim 0", ctx.shape(3)[0], x[0]));
    PLANISH_RETURN_IF_ERROR(
        check_same_dim("input 3 (position_ids): dim 1", ctx.shape(3)[1], sequence));
  }
  for (int i = 1; i <= 2; ++i) {
    int rank = has_positions ? 2 : 3;
    PLANISH_RETURN_IF_ERROR(check_rank(ctx, i, rank, rank));
    const Shape& cache = ctx.shape(i);
    std::string name = input_name(ctx, i);
    PLANISH_RETURN_IF_ERROR(check_same_dim(name + ": last dim", cache.back(), half));
    PLANISH_RETURN_IF_ERROR(check_same_dim(name + ": dim 0", cache[0], ctx.shape(1)[0]));
    if (has_positions) continue;
    PLANISH_RETURN_IF_ERROR(check_same_dim(name + ": dim 0", cache[0], x[0]));
    PLANISH_RETURN_IF_ERROR(check_same_dim(name + ": dim 1", cache[1], sequence));
  }
  ctx.set_output(0, ctx.dtype(0), ctx.shape(0));
  return ok_status();
}

Status evaluate_rotary(EvalContext& ctx) {
  const Tensor& x = ctx.input(0);
  bool flat = x.rank() == 3, interleaved = ctx.attr_int("interleaved") != 0;
  int64_t batch = x.dim(0), sequence = flat ? x.dim(1) : x.dim(2);
  int64_t heads = flat ? ctx.attr_int("num_heads") : x.dim(1);
  int64_t size = flat ? x.dim(2) / heads : x.dim(3);
  int64_t rotated = ctx.attr_int("rotary_embedding_dim");
  if (rotated == 0) rotated = size;
  int64_t half = rotated / 2;
  std::vector<double> y = x.f64_values(), cosine = ctx.input(1).f64_values(),
                      sine = ctx.input(2).f64_values();
  std::vector<int64_t> positions;
  if (ctx.has_input(3)) positions = ctx.input(3).i64_values();
  for (int64_t n = 0; n < batch; ++n)
    for (int64_t s = 0; s < sequence; ++s) {
      int64_t row = n * sequence + s;
      if (!positions.empty()) {
        row = positions[size_t(row)];
        if (row < 0 || row >= ctx.input(1).dim(0))
          return invalid_argument(cat("input 3 (position_ids): got ", row, ", expected 0 to ",
                                      ctx.input(1).dim(0) - 1));
      }
      for (int64_t h = 0; h < heads; ++h) {
        int64_t at = flat ? (n * sequence + s) * heads + h : (n * heads + h) * sequence + s;
        double* head = y.data() + at * size;
        for (int64_t i = 0; i < half; ++i) {
          double& a = head[interleaved ? 2 * i : i];
          double& b = head[interleaved ? 2 * i + 1 : i + half];
          double c = cosine[size_t(row * half + i)], d = sine[size_t(row * half + i)];
          double real = c * a - d * b, imaginary = d * a + c * b;
          a = real;
          b = imaginary;
        }
      }
    }
  ctx.output(0).assign_f64(y);
  return ok_status();
}

}  // namespace

void register_rotary_embedding(opdef::OpRegistry& registry) {
  opdef::OpDef def;
  def.name = "RotaryEmbedding";
  def.doc = "Rotates pairs of elements of every head by the angles of their positions.";
  def.inputs = {
      operand("X", kRotaryTypes, "batch heads sequence size, or batch sequence (heads size)"),
      operand("cos_cache", kRotaryTypes, "positions half, or batch sequence half"),
      operand("sin_cache", kRotaryTypes, "as cos_cache"),
      optional_operand("position_ids", opdef::kInt64, "batch sequence: rows of the caches", "M")};
  def.outputs = {operand("Y", kRotaryTypes, "of X's shape")};
  def.attrs = {opdef::int_attr("interleaved", 0, "1: pairs are neighbours, else halves apart"),
               opdef::optional_attr("num_heads", AttrKind::kInt, "for a 3-D X"),
               opdef::int_attr("rotary_embedding_dim", 0, "elements that turn; 0: all")};
  def.infer = infer_rotary;
  def.evaluate = evaluate_rotary;
  registry.add(std::move(def));
}

}  // namespace planish::ops
