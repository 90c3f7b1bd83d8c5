#include "api/build/shape_range.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "api/build/network_impl.h"
#include "api/runtime/convert.h"
#include "base/text.h"

namespace planish::api {

double most_elements(const v1::ShapeRange& range) {
  double total = 0;
  for (const auto& one : range.max) {
    double product = 1;
    for (const int64_t dim : one) product *= double(dim);
    total += product;
  }
  return total;
}

}  // namespace planish::api

namespace planish::v1 {

bool covers(const ShapeRange& range, const InputDims& dims) {
  if (range.min.size() != dims.size() || range.max.size() != dims.size()) return false;
  for (size_t i = 0; i < dims.size(); ++i) {
    if (range.min[i].size() != dims[i].size() || range.max[i].size() != dims[i].size()) return false;
    for (size_t axis = 0; axis < dims[i].size(); ++axis)
      if (dims[i][axis] < range.min[i][axis] || dims[i][axis] > range.max[i][axis]) return false;
  }
  return true;
}

int smallest_cover(const std::vector<ShapeRange>& ranges, const InputDims& dims) {
  int best = -1;
  for (size_t i = 0; i < ranges.size(); ++i)
    if (covers(ranges[i], dims) &&
        (best < 0 ||
         api::most_elements(ranges[i]) < api::most_elements(ranges[size_t(best)])))
      best = int(i);
  return best;
}

}  // namespace planish::v1

namespace planish::api {
namespace {

using v1::Code;
using v1::InputDims;
using v1::Result;
using v1::ShapeRange;
using v1::Status;

// The open dims of a network's inputs: where each symbol stands, by input of the set and axis.
struct Place {
  size_t input, axis;
};
using Places = std::map<std::string, std::vector<Place>>;

Result<Places> places_of(const ir::Graph& graph, const std::vector<std::string>& inputs,
                         const ShapeRange& wanted) {
  Places places;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const auto found = std::find_if(graph.inputs.begin(), graph.inputs.end(),
                                    [&](const ir::Value* v) { return v->name == inputs[i]; });
    if (found == graph.inputs.end()) continue;
    const ir::Shape& shape = (*found)->type.shape;
    if (shape.size() != wanted.max[i].size())
      return Status(Code::kInvalidArgument,
                    cat("input '", inputs[i], "': got the shape ", bracketed(wanted.max[i]),
                        ", expected ", ir::to_string(shape)));
    for (size_t axis = 0; axis < shape.size(); ++axis) {
      if (!shape[axis].is_constant()) {
        places[shape[axis].symbol_name()].push_back({i, axis});
      } else if (wanted.min[i][axis] != shape[axis].value() ||
                 wanted.max[i][axis] != shape[axis].value()) {
        return Status(Code::kInvalidArgument,
                      cat("input '", inputs[i], "': got the shape ", bracketed(wanted.max[i]),
                          ", expected ", ir::to_string(shape)));
      }
    }
  }
  return places;
}

// Whether a symbol's places agree on their bounds. They need not: inputs that share no more than
// being unknown are given one symbol by the importer.
bool agree(const std::vector<Place>& places, const ShapeRange& range) {
  return std::all_of(places.begin(), places.end(), [&](const Place& place) {
    return range.min[place.input][place.axis] == range.min[places[0].input][places[0].axis] &&
           range.max[place.input][place.axis] == range.max[places[0].input][places[0].axis];
  });
}

}  // namespace

std::string to_string(const InputDims& dims) {
  std::vector<std::string> texts;
  for (const auto& one : dims) texts.push_back(bracketed(one));
  return join(texts);
}

std::string to_json(const ShapeRange& range) {
  return nlohmann::json{{"min", range.min}, {"max", range.max}}.dump();
}

