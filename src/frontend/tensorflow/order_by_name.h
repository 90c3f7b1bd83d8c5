// Topological order of numbered nodes; of those that are ready the one with the least name comes first, so
// that the order does not depend on the file's.
#pragma once
#include <queue>
#include <vector>

#include "base/text.h"

namespace planish::frontend::tensorflow {

// `waiting`: by node, the number of times that it stands in `readers`. name_of(i) and describe(i) are texts.
// kInvalidArgument describes a node of a cycle or behind one.
template <class NameOf, class Describe>
Result<std::vector<int>> order_by_name(const std::vector<std::vector<int>>& readers,
                                       std::vector<int> waiting, NameOf name_of,
                                       Describe describe) {
  const auto comes_later = [&](int a, int b) { return name_of(a) > name_of(b); };
  std::priority_queue<int, std::vector<int>, decltype(comes_later)> ready(comes_later);
  for (size_t i = 0; i < waiting.size(); ++i)
    if (waiting[i] == 0) ready.push(int(i));
  std::vector<int> order;
  while (!ready.empty()) {
    const int node = ready.top();
    ready.pop();
    order.push_back(node);
    for (int reader : readers[size_t(node)])
      if (--waiting[size_t(reader)] == 0) ready.push(reader);
  }
  for (size_t i = 0; i < waiting.size(); ++i)
    if (waiting[i] > 0)
      return invalid_argument(cat("the graph has a cycle that ", describe(int(i)),
                                  " is part of or depends on"));
  return order;
}

}  // namespace planish::frontend::tensorflow
