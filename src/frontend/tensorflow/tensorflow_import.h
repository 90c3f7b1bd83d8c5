// Reads TensorFlow's files into IR, without TensorFlow: frozen GraphDefs (.pb, .pbtxt), SavedModels of
// TF1 and TF2, and TF1's meta graphs with their checkpoints.
//
// Any bytes end in a graph or in a Status; nothing is run, nothing is opened outside of the model's
// folder. Only what the wanted outputs depend on is looked at: training, summaries and saving beside
// them do not matter. Functions are inlined; variables become constants with their checkpoint's
// values. Shapes stay as TensorFlow has them (NHWC): convolutions arrive between transposes, which
// cancel later. Thread-safe: no state is shared between calls.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "base/status.h"
#include "ir/graph.h"
#include "opdef/op_def.h"

namespace planish::frontend {

struct TensorflowOptions {
  Limits limits;
  // Of a SavedModel or meta graph with signatures. Empty: serving_default, or the only one there is.
  std::string signature;
  // Tags of the SavedModel's meta graph. Empty: "serve", or the only meta graph there is.
  std::vector<std::string> tags;
  // Shapes given to inputs by name; they bind unknown dims.
  std::map<std::string, std::vector<int64_t>> shapes;
  // Tensors ("node" or "node:1") at which the graph is cut: they become inputs, of the given shape
  // or the placeholder's. Empty: the signature's inputs, or all placeholders.
  std::vector<std::string> inputs;
  // Tensors that become outputs. Empty: the signature's, or the nodes that nobody reads.
  std::vector<std::string> outputs;
  // Inputs that are no inputs but have this value in every element: a rate of samples, "is training".
  std::map<std::string, double> values;
  // The checkpoint that variables have their values from: its prefix, its .index file, or a folder with
  // a file "checkpoint". Empty: the one that belongs to the SavedModel or meta graph.
  std::string checkpoint;
};

// Whether the path looks like something import_tensorflow() reads: a folder with a saved_model.pb or
// a checkpoint, a .pb or .pbtxt that is no ONNX file, a .meta, a checkpoint's .index.
bool is_tensorflow_path(const std::string& path);

Result<std::unique_ptr<ir::Graph>> import_tensorflow(const std::string& path,
                                                     const TensorflowOptions& options,
                                                     const opdef::OpRegistry& registry);

// The same for a GraphDef in memory, which may be freed afterwards.
Result<std::unique_ptr<ir::Graph>> import_graph_def(std::string_view bytes,
                                                    const TensorflowOptions& options,
                                                    const opdef::OpRegistry& registry);

// A model as one GraphDef in which calls are inlined and variables are constants, cut to what its outputs
// depend on; what partition takes. If and While keep their functions.
struct FrozenGraph {
  std::string graph_def;
  // The signature's names (or those of the options) and their tensors, "node:port".
  std::map<std::string, std::string> inputs, outputs;
};
Result<FrozenGraph> freeze_tensorflow(const std::string& path, const TensorflowOptions& options);

// The names, types and shapes in a checkpoint, with every value's checksum checked.
struct CheckpointEntry {
  std::string name;
  ir::TensorType type;
};
Result<std::vector<CheckpointEntry>> read_checkpoint(const std::string& path,
                                                     const Limits& limits = kDefaultLimits);

}  // namespace planish::frontend
