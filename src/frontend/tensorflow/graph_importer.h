// GraphImporter: turns TensorFlow nodes into IR through the ops' importers, and what has no operator
// of its own (placeholders, variables, calls, control flow, tensor lists) itself.
//
// The walk starts from the wanted outputs and goes backwards, so that only their cone is seen. A
// Scope is one instance of a Source: the main graph, a call of a function (inlined into the caller's
// ir::Graph), or the body of a loop or branch (an ir::Graph of its own whose inputs are the values
// that change; constants and variables are copied in). Every tensor becomes a Binding.
//
// Small nodes of constants are folded at once, since much of TensorFlow's graphs (axes, paddings,
// conditions) only means something as numbers. What Planish cannot take is noted in Refusals and
// leaves its outputs refused, so that one import lists everything.
#pragma once
#include <deque>
#include <functional>
#include <list>
#include <set>
#include <span>
#include <unordered_set>

#include "frontend/tensorflow/node_view.h"
#include "frontend/tensorflow/source.h"
#include "frontend/tensorflow/tensorflow_import.h"
#include "frontend/tensorflow/variables.h"
#include "opdef/refusals.h"

namespace planish::frontend::tensorflow {

// What a tensor of the file stands for.
struct Binding {
  enum class Kind : uint8_t {
    kNone,      // no value (NoOp, text): an error when something reads it
    kValue,
    kVariable,  // a resource or reference: its name is in `text`
    kText,      // a string constant
    kComplex,   // its real part is the value
    kList,      // a TensorList or TensorArray
    kDead,      // not taken by a Switch whose condition is known
    kRefused,
  } kind = Kind::kNone;
  ir::Value* value = nullptr;
  ir::Value* imaginary = nullptr;  // of kComplex
  std::string text;
  std::shared_ptr<struct ListDesc> list;

  static Binding of(ir::Value* value) { return {Kind::kValue, value, nullptr, {}, nullptr}; }
  static Binding complex(ir::Value* real, ir::Value* imaginary) {
    return {Kind::kComplex, real, imaginary, {}, nullptr};
  }
  static Binding refused() { return {Kind::kRefused, nullptr, nullptr, {}, nullptr}; }
};

// A TensorList or TensorArray: elements set at known places over a dense tensor or zeros. It changes by
// copy; `dense` is made when a place is only known at run time.
struct ListDesc {
  ir::DataType dtype = ir::DataType::kF32;
  std::optional<ir::Shape> element;          // not known before the first element
  ir::Value* length = nullptr;               // scalar i64; null in a body that is only tried out
  std::optional<int64_t> static_length;
  ir::Value* dense = nullptr;                // [length, element...]; null: zeros
  std::map<int64_t, ir::Value*> elements;    // these stand instead
  bool grows = false;                        // when it is set behind its end
};

// Nodes that nobody reads and that are no results: they are run for what they do.
bool is_effect(std::string_view op);

class GraphImporter {
 public:
  GraphImporter(const GraphDesc& graph, const SignatureDesc* signature,
                const TensorflowOptions& options, const opdef::OpRegistry& registry,
                const Checkpoint* checkpoint)
      : graph_(graph), signature_(signature), options_(options), registry_(registry),
        variables_(checkpoint, options.limits) {}

  Result<std::unique_ptr<ir::Graph>> import();

 private:
  friend class GraphSurvey;  // asks node by node
  using Bindings = std::vector<Binding>;
  struct Scope {
    const Source* source = nullptr;
    ir::Graph* graph = nullptr;
    std::unordered_map<std::string_view, Binding> args;  // of a function
    std::unordered_map<int, Bindings> done;              // by node
    std::string prefix;
    int depth = 0;
  };

