// GraphImporter: turns the file's structs into IR, node by node, through the ops' importers.
//
// Names live in scopes. The main graph, every body (If, Loop, Scan) and every call of a model-local
// function has one; a body's scope binds what it reads from outside before its nodes are imported,
// as further inputs of the body's ir::Graph (constants are copied instead), so that resolving never
// looks outwards later. A function call is inlined: its scope adds nodes to the caller's graph.
//
// What Planish cannot take is noted in opdef::Refusals and leaves its outputs "refused"; nodes that read a
// refused value are passed over, so that one import lists everything. All other faults end it.
// Recursion follows bodies and calls only, both limited.
#pragma once
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "frontend/onnx/external_data.h"
#include "frontend/onnx/node_view.h"
#include "frontend/onnx/onnx_import.h"
#include "opdef/refusals.h"
#include "frontend/onnx/topology.h"
#include "frontend/onnx/wire.h"

namespace planish::frontend::onnx {

class GraphImporter {
 public:
  GraphImporter(const ModelDesc& model, const ImportOptions& options,
                const opdef::OpRegistry& registry, ExternalData& external)
      : model_(model), options_(options), registry_(registry), external_(external) {}

  Result<std::unique_ptr<ir::Graph>> import();

 private:
  using Opsets = std::map<std::string_view, int64_t>;

  // What a name stands for: a value, an input that the caller left out, or a refused value.
  struct Binding {
    enum class Kind : uint8_t { kValue, kAbsent, kRefused } kind = Kind::kValue;
    ir::Value* value = nullptr;
  };
  using Values = std::unordered_set<const ir::Value*>;
  struct Scope {
    ir::Graph* graph = nullptr;
    Values* named = nullptr;  // values of the graph that bear a name of the file
    const Opsets* opsets = nullptr;
    const Scope* outer = nullptr;  // of a body: the graph around it
    std::unordered_map<std::string_view, Binding> names;
    std::unordered_map<std::string_view, const TypeDesc*> declared;  // value_info
    // Inside a function: attribute values by name. Inlined: "call/" before every name inside.
    const ir::Attributes* function_attributes = nullptr;
    std::string prefix;
    bool is_inlined = false;  // a function or a branch: its names yield to the graph's own
  };
  // An attribute's conversion: absent when a function attribute it refers to is absent.
  struct ConvertedAttribute {
    enum class Kind { kValue, kAbsent, kRefused } kind = Kind::kValue;
    ir::Attribute value;
    std::vector<ir::Value*> captures;
  };
  struct Body {
    bool refused = false;
    ir::GraphPtr graph;
    std::vector<ir::Value*> captures;
  };

  // model.cc: what concerns the model as a whole.
  Status read_opsets(const std::vector<OpsetDesc>& list, Opsets& opsets) const;
  Status index_functions();
  Status bind_named_dims();
  Status bind_named_dim(std::string_view param, int64_t value);
  Status add_inputs(Scope& scope);
  Status check_pinned_shapes() const;
  Status add_outputs(Scope& scope);
  Status add_output(Scope& scope, std::string_view name);
  void add_metadata(ir::Graph& graph) const;
  Result<std::optional<ir::TensorType>> input_type(const ValueInfoDesc& input, ir::Graph& graph);

  // graph_importer.cc: nodes.
  Status bind(Scope& scope, std::string_view name, Binding binding, std::string_view what);
  Status add_initializers(const GraphDesc& desc, Scope& scope);
  Status add_constant(Scope& scope, std::string_view name, Result<ir::Tensor> tensor);
  Status import_nodes(std::span<const NodeDesc> nodes, Scope& scope);
  Status import_node(const NodeDesc& node, Scope& scope);
  Status import_by_rule(const NodeDesc& node, int opset, opdef::OpRegistry::Rule rule,
                        Scope& scope);
  Result<bool> resolve_inputs(const NodeDesc& node, Scope& scope, std::vector<ir::Value*>& inputs);
  Result<bool> convert_attributes(const NodeDesc& node, Scope& scope, OnnxNodeView& view);
  Result<ConvertedAttribute> convert_attribute(const AttributeDesc& attribute, const NodeDesc& node,
                                               Scope& scope, const OnnxNodeView* view);
  Status bind_outputs(const NodeDesc& node, Scope& scope, const std::vector<ir::Value*>& outputs);
  Status refuse(const NodeDesc& node, Scope& scope, const std::string& reason);
  Status refuse_outputs(const NodeDesc& node, Scope& scope);
  void give_name(Scope& scope, ir::Value* value, std::string_view name);
  Status check_declared(const Scope& scope, std::string_view name, const ir::Value& value) const;
  std::string what_of(const NodeDesc& node, const Scope& scope) const;

  // function_call.cc
  const FunctionDesc* find_function(const NodeDesc& node) const;
  Status inline_call(const NodeDesc& node, const FunctionDesc& function, Scope& scope);
  Status hand_on(const NodeDesc& node, std::string_view inner_name, size_t output, Scope& inner,
                 Scope& scope);

  // branch.cc
  const GraphDesc* known_branch(const NodeDesc& node, const Scope& scope) const;
  Status inline_branch(const NodeDesc& node, const GraphDesc& branch, Scope& scope);

  // body.cc
  Result<Body> import_body(const GraphDesc& desc, const NodeDesc& node, Scope& outer,
                           const OnnxNodeView& view);
  Result<Body> import_body_once(const GraphDesc& desc, Scope& outer,
                                const std::vector<std::optional<ir::TensorType>>& given,
                                std::span<const std::string> carried);
  void capture(std::string_view name, Scope& outer, Scope& inner, Body& body);

  const ModelDesc& model_;
  const ImportOptions& options_;
  const opdef::OpRegistry& registry_;
  ExternalData& external_;
  Opsets opsets_;
  std::map<std::string, const FunctionDesc*, std::less<>> functions_;
  std::unordered_map<const FunctionDesc*, Opsets> function_opsets_;
  std::vector<const FunctionDesc*> calls_;  // active, outermost first
  std::map<std::string, int64_t, std::less<>> named_dims_;
  FreeNames free_names_;
  opdef::Refusals refusals_;
  int64_t node_count_ = 0;
  int64_t body_depth_ = 0;
  int64_t carried_count_ = 0;
};

}  // namespace planish::frontend::onnx
