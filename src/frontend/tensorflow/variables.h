// Variables: which entry of a checkpoint a model's variables are restored from. The answer is in the
// model itself: RestoreV2 names the entries and Assign or AssignVariableOp says where each one goes,
// in the graph (TF1) or in a function that the restore node calls (TF2).
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

  // `checkpoint` may be null: variables then have no values.
  Variables(const Checkpoint* checkpoint, const Limits& limits)
      : checkpoint_(checkpoint), limits_(limits) {}
  void collect(const Source& graph, const Functions& functions);

  // By the variable node's name (shared_name where it has one). kNotFound names what was tried.
  Result<ir::Tensor> value(const std::string& variable) const;

 private:
  using Bound = std::unordered_map<std::string_view, std::string>;  // function argument -> variable
  void collect(const Source& source, const Functions& functions, const Bound& bound, int depth);
  std::optional<std::string> restored_key(const Source& source, Ref ref) const;

  const Checkpoint* checkpoint_;
  const Limits& limits_;
  std::unordered_map<std::string, std::string> keys_;  // variable -> checkpoint entry
};

// "shared_name" of a variable node, or its own name.
std::string variable_name(const NodeDesc& node);
bool is_variable_op(std::string_view op);

}  // namespace planish::frontend::tensorflow
