// NodeView and ImportContext: how a foreign node (ONNX, TensorFlow, Caffe) reaches an op's importer
// without its wire format.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "ir/graph.h"
#include "opdef/op_def.h"

namespace planish::opdef {

// A foreign node. Implemented by each frontend.
class NodeView {
 public:
  virtual ~NodeView() = default;
  virtual std::string_view op_type() const = 0;
  virtual std::string_view domain() const = 0;
  virtual int opset() const = 0;                 // version of `domain` in force
  virtual std::string name() const = 0;          // for messages and sources; never empty
  virtual int input_count() const = 0;
  virtual ir::Value* input(int i) const = 0;     // null: absent optional
  virtual int output_count() const = 0;          // as the file declares
  virtual bool output_used(int i) const = 0;     // false: declared with an empty name or beyond
  virtual std::vector<std::string> attr_names() const = 0;
  // Null when absent. Graph attributes come converted, their captures appended to the body's
  // inputs (see captures()).
  virtual const ir::Attribute* attr(std::string_view key) const = 0;
  // Outer values that a graph attribute's body reads, in the order of its last inputs.
  virtual std::vector<ir::Value*> captures(std::string_view key) const = 0;

  bool has_input(int i) const { return i < input_count() && input(i); }
  bool has_attr(std::string_view key) const { return attr(key) != nullptr; }
  // Typed, with fallback when absent; kInvalidArgument when of another type.
  Result<int64_t> attr_int(std::string_view key, int64_t fallback) const;
  Result<double> attr_float(std::string_view key, double fallback) const;
  Result<std::string> attr_string(std::string_view key, std::string fallback) const;
  Result<std::vector<int64_t>> attr_ints(std::string_view key, std::vector<int64_t> fallback) const;
};

// Adds IR for one foreign node. Every added node is type-checked and shape-inferred at once.
class ImportContext {
 public:
  // `registry` and `graph` outlive the context. `sources`: names stamped on added nodes.
  ImportContext(const OpRegistry& registry, ir::Graph& graph, std::string source,
                int output_count);

  ir::Graph& graph() { return graph_; }
  // Adds op `name` (registered), absent attributes filled from their defaults; returns its outputs
  // (`output_count` of them; trailing optional outputs may be left out).
  Result<std::vector<ir::Value*>> add(std::string_view name, std::vector<ir::Value*> inputs,
                                      ir::Attributes attrs = {}, int output_count = 1);
  Result<ir::Value*> add1(std::string_view name, std::vector<ir::Value*> inputs,
                          ir::Attributes attrs = {});
  ir::Value* constant(Tensor tensor);
  ir::Value* constant_i64(std::vector<int64_t> values);   // rank 1
  ir::Value* scalar(double value, DataType dtype);        // rank 0
  // The value's elements when it is constant (or its content folds to constants).
  std::optional<std::vector<int64_t>> ints(const ir::Value* value) const;

  void set_output(int i, ir::Value* value) { outputs_[size_t(i)] = value; }
  const std::vector<ir::Value*>& outputs() const { return outputs_; }

 private:
  const OpRegistry& registry_;
  ir::Graph& graph_;
  std::string source_;
  std::vector<ir::Value*> outputs_;
};

// The default importer: same inputs, attributes by name (unknown ones refused), same outputs.
Status import_one_to_one(const OpDef& op, const NodeView& node, ImportContext& context);

}  // namespace planish::opdef
