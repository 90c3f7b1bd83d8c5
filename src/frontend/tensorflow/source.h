// Source: a GraphDef's or a function's nodes, made ready for walking: nodes by name, inputs as
// (node, port) references, how many outputs of each node are read, and the while frames of TF1.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "frontend/tensorflow/wire.h"

namespace planish::frontend::tensorflow {

// What an input names: output `port` of a node, or a function's argument (node -1).
struct Ref {
  int node = -1;
  int port = 0;
  std::string_view arg;     // of a function
  bool is_control = false;
  friend bool operator==(const Ref&, const Ref&) = default;
};

// A TF1 while loop: Enter, Merge, Switch, NextIteration and Exit of each variable.
struct Frame {
  struct Variable {
    int enter = -1, merge = -1, loop_switch = -1, exit = -1, next_iteration = -1;
  };
  std::vector<Variable> variables;
  std::vector<int> invariants;  // Enter nodes of values that do not change
  int condition = -1;           // LoopCond
};

class Source {
 public:
  // `function` null: a graph. kInvalidArgument for two nodes of one name, a reference to nothing, or
  // a while frame whose parts do not fit. The nodes must outlive the Source.
  static Result<Source> create(const std::vector<NodeDesc>& nodes, const FunctionDesc* function);

  const std::vector<NodeDesc>& nodes() const { return *nodes_; }
  const FunctionDesc* function() const { return function_; }
  const NodeDesc& node(int i) const { return (*nodes_)[size_t(i)]; }
  const std::vector<Ref>& inputs(int i) const { return inputs_[size_t(i)]; }
  // Outputs that somebody reads, at least 1.
  int port_count(int i) const { return port_counts_[size_t(i)]; }
  int find(std::string_view name) const;  // -1: none
  // "node:0", "node", "^node"; in a function also "node:output:0" and arguments.
  Result<Ref> parse(std::string_view text) const;
  // Notes that the output is read.
  void use(const Ref& ref);
  // The frame that an Exit node leaves.
  const Frame* frame_of_exit(int node) const;
  const Frame* frame_of_enter(int node) const;

 private:
  Result<Ref> parse_in_function(std::string_view text) const;
  Status find_frames();

  const std::vector<NodeDesc>* nodes_ = nullptr;
  const FunctionDesc* function_ = nullptr;
  std::unordered_map<std::string_view, int> index_;
  std::vector<std::vector<Ref>> inputs_;
  std::vector<int> port_counts_;
  std::map<std::string_view, Frame> frames_;
  std::unordered_map<int, std::string_view> frame_of_;  // of Enter and Exit nodes
};

// "node 'conv1' (Conv2D)".
std::string describe(const NodeDesc& node);

}  // namespace planish::frontend::tensorflow
