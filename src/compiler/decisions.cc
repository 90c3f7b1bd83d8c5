// Decisions: the lock file of a build. One entry per step: kernel, tactic and layouts by node name,
// so that a later build repeats or deliberately changes single choices. Those of bodies stand under
// their node and attribute.
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "compiler/lowering.h"

namespace planish::compiler {

using nlohmann::json;

std::string write_decisions(const Lowered& lowered) {
  json steps = json::object(), bodies = json::object();
  for (const LoweredNode& entry : lowered.nodes) {
    const Alternative& a = entry.choice();
    json one;
    one["kernel"] = a.kernel ? a.kernel->name() : "view";
    one["tactic"] = a.tactic.to_string();
    json operands = json::array(), results = json::array();
    for (const ir::Layout& l : a.layouts.operands) operands.push_back(ir::to_string(l));
    for (const ir::Layout& l : a.layouts.results) results.push_back(ir::to_string(l));
    one["operands"] = operands;
    one["results"] = results;
    steps[node_key(*entry.node)] = one;
    for (const LoweredNode::Body& body : entry.bodies)
      bodies[node_key(*entry.node)][body.attribute] = json::parse(body.decisions);
  }
  json out{{"version", 1}, {"steps", steps}};
  if (!bodies.empty()) out["bodies"] = bodies;
  return out.dump(1);
}

Status apply_decisions(Lowered& lowered, const std::string& text) {
  const json root = json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto steps = root.is_object() ? root.find("steps") : root.end();
  if (root.is_discarded() || !root.is_object() || steps == root.end() || !steps->is_object())
    return invalid_argument("decisions: expected a JSON object with an object 'steps'");
  for (LoweredNode& entry : lowered.nodes) {
    auto found = steps->find(node_key(*entry.node));
    if (found == steps->end() || !found->is_object()) continue;
    std::vector<Alternative> kept;
    const auto text_of = [&](const json& from, const char* key) {
      auto at = from.find(key);
      return at != from.end() && at->is_string() ? at->get<std::string>() : std::string();
    };
    const auto layouts_match = [&](const char* key, const std::vector<ir::Layout>& layouts) {
      auto at = found->find(key);
      if (at == found->end() || !at->is_array()) return true;
      if (at->size() != layouts.size()) return false;
      for (size_t i = 0; i < layouts.size(); ++i)
        if (!(*at)[i].is_string() || (*at)[i].get<std::string>() != ir::to_string(layouts[i]))
          return false;
      return true;
    };
    const std::string kernel = text_of(*found, "kernel");
    const bool has_tactic = found->contains("tactic");
    for (const Alternative& a : entry.alternatives) {
      if (kernel != (a.kernel ? a.kernel->name() : "view")) continue;
      if (has_tactic && text_of(*found, "tactic") != a.tactic.to_string()) continue;
      if (!layouts_match("operands", a.layouts.operands)) continue;
      if (!layouts_match("results", a.layouts.results)) continue;
      kept.push_back(a);
    }
    if (kept.empty())
      return invalid_argument(cat("decisions: step '", node_key(*entry.node), "': kernel '", kernel,
                                  "' with tactic '", text_of(*found, "tactic"),
                                  "' is none of its ", entry.alternatives.size(), " candidates"));
    entry.alternatives = std::move(kept);
  }
  return ok_status();
}

}  // namespace planish::compiler
