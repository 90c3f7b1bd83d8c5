#include "partition/trim.h"

#include <algorithm>
#include <map>

namespace planish::partition {
namespace {

using frontend::Survey;
using frontend::SurveyedInput;
using frontend::SurveyedNode;

// Readers of the segment's tensors, counted by where they are.
struct Readers {
  int inside = 0, outside = 0;
};

class Trimmer {
 public:
  Trimmer(const Survey& survey, const std::vector<int>& nodes)
      : survey_(survey), nodes_(nodes), is_member_(survey.nodes.size(), false) {
    for (int node : nodes) is_member_[size_t(node)] = true;
    for (size_t i = 0; i < survey.nodes.size(); ++i)
      if (survey.nodes[i].is_wanted) count_reads(int(i), 1);
    for (const SurveyedInput& fetch : survey.fetches) ++readers_[{fetch.node, fetch.port}].outside;
  }

  std::vector<int> run() {
    for (auto at = nodes_.rbegin(); at != nodes_.rend(); ++at)
      if (ends_in_a_copy(*at)) give_up(*at);
    for (int node : nodes_)
      if (begins_with_a_copy(node)) give_up(node);
    std::vector<int> kept;
    for (int node : nodes_)
      if (is_member_[size_t(node)]) kept.push_back(node);
    return kept;
  }

 private:
  void count_reads(int node, int count) {
    for (const SurveyedInput& input : survey_.nodes[size_t(node)].inputs) {
      if (!is_member_[size_t(input.node)]) continue;
      Readers& one = readers_[{input.node, input.is_control ? -1 : input.port}];
      (is_member_[size_t(node)] ? one.inside : one.outside) += count;
    }
  }
  void give_up(int node) {
    count_reads(node, -1);
    is_member_[size_t(node)] = false;
    count_reads(node, 1);
  }
  // The tensor whose elements a view hands on; null for any other node.
  const SurveyedInput* viewed(int node) const {
    const SurveyedNode& one = survey_.nodes[size_t(node)];
    if (!one.is_view || one.unit >= 0 || one.is_constant || one.outputs.size() != 1) return nullptr;
    const auto data = std::find_if(one.inputs.begin(), one.inputs.end(),
                                   [](const SurveyedInput& input) { return !input.is_control; });
    return data == one.inputs.end() ? nullptr : &*data;
  }
  // A view that nothing inside reads, of something that leaves the segment too, or enters it.
  bool ends_in_a_copy(int node) {
    if (!viewed(node) || readers_[{node, 0}].inside > 0 || readers_[{node, -1}].inside > 0)
      return false;
    for (const SurveyedInput* from = viewed(node); from; from = viewed(from->node)) {
      if (!is_member_[size_t(from->node)]) return true;
      if (readers_[{from->node, from->port}].outside > 0) return true;
    }
    return false;
  }
  // A view of an input of the segment that is read outside.
  bool begins_with_a_copy(int node) {
    if (!is_member_[size_t(node)] || !viewed(node) || readers_[{node, 0}].outside == 0) return false;
    const auto& inputs = survey_.nodes[size_t(node)].inputs;
    return std::none_of(inputs.begin(), inputs.end(), [&](const SurveyedInput& input) {
      return is_member_[size_t(input.node)];
    });
  }

  const Survey& survey_;
  const std::vector<int>& nodes_;
  std::vector<bool> is_member_;
  std::map<std::pair<int, int>, Readers> readers_;  // by node and port; -1: control
};

}  // namespace

std::vector<int> trim(const Survey& survey, const std::vector<int>& nodes) {
  return Trimmer(survey, nodes).run();
}

}  // namespace planish::partition
