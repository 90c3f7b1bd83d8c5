// Freezer: a graph and its library as one flat GraphDef, with calls inlined and variables as constants
// of their checkpoint's values. If and While keep their functions. Only what the outputs depend on is
// written.
#pragma once
#include <list>
#include <map>
#include <set>
#include <unordered_map>

#include "frontend/tensorflow/checkpoint.h"
#include "frontend/tensorflow/graph_writer.h"
#include "frontend/tensorflow/source.h"
#include "frontend/tensorflow/tensorflow_import.h"
#include "frontend/tensorflow/variables.h"

namespace planish::frontend::tensorflow {

class Freezer {
 public:
  // `checkpoint` may be null. All must outlive the freezer.
  Freezer(const GraphDesc& graph, const Limits& limits, const Checkpoint* checkpoint)
      : graph_(graph), limits_(limits), variables_(checkpoint, limits) {}

  // `outputs`: tensors of the main graph; the result's names for them are the second of each pair.
  // kNotFound for a variable without a value.
  Result<std::string> freeze(std::vector<std::pair<std::string, std::string>>& outputs);

 private:
  // What a tensor became: one of the flat graph, or a variable.
  struct Flat {
    std::string tensor, variable;
  };
  struct Scope {
    const Source* source = nullptr;
    std::string prefix;
    std::map<std::string_view, Flat> args;
    std::map<std::pair<int, int>, Flat> done;
  };
  Status write(Scope& scope, const std::vector<Ref>& wanted);
  Status write_node(Scope& scope, int node);
  Status write_call(Scope& scope, int node, const Source& function);
  Status write_gather(Scope& scope, int node);
  Result<Flat> flat(const Scope& scope, const Ref& ref) const;
  Result<std::string> tensor_of(Scope& scope, const Ref& ref);
  Result<std::string> constant_of(const std::string& variable);
  std::string free_name(const std::string& wanted);

  const GraphDesc& graph_;
  const Limits& limits_;
  Variables variables_;
  std::list<Source> sources_;
  std::unordered_map<std::string_view, const Source*> functions_;
  std::vector<const Source*> calls_;
  std::map<std::string, std::string> constants_;  // by variable
  std::set<std::string> names_;
  GraphWriter writer_;
  int64_t node_count_ = 0;
};

}  // namespace planish::frontend::tensorflow
