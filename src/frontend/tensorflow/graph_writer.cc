#include "frontend/tensorflow/graph_writer.h"

#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>

#include "frontend/tensorflow/tensor_proto.h"

namespace planish::frontend::tensorflow {
namespace {

using protozero::pbf_reader;
using protozero::pbf_wire_type;
using protozero::pbf_writer;

// Fields of the messages that are written.
namespace graph_field {
enum : protozero::pbf_tag_type { kNode = 1, kLibrary = 2, kVersions = 4 };
}
namespace node_field {
enum : protozero::pbf_tag_type { kName = 1, kOp = 2, kInput = 3, kAttr = 5 };
}
namespace entry_field {
enum : protozero::pbf_tag_type { kKey = 1, kValue = 2 };
}
namespace attr_field {
enum : protozero::pbf_tag_type { kType = 6, kShape = 7, kTensor = 8 };
}
namespace tensor_field {
enum : protozero::pbf_tag_type { kDtype = 1, kShape = 2, kContent = 4 };
}
namespace shape_field {
enum : protozero::pbf_tag_type { kDim = 2, kUnknownRank = 3, kSize = 1 };
}

std::string shape_bytes(const std::optional<std::vector<int64_t>>& shape) {
  std::string out;
  pbf_writer writer(out);
  if (!shape) writer.add_bool(shape_field::kUnknownRank, true);
  for (int64_t dim : shape.value_or(std::vector<int64_t>())) {
    std::string size;
    pbf_writer(size).add_int64(shape_field::kSize, dim);
    writer.add_message(shape_field::kDim, size);
  }
  return out;
}

void add_attr(pbf_writer& node, std::string_view key, const std::string& value) {
  std::string entry;
  pbf_writer writer(entry);
  writer.add_string(entry_field::kKey, key.data(), key.size());
  writer.add_message(entry_field::kValue, value);
  node.add_message(node_field::kAttr, entry);
}

void add_type(pbf_writer& node, std::string_view key, ir::DataType dtype) {
  std::string value;
  pbf_writer(value).add_int64(attr_field::kType, type_number(dtype));
  add_attr(node, key, value);
}

void add_head(pbf_writer& node, std::string_view name, std::string_view op,
              const std::vector<std::string>& inputs) {
  node.add_string(node_field::kName, name.data(), name.size());
  node.add_string(node_field::kOp, op.data(), op.size());
  for (const std::string& input : inputs) node.add_string(node_field::kInput, input);
}

std::string_view key_of(protozero::data_view entry) {
  std::string_view key;
  for (pbf_reader field(entry); field.next();) {
    if (field.tag() != entry_field::kKey) {
      field.skip();
      continue;
    }
    const protozero::data_view text = field.get_view();
    key = {text.data(), text.size()};
  }
  return key;
}

}  // namespace

void GraphWriter::add_placeholder(std::string_view name, ir::DataType dtype,
                                  const std::optional<std::vector<int64_t>>& shape) {
  std::string bytes, value;
  pbf_writer node(bytes);
  add_head(node, name, "Placeholder", {});
  add_type(node, "dtype", dtype);
  pbf_writer(value).add_message(attr_field::kShape, shape_bytes(shape));
  add_attr(node, "shape", value);
  pbf_writer(out_).add_message(graph_field::kNode, bytes);
}

void GraphWriter::add_constant(std::string_view name, const ir::Tensor& value) {
  std::string bytes, tensor, attr;
  pbf_writer proto(tensor);
  proto.add_int64(tensor_field::kDtype, type_number(value.dtype()));
  proto.add_message(tensor_field::kShape, shape_bytes(value.dims()));
  proto.add_bytes(tensor_field::kContent, static_cast<const char*>(value.data()),
                  size_t(value.bytes()));
  pbf_writer(attr).add_message(attr_field::kTensor, tensor);
  pbf_writer node(bytes);
  add_head(node, name, "Const", {});
  add_type(node, "dtype", value.dtype());
  add_attr(node, "value", attr);
  pbf_writer(out_).add_message(graph_field::kNode, bytes);
}

void GraphWriter::add_copy(const NodeDesc& from, std::string_view name,
                           const std::vector<std::string>& inputs) {
  std::string bytes;
  pbf_writer node(bytes);
  add_head(node, name, from.op, inputs);
  for (pbf_reader reader(from.bytes.data(), from.bytes.size()); reader.next();) {
    if (reader.tag() != node_field::kAttr || reader.wire_type() != pbf_wire_type::length_delimited) {
      reader.skip();
      continue;
    }
    const protozero::data_view entry = reader.get_view();
    if (key_of(entry) != "_class") node.add_message(node_field::kAttr, entry.data(), entry.size());
  }
  pbf_writer(out_).add_message(graph_field::kNode, bytes);
}

void GraphWriter::add_node(std::string_view name, std::string_view op,
                           const std::vector<std::string>& inputs,
                           const std::vector<std::pair<std::string_view, ir::DataType>>& types) {
  std::string bytes;
  pbf_writer node(bytes);
  add_head(node, name, op, inputs);
  for (const auto& [key, dtype] : types) add_type(node, key, dtype);
  pbf_writer(out_).add_message(graph_field::kNode, bytes);
}

std::string GraphWriter::finish(std::string_view library, std::string_view versions) {
  pbf_writer graph(out_);
  if (!library.empty()) graph.add_message(graph_field::kLibrary, library.data(), library.size());
  if (!versions.empty()) graph.add_message(graph_field::kVersions, versions.data(), versions.size());
  return std::move(out_);
}

}  // namespace planish::frontend::tensorflow
