// Constant, ConstantOfShape and EyeLike: tensors made of nothing but attributes and dims. ONNX's
// Constant nodes become graph constants at import; the op exists for graphs written by hand.
#include "base/text.h"
#include "ops/composer.h"
#include "ops/content.h"
#include "ops/movement.h"
#include "opdef/import.h"
#include "opdef/onnx_types.h"

namespace planish::ops {
namespace {

const Tensor* tensor_attr(const ir::Attributes& attrs) {
  auto found = attrs.find("value");
  return found == attrs.end() ? nullptr : std::get_if<Tensor>(&found->second);
}

// --- Constant ---

Status infer_constant(InferContext& ctx) {
  const Tensor* value = tensor_attr(ctx.attrs());
  return set_sized_output(ctx, 0, value->dtype(), ir::to_shape(value->dims()));
}

Status evaluate_constant(EvalContext& ctx) {
  ctx.set_output(0, tensor_attr(ctx.attrs())->converted(ctx.output_dtype(0)));
  return ok_status();
}

Result<Tensor> constant_value(const std::string& key, const ir::Attribute& value) {
  if (key == "value" || key == "sparse_value") {
    if (const Tensor* tensor = std::get_if<Tensor>(&value)) return *tensor;
  } else if (key == "value_float") {
    if (const double* v = std::get_if<double>(&value)) return Tensor::scalar_f32(float(*v));
  } else if (key == "value_int") {
    if (const int64_t* v = std::get_if<int64_t>(&value)) return Tensor::scalar_i64(*v);
  } else if (key == "value_floats") {
    if (const auto* v = std::get_if<std::vector<double>>(&value)) {
      return Tensor::from_f64(DataType::kF32, {int64_t(v->size())}, *v);
    }
    // An empty list carries no type of its own.
    if (const auto* v = std::get_if<std::vector<int64_t>>(&value); v && v->empty()) {
      return Tensor(DataType::kF32, {0});
    }
  } else if (key == "value_ints") {
    if (const auto* v = std::get_if<std::vector<int64_t>>(&value)) return Tensor::vector_i64(*v);
  } else if (key == "value_string" || key == "value_strings") {
    return unsupported("tensors of type string are not supported");
  } else {
    return invalid_argument(cat("attribute '", key, "' is not one of Constant's"));
  }
  return invalid_argument(
      cat("attribute '", key, "': got kind ", opdef::name_of(opdef::kind_of(value))));
}

Status import_constant(const opdef::NodeView& node, opdef::ImportContext& context) {
  const std::vector<std::string> keys = node.attr_names();
  if (keys.size() != 1) {
    return invalid_argument(
        cat("got ", keys.size(), " attributes (", join(keys), "), expected one value"));
  }
  PLANISH_ASSIGN_OR_RETURN(Tensor tensor, constant_value(keys[0], *node.attr(keys[0])));
  context.set_output(0, context.constant(std::move(tensor)));
  return ok_status();
}

// --- ConstantOfShape ---

Status infer_constant_of_shape(InferContext& ctx) {
  const Tensor* value = tensor_attr(ctx.attrs());
  if (value && value->count() != 1) {
    return bad_attr("value", cat(value->count(), " elements"), "one");
  }
  const DataType dtype = value ? value->dtype() : DataType::kF32;
  const std::optional<std::vector<Dim>> dims = small_content(ctx, 0);
  PLANISH_ASSIGN_OR_RETURN(const int64_t rank, list_length(ctx, 0));
  Shape shape;
  for (int64_t i = 0; i < rank; ++i) {
    shape.push_back(dims ? (*dims)[size_t(i)] : data_dim(ctx, "shape"));
    if (shape.back().is_constant() && shape.back().value() < 0) {
      return invalid_argument(
          cat("input 0 (input): got dim ", shape.back().value(), ", expected 0 or more"));
    }
  }
  PLANISH_RETURN_IF_ERROR(set_sized_output(ctx, 0, dtype, std::move(shape)));
  if (value && carries_content(ctx, 0)) {
    const int64_t count = ir::element_count(ctx.outputs()[0].type.shape).value();
    ctx.set_content(0, std::vector<Dim>(size_t(count), Dim(value->i64(0))));
  }
  return ok_status();
}

Status evaluate_constant_of_shape(EvalContext& ctx) {
  Tensor& out = ctx.output(0);
  if (const Tensor* value = tensor_attr(ctx.attrs())) fill(out, value->converted(out.dtype()));
  return ok_status();
}

// --- EyeLike ---

Status infer_eye_like(InferContext& ctx) {
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 2, 2));
  auto dtype = ctx.attrs().find("dtype");
  return set_sized_output(
      ctx, 0, dtype == ctx.attrs().end() ? ctx.dtype(0) : std::get<DataType>(dtype->second),
      ctx.shape(0));
}

