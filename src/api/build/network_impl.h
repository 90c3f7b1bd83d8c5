// What stands behind a public Network.
#pragma once
#include <memory>
#include <string>

#include "api/runtime/registry.h"
#include "ir/graph.h"
#include "planish/build.h"
#include "planish/network.h"

namespace planish::v1 {

struct Network::Impl {
  std::shared_ptr<const api::Registry> registry;
  std::unique_ptr<ir::Graph> graph;
  std::string source;  // the file's path, for messages; empty when built by hand
};

}  // namespace planish::v1

namespace planish::api {

// Gives inputs fixed shapes by name: symbolic dims become numbers everywhere they occur, and types
// are inferred anew. Errors name the input, got and expected.
planish::Status bind_shapes(ir::Graph& graph, const opdef::OpRegistry& registry,
                            const std::map<std::string, std::vector<int64_t>>& shapes);

using Symbols = std::map<std::string, int64_t, std::less<>>;
// Makes symbols numbers everywhere they occur, and infers types anew.
planish::Status bind_symbols(ir::Graph& graph, const opdef::OpRegistry& registry,
                             const Symbols& binding);

// "fp16": as the command line and a plan's options say it.
std::string name_of(v1::Precision precision);
// kInvalidArgument, with the names that there are.
planish::Result<v1::Precision> precision_named(std::string_view name);

// Up to three of `names` that look like `wanted`, for messages: "; did you mean 'a', 'b'?", or "".
std::string near_names(const std::string& wanted, const std::vector<std::string>& names);

}  // namespace planish::api
