// Nodes of TF1's control flow that only mean something together: all of a while frame, and all between
// the Switch and Merge nodes of a condition.
#pragma once
#include <vector>

#include "frontend/tensorflow/source.h"

namespace planish::frontend::tensorflow {

// Nodes in an order in which every one stands behind what it reads, control inputs included; what
// stands side by side is sorted by name, so that the file's order does not matter. Back edges of
// while frames do not count. kInvalidArgument for another cycle.
Result<std::vector<int>> topological_order(const Source& source);

struct Units {
  std::vector<int> number;        // by node: the nodes of one unit share it; -1: of none
  std::vector<bool> is_in_frame;  // by node: inside of a while frame, or its Enter or Exit
};
// `order` as topological_order gives it.
Units find_units(const Source& source, const std::vector<int>& order);

}  // namespace planish::frontend::tensorflow