Status evaluate_eye_like(EvalContext& ctx) {
  Tensor& out = ctx.output(0);
  const int64_t rows = out.dim(0), columns = out.dim(1), k = ctx.attr_int("k");
  if (k >= columns || k <= -rows) return ok_status();
  for (int64_t i = std::max<int64_t>(0, -k); i < rows && i + k < columns; ++i) {
    ir::is_float(out.dtype()) ? out.set_f64(i * columns + i + k, 1)
                              : out.set_i64(i * columns + i + k, 1);
  }
  return ok_status();
}

Status import_eye_like(const opdef::NodeView& node, opdef::ImportContext& context) {
  if (!node.has_input(0)) return invalid_argument("input 0 (input) is missing");
  PLANISH_ASSIGN_OR_RETURN(const int64_t k, node.attr_int("k", 0));
  ir::Attributes attrs = {{"k", k}};
  if (node.has_attr("dtype")) {
    PLANISH_ASSIGN_OR_RETURN(const int64_t code, node.attr_int("dtype", 1));
    Result<DataType> dtype = opdef::data_type_from_onnx(code);
    if (!dtype.ok()) return dtype.status().at("attribute 'dtype'");
    attrs["dtype"] = *dtype;
  }
  PLANISH_ASSIGN_OR_RETURN(ir::Value* out,
                           context.add1("EyeLike", {node.input(0)}, std::move(attrs)));
  context.set_output(0, out);
  return ok_status();
}

template <int kValue>
Status import_like(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  ir::Value* x = c.in(0);
  return c.finish({c.filled(c.op("Shape", {x}), kValue, c.dtype(x))});
}

// Elements that are not said: zeros.
Status import_empty(const NodeView& node, ImportContext& ctx) {
  Composer c(node, ctx);
  return c.finish({c.filled(c.i64_list(c.in(0)), 0, c.attr_type("dtype", DataType::kF32))});
}

}  // namespace

void register_constant(opdef::OpRegistry& registry) {
  opdef::OpDef constant;
  constant.name = "Constant";
  constant.doc = "The tensor `value`. Importers make graph constants instead of nodes.";
  constant.outputs = {operand("output", opdef::kAnyType, "the tensor")};
  constant.attrs = {opdef::required_attr("value", opdef::AttrKind::kTensor, "the tensor")};
  constant.infer = infer_constant;
  constant.evaluate = evaluate_constant;
  constant.onnx = {{"Constant", "", 1, 1 << 30, import_constant}};
  registry.add(std::move(constant));

  opdef::OpDef of_shape;
  of_shape.name = "ConstantOfShape";
  of_shape.doc = "A tensor of the given dims, every element the one of `value` (default 0 in f32).";
  of_shape.inputs = {operand("input", opdef::kInt64, "dims, rank 1", "")};
  of_shape.outputs = {operand("output", opdef::kAnyType, "filled tensor", "")};
  of_shape.tensorflow = {tensorflow("ZerosLike", import_like<0>),
                         tensorflow("OnesLike", import_like<1>),
                         tensorflow("Empty", import_empty)};
  of_shape.attrs = {opdef::optional_attr("value", opdef::AttrKind::kTensor, "one element")};
  of_shape.host_inputs = 0b1;
  of_shape.infer = infer_constant_of_shape;
  of_shape.evaluate = evaluate_constant_of_shape;
  registry.add(std::move(of_shape));

  opdef::OpDef eye;
  eye.name = "EyeLike";
  eye.doc = "A matrix of the input's shape: ones on diagonal k, zeros elsewhere.";
  eye.inputs = {operand("input", opdef::kNumbers | opdef::kBools, "matrix, only its shape", "")};
  eye.outputs = {operand("output", opdef::kNumbers | opdef::kBools, "the diagonal", "")};
  eye.attrs = {opdef::int_attr("k", 0, "diagonal, positive above the main one"),
               opdef::optional_attr("dtype", opdef::AttrKind::kType,
                                    "element type, default the input's")};
  eye.infer = infer_eye_like;
  eye.evaluate = evaluate_eye_like;
  eye.onnx = {{"EyeLike", "", 1, 1 << 30, import_eye_like}};
  registry.add(std::move(eye));
}

}  // namespace planish::ops