  // graph_importer.cc: the walk and plain nodes.
  Status index();
  Result<Bindings> require(Scope& scope, const std::vector<Ref>& refs);
  Status walk(Scope& scope, const std::vector<int>& roots);
  Result<std::vector<int>> needs(Scope& scope, int node, int phase);
  Result<Binding> binding(Scope& scope, const Ref& ref) const;
  Status import_node(Scope& scope, int node);
  Status import_by_rule(Scope& scope, int node);
  Result<Bindings> rule_inputs(Scope& scope, int node);
  // The outputs, `ports` of them, that the rule called `name` gives; the names of the node's outputs
  // are given to them, with `suffix`.
  Result<std::vector<ir::Value*>> apply_rule(Scope& scope, int node, std::string_view name,
                                             std::vector<ir::Value*> inputs, int ports,
                                             std::string_view suffix = "");
  Result<ir::Attributes> convert_attributes(const NodeDesc& node) const;
  Status fold_new_nodes(ir::Graph& graph, const ir::Node* before, std::vector<ir::Value*>& outputs);
  void set_outputs(Scope& scope, int node, Bindings outputs);
  void refuse(Scope& scope, int node, const std::string& reason);
  void refuse_outputs(Scope& scope, int node);
  std::string source_name(const Scope& scope, const NodeDesc& node) const;
  void give_name(ir::Graph& graph, ir::Value* value, const std::string& name);
  opdef::ImportContext context(Scope& scope, const std::string& source) const;

  // model.cc: inputs and outputs of the model.
  struct Port {
    std::string name;    // as the user sees it
    Ref ref;
    const TensorInfoDesc* info = nullptr;
  };
  Result<std::vector<Port>> model_inputs(Source& source) const;
  Result<std::vector<Port>> model_outputs(Source& source, const std::vector<Port>& inputs) const;
  Result<std::optional<ir::TensorType>> input_type(const Port& port, const Source& source,
                                                   ir::Graph& graph);
  Status add_inputs(Scope& scope, const std::vector<Port>& inputs);
  Result<ir::Value*> fixed_value(ir::Graph& graph, const std::string& name,
                                 const ir::TensorType& type) const;
  Status add_outputs(Scope& scope, const std::vector<Port>& outputs);

  // structural.cc: nodes without an operator.
  using Structural = Status (GraphImporter::*)(Scope&, int);
  static const std::unordered_map<std::string_view, Structural>& structural();
  Status import_const(Scope& scope, int node);
  Status import_placeholder(Scope& scope, int node);
  Status import_default(Scope& scope, int node);
  Status import_variable(Scope& scope, int node);
  Status import_read(Scope& scope, int node);
  Status import_resource_gather(Scope& scope, int node);
  Status import_alias(Scope& scope, int node);
  Status import_nothing(Scope& scope, int node);
  Status import_decode_wav(Scope& scope, int node);
  Status import_call(Scope& scope, int node);
  Result<Bindings> call(Scope& scope, const Source& function, const Bindings& args,
                        const std::string& name);
  Result<const Source*> function_of(const NodeDesc& node, std::string_view attr) const;
  Result<ir::Value*> variable_value(ir::Graph& graph, const std::string& name);

  // writes.cc: variables that a signature changes.
  void note_writes(const Source& function, const Bindings& args, std::set<std::string>& seen);
  void refuse_writes();

  // complex.cc: complex numbers as pairs of tensors.
  bool is_complex(const NodeDesc& node, const Bindings& inputs) const;
  Status import_complex(Scope& scope, int node, const Bindings& inputs);
  Result<Binding> complex_constant(ir::Graph& graph, const TensorDesc& desc, const std::string& name);

  // control_flow.cc: branches.
  struct Guard {
    Ref predicate;
    int true_input = 0;
  };
  Status import_if(Scope& scope, int node);
  Status import_case(Scope& scope, int node);
  Result<Bindings> import_branches(Scope& scope, std::span<const Source* const> functions,
                                   const Bindings& args, const std::string& name);
  Status import_switch(Scope& scope, int node);
  Status import_merge(Scope& scope, int node);
  Result<Bindings> arguments(Scope& scope, int node);
  Result<Binding> into_body(ir::Graph& outer, ir::Graph& body, const Binding& binding,
                            std::vector<ir::Value*>& captured);
  // The graph of a branch: what `fill` gives for the arguments as the branch sees them. `captured`
  // gets the values that the branch reads; `refused` is set where a result is no tensor.
  using Fill = std::function<Result<Bindings>(Scope& inner, Bindings given)>;
  Result<ir::GraphPtr> import_branch(Scope& scope, const Bindings& args, std::vector<ir::Value*>& captured,
                                     bool& refused, const Fill& fill);
  Result<ir::GraphPtr> import_branch(Scope& scope, const Source& function, const Bindings& args,
                                     std::vector<ir::Value*>& captured, bool& refused);
  std::optional<Guard> guard_of(const Scope& scope, int merge) const;
  std::optional<bool> known_bool(const Binding& binding) const;

