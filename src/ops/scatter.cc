// ScatterElements and ScatterND: a copy of a tensor with elements replaced, or combined by a
// reduction, at positions that an index tensor names. With reduction none and repeated
// indices the last update wins. Reductions of floats accumulate in double.
#include <cmath>

#include "base/text.h"
#include "ops/composer.h"
#include "ops/dims.h"
#include "ops/movement.h"
#include "ops/segments.h"
#include "opdef/import.h"

namespace planish::ops {
namespace {

enum class Reduction { kNone, kAdd, kMul, kMax, kMin };

Result<Reduction> reduction_of(const std::string& name) {
  constexpr std::string_view kNames[] = {"none", "add", "mul", "max", "min"};
  for (size_t i = 0; i < std::size(kNames); ++i) {
    if (name == kNames[i]) return Reduction(i);
  }
  return bad_attr("reduction", name, "none, add, mul, max or min");
}

double combine(Reduction reduction, double a, double b) {
  switch (reduction) {
    case Reduction::kAdd: return a + b;
    case Reduction::kMul: return a * b;
    case Reduction::kMax: return std::isnan(a) || a >= b ? a : b;  // a NaN on either side stays
    case Reduction::kMin: return std::isnan(a) || a <= b ? a : b;
    case Reduction::kNone: break;
  }
  return b;
}

// Integers wrap; unsigned 64-bit values are compared as such.
int64_t combine(Reduction reduction, int64_t a, int64_t b, DataType dtype) {
  const bool is_bool = dtype == DataType::kBool;
  const bool less = dtype == DataType::kU64 ? uint64_t(a) < uint64_t(b) : a < b;
  switch (reduction) {
    case Reduction::kAdd: return is_bool ? a | b : int64_t(uint64_t(a) + uint64_t(b));
    case Reduction::kMul: return is_bool ? a & b : int64_t(uint64_t(a) * uint64_t(b));
    case Reduction::kMax: return less ? b : a;
    case Reduction::kMin: return less ? a : b;
    case Reduction::kNone: break;
  }
  return b;
}

// Puts updates into a copy of the data: element `from` of the updates to element `to` of the data.
class Scatterer {
 public:
  Scatterer(const Tensor& data, const Tensor& updates, Tensor& out, Reduction reduction)
      : out_(out), reduction_(reduction), mover_(updates, out) {
    ElementMover(data, out).copy(0, 0, data.count());
    if (reduction == Reduction::kNone) return;
    if (ir::is_float(data.dtype())) {
      wide_ = data.f64_values();
      updates_ = updates.f64_values();
    } else {
      ints_ = data.i64_values();
      int_updates_ = updates.i64_values();
    }
  }
  void put(int64_t to, int64_t from, int64_t count) {
    if (reduction_ == Reduction::kNone) return mover_.copy(to, from, count);
    for (int64_t i = 0; i < count; ++i) {
      const size_t t = size_t(to + i), f = size_t(from + i);
      if (!wide_.empty()) {
        wide_[t] = combine(reduction_, wide_[t], updates_[f]);
      } else {
        ints_[t] = combine(reduction_, ints_[t], int_updates_[f], out_.dtype());
      }
    }
  }
  void finish() {
    if (!wide_.empty()) out_.assign_f64(wide_);
    if (!ints_.empty()) out_.assign_i64(ints_);
  }

 private:
  Tensor& out_;
  Reduction reduction_;
  ElementMover mover_;
  std::vector<double> wide_, updates_;
  std::vector<int64_t> ints_, int_updates_;
};

Status bad_index(int64_t index, int64_t position, int64_t size, int axis) {
  return invalid_argument(cat("input 1 (indices): element ", position, " is ", index,
                              ", expected ", -size, " to ", size - 1, " for axis ", axis,
                              " of length ", size));
}

// --- ScatterElements ---

Status infer_scatter_elements(InferContext& ctx) {
  const int rank = ctx.rank(0);
  PLANISH_RETURN_IF_ERROR(reduction_of(ctx.attr_string("reduction")).status());
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 1));
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 1, rank, rank));
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 2, rank, rank));
  PLANISH_ASSIGN_OR_RETURN(const int axis, ctx.axis("axis", rank));
  for (int d = 0; d < rank; ++d) {
    const Dim &data = ctx.shape(0)[size_t(d)], &index = ctx.shape(1)[size_t(d)];
    PLANISH_RETURN_IF_ERROR(check_same_dim(cat("input 2 (updates), dim ", d),
                                           ctx.shape(2)[size_t(d)], index));
    if (d == axis || !data.is_constant() || !index.is_constant()) continue;
    if (index.value() > data.value()) {
      return invalid_argument(cat("input 1 (indices): dim ", d, " is ", index.value(),
                                  ", expected at most ", data.value(), " as in data"));
    }
  }
  return set_sized_output(ctx, 0, ctx.dtype(0), ctx.shape(0));
}

Status evaluate_scatter_elements(EvalContext& ctx) {
  const Tensor &data = ctx.input(0), &indices = ctx.input(1);
  PLANISH_ASSIGN_OR_RETURN(const Reduction reduction, reduction_of(ctx.attr_string("reduction")));
  const int axis = wrap_axis(ctx.attr_int("axis"), data.rank());
  const std::vector<int64_t> strides = ir::strides_of(data.dims());
  Scatterer scatterer(data, ctx.input(2), ctx.output(0), reduction);
  Status status;
  int64_t from = 0;
  for_each_index(indices.dims(), [&](std::span<const int64_t> index) {
    if (!status.ok()) return;
    const int64_t size = data.dim(axis);
    const std::optional<int64_t> at = wrap_index(indices.i64(from), size);
    if (!at) {
      status = bad_index(indices.i64(from), from, size, axis);
      return;
    }
    int64_t to = 0;
    for (int d = 0; d < int(index.size()); ++d) {
      to += (d == axis ? *at : index[size_t(d)]) * strides[size_t(d)];
    }
    scatterer.put(to, from++, 1);
  });
  PLANISH_RETURN_IF_ERROR(status);
  scatterer.finish();
  return ok_status();
}

