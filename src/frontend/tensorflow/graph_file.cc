// GraphFile: a GraphDef that is surveyed, and parts of it written as GraphDefs of their own.
#include "base/text.h"
#include "frontend/tensorflow/graph_survey.h"
#include "frontend/tensorflow/graph_writer.h"
#include "frontend/tensorflow/survey_walk.h"

namespace planish::frontend {

struct GraphFile::Impl {
  tensorflow::GraphDesc graph;
};

GraphFile::GraphFile(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
GraphFile::GraphFile(GraphFile&&) noexcept = default;
GraphFile& GraphFile::operator=(GraphFile&&) noexcept = default;
GraphFile::~GraphFile() = default;

Result<GraphFile> GraphFile::read(std::string_view bytes, const Limits& limits) {
  auto impl = std::make_unique<Impl>();
  PLANISH_ASSIGN_OR_RETURN(impl->graph, tensorflow::read_graph(bytes, limits));
  return GraphFile(std::move(impl));
}

Result<Survey> GraphFile::survey(const SurveyOptions& options,
                                 const opdef::OpRegistry& registry) const {
  return tensorflow::GraphSurvey(impl_->graph, options, registry).run();
}

std::string GraphFile::extract(const Survey& survey, const Extract& part) const {
  std::map<std::pair<int, int>, std::string> names;
  std::vector<bool> is_inside(survey.nodes.size(), false);
  for (int node : part.nodes) is_inside[size_t(node)] = true;
  tensorflow::GraphWriter graph;
  for (const Extract::Placeholder& input : part.inputs) {
    names[{input.tensor.node, input.tensor.port}] = input.name;
    graph.add_placeholder(input.name, input.dtype, input.shape);
  }
  for (const Extract::Constant& constant : part.constants) {
    names[{constant.tensor.node, constant.tensor.port}] = constant.name;
    graph.add_constant(constant.name, constant.value);
  }
  bool calls_functions = false;
  for (int node : part.nodes) {
    const SurveyedNode& from = survey.nodes[size_t(node)];
    calls_functions = calls_functions || from.calls_functions;
    std::vector<std::string> inputs, control;
    for (const SurveyedInput& input : from.inputs) {
      const std::string& name = survey.nodes[size_t(input.node)].name;
      if (input.is_control) {
        if (is_inside[size_t(input.node)]) control.push_back(cat('^', name));
        continue;
      }
      const auto other = names.find({input.node, input.port});
      if (other != names.end()) inputs.push_back(other->second);
      else inputs.push_back(input.port ? cat(name, ':', input.port) : name);
    }
    inputs.insert(inputs.end(), control.begin(), control.end());
    graph.add_copy(impl_->graph.nodes[size_t(node)], from.name, inputs);
  }
  return graph.finish(calls_functions ? impl_->graph.library : std::string_view(),
                      impl_->graph.versions);
}

}  // namespace planish::frontend
