// Network: a trained model before optimization, loaded from ONNX or TensorFlow or built by hand.
//
// A Network is a typed graph of operators (planish ops lists them; each follows the newest ONNX
// opset). Shapes may hold symbols; they stay symbolic through the network. Not thread-safe: one
// thread at a time. Part of libplanish.
//
//   auto network = planish::Network::create("mlp");
//   auto x = network.add_input("x", planish::DataType::kF32, {"N", 64});
//   auto w = network.add_constant("w", weights);
//   auto y = network.add_op("MatMul", {*x, *w});
//   network.mark_output(*y, "y");
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "planish/config.h"
#include "planish/status.h"
#include "planish/types.h"

namespace planish {
PLANISH_API_NAMESPACE {

class Network;

// Limits of an import. The one that is hit is named in the error (kResourceExhausted). Zero: the
// default of this version.
struct ImportLimits {
  int64_t max_file_bytes = 0;       // the model file and each external data file
  int64_t max_nodes = 0;            // nodes, bodies and inlined functions included
  int64_t max_nesting = 0;          // bodies in bodies, functions in functions
  int64_t max_tensor_elements = 0;  // of one tensor, read or computed
  int64_t max_metadata_bytes = 0;
};

struct ImportOptions {
  // Stands in messages for a model from memory; the path otherwise.
  std::string name;
  // Where external data of a model from memory lies; empty: external data is refused. A model file's
  // external data lies in its own folder and cannot leave it.
  std::string base_folder;
  // Shapes by input name; they bind symbolic dims everywhere these occur.
  std::map<std::string, std::vector<int64_t>> shapes;
  ImportLimits limits;
};

// What to take from TensorFlow's files.
struct TensorflowOptions {
  // Of a SavedModel; empty: serving_default, or the only one there is.
  std::string signature;
  // Of the SavedModel's meta graph; empty: "serve", or the only meta graph there is.
  std::vector<std::string> tags;
  // Tensors ("node", "node:1") to cut the graph at and to give, in place of the signature's or of all
  // placeholders and of the nodes that nobody reads.
  std::vector<std::string> inputs, outputs;
  // Values of variables: a checkpoint's prefix, .index file or folder; empty: the model's own.
  std::string checkpoint;
  // Inputs fixed to a number in every element, by name: they are no inputs then.
  std::map<std::string, double> values;
};

// A value of one network: what an operator reads and makes.
struct Value {
  int id = -1;
  friend bool operator==(const Value&, const Value&) = default;
};

// An operator's attribute. Graph attributes (the bodies of If, Loop and Scan) are networks of their
// own, whose last inputs are the values captured from outside.
using Attribute = std::variant<int64_t, double, std::string, std::vector<int64_t>,
                               std::vector<double>, std::vector<std::string>, DataType, Tensor,
                               std::shared_ptr<Network>>;
using Attributes = std::map<std::string, Attribute>;

// A node, for looking at.
struct NodeDesc {
  std::string op;
  std::string name;                  // the source's name, or one of ours
  std::vector<std::string> inputs;   // value names; empty: an absent optional input
  std::vector<std::string> outputs;
};

class PLANISH_API Network {
 public:
  // Reads an ONNX model. Any bytes end in a network or a Status; no file outside of the model's
  // folder is opened, no code is run. kInvalidArgument for a broken model, kUnsupported with every
  // node that cannot be taken, kNotFound, kResourceExhausted.
  static Result<Network> load_onnx(const std::string& path, const ImportOptions& options = {});
  // The same from memory; `data` may be freed afterwards.
  static Result<Network> load_onnx(const void* data, size_t bytes,
                                   const ImportOptions& options = {});
  // Reads TensorFlow's files without TensorFlow: a SavedModel's folder (TF1 and TF2), a frozen GraphDef
  // (.pb, .pbtxt), a TF1 checkpoint with its meta graph (folder, .meta or .index). Functions are
  // inlined, variables become constants. The same promises and errors as load_onnx.
  static Result<Network> load_tensorflow(const std::string& path,
                                         const TensorflowOptions& choice = {},
                                         const ImportOptions& options = {});
  // The same for a GraphDef in memory.
  static Result<Network> load_tensorflow(const void* data, size_t bytes,
                                         const TensorflowOptions& choice = {},
                                         const ImportOptions& options = {});
  // load_tensorflow for what looks like TensorFlow's, load_onnx for all else.
  static Result<Network> load(const std::string& path, const TensorflowOptions& choice = {},
                              const ImportOptions& options = {});
  // Reads the text form that to_text(true) writes.
  static Result<Network> parse(std::string_view text);
  // Empty, to be filled by add_input, add_constant, add_op and mark_output.
  static Network create(std::string name);

  Network(Network&&) noexcept;
  Network& operator=(Network&&) noexcept;
  ~Network();
  // Deep copy; weights are shared.
  Network clone() const;

  // Names are unique in a network; kInvalidArgument for one that is taken.
  Result<Value> add_input(std::string name, DataType dtype, std::vector<Dim> shape);
  // Copies the bytes unless the tensor has an owner, which is then shared.
  Result<Value> add_constant(std::string name, const Tensor& tensor);
  // Appends an operator and infers its output's type. A Value with id -1 stands for an absent
  // optional input. Attributes left out take their defaults. The error names op, attribute or
  // input, got and expected.
  Result<Value> add_op(std::string_view op, std::vector<Value> inputs, Attributes attributes = {},
                       std::string name = {});
  // Operators of several outputs (Split, TopK, LSTM, ...).
  Result<std::vector<Value>> add_op(std::string_view op, std::vector<Value> inputs,
                                    Attributes attributes, int output_count,
                                    std::string name = {});
  // Makes any value an output besides those there are: it survives optimization under `name`
  // (empty: its own name).
  Status mark_output(Value value, std::string name = {});
  // By the value's name in the source. kNotFound lists near names.
  Status mark_output(const std::string& value_name);
  void set_metadata(std::string key, std::string value);

  std::string name() const;
  std::vector<TensorDesc> inputs() const;
  std::vector<TensorDesc> outputs() const;
  std::map<std::string, std::string> metadata() const;
  int node_count() const;
  std::vector<NodeDesc> nodes() const;
  Result<Value> find(const std::string& value_name) const;
  // kInvalidArgument for a Value of another network.
  Result<TensorDesc> describe(Value value) const;
  // Bytes of all constants.
  int64_t weight_bytes() const;
  // Readable text; with `full_constants` parse() reads it back.
  std::string to_text(bool full_constants = false) const;

  // Runs the reference interpreter: slow, plain, the definition of right. `inputs` in the order of
  // inputs(); returns outputs in order. Thread-safe as long as nobody changes the network.
  Result<std::vector<Tensor>> interpret(const std::vector<Tensor>& inputs) const;

  struct Impl;  // opaque
  const Impl& impl() const { return *impl_; }
  Impl& impl() { return *impl_; }
  explicit Network(std::unique_ptr<Impl> impl);

 private:
  std::unique_ptr<Impl> impl_;
};

// One operator that Planish knows, for lists and checks.
struct OpDesc {
  std::string name;
  std::string doc;
  std::string fusion;                // "elementwise", "contraction", ...
  std::vector<std::string> inputs;   // "X: f32, f16" with "?" behind optional, "..." variadic ones
  std::vector<std::string> outputs;
  std::vector<std::string> attributes;
  std::string onnx;                  // "Conv since 1", several separated by ", "
  std::string tensorflow;            // "Conv2D, DepthwiseConv2dNative"; empty: none
};
// Sorted by name. Loaded plugins are included.
PLANISH_API std::vector<OpDesc> known_ops();

}  // namespace v1
}  // namespace planish
