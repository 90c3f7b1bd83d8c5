// Ranges of input shapes: what an engine of an EngineSet serves, and the network it is built from.
#pragma once
#include <string>
#include <vector>

#include "planish/engine_set.h"

namespace planish::api {

// The plan's metadata that says which shapes it serves, as to_json() writes them.
constexpr char kRangeKey[] = "planish.shapes";

std::string to_string(const v1::InputDims& dims);
// Elements of all inputs at the range's max: the less, the less work.
double most_elements(const v1::ShapeRange& range);
// {"min": [[1, 3]], "max": [[8, 3]]}, dims in the order of the set's inputs.
std::string to_json(const v1::ShapeRange& range);
v1::Result<v1::ShapeRange> range_of_json(const std::string& text);
// What an engine serves: its metadata, else what its inputs are declared as.
v1::Result<v1::ShapeRange> range_of(const v1::Engine& engine,
                                    const std::vector<std::string>& inputs);

// A network whose dims are fixed where the range is a point, with the profile for the others.
struct RangedNetwork {
  v1::Network network;
  v1::Profile profile;
  v1::ShapeRange range;  // wider than asked for where batches are shared
};
v1::Result<RangedNetwork> network_for(const v1::ShapeRange& wanted,
                                      const std::vector<std::string>& inputs, bool share_batches,
                                      const v1::EngineSet::Source& source);

}  // namespace planish::api
