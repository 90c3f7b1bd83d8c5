// GraphFile: a GraphDef that is surveyed, and parts of it written as GraphDefs of their own.
#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>

#include "base/text.h"
#include "frontend/tensorflow/graph_survey.h"
#include "frontend/tensorflow/survey_walk.h"
#include "frontend/tensorflow/tensor_proto.h"

namespace planish::frontend {
namespace {

using namespace tensorflow;
using protozero::pbf_wire_type;
using protozero::pbf_writer;

// Fields of NodeDef, AttrValue, TensorProto and TensorShapeProto that are written.
enum Field : protozero::pbf_tag_type {
  kName = 1, kOp = 2, kInput = 3, kDevice = 4, kAttr = 5,  // NodeDef
  kAttrKey = 1, kAttrValue = 2,
  kAttrType = 6, kAttrShape = 7, kAttrTensor = 8,
  kTensorDtype = 1, kTensorShape = 2, kTensorContent = 4,
  kShapeDim = 2, kShapeUnknownRank = 3, kDimSize = 1,
  kGraphNode = 1, kGraphLibrary = 2, kGraphVersions = 4,
};

std::string shape_bytes(const std::optional<std::vector<int64_t>>& shape) {
  std::string out;
  pbf_writer writer(out);
  if (!shape) writer.add_bool(kShapeUnknownRank, true);
  else
    for (int64_t dim : *shape) {
      std::string size;
      pbf_writer(size).add_int64(kDimSize, dim);
      writer.add_message(kShapeDim, size);
    }
  return out;
}

void add_attr(pbf_writer& node, std::string_view key, const std::string& value) {
  std::string entry;
  pbf_writer writer(entry);
  writer.add_string(kAttrKey, key.data(), key.size());
  writer.add_message(kAttrValue, value);
  node.add_message(kAttr, entry);
}

std::string type_attr(ir::DataType dtype) {
  std::string out;
  pbf_writer(out).add_int64(kAttrType, type_number(dtype));
  return out;
}

std::string placeholder_bytes(const Extract::Placeholder& input) {
  std::string out, shape;
  pbf_writer node(out);
  node.add_string(kName, input.name);
  node.add_string(kOp, "Placeholder");
  add_attr(node, "dtype", type_attr(input.dtype));
  pbf_writer(shape).add_message(kAttrShape, shape_bytes(input.shape));
  add_attr(node, "shape", shape);
  return out;
}

std::string constant_bytes(const Extract::Constant& constant) {
  std::string out, tensor, value;
  pbf_writer proto(tensor);
  proto.add_int64(kTensorDtype, type_number(constant.value.dtype()));
  proto.add_message(kTensorShape, shape_bytes(constant.value.dims()));
  proto.add_bytes(kTensorContent, static_cast<const char*>(constant.value.data()),
                  size_t(constant.value.bytes()));
  pbf_writer(value).add_message(kAttrTensor, tensor);
  pbf_writer node(out);
  node.add_string(kName, constant.name);
  node.add_string(kOp, "Const");
  add_attr(node, "dtype", type_attr(constant.value.dtype()));
  add_attr(node, "value", value);
  return out;
}

}  // namespace

struct GraphFile::Impl {
  GraphDesc graph;
  Limits limits;
};

GraphFile::GraphFile(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
GraphFile::GraphFile(GraphFile&&) noexcept = default;
GraphFile& GraphFile::operator=(GraphFile&&) noexcept = default;
GraphFile::~GraphFile() = default;

Result<GraphFile> GraphFile::read(std::string_view bytes, const Limits& limits) {
  auto impl = std::make_unique<Impl>();
  impl->limits = limits;
  PLANISH_ASSIGN_OR_RETURN(impl->graph, read_graph(bytes, limits));
  return GraphFile(std::move(impl));
}

Result<Survey> GraphFile::survey(const SurveyOptions& options,
                                 const opdef::OpRegistry& registry) const {
  return GraphSurvey(impl_->graph, options, registry).run();
}

namespace {

// One node's bytes with other inputs, without its device and what ties it to other nodes.
std::string moved_node(const NodeDesc& desc, const std::vector<std::string>& inputs) {
  std::string out;
  pbf_writer node(out);
  node.add_string(kName, desc.name.data(), desc.name.size());
  node.add_string(kOp, desc.op.data(), desc.op.size());
  for (const std::string& input : inputs) node.add_string(kInput, input);
  for (protozero::pbf_reader reader(desc.bytes.data(), desc.bytes.size()); reader.next();) {
    if (reader.tag() != kAttr || reader.wire_type() != pbf_wire_type::length_delimited) {
      reader.skip();
      continue;
    }
    const protozero::data_view entry = reader.get_view();
    std::string_view key;
    for (protozero::pbf_reader field(entry); field.next();) {
      if (field.tag() != kAttrKey) {
        field.skip();
        continue;
      }
      const protozero::data_view text = field.get_view();
      key = {text.data(), text.size()};
    }
    if (key != "_class") node.add_message(kAttr, entry.data(), entry.size());
  }
  return out;
}

}  // namespace

std::string GraphFile::extract(const Survey& survey, const Extract& part) const {
  std::map<std::pair<int, int>, std::string> names;
  std::vector<bool> is_inside(survey.nodes.size(), false);
  for (int node : part.nodes) is_inside[size_t(node)] = true;
  std::string out;
  pbf_writer graph(out);
  for (const Extract::Placeholder& input : part.inputs) {
    names[{input.tensor.node, input.tensor.port}] = input.name;
    graph.add_message(kGraphNode, placeholder_bytes(input));
  }
  for (const Extract::Constant& constant : part.constants) {
    names[{constant.tensor.node, constant.tensor.port}] = constant.name;
    graph.add_message(kGraphNode, constant_bytes(constant));
  }
  bool calls_functions = false;
  for (int node : part.nodes) {
    const SurveyedNode& from = survey.nodes[size_t(node)];
    calls_functions = calls_functions || from.calls_functions;
    std::vector<std::string> inputs, control;
    for (const SurveyedInput& input : from.inputs) {
      const std::string& name = survey.nodes[size_t(input.node)].name;
      if (input.is_control) {
        if (is_inside[size_t(input.node)]) control.push_back(cat('^', name));
        continue;
      }
      const auto other = names.find({input.node, input.port});
      if (other != names.end()) inputs.push_back(other->second);
      else inputs.push_back(input.port ? cat(name, ':', input.port) : name);
    }
    inputs.insert(inputs.end(), control.begin(), control.end());
    graph.add_message(kGraphNode, moved_node(impl_->graph.nodes[size_t(node)], inputs));
  }
  const auto add = [&](Field field, std::string_view bytes) {
    if (!bytes.empty()) graph.add_message(field, bytes.data(), bytes.size());
  };
  if (calls_functions) add(kGraphLibrary, impl_->graph.library);
  add(kGraphVersions, impl_->graph.versions);
  return out;
}

}  // namespace planish::frontend