  // loops.cc: While functions and the frames of TF1.
  struct Loop {
    Bindings initial;  // of every variable
    std::vector<bool> is_invariant;
    // Condition and body over given variables, added to the given graph.
    std::function<Result<Binding>(ir::Graph&, const Bindings&)> condition;
    std::function<Result<Bindings>(ir::Graph&, const Bindings&)> body;
    std::string name;
  };
  struct LoopBody;
  Status import_while(Scope& scope, int node);
  Status import_frame(Scope& scope, const Frame& frame);
  Result<Bindings> import_loop(ir::Graph& graph, Loop& loop);
  Result<std::optional<Bindings>> unroll(ir::Graph& graph, const Loop& loop);
  Status find_elements(ir::Graph& graph, Loop& loop);
  Result<Bindings> add_loop(ir::Graph& graph, const Loop& loop, ir::Value* condition);
  Result<LoopBody> import_body(ir::Graph& graph, const Loop& loop,
                               const std::vector<ir::TensorType>& types,
                               const std::set<std::string>& symbols);
  void declare_symbols(const ir::TensorType& type, const ir::Graph& from, ir::Graph& to) const;

  // lists.cc: TensorList and TensorArray.
  Status import_list_op(Scope& scope, int node);
  Result<Binding> list_op(Scope& scope, const NodeDesc& desc, const Bindings& inputs,
                          opdef::ImportContext& context);
  Result<ir::Value*> dense(ir::Graph& graph, const ListDesc& list);
  Result<Binding> list_get(ir::Graph& graph, const ListDesc& list, ir::Value* index,
                           const std::optional<ir::Shape>& element);
  Result<Binding> list_set(ir::Graph& graph, const ListDesc& list, ir::Value* index,
                           ir::Value* item);
  Result<ListDesc> grown(ir::Graph& graph, const ListDesc& list, ir::Value* index);
  // `like`: the list that the tensor's rows are of, if it is one already.
  Result<Binding> list_of(ir::Graph& graph, ir::Value* tensor, const ListDesc* like = nullptr);
  Result<ir::Value*> joined(ir::Graph& graph, const ListDesc& list);
  Result<Binding> list_of_parts(ir::Graph& graph, ir::Value* tensor, const std::vector<int64_t>& lengths);
  Result<ir::Value*> zeros(ir::Graph& graph, const ir::Shape& shape, ir::Value* length,
                           ir::DataType dtype);
  Result<ir::Value*> dim_value(ir::Graph& graph, const ir::Dim& dim);

  const GraphDesc& graph_;
  const SignatureDesc* signature_;
  const TensorflowOptions& options_;
  const opdef::OpRegistry& registry_;
  Variables variables_;
  std::list<Source> sources_;
  std::unordered_map<std::string_view, const Source*> functions_;
  std::vector<const Source*> calls_;  // active, outermost first
  std::map<std::pair<const ir::Graph*, std::string>, ir::Value*> variable_values_;
  std::map<std::string, ir::Tensor> variable_tensors_;
  std::set<std::string> read_variables_;
  struct Write {
    std::string op, node;
  };
  std::map<std::string, Write> written_variables_;
  std::unordered_set<const ir::Value*> named_;
  opdef::Refusals refusals_;
  int64_t node_count_ = 0;
  int64_t symbol_count_ = 0;
  int body_depth_ = 0;
  std::vector<ir::GraphPtr> bodies_;  // all that were made, so that no address comes twice
};

}  // namespace planish::frontend::tensorflow
