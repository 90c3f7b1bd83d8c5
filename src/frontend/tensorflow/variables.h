// Variables: which entry of a checkpoint a model's variables are restored from. The answer is in the
// model itself: RestoreV2 names the entries and Assign or AssignVariableOp says where each one goes,
// in the graph (TF1) or in a function that the restore node calls (TF2). Keras saves models whose
// functions read other variable nodes than the restored ones: what they are is told by the objects that
// the functions capture.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <unordered_map>

#include "frontend/tensorflow/checkpoint.h"
#include "frontend/tensorflow/source.h"

namespace planish::frontend::tensorflow {

class Variables {
 public:
  using Functions = std::unordered_map<std::string_view, const Source*>;
  using Captures = std::map<std::string_view, std::vector<int64_t>>;  // GraphDesc::captures

  // `checkpoint` may be null: variables then have no values.
  Variables(const Checkpoint* checkpoint, const Limits& limits)
      : checkpoint_(checkpoint), limits_(limits) {}
  void collect(const Source& graph, const Functions& functions, const Captures& captures);

  // By the variable node's name (shared_name where it has one). kNotFound names what was tried.
  Result<ir::Tensor> value(const std::string& variable) const;

 private:
  // An entry of the checkpoint and the part of it that is read: "4 7 0,4:0,3", empty for all.
  struct Restored {
    std::string key, part;
  };
  using Bound = std::unordered_map<std::string_view, std::string>;  // function argument -> variable
  void collect(const Source& source, const Functions& functions, const Bound& bound, int depth);
  void collect_captured(const Source& graph, const Captures& captures);
  std::optional<Restored> restored_from(const Source& source, Ref ref) const;

  const Checkpoint* checkpoint_;
  const Limits& limits_;
  std::unordered_map<std::string, Restored> restored_;     // by variable
  std::unordered_map<std::string, std::string> captured_;  // key, by variable
};

// "shared_name" of a variable node, or its own name.
std::string variable_name(const NodeDesc& node);
bool is_variable_op(std::string_view op);

}  // namespace planish::frontend::tensorflow
