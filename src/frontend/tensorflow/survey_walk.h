// GraphSurvey: asks the GraphImporter about every node of a graph in turn; see graph_survey.h.
#pragma once
#include <map>
#include <set>
#include <utility>

#include "frontend/tensorflow/graph_importer.h"
#include "frontend/tensorflow/graph_survey.h"
#include "frontend/tensorflow/units.h"

namespace planish::frontend::tensorflow {

class GraphSurvey {
 public:
  GraphSurvey(const GraphDesc& graph, const SurveyOptions& options,
              const opdef::OpRegistry& registry);
  Result<Survey> run();

 private:
  using Scope = GraphImporter::Scope;
  using Bindings = GraphImporter::Bindings;
  using Tensor = std::pair<int, int>;  // node, port
  // What is known of a tensor that is not part of the imported graph.
  struct Unknown {
    std::optional<ir::DataType> dtype;
    std::optional<std::vector<int64_t>> shape;
  };

  Status prepare();
  void find_wanted();
  void judge(int node);
  // Empty: taken. Outputs are bound in `scope` either way, as far as the import came.
  std::string ask(Scope& scope, int node);
  // What a node made of guessed inputs.
  struct Trial {
    std::vector<std::vector<int64_t>> shapes;            // of the open inputs
    std::vector<std::optional<ir::TensorType>> outputs;
  };
  struct Trials {
    int count = 0;
    std::string first_reason;
    std::vector<Trial> accepted;
  };
  std::string try_alone(int node);
  std::string try_types(int node, const std::vector<Tensor>& open);
  std::vector<ir::DataType> likely_types(int node) const;
  int64_t depth_of_constant(int node) const;
  bool attempt(int node, const std::vector<Tensor>& open, ir::DataType type,
               const std::vector<int>& ranks, bool with_depth, Trials& trials);
  void adopt(int node, const std::vector<Tensor>& open, ir::DataType type, const Trials& trials);
  bool give_inputs(Scope& scope, int node, const std::map<Tensor, Unknown>& guesses);
  std::string outside_reason(int node) const;
  std::string effect_reason(const Scope& scope, int node, size_t inputs_before,
                            const ir::Node* before) const;
  void publish_foreign(int node);
  bool is_text(int node, int port) const;
  Unknown told_of(int node, int port) const;
  std::optional<ir::DataType> declared_dtype(int node, int port) const;
  ir::Value* add_input(ir::Graph& graph, const std::string& name, ir::DataType dtype,
                       const std::vector<int64_t>& shape, bool has_batch);
  void describe_outputs(int node);
  void count_work(int node, const ir::Graph& graph, const ir::Node* before);
  void count_step(const ir::Node& made, double times, NodeWork& work) const;
  double assumed_count(const ir::Shape& shape, bool& is_known) const;
  void judge_units();
  std::optional<double> count_of(const ir::Shape& shape) const;
  SurveyedNode& out(int node) { return survey_.nodes[size_t(node)]; }

  const GraphDesc& graph_;
  const SurveyOptions& options_;
  const opdef::OpRegistry& registry_;
  TensorflowOptions import_options_;
  GraphImporter importer_;
  std::shared_ptr<ir::Graph> ir_ = std::make_shared<ir::Graph>();
  Source* source_ = nullptr;
  Scope scope_;
  std::set<Tensor> feeds_;
  std::map<Tensor, Unknown> unknown_;
  Units units_;
  std::set<std::string, std::less<>> batch_symbols_;  // open first dims
  Survey survey_;
};

// Symbolic dims become -1.
std::vector<int64_t> plain_dims(const ir::Shape& shape);

}  // namespace planish::frontend::tensorflow
