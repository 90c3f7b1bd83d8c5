// Graph: a typed SSA program. Values have one producer; nodes stand in topological order.
//
// A graph owns its nodes and values; pointers stay valid until the object is erased. Captured values
// of subgraphs (If, Loop, Scan, regions) are plain inputs of the node, matched by position with the
// body's inputs, so that a body never looks outside. An absent optional input is nullptr.
// Not thread-safe; a graph belongs to one thread at a time.
#pragma once
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "ir/tensor.h"
#include "ir/type.h"

namespace planish::ir {

class Graph;
struct Node;
using GraphPtr = std::shared_ptr<Graph>;

using Attribute = std::variant<int64_t, double, std::string, std::vector<int64_t>,
                               std::vector<double>, std::vector<std::string>, DataType, Tensor,
                               GraphPtr>;
using Attributes = std::map<std::string, Attribute, std::less<>>;

struct Use {
  Node* node;
  int index;
  friend bool operator==(const Use&, const Use&) = default;
};

struct Value {
  int id;                 // unique in the graph, never reused
  std::string name;       // the source's name where there is one; unique in the graph
  TensorType type;
  Node* producer = nullptr;  // null for graph inputs and constants
  int output_index = 0;
  std::vector<Use> uses;     // uses by nodes; being a graph output is not a use
  std::optional<Tensor> constant;
  // Elements as dim expressions, for small integer values that shape arithmetic is made of.
  std::optional<std::vector<Dim>> content;
  bool keep = false;         // asked for by name or observed: survives fusion

  bool is_constant() const { return constant.has_value(); }
};

struct Node {
  int id;
  std::string op;
  std::vector<Value*> inputs;
  std::vector<Value*> outputs;  // never null; an unwanted output is a value without uses
  Attributes attrs;
  std::vector<std::string> sources;  // names of the source nodes this came from
  Graph* graph = nullptr;
  std::list<std::unique_ptr<Node>>::iterator position;

  bool has_attr(std::string_view key) const { return attrs.find(key) != attrs.end(); }
  // Typed access; PLANISH_CHECK when absent or of another type (importers fill all defaults).
  int64_t attr_int(std::string_view key) const;
  double attr_float(std::string_view key) const;
  const std::string& attr_string(std::string_view key) const;
  const std::vector<int64_t>& attr_ints(std::string_view key) const;
  const std::vector<double>& attr_floats(std::string_view key) const;
  const Tensor& attr_tensor(std::string_view key) const;
  const GraphPtr& attr_graph(std::string_view key) const;
  DataType attr_type(std::string_view key) const;
};

// Bounds and origin of a symbol.
struct SymbolInfo {
  int64_t low = 1;
  std::optional<int64_t> high;
  bool from_data = false;  // bound only when the op that computes it has run
  std::optional<Dim> upper_bound;  // of a from_data symbol, over other symbols
};

class Graph {
 public:
  Graph() = default;
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  std::string name;
  std::vector<Value*> inputs;
  std::vector<Value*> outputs;  // a value may appear twice
  std::map<std::string, SymbolInfo, std::less<>> symbols;
  std::map<std::string, std::string> metadata;

  Value* add_input(std::string name, TensorType type);
  Value* add_constant(std::string name, Tensor tensor);
  // Appends (or inserts before `before`) a node with fresh outputs of the given types.
  Node* add_node(std::string op, std::vector<Value*> inputs, Attributes attrs,
                 std::vector<TensorType> output_types, Node* before = nullptr);
  // Every use of `from`, graph outputs included, becomes a use of `to`.
  void replace_uses(Value* from, Value* to);
  void set_input(Node* node, int index, Value* value);
  void add_operand(Node* node, Value* value);
  // Precondition: no output has uses or is a graph output.
  void erase(Node* node);
  // Removes a constant or input value without uses.
  void erase_value(Value* value);
  void move_before(Node* node, Node* before);
  // Stable topological sort; false when there is a cycle.
  bool sort();

  const std::list<std::unique_ptr<Node>>& nodes() const { return nodes_; }
  const std::map<int, std::unique_ptr<Value>>& values() const { return values_; }
  int node_count() const { return int(nodes_.size()); }
  Value* find(std::string_view name) const;  // by value name; null when absent
  // `wanted` if free, else wanted with a number behind it.
  std::string unique_name(std::string_view wanted) const;
  void rename(Value* value, std::string name);
  // Fresh symbol "hint_K".
  Dim new_symbol(std::string_view hint, SymbolInfo info);
  bool is_output(const Value* value) const;
  // Deep copy (tensors share storage); subgraphs are copied too.
  std::unique_ptr<Graph> clone() const;

 private:
  Value* new_value(std::string name, TensorType type);

  int next_id_ = 0;
  std::list<std::unique_ptr<Node>> nodes_;
  std::map<int, std::unique_ptr<Value>> values_;
  std::map<std::string, Value*, std::less<>> by_name_;
};

// Deep copy of an attribute (subgraphs are cloned).
Attribute clone(const Attribute& attribute);

// Structural rules: SSA, order, uses consistent, names unique, outputs typed, constants match their
// type. Run after every pass in tests. Type rules of ops are checked by opdef's verify_types.
Status verify(const Graph& graph);

// Text form (text.cc describes it); print(parse(print(g))) == print(g). Large constants print as
// digests unless `full_constants`; parse takes those through ParseOptions::constants.
struct PrintOptions {
  bool full_constants = false;
  int64_t inline_elements = 8;  // constants up to this size print their elements
};
std::string print(const Graph& graph, const PrintOptions& options = {});
struct ParseOptions {
  // Finds a constant that the text gives by digest(); null: such text is refused.
  std::function<std::optional<Tensor>(std::string_view name, uint64_t digest)> constants;
};
// Takes hostile text: errors (kInvalidArgument) carry line and column.
Result<std::unique_ptr<Graph>> parse(std::string_view text, const ParseOptions& options = {});
// Of type, dims and bytes; for naming equal constants, not for security.
uint64_t digest(const Tensor& tensor);

}  // namespace planish::ir
