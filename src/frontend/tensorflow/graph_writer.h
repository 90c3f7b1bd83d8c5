// Writes a GraphDef, node by node.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/tensorflow/wire.h"
#include "ir/tensor.h"

namespace planish::frontend::tensorflow {

class GraphWriter {
 public:
  // An absent shape is of unknown rank; -1 is an unknown dim.
  void add_placeholder(std::string_view name, ir::DataType dtype,
                       const std::optional<std::vector<int64_t>>& shape);
  void add_constant(std::string_view name, const ir::Tensor& value);
  // A node's copy under another name with other inputs, without its device and what ties it to other
  // nodes. Its bytes must still be there.
  void add_copy(const NodeDesc& node, std::string_view name, const std::vector<std::string>& inputs);
  // A node of types alone: GatherV2 with its Tparams, Tindices, Taxis.
  void add_node(std::string_view name, std::string_view op, const std::vector<std::string>& inputs,
                const std::vector<std::pair<std::string_view, ir::DataType>>& types);
  // The whole, with a library and versions as they stand in another graph; empty: none.
  std::string finish(std::string_view library, std::string_view versions);

 private:
  std::string out_;
};

}  // namespace planish::frontend::tensorflow