Result<ShapeRange> range_of_json(const std::string& text) {
  try {
    const auto json = nlohmann::json::parse(text);
    return ShapeRange{json.at("min").get<InputDims>(), json.at("max").get<InputDims>()};
  } catch (const std::exception& error) {
    return Status(Code::kDataLoss, cat("shapes of an engine: ", error.what()));
  }
}

Result<ShapeRange> range_of(const v1::Engine& engine, const std::vector<std::string>& inputs) {
  const auto found = engine.metadata().find(kRangeKey);
  if (found != engine.metadata().end()) {
    PLANISH_API_ASSIGN_OR_RETURN(ShapeRange range, range_of_json(found->second));
    if (range.min.size() != inputs.size() || range.max.size() != inputs.size())
      return Status(Code::kInvalidArgument, cat("the engine was built for ", range.max.size(),
                                                " inputs, expected ", inputs.size()));
    return range;
  }
  ShapeRange range;
  for (const std::string& name : inputs) {
    const int index = engine.input_index(name);
    if (index < 0)
      return Status(Code::kInvalidArgument, cat("the engine has no input '", name, "'"));
    range.min.emplace_back();
    range.max.emplace_back();
    for (const v1::Dim& dim : engine.inputs()[size_t(index)].shape) {
      range.min.back().push_back(dim.is_symbolic() ? 1 : dim.value);
      range.max.back().push_back(dim.is_symbolic() ? std::numeric_limits<int32_t>::max()
                                                   : dim.value);
    }
  }
  return range;
}

Result<RangedNetwork> network_for(const ShapeRange& wanted, const std::vector<std::string>& inputs,
                                  bool share_batches, const v1::EngineSet::Source& source) {
  if (!source) return Status(Code::kFailedPrecondition, "there is no network to build from");
  for (const auto& dims : wanted.max)
    if (std::any_of(dims.begin(), dims.end(), [](int64_t dim) { return dim <= 0; }))
      return Status(Code::kUnsupported, cat("an empty tensor among the shapes ",
                                            to_string(wanted.max)));
  const auto fixed = [&]() -> Result<RangedNetwork> {
    std::map<std::string, std::vector<int64_t>> shapes;
    for (size_t i = 0; i < inputs.size(); ++i) shapes[inputs[i]] = wanted.max[i];
    PLANISH_API_ASSIGN_OR_RETURN(v1::Network network, source(shapes));
    return RangedNetwork{std::move(network), {}, {wanted.max, wanted.max}};
  };
  auto loaded = source({});
  if (!loaded.ok()) {
    auto given = fixed();
    return given.ok() ? std::move(given) : Result<RangedNetwork>(loaded.status());
  }
  RangedNetwork made{std::move(*loaded), {}, wanted};
  ir::Graph& graph = *made.network.impl().graph;
  PLANISH_API_ASSIGN_OR_RETURN(const Places places, places_of(graph, inputs, wanted));
  if (std::any_of(places.begin(), places.end(), [&](const auto& one) {
        return one.first.empty() || !agree(one.second, wanted);
      })) {
    { const v1::Network gone = std::move(made.network); }  // not two networks with their weights
    return fixed();
  }
  for (const auto& [symbol, all] : places) {
    // A batch: first dim of whatever it occurs in.
    if (share_batches &&
        std::all_of(all.begin(), all.end(), [](const Place& place) { return place.axis == 0; }))
      for (const Place& place : all) made.range.min[place.input][0] = 1;
  }
  std::map<std::string, int64_t, std::less<>> binding;
  for (const auto& [symbol, all] : places) {
    const auto [input, axis] = all[0];
    if (made.range.min[input][axis] == made.range.max[input][axis])
      binding[symbol] = made.range.max[input][axis];
    else
      for (const Place& place : all)
        made.profile[inputs[place.input]] = {made.range.min[place.input],
                                             made.range.max[place.input],
                                             made.range.max[place.input]};
  }
  PLANISH_API_RETURN_IF_ERROR(bind_symbols(graph, made.network.impl().registry->ops, binding));
  return made;
}

}  // namespace planish::api
