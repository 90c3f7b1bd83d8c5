// Complex numbers, which no operator of ours knows, as pairs of tensors. Operators that treat both parts
// alike run once on each; the others have a rule that takes the parts of each operand one after the
// other, and gives them so.
#include "base/text.h"
#include "frontend/tensorflow/graph_importer.h"
#include "frontend/tensorflow/tensor_proto.h"

namespace planish::frontend::tensorflow {
namespace {

struct Row {
  std::string_view op, rule;
  bool gives_complex;
};
constexpr Row kRows[] = {
    {"Angle", "Angle", false},
    {"ComplexAbs", "ComplexAbs", false},
    {"Exp", "Exp(complex64)", true},
    {"FFT", "FFT", true},
    {"FFT2D", "FFT2D", true},
    {"IFFT", "IFFT", true},
    {"IFFT2D", "IFFT2D", true},
    {"IRFFT", "IRFFT", false},
    {"IRFFT2D", "IRFFT2D", false},
    {"Mul", "Mul(complex64)", true},
    {"RFFT", "RFFT", true},
    {"RFFT2D", "RFFT2D", true},
    {"RealDiv", "RealDiv(complex64)", true},
};
const Row* row_of(std::string_view op) {
  for (const Row& row : kRows)
    if (row.op == op) return &row;
  return nullptr;
}

// f(a + ib) = f(a) + i f(b).
bool acts_on_parts(std::string_view op) {
  static const std::unordered_set<std::string_view> kOps = {
      "Add", "AddN", "AddV2", "BatchToSpaceND", "BroadcastTo", "ConcatV2", "ExpandDims", "GatherNd",
      "GatherV2", "Mean", "Neg", "Pack", "Pad", "Reshape", "ReverseV2", "Roll", "SelectV2", "Slice",
      "SpaceToBatchND", "Split", "SplitV", "Squeeze", "StridedSlice", "Sub", "Sum", "Tile", "Transpose",
      "UnsortedSegmentSum", "Unpack", "ZerosLike"};
  return kOps.count(op) > 0;
}
bool asks_for_shape(std::string_view op) {
  return op == "Shape" || op == "ShapeN" || op == "Size" || op == "Rank";
}

bool is_complex_type(const AttrDesc* attr) {
  return attr && attr->kind == AttrDesc::Kind::kType && attr->i == kComplex64;
}

}  // namespace

bool GraphImporter::is_complex(const NodeDesc& node, const Bindings& inputs) const {
  for (const Binding& input : inputs)
    if (input.kind == Binding::Kind::kComplex) return true;
  if (node.op == "Cast") return is_complex_type(node.attr("DstT"));
  for (std::string_view op : {"Complex", "Conj", "Imag", "RFFT", "RFFT2D", "Real"})
    if (node.op == op) return true;
  return false;
}

// Real and imaginary parts stand side by side: as content, or as floats of which a single pair stands
// for all elements.
Result<Binding> GraphImporter::complex_constant(ir::Graph& graph, const TensorDesc& desc,
                                                const std::string& name) {
  constexpr int64_t kFloat = 1;
  constexpr int kFloatField = 5, kComplexField = 9;
  std::string floats(desc.content.value_or(std::string_view()));
  for (const ValueChunk& chunk : desc.chunks)
    if (chunk.field == kComplexField && !desc.content) floats += chunk.bytes;
  ir::Tensor parts[2];
  if (!desc.content && floats.size() == 8) {
    for (size_t i = 0; i < 2; ++i) {
      const ValueChunk one{ValueChunk::Kind::kFixed32, kFloatField, std::string_view(floats).substr(4 * i, 4)};
      PLANISH_ASSIGN_OR_RETURN(
          parts[i], to_tensor(TensorDesc{kFloat, desc.shape, std::nullopt, {one}}, options_.limits));
    }
  } else {
    ShapeDesc pairs = desc.shape;
    pairs.dims.push_back(2);
    PLANISH_ASSIGN_OR_RETURN(const ir::Tensor both,
                             to_tensor(TensorDesc{kFloat, pairs, std::string_view(floats), {}}, options_.limits));
    for (int64_t i = 0; i < 2; ++i) {
      parts[i] = ir::Tensor(ir::DataType::kF32, desc.shape.dims);
      for (int64_t k = 0; k < parts[i].count(); ++k) parts[i].set_f64(k, both.f64(2 * k + i));
    }
  }
  ir::Value* real = graph.add_constant(graph.unique_name(name), std::move(parts[0]));
  return Binding::complex(real, graph.add_constant(graph.unique_name(name + "/imaginary"), std::move(parts[1])));
}

Status GraphImporter::import_complex(Scope& scope, int node, const Bindings& inputs) {
  const NodeDesc& desc = scope.source->node(node);
  const int ports = scope.source->port_count(node);
  const std::string source = source_name(scope, desc);
  opdef::ImportContext context = this->context(scope, source);
  const auto give = [&](Binding one) { return set_outputs(scope, node, {std::move(one)}), ok_status(); };
  const auto is_pair = [&](size_t i) {
    return i < inputs.size() && inputs[i].kind == Binding::Kind::kComplex;
  };
  if (desc.op == "Complex") {
    if (inputs.size() != 2 || is_pair(0) || is_pair(1)) return invalid_argument("expected two real parts");
    return give(Binding::complex(inputs[0].value, inputs[1].value));
  }
  if (inputs.empty()) return invalid_argument("it reads nothing");
  if ((desc.op == "Real" || desc.op == "Conj") && !is_pair(0)) return give(inputs[0]);
  if (desc.op == "Imag" && !is_pair(0)) return unsupported("its input is real");
  if (desc.op == "Real" || desc.op == "Imag")
    return give(Binding::of(desc.op == "Real" ? inputs[0].value : inputs[0].imaginary));
  if (desc.op == "Conj") {
    PLANISH_ASSIGN_OR_RETURN(ir::Value * negative, context.add1("Neg", {inputs[0].imaginary}));
    return give(Binding::complex(inputs[0].value, negative));
  }
  if (desc.op == "Cast") {
    if (is_pair(0) && is_complex_type(desc.attr("DstT"))) return give(inputs[0]);
    const AttrDesc* target = desc.attr("DstT");
    PLANISH_ASSIGN_OR_RETURN(const ir::DataType type,
                             is_pair(0) && target ? data_type(target->i) : ir::DataType::kF32);
    PLANISH_ASSIGN_OR_RETURN(ir::Value * real, context.add1("Cast", {inputs[0].value}, {{"to", type}}));
    if (is_pair(0)) return give(Binding::of(real));
    PLANISH_ASSIGN_OR_RETURN(ir::Value * zero, context.add1("Sub", {real, real}));
    return give(Binding::complex(real, zero));
  }
  const Row* row = row_of(desc.op);
  std::vector<ir::Value*> real, imaginary, both;
  for (const Binding& input : inputs) {
    const bool has_two = input.kind == Binding::Kind::kComplex;
    real.push_back(input.value);
    imaginary.push_back(has_two ? input.imaginary : input.value);
    both.push_back(input.value);
    if (has_two) both.push_back(input.imaginary);
  }
  if (row) {
    const int parts = row->gives_complex ? 2 : 1;
    PLANISH_ASSIGN_OR_RETURN(const auto out, apply_rule(scope, node, row->rule, std::move(both), parts));
    return give(parts == 2 ? Binding::complex(out[0], out[1]) : Binding::of(out[0]));
  }
  Bindings outputs;
  if (asks_for_shape(desc.op)) {
    PLANISH_ASSIGN_OR_RETURN(const auto out, apply_rule(scope, node, desc.op, std::move(real), ports));
    for (ir::Value* value : out) outputs.push_back(Binding::of(value));
  } else if (acts_on_parts(desc.op)) {
    PLANISH_ASSIGN_OR_RETURN(const auto first, apply_rule(scope, node, desc.op, std::move(real), ports));
    PLANISH_ASSIGN_OR_RETURN(
        const auto second, apply_rule(scope, node, desc.op, std::move(imaginary), ports, "/imaginary"));
    for (size_t i = 0; i < first.size(); ++i) outputs.push_back(Binding::complex(first[i], second[i]));
  } else {
    return unsupported("it computes with complex numbers");
  }
  set_outputs(scope, node, std::move(outputs));
  return ok_status();
}

}  // namespace planish::frontend::tensorflow
