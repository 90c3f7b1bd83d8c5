// Engines that planish.tensorflow has put beside a SavedModel: plans among its assets.
#pragma once
#include <string>

#include "planish/status.h"

namespace planish::cli {

// True for a SavedModel's folder with plans among its assets.
bool has_saved_engines(const std::string& folder);
// The plan of the engine `name` (or the part of it that tells it from the others; empty: the only one
// there is). kNotFound and kInvalidArgument list those there are.
Result<std::string> find_saved_engine(const std::string& folder, const std::string& name);

}  // namespace planish::cli
