// The reader of wire.h. Broken bytes and findings of its own are exceptions inside of this file (see
// message_reader.h); read_model() and read_tensor() turn them into a Status with the path of the field
// that was being read ("graph.node[3].attribute[0]: ..."). No exception leaves this file.
#include "frontend/onnx/wire.h"

#include <cstring>

#include "base/quote.h"
#include "base/text.h"
#include "frontend/wire/message_reader.h"

namespace planish::frontend::onnx {
namespace {

using protozero::pbf_wire_type;
using wire::fail;
using wire::Fields;
using wire::guarded;

class Reader : public wire::MessageReader {
 public:
  using MessageReader::MessageReader;

  void model(std::string_view bytes, ModelDesc& model);
  void tensor(std::string_view bytes, TensorDesc& tensor);

 private:
  void graph(std::string_view bytes, GraphDesc& graph, int64_t depth);
  void node(std::string_view bytes, NodeDesc& node, int64_t depth);
  void attribute(std::string_view bytes, AttributeDesc& attribute, int64_t depth);
  void sparse_tensor(std::string_view bytes, SparseTensorDesc& tensor);
  void value_info(std::string_view bytes, ValueInfoDesc& info);
  void type(std::string_view bytes, TypeDesc& type);
  void tensor_type(std::string_view bytes, TypeDesc& type);
  void shape(std::string_view bytes, TypeDesc& type);
  void dim(std::string_view bytes, DimDesc& dim);
  void function(std::string_view bytes, FunctionDesc& function);
  void opset(std::string_view bytes, OpsetDesc& opset);
  void pair(std::string_view bytes, StringPair& pair);
  void dims(std::string_view packed, std::vector<int64_t>& dims);

  void count_metadata(size_t bytes) {
    metadata_bytes_ += int64_t(bytes);
    if (metadata_bytes_ > limits_.max_metadata_bytes)
      fail(resource_exhausted(cat("metadata takes more than the limit max_metadata_bytes (",
                                  limits_.max_metadata_bytes, ")")));
  }
  NodeDesc& next_node(std::vector<NodeDesc>& nodes) {
    count_node();
    return nodes.emplace_back();
  }

