// TensorFlow's protobuf messages as plain structs: GraphDef, FunctionDef, MetaGraphDef, SavedModel and
// the two messages of a checkpoint's index. Only what an import looks at is kept; fields of newer
// TensorFlows are passed over. Texts and bytes are views into the given buffer, which must outlive
// the structs.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/limits.h"
#include "base/status.h"

namespace planish::frontend::tensorflow {

struct ShapeDesc {
  bool unknown_rank = false;
  std::vector<int64_t> dims;  // -1: unknown
};

// One packed or single stretch of a typed field of a TensorProto.
struct ValueChunk {
  enum class Kind : uint8_t { kFixed32, kFixed64, kVarint, kString } kind;
  int field = 0;
  std::string_view bytes;
};

struct TensorDesc {
  int64_t dtype = 0;
  ShapeDesc shape;
  std::optional<std::string_view> content;
  std::vector<ValueChunk> chunks;
};

struct FunctionRef;

// An attribute: the kind of the value that is there, and the lists of a ListValue.
struct AttrDesc {
  enum class Kind : uint8_t {
    kNone, kString, kInt, kFloat, kBool, kType, kShape, kTensor, kFunction, kList, kPlaceholder
  } kind = Kind::kNone;
  std::string_view s;
  int64_t i = 0;  // also bool and type
  double f = 0;
  ShapeDesc shape;
  std::shared_ptr<TensorDesc> tensor;
  std::shared_ptr<FunctionRef> function;
  std::vector<std::string_view> strings;
  std::vector<int64_t> ints;   // of ints, bools and types
  std::vector<double> floats;
  std::vector<ShapeDesc> shapes;
  std::vector<FunctionRef> functions;
};

struct FunctionRef {
  std::string_view name;
};

struct NodeDesc {
  std::string_view name, op, device;
  std::string_view bytes;  // the whole NodeDef
  std::vector<std::string_view> inputs;
  std::map<std::string_view, AttrDesc> attrs;

  const AttrDesc* attr(std::string_view key) const {
    const auto found = attrs.find(key);
    return found == attrs.end() ? nullptr : &found->second;
  }
  int64_t attr_int(std::string_view key, int64_t fallback) const {
    const AttrDesc* found = attr(key);
    return found ? found->i : fallback;
  }
};

struct ArgDesc {
  std::string_view name;
  int64_t type = 0;
  std::string_view number_attr, type_list_attr;
};

struct FunctionDesc {
  std::string_view name;
  std::vector<ArgDesc> inputs, outputs;
  std::vector<NodeDesc> nodes;
  std::map<std::string_view, std::string_view> returns;  // output arg -> "node:arg:index"
};

struct GraphDesc {
  std::vector<NodeDesc> nodes;
  std::vector<FunctionDesc> functions;
  // In a SavedModel: the objects that a function's last arguments stand for, by their numbers.
  std::map<std::string_view, std::vector<int64_t>> captures;
  int64_t producer = 0;
  std::string_view library, versions;  // the FunctionDefLibrary and VersionDef as they stand
};

struct TensorInfoDesc {
  std::string_view name;  // "node:0"; empty: a composite or sparse tensor
  int64_t dtype = 0;
  std::optional<ShapeDesc> shape;
};

struct SignatureDesc {
  std::map<std::string_view, TensorInfoDesc> inputs, outputs;
};

struct MetaGraphDesc {
  std::vector<std::string_view> tags;
  GraphDesc graph;
  std::map<std::string_view, SignatureDesc> signatures;
  std::string_view tensorflow_version;
};

struct SavedModelDesc {
  std::vector<MetaGraphDesc> meta_graphs;
};

struct BundleHeaderDesc {
  int64_t shard_count = 0;
  int64_t endianness = 0;  // 1: big
};

// A variable of a TrackableObjectGraph: its object's number, the name it had in the program, and its key in
// the checkpoint.
struct SavedVariableDesc {
  int64_t object = 0;
  std::string full_name, key;
};

struct SliceDesc {
  std::vector<std::pair<int64_t, int64_t>> extents;  // start, length; length -1: the whole dim
};

struct BundleEntryDesc {
  int64_t dtype = 0;
  ShapeDesc shape;
  int64_t shard = 0, offset = 0, size = 0;
  uint32_t crc32c = 0;
  std::vector<SliceDesc> slices;
};

// kDataLoss for bytes that are no such message, with the path of the field; kResourceExhausted.
Result<GraphDesc> read_graph(std::string_view bytes, const Limits& limits);
Result<MetaGraphDesc> read_meta_graph(std::string_view bytes, const Limits& limits);
Result<SavedModelDesc> read_saved_model(std::string_view bytes, const Limits& limits);
Result<BundleHeaderDesc> read_bundle_header(std::string_view bytes);
Result<BundleEntryDesc> read_bundle_entry(std::string_view bytes, const Limits& limits);
Result<std::vector<SavedVariableDesc>> read_object_graph(std::string_view bytes, const Limits& limits);

// Elements of a chunk of varints; kDataLoss when it ends inside of one.
Result<std::vector<int64_t>> decode_varints(std::string_view bytes);

}  // namespace planish::frontend::tensorflow
