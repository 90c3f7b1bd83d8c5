// GraphWriter: a graph that grows node by node, with every value's elements known while it grows.
//
// A random graph is no use when rounding decides what it computes: Floor of a computed 2.0000001, a
// quotient by what is nearly zero. So each value is computed twice, plainly and with noise far above
// rounding put on every computed floating value. A node is taken only when the noise stays small in
// what it gives (integers and bools must not change at all); otherwise it is undone, and the caller
// tries other operands. Graph inputs and constants carry no noise: a node on fresh inputs is taken unless
// its sums cancel.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ir/graph.h"
#include "opdef/op_def.h"
#include "random.h"

namespace planish::tests {

class GraphWriter {
 public:
  struct Known {
    ir::Tensor plain, noisy;
    double noise = 0;      // relative size of what was put on it or on what it comes from
    bool usable = true;    // false: not finite, too large or empty; nothing more is computed from it
  };

  GraphWriter(const opdef::OpRegistry& registry, Random& random);

  ir::Graph& graph() { return *graph_; }
  std::unique_ptr<ir::Graph> take() { return std::move(graph_); }
  const Known& at(const ir::Value* value) const { return known_.at(value); }
  const std::vector<int64_t>& dims(const ir::Value* value) const { return at(value).plain.dims(); }
  const opdef::OpRegistry& registry() const { return registry_; }

  ir::Value* input(const ir::Tensor& tensor);
  ir::Value* constant(const ir::Tensor& tensor);
  ir::Value* ints(const std::vector<int64_t>& values);  // a constant of rank 1
  // Absent attributes are filled from their defaults. Empty when the node was not taken; the graph
  // is then as before.
  std::vector<ir::Value*> add(std::string_view op, const std::vector<ir::Value*>& operands,
                              ir::Attributes attrs = {}, int output_count = 1);

  // Undoes everything that was added since.
  struct Mark {
    size_t nodes, values;
  };
  Mark mark() const { return {nodes_.size(), values_.size()}; }
  void undo(Mark mark);

  // Inputs and constants, and node outputs, in the order of their making.
  const std::vector<ir::Value*>& sources() const { return values_; }
  const std::vector<ir::Node*>& nodes() const { return nodes_; }
  // Input elements in graph order.
  std::vector<ir::Tensor> feeds() const;

 private:
  bool settle(ir::Node* node);
  void add_noise(Known& known);

  const opdef::OpRegistry& registry_;
  Random& random_;
  std::unique_ptr<ir::Graph> graph_ = std::make_unique<ir::Graph>();
  std::map<const ir::Value*, Known> known_;
  std::vector<ir::Node*> nodes_;
  std::vector<ir::Value*> values_;
  int names_ = 0;
};

}  // namespace planish::tests
