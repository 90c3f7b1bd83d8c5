// Everything in a model that Planish cannot take, gathered over the whole import, so that the user
// sees one list and not one item per attempt.
#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/status.h"

namespace planish::opdef {

class Refusals {
 public:
  // `what`: "Foo (domain x, opset 3)"; `where`: the node's name. The same pair counts once.
  void add(const std::string& what, const std::string& reason, const std::string& where);
  bool empty() const { return order_.empty(); }
  // What was added, each pair once, in order.
  struct Entry {
    std::string what, reason;
    std::vector<std::string> first;  // some of the names it was added for
  };
  std::vector<Entry> entries() const;
  int64_t count() const { return count_; }
  // Ok when empty, else one kUnsupported status that lists all kinds with their first nodes.
  Status to_status() const;

 private:
  struct Kind : Entry {
    std::set<std::string> where;
  };
  std::map<std::string, size_t> index_;
  std::vector<Kind> order_;
  int64_t count_ = 0;
};

}  // namespace planish::opdef
