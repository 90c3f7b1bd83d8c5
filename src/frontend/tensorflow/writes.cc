// Variables that a signature reads and changes (counters, streaming buffers, stateful layers): a plan keeps
// nothing from one run to the next, so such a model is refused and not run with old values.
#include "base/quote.h"
#include "base/text.h"
#include "frontend/tensorflow/graph_importer.h"

namespace planish::frontend::tensorflow {
namespace {

bool writes_variable(std::string_view op) {
  if (op.starts_with("Assign") && op.ends_with("VariableOp")) return true;
  for (std::string_view begin : {"ResourceApply", "ResourceScatter", "ResourceSparseApply"})
    if (op.starts_with(begin)) return true;
  return op == "ResourceStridedSliceAssign";
}

// What an input of a function's node is bound to: an argument's binding, through nodes that hand it on.
Binding argument_behind(const Source& function, Ref ref, const std::vector<Binding>& args) {
  for (int steps = 0; steps < 16 && ref.node >= 0; ++steps) {
    if (function.node(ref.node).op != "Identity" || function.inputs(ref.node).empty()) return {};
    ref = function.inputs(ref.node)[0];
  }
  const auto& inputs = function.function()->inputs;
  for (size_t i = 0; i < inputs.size() && i < args.size(); ++i)
    if (ref.node < 0 && inputs[i].name == ref.arg) return args[i];
  return {};
}

}  // namespace

// All nodes of a function run, wanted or not, and those of the functions that it calls.
void GraphImporter::note_writes(const Source& function, const Bindings& args,
                                std::set<std::string>& seen) {
  std::string key(function.function()->name);
  for (const Binding& one : args) key += cat('\n', one.text);
  if (!seen.insert(key).second) return;
  for (size_t i = 0; i < function.nodes().size(); ++i) {
    const NodeDesc& node = function.node(int(i));
    Bindings given;
    for (const Ref& ref : function.inputs(int(i)))
      if (!ref.is_control) given.push_back(argument_behind(function, ref, args));
    const bool has_variable = !given.empty() && given[0].kind == Binding::Kind::kVariable;
    if (has_variable && writes_variable(node.op))
      written_variables_.emplace(given[0].text, Write{std::string(node.op), std::string(node.name)});
    const bool is_branch = node.op == "If" || node.op == "StatelessIf" || node.op == "Case";
    if (is_branch && !given.empty()) given.erase(given.begin());
    for (const auto& [key, attr] : node.attrs) {
      std::vector<std::string_view> names;
      if (attr.function) names.push_back(attr.function->name);
      for (const auto& one : attr.functions) names.push_back(one.name);
      for (std::string_view name : names)
        if (const auto found = functions_.find(name); found != functions_.end())
          note_writes(*found->second, given, seen);
    }
  }
}

void GraphImporter::refuse_writes() {
  for (const auto& [variable, write] : written_variables_)
    if (read_variables_.count(variable))
      refusals_.add(write.op, cat("it changes the variable ", quoted(variable), ", which the results depend "
                                  "on, and a plan keeps nothing from run to run"), write.node);
}

}  // namespace planish::frontend::tensorflow
