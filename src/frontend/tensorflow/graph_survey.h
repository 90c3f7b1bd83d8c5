// What every node of a GraphDef is to Planish, without building anything: can it be taken, why not,
// of what type are its outputs, how much work is it. The answer comes from the import itself, node by
// node, so that there is no second list of what is supported.
//
// Where a node is not taken, its outputs go on as inputs of what follows, of the type and shape that
// the file or the caller tells. Where those are not known, the node is tried alone with each rank in
// turn: a node that some rank suits is taken, and its outputs stay of unknown shape.
//
// Nodes of a while frame or of a Switch/Merge condition of TF1 stand or fall together: they share a
// unit. Functions are looked into: a call, an If or a While is taken when all that it holds is.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "base/status.h"
#include "ir/data_type.h"
#include "ir/tensor.h"
#include "opdef/op_def.h"

namespace planish::frontend {

// What a caller knows about a tensor of the graph.
struct TensorHint {
  std::optional<ir::DataType> dtype;
  std::optional<std::vector<int64_t>> shape;  // -1: an unknown dim
};

struct SurveyOptions {
  Limits limits;
  // Tensors ("node", "node:1") or nodes ("^node") that are wanted; what none of them depends on is
  // left out. Empty: every node counts.
  std::vector<std::string> fetches;
  // Tensors that are given from outside, besides all placeholders.
  std::vector<std::string> feeds;
  std::map<std::string, TensorHint> tensors;  // by "node:port"
  // What an unknown first dim is taken for when work is counted, any other unknown dim, and the length
  // of a loop whose condition only data decide.
  int64_t assumed_batch = 1;
  int64_t assumed_dim = 32;
  int64_t assumed_iterations = 8;
};

// Multiply-adds count two. Of a node's fused whole, not of its parts; loops count as often as they run.
struct NodeWork {
  bool is_known = false;       // false: a dim or a loop's length is assumed, or a rank is not known
  double steps = 0;            // operators that run: more than one where the node calls functions
  double contractions = 0;     // those among them that are convolutions and matrix products
  double contraction_flops = 0;
  double other_flops = 0;
  double read_bytes = 0, written_bytes = 0;  // activations
  double weight_bytes = 0;
};

struct SurveyedPort {
  std::optional<ir::DataType> dtype;  // of a tensor of numbers; absent: unknown, or something else
  std::optional<std::vector<int64_t>> shape;  // -1: an unknown dim; absent: unknown rank
  std::optional<ir::Tensor> value;    // known before anything runs
  double bytes = 0;                   // unknown dims as assumed; 0: not known
};

struct SurveyedInput {
  int node = 0;
  int port = 0;
  bool is_control = false;
};

struct SurveyedNode {
  std::string name, op, device;
  std::vector<SurveyedInput> inputs;
  std::vector<SurveyedPort> outputs;  // those that somebody reads, at least one
  bool is_wanted = true;     // some fetch depends on it
  bool is_taken = false;
  std::string reason;        // why not
  // A constant, or computed from constants alone: a copy of it can stand anywhere.
  bool is_constant = false;
  int made_nodes = 0;        // operators it turned into; 0: it only names or hands on
  bool is_view = false;      // its elements are those of what it reads first, in the same order
  int unit = -1;             // nodes of one unit go together or not at all
  bool calls_functions = false;
  NodeWork work;
};

struct Survey {
  std::vector<SurveyedNode> nodes;  // in the file's order
  std::vector<int> order;           // topological; back edges of while frames do not count
  std::vector<SurveyedInput> fetches;
};

// A part of a graph, to be written as a GraphDef of its own.
struct Extract {
  struct Placeholder {
    std::string name;
    SurveyedInput tensor;
    ir::DataType dtype = ir::DataType::kF32;
    std::optional<std::vector<int64_t>> shape;
  };
  std::vector<Placeholder> inputs;
  // Tensors that are written as constants, under names of their own.
  struct Constant {
    std::string name;
    SurveyedInput tensor;
    ir::Tensor value;
  };
  std::vector<Constant> constants;
  std::vector<int> nodes;  // topological; inputs from elsewhere are among `inputs` or `constants`
};

// A GraphDef, read once. `bytes` must outlive it.
class GraphFile {
 public:
  // kDataLoss for bytes that are no GraphDef, kInvalidArgument for references to nothing.
  static Result<GraphFile> read(std::string_view bytes, const Limits& limits);
  GraphFile(GraphFile&&) noexcept;
  GraphFile& operator=(GraphFile&&) noexcept;
  ~GraphFile();

  // kInvalidArgument for a fetch or feed that is not there and for a graph with a cycle.
  Result<Survey> survey(const SurveyOptions& options, const opdef::OpRegistry& registry) const;
  // A GraphDef: placeholders, constants, then the nodes under their own names without devices,
  // colocations and control inputs from elsewhere; functions where some node calls one.
  std::string extract(const Survey& survey, const Extract& part) const;

 private:
  struct Impl;
  explicit GraphFile(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace planish::frontend
