// TensorList (TF2) and TensorArray (TF1): lists of tensors of one shape. At places that are known
// during import, elements are simply remembered; otherwise the list is one dense tensor that is
// gathered from and scattered into. A TensorArray's state is its flow; the handle names nothing.
#include "base/quote.h"
#include "base/text.h"
#include "frontend/tensorflow/graph_importer.h"
#include "frontend/tensorflow/tensor_proto.h"

namespace planish::frontend::tensorflow {
namespace {

using ir::DataType;
using ir::Dim;
using ir::Shape;

std::optional<int64_t> known_int(const ir::Value* value) {
  if (value->constant && value->constant->count() == 1) return value->constant->i64(0);
  if (value->content && value->content->size() == 1 && (*value->content)[0].is_constant())
    return (*value->content)[0].value();
  return std::nullopt;
}

// 0, 1, 2, ...: the indices of all elements in order.
bool counts_up(const ir::Value* indices) {
  if (indices->constant) {
    const std::vector<int64_t> values = indices->constant->i64_values();
    for (size_t i = 0; i < values.size(); ++i)
      if (values[i] != int64_t(i)) return false;
    return true;
  }
  const ir::Node* node = indices->producer;
  while (node && node->op == "Cast") node = node->inputs[0]->producer;
  return node && node->op == "Range" && node->inputs[0]->constant && node->inputs[2]->constant &&
         node->inputs[0]->constant->f64(0) == 0 && node->inputs[2]->constant->f64(0) == 1;
}

// The element's shape from a shape operand; nullopt when a dim is open.
std::optional<Shape> shape_operand(const Binding& binding) {
  if (binding.kind != Binding::Kind::kValue) return std::nullopt;
  Shape out;
  if (binding.value->constant) {
    if (binding.value->constant->rank() != 1) return std::nullopt;  // -1: the rank is open
    for (int64_t dim : binding.value->constant->i64_values()) out.push_back(dim);
  } else if (binding.value->content && binding.value->type.rank() == 1) {
    out = *binding.value->content;
  } else {
    return std::nullopt;
  }
  for (const Dim& dim : out)
    if (dim.is_constant() && dim.value() < 0) return std::nullopt;
  return out;
}

Binding bind_list(ListDesc list) {
  Binding out;
  out.kind = Binding::Kind::kList;
  out.list = std::make_shared<ListDesc>(std::move(list));
  return out;
}

}  // namespace

// A dim as a value of rank 0: a constant, or taken from some value that has it.
Result<ir::Value*> GraphImporter::dim_value(ir::Graph& graph, const Dim& dim) {
  opdef::ImportContext context(registry_, graph, "list", 1);
  if (dim.is_constant()) return context.constant(ir::Tensor::scalar_i64(dim.value()));
  for (const auto& [id, value] : graph.values()) {
    const Shape& shape = value->type.shape;
    for (size_t axis = 0; axis < shape.size(); ++axis) {
      if (!(shape[axis] == dim)) continue;
      PLANISH_ASSIGN_OR_RETURN(ir::Value * dims, context.add1("Shape", {value.get()}));
      return context.add1("Gather", {dims, context.constant(ir::Tensor::scalar_i64(int64_t(axis)))},
                          {{"axis", int64_t(0)}});
    }
  }
  return unsupported(cat("a list's elements have the dim ", dim.to_string(),
                         ", which no value in front of it has"));
}

Result<ir::Value*> GraphImporter::zeros(ir::Graph& graph, const Shape& shape, ir::Value* length,
                                        DataType dtype) {
  opdef::ImportContext context(registry_, graph, "list", 1);
  std::vector<ir::Value*> dims;
  const auto add = [&](ir::Value* scalar) -> Status {
    PLANISH_ASSIGN_OR_RETURN(ir::Value * row,
                             context.add1("Unsqueeze", {scalar, context.constant_i64({0})}));
    dims.push_back(row);
    return ok_status();
  };
  if (length) PLANISH_RETURN_IF_ERROR(add(length));
  for (const Dim& dim : shape) {
    PLANISH_ASSIGN_OR_RETURN(ir::Value * scalar, dim_value(graph, dim));
    PLANISH_RETURN_IF_ERROR(add(scalar));
  }
  ir::Value* all = context.constant_i64({});
  if (!dims.empty()) {
    PLANISH_ASSIGN_OR_RETURN(all, context.add1("Concat", dims, {{"axis", int64_t(0)}}));
  }
  return context.add1("ConstantOfShape", {all}, {{"value", ir::Tensor(dtype, {1})}});
}

Result<Binding> GraphImporter::list_of(ir::Graph& graph, ir::Value* tensor, const ListDesc* like) {
  if (tensor->type.rank() < 1) return invalid_argument("a list is made of a scalar");
  ListDesc list;
  list.grows = like && like->grows;
  list.dtype = tensor->type.dtype;
  list.element = Shape(tensor->type.shape.begin() + 1, tensor->type.shape.end());
  list.dense = tensor;
  list.static_length = tensor->type.shape[0].constant();
  opdef::ImportContext context(registry_, graph, "list", 1);
  if (list.static_length) {
    list.length = context.constant(ir::Tensor::scalar_i64(*list.static_length));
  } else {
    PLANISH_ASSIGN_OR_RETURN(ir::Value * dims, context.add1("Shape", {tensor}));
    PLANISH_ASSIGN_OR_RETURN(
        list.length, context.add1("Gather", {dims, context.constant(ir::Tensor::scalar_i64(0))},
                                  {{"axis", int64_t(0)}}));
  }
  return bind_list(std::move(list));
}

Result<ir::Value*> GraphImporter::dense(ir::Graph& graph, const ListDesc& list) {
  if (list.elements.empty() && list.dense) return list.dense;
  if (!list.element) return unsupported("a list is read before its elements' shape is known");
  opdef::ImportContext context(registry_, graph, "list", 1);
  const auto row = [&](ir::Value* element) {
    return context.add1("Unsqueeze", {element, context.constant_i64({0})});
  };
  if (list.static_length && int64_t(list.elements.size()) == *list.static_length &&
      !list.elements.empty()) {
    std::vector<ir::Value*> rows;
    for (const auto& [index, element] : list.elements) {
      PLANISH_ASSIGN_OR_RETURN(ir::Value * one, row(element));
      rows.push_back(one);
    }
    return context.add1("Concat", rows, {{"axis", int64_t(0)}});
  }
  ir::Value* all = list.dense;
  if (!all) {
    if (!list.length) return unsupported("a list of unknown length is read as a whole");
    PLANISH_ASSIGN_OR_RETURN(all, zeros(graph, *list.element, list.length, list.dtype));
  }
  for (const auto& [index, element] : list.elements) {
    ir::Value* at = context.constant(
        ir::Tensor::vector_i64(std::vector<int64_t>{index}).reshaped({1, 1}));
    PLANISH_ASSIGN_OR_RETURN(ir::Value * one, row(element));
    PLANISH_ASSIGN_OR_RETURN(all, context.add1("ScatterND", {all, at, one}));
  }
  return all;
}

Result<Binding> GraphImporter::list_get(ir::Graph& graph, const ListDesc& list, ir::Value* index,
                                        const std::optional<Shape>& element) {
  const std::optional<int64_t> place = known_int(index);
  if (place) {
    if (const auto found = list.elements.find(*place); found != list.elements.end())
      return Binding::of(found->second);
    if (list.static_length && (*place < 0 || *place >= *list.static_length))
      return invalid_argument(cat("reads element ", *place, " of a list of ", *list.static_length));
  }
  if (place && !list.dense) {
    const std::optional<Shape>& shape = list.element ? list.element : element;
    if (!shape) return unsupported("a list is read before its elements' shape is known");
    PLANISH_ASSIGN_OR_RETURN(ir::Value * zero, zeros(graph, *shape, nullptr, list.dtype));
    return Binding::of(zero);
  }
  ir::Value* all = list.dense;
  if (!place) {
    PLANISH_ASSIGN_OR_RETURN(all, dense(graph, list));
  }
  opdef::ImportContext context(registry_, graph, "list", 1);
  PLANISH_ASSIGN_OR_RETURN(ir::Value * out,
                           context.add1("Gather", {all, index}, {{"axis", int64_t(0)}}));
  return Binding::of(out);
}

Result<Binding> GraphImporter::list_set(ir::Graph& graph, const ListDesc& before, ir::Value* index,
                                        ir::Value* item) {
  ListDesc list = before;
  if (!list.element) list.element = item->type.shape;
  if (item->type.dtype != list.dtype || item->type.rank() != int(list.element->size()))
    return invalid_argument(cat("puts ", ir::to_string(item->type), " into a list of ",
                                ir::name_of(list.dtype), ir::to_string(*list.element)));
  const std::optional<int64_t> place = known_int(index);
  if (place && list.static_length) {
    if (list.grows && *place >= *list.static_length) {
      list.static_length = *place + 1;
      list.length = opdef::ImportContext(registry_, graph, "list", 1)
                        .constant(ir::Tensor::scalar_i64(*place + 1));
    }
    if (*place < 0 || *place >= *list.static_length)
      return invalid_argument(cat("sets element ", *place, " of a list of ", *list.static_length));
    list.elements[*place] = item;
    return bind_list(std::move(list));
  }
  if (!list.length) return bind_list(std::move(list));  // tried out: only the shape matters
  opdef::ImportContext context(registry_, graph, "list", 1);
  if (list.grows) {
    PLANISH_ASSIGN_OR_RETURN(list, grown(graph, list, index));
  }
  PLANISH_ASSIGN_OR_RETURN(ir::Value * all, dense(graph, list));
  ir::Value* at = index;
  if (at->type.dtype != DataType::kI64) {
    PLANISH_ASSIGN_OR_RETURN(at, context.add1("Cast", {at}, {{"to", DataType::kI64}}));
  }
  PLANISH_ASSIGN_OR_RETURN(at, context.add1("Reshape", {at, context.constant_i64({1, 1})}));
  PLANISH_ASSIGN_OR_RETURN(ir::Value * row,
                           context.add1("Unsqueeze", {item, context.constant_i64({0})}));
  PLANISH_ASSIGN_OR_RETURN(list.dense, context.add1("ScatterND", {all, at, row}));
  list.elements.clear();
  return bind_list(std::move(list));
}

// With zeros behind it until it has the element.
Result<ListDesc> GraphImporter::grown(ir::Graph& graph, const ListDesc& before, ir::Value* index) {
  ListDesc list = before;
  opdef::ImportContext context(registry_, graph, "list", 1);
  PLANISH_ASSIGN_OR_RETURN(ir::Value * all, dense(graph, list));
  ir::Value* place = index;
  if (place->type.dtype != DataType::kI64) {
    PLANISH_ASSIGN_OR_RETURN(place, context.add1("Cast", {place}, {{"to", DataType::kI64}}));
  }
  PLANISH_ASSIGN_OR_RETURN(place, context.add1("Reshape", {place, context.constant_i64({})}));
  const auto scalar = [&](int64_t value) { return context.constant(ir::Tensor::scalar_i64(value)); };
  PLANISH_ASSIGN_OR_RETURN(ir::Value * wanted, context.add1("Add", {place, scalar(1)}));
  PLANISH_ASSIGN_OR_RETURN(ir::Value * missing, context.add1("Sub", {wanted, list.length}));
  PLANISH_ASSIGN_OR_RETURN(missing, context.add1("Max", {missing, scalar(0)}));
  PLANISH_ASSIGN_OR_RETURN(ir::Value * more, zeros(graph, *list.element, missing, list.dtype));
  PLANISH_ASSIGN_OR_RETURN(all, context.add1("Concat", {all, more}, {{"axis", int64_t(0)}}));
  PLANISH_ASSIGN_OR_RETURN(const Binding whole, list_of(graph, all, &before));
  return *whole.list;
}

// The elements behind each other: their first dims become one.
Result<ir::Value*> GraphImporter::joined(ir::Graph& graph, const ListDesc& list) {
  opdef::ImportContext context(registry_, graph, "list", 1);
  if (list.static_length && *list.static_length > 0 &&
      int64_t(list.elements.size()) == *list.static_length) {
    std::vector<ir::Value*> parts;
    for (const auto& [index, element] : list.elements) parts.push_back(element);
    return parts.size() == 1 ? parts[0] : context.add1("Concat", parts, {{"axis", int64_t(0)}});
  }
  PLANISH_ASSIGN_OR_RETURN(ir::Value * all, dense(graph, list));
  if (all->type.rank() < 2) return unsupported("it joins a list of scalars");
  PLANISH_ASSIGN_OR_RETURN(ir::Value * rest, context.add1("Shape", {all}, {{"start", int64_t(2)}}));
  PLANISH_ASSIGN_OR_RETURN(ir::Value * dims,
                           context.add1("Concat", {context.constant_i64({-1}), rest},
                                        {{"axis", int64_t(0)}}));
  return context.add1("Reshape", {all, dims});
}

// A tensor cut along its first dim.
Result<Binding> GraphImporter::list_of_parts(ir::Graph& graph, ir::Value* tensor,
                                             const std::vector<int64_t>& lengths) {
  opdef::ImportContext context(registry_, graph, "list", 1);
  ListDesc list;
  list.dtype = tensor->type.dtype;
  list.static_length = int64_t(lengths.size());
  list.length = context.constant(ir::Tensor::scalar_i64(int64_t(lengths.size())));
  PLANISH_ASSIGN_OR_RETURN(
      const std::vector<ir::Value*> parts,
      context.add("Split", {tensor, context.constant_i64(lengths)}, {{"axis", int64_t(0)}},
                  int(lengths.size())));
  for (size_t i = 0; i < parts.size(); ++i) list.elements[int64_t(i)] = parts[i];
  if (!parts.empty()) list.element = parts[0]->type.shape;
  for (int64_t length : lengths)
    if (length != lengths[0]) return unsupported("it cuts a tensor into parts of different lengths");
  return bind_list(std::move(list));
}

// One op; inputs are there and of the kinds that it needs, or it is refused.
Result<Binding> GraphImporter::list_op(Scope& scope, const NodeDesc& desc, const Bindings& inputs,
                                       opdef::ImportContext& context) {
  ir::Graph& graph = *scope.graph;
  const std::string_view op = desc.op;
  const auto list = [&](size_t i) -> const ListDesc* {
    return i < inputs.size() && inputs[i].kind == Binding::Kind::kList ? inputs[i].list.get()
                                                                       : nullptr;
  };
  const auto value = [&](size_t i) -> ir::Value* {
    return i < inputs.size() && inputs[i].kind == Binding::Kind::kValue ? inputs[i].value : nullptr;
  };
  const auto as_i64 = [&](ir::Value* x) -> Result<ir::Value*> {
    if (x->type.dtype == DataType::kI64) return x;
    if (x->constant) return context.constant(x->constant->converted(DataType::kI64));
    return context.add1("Cast", {x}, {{"to", DataType::kI64}});
  };
  const auto fresh = [&](ir::Value* length, std::string_view type_attr,
                         std::optional<Shape> element) -> Result<Binding> {
    ListDesc out;
    PLANISH_ASSIGN_OR_RETURN(out.dtype, data_type(desc.attr_int(type_attr, 0)));
    out.element = std::move(element);
    out.static_length = known_int(length);
    PLANISH_ASSIGN_OR_RETURN(out.length, as_i64(length));
    return bind_list(std::move(out));
  };

  if (op == "TensorListReserve" && value(1))
    return fresh(value(1), "element_dtype", shape_operand(inputs[0]));
  if (op == "TensorListFromTensor" && value(0)) return list_of(graph, value(0));
  if (op == "TensorListGetItem" && list(0) && value(1))
    return list_get(graph, *list(0), value(1),
                    inputs.size() > 2 ? shape_operand(inputs[2]) : std::nullopt);
  if (op == "EmptyTensorList")
    return fresh(context.constant(ir::Tensor::scalar_i64(0)), "element_dtype", shape_operand(inputs[0]));
  if (op == "TensorListSetItem" && list(0) && value(1) && value(2)) {
    ListDesc to = *list(0);
    to.grows = desc.attr_int("resize_if_index_out_of_bounds", 0) != 0;
    return list_set(graph, to, value(1), value(2));
  }
  if (op == "TensorListPushBack" && list(0) && value(1)) {
    ListDesc to = *list(0);
    to.grows = true;
    if (!to.length) return list_set(graph, to, value(1), value(1));  // tried out
    return list_set(graph, to, to.length, value(1));
  }
  if ((op == "TensorListConcat" || op == "TensorListConcatV2") && list(0)) {
    PLANISH_ASSIGN_OR_RETURN(ir::Value * all, joined(graph, *list(0)));
    return Binding::of(all);
  }
  if (op == "TensorArrayConcatV3" && list(1)) {
    PLANISH_ASSIGN_OR_RETURN(ir::Value * all, joined(graph, *list(1)));
    return Binding::of(all);
  }
  if (op == "TensorListSplit" && value(0) && value(2) && value(2)->constant)
    return list_of_parts(graph, value(0), value(2)->constant->i64_values());
  if (op == "TensorArraySplitV3" && value(1) && value(2) && value(2)->constant)
    return list_of_parts(graph, value(1), value(2)->constant->i64_values());
  if (op == "TensorListScatterV2" && value(0) && value(1)) {
    if (counts_up(value(1))) return list_of(graph, value(0));
    return unsupported("it scatters to other places than 0, 1, 2, ...");
  }
  if (op == "TensorArrayReadV3" && list(2) && value(1))
    return list_get(graph, *list(2), value(1), std::nullopt);
  if (op == "TensorArrayWriteV3" && list(3) && value(1) && value(2))
    return list_set(graph, *list(3), value(1), value(2));
  if (op == "TensorListStack" && list(0)) {
    ListDesc whole = *list(0);
    if (!whole.element && inputs.size() > 1) whole.element = shape_operand(inputs[1]);
    PLANISH_ASSIGN_OR_RETURN(ir::Value * all, dense(graph, whole));
    return Binding::of(all);
  }
  if (op == "TensorListLength" || op == "TensorArraySizeV3") {
    const ListDesc* of = list(op == "TensorListLength" ? 0 : 1);
    if (!of || !of->length) return unsupported("the list's length is not known");
    if (of->length->constant)
      return Binding::of(context.constant(of->length->constant->converted(DataType::kI32)));
    PLANISH_ASSIGN_OR_RETURN(ir::Value * length,
                             context.add1("Cast", {of->length}, {{"to", DataType::kI32}}));
    return Binding::of(length);
  }
  if ((op == "TensorArrayGatherV3" && list(2) && value(1)) ||
      (op == "TensorListGather" && list(0) && value(1))) {
    PLANISH_ASSIGN_OR_RETURN(ir::Value * all,
                             dense(graph, *list(op == "TensorArrayGatherV3" ? 2 : 0)));
    if (counts_up(value(1))) return Binding::of(all);
    PLANISH_ASSIGN_OR_RETURN(ir::Value * out,
                             context.add1("Gather", {all, value(1)}, {{"axis", int64_t(0)}}));
    return Binding::of(out);
  }
  if (op == "TensorArrayScatterV3" && list(3) && value(1) && value(2)) {
    if (counts_up(value(1))) return list_of(graph, value(2));
    return unsupported("it scatters to other places than 0, 1, 2, ...");
  }
  return unsupported("not a list operator that Planish knows, or not on such operands");
}

Status GraphImporter::import_list_op(Scope& scope, int node) {
  const NodeDesc& desc = scope.source->node(node);
  PLANISH_ASSIGN_OR_RETURN(const Bindings inputs, arguments(scope, node));
  for (const Binding& one : inputs) {
    if (one.kind == Binding::Kind::kRefused) return refuse_outputs(scope, node), ok_status();
    if (one.kind == Binding::Kind::kDead) {
      set_outputs(scope, node, {one, one});
      return ok_status();
    }
  }
  const std::string source = source_name(scope, desc);
  opdef::ImportContext context = this->context(scope, source);
  if (desc.op == "TensorArrayV3") {
    ListDesc list;
    PLANISH_ASSIGN_OR_RETURN(list.dtype, data_type(desc.attr_int("dtype", 0)));
    if (inputs.empty() || inputs[0].kind != Binding::Kind::kValue)
      return unsupported("its size is no tensor");
    ir::Value* size = inputs[0].value;
    list.static_length = known_int(size);
    list.grows = desc.attr_int("dynamic_size", 0) != 0;
    const AttrDesc* shape = desc.attr("element_shape");
    if (shape && !shape->shape.unknown_rank) {
      Shape element = ir::to_shape(shape->shape.dims);
      bool is_known = true;
      for (int64_t dim : shape->shape.dims) is_known = is_known && dim >= 0;
      if (is_known) list.element = std::move(element);
    }
    if (list.static_length) {
      list.length = context.constant(ir::Tensor::scalar_i64(*list.static_length));
    } else {
      PLANISH_ASSIGN_OR_RETURN(list.length,
                               context.add1("Cast", {size}, {{"to", DataType::kI64}}));
    }
    const Binding flow = bind_list(std::move(list));
    set_outputs(scope, node, {Binding(), flow});  // the handle names nothing
    return ok_status();
  }
  const ir::Node* before =
      scope.graph->nodes().empty() ? nullptr : scope.graph->nodes().back().get();
  PLANISH_ASSIGN_OR_RETURN(Binding out, list_op(scope, desc, inputs, context));
  if (out.kind == Binding::Kind::kValue) {
    std::vector<ir::Value*> values = {out.value};
    PLANISH_RETURN_IF_ERROR(fold_new_nodes(*scope.graph, before, values));
    out.value = values[0];
    give_name(*scope.graph, out.value, source);
  }
  set_outputs(scope, node, {out});
  return ok_status();
}

}  // namespace planish::frontend::tensorflow