// --- ScatterND ---

Status infer_scatter_nd(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(reduction_of(ctx.attr_string("reduction")).status());
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 1));
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 1, 1));
  const Shape &data = ctx.shape(0), &indices = ctx.shape(1), &updates = ctx.shape(2);
  const Dim& depth = indices.back();
  if (!depth.is_constant()) {
    return unsupported(cat("input 1 (indices): the last dim ", depth.to_string(),
                           " is not known at build time"));
  }
  if (depth.value() < 1 || depth.value() > ctx.rank(0)) {
    return invalid_argument(cat("input 1 (indices): the last dim is ", depth.value(),
                                ", expected 1 to ", ctx.rank(0)));
  }
  Shape expected(indices.begin(), indices.end() - 1);
  expected.insert(expected.end(), data.begin() + depth.value(), data.end());
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 2, int(expected.size()), int(expected.size())));
  for (size_t d = 0; d < expected.size(); ++d) {
    PLANISH_RETURN_IF_ERROR(
        check_same_dim(cat("input 2 (updates), dim ", d), updates[d], expected[d]));
  }
  return set_sized_output(ctx, 0, ctx.dtype(0), data);
}

Status evaluate_scatter_nd(EvalContext& ctx) {
  const Tensor &data = ctx.input(0), &indices = ctx.input(1);
  PLANISH_ASSIGN_OR_RETURN(const Reduction reduction, reduction_of(ctx.attr_string("reduction")));
  const int depth = int(indices.dims().back());
  const std::vector<int64_t> strides = ir::strides_of(data.dims());
  const int64_t slice = product(data.dims(), depth, data.rank());
  const int64_t rows = indices.count() / depth;
  Scatterer scatterer(data, ctx.input(2), ctx.output(0), reduction);
  for (int64_t row = 0; row < rows; ++row) {
    int64_t to = 0;
    for (int k = 0; k < depth; ++k) {
      const int64_t position = row * depth + k, size = data.dim(k);
      const std::optional<int64_t> at = wrap_index(indices.i64(position), size);
      if (!at) return bad_index(indices.i64(position), position, size, k);
      to += *at * strides[size_t(k)];
    }
    scatterer.put(to, row * slice, slice);
  }
  scatterer.finish();
  return ok_status();
}

opdef::OpDef scatter_def(std::string name, std::string doc, opdef::TypeSet index_types,
                         Status (*infer)(InferContext&), Status (*evaluate)(EvalContext&)) {
  opdef::OpDef def;
  def.name = std::move(name);
  def.doc = std::move(doc);
  def.inputs = {operand("data", opdef::kAnyType, "tensor to change a copy of"),
                operand("indices", index_types, "positions; negative count from the back", ""),
                operand("updates", opdef::kAnyType, "new elements")};
  def.outputs = {operand("output", opdef::kAnyType, "the changed copy")};
  def.attrs = {opdef::string_attr("reduction", "none", "none, add, mul, max or min")};
  def.infer = infer;
  def.evaluate = evaluate;
  return def;
}

// reduction of the TensorScatter operators.
std::string reduction_of(std::string_view type) {
  if (type == "TensorScatterAdd" || type == "TensorScatterSub" || type == "ScatterNd") return "add";
  if (type == "TensorScatterMax") return "max";
  if (type == "TensorScatterMin") return "min";
  return "none";
}
Status import_tensor_scatter(const opdef::NodeView& node, opdef::ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value* updates = c.in(2);
  if (node.op_type() == "TensorScatterSub") updates = c.op("Neg", {updates});
  return c.finish({c.op("ScatterND", {c.in(0), c.i64(c.in(1)), updates},
                        {{"reduction", reduction_of(node.op_type())}})});
}
Status import_scatter_nd(const opdef::NodeView& node, opdef::ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value* updates = c.in(1);
  ir::Value* zeros = c.filled(c.i64(c.in(2)), 0, c.dtype(updates));
  return c.finish({c.op("ScatterND", {zeros, c.i64(c.in(0)), updates},
                        {{"reduction", std::string("add")}})});
}

}  // namespace

void register_scatter(opdef::OpRegistry& registry) {
  opdef::OpDef elements = scatter_def(
      "ScatterElements",
      "Each update goes to its own position, with the index in place of the position on `axis`.",
      opdef::kIndices, infer_scatter_elements, evaluate_scatter_elements);
  elements.attrs.push_back(opdef::int_attr("axis", 0, "dim that the index stands for"));
  // Scatter is its name of opset 9 and 10.
  elements.onnx = {{"Scatter", ""}, {"ScatterElements", ""}};
  registry.add(std::move(elements));

  opdef::OpDef nd = scatter_def("ScatterND",
                           "Slices of `updates` go to the places that the index tuples in the last "
                           "dim of `indices` name.",
                           opdef::kInt64, infer_scatter_nd, evaluate_scatter_nd);
  for (const char* tf : {"TensorScatterAdd", "TensorScatterMax", "TensorScatterMin",
                         "TensorScatterSub", "TensorScatterUpdate"})
    nd.tensorflow.push_back(tensorflow(tf, import_tensor_scatter));
  nd.tensorflow.push_back(tensorflow("ScatterNd", import_scatter_nd));
  const std::vector<opdef::ImportRule> more = segment_rules();
  nd.tensorflow.insert(nd.tensorflow.end(), more.begin(), more.end());
  registry.add(std::move(nd));
}

}  // namespace planish::ops
