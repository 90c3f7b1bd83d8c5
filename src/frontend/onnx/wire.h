// The ONNX file format as small structs, and the reader that fills them from protobuf bytes.
//
// Strings and element data are views into the given bytes, which must outlive the structs; nothing
// is copied and no tensor is decoded here. The reader is strict where protobuf is lax: a known field
// with the wrong wire type, a group, invalid UTF-8 or a control character in a name is an error, not
// an unknown field. Repeated messages that are meaningless when empty (a node without an op, a
// tensor without a type) are refused as they are met, so that memory stays a small multiple of the
// file. A singular message given twice is merged, as protobuf says.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "base/status.h"

namespace planish::frontend::onnx {

// One stretch of a repeated scalar field, in protobuf's packed form.
struct Chunk {
  enum class Kind : uint8_t { kFloat, kInt32, kString, kInt64, kDouble, kUint64 };
  Kind kind;
  std::string_view bytes;
};

using StringPair = std::pair<std::string_view, std::string_view>;

struct TensorDesc {
  std::string_view name;
  std::vector<int64_t> dims;
  int64_t data_type = 0;
  std::optional<std::string_view> raw;
  std::vector<Chunk> chunks;
  std::vector<StringPair> external;
  bool is_external = false;
  bool has_segment = false;
};

struct SparseTensorDesc {
  TensorDesc values, indices;
  bool has_values = false, has_indices = false;
  std::vector<int64_t> dims;
};

struct GraphDesc;

enum class AttrType : int64_t {
  kUndefined = 0, kFloat = 1, kInt = 2, kString = 3, kTensor = 4, kGraph = 5, kFloats = 6,
  kInts = 7, kStrings = 8, kTensors = 9, kGraphs = 10, kSparseTensor = 11, kSparseTensors = 12,
  kType = 13, kTypes = 14,
};
std::string_view name_of(AttrType type);

// What a type says: the kind of value and, for tensors, element type and dims.
struct DimDesc {
  enum class Kind : uint8_t { kUnknown, kValue, kParam } kind = Kind::kUnknown;
  int64_t value = 0;
  std::string_view param;
};
struct TypeDesc {
  enum class Kind : uint8_t { kNone, kTensor, kSequence, kMap, kOptional, kSparseTensor, kOpaque };
  Kind kind = Kind::kNone;
  bool has_shape = false;
  int64_t elem_type = 0;
  std::vector<DimDesc> dims;
};
std::string_view name_of(TypeDesc::Kind kind);

struct AttributeDesc {
  std::string_view name;
  std::string_view ref;  // function attribute it stands for; empty: none
  AttrType type = AttrType::kUndefined;
  uint32_t present = 0;  // bit per AttrType whose field occurs
  float f = 0;
  int64_t i = 0;
  std::string_view s;
  std::unique_ptr<TensorDesc> t;
  std::unique_ptr<GraphDesc> g;
  std::unique_ptr<SparseTensorDesc> sparse;
  std::unique_ptr<TypeDesc> tp;
  std::vector<Chunk> floats, ints;
  std::vector<std::string_view> strings;

  bool has(AttrType kind) const { return present >> int(kind) & 1; }
};

struct NodeDesc {
  std::string_view name, op_type, domain, overload;
  std::vector<std::string_view> inputs, outputs;
  std::vector<AttributeDesc> attributes;
};

struct ValueInfoDesc {
  std::string_view name;
  TypeDesc type;
};

struct GraphDesc {
  std::string_view name;
  std::vector<NodeDesc> nodes;
  std::vector<TensorDesc> initializers;
  std::vector<SparseTensorDesc> sparse_initializers;
  std::vector<ValueInfoDesc> inputs, outputs, value_infos;
};

struct OpsetDesc {
  std::string_view domain;
  int64_t version = 0;
};

struct FunctionDesc {
  std::string_view name, domain, overload;
  std::vector<std::string_view> inputs, outputs, attributes;
  std::vector<AttributeDesc> attribute_defaults;
  std::vector<NodeDesc> nodes;
  std::vector<OpsetDesc> opsets;
};

struct ModelDesc {
  int64_t ir_version = 0;
  bool has_ir_version = false;
  std::string_view producer_name, producer_version, domain, doc;
  int64_t model_version = 0;
  std::vector<OpsetDesc> opsets;
  std::vector<StringPair> metadata;
  std::optional<GraphDesc> graph;
  std::vector<FunctionDesc> functions;
  bool has_training_info = false;
};

Result<ModelDesc> read_model(std::string_view bytes, const Limits& limits);
Result<TensorDesc> read_tensor(std::string_view bytes, const Limits& limits);

// Elements of packed chunks; kDataLoss when a stretch ends inside an element.
Result<std::vector<float>> decode_floats(const std::vector<Chunk>& chunks);
Result<std::vector<int64_t>> decode_ints(const std::vector<Chunk>& chunks);

}  // namespace planish::frontend::onnx