  int64_t metadata_bytes_ = 0;
};

void Reader::pair(std::string_view bytes, StringPair& pair) {
  for (Fields f(bytes); f.next();) {
    if (f.tag() == 1) pair.first = f.bytes();
    else if (f.tag() == 2) pair.second = f.bytes();
    else f.skip();
  }
}

void Reader::opset(std::string_view bytes, OpsetDesc& opset) {
  for (Fields f(bytes); f.next();) {
    if (f.tag() == 1) opset.domain = name(f.bytes());
    else if (f.tag() == 2) opset.version = f.integer();
    else f.skip();
  }
}

void Reader::dims(std::string_view packed, std::vector<int64_t>& dims) {
  const char* at = packed.data();
  const char* end = at + packed.size();
  while (at != end) {
    if (int64_t(dims.size()) >= limits_.max_rank)
      fail(resource_exhausted(
          cat("a tensor has more dims than the limit max_rank (", limits_.max_rank, ")")));
    dims.push_back(int64_t(protozero::decode_varint(&at, end)));
  }
}

void Reader::tensor(std::string_view bytes, TensorDesc& tensor) {
  const auto chunk = [&](Chunk::Kind kind, std::string_view data) {
    tensor.chunks.push_back({kind, data});
  };
  for (Fields f(bytes); f.next();) {
    switch (f.tag()) {
      case 1: dims(f.scalars(pbf_wire_type::varint), tensor.dims); break;
      case 2: tensor.data_type = f.integer(); break;
      case 3: tensor.has_segment = true; f.skip(); break;
      case 4: chunk(Chunk::Kind::kFloat, f.scalars(pbf_wire_type::fixed32)); break;
      case 5: chunk(Chunk::Kind::kInt32, f.scalars(pbf_wire_type::varint)); break;
      case 6: chunk(Chunk::Kind::kString, f.bytes()); break;
      case 7: chunk(Chunk::Kind::kInt64, f.scalars(pbf_wire_type::varint)); break;
      case 8: tensor.name = name(f.bytes()); break;
      case 9: tensor.raw = f.bytes(); break;
      case 10: chunk(Chunk::Kind::kDouble, f.scalars(pbf_wire_type::fixed64)); break;
      case 11: chunk(Chunk::Kind::kUint64, f.scalars(pbf_wire_type::varint)); break;
      case 13: pair(f.bytes(), tensor.external.emplace_back()); break;
      case 14: {
        const int64_t location = f.integer();
        if (location != 0 && location != 1)
          fail(invalid_argument(cat("data_location is ", location, ", expected 0 or 1")));
        tensor.is_external = location == 1;
        break;
      }
      default: f.skip();
    }
  }
}

void Reader::sparse_tensor(std::string_view bytes, SparseTensorDesc& sparse) {
  for (Fields f(bytes); f.next();) {
    if (f.tag() == 1) {
      Step step(*this, "values");
      tensor(f.bytes(), sparse.values);
      sparse.has_values = true;
    } else if (f.tag() == 2) {
      Step step(*this, "indices");
      tensor(f.bytes(), sparse.indices);
      sparse.has_indices = true;
    } else if (f.tag() == 3) {
      dims(f.scalars(pbf_wire_type::varint), sparse.dims);
    } else {
      f.skip();
    }
  }
}

void Reader::dim(std::string_view bytes, DimDesc& dim) {
  for (Fields f(bytes); f.next();) {
    if (f.tag() == 1) {
      dim.value = f.integer();
      dim.kind = DimDesc::Kind::kValue;
    } else if (f.tag() == 2) {
      dim.param = name(f.bytes());
      dim.kind = dim.param.empty() ? DimDesc::Kind::kUnknown : DimDesc::Kind::kParam;
    } else {
      f.skip();
    }
  }
}

void Reader::shape(std::string_view bytes, TypeDesc& type) {
  for (Fields f(bytes); f.next();) {
    if (f.tag() != 1) {
      f.skip();
      continue;
    }
    if (int64_t(type.dims.size()) >= limits_.max_rank)
      fail(resource_exhausted(
          cat("a shape has more dims than the limit max_rank (", limits_.max_rank, ")")));
    Step step(*this, "dim", int64_t(type.dims.size()));
    dim(f.bytes(), type.dims.emplace_back());
  }
}

void Reader::tensor_type(std::string_view bytes, TypeDesc& type) {
  for (Fields f(bytes); f.next();) {
    if (f.tag() == 1) {
      type.elem_type = f.integer();
    } else if (f.tag() == 2) {
      type.has_shape = true;
      shape(f.bytes(), type);
    } else {
      f.skip();
    }
  }
}

void Reader::type(std::string_view bytes, TypeDesc& type) {
  using Kind = TypeDesc::Kind;
  const auto become = [&](Kind kind) {
    if (type.kind != kind) type = TypeDesc{};  // a oneof: the last one counts
    type.kind = kind;
  };
  for (Fields f(bytes); f.next();) {
    switch (f.tag()) {
      case 1: become(Kind::kTensor); tensor_type(f.bytes(), type); break;
      case 8: become(Kind::kSparseTensor); tensor_type(f.bytes(), type); break;
      // What these hold is not looked at: values of such types are refused by their kind.
      case 4: become(Kind::kSequence); f.skip(); break;
      case 5: become(Kind::kMap); f.skip(); break;
      case 7: become(Kind::kOpaque); f.skip(); break;
      case 9: become(Kind::kOptional); f.skip(); break;
      default: f.skip();
    }
  }
}

void Reader::value_info(std::string_view bytes, ValueInfoDesc& info) {
  for (Fields f(bytes); f.next();) {
    if (f.tag() == 1) {
      info.name = name(f.bytes());
    } else if (f.tag() == 2) {
      Step step(*this, "type");
      type(f.bytes(), info.type);
    } else {
      f.skip();
    }
  }
  if (info.name.empty()) fail(invalid_argument("a value without a name"));
}

void Reader::attribute(std::string_view bytes, AttributeDesc& attribute, int64_t depth) {
  const auto seen = [&](AttrType type) { attribute.present |= 1u << int(type); };
  for (Fields f(bytes); f.next();) {
    switch (f.tag()) {
      case 1: attribute.name = name(f.bytes()); break;
      case 21: attribute.ref = name(f.bytes()); break;
      case 20: {
        const int64_t type = f.integer();
        if (type < 0 || type > int64_t(AttrType::kTypes))
          fail(invalid_argument(cat("attribute ", quoted(attribute.name), " has type number ", type,
                                    ", which ONNX does not define")));
        attribute.type = AttrType(type);
        break;
      }
      case 2: attribute.f = f.float32(); seen(AttrType::kFloat); break;
      case 3: attribute.i = f.integer(); seen(AttrType::kInt); break;
      case 4: attribute.s = f.bytes(); seen(AttrType::kString); break;
      case 5: {
        Step step(*this, "t");
        if (!attribute.t) attribute.t = std::make_unique<TensorDesc>();
        tensor(f.bytes(), *attribute.t);
        seen(AttrType::kTensor);
        break;
      }
      case 6: {
        Step step(*this, "g");
        if (!attribute.g) attribute.g = std::make_unique<GraphDesc>();
        graph(f.bytes(), *attribute.g, depth + 1);
        seen(AttrType::kGraph);
        break;
      }
      case 22: {
        Step step(*this, "sparse_tensor");
        if (!attribute.sparse) attribute.sparse = std::make_unique<SparseTensorDesc>();
        sparse_tensor(f.bytes(), *attribute.sparse);
        seen(AttrType::kSparseTensor);
        break;
      }
      case 14: {
        Step step(*this, "tp");
        if (!attribute.tp) attribute.tp = std::make_unique<TypeDesc>();
        type(f.bytes(), *attribute.tp);
        seen(AttrType::kType);
        break;
      }
      case 7:
        attribute.floats.push_back({Chunk::Kind::kFloat, f.scalars(pbf_wire_type::fixed32)});
        seen(AttrType::kFloats);
        break;
      case 8:
        attribute.ints.push_back({Chunk::Kind::kInt64, f.scalars(pbf_wire_type::varint)});
        seen(AttrType::kInts);
        break;
      case 9: attribute.strings.push_back(f.bytes()); seen(AttrType::kStrings); break;
      case 10: f.skip(); seen(AttrType::kTensors); break;
      case 11: f.skip(); seen(AttrType::kGraphs); break;
      case 23: f.skip(); seen(AttrType::kSparseTensors); break;
      case 15: f.skip(); seen(AttrType::kTypes); break;
      default: f.skip();
    }
  }
  if (attribute.name.empty()) fail(invalid_argument("an attribute without a name"));
}

void Reader::node(std::string_view bytes, NodeDesc& node, int64_t depth) {
  for (Fields f(bytes); f.next();) {
    switch (f.tag()) {
      case 1: node.inputs.push_back(name(f.bytes())); break;
      case 2: node.outputs.push_back(name(f.bytes())); break;
      case 3: node.name = name(f.bytes()); break;
      case 4: node.op_type = name(f.bytes()); break;
      case 7: node.domain = name(f.bytes()); break;
      case 8: node.overload = name(f.bytes()); break;
      case 5: {
        Step step(*this, "attribute", int64_t(node.attributes.size()));
        attribute(f.bytes(), node.attributes.emplace_back(), depth);
        break;
      }
      default: f.skip();
    }
  }
  if (node.op_type.empty()) fail(invalid_argument(cat("node ", quoted(node.name), " has no op_type")));
  if (node.domain == "ai.onnx") node.domain = {};
}

void Reader::graph(std::string_view bytes, GraphDesc& graph, int64_t depth) {
  if (depth > limits_.max_nesting)
    fail(resource_exhausted(cat("graphs are nested deeper than the limit max_nesting (",
                                limits_.max_nesting, ")")));
  const auto info = [&](const char* field, std::string_view data, std::vector<ValueInfoDesc>& list) {
    Step step(*this, field, int64_t(list.size()));
    value_info(data, list.emplace_back());
  };
  for (Fields f(bytes); f.next();) {
    switch (f.tag()) {
      case 1: {
        Step step(*this, "node", int64_t(graph.nodes.size()));
        node(f.bytes(), next_node(graph.nodes), depth);
        break;
      }
      case 2: graph.name = name(f.bytes()); break;
      case 5: {
        Step step(*this, "initializer", int64_t(graph.initializers.size()));
        TensorDesc& added = graph.initializers.emplace_back();
        tensor(f.bytes(), added);
        if (added.name.empty()) fail(invalid_argument("an initializer without a name"));
        break;
      }
      case 15: {
        Step step(*this, "sparse_initializer", int64_t(graph.sparse_initializers.size()));
        SparseTensorDesc& added = graph.sparse_initializers.emplace_back();
        sparse_tensor(f.bytes(), added);
        if (added.values.name.empty()) fail(invalid_argument("a sparse initializer without a name"));
        break;
      }
      case 11: info("input", f.bytes(), graph.inputs); break;
      case 12: info("output", f.bytes(), graph.outputs); break;
      case 13: info("value_info", f.bytes(), graph.value_infos); break;
      default: f.skip();
    }
  }
}

void Reader::function(std::string_view bytes, FunctionDesc& function) {
  for (Fields f(bytes); f.next();) {
    switch (f.tag()) {
      case 1: function.name = name(f.bytes()); break;
      case 4: function.inputs.push_back(name(f.bytes())); break;
      case 5: function.outputs.push_back(name(f.bytes())); break;
      case 6: function.attributes.push_back(name(f.bytes())); break;
      case 11: {
        Step step(*this, "attribute_proto", int64_t(function.attribute_defaults.size()));
        attribute(f.bytes(), function.attribute_defaults.emplace_back(), 0);
        break;
      }
      case 7: {
        Step step(*this, "node", int64_t(function.nodes.size()));
        node(f.bytes(), next_node(function.nodes), 0);
        break;
      }
      case 9: opset(f.bytes(), function.opsets.emplace_back()); break;
      case 10: function.domain = name(f.bytes()); break;
      case 13: function.overload = name(f.bytes()); break;
      default: f.skip();
    }
  }
  if (function.name.empty()) fail(invalid_argument("a function without a name"));
  if (function.domain == "ai.onnx") function.domain = {};
}

void Reader::model(std::string_view bytes, ModelDesc& model) {
  for (Fields f(bytes); f.next();) {
    switch (f.tag()) {
      case 1: model.ir_version = f.integer(); model.has_ir_version = true; break;
      case 2: count_metadata((model.producer_name = f.bytes()).size()); break;
      case 3: count_metadata((model.producer_version = f.bytes()).size()); break;
      case 4: count_metadata((model.domain = f.bytes()).size()); break;
      case 5: model.model_version = f.integer(); break;
      case 6: count_metadata((model.doc = f.bytes()).size()); break;
      case 7: {
        Step step(*this, "graph");
        if (!model.graph) model.graph.emplace();
        graph(f.bytes(), *model.graph, 0);
        break;
      }
      case 8: opset(f.bytes(), model.opsets.emplace_back()); break;
      case 14: {
        StringPair& entry = model.metadata.emplace_back();
        pair(f.bytes(), entry);
        count_metadata(entry.first.size() + entry.second.size() + sizeof(StringPair));
        break;
      }
      case 20: model.has_training_info = true; f.skip(); break;
      case 25: {
        if (int64_t(model.functions.size()) >= limits_.max_functions)
          fail(resource_exhausted(cat("the model has more functions than the limit max_functions (",
                                      limits_.max_functions, ")")));
        Step step(*this, "functions", int64_t(model.functions.size()));
        function(f.bytes(), model.functions.emplace_back());
        break;
      }
      default: f.skip();
    }
  }
}

}  // namespace

std::string_view name_of(AttrType type) {
  static constexpr std::string_view kNames[] = {
      "UNDEFINED", "FLOAT",   "INT",    "STRING",        "TENSOR",         "GRAPH",      "FLOATS",
      "INTS",      "STRINGS", "TENSORS", "GRAPHS", "SPARSE_TENSOR", "SPARSE_TENSORS", "TYPE_PROTO",
      "TYPE_PROTOS"};
  return kNames[size_t(type)];
}

std::string_view name_of(TypeDesc::Kind kind) {
  static constexpr std::string_view kNames[] = {"no type",  "tensor",        "sequence", "map",
                                                "optional", "sparse_tensor", "opaque"};
  return kNames[size_t(kind)];
}

Result<ModelDesc> read_model(std::string_view bytes, const Limits& limits) {
  if (int64_t(bytes.size()) > limits.max_file_bytes)
    return resource_exhausted(cat("the model has ", bytes.size(),
                                  " bytes, more than the limit max_file_bytes (",
                                  limits.max_file_bytes, ")"));
  ModelDesc model;
  Reader reader(limits);
  PLANISH_RETURN_IF_ERROR(guarded(reader, [&] { reader.model(bytes, model); }));
  return model;
}

Result<TensorDesc> read_tensor(std::string_view bytes, const Limits& limits) {
  TensorDesc tensor;
  Reader reader(limits);
  PLANISH_RETURN_IF_ERROR(guarded(reader, [&] { reader.tensor(bytes, tensor); }));
  return tensor;
}

Result<std::vector<float>> decode_floats(const std::vector<Chunk>& chunks) {
  size_t count = 0;
  for (const Chunk& chunk : chunks) {
    if (chunk.bytes.size() % sizeof(float) != 0)
      return data_loss(cat("packed floats take ", chunk.bytes.size(),
                           " bytes, expected a multiple of 4"));
    count += chunk.bytes.size() / sizeof(float);
  }
  std::vector<float> values(count);
  char* to = reinterpret_cast<char*>(values.data());
  for (const Chunk& chunk : chunks) {
    if (!chunk.bytes.empty()) std::memcpy(to, chunk.bytes.data(), chunk.bytes.size());
    to += chunk.bytes.size();
  }
  return values;
}

Result<std::vector<int64_t>> decode_ints(const std::vector<Chunk>& chunks) {
  std::vector<int64_t> values;
  try {
    for (const Chunk& chunk : chunks) {
      const char* at = chunk.bytes.data();
      const char* end = at + chunk.bytes.size();
      while (at != end) values.push_back(int64_t(protozero::decode_varint(&at, end)));
    }
  } catch (const protozero::exception& e) {
    return data_loss(cat("packed integers are damaged (", e.what(), ")"));
  }
  return values;
}

}  // namespace planish::frontend::onnx
