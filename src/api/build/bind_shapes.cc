// Fixing the symbolic dims of a graph's inputs.
#include <algorithm>

#include "api/build/network_impl.h"
#include "base/text.h"
#include "opdef/infer.h"

namespace planish::api {
namespace {

using Binding = Symbols;

Status bind_input(const ir::Value& input, const std::vector<int64_t>& dims, Binding& binding) {
  const auto refuse = [&](std::string_view what) {
    return invalid_argument(cat("input '", input.name, "': shape ", bracketed(dims), ": ", what,
                                ", expected ", ir::to_string(input.type.shape)));
  };
  if (dims.size() != input.type.shape.size())
    return refuse(cat("got ", dims.size(), " dims"));
  for (size_t i = 0; i < dims.size(); ++i) {
    const ir::Dim& dim = input.type.shape[i];
    if (dims[i] < 0) return refuse(cat("dim ", i, " is negative"));
    if (const auto fixed = dim.constant()) {
      if (*fixed != dims[i]) return refuse(cat("dim ", i, " is ", dims[i]));
      continue;
    }
    const std::string symbol = dim.symbol_name();
    if (symbol.empty()) continue;  // checked below, once all symbols have values
    const auto [found, fresh] = binding.emplace(symbol, dims[i]);
    if (!fresh && found->second != dims[i])
      return refuse(cat("dim ", i, " is ", dims[i], ", but ", symbol, " is ", found->second,
                        " elsewhere"));
  }
  return ok_status();
}

void substitute(ir::Graph& graph, const Binding& binding) {
  const auto replace = [&](std::string_view symbol) -> std::optional<ir::Dim> {
    const auto found = binding.find(symbol);
    if (found == binding.end()) return std::nullopt;
    return ir::Dim(found->second);
  };
  for (const auto& [id, value] : graph.values()) {
    for (ir::Dim& dim : value->type.shape) dim = dim.substitute(replace);
    if (value->content)
      for (ir::Dim& dim : *value->content) dim = dim.substitute(replace);
  }
  for (const auto& node : graph.nodes()) {
    for (auto& [key, attribute] : node->attrs)
      if (auto* body = std::get_if<ir::GraphPtr>(&attribute)) substitute(**body, binding);
  }
  for (const auto& [symbol, size] : binding) graph.symbols.erase(symbol);
  for (auto& [symbol, info] : graph.symbols)
    if (info.upper_bound) info.upper_bound = info.upper_bound->substitute(replace);
}

}  // namespace

std::string near_names(const std::string& wanted, const std::vector<std::string>& names) {
  // Edit distance, capped: names of models are long and many.
  const auto distance = [](std::string_view a, std::string_view b) {
    a = a.substr(0, 64);
    b = b.substr(0, 64);
    std::vector<size_t> row(b.size() + 1);
    for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (size_t i = 1; i <= a.size(); ++i) {
      size_t diagonal = row[0];
      row[0] = i;
      for (size_t j = 1; j <= b.size(); ++j) {
        const size_t above = row[j];
        row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
        diagonal = above;
      }
    }
    return row[b.size()];
  };
  std::vector<std::pair<size_t, std::string>> ranked;
  for (const std::string& name : names) {
    const size_t d = distance(wanted, name);
    const bool contains = !wanted.empty() && name.find(wanted) != std::string::npos;
    if (contains || d <= std::max<size_t>(2, wanted.size() / 3))
      ranked.emplace_back(contains ? std::min<size_t>(d, 1) : d, name);
  }
  std::sort(ranked.begin(), ranked.end());
  std::string out;
  for (size_t i = 0; i < ranked.size() && i < 3; ++i)
    out += cat(i ? ", '" : "'", ranked[i].second, "'");
  return out.empty() ? out : cat("; did you mean ", out, "?");
}

Status bind_symbols(ir::Graph& graph, const opdef::OpRegistry& registry, const Binding& binding) {
  if (binding.empty()) return ok_status();
  substitute(graph, binding);
  return opdef::infer_graph(registry, graph);
}

Status bind_shapes(ir::Graph& graph, const opdef::OpRegistry& registry,
                   const std::map<std::string, std::vector<int64_t>>& shapes) {
  if (shapes.empty()) return ok_status();
  Binding binding;
  for (const auto& [name, dims] : shapes) {
    std::vector<std::string> names;
    const ir::Value* found = nullptr;
    for (const ir::Value* input : graph.inputs) {
      names.push_back(input->name);
      if (input->name == name) found = input;
    }
    if (!found)
      return invalid_argument(cat("shape for '", name, "': there is no such input; inputs are ",
                                  join(names)));
    PLANISH_RETURN_IF_ERROR(bind_input(*found, dims, binding));
  }
  substitute(graph, binding);
  for (const auto& [name, dims] : shapes) {
    const ir::Value* input = graph.find(name);
    for (size_t i = 0; i < dims.size(); ++i) {
      if (input->type.shape[i] != ir::Dim(dims[i])) {
        return invalid_argument(cat("input '", name, "': shape ", bracketed(dims), ": dim ", i,
                                    " is ", input->type.shape[i].to_string(),
                                    " under the given shapes"));
      }
    }
  }
  return opdef::infer_graph(registry, graph);
}

}  // namespace planish::api
