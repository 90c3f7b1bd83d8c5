// A cluster of a surveyed graph as a Segment: what crosses its border, and its GraphDef.
#pragma once
#include "partition/partition.h"

namespace planish::partition {

// Borrows both for as long as it lives.
class SegmentBuilder {
 public:
  SegmentBuilder(const frontend::GraphFile& file, const frontend::Survey& survey);

  // `nodes` in topological order. The cost is left open.
  Segment build(const std::vector<int>& nodes, std::string name, std::string device) const;

 private:
  void add_input(const frontend::SurveyedInput& input, Segment& segment,
                 frontend::Extract& part, std::vector<bool>& is_inside) const;
  void copy_constant(int node, Segment& segment, frontend::Extract& part,
                     std::vector<bool>& is_inside) const;
  std::string free_name(std::string_view wanted, size_t number) const;

  const frontend::GraphFile& file_;
  const frontend::Survey& survey_;
  std::vector<std::vector<std::pair<int, frontend::SurveyedInput>>> readers_;  // by node
  std::vector<int> places_;  // in the survey's order
};

}  // namespace planish::partition
